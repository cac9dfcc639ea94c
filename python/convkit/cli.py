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
MISSING = (
    "convkit: the command needs Typer, Rich, Pillow and matplotlib: pip install 'convkit[plot]'"
)
BAD_INPUT, INTERRUPTED, PIPE_CLOSED = 2, 130, 141


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


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the exit status of its own for Ctrl-C and for a reader that went away."""

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except BrokenPipeError:
            raise typer.Exit(PIPE_CLOSED) from None
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None

    return run


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Exits with 0, 1 (a check failed), 2 (bad input) or 130 (Ctrl-C)."""
    streams: tuple[Any, ...] = (sys.stdout, sys.stderr)
    for stream in streams:
        with contextlib.suppress(AttributeError, OSError):
            stream.reconfigure(errors="replace")  # an ASCII terminal gets '?', not a traceback
    if any(find_spec(name) is None for name in NEEDED):
        print(MISSING, file=sys.stderr)
        sys.exit(BAD_INPUT)
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        status = PIPE_CLOSED
    if status == PIPE_CLOSED:  # the reader has gone, as in `convkit info | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


def _run(arguments: list[str] | None) -> int:
    usage_error: Any = typer.BadParameter.__mro__[2]  # ClickException, wherever Typer keeps it
    try:
        app, words = make_app(), _joined(sys.argv[1:] if arguments is None else arguments)
        status = app(words, prog_name="convkit", standalone_mode=False) or 0
        return _complain("interrupted", status) if status == INTERRUPTED else status
    except InputError as error:
        return _complain(str(error), BAD_INPUT)
    except usage_error as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "convkit"
        return _complain(f"{error.format_message()} (see {path} --help)", BAD_INPUT)


def _joined(arguments: list[str]) -> list[str]:
    """The arguments with `bench compare` as one word, the name of that command."""
    module = programs().get(arguments[0]) if len(arguments) > 1 else None
    if module is None or arguments[1] not in getattr(module, "more_commands", {}):
        return arguments
    return [f"{arguments[0]} {arguments[1]}", *arguments[2:]]


def _complain(text: str, status: int) -> int:
    print("convkit:", " ".join(text.split()), file=sys.stderr)
    return status
