"""One row: its contestants are checked, then those that are right race."""

from __future__ import annotations

import importlib
import inspect
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from convkit.apps.checks import placed, waiter
from convkit.apps.terminal import InputError
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
    row_bound,
    use_backend,
    use_threads,
)
from convkit.testing.compare import DEFAULT_BOUND
from convkit.testing.peers import fair_blas, peers
from convkit.testing.timing import (
    Interval,
    Noise,
    Samples,
    median_interval,
    noise_between,
    race,
    read_load,
)

OURS = "convkit"
# Others round as they like, by Winograd too; beyond this it is no float32 any more, or other work.
PEER_BOUND = 1000.0


@dataclass(frozen=True)
class Stranger:
    """The user's own function, put into the race of a public one."""

    name: str
    function: str  # the public function it does the work of
    call: Callable[..., Any]


@dataclass(frozen=True)
class Settings:
    """How every row is run."""

    backend: str = "cpu"
    dtype: str = "float32"
    seconds: float = 1.0
    precision: float = 0.01
    cold: bool = False
    algorithms: tuple[str, ...] = ("auto",)  # the first is what ratios are made with
    vs: tuple[str, ...] = ()
    strangers: tuple[Stranger, ...] = ()


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


@dataclass(frozen=True)
class _Entry:
    """A contestant before it ran."""

    name: str
    call: Callable[[], Any]
    outputs: Callable[[Any], list[np.ndarray]]
    bound: float


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
    function = problem.call(direction, work.data)[0]
    row = Row(
        problem.op,
        problem.name,
        problem.line,
        direction,
        function,
        work.dtype,
        settings.backend,
        threads,
        settings.cold,
        cost.flops,
        cost.bytes,
        floor_seconds(cost, peaks) if peaks else None,
    )
    with use_backend(settings.backend), use_threads(threads), ExitStack() as stack:
        try:
            able = candidates(problem, direction, settings.backend, work.dtype)
        except (ValueError, TypeError) as error:
            row.note = str(error)
            return row
        _describe(row, able, settings)
        if row.note:
            return row
        wait = waiter(settings.backend)
        others = peers(
            problem,
            direction,
            work.data,
            backend=settings.backend,
            threads=threads,
            keys=settings.vs,
        )
        entries = [
            *_own(work, settings, able, row.algorithm),
            *_strangers(work, settings, function, row),
            *(
                _Entry(peer.name, peer.call, lambda r, p=peer: [p.output(r)], PEER_BOUND)
                for peer in others
            ),
        ]
        stack.enter_context(fair_blas(others, threads))
        right = _check(entries, work.wanted, row, wait)
        if row.ours.name in right:
            _race(row, right, settings, wait)
    return row


def _describe(row: Row, able: dict[str, str | None], settings: Settings) -> None:
    """The algorithm that the first of ours takes, its scratch memory and its bound."""
    from convkit.queries import describe_call
    from convkit.testing.data import array_shapes
    from convkit.testing.lines import parse

    problem = parse(row.op, row.line)
    name, arrays, options = problem.call(row.direction, array_shapes(problem, row.direction))
    algo = settings.algorithms[0]
    if able.get(algo):
        row.note = f"{algo} cannot run this: {able[algo]}"
        return
    plan = describe_call(name, *arrays, dtype=row.dtype, algo=algo, **options).plan()
    row.algorithm, row.workspace_bytes = plan.algorithm, plan.workspace_bytes()
    row.bound = bound_of(problem, row.direction, plan.bound)


def _own(
    work: Work, settings: Settings, able: dict[str, str | None], taken: str
) -> Iterable[_Entry]:
    """Ours by each algorithm asked for that takes the problem."""
    import convkit

    data = placed(work.data, settings.backend)
    name, arrays, options = work.problem.call(work.direction, data)
    options = as_written(getattr(convkit, name), options)
    names = list(settings.algorithms)
    if "all" in names:
        names = ["auto", *(algo for algo in able if algo != taken)]
    for algo in names:
        if able.get(algo):
            continue
        chosen = options if algo == "auto" else options | {"algo": algo}
        call = partial(getattr(convkit, name), *arrays, **chosen)
        bound = row_bound(work.problem.op, taken if algo == "auto" else algo, settings.backend)
        label = OURS if algo == "auto" else f"{OURS} {algo}"
        yield _Entry(label, call, _arrays, bound_of(work.problem, work.direction, bound))


def _strangers(work: Work, settings: Settings, function: str, row: Row) -> Iterable[_Entry]:
    """The user's functions, on arrays of their own: what they write there harms nobody."""
    import convkit

    for stranger in settings.strangers:
        if stranger.function != function:
            continue
        copies = {name: array.copy() for name, array in work.data.items()}
        name, arrays, options = work.problem.call(work.direction, placed(copies, settings.backend))
        options = as_written(getattr(convkit, name), options)
        while arrays and arrays[-1] is None:  # no bias
            arrays = arrays[:-1]
        call = partial(stranger.call, *arrays, **options)
        yield _Entry(stranger.name, call, lambda result: _arrays(result)[:1], DEFAULT_BOUND)


def as_written(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options as one writes them: no defaults, one number where all are equal.

    >>> import convkit
    >>> as_written(convkit.conv2d, {"stride": (2, 2), "padding": ((1, 1), (1, 1)), "groups": 1})
    {'stride': 2, 'padding': 1}
    """
    defaults = inspect.signature(function).parameters
    written = {name: _short(value) for name, value in options.items()}
    return {
        name: value
        for name, value in written.items()
        if type(value) is not type(defaults[name].default) or value != defaults[name].default
    }


def _short(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    if isinstance(value[0], tuple):  # the pads of each axis
        if any(low != high for low, high in value):
            return value
        value = tuple(low for low, _ in value)
    return value[0] if len(set(value)) == 1 else value


def _check(
    entries: Iterable[_Entry], wanted: tuple[Expected, ...], row: Row, wait: Any
) -> dict[str, Callable[[], Any]]:
    """The calls of those that are right. Each contestant stands in the row, right or not."""
    right = {}
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
        except Exception as error:  # whatever it raises is what its row has to say
            one.note = f"{type(error).__name__}: {error}"
            continue
        worst = max(found, key=lambda comparison: comparison.error)
        one.error = worst.error
        if worst.ok:
            right[entry.name] = entry.call
        else:
            one.note = f"wrong: {worst}"
    return right


def _race(row: Row, calls: dict[str, Callable[[], Any]], settings: Settings, wait: Any) -> None:
    before = read_load()
    result = race(
        calls,
        seconds=settings.seconds,
        precision=settings.precision,
        wait=wait,
        evict=_evictor(settings.backend) if settings.cold else None,
        pools=row.threads > 1 and settings.backend == "cpu" and len(calls) > 1,
    )
    row.noise = noise_between(before, read_load())
    row.reference_s = list(result.reference)
    for one in row.contestants:
        one.samples_s = result.samples.get(one.name, [])
        one.note = one.note or result.failed.get(one.name, "")
    ours = row.ours.name
    if ours in result.samples:
        others = (name for name in result.samples if name != ours)
        row.ratios = {name: result.ratio(ours, name) for name in others}
        row.interval = median_interval(result.times(ours))


def _arrays(result: Any) -> list[np.ndarray]:
    outputs = result if isinstance(result, tuple) else (result,)
    return [o.get() if hasattr(o, "get") else np.asarray(o) for o in outputs]


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


def load_stranger(text: str) -> Stranger:
    """ "module:name" for conv2d, or "function=module:name" for another public function.

    Raises: InputError where there is no such thing.
    """
    import sys

    from convkit import ops

    function, _, place = text.rpartition("=")
    function = function or "conv2d"
    if function not in ops.FUNCTIONS:
        known = ", ".join(ops.FUNCTIONS)
        raise InputError(f"--with {text}: {function!r} is no public function; these are: {known}")
    module, _, name = place.partition(":")
    if not module or not name:
        raise InputError(f"--with {text}: must be module:function, such as mymodule:my_conv2d")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a file in the folder where one stands, as python -m has
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise InputError(f"--with {text}: {type(error).__name__}: {error}") from None
    if not callable(found):
        raise InputError(f"--with {text}: {name} is {type(found).__name__}, must be callable")
    return Stranger(place, function, found)
