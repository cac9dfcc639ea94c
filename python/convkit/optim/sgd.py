"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from convkit.ops.elementwise import space_of

from .optimizer import Optimizer, pieces
from .rules import FLAG, FRACTION, NOT_NEGATIVE, Rule


class SGD(Optimizer):
    """w := w - lr v, with v := momentum v + g and g = grad + weight_decay w.

    With nesterov w := w - lr (g + momentum v). With coupled the update is AlexNet's, where the rate
    is part of what is remembered: v := momentum v - weight_decay lr w - lr grad, w := w + v. Both
    agree as long as lr stays as it is.

    Args:
        params: Tensors, or dicts {"params": Tensors, option: value, ...}.
        lr: at least 0.
        momentum: from 0, below 1.
        weight_decay: at least 0.
        nesterov: needs a momentum, and not coupled.
        coupled: AlexNet's update.

    Raises: ValueError for values that do not fit, TypeError for what is no Tensor of floats.
    Source: Sutskever, Martens, Dahl and Hinton 2013, "On the importance of initialization and
        momentum in deep learning"; Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification
        with Deep Convolutional Neural Networks".

    >>> from convkit import Tensor
    >>> w = Tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> _ = optimizer.step()
    >>> w.data.tolist()
    [0.5]
    """

    RULES: ClassVar[dict[str, Rule]] = {
        "lr": NOT_NEGATIVE,
        "momentum": FRACTION,
        "weight_decay": NOT_NEGATIVE,
        "nesterov": FLAG,
        "coupled": FLAG,
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        *,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        coupled: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            nesterov=nesterov,
            coupled=coupled,
        )

    def check(self, owner: str, options: dict[str, Any]) -> None:
        if options["nesterov"] and not options["momentum"]:
            raise ValueError(f"{owner}: nesterov is True, needs a momentum above 0")
        if options["nesterov"] and options["coupled"]:
            raise ValueError(f"{owner}: nesterov is True, must be False with coupled=True")

    def update(self, param: Any, grad: Any, state: dict[str, Any], options: dict[str, Any]) -> None:
        lr, momentum, decay = options["lr"], options["momentum"], options["weight_decay"]
        if not momentum:
            for w, g in pieces(param, grad):
                w -= lr * (g + decay * w if decay else g)
            return
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = space_of(param).zeros_like(param)
        for w, g, v in pieces(param, grad, state["momentum_buffer"]):
            if decay:
                g = g + decay * w
            v *= momentum
            if options["coupled"]:
                v -= lr * g
                w += v
            else:
                v += g
                w -= lr * (g + momentum * v if options["nesterov"] else v)
