"""Limits on gradients, in place."""

from __future__ import annotations

import math
from collections.abc import Iterable

from convkit.autograd import Tensor
from convkit.ops.elementwise import space_of

from .optimizer import pieces
from .rules import POSITIVE, checked


def clip_grad_norm(params: Iterable[Tensor], max_norm: float) -> float:
    """Shortens the gradients, all by one factor, to a Euclidean length of at most max_norm.

    Args:
        params: Tensors; those without gradient are passed by.
        max_norm: above 0.

    Returns: the length before, of all gradients as one vector. If it is infinite or NaN the
        gradients stay as they are: skip the step.
    Raises: ValueError for a max_norm that does not fit.
    Numerics: the length is summed in float64.
    Source: Pascanu, Mikolov and Bengio 2013, "On the difficulty of training Recurrent Neural
        Networks".

    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_norm([w], 1.0), w.grad.data.round(6).tolist()
    (10.0, [0.6, 0.8])
    """
    max_norm = checked("clip_grad_norm", "max_norm", max_norm, POSITIVE)
    grads = [param.grad for param in params if param.grad is not None]
    squares = 0.0
    for grad in grads:
        space = space_of(grad.data)
        for (g,) in pieces(grad.data):
            squares += float(space.square(g, dtype="float64").sum())
    norm = math.sqrt(squares)
    if max_norm < norm < math.inf:
        for grad in grads:
            grad.data *= max_norm / norm
            grad.changed()
    return norm


def clip_grad_value(params: Iterable[Tensor], max_value: float) -> None:
    """Limits every element of the gradients to -max_value and max_value; NaN stays.

    Args:
        params: Tensors; those without gradient are passed by.
        max_value: above 0.

    Raises: ValueError for a max_value that does not fit.

    >>> w = Tensor([3.0, -0.1], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_value([w], 1.0)
    >>> w.grad.data.tolist()
    [1.0, -0.2]
    """
    max_value = checked("clip_grad_value", "max_value", max_value, POSITIVE)
    for param in params:
        if param.grad is not None:
            data = param.grad.data
            space_of(data).clip(data, -max_value, max_value, out=data)
            param.grad.changed()
