"""The benchmark's table on a terminal: a line for each row, then means and what a call costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convkit.apps.benchmark.contestants import OURS
from convkit.apps.benchmark.record import Mean, Run, means
from convkit.apps.benchmark.rows import Row
from convkit.apps.table import time_text
from convkit.testing.timing import Interval

if TYPE_CHECKING:
    from rich.console import Console

    from convkit.apps.benchmark.comparison import Comparison

_NAME = 26
# heading, width; numbers stand right.
_COLUMNS = (("E", 5), ("median", 8), ("fastest", 8), ("GFLOP/s", 7), ("GB/s", 5), ("roof", 5))
_RATIO = 10


class Table:
    """Prints rows as they come, under one heading."""

    def __init__(self, out: Console, peers: list[str], threads: list[int]) -> None:
        self.out, self.peers = out, peers
        self.with_threads = len(threads) > 1
        self.headed = False

    def add(self, row: Row) -> None:
        if not self.headed:
            self._head()
        self.out.print(
            self._line(row), markup=False, highlight=False, soft_wrap=True, style=_style(row)
        )
        for text in _remarks(row):
            self.out.print(f"    {text}", markup=False, soft_wrap=True, style="yellow")

    def _head(self) -> None:
        self.headed = True
        cells = [f"{'row':<{_NAME}}", "dir  "]
        cells += [" t"] if self.with_threads else []
        cells += [f"{'algorithm':<13}"]
        cells += [f"{name:>{width}}" for name, width in _COLUMNS]
        cells += [f"{_short(peer):>{_RATIO}}" for peer in self.peers]
        self.out.print(" ".join(cells), style="dim", markup=False, soft_wrap=True)

    def _line(self, row: Row) -> str:
        ours = row.ours
        taken = "" if ours.median_s is None else time_text(ours.median_s * 1e6)
        least = "" if ours.min_s is None else time_text(ours.min_s * 1e6)
        values = ("" if ours.error is None else _number(ours.error), taken, least, *_rates(row))
        cells = [f"{_clipped(row.name):<{_NAME}}", f"{row.direction:<5}"]
        cells += [f"{row.threads:>2}"] if self.with_threads else []
        cells += [f"{row.algorithm:<13}"]
        cells += [f"{v:>{width}}" for v, (_, width) in zip(values, _COLUMNS, strict=True)]
        cells += [f"{_ratio_of(row, peer):>{_RATIO}}" for peer in self.peers]
        return " ".join(cells) + (f" ? {', '.join(row.marks)}" if row.marks else "")


def show_end(out: Console, run: Run) -> None:
    """Geometric means, what a call costs, the machine."""
    out.print()
    for line in mean_lines(means(run.rows)):
        out.print(line, markup=False, soft_wrap=True)
    for row in run.overhead:
        times = [
            f"{one.name} {time_text(one.median_s * 1e6)}"
            for one in row.contestants
            if one.median_s is not None
        ]
        label = f"one {row.function} call, {row.line}, {_threads(row.threads)}"
        out.print(
            f"{label}: {', '.join(times) or row.ours.note or row.note}",
            markup=False,
            soft_wrap=True,
        )
    for peaks in run.peaks:
        out.print(
            f"roof, {_threads(peaks.threads)}: {peaks.flops_per_s / 1e9:,.0f} GFLOP/s, "
            f"{peaks.bytes_per_s / 1e9:,.0f} GB/s",
            markup=False,
        )
    versions = {key: value for key, value in run.versions.items() if value}
    gpu = f", {', '.join(run.machine['gpu'])}" if run.machine["gpu"] else ""
    out.print(
        f"{run.machine['cpu']}, {run.machine['isa']}, {run.machine['cores']} cores{gpu}; "
        + ", ".join(f"{key} {value}" for key, value in versions.items()),
        style="dim",
        markup=False,
        soft_wrap=True,
    )
    marked = sum(bool(row.marks) for row in run.rows)
    if marked:
        out.print(
            f"? {marked} of {len(run.rows)} rows are in doubt: processor time stolen by the "
            "hypervisor, cores that other programs kept busy, the reference loop's slow-down, a "
            "wide interval",
            style="yellow",
        )
    if run.wrong:
        out.print(f"{run.wrong} wrong results", style="red")


def show_comparison(out: Console, found: Comparison) -> None:
    """A line for each row, verdicts counted at the end."""
    colors = {"FASTER": "green", "SLOWER": "red", "SAME": "", "UNSURE": "yellow"}
    for difference in found.machines:
        out.print(f"other machines: {difference}", style="yellow", markup=False, soft_wrap=True)
    for row in found.rows:
        speed = f"{row.speed.middle:.3f} [{row.speed.low:.3f}, {row.speed.high:.3f}]"
        line = f"{_clipped(row.name):<{_NAME}} {row.direction:<5} {row.threads:>2} "
        line += f"{row.verdict:<6} {speed} by {row.by}"
        out.print(line, style=colors[row.verdict], markup=False, soft_wrap=True)
    for label, names in (("only in A", found.only_a), ("only in B", found.only_b)):
        if names:
            out.print(f"{label}: {', '.join(names)}", markup=False, soft_wrap=True)
    if not found.rows:
        out.print("the runs have no row in common")
        return
    counts = ", ".join(f"{found.count(name)} {name}" for name in colors)
    out.print(f"mean speed {found.mean:.3f} over {len(found.rows)} rows: {counts}")


def mean_lines(found: list[Mean]) -> list[str]:
    """One line for each op, direction and thread count: every peer's mean, and the worst row."""
    lines: dict[tuple[str, str, int], list[str]] = {}
    for one in found:
        doubt = f"; ? {one.doubted} in doubt" if one.doubted else ""
        lines.setdefault((one.op, one.direction, one.threads), []).append(
            f"{one.peer} {one.ratio:.2f} (lowest {one.lowest:.2f} {one.lowest_name}; "
            f"ahead in {one.ahead} of {one.rows}{doubt})"
        )
    return [
        f"mean {op} {direction}, {_threads(threads)}: {', '.join(texts)}"
        for (op, direction, threads), texts in lines.items()
    ]


def _rates(row: Row) -> tuple[str, str, str]:
    seconds = row.ours.median_s
    if not seconds:
        return "", "", ""
    roof = "" if row.floor_s is None else f"{row.floor_s / seconds:.0%}"
    flops = _number(row.flops / seconds / 1e9) if row.flops else ""
    return flops, _number(row.bytes / seconds / 1e9), roof


def _remarks(row: Row) -> list[str]:
    found = [row.note] if row.note else []
    found += [f"{one.name}: {one.note}" for one in row.contestants if one.note]
    return found


def _style(row: Row) -> str:
    if row.note or row.ours.note:
        return "red"
    return ""


def _ratio_of(row: Row, peer: str) -> str:
    ratio = row.ratios.get(peer)
    return "" if ratio is None else ratio_text(ratio)


def ratio_text(ratio: Interval) -> str:
    """1.32 +-3%"""
    return f"{_number(ratio.middle)} ±{min(ratio.width, 9.99):.0%}"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _short(name: str) -> str:
    names = {"torch channels_last": "torch cl", "ONNX Runtime": "ORT"}
    name = names.get(name, name.removeprefix(f"{OURS} "))
    return name if len(name) <= _RATIO else f"…{name[-_RATIO + 1 :]}"


def _clipped(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"
