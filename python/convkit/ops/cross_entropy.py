"""Softmax cross-entropy and its gradient."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import number, run
from convkit.recorded import Found, Recorded, gradient_of


def cross_entropy(
    logits: Any,
    target: Any,
    *,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    ignore_index: int = -100,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """How badly logits predict classes: the loss of a classifier.

    loss[n] = log(sum over classes k of exp(z[n, k])) - z[n, target[n]]. With label_smoothing e the
    target is 1 - e of its class and e/K of every one: (1 - e) times that, and e times its mean
    over all classes.

    Args:
        logits: (N, K), or (N, K, ...) with a class for each position, as (N, K, H, W); with
            layout="NHWC" (N, ..., K). float32, float64, float16 or bfloat16 (ml_dtypes); any
            strides, any array library.
        target: int64 classes from 0 to K - 1, of logits' shape without the classes: (N,) or
            (N, ...).
        label_smoothing: from 0 to 1.
        reduction: "mean" over the positions not ignored (NaN where there is none), "sum" or "none".
        ignore_index: an int, a target that stands for no class: its loss and gradient are 0.
        precision: "high" or "strict", as in conv2d.
        algo: "auto" or the name of an algorithm.
        max_workspace: as in conv2d.
        out: dense array for the loss, of its shape and dtype; must not overlap logits.

    Returns: an array of shape (), or of target's with reduction="none"; of logits' array type,
        dtype and device, on its stream.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before. A target that is no class and not ignored: ValueError naming the first
        one, before anything is written. On a GPU (and in simt) that would have to wait for the
        device: there the loss of such a position is NaN.
    Numerics: the largest logit is subtracted first, so that nothing overflows; same bits on every
        run and thread count.

    >>> import numpy as np
    >>> round(float(cross_entropy(np.array([[1.0, 2.0, 3.0]]), np.array([2]))), 12)
    0.407605964444
    """
    return run(
        "cross_entropy",
        {"logits": logits, "target": target},
        {
            "label_smoothing": number(label_smoothing),
            "reduction": reduction,
            "ignore_index": ignore_index,
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def cross_entropy_grad(
    grad_loss: Any,
    logits: Any,
    target: Any,
    *,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    ignore_index: int = -100,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `cross_entropy` with respect to the logits.

    grad_logits[n, k] = (softmax(z[n])[k] - t[k]) * grad_loss, t being 1 at the target and 0
    elsewhere, smoothed as in cross_entropy; with reduction="mean" divided by how many positions are
    not ignored.

    Args:
        grad_loss: gradient of cross_entropy's result, of its shape and of logits' dtype;
            np.ones((), dtype) for the loss itself.
        logits, target: as in cross_entropy.
        label_smoothing, reduction, ignore_index, layout, precision, algo, max_workspace, out: as
            in cross_entropy.

    Returns: an array like logits, of grad_loss' array type and device.
    Raises: as cross_entropy; on a GPU the gradient of a position with a bad target is NaN.
    Numerics: as cross_entropy.

    >>> import numpy as np
    >>> grad = cross_entropy_grad(np.ones(()), np.array([[0.0, 0.0]]), np.array([1]))
    >>> grad.tolist()
    [[0.5, -0.5]]
    """
    return run(
        "cross_entropy_grad",
        {"grad_loss": grad_loss, "logits": logits, "target": target},
        {
            "label_smoothing": number(label_smoothing),
            "reduction": reduction,
            "ignore_index": ignore_index,
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


@gradient_of("cross_entropy", lambda needs, parameters: ["logits", "target"])
def _cross_entropy(call: Recorded, grad: Any) -> Found:
    options = call.options("label_smoothing", "reduction", "ignore_index", "layout")
    return {"logits": cross_entropy_grad(grad, call["logits"], call["target"].data, **options)}
