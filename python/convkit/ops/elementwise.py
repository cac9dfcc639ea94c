"""Arithmetic of Tensors, element by element, with NumPy's broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convkit.autograd import Function, Tensor
from convkit.autograd.tensor import is_device_array
from convkit.recorded import Recorded


def space_of(array: Any) -> Any:
    """The library that works on an array: numpy or cupy."""
    if is_device_array(array):
        import cupy

        return cupy
    return np


def _shape(value: Any) -> tuple[int, ...]:
    return getattr(value, "shape", ())


def _reduced(grad: Tensor, shape: tuple[int, ...], dtype: Any) -> Tensor:
    """A gradient summed over what broadcasting had repeated."""
    extra = grad.ndim - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + i for i, side in enumerate(shape) if side == 1 != grad.shape[extra + i]
    )
    if axes:
        grad = grad.sum(axis=axes, keepdims=True)
    if grad.shape != shape:
        grad = grad.reshape(shape)
    return grad if grad.dtype == dtype else grad.astype(dtype)


def _beside(value: Any, array: Any) -> Any:
    """A number of Python as bfloat16 beside bfloat16, which it would make float32; NumPy's own
    types stay as they are beside one."""
    if type(value) is float and getattr(array, "dtype", None) is not None:
        return array.dtype.type(value) if array.dtype.name == "bfloat16" else value
    return value


class _Binary(Function):
    """Of two operands: `slopes(ctx, grad)` gives the gradients before broadcasting is undone."""

    @staticmethod
    def compute(ctx: Any, a: Any, b: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def slopes(ctx: Any, grad: Tensor) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
        raise NotImplementedError

    @classmethod
    def forward(cls, ctx: Any, a: Any, b: Any) -> Any:
        ctx.kinds = [(_shape(one), getattr(one, "dtype", None)) for one in (a, b)]
        return cls.compute(ctx, _beside(a, b), _beside(b, a))

    @classmethod
    def backward(cls, ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        slopes = cls.slopes(ctx, grad)
        return tuple(
            _reduced(slope(), *kind) if needed else None
            for slope, kind, needed in zip(slopes, ctx.kinds, ctx.needs, strict=True)
        )


class Add(_Binary):
    @staticmethod
    def compute(ctx: Any, a: Any, b: Any) -> Any:
        return a + b

    @staticmethod
    def slopes(ctx: Any, grad: Tensor) -> Any:
        return lambda: grad, lambda: grad


class Subtract(_Binary):
    @staticmethod
    def compute(ctx: Any, a: Any, b: Any) -> Any:
        return a - b

    @staticmethod
    def slopes(ctx: Any, grad: Tensor) -> Any:
        return lambda: grad, lambda: -grad


class Multiply(_Binary):
    @staticmethod
    def compute(ctx: Any, a: Any, b: Any) -> Any:
        ctx.save(a if ctx.needs[1] else None, b if ctx.needs[0] else None)
        return a * b

    @staticmethod
    def slopes(ctx: Any, grad: Tensor) -> Any:
        a, b = ctx.saved
        return lambda: grad * b, lambda: grad * a


class Divide(_Binary):
    @staticmethod
    def compute(ctx: Any, a: Any, b: Any) -> Any:
        ctx.save(a if ctx.needs[1] else None, b)
        return a / b

    @staticmethod
    def slopes(ctx: Any, grad: Tensor) -> Any:
        a, b = ctx.saved
        return lambda: grad / b, lambda: -(grad * a / (b * b))


class Maximum(_Binary):
    """Where both are equal the first gets the gradient."""

    @staticmethod
    def compute(ctx: Any, a: Any, b: Any) -> Any:
        space = space_of(a if _shape(a) else b)
        result = space.maximum(a, b)
        ctx.first = space.asarray(a >= b)
        return result

    @staticmethod
    def slopes(ctx: Any, grad: Tensor) -> Any:
        return lambda: Masked.apply(grad, ctx.first), lambda: Masked.apply(grad, ~ctx.first)


class Masked(Function):
    """The tensor where the mask is true, zero elsewhere, whatever stands there."""

    @staticmethod
    def forward(ctx: Any, x: Any, mask: Any) -> Any:
        ctx.mask = mask
        return space_of(x).where(mask, x, x.dtype.type(0))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return Masked.apply(grad, ctx.mask), None


class Power(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, exponent: float) -> Any:
        ctx.save(x)
        ctx.exponent = exponent
        return x ** _beside(exponent, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved
        if ctx.exponent == 0:
            return grad * 0, None
        return grad * (ctx.exponent * x ** (ctx.exponent - 1)), None


class Negative(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return -x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return -grad


class Exp(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = space_of(x).exp(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved
        return grad * y


class Log(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save(x)
        return space_of(x).log(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved
        return grad / x


class Sqrt(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = space_of(x).sqrt(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved
        return grad / (2 * y)


class Absolute(Function):
    """The slope at 0 is 0."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        space = space_of(x)
        ctx.sign = space.sign(x)
        return space.abs(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad * ctx.sign


class Tanh(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = space_of(x).tanh(x)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved
        return grad * (1 - y * y)


class Sigmoid(Function):
    """Without overflow at either end."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        space = space_of(x)
        e = space.exp(-space.abs(x))
        y = space.where(x >= 0, 1 / (1 + e), e / (1 + e)).astype(x.dtype)
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved
        return grad * (y * (1 - y))


class Relu(Function):
    """NaN stays NaN; the slope at 0 is 0."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = space_of(x).maximum(x, x.dtype.type(0))
        ctx.save(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (y,) = ctx.saved
        return Masked.apply(grad, y.data > 0)


class AsType(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, dtype: Any) -> Any:
        ctx.dtype = x.dtype
        return x.astype(dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return AsType.apply(grad, ctx.dtype), None


def before_activation(call: Recorded, grad: Tensor) -> Tensor:
    """The gradient before a call's activation, which the result alone tells."""
    activation = call.parameters["activation"]
    if activation is None:
        return grad
    y = call["y"]
    if activation == "relu":
        return _tensor(Masked.apply(grad, y.data > 0))
    return grad * (1 - y * y) if activation == "tanh" else grad * (y * (1 - y))


def maximum(a: Any, b: Any) -> Tensor:
    """The larger of two, element by element; where they are equal a gets the gradient."""
    return _tensor(Maximum.apply(a, b))


def where(condition: Any, a: Any, b: Any) -> Tensor:
    """a where the condition (an array of bool) is true, else b; both broadcast to it."""
    mask = condition.data if isinstance(condition, Tensor) else condition
    zero = space_of(mask).zeros(mask.shape, (a if isinstance(a, Tensor) else b).dtype)
    return _tensor(Masked.apply(a + zero, mask) + Masked.apply(b + zero, ~mask))


def _tensor(made: Any) -> Tensor:
    assert isinstance(made, Tensor)
    return made


def _method(function: type[Function], reverse: bool = False) -> Callable[..., Any]:
    def method(self: Tensor, other: Any) -> Any:
        return function.apply(other, self) if reverse else function.apply(self, other)

    return method


def _unary(function: type[Function]) -> Callable[..., Any]:
    def method(self: Tensor) -> Any:
        return function.apply(self)

    return method


def _power(self: Tensor, exponent: float) -> Any:
    if isinstance(exponent, Tensor) or not np.isscalar(exponent):
        raise TypeError("Tensor: an exponent must be a number")
    return Power.apply(self, exponent)


_METHODS: dict[str, Callable[..., Any]] = {
    "__add__": _method(Add),
    "__radd__": _method(Add, reverse=True),
    "__sub__": _method(Subtract),
    "__rsub__": _method(Subtract, reverse=True),
    "__mul__": _method(Multiply),
    "__rmul__": _method(Multiply, reverse=True),
    "__truediv__": _method(Divide),
    "__rtruediv__": _method(Divide, reverse=True),
    "__pow__": _power,
    "__neg__": _unary(Negative),
    "exp": _unary(Exp),
    "log": _unary(Log),
    "sqrt": _unary(Sqrt),
    "abs": _unary(Absolute),
    "tanh": _unary(Tanh),
    "sigmoid": _unary(Sigmoid),
    "relu": _unary(Relu),
    "astype": _method(AsType),
}
for _name, _function in _METHODS.items():
    setattr(Tensor, _name, _function)
