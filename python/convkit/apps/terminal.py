"""What every program of the command shares: bad input as an exception, JSON, consoles."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

PIPED_WIDTH = 130  # rows stay on one line in a file or a pager


class InputError(Exception):
    """Something the user gave cannot be used; the text is the one line he gets to read."""


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; where there is none, wide enough for the widest table."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    probe = Console(stderr=stderr, highlight=False, soft_wrap=False)
    if probe.is_terminal or not hasattr(stream, "isatty"):
        return probe
    return Console(stderr=stderr, highlight=False, width=PIPED_WIDTH)


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
