"""Losses of neural style transfer: what a picture shows, how, and how smoothly."""

from __future__ import annotations

import math
from typing import Any

from convkit.autograd import Tensor
from convkit.ops.gram import gram_matrix

from .checks import check_dtype, features, like


def content_loss(x: Any, target: Any, scale: str = "half") -> Tensor:
    """How far the features of a picture are from those of the picture whose content it shall have.

    loss = sum of (x - target)^2, times 1/2 with scale="half" (Gatys), 1 with "sum",
    1 / (4 C H W) with "course" (deeplearning.ai) and 1 / (C H W) with "mean" (Johnson).

    Args:
        x: features, (N, C, H, W) or any layout; the N images are added.
        target: of x's shape and dtype.
        scale: "half", "sum", "course" or "mean".

    Returns: a Tensor of shape ().
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.
    Source: Gatys, Ecker and Bethge 2016, "Image Style Transfer Using Convolutional Neural
        Networks"; Johnson, Alahi and Fei-Fei 2016, "Perceptual Losses for Real-Time Style
        Transfer and Super-Resolution".

    >>> content_loss([[[[1.0, 2.0]]]], [[[[1.0, 4.0]]]]).item()
    2.0
    """
    op = "content_loss"
    x = features(op, "x", x, least_ndim=4)
    difference = x - like(op, "target", target, "x", x)
    elements = math.prod(x.shape[1:])
    divisors = {"half": 2, "sum": 1, "course": 4 * elements, "mean": elements}
    if scale not in divisors:
        raise ValueError(f"{op}: scale is {scale!r}, must be {', '.join(map(repr, divisors))}")
    loss: Tensor = _total(difference) / divisors[scale]
    return loss


def style_loss(x: Any, target: Any, *, layout: str = "NCHW") -> Tensor:
    """How far the style of a picture's features, their Gram matrix, is from another picture's.

    loss = |G/(H W) - Gt/(Ht Wt)|^2 / (2 C)^2, each Gram matrix divided by its own number of pixels;
    for pictures of one size this is Gatys' |G - Gt|^2 / (2 C H W)^2.

    Args:
        x: features, (N, C, H, W), or (N, H, W, C) with layout="NHWC"; the N images are added.
        target: the style's features, of x's dtype, of N images or one, of any height and width;
            or, computed once, what `gram_matrix(features, normalize=True)` gives for them:
            (N, C, C) or (1, C, C).
        layout: "NCHW" or "NHWC".

    Returns: a Tensor of shape ().
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.
    Source: Gatys, Ecker and Bethge 2016, as content_loss.

    >>> style_loss([[[[1.0, 2.0]]]], [[[[1.0, 0.0]]]]).item()
    1.0
    """
    op = "style_loss"
    x = features(op, "x", x)
    _check_image(op, x, layout)
    target = features(op, "target", target)
    check_dtype(op, "target", target, "x", x)
    n, c = x.shape[0], x.shape[1 if layout == "NCHW" else 3]
    own = target.shape
    channels = own[1:] == (c, c) if len(own) == 3 else own[1:2] == (c,)
    if len(own) == 4 and layout == "NHWC":
        channels = own[3] == c
    if len(own) not in (3, 4) or own[0] not in (1, n) or not channels:
        raise ValueError(
            f"{op}: target.shape is {own}, must be of {c} channels, x's {n} images or 1, or "
            f"their Gram matrices, ({n}, {c}, {c}) or (1, {c}, {c}) (x.shape={x.shape})"
        )
    if target.ndim == 4:
        target = gram_matrix(target, normalize=True, layout=layout)
    # gram_matrix normalized is G / (C H W).
    return _total(gram_matrix(x, normalize=True, layout=layout) - target) / 4


def total_variation(x: Any, norm: str = "squared", *, layout: str = "NCHW") -> Tensor:
    """How rough pictures are: differences of neighbours, across and down.

    loss = sum of (x[i+1, j] - x[i, j])^2 + (x[i, j+1] - x[i, j])^2; with norm="absolute" the sum of
    their absolute values, with slope 0 where neighbours are equal.

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC".
        norm: "squared" or "absolute".
        layout: "NCHW" or "NHWC".

    Returns: a Tensor of shape ().
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.
    Source: Rudin, Osher and Fatemi 1992, "Nonlinear Total Variation Based Noise Removal
        Algorithms"; Mahendran and Vedaldi 2015, "Understanding Deep Image Representations by
        Inverting Them".

    >>> x = [[[[1.0, 2.0], [4.0, 8.0]]]]
    >>> total_variation(x).item(), total_variation(x, "absolute").item()
    (62.0, 14.0)
    """
    op = "total_variation"
    x = features(op, "x", x)
    _check_image(op, x, layout)
    if norm not in ("squared", "absolute"):
        raise ValueError(f"{op}: norm is {norm!r}, must be 'squared' or 'absolute'")
    down, across = (2, 3) if layout == "NCHW" else (1, 2)
    return _roughness(x, down, norm) + _roughness(x, across, norm)


def _roughness(x: Tensor, axis: int, norm: str) -> Tensor:
    before = (slice(None),) * axis
    steps = x[(*before, slice(1, None))] - x[(*before, slice(None, -1))]
    return (steps * steps if norm == "squared" else steps.abs()).sum()


def _check_image(op: str, x: Tensor, layout: str) -> None:
    if layout not in ("NCHW", "NHWC"):
        raise ValueError(f"{op}: layout is {layout!r}, must be 'NCHW' or 'NHWC'")
    if x.ndim != 4:
        sides = ", ".join(layout)
        raise ValueError(f"{op}: x.shape is {x.shape}, must be ({sides})")


def _total(difference: Tensor) -> Tensor:
    return (difference * difference).sum()
