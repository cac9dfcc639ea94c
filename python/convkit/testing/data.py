"""Seeded arrays for a problem: whole numbers that must come out exact, and real numbers."""

import math
import zlib
from typing import Any

import numpy as np

from convkit import reference

from .lines import AdaptivePool2d, Conv2d, ConvTranspose2d, Gram, Im2col, Linear, Pool2d, Problem

KINDS = ("whole", "normal", "one_signed", "wide", "flat")
_LARGEST_WHOLE = 4
_POOLS = (Pool2d, AdaptivePool2d)


def as_dtype(name: Any) -> np.dtype[Any]:
    """The NumPy type of a name; bfloat16 comes from ml_dtypes."""
    if name == "bfloat16":
        import ml_dtypes

        name = ml_dtypes.bfloat16
    dtype: np.dtype[Any] = np.dtype(name)
    return dtype


def make_data(
    problem: Problem,
    direction: str,
    kind: str = "normal",
    dtype: Any = "float32",
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The arrays that a direction of a problem reads, dense and in the problem's layout.

    kind: "whole" (small whole numbers, see exact_on_whole), "normal", "one_signed" (0.5 to 1.5),
    "wide" (six decades) or "flat" (one number: equal terms round the same way at every step).
    Both layouts of a problem get the same values.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, known are {', '.join(KINDS)}")
    plain = problem.with_layout("NCHW").line
    rng = np.random.default_rng([seed, zlib.crc32(f"{plain} {direction} {kind}".encode())])
    data: dict[str, np.ndarray] = {}
    for name, shape in array_shapes(problem, direction).items():
        values = _draw(rng, shape, kind, problem.layout)
        if kind == "whole" and name in ("x", "grad_y"):
            values *= whole_factor(problem, direction) or 1
        data[name] = np.ascontiguousarray(values, dtype=as_dtype(dtype))
    if "indices" in data:
        forward = {"x": np.ascontiguousarray(_draw(rng, problem.x_shape, kind, problem.layout))}
        name, arrays, options = problem.call("fprop", forward)
        data["indices"] = getattr(reference, name)(*arrays, **options)[1]
    return data


def array_shapes(problem: Problem, direction: str) -> dict[str, tuple[int, ...]]:
    """The arrays that a direction reads, by the name they have in make_data."""
    shapes: dict[str, tuple[int, ...]] = {}
    if direction != "dgrad" or isinstance(problem, Gram):
        shapes["x"] = problem.x_shape
    if direction != "fprop":
        shapes["grad_y"] = problem.y_shape
    if isinstance(problem, (Conv2d, ConvTranspose2d, Linear)) and direction != "wgrad":
        shapes["w"] = problem.w_shape
    if isinstance(problem, (Conv2d, Linear)):
        if direction == "fprop" and problem.bias:
            shapes["bias"] = (problem.k,)
        if direction == "fprop" and problem.residual:
            shapes["residual"] = problem.y_shape
    if isinstance(problem, _POOLS) and problem.kind == "max" and direction == "dgrad":
        shapes["indices"] = problem.y_shape
    return shapes


def exact_on_whole(problem: Problem, direction: str) -> bool:
    """Whether every step on "whole" data is a whole number, so that all algorithms must agree."""
    if isinstance(problem, (Conv2d, Linear)):
        return direction != "fprop" or problem.activation in (None, "relu")
    if isinstance(problem, Gram):
        size = problem.c * problem.h * problem.w
        return not problem.normalize or size & (size - 1) == 0
    return whole_factor(problem, direction) is not None


def whole_factor(problem: Problem, direction: str) -> int | None:
    """What whole numbers are multiplied by so that an average's divisions leave no rest."""
    if not isinstance(problem, _POOLS) or problem.kind == "max":
        return 1
    factor = math.lcm(*(int(d) for d in np.unique(problem.divisors)))
    terms = max(problem.gemm_k("fprop"), problem.gemm_k("dgrad"))
    fits = factor * _LARGEST_WHOLE * terms < 2**24
    return factor if fits else None


def copies_only(problem: Problem, direction: str) -> bool:
    """Whether the op rounds nothing, whatever the data: its result must agree bit for bit."""
    if isinstance(problem, _POOLS):
        return problem.kind == "max" and direction == "fprop"
    return isinstance(problem, Im2col) and direction == "fprop"


def _draw(rng: np.random.Generator, shape: tuple[int, ...], kind: str, layout: str) -> np.ndarray:
    """Random float64 values; those of an image are the same in both layouts."""
    if layout == "NHWC" and len(shape) == 4:
        n, h, w, c = shape
        return _draw(rng, (n, c, h, w), kind, "NCHW").transpose(0, 2, 3, 1)
    if kind == "whole":
        return rng.integers(-_LARGEST_WHOLE, _LARGEST_WHOLE + 1, shape).astype(np.float64)
    if kind == "one_signed":
        return rng.uniform(0.5, 1.5, shape)
    if kind == "flat":
        return np.full(shape, rng.uniform(0.5, 1.5))
    values = rng.standard_normal(shape)
    if kind == "wide":
        values *= 10.0 ** rng.uniform(-3, 3, shape)
    return values
