"""How far a result is from the exact one, in units of the error that rounding allows.

E = |y - exact| / (eps * (sqrt(Kg) * RSS + |exact|)) with eps = 2**-23 (float32) or 2**-52
(float64), Kg the number of products in the sum and RSS the root of the sum of their squares. Both
exact and RSS come from the reference: exact in the next wider type, RSS by running it on squares.
float16 and bfloat16 are computed in float32 and rounded once when stored: E is that of float32, and
what the one rounding may add is taken off the difference first.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from convkit import reference

from .data import as_dtype, copies_only
from .lines import AdaptivePool2d, Conv2d, ConvTranspose2d, Gram, Im2col, Linear, Pool2d, Problem

DEFAULT_BOUND = 8.0
# Bits after the point, and the smallest normal exponent.
_STORED = {"float16": (10, -14), "bfloat16": (7, -126)}


@dataclass(frozen=True)
class Expected:
    """The exact result, and per element the difference that counts as E = 1."""

    exact: np.ndarray
    unit: np.ndarray
    dtype: np.dtype[Any]  # of the result


@dataclass(frozen=True)
class Comparison:
    """The worst element of a result."""

    error: float  # E, infinite where only one side is NaN or infinite
    bound: float
    index: tuple[int, ...]
    actual: float
    exact: float

    @property
    def ok(self) -> bool:
        return self.error <= self.bound

    def __str__(self) -> str:
        if not self.index:
            return f"E = {self.error:.3g} (bound {self.bound:g})"
        place = ", ".join(map(str, self.index))
        return (
            f"E = {self.error:.3g} (bound {self.bound:g}) at [{place}]: "
            f"got {self.actual!r}, exact {self.exact!r}"
        )


def run_reference(problem: Problem, direction: str, data: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """What the NumPy reference makes of the arrays, in their own type."""
    name, arrays, options = problem.call(direction, data)
    with np.errstate(all="ignore"):
        result = getattr(reference, name)(*arrays, **options)
    return result if isinstance(result, tuple) else (result,)


def expected(problem: Problem, direction: str, data: dict[str, Any]) -> tuple[Expected, ...]:
    """The exact outputs for arrays of any float type, with their error units."""
    dtype = next(iter(data.values())).dtype
    wider = np.longdouble if dtype == np.float64 else np.float64
    computed = np.float64 if dtype == np.float64 else np.float32
    wide = {name: a.astype(wider) if a.dtype == dtype else a for name, a in data.items()}
    outputs = run_reference(problem, direction, wide)
    with np.errstate(all="ignore"):
        spread = 0.0 if copies_only(problem, direction) else _spread(problem, direction, wide)
        unit = float(np.finfo(computed).eps) * (spread + np.abs(outputs[0]))
    rest = tuple(Expected(out, np.zeros(out.shape), out.dtype) for out in outputs[1:])
    return (Expected(outputs[0], unit, dtype), *rest)


def compare(actual: np.ndarray, wanted: Expected, bound: float = DEFAULT_BOUND) -> Comparison:
    """The worst element; equal infinities and NaN against NaN count as no error."""
    if actual.shape != wanted.exact.shape:
        raise ValueError(f"the result is {actual.shape}, the reference {wanted.exact.shape}")
    if actual.size == 0:
        return Comparison(0.0, bound, (), 0.0, 0.0)
    exact, is_stored = wanted.exact, wanted.dtype.name in _STORED
    with np.errstate(all="ignore"):
        if is_stored:
            actual = actual.astype(exact.dtype)
        same = (actual == exact) | (np.isnan(actual) & np.isnan(exact))
        difference = np.abs(actual - exact)
        if is_stored:
            same |= actual == exact.astype(wanted.dtype).astype(exact.dtype)  # or both overflow
            difference = np.maximum(difference - _half_ulp(exact, wanted.dtype), 0)
        error = np.where(same, 0, difference / wanted.unit)
    error = np.where(np.isnan(error), np.inf, error)
    index = np.unravel_index(int(np.argmax(error)), error.shape)
    return Comparison(
        float(error[index]),
        bound,
        tuple(int(i) for i in index),
        float(actual[index]),
        float(exact[index]),
    )


def _half_ulp(exact: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Half the distance of neighbours of a 16-bit type where `exact` lies."""
    bits, smallest = _STORED[dtype.name]
    mantissa, exponent = np.frexp(exact)
    exponent = np.where(mantissa == 0, smallest, exponent - 1)
    half: np.ndarray = np.ldexp(1.0, np.maximum(exponent, smallest) - bits - 1)
    return half


def same_bits(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two arrays agree in type, shape and every bit (+0 and -0 differ, so do NaNs)."""
    return (
        first.dtype == second.dtype
        and first.shape == second.shape
        and np.ascontiguousarray(first).tobytes() == np.ascontiguousarray(second).tobytes()
    )


def reproducer(
    problem: Problem,
    direction: str,
    algo: str,
    backend: str,
    dtype: Any = "float32",
    kind: str = "normal",
    seed: int = 0,
) -> str:
    """The shell line that runs one comparison again."""
    return (
        f'python -m convkit.testing {problem.op} "{problem.line}" --direction {direction} '
        f"--algo {algo} --backend {backend} --dtype {as_dtype(dtype)} --data {kind} --seed {seed}"
    )


def _spread(problem: Problem, direction: str, wide: dict[str, Any]) -> Any:
    """sqrt(Kg) * RSS."""
    squares = {name: a if name == "indices" else a * a for name, a in wide.items()}
    if isinstance(problem, (Conv2d, Linear)):
        return _conv2d_spread(problem, direction, squares)
    if isinstance(problem, (Pool2d, AdaptivePool2d)):
        return _pool2d_spread(problem, direction, squares)
    (total,) = run_reference(problem, direction, squares)
    if isinstance(problem, ConvTranspose2d):
        return np.sqrt(problem.gemm_k(direction) * total)
    if isinstance(problem, Im2col):
        return np.sqrt(problem.windows_per_pixel * total)
    assert isinstance(problem, Gram)
    size = problem.c * problem.h * problem.w if problem.normalize else 1
    return np.sqrt(
        problem.gemm_k(direction) * total / size
    )  # the squares' sum is divided by size once, not twice


def _conv2d_spread(problem: Conv2d | Linear, direction: str, squares: dict[str, Any]) -> Any:
    """Bias and residual are two more products; an activation never widens an error."""
    name, arrays, options = problem.call(direction, squares)
    if direction == "fprop":
        options["activation"] = None
    total = getattr(reference, name)(*arrays, **options)
    return np.sqrt((problem.gemm_k(direction) + problem.bias + problem.residual) * total)


def _pool2d_spread(
    problem: Pool2d | AdaptivePool2d, direction: str, squares: dict[str, Any]
) -> Any:
    name, arrays, options = problem.call(direction, squares)
    length = problem.gemm_k(direction)
    if problem.kind == "max":
        return np.sqrt(length * getattr(reference, name)(*arrays, **options))
    places = problem.divisors
    places = places if problem.layout == "NCHW" else places[:, :, None]
    if direction == "fprop":  # sqrt(sum of x^2) / divisor
        return np.sqrt(length * getattr(reference, name)(*arrays, **options) / places)
    arrays = (arrays[0] / places, *arrays[1:])
    return np.sqrt(length * getattr(reference, name)(*arrays, **options))


def bound_of(problem: Problem, direction: str, row_bound: float) -> float:
    """The bound of a table row, or 0 where the op only moves numbers."""
    return 0.0 if copies_only(problem, direction) else row_bound
