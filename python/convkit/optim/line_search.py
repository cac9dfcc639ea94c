"""A step length that satisfies the strong Wolfe conditions.

Source: Nocedal and Wright 2006, "Numerical Optimization", algorithms 3.5 and 3.6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Point(NamedTuple):
    """The loss at a step length t along the direction, its gradient, and its slope in t."""

    t: float
    loss: float
    gradient: Any
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    t: float,
    *,
    most: int,
    width: float,
    c1: float = 1e-4,
    c2: float = 0.9,
) -> tuple[Point, int]:
    """A point where the loss fell by c1 of what the slope promised, and the slope to c2 of its
    size; after `most` evaluations, or between points nearer than `width`, the lowest found.

    Returns: the point, and how often it evaluated.
    """

    def too_high(point: Point) -> bool:
        return not point.loss <= start.loss + c1 * point.t * start.slope  # NaN is too high

    def is_flat(point: Point) -> bool:
        return abs(point.slope) <= -c2 * start.slope

    # Ever farther, until a minimum lies between low and high.
    low, new, count = start, evaluate(t), 1
    while True:
        if too_high(new) or (count > 1 and new.loss >= low.loss):
            high = new
            break
        if is_flat(new) or count >= most:
            return new, count
        if new.slope >= 0:
            low, high = new, low
            break
        t = _lowest(low, new, new.t + 0.01 * (new.t - low.t), 10 * new.t)
        low, new, count = new, evaluate(t), count + 1

    # Between low, the lowest found that fell enough, and high.
    was_at_edge = False
    while count < most and abs(high.t - low.t) >= width:
        left, right = min(low.t, high.t), max(low.t, high.t)
        t = _lowest(low, high, left, right)
        margin = 0.1 * (right - left)
        at_edge = min(right - t, t - left) < margin
        if at_edge and (was_at_edge or t >= right or t <= left):
            t = right - margin if right - t < t - left else left + margin
            at_edge = False
        was_at_edge = at_edge
        new, count = evaluate(t), count + 1
        if too_high(new) or new.loss >= low.loss:
            high = new
            continue
        if is_flat(new):
            return new, count
        if new.slope * (high.t - low.t) >= 0:
            high = low
        low = new
    return low, count


def _lowest(a: Point, b: Point, least: float, most: float) -> float:
    """Where the cubic through both points and slopes is lowest; the middle where it is not."""
    if a.t > b.t:
        a, b = b, a
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if square >= 0:
        d2 = math.sqrt(square)
        bend = b.slope - a.slope + 2 * d2
        t = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / bend) if bend else math.nan
        if math.isfinite(t):
            return min(max(t, least), most)
    return (least + most) / 2
