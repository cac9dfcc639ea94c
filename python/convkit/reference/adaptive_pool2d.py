"""Maximum and average over windows that share an image out, and their gradients.

Along a side of n pixels, window i of o holds pixels floor(i*n / o) to ceil((i + 1)*n / o) - 1.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from .shapes import Pair, accumulator, from_nchw, shape_to_nchw, to_nchw


def adaptive_max_pool2d(
    x: np.ndarray, output_size: Any, *, return_indices: bool = False, layout: str = "NCHW"
) -> Any:
    """y[n, c, p, q] = the largest pixel of window (p, q).

    Of equal pixels the first (row by row) counts, of NaNs the first NaN. indices hold h*W + w of
    that pixel.

    >>> adaptive_max_pool2d(np.arange(9.0).reshape(1, 1, 3, 3), 2)[0, 0].tolist()
    [[4.0, 5.0], [7.0, 8.0]]
    """
    x = np.asarray(x)
    images = to_nchw(x, layout)
    n, c, h, w = images.shape
    output = sides(output_size, (h, w))
    y = np.empty((n, c, *output), x.dtype)
    indices = np.empty(y.shape, np.int64)
    numbers = np.arange(h * w).reshape(h, w)
    for place, rows, columns in windows((h, w), output):
        inside = numbers[rows, columns].reshape(-1)
        pixels = images[:, :, rows, columns].reshape(n, c, len(inside))
        first = np.argmax(pixels, axis=2)  # the first NaN where there is one
        y[:, :, *place] = np.take_along_axis(pixels, first[:, :, None], 2)[:, :, 0]
        indices[:, :, *place] = inside[first]
    y = from_nchw(y, layout, x.dtype)
    return (y, from_nchw(indices, layout, np.dtype(np.int64))) if return_indices else y


def adaptive_max_pool2d_grad(
    grad_y: np.ndarray, indices: np.ndarray, x_shape: Any, *, layout: str = "NCHW"
) -> np.ndarray:
    """grad_x[n, c, i] = sum of grad_y[n, c, p, q] over the windows that hold i and whose index it
    is.
    """
    grad_y = np.asarray(grad_y)
    grads, chosen = to_nchw(grad_y, layout), to_nchw(indices, layout)
    shape = shape_to_nchw(x_shape, layout)
    numbers = np.arange(shape[2] * shape[3]).reshape(shape[2:])
    grad_x = np.zeros(shape, accumulator(grad_y))
    for place, rows, columns in windows(shape[2:], grads.shape[2:]):
        here = numbers[rows, columns] == chosen[:, :, *place][:, :, None, None]
        grad_x[:, :, rows, columns] += np.where(here, grads[:, :, *place][:, :, None, None], 0)
    return from_nchw(grad_x, layout, grad_y.dtype)


def adaptive_avg_pool2d(x: np.ndarray, output_size: Any, *, layout: str = "NCHW") -> np.ndarray:
    """y[n, c, p, q] = the mean of the pixels of window (p, q).

    >>> adaptive_avg_pool2d(np.arange(9.0).reshape(1, 1, 3, 3), 2)[0, 0].tolist()
    [[2.0, 3.0], [5.0, 6.0]]
    """
    x = np.asarray(x)
    images = to_nchw(x, layout).astype(accumulator(x))
    output = sides(output_size, images.shape[2:])
    y = np.empty(images.shape[:2] + output, images.dtype)
    for place, rows, columns in windows(images.shape[2:], output):
        y[:, :, *place] = images[:, :, rows, columns].sum(axis=(2, 3))
    return from_nchw(y / areas(images.shape[2:], output), layout, x.dtype)


def adaptive_avg_pool2d_grad(
    grad_y: np.ndarray, x_shape: Any, *, layout: str = "NCHW"
) -> np.ndarray:
    """grad_x[n, c, h, v] = sum of grad_y[n, c, p, q] / area[p, q] over windows that hold it."""
    grad_y = np.asarray(grad_y)
    grads = to_nchw(grad_y, layout).astype(accumulator(grad_y))
    shape = shape_to_nchw(x_shape, layout)
    shares = grads / areas(shape[2:], grads.shape[2:])
    grad_x = np.zeros(shape, shares.dtype)
    for place, rows, columns in windows(shape[2:], grads.shape[2:]):
        grad_x[:, :, rows, columns] += shares[:, :, *place][:, :, None, None]
    return from_nchw(grad_x, layout, grad_y.dtype)


def global_max_pool2d(x: np.ndarray, *, return_indices: bool = False, layout: str = "NCHW") -> Any:
    """The largest pixel of each channel.

    >>> global_max_pool2d(np.arange(9.0).reshape(1, 1, 3, 3)).tolist()
    [[[[8.0]]]]
    """
    return adaptive_max_pool2d(x, 1, return_indices=return_indices, layout=layout)


def global_max_pool2d_grad(
    grad_y: np.ndarray, indices: np.ndarray, x_shape: Any, *, layout: str = "NCHW"
) -> np.ndarray:
    """grad_y at the pixel that was the largest, 0 elsewhere."""
    return adaptive_max_pool2d_grad(grad_y, indices, x_shape, layout=layout)


def global_avg_pool2d(x: np.ndarray, *, layout: str = "NCHW") -> np.ndarray:
    """The mean of each channel.

    >>> global_avg_pool2d(np.arange(9.0).reshape(1, 1, 3, 3)).tolist()
    [[[[4.0]]]]
    """
    return adaptive_avg_pool2d(x, 1, layout=layout)


def global_avg_pool2d_grad(grad_y: np.ndarray, x_shape: Any, *, layout: str = "NCHW") -> np.ndarray:
    """grad_y / (H*W) in every pixel."""
    return adaptive_avg_pool2d_grad(grad_y, x_shape, layout=layout)


def sides(output_size: Any, image: tuple[int, ...]) -> Pair:
    """(P, Q) from an int or a pair; None in it keeps the image's side."""
    given = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,) * 2
    height, width = (
        side if out is None else int(out) for out, side in zip(given, image, strict=True)
    )
    return height, width


def ranges(side: int, windows: int) -> list[slice]:
    """The pixels of each window along one side."""
    step = Fraction(side, windows)
    return [slice(floor(i * step), ceil((i + 1) * step)) for i in range(windows)]


def windows(image: tuple[int, ...], output: tuple[int, ...]) -> Iterator[tuple[Pair, slice, slice]]:
    """(p, q), rows and columns of every window, row by row."""
    for p, rows in enumerate(ranges(image[0], output[0])):
        for q, columns in enumerate(ranges(image[1], output[1])):
            yield (p, q), rows, columns


def areas(image: tuple[int, ...], output: tuple[int, ...]) -> np.ndarray:
    """(P, Q): how many pixels each window has."""
    heights, widths = (
        [one.stop - one.start for one in ranges(side, out)]
        for side, out in zip(image, output, strict=True)
    )
    area: np.ndarray = np.multiply.outer(heights, widths)
    return area
