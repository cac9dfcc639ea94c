"""Convolution and its gradients, tap by tap."""

from typing import Any

import numpy as np

from .shapes import accumulator, conv_windows, from_nchw, shape_to_nchw, to_nchw


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
    """2-D cross-correlation of images with filters.

    y[n, k, p, q] = act(bias[k] + residual[n, k, p, q]
        + sum over c, r, s of w[k, c, r, s] * x[n, c, p*stride - top + r*dilation, ...]),
    x being outside what padding_mode says (numpy.pad: constant zeros, reflect, edge or wrap);
    flip_kernel takes w[k, c, R-1-r, S-1-s].

    >>> conv2d(np.ones((1, 3, 227, 227)), np.ones((96, 3, 11, 11)), stride=4).shape
    (1, 96, 55, 55)
    """
    x, w = np.asarray(x), np.asarray(w)
    images, filters = to_nchw(x, layout), _filters(w, layout, flip_kernel)
    _check_groups(images.shape[1], filters.shape[0], filters.shape[1], groups)
    windows = conv_windows(images.shape[2:], filters.shape[2:], stride, padding, dilation)
    total = accumulator(x, w)
    padded = windows.pad(images.astype(total), 0, padding_mode)
    y = np.zeros((len(images), len(filters), *windows.output), total)
    for r, s in windows.taps():
        seen = _by_group(windows.seen(padded, r, s), groups)  # g, c, n, p, q
        tap = filters[:, :, r, s].astype(total).reshape(groups, -1, filters.shape[1])  # g, k, c
        y += _from_groups(tap @ seen.reshape(groups, filters.shape[1], -1), y.shape)
    if bias is not None:
        y += np.asarray(bias).astype(total).reshape(1, -1, 1, 1)
    if residual is not None:
        y += to_nchw(residual, layout)
    return from_nchw(activate(y, activation), layout, x.dtype)


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
    """Gradient of conv2d for x.

    grad_x[n, c, h, v] = sum of w[k, c, r, s] * grad_y[n, k, p, q] over all k, r, s, p, q whose
    tap lies at that pixel: p*stride - top + r*dilation == h, q*stride - left + s*dilation == v,
    or at a place of the padding that shows it.
    """
    grad_y, w = np.asarray(grad_y), np.asarray(w)
    grads, filters = to_nchw(grad_y, layout), _filters(w, layout, flip_kernel)
    shape = shape_to_nchw(x_shape, layout)
    _check_groups(shape[1], filters.shape[0], filters.shape[1], groups)
    windows = conv_windows(shape[2:], filters.shape[2:], stride, padding, dilation)
    _check_grad(grads.shape, (shape[0], len(filters), *windows.output))
    total = accumulator(grad_y, w)
    padded = np.zeros(shape[:2] + windows.padded_sides, total)
    per_group = _by_group(grads.astype(total), groups)  # g, k, n, p, q
    per_group = per_group.reshape(groups, len(filters) // groups, -1)
    for r, s in windows.taps():
        tap = filters[:, :, r, s].astype(total).reshape(groups, -1, filters.shape[1])  # g, k, c
        seen = windows.seen(padded, r, s)
        seen += _from_groups(tap.swapaxes(1, 2) @ per_group, seen.shape)
    return from_nchw(windows.fold(padded, padding_mode), layout, grad_y.dtype)


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
    """Gradient of conv2d for w.

    grad_w[k, c, r, s] = sum over n, p, q of
        grad_y[n, k, p, q] * x[n, c, p*stride - top + r*dilation, q*stride - left + s*dilation].
    """
    grad_y, x = np.asarray(grad_y), np.asarray(x)
    grads, images = to_nchw(grad_y, layout), to_nchw(x, layout)
    shape = shape_to_nchw(w_shape, layout)
    _check_groups(images.shape[1], shape[0], shape[1], groups)
    windows = conv_windows(images.shape[2:], shape[2:], stride, padding, dilation)
    _check_grad(grads.shape, (len(images), shape[0], *windows.output))
    total = accumulator(grad_y, x)
    padded = windows.pad(images.astype(total), 0, padding_mode)
    grad_w = np.zeros(shape, total)
    per_group = _by_group(grads.astype(total), groups)  # g, k, n, p, q
    per_group = per_group.reshape(groups, shape[0] // groups, -1)
    for r, s in windows.taps():
        seen = _by_group(windows.seen(padded, r, s), groups).reshape(groups, shape[1], -1)
        grad_w[:, :, r, s] = (per_group @ seen.swapaxes(1, 2)).reshape(shape[:2])
    if flip_kernel:
        grad_w = grad_w[:, :, ::-1, ::-1]
    return from_nchw(grad_w, layout, grad_y.dtype)


def conv2d_bias_grad(grad_y: np.ndarray, *, layout: str = "NCHW") -> np.ndarray:
    """Gradient of conv2d for bias: grad_b[k] = sum over n, p, q of grad_y[n, k, p, q]."""
    grad_y = np.asarray(grad_y)
    grads = to_nchw(grad_y, layout).astype(accumulator(grad_y), order="C")
    return np.asarray(grads.sum(axis=(0, 2, 3)), grad_y.dtype)


def activate(z: np.ndarray, activation: str | None) -> np.ndarray:
    """act(z): None, "relu" (which keeps NaN), "tanh" or "sigmoid"."""
    y: np.ndarray
    if activation is None:
        y = z
    elif activation == "relu":
        y = np.maximum(z, 0)
    elif activation == "tanh":
        y = np.tanh(z)
    elif activation == "sigmoid":
        small = np.exp(-np.abs(z))  # never overflows
        y = np.where(z < 0, small, 1) / (1 + small)
    else:
        raise ValueError(f"activation is {activation!r}")
    return y


def _filters(w: np.ndarray, layout: str, flip_kernel: bool) -> np.ndarray:
    filters = to_nchw(w, layout)
    return filters[:, :, ::-1, ::-1] if flip_kernel else filters


def _by_group(array: np.ndarray, groups: int) -> np.ndarray:
    """(N, C, H, W) as (groups, C/groups, N, H, W)."""
    n, c, h, w = array.shape
    return array.transpose(1, 0, 2, 3).reshape(groups, c // groups, n, h, w)


def _from_groups(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(groups, C/groups, N*H*W) back as (N, C, H, W)."""
    n, c, h, w = shape
    return array.reshape(c, n, h, w).transpose(1, 0, 2, 3)


def _check_groups(c: int, k: int, c_per_group: int, groups: int) -> None:
    if groups < 1 or c % groups or k % groups or c // groups != c_per_group:
        raise ValueError(
            f"{c} channels and {k} filters of {c_per_group} do not fit {groups} groups"
        )


def _check_grad(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ValueError(f"grad_y is {shape} in NCHW order, it must be {expected}")
