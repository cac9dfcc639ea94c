"""Two runs side by side: for each row FASTER, SLOWER, SAME or UNSURE."""

from __future__ import annotations

import math
from dataclasses import dataclass

from convkit.apps.benchmark.record import Run
from convkit.apps.benchmark.rows import Row
from convkit.apps.terminal import InputError
from convkit.testing.timing import Interval, change_interval, ratios

WITHIN = 0.05  # changes up to this are no change
CONFIDENCE = 0.99  # 0.95 would call one of twenty rows changed where nothing did
DOUBT = 5  # times as much is needed where a row is in doubt
FACTS = ("cpu", "isa", "cores", "gpu")
PEER_PACKAGES = {
    "torch": "torch",
    "ONNX Runtime": "onnxruntime",
    "NumPy": "numpy",
    "SciPy": "scipy",
}


@dataclass(frozen=True)
class Verdict:
    """How a row changed; `speed` is B over A, above 1 where B is faster."""

    name: str
    line: str
    op: str
    direction: str
    threads: int
    verdict: str
    speed: Interval
    by: str  # "time", or the peer whose ratio was compared


@dataclass(frozen=True)
class Comparison:
    """All rows that both runs have."""

    rows: tuple[Verdict, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    machines: tuple[str, ...]  # how the machines differ

    @property
    def mean(self) -> float:
        logs = [math.log(row.speed.middle) for row in self.rows]
        return math.exp(sum(logs) / len(logs)) if logs else 1.0

    def count(self, verdict: str) -> int:
        return sum(row.verdict == verdict for row in self.rows)


def compare_runs(
    a: Run, b: Run, *, within: float = WITHIN, any_machine: bool = False
) -> Comparison:
    """Compares the first contestant of each row: by its ratio to a peer of the same run, if any.

    What slowed a run down slowed the peer in it too, so ratios can be compared where times cannot.
    The peer is the one whose ratios are the narrowest, among those of one version in both runs.

    Raises: InputError for runs of other machines, unless any_machine.
    """
    differences = tuple(
        f"{fact}: {a.machine.get(fact)} and {b.machine.get(fact)}"
        for fact in FACTS
        if a.machine.get(fact) != b.machine.get(fact)
    )
    if differences and not any_machine:
        raise InputError(
            f"the runs are of other machines ({'; '.join(differences)}); "
            "--any-machine compares them all the same"
        )
    of_b = {row.key: row for row in b.rows}
    of_a = {row.key: row for row in a.rows}
    fair = {
        name
        for name in {peer for row in a.rows for peer in row.ratios}
        if _version(a, name) == _version(b, name)
    }
    found = [
        _verdict(row, of_b[key], fair, within)
        for key, row in of_a.items()
        if key in of_b and row.ours.times and of_b[key].ours.times
    ]
    return Comparison(
        tuple(found),
        tuple(f"{row.name} {row.direction}" for key, row in of_a.items() if key not in of_b),
        tuple(f"{row.name} {row.direction}" for key, row in of_b.items() if key not in of_a),
        differences,
    )


def judge(speed: Interval, within: float = WITHIN, *, doubted: bool = False) -> str:
    """What an interval of the change says.

    FASTER or SLOWER: beyond `within`, and the interval leaves no change out. SAME: no change is in
    the interval or the middle within `within`, and the interval is no wider than +-2 `within`.
    UNSURE: the samples do not tell. Where one of the runs has reasons for doubt (its mark ?), what
    went on beside it may differ from run to run more than its samples show: FASTER and SLOWER then
    need five times `within`.
    """
    needed = 1 + within * (DOUBT if doubted else 1)
    if speed.middle > needed and speed.low > 1:
        return "FASTER"
    if speed.middle < 1 / needed and speed.high < 1:
        return "SLOWER"
    near = 1 / (1 + within) <= speed.middle <= 1 + within or speed.low <= 1 <= speed.high
    if near and speed.width <= 2 * within:
        return "SAME"
    return "UNSURE"


def _verdict(a: Row, b: Row, fair: set[str], within: float) -> Verdict:
    peers = [name for name in a.ratios if name in b.ratios and name in fair]
    if peers:
        by = min(peers, key=lambda name: max(a.ratios[name].width, b.ratios[name].width))
        speed = change_interval(_ratios(a, by), _ratios(b, by), CONFIDENCE)
    else:
        by = "time"
        speed = change_interval(b.ours.times, a.ours.times, CONFIDENCE)
    names = (a.name, a.line, a.op, a.direction, a.threads)
    verdict = judge(speed, within, doubted=bool(a.marks or b.marks))
    return Verdict(*names, verdict, speed, by)


def _ratios(row: Row, peer: str) -> list[float]:
    theirs = next(one for one in row.contestants if one.name == peer)
    return ratios(row.ours.samples_s, theirs.samples_s)


def _version(run: Run, peer: str) -> str | None:
    """The version of a peer's package: a ratio to another version says nothing about us."""
    package = PEER_PACKAGES.get(peer.removesuffix(" channels_last"))
    if package is not None:
        return run.versions.get(package)
    if peer == "CuPy":
        found = (name for name in run.versions if name.startswith("cupy"))
        return str([run.versions[name] for name in found])
    # Our own algorithms change with us and a user's function with its author: no fixed measure.
    return f"{id(run)}"
