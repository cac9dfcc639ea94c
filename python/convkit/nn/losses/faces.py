"""Losses that bring the features of one person together and part those of others."""

from __future__ import annotations

import math
from typing import Any

from convkit.autograd import Tensor
from convkit.autograd.tensor import FLOATS
from convkit.ops.elementwise import Masked, space_of

from .checks import check_dtype, features, like, reduced
from .elementwise import Softplus


def triplet_loss(
    anchor: Any, positive: Any, negative: Any, *, margin: float = 0.2, reduction: str = "sum"
) -> Tensor:
    """FaceNet's: a face is nearer to one of the same person than to one of another, by a margin.

    loss = max(|a - p|^2 - |a - n|^2 + margin, 0); a triplet at 0 has no gradient. (torch's
    TripletMarginLoss is another function: distances not squared, margin 1, the mean.)

    Args:
        anchor, positive, negative: features, (..., D), of one shape and dtype; FaceNet's have
            length 1.
        margin: at least 0.
        reduction: "sum" over the triplets, "mean" or "none".

    Returns: a Tensor of shape (), or (...) with reduction="none".
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.
    Source: Schroff, Kalenichenko and Philbin 2015, "FaceNet: A Unified Embedding for Face
        Recognition and Clustering".

    >>> loss = triplet_loss([[0.6, 0.8]], [[0.8, 0.6]], [[1.0, 0.0]], margin=0.8)
    >>> round(loss.item(), 12)
    0.08
    """
    op = "triplet_loss"
    anchor = features(op, "anchor", anchor, least_ndim=1)
    positive = like(op, "positive", positive, "anchor", anchor)
    negative = like(op, "negative", negative, "anchor", anchor)
    margin = _checked_margin(op, margin)
    nearer = _squared(anchor - positive) - _squared(anchor - negative)
    return reduced(op, (nearer + margin).relu(), reduction)


def semi_hard_triplets(x: Any, labels: Any, *, margin: float = 0.2) -> tuple[Any, Any, Any]:
    """Triplets of a batch for `triplet_loss`, one for each two faces of a person.

    Of the negatives with dp < dn < dp + margin (squared distances) the nearest; where there is
    none, the farthest of all negatives. Of equal ones the first.

    Args:
        x: features, (N, D); a Tensor or array. The choice carries no gradient.
        labels: who each is, (N,) integers.
        margin: at least 0.

    Returns: (anchors, positives, negatives), indices into the batch as int64 arrays, by anchor and
        positive; without pairs or negatives empty.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.
    Source: as triplet_loss.

    >>> a, p, n = semi_hard_triplets([[0.0], [1.0], [1.05], [3.0]], [0, 0, 1, 2])
    >>> a.tolist(), p.tolist(), n.tolist()
    ([0, 1], [1, 0], [2, 3])
    """
    op = "semi_hard_triplets"
    x, labels = _batch(op, x, labels)
    margin = _checked_margin(op, margin)
    space, distances = space_of(x), _squared_distances(x)
    found = []
    for anchor in range(len(x)):
        same = labels == labels[anchor]
        (negatives,) = space.nonzero(~same)
        same[anchor] = False
        (positives,) = space.nonzero(same)
        if not len(positives) or not len(negatives):
            continue
        dp, dn = distances[anchor, positives][:, None], distances[anchor, negatives][None]
        semi = (dp < dn) & (dn < dp + margin)
        nearest = space.where(semi, dn, math.inf).argmin(1)
        chosen = space.where(semi.any(1), nearest, dn.argmax(1))
        found.append((space.full_like(positives, anchor), positives, negatives[chosen]))
    if not found:
        return tuple(space.zeros(0, "int64") for _ in range(3))
    anchors, positives, negatives = (space.concatenate(part) for part in zip(*found, strict=True))
    return anchors, positives, negatives


def batch_hard_triplets(x: Any, labels: Any) -> tuple[Any, Any, Any]:
    """For each face of a batch the farthest of the same person and the nearest of another.

    Args:
        x: features, (N, D); a Tensor or array. The choice carries no gradient.
        labels: who each is, (N,) integers.

    Returns: (anchors, positives, negatives), indices into the batch as int64 arrays. An anchor
        alone of its person, or without another person, is left out. Of equal ones the first.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.
    Source: Hermans, Beyer and Leibe 2017, "In Defense of the Triplet Loss for Person
        Re-Identification".

    >>> a, p, n = batch_hard_triplets([[0.0], [1.0], [5.0], [3.0]], [0, 0, 0, 1])
    >>> a.tolist(), p.tolist(), n.tolist()
    ([0, 1, 2], [2, 2, 0], [3, 3, 3])
    """
    x, labels = _batch("batch_hard_triplets", x, labels)
    space, distances = space_of(x), _squared_distances(x)
    others = labels[:, None] != labels
    same = ~others & ~space.eye(len(x), dtype=bool)
    (anchors,) = space.nonzero(same.any(1) & others.any(1))
    if not len(anchors):
        return anchors, anchors.copy(), anchors.copy()
    farthest = space.where(same, distances, -math.inf).argmax(1)
    nearest = space.where(others, distances, math.inf).argmin(1)
    return anchors, farthest[anchors], nearest[anchors]


def batch_hard_loss(
    x: Any, labels: Any, *, margin: float | None = 0.2, reduction: str = "mean"
) -> Tensor:
    """The triplet loss of each face's hardest triplet in the batch, distances not squared.

    loss = max(margin + Dp - Dn, 0), or log(1 + exp(Dp - Dn)) with margin=None, the soft margin;
    D is the Euclidean distance, with gradient 0 at D = 0.

    Args:
        x: features, (N, D); batches hold several faces of several persons.
        labels: who each is, (N,) integers.
        margin: at least 0, or None.
        reduction: "mean" over the anchors of `batch_hard_triplets` (NaN where there is none),
            "sum" or "none".

    Returns: a Tensor of shape (), or (anchors,) with reduction="none".
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.
    Source: as batch_hard_triplets.

    >>> x = [[0.0], [1.0], [5.0], [3.0]]
    >>> batch_hard_loss(x, [0, 0, 0, 1], reduction="none").data.tolist()
    [2.2, 2.2, 3.2]
    """
    op = "batch_hard_loss"
    x = features(op, "x", x)
    _batch(op, x, labels)
    if margin is not None:
        margin = _checked_margin(op, margin)
    anchors, positives, negatives = batch_hard_triplets(x, labels)
    anchor = x[anchors]
    nearer = _distance(anchor - x[positives]) - _distance(anchor - x[negatives])
    losses = Softplus.apply(nearer) if margin is None else (nearer + margin).relu()
    return reduced(op, losses, reduction)


def contrastive_loss(
    f1: Any, f2: Any, same: Any, *, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Draws pairs of the same together and pushes others a margin apart.

    loss = s D^2 / 2 + (1 - s) max(margin - D, 0)^2 / 2, D = |f1 - f2|, with gradient 0 at D = 0.

    Args:
        f1, f2: features, (..., D), of one shape and dtype.
        same: s, 1 where the pair is the same, else 0 (the paper's Y is 1 - s): (...) of f1's dtype,
            bool or integers.
        margin: at least 0.
        reduction: "mean" over the pairs, "sum" or "none".

    Returns: a Tensor of shape (), or (...) with reduction="none".
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.
    Source: Hadsell, Chopra and LeCun 2006, "Dimensionality Reduction by Learning an Invariant
        Mapping".

    >>> pairs = contrastive_loss([[0.5], [0.5]], [[0.0], [0.0]], [True, False], reduction="none")
    >>> pairs.data.tolist()
    [0.125, 0.125]
    """
    op = "contrastive_loss"
    f1 = features(op, "f1", f1, least_ndim=1)
    difference = f1 - like(op, "f2", f2, "f1", f1)
    margin = _checked_margin(op, margin)
    squared = _squared(difference)
    same = like(op, "same", same, "f1 without its last dimension", squared, labels=True)
    apart = (margin - _distance(difference)).relu()
    return reduced(op, (same * squared + (1 - same) * (apart * apart)) * 0.5, reduction)


def verification_logits(
    f1: Any, f2: Any, w: Any, b: Any = 0.0, *, similarity: str = "absolute"
) -> Tensor:
    """Whether two faces are one person's, for `binary_cross_entropy_with_logits` and sigmoid.

    z = sum over k of w[k] * t[k] + b, where t is |f1 - f2| with similarity="absolute", and
    (f1 - f2)^2 / (f1 + f2), 0 where both are 0, with "chi_square". Slopes of t are 0 where f1 = f2.

    Args:
        f1, f2: features, (..., D), of one shape and dtype; not negative for "chi_square".
        w: weights, (D,).
        b: a number, or an array of one element.
        similarity: "absolute" or "chi_square".

    Returns: a Tensor (...).
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes.
    Source: Taigman, Yang, Ranzato and Wolf 2014, "DeepFace: Closing the Gap to Human-Level
        Performance in Face Verification".

    >>> f1, f2 = [[0.5, 1.0, 0.25]], [[0.0, 1.0, 0.0]]
    >>> verification_logits(f1, f2, [-1.0, 2.0, -4.0], 1.0).data.tolist()
    [-0.5]
    """
    op = "verification_logits"
    f1 = features(op, "f1", f1, least_ndim=1)
    f2 = like(op, "f2", f2, "f1", f1)
    w = features(op, "w", w)
    if w.shape != f1.shape[-1:]:
        raise ValueError(f"{op}: w.shape is {w.shape}, must be {f1.shape[-1:]} as f1's last side")
    check_dtype(op, "w", w, "f1", f1)
    if isinstance(b, (int, float)):
        b = float(b)  # a float64 of NumPy would widen float32
    else:
        b = features(op, "b", b)
        if b.shape not in ((), (1,)):
            raise ValueError(f"{op}: b.shape is {b.shape}, must be () or (1,)")
        check_dtype(op, "b", b, "f1", f1)
        b = b.reshape(())
    if similarity not in ("absolute", "chi_square"):
        raise ValueError(f"{op}: similarity is {similarity!r}, must be 'absolute' or 'chi_square'")
    difference = f1 - f2
    if similarity == "absolute":
        terms = difference.abs()
    else:
        empty = (f1.data == 0) & (f2.data == 0)  # divided by 1: 0, with slope 0
        terms = difference * difference / (f1 + f2 + empty)
    logits: Tensor = (terms * w).sum(axis=-1) + b
    return logits


def _squared(difference: Tensor) -> Tensor:
    return (difference * difference).sum(axis=-1)


def _distance(difference: Tensor) -> Tensor:
    """Euclidean length, with slope 0 where it is 0."""
    squared = _squared(difference)
    zero = squared.data == 0
    made: Tensor = Masked.apply((squared + zero).sqrt(), ~zero)
    return made


def _squared_distances(x: Any) -> Any:
    """(N, N), from differences: 2 - 2 cos would lose the small ones."""
    if x.dtype.name in FLOATS[2:]:
        x = x.astype("float32")
    distances = space_of(x).zeros((len(x), len(x)), x.dtype)
    for i, one in enumerate(x):
        distances[i] = ((x - one) ** 2).sum(-1)
    return distances


def _batch(op: str, x: Any, labels: Any) -> tuple[Any, Any]:
    """The arrays of features (N, D) and labels (N,)."""
    x = features(op, "x", x).data
    labels = space_of(x).asarray(labels.data if isinstance(labels, Tensor) else labels)
    if x.ndim != 2:
        raise ValueError(f"{op}: x.shape is {x.shape}, must be (N, D)")
    if labels.shape != x.shape[:1]:
        raise ValueError(
            f"{op}: labels.shape is {labels.shape}, must be {x.shape[:1]} (x.shape={x.shape})"
        )
    if labels.dtype.kind not in "biu":
        raise TypeError(f"{op}: labels.dtype is {labels.dtype}, must be integers")
    return x, labels


def _checked_margin(op: str, margin: float) -> float:
    if not 0 <= margin < math.inf:
        raise ValueError(f"{op}: margin is {margin}, must be at least 0 and finite")
    return float(margin)  # a float64 of NumPy would widen float32
