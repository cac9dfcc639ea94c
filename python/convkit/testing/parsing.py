"""From the one-line text of a problem (lines.py) to the problem."""

import dataclasses
import re
from typing import Any

from .channel_lines import BatchNorm, BiasGrad, CrossEntropy, Lrn
from .lines import AdaptivePool2d, Conv2d, ConvTranspose2d, Gram, Im2col, Linear, Pool2d, Problem

CLASSES: dict[str, type[Problem]] = {
    one.op: one
    for one in (
        Conv2d,
        ConvTranspose2d,
        Pool2d,
        Gram,
        Im2col,
        Linear,
        AdaptivePool2d,
        BatchNorm,
        BiasGrad,
        Lrn,
        CrossEntropy,
    )
}

_WORDS: dict[str, dict[str, Any]] = {
    "same": {"padding": "same"},
    "valid": {"padding": "valid"},
    "full": {"padding": "full"},
    "reflect": {"padding_mode": "reflect"},
    "replicate": {"padding_mode": "replicate"},
    "circular": {"padding_mode": "circular"},
    "flip": {"flip": True},
    "bias": {"bias": True},
    "residual": {"residual": True},
    "relu": {"activation": "relu"},
    "tanh": {"activation": "tanh"},
    "sigmoid": {"activation": "sigmoid"},
    "ceil": {"ceil_mode": True},
    "realpixels": {"count_include_pad": False},
    "norm": {"normalize": True},
    "train": {"training": True},
    "weight": {"weight": True},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "ignored": {"ignored": True},
    "nhwc": {"layout": "NHWC"},
    "max": {"kind": "max"},
    "avg": {"kind": "avg"},
    "global": {"is_global": True, "p": 1, "q": 1},
}
_SAID = {"kind": "max or avg"}  # fields by what stands for them in a line
_WORD_ENDS = re.compile(r"-(?!\d)")  # a word begins with a letter; before digits it is a minus
_NUMBERS = re.compile(r"(size|alpha|beta|k|smooth)(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)")
_SIZES = re.compile(r"(?:[nchwkrspqg]\d+)+")
_PAIRS = re.compile(r"(st|dl|pd|op)(\d+)(?:x(\d+))?")
_PADS = re.compile(r"pt(\d+)pb(\d+)pl(\d+)pr(\d+)")


def parse(op: str, line: str, *, name: str = "", tags: frozenset[str] = frozenset()) -> Problem:
    """The problem that a line describes.

    >>> parse("conv2d", "n1c3h227w227-k96r11s11-st4-pd0").output
    (55, 55)
    """
    if op not in CLASSES:
        raise ValueError(f"op is {op!r}, known are {', '.join(CLASSES)}")
    fields: dict[str, Any] = {}
    for word in _WORD_ENDS.split(line):
        found = _parse_word(word, line)
        if twice := found.keys() & fields.keys():
            names = ", ".join(sorted(twice))
            raise ValueError(f"{line!r}: {word!r} gives {names}, which is given before")
        fields |= found
    known = {field.name: field for field in dataclasses.fields(CLASSES[op])}
    if strange := fields.keys() - known.keys():
        raise ValueError(f"{line!r}: {op} has no {', '.join(sorted(strange))}")
    missing = [
        _SAID.get(key, key)
        for key, field in known.items()
        if field.default is field.default_factory is dataclasses.MISSING and key not in fields
    ]
    if missing:
        raise ValueError(f"{line!r}: {op} needs {', '.join(missing)} too")
    if fields.get("groups") == 0:  # of which there is no shape to check
        raise ValueError(f"{line!r}: groups is 0, must be at least 1")
    return CLASSES[op](**fields, name=name or line, tags=tags)


def _parse_word(word: str, line: str) -> dict[str, Any]:
    if word in _WORDS:
        return _WORDS[word]
    if match := _NUMBERS.fullmatch(word):
        return {match[1]: int(match[2]) if match[2].isdecimal() else float(match[2])}
    if _SIZES.fullmatch(word):
        pairs = re.findall(r"([a-z])(\d+)", word)
        sizes = {key: int(value) for key, value in pairs}
        if len(sizes) < len(pairs):
            raise ValueError(f"{line!r}: {word!r} gives a size twice")
        return {("groups" if key == "g" else key): value for key, value in sizes.items()}
    if match := _PADS.fullmatch(word):
        top, bottom, left, right = map(int, match.groups())
        return {"padding": ((top, bottom), (left, right))}
    if match := _PAIRS.fullmatch(word):
        key, first, second = match.groups()
        height, width = int(first), int(second or first)
        if key == "pd":
            return {"padding": ((height, height), (width, width))}
        names = {"st": "stride", "dl": "dilation", "op": "output_padding"}
        return {names[key]: (height, width)}
    raise ValueError(f"{line!r}: cannot read {word!r}")
