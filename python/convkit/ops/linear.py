"""The fully connected layer and its gradients."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import run
from convkit.recorded import Found, Recorded, gradient_of, of_product

from .bias_grad import conv2d_bias_grad
from .elementwise import before_activation


def linear(
    x: Any,
    w: Any,
    bias: Any = None,
    *,
    activation: str | None = None,
    residual: Any = None,
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Fully connected layer: activation(x w^T + bias + residual).

    Args:
        x: (..., C): any number of leading sides, none included. float32, float64, float16 or
            bfloat16 (ml_dtypes); any strides, any array library.
        w: (K, C). dtype of x.
        bias: (K,) or None.
        activation: None, "relu", "tanh" or "sigmoid", applied last.
        residual: an array like the result, added before the activation, or None.
        precision: "high" or "strict", as in conv2d.
        algo: "auto", "gemm" or "stream". auto takes stream (which reads w once, on the cpu) for a
            few rows, so that a row may round differently in a large batch; a name rounds alike.
        max_workspace: as in conv2d.
        out: dense array for the result, of its shape and dtype; must not overlap an input.

    Returns: (..., K), of x's array type, dtype and device, on x's stream.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as conv2d.

    >>> import numpy as np
    >>> linear(np.array([1, 2], "f4"), np.array([[1, 1], [0, 3]], "f4"), np.array([1, -9], "f4"))
    array([ 4., -3.], dtype=float32)
    """
    return run(
        "linear",
        {"x": x, "w": w, "bias": bias, "residual": residual},
        {"activation": activation},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def linear_input_grad(
    grad_y: Any,
    w: Any,
    *,
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `linear` with respect to x: grad_y w.

    Args:
        grad_y: (..., K), the gradient of linear's result before its activation.
        w: (K, C).
        precision, algo, max_workspace, out: as in linear.

    Returns: (..., C), of grad_y's array type, dtype and device.
    Raises: ValueError for shapes that do not fit, TypeError for dtypes; nothing is allocated
        before.
    Numerics: as conv2d.

    >>> import numpy as np
    >>> linear_input_grad(np.array([1, 1], "f4"), np.array([[1, 1], [0, 3]], "f4"))
    array([1., 4.], dtype=float32)
    """
    return run(
        "linear_input_grad",
        {"grad_y": grad_y, "w": w},
        {},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def linear_weight_grad(
    grad_y: Any,
    x: Any,
    *,
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `linear` with respect to w: the sum over rows of grad_y^T x.

    Args:
        grad_y: (..., K), the gradient of linear's result before its activation.
        x: (..., C), with grad_y's leading sides.
        precision, algo, max_workspace, out: as in linear.

    Returns: (K, C), of grad_y's array type, dtype and device. Zeros for no rows.
    Raises: ValueError for shapes that do not fit, TypeError for dtypes; nothing is allocated
        before.
    Numerics: as conv2d; same bits at any thread count.

    >>> import numpy as np
    >>> linear_weight_grad(np.array([[1, 2]], "f4"), np.array([[3, 4]], "f4"))
    array([[3., 4.],
           [6., 8.]], dtype=float32)
    """
    return run(
        "linear_weight_grad",
        {"grad_y": grad_y, "x": x},
        {},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


@gradient_of("linear", of_product("x", "w"))
def _linear(call: Recorded, grad: Any) -> Found:
    grad = before_activation(call, grad)
    options, found = call.options(), {}
    if "x" in call.needs:
        found["x"] = linear_input_grad(grad, call["w"], **options)
    if "w" in call.needs:
        found["w"] = linear_weight_grad(grad, call["x"], **options)
    if "bias" in call.needs:
        found["bias"] = conv2d_bias_grad(grad.reshape(-1, grad.shape[-1], 1, 1), **options)
    return found | {"residual": grad}


@gradient_of("linear_input_grad", of_product("grad_y", "w"))
def _linear_input_grad(call: Recorded, grad: Any) -> Found:
    options, found = call.options(), {}
    if "grad_y" in call.needs:
        found["grad_y"] = linear(grad, call["w"], **options)
    if "w" in call.needs:
        found["w"] = linear_weight_grad(call["grad_y"], grad, **options)
    return found


@gradient_of("linear_weight_grad", of_product("grad_y", "x"))
def _linear_weight_grad(call: Recorded, grad: Any) -> Found:
    options, found = call.options(), {}
    if "grad_y" in call.needs:
        found["grad_y"] = linear(call["x"], grad, **options)
    if "x" in call.needs:
        found["x"] = linear_input_grad(call["grad_y"], grad, **options)
    return found
