"""Which problems fail: what all failing cases have and the passing ones do not."""

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any

import numpy as np

from .examine import Case
from .geometry import pads_of

_FEWEST_FAILING, _FEWEST_PASSING = 2, 5
_SIZES = {
    "n": "images",
    "c": "channels",
    "k": "filters",
    "p": "output rows",
    "q": "output columns",
    "h": "input rows",
    "w": "input columns",
    "r": "kernel rows",
    "s": "kernel columns",
}


def when_wrong(failing: Iterable[Case], passing: Iterable[Case]) -> str:
    """The condition that parts failing from passing cases; "" where none was found.

    With too few cases of either sort chance alone would find one, so nothing is said.
    """
    failing, passing = list(failing), [case for case in passing if case.problem.n]
    if len(failing) < _FEWEST_FAILING or len(passing) < _FEWEST_PASSING:
        return "in every case" if len(failing) >= _FEWEST_PASSING and not passing else ""
    features = {**_properties(failing + passing), **_thresholds(failing, passing)}
    common = {
        text: frozenset(i for i, case in enumerate(passing) if test(case))
        for text, test in features.items()
        if all(map(test, failing))
    }
    if len(failing) > _FEWEST_FAILING:
        common |= _pairs(common, max(_FEWEST_PASSING, len(passing) // 20))
    common = {text: hits for text, hits in common.items() if len(hits) * 2 < len(passing)}
    if not common:
        return ""
    text, hits = min(common.items(), key=lambda one: len(one[1]))
    passed = f"{len(hits)} of {len(failing) + len(hits)} such cases pass"
    return f"only when {text} ({passed})" if hits else f"exactly when {text}"


def _pairs(common: dict[str, frozenset[int]], least: int) -> dict[str, frozenset[int]]:
    """Two conditions together, each of which rules out `least` passing cases that the other
    allows."""
    return {
        f"{first} and {second}": one & two
        for (first, one), (second, two) in combinations(common.items(), 2)
        if len(one - two) >= least and len(two - one) >= least
    }


def _properties(cases: list[Case]) -> dict[str, Callable[[Case], bool]]:
    """Yes-or-no properties of a case, simple ones first."""
    found: dict[str, Callable[[Case], bool]] = {}

    def add(yes: str, no: str, test: Callable[[Case], Any]) -> None:
        found[yes] = lambda case: bool(test(case))
        found[no] = lambda case: not test(case)

    def get(name: str, default: Any) -> Callable[[Case], Any]:
        return lambda case: getattr(case.problem, name, default)

    stride, dilation = get("stride", (1, 1)), get("dilation", (1, 1))
    add("stride > 1", "stride == 1", lambda case: max(stride(case)) > 1)
    add("dilation > 1", "dilation == 1", lambda case: max(dilation(case)) > 1)
    add("there is padding", "there is no padding", lambda case: np.any(pads_of(case.problem)))
    add(
        "the padding differs between low and high",
        "the padding is symmetric",
        lambda case: any(low != high for low, high in pads_of(case.problem)),
    )
    add(
        "padding shows the image",
        "padding is zeros",
        lambda case: get("padding_mode", "zeros")(case) != "zeros",
    )
    add("groups > 1", "groups == 1", lambda case: get("groups", 1)(case) > 1)
    for name, text in (
        ("flip", "flip_kernel"),
        ("ceil_mode", "ceil_mode"),
        ("normalize", "normalize"),
    ):
        add(f"{text} is on", f"{text} is off", get(name, False))
    for name in ("bias", "residual", "activation"):
        add(f"there is {name}", f"there is no {name}", get(name, False))
    add(
        "count_include_pad is off",
        "count_include_pad is on",
        lambda c: not get("count_include_pad", True)(c),
    )
    add("layout is NHWC", "layout is NCHW", lambda case: case.problem.layout == "NHWC")
    add("dtype is float64", "dtype is float32", lambda case: case.dtype == "float64")
    for form in {case.memory for case in cases} - {"plain"}:
        add(
            f"inputs lie {form} in memory",
            f"inputs do not lie {form}",
            _has("memory", form),
        )
    for kind in {case.kind for case in cases}:
        add(
            f"the data is {kind!r}",
            f"the data is not {kind!r}",
            _has("kind", kind),
        )
    for name, text in _SIZES.items():
        if name == "n" or _size(cases[0], name) is None:
            continue
        for step in (2, 4, 8, 16, 32):
            add(
                f"{text} are no multiple of {step}" if step > 2 else f"the number of {text} is odd",
                f"{text} are a multiple of {step}" if step > 2 else f"the number of {text} is even",
                _rest(name, step),
            )
    for name, text in (("stride", "stride"), ("r", "kernel")):
        if hasattr(cases[0].problem, name):
            add(f"{text} is not square", f"{text} is square", _not_square(name))
    return found


def _size(case: Case, name: str) -> Any:
    """A size by its letter; None where the op has none."""
    if name in "pq":
        output = getattr(case.problem, "output", (None, None))
        return output["pq".index(name)]
    return getattr(case.problem, name, None)


def _has(name: str, value: str) -> Callable[[Case], bool]:
    return lambda case: bool(getattr(case, name) == value)


def _rest(name: str, step: int) -> Callable[[Case], bool]:
    return lambda case: bool(_size(case, name) % step)


def _at_least(name: str, least: int) -> Callable[[Case], bool]:
    return lambda case: bool(_size(case, name) >= least)


def _not_square(name: str) -> Callable[[Case], bool]:
    def test(case: Case) -> bool:
        problem: Any = case.problem
        pair = problem.stride if name == "stride" else (problem.r, problem.s)
        return bool(pair[0] != pair[1])

    return test


def _thresholds(failing: list[Case], passing: list[Case]) -> dict[str, Callable[[Case], bool]]:
    """Sizes over which everything fails and up to which everything passes."""
    found: dict[str, Callable[[Case], bool]] = {}
    for name, text in _SIZES.items():
        if _size(failing[0], name) is None:
            continue
        least = min(_size(case, name) for case in failing)
        most = max(_size(case, name) for case in passing)
        if least > most:
            found[f"{text} >= {least}"] = _at_least(name, least)
        elif least > 1:
            found[f"{text} > {least - 1}"] = _at_least(name, least)
    return found
