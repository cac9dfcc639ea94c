"""Which cases a validation takes: those given, or random ones that suit what was asked for."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convkit import _native, ops

from .cases import algorithms, why_impossible
from .compare import DEFAULT_BOUND
from .data import DTYPES, KINDS, as_dtype, available_dtypes, exact_on_whole
from .examine import Case, can_be_checked
from .geometry import RANDOM, random_problem
from .lines import Problem
from .memory import FORMS
from .parsing import CLASSES, parse
from .report import Report
from .subjects import Stranger, able

LAYOUTS = ("NCHW", "NHWC")
MOST_FLOPS = {"simt": 300_000}  # a GPU thread is a fiber there
MOST_FLOPS_ELSEWHERE = 4_000_000
_DRAWS = 200  # until a problem suits what was asked for
_REAL = tuple(kind for kind in KINDS if kind != "whole")


@dataclass(frozen=True)
class Selection:
    """What to validate; an empty tuple stands for all there is."""

    names: tuple[str, ...] = ()  # ops or public functions
    problems: tuple[Problem, ...] = ()  # these instead of random ones
    cases: int = 200
    seed: int = 0
    backends: tuple[str, ...] = ("cpu",)
    algo: str | None = None
    dtypes: tuple[str, ...] = ()
    layouts: tuple[str, ...] = ()
    directions: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    memory: tuple[str, ...] = ()
    save: str | Path | None = None
    most_flops: int | None = None  # operations of a random problem

    def __post_init__(self) -> None:
        for name, given, known in (
            ("op", self.names, (*all_ops(), *ops.FUNCTIONS)),
            ("dtype", self.dtypes, DTYPES),
            ("layout", self.layouts, LAYOUTS),
            ("direction", self.directions, ("fprop", "dgrad", "wgrad")),
            ("kind", self.kinds, KINDS),
            ("memory", self.memory, FORMS),
            ("backend", self.backends, ("cpu", "simt", "cuda")),
        ):
            for one in given:
                if one not in known:
                    raise ValueError(f"{name} is {one!r}, known are {', '.join(known)}")
        for dtype in self.dtypes:
            as_dtype(dtype)
        for name, least in (("cases", 1), ("most_flops", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} is {value}, must be at least {least}")
        if self.algo is not None:
            names = {row["name"]: None for op in all_ops() for row in algorithms(op)}
            if self.algo not in names:
                raise ValueError(f"algo is {self.algo!r}, known are {', '.join(names)}")


def select(op: Any = (), problems: Any = (), **options: Any) -> Selection:
    """A Selection from single values or sequences of them."""
    names = _tuple(op)
    plural = {name: f"{name}s" for name in ("backend", "dtype", "layout", "direction", "kind")}
    given = {plural.get(name, name): value for name, value in options.items()}
    for name in (*plural.values(), "memory"):
        if name in given:
            given[name] = _tuple(given[name])
    lines = _tuple(problems) if not isinstance(problems, Problem) else (problems,)
    if any(isinstance(line, str) for line in lines) and len(names) != 1:
        raise ValueError("problems are lines of one op: name it")
    parsed = tuple(
        parse(op_of(names[0]), line) if isinstance(line, str) else line for line in lines
    )
    return Selection(names=names, problems=parsed, **given)


def all_ops() -> tuple[str, ...]:
    """The ops of the native tables that have a problem class and random problems."""
    return tuple(op for op in _native.ops() if op in CLASSES and op in RANDOM)


def op_of(name: str) -> str:
    """The op of an op's or a public function's name."""
    if name in CLASSES:
        return name
    for op, _, function in _ways_of_ops():
        if function == name:
            return op
    known = (*all_ops(), *ops.FUNCTIONS)
    raise ValueError(f"op is {name!r}, known are {', '.join(dict.fromkeys(known))}")


def stranger(
    function: Callable[..., Any], selection: Selection, bound: float = DEFAULT_BOUND, path: str = ""
) -> Stranger:
    """The user's function as the one public function that was named."""
    if not 0 <= bound < math.inf:
        raise ValueError(f"bound is {bound}, must be a number of at least 0")
    if len(selection.names) != 1:
        raise ValueError("say which one public function it stands for, as op=")
    name = selection.names[0]
    if name not in ops.FUNCTIONS:
        choices = [f for op, direction, f in _ways_of_ops() if op == name and direction == "fprop"]
        if len(choices) != 1:
            known = ", ".join(f for op, _, f in _ways_of_ops() if op == name)
            raise ValueError(f"op is {name!r}: say which of {known}")
        (name,) = choices
    if name not in {function for _, _, function in _ways_of_ops()}:
        raise ValueError(f"op is {name!r}, which no problem table has")
    user = Stranger(function, name, bound, path)
    op, direction = next((op, direction) for op, direction, one in _ways_of_ops() if one == name)
    rng = np.random.default_rng(selection.seed)
    if case := _draw(rng, op, direction, name, None, selection, user):
        user.check_signature(case.problem, direction)
    return user


def cases_of(selection: Selection, user: Stranger | None, report: Report) -> Iterator[list[Case]]:
    """The cases of one problem at a time: those given, or random ones."""
    if selection.problems:
        yield from _given_cases(selection, user, report)
        return
    aims = [
        (op, direction, function, algo)
        for op, direction, function in _wanted_ways(selection, user)
        for algo in ([None] if user else _algorithms_of(op, direction, selection))
    ]
    for i in range(selection.cases):
        rng = np.random.default_rng([selection.seed, i])
        op, direction, function, algo = aims[i % len(aims)]
        case = _draw(rng, op, direction, function, algo, selection, user)
        if case is None:
            report.skipped[f"no {function} was drawn that {algo or 'the function'} takes"] += 1
            continue
        kinds = [kind for kind in selection.kinds or ("whole", str(rng.choice(_REAL)))]
        yield [one for kind in kinds if can_be_checked(one := replace(case, kind=kind))]


def _draw(
    rng: np.random.Generator,
    op: str,
    direction: str,
    function: str,
    algo: str | None,
    selection: Selection,
    user: Stranger | None,
) -> Case | None:
    """A case that the algorithm takes, or the user's function, or (neither given) any."""
    limits = [MOST_FLOPS.get(backend, MOST_FLOPS_ELSEWHERE) for backend in selection.backends]
    limit = selection.most_flops or (MOST_FLOPS_ELSEWHERE if user else min(limits))
    for _ in range(_DRAWS):
        problem: Problem | None = random_problem(op, rng, limit)
        assert problem is not None
        if selection.layouts:
            layout = str(rng.choice(selection.layouts))
            if layout not in problem.layouts:
                continue
            problem = problem.with_layout(layout)
        case = Case(
            problem,
            direction,
            str(rng.choice(selection.dtypes or available_dtypes())),
            seed=selection.seed,
            memory=str(rng.choice(selection.memory or ("plain", *FORMS))),
        )
        if case.function != function:
            continue
        if user is not None:
            problem = user.within_signature(problem, direction)
            if problem is None or problem.flops > limit:
                continue
            if not selection.layouts or problem.layout in selection.layouts:
                return replace(case, problem=problem)
        elif algo is None or any(
            one.name == algo
            for backend in selection.backends
            for one in able(problem, direction, backend, case.dtype)
        ):
            return case
    return None


def _given_cases(
    selection: Selection, user: Stranger | None, report: Report
) -> Iterator[list[Case]]:
    known = {(op, direction) for op, direction, _ in _wanted_ways(selection, user)}
    wanted = {function for _, _, function in _wanted_ways(selection, user)}
    for problem in selection.problems:
        layouts = selection.layouts or (problem.layout,)
        for layout in set(layouts) & set(problem.layouts):
            laid = problem.with_layout(layout)
            cases = []
            for direction in laid.directions:
                case = Case(laid, direction, seed=selection.seed)
                if (laid.op, direction) not in known or case.function not in wanted:
                    continue
                if not _can_run(laid, direction):
                    why = why_impossible(laid) or f"{laid.op}: it cannot be checked"
                    raise ValueError(f"{why}: {laid.line} is no valid problem")
                if user is not None and (lacking := user.missing(laid, direction)):
                    report.skipped[f"needs {', '.join(sorted(lacking))}"] += 1
                    continue
                cases += [
                    replace(case, dtype=dtype, kind=kind, memory=form)
                    for dtype in selection.dtypes or available_dtypes()
                    for kind in selection.kinds or KINDS
                    for form in selection.memory or ("plain",)
                    if kind != "whole" or exact_on_whole(laid, direction, dtype)
                ]
            if cases:
                yield cases


def _can_run(problem: Problem, direction: str) -> bool:
    return can_be_checked(Case(problem, direction))


def _wanted_ways(selection: Selection, user: Stranger | None) -> list[tuple[str, str, str]]:
    """The (op, direction, function) that are to be checked.

    Raises: ValueError where there is none.
    """
    names = (user.function_name,) if user else selection.names
    found = []
    for op, direction, function in _ways_of_ops():
        by_function = {name for name in names if user or name not in CLASSES}
        if names and op not in set(names) - by_function and function not in by_function:
            continue
        if selection.directions and direction not in selection.directions:
            continue
        if user or _algorithms_of(op, direction, selection):
            found.append((op, direction, function))
    if not found:
        asked = [*names, *selection.directions, *([selection.algo] if selection.algo else ())]
        raise ValueError(f"nothing is all of: {', '.join(asked)}, {', '.join(selection.backends)}")
    return found


def _algorithms_of(op: str, direction: str, selection: Selection) -> list[str]:
    rows = [row for backend in selection.backends for row in algorithms(op, backend)]
    names = dict.fromkeys(row["name"] for row in rows if direction in row["directions"])
    return [name for name in names if selection.algo in (None, name)]


@functools.cache
def _ways_of_ops() -> list[tuple[str, str, str]]:
    """Every (op, direction, public function)."""
    found: dict[tuple[str, str, str], None] = {}
    for op in all_ops():
        rng = np.random.default_rng(0)
        for _ in range(20):
            problem = random_problem(op, rng)
            for direction in problem.directions:
                found[op, direction, Case(problem, direction).function] = None
    return list(found)


def _tuple(value: Any) -> tuple[Any, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
