"""Known mistakes: other problems and other arrays whose right answer is the wrong result."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from .channel_lines import CrossEntropy, Lrn
from .compare import DEFAULT_BOUND, Expected, compare, expected
from .data import array_shapes
from .examine import Data, Examination
from .geometry import fits, pads_of
from .lines import Conv2d, Gram, Pool2d, Problem

_MOST_NAMED = 2
_LATE = "the residual added after the activation"


def mistakes(found: Examination, output: int) -> list[str]:
    """The known mistakes that explain an output of a call within its bound."""
    case = found.check.case
    actual = found.outputs[output]
    is_index = found.wanted[output].is_index
    bound = 0.0 if is_index else max(found.check.bound, DEFAULT_BOUND)
    sentences: list[str] = []
    for text, problem, data in _variants(case.problem, case.direction, found.data):
        if len(sentences) == _MOST_NAMED:
            break
        if not fits(problem):
            continue
        try:
            wanted = expected(problem, case.direction, data)[output]
        except (ValueError, IndexError):  # the variant does not fit the arrays
            continue
        if text == _LATE:
            unit = np.maximum(wanted.unit, found.wanted[output].unit)
            wanted = Expected(wanted.exact + found.data["residual"], unit, wanted.dtype)
        if wanted.exact.shape == actual.shape and compare(actual, wanted, bound).ok:
            sentences.append(f"explained by: {text}")
    return sentences


def _variants(problem: Problem, direction: str, data: Data) -> Iterator[tuple[str, Problem, Data]]:
    """(what went wrong, problem, arrays)."""
    for text, changes in _other_parameters(problem, direction):
        other = dataclasses.replace(problem, **changes)
        wants = array_shapes(other, direction)
        if wants.keys() <= data.keys():
            yield text, other, {name: data[name] for name in wants}
    for text, arrays in _other_arrays(problem, data):
        yield text, problem, data | arrays


def _other_parameters(problem: Problem, direction: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Parameters that were mixed up or ignored."""
    if isinstance(problem, Conv2d):
        flipped, plain = "the flipped kernel (true convolution)", "the kernel as it is"
        got, asked = (plain, flipped) if problem.flip else (flipped, plain)
        yield f"the result for {got}; asked was {asked}", {"flip": not problem.flip}
    if isinstance(problem, Conv2d) and direction == "fprop":
        if problem.bias:
            yield "the result without the bias", {"bias": False}
        if problem.residual:
            yield "the result without the residual", {"residual": False}
        if problem.activation:
            yield f"the result without {problem.activation}", {"activation": None}
        if problem.residual and problem.activation:
            yield _LATE, {"residual": False}
        for words in (("bias", "residual"), ("bias", "residual", "activation")):
            if sum(bool(getattr(problem, word)) for word in words) > 1:
                nothing = {"bias": False, "residual": False, "activation": None}
                yield (
                    f"the result without {', '.join(words)}",
                    {word: nothing[word] for word in words},
                )
    if isinstance(problem, Pool2d) and problem.kind == "avg":
        kinds = ["pixels", "places of the padded image"]
        asked, got = kinds[problem.count_include_pad], kinds[not problem.count_include_pad]
        yield (
            f"averages over {got}; asked was over {asked}",
            {"count_include_pad": not problem.count_include_pad},
        )
    if isinstance(problem, Gram):
        done = "not divided" if problem.normalize else "divided"
        yield f"the result {done} by C*H*W", {"normalize": not problem.normalize}
    if isinstance(problem, Lrn):
        yield "alpha is not divided by size", {"alpha": problem.alpha * problem.size}
    if isinstance(problem, CrossEntropy):
        if problem.smooth:
            yield "the result without label smoothing", {"smooth": 0}
        for one in {"mean", "sum"} - {problem.reduction}:
            yield f"the {one} of the losses; asked was {problem.reduction!r}", {"reduction": one}
    if isinstance(getattr(problem, "padding", None), tuple):
        yield "top with bottom, or left with right padding swapped", _swapped_pads(problem)
    if (mode := getattr(problem, "padding_mode", "zeros")) != "zeros":
        for other in ("zeros", "reflect", "replicate", "circular"):
            if other != mode and fits(dataclasses.replace(problem, padding_mode=other)):
                yield f"the padding of padding_mode={other!r}", {"padding_mode": other}
    for name in ("stride", "dilation", "padding"):
        value = getattr(problem, name, None)
        if isinstance(value, tuple) and value[0] != value[1]:
            yield f"height and width of {name} swapped", {name: value[::-1]}
    if getattr(problem, "padding", None) == "same":
        (top, bottom), (left, right) = pads_of(problem)
        yield (
            "padding='same' with the odd pixel on top or left",
            {"padding": ((bottom, top), (right, left))},
        )


def _swapped_pads(problem: Any) -> dict[str, Any]:
    (top, bottom), (left, right) = pads_of(problem)
    return {"padding": ((bottom, top), (right, left))}


def _other_arrays(problem: Problem, data: Data) -> Iterator[tuple[str, Data]]:
    """Arrays that were read in another order."""
    nchw = problem.layout == "NCHW"
    rows, columns, channels = (2, 3, 1) if nchw else (1, 2, 3)
    if "w" in data and data["w"].ndim == 4:
        w = data["w"]
        if w.shape[rows] == w.shape[columns] > 1:
            turned = np.ascontiguousarray(w.swapaxes(rows, columns))
            yield "the filters are read transposed (rows for columns)", {"w": turned}
        if w.shape[0] == w.shape[channels] > 1:
            turned = np.ascontiguousarray(w.swapaxes(0, channels))
            yield "the filters are read with K and C swapped", {"w": turned}
        if getattr(problem, "groups", 1) > 1:
            repeated = np.broadcast_to(w[:1], w.shape)
            yield "every filter is the first one", {"w": np.ascontiguousarray(repeated)}
    for name in ("x", "grad_y"):
        if name in data and data[name].ndim == 4:
            array = data[name]
            if array.shape[rows] == array.shape[columns] > 1:
                turned = np.ascontiguousarray(array.swapaxes(rows, columns))
                yield f"{name} is read transposed (rows for columns)", {name: turned}
            if len(array) > 1:
                repeated = np.ascontiguousarray(np.broadcast_to(array[:1], array.shape))
                yield f"every image is made from image 0 of {name}", {name: repeated}
