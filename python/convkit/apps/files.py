"""Files that a program writes: whole or not at all, and known to be writable before the work."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convkit.apps.terminal import InputError
from convkit.nn.files import replace_file

# What is open already may be a regular file, which must not be replaced.
_OPEN_FILES = ("/dev/std", "/dev/fd/", "/proc/")


def write_whole(path: Path, write: Callable[[Any], object]) -> None:
    """`write(file)` into a new file that takes the name only when it is complete.

    A symbolic link stays, and what it points to is replaced. What is no regular file (a pipe,
    /dev/stdout) is written to. An existing file's permissions stay.

    Raises: InputError for what cannot be written.
    """
    try:
        memory = io.BytesIO()
        write(memory)
        if _is_special(path):
            with _open_special(path) as file:
                file.write(memory.getvalue())
        else:
            replace_file(path, memory.getvalue())
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None


def check_writable(path: Path) -> None:
    """Raises InputError where write_whole could not write, so that no work is lost by it."""
    try:
        if not _is_special(path):
            with tempfile.TemporaryFile(dir=Path(os.path.realpath(path)).parent):
                return
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: cannot be written")


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not stat.S_ISREG(mode) or os.path.abspath(path).startswith(_OPEN_FILES)


def _open_special(path: Path) -> Any:
    """What is our own stdout or stderr is written to where that stands."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(number), path.stat()):
                stream.flush()
                return os.fdopen(os.dup(number), "wb")
    return path.open("ab")
