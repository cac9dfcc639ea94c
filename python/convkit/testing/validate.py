"""Random problems of every op by every algorithm, or by a function of the user's own, checked."""

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from convkit import _native, ops

from .cases import algorithms
from .compare import DEFAULT_BOUND
from .data import KINDS, exact_on_whole
from .diagnose import diagnose
from .examine import Case, Check, Fault, Subject, can_be_checked, examine, shrink_check
from .geometry import RANDOM, random_problem
from .lines import CLASSES, Problem
from .memory import FORMS
from .pattern import when_wrong
from .subjects import Algorithm, Stranger, able

DTYPES, LAYOUTS = ("float32", "float64"), ("NCHW", "NHWC")
MOST_FLOPS = {"simt": 300_000}  # a GPU thread is a fiber there
MOST_FLOPS_ELSEWHERE = 4_000_000
_DRAWS = 200  # until a problem suits what was asked for
_DIAGNOSED = 6  # cases of a failure that are looked at in detail
_REAL = tuple(kind for kind in KINDS if kind != "whole")


@dataclass
class Failure:
    """Faults of one sort: the first one, its simplest form, where it is wrong and how often."""

    check: Check
    shrunk: Check
    places: list[str] = field(default_factory=list)
    cases: list[Case] = field(default_factory=list)
    when: str = ""
    file: str = ""

    @property
    def symptom(self) -> str:
        return self.check.faults[0].symptom


@dataclass
class Report:
    """What a validation found; str() says it in words."""

    seed: int = 0
    checks: list[Check] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    never_passed: tuple[str, ...] = ()
    cases: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Whether something was checked and all of it was right."""
        return not self.failures and any(not check.refusal for check in self.checks)

    def rows(self) -> dict[tuple[str, str, str], list[Check]]:
        """The checks by (function, algorithm, backend)."""
        found: dict[tuple[str, str, str], list[Check]] = {}
        for check in self.checks:
            found.setdefault(_way(check), []).append(check)
        return dict(sorted(found.items()))

    def __str__(self) -> str:
        done = [check for check in self.checks if not check.refusal]
        bad = sum(not check.ok for check in done)
        lines = [
            f"{self.cases} cases, {len(done)} checks, {bad} failed "
            f"(seed {self.seed}, {self.seconds:.1f} s)"
        ]
        if not done:
            lines.append("nothing was checked")
        lines += [text for failure in self.failures for text in failure_lines(failure)]
        return "\n".join(lines + remarks(self))


def failure_lines(failure: Failure) -> list[str]:
    """A failure in words, the reproducing line last."""
    check, shrunk = failure.check, failure.shrunk
    function, name, backend = _way(check)
    if isinstance(check.subject, Stranger):
        who = f"{name} as {function}"
    else:
        who = f"{function} by {name} on {backend}" if name else function
    lines = [f"FAILED {who}: {', '.join(dict.fromkeys(f.symptom for f in check.faults))}"]
    lines.append(f"  at {check.case.problem.line} {check.case.options}")
    lines += [f"  - {fault.text}" for fault in check.faults]
    lines += [f"  - {place}" for place in failure.places]
    if failure.when:
        lines.append(f"  - fails {failure.when}")
    if len(failure.cases) > 1:
        lines.append(f"  - {len(failure.cases)} cases fail so")
    if shrunk.case != check.case:
        lines.append(f"  simplest: {shrunk.case.problem.line}: {shrunk.faults[0].text}")
    if failure.file:
        lines.append(f"  inputs: {failure.file}")
    lines.append(f"  repeat: {shrunk.reproducer}")
    return lines


def remarks(report: Report) -> list[str]:
    """What was not tried, and why."""
    lines = []
    if report.never_passed:
        lines.append(f"never passed, as there is no such parameter: {', '.join(report.never_passed)}")
    for text, counts in (("refused", report.refusals), ("skipped", report.skipped)):
        lines += [f"{text} {count} times: {reason}" for reason, count in counts.most_common(8)]
    return lines


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
        if self.cases < 1:
            raise ValueError(f"cases is {self.cases}, must be at least 1")
        if self.algo is not None:
            names = {row["name"]: None for op in all_ops() for row in algorithms(op)}
            if self.algo not in names:
                raise ValueError(f"algo is {self.algo!r}, known are {', '.join(names)}")


def all_ops() -> tuple[str, ...]:
    """The ops of the native tables that have a problem class and random problems."""
    return tuple(op for op in _native.ops() if op in CLASSES and op in RANDOM)


def validate(function: Callable[..., Any] | None = None, **selected: Any) -> Report:
    """Checks algorithms of convkit, or a function of yours, on random problems.

    Args:
        function: called as the public function `op` is (arrays, then keyword parameters); it may
            leave out parameters it does not support and raise NotImplementedError. None checks
            convkit's own algorithms.
        op: an op ("conv2d": all its directions) or a public function ("max_pool2d_grad"); for
            `function` always the public function it stands for. Or a sequence of them.
        problems: lines of problems of `op` to check instead of random ones.
        cases, seed: how many random problems; equal seeds draw equal problems.
        backend, dtype, layout, direction, kind, memory: one or several; all where not given
            (backend: "cpu").
        algo: one algorithm. bound: the largest E of `function` that is right (8).
        save: folder for the inputs of failing cases.

    Returns: a Report; report.ok, str(report).
    Raises: ValueError for a selection that makes no sense.
    """
    bound = selected.pop("bound", DEFAULT_BOUND)
    report = Report()
    selection = select(**selected)
    subject = stranger(function, selection, bound) if function is not None else None
    for _ in steps(selection, report, subject):
        pass
    return report


def select(op: Any = (), problems: Any = (), **options: Any) -> Selection:
    """A Selection from single values or sequences of them."""
    from .lines import parse

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


def op_of(name: str) -> str:
    """The op of an op's or a public function's name."""
    if name in CLASSES:
        return name
    for op, direction, function in _ways_of_ops():
        if function == name:
            return op
    known = (*all_ops(), *ops.FUNCTIONS)
    raise ValueError(f"op is {name!r}, known are {', '.join(dict.fromkeys(known))}")


def stranger(
    function: Callable[..., Any], selection: Selection, bound: float = DEFAULT_BOUND, path: str = ""
) -> Stranger:
    """The user's function as the one public function that was named."""
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


def steps(selection: Selection, report: Report, user: Stranger | None = None) -> Iterator[Report]:
    """Fills the report, and hands it over after each problem."""
    report.seed = selection.seed
    report.never_passed = user.never_passed() if user else ()
    started = time.perf_counter()
    failures: dict[tuple[Any, ...], Failure] = {}
    for cases in _cases(selection, user, report):
        report.cases += 1
        for case in cases:
            for subject in _subjects(case, selection, user):
                _take(examine_or_miss(case, subject), report, failures, selection)
        report.seconds = time.perf_counter() - started
        yield report
    _explain(report)
    report.seconds = time.perf_counter() - started


def finish(report: Report) -> None:
    """Adds what only all cases together show; for a run that was broken off."""
    report.interrupted = True
    _explain(report)


def examine_or_miss(case: Case, subject: Subject | str) -> Check:
    """The check, or for a backend's name the failure that none of its algorithms runs the case."""
    if isinstance(subject, str):
        text = f"no algorithm of {subject} runs this problem"
        return Check(case, None, np.inf, 0.0, (Fault("UNTESTED", text),))
    return examine(case, subject).check


def _take(
    check: Check,
    report: Report,
    failures: dict[tuple[Any, ...], Failure],
    selection: Selection,
) -> None:
    report.checks.append(check)
    if check.refusal:
        report.refusals[check.refusal] += 1
        return
    if check.ok:
        return
    key = (*_way(check), check.faults[0].symptom)
    if key not in failures:
        failures[key] = _failure(check, selection)
        report.failures.append(failures[key])
    failures[key].cases.append(check.case)


def _failure(check: Check, selection: Selection) -> Failure:
    if check.subject is None:
        return Failure(check, check)
    failure = Failure(check, shrink_check(check))
    if selection.save is not None:
        name = "-".join((*_way(check), failure.symptom))
        path = Path(selection.save) / f"{name}.npz"
        examine(failure.shrunk.case, check.subject).save(path)
        failure.file = str(path)
    return failure


def _explain(report: Report) -> None:
    """Adds to each failure what its cases show together."""
    rows = report.rows()
    for failure in report.failures:
        row = [check for check in rows[_way(failure.check)] if not check.refusal]
        failure.when = when_wrong(failure.cases, [check.case for check in row if check.ok])
        if (subject := failure.check.subject) is not None:
            failure.places = diagnose(examine(case, subject) for case in failure.cases[:_DIAGNOSED])


def _way(check: Check) -> tuple[str, str, str]:
    subject = check.subject
    return check.case.function, subject.name if subject else "", subject.backend if subject else ""


def _subjects(
    case: Case, selection: Selection, user: Stranger | None
) -> Iterable[Subject | str]:
    if user is not None:
        return [user]
    found: list[Subject | str] = []
    for backend in selection.backends:
        those = able(case.problem, case.direction, backend, case.dtype)
        asked = [one for one in those if selection.algo in (None, one.name)]
        found += asked
        if not those or (selection.problems and not asked):
            found.append(backend)
    return found


def _cases(
    selection: Selection, user: Stranger | None, report: Report
) -> Iterator[list[Case]]:
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
    limit = MOST_FLOPS_ELSEWHERE if user else min(limits)
    for _ in range(_DRAWS):
        problem: Problem | None = random_problem(op, rng, limit)
        assert problem is not None
        if selection.layouts:
            problem = problem.with_layout(str(rng.choice(selection.layouts)))
        case = Case(
            problem,
            direction,
            str(rng.choice(selection.dtypes or DTYPES)),
            seed=selection.seed,
            memory=str(rng.choice(selection.memory or ("plain", *FORMS))),
        )
        if case.function != function:
            continue
        if user is not None:
            problem = user.within_signature(problem, direction)
            if problem is not None and (not selection.layouts or problem.layout in selection.layouts):
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
        for layout in layouts:
            laid = problem.with_layout(layout)
            cases = []
            for direction in laid.directions:
                case = Case(laid, direction, seed=selection.seed)
                if (laid.op, direction) not in known or case.function not in wanted:
                    continue
                if not _can_run(laid, direction):
                    raise ValueError(f"{laid.op}: {laid.line} is no valid problem")
                if user is not None and (lacking := user.missing(laid, direction)):
                    report.skipped[f"needs {', '.join(sorted(lacking))}"] += 1
                    continue
                cases += [
                    replace(case, dtype=dtype, kind=kind, memory=form)
                    for dtype in selection.dtypes or DTYPES
                    for kind in selection.kinds or KINDS
                    for form in selection.memory or ("plain",)
                    if kind != "whole" or exact_on_whole(laid, direction)
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
