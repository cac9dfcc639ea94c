"""Plain values from a file, read back as what they were: each of its type, or named as damaged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

_WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


class Damaged(Exception):
    """A value that cannot stand where it does; the text names the place."""


def read(kind: Any, value: Any, place: str) -> Any:
    """The value as one of a dataclass, list, dict, union or plain type.

    Raises: Damaged, with the path to what does not fit: rows[0].ratios.torch.middle.
    """
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return _read_union(get_args(kind), value, place)
    if kind is Any or kind is None or kind is type(None):
        check(value is None or kind is Any, place, value, "null")
        return value
    if is_dataclass(kind):
        check(isinstance(value, dict), place, value, "an object")
        hints = get_type_hints(kind)
        names = [field.name for field in fields(kind)]
        for name in names:
            if name not in value:
                raise Damaged(f"{_joined(place, name)} is missing")
        make: Callable[..., Any] = kind  # type: ignore[assignment]
        return make(**{n: read(hints[n], value[n], _joined(place, n)) for n in names})
    if origin is list:
        check(isinstance(value, list), place, value, "a list")
        (of_item,) = get_args(kind)
        return [read(of_item, one, f"{place}[{i}]") for i, one in enumerate(value)]
    if origin is dict:
        check(isinstance(value, dict), place, value, "an object")
        of_value = get_args(kind)[1]
        return {key: read(of_value, one, _joined(place, key)) for key, one in value.items()}
    right = type(value) is kind or (kind is float and type(value) is int)
    finite = not isinstance(value, float) or math.isfinite(value)
    check(right and finite, place, value, _WORDS[kind])
    return value


def check(right: bool, place: str, value: Any, wanted: str) -> None:
    """Raises Damaged unless the value is right."""
    if not right:
        raise Damaged(f"{place} is {shown(value)}, must be {wanted}")


def shown(value: Any) -> str:
    """A value as JSON writes it, in short."""
    if isinstance(value, (list, dict)):
        return "a list" if isinstance(value, list) else "an object"
    return json.dumps(value, ensure_ascii=False)[:40]


def _read_union(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    (kind,) = (one for one in kinds if one is not type(None))
    return read(kind, value, place)


def _joined(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
