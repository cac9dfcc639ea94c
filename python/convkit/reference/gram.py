"""Gram matrices of feature maps and their gradient."""

import numpy as np

from .shapes import accumulator, from_nchw, to_nchw


def gram_matrix(x: np.ndarray, normalize: bool = False, *, layout: str = "NCHW") -> np.ndarray:
    """G[n, i, j] = sum over pixels m of F[n, i, m] * F[n, j, m], F being x as (N, C, H*W).

    normalize divides by C*H*W.

    >>> gram_matrix(np.array([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
    [[[30.0]]]
    """
    x = np.asarray(x)
    features = _features(x, layout, accumulator(x))
    gram = features @ features.swapaxes(1, 2)
    if normalize:
        gram /= features[0].size if len(features) else 1
    return np.asarray(gram, x.dtype)


def gram_matrix_grad(
    grad_gram: np.ndarray,
    x: np.ndarray,
    normalize: bool = False,
    *,
    layout: str = "NCHW",
) -> np.ndarray:
    """grad_F[n] = (grad_gram[n] + grad_gram[n]^T) F[n], divided by C*H*W with normalize."""
    grad_gram, x = np.asarray(grad_gram), np.asarray(x)
    total = accumulator(grad_gram, x)
    features = _features(x, layout, total)
    n, c, _ = features.shape
    if grad_gram.shape != (n, c, c):
        raise ValueError(f"grad_gram is {grad_gram.shape}, it must be {(n, c, c)}")
    grads = grad_gram.astype(total)
    grad_x = (grads + grads.swapaxes(1, 2)) @ features
    if normalize:
        grad_x /= features[0].size if n else 1
    return from_nchw(grad_x.reshape(to_nchw(x, layout).shape), layout, x.dtype)


def _features(x: np.ndarray, layout: str, total: np.dtype) -> np.ndarray:
    images = to_nchw(x, layout).astype(total)
    n, c, h, w = images.shape
    return images.reshape(n, c, h * w)
