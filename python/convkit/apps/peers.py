"""The same work by NumPy, SciPy, torch and CuPy, as a careful user writes it; and the clock."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from convkit.apps import peers_channels
from convkit.apps.checks import Task
from convkit.testing import (
    AdaptivePool2d,
    BatchNorm,
    BiasGrad,
    Conv2d,
    CrossEntropy,
    Gram,
    Im2col,
    Lrn,
    Pool2d,
)

Call = Callable[[], Any]


def peers(task: Task, backend: str, threads: int) -> dict[str, Call]:
    """What can do the task on this machine, by name. NCHW only; none where nothing fits."""
    if task.problem.layout != "NCHW":
        return {}
    calls: dict[str, Call] = {}
    if backend == "cuda":
        import cupy

        calls |= _array_calls(task, cupy, "CuPy")
    else:
        calls |= _array_calls(task, np, "NumPy")
        if find_spec("scipy") is not None:
            calls |= _scipy_calls(task)
    if find_spec("torch") is not None:
        calls |= _torch_calls(task, backend, threads)
    return calls


@contextmanager
def fair_blas(others: dict[str, Call], threads: int) -> Iterator[None]:
    """Gives NumPy's BLAS one thread or `threads`, whichever makes its call here faster.

    Where other programs use the cores, BLAS threads that wait for one another can take a hundred
    times as long as one alone; that would flatter whatever stands beside them.
    """
    if "NumPy" not in others or find_spec("threadpoolctl") is None:
        yield
        return
    controller = _blas_controller()
    times = {}
    for count in {1, threads}:
        with controller.limit(limits=count, user_api="blas"):
            times[count] = min(_clock(others["NumPy"]) for _ in range(2))
    with controller.limit(limits=min(times, key=times.__getitem__), user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _blas_controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def interleave(calls: dict[str, Call], seconds: float, rounds: int = 15) -> dict[str, float]:
    """Median time of each call in microseconds, all taking turns, after one call each to warm up.

    A call that takes more than its share of `seconds` is timed by its one or two calls; one that
    raises is left out.
    """
    times: dict[str, list[float]] = {}
    share = seconds / max(1, len(calls))
    for name, call in calls.items():
        try:
            first = _clock(call)
        except Exception:  # another library, in a version that will not do this
            continue
        # The first call also pays for threads that start and pages that are new.
        times[name] = [first if first > share else _clock(call)]
    end = time.perf_counter() + seconds
    for _ in range(rounds - 1):
        for name, found in times.items():
            if found[0] <= share:
                found.append(_clock(calls[name]))
        if time.perf_counter() > end:
            break
    return {name: statistics.median(found) * 1e6 for name, found in times.items()}


def _clock(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _array_calls(task: Task, space: Any, name: str) -> dict[str, Call]:
    """By NumPy, or by CuPy with the same words: products by BLAS, windows tap by tap."""
    data = {key: space.asarray(array) for key, array in task.data.items()}
    problem, direction = task.problem, task.direction
    call: Callable[..., Any] | None = None
    if isinstance(problem, Conv2d) and problem.groups in (1, problem.c):
        call = {"fprop": _conv, "dgrad": _conv_dgrad, "wgrad": _conv_wgrad}[direction]
    elif isinstance(problem, Pool2d):
        call = _pool if direction == "fprop" else _pool_grad
    elif isinstance(problem, AdaptivePool2d):
        call = _adaptive_pool if direction == "fprop" or problem.kind == "avg" else _pool_grad
    elif isinstance(problem, Gram):
        call = _gram
    elif isinstance(problem, Im2col):
        call = _im2col
    elif isinstance(problem, BatchNorm) and problem.training:
        call = _batch_norm if direction == "fprop" else _batch_norm_grad
    elif isinstance(problem, BiasGrad):
        call = _bias_grad
    elif isinstance(problem, Lrn):
        call = peers_channels.lrn
    elif isinstance(problem, CrossEntropy):
        call = peers_channels.cross_entropy
    if call is None:
        return {}
    if space is np:
        return {name: lambda: call(np, problem, direction, data)}

    def synchronized() -> Any:
        result = call(space, problem, direction, data)
        space.cuda.Device().synchronize()
        return result

    return {name: synchronized}


def _columns(space: Any, x: Any, problem: Any) -> Any:
    """(N, C*R*S, P*Q): the windows, as a strided view first, then copied."""
    windows = problem.windows
    padded = space.zeros(x.shape[:2] + windows.padded_sides, x.dtype)
    windows.crop(padded)[...] = x
    dh, dw = problem.dilation
    size = (dh * (problem.r - 1) + 1, dw * (problem.s - 1) + 1)
    view = space.lib.stride_tricks.sliding_window_view(padded, size, axis=(2, 3))
    (p, q), (sh, sw) = problem.output, problem.stride
    view = view[:, :, : (p - 1) * sh + 1 : sh, : (q - 1) * sw + 1 : sw, ::dh, ::dw]
    return view.transpose(0, 1, 4, 5, 2, 3).reshape(problem.n, -1, p * q)


def _seen(space: Any, x: Any, problem: Any, value: float = 0.0) -> Iterator[tuple[int, int, Any]]:
    """(r, s, what that tap of every window sees)."""
    windows = problem.windows
    padded = space.full(x.shape[:2] + windows.padded_sides, value, x.dtype)
    windows.crop(padded)[...] = x
    for r, s in windows.taps():
        yield r, s, windows.seen(padded, r, s)


def _conv(space: Any, problem: Any, _: str, data: dict[str, Any]) -> Any:
    x, w = data["x"], data["w"]
    if problem.groups > 1:
        y = space.zeros(problem.y_shape, x.dtype)
        for r, s, seen in _seen(space, x, problem):
            y += w[:, 0, r, s, None, None] * seen
    else:
        pixels = problem.r == problem.s == 1 and problem.stride == (1, 1)
        columns = x.reshape(problem.n, problem.c, -1) if pixels else _columns(space, x, problem)
        y = (w.reshape(problem.k, -1) @ columns).reshape(problem.y_shape)
    if "bias" in data:
        y += data["bias"][:, None, None]
    return space.maximum(y, 0, out=y) if problem.activation == "relu" else y


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


def _bias_grad(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    return data["grad_y"].sum((0, 2, 3))


def _batch_norm(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    x = data["x"]
    mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    scale = data["weight"].reshape(1, -1, 1, 1) / space.sqrt(var + problem.eps)
    y = (x - mean) * scale + data["bias"].reshape(1, -1, 1, 1)
    return space.maximum(y, 0) if problem.activation == "relu" else y


def _batch_norm_grad(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    names = ("weight", "save_mean", "save_invstd")
    weight, mean, invstd = (data[name].reshape(1, -1, 1, 1) for name in names)
    grad_y, normal = data["grad_y"], (data["x"] - mean) * invstd
    grad_bias = grad_y.sum((0, 2, 3), keepdims=True)
    grad_weight = (grad_y * normal).sum((0, 2, 3), keepdims=True)
    m = normal[:, 0].size
    grad_x = (grad_y - grad_bias / m - normal * (grad_weight / m)) * (weight * invstd)
    return grad_x, grad_weight.ravel(), grad_bias.ravel()


def _adaptive_pool(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    """Window by window, which is what differing sizes leave."""
    from convkit.reference.adaptive_pool2d import windows

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


def _gram(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    features = data["x"].reshape(problem.n, problem.c, -1)
    size = problem.c * problem.h * problem.w if problem.normalize else 1
    if direction == "fprop":
        return features @ features.swapaxes(1, 2) / size
    grad = data["grad_y"]
    return ((grad + grad.swapaxes(1, 2)) / size @ features).reshape(problem.x_shape)


def _im2col(space: Any, problem: Any, direction: str, data: dict[str, Any]) -> Any:
    if direction == "fprop":
        return _columns(space, data["x"], problem)
    shape = (problem.n, problem.c, problem.r, problem.s, *problem.output)
    cells = data["grad_y"].reshape(shape)
    return _scatter(space, problem, lambda r, s: cells[:, :, r, s], cells.dtype)


def _scipy_calls(task: Task) -> dict[str, Call]:
    """SciPy works on one plane; sums over channels and strides are the user's own, as here."""
    problem, data = task.problem, task.data
    if task.direction != "fprop" or getattr(problem, "dilation", (1, 1)) != (1, 1):
        return {}
    if isinstance(problem, Conv2d) and problem.stride == (1, 1) and problem.padding == "same":
        if problem.r == 1 or problem.r % 2 == 0 or "bias" in data:
            return {}
        from scipy.signal import correlate2d

        def convolve() -> Any:
            y = np.zeros(problem.y_shape, np.float32)
            per_group = problem.k // problem.groups
            for k, filters in enumerate(data["w"]):
                first = k // per_group * len(filters)
                for c, plane in enumerate(filters):
                    y[0, k] += correlate2d(data["x"][0, first + c], plane, "same")
            return y

        return {"SciPy": convolve}
    if isinstance(problem, Pool2d) and problem.r % 2 and not problem.ceil_mode:
        from scipy.ndimage import maximum_filter, uniform_filter

        largest = problem.kind == "max"
        smooth, outside = (maximum_filter, -np.inf) if largest else (uniform_filter, 0)
        (p, q), (sh, sw) = problem.output, problem.stride
        (top, _), (left, _) = problem.windows.pads
        rows = slice(problem.r // 2 - top, None, sh)
        columns = slice(problem.s // 2 - left, None, sw)

        def pool() -> Any:
            size = (1, 1, problem.r, problem.s)
            full = smooth(data["x"], size=size, mode="constant", cval=outside)
            return full[:, :, rows, columns][:, :, :p, :q]

        return {"SciPy": pool}
    return {}


def _torch_calls(task: Task, backend: str, threads: int) -> dict[str, Call]:
    import torch

    if backend == "cuda" and not torch.cuda.is_available():
        return {}
    if backend != "cuda":
        torch.set_num_threads(threads)
    device = "cuda" if backend == "cuda" else "cpu"
    data = {key: torch.from_numpy(array).to(device) for key, array in task.data.items()}
    call = _torch_call(torch, task.problem, task.direction, data)
    if call is None:
        return {}

    def without_tape() -> Any:
        with torch.no_grad():
            result = call()
        if backend == "cuda":
            torch.cuda.synchronize()
        return result

    return {"torch": without_tape}


def _torch_call(torch: Any, problem: Any, direction: str, data: dict[str, Any]) -> Call | None:
    functional, aten = torch.nn.functional, torch.ops.aten
    if isinstance(problem, AdaptivePool2d):
        return _torch_adaptive_pool(torch, problem, direction, data)
    if isinstance(problem, BiasGrad):
        return lambda: data["grad_y"].sum((0, 2, 3))
    if isinstance(problem, BatchNorm):
        return _torch_batch_norm(torch, problem, direction, data)
    if isinstance(problem, Lrn | CrossEntropy):
        return peers_channels.torch_call(torch, problem, direction, data)
    if not isinstance(problem, (Conv2d, Pool2d, Gram, Im2col)):
        return None
    pads: tuple[int, ...] = ()
    if not isinstance(problem, Gram):
        if any(low != high for low, high in problem.windows.pads):
            return None  # torch pads both sides alike
        pads = tuple(low for low, _ in problem.windows.pads)
    if isinstance(problem, Conv2d):
        sizes = {
            "stride": problem.stride,
            "padding": pads,
            "dilation": problem.dilation,
            "groups": problem.groups,
        }
        if direction == "dgrad":
            grad = torch.nn.grad.conv2d_input
            return lambda: grad(problem.x_shape, data["w"], data["grad_y"], **sizes)
        if direction == "wgrad":
            grad = torch.nn.grad.conv2d_weight
            return lambda: grad(data["x"], problem.w_shape, data["grad_y"], **sizes)
        act = torch.relu if problem.activation == "relu" else lambda y: y
        return lambda: act(functional.conv2d(data["x"], data["w"], data.get("bias"), **sizes))
    if isinstance(problem, Gram):
        return lambda: _gram(torch, problem, direction, data)
    size = (problem.r, problem.s)
    if isinstance(problem, Im2col):
        rest = (problem.dilation, pads, problem.stride)
        if direction == "fprop":
            return lambda: functional.unfold(data["x"], size, *rest)
        sides = (problem.h, problem.w)
        return lambda: functional.fold(data["grad_y"], sides, size, *rest)
    window = (size, problem.stride, pads)
    if problem.kind == "max":
        if direction == "fprop":
            pool = functional.max_pool2d
            return lambda: pool(data["x"], *window, 1, problem.ceil_mode, return_indices=True)
        x = torch.zeros(problem.x_shape, device=data["grad_y"].device)
        back = aten.max_pool2d_with_indices_backward
        arrays = (data["grad_y"], x)
        return lambda: back(*arrays, *window, [1, 1], problem.ceil_mode, data["indices"])
    counts = (problem.ceil_mode, problem.count_include_pad)
    if direction == "fprop":
        return lambda: functional.avg_pool2d(data["x"], *window, *counts)
    x = torch.zeros(problem.x_shape, device=data["grad_y"].device)
    return lambda: aten.avg_pool2d_backward(data["grad_y"], x, *window, *counts, None)


def _torch_batch_norm(
    torch: Any, problem: BatchNorm, direction: str, data: dict[str, Any]
) -> Call | None:
    weight, past = data.get("weight"), (data.get("running_mean"), data.get("running_var"))
    rule = (problem.training, problem.eps)
    if direction == "dgrad":
        saved = (data["save_mean"], data["save_invstd"])
        arrays = (data["grad_y"], data["x"], weight, *(past if problem.training else saved))
        back = torch.ops.aten.native_batch_norm_backward
        return lambda: back(*arrays, *saved, *rule, [True, True, True])
    act = torch.relu if problem.activation == "relu" else lambda y: y
    norm = torch.nn.functional.batch_norm
    arrays = (data["x"], *past, weight, data.get("bias"))
    return lambda: act(norm(*arrays, problem.training, 0.1, problem.eps))


def _torch_adaptive_pool(torch: Any, problem: Any, direction: str, data: dict[str, Any]) -> Call:
    functional, aten = torch.nn.functional, torch.ops.aten
    if direction == "fprop" and problem.kind == "max":
        return lambda: functional.adaptive_max_pool2d(data["x"], problem.output, True)
    if direction == "fprop":
        return lambda: functional.adaptive_avg_pool2d(data["x"], problem.output)
    x = torch.zeros(problem.x_shape, device=data["grad_y"].device)
    if problem.kind == "max":
        back = aten.adaptive_max_pool2d_backward
        return lambda: back(data["grad_y"], x, data["indices"])
    return lambda: aten._adaptive_avg_pool2d_backward(data["grad_y"], x)
