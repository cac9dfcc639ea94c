"""Learning rates that change from step to step, or from epoch to epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .optimizer import Optimizer
from .rules import COUNT, FRACTION, NOT_NEGATIVE, POSITIVE, checked


class Schedule:
    """Sets the learning rates of an optimizer's groups; call `step` after each epoch, or each step.

    of: the optimizer, or another schedule whose rates this one changes; then only this one's `step`
    is called.
    """

    def __init__(self, of: Optimizer | Schedule) -> None:
        if not isinstance(of, (Optimizer, Schedule)):
            raise TypeError(
                f"{type(self).__name__}: of is a {type(of).__name__}, must be an Optimizer or "
                "a Schedule"
            )
        self.inner = of if isinstance(of, Schedule) else None
        self.optimizer: Optimizer = of.optimizer if isinstance(of, Schedule) else of
        self.count = 0
        if isinstance(of, Schedule):
            self.base: list[float] = list(of.base)
        else:
            self.base = [float(group["lr"]) for group in of.param_groups]
        self._set()

    def rate(self, base: float, count: int) -> float:
        """The rate after `count` steps of a group that began with `base`."""
        return base if self.inner is None else self.inner.rate(base, count)

    @property
    def rates(self) -> list[float]:
        """The groups' rates now."""
        return [self.rate(base, self.count) for base in self.base]

    def step(self) -> None:
        """One step on."""
        self.count += 1
        self._set()

    def state_dict(self) -> dict[str, Any]:
        """The steps made, and the rates it began with."""
        return {"count": self.count, "base": list(self.base)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes on from where state_dict was asked for, with the rates of then.

        Raises: ValueError where the number of groups differs.
        """
        base = [float(one) for one in state_dict["base"]]
        if len(base) != len(self.base):
            raise ValueError(
                f"{type(self).__name__}: state_dict has the rates of {len(base)} groups, must be "
                f"{len(self.base)}"
            )
        self.count, self.base = int(state_dict["count"]), base
        self._set()

    def _set(self) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate


class StepLR(Schedule):
    """The rate times gamma after every step_size steps.

    Raises: ValueError for values that do not fit.

    >>> from convkit import Tensor
    >>> from convkit.optim import SGD
    >>> optimizer = SGD([Tensor([1.0], requires_grad=True)], lr=0.5)
    >>> schedule = StepLR(optimizer, 2, gamma=0.5)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> optimizer.param_groups[0]["lr"]
    0.25
    """

    def __init__(self, of: Optimizer | Schedule, step_size: int, gamma: float = 0.1) -> None:
        self.step_size = checked("StepLR", "step_size", step_size, COUNT)
        self.gamma = checked("StepLR", "gamma", gamma, POSITIVE)
        super().__init__(of)

    def rate(self, base: float, count: int) -> float:
        return super().rate(base, count) * float(self.gamma ** (count // self.step_size))


class CosineLR(Schedule):
    """From the rate down to `least`, along half a cosine of `total` steps; then it stays.

    rate = least + (base - least) (1 + cos(pi count / total)) / 2.

    Raises: ValueError for values that do not fit.
    Source: Loshchilov and Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm Restarts",
        without the restarts.
    """

    def __init__(self, of: Optimizer | Schedule, total: int, least: float = 0.0) -> None:
        self.total = checked("CosineLR", "total", total, COUNT)
        self.least = checked("CosineLR", "least", least, NOT_NEGATIVE)
        super().__init__(of)

    def rate(self, base: float, count: int) -> float:
        share = (1 + math.cos(math.pi * min(count, self.total) / self.total)) / 2
        return float(self.least + (super().rate(base, count) - self.least) * share)


class WarmUp(Schedule):
    """First up in even steps from `start` of the rate to all of it; then the schedule within, from
    its beginning.

    Raises: ValueError for values that do not fit.
    Source: Goyal et al. 2017, "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour".

    >>> from convkit import Tensor
    >>> from convkit.optim import SGD
    >>> optimizer = SGD([Tensor([1.0], requires_grad=True)], lr=0.8)
    >>> schedule = WarmUp(StepLR(optimizer, 1, gamma=0.5), 2)
    >>> rates = []
    >>> for _ in range(4):
    ...     rates += schedule.rates
    ...     schedule.step()
    >>> rates
    [0.0, 0.4, 0.8, 0.4]
    """

    def __init__(self, of: Optimizer | Schedule, steps: int, start: float = 0.0) -> None:
        self.steps = checked("WarmUp", "steps", steps, COUNT)
        self.start = checked("WarmUp", "start", start, FRACTION)
        super().__init__(of)

    def rate(self, base: float, count: int) -> float:
        if count >= self.steps:
            return super().rate(base, count - self.steps)
        return super().rate(base, 0) * float(self.start + (1 - self.start) * count / self.steps)
