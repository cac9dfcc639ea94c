"""The gradient of a bias."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import run
from convkit.recorded import Found, Recorded, gradient_of, nothing


def conv2d_bias_grad(
    grad_y: Any,
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `conv2d` with respect to bias.

    grad_bias[k] = sum over n, p, q of grad_y[n, k, p, q].

    Args:
        grad_y: (N, K, P, Q), the gradient of conv2d's result before its activation; (N, P, Q, K)
            for NHWC. float32, float64, float16 or bfloat16 (ml_dtypes); any strides, any array
            library.
        precision: "high" or "strict", as in conv2d.
        algo: "auto" or the name of an algorithm.
        max_workspace: as in conv2d.
        out: dense array for the result, of its shape and dtype; must not overlap grad_y.

    Returns: (K,), of grad_y's array type, dtype and device. Zeros for an empty batch.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: float32 accumulates in chains of at most 64, whose sums are joined in float64; same
        bits on every run and thread count.

    >>> import numpy as np
    >>> conv2d_bias_grad(np.arange(8, dtype="f4").reshape(1, 2, 2, 2)).tolist()
    [6.0, 22.0]
    """
    return run(
        "conv2d_bias_grad",
        {"grad_y": grad_y},
        {"layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


@gradient_of("conv2d_bias_grad", nothing)
def _conv2d_bias_grad(call: Recorded, grad: Any) -> Found:
    from .shaping import BroadcastTo

    sides = (1, -1, 1, 1) if call.parameters["layout"] == "NCHW" else (1, 1, 1, -1)
    return {"grad_y": BroadcastTo.apply(grad.reshape(sides), call.shape("grad_y"))}
