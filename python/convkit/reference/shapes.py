"""Geometry of windows that slide over an image: sizes, padding rules and layouts.

Per axis, with n the image side, f the kernel side, d the dilation and s the stride:
effective kernel fe = d*(f - 1) + 1, output floor((n + low + high - fe) / s) + 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Pair = tuple[int, int]

# numpy.pad's words for padding that shows the image.
NUMPY_MODES: dict[str, Any] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pair(value: Any, name: str, smallest: int = 1) -> Pair:
    """Two whole numbers (height, width) from one number or from two."""
    values = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{name} is {value!r}, it must be an int or a pair of ints")
    for one in values:
        if isinstance(one, bool) or not isinstance(one, int | np.integer):
            raise ValueError(f"{name} is {value!r}, it must be an int or a pair of ints")
        if one < smallest:
            raise ValueError(f"{name} is {value!r}, it must be at least {smallest}")
    return int(values[0]), int(values[1])


def effective(kernel: int, dilation: int) -> int:
    """Side of a kernel whose taps stand `dilation` pixels apart."""
    return dilation * (kernel - 1) + 1


def same_pads(side: int, kernel: int, stride: int, dilation: int) -> Pair:
    """Pads (low, high) that make the output ceil(side / stride); the odd one goes to high."""
    output = -(-side // stride)
    total = max((output - 1) * stride + effective(kernel, dilation) - side, 0)
    return total // 2, total - total // 2


def pads(
    padding: Any, sides: Pair, kernel: Pair, stride: Pair, dilation: Pair
) -> tuple[Pair, Pair]:
    """((top, bottom), (left, right)) from any form that `padding` may take."""
    if isinstance(padding, str):
        rules = {
            "valid": lambda n, f, s, d: (0, 0),
            "full": lambda n, f, s, d: (effective(f, d) - 1, effective(f, d) - 1),
            "same": same_pads,
        }
        if padding not in rules:
            raise ValueError(f"padding is {padding!r}, the words are {sorted(rules)}")
        rows, columns = map(rules[padding], sides, kernel, stride, dilation)
        return rows, columns
    if isinstance(padding, tuple | list) and any(isinstance(p, tuple | list) for p in padding):
        if len(padding) != 2 or not all(isinstance(p, tuple | list) for p in padding):
            raise ValueError(f"padding is {padding!r}, it must be ((top, bottom), (left, right))")
        return pair(padding[0], "padding", 0), pair(padding[1], "padding", 0)
    height, width = pair(padding, "padding", 0)
    return (height, height), (width, width)


def conv_side(side: int, kernel: int, stride: int, dilation: int, low: int, high: int) -> int:
    """Output side of a convolution: floor((n + low + high - fe) / s) + 1."""
    room = side + low + high - effective(kernel, dilation)
    if room < 0:
        raise ValueError(
            f"a kernel of {kernel}, dilation {dilation}, does not fit into {side} + {low} + {high}"
        )
    return room // stride + 1


def pool_side(
    side: int,
    kernel: int,
    stride: int,
    dilation: int,
    low: int,
    high: int,
    ceil_mode: bool,
) -> int:
    """Output side of a pool; with ceil_mode the last window must start inside image or low pad."""
    room = side + low + high - effective(kernel, dilation)
    if not ceil_mode:
        output = room // stride + 1
    else:
        output = -(-room // stride) + 1
        if (output - 1) * stride >= side + low:
            output -= 1
    if output < 1:
        raise ValueError(f"a window of {kernel} does not fit into {side} + {low} + {high}")
    return output


@dataclass(frozen=True)
class Windows:
    """All windows of one problem: window (p, q) has tap (r, s) at pixel
    (p*stride_h - top + r*dilation_h, q*stride_w - left + s*dilation_w)."""

    sides: Pair
    kernel: Pair
    stride: Pair
    dilation: Pair
    pads: tuple[Pair, Pair]
    output: Pair

    @property
    def padded_sides(self) -> Pair:
        """Sides of a padded image that holds every window (ceil_mode may pass the high pad)."""
        height, width = (
            max(n + low + high, (out - 1) * s + effective(f, d))
            for n, f, s, d, (low, high), out in zip(
                self.sides,
                self.kernel,
                self.stride,
                self.dilation,
                self.pads,
                self.output,
                strict=True,
            )
        )
        return height, width

    def pad(self, x: np.ndarray, fill: float, mode: str = "zeros") -> np.ndarray:
        """x (N, C, H, W) inside a larger image of `fill`, or of its own pixels as `mode` says."""
        if mode != "zeros":
            return np.pad(x, ((0, 0), (0, 0), *self.pads), NUMPY_MODES[mode])
        padded = np.full(x.shape[:2] + self.padded_sides, fill, x.dtype)
        self.crop(padded)[...] = x
        return padded

    def fold(self, padded: np.ndarray, mode: str = "zeros") -> np.ndarray:
        """(N, C, H, W): the adjoint of pad; each place adds to the pixel that it shows."""
        if mode == "zeros":
            return self.crop(padded)
        rows, columns = self.shown(mode)
        image = np.zeros(padded.shape[:2] + self.sides, padded.dtype)
        np.add.at(image, (..., rows[:, None], columns), padded)
        return image

    def shown(self, mode: str) -> tuple[np.ndarray, np.ndarray]:
        """The row and the column of the image that each row and column of a padded one shows."""
        rows, columns = (
            np.pad(np.arange(side), around, NUMPY_MODES[mode])
            for side, around in zip(self.sides, self.pads, strict=True)
        )
        return rows, columns

    def axes_read(self) -> Iterator[np.ndarray]:
        """For rows and for columns: the places of a padded image that all taps read."""
        axes = zip(self.kernel, self.dilation, self.output, self.stride, strict=True)
        for f, d, out, s in axes:
            yield (np.arange(out)[:, None] * s + np.arange(f) * d).ravel()

    def crop(self, padded: np.ndarray) -> np.ndarray:
        """The view of the image inside its padding."""
        (top, _), (left, _) = self.pads
        height, width = self.sides
        return padded[:, :, top : top + height, left : left + width]

    def taps(self) -> Iterator[tuple[int, int]]:
        """All taps (r, s), row by row."""
        return iter(np.ndindex(*self.kernel))

    def seen(self, padded: np.ndarray, r: int, s: int) -> np.ndarray:
        """The view (N, C, P, Q) of what tap (r, s) of every window sees."""
        rows, columns = (
            slice(tap * d, tap * d + (out - 1) * step + 1, step)
            for tap, d, step, out in zip(
                (r, s), self.dilation, self.stride, self.output, strict=True
            )
        )
        return padded[:, :, rows, columns]


def conv_windows(sides: Pair, kernel: Pair, stride: Any, padding: Any, dilation: Any) -> Windows:
    """The windows of a convolution or of im2col."""
    stride, dilation = pair(stride, "stride"), pair(dilation, "dilation")
    kernel = pair(kernel, "kernel_size")
    around = pads(padding, sides, kernel, stride, dilation)
    height, width = (
        conv_side(*axis, *around[i])
        for i, axis in enumerate(zip(sides, kernel, stride, dilation, strict=True))
    )
    return Windows(sides, kernel, stride, dilation, around, (height, width))


def pool_windows(
    sides: Pair, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Windows:
    """The windows of a pool; the stride is the kernel where none is given."""
    kernel = pair(kernel, "kernel_size")
    stride = kernel if stride is None else pair(stride, "stride")
    dilation = pair(dilation, "dilation")
    if isinstance(padding, str):
        raise ValueError(f"padding is {padding!r}, pools take numbers")
    around = pads(padding, sides, kernel, stride, dilation)
    for f, d, axis in zip(kernel, dilation, around, strict=True):
        if max(axis) >= effective(f, d):
            raise ValueError(f"padding is {padding!r}, it must be smaller than the kernel")
    height, width = (
        pool_side(*axis, *around[i], ceil_mode)
        for i, axis in enumerate(zip(sides, kernel, stride, dilation, strict=True))
    )
    return Windows(sides, kernel, stride, dilation, around, (height, width))


def accumulator(*arrays: np.ndarray) -> np.dtype:
    """The type that sums are made in: float64, or a wider one that an array already has."""
    return np.result_type(np.float64, *arrays)


def to_nchw(array: np.ndarray, layout: str) -> np.ndarray:
    """An NCHW view of an array in `layout`; filters (K, R, S, C) become (K, C, R, S) alike."""
    array = np.asarray(array)
    if layout not in ("NCHW", "NHWC"):
        raise ValueError(f"layout is {layout!r}, it must be 'NCHW' or 'NHWC'")
    if array.ndim != 4:
        raise ValueError(f"an array has shape {array.shape}, it must have 4 dimensions")
    return array if layout == "NCHW" else array.transpose(0, 3, 1, 2)


def from_nchw(array: np.ndarray, layout: str, dtype: np.dtype) -> np.ndarray:
    """The dense array of `dtype` in `layout` that holds an NCHW result."""
    return np.ascontiguousarray(
        array if layout == "NCHW" else array.transpose(0, 2, 3, 1), dtype=dtype
    )


def shape_to_nchw(shape: Any, layout: str) -> tuple[int, int, int, int]:
    """A shape in `layout`, reordered to N, C, H, W."""
    n, second, third, fourth = shape
    return (n, second, third, fourth) if layout == "NCHW" else (n, fourth, second, third)
