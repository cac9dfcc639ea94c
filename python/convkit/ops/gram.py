"""Gram matrices of feature maps and their gradient."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import run
from convkit.recorded import Found, Recorded, gradient_of, of_product


def gram_matrix(
    x: Any,
    normalize: bool = False,
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """How much each two channels of an image light up together: the style of neural style transfer.

    G[n, i, j] = sum over pixels m of F[n, i, m] * F[n, j, m], where F is x as (N, C, H*W).

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC". float32, float64, float16 or
            bfloat16 (ml_dtypes); any strides, any array library.
        normalize: True divides by C*H*W.
        precision: "high" or "strict", as in conv2d.
        algo: "auto" or the name of an algorithm.
        max_workspace: None, or the most bytes of scratch memory, as in conv2d.
        out: dense array for the result, of its shape and dtype; must not overlap x.

    Returns: (N, C, C), symmetric to the bit, of x's array type, dtype and device, on x's stream.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: float32 accumulates in float32, in blocks of 256 pixels; same bits on every run,
        thread count and batch composition.
    Source: Gatys, Ecker and Bethge 2016, "Image Style Transfer Using Convolutional Neural
        Networks".

    >>> import numpy as np
    >>> gram_matrix(np.array([[[[1, 2]], [[3, 4]]]], "f4"))[0].tolist()
    [[5.0, 11.0], [11.0, 25.0]]
    """
    return run(
        "gram_matrix",
        {"x": x},
        {"normalize": normalize, "layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def gram_matrix_grad(
    grad_gram: Any,
    x: Any,
    normalize: bool = False,
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `gram_matrix` with respect to x.

    grad_F[n] = (grad_gram[n] + grad_gram[n]^T) F[n], divided by C*H*W with normalize.

    Args:
        grad_gram: (N, C, C), the gradient of gram_matrix's result; need not be symmetric.
        x: the features, as in gram_matrix.
        normalize, layout, precision, algo, max_workspace, out: as in gram_matrix.

    Returns: an array like x, of grad_gram's array type and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as gram_matrix, in blocks of 256 channels.

    >>> import numpy as np
    >>> x = np.array([[[[1, 2]], [[3, 4]]]], "f4")
    >>> gram_matrix_grad(np.array([[[1, 2], [3, 4]]], "f4"), x)[0, :, 0].tolist()
    [[17.0, 24.0], [29.0, 42.0]]
    """
    return run(
        "gram_matrix_grad",
        {"grad_gram": grad_gram, "x": x},
        {"normalize": normalize, "layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


@gradient_of("gram_matrix", lambda needs, parameters: ["x"])
def _gram_matrix(call: Recorded, grad: Any) -> Found:
    return {"x": gram_matrix_grad(grad, call["x"], **call.options("normalize", "layout"))}


@gradient_of("gram_matrix_grad", of_product("grad_gram", "x"))
def _gram_matrix_grad(call: Recorded, grad: Any) -> Found:
    """Of (G + G^T) x, a product of x and of G's symmetric part."""
    options, found = call.options("normalize", "layout"), {}
    if "x" in call.needs:
        found["x"] = gram_matrix_grad(call["grad_gram"], grad, **options)
    if "grad_gram" in call.needs:
        x = call["x"]
        one, other = (_as_rows(tensor, options["layout"]) for tensor in (grad, x))
        product = one @ other.transpose(0, 2, 1)
        both = product + product.transpose(0, 2, 1)
        found["grad_gram"] = both / (x.size // x.shape[0]) if options["normalize"] else both
    return found


def _as_rows(tensor: Any, layout: str) -> Any:
    """(N, C, H*W)."""
    n = tensor.shape[0]
    if layout == "NCHW":
        return tensor.reshape(n, tensor.shape[1], -1)
    return tensor.reshape(n, -1, tensor.shape[3]).transpose(0, 2, 1)
