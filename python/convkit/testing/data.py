"""Seeded arrays for a problem: whole numbers that must come out exact, and real numbers."""

import math
import zlib
from typing import Any

import numpy as np

from convkit import reference

from .channel_lines import BatchNorm, BiasGrad, CrossEntropy, Lrn
from .lines import AdaptivePool2d, Conv2d, ConvTranspose2d, Gram, Im2col, Linear, Pool2d, Problem

KINDS = ("whole", "normal", "one_signed", "wide", "flat", "offset", "nan")
DTYPES = ("float32", "float64", "float16", "bfloat16")
_LARGEST_WHOLE = 4
_POOLS = (Pool2d, AdaptivePool2d)


def as_dtype(name: Any) -> np.dtype[Any]:
    """The NumPy type of a name; bfloat16 comes from ml_dtypes.

    Raises: ValueError for bfloat16 where that package is missing.
    """
    if name == "bfloat16":
        try:
            import ml_dtypes
        except ImportError:
            message = "bfloat16 needs the package ml_dtypes: pip install 'convkit[bfloat16]'"
            raise ValueError(message) from None
        name = ml_dtypes.bfloat16
    dtype: np.dtype[Any] = np.dtype(name)
    return dtype


def available_dtypes() -> tuple[str, ...]:
    """The types of DTYPES that NumPy has here."""
    try:
        as_dtype("bfloat16")
    except ValueError:
        return tuple(name for name in DTYPES if name != "bfloat16")
    return DTYPES


def make_data(
    problem: Problem,
    direction: str,
    kind: str = "normal",
    dtype: Any = "float32",
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The arrays that a direction of a problem reads, dense and in the problem's layout.

    kind: "whole" (small whole numbers, see exact_on_whole), "normal", "one_signed" (0.5 to 1.5),
    "wide" (six decades), "flat" (one number: equal terms round the same way at every step),
    "offset" (normal about 1000) or "nan" (normal, with one NaN or infinity where no zero padding is
    multiplied by it).
    Both layouts of a problem get the same values.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}, known are {', '.join(KINDS)}")
    plain = problem.with_layout("NCHW").line
    rng = np.random.default_rng([seed, zlib.crc32(f"{plain} {direction} {kind}".encode())])
    data: dict[str, np.ndarray] = {}
    for name, shape in array_shapes(problem, direction).items():
        if name == "target":
            continue
        values = _draw(rng, shape, kind, problem.layout)
        if kind == "whole" and name in ("x", "grad_y"):
            values *= whole_factor(problem, direction) or 1
        if name in ("running_var", "save_invstd"):
            values = np.abs(values) + 0.5
        kept = name in problem.float32_arrays and as_dtype(dtype).itemsize == 2
        data[name] = np.asarray(values, "float32" if kept else as_dtype(dtype), order="C")
    if isinstance(problem, CrossEntropy):
        data["target"] = _classes(rng, problem)
    if isinstance(problem, BatchNorm) and problem.training and direction == "dgrad":
        wide = {name: array.astype(np.float64) for name, array in data.items()}
        name, arrays, options = problem.call("fprop", wide)
        _, mean, invstd = getattr(reference, name)(*arrays, **options)
        data["save_mean"] = mean.astype(data["save_mean"].dtype)
        data["save_invstd"] = invstd.astype(data["save_invstd"].dtype)
    if kind == "nan":
        spoilt = data["grad_y" if direction == "dgrad" or "x" not in data else "x"]
        nhwc = problem.layout == "NHWC" and spoilt.ndim == 4
        _spoil(spoilt.transpose(0, 3, 1, 2) if nhwc else spoilt, rng, seed)
    if "indices" in data:
        # On flat images every window has a maximum of its own; shared ones make the long sums.
        drawn = _draw(rng, problem.x_shape, "normal" if kind == "flat" else kind, problem.layout)
        forward = {"x": np.ascontiguousarray(drawn)}
        name, arrays, options = problem.call("fprop", forward)
        data["indices"] = getattr(reference, name)(*arrays, **options)[1]
    return data


def array_shapes(problem: Problem, direction: str) -> dict[str, tuple[int, ...]]:
    """The arrays that a direction reads, by the name they have in make_data."""
    shapes: dict[str, tuple[int, ...]] = {}
    if isinstance(problem, BiasGrad):
        return {"grad_y": problem.y_shape}
    if direction != "dgrad" or isinstance(problem, Gram | BatchNorm | Lrn | CrossEntropy):
        shapes["x"] = problem.x_shape
    if direction != "fprop":
        shapes["grad_y"] = problem.y_shape
    if isinstance(problem, BatchNorm):
        return shapes | _batch_norm_shapes(problem, direction)
    if isinstance(problem, (Conv2d, ConvTranspose2d, Linear)) and direction != "wgrad":
        shapes["w"] = problem.w_shape
    if isinstance(problem, (Conv2d, ConvTranspose2d, Linear)):
        if direction == "fprop" and problem.bias:
            shapes["bias"] = (problem.k,)
        if direction == "fprop" and problem.residual:
            shapes["residual"] = problem.y_shape
    if isinstance(problem, CrossEntropy):
        shapes["target"] = problem.target_shape
    if isinstance(problem, _POOLS) and problem.kind == "max" and direction == "dgrad":
        shapes["indices"] = problem.y_shape
    return shapes


def _batch_norm_shapes(problem: BatchNorm, direction: str) -> dict[str, tuple[int, ...]]:
    forward = direction == "fprop"
    given = {
        "weight": problem.weight,
        "bias": problem.bias and forward,
        "running_mean": forward and not problem.training,
        "running_var": forward and not problem.training,
        "save_mean": not forward,
        "save_invstd": not forward,
    }
    shapes: dict[str, tuple[int, ...]] = {
        name: (problem.c,) for name, is_given in given.items() if is_given
    }
    if forward and problem.residual:
        shapes["residual"] = problem.y_shape
    return shapes


def exact_on_whole(problem: Problem, direction: str, dtype: str = "float32") -> bool:
    """Whether every step on "whole" data is a whole number, so that all algorithms must agree.

    Arrays of 16 bits do not hold each multiple that an average needs:

    >>> from convkit.testing import parse
    >>> third = parse("adaptive_pool2d", "avg-n1c1h27w39-p6q4")
    >>> [exact_on_whole(third, "dgrad", dtype) for dtype in ("float32", "bfloat16")]
    [True, False]
    """
    if isinstance(problem, (Conv2d, ConvTranspose2d, Linear)):
        return direction != "fprop" or problem.activation in (None, "relu")
    if isinstance(problem, BatchNorm | Lrn | CrossEntropy):
        return False
    if isinstance(problem, Gram):
        size = problem.c * problem.h * problem.w
        return not problem.normalize or size & (size - 1) == 0
    factor = whole_factor(problem, direction)
    if factor is None:
        return False
    multiples = factor * np.arange(1, _LARGEST_WHOLE + 1)
    with np.errstate(over="ignore"):  # infinity is no multiple, as asked
        return bool(np.all(multiples.astype(as_dtype(dtype)).astype(np.float64) == multiples))


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


def _spoil(array: np.ndarray, rng: np.random.Generator, seed: int) -> None:
    if array.size:
        place = np.unravel_index(int(rng.integers(array.size)), array.shape)
        array[place] = (np.nan, np.inf, -np.inf)[seed % 3]


def _classes(rng: np.random.Generator, problem: CrossEntropy) -> np.ndarray:
    target = rng.integers(0, problem.c, problem.target_shape)
    if problem.ignored:
        target[rng.random(target.shape) < 0.3] = problem.ignore_index
        target.reshape(-1)[:1] = problem.ignore_index
    return target


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
    if kind == "offset":
        values += 1000
    if kind == "wide":
        values *= 10.0 ** rng.uniform(-3, 3, shape)
    return values
