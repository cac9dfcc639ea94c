"""One subject on one case: what it gave, what it should have given, and every fault found."""

import dataclasses
import functools
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import memory
from .compare import Comparison, Expected, compare, expected, same_bits
from .data import array_shapes, exact_on_whole, make_data
from .geometry import fits, shrink
from .lines import Problem
from .subjects import Algorithm, NoArray, Refused, Stranger, able, text_of, to_numpy
from .updates import run_updating, updates

Subject = Algorithm | Stranger
Data = dict[str, np.ndarray]
REPEATS = 3
ROUNDING = 2.0**-9  # relative to sqrt(K) * RSS: 16-bit types stay below it, wrong indices do not


@dataclass(frozen=True)
class Case:
    """A direction of a problem with all that makes its arrays."""

    problem: Problem
    direction: str
    dtype: str = "float32"
    kind: str = "normal"
    seed: int = 0
    memory: str = "plain"

    @property
    def function(self) -> str:
        """The public function."""
        return self.problem.call(self.direction, array_shapes(self.problem, self.direction))[0]

    @property
    def options(self) -> str:
        """What a reproducing line says of the arrays."""
        form = "" if self.memory == "plain" else f" --memory {self.memory}"
        return f"--dtype {self.dtype} --kind {self.kind} --seed {self.seed}{form}"


@dataclass(frozen=True)
class Fault:
    """A symptom ("values", "shape", "raised", ...) and the sentence that goes with it."""

    symptom: str
    text: str


@dataclass(frozen=True)
class Check:
    """What came of a subject on a case; no subject where nothing runs the case."""

    case: Case
    subject: Subject | None
    error: float = 0.0
    bound: float = 0.0
    faults: tuple[Fault, ...] = ()
    refusal: str = ""

    @property
    def ok(self) -> bool:
        return not self.faults

    @property
    def reproducer(self) -> str:
        """The shell line that runs this check again."""
        function = isinstance(self.subject, Stranger)
        op = self.case.function if function else self.case.problem.op
        how = self.subject.source(self.case.direction) if self.subject else ""
        return " ".join(
            f"convkit validate {op} {self.case.problem.line} {how} {self.case.options}".split()
        )


@dataclass(frozen=True)
class Examination:
    """A check with its arrays."""

    check: Check
    data: Data
    outputs: tuple[np.ndarray, ...] = ()
    wanted: tuple[Expected, ...] = ()

    def save(self, path: Path) -> None:
        """Writes inputs, outputs and exact results to an .npz file."""
        arrays: dict[str, Any] = dict(self.data)
        for i, output in enumerate(self.outputs):
            if not output.dtype.hasobject:
                arrays[f"output{i or ''}"] = output
        for i, one in enumerate(self.wanted):
            arrays[f"exact{i or ''}"] = one.exact.astype(np.float64)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, allow_pickle=False, **arrays)


@functools.lru_cache(maxsize=4)
def _prepared(
    problem: Problem, direction: str, kind: str, dtype: str, seed: int
) -> tuple[Data, tuple[Expected, ...]]:
    data = make_data(problem, direction, kind, dtype, seed)
    return data, expected(problem, direction, data)


def examine(case: Case, subject: Subject) -> Examination:
    """Runs the subject REPEATS times and looks for every fault that can be seen."""
    problem, direction = case.problem, case.direction
    if isinstance(subject, Stranger):
        subject.announce(Check(case, subject).reproducer)
    plain, wanted = _prepared(problem, direction, case.kind, case.dtype, case.seed)
    laid = {name: memory.lay(array, case.memory) for name, array in plain.items()}
    bound = 0.0 if case.kind == "whole" else subject.bound(problem, direction)
    shapes = [(one.exact.shape, one.dtype) for one in wanted]
    guarded = (
        [memory.guard(*one, xp=subject.array_library) for one in shapes]
        if subject.takes_out
        else []
    )
    out = tuple(view for _, view in guarded)
    faults: list[Fault] = []
    outputs: tuple[np.ndarray, ...] = ()
    try:
        with np.errstate(all="ignore"):
            given = subject.run(problem, direction, laid, out[0] if len(out) == 1 else out, 0)
            outputs = _copies(given)
            faults += _shared(laid, given)
            changed = _changed_inputs(plain, laid)
            # convkit promises the same bits for any strides; others need not.
            form = case.memory if isinstance(subject, Stranger) else "plain"
            if changed or form != case.memory:
                laid = {name: memory.lay(array, form) for name, array in plain.items()}
            faults += changed or _repeats(subject, case, laid, given, outputs)
            faults += _updated(subject, case, plain, wanted, bound)
    except Refused as refusal:
        return Examination(Check(case, subject, refusal=str(refusal)), plain)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a kernel raises is what there is to say about it
        check = Check(case, subject, np.inf, bound, (_raised(error), *faults))
        return Examination(check, plain, outputs, wanted)
    faults = [
        *(Fault("guard", text) for text in (memory.guards_broken(*one) for one in guarded) if text),
        *faults,
    ]
    worst, wrong = _compare(outputs, wanted, bound, case.kind, _counts(subject, len(wanted)))
    check = Check(case, subject, worst, bound, (*wrong, *faults))
    return Examination(check, plain, outputs, wanted)


def is_real(array: np.ndarray) -> bool:
    """Whether its elements are numbers that can be compared (bfloat16 is no kind of NumPy's)."""
    return array.dtype.kind in "biuf" or array.dtype.name == "bfloat16"


def epsilon(dtype: str) -> float:
    """The rounding that E counts, by the type that a dtype is computed in."""
    return float(np.finfo(np.float64 if dtype == "float64" else np.float32).eps)


def can_be_checked(case: Case) -> bool:
    """Whether the problem is valid and its kind of data decides something."""
    if not fits(case.problem):
        return False
    if case.kind == "whole" and not exact_on_whole(case.problem, case.direction, case.dtype):
        return False
    try:
        return bool(able(case.problem, case.direction, "cpu", case.dtype))
    except ValueError:
        return False


def shrink_check(check: Check) -> Check:
    """The simplest case that shows a fault of the same symptom."""
    subject, symptom = check.subject, check.faults[0].symptom
    if subject is None:
        return check
    found = check

    def still(case: Case) -> bool:
        nonlocal found
        if not can_be_checked(case):
            return False
        if isinstance(subject, Algorithm) and subject not in able(
            case.problem, case.direction, subject.backend, case.dtype
        ):
            return False
        if isinstance(subject, Stranger) and subject.missing(case.problem, case.direction):
            return False
        new = examine(case, subject).check
        if symptom in {fault.symptom for fault in new.faults}:
            found = new
            return True
        return False

    for simpler in ({"memory": "plain"}, {"dtype": "float32"}):
        case = dataclasses.replace(found.case, **simpler)  # type: ignore[arg-type]
        if case != found.case:
            still(case)
    shrink(
        found.case.problem, lambda problem: still(dataclasses.replace(found.case, problem=problem))
    )
    return found


def _counts(subject: Subject, results: int) -> tuple[int, ...]:
    return subject.counts(results) if isinstance(subject, Stranger) else (results,)


def _compare(
    outputs: tuple[np.ndarray, ...],
    wanted: tuple[Expected, ...],
    bound: float,
    kind: str,
    counts: tuple[int, ...],
) -> tuple[float, list[Fault]]:
    """(worst E, faults of shape, type and value)."""
    if len(outputs) not in counts:
        arrays = "1 array" if len(outputs) == 1 else f"{len(outputs)} arrays"
        return np.inf, [Fault("shape", f"returned {arrays}, must return {counts[-1]}")]
    worst, faults = 0.0, []
    for i, (output, one) in enumerate(zip(outputs, wanted, strict=False)):
        shape, dtype = one.exact.shape, one.dtype
        what = ("the result", "the second result", "the third result")[i]
        what += " (indices)" if one.is_index else ""
        if output.shape != shape:
            faults.append(Fault("shape", f"{what} has shape {output.shape}, must be {shape}"))
            continue
        if output.dtype != dtype:
            faults.append(Fault("dtype", f"{what} is {output.dtype}, must be {dtype}"))
            if not is_real(output):
                continue
        comparison = compare(output, one, 0.0 if one.is_index else bound)
        worst = max(worst, comparison.error)
        if not comparison.ok:
            rounded = not one.is_index and comparison.error * epsilon(dtype.name) < ROUNDING
            symptom = "precision" if rounded else "values"
            faults.append(Fault(symptom, _wrong(what, comparison, kind)))
    return (np.inf if faults and worst == 0 else worst), faults


def _wrong(what: str, comparison: Comparison, kind: str) -> str:
    if comparison.bound:
        return f"{what} is wrong: {comparison}"
    place = ", ".join(map(str, comparison.index))
    exact = "wrong on whole numbers, which leave no rounding," if kind == "whole" else "wrong"
    return (
        f"{what} is {exact} at [{place}]: got {comparison.actual:.9g}, exact {comparison.exact:.9g}"
    )


def _changed_inputs(plain: Data, laid: Data) -> list[Fault]:
    return [
        Fault("inputs", f"the input {name} was written to")
        for name, array in plain.items()
        if not same_bits(array, laid[name])
    ]


def _copies(results: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.array(to_numpy(one), order="C") for one in results)


def _shared(laid: Data, given: tuple[Any, ...]) -> list[Fault]:
    """Results that lie in the memory of an input."""
    return [
        Fault("memory", f"the result lies in the memory of the input {name}, must be a new array")
        for one in given
        for name, array in laid.items()
        if np.may_share_memory(to_numpy(one), array)
    ]


def _repeats(
    subject: Subject, case: Case, laid: Data, given: tuple[Any, ...], first: tuple[Any, ...]
) -> list[Fault]:
    """Runs again, on dense arrays and with new memory for the output; then with other arrays."""
    for repeat in range(1, REPEATS):
        again = _copies(subject.run(case.problem, case.direction, laid, None, repeat))
        if len(first) != len(again):
            text = f"call {repeat + 1} returned {len(again)} arrays, the first {len(first)}"
            return [Fault("repeat", text)]
        if not all(map(same_bits, first, again)):
            places = [np.argwhere(one != two) for one, two in zip(first, again, strict=True)]
            counts = ", ".join(str(len(place)) for place in places)
            text = f"call {repeat + 1} with equal arguments gave other bits ({counts} places)"
            return [Fault("repeat", text)]
    if subject.takes_out:
        return []
    other = make_data(case.problem, case.direction, case.kind, case.dtype, case.seed + 1)
    again = _copies(subject.run(case.problem, case.direction, other, None, REPEATS))
    if not all(map(same_bits, first, _copies(given))):
        return [Fault("repeat", "a later call wrote into the result of the first")]
    if len(first) == len(again) and all(map(same_bits, first, again)):
        wanted = expected(case.problem, case.direction, other)
        bound = subject.bound(case.problem, case.direction)
        if _compare(again, wanted, bound, case.kind, (len(again),))[1]:
            return [Fault("repeat", "a call with other values gave the result of the first")]
    return []


def _updated(
    subject: Subject, case: Case, plain: Data, wanted: tuple[Expected, ...], bound: float
) -> list[Fault]:
    """What a call with arrays to change in place does wrong."""
    if not updates(case.problem, case.direction, subject):
        return []
    outputs, wrong = run_updating(case.problem, case.direction, subject, plain, case.seed)
    _, faults = _compare(outputs, wanted, bound, case.kind, _counts(subject, len(wanted)))
    found = [Fault("statistics", text) for text in wrong]
    return found + [Fault(f.symptom, f"given running statistics, {f.text}") for f in faults]


def _raised(error: BaseException) -> Fault:
    if isinstance(error, NoArray):
        return Fault("type", str(error))
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return Fault("raised", f"raised {type(error).__name__}: {text_of(error)[:300]}{place}")
