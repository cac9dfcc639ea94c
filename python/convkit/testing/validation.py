"""Random problems of every op by every algorithm, or by a function of the user's own, checked."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .compare import DEFAULT_BOUND
from .diagnose import diagnose
from .examine import Case, Check, Fault, Subject, examine, shrink_check
from .pattern import when_wrong
from .report import Failure, Report, way_of
from .selection import Selection, cases_of, select, stranger
from .subjects import Stranger, able

_DIAGNOSED = 6  # cases of a failure that are looked at in detail


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
        most_flops: largest random problem; small ones suit a kernel that runs in a simulator.
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


def steps(selection: Selection, report: Report, user: Stranger | None = None) -> Iterator[Report]:
    """Fills the report, and hands it over after each problem."""
    report.seed = selection.seed
    report.never_passed = user.never_passed() if user else ()
    started = time.perf_counter()
    failures: dict[tuple[Any, ...], Failure] = {}
    for cases in cases_of(selection, user, report):
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
    key = (*way_of(check), check.faults[0].symptom)
    if key not in failures:
        failures[key] = _failure(check, selection)
        report.failures.append(failures[key])
    failures[key].cases.append(check.case)


def _failure(check: Check, selection: Selection) -> Failure:
    if check.subject is None:
        return Failure(check, check)
    failure = Failure(check, shrink_check(check))
    if selection.save is not None:
        name = "-".join((*way_of(check), failure.symptom))
        path = Path(selection.save) / f"{name}.npz"
        try:
            examine(failure.shrunk.case, check.subject).save(path)
            failure.file = str(path)
        except OSError as error:
            failure.unsaved = f"{path}: {error.strerror or error}"
    return failure


def _explain(report: Report) -> None:
    """Adds to each failure what its cases show together."""
    rows = report.rows()
    for failure in report.failures:
        row = [check for check in rows[way_of(failure.check)] if not check.refusal]
        failure.when = when_wrong(failure.cases, [check.case for check in row if check.ok])
        if (subject := failure.check.subject) is not None:
            # The first, which is the one reported; of the others large results show the most.
            first, *others = failure.cases
            others.sort(key=lambda case: -math.prod(case.problem.y_shape))
            looked_at = [first, *others[: _DIAGNOSED - 1]]
            failure.places = diagnose(examine(case, subject) for case in looked_at)


def _subjects(case: Case, selection: Selection, user: Stranger | None) -> Iterable[Subject | str]:
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
