"""A run as a picture, roofline and ratio bars; or the bars as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from convkit.apps.benchmark.record import Run
from convkit.apps.benchmark.rows import Row

DIRECTIONS = {"fprop": "tab:blue", "dgrad": "tab:orange", "wgrad": "tab:green"}
MOST_NAMES = 60  # bars that still have room for their name
BAR = 40  # characters of the longest text bar


def save_picture(run: Run, path: Path) -> None:
    """Writes a PNG or SVG: performance over intensity under the roof, and the sorted ratios."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    peers = list(dict.fromkeys(peer for row in run.rows for peer in row.ratios))
    figure = Figure(figsize=(11, 5 + 3.2 * len(peers)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        1 + len(peers), 1, squeeze=False, height_ratios=[5, *[3.2] * len(peers)]
    )[:, 0]
    _roofline(axes[0], run)
    for axis, peer in zip(axes[1:], peers, strict=True):
        _bars(axis, run, peer)
    figure.savefig(path, dpi=120)


def _roofline(axis: Any, run: Run) -> None:
    timed = [row for row in run.rows if row.ours.median_s and row.flops]
    markers = dict(zip(sorted({row.threads for row in timed}), "os^Dv<>p*", strict=False))
    for direction, color in DIRECTIONS.items():
        for threads, marker in markers.items():
            chosen = [r for r in timed if r.direction == direction and r.threads == threads]
            if chosen:
                axis.scatter(
                    [row.flops / row.bytes for row in chosen],
                    [_rate(row) for row in chosen],
                    s=16,
                    color=color,
                    marker=marker,
                    label=f"{direction}, {threads} threads" if threads > 1 else direction,
                )
    intensities = [row.flops / row.bytes for row in timed] or [1.0]
    low, high = min(intensities) / 2, max(intensities) * 2
    for peaks in run.peaks:
        ridge = min(max(peaks.ridge, low), high)
        corners = [low, ridge, high]
        rates = [min(peaks.flops_per_s, i * peaks.bytes_per_s) / 1e9 for i in corners]
        label = f"{rates[-1]:.0f} GFLOP/s, {peaks.bytes_per_s / 1e9:.0f} GB/s"
        axis.plot(corners, rates, color="black", linewidth=1, label=label)
    axis.set(xscale="log", yscale="log", xlabel="FLOPs per byte", ylabel="GFLOP/s")
    axis.set_title(f"{run.machine['cpu']}, {run.machine['isa']}")
    axis.legend(fontsize="small")


def _rate(row: Row) -> float:
    return row.flops / (row.ours.median_s or float("inf")) / 1e9


def _bars(axis: Any, run: Run, peer: str) -> None:
    rows = _sorted(run, peer)
    middles = [row.ratios[peer].middle for row in rows]
    below = [max(row.ratios[peer].middle - row.ratios[peer].low, 0) for row in rows]
    above = [max(row.ratios[peer].high - row.ratios[peer].middle, 0) for row in rows]
    axis.bar(
        range(len(rows)),
        [middle - 1 for middle in middles],
        bottom=1,
        color=[DIRECTIONS[row.direction] for row in rows],
        yerr=(below, above),
        error_kw={"linewidth": 0.7},
    )
    axis.axhline(1, color="black", linewidth=1)
    axis.set(yscale="log", ylabel="times as fast", title=f"against {peer}")
    axis.set_yticks(ticks := _ticks(middles), [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    if len(rows) <= MOST_NAMES:
        names = [_label(row) for row in rows]
        axis.set_xticks(range(len(rows)), names, rotation=90, fontsize="x-small")
    else:
        axis.set_xticks([])


def _ticks(values: list[float]) -> list[float]:
    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
    low, high = min([*values, 1]) / 2, max([*values, 1]) * 2
    return [step for step in steps if low <= step <= high]


def text_bars(run: Run) -> list[str]:
    """A line for each row and peer: the ratio as a bar, 1 being where `|` stands."""
    lines = []
    for peer in dict.fromkeys(peer for row in run.rows for peer in row.ratios):
        rows = _sorted(run, peer)
        longest = max(row.ratios[peer].middle for row in rows)
        scale = BAR / max(longest, 1.0)
        lines.append(f"against {peer}")
        for row in rows:
            ratio = row.ratios[peer]
            bar = "#" * max(1, round(ratio.middle * scale))
            one = round(scale)
            bar = bar.ljust(one) if len(bar) < one else bar
            bar = f"{bar[:one]}|{bar[one:]}"
            lines.append(f"{_label(row):<34} {ratio.middle:6.2f} {bar}")
    return lines


def _sorted(run: Run, peer: str) -> list[Row]:
    rows = [row for row in run.rows if peer in row.ratios]
    return sorted(rows, key=lambda row: row.ratios[peer].middle)


def _label(row: Row) -> str:
    op = "" if row.op in ("conv2d", "pool2d") else f"{row.op} "  # other names are those of layers
    threads = f" {row.threads}t" if row.threads > 1 else ""
    return f"{op}{row.name} {row.direction}{threads}"
