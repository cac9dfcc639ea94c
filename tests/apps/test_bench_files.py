"""`convkit bench compare` and `plot` on files that --save did not write, or that were changed."""

import json

import pytest

from convkit.apps import bench
from convkit.apps.benchmark import record
from convkit.apps.benchmark.contestants import Settings
from convkit.testing import parse

pytest_plugins = ["tests.apps.command"]


@pytest.fixture(scope="module")
def made():
    """What --save writes."""
    problem = parse("conv2d", "n1c3h9w9-k4r3s3-st1-pd1")
    settings = Settings(seconds=0.01, vs=("numpy",))
    run = bench.run([problem], settings, directions=("fprop",), argv=[])
    return json.dumps(record.as_dict(run))


def test_a_whole_file_is_read(convkit, tmp_path, made):
    (tmp_path / "a.json").write_text(made)
    assert convkit("bench", "compare", "a.json", "a.json").status == 0
    assert convkit("bench", "plot", "a.json", "--text").status == 0
    assert json.dumps(record.as_dict(record.load(tmp_path / "a.json"))) == made


@pytest.mark.parametrize(
    ("text", "hint"),
    [("{", "is no JSON"), ("[]", "was not written by"), ('{"made_by": "convkit bench"}', "schema")],
)
def test_a_file_that_is_no_run_is_named(convkit, tmp_path, text, hint):
    (tmp_path / "a.json").write_text(text)
    assert hint in convkit("bench", "plot", "a.json").one_line


def test_a_run_with_a_part_missing_is_named(convkit, tmp_path, made):
    broken = json.loads(made)
    del broken["machine"]
    (tmp_path / "a.json").write_text(json.dumps(broken))
    assert "a.json: is damaged: machine is missing" in convkit("bench", "plot", "a.json").one_line


DAMAGE = [
    (("versions",), None, "versions is null, must be an object"),
    (("versions", "numpy"), 2, "versions.numpy is 2, must be a text"),
    (("machine", "gpu"), None, "machine.gpu is null, must be a list"),
    (("peaks", 0, "bytes_per_s"), 0, "peaks[0].bytes_per_s is 0, must be above 0"),
    (("rows", 0), "x", 'rows[0] is "x", must be an object'),
    (("rows", 0, "threads"), [], "rows[0].threads is a list, must be a whole number"),
    (("rows", 0, "threads"), True, "rows[0].threads is true, must be a whole number"),
    (("rows", 0, "line"), [], "rows[0].line is a list, must be a text"),
    (("rows", 0, "cold"), 0, "rows[0].cold is 0, must be true or false"),
    (("rows", 0, "direction"), "up", 'rows[0].direction is "up", must be one of fprop'),
    (("rows", 0, "bytes"), 0, "rows[0].bytes is 0, must be above 0"),
    (
        ("rows", 0, "ratios", "NumPy", "middle"),
        None,
        "rows[0].ratios.NumPy.middle is null, must be a number",
    ),
    (("rows", 0, "ratios", "NumPy", "low"), -1, "low is -1, must be above 0"),
    (("rows", 0, "ratios", "NumPy"), {}, "rows[0].ratios.NumPy.middle is missing"),
    (("rows", 0, "ratios", "torch"), {"middle": 1, "low": 1, "high": 1}, "no contestants'"),
    (
        ("rows", 0, "contestants", 0, "samples_s", 0),
        {},
        "rows[0].contestants[0].samples_s[0] is an object, must be a number",
    ),
    (("rows", 0, "contestants", 0, "samples_s", 0), 0, "samples_s[0] is 0, must be above 0"),
    (("rows", 0, "contestants", 1, "samples_s"), [], "rows[0].ratios.NumPy is of no contestants'"),
]


@pytest.mark.parametrize(("place", "value", "hint"), DAMAGE, ids=[d[2] for d in DAMAGE])
def test_a_damaged_field_is_named_with_its_file(convkit, tmp_path, made, place, value, hint):
    (tmp_path / "a.json").write_text(made)
    at = broken = json.loads(made)
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    (tmp_path / "b.json").write_text(json.dumps(broken))
    for words in (("compare", "a.json", "b.json"), ("plot", "b.json", "--text")):
        result = convkit("bench", *words)
        assert result.status == 2
        assert hint in result.one_line
        assert result.err.startswith("convkit: b.json: is damaged: ")
