"""Local response normalisation and its gradient."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import number, run
from convkit.recorded import Found, Recorded, gradient_of


def local_response_norm(
    x: Any,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Each channel divided by a power of how strongly the channels around it answer.

    y[n, i] = x[n, i] / S[n, i]^beta with S[n, i] = k + alpha/size * sum of x[n, j]^2 over the
    channels j from i - size//2 to i + (size - 1)//2 that exist. As in torch and Caffe alpha is
    divided by size; the formula of the AlexNet paper (n=5, alpha=1e-4, k=2) is size=5, alpha=5e-4,
    k=2 here.

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC". float32, float64, float16 or
            bfloat16 (ml_dtypes); any strides, any array library.
        size: channels of a window, from 1 to 2**31 - 1; may pass C.
        alpha, k: numbers >= 0.
        beta: from -100 to 100; 0.5, 0.75 and 1 are quickest.
        precision: "high" or "strict", as in conv2d.
        algo: "auto" or the name of an algorithm.
        max_workspace: as in conv2d.
        out: dense array for the result, of its shape and dtype; must not overlap x.

    Returns: an array like x, of x's array type, dtype and device, on x's stream.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: float32 accumulates in float32, each window anew; same bits on every run, thread
        count and batch composition. Squares overflow beyond 1.8e19 in
        float32: such a pixel gives 0, as in torch.
    Source: Krizhevsky, Sutskever and Hinton 2012, "ImageNet Classification with Deep Convolutional
        Neural Networks".

    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1)
    >>> local_response_norm(x, 3, alpha=3.0, beta=1.0, k=0.0).ravel().tolist()
    [0.2, 0.09523809523809523, 0.2]
    """
    return run(
        "local_response_norm",
        {"x": x},
        {
            "size": size,
            "alpha": number(alpha),
            "beta": number(beta),
            "k": number(k),
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def local_response_norm_grad(
    grad_y: Any,
    x: Any,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `local_response_norm` with respect to x.

    grad_x[n, m] = grad_y[n, m] S[n, m]^-beta - 2 alpha/size beta x[n, m] * sum of
    grad_y[n, i] x[n, i] S[n, i]^(-beta - 1) over the channels i whose window holds m.

    Args:
        grad_y: gradient of local_response_norm's result, of x's shape and dtype.
        x: the input of local_response_norm.
        size, alpha, beta, k, layout, precision, algo, max_workspace, out: as in
            local_response_norm.

    Returns: an array like x, of grad_y's array type and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as local_response_norm.

    >>> import numpy as np
    >>> x = np.array([1.0, 1.0]).reshape(1, 2, 1, 1)
    >>> grad_y = np.array([1.0, 0.0]).reshape(1, 2, 1, 1)
    >>> local_response_norm_grad(grad_y, x, 3, alpha=3.0, beta=1.0, k=0.0).ravel().tolist()
    [0.0, -0.5]
    """
    return run(
        "local_response_norm_grad",
        {"grad_y": grad_y, "x": x},
        {
            "size": size,
            "alpha": number(alpha),
            "beta": number(beta),
            "k": number(k),
            "layout": layout,
        },
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


@gradient_of("local_response_norm", lambda needs, parameters: ["x"])
def _local_response_norm(call: Recorded, grad: Any) -> Found:
    options = call.options("size", "alpha", "beta", "k", "layout")
    return {"x": local_response_norm_grad(grad, call["x"], **options)}
