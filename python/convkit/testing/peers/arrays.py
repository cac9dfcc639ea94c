"""The ops by NumPy, or by CuPy with the same words: products by BLAS, windows tap by tap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from convkit.reference.adaptive_pool2d import windows
from convkit.reference.shapes import NUMPY_MODES
from convkit.testing.channel_lines import BatchNorm, BiasGrad, CrossEntropy, Lrn
from convkit.testing.lines import (
    AdaptivePool2d,
    Conv2d,
    ConvTranspose2d,
    Gram,
    Im2col,
    Linear,
    Pool2d,
    Problem,
)


def make(problem: Problem, direction: str, data: dict[str, Any], space: Any) -> Any:
    """A call with no argument that does the work in `space` (numpy or cupy); None for no way."""
    call: Callable[..., Any] | None = None
    if isinstance(problem, ConvTranspose2d):
        mirrored = mirror(problem, direction, data)
        return mirrored and make(*mirrored, space)
    if isinstance(problem, Conv2d):
        depthwise = problem.groups == problem.c == problem.k
        if direction == "dgrad" and problem.padding_mode != "zeros":
            return None
        if not problem.flip and (problem.groups == 1 or depthwise):
            call = {"fprop": _conv, "dgrad": _conv_dgrad, "wgrad": _conv_wgrad}[direction]
    elif isinstance(problem, Pool2d):
        if problem.kind == "max" or (problem.count_include_pad and not problem.ceil_mode):
            call = _pool if direction == "fprop" else _pool_grad
    elif isinstance(problem, AdaptivePool2d):
        call = _adaptive_pool if direction == "fprop" or problem.kind == "avg" else _pool_grad
    elif isinstance(problem, BatchNorm):
        call = _batch_norm if direction == "fprop" else _batch_norm_grad
    elif isinstance(problem, BiasGrad):
        call = _bias_grad
    elif isinstance(problem, Lrn):
        call = _lrn
    elif isinstance(problem, CrossEntropy):
        if not problem.ignored and not problem.smooth and problem.reduction != "none":
            call = _cross_entropy
    elif isinstance(problem, Gram):
        call = gram
    elif isinstance(problem, Im2col):
        call = _im2col
    elif isinstance(problem, Linear):
        call = _linear
    if call is None:
        return None
    arrays = {key: space.asarray(array) for key, array in data.items()}
    return lambda: call(space, problem, direction, arrays)


def mirror(
    problem: ConvTranspose2d, direction: str, data: dict[str, Any]
) -> tuple[Conv2d, str, dict[str, Any]] | None:
    """The same work as a direction of a convolution: a transposed one is its input gradient.

    None where the output padding makes an output that no convolution has as its image, and where
    the result is not yet that of the sums.
    """
    if direction == "fprop" and (problem.bias or problem.residual or problem.activation):
        return None
    height, width = problem.output
    names = ("n", "r", "s", "stride", "padding", "dilation", "groups", "layout", "flip")
    same = {name: getattr(problem, name) for name in names}
    mirrored = Conv2d(**same, c=problem.k, h=height, w=width, k=problem.c)
    if mirrored.output != (problem.h, problem.w):
        return None
    other = {"x": "grad_y", "grad_y": "x", "w": "w"}
    way = {"fprop": "dgrad", "dgrad": "fprop", "wgrad": "wgrad"}[direction]
    return mirrored, way, {other[name]: array for name, array in data.items()}


def _columns(space: Any, x: Any, problem: Any) -> Any:
    """(N, C*R*S, P*Q): the windows, as a strided view first, then copied."""
    padded = _pad(space, x, problem)
    dh, dw = problem.dilation
    size = (dh * (problem.r - 1) + 1, dw * (problem.s - 1) + 1)
    view = space.lib.stride_tricks.sliding_window_view(padded, size, axis=(2, 3))
    (p, q), (sh, sw) = problem.output, problem.stride
    view = view[:, :, : (p - 1) * sh + 1 : sh, : (q - 1) * sw + 1 : sw, ::dh, ::dw]
    return view.transpose(0, 1, 4, 5, 2, 3).reshape(problem.n, -1, p * q)


def _seen(space: Any, x: Any, problem: Any, value: float = 0.0) -> Iterator[tuple[int, int, Any]]:
    """(r, s, what that tap of every window sees)."""
    windows, padded = problem.windows, _pad(space, x, problem, value)
    for r, s in windows.taps():
        yield r, s, windows.seen(padded, r, s)


def _pad(space: Any, x: Any, problem: Any, value: float = 0.0) -> Any:
    mode = getattr(problem, "padding_mode", "zeros")
    if mode != "zeros":
        return space.pad(x, ((0, 0), (0, 0), *problem.windows.pads), NUMPY_MODES[mode])
    padded = space.full(x.shape[:2] + problem.windows.padded_sides, value, x.dtype)
    problem.windows.crop(padded)[...] = x
    return padded


def _conv(space: Any, problem: Any, _: str, data: dict[str, Any]) -> Any:
    x, w = data["x"], data["w"]
    if problem.groups > 1:
        y = space.zeros(problem.y_shape, x.dtype)
        for r, s, seen in _seen(space, x, problem):
            y += w[:, 0, r, s, None, None] * seen
    else:
        pixels = problem.r == problem.s == 1 and problem.stride == (1, 1)
        pixels = pixels and problem.windows.padded_sides == (problem.h, problem.w)
        columns = x.reshape(problem.n, problem.c, -1) if pixels else _columns(space, x, problem)
        y = (w.reshape(problem.k, -1) @ columns).reshape(problem.y_shape)
    if "bias" in data:
        y += data["bias"][:, None, None]
    return _finish(space, y, problem, data)


def _finish(space: Any, y: Any, problem: Any, data: dict[str, Any]) -> Any:
    if "residual" in data:
        y += data["residual"]
    if problem.activation == "relu":
        return space.maximum(y, 0, out=y)
    if problem.activation == "tanh":
        return space.tanh(y, out=y)
    return 1 / (1 + space.exp(-y)) if problem.activation == "sigmoid" else y


def _scatter(space: Any, problem: Any, tap: Callable[[int, int], Any], dtype: Any) -> Any:
    """Adds tap(r, s) to the pixels that tap reads: the way back from windows to an image."""
    windows = problem.windows
    image = space.zeros((problem.n, problem.c, *windows.padded_sides), dtype)
    for r, s in windows.taps():
        seen = windows.seen(image, r, s)
        seen += tap(r, s)
    return windows.crop(image)


def _conv_dgrad(space: Any, problem: Any, _: str, data: dict[str, Any]) -> Any:
    grad, w = data["grad_y"], data["w"]
    if problem.groups > 1:
        return _scatter(space, problem, lambda r, s: w[:, 0, r, s, None, None] * grad, grad.dtype)
    flat = grad.reshape(problem.n, problem.k, -1)
    shape = (problem.n, problem.c, *problem.output)
    return _scatter(
        space, problem, lambda r, s: (w[:, :, r, s].T @ flat).reshape(shape), grad.dtype
    )


def _conv_wgrad(space: Any, problem: Any, _: str, data: dict[str, Any]) -> Any:
    grad = data["grad_y"]
    if problem.groups > 1:
        taps = [
            space.einsum("ncpq,ncpq->c", seen, grad)
            for _, _, seen in _seen(space, data["x"], problem)
        ]
        return space.stack(taps, axis=-1).reshape(problem.w_shape)
    columns = _columns(space, data["x"], problem)
    products = grad.reshape(problem.n, problem.k, -1) @ columns.swapaxes(1, 2)
    return products.sum(axis=0).reshape(problem.w_shape)


def _pool(space: Any, problem: Any, _: str, data: dict[str, Any]) -> Any:
    largest = problem.kind == "max"
    start = -np.inf if largest else 0.0
    y = space.full(problem.y_shape, start, data["x"].dtype)
    for _r, _s, seen in _seen(space, data["x"], problem, start):
        if largest:
            space.maximum(y, seen, out=y)
        else:
            y += seen
    return y if largest else y / (problem.r * problem.s)


def _pool_grad(space: Any, problem: Any, _: str, data: dict[str, Any]) -> Any:
    grad = data["grad_y"]
    if problem.kind == "avg":
        share = grad / (problem.r * problem.s)
        return _scatter(space, problem, lambda r, s: share, grad.dtype)
    image = space.zeros((problem.n * problem.c, problem.h * problem.w), grad.dtype)
    plane = space.arange(problem.n * problem.c)[:, None]
    places = (plane, data["indices"].reshape(len(image), -1))
    space.add.at(image, places, grad.reshape(len(image), -1))
    return image.reshape(problem.x_shape)


def _adaptive_pool(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    """Window by window, which is what differing sizes leave."""
    places = windows((problem.h, problem.w), problem.output)
    if direction == "fprop":
        reduce = space.max if problem.kind == "max" else space.mean
        y = space.empty(problem.y_shape, data["x"].dtype)
        for (p, q), rows, columns in places:
            y[:, :, p, q] = reduce(data["x"][:, :, rows, columns], axis=(2, 3))
        return y
    share = data["grad_y"] / space.asarray(problem.divisors, data["grad_y"].dtype)
    image = space.zeros(problem.x_shape, share.dtype)
    for (p, q), rows, columns in places:
        image[:, :, rows, columns] += share[:, :, p, q, None, None]
    return image


def _batch_norm(space: Any, problem: Any, _: str, data: dict[str, Any]) -> Any:
    x = data["x"]
    if problem.training:
        mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    else:
        mean, var = data["running_mean"], data["running_var"]
    scale = 1 / space.sqrt(var + problem.eps)
    if "weight" in data:
        scale = scale * data["weight"]
    y = (x - mean[:, None, None]) * scale[:, None, None]
    if "bias" in data:
        y += data["bias"][:, None, None]
    return _finish(space, y, problem, data)


def _batch_norm_grad(space: Any, problem: Any, _: str, data: dict[str, Any]) -> Any:
    mean, invstd = data["save_mean"][:, None, None], data["save_invstd"][:, None, None]
    scale = invstd * data["weight"][:, None, None] if "weight" in data else invstd
    grad_y, normal = data["grad_y"], (data["x"] - mean) * invstd
    grad_bias = grad_y.sum((0, 2, 3), keepdims=True)
    grad_weight = (grad_y * normal).sum((0, 2, 3), keepdims=True)
    if problem.training:
        m = normal[:, 0].size
        grad_y = grad_y - grad_bias / m - normal * (grad_weight / m)
    return grad_y * scale, grad_weight.ravel(), grad_bias.ravel()


def _bias_grad(space: Any, problem: Any, _: str, data: dict[str, Any]) -> Any:
    return data["grad_y"].sum((0, 2, 3))


def _lrn(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    """Sums over windows as differences of running sums."""
    x, (before, after) = data["x"], problem.window
    a, b = problem.alpha / problem.size, problem.beta
    s = problem.k + a * _sums(space, x * x, before, after)
    if direction == "fprop":
        return x / s**b
    scaled = data["grad_y"] / s**b
    return scaled - 2 * a * b * x * _sums(space, scaled * x / s, after, before)


def _sums(space: Any, values: Any, before: int, after: int) -> Any:
    padded = space.pad(values, ((0, 0), (before + 1, after), (0, 0), (0, 0)))
    running = space.cumsum(padded, 1, dtype="f8")
    return (running[:, before + after + 1 :] - running[:, : values.shape[1]]).astype(values.dtype)


def _cross_entropy(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    z, own = data["x"], data["target"][:, None]
    s = z - z.max(1, keepdims=True)
    e, count = space.exp(s), own.size if problem.reduction == "mean" else 1
    total = e.sum(1, keepdims=True)
    if direction == "fprop":
        losses = space.log(total) - space.take_along_axis(s, own, 1)
        return losses.sum() / count
    wanted = space.arange(problem.c).reshape(1, -1, *[1] * (z.ndim - 2)) == own
    return (e / total - wanted) * (data["grad_y"] / count)


def gram(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    features = data["x"].reshape(problem.n, problem.c, -1)
    size = problem.c * problem.h * problem.w if problem.normalize else 1
    if direction == "fprop":
        return features @ features.swapaxes(1, 2) / size
    grad = data["grad_y"]
    return ((grad + grad.swapaxes(1, 2)) / size @ features).reshape(problem.x_shape)


def _linear(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    if direction == "dgrad":
        return data["grad_y"] @ data["w"]
    if direction == "wgrad":
        return data["grad_y"].T @ data["x"]
    y = data["x"] @ data["w"].T
    if "bias" in data:
        y += data["bias"]
    return _finish(space, y, problem, data)


def _im2col(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    if direction == "fprop":
        return _columns(space, data["x"], problem)
    shape = (problem.n, problem.c, problem.r, problem.s, *problem.output)
    cells = data["grad_y"].reshape(shape)
    return _scatter(space, problem, lambda r, s: cells[:, :, r, s], cells.dtype)
