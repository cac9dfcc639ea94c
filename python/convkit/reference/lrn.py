"""Local response normalisation and its gradient."""

import numpy as np

from .shapes import accumulator, from_nchw, to_nchw


def local_response_norm(
    x: np.ndarray,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    layout: str = "NCHW",
) -> np.ndarray:
    """y[n, i] = x[n, i] / (k + alpha/size * sum of x[n, j]^2 over the channels around i)^beta.

    The window of channel i is i - size//2 ... i + (size - 1)//2.

    >>> local_response_norm(np.array([[[[3.0]], [[4.0]]]]), 3, 3.0, 0.5, 0.0).ravel().tolist()
    [0.6, 0.8]
    """
    x = np.asarray(x)
    images = to_nchw(x, layout).astype(accumulator(x))
    total = k + alpha / size * sum_around(images**2, size // 2, (size - 1) // 2)
    return from_nchw(images / total**beta, layout, x.dtype)


def local_response_norm_grad(
    grad_y: np.ndarray,
    x: np.ndarray,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    *,
    layout: str = "NCHW",
) -> np.ndarray:
    """grad_x[m] = grad_y[m] S[m]^-beta - 2 alpha/size beta x[m] * sum of t[i] over the i whose
    window holds m, with t = grad_y x S^(-beta - 1); with beta = 0 it is grad_y.

    >>> local_response_norm_grad(np.ones((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), 1, 1, 1, 0).item()
    -1.0
    """
    x, grad_y = np.asarray(x), np.asarray(grad_y)
    total = accumulator(grad_y, x)
    images, grads = to_nchw(x, layout).astype(total), to_nchw(grad_y, layout).astype(total)
    if grads.shape != images.shape:
        raise ValueError(f"grad_y is {grad_y.shape}, it must be {x.shape}")
    before, after = size // 2, (size - 1) // 2
    s = k + alpha / size * sum_around(images**2, before, after)
    grad_x = grads / s**beta
    if beta != 0:
        terms = grads * images / s**beta / s
        grad_x = grad_x - 2 * alpha / size * beta * images * sum_around(terms, after, before)
    return from_nchw(grad_x, layout, grad_y.dtype)


def sum_around(values: np.ndarray, before: int, after: int) -> np.ndarray:
    """Sums over channels i - before ... i + after, where they exist, of (N, C, H, W) values."""
    channels = values.shape[1]
    sums = np.zeros_like(values)
    for i in range(channels):
        sums[:, i] = values[:, max(0, i - before) : min(channels, i + after + 1)].sum(1)
    return sums
