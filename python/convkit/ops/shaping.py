"""What moves or adds up the elements of Tensors: shapes, indices, sums, products of matrices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from convkit.autograd import Function, Tensor
from convkit.autograd.tensor import FLOATS

from .elementwise import Masked, space_of
from .linear import linear_input_grad


class Reshape(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...]) -> Any:
        ctx.shape = x.shape
        return x.reshape(shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return Reshape.apply(grad, ctx.shape), None


class Transpose(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, axes: tuple[int, ...]) -> Any:
        ctx.back = tuple(int(i) for i in np.argsort(axes))
        return x.transpose(axes)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return Transpose.apply(grad, ctx.back), None


class BroadcastTo(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, shape: tuple[int, ...]) -> Any:
        ctx.shape = x.shape
        return space_of(x).broadcast_to(x, shape)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        extra = grad.ndim - len(ctx.shape)
        axes = tuple(range(extra)) + tuple(
            extra + i for i, side in enumerate(ctx.shape) if side == 1 != grad.shape[extra + i]
        )
        summed = grad.sum(axis=axes, keepdims=True) if axes else grad
        return summed.reshape(ctx.shape), None


class Sum(Function):
    """Sums of float16 and bfloat16 are made in float32."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        ctx.shape = x.shape
        ctx.kept = tuple(1 if i in axes else side for i, side in enumerate(x.shape))
        wide = np.float32 if x.dtype.name in FLOATS[2:] else None
        total = space_of(x).sum(x, axis=axes, keepdims=keepdims, dtype=wide)
        return total.astype(x.dtype) if wide else total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return BroadcastTo.apply(grad.reshape(ctx.kept), ctx.shape), None, None


class Max(Function):
    """Of equal elements the first gets the gradient; NaN is the largest."""

    @staticmethod
    def forward(ctx: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
        rest = tuple(i for i in range(x.ndim) if i not in axes)
        order = (*rest, *axes)
        kept = tuple(x.shape[i] for i in rest)
        flat = x.transpose(order).reshape(*kept, -1)
        places = flat.argmax(axis=-1)[..., None]
        ctx.places, ctx.shape, ctx.order = places, x.shape, order
        found = space_of(x).take_along_axis(flat, places, axis=-1)
        one = tuple(1 if i in axes else side for i, side in enumerate(x.shape))
        return found.reshape(one if keepdims else kept)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        sides = tuple(ctx.shape[i] for i in ctx.order)
        kept = ctx.places.shape[:-1]
        count = math.prod(sides[len(kept) :])
        mask = space_of(grad.data).arange(count) == ctx.places
        spread = mask.reshape(sides) * grad.reshape(*kept, *[1] * (len(sides) - len(kept)))
        back = tuple(int(i) for i in np.argsort(ctx.order))
        return spread.transpose(back), None, None


class Index(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, index: Any) -> Any:
        ctx.shape, ctx.index = x.shape, index
        return x[index]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return Spread.apply(grad, ctx.index, ctx.shape), None


class Spread(Function):
    """The adjoint of Index: zeros with the tensor added where the index points."""

    @staticmethod
    def forward(ctx: Any, x: Any, index: Any, shape: tuple[int, ...]) -> Any:
        ctx.index = index
        space = space_of(x)
        whole = space.zeros(shape, x.dtype)
        if _is_basic(index):  # each place once
            whole[index] = x
        else:
            space.add.at(whole, index, x)
        return whole

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return Index.apply(grad, ctx.index), None, None


def _is_basic(index: Any) -> bool:
    items = index if isinstance(index, tuple) else (index,)
    basic = (int, np.integer, slice, type(None), type(Ellipsis))
    return all(isinstance(item, basic) and not isinstance(item, bool) for item in items)


class Concatenate(Function):
    @staticmethod
    def forward(ctx: Any, axis: int, *arrays: Any) -> Any:
        ctx.axis, ctx.sides = axis, [array.shape[axis] for array in arrays]
        return space_of(arrays[0]).concatenate(arrays, axis=axis)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        before = (slice(None),) * ctx.axis
        ends = np.cumsum(ctx.sides).tolist()
        parts = (
            grad[(*before, slice(end - side, end))] if needed else None
            for side, end, needed in zip(ctx.sides, ends, ctx.needs[1:], strict=True)
        )
        return None, *parts


class LogSoftmax(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, axis: int) -> Any:
        space = space_of(x)
        shifted = x - x.max(axis=axis, keepdims=True)
        y = shifted - space.log(space.exp(shifted).sum(axis=axis, keepdims=True))
        ctx.axis = axis
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved
        return grad - y.exp() * grad.sum(axis=ctx.axis, keepdims=True), None


def log_softmax(x: Tensor, axis: int = -1) -> Tensor:
    """x - log(sum of exp(x)) along an axis, the maximum taken off first.

    >>> log_softmax(Tensor([0.0, 0.0])).exp().data.tolist()
    [0.5, 0.5]
    """
    made: Tensor = LogSoftmax.apply(x, axis)
    return made


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    """exp(x) / sum of exp(x) along an axis, the maximum taken off first."""
    return log_softmax(x, axis).exp()


def concatenate(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors side by side along an axis that exists."""
    if not tensors:
        raise ValueError("concatenate: tensors is empty, must hold at least one")
    ndim = len(tensors[0].shape)
    if not -ndim <= axis < ndim:
        raise ValueError(f"concatenate: axis is {axis}, must be from {-ndim} to {ndim - 1}")
    made: Tensor = Concatenate.apply(axis % ndim, *tensors)
    return made


def stack(tensors: Sequence[Any], axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis."""
    whole = [one if isinstance(one, Tensor) else Tensor(one) for one in tensors]
    return concatenate([_with_axis(one, axis) for one in whole], axis)


def _with_axis(tensor: Tensor, axis: int) -> Tensor:
    place = axis if axis >= 0 else tensor.ndim + 1 + axis
    return tensor.reshape(*tensor.shape[:place], 1, *tensor.shape[place:])


def matmul(a: Any, b: Any) -> Tensor:
    """Product of matrices, or of stacks of them as np.matmul has it; vectors as rows or columns.

    Same bits on every run and any number of threads: each product is `linear_input_grad`'s.
    """
    a, b = (one if isinstance(one, Tensor) else Tensor(one) for one in (a, b))
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError(f"matmul: shapes are {a.shape} and {b.shape}, must have a dimension each")
    is_row, is_column = a.ndim == 1, b.ndim == 1
    a = a.reshape(1, -1) if is_row else a
    b = b.reshape(-1, 1) if is_column else b
    if a.shape[-1] != b.shape[-2]:
        raise ValueError(
            f"matmul: shapes are {a.shape} and {b.shape}; {a.shape[-1]} columns must meet as many "
            f"rows, not {b.shape[-2]}"
        )
    y = _product(a, b)
    rows = () if is_row else (y.shape[-2],)
    columns = () if is_column else (y.shape[-1],)
    return y.reshape(*y.shape[:-2], *rows, *columns)


def _product(a: Tensor, b: Tensor) -> Tensor:
    if b.ndim == 2:
        made: Tensor = linear_input_grad(a, b)
        return made
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    left = BroadcastTo.apply(a, (*batch, *a.shape[-2:])).reshape(-1, *a.shape[-2:])
    right = BroadcastTo.apply(b, (*batch, *b.shape[-2:])).reshape(-1, *b.shape[-2:])
    products = [linear_input_grad(left[i], right[i]) for i in range(len(left))]
    return stack(products).reshape(*batch, a.shape[-2], b.shape[-1])


def _axes(tensor: Tensor, axis: Any, op: str) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(tensor.ndim))
    given = axis if isinstance(axis, tuple) else (axis,)
    for one in given:
        if not -tensor.ndim <= one < tensor.ndim:
            raise ValueError(f"{op}: axis is {axis}, the tensor has {tensor.ndim} dimensions")
    axes = tuple(one % tensor.ndim for one in given)
    if len(set(axes)) != len(axes):
        raise ValueError(f"{op}: axis is {axis}, names a dimension twice")
    return axes


def _sum(self: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    return Sum.apply(self, _axes(self, axis, "sum"), keepdims)


def _mean(self: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    count = math.prod(self.shape[i] for i in _axes(self, axis, "mean"))
    return _sum(self, axis, keepdims) / count


def _max(self: Tensor, axis: Any = None, keepdims: bool = False) -> Any:
    return Max.apply(self, _axes(self, axis, "max"), keepdims)


def _reshape(self: Tensor, *shape: Any) -> Any:
    return Reshape.apply(self, shape[0] if len(shape) == 1 and not _is_side(shape[0]) else shape)


def _is_side(value: Any) -> bool:
    return isinstance(value, (int, np.integer))


def _transpose(self: Tensor, *axes: Any) -> Any:
    given = axes[0] if len(axes) == 1 and not _is_side(axes[0]) else axes
    order = tuple(given) or tuple(range(self.ndim))[::-1]
    return Transpose.apply(self, tuple(one % self.ndim for one in order))


def _flatten(self: Tensor, start: int = 0) -> Any:
    return _reshape(self, *self.shape[:start], math.prod(self.shape[start:]))


def _getitem(self: Tensor, index: Any) -> Any:
    items = index if isinstance(index, tuple) else (index,)
    plain = tuple(item.data if isinstance(item, Tensor) else item for item in items)
    return Index.apply(self, plain if isinstance(index, tuple) else plain[0])


for _name, _function in {
    "sum": _sum,
    "mean": _mean,
    "max": _max,
    "reshape": _reshape,
    "transpose": _transpose,
    "flatten": _flatten,
    "__getitem__": _getitem,
    "__matmul__": matmul,
    "__rmatmul__": lambda self, other: matmul(other, self),
}.items():
    setattr(Tensor, _name, _function)


def taken(x: Tensor, indices: Any, layout: str) -> Tensor:
    """The pixels of each channel that a pool's indices name; 0 for -1, a window of padding."""
    space = space_of(x.data)
    n, c = (x.shape[0], x.shape[1] if layout == "NCHW" else x.shape[3])
    shown = (slice(None), *[None] * 3)
    images = space.arange(n)[shown]
    channels = space.arange(c)[None, :, None, None] if layout == "NCHW" else space.arange(c)
    found = space.maximum(indices, 0)
    pixels = x.reshape(n, c, -1) if layout == "NCHW" else x.reshape(n, -1, c)
    index = (images, channels, found) if layout == "NCHW" else (images, found, channels)
    made: Tensor = Masked.apply(pixels[index], indices >= 0)
    return made
