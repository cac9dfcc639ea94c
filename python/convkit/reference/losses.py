"""Losses of features, faces and pictures."""

import numpy as np

from .gram import gram_matrix
from .shapes import accumulator, to_nchw


def binary_cross_entropy_with_logits(
    z: np.ndarray, y: np.ndarray, reduction: str = "mean"
) -> np.ndarray:
    """-y log(sigmoid(z)) - (1 - y) log(1 - sigmoid(z)), where -log(sigmoid(z)) is
    log(exp(0) + exp(-z)) and -log(1 - sigmoid(z)) is log(exp(0) + exp(z)).

    >>> float(binary_cross_entropy_with_logits([0.0], [1.0]) / np.log(2))
    1.0
    """
    z, y = np.asarray(z), np.asarray(y)
    wide = z.astype(accumulator(z))
    losses = y * np.logaddexp(0, -wide) + (1 - y) * np.logaddexp(0, wide)
    return _reduced(losses, reduction, z.dtype)


def mse_loss(x: np.ndarray, target: np.ndarray, reduction: str = "mean") -> np.ndarray:
    """(x - target)^2."""
    x = np.asarray(x)
    return _reduced(_difference(x, target) ** 2, reduction, x.dtype)


def triplet_loss(
    anchor: np.ndarray,
    positive: np.ndarray,
    negative: np.ndarray,
    *,
    margin: float = 0.2,
    reduction: str = "sum",
) -> np.ndarray:
    """max(|a - p|^2 - |a - n|^2 + margin, 0)."""
    anchor = np.asarray(anchor)
    dp = (_difference(anchor, positive) ** 2).sum(-1)
    dn = (_difference(anchor, negative) ** 2).sum(-1)
    return _reduced(np.maximum(dp - dn + margin, 0), reduction, anchor.dtype)


def semi_hard_triplets(
    x: np.ndarray, labels: np.ndarray, *, margin: float = 0.2
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each anchor a and positive p the negative n of smallest dn among dp < dn < dp + margin,
    where there is none that of the largest dn; d is the squared distance."""
    d = _distances(x) ** 2
    triplets = []
    for a, p, negatives in _pairs(np.asarray(labels)):
        semi_hard = [n for n in negatives if d[a, p] < d[a, n] < d[a, p] + margin]
        if semi_hard:
            n = min(semi_hard, key=lambda n: d[a, n])
        else:
            n = max(negatives, key=lambda n: d[a, n])
        triplets.append((a, p, n))
    return _columns(triplets)


def batch_hard_triplets(
    x: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each anchor the positive of the largest distance and the negative of the smallest."""
    d = _distances(x)
    pairs = _pairs(np.asarray(labels))
    triplets = []
    for a in sorted({a for a, _, _ in pairs}):
        p = max((p for one, p, _ in pairs if one == a), key=lambda p: d[a, p])
        n = min(next(ns for one, _, ns in pairs if one == a), key=lambda n: d[a, n])
        triplets.append((a, p, n))
    return _columns(triplets)


def batch_hard_loss(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    margin: float | None = 0.2,
    reduction: str = "mean",
) -> np.ndarray:
    """max(margin + Dp - Dn, 0), or log(1 + exp(Dp - Dn)) with margin None, of the hardest."""
    x, d = np.asarray(x), _distances(x)
    a, p, n = batch_hard_triplets(x, labels)
    nearer = d[a, p] - d[a, n]
    losses = np.logaddexp(0, nearer) if margin is None else np.maximum(margin + nearer, 0)
    return _reduced(losses, reduction, x.dtype)


def contrastive_loss(
    f1: np.ndarray,
    f2: np.ndarray,
    same: np.ndarray,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
) -> np.ndarray:
    """s D^2 / 2 + (1 - s) max(margin - D, 0)^2 / 2."""
    f1, s = np.asarray(f1), np.asarray(same, np.float64)
    d = np.sqrt((_difference(f1, f2) ** 2).sum(-1))
    losses = s * d**2 / 2 + (1 - s) * np.maximum(margin - d, 0) ** 2 / 2
    return _reduced(losses, reduction, f1.dtype)


def verification_logits(
    f1: np.ndarray,
    f2: np.ndarray,
    w: np.ndarray,
    b: float | np.ndarray = 0.0,
    *,
    similarity: str = "absolute",
) -> np.ndarray:
    """sum over k of w[k] t[k] + b; t is |f1 - f2|, or (f1 - f2)^2 / (f1 + f2), 0 where both are 0.

    >>> float(verification_logits([1.0, 0.0], [3.0, 0.0], [1.0, 1.0], similarity="chi_square"))
    1.0
    """
    f1 = np.asarray(f1)
    difference = _difference(f1, f2)
    if similarity == "absolute":
        terms = np.abs(difference)
    elif similarity == "chi_square":
        total = f1 + np.asarray(f2, difference.dtype)
        terms = np.zeros_like(difference)
        np.divide(difference**2, total, out=terms, where=total != 0)
    else:
        raise ValueError(
            f"similarity is {similarity!r}, it must be one of ['absolute', 'chi_square']"
        )
    logits = terms @ np.asarray(w, difference.dtype) + np.reshape(b, ())
    return np.asarray(logits, f1.dtype)


def content_loss(x: np.ndarray, target: np.ndarray, scale: str = "half") -> np.ndarray:
    """|x - target|^2, times 1/2, 1, 1 / (4 C H W) or 1 / (C H W)."""
    x = np.asarray(x)
    elements = int(np.prod(x.shape[1:]))
    factors = {"half": 1 / 2, "sum": 1.0, "course": 1 / (4 * elements), "mean": 1 / elements}
    if scale not in factors:
        raise ValueError(f"scale is {scale!r}, it must be one of {sorted(factors)}")
    return np.asarray((_difference(x, target) ** 2).sum() * factors[scale], x.dtype)


def style_loss(x: np.ndarray, target: np.ndarray, *, layout: str = "NCHW") -> np.ndarray:
    """|G / (H W) - Gt / (Ht Wt)|^2 / (2 C)^2; target are features, or G / (C H W) of them.

    >>> x = np.array([[[[1.0, 2.0]]]])
    >>> float(style_loss(x, 0 * x))
    1.5625
    """
    x, target = np.asarray(x), np.asarray(target)
    _, c, h, w = to_nchw(x, layout).shape
    wide = accumulator(x)
    ours = gram_matrix(x.astype(wide), layout=layout) / (h * w)
    if target.ndim == 3:
        theirs = c * target.astype(wide)
    else:
        _, _, h, w = to_nchw(target, layout).shape
        theirs = gram_matrix(target.astype(wide), layout=layout) / (h * w)
    return np.asarray(((ours - theirs) ** 2).sum() / (2 * c) ** 2, x.dtype)


def total_variation(x: np.ndarray, norm: str = "squared", *, layout: str = "NCHW") -> np.ndarray:
    """Sum over neighbours, down and across, of their squared or absolute differences."""
    x = np.asarray(x)
    image = to_nchw(x, layout).astype(accumulator(x))
    if norm not in ("squared", "absolute"):
        raise ValueError(f"norm is {norm!r}, it must be one of ['absolute', 'squared']")
    power = 2 if norm == "squared" else 1
    down, across = np.diff(image, axis=2), np.diff(image, axis=3)
    return np.asarray((abs(down) ** power).sum() + (abs(across) ** power).sum(), x.dtype)


def _difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    b = np.asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"arrays are {a.shape} and {b.shape}, they must have one shape")
    return np.asarray(a.astype(accumulator(a)) - b)


def _distances(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x)
    wide = x.astype(accumulator(x))
    return np.asarray(np.sqrt(((wide[:, None] - wide) ** 2).sum(-1)))


def _pairs(labels: np.ndarray) -> list[tuple[int, int, list[int]]]:
    """Anchors, positives and all their negatives, where there are any."""
    everyone = range(len(labels))
    return [
        (a, p, negatives)
        for a in everyone
        if (negatives := [n for n in everyone if labels[n] != labels[a]])
        for p in everyone
        if p != a and labels[p] == labels[a]
    ]


def _columns(triplets: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(triplets, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def _reduced(losses: np.ndarray, reduction: str, dtype: np.dtype) -> np.ndarray:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}, it must be 'mean', 'sum' or 'none'")
    if reduction != "none":
        losses = losses.sum() if reduction == "sum" else losses.mean()
    return np.asarray(losses, dtype)
