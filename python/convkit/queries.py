"""Questions about a call that need no data: its output shape, the algorithms that can run it."""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

from convkit import ops
from convkit.arrays import Spec

_GRADIENTS = {"dgrad": "conv2d_input_grad", "wgrad": "conv2d_weight_grad"}


class Candidate(NamedTuple):
    """An algorithm, and why it cannot run the problem ("" where it can)."""

    name: str
    refusal: str


def describe_call(function: str, *args: Any, dtype: str = "float32", **kwargs: Any) -> Any:
    """The call of a public function with shapes in the places of arrays, as a `dispatch.Call`.

    Raises: ValueError for a name that is no public op.
    """
    if function not in ops.FUNCTIONS:
        known = ", ".join(ops.FUNCTIONS)
        raise ValueError(f"output_shape: op is {function!r}, must be one of {known}")
    public = ops.FUNCTIONS[function]
    bound = inspect.signature(public).bind(*args, **kwargs)
    kept = ops.FLOAT32_PARAMETERS.get(function, ()) if dtype in ("float16", "bfloat16") else ()
    for name, shape in bound.arguments.items():
        if name in ops.ARRAY_PARAMETERS and shape is not None:
            kind = "int64" if name == "indices" else "float32" if name in kept else dtype
            bound.arguments[name] = Spec(tuple(int(side) for side in shape), kind)
    return public(*bound.args, **bound.kwargs)


def output_shape(op: str, *args: Any, dtype: str = "float32", **kwargs: Any) -> tuple[int, ...]:
    """The shape of the result of `op`, called with shapes where it takes arrays.

    Args:
        op: name of a public function, such as "conv2d" or "max_pool2d_grad".
        args, kwargs: as for that function.
        dtype: of all arrays but those that must be int64 or float32.

    Raises: what the call itself would raise.

    >>> output_shape("conv2d", (1, 3, 224, 224), (64, 3, 7, 7), stride=2, padding=3)
    (1, 64, 112, 112)
    """
    plan = describe_call(op, *args, dtype=dtype, **kwargs).plan()
    return tuple(plan.outputs[0][0])


def conv2d_algorithms(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    *,
    direction: str = "fprop",
    dtype: str = "float32",
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
    ['implicit_gemm', 'im2col', 'direct']
    """
    if direction == "fprop":
        call = describe_call("conv2d", x_shape, w_shape, dtype=dtype, **parameters)
    elif direction in _GRADIENTS:
        y_shape = output_shape("conv2d", x_shape, w_shape, dtype=dtype, **parameters)
        shapes = (w_shape, x_shape) if direction == "dgrad" else (x_shape, w_shape)
        call = describe_call(_GRADIENTS[direction], y_shape, *shapes, dtype=dtype, **parameters)
    else:
        raise ValueError(
            f"conv2d_algorithms: direction is {direction!r}, must be fprop, dgrad or wgrad"
        )
    return [Candidate(*pair) for pair in call.candidates()]
