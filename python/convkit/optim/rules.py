"""What hyperparameters may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Rule(NamedTuple):
    """holds: whether a value may be; says: which may; kind: makes it a number of Python, as one of
    NumPy would widen float32."""

    holds: Callable[[Any], bool]
    says: str
    kind: Callable[[Any], Any]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and value == int(value)


def _is_fraction(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1


NOT_NEGATIVE = Rule(
    lambda v: _is_number(v) and 0 <= v < math.inf, "a number, at least 0 and finite", float
)
POSITIVE = Rule(lambda v: _is_number(v) and 0 < v < math.inf, "a number above 0, finite", float)
FRACTION = Rule(_is_fraction, "at least 0 and below 1", float)
FRACTIONS = Rule(
    lambda v: isinstance(v, (tuple, list)) and len(v) == 2 and all(map(_is_fraction, v)),
    "two numbers, at least 0 and below 1",
    lambda v: tuple(map(float, v)),
)
FLAG = Rule(lambda v: isinstance(v, (bool, np.bool_)), "True or False", bool)
COUNT = Rule(lambda v: _is_whole(v) and v >= 1, "a whole number, at least 1", int)


def checked(owner: str, name: str, value: Any, rule: Rule) -> Any:
    if not rule.holds(value):
        raise ValueError(f"{owner}: {name} is {value!r}, must be {rule.says}")
    return rule.kind(value)
