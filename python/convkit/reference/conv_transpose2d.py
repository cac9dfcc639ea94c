"""Transposed convolution and its gradients: every pixel lays a filter onto a canvas."""

from typing import Any

import numpy as np

from .conv2d import activate
from .shapes import accumulator, effective, from_nchw, pads, pair, shape_to_nchw, to_nchw


def conv_transpose2d(
    x: np.ndarray,
    w: np.ndarray,
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
) -> np.ndarray:
    """y[n, k, i*stride - top + r*dilation, ...] += w[c, k, r, s] * x[n, c, i, j], then
    y = activation(y + bias[k] + residual).

    w is (C, K/groups, R, S).

    >>> conv_transpose2d(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), stride=2)[0, 0].tolist()
    [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]]
    """
    x, w = np.asarray(x), np.asarray(w)
    images, filters = to_nchw(x, layout), _filters(w, layout, flip_kernel)
    canvas = _Canvas(images.shape, filters.shape, stride, padding, output_padding, dilation, groups)
    total = accumulator(x, w)
    drawn = np.zeros((len(images), canvas.channels, *canvas.sides), total)
    pixels = _by_group(images.astype(total), groups)
    for r, s in np.ndindex(*canvas.kernel):
        tap = filters[:, :, r, s].astype(total).reshape(groups, -1, filters.shape[1])  # g, c, k
        laid = np.einsum("gck,ngcij->ngkij", tap, pixels)
        under = canvas.under(drawn, r, s)
        under += laid.reshape(under.shape)
    y = canvas.crop(drawn)
    if bias is not None:
        y = y + np.asarray(bias).reshape(1, -1, 1, 1)
    if residual is not None:
        y = y + to_nchw(np.asarray(residual), layout)
    return from_nchw(activate(y, activation), layout, x.dtype)


def conv_transpose2d_input_grad(
    grad_y: np.ndarray,
    w: np.ndarray,
    x_shape: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    flip_kernel: bool = False,
) -> np.ndarray:
    """grad_x[n, c, i, j] = sum over k, r, s of w[c, k, r, s] * grad_y where pixel i, j laid it."""
    grad_y, w = np.asarray(grad_y), np.asarray(w)
    filters, shape = _filters(w, layout, flip_kernel), shape_to_nchw(x_shape, layout)
    canvas = _Canvas(shape, filters.shape, stride, padding, output_padding, dilation, groups)
    total = accumulator(grad_y, w)
    drawn = canvas.uncrop(to_nchw(grad_y, layout).astype(total))
    grad_x = np.zeros(shape, total)
    for r, s in np.ndindex(*canvas.kernel):
        tap = filters[:, :, r, s].astype(total).reshape(groups, -1, filters.shape[1])  # g, c, k
        seen = _by_group(canvas.under(drawn, r, s), groups)
        grad_x += np.einsum("gck,ngkij->ngcij", tap, seen).reshape(shape)
    return from_nchw(grad_x, layout, grad_y.dtype)


def conv_transpose2d_weight_grad(
    grad_y: np.ndarray,
    x: np.ndarray,
    w_shape: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str = "NCHW",
    flip_kernel: bool = False,
) -> np.ndarray:
    """grad_w[c, k, r, s] = sum over n, i, j of x[n, c, i, j] * grad_y where tap r, s laid it."""
    grad_y, x = np.asarray(grad_y), np.asarray(x)
    images, shape = to_nchw(x, layout), shape_to_nchw(w_shape, layout)
    canvas = _Canvas(images.shape, shape, stride, padding, output_padding, dilation, groups)
    total = accumulator(grad_y, x)
    drawn = canvas.uncrop(to_nchw(grad_y, layout).astype(total))
    pixels = _by_group(images.astype(total), groups)
    grad_w = np.zeros(shape, total)
    for r, s in np.ndindex(*canvas.kernel):
        seen = _by_group(canvas.under(drawn, r, s), groups)
        grad_w[:, :, r, s] = np.einsum("ngcij,ngkij->gck", pixels, seen).reshape(shape[:2])
    if flip_kernel:
        grad_w = grad_w[:, :, ::-1, ::-1]
    return from_nchw(grad_w, layout, grad_y.dtype)


class _Canvas:
    """Where the filters of all pixels lie: the output with the padding that is cut off it."""

    def __init__(
        self,
        x_shape: tuple[int, ...],
        w_shape: tuple[int, ...],
        stride: Any,
        padding: Any,
        output_padding: Any,
        dilation: Any,
        groups: int,
    ) -> None:
        self.image, self.kernel = (x_shape[2], x_shape[3]), (w_shape[2], w_shape[3])
        self.channels = w_shape[1] * groups
        self.stride, self.dilation = pair(stride, "stride"), pair(dilation, "dilation")
        extra = pair(output_padding, "output_padding", 0)
        self.pads = pads(padding, self.image, self.kernel, self.stride, self.dilation)
        self.sides = tuple(
            (n - 1) * s + effective(f, d) + more
            for n, s, f, d, more in zip(
                self.image, self.stride, self.kernel, self.dilation, extra, strict=True
            )
        )

    def under(self, drawn: np.ndarray, r: int, s: int) -> np.ndarray:
        """The view (N, K, H, W) of where tap (r, s) of every pixel lies."""
        rows, columns = (
            slice(tap * d, tap * d + (n - 1) * step + 1, step)
            for tap, d, step, n in zip((r, s), self.dilation, self.stride, self.image, strict=True)
        )
        return drawn[:, :, rows, columns]

    def crop(self, drawn: np.ndarray) -> np.ndarray:
        (top, bottom), (left, right) = self.pads
        return drawn[:, :, top : self.sides[0] - bottom, left : self.sides[1] - right]

    def uncrop(self, y: np.ndarray) -> np.ndarray:
        return np.pad(y, ((0, 0), (0, 0), *self.pads))


def _by_group(images: np.ndarray, groups: int) -> np.ndarray:
    """(N, C, H, W) as (N, G, C/G, H, W)."""
    n, c, h, w = images.shape
    return images.reshape(n, groups, c // groups, h, w)


def _filters(w: np.ndarray, layout: str, flip_kernel: bool) -> np.ndarray:
    filters = to_nchw(w, layout)
    return filters[:, :, ::-1, ::-1] if flip_kernel else filters
