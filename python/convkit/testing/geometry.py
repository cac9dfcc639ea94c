"""Random problems of each op, and the simpler ones that a failing problem is shrunk to."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .channel_lines import BatchNorm, BiasGrad, CrossEntropy, Lrn
from .lines import AdaptivePool2d, Conv2d, ConvTranspose2d, Gram, Im2col, Linear, Pool2d, Problem

# Sides of tiles and of vectors, one below and one above.
_EDGES = (15, 16, 17, 31, 32, 33, 47, 63, 64, 65, 96, 127, 128, 129, 255, 256, 257, 300)
_ATTEMPTS = 1000


def random_problem(op: str, rng: np.random.Generator, most_flops: int = 4_000_000) -> Problem:
    """A valid problem of an op, every parameter drawn, within a number of operations.

    >>> random_problem("gram", np.random.default_rng(0)).op
    'gram'
    """
    if op not in RANDOM:
        raise ValueError(f"op is {op!r}, known are {', '.join(RANDOM)}")
    for _ in range(_ATTEMPTS):
        problem = RANDOM[op](rng)
        if problem.flops <= most_flops and fits(problem):
            return problem
    raise ValueError(f"{op}: no problem of {most_flops} operations or fewer was drawn")


def fits(problem: Problem) -> bool:
    """Whether the parameters of a problem fit each other."""
    try:
        output = problem.y_shape
    except ValueError:
        return False
    groups = getattr(problem, "groups", 1)
    counts = (problem.c, getattr(problem, "k", groups)) if groups > 1 else ()
    return min(output[1:], default=1) > 0 and all(count % groups == 0 for count in counts)


def pads_of(problem: Problem) -> Any:
    """((top, bottom), (left, right)) of a problem; zeros where its op has no padding."""
    padding: Any = getattr(problem, "padding", ((0, 0), (0, 0)))
    if isinstance(padding, str):
        windows: Any = problem.windows  # type: ignore[attr-defined]
        return windows.pads
    return padding


def simpler(problem: Problem) -> Iterator[Problem]:
    """Problems one step simpler: an option at its default, fewer groups, a size 1, halved or one
    less, one number of a pair smaller. Bold steps first; not all of them fit."""
    change: Any = dataclasses.replace
    fields: dict[str, Any] = {
        field.name: field for field in dataclasses.fields(problem) if field.name not in _LABELS
    }
    values = {name: getattr(problem, name) for name in fields}
    for name, field in fields.items():
        if field.default is not dataclasses.MISSING and values[name] != field.default:
            yield change(problem, **{name: field.default})
    yield from _fewer_groups(problem)
    sizes = [name for name, value in values.items() if _is_size(value) and name != "groups"]
    for bold in (True, False):
        for name in sizes:
            step = values.get("groups", 1) if name in ("c", "k") else 1
            size = values[name] // step
            for smaller in sorted({1, size // 2} if bold else {size - 1}):
                if 0 < smaller < size:
                    yield change(problem, **{name: smaller * step})
    for name, value in values.items():
        if isinstance(value, tuple):
            for smaller_value in _simpler_tuple(value, fields[name].default):
                yield change(problem, **{name: smaller_value})
    if isinstance(values.get("padding"), str):
        yield change(problem, padding=pads_of(problem))


def shrink(
    problem: Problem, still_fails: Callable[[Problem], bool], attempts: int = 150
) -> Problem:
    """The simplest problem that still fails, by greedy steps."""
    tried = {problem}
    going = True
    while going:
        going = False
        for candidate in simpler(problem):
            if candidate in tried or not fits(candidate):
                continue
            if len(tried) > attempts:
                break
            tried.add(candidate)
            if still_fails(candidate):
                problem, going = candidate, True
                break
    return dataclasses.replace(problem, name=problem.line)


_LABELS = ("name", "tags")


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _fewer_groups(problem: Problem) -> Iterator[Problem]:
    """Fewer groups of the same size, so that a depthwise problem stays one."""
    groups = getattr(problem, "groups", 1)
    for fewer in sorted({1, 2, groups // 2} - {0}):
        if fewer < groups:
            change: Any = dataclasses.replace
            sizes = {name: getattr(problem, name) // groups * fewer for name in ("c", "k")}
            yield change(problem, groups=fewer, **sizes)


def _simpler_tuple(value: tuple[Any, ...], default: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """One number of a (nested) pair at its default or halfway to it, or both of an equal pair."""
    for i, (one, plain) in enumerate(zip(value, default, strict=True)):
        if isinstance(one, tuple):
            changes: list[Any] = list(_simpler_tuple(one, plain))
            if one[0] == one[1]:
                changes += [(low, low) for low in _towards(one[0], plain[0])]
        else:
            changes = _towards(one, plain)
        for change in changes:
            yield (*value[:i], change, *value[i + 1 :])


def _towards(number: int, default: int) -> list[int]:
    return [one for one in (default, default + (number - default) // 2) if one < number]


def _chance(rng: np.random.Generator, share: float) -> bool:
    return bool(rng.random() < share)


def _count(rng: np.random.Generator, most: int = 9) -> int:
    """A number of channels or filters: small, or near the edge of a tile."""
    if _chance(rng, 0.7):
        return int(rng.integers(1, most + 1))
    return int(rng.choice(_EDGES))


def _batch(rng: np.random.Generator) -> int:
    return int(
        rng.choice([0, 1, 1, 1, 1, 2, 3, 5, 37], p=[0.03, *[0.17] * 4, 0.13, 0.1, 0.04, 0.02])
    )


def _pair(rng: np.random.Generator, most: int) -> tuple[int, int]:
    """Two numbers, equal in half of all draws."""
    first, second = (int(one) for one in rng.integers(1, most + 1, 2))
    return (first, first) if _chance(rng, 0.5) else (first, second)


def _windows(
    rng: np.random.Generator, *, pool: bool = False, dilated: bool = True
) -> dict[str, Any]:
    """Sides, kernel, stride, padding and dilation that fit each other; batch and layout."""
    if _chance(rng, 0.1):
        return _pixels(rng)
    kernel = (3, 3) if _chance(rng, 0.25) else _pair(rng, 7 if _chance(rng, 0.2) else 4)
    stride = (1, 1) if _chance(rng, 0.4) else _pair(rng, 4)
    dilation = _pair(rng, 3) if dilated and _chance(rng, 0.3) else (1, 1)
    word = None if pool or _chance(rng, 0.6) else str(rng.choice(["same", "valid", "full"]))
    symmetric = _chance(rng, 0.5)
    sides, pads = [], []
    for f, d in zip(kernel, dilation, strict=True):
        reach = d * (f - 1) + 1
        low, high = (int(one) for one in rng.integers(0, reach if pool else 5, 2))
        high = low if symmetric else high
        pads.append((low, high))
        given = low + high if word is None else 0
        needed = 1 if word in ("same", "full") else max(reach - given, 1)
        sides.append(needed + int(rng.integers(0, 60 if _chance(rng, 0.1) else 12)))
    return {
        "n": _batch(rng),
        "h": sides[0],
        "w": sides[1],
        "r": kernel[0],
        "s": kernel[1],
        "stride": stride,
        "dilation": dilation,
        "padding": tuple(pads) if word is None else word,
        "layout": _layout(rng),
    }


def _pixels(rng: np.random.Generator) -> dict[str, Any]:
    """Windows of one pixel without padding: a matrix product."""
    h, w = (int(one) for one in rng.integers(1, 40, 2))
    stride = (1, 1) if _chance(rng, 0.6) else _pair(rng, 3)
    sizes = {"n": _batch(rng), "h": h, "w": w, "r": 1, "s": 1}
    return sizes | {"stride": stride, "layout": _layout(rng)}


def _layout(rng: np.random.Generator) -> str:
    return str(rng.choice(["NCHW", "NHWC"]))


def _conv2d(rng: np.random.Generator) -> Problem:
    groups, c, k = 1, _count(rng), _count(rng)
    if _chance(rng, 0.2):  # grouped
        groups = int(rng.integers(2, 6))
        c, k = groups * int(rng.integers(1, 9)), groups * int(rng.integers(1, 9))
    elif _chance(rng, 0.2):  # depthwise, with one filter or two for a channel
        groups = c
        k = c * int(rng.integers(1, 3))
    activation = str(rng.choice(["", "", "relu", "tanh", "sigmoid"]))
    aside = rng.spawn(1)[0]  # what else a seed draws stays as it was without padding modes
    modes = ["reflect", "replicate", "circular"] if _chance(aside, 0.15) else ["zeros"]
    return Conv2d(
        **_windows(rng),
        padding_mode=str(aside.choice(modes)),
        c=c,
        k=k,
        groups=groups,
        flip=_chance(rng, 0.2),
        bias=_chance(rng, 0.4),
        residual=_chance(rng, 0.3),
        activation=activation or None,
    )


def _pool2d(rng: np.random.Generator) -> Problem:
    kind = str(rng.choice(["max", "avg"]))
    return Pool2d(
        **_windows(rng, pool=True, dilated=kind == "max"),
        c=_count(rng),
        kind=kind,
        ceil_mode=_chance(rng, 0.4),
        count_include_pad=kind == "max" or _chance(rng, 0.5),
    )


def _gram(rng: np.random.Generator) -> Problem:
    return Gram(
        n=_batch(rng),
        c=_count(rng, 40),
        h=int(rng.integers(1, 21)),
        w=int(rng.integers(1, 21)),
        layout=_layout(rng),
        normalize=_chance(rng, 0.5),
    )


def _im2col(rng: np.random.Generator) -> Problem:
    return Im2col(**_windows(rng), c=_count(rng))


def _conv_transpose2d(rng: np.random.Generator) -> Problem:
    """Padding cuts the output here, and output_padding is below stride or dilation."""
    drawn = _windows(rng) | {"padding": ((0, 0), (0, 0))}
    stride, dilation = drawn["stride"], drawn.get("dilation", (1, 1))
    kernel = (drawn["r"], drawn["s"])
    if _chance(rng, 0.7):
        reach = [d * (f - 1) + 1 for d, f in zip(dilation, kernel, strict=True)]
        pads = [tuple(int(one) for one in rng.integers(0, f, 2)) for f in reach]
        drawn["padding"] = tuple(
            (low, low) if _chance(rng, 0.5) else (low, high) for low, high in pads
        )
    if _chance(rng, 0.4):
        limits = [max(s, d) for s, d in zip(stride, dilation, strict=True)]
        drawn["output_padding"] = tuple(int(rng.integers(0, one)) for one in limits)
    groups = int(rng.integers(2, 6)) if _chance(rng, 0.3) else 1
    most = 9 if groups == 1 else 5
    c, k = (groups * int(one) for one in rng.integers(1, most, 2))
    activation = str(rng.choice(["", "", "relu", "tanh", "sigmoid"]))
    return ConvTranspose2d(
        **drawn,
        c=c,
        k=k,
        groups=groups,
        flip=_chance(rng, 0.2),
        bias=_chance(rng, 0.4),
        residual=_chance(rng, 0.3),
        activation=activation or None,
    )


def _bias_grad(rng: np.random.Generator) -> Problem:
    return BiasGrad(**_images(rng))


def _batch_norm(rng: np.random.Generator) -> Problem:
    sizes = _images(rng)
    enough = sizes["n"] * sizes["h"] * sizes["w"] > 1  # for a variance
    activation = str(rng.choice(["", "", "relu", "tanh", "sigmoid"]))
    return BatchNorm(
        **sizes,
        training=enough and _chance(rng, 0.6),
        weight=_chance(rng, 0.6),
        bias=_chance(rng, 0.5),
        residual=_chance(rng, 0.3),
        activation=activation or None,
    )


def _images(rng: np.random.Generator) -> dict[str, Any]:
    h, w = (int(one) for one in rng.integers(1, 41, 2))
    return {"n": _batch(rng), "c": _count(rng), "h": h, "w": w, "layout": _layout(rng)}


def _adaptive_pool2d(rng: np.random.Generator) -> Problem:
    sizes = _images(rng)
    most = max(sizes["h"], sizes["w"]) if _chance(rng, 0.5) else 8
    p, q = (1, 1) if _chance(rng, 0.15) else _pair(rng, most)
    kind = str(rng.choice(["max", "avg"]))
    if _chance(rng, 0.3):
        return AdaptivePool2d(**sizes, kind=kind, p=1, q=1, is_global=True)
    return AdaptivePool2d(**sizes, kind=kind, p=p, q=q)


def _linear(rng: np.random.Generator) -> Problem:
    activation = str(rng.choice(["", "", "relu", "tanh", "sigmoid"]))
    return Linear(
        n=_batch(rng) if _chance(rng, 0.5) else _count(rng),
        c=_count(rng, 40),
        k=_count(rng, 40),
        bias=_chance(rng, 0.4),
        residual=_chance(rng, 0.3),
        activation=activation or None,
    )


def _lrn(rng: np.random.Generator) -> Problem:
    """Powers of six decades stay in the range of float32."""
    c = _count(rng, 40)
    sizes = (1, 2, 3, 3, 4, 5, 5, 5, int(rng.integers(1, 2 * c + 2)), 2**31 - 1)
    beta = float(rng.choice([0.75, 0.75, 0.5, 1, 0, round(float(rng.uniform(-1, 3)), 2)]))
    ks = (0, 0.5, 1, 1, 2) if beta in (0.5, 0.75, 1) else (0.5, 1, 2)
    k = float(rng.choice(ks))
    alpha = float(rng.choice([1e-4, 5e-4, 0.3, 1, 5] if k else [1, 5]))
    size = int(rng.choice(sizes))
    return Lrn(**_images(rng) | {"c": c}, size=size, alpha=alpha, beta=beta, k=k)


def _cross_entropy(rng: np.random.Generator) -> Problem:
    c = int(rng.choice([1000, 1024, 1025, 5000])) if _chance(rng, 0.1) else _count(rng, 21)
    sizes = _images(rng)
    if _chance(rng, 0.5):
        sizes |= {"h": 1, "w": 1, "n": _count(rng) if _chance(rng, 0.7) else sizes["n"]}
    return CrossEntropy(
        **sizes | {"c": c},
        smooth=float(rng.choice([0, 0, 0.1, 0.5, 1])),
        reduction=str(rng.choice(["mean", "sum", "none"])),
        ignored=_chance(rng, 0.4),
    )


RANDOM: dict[str, Callable[[np.random.Generator], Problem]] = {
    "conv2d": _conv2d,
    "pool2d": _pool2d,
    "gram": _gram,
    "im2col": _im2col,
    "conv_transpose2d": _conv_transpose2d,
    "linear": _linear,
    "adaptive_pool2d": _adaptive_pool2d,
    "batch_norm": _batch_norm,
    "bias_grad": _bias_grad,
    "lrn": _lrn,
    "cross_entropy": _cross_entropy,
}
