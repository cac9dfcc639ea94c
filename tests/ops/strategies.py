"""Random problems for Hypothesis: every parameter of every op, in sizes a simulator can run."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from convkit.testing import BatchNorm, BiasGrad, Conv2d, CrossEntropy, Gram, Im2col, Lrn, Pool2d

from .table import REDUCED

LAYOUTS = st.sampled_from(["NCHW", "NHWC"])
DTYPES = st.sampled_from(["float32", "float64"])
SEEDS = st.integers(0, 2**16)
BATCHES = st.sampled_from([0, 1, 1, 1, 2, 3])


def examples(count: int) -> settings:
    """The same `count` examples in every run."""
    return settings(
        max_examples=max(count // 8, 5) if REDUCED else count,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def windows(draw: Callable[..., Any], pool: bool = False, dilated: bool = True) -> dict[str, Any]:
    """Sides, kernel, stride, padding and dilation that fit each other."""
    kernel = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) if dilated else (1, 1)
    words = [] if pool else ["same", "valid", "full"]
    padding = draw(st.sampled_from([*words, None, None, None]))
    sides = []
    around = []
    for f, d in zip(kernel, dilation, strict=True):
        reach = d * (f - 1) + 1
        most = reach - 1 if pool else 5
        low, high = draw(st.integers(0, most)), draw(st.integers(0, most))
        around.append((low, high))
        given_pads = low + high if padding is None else 0
        needed = 1 if padding in ("same", "full") else max(reach - given_pads, 1)
        sides.append(needed + draw(st.integers(0, 9)))
    return {
        "h": sides[0],
        "w": sides[1],
        "r": kernel[0],
        "s": kernel[1],
        "stride": stride,
        "dilation": dilation,
        "padding": tuple(around) if padding is None else padding,
        "layout": draw(LAYOUTS),
        "n": draw(BATCHES),
    }


@st.composite
def conv2d(draw: Callable[..., Any]) -> Conv2d:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 5]))
    size = st.integers(1, 3) if groups > 1 else st.integers(1, 9)
    return Conv2d(
        **draw(windows()),
        c=groups * draw(size),
        k=groups * draw(size),
        groups=groups,
        flip=draw(st.booleans()),
        bias=draw(st.booleans()),
        residual=draw(st.booleans()),
        activation=draw(st.sampled_from([None, "relu", "tanh", "sigmoid"])),
    )


@st.composite
def pool2d(draw: Callable[..., Any]) -> Pool2d:
    kind = draw(st.sampled_from(["max", "avg"]))
    return Pool2d(
        **draw(windows(pool=True, dilated=kind == "max")),
        c=draw(st.integers(1, 9)),
        kind=kind,
        ceil_mode=draw(st.booleans()),
        count_include_pad=kind == "max" or draw(st.booleans()),
    )


@st.composite
def im2col(draw: Callable[..., Any]) -> Im2col:
    return Im2col(**draw(windows()), c=draw(st.integers(1, 5)))


@st.composite
def lrn(draw: Callable[..., Any]) -> Lrn:
    return Lrn(
        n=draw(BATCHES),
        c=draw(st.integers(1, 40)),
        h=draw(st.integers(1, 9)),
        w=draw(st.integers(1, 9)),
        layout=draw(LAYOUTS),
        size=draw(st.sampled_from([1, 2, 3, 4, 5, 5, 7, 40, 90])),
        alpha=draw(st.sampled_from([0, 0.0001, 1, 5])),
        beta=draw(st.sampled_from([0, 0.3, 0.5, 0.75, 0.75, 1, 1.7, 6])),
        k=draw(st.sampled_from([0.25, 1, 2])),
    )


@st.composite
def cross_entropy(draw: Callable[..., Any]) -> CrossEntropy:
    side = st.sampled_from([1, 1, 2, 9])
    return CrossEntropy(
        n=draw(st.sampled_from([0, 1, 2, 3, 65, 130])),
        c=draw(st.sampled_from([1, 2, 3, 10, 21, 64, 65, 100])),
        h=draw(side),
        w=draw(side),
        layout=draw(LAYOUTS),
        smooth=draw(st.sampled_from([0, 0, 0.1, 0.5, 1])),
        reduction=draw(st.sampled_from(["mean", "sum", "none"])),
        ignored=draw(st.booleans()),
    )


@st.composite
def gram(draw: Callable[..., Any]) -> Gram:
    return Gram(
        n=draw(BATCHES),
        c=draw(st.integers(1, 40)),
        h=draw(st.integers(1, 20)),
        w=draw(st.integers(1, 20)),
        layout=draw(LAYOUTS),
        normalize=draw(st.booleans()),
    )


@st.composite
def bias_grad(draw: Callable[..., Any]) -> BiasGrad:
    return BiasGrad(**draw(batches()))


@st.composite
def batch_norm(draw: Callable[..., Any]) -> BatchNorm:
    sizes = draw(batches())
    enough = sizes["n"] * sizes["h"] * sizes["w"] > 1
    return BatchNorm(
        **sizes,
        training=enough and draw(st.booleans()),
        weight=draw(st.booleans()),
        bias=draw(st.booleans()),
        residual=draw(st.booleans()),
        activation=draw(st.sampled_from([None, "relu", "tanh", "sigmoid"])),
    )


@st.composite
def batches(draw: Callable[..., Any]) -> dict[str, Any]:
    """Sizes of a batch, up to a few thousand elements."""
    return {
        "n": draw(BATCHES),
        "c": draw(st.integers(1, 40)),
        "h": draw(st.integers(1, 20)),
        "w": draw(st.integers(1, 20)),
        "layout": draw(LAYOUTS),
    }
