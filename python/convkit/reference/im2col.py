"""Windows laid out as columns of a matrix, and back."""

from typing import Any

import numpy as np

from .shapes import accumulator, conv_windows, from_nchw, shape_to_nchw, to_nchw


def im2col(
    x: np.ndarray,
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    layout: str = "NCHW",
) -> np.ndarray:
    """cols[n, (c*R + r)*S + s, p*Q + q] = x[n, c, p*stride - top + r*dilation, ...], zero outside.

    NCHW gives (N, C*R*S, P*Q); NHWC gives (N, P*Q, R*S*C) with columns (r*S + s)*C + c.

    >>> im2col(np.arange(9.0).reshape(1, 1, 3, 3), 2)[0, 0].tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    x = np.asarray(x)
    images = to_nchw(x, layout)
    windows = conv_windows(images.shape[2:], kernel_size, stride, padding, dilation)
    padded = windows.pad(images, 0)
    n, c = images.shape[:2]
    cols = np.zeros((n, c, *windows.kernel, *windows.output), x.dtype)
    for r, s in windows.taps():
        cols[:, :, r, s] = windows.seen(padded, r, s)
    taps, places = np.prod(windows.kernel), np.prod(windows.output)
    if layout == "NCHW":
        return cols.reshape(n, c * taps, places)
    return cols.transpose(0, 4, 5, 2, 3, 1).reshape(n, places, taps * c)


def col2im(
    cols: np.ndarray,
    x_shape: Any,
    kernel_size: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    layout: str = "NCHW",
) -> np.ndarray:
    """x[n, c, h, v] = sum of all entries of cols that im2col would read from that pixel."""
    cols = np.asarray(cols)
    shape = shape_to_nchw(x_shape, layout)
    n, c = shape[:2]
    windows = conv_windows(shape[2:], kernel_size, stride, padding, dilation)
    taps, places = int(np.prod(windows.kernel)), int(np.prod(windows.output))
    expected = (n, c * taps, places) if layout == "NCHW" else (n, places, taps * c)
    if cols.shape != expected:
        raise ValueError(f"cols is {cols.shape}, it must be {expected}")
    if layout == "NCHW":
        cells = cols.reshape(n, c, *windows.kernel, *windows.output)
    else:
        cells = cols.reshape(n, *windows.output, *windows.kernel, c).transpose(0, 5, 3, 4, 1, 2)
    padded = np.zeros((n, c, *windows.padded_sides), accumulator(cols))
    for r, s in windows.taps():
        seen = windows.seen(padded, r, s)
        seen += cells[:, :, r, s]
    return from_nchw(windows.crop(padded), layout, cols.dtype)
