"""Transposed convolution and its gradients."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import run
from convkit.recorded import Found, Recorded, gradient_of, of_product

from .bias_grad import conv2d_bias_grad
from .elementwise import before_activation


def conv_transpose2d(
    x: Any,
    w: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    activation: str | None = None,
    residual: Any = None,
    flip_kernel: bool = False,
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Transposed convolution: every pixel lays its filters onto the output, which adds them up.

    y[n, k, i*stride - pad + r*dilation, j*stride - pad + s*dilation] += w[c, k, r, s] *
    x[n, c, i, j], then y = activation(y + bias[k] + residual). It is the input gradient of the
    conv2d from y to x and takes that one's kernels; bias, residual and activation are one more
    pass over y.
    Each output side is (side - 1)*stride - pads + dilation*(r - 1) + 1 + output_padding.

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC". float32, float64, float16 or
            bfloat16 (ml_dtypes); any strides, any array library.
        w: (C, K/groups, R, S), or (C, R, S, K/groups) for NHWC. dtype of x.
        bias: (K,) or None.
        stride, dilation: int or pair, >= 1.
        padding: int, pair or ((top, bottom), (left, right)): cut off the output.
        output_padding: int or pair, below the larger of stride and dilation: rows and columns
            added at the bottom and right of the output.
        groups: divides C; input group g makes output group g alone.
        activation, residual: as in conv2d.
        flip_kernel: True turns the filters by 180 degrees.
        precision: "high" or "strict", as in conv2d.
        algo: "auto" or a name of `conv2d_algorithms`.
        max_workspace: as in conv2d.
        out: dense array for the result, of its shape and dtype; must not overlap an input.

    Returns: (N, K, P, Q), or (N, P, Q, K) for NHWC, of x's array type, dtype and device, on x's
        stream.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as conv2d_input_grad.   Source: Dumoulin and Visin 2016, arXiv:1603.07285.

    >>> import numpy as np
    >>> x = np.array([[[[1, 2]]]], "f4")
    >>> conv_transpose2d(x, np.array([[[[1, 1, 1]]]], "f4"), stride=2)[0, 0].tolist()
    [[1.0, 1.0, 3.0, 2.0, 2.0]]
    """
    return run(
        "conv_transpose2d",
        {"x": x, "w": w, "bias": bias, "residual": residual},
        {
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
            "dilation": dilation,
            "groups": groups,
            "layout": layout,
            "activation": activation,
            "flip_kernel": flip_kernel,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def conv_transpose2d_input_grad(
    grad_y: Any,
    w: Any,
    x_shape: tuple[int, ...],
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    flip_kernel: bool = False,
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `conv_transpose2d` with respect to x: the conv2d of grad_y with w.

    Args:
        grad_y: the gradient of conv_transpose2d's result before its activation.
        w: the filters, as in conv_transpose2d.
        x_shape: the shape of x.
        stride, padding, output_padding, dilation, groups, layout, flip_kernel, precision,
            algo, max_workspace, out: as in conv_transpose2d.

    Returns: an array of shape x_shape, of grad_y's array type, dtype and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as conv2d.   Source: Dumoulin and Visin 2016, arXiv:1603.07285.

    >>> import numpy as np
    >>> grad_y, w = np.array([[[[1, 2, 3, 4, 5]]]], "f4"), np.array([[[[1, 1, 1]]]], "f4")
    >>> conv_transpose2d_input_grad(grad_y, w, (1, 1, 1, 2), stride=2)[0, 0].tolist()
    [[6.0, 12.0]]
    """
    return run(
        "conv_transpose2d_input_grad",
        {"grad_y": grad_y, "w": w},
        {
            "x_shape": x_shape,
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
            "dilation": dilation,
            "groups": groups,
            "layout": layout,
            "flip_kernel": flip_kernel,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def conv_transpose2d_weight_grad(
    grad_y: Any,
    x: Any,
    w_shape: tuple[int, ...],
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    flip_kernel: bool = False,
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `conv_transpose2d` with respect to w.

    Args:
        grad_y: the gradient of conv_transpose2d's result before its activation.
        x: the images, as in conv_transpose2d.
        w_shape: the shape of w.
        stride, padding, output_padding, dilation, groups, layout, flip_kernel, precision,
            algo, max_workspace, out: as in conv_transpose2d.

    Returns: an array of shape w_shape, of grad_y's array type, dtype and device. Zeros for an
        empty batch.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as conv2d; same bits at any thread count.   Source: Dumoulin and Visin 2016,
    arXiv:1603.07285.

    >>> import numpy as np
    >>> grad_y, x = np.array([[[[1, 2, 3, 4, 5]]]], "f4"), np.array([[[[1, 2]]]], "f4")
    >>> conv_transpose2d_weight_grad(grad_y, x, (1, 1, 1, 3), stride=2)[0, 0].tolist()
    [[7.0, 10.0, 13.0]]
    """
    return run(
        "conv_transpose2d_weight_grad",
        {"grad_y": grad_y, "x": x},
        {
            "w_shape": w_shape,
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
            "dilation": dilation,
            "groups": groups,
            "layout": layout,
            "flip_kernel": flip_kernel,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


_GEOMETRY = ("stride", "padding", "output_padding", "dilation", "groups", "layout", "flip_kernel")


@gradient_of("conv_transpose2d", of_product("x", "w"))
def _conv_transpose2d(call: Recorded, grad: Any) -> Found:
    grad = before_activation(call, grad)
    options, found = call.options(*_GEOMETRY), {}
    if "x" in call.needs:
        found["x"] = conv_transpose2d_input_grad(grad, call["w"], call.shape("x"), **options)
    if "w" in call.needs:
        found["w"] = conv_transpose2d_weight_grad(grad, call["x"], call.shape("w"), **options)
    if "bias" in call.needs:
        found["bias"] = conv2d_bias_grad(grad, **call.options("layout"))
    return found | {"residual": grad}


@gradient_of("conv_transpose2d_input_grad", of_product("grad_y", "w"))
def _conv_transpose2d_input_grad(call: Recorded, grad: Any) -> Found:
    options, found = call.options(*_GEOMETRY), {}
    if "grad_y" in call.needs:
        found["grad_y"] = conv_transpose2d(grad, call["w"], **options)
    if "w" in call.needs:
        found["w"] = conv_transpose2d_weight_grad(call["grad_y"], grad, call.shape("w"), **options)
    return found


@gradient_of("conv_transpose2d_weight_grad", of_product("grad_y", "x"))
def _conv_transpose2d_weight_grad(call: Recorded, grad: Any) -> Found:
    options, found = call.options(*_GEOMETRY), {}
    if "grad_y" in call.needs:
        found["grad_y"] = conv_transpose2d(call["x"], grad, **options)
    if "x" in call.needs:
        found["x"] = conv_transpose2d_input_grad(call["grad_y"], grad, call.shape("x"), **options)
    return found
