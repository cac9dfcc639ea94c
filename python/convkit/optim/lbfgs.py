"""L-BFGS: Newton's method with a curvature guessed from the last steps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from convkit.autograd import Tensor, enable_grad
from convkit.ops.elementwise import space_of

from .line_search import Point, strong_wolfe
from .optimizer import Closure, Optimizer, on_host, pieces, wide_dtype, widened
from .rules import COUNT, NOT_NEGATIVE, POSITIVE, Rule, checked


class LBFGS(Optimizer):
    """For losses that are the same each time they are asked for, such as a picture's in style
    transfer: the whole of the data at once.

    The direction is -H grad, H from the last steps s and changes of the gradient y; its length
    satisfies the strong Wolfe conditions.

    Args:
        params: Tensors of one dtype and device; one group.
        lr: first length tried, above 0.
        max_iter: iterations in a `step`.
        max_eval: evaluations of the closure in a `step`, about; None for max_iter * 5 / 4.
        tolerance_grad: a step ends where no element of the gradient is larger,
        tolerance_change: or no element, nor the loss, changed more.
        history_size: how many s and y are remembered: each a copy of the parameters.

    Raises: ValueError for values that do not fit, TypeError for what is no Tensor of floats.
    Numerics: products of vectors are summed in float64; all else has the parameters' dtype.
    Source: Liu and Nocedal 1989, "On the Limited Memory BFGS Method for Large Scale Optimization".

    >>> from convkit import Tensor
    >>> w = Tensor([3.0, -4.0], requires_grad=True)
    >>> optimizer = LBFGS([w])
    >>> def closure():
    ...     loss = ((w - [1.0, 2.0]) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> round(optimizer.step(closure).item(), 6)
    40.0
    >>> w.data.round(6).tolist()
    [1.0, 2.0]
    """

    RULES: ClassVar[dict[str, Rule]] = {
        "lr": POSITIVE,
        "max_iter": COUNT,
        "max_eval": COUNT,
        "tolerance_grad": NOT_NEGATIVE,
        "tolerance_change": NOT_NEGATIVE,
        "history_size": COUNT,
    }

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        *,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
    ) -> None:
        max_iter = checked("LBFGS", "max_iter", max_iter, COUNT)
        super().__init__(
            params,
            lr=lr,
            max_iter=max_iter,
            max_eval=max_iter * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
        )
        if len(self.param_groups) != 1:
            count = len(self.param_groups)
            raise ValueError(f"LBFGS: params holds {count} groups, must be one")
        kinds = sorted({f"{p.dtype} of {space_of(p.data).__name__}" for p in self.params})
        if len(kinds) != 1:
            raise ValueError(
                f"LBFGS: params are {' and '.join(kinds)}, must be of one dtype and device"
            )
        self.state[0] = {"n_iter": 0, "func_evals": 0, "steps": [], "changes": []}

    def step(self, closure: Closure | None = None) -> Tensor | None:
        """Up to max_iter iterations.

        Args:
            closure: computes the loss, calls its backward and returns it. Gradients are zero
                before.

        Returns: the loss before.
        """
        if closure is None:
            raise ValueError("LBFGS: closure is None, must compute the loss and call its backward")
        options = {n: rule.kind(self.param_groups[0][n]) for n, rule in self.RULES.items()}
        state = self.state[0]
        first = self._evaluate(closure)
        loss, gradient, evaluations = first.item(), self._gradient(), 1
        for _ in range(options["max_iter"]):
            if _largest(gradient) <= options["tolerance_grad"]:
                break
            direction = self._direction(gradient)
            start = Point(0.0, loss, gradient, _dot(gradient, direction))
            if not -math.inf < start.slope < -options["tolerance_change"]:  # nor for NaN
                break
            t = options["lr"]
            if not state["steps"]:
                t = min(1.0, 1 / float(abs(gradient).sum())) * t
            end, count = self._search(closure, start, direction, t, evaluations, options)
            evaluations += count
            state["n_iter"] += 1
            moved = end.t * direction
            self._remember(moved, end.gradient - gradient, options["history_size"])
            fall, loss, gradient = abs(end.loss - loss), end.loss, end.gradient
            change = options["tolerance_change"]
            if evaluations >= options["max_eval"] or _largest(moved) <= change or fall < change:
                break
        state["func_evals"] += evaluations
        return first

    def _search(
        self,
        closure: Closure,
        start: Point,
        direction: Any,
        t: float,
        evaluations: int,
        options: dict[str, Any],
    ) -> tuple[Point, int]:
        """The end of the line search, where the parameters then are."""
        origin = self._flat([param.data for param in self.params])

        def at(t: float) -> Point:
            self._place(origin + t * direction)
            loss = self._evaluate(closure).item()
            gradient = self._gradient()
            return Point(t, loss, gradient, _dot(gradient, direction))

        end, count = strong_wolfe(
            at,
            start,
            t,
            most=max(1, min(25, options["max_eval"] - evaluations)),
            width=options["tolerance_change"] / _largest(direction),
        )
        self._place(origin + end.t * direction)
        return end, count

    def _direction(self, gradient: Any) -> Any:
        """-H gradient, by the two loops."""
        steps, changes = self.state[0]["steps"], self.state[0]["changes"]
        direction = -gradient
        shares = []
        for s, y in zip(reversed(steps), reversed(changes), strict=True):
            curvature = _dot(s, y)
            share = _dot(s, direction) / curvature
            shares.append((share, curvature))
            direction -= share * y
        if steps:
            direction *= _dot(steps[-1], changes[-1]) / _dot(changes[-1], changes[-1])
        for s, y, (share, curvature) in zip(steps, changes, reversed(shares), strict=True):
            direction += (share - _dot(y, direction) / curvature) * s
        return direction

    def _remember(self, step: Any, change: Any, most: int) -> None:
        if _dot(step, change) <= 1e-10:  # no curvature to learn
            return
        for kept, new in (("steps", step), ("changes", change)):
            self.state[0][kept] = [*self.state[0][kept], new][-most:]

    def _evaluate(self, closure: Closure) -> Tensor:
        self.zero_grad()
        with enable_grad():
            return closure()

    def _gradient(self) -> Any:
        return self._flat(
            [
                space_of(p.data).zeros_like(p.data) if p.grad is None else p.grad.data
                for p in self.params
            ]
        )

    def _flat(self, arrays: list[Any]) -> Any:
        return space_of(arrays[0]).concatenate([widened(array).reshape(-1) for array in arrays])

    def _place(self, flat: Any) -> None:
        start = 0
        for param in self.params:
            param.data[...] = flat[start : start + param.size].reshape(param.shape)
            param.changed()
            start += param.size

    def state_dict(self) -> dict[str, Any]:
        """As Optimizer's, with the history in arrays (how many, elements)."""
        made = super().state_dict()
        one = made["state"][0]
        for name in ("steps", "changes"):
            kept = one[name]
            one[name] = (
                np.stack([on_host(array) for array in kept])
                if kept
                else np.zeros((0, sum(param.size for param in self.params)))
            )
        return made

    def restored(self, state: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
        size = sum(param.size for param in self.params)
        space, dtype = space_of(self.params[0].data), wide_dtype(self.params[0])
        for name in ("steps", "changes"):
            kept = state[0][name]
            if kept.shape[1:] != (size,) or (len(kept) and kept.dtype != dtype):
                raise ValueError(
                    f"LBFGS: state_dict has {name} of {kept.dtype} {kept.shape}, must be {dtype} "
                    f"(any, {size})"
                )
            state[0][name] = [space.array(row) for row in kept]
        return state


def _dot(a: Any, b: Any) -> float:
    space = space_of(a)
    return sum(float(space.multiply(x, y, dtype="float64").sum()) for x, y in pieces(a, b))


def _largest(array: Any) -> float:
    return float(abs(array).max())
