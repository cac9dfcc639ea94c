"""The `convkit` command: runs a program of `convkit.apps`, turns its failures into one line."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import pkgutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Annotated, Any

from convkit.apps.terminal import InputError

with contextlib.suppress(ImportError):  # main() says what is missing
    import typer

NEEDED = ("typer", "rich", "PIL", "matplotlib")
MISSING = "the command needs Typer, Rich, Pillow and matplotlib: pip install 'convkit[plot]'"
FAILED, BAD_INPUT, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141


def programs() -> dict[str, Any]:
    """The modules of `convkit.apps` that have a `command`, by name."""
    from convkit import apps

    modules = {
        found.name: importlib.import_module(f"convkit.apps.{found.name}")
        for found in pkgutil.iter_modules(apps.__path__)
    }
    return {name: module for name, module in modules.items() if hasattr(module, "command")}


def make_app() -> typer.Typer:
    """The Typer application; every program is a sub-command."""
    app = typer.Typer(
        name="convkit", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )

    @app.callback(invoke_without_command=True)
    @_guarded
    def convkit_command(
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    ) -> None:
        """Convolution kernels for NumPy and CuPy, seen at work.

        Example: convkit tour
        """
        if version:
            import convkit

            print(f"convkit {convkit.__version__}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            print(context.get_help())
            raise typer.Exit

    for name, module in programs().items():
        app.command(name)(_guarded(module.command))
        for word, command in getattr(module, "more_commands", {}).items():
            app.command(f"{name} {word}", hidden=True)(_guarded(command))
    return app


class _SystemFailure(Exception):
    """Carries an OSError past Typer, which would make an exit status of it."""

    def __init__(self, error: OSError) -> None:
        self.error = error


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its failures to print, and Ctrl-C, in a form that Typer hands on."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except OSError as error:
            raise _SystemFailure(error) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return run


def main(
    arguments: list[str] | None = None, *, loaded: Callable[[], object] = lambda: None
) -> None:
    """Runs the command; `loaded` is called when all is imported, just before it starts.

    Exits with 0, 1 (a check failed, or the output cannot be written), 2 (bad input), 130 (Ctrl-C)
    or, without a word, 141 (the reader of the pipe has gone).
    """
    _open_streams()
    status = _run(arguments, loaded)
    _abandon_streams()
    sys.exit(status)


def _open_streams() -> None:
    """Streams that were closed (`>&-`) fail when written to, as other closed files do."""
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        with contextlib.suppress(AttributeError, OSError):
            stream.reconfigure(errors="replace")  # an ASCII terminal gets '?', not a traceback


def _abandon_streams() -> None:
    """What cannot be written goes nowhere, or the interpreter would complain on its way out."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _run(arguments: list[str] | None, loaded: Callable[[], object]) -> int:
    if any(find_spec(name) is None for name in NEEDED):
        return _complain(MISSING, BAD_INPUT)
    usage_error: Any = typer.BadParameter.__mro__[2]  # ClickException, wherever Typer keeps it
    try:
        app, words = make_app(), _joined(sys.argv[1:] if arguments is None else arguments)
        loaded()
        status = app(words, prog_name="convkit", standalone_mode=False) or 0
        sys.stdout.flush()
        return _complain("interrupted", status) if status == INTERRUPTED else status
    except InputError as error:
        return _complain(str(error), BAD_INPUT)
    except usage_error as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "convkit"
        return _complain(f"{error.format_message()} (see {path} --help)", BAD_INPUT)
    except KeyboardInterrupt:
        return _complain("interrupted", INTERRUPTED)
    except SystemExit:  # how Typer ends its own --help where the reader of the pipe has gone
        return PIPE_CLOSED
    except _SystemFailure as failure:
        return _report(failure.error)
    except OSError as error:
        return _report(error)
    except MemoryError as error:
        return _complain(f"not enough memory: {error}", FAILED)


def _report(error: OSError) -> int:
    if error.filename is not None:  # no print: something the user named
        return _complain(f"{os.fsdecode(error.filename)}: {error.strerror or error}", BAD_INPUT)
    if isinstance(error, BrokenPipeError):  # as in `convkit info | head -1`
        return PIPE_CLOSED
    return _complain(f"cannot write the output: {error.strerror or error}", FAILED)


def _joined(arguments: list[str]) -> list[str]:
    """The arguments with `bench compare` as one word, the name of that command."""
    module = programs().get(arguments[0]) if len(arguments) > 1 else None
    if module is None or arguments[1] not in getattr(module, "more_commands", {}):
        return arguments
    return [f"{arguments[0]} {arguments[1]}", *arguments[2:]]


def _complain(text: str, status: int) -> int:
    with contextlib.suppress(OSError):
        print("convkit:", " ".join(text.split()), file=sys.stderr)
    return status
