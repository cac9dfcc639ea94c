"""How others normalise over channels and judge logits: what peers.py calls for these ops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from convkit.testing import CrossEntropy, Lrn


def lrn(space: Any, problem: Lrn, direction: str, data: dict[str, Any]) -> Any:
    """By NumPy or CuPy: sums over windows as differences of running sums."""
    x, (before, after) = data["x"], problem.window
    a, b = problem.alpha / problem.size, problem.beta
    s = problem.k + a * _sums(space, x * x, before, after)
    if direction == "fprop":
        return x / s**b
    scaled = data["grad_y"] / s**b
    return scaled - 2 * a * b * x * _sums(space, scaled * x / s, after, before)


def _sums(space: Any, values: Any, before: int, after: int) -> Any:
    padded = space.pad(values, ((0, 0), (before + 1, after), (0, 0), (0, 0)))
    running = space.cumsum(padded, 1, dtype="f8")
    return (running[:, before + after + 1 :] - running[:, : values.shape[1]]).astype(values.dtype)


def cross_entropy(space: Any, problem: CrossEntropy, direction: str, data: dict[str, Any]) -> Any:
    """By NumPy or CuPy, for targets of which none is ignored."""
    z, own = data["x"], data["target"][:, None]
    s = z - z.max(1, keepdims=True)
    e, count = space.exp(s), own.size if problem.reduction == "mean" else 1
    total = e.sum(1, keepdims=True)
    if direction == "fprop":
        losses = space.log(total) - space.take_along_axis(s, own, 1)
        return losses.sum() / count
    wanted = space.arange(problem.c).reshape(1, -1, *[1] * (z.ndim - 2)) == own
    return (e / total - wanted) * (data["grad_y"] / count)


def torch_call(
    torch: Any, problem: Lrn | CrossEntropy, direction: str, data: dict[str, Any]
) -> Callable[[], Any]:
    """Torch's function, or its gradient by the tape, whose forward call is part of the time."""
    functional = torch.nn.functional
    if isinstance(problem, Lrn):
        numbers = (problem.size, problem.alpha, problem.beta, problem.k)

        def forward(x: Any) -> Any:
            return functional.local_response_norm(x, *numbers)
    else:
        options = {
            "reduction": problem.reduction,
            "label_smoothing": problem.smooth,
            "ignore_index": problem.ignore_index,
        }

        def forward(x: Any) -> Any:
            return functional.cross_entropy(x, data["target"], **options)

    if direction == "fprop":
        return lambda: forward(data["x"])

    def backward() -> Any:
        with torch.enable_grad():
            x = data["x"].detach().requires_grad_()
            return torch.autograd.grad(forward(x), x, data["grad_y"])[0]

    return backward
