"""The command itself: finding its programs, help, versions, and failures in one line."""

import pytest

import convkit as library
from convkit import cli

pytest_plugins = ["tests.apps.command"]


def test_no_argument_prints_help(convkit):
    result = convkit()
    assert result.status == 0
    assert "Usage: convkit" in result.out
    for name in ("edges", "info", "tour", "validate"):
        assert name in result.out


def test_version(convkit):
    assert convkit("--version").out == f"convkit {library.__version__}\n"


def test_every_module_with_a_command_is_a_program():
    programs = cli.programs()
    assert {"edges", "info", "tour", "validate"} <= programs.keys()
    for module in programs.values():
        assert callable(module.run)
        assert module.command.__doc__


@pytest.mark.parametrize("name", ["edges", "info", "tour", "validate"])
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
        (["edges", "--stride", "x"], "--stride"),
        (["edges", "--map", "rainbow"], "--map"),
        (["edges", "a.png", "-o"], "-o"),
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
        "from convkit.cli import main\n"
        "main()\n"
    )
    result = convkit_process("info", code=code)
    assert result.status == 2
    assert result.one_line == cli.MISSING


def test_heavy_libraries_stay_out_until_needed(convkit_process):
    code = (
        "import sys, contextlib\n"
        "from convkit.cli import main\n"
        "with contextlib.suppress(SystemExit):\n"
        "    main(['--version'])\n"
        "heavy = {'matplotlib', 'scipy', 'torch', 'cupy', 'PIL'} & set(sys.modules)\n"
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


def test_a_closed_pipe_is_no_error(convkit_process):
    code = (
        "import os, sys\n"
        "read, write = os.pipe()\n"
        "os.close(read)\n"
        "os.dup2(write, 1)\n"
        "from convkit.cli import main\n"
        "main(['info'])\n"
    )
    result = convkit_process(code=code)
    assert result.status == 141
    assert result.err == ""


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"PYTHONIOENCODING": "ascii"}])
def test_plain_terminals_get_plain_text(convkit_process, environment):
    result = convkit_process("info", **environment)
    assert result.status == 0, result.err
    assert "\x1b" not in result.out
