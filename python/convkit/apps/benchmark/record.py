"""A run and its JSON: what was asked, on what machine, by which versions, and every sample."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from convkit.apps.benchmark.reading import Damaged, check, read
from convkit.apps.benchmark.rows import Row
from convkit.apps.files import write_whole
from convkit.apps.terminal import InputError, finite
from convkit.testing import Peaks
from convkit.testing.timing import Interval, drift_of, ratios

SCHEMA = 1
MADE_BY = "convkit bench"
PACKAGES = (
    "numpy",
    "scipy",
    "torch",
    "onnxruntime",
    "onnx",
    "cupy",
    "cupy-cuda12x",
    "cupy-cuda13x",
)
_MACHINE: dict[str, Any] = {"cpu": str, "isa": str, "cores": int, "gpu": list[str]}
WIDE = 0.10  # half-width of an interval, as a part of its middle, that gets a mark


@dataclass
class Run:
    """Everything about one run of the benchmark."""

    argv: list[str]
    started: str
    machine: dict[str, Any]
    versions: dict[str, str | None]
    settings: dict[str, Any]
    peaks: list[Peaks] = field(default_factory=list)
    reference_s: float = math.inf  # median of the fixed loop before the first row
    overhead: list[Row] = field(default_factory=list)  # tiny problems: what a call costs by itself
    rows: list[Row] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def usual_reference_s(self) -> float:
        """What the fixed loop takes in the middle one of the rows so far."""
        middles = [np.median(row.reference_s) for row in self.rows if row.reference_s]
        return float(np.median(middles)) if middles else self.reference_s

    @property
    def wrong(self) -> int:
        """How many of our own results differ from the reference: these fail the run."""
        rows = [*self.overhead, *self.rows]
        return sum(one.name.split()[0] == "convkit" for row in rows for one in row.wrong)


def mark(row: Row, run: Run) -> None:
    """Says in the row what speaks against trusting it."""
    row.noise = replace(row.noise, drift=drift_of(row.reference_s, run.usual_reference_s))
    row.marks = row.noise.reasons(row.threads, run.machine["cores"])
    found: Iterable[Interval] = row.ratios.values() or filter(None, [row.interval])
    widest = max((one.width for one in found), default=0.0)
    if widest > WIDE:
        row.marks.append(f"interval ±{widest:.0%}")


@dataclass(frozen=True)
class Mean:
    """The geometric mean of a peer's ratios over rows of one op, direction and thread count."""

    op: str
    direction: str
    threads: int
    peer: str
    ratio: float
    rows: int
    ahead: int  # rows where ours is not slower
    doubted: int  # rows with reasons for doubt
    lowest: float
    lowest_name: str


def means(rows: Iterable[Row]) -> list[Mean]:
    """Geometric means of the ratios, in the order of the rows."""
    groups: dict[tuple[str, str, int, str], list[Row]] = {}
    for row in rows:
        for peer in row.ratios:
            key = (row.op, row.direction, row.threads, peer)
            groups.setdefault(key, []).append(row)
    found = []
    for key, members in groups.items():
        values = [(row.ratios[key[-1]].middle, row.name) for row in members]
        mean = math.exp(sum(math.log(ratio) for ratio, _ in values) / len(values))
        ahead = sum(ratio >= 1 for ratio, _ in values)
        doubted = sum(bool(row.marks) for row in members)
        found.append(Mean(*key, mean, len(values), ahead, doubted, *min(values)))
    return found


def machine_facts() -> dict[str, Any]:
    """What the times depend on and nobody can change in a run."""
    from convkit.apps import info

    found = info.run()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    return {
        "cpu": found.processor,
        "isa": found.isa,
        "cores": os.cpu_count() or 1,
        "affinity": sorted(cores),
        "system": found.platform,
        "kernel": platform.release(),
        "gpu": list(found.devices),
        "gpu_state": _gpu_state(),
    }


def version_facts() -> dict[str, str | None]:
    """Versions of convkit, with its commit where it runs from a checkout, and of its peers."""
    import convkit
    from convkit import _native

    build = _native.build_info()
    found: dict[str, str | None] = {
        "convkit": convkit.__version__,
        "commit": _commit(Path(convkit.__file__)),
        "compiler": build["compiler"],
        "cuda_architectures": build["cuda_architectures"] or None,
        "python": platform.python_version(),
    }
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit(file: Path) -> str | None:
    """The commit of the checkout that holds the file, "-dirty" where files differ from it.

    CONVKIT_COMMIT tells where an installation came from that is in no checkout.
    """
    if told := os.environ.get("CONVKIT_COMMIT"):
        return told
    git = ("git", "-C", str(file.parent))
    if _output(*git, "ls-files", "--error-unmatch", file.name) is None:
        return None  # installed, perhaps inside somebody else's checkout
    return _output(*git, "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")


def _gpu_state() -> str | None:
    fields = "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu"
    return _output("nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader")


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def as_dict(run: Run) -> dict[str, Any]:
    """The run as plain values, geometric means included."""
    made = {"schema": SCHEMA, "made_by": MADE_BY, **asdict(run)}
    made["means"] = [asdict(mean) for mean in means(run.rows)]
    for part in ("rows", "overhead"):
        for row, one_row in zip(getattr(run, part), made[part], strict=True):
            one_row["times_s"] = {
                one.name: {"min": one.min_s, "median": one.median_s} for one in row.contestants
            }
    plain: dict[str, Any] = finite(made)
    return plain


def save(run: Run, path: Path) -> None:
    """Writes the run; InputError where that cannot be."""
    text = json.dumps(as_dict(run), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, lambda file: file.write(text.encode()))


def load(path: Path) -> Run:
    """Reads what save wrote.

    Raises: InputError for a file that cannot be read or that is something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path}: is no JSON: {error}") from None
    if not isinstance(found, dict) or found.get("made_by") != MADE_BY:
        raise InputError(f"{path}: was not written by {MADE_BY} --save")
    if found.get("schema") != SCHEMA:
        raise InputError(f"{path}: has schema {found.get('schema')!r}, this version reads {SCHEMA}")
    try:
        run: Run = read(Run, found | {"reference_s": found.get("reference_s") or 0.0}, "")
        _check(run)
    except Damaged as error:
        raise InputError(f"{path}: is damaged: {error}") from None
    run.reference_s = run.reference_s or math.inf  # which JSON cannot say
    return run


def _check(run: Run) -> None:
    """Raises Damaged for what no run holds, and what is made of it could not bear."""
    for name, kind in _MACHINE.items():
        read(kind, run.machine.get(name), f"machine.{name}")
    for i, peaks in enumerate(run.peaks):
        for name in ("flops_per_s", "bytes_per_s"):
            value = getattr(peaks, name)
            check(value > 0, f"peaks[{i}].{name}", value, "above 0")
    for part in ("overhead", "rows"):
        for i, row in enumerate(getattr(run, part)):
            _check_row(row, f"{part}[{i}]")


def _check_row(row: Row, place: str) -> None:
    known = ("fprop", "dgrad", "wgrad")
    check(row.direction in known, f"{place}.direction", row.direction, f"one of {', '.join(known)}")
    for name in ("threads", "bytes"):
        check(getattr(row, name) > 0, f"{place}.{name}", getattr(row, name), "above 0")
    for i, one in enumerate(row.contestants):
        for j, sample in enumerate(one.samples_s):
            where = f"{place}.contestants[{i}].samples_s[{j}]"
            check(sample is None or sample > 0, where, sample, "above 0")
    intervals = {f"ratios.{name}": one for name, one in row.ratios.items()}
    for what, interval in (intervals | {"interval": row.interval}).items():
        if interval is not None:
            for name, value in asdict(interval).items():
                check(value > 0, f"{place}.{what}.{name}", value, "above 0")
    samples = {one.name: one.samples_s for one in row.contestants}
    for name in row.ratios:
        theirs = samples.get(name, [])
        both = len(theirs) == len(row.ours.samples_s) and ratios(row.ours.samples_s, theirs)
        if not both:
            raise Damaged(f"{place}.ratios.{name} is of no contestants' samples")


def measure_reference(loop: Callable[[], Any], clock: Callable[..., float]) -> float:
    """The fixed loop's median before the first row, of the quickest of a few tries."""
    return min(float(np.median([clock(loop) for _ in range(20)])) for _ in range(5))
