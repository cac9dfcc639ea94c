"""Windows laid out as columns of a matrix, and back."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import run
from convkit.recorded import Found, Recorded, gradient_of, nothing


def im2col(
    x: Any,
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Every window of every image as a column, so that a convolution is a matrix product.

    cols[n, (c*R + r)*S + s, p*Q + q] = x[n, c, p*stride - pad + r*dilation, q*stride - pad +
    s*dilation]; x is zero outside. P and Q are the output sides of `conv2d`.

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC". bool, integers of 8 to 64 bits,
            float16, bfloat16 (ml_dtypes), float32, float64, complex64 or complex128, moved as they
            are; any strides, any array library.
        kernel_size: (R, S), or an int for both.
        stride, dilation: int or pair, >= 1.
        padding: int, pair, ((top, bottom), (left, right)), "valid", "same" or "full". Zeros.
        precision: "high" or "strict", as in conv2d.
        algo: "auto" or the name of an algorithm.
        max_workspace: None, or the most bytes of scratch memory, as in conv2d.
        out: dense array for the result, of its shape and dtype; must not overlap x.

    Returns: (N, C*R*S, P*Q); for NHWC (N, P*Q, R*S*C), with columns (r*S + s)*C + c. Of x's array
        type, dtype and device, on x's stream.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: exact.

    >>> import numpy as np
    >>> im2col(np.arange(1, 10, dtype="f4").reshape(1, 1, 3, 3), 2)[0].tolist()
    [[1.0, 2.0, 4.0, 5.0], [2.0, 3.0, 5.0, 6.0], [4.0, 5.0, 7.0, 8.0], [5.0, 6.0, 8.0, 9.0]]
    """
    return run(
        "im2col",
        {"x": x},
        {
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def col2im(
    cols: Any,
    x_shape: tuple[int, ...],
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """The adjoint of `im2col`: sums every column back into the image.

    x[n, c, h, w] = sum of all entries of cols that im2col reads from that pixel. So
    col2im(im2col(x)) is x times the number of windows that see each pixel.

    Args:
        cols: (N, C*R*S, P*Q), or (N, P*Q, R*S*C) for NHWC. float32, float64, float16 or bfloat16.
        x_shape: the shape of the image.
        kernel_size, stride, padding, dilation, layout, precision, algo, max_workspace, out:
            as in im2col.

    Returns: an array of shape x_shape, of cols's array type, dtype and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: a pixel's terms are added in the order (r, s), in blocks; same bits on every run and
        at any thread count.

    >>> import numpy as np
    >>> x = np.ones((1, 1, 3, 3), "f4")
    >>> col2im(im2col(x, 2), x.shape, 2)[0, 0].tolist()
    [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    return run(
        "col2im",
        {"cols": cols},
        {
            "x_shape": x_shape,
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


_WINDOWS = ("kernel_size", "stride", "padding", "dilation", "layout")


@gradient_of("im2col", nothing)
def _im2col(call: Recorded, grad: Any) -> Found:
    return {"x": col2im(grad, call.shape("x"), **call.options(*_WINDOWS))}


@gradient_of("col2im", nothing)
def _col2im(call: Recorded, grad: Any) -> Found:
    return {"cols": im2col(grad, **call.options(*_WINDOWS))}
