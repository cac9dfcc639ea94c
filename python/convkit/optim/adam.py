"""Adam, and AdamW, whose weight decay passes the moments by."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

from convkit.ops.elementwise import space_of

from .optimizer import Optimizer, pieces
from .rules import FRACTIONS, NOT_NEGATIVE, POSITIVE, Rule


class Adam(Optimizer):
    """Steps of about lr for every element, whatever the scale of its gradient.

    m := b1 m + (1 - b1) g, v := b2 v + (1 - b2) g^2, with g = grad + weight_decay w;
    w := w - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps) in step t, from 1 on.

    Args:
        params: Tensors, or dicts {"params": Tensors, option: value, ...}.
        lr: at least 0.
        betas: (b1, b2), each from 0, below 1.
        eps: above 0.
        weight_decay: at least 0.

    Raises: ValueError for values that do not fit, TypeError for what is no Tensor of floats.
    Source: Kingma and Ba 2015, "Adam: A Method for Stochastic Optimization".

    >>> from convkit import Tensor
    >>> w = Tensor([1.0, 1.0], requires_grad=True)
    >>> optimizer = Adam([w], lr=0.5)
    >>> (w * [1.0, 1000.0]).sum().backward()
    >>> _ = optimizer.step()
    >>> w.data.round(6).tolist()
    [0.5, 0.5]
    """

    RULES: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "betas": FRACTIONS,
        "eps": POSITIVE,
        "weight_decay": NOT_NEGATIVE,
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, param: Any, grad: Any, state: dict[str, Any], options: dict[str, Any]) -> None:
        self.move(param, grad, state, options, options["weight_decay"])

    @staticmethod
    def move(
        param: Any, grad: Any, state: dict[str, Any], options: dict[str, Any], decay: float
    ) -> None:
        space = space_of(param)
        if not state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = space.zeros_like(param), space.zeros_like(param)
        state["step"] += 1
        b1, b2 = options["betas"]
        rate = options["lr"] / (1 - b1 ** state["step"])
        scale = 1 / math.sqrt(1 - b2 ** state["step"])
        for w, g, m, v in pieces(param, grad, state["exp_avg"], state["exp_avg_sq"]):
            if decay:
                g = g + decay * w
            m *= b1
            m += (1 - b1) * g
            v *= b2
            v += (1 - b2) * (g * g)
            w -= rate * m / (scale * space.sqrt(v) + options["eps"])


class AdamW(Adam):
    """Adam with w := (1 - lr weight_decay) w before each step, in place of a decay in g.

    Args: as Adam's; weight_decay is 0.01 where none is given.
    Raises: as Adam.
    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, param: Any, grad: Any, state: dict[str, Any], options: dict[str, Any]) -> None:
        param *= 1 - options["lr"] * options["weight_decay"]
        self.move(param, grad, state, options, 0.0)
