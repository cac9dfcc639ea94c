"""The tour's table on a terminal: one block per step, the same columns all the way down."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from convkit.apps.checks import Row

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# heading, width, justify; the last ones go first where the terminal is narrow.
_COLUMNS: tuple[tuple[str, int, Literal["left", "right"]], ...] = (
    ("", 1, "left"),
    ("op", 28, "left"),
    ("algorithm", 14, "left"),
    ("error E", 8, "right"),
    ("time", 8, "right"),
    ("speed-up", 14, "left"),
    ("bound", 5, "right"),
    ("backend", 7, "left"),
)
_ORDER = (0, 1, 2, 7, 3, 6, 4, 5)  # how they stand from left to right
_GAP = 2


def show_rows(out: Console, rows: Iterable[Row], titles: dict[str, str]) -> None:
    """Prints the rows; a failed one is followed by what went wrong."""
    columns = _fitting(out.width)
    heading = _grid(columns)
    heading.add_row(*(f"[dim]{_COLUMNS[i][0]}[/]" for i in columns))
    out.print(heading)
    for (stage, shape), group in groupby(rows, key=group_of):
        out.print(f"[bold]{titles.get(stage, stage)}[/] [dim]{shape}[/]")
        for row in group:
            line = _grid(columns)
            cells = _cells(row)
            line.add_row(*(cells[i] for i in columns))
            out.print(line)
            if not row.ok:
                out.print(f"    {row.note}", style="red", markup=False)


def group_of(row: Row) -> tuple[str, str]:
    """(step, problem): rows with the same stand under one heading. On simt the step is enough."""
    return row.stage, "" if row.part == "simt" else row.shape


def time_text(microseconds: float | None) -> str:
    """Three digits and a unit."""
    if microseconds is None:
        return ""
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{_three(microseconds / size)} {unit}"
    return f"{_three(microseconds)} µs"


def ratio_text(ratio: float | None) -> str:
    return "" if ratio is None else f"{_three(ratio)}x"


def error_text(error: float) -> str:
    return "failed" if error == float("inf") else "0" if error == 0 else f"{error:.2f}"


def _three(value: float) -> str:
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def _fitting(width: int) -> list[int]:
    """The columns that have room, in their order."""
    used, kept = -_GAP, set()
    for i, (_, needed, _) in enumerate(_COLUMNS):
        used += needed + _GAP
        if used > width and i > 2:
            break
        kept.add(i)
    return [i for i in _ORDER if i in kept]


def _grid(columns: list[int]) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, _GAP, 0, 0))
    for i in columns:
        _, width, justify = _COLUMNS[i]
        table.add_column(width=width, justify=justify, overflow="fold")  # names are never cut
    return table


def _cells(row: Row) -> list[Any]:
    against = f"{ratio_text(row.speed_up)} {row.against}" if row.against else ""
    color = "green" if row.speed_up is not None and row.speed_up >= 1 else "yellow"
    return [
        "[green]✓[/]" if row.ok else "[red]✗[/]",
        row.function,
        row.algorithm,
        error_text(row.error) if row.ok else f"[red]{error_text(row.error)}[/]",
        time_text(row.time_us),
        f"[{color}]{against}[/]" if against else "",
        f"{row.bound:g}",
        row.backend,
    ]
