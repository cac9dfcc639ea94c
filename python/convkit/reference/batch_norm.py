"""Batch normalisation and its gradients."""

from typing import Any

import numpy as np

from .conv2d import activate
from .shapes import accumulator, from_nchw, to_nchw


def batch_norm(
    x: np.ndarray,
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
) -> Any:
    """act(weight * (x - mean) / sqrt(var + eps) + bias + residual), over N, H, W of each channel.

    In training mean and var (divided by m) are the batch's, and running arrays, if given, become
    (1 - momentum) * r + momentum * batch, in place, with the variance divided by m - 1.

    >>> batch_norm(np.array([[[[1.0, 3.0]]]]), training=True, eps=0.0).tolist()
    [[[[-1.0, 1.0]]]]
    """
    x = np.asarray(x)
    total = accumulator(x)
    images = to_nchw(x, layout).astype(total, order="C")
    m = images[:, 0].size
    if training:
        mean = images.mean(axis=(0, 2, 3))
        rest = (images - per_channel(mean)).mean(axis=(0, 2, 3))  # what rounding left of a long sum
        mean = np.where(np.isfinite(rest), mean + rest, mean)
        var = ((images - per_channel(mean)) ** 2).mean(axis=(0, 2, 3))
    else:
        mean, var = (np.asarray(r).astype(total) for r in (running_mean, running_var))
    invstd = 1 / np.sqrt(var + eps)
    y = (images - per_channel(mean)) * per_channel(invstd)
    if weight is not None:
        y = y * per_channel(np.asarray(weight).astype(total))
    if bias is not None:
        y = y + per_channel(np.asarray(bias).astype(total))
    if residual is not None:
        y = y + to_nchw(residual, layout).astype(total)
    y = from_nchw(activate(y, activation), layout, x.dtype)
    if training and running_mean is not None:
        running_mean[...] = (1 - momentum) * running_mean.astype(total) + momentum * mean
        unbiased = var * m / (m - 1)
        running_var[...] = (1 - momentum) * running_var.astype(total) + momentum * unbiased
    if not return_stats:
        return y
    kept = np.dtype(np.float32) if x.dtype.itemsize == 2 else x.dtype
    return y, mean.astype(kept), invstd.astype(kept)


def batch_norm_grad(
    grad_y: np.ndarray,
    x: np.ndarray,
    weight: Any,
    save_mean: np.ndarray,
    save_invstd: np.ndarray,
    *,
    training: bool = True,
    layout: str = "NCHW",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(grad_x, grad_weight, grad_bias), with xh = (x - save_mean) * save_invstd.

    grad_bias = sum(grad_y), grad_weight = sum(grad_y * xh), grad_x = weight * save_invstd *
    (grad_y - grad_bias / m - xh * grad_weight / m); without training grad_x lacks both means.
    """
    grad_y, x = np.asarray(grad_y), np.asarray(x)
    total = accumulator(grad_y, x)
    grads, images = (to_nchw(a, layout).astype(total, order="C") for a in (grad_y, x))
    invstd = per_channel(np.asarray(save_invstd).astype(total))
    normal = (images - per_channel(np.asarray(save_mean).astype(total))) * invstd
    grad_bias = grads.sum(axis=(0, 2, 3))
    grad_weight = (grads * normal).sum(axis=(0, 2, 3))
    grad_x = grads
    if training:
        m = images[:, 0].size
        grad_x = grads - per_channel(grad_bias) / m - normal * per_channel(grad_weight) / m
    grad_x = grad_x * invstd
    if weight is not None:
        grad_x = grad_x * per_channel(np.asarray(weight).astype(total))
    kept = np.dtype(np.float32) if x.dtype.itemsize == 2 else x.dtype
    return (
        from_nchw(grad_x, layout, grad_y.dtype),
        grad_weight.astype(kept),
        grad_bias.astype(kept),
    )


def per_channel(values: np.ndarray) -> np.ndarray:
    """(C,) so that it lies along the channels of (N, C, H, W)."""
    return values.reshape(1, -1, 1, 1)
