"""Where a result is wrong, in words: places, values, and a known mistake that gives the same."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .channel_lines import CrossEntropy
from .compare import Expected, errors
from .examine import ROUNDING, Examination, epsilon, is_real
from .lines import Conv2d, Gram, Pool2d, Problem
from .mistakes import mistakes

_NUMBER = re.compile(r"\d+")
_NEARLY_ALL = 0.9  # of a result wrong: its places say nothing
_FEWEST_SHIFTED = 4  # wrong values that must be right elsewhere: fewer may be so by chance
_ALIKE = ("flat", "offset")  # kinds of data whose numbers differ less than lost digits would
_EVERYWHERE: list[str] = []


@dataclass(frozen=True)
class _Diagnosis:
    """What stands out of one result."""

    count: str
    values: list[str]
    places: list[str]  # [] also where nearly everything is wrong


def diagnose(several: Iterable[Examination]) -> list[str]:
    """Sentences that say where and how results are wrong: what holds for most of them.

    How much of the first is wrong comes first; [] where all values are right.
    """
    each = [found for one in several if (found := _diagnose(one))]
    if not each:
        return []
    partial = [found.places for found in each if found.places is not _EVERYWHERE]
    return [each[0].count, *_usual([found.values for found in each]), *_usual(partial)]


def _usual(each: list[list[str]]) -> list[str]:
    """The sentences of most results; one that differs in its numbers alone stands as an example."""
    found: list[str] = []
    for counts, say in (
        (Counter(text for texts in each for text in texts), "{}"),
        (Counter(_NUMBER.sub("#", text) for texts in each for text in texts), "for instance {}"),
    ):
        for form, count in counts.most_common():
            if count * 2 <= len(each) or ("#" in form and "and later" not in form):
                continue
            text = next(t for texts in each for t in texts if form in (t, _NUMBER.sub("#", t)))
            if not any(_NUMBER.sub("#", text) in _NUMBER.sub("#", other) for other in found):
                found.append(say.format(text) if "#" in form else text)
    return found


def _diagnose(found: Examination) -> _Diagnosis | None:
    case = found.check.case
    for i, (output, wanted) in enumerate(zip(found.outputs, found.wanted, strict=False)):
        if not is_real(output):
            continue
        if output.shape != wanted.exact.shape:
            shape = f"the shape is {output.shape}, must be {wanted.exact.shape}"
            return _Diagnosis(shape, list(_of_shape(output, wanted)), [])
        bound = 0.0 if wanted.is_index else found.check.bound
        wrong = errors(output, wanted) > bound
        if wrong.any():
            names = _axis_names(case.problem, case.direction, wrong.ndim)
            shift = list(_of_shift(output, wanted, wrong, bound, names))
            values = [
                *mistakes(found, i),
                *(shift or _of_values(output, wanted, wrong, case.kind)),
            ]
            most = wrong.mean() > _NEARLY_ALL
            places = _EVERYWHERE if most else list(_of_places(wrong, case.problem, case.direction))
            return _Diagnosis(_count(wrong), values, places)
    return None


def _count(wrong: np.ndarray) -> str:
    if wrong.ndim == 0:
        return "the one number is wrong"
    first = ", ".join(map(str, np.argwhere(wrong)[0]))
    count = f"all {wrong.size}" if wrong.all() else f"{np.count_nonzero(wrong)} of {wrong.size}"
    return f"{count} elements are wrong, first at [{first}]"


def _of_shape(output: np.ndarray, wanted: Expected) -> Iterator[str]:
    want = wanted.exact
    if sorted(output.shape) == sorted(want.shape):
        for axes, name in (((0, 2, 3, 1), "NHWC"), ((0, 3, 1, 2), "NCHW")):
            if output.ndim == 4 and want.transpose(axes).shape == output.shape:
                yield f"the shape is that of {name}"
                return
    if output.ndim == want.ndim:
        less = [
            f"axis {i} by {b - a:+d}"
            for i, (a, b) in enumerate(zip(want.shape, output.shape, strict=True))
            if a != b
        ]
        yield f"off by: {', '.join(less)}"


def _of_shift(
    output: np.ndarray, wanted: Expected, wrong: np.ndarray, bound: float, names: tuple[str, ...]
) -> Iterator[str]:
    """Whether all values are right one place further along an axis."""
    for axis, name in enumerate(names):
        front, back = (
            tuple(part if i == axis else slice(None) for i in range(wrong.ndim))
            for part in (slice(None, -1), slice(1, None))
        )
        for here, there, sign in ((back, front, "-"), (front, back, "+")):
            belongs = Expected(wanted.exact[there], wanted.unit[there], wanted.dtype)
            few = np.count_nonzero(wrong[here]) < _FEWEST_SHIFTED
            if not few and (errors(output[here], belongs) <= bound).all():
                yield f"shifted by one {name}: place i holds what belongs to i {sign} 1"
                return


def _of_values(output: np.ndarray, wanted: Expected, wrong: np.ndarray, kind: str) -> Iterator[str]:
    """What the wrong values have in common."""
    if output.dtype.kind in "iu":
        return
    exact, unit = wanted.exact[wrong], wanted.unit[wrong]
    got = output[wrong].astype(exact.dtype)
    lost = np.isnan(exact) & ~np.isnan(got)
    if lost.any():
        yield "a NaN of the inputs is swallowed"
    made = np.isnan(got) & ~np.isnan(exact)
    if made.all() and not np.isnan(wanted.exact).any():
        yield "the wrong places hold NaN: never written, or read from outside"
        return
    if made.any():
        yield "NaN where the inputs that count have none"
    finite = np.isfinite(exact) & np.isfinite(got)
    if np.count_nonzero(finite) < 3:
        return
    exact, got, unit = exact[finite], got[finite], unit[finite]
    if not got.any():
        yield "the wrong places hold zeros"
        return
    eps = epsilon(output.dtype.name)
    if (np.abs(got - exact) * eps <= ROUNDING * unit).all() and unit.all():
        digits = -np.log10(float(np.max(np.abs(got - exact) * eps / unit)))
        means = ": precision is lost, no index is wrong"
        if kind in _ALIKE:
            means = f"; {kind!r} data is too alike to tell lost precision from a wrong index"
        yield f"right to {int(digits)} digits everywhere{means}"
        return
    with np.errstate(all="ignore"):
        ratio = (got / exact).astype(np.float64)
    middle = float(np.median(ratio))
    if np.isfinite(middle) and middle and (np.abs(ratio - middle) < 1e-3 * abs(middle)).all():
        yield f"each wrong value is {middle:.6g} times the right one"


def _of_places(wrong: np.ndarray, problem: Problem, direction: str) -> Iterator[str]:
    """What the wrong places have in common: edges, every second one, ends of an axis."""
    names = _axis_names(problem, direction, wrong.ndim)
    if isinstance(problem, Gram) and direction == "fprop":
        yield from _of_matrix(wrong)
    for axis, name in enumerate(names):
        others = tuple(i for i in range(wrong.ndim) if i != axis)
        if sentence := _of_axis(np.asarray(wrong.any(axis=others)), name):
            yield sentence
    if isinstance(problem, (Conv2d, Pool2d)) and direction == "fprop":
        rows, columns = (names.index(name) for name in ("row", "column"))
        seen = np.asarray(wrong.any(axis=tuple({0, 1, 2, 3} - {rows, columns})))
        yield from _of_padding(seen, problem.windows)


def _axis_names(problem: Problem, direction: str, dimensions: int) -> tuple[str, ...]:
    is_loss = isinstance(problem, CrossEntropy)
    if dimensions < 3 and is_loss:
        return ("image", "class")[:dimensions]
    if dimensions == 1:
        return ("channel",)
    if dimensions != 4:
        return ("image", "row", "column")[-dimensions:]
    first, second, third, fourth = "image", "channel", "row", "column"
    if isinstance(problem, Conv2d) and direction == "fprop":
        second = "filter"
    if is_loss:
        second = "class"
    if direction == "wgrad":
        first, third, fourth = "filter", "kernel row", "kernel column"
    nchw = problem.layout == "NCHW"
    return (first, second, third, fourth) if nchw else (first, third, fourth, second)


def _of_axis(hit: np.ndarray, name: str) -> str:
    """What is special about the positions along an axis that have something wrong."""
    places, size = np.flatnonzero(hit), len(hit)
    if hit.all() or size < 2:
        return ""
    if len(places) == 1:
        ends = {0: "the first", size - 1: "the last"}
        return (
            f"only in {ends[places[0]]} {name}"
            if places[0] in ends
            else f"only in {name} {places[0]}"
        )
    if places[-1] == size - 1 and len(places) == size - places[0]:
        return f"only in {name}s {places[0]} and later; the {places[0]} before are right"
    if places[0] == 0 and len(places) == places[-1] + 1:
        return f"only in {name}s before {places[-1] + 1}; the later {size - len(places)} are right"
    if list(places) == [0, size - 1] and size > 3:
        return f"only in the first and the last {name}"
    for parity, word in ((0, "even"), (1, "odd")):
        if (places % 2 == parity).all() and len(places) == len(range(parity, size, 2)):
            return f"only in {word} {name}s (counted from 0)"
    return ""


def _of_matrix(wrong: np.ndarray) -> Iterator[str]:
    row, column = np.indices(wrong.shape[1:])
    hit = wrong.any(axis=0)
    for rule, name in (
        (row == column, "on the diagonal"),
        (row < column, "above the diagonal"),
        (row > column, "below the diagonal"),
        (row != column, "off the diagonal"),
    ):
        if (hit <= rule).all():
            yield f"only {name}"
            return


def _of_padding(hit: np.ndarray, windows: Any) -> Iterator[str]:
    """Whether exactly windows that reach over the border of the image are wrong, or the others."""
    over = []
    for side, f, step, d, (low, _), out in zip(
        windows.sides,
        windows.kernel,
        windows.stride,
        windows.dilation,
        windows.pads,
        windows.output,
        strict=True,
    ):
        start = np.arange(out) * step - low
        over.append((start < 0) | (start + d * (f - 1) >= side))
    border = over[0][:, None] | over[1][None, :]
    if not border.any() or border.all():
        return
    if (hit <= border).all():
        yield "only where the window reaches into the padding"
    elif (hit <= ~border).all():
        yield "only where the window lies inside the image"
