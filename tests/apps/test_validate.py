"""`convkit validate`: what it prints, writes and exits with; the examples of its document."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import convkit as library
from convkit import reference
from convkit.apps import validate
from convkit.testing.data import DTYPES, KINDS
from convkit.testing.memory import FORMS
from convkit.testing.selection import Selection

pytest_plugins = ["tests.apps.command"]

DOCUMENT = Path(__file__).parents[2] / "docs" / "validate-your-own.md"
SMALL = ("--cases", "30", "--most-flops", "5000")
FAULTY = """
from convkit import reference

def conv2d(x, w, *, stride=1, padding=0):
    if padding != 0 and x.dtype == "float64":
        raise NotImplementedError("float64 with padding")
    y = reference.conv2d(x, w, stride=stride, padding=padding)
    if stride != 1:
        y[..., -1, :] *= -1
    return y
"""


@pytest.fixture
def faulty(tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY)
    return "faulty.py:conv2d"


def test_all_right_prints_a_row_for_each_way_and_exits_with_0(convkit, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    result = convkit("validate", "--cases", "200", "--most-flops", "5000")
    assert result.status == 0, result.out
    assert "all right" in result.out.splitlines()[-1]
    for name in library.__all__:
        if hasattr(reference, name) and name != "conv2d_bias_grad":
            assert re.search(rf"^ {name} +\S+ +cpu +\d+ +0 ", result.out, re.M), name
    assert not Path("convkit-failures").exists()


def test_a_problem_line_is_checked_as_given(convkit):
    line = "n1c3h5w6-k4r3s3-st1-pd1"
    result = convkit(
        "validate",
        "conv2d",
        line,
        "--direction",
        "wgrad",
        "--algo",
        "direct",
        "--backend",
        "simt",
        "--kind",
        "wide",
        "--dtype",
        "float32",
        "--json",
    )
    assert result.status == 0, result.out
    (row,) = result.json["rows"]
    assert (row["function"], row["algorithm"], row["backend"]) == (
        "conv2d_weight_grad",
        "direct",
        "simt",
    )
    assert row["checks"] == 1
    assert row["worst"]["problem"] == line


def test_tags_stand_for_rows_of_the_table(convkit):
    rows = convkit("validate", "gram", "core", "--kind", "normal", "--dtype", "float32", "--json")
    checks = sum(row["checks"] for row in rows.json["rows"])
    algorithms = library.testing.algorithms("gram", "cpu")
    assert checks == 2 * len(algorithms) * len(library.testing.problems("gram", "core"))


def test_a_fault_is_told_saved_and_repeated_by_the_line_given(convkit, faulty, tmp_path):
    result = convkit("validate", "--against", faulty, "conv2d", *SMALL, "--save", "kept")
    assert result.status == 1
    assert "FAILED conv2d as conv2d: values" in result.out
    assert "fails only when stride > 1" in result.out
    assert "refused" in result.out
    assert "float64 with padding" in result.out
    assert (tmp_path / "kept" / "conv2d-conv2d-user-values.npz").exists()
    repeat = re.search(r"repeat: convkit (.*)", result.out).group(1)
    again = convkit(*shlex.split(repeat))
    assert again.status == 1
    assert "1 cases, 1 checks: 1 failed" in again.out


def test_an_algorithms_fault_is_repeated_by_the_line_given(convkit, monkeypatch):
    from convkit.testing import subjects

    real = subjects.run_case

    def spoilt(problem, direction, algo, backend, data, **extra):
        outcome = real(problem, direction, algo, backend, data, **extra)
        if algo == "im2col" and direction == "dgrad" and problem.groups > 1:
            outcome.outputs[0][...] = 0
        return outcome

    monkeypatch.setattr(subjects, "run_case", spoilt)
    result = convkit("validate", "conv2d", "--cases", "60", "--most-flops", "5000", "--json")
    assert result.status == 1
    (failure,) = result.json["failures"]
    assert failure["when"] == "exactly when groups > 1"
    assert "the wrong places hold zeros" in failure["where"]
    repeat = failure["simplest"]["repeat"]
    assert "--direction dgrad --algo im2col --backend cpu" in repeat
    assert "g2" in failure["simplest"]["problem"]
    assert convkit(*shlex.split(repeat)[1:]).status == 1


def test_inputs_that_cannot_be_saved_leave_the_diagnosis(convkit, faulty, tmp_path):
    (tmp_path / "taken").touch()
    line = ("validate", "--against", faulty, "conv2d", *SMALL, "--save", "taken")
    result = convkit(*line)
    assert result.status == 1
    assert "FAILED conv2d as conv2d: values" in result.out
    assert "fails only when stride > 1" in result.out
    (said,) = re.findall(r"  inputs could not be saved: (.*)", result.out)
    assert said == "taken/conv2d-conv2d-user-values.npz: File exists"
    assert "  inputs: " not in result.out
    (failure,) = convkit(*line, "--json").json["failures"]
    assert (failure["file"], failure["unsaved"]) == ("", said)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_junit_file_that_cannot_be_written_leaves_the_report(convkit, faulty, options):
    junit = ("--junit", "/dev/full")
    result = convkit("validate", "--against", faulty, "conv2d", *SMALL, *junit, *options)
    assert result.status == 2
    assert result.err.startswith("convkit: /dev/full: cannot be written")
    assert "only when stride > 1" in result.out


def test_junit_and_json_say_the_same(convkit, faulty):
    result = convkit(
        "validate", "--against", faulty, "conv2d", *SMALL, "--junit", "out/found.xml", "--json"
    )
    (suite,) = ElementTree.parse("out/found.xml").getroot()
    (row,) = result.json["rows"]
    assert suite.get("name") == "conv2d.conv2d.user"
    assert int(suite.get("failures")) == row["failed"] == len(suite.findall("testcase/failure")) > 0
    assert int(suite.get("skipped")) == row["refused"] == len(suite.findall("testcase/skipped")) > 0
    assert int(suite.get("tests")) == row["checks"] + row["refused"] == len(suite)
    assert all(f.text.startswith("convkit validate conv2d ") for f in suite.iter("failure"))
    assert result.json["ok"] is False
    assert "dilation" in result.json["never_passed"]


def test_equal_seeds_print_the_same(convkit):
    def rows(seed):
        return convkit("validate", *SMALL, "--seed", seed, "--json").json["rows"]

    assert rows(5) == rows(5)
    assert rows(5) != rows(6)


def test_nothing_checked_is_a_failure(convkit, tmp_path):
    (tmp_path / "shy.py").write_text("def f(x, w):\n    raise NotImplementedError\n")
    result = convkit("validate", "--against", "shy.py:f", "conv2d", *SMALL)
    assert result.status == 1
    assert "nothing was checked" in result.out


@pytest.mark.parametrize("line", ["os.kill(os.getpid(), 11)", "os.abort()", "os._exit(0)"])
def test_a_function_that_ends_the_process_is_named_with_a_line_that_repeats_it(
    convkit_process, tmp_path, line
):
    body = (
        f"import os\ndef f(x, w):\n    if w.shape[0] > 4:\n        {line}\n    raise SystemExit\n"
    )
    (tmp_path / "deadly.py").write_text(body)
    result = convkit_process("validate", "--against", "deadly.py:f", "conv2d", *SMALL)
    assert result.out == ""
    repeat = re.fullmatch(r"convkit: the process died in: convkit (validate .*)\n", result.err)[1]
    assert re.search(r"-k([5-9]|\d\d+)r", repeat)
    again = convkit_process(*shlex.split(repeat))
    assert (again.status, again.err) == (result.status, result.err)


def test_what_a_function_prints_stays_out_of_the_report(convkit_process, tmp_path):
    body = "    print('hello')\n    sys.stdout = None\n    raise ValueError('\x1b[31mred')\n"
    (tmp_path / "loud.py").write_text(f"import sys\ndef f(x, w):\n{body}")
    line = ("validate", "--against", "loud.py:f", "conv2d", "n1c1h1w1-k1r1s1", "--kind", "normal")
    result = convkit_process(*line, "--json")
    assert result.status == 1
    assert result.err.startswith("hello\n")
    (failure,) = result.json["failures"]
    assert failure["faults"] == ["raised ValueError: ?[31mred (loud.py:5)"]


def test_a_function_that_lives_has_no_witness(convkit_process, faulty):
    result = convkit_process("validate", "--against", faulty, "conv2d", *SMALL)
    assert (result.status, result.err) == (1, "")


def test_interruption_prints_what_was_found_and_exits_with_130(convkit, monkeypatch, faulty):
    from convkit.testing import validation

    real, calls = validation.examine, []

    def interrupted(case, subject):
        calls.append(case)
        if len(calls) == 200:
            raise KeyboardInterrupt
        return real(case, subject)

    monkeypatch.setattr(validation, "examine", interrupted)
    result = convkit(
        "validate", "--against", faulty, "conv2d", "--most-flops", "5000", "--cases", "1000"
    )
    assert result.status == 130
    assert "FAILED conv2d as conv2d: values" in result.out
    assert "interrupted: " in result.out
    assert result.err == "convkit: interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["fft"], "'fft'"),
        (["n1c3h4w4"], "n1c3h4w4"),
        (["conv2d", "n1c3"], "n1c3"),
        (["conv2d", "n1c1h1w1-k1r3s1-st1-pd0"], "no valid problem"),
        (["conv2d", "n1c1h1w1-k1r3s1-st1-pd0"], "the kernel's height is 3 with dilation 1, more"),
        (["conv2d", "n1c6h4w4-k4r1s1-g4"], "groups is 4, must divide x's 6 channels"),
        (["conv2d", "n1c1h1w1-k1r1s1-g0"], "groups is 0"),
        (["lrn", "n1c1h1w1-size0"], "size is 0, must be at least 1"),
        (["gram", "n1c0h4w4"], "x.shape[1] is 0"),
        (["conv2d", "--seed", "-1"], "seed is -1, must be at least 0"),
        (["--against", "os:fspath", "gram_matrix", "--bound", "nan"], "bound is nan"),
        (["--against", "os:fspath", "gram_matrix", "--bound", "-1"], "bound is -1"),
        (["--algo", "magic"], "magic"),
        (["--backend", "tpu"], "tpu"),
        (["--dtype", "int8"], "int8"),
        (["--kind", "odd"], "odd"),
        (["--cases", "0"], "cases is 0"),
        (["gram", "--direction", "wgrad"], "wgrad"),
        (["--bound", "3"], "--bound"),
        (["--against", "nowhere:f", "conv2d"], "nowhere"),
        (["--against", "os:getcwd"], "op"),
        (["--against", "leaves.py:f", "conv2d"], "leaves.py:f: SystemExit: 5"),
        (["--against", "os:getcwd", "conv2d"], "cannot be called"),
    ],
)
def test_bad_input_is_one_line_and_status_2(convkit, tmp_path, arguments, hint):
    (tmp_path / "leaves.py").write_text("import sys\nsys.exit(5)\n")
    result = convkit("validate", *arguments)
    assert result.status == 2
    assert hint in result.one_line


def test_run_is_quiet_and_callable_from_python(capsys):
    report = validate.run(Selection(names=("im2col",), cases=4, most_flops=5000))
    assert report.ok
    assert report.cases == 4
    assert capsys.readouterr() == ("", "")


class TestDocument:
    text = DOCUMENT.read_text()

    def run(self, folder, name):
        """The command of an example, in a folder with its file."""
        code = next(
            block
            for block in re.findall(r"```python\n(.*?)```", self.text, re.S)
            if self.text.rfind(f"`{name}.py`", 0, self.text.index(block)) > -1
            and f"`{name}.py`" in self.text[: self.text.index(block)].split("## ")[-1]
        )
        (folder / f"{name}.py").write_text(code)
        (line,) = re.findall(rf"^\$ (.*--against {name}\.py.*)$", self.text, re.M)
        words = shlex.split(line)
        settings = dict(word.split("=") for word in words if "=" in word)
        command = words[words.index("convkit") + 1 :]
        return subprocess.run(
            [sys.executable, "-c", "from convkit.cli import main; main()", *command],
            cwd=folder,
            env=os.environ | {"COLUMNS": "120"} | settings,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def test_the_faulty_sample_prints_what_the_document_shows(self, tmp_path):
        done = self.run(tmp_path, "fourcolumns")
        shown = re.search(r"```\n(FAILED .*?)```", self.text, re.S).group(1).rstrip()
        printed = "\n".join(line.rstrip() for line in done.stdout.splitlines())
        printed = printed[printed.index("FAILED") :].rstrip()
        seconds = r", [\d.]+ s\)"
        assert re.sub(seconds, "", printed) == re.sub(seconds, "", shown)
        assert done.returncode == 1

    def test_the_numba_kernel_is_right_in_numbas_simulator(self, tmp_path):
        done = self.run(tmp_path, "numba_conv")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "all right" in done.stdout

    def test_the_cupy_kernel_is_python(self):
        blocks = re.findall(r"```python\n(.*?)```", self.text, re.S)
        (code,) = [block for block in blocks if "RawKernel" in block]
        compile(code, "raw_conv.py", "exec")
        assert "not run on a GPU" in self.text


def test_without_ml_dtypes_everything_else_is_checked(tmp_path):
    """The extra plot alone, as the README installs it, has no bfloat16."""
    (tmp_path / "ml_dtypes.py").write_text("raise ImportError('not here')\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}

    def run(*options):
        command = [sys.executable, "-c", "from convkit_command import main; main()", "validate"]
        arguments = {"capture_output": True, "text": True, "check": False, "env": environment}
        return subprocess.run([*command, "--cases", "20", *options], **arguments)

    done = run()
    assert done.returncode == 0, done.stderr
    assert "bfloat16" not in done.stdout
    asked = run("--dtype", "bfloat16")
    assert asked.returncode == 2
    assert asked.stderr.startswith("convkit: validate: bfloat16 needs the package ml_dtypes")
    assert asked.stderr.count("\n") == 1


def test_the_help_names_every_choice(convkit):
    text = convkit("validate", "--help").out
    for name in (*KINDS, *DTYPES, *FORMS):
        assert re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize("width", ["50", "80", "120"])
def test_narrow_terminals_cut_no_name(convkit, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    result = convkit("validate", "lrn", "--cases", "2", "--most-flops", "5000")
    assert result.status == 0, result.out
    assert "…" not in result.out
    assert ("worst at" in result.out) == (width == "120")
