"""2-D convolution and its gradients."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import run
from convkit.recorded import Found, Recorded, gradient_of, of_product

from .bias_grad import conv2d_bias_grad
from .elementwise import before_activation


def conv2d(
    x: Any,
    w: Any,
    bias: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: str = "zeros",
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
    """2-D cross-correlation of a batch of images with a bank of filters.

    y[n, k, p, q] = activation(bias[k] + residual[n, k, p, q] + sum over c, r, s of
    w[k, c, r, s] * x[n, c, p*stride - pad + r*dilation, q*stride - pad + s*dilation]); x is zero
    outside, or as padding_mode says.
    Each output side is floor((side + pads - dilation*(r - 1) - 1) / stride) + 1.

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC". float32, float64, float16 or
            bfloat16 (ml_dtypes); any strides, any array library.
        w: (K, C/groups, R, S), or (K, R, S, C/groups) for NHWC. dtype of x.
        bias: (K,) or None.
        stride, dilation: int or pair, >= 1.
        padding: int, pair, ((top, bottom), (left, right)), "valid", "same" (output side is
            ceil(side/stride),
            the extra pixel on bottom/right) or "full".
        padding_mode: what is around x: "zeros"; "reflect": x mirrored at its border pixels, pads
            below the side; "replicate": the border pixels; "circular": x again, pads of at most
            the side. No padded copy of x is made: im2col and strict alone do it.
        groups: divides C and K; output group g sees input group g alone. groups=C is depthwise.
        activation: None, "relu", "tanh" or "sigmoid", applied last.
        residual: an array like the result, added before the activation, or None.
        flip_kernel: True turns the filters by 180 degrees: the mathematical convolution.
        precision: "high" is any order of sums within the bound; "strict" the one order that
            docs/numerics.md states, which gives the same bits on every backend, instruction set and
            layout, more slowly.
        algo: "auto" or a name of `conv2d_algorithms`.
        max_workspace: None, or the most bytes of scratch memory; auto passes over algorithms that
            need more (on the cpu: with one thread; it then uses as many threads as fit). Arrays of
            16 bits are widened there; copies of strided inputs do not count.
        out: dense array for the result, of its shape and dtype; must not overlap an input.

    Returns: (N, K, P, Q), or (N, P, Q, K) for NHWC, of x's array type, dtype and device, on x's
        stream.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: float32 accumulates in float32, in blocks; same bits on every run, thread count and
    batch composition.
    Source: Dumoulin and Visin 2016, arXiv:1603.07285.

    >>> import numpy as np
    >>> conv2d(np.ones((1, 3, 227, 227), "f4"), np.ones((96, 3, 11, 11), "f4"), stride=4).shape
    (1, 96, 55, 55)
    """
    return run(
        "conv2d",
        {"x": x, "w": w, "bias": bias, "residual": residual},
        {
            "stride": stride,
            "padding": padding,
            "padding_mode": padding_mode,
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


def conv2d_input_grad(
    grad_y: Any,
    w: Any,
    x_shape: tuple[int, ...],
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: str = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    flip_kernel: bool = False,
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `conv2d` with respect to x (dgrad).

    grad_x[n, c, h, w'] = sum over k, r, s of w[k, c, r, s] * grad_y[n, k, p, q], over the p, q
    that read that pixel:
    p*stride - pad + r*dilation = h, and likewise along the width; in padding that shows the pixel
    too.

    Args:
        grad_y: (N, K, P, Q), the gradient of conv2d's result before its activation; (N, P, Q, K)
            for NHWC.
        w: the filters, as in conv2d.
        x_shape: the shape of x; grad_y alone does not tell it for a stride above 1.
        stride, padding, padding_mode, dilation, groups, layout, flip_kernel, precision, algo,
            max_workspace, out: as in conv2d.

    Returns: an array of shape x_shape, of grad_y's array type, dtype and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as conv2d.   Source: Dumoulin and Visin 2016, arXiv:1603.07285.

    >>> import numpy as np
    >>> w = np.array([[[[1, 2], [3, 4]]]], "f4")
    >>> conv2d_input_grad(w, w, (1, 1, 3, 3))[0, 0].tolist()
    [[1.0, 4.0, 4.0], [6.0, 20.0, 16.0], [9.0, 24.0, 16.0]]
    """
    return run(
        "conv2d_input_grad",
        {"grad_y": grad_y, "w": w},
        {
            "x_shape": x_shape,
            "stride": stride,
            "padding": padding,
            "padding_mode": padding_mode,
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


def conv2d_weight_grad(
    grad_y: Any,
    x: Any,
    w_shape: tuple[int, ...],
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: str = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    flip_kernel: bool = False,
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `conv2d` with respect to w (wgrad).

    grad_w[k, c, r, s] = sum over n, p, q of grad_y[n, k, p, q] * x[n, c, p*stride - pad +
    r*dilation, ...].

    Args:
        grad_y: (N, K, P, Q), the gradient of conv2d's result before its activation; (N, P, Q, K)
            for NHWC.
        x: the images, as in conv2d.
        w_shape: the shape of w.
        stride, padding, padding_mode, dilation, groups, layout, flip_kernel, precision, algo,
            max_workspace, out: as in conv2d.

    Returns: an array of shape w_shape, of grad_y's array type, dtype and device. Zeros for an
        empty batch.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as conv2d; same bits at any thread count.   Source: Dumoulin and Visin 2016,
    arXiv:1603.07285.

    >>> import numpy as np
    >>> x = np.arange(1, 10, dtype="f4").reshape(1, 1, 3, 3)
    >>> conv2d_weight_grad(np.array([[[[1, 2], [3, 4]]]], "f4"), x, (1, 1, 2, 2))[0, 0].tolist()
    [[37.0, 47.0], [67.0, 77.0]]
    """
    return run(
        "conv2d_weight_grad",
        {"grad_y": grad_y, "x": x},
        {
            "w_shape": w_shape,
            "stride": stride,
            "padding": padding,
            "padding_mode": padding_mode,
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


_GEOMETRY = ("stride", "padding", "padding_mode", "dilation", "groups", "layout", "flip_kernel")


@gradient_of("conv2d", of_product("x", "w"))
def _conv2d(call: Recorded, grad: Any) -> Found:
    grad = before_activation(call, grad)
    options, found = call.options(*_GEOMETRY), {}
    if "x" in call.needs:
        found["x"] = conv2d_input_grad(grad, call["w"], call.shape("x"), **options)
    if "w" in call.needs:
        found["w"] = conv2d_weight_grad(grad, call["x"], call.shape("w"), **options)
    if "bias" in call.needs:
        found["bias"] = conv2d_bias_grad(grad, **call.options("layout"))
    return found | {"residual": grad}


@gradient_of("conv2d_input_grad", of_product("grad_y", "w"))
def _conv2d_input_grad(call: Recorded, grad: Any) -> Found:
    options, found = call.options(*_GEOMETRY), {}
    if "grad_y" in call.needs:
        found["grad_y"] = conv2d(grad, call["w"], **options)
    if "w" in call.needs:
        found["w"] = conv2d_weight_grad(call["grad_y"], grad, call.shape("w"), **options)
    return found


@gradient_of("conv2d_weight_grad", of_product("grad_y", "x"))
def _conv2d_weight_grad(call: Recorded, grad: Any) -> Found:
    options, found = call.options(*_GEOMETRY), {}
    if "grad_y" in call.needs:
        found["grad_y"] = conv2d(call["x"], grad, **options)
    if "x" in call.needs:
        found["x"] = conv2d_input_grad(call["grad_y"], grad, call.shape("x"), **options)
    return found
