"""Questions about a call that need no data: its output shape, the algorithms that can run it."""

from __future__ import annotations

import inspect
import operator
from typing import Any, NamedTuple

import numpy as np

from convkit import ops
from convkit._native import shown
from convkit.arrays import Spec, itemsize


class Candidate(NamedTuple):
    """An algorithm, and why it cannot run the problem ("" where it can)."""

    name: str
    refusal: str


def describe_call(function: str, *args: Any, dtype: Any = "float32", **kwargs: Any) -> Any:
    """The call of a public function with shapes in the places of arrays, as a `dispatch.Call`.

    Raises: ValueError for a name that is no public op, TypeError for what is no shape or dtype;
        else what the call itself would raise.
    """
    return _describe("output_shape", function, dtype, args, kwargs)


def _describe(
    asked: str, function: str, dtype: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    is_text = issubclass(type(function), str)
    if not is_text or function not in ops.FUNCTIONS:
        error = ValueError if is_text else TypeError
        known = ", ".join(ops.FUNCTIONS)
        raise error(f"{asked}: op is {shown(function)}, must be one of {known}")
    kind = dtype_name(asked, dtype)
    public = ops.FUNCTIONS[function]
    try:
        bound = inspect.signature(public).bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"{function}: {error}") from None
    for name, value in bound.arguments.items():
        if name in ops.ARRAY_PARAMETERS and value is not None:
            shape = shape_of(function, name, value)
            bound.arguments[name] = Spec(shape, array_dtype(function, name, kind))
    return public(*bound.args, **bound.kwargs)


def array_dtype(function: str, name: str, dtype: str) -> str:
    """The dtype of an array of a call whose first one has `dtype`."""
    if name in ops.INT64_PARAMETERS:
        return "int64"
    kept = ops.FLOAT32_PARAMETERS.get(function, ()) if itemsize(dtype) == 2 else ()
    return "float32" if name in kept else dtype


def dtype_name(asked: str, dtype: Any) -> str:
    if type(dtype) is str and dtype == "bfloat16":  # NumPy knows it only after ml_dtypes
        return dtype
    try:
        if dtype is not None:  # NumPy would take it for float64
            return str(np.dtype(dtype).name)
    except Exception:  # NumPy has an error for each kind of wrong
        pass
    raise TypeError(f"{asked}: dtype is {shown(dtype)}, must be a dtype such as 'float32'")


def shape_of(function: str, name: str, value: Any) -> tuple[int, ...]:
    try:
        sides = tuple(operator.index(side) for side in value)
    except TypeError:
        sides = None
    if sides is None or any(isinstance(side, bool) for side in value):
        raise TypeError(f"{function}: {name} is {shown(value)}, must be a shape: a tuple of ints")
    if any(abs(side) > 2**50 for side in sides):
        raise ValueError(f"{function}: {name} is {shown(sides)}, must have sides up to 2**50")
    return sides


def output_shape(op: str, *args: Any, dtype: Any = "float32", **kwargs: Any) -> tuple[Any, ...]:
    """The shape of the result of `op`, called with shapes where it takes arrays.

    Args:
        op: name of a public function, such as "conv2d" or "max_pool2d_grad".
        args, kwargs: as for that function.
        dtype: of all arrays but those that must be int64 or float32.

    Returns: a tuple of ints; where the call returns several arrays (max_pool2d with
        return_indices), a tuple of such shapes.
    Raises: what the call itself would raise, TypeError for what is no shape.

    >>> output_shape("conv2d", (1, 3, 224, 224), (64, 3, 7, 7), stride=2, padding=3)
    (1, 64, 112, 112)
    """
    shapes = tuple(
        shape for shape, _ in _describe("output_shape", op, dtype, args, kwargs).outputs()
    )
    return shapes[0] if len(shapes) == 1 else shapes


def conv2d_algorithms(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    *,
    direction: str = "fprop",
    dtype: Any = "float32",
    **parameters: Any,
) -> list[Candidate]:
    """The algorithms of the current backend for a convolution, in order of preference.

    Args:
        x_shape, w_shape: as conv2d takes them.
        direction: "fprop", "dgrad" (conv2d_input_grad) or "wgrad" (conv2d_weight_grad).
        parameters: stride, padding and so on, as in conv2d.

    Returns: a list of (name, refusal); refusal is "" where the algorithm can run the problem.
    Raises: what the call itself would raise.

    >>> [name for name, why in conv2d_algorithms((1, 8, 9, 9), (4, 8, 3, 3)) if not why]
    ['implicit_gemm', 'im2col', 'direct', 'strict']
    """
    asked = "conv2d_algorithms"

    def described(function: str, *shapes: tuple[int, ...]) -> Any:
        return _describe(asked, function, dtype, shapes, parameters)

    call = described("conv2d", x_shape, w_shape)
    if direction in ("dgrad", "wgrad"):
        ((y_shape, _),) = call.outputs()
        if direction == "dgrad":
            call = described("conv2d_input_grad", y_shape, w_shape, x_shape)
        else:
            call = described("conv2d_weight_grad", y_shape, x_shape, w_shape)
    elif direction != "fprop":
        error = ValueError if issubclass(type(direction), str) else TypeError
        raise error(f"{asked}: direction is {shown(direction)}, must be fprop, dgrad or wgrad")
    return [Candidate(*pair) for pair in call.candidates()]
