"""What the tour does with a photograph: the problems, in the order of the story."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from convkit.apps.checks import Task, make_task
from convkit.apps.filters import BANK_SIDE, EDGE_KERNELS, filter_bank
from convkit.testing import (
    AdaptivePool2d,
    BatchNorm,
    BiasGrad,
    Conv2d,
    ConvTranspose2d,
    CrossEntropy,
    Gram,
    Im2col,
    Linear,
    Lrn,
    Pool2d,
    Problem,
)

CYCLE = ((0, 1, 0), (0, 0, 1), (1, 0, 0))  # red takes green, green takes blue, blue takes red
SEPIA = ((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131))


@dataclass(frozen=True)
class Stage:
    """A step of the story: its tasks, shown and timed together."""

    key: str
    title: str
    tasks: tuple[Task, ...]


def _stage(
    key: str, title: str, problem: Problem, directions: tuple[str, ...], **arrays: np.ndarray
) -> Stage:
    return Stage(
        key,
        title,
        tuple(make_task(key, problem, direction, "float32", **arrays) for direction in directions),
    )


def _mixer(outputs: int, inputs: int) -> np.ndarray:
    """A (K, C, 1, 1) bank without a pattern, the same in every run."""
    rng = np.random.default_rng(20)
    w = rng.standard_normal((outputs, inputs, 1, 1)) / inputs**0.5
    return np.asarray(w, np.float32)


def nhwc(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1))


def photograph_stages(color: np.ndarray, gray: np.ndarray) -> Iterator[Stage]:
    """Every op, direction and algorithm, on (1, 3, H, W) and (1, 1, H, W) pixels 0..1."""
    from convkit import reference

    h, w = gray.shape[2:]
    all_three = Conv2d.directions
    edges = np.stack(list(EDGE_KERNELS.values()))[:, None]
    yield _stage(
        "edges",
        "Edges: six 3x3 kernels",
        Conv2d(n=1, c=1, h=h, w=w, k=len(edges), r=3, s=3, padding="same"),
        ("fprop",),
        x=gray,
        w=edges,
    )
    names, bank = filter_bank()
    k = len(names)
    problem = Conv2d(n=1, c=3, h=h, w=w, k=k, r=BANK_SIDE, s=BANK_SIDE, padding="same")
    yield _stage("features", f"Feature maps: {k} filters 7x7", problem, all_three, x=color, w=bank)
    yield _stage(
        "features-nhwc",
        "The same, channels last",
        problem.with_layout("NHWC"),
        all_three,
        x=nhwc(color),
        w=nhwc(bank),
    )
    first = Conv2d(
        n=1,
        c=3,
        h=h,
        w=w,
        k=k,
        r=BANK_SIDE,
        s=BANK_SIDE,
        stride=(2, 2),
        padding=((3, 3), (3, 3)),
        bias=True,
        activation="relu",
    )
    bias = np.full(k, -0.02, np.float32)
    yield _stage(
        "first-layer",
        "A network's first layer: stride 2, bias, ReLU",
        first,
        ("fprop",),
        x=color,
        w=bank,
        bias=bias,
    )
    maps = reference.conv2d(color, bank, bias, stride=2, padding=3, activation="relu")
    yield from feature_stages(maps)
    yield _stage(
        "im2col",
        "Windows as columns",
        Im2col(n=1, c=3, h=h, w=w, r=3, s=3, padding=((1, 1), (1, 1))),
        Im2col.directions,
        x=color,
    )


def feature_stages(maps: np.ndarray) -> Iterator[Stage]:
    """What networks do with feature maps (1, C, H, W)."""
    _, c, h, w = maps.shape
    pads = ((1, 1), (1, 1))
    wide = 2 * c
    yield _stage(
        "mix",
        f"Mixing channels: 1x1, {c} to {wide}",
        Conv2d(n=1, c=c, h=h, w=w, k=wide, r=1, s=1),
        Conv2d.directions,
        x=maps,
        w=_mixer(wide, c),
    )
    blur = np.broadcast_to(filter_bank()[1][0, 0, 1:-1, 1:-1] * 3, (c, 1, 5, 5))
    yield _stage(
        "depthwise",
        "One filter per channel: depthwise 5x5",
        Conv2d(n=1, c=c, h=h, w=w, k=c, r=5, s=5, groups=c, padding="same"),
        Conv2d.directions,
        x=maps,
        w=np.ascontiguousarray(blur),
    )
    for kind, title in (
        ("max", "Max pooling 3x3, stride 2"),
        ("avg", "Average pooling 3x3, stride 2"),
    ):
        yield _stage(
            f"{kind}-pool",
            title,
            Pool2d(kind=kind, n=1, c=c, h=h, w=w, r=3, s=3, stride=(2, 2), padding=pads),
            Pool2d.directions,
            x=maps,
        )
    for kind, title in (("max", "Adaptive max"), ("avg", "Adaptive average")):
        for key, p, q in (("adaptive", 6, 5), ("global", 1, 1)):
            yield _stage(
                f"{key}-{kind}-pool",
                f"{title} pooling to {p} x {q}",
                AdaptivePool2d(kind=kind, n=1, c=c, h=h, w=w, p=p, q=q, is_global=p * q == 1),
                AdaptivePool2d.directions,
                x=maps,
            )
    yield _stage(
        "batch-norm",
        "Batch normalisation with ReLU, by the picture's own statistics",
        BatchNorm(
            n=1,
            c=c,
            h=h,
            w=w,
            training=h * w > 1,  # one pixel has no variance
            weight=True,
            bias=True,
            activation="relu",
        ),
        BatchNorm.directions,
        x=maps,
    )
    yield _stage(
        "bias-grad", "The gradient of a bias", BiasGrad(n=1, c=c, h=h, w=w), BiasGrad.directions
    )
    yield _stage(
        "local-response-norm",
        "Local response normalisation, as in AlexNet",
        Lrn(n=1, c=c, h=h, w=w, size=5, alpha=5e-4, k=2),
        Lrn.directions,
        x=maps,
    )
    scores = CrossEntropy(n=1, c=c, h=h, w=w)
    yield _stage(
        "cross-entropy",
        "Cross-entropy: the feature maps as scores of classes, pixel by pixel",
        scores,
        CrossEntropy.directions,
        x=maps.reshape(scores.x_shape),
    )
    yield _stage(
        "gram",
        "Gram matrix of the feature maps",
        Gram(n=1, c=c, h=h, w=w, normalize=True),
        Gram.directions,
        x=maps,
    )
    enlarge = np.full((c, 1, 4, 4), 1 / 4, np.float32)
    yield _stage(
        "enlarge",
        "Twice as large: transposed depthwise 4x4, stride 2",
        ConvTranspose2d(n=1, c=c, h=h, w=w, k=c, r=4, s=4, stride=(2, 2), padding=pads, groups=c),
        ConvTranspose2d.directions,
        x=maps,
        w=enlarge,
    )
    yield _stage(
        "mix-back",
        f"Mixing channels the other way: transposed 1x1, {c} to {wide}",
        ConvTranspose2d(n=1, c=c, h=h, w=w, k=wide, r=1, s=1),
        ConvTranspose2d.directions,
        x=maps,
        w=np.ascontiguousarray(_mixer(wide, c).swapaxes(0, 1)),
    )
    yield _stage(
        "linear",
        f"Fully connected: each of the {c} maps to ten numbers",
        Linear(n=c, c=h * w, k=10, bias=True),
        Linear.directions,
        x=maps.reshape(c, h * w),
    )


def crop_tasks(color: np.ndarray) -> Iterator[Task]:
    """Small problems that reach every kernel on a crop: all directions, layouts and types."""
    _, c, h, w = color.shape
    _, bank = filter_bank()
    bank = np.ascontiguousarray(bank[2:9, :, 2:5, 2:5])
    k = len(bank)
    depthwise = np.ascontiguousarray(bank[:3, :1])
    ones = ((1, 1), (1, 1))
    convolutions: list[tuple[Conv2d, np.ndarray]] = [
        (Conv2d(n=1, c=c, h=h, w=w, k=k, r=3, s=3, padding="same"), bank),
        (Conv2d(n=1, c=c, h=h, w=w, k=k, r=3, s=3, stride=(2, 2), padding=ones, bias=True,
                activation="relu"), bank),
        (Conv2d(n=1, c=c, h=h, w=w, k=c, r=3, s=3, groups=c, padding="same"), depthwise),
        (Conv2d(n=1, c=c, h=h, w=w, k=8, r=1, s=1), _mixer(8, c)),
    ]  # fmt: skip
    others: list[Problem] = [
        *(Pool2d(kind=kind, n=1, c=c, h=h, w=w, r=3, s=3, stride=(2, 2), padding=ones)
          for kind in ("max", "avg")),
        *(AdaptivePool2d(kind=kind, n=1, c=c, h=h, w=w, p=p, q=q, is_global=p * q == 1)
          for kind in ("max", "avg") for p, q in ((6, 5), (1, 1))),
        Gram(n=1, c=c, h=h, w=w, normalize=True),
        Im2col(n=1, c=c, h=h, w=w, r=3, s=3, padding=ones),
        *(BatchNorm(n=1, c=c, h=h, w=w, weight=True, bias=True, training=training)
          for training in ((True, False) if h * w > 1 else (False,))),
        BiasGrad(n=1, c=c, h=h, w=w),
        Lrn(n=1, c=c, h=h, w=w, size=3),
        CrossEntropy(n=1, c=c, h=h, w=w),
        ConvTranspose2d(n=1, c=c, h=h, w=w, k=4, r=4, s=4, stride=(2, 2), padding=ones),
        ConvTranspose2d(n=1, c=c, h=h, w=w, k=4, r=1, s=1),
        Linear(n=c, c=h * w, k=10, bias=True),
    ]  # fmt: skip
    for layout, dtype in product(("NCHW", "NHWC"), ("float32", "float64")):
        x = color if layout == "NCHW" else nhwc(color)
        for problem, weights in convolutions:
            filters = weights if layout == "NCHW" else nhwc(weights)
            for direction in problem.directions:
                one = problem.with_layout(layout)
                yield make_task("simt", one, direction, dtype, x=x, w=filters)
        for other in (one.with_layout(layout) for one in others if layout in one.layouts):
            for direction in other.directions:
                yield make_task("simt", other, direction, dtype, x=x.reshape(other.x_shape))
    widened = Im2col(n=1, c=c, h=h, w=w, r=3, s=3, padding=ones)
    for direction in widened.directions:
        yield make_task("simt", widened, direction, "float16", x=color)
