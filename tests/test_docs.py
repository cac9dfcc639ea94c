"""Examples in docstrings and in the README run as they stand."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest

import convkit
from convkit import data, reference

ROOT = Path(__file__).parents[1]
DOCUMENTED = [
    *((f"convkit.{name}", getattr(convkit, name)) for name in convkit.__all__),
    *((f"reference.{name}", getattr(reference, name)) for name in reference.__all__),
    *((f"data.{name}", getattr(data, name)) for name in data.__all__ if name != "NAMES"),
]


@pytest.mark.parametrize(("name", "thing"), DOCUMENTED, ids=[name for name, _ in DOCUMENTED])
def test_docstring_examples_run(name, thing):
    finder = doctest.DocTestFinder(recurse=False)
    names = {key: getattr(convkit, key) for key in convkit.__all__}
    if name.startswith("reference."):
        names = {key: getattr(reference, key) for key in reference.__all__}
    elif name.startswith("data."):
        names = {key: getattr(data, key) for key in data.__all__}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for example in finder.find(thing, name, globs={**names, "np": np, "convkit": convkit}):
        runner.run(example)
    assert runner.failures == 0


def test_the_readme_example_prints_what_it_says(capsys):
    text = (ROOT / "README.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.S).group(1)
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    said = [line.partition(")  ")[2].strip(" #") for line in code.splitlines() if "print(" in line]
    assert len(printed) == len(said)
    for line, comment in zip(printed, said, strict=True):
        if comment:
            assert line == comment


def test_documents_link_to_files_that_exist():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        prose = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
        for target in re.findall(r"\]\(([^)#:]+)\)", prose):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
