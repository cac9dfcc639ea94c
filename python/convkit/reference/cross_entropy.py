"""Softmax cross-entropy and its gradient."""

import numpy as np

from .shapes import accumulator


def cross_entropy(
    logits: np.ndarray,
    target: np.ndarray,
    *,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    ignore_index: int = -100,
    layout: str = "NCHW",
) -> np.ndarray:
    """(1 - e) * (log(sum over k of exp(z[k])) - z[target]) + e * (log(...) - mean of z).

    reduction "mean" is over positions whose target is not ignore_index, whose loss is 0.

    >>> float(cross_entropy(np.zeros((2, 4)), np.array([1, 3]), reduction="sum") / np.log(4))
    2.0
    """
    logits, target = np.asarray(logits), np.asarray(target)
    z = classes_last(logits, layout)
    counts = checked("cross_entropy", z, target, ignore_index)
    s, log_sum = shifted(z)
    own = np.take_along_axis(s, np.where(counts, target, 0)[..., None], -1)[..., 0]
    losses = log_sum - own
    if label_smoothing:
        losses = (1 - label_smoothing) * losses + label_smoothing * (log_sum - s.mean(-1))
    losses = np.where(counts, losses, 0)
    if reduction == "none":
        return losses.astype(logits.dtype)
    total = losses.sum()
    if reduction == "mean":
        total = total / np.asarray(counts.sum(), total.dtype)
    return np.asarray(total, logits.dtype)


def cross_entropy_grad(
    grad_loss: np.ndarray,
    logits: np.ndarray,
    target: np.ndarray,
    *,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    ignore_index: int = -100,
    layout: str = "NCHW",
) -> np.ndarray:
    """(softmax(z) - t) * grad_loss, t = (1 - e) at the target and e/K everywhere; "mean" divides by
    the number of positions that are not ignored.

    >>> grad = cross_entropy_grad(np.ones(()), np.zeros((1, 2)), np.array([0]))
    >>> grad.tolist()
    [[-0.5, 0.5]]
    """
    grad_loss, logits, target = (np.asarray(array) for array in (grad_loss, logits, target))
    z = classes_last(logits, layout)
    counts = checked("cross_entropy_grad", z, target, ignore_index)
    s, log_sum = shifted(z)
    wanted = np.full(s.shape, label_smoothing / s.shape[-1], s.dtype)
    own = np.where(counts, target, 0)[..., None]
    np.put_along_axis(wanted, own, np.take_along_axis(wanted, own, -1) + 1 - label_smoothing, -1)
    scale = grad_loss.astype(s.dtype)
    if reduction == "mean":
        scale = scale / max(counts.sum(), 1)
    grad = (np.exp(s - log_sum[..., None]) - wanted) * (
        scale[..., None] if reduction == "none" else scale
    )
    grad = np.where(counts[..., None], grad, 0)
    if layout == "NCHW":
        grad = np.moveaxis(grad, -1, 1)
    return np.ascontiguousarray(grad, dtype=grad_loss.dtype)


def classes_last(logits: np.ndarray, layout: str) -> np.ndarray:
    """Logits as (N, ..., K), in the type that sums are made in."""
    if layout not in ("NCHW", "NHWC"):
        raise ValueError(f"layout is {layout!r}, it must be 'NCHW' or 'NHWC'")
    z = logits.astype(accumulator(logits))
    return z if layout == "NHWC" else np.moveaxis(z, 1, -1)


def checked(op: str, z: np.ndarray, target: np.ndarray, ignore_index: int) -> np.ndarray:
    """Which targets count; ValueError where one is no class."""
    if target.shape != z.shape[:-1]:
        raise ValueError(f"{op}: target is {target.shape}, it must be {z.shape[:-1]}")
    counts: np.ndarray = target != ignore_index
    wrong = np.argwhere(counts & ((target < 0) | (target >= z.shape[-1])))
    if len(wrong):
        place = ", ".join(map(str, wrong[0]))
        raise ValueError(
            f"{op}: target[{place}] is {target[tuple(wrong[0])]}, must be from 0 to "
            f"{z.shape[-1] - 1}, or ignore_index={ignore_index}"
        )
    return counts


def shifted(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """z less the largest of its classes, and log of the sum of its exponentials."""
    s = z - z.max(-1, keepdims=True)
    return s, np.log(np.exp(s).sum(-1))
