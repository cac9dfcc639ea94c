"""Maximum and average over windows, and their gradients."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import run
from convkit.recorded import Found, Recorded, gradient_of, nothing


def max_pool2d(
    x: Any,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Largest pixel of each window.

    y[n, c, p, q] = max over r, s of x[n, c, p*stride - pad + r*dilation, q*stride - pad +
    s*dilation], outside the image -inf. Each output side is floor((side + pads -
    dilation*(kernel - 1) - 1) / stride) + 1; ceil_mode rounds up, as long as the last window starts
    inside the image or its top or left padding.

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC". float32, float64, float16 or
            bfloat16 (ml_dtypes); any strides, any array library.
        kernel_size: int or pair, >= 1.
        stride: int or pair, >= 1; None is kernel_size.
        padding: int, pair or ((top, bottom), (left, right)), each smaller than the kernel.
        dilation: int or pair, >= 1: how far apart a window's pixels are.
        return_indices: True also returns where each maximum stands.
        precision: "high" or "strict", as in conv2d.
        algo: "auto" or the name of an algorithm.
        max_workspace: None, or the most bytes of scratch memory, as in conv2d.
        out: dense array for y, of its shape and dtype; with return_indices a tuple of two. Must not
            overlap x.

    Returns: y (N, C, P, Q), or (N, P, Q, C) for NHWC, of x's array type, dtype and device, on x's
        stream; with return_indices (y, indices). indices are int64 of y's shape: h*W + w of the
        pixel in its image, without padding, in both layouts.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: exact. Of equal pixels the first (row by row) counts; a NaN counts as largest, the
        first one first. A dilated window may meet no pixel: -inf, index -1.

    >>> import numpy as np
    >>> x = np.array([[1, 3, 2, 1], [2, 9, 1, 1], [1, 3, 2, 3], [5, 6, 1, 2]], "f4")
    >>> y, indices = max_pool2d(x.reshape(1, 1, 4, 4), 2, return_indices=True)
    >>> y[0, 0].tolist(), indices[0, 0].tolist()
    ([[9.0, 2.0], [6.0, 3.0]], [[5, 2], [13, 11]])
    """
    return run(
        "max_pool2d",
        {"x": x},
        {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "ceil_mode": ceil_mode,
            "return_indices": return_indices,
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def max_pool2d_grad(
    grad_y: Any,
    indices: Any,
    x_shape: tuple[int, ...],
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `max_pool2d` with respect to x.

    grad_x[n, c, h, w] = sum of grad_y[n, c, p, q] over the windows that cover the pixel and whose
    index is h*W + w.

    Args:
        grad_y: the gradient of max_pool2d's result, of its shape.
        indices: int64, as max_pool2d returns them. An index that is no pixel of its window takes
            its gradient nowhere.
        x_shape: the shape of x.
        kernel_size, stride, padding, dilation, ceil_mode, layout, precision, algo,
            max_workspace, out: as in max_pool2d.

    Returns: an array of shape x_shape, of grad_y's array type, dtype and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: windows are added row by row; same bits on every run and at any thread count.

    >>> import numpy as np
    >>> x = np.array([[[[1, 3, 2], [2, 9, 1], [1, 3, 2]]]], "f4")
    >>> y, indices = max_pool2d(x, 2, stride=1, return_indices=True)
    >>> max_pool2d_grad(np.array([[[[1, 2], [3, 4]]]], "f4"), indices, x.shape, 2, stride=1)[0, 0]
    array([[ 0.,  0.,  0.],
           [ 0., 10.,  0.],
           [ 0.,  0.,  0.]], dtype=float32)
    """
    return run(
        "max_pool2d_grad",
        {"grad_y": grad_y, "indices": indices},
        {
            "x_shape": x_shape,
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "ceil_mode": ceil_mode,
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Mean of each window.

    y[n, c, p, q] = (sum over r, s of x[n, c, p*stride - pad + r, q*stride - pad + s]) / divisor;
    x is zero outside. Output sides as in `max_pool2d`.

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC". float32, float64, float16 or
            bfloat16 (ml_dtypes); any strides, any array library.
        kernel_size: int or pair, >= 1.
        stride: int or pair, >= 1; None is kernel_size.
        padding: int, pair or ((top, bottom), (left, right)), each smaller than the kernel. Zeros.
        count_include_pad: True divides by the window's area inside the padded image (all of it,
            except where ceil_mode lets a window pass the end), False by its number of pixels.
        ceil_mode, precision, algo, max_workspace: as in max_pool2d.
        out: dense array for the result, of its shape and dtype; must not overlap x.

    Returns: (N, C, P, Q), or (N, P, Q, C) for NHWC, of x's array type, dtype and device, on x's
        stream.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: float32 accumulates in float32, in blocks; same bits on every run and at any thread
        count.

    >>> import numpy as np
    >>> x = np.array([[1, 3, 2, 1], [2, 9, 1, 1], [1, 3, 2, 3], [5, 6, 1, 2]], "f4")
    >>> avg_pool2d(x.reshape(1, 1, 4, 4), 2)[0, 0].tolist()
    [[3.75, 1.25], [3.75, 2.0]]
    """
    return run(
        "avg_pool2d",
        {"x": x},
        {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "ceil_mode": ceil_mode,
            "count_include_pad": count_include_pad,
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def avg_pool2d_grad(
    grad_y: Any,
    x_shape: tuple[int, ...],
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `avg_pool2d` with respect to x.

    grad_x[n, c, h, w] = sum of grad_y[n, c, p, q] / divisor(p, q) over the windows that cover the
    pixel.

    Args:
        grad_y: the gradient of avg_pool2d's result, of its shape.
        x_shape: the shape of x.
        kernel_size, stride, padding, ceil_mode, count_include_pad, layout, precision, algo,
            max_workspace, out: as in avg_pool2d.

    Returns: an array of shape x_shape, of grad_y's array type, dtype and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as avg_pool2d.

    >>> import numpy as np
    >>> avg_pool2d_grad(np.array([[[[4, 8]]]], "f4"), (1, 1, 2, 4), 2)[0, 0].tolist()
    [[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]
    """
    return run(
        "avg_pool2d_grad",
        {"grad_y": grad_y},
        {
            "x_shape": x_shape,
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "ceil_mode": ceil_mode,
            "count_include_pad": count_include_pad,
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


_MAX = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "layout")
_AVG = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "layout")


@gradient_of("max_pool2d", lambda needs, parameters: ["y1"], also={"return_indices": True})
def _max_pool2d(call: Recorded, grad: Any, _indices: Any = None) -> Found:
    options = call.options(*_MAX)
    return {"x": max_pool2d_grad(grad, call["y1"].data, call.shape("x"), **options)}


@gradient_of("max_pool2d_grad", lambda needs, parameters: ["indices"])
def _max_pool2d_grad(call: Recorded, grad: Any) -> Found:
    from .shaping import taken

    return {"grad_y": taken(grad, call["indices"].data, call.parameters["layout"])}


@gradient_of("avg_pool2d", nothing)
def _avg_pool2d(call: Recorded, grad: Any) -> Found:
    return {"x": avg_pool2d_grad(grad, call.shape("x"), **call.options(*_AVG))}


@gradient_of("avg_pool2d_grad", nothing)
def _avg_pool2d_grad(call: Recorded, grad: Any) -> Found:
    return {"grad_y": avg_pool2d(grad, **call.options(*_AVG))}
