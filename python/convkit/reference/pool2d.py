"""Maximum and average over windows, and their gradients."""

from typing import Any

import numpy as np

from .shapes import (
    Windows,
    accumulator,
    from_nchw,
    pool_windows,
    shape_to_nchw,
    to_nchw,
)


def max_pool2d(
    x: np.ndarray,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    layout: str = "NCHW",
) -> Any:
    """y[n, c, p, q] = the largest pixel of window (p, q).

    Of equal pixels the first (row by row) counts, of NaNs the first NaN. indices hold h*W + w of
    that pixel; a window that meets no pixel gives -inf and index -1.

    >>> max_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0].tolist()
    [[5.0, 7.0], [13.0, 15.0]]
    """
    x = np.asarray(x)
    images = to_nchw(x, layout)
    sides = images.shape[2:]
    windows = pool_windows(sides, kernel_size, stride, padding, dilation, ceil_mode)
    padded = windows.pad(images, -np.inf)
    pixels = np.arange(sides[0] * sides[1]).reshape(1, 1, *sides)
    numbered = windows.pad(pixels, -1)  # -1 marks what is no pixel
    shape = images.shape[:2] + windows.output
    y = np.full(shape, -np.inf, x.dtype)
    indices = np.full(shape, -1, np.int64)
    for r, s in windows.taps():
        value, index = windows.seen(padded, r, s), windows.seen(numbered, r, s)
        better = (indices < 0) | (value > y) | (np.isnan(value) & ~np.isnan(y))
        better &= index >= 0
        y = np.where(better, value, y)
        indices = np.where(better, index, indices)
    y = from_nchw(y, layout, x.dtype)
    return (y, from_nchw(indices, layout, np.dtype(np.int64))) if return_indices else y


def max_pool2d_grad(
    grad_y: np.ndarray,
    indices: np.ndarray,
    x_shape: Any,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    layout: str = "NCHW",
) -> np.ndarray:
    """grad_x[n, c, i] = sum of grad_y[n, c, p, q] over the windows whose index is i.

    An index of no pixel, as -1, takes no gradient.
    """
    grad_y = np.asarray(grad_y)
    grads, chosen = to_nchw(grad_y, layout), to_nchw(indices, layout)
    shape = shape_to_nchw(x_shape, layout)
    windows = pool_windows(shape[2:], kernel_size, stride, padding, dilation, ceil_mode)
    _check_grad(grads.shape, shape[:2] + windows.output)
    _check_grad(chosen.shape, grads.shape)
    n, c, h, w = shape
    grad_x = np.zeros((n * c, h * w), accumulator(grad_y))
    chosen = chosen.reshape(n * c, int(np.prod(windows.output)))
    kept = (chosen >= 0) & (chosen < h * w)
    plane = np.broadcast_to(np.arange(n * c)[:, None], kept.shape)
    np.add.at(grad_x, (plane[kept], chosen[kept]), grads.reshape(kept.shape)[kept])
    return from_nchw(grad_x.reshape(shape), layout, grad_y.dtype)


def avg_pool2d(
    x: np.ndarray,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    layout: str = "NCHW",
) -> np.ndarray:
    """y[n, c, p, q] = (sum over window (p, q), pads being zero) / divisor.

    The divisor counts the window's places inside the padded image, or with
    count_include_pad=False its pixels.

    >>> avg_pool2d(np.arange(16.0).reshape(1, 1, 4, 4), 2)[0, 0].tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    x = np.asarray(x)
    images = to_nchw(x, layout)
    windows = pool_windows(images.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    total = accumulator(x)
    padded = windows.pad(images.astype(total), 0)
    y = np.zeros(images.shape[:2] + windows.output, total)
    for r, s in windows.taps():
        y += windows.seen(padded, r, s)
    return from_nchw(y / divisor(windows, count_include_pad), layout, x.dtype)


def avg_pool2d_grad(
    grad_y: np.ndarray,
    x_shape: Any,
    kernel_size: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    layout: str = "NCHW",
) -> np.ndarray:
    """grad_x[n, c, h, v] = sum of grad_y[n, c, p, q] / divisor[p, q] over windows that see it."""
    grad_y = np.asarray(grad_y)
    grads = to_nchw(grad_y, layout)
    shape = shape_to_nchw(x_shape, layout)
    windows = pool_windows(shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    _check_grad(grads.shape, shape[:2] + windows.output)
    total = accumulator(grad_y)
    share = grads.astype(total) / divisor(windows, count_include_pad)
    padded = np.zeros(shape[:2] + windows.padded_sides, total)
    for r, s in windows.taps():
        seen = windows.seen(padded, r, s)
        seen += share
    return from_nchw(windows.crop(padded), layout, grad_y.dtype)


def divisor(windows: Windows, count_include_pad: bool) -> np.ndarray:
    """(P, Q): how many places of each window count."""
    counts = []
    for n, f, s, (low, high), out in zip(
        windows.sides,
        windows.kernel,
        windows.stride,
        windows.pads,
        windows.output,
        strict=True,
    ):
        start = np.arange(out) * s - low
        first, last = (-low, n + high) if count_include_pad else (0, n)
        counts.append(np.minimum(start + f, last) - np.maximum(start, first))
    area: np.ndarray = np.multiply.outer(counts[0], counts[1])
    return area


def _check_grad(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ValueError(f"an array is {shape} in NCHW order, it must be {expected}")
