"""The references as compiled loops, for real layer sizes: same names, same parameters.

Sums of float64 arrays are made in float64. Arrays of longdouble must hold float64 values; their
sums are made in pairs of float64 (Ogita, Rump and Oishi 2005, Dot2), as NumPy's longdouble products
have no BLAS. The NumPy references stay the definition; tests compare these with them.
Needs Numba (pip install 'convkit[numba]').
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from convkit.reference import shapes
from convkit.reference.conv2d import activate
from convkit.reference.pool2d import divisor

_LANES = 64
_compiled = njit(cache=True, nogil=True)


def conv2d(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: str = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    activation: str | None = None,
    residual: np.ndarray | None = None,
    flip_kernel: bool = False,
) -> np.ndarray:
    images, filters = _nchw(x, layout), _filters(w, layout, flip_kernel)
    windows = _windows(images.shape[2:], filters.shape[2:], stride, padding, dilation)
    padded = windows.pad(images, 0, padding_mode)
    shape = (len(images), len(filters), *windows.output)
    y = _run(_fprop, x.dtype, shape, padded, filters)(groups, *windows.stride, *windows.dilation)
    if bias is not None:
        y += np.asarray(bias).reshape(1, -1, 1, 1)
    if residual is not None:
        y += shapes.to_nchw(residual, layout)
    return shapes.from_nchw(activate(y, activation), layout, x.dtype)


def conv2d_input_grad(
    grad_y: np.ndarray,
    w: np.ndarray,
    x_shape: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: str = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    flip_kernel: bool = False,
) -> np.ndarray:
    grads, filters = _nchw(grad_y, layout), _filters(w, layout, flip_kernel)
    shape = shapes.shape_to_nchw(x_shape, layout)
    windows = _windows(shape[2:], filters.shape[2:], stride, padding, dilation)
    padded = _run(_dgrad, grad_y.dtype, shape[:2] + windows.padded_sides, grads, filters)(
        groups, *windows.stride, *windows.dilation
    )
    return shapes.from_nchw(windows.fold(padded, padding_mode), layout, grad_y.dtype)


def conv2d_weight_grad(
    grad_y: np.ndarray,
    x: np.ndarray,
    w_shape: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    padding_mode: str = "zeros",
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    flip_kernel: bool = False,
) -> np.ndarray:
    grads, images = _nchw(grad_y, layout), _nchw(x, layout)
    shape = shapes.shape_to_nchw(w_shape, layout)
    windows = _windows(images.shape[2:], shape[2:], stride, padding, dilation)
    grad_w = _run(_wgrad, grad_y.dtype, shape, grads, windows.pad(images, 0, padding_mode))(
        groups, *windows.stride, *windows.dilation
    )
    if flip_kernel:
        grad_w = grad_w[:, :, ::-1, ::-1]
    return shapes.from_nchw(grad_w, layout, grad_y.dtype)


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
    images = _nchw(x, layout)
    windows = shapes.pool_windows(
        images.shape[2:], kernel_size, stride, padding, dilation, ceil_mode
    )
    y = np.full(images.shape[:2] + windows.output, -np.inf)
    indices = np.full(y.shape, -1)
    (top, _), (left, _) = windows.pads
    _max(images, y, indices, *windows.kernel, *windows.stride, *windows.dilation, top, left)
    y = shapes.from_nchw(y, layout, x.dtype)
    if not return_indices:
        return y
    return y, shapes.from_nchw(indices, layout, np.dtype(np.int64))


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
    images = _nchw(x, layout)
    windows = shapes.pool_windows(images.shape[2:], kernel_size, stride, padding, 1, ceil_mode)
    (top, _), (left, _) = windows.pads
    y = _run(_sum, x.dtype, images.shape[:2] + windows.output, images)(
        *windows.kernel, *windows.stride, top, left
    )
    return shapes.from_nchw(y / divisor(windows, count_include_pad), layout, x.dtype)


def gram_matrix(x: np.ndarray, normalize: bool = False, *, layout: str = "NCHW") -> np.ndarray:
    images = _nchw(x, layout)
    n, c, h, w = images.shape
    gram = _run(_gram, x.dtype, (n, c, c), images.reshape(n, c, h * w))()
    return (gram / (c * h * w) if normalize and n else gram).astype(x.dtype)


def _run(
    kernel: Callable[..., None], dtype: Any, shape: tuple[int, ...], *arrays: np.ndarray
) -> Callable[..., np.ndarray]:
    """Runs a kernel into two arrays of zeros, sums and what they lost, and adds these."""

    def run(*parameters: int) -> np.ndarray:
        exact = dtype == np.longdouble
        total = np.zeros(shape)
        low = np.zeros(shape)
        kernel(*arrays, total, low, exact, *parameters)
        if not exact:
            return total
        return total.astype(dtype) + np.where(np.isfinite(total), low, 0)

    return run


def _nchw(array: np.ndarray, layout: str) -> np.ndarray:
    return np.ascontiguousarray(shapes.to_nchw(array, layout), np.float64)


def _filters(w: np.ndarray, layout: str, flip_kernel: bool) -> np.ndarray:
    filters = _nchw(w, layout)
    return np.ascontiguousarray(filters[:, :, ::-1, ::-1]) if flip_kernel else filters


def _windows(sides: Any, kernel: Any, stride: Any, padding: Any, dilation: Any) -> shapes.Windows:
    return shapes.conv_windows(sides, kernel, stride, padding, dilation)


@intrinsic
def _fma(context, a, b, c):  # type: ignore[no-untyped-def]
    """a * b + c with one rounding."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), code


@_compiled
def _add(total, low, a, b, exact):  # type: ignore[no-untyped-def]
    """(total, low) + a * b; with exact, low gets what rounding takes from product and sum."""
    product = a * b
    new = total + product
    if exact:
        part = new - total
        low += (total - (new - part)) + (product - part) + _fma(a, b, -product)  # type: ignore[call-arg]
    return new, low


@_compiled
def _fprop(x, w, y, low, exact, groups, step_h, step_w, apart_h, apart_w):  # type: ignore[no-untyped-def]
    images, filters, rows, columns = y.shape
    _, channels, height, width = w.shape
    for n in range(images):
        for k in range(filters):
            first = k // (filters // groups) * channels
            for p in range(rows):
                line, rest = y[n, k, p], low[n, k, p]
                for c in range(channels):
                    for r in range(height):
                        seen = x[n, first + c, p * step_h + r * apart_h]
                        for s in range(width):
                            tap, start = w[k, c, r, s], s * apart_w
                            for q in range(columns):
                                line[q], rest[q] = _add(
                                    line[q], rest[q], tap, seen[q * step_w + start], exact
                                )


@_compiled
def _dgrad(grad_y, w, grad_x, low, exact, groups, step_h, step_w, apart_h, apart_w):  # type: ignore[no-untyped-def]
    images, filters, rows, columns = grad_y.shape
    _, channels, height, width = w.shape
    for n in range(images):
        for k in range(filters):
            first = k // (filters // groups) * channels
            for c in range(channels):
                for p in range(rows):
                    line = grad_y[n, k, p]
                    for r in range(height):
                        row = p * step_h + r * apart_h
                        seen, rest = grad_x[n, first + c, row], low[n, first + c, row]
                        for s in range(width):
                            tap, start = w[k, c, r, s], s * apart_w
                            for q in range(columns):
                                j = q * step_w + start
                                seen[j], rest[j] = _add(seen[j], rest[j], tap, line[q], exact)


@_compiled
def _wgrad(grad_y, x, grad_w, low, exact, groups, step_h, step_w, apart_h, apart_w):  # type: ignore[no-untyped-def]
    images, filters, rows, columns = grad_y.shape
    _, channels, height, width = grad_w.shape
    # One sum for each column: a single chain could not be vectorised.
    sums, rests = np.zeros(columns), np.zeros(columns)
    for k in range(filters):
        first = k // (filters // groups) * channels
        for c in range(channels):
            for r in range(height):
                for s in range(width):
                    sums[:], rests[:] = 0, 0
                    start = s * apart_w
                    for n in range(images):
                        for p in range(rows):
                            line = grad_y[n, k, p]
                            seen = x[n, first + c, p * step_h + r * apart_h]
                            for q in range(columns):
                                sums[q], rests[q] = _add(
                                    sums[q], rests[q], line[q], seen[q * step_w + start], exact
                                )
                    grad_w[k, c, r, s], low[k, c, r, s] = _total(sums, rests, exact)


@_compiled
def _total(sums, rests, exact):  # type: ignore[no-untyped-def]
    total, low = 0.0, rests.sum()
    for one in sums:
        total, low = _add(total, low, one, 1.0, exact)
    return total, low


@_compiled
def _gram(features, gram, low, exact):  # type: ignore[no-untyped-def]
    images, channels, pixels = features.shape
    sums, rests = np.zeros(_LANES), np.zeros(_LANES)
    for n in range(images):
        for i in range(channels):
            one = features[n, i]
            for j in range(i + 1):
                other = features[n, j]
                sums[:], rests[:] = 0, 0
                for start in range(0, pixels, _LANES):
                    for m in range(min(_LANES, pixels - start)):
                        sums[m], rests[m] = _add(
                            sums[m], rests[m], one[start + m], other[start + m], exact
                        )
                gram[n, i, j], low[n, i, j] = _total(sums, rests, exact)
                gram[n, j, i], low[n, j, i] = gram[n, i, j], low[n, i, j]


@_compiled
def _sum(x, y, low, exact, height, width, step_h, step_w, top, left):  # type: ignore[no-untyped-def]
    images, channels, rows, columns = y.shape
    for n in range(images):
        for c in range(channels):
            image = x[n, c]
            for p in range(rows):
                for q in range(columns):
                    low_i, low_j = p * step_h - top, q * step_w - left
                    total, rest = 0.0, 0.0
                    for i in range(max(low_i, 0), min(low_i + height, image.shape[0])):
                        for j in range(max(low_j, 0), min(low_j + width, image.shape[1])):
                            total, rest = _add(total, rest, image[i, j], 1.0, exact)
                    y[n, c, p, q], low[n, c, p, q] = total, rest


@_compiled
def _max(x, y, indices, height, width, step_h, step_w, apart_h, apart_w, top, left):  # type: ignore[no-untyped-def]
    images, channels, rows, columns = y.shape
    for n in range(images):
        for c in range(channels):
            image = x[n, c]
            for p in range(rows):
                for q in range(columns):
                    best, found = -np.inf, -1
                    for r in range(height):
                        i = p * step_h - top + r * apart_h
                        for s in range(width):
                            j = q * step_w - left + s * apart_w
                            if i < 0 or i >= image.shape[0] or j < 0 or j >= image.shape[1]:
                                continue
                            value = image[i, j]
                            first_nan = np.isnan(value) and not np.isnan(best)
                            if found < 0 or value > best or first_nan:
                                best, found = value, i * image.shape[1] + j
                    y[n, c, p, q], indices[n, c, p, q] = best, found
