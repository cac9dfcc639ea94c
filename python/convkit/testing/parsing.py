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
        fields |= _parse_word(word, line)
    known = {field.name for field in dataclasses.fields(CLASSES[op])}
    if strange := fields.keys() - known:
        raise ValueError(f"{line!r}: {op} has no {', '.join(sorted(strange))}")
    try:
        return CLASSES[op](**fields, name=name or line, tags=tags)
    except TypeError as error:  # a size is missing
        raise ValueError(f"{line!r}: {error}") from None


def _parse_word(word: str, line: str) -> dict[str, Any]:
    if word in _WORDS:
        return _WORDS[word]
    if match := _NUMBERS.fullmatch(word):
        return {match[1]: int(match[2]) if match[2].isdecimal() else float(match[2])}
    if _SIZES.fullmatch(word):
        sizes = {key: int(value) for key, value in re.findall(r"([a-z])(\d+)", word)}
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
