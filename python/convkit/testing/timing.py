"""How long calls take beside one another, and how much of it to believe.

Calls take turns in rounds, in an order drawn anew for each. What a machine does to one it does to
its neighbours, so the ratio of two within a round holds where either time alone does not; the
result is the median of those ratios with a bootstrap interval.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np

from .subjects import said

Call = Callable[[], Any]
Samples = list[float | None]  # seconds per call, by round; None where a call sat the round out

RESAMPLES = 1000
FEWEST = 6  # values from which a bootstrap says more than the smallest and the largest
SHORTEST_SAMPLE = 5e-4  # seconds; shorter calls are repeated, so that the clock does not matter
MOST_REPEATS = 5000
CACHES_TURN_OVER = 0.02  # seconds; a longer call finds little of what the one before left
TRIES = 4  # times that a disturbed sample is taken
COMPARABLE = 0.03  # width of a ratio's interval with which two runs can be told apart
PATIENCE = 4  # times the seconds that a row may take to reach it
SLOW_ROUNDS = 3  # rounds of a call that takes more than its share of the time
DRIFT, STOLEN, OTHERS, PREEMPTED = 0.03, 0.01, 0.2, 0.2  # what gets a mark: see Noise


@dataclass(frozen=True)
class Interval:
    """A median, and between which values it lies with 95 % confidence."""

    middle: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Half of high - low, as a part of the middle."""
        return (self.high - self.low) / 2 / self.middle if self.middle else math.inf


def median_interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The median with its 95 % interval. With few values: the smallest and the largest."""
    found = np.asarray(values, dtype=np.float64)
    if not len(found):
        raise ValueError("no values to take the median of")
    middle = float(np.median(found))
    if len(found) < FEWEST:
        return Interval(middle, float(found.min()), float(found.max()))
    low, high = np.quantile(_medians(found, seed), (0.025, 0.975))
    return Interval(middle, float(low), float(high))


def change_interval(
    before: Sequence[float], after: Sequence[float], confidence: float = 0.95
) -> Interval:
    """median(after) / median(before) with its interval, the two being of different runs."""
    medians = []
    for seed, values in enumerate((before, after)):
        found = np.asarray(values, dtype=np.float64)
        if len(found) < FEWEST:  # too few to resample: every value stands for what it may be
            rng = np.random.default_rng(seed)
            medians.append(rng.choice(found, RESAMPLES))
        else:
            medians.append(_medians(found, seed))
    rest = (1 - confidence) / 2
    low, high = np.quantile(medians[1] / medians[0], (rest, 1 - rest))
    middle = float(np.median(after) / np.median(before))
    return Interval(middle, min(middle, float(low)), max(middle, float(high)))


def _medians(values: np.ndarray, seed: int) -> np.ndarray:
    """Medians of resampled values, drawn in blocks: what disturbs one round disturbs the next."""
    rng = np.random.default_rng(seed)
    count = len(values)
    block = max(1, round(count ** (1 / 3)))
    starts = rng.integers(0, count - block + 1, (RESAMPLES, -(-count // block), 1))
    places = (starts + np.arange(block)).reshape(RESAMPLES, -1)[:, :count]
    medians: np.ndarray = np.median(values[places], axis=1)
    return medians


def ratios(ours: Samples, theirs: Samples) -> list[float]:
    """theirs / ours of every round that has both: above 1 where ours is faster."""
    pairs = zip(ours, theirs, strict=True)
    return [b / a for a, b in pairs if a is not None and b is not None]


@dataclass(frozen=True)
class Race:
    """What the rounds gave."""

    samples: dict[str, Samples]
    failed: dict[str, str] = field(default_factory=dict)  # calls that raised, and what
    reference: tuple[float, ...] = ()  # seconds of the fixed loop, one per round
    preempted: float = 0.0  # part of the samples during which the system took a core away

    def times(self, name: str) -> list[float]:
        return [one for one in self.samples[name] if one is not None]

    def median(self, name: str) -> float:
        return float(np.median(self.times(name)))

    def ratio(self, ours: str, theirs: str) -> Interval:
        return median_interval(ratios(self.samples[ours], self.samples[theirs]))


@dataclass(frozen=True)
class Way:
    """How samples are taken.

    wait: returns when the device has done all that was started.
    evict: empties the caches before each call, which is then timed alone. Without it each sample
        follows an untimed call of its own: its arrays are as warm as they stay.
    pools: calls have threads of their own; those of one must sleep before the next is timed.
    """

    wait: Call | None = None
    evict: Call | None = None
    pools: bool = False


def race(
    calls: dict[str, Call],
    *,
    seconds: float,
    precision: float = 0.01,
    least: int = 7,
    most: int = 400,
    way: Way = Way(),
    place: Callable[[], dict[str, Call]] | None = None,
) -> Race:
    """Times the calls in interleaved rounds.

    It ends when the interval of each ratio to the first call is narrower than +-precision, or when
    `seconds` are over and `least` rounds are done; where by then no ratio is fit to be compared
    with that of another run (+-COMPARABLE), after up to PATIENCE times as long. A call slower than
    its share of the seconds and five times the fastest sits out all but the first rounds; one that
    raises is left out.

    Args:
        place: the same calls on arrays at new places. Where arrays lie decides on cache conflicts,
            by 10 % and more; asked before each round, as long as that takes no longer than the
            rounds do, it makes the interval hold for the next process too.
    """
    once, failed = _first_calls(calls, way)
    shortest = min(once.values(), default=0.0)
    limit = max(seconds / (4 * len(calls)), 5 * shortest) if calls else 0.0
    samples: dict[str, Samples] = {name: [] for name in once}
    reference: list[float] = []
    order, draw = list(once), random.Random(0)
    taken = preempted = 0
    spent = 0.0  # on places
    start = time.perf_counter()
    for done in range(most if once else 0):
        if place is not None and spent <= (time.perf_counter() - start) / 2:
            spent -= time.perf_counter()
            calls = place()
            spent += time.perf_counter()
        draw.shuffle(order)
        for name in order:
            if once[name] > limit and done >= SLOW_ROUNDS:
                samples[name].append(None)
                continue
            sample, undisturbed = _sample(calls[name], once[name], way)
            samples[name].append(sample)
            taken, preempted = taken + 1, preempted + (not undisturbed)
        reference_loop()  # brings its bytes back into the caches
        reference.append(clock(reference_loop))
        if done + 1 < least:
            continue
        spent_all = time.perf_counter() - start
        over = spent_all > seconds * PATIENCE or (
            spent_all > seconds and done % 4 == 3 and min(_widths(samples)) <= COMPARABLE
        )
        if over or (done % 4 == 3 and max(_widths(samples)) <= precision):
            break
    return Race(samples, failed, tuple(reference), preempted / max(taken, 1))


def _first_calls(calls: dict[str, Call], way: Way) -> tuple[dict[str, float], dict[str, str]]:
    """(seconds of one call, what went wrong), each by name."""
    once: dict[str, float] = {}
    failed: dict[str, str] = {}
    for name, call in calls.items():
        try:
            call()  # pays for threads that start and pages that are new
            once[name] = max(clock(call, way.wait), 1e-9)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # its text stands in the row in place of a time
            failed[name] = said(error)
    return once, failed


def _sample(call: Call, once: float, way: Way) -> tuple[float, bool]:
    """(seconds per call, whether the cores were ours all the time). Disturbed, it is taken again.

    That is fair to all calls alike: what counts is whether the system switched to another program,
    not how long the sample took.
    """
    repeats = 1 if way.evict else min(MOST_REPEATS, math.ceil(SHORTEST_SAMPLE / once))
    for _ in range(TRIES):
        if way.pools:
            _settle()
        if way.evict is not None:
            way.evict()
        elif once < CACHES_TURN_OVER:
            call()
        if way.wait is not None:
            way.wait()
        before = _switches()
        seconds = clock(call, way.wait, repeats)
        if _switches() == before:
            return seconds, True
    return seconds, False


def _switches() -> int:
    """How often the system has taken a core from a thread of this process that wanted it."""
    return getrusage(RUSAGE_SELF).ru_nivcsw


def clock(call: Call, wait: Call | None = None, repeats: int = 1) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    if wait is not None:
        wait()
    return (time.perf_counter() - start) / repeats


def _widths(samples: dict[str, Samples]) -> list[float]:
    """Of the intervals of all ratios to the first call; of its own time where it is alone."""
    first, *others = samples.values()
    found = [ratios(first, other) for other in others]
    # Those that sat out have too few rounds to narrow.
    found = [one for one in found if len(one) >= FEWEST] or [[t for t in first if t is not None]]
    return [median_interval(one).width for one in found]


def _settle(longest: float = 0.25) -> None:
    """Waits until all other threads of this process sleep: those of a pool look for work at first.

    7 ms for torch's, 100 ms for NumPy's OpenBLAS. The process's own clock would not tell: the
    system adds what another core does only at its ticks.
    """
    end = time.perf_counter() + longest
    while _others_run() and time.perf_counter() < end:
        time.sleep(0.0005)


def _others_run(folder: str = "/proc/self/task") -> bool:
    """Whether another thread of this process runs or waits for a core, as far as one can tell."""
    own = str(threading.get_native_id())
    try:
        threads = os.listdir(folder)
    except OSError:
        return False
    return any(_state(f"{folder}/{one}/stat") == "R" for one in threads if one != own)


def _state(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2][:1]  # before it: a name of any letters
    except OSError:  # it has just ended
        return ""


_FIXED = bytes(range(256)) * 1024


def reference_loop() -> None:
    """Work that never changes and needs one core alone, a fraction of a millisecond."""
    hashlib.sha256(_FIXED).digest()


@dataclass(frozen=True)
class Load:
    """What all processors and this process have done since they started, in seconds."""

    wall: float
    own: float
    busy: float
    stolen: float
    total: float


def read_load(path: str = "/proc/stat") -> Load | None:
    """The load now; None where the system does not tell."""
    try:
        with open(path, encoding="ascii") as file:
            words = file.readline().split()[1:9]
        user, nice, system, idle, iowait, irq, softirq, steal = (
            int(word) / os.sysconf("SC_CLK_TCK") for word in words
        )
    except (OSError, ValueError):
        return None
    busy = user + nice + system + irq + softirq
    total = busy + idle + iowait + steal
    return Load(time.perf_counter(), time.process_time(), busy, steal, total)


@dataclass(frozen=True)
class Noise:
    """What went on beside a measurement."""

    stolen: float = 0.0  # part of the processors' time that the hypervisor gave to others
    others: float = 0.0  # cores that other programs kept busy
    drift: float = 0.0  # how much longer the fixed loop took than it does in most of the run
    preempted: float = 0.0  # part of the samples that no try got undisturbed

    def reasons(self, threads: int, cores: int) -> list[str]:
        """Why not to trust the measurement; empty where nothing speaks against it."""
        found = []
        if self.stolen > STOLEN:
            found.append(f"stolen {self.stolen:.1%}")
        if self.others > OTHERS and self.others + threads > cores - 0.5:
            found.append(f"others {self.others:.1f} cores")
        if self.drift > DRIFT:
            found.append(f"loop +{self.drift:.0%}")
        if self.preempted > PREEMPTED:
            found.append(f"preempted {self.preempted:.0%}")
        return found


def noise_between(before: Load | None, after: Load | None, preempted: float = 0.0) -> Noise:
    """What went on between two readings of the load."""
    if before is None or after is None or after.wall <= before.wall:
        return Noise(preempted=preempted)
    total = after.total - before.total
    others = (after.busy - before.busy - (after.own - before.own)) / (after.wall - before.wall)
    stolen = (after.stolen - before.stolen) / total if total else 0.0
    return Noise(stolen, max(0.0, others), preempted=preempted)


def drift_of(reference: Sequence[float], usual: float) -> float:
    """How much longer the fixed loop took than `usual`, its median over the run."""
    return float(np.median(reference)) / usual - 1 if reference else 0.0
