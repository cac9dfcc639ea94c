"""The door of the `convkit` command. It stands outside the package, so that what goes wrong while
the package loads (a wrong CONVKIT_ISA, no NumPy, Ctrl-C) is one line and an exit status too."""

from __future__ import annotations

# Nothing that takes long: Ctrl-C before main() is Python's.
import os
import signal
import sys

BAD_INPUT, INTERRUPTED = 2, 130


def main() -> None:
    """Entry point of the installed script; `convkit.cli.main` says how it exits."""
    usual = signal.getsignal(signal.SIGINT)
    is_usual = usual is signal.default_int_handler  # else the caller wants it ignored, say
    if is_usual:
        # Raised inside an import, KeyboardInterrupt may come out as something else, or not at all.
        signal.signal(signal.SIGINT, _leave)
    try:
        from convkit import cli
    except ImportError as error:
        _say(" ".join(str(error).split()))
        sys.exit(BAD_INPUT)
    try:
        cli.main(loaded=lambda: signal.signal(signal.SIGINT, usual) if is_usual else None)
    except KeyboardInterrupt:
        _leave()
    finally:
        if is_usual:  # the interpreter's own end
            signal.signal(signal.SIGINT, _leave)


def _leave(*_: object) -> None:
    _say("interrupted")
    os._exit(INTERRUPTED)


def _say(text: str) -> None:
    try:
        os.write(2, f"convkit: {text}\n".encode(errors="backslashreplace"))
    except OSError:
        return  # stderr is closed: the exit status says it
