"""The fully connected layer and its gradients."""

from typing import Any

import numpy as np

from .conv2d import activate
from .shapes import accumulator


def linear(
    x: np.ndarray,
    w: np.ndarray,
    bias: Any = None,
    *,
    activation: str | None = None,
    residual: Any = None,
) -> np.ndarray:
    """y[..., k] = activation(sum over c of x[..., c] * w[k, c] + bias[k] + residual[..., k]).

    >>> linear(np.array([1.0, 2.0]), np.array([[1.0, 1.0], [0.0, 3.0]])).tolist()
    [3.0, 6.0]
    """
    x, w = np.asarray(x), np.asarray(w)
    total = accumulator(x, w)
    y = x.astype(total) @ w.astype(total).T
    if bias is not None:
        y = y + np.asarray(bias)
    if residual is not None:
        y = y + np.asarray(residual)
    return activate(np.asarray(y), activation).astype(x.dtype)


def linear_input_grad(grad_y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """grad_x[..., c] = sum over k of grad_y[..., k] * w[k, c]."""
    grad_y, w = np.asarray(grad_y), np.asarray(w)
    total = accumulator(grad_y, w)
    grad_x = np.asarray(grad_y.astype(total) @ w.astype(total))
    return grad_x.astype(grad_y.dtype)


def linear_weight_grad(grad_y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """grad_w[k, c] = sum over all rows of grad_y[..., k] * x[..., c]."""
    grad_y, x = np.asarray(grad_y), np.asarray(x)
    total = accumulator(grad_y, x)
    rows = grad_y.reshape(-1, grad_y.shape[-1]).astype(total)
    grad_w = np.asarray(rows.T @ x.reshape(-1, x.shape[-1]).astype(total))
    return grad_w.astype(grad_y.dtype)
