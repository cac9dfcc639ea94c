"""What every program of the command shares: bad input as an exception, JSON, consoles."""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 130  # rows stay on one line in a file or a pager


class InputError(Exception):
    """Something the user gave cannot be used; the text is the one line he gets to read."""


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; where there is none, wide enough for the widest table."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # Rich would exit with 1, which here says that a check failed

    found = Piped(stderr=stderr, highlight=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = PIPED_WIDTH
    return found


def print_json(value: Any) -> None:
    """The value as JSON on stdout, and nothing else; infinities and NaN become null."""
    print(json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False))


def finite(value: Any) -> Any:
    """The value with null for what JSON cannot say: infinities and NaN."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
