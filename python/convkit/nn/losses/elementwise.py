"""Losses of each element by itself."""

from __future__ import annotations

from typing import Any

from convkit.autograd import Function, Tensor
from convkit.ops.elementwise import space_of

from .checks import features, like, reduced


class Softplus(Function):
    """log(1 + exp(x)) without overflow at either end."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        space = space_of(x)
        ctx.save(x)
        return space.maximum(x, x.dtype.type(0)) + space.log1p(space.exp(-space.abs(x)))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved
        return grad * x.sigmoid()


def binary_cross_entropy_with_logits(z: Any, y: Any, reduction: str = "mean") -> Tensor:
    """How badly logits predict yes or no.

    loss = -y log(sigmoid(z)) - (1 - y) log(1 - sigmoid(z)), element by element; the gradient is
    sigmoid(z) - y.

    Args:
        z: logits, a Tensor or array of any shape.
        y: 1 for yes, 0 for no, or between; z's shape, and its dtype, bool or integers.
        reduction: "mean", "sum" or "none".

    Returns: a Tensor of shape (), or z's with reduction="none".
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.
    Numerics: small losses keep their digits: z=50, y=1 gives exp(-50).

    >>> round(binary_cross_entropy_with_logits([0.5], [1.0]).item(), 12)
    0.47407698418
    """
    op = "binary_cross_entropy_with_logits"
    z = features(op, "z", z)
    y = like(op, "y", y, "z", z, labels=True)
    # Not (1 - y) z + softplus(-z), where a large -z would swallow the loss.
    losses = y * Softplus.apply(-z) + (1 - y) * Softplus.apply(z)
    return reduced(op, losses, reduction)


def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Tensor:
    """Squared differences: (x - target)**2.

    Args:
        x: a Tensor or array of any shape.
        target: of x's shape and dtype.
        reduction: "mean", "sum" or "none".

    Returns: a Tensor of shape (), or x's with reduction="none".
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.

    >>> mse_loss([1.0, 2.0], [1.0, 4.0]).item()
    2.0
    """
    x = features("mse_loss", "x", x)
    difference = x - like("mse_loss", "target", target, "x", x)
    return reduced("mse_loss", difference * difference, reduction)
