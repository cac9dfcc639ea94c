"""How far a result is from the exact one, in units of the error that rounding allows.

E = |y - exact| / (eps * (sqrt(Kg) * RSS + |exact|)) with eps = 2**-23 (float32) or 2**-52
(float64), Kg the number of products in the sum and RSS the root of the sum of their squares. Both
exact and RSS come from the reference: exact in the next wider type, RSS by running it on squares.
float16 and bfloat16 are computed in float32 and rounded once when stored: E is that of float32, and
what the one rounding may add is taken off the difference first.
"""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from convkit import reference
from convkit.reference.batch_norm import per_channel
from convkit.reference.cross_entropy import classes_last, shifted
from convkit.reference.lrn import sum_around
from convkit.reference.shapes import from_nchw, to_nchw

from .channel_lines import BatchNorm, BiasGrad, CrossEntropy, Lrn
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

    @property
    def is_index(self) -> bool:
        """Whether the numbers are places, which are right or wrong."""
        return self.dtype.kind == "i"


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
        place = f" at [{', '.join(map(str, self.index))}]" if self.index else ""
        return (
            f"E = {self.error:.3g} (bound {self.bound:g}){place}: "
            f"got {self.actual!r}, exact {self.exact!r}"
        )


def run_reference(problem: Problem, direction: str, data: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """What the reference makes of the arrays, in their own type."""
    name, arrays, options = problem.call(direction, data)
    with np.errstate(all="ignore"):
        result = _reference(problem, name, arrays[0].dtype)(*arrays, **options)
    return result if isinstance(result, tuple) else (result,)


def _reference(problem: Problem, name: str, dtype: np.dtype[Any]) -> Callable[..., Any]:
    """A function of the NumPy reference, or its compiled form where that is quicker."""
    plain: Callable[..., Any] = getattr(reference, name)
    if not _large(problem) or not _compiled_is_quicker(problem, dtype):
        return plain
    return getattr(_compiled(), name, plain)


@functools.cache
def _compiled() -> ModuleType | None:
    try:
        from . import fast_reference
    except ImportError:  # no Numba
        return None
    return fast_reference


def _large(problem: Problem) -> bool:
    return problem.flops > (2_000_000 if isinstance(problem, Pool2d) else 10_000_000)


def _compiled_is_quicker(problem: Problem, dtype: np.dtype[Any]) -> bool:
    """longdouble has no BLAS; float64 has one, which needs channels to show what it can do."""
    if dtype == np.longdouble:
        return True
    if isinstance(problem, Conv2d):
        return (problem.c // problem.groups) * (problem.k // problem.groups) <= 256
    return dtype == np.float64 and isinstance(problem, Pool2d)


def expected(problem: Problem, direction: str, data: dict[str, Any]) -> tuple[Expected, ...]:
    """The exact outputs for arrays of any float type, with their error units."""
    dtype = next(iter(data.values())).dtype
    wider = np.longdouble if dtype == np.float64 else np.float64
    kind = np.float64 if dtype == np.float64 else np.float32
    computed, eps = np.dtype(kind), float(np.finfo(kind).eps)
    wide = {
        name: a if np.issubdtype(a.dtype, np.integer) else a.astype(wider)
        for name, a in data.items()
    }
    outputs = run_reference(problem, direction, wide)
    with np.errstate(all="ignore"):
        spreads: tuple[Any, ...]
        if isinstance(problem, BatchNorm):
            spreads = batch_norm_spreads(problem, direction, wide)
        elif copies_only(problem, direction):
            spreads = (0.0,)
        else:
            spreads = (_spread(problem, direction, wide),)
        units = [
            eps * (spread + np.abs(output))
            for output, spread in zip(outputs, spreads, strict=False)
        ]
    # What is left are whole numbers.
    units += [np.zeros(output.shape) for output in outputs[len(units) :]]
    dtypes = [dtype, *(computed if out.dtype.kind == "f" else out.dtype for out in outputs[1:])]
    return tuple(map(Expected, outputs, units, dtypes))


def compare(actual: np.ndarray, wanted: Expected, bound: float = DEFAULT_BOUND) -> Comparison:
    """The worst element; equal infinities and NaN against NaN count as no error."""
    if actual.shape != wanted.exact.shape:
        raise ValueError(f"the result is {actual.shape}, the reference {wanted.exact.shape}")
    if actual.size == 0:
        return Comparison(0.0, bound, (), 0.0, 0.0)
    exact, error = wanted.exact, errors(actual, wanted)
    index = np.unravel_index(int(np.argmax(error)), error.shape)
    return Comparison(
        float(error[index]),
        bound,
        tuple(int(i) for i in index),
        float(actual[index]),
        float(exact[index]),
    )


def errors(actual: np.ndarray, wanted: Expected) -> np.ndarray:
    """E of every element; infinite where only one side is NaN or infinite."""
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
    return np.where(np.isnan(error), np.inf, error)


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
        f"convkit validate {problem.op} {problem.line} --direction {direction} --algo {algo} "
        f"--backend {backend} --dtype {as_dtype(dtype)} --kind {kind} --seed {seed}"
    )


def _spread(problem: Problem, direction: str, wide: dict[str, Any]) -> Any:
    """sqrt(Kg) * RSS."""
    if isinstance(problem, Lrn):
        return _lrn_spread(problem, direction, wide)
    if isinstance(problem, CrossEntropy):
        return _cross_entropy_spread(problem, direction, wide)
    squares = {name: a if name == "indices" else a * a for name, a in wide.items()}
    if isinstance(problem, (Conv2d, ConvTranspose2d, Linear)):
        return _conv2d_spread(problem, direction, squares)
    if isinstance(problem, (Pool2d, AdaptivePool2d)):
        return _pool2d_spread(problem, direction, squares)
    (total,) = run_reference(problem, direction, squares)
    if isinstance(problem, BiasGrad):
        return np.sqrt(problem.gemm_k(direction) * total)
    if isinstance(problem, Im2col):
        return np.sqrt(problem.windows_per_pixel * total)
    assert isinstance(problem, Gram)
    size = problem.c * problem.h * problem.w if problem.normalize else 1
    return np.sqrt(
        problem.gemm_k(direction) * total / size
    )  # the squares' sum is divided by size once, not twice


def batch_norm_spreads(
    problem: BatchNorm, direction: str, wide: dict[str, Any]
) -> tuple[np.ndarray, ...]:
    """The sizes of what is added up, for each output.

    y is made of weight * invstd * (x - mean), where the mean is uncertain by a part of the standard
    deviation, and not by a part of the mean itself: numbers far from zero excuse nothing.
    """
    x = to_nchw(wide["x"], problem.layout)
    axes, m = (0, 2, 3), max(problem.gemm_k("dgrad"), 1)
    weight = np.abs(wide["weight"]) if problem.weight else np.ones(problem.c)
    if direction == "dgrad":
        grads, invstd = to_nchw(wide["grad_y"], problem.layout), wide["save_invstd"]
        normal = (x - per_channel(wide["save_mean"])) * per_channel(invstd)
        of_bias = np.sqrt(m * (grads**2).sum(axis=axes))
        of_weight = np.sqrt(m * ((grads * normal) ** 2).sum(axis=axes))
        of_x = np.abs(grads)
        if problem.training:
            # A sum's own rounding counts as much as the error of its terms.
            sums = [np.abs(s.sum(axis=axes)) for s in (grads, grads * normal)]
            of_x = of_x + per_channel(of_bias + sums[0]) / m
            of_x = of_x + np.abs(normal) * per_channel(of_weight + sums[1]) / m
        of_x = of_x * per_channel(weight * np.abs(invstd))
        return from_nchw(of_x, problem.layout, of_x.dtype), of_weight, of_bias
    mean = x.mean(axis=axes) if problem.training else wide["running_mean"]
    deviation = np.abs(x - per_channel(mean))
    var = (deviation**2).mean(axis=axes) if problem.training else wide["running_var"]
    invstd = 1 / np.sqrt(var + problem.eps)
    std = np.sqrt(var) if problem.training else np.zeros(problem.c)
    of_y = (deviation + per_channel(std)) * per_channel(weight * invstd)
    if problem.bias:
        of_y = of_y + per_channel(np.abs(wide["bias"]))
    if problem.residual:
        of_y = of_y + np.abs(to_nchw(wide["residual"], problem.layout))
    return from_nchw(of_y, problem.layout, of_y.dtype), std, invstd


def _conv2d_spread(
    problem: Conv2d | ConvTranspose2d | Linear, direction: str, squares: dict[str, Any]
) -> Any:
    """Bias and residual are two more products; an activation never widens an error."""
    name, arrays, options = problem.call(direction, squares)
    if direction == "fprop":
        options["activation"] = None
    total = _reference(problem, name, arrays[0].dtype)(*arrays, **options)
    return np.sqrt((problem.gemm_k(direction) + problem.bias + problem.residual) * total)


def _pool2d_spread(
    problem: Pool2d | AdaptivePool2d, direction: str, squares: dict[str, Any]
) -> Any:
    name, arrays, options = problem.call(direction, squares)
    function = _reference(problem, name, arrays[0].dtype)
    length = problem.gemm_k(direction)
    if problem.kind == "max":
        return np.sqrt(length * function(*arrays, **options))
    places = problem.divisors
    places = places if problem.layout == "NCHW" else places[:, :, None]
    if direction == "fprop":  # sqrt(sum of x^2) / divisor
        return np.sqrt(length * function(*arrays, **options) / places)
    return np.sqrt(length * function(arrays[0] / places, *arrays[1:], **options))


def _lrn_spread(problem: Lrn, direction: str, wide: dict[str, Any]) -> Any:
    """The unit of the sums, carried through the derivatives of what follows.

    The unit of S = k + a * (sum of squares) is u = sqrt(size) * a * sqrt(sum of x^4) + S. Through
    S^-b it becomes b/S * u of the result, and through the terms t = grad_y x S^(-b - 1) of the
    gradient (b + 1)/S * u of each. The sum of the terms has its own, sqrt(size) * RSS(t).
    """
    before, after = problem.window
    x = to_nchw(wide["x"], problem.layout)
    a, b, terms = problem.alpha / problem.size, problem.beta, problem.gemm_k(direction)
    s = problem.k + a * sum_around(x**2, before, after)
    relative = 1 + a * np.sqrt(terms * sum_around(x**4, before, after)) / s
    if direction == "fprop":
        spread = np.abs(x) * s**-b * abs(b) * relative
    else:
        grad_y = to_nchw(wide["grad_y"], problem.layout)
        scaled = np.abs(grad_y) * s**-b
        term = scaled * np.abs(x) / s
        in_terms = sum_around(term * abs(b + 1) * relative, after, before)
        sums = np.sqrt(terms * sum_around(term**2, after, before))
        spread = scaled * (1 + abs(b) * relative) + 2 * a * abs(b) * np.abs(x) * (in_terms + sums)
    return from_nchw(spread, problem.layout, spread.dtype)


def _cross_entropy_spread(problem: CrossEntropy, direction: str, wide: dict[str, Any]) -> Any:
    """What one rounding of each step changes, to first order.

    With s = z - max and p = softmax(z), rounding s[k] changes the sum of exp(s) by p[k] |s[k]| of
    itself, and exp and the sum add 1: log(sum) has the unit u = 1 + sum of p |s|. The loss adds
    that of s[target], and for smoothing that of the mean of s, sqrt(K) * RSS(s) / K. A sum of
    losses adds sqrt(N) * RSS(losses). The gradient (p - t) * grad has p * (1 + |s| + u) + t; p and
    the product may be subnormal, where roundings are those of the smallest normal number.
    """
    s, log_sum = shifted(classes_last(wide["x"], problem.layout))
    p = np.exp(s - log_sum[..., None])
    seen = np.where(p == 0, 0, np.abs(s))  # a class ruled out changes nothing
    unit = 1 + (p * seen).sum(-1)
    target, e = wide["target"], problem.smooth
    counts, own = target != problem.ignore_index, np.maximum(target, 0)[..., None]
    count = counts.sum() if problem.reduction == "mean" else 1
    if direction == "dgrad":
        tiny = float(np.finfo("f8" if wide["x"].dtype == np.longdouble else "f4").tiny)
        wanted = np.full(s.shape, e / problem.c)
        np.put_along_axis(wanted, own, 1 - e + e / problem.c, -1)
        grad = wide["grad_y"] if problem.y_shape == () else wide["grad_y"][..., None]
        spread = np.abs(grad) / count * (p * (1 + seen + unit[..., None]) + wanted + tiny) + tiny
        spread = np.where(counts[..., None], spread, 0)
        return spread if problem.layout == "NHWC" else np.moveaxis(spread, -1, 1)
    spread = unit + (1 - e) * np.abs(np.take_along_axis(s, own, -1)[..., 0])
    if e:
        spread = spread + e * np.sqrt((s**2).sum(-1) / problem.c)
    spread = np.where(counts, spread, 0)
    if problem.reduction == "none":
        return spread
    each = dataclasses.replace(problem, reduction="none")
    (losses,) = run_reference(each, direction, wide)
    return (spread.sum() + np.sqrt(counts.sum() * (losses**2).sum())) / count


def bound_of(problem: Problem, direction: str, row_bound: float) -> float:
    """The bound of a table row, or 0 where the op only moves numbers."""
    return 0.0 if copies_only(problem, direction) else row_bound
