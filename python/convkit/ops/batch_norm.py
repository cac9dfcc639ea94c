"""Batch normalisation and its gradients."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import number, run
from convkit.recorded import Found, Recorded, gradient_of

from .elementwise import before_activation


def batch_norm(
    x: Any,
    weight: Any = None,
    bias: Any = None,
    running_mean: Any = None,
    running_var: Any = None,
    *,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
    residual: Any = None,
    return_stats: bool = False,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Batch normalisation: each channel brought to mean 0 and variance 1, then scaled and shifted.

    y = activation(weight * (x - mean) / sqrt(var + eps) + bias + residual), channel by channel. In
    training mean and var are those of the batch, over N, H and W, var divided by their number m;
    else they are running_mean and running_var.

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC". float32, float64, float16 or
            bfloat16 (ml_dtypes); any strides, any array library.
        weight, bias: (C,) or None. These and all arrays of statistics are float64 for a float64 x,
            else float32.
        running_mean, running_var: (C,). Training may do without, and otherwise **changes them in
            place**, as torch does: r = (1 - momentum)*r + momentum*batch, the variance being the
            one divided by m - 1. They must then be dense and writeable. A call that raises leaves
            them as they were.
        momentum: from 0 to 1.
        eps: at least 0.
        activation: None, "relu", "tanh" or "sigmoid", applied last.
        residual: an array like x, added before the activation, or None.
        return_stats: True gives (y, save_mean, save_invstd), what `batch_norm_grad` takes: the mean
            and 1/sqrt(var + eps) that y was made with, (C,) each.
        precision: "high" or "strict", as in conv2d.
        algo: "auto" or the name of an algorithm.
        max_workspace: as in conv2d.
        out: dense array for y, a tuple of three with return_stats; must not overlap an input.

    Returns: an array of x's shape, array type, dtype and device, on x's stream; or three.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: a variance is summed from deviations from the mean, so data far from zero lose no
        digits. float32 accumulates in chains of at most 64, whose sums are joined in float64; same
        bits on every run and thread count.
    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.

    >>> import numpy as np
    >>> x = np.array([1, 2, 3, 4], "f8").reshape(1, 1, 2, 2)
    >>> batch_norm(x, training=True).ravel().round(6).tolist()
    [-1.341635, -0.447212, 0.447212, 1.341635]
    """
    return run(
        "batch_norm",
        {
            "x": x,
            "weight": weight,
            "bias": bias,
            "residual": residual,
            "running_mean": running_mean,
            "running_var": running_var,
        },
        {
            "training": training,
            "momentum": number(momentum),
            "eps": number(eps),
            "activation": activation,
            "return_stats": return_stats,
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
        updated=("running_mean", "running_var") if training else (),
    )


def batch_norm_grad(
    grad_y: Any,
    x: Any,
    weight: Any,
    save_mean: Any,
    save_invstd: Any,
    *,
    training: bool = True,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradients of `batch_norm` with respect to x, weight and bias.

    With xh = (x - save_mean) * save_invstd, sums over N, H and W and m their number of terms:
    grad_bias = sum(grad_y), grad_weight = sum(grad_y * xh), and grad_x = weight * save_invstd *
    (grad_y - grad_bias/m - xh * grad_weight/m). Without training the statistics were constants:
    grad_x = weight * save_invstd * grad_y.

    Args:
        grad_y: like x, the gradient of batch_norm's result before its activation. It is also the
            gradient of the residual.
        x: as in batch_norm.
        weight: (C,) or None, as in batch_norm.
        save_mean, save_invstd: (C,), as batch_norm returned them.
        training: as in batch_norm.
        layout, precision, algo, max_workspace: as in batch_norm.
        out: a tuple of three dense arrays for the results; they must not overlap an input.

    Returns: (grad_x, grad_weight, grad_bias), of grad_y's array type and device: grad_x like x, the
        others (C,) and of weight's dtype.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as batch_norm.   Source: Ioffe and Szegedy 2015, arXiv:1502.03167.

    >>> import numpy as np
    >>> x = np.array([1, 2, 3, 4], "f8").reshape(1, 1, 2, 2)
    >>> _, mean, invstd = batch_norm(x, training=True, return_stats=True)
    >>> grad_y = np.array([1, 0, 0, 0], "f8").reshape(x.shape)
    >>> batch_norm_grad(grad_y, x, None, mean, invstd)[0].ravel().round(6).tolist()
    [0.26833, -0.357768, -0.089443, 0.178882]
    """
    return run(
        "batch_norm_grad",
        {
            "grad_y": grad_y,
            "x": x,
            "weight": weight,
            "save_mean": save_mean,
            "save_invstd": save_invstd,
        },
        {"training": training, "layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def _keeps(_needs: frozenset[str], parameters: dict[str, Any]) -> list[str]:
    return ["x", "weight", "y1", "y2", *(["y"] if parameters["activation"] else [])]


@gradient_of("batch_norm", _keeps, also={"return_stats": True})
def _batch_norm(call: Recorded, grad: Any, _mean: Any = None, _invstd: Any = None) -> Found:
    grad = before_activation(call, grad)
    weight = call["weight"] if call.has("weight") else None
    arrays = (grad, call["x"], weight, call["y1"].detach(), call["y2"].detach())
    grads = batch_norm_grad(*arrays, **call.options("training", "layout"))
    found = dict(zip(("x", "weight", "bias"), grads, strict=True))
    return {name: found[name] for name in found if call.has(name)} | {"residual": grad}
