"""One row: its contestants are checked, then those that are right race."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from convkit.apps.benchmark.contestants import OURS, Entry, Field, Settings, enter
from convkit.apps.checks import waiter
from convkit.queries import describe_call
from convkit.testing import (
    Expected,
    Peaks,
    Problem,
    bound_of,
    candidates,
    compare,
    cost_of,
    expected,
    floor_seconds,
    make_data,
    use_backend,
    use_threads,
)
from convkit.testing.data import array_shapes
from convkit.testing.peers import fair_blas
from convkit.testing.subjects import said
from convkit.testing.timing import (
    Interval,
    Noise,
    Samples,
    Way,
    median_interval,
    noise_between,
    race,
    read_load,
)


@dataclass
class Contestant:
    """One way to do the row's work: how far off it is, and its times."""

    name: str
    error: float | None = None  # in units E; None where it did not run
    note: str = ""  # why it was not timed
    samples_s: Samples = field(default_factory=list)

    @property
    def times(self) -> list[float]:
        return [one for one in self.samples_s if one is not None]

    @property
    def median_s(self) -> float | None:
        return float(np.median(self.times)) if self.times else None

    @property
    def min_s(self) -> float | None:
        return min(self.times, default=None)


@dataclass
class Row:
    """A direction of a problem at a number of threads."""

    op: str
    name: str
    line: str
    direction: str
    function: str
    dtype: str
    backend: str
    threads: int
    cold: bool
    flops: int
    bytes: int
    floor_s: float | None
    algorithm: str = ""
    workspace_bytes: int = 0
    bound: float = 0.0
    contestants: list[Contestant] = field(default_factory=list)
    ratios: dict[str, Interval] = field(default_factory=dict)  # others' time over ours
    interval: Interval | None = None  # of our own time
    noise: Noise = field(default_factory=Noise)
    reference_s: list[float] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    note: str = ""  # why nothing ran

    @property
    def ours(self) -> Contestant:
        return self.contestants[0] if self.contestants else Contestant(OURS)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two rows of different runs the same."""
        names = (self.op, self.line, self.direction, self.dtype, self.backend)
        return (*names, self.threads, self.cold, self.ours.name)

    @property
    def wrong(self) -> list[Contestant]:
        return [one for one in self.contestants if one.note.startswith("wrong")]


class Work:
    """A direction of a problem with its data and its exact result, for any number of threads."""

    def __init__(self, problem: Problem, direction: str, dtype: str) -> None:
        self.problem, self.direction, self.dtype = problem, direction, dtype
        self.data = make_data(problem, direction, dtype=dtype)
        self.wanted: tuple[Expected, ...] = expected(problem, direction, self.data)


def run_row(work: Work, settings: Settings, threads: int, peaks: Peaks | None) -> Row:
    """Checks every contestant, races those that are right, and says what it found."""
    problem, direction = work.problem, work.direction
    cost = cost_of(problem, direction, work.dtype)
    row = Row(
        problem.op,
        problem.name,
        problem.line,
        direction,
        problem.call(direction, work.data)[0],
        work.dtype,
        settings.backend,
        threads,
        settings.cold,
        cost.flops,
        cost.bytes,
        floor_seconds(cost, peaks) if peaks else None,
    )
    with use_backend(settings.backend), use_threads(threads):
        try:
            able = candidates(problem, direction, settings.backend, work.dtype)
            _describe(row, problem, able, settings)
        except (ValueError, TypeError) as error:
            row.note = str(error)
            return row
        entrants = Field(problem, direction, settings, threads, able, row.algorithm)
        entries = enter(entrants, work.data)
        numpy = next((entry.call for entry in entries if entry.name == "NumPy"), None)
        with fair_blas(numpy, threads):
            right = _check(entries, work.wanted, row)
            if row.ours.name in right:
                _race(row, right, entrants, work.data)
    return row


def _describe(row: Row, problem: Problem, able: dict[str, str | None], settings: Settings) -> None:
    """The algorithm that the first of ours takes, its scratch memory and its bound."""
    algo = settings.algorithms[0]
    if able.get(algo):
        raise ValueError(f"{algo} cannot run this: {able[algo]}")
    name, arrays, options = problem.call(row.direction, array_shapes(problem, row.direction))
    plan = describe_call(name, *arrays, dtype=row.dtype, algo=algo, **options).plan()
    row.algorithm, row.workspace_bytes = plan.algorithm, plan.workspace_bytes()
    row.bound = bound_of(problem, row.direction, plan.bound)


def _check(
    entries: list[Entry], wanted: tuple[Expected, ...], row: Row
) -> dict[str, Callable[[], Any]]:
    """The calls of those that are right. Each contestant stands in the row, right or not."""
    right, wait = {}, waiter(row.backend)
    for entry in entries:
        one = Contestant(entry.name)
        row.contestants.append(one)
        try:
            result = entry.call()
            if wait:
                wait()
            outputs = entry.outputs(result)
            found = [
                compare(output, expectation, entry.bound)
                for output, expectation in zip(outputs, wanted, strict=False)
            ]
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever it raises is what its row has to say
            one.note = said(error)
            continue
        worst = max(found, key=lambda comparison: comparison.error)
        one.error = worst.error
        if worst.ok:
            right[entry.name] = entry.call
        else:
            one.note = f"wrong: {worst}"
    return right


def _race(
    row: Row, calls: dict[str, Callable[[], Any]], entrants: Field, data: dict[str, np.ndarray]
) -> None:
    settings, rng = entrants.settings, np.random.default_rng(0)
    held: list[np.ndarray] = []  # what moves the next arrays, results too, elsewhere

    def place() -> dict[str, Callable[[], Any]]:
        held[:] = [np.empty(int(rng.integers(1, _SPACER)), np.uint8) for _ in range(3)]
        moved = {name: _moved(array, rng) for name, array in data.items()}
        return {entry.name: entry.call for entry in enter(entrants, moved)}

    before = read_load()
    result = race(
        calls,
        seconds=settings.seconds,
        precision=settings.precision,
        way=Way(
            waiter(row.backend),
            _evictor(row.backend) if row.cold else None,
            pools=row.threads > 1 and row.backend == "cpu",
        ),
        place=place if row.backend == "cpu" else None,
    )
    row.noise = noise_between(before, read_load(), result.preempted)
    row.reference_s = list(result.reference)
    for one in row.contestants:
        one.samples_s = result.samples.get(one.name, [])
        one.note = one.note or result.failed.get(one.name, "")
    ours = row.ours.name
    if ours in result.samples:
        others = (name for name in result.samples if name != ours)
        row.ratios = {name: result.ratio(ours, name) for name in others}
        row.interval = median_interval(result.times(ours))


_SPACER = 1 << 17  # bytes
_STEP = 16  # bytes: where memory for an array may begin


def _moved(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A copy that begins anywhere in a page."""
    offset = _STEP * int(rng.integers(0, 4096 // _STEP))
    memory = np.empty(array.nbytes + 4096, np.uint8)
    moved = memory[offset : offset + array.nbytes].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def _evictor(backend: str) -> Callable[[], Any]:
    """Writes over more memory than the largest cache holds."""
    if backend == "cuda":
        cupy = importlib.import_module("cupy")
        size = cupy.cuda.Device().attributes["L2CacheSize"]
        memory = cupy.zeros(2 * size, cupy.uint8)
    else:
        memory = np.zeros(2 * _largest_cache(), np.uint8)
    return lambda: memory.fill(1)


def _largest_cache(folder: str = "/sys/devices/system/cpu/cpu0/cache") -> int:
    """Bytes of the largest cache of a core; 64 MiB where the system does not tell."""
    sizes = []
    for file in Path(folder).glob("index*/size"):
        text = file.read_text().strip()
        sizes.append(int(text[:-1]) * {"K": 1 << 10, "M": 1 << 20}.get(text[-1], 1))
    return max(sizes, default=64 << 20)
