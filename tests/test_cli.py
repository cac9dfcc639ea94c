"""The command itself: finding its programs, help, versions, and failures in one line."""

import subprocess
import sys

import pytest

import convkit as library
from convkit import cli

pytest_plugins = ["tests.apps.command"]


def test_no_argument_prints_help(convkit):
    result = convkit()
    assert result.status == 0
    assert "Usage: convkit" in result.out
    for name in ("augment", "bench", "edges", "explain", "info", "tour", "validate"):
        assert name in result.out


def test_version(convkit):
    assert convkit("--version").out == f"convkit {library.__version__}\n"


def test_every_module_with_a_command_is_a_program():
    programs = cli.programs()
    assert {"augment", "bench", "edges", "explain", "info", "tour", "validate"} <= programs.keys()
    for module in programs.values():
        assert callable(module.run)
        assert module.command.__doc__


@pytest.mark.parametrize(
    "name", ["augment", "bench", "edges", "explain", "info", "tour", "validate"]
)
def test_help_has_an_example_and_json(convkit, name):
    result = convkit(name, "--help")
    assert result.status == 0
    assert f"Example: convkit {name}" in result.out
    assert "--json" in result.out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["bogus"], "bogus"),
        (["--bogus"], "--bogus"),
        (["info", "extra"], "extra"),
        (["tour", "--quick=3"], "--quick"),
        (["bench", "--seconds", "long"], "--seconds"),
        (["edges", "--color=3"], "--color"),
        (["edges", "--map", "rainbow"], "--map"),
        (["edges", "a.png", "-o"], "-o"),
        (["augment"], "image"),
        (["augment", "a.png", "--seed", "x"], "--seed"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(convkit, arguments, hint):
    result = convkit(*arguments)
    assert result.status == 2
    assert hint in result.one_line
    assert "--help" in result.one_line


def test_missing_packages_are_named(convkit_process):
    code = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(('typer', 'rich', 'PIL', 'matplotlib'))\n"
        "from convkit_command import main\n"
        "main()\n"
    )
    result = convkit_process("info", code=code)
    assert result.status == 2
    assert result.one_line == f"convkit: {cli.MISSING}"


def test_heavy_libraries_stay_out_until_needed(convkit_process):
    code = (
        "import sys, contextlib\n"
        "from convkit.cli import main\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main(['--version'])\n"
        "heavy = {'matplotlib', 'scipy', 'torch', 'onnx', 'cupy', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)\n"
    )
    result = convkit_process(code=code)
    assert result.status == 0, result.err


def test_interruption_ends_with_130(convkit, monkeypatch):
    def interrupted(**_):
        raise KeyboardInterrupt

    monkeypatch.setattr("convkit.apps.info.run", interrupted)
    result = convkit("info")
    assert result.status == 130
    assert result.one_line == "convkit: interrupted"


@pytest.mark.parametrize(
    "module",
    ["numpy", "convkit._native", "convkit.cli", "typer", "convkit.apps.tour", "rich.table"],
)
def test_interruption_while_it_loads_is_one_line_and_130(convkit_process, module):
    code = (
        "import os, signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "from convkit_command import main\n"
        "main()\n"
    )
    result = convkit_process("info", code=code)
    assert result.status == 130
    assert result.one_line == "convkit: interrupted"


@pytest.mark.parametrize(
    "environment", [{"CONVKIT_ISA": "sse9"}, {"CONVKIT_NUM_THREADS": "0"}], ids=str
)
def test_a_wrong_environment_is_one_line_and_status_2(convkit_process, environment):
    result = convkit_process("info", **environment)
    assert result.status == 2
    ((name, value),) = environment.items()
    assert result.one_line.startswith(f"convkit: {name} is '{value}', must be ")


# How stdout may be, as a shell says it; exit status and what stderr holds.
UNWRITABLE = {
    "> /dev/full": (1, "convkit: cannot write the output: No space left on device\n"),
    ">&-": (1, "convkit: cannot write the output: Bad file descriptor\n"),
    "> /dev/full 2> /dev/full": (1, ""),
    "<&- >&- 2>&-": (1, ""),
    "| true": (141, ""),
}


@pytest.mark.parametrize("redirection", UNWRITABLE)
@pytest.mark.parametrize(
    "arguments", ["info", "info --json", "--version", "--help", "edges --help", "edges --lecture"]
)
def test_output_that_cannot_be_written_is_one_line(tmp_path, arguments, redirection):
    command = "from convkit_command import main; main()"
    script = f'"$0" -c "{command}" {arguments} {redirection}; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == UNWRITABLE[redirection]
    assert done.stdout == ""


def test_errors_are_told_by_the_status_where_stderr_is_closed(tmp_path):
    command = "from convkit_command import main; main()"
    for redirection in ("2>&-", "2> /dev/full"):
        script = f'"$0" -c "{command}" bogus {redirection}'
        done = subprocess.run(
            ["bash", "-c", script, sys.executable], capture_output=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"PYTHONIOENCODING": "ascii"}])
def test_plain_terminals_get_plain_text(convkit_process, environment):
    result = convkit_process("info", **environment)
    assert result.status == 0, result.err
    assert "\x1b" not in result.out
