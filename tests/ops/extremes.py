"""Calls on tiny images with enormous strides, padding, dilation and windows, run by
test_extremes.py in a process with little memory. Expected values come from which pixel meets which
tap, found pixel by pixel; data are whole numbers, so that sums are exact."""

import resource
import sys
from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np

import convkit

SPARE_BYTES = 1 << 30
BIG, MOST = 2**30, 2**31 - 1


class Axis(NamedTuple):
    size: int
    taps: int
    stride: int
    low: int
    high: int
    dilation: int

    @property
    def outputs(self) -> int:
        window = self.dilation * (self.taps - 1) + 1
        return (self.size + self.low + self.high - window) // self.stride + 1

    def meetings(self) -> list[tuple[int, int, int]]:
        """(output, pixel, tap) wherever an output reads a pixel, taps ascending."""
        found = []
        for i, pixel in product(range(self.outputs), range(self.size)):
            tap, rest = divmod(pixel + self.low - i * self.stride, self.dilation)
            if rest == 0 and 0 <= tap < self.taps:
                found.append((i, pixel, tap))
        return found


ORDINARY = Axis(6, 3, 2, 1, 0, 1)
SPARSE = [  # few taps
    Axis(5, 3, 1, BIG, BIG, BIG),
    Axis(3, 2, 1, MOST, 0, MOST),
    Axis(4, 3, 10**7, 10**7, 10**7, 1),
    Axis(5, 3, MOST, MOST, MOST, 1),
    Axis(8, 3, 10**8, 10**5, MOST, 10**7),
    Axis(7, 3, 1, 10**5, 10**5, 10**5),
    Axis(9, 2, 10**5, 10**5, 2 * 10**5, 4),
]
LONG = [
    Axis(6, 10**4, 3, 10**4 - 1, 5, 1),
    Axis(5, 10**4, 10**7, 19_997, 9_999, 2),
    Axis(9, 2, 10**4, 5 * 10**7, 5 * 10**7, 9_999),
]
WIDE = [  # windows of any size: no array has it
    Axis(5, BIG, 1, BIG - 1, 2, 1),
    Axis(5, BIG, BIG, BIG - 1, BIG - 1, 1),
    Axis(9, MOST, MOST, MOST - 1, MOST - 1, 1),
    Axis(7, 10**5, 5 * 10**4, 10**5 - 1, 10**5 - 1, 1),
    Axis(40, 5 * 10**4, 10**4, 5 * 10**4 - 9, 30, 1),
]
DILATED = [
    Axis(5, 3, 1, BIG, BIG, BIG),
    Axis(4, 2, BIG, MOST, MOST, MOST),
    Axis(6, 10**7, 10**7, 3 * 10**7 - 3, 10**7, 3),
]


def places(axes: list[Axis]) -> Iterator[tuple[Axis, Axis]]:
    for axis in axes:
        yield from ((axis, ORDINARY), (ORDINARY, axis))
        if axis not in LONG:
            yield axis, axis


def geometry(rows: Axis, columns: Axis) -> dict[str, Any]:
    return {
        "stride": (rows.stride, columns.stride),
        "padding": ((rows.low, rows.high), (columns.low, columns.high)),
        "dilation": (rows.dilation, columns.dilation),
    }


def whole(rng: np.random.Generator, *shape: int, low: int = -3) -> np.ndarray:
    return rng.integers(low, 4, shape).astype(float)


def to_layout(array: np.ndarray, layout: str) -> np.ndarray:
    return array if layout == "NCHW" else np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def check(what: tuple[Any, ...], got: np.ndarray, expected: np.ndarray, exact: bool = True) -> None:
    rtol = 0 if exact else 8 * np.finfo(got.dtype).eps
    # Inexact ones are sums of positive numbers, whose E has the result as its unit; the bound is 8.
    if got.shape != expected.shape or not np.allclose(got, expected, rtol=rtol, atol=0):
        print("wrong:", *what)


def ways(backend: str) -> Iterator[tuple[str, str]]:
    convkit.set_backend(backend)
    # The fibers of simt are slow, and its kernels differ less between types.
    yield from product(("NCHW", "NHWC"), ("f4", "f8") if backend == "cpu" else ("f4",))


def convolutions(backend: str) -> None:
    rng = np.random.default_rng(0)
    channels = [(3, 5, 1), (20, 24, 1), (4, 4, 4)]
    for (rows, columns), (c, k, groups) in product([*places(SPARSE), *places(LONG)], channels):
        if (rows in LONG or columns in LONG) and (backend != "cpu" or c * k > 16):
            continue
        x = whole(rng, 2, c, rows.size, columns.size)
        w = whole(rng, k, c // groups, rows.taps, columns.taps)
        grad_y = whole(rng, 2, k, rows.outputs, columns.outputs)
        y, grad_x, grad_w = np.zeros_like(grad_y), np.zeros_like(x), np.zeros_like(w)

        def grouped(array, groups=groups):
            return array.reshape(2, groups, -1, *array.shape[2:])

        filters, grad_filters = (a.reshape(groups, -1, *a.shape[1:]) for a in (w, grad_w))
        for (i, h, r), (j, v, s) in product(rows.meetings(), columns.meetings()):
            pixel, tap, grad = grouped(x)[..., h, v], filters[..., r, s], grouped(grad_y)[..., i, j]
            grouped(y)[..., i, j] += np.einsum("ngc,gkc->ngk", pixel, tap)
            grouped(grad_x)[..., h, v] += np.einsum("ngk,gkc->ngc", grad, tap)
            grad_filters[..., r, s] += np.einsum("ngk,ngc->gkc", grad, pixel)
        options = geometry(rows, columns) | {"groups": groups}
        for layout, dtype in ways(backend):
            X, W, G = (to_layout(a.astype(dtype), layout) for a in (x, w, grad_y))
            calls = [
                (convkit.conv2d, (X, W), y),
                (convkit.conv2d_input_grad, (G, W, X.shape), grad_x),
                (convkit.conv2d_weight_grad, (G, X, W.shape), grad_w),
            ]
            for algo in ("auto", "direct", "im2col", "implicit_gemm"):
                for call, arrays, expected in calls:
                    what = (call.__name__, backend, algo, layout, dtype, rows, columns, c, k)
                    try:
                        got = call(*arrays, layout=layout, algo=algo, **options)
                    except ValueError as error:
                        if algo in ("auto", "direct") or "cannot run this problem" not in str(
                            error
                        ):
                            print(*what, error)
                    else:
                        check(what, got, to_layout(expected, layout))


def columns_of_images(backend: str) -> None:
    rng = np.random.default_rng(0)
    for (rows, columns), c in product([*places(SPARSE), *places(LONG)], (3, 8)):
        if (rows in LONG or columns in LONG) and backend != "cpu":
            continue
        x = whole(rng, 2, c, rows.size, columns.size)
        shape = (2, c, rows.taps, columns.taps, rows.outputs, columns.outputs)
        cols, grad, grad_x = np.zeros(shape), whole(rng, *shape), np.zeros_like(x)
        for (i, h, r), (j, v, s) in product(rows.meetings(), columns.meetings()):
            cols[:, :, r, s, i, j] = x[:, :, h, v]
            grad_x[:, :, h, v] += grad[:, :, r, s, i, j]
        for layout, dtype in ways(backend):

            def as_columns(array, layout=layout, shape=shape):
                if layout == "NCHW":
                    return array.reshape(2, shape[1] * shape[2] * shape[3], -1)
                return array.transpose(0, 4, 5, 2, 3, 1).reshape(2, shape[4] * shape[5], -1)

            options = geometry(rows, columns) | {"layout": layout}
            window, X = (rows.taps, columns.taps), to_layout(x.astype(dtype), layout)
            what = (backend, layout, dtype, rows, columns, c)
            check(("im2col", *what), convkit.im2col(X, window, **options), as_columns(cols))
            got = convkit.col2im(as_columns(grad).astype(dtype), X.shape, window, **options)
            check(("col2im", *what), got, to_layout(grad_x, layout))


def maxima(backend: str) -> None:
    rng = np.random.default_rng(0)
    for (rows, columns), c in product(places(WIDE + DILATED), (3, 20)):
        x = whole(rng, 2, c, rows.size, columns.size)
        grad_y = whole(rng, 2, c, rows.outputs, columns.outputs)
        y, indices = np.full(grad_y.shape, -np.inf), np.full(grad_y.shape, -1)
        for (i, h, _), (j, v, _) in product(rows.meetings(), columns.meetings()):
            larger = x[:, :, h, v] > y[:, :, i, j]
            y[:, :, i, j] = np.where(larger, x[:, :, h, v], y[:, :, i, j])
            indices[:, :, i, j] = np.where(larger, h * columns.size + v, indices[:, :, i, j])
        grad_x = np.zeros((2, c, rows.size * columns.size))
        for n, channel, i, j in np.argwhere(indices >= 0):
            grad_x[n, channel, indices[n, channel, i, j]] += grad_y[n, channel, i, j]
        grad_x = grad_x.reshape(x.shape)
        options = geometry(rows, columns)
        window = (rows.taps, columns.taps)
        for layout, dtype in ways(backend):
            X, G = to_layout(x.astype(dtype), layout), to_layout(grad_y.astype(dtype), layout)
            what = (backend, layout, dtype, rows, columns, c)
            got, where = convkit.max_pool2d(
                X, window, layout=layout, return_indices=True, **options
            )
            check(("max_pool2d", *what), got, to_layout(y, layout))
            check(("indices of max_pool2d", *what), where, to_layout(indices, layout))
            check(
                ("max_pool2d_grad", *what),
                convkit.max_pool2d_grad(G, where, X.shape, window, layout=layout, **options),
                to_layout(grad_x, layout),
            )


def averages(backend: str) -> None:
    rng = np.random.default_rng(0)
    for (rows, columns), c, padded in product(places(WIDE), (3, 20), (True, False)):
        x = whole(rng, 2, c, rows.size, columns.size, low=1)  # nothing cancels
        grad_y = whole(rng, 2, c, rows.outputs, columns.outputs, low=1)
        y, grad_x = np.zeros(grad_y.shape), np.zeros(x.shape)

        def counted(axis, i, padded=padded):
            start, low, high = i * axis.stride - axis.low, axis.low, axis.high
            first, last = (-low, axis.size + high) if padded else (0, axis.size)
            return min(start + axis.taps, last) - max(start, first)

        for (i, h, _), (j, v, _) in product(rows.meetings(), columns.meetings()):
            share = 1 / (counted(rows, i) * counted(columns, j))
            y[:, :, i, j] += x[:, :, h, v] * share
            grad_x[:, :, h, v] += grad_y[:, :, i, j] * share
        options = geometry(rows, columns) | {"count_include_pad": padded}
        del options["dilation"]
        window = (rows.taps, columns.taps)
        for layout, dtype in ways(backend):
            X, G = to_layout(x.astype(dtype), layout), to_layout(grad_y.astype(dtype), layout)
            what = (backend, layout, dtype, rows, columns, c, padded)
            options["layout"] = layout
            for name, got, expected in (
                ("avg_pool2d", convkit.avg_pool2d(X, window, **options), y),
                ("avg_pool2d_grad", convkit.avg_pool2d_grad(G, X.shape, window, **options), grad_x),
            ):
                check((name, *what), got, to_layout(expected, layout), exact=False)


def windows_of_channels(backend: str) -> None:
    """Windows past all channels: S is the same for each."""
    rng = np.random.default_rng(0)
    for c, size in product((1, 20, 70), (140, BIG, MOST)):
        x, grad_y = (whole(rng, 2, c, 3, 5, low=1) for _ in range(2))
        s = 1 + (x * x).sum(1, keepdims=True)
        grad_x = grad_y * s + 2 * x * (grad_y * x).sum(1, keepdims=True)
        for layout, dtype in ways(backend):
            X, G = to_layout(x.astype(dtype), layout), to_layout(grad_y.astype(dtype), layout)
            what, rest = (backend, layout, dtype, c, size), (size, size, -1, 1)
            for name, got, expected in (
                ("y", convkit.local_response_norm(X, *rest, layout=layout), x * s),
                ("grad", convkit.local_response_norm_grad(G, X, *rest, layout=layout), grad_x),
            ):
                check((name, *what), got, to_layout(expected, layout), exact=False)


def limit_memory(spare_bytes: int) -> None:
    """Lets this process have so much more address space than it has; -1: as much as it likes."""
    with open("/proc/self/statm") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    soft = hard if spare_bytes < 0 else used + spare_bytes
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def out_of_memory(backend: str) -> None:
    """The workspace, or a stack of simt, does not fit: the error says so, the next call works."""
    convkit.set_backend(backend)
    x, w = np.ones((1, 64, 256, 256), "f4"), np.ones((1, 64, 3, 3), "f4")
    if backend == "simt":
        x, w = x[:, :1, :4, :4].copy(), w[:, :1].copy()
    limit_memory(64 << 20 if backend == "cpu" else 1 << 20)
    try:
        convkit.conv2d(x, w, algo="im2col")
        print("no error")
    except MemoryError as error:
        print(error)
    limit_memory(-1)
    y = convkit.conv2d(x, w, algo="im2col")
    if not (y == w.size).all():
        print("the next call is wrong")


def without_threads(backend: str) -> None:
    """There is no memory for the stacks of eight threads: the loop runs on the one there is."""
    x = whole(np.random.default_rng(0), 4, 4, 64, 64)
    out = np.empty((4, 4, 32, 32))
    convkit.set_backend(backend)
    convkit.set_num_threads(8)
    limit_memory(4 << 20)
    convkit.max_pool2d(x, 2, out=out)
    limit_memory(-1)
    check(("without threads",), out, x.reshape(4, 4, 32, 2, 32, 2).max((3, 5)))


if __name__ == "__main__":
    function, backend = globals()[sys.argv[1]], sys.argv[2]
    limit_memory(SPARE_BYTES)
    function(backend)
