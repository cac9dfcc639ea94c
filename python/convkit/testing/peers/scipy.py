"""The ops by SciPy, which works on one plane: sums over channels and strides are the user's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from convkit.testing.lines import Conv2d, Pool2d, Problem


def make(problem: Problem, direction: str, data: dict[str, Any]) -> Any:
    """A call with no argument that does the work; None where SciPy has no way."""
    if direction != "fprop" or getattr(problem, "dilation", (1, 1)) != (1, 1):
        return None
    if isinstance(problem, Conv2d):
        return _correlate(problem, data)
    if isinstance(problem, Pool2d):
        return _filter(problem, data)
    return None


def _correlate(problem: Conv2d, data: dict[str, Any]) -> Any:
    from scipy.signal import correlate2d

    centred = tuple((side // 2, side // 2) for side in (problem.r, problem.s))
    if problem.stride != (1, 1) or problem.windows.pads != centred:
        return None
    if problem.r == 1 or problem.r % 2 == 0 or problem.s % 2 == 0:
        return None
    if problem.flip or problem.padding_mode != "zeros" or problem.bias or problem.residual or problem.activation:
        return None
    per_group = problem.k // problem.groups

    def convolve() -> Any:
        y = np.zeros(problem.y_shape, data["x"].dtype)
        for n, image in enumerate(data["x"]):
            for k, filters in enumerate(data["w"]):
                first = k // per_group * len(filters)
                for c, plane in enumerate(filters):
                    y[n, k] += correlate2d(image[first + c], plane, "same")
        return y

    return convolve


def _filter(problem: Pool2d, data: dict[str, Any]) -> Any:
    from scipy.ndimage import maximum_filter, uniform_filter

    if problem.r % 2 == 0 or problem.s % 2 == 0 or problem.ceil_mode:
        return None
    largest = problem.kind == "max"
    if not largest and not problem.count_include_pad:
        return None
    smooth, outside = (maximum_filter, -np.inf) if largest else (uniform_filter, 0)
    (p, q), (sh, sw) = problem.output, problem.stride
    (top, _), (left, _) = problem.windows.pads
    rows = slice(problem.r // 2 - top, None, sh)
    columns = slice(problem.s // 2 - left, None, sw)

    def pool() -> Any:
        size = (1, 1, problem.r, problem.s)
        full = smooth(data["x"], size=size, mode="constant", cval=outside)
        return full[:, :, rows, columns][:, :, :p, :q]

    return pool
