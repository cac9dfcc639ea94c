"""`convkit tour`: every op and algorithm on a photograph, checked, timed, and shown on a page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convkit.apps.terminal import InputError, console, finite, print_json

if TYPE_CHECKING:
    import numpy as np

    from convkit.apps.checks import Row
    from convkit.apps.info import Info
    from convkit.apps.pictures import Learned, Picture
    from convkit.apps.stages import Stage

MADE_BY = "convkit tour"
PAGE, DATA = "index.html", "results.json"
LONGEST, LONGEST_QUICK = 384, 128
CROP = (24, 28)
CROP_QUICK = (13, 15)
SECONDS_PER_TASK, SECONDS_QUICK = 0.4, 0.02
OTHERS = ("numpy", "scipy", "torch", "cupy")
TIMING_LIMIT = 25  # seconds for all the timing together; later tasks get less where it is short


@dataclass
class Tour:
    """What a tour found."""

    image: str
    height: int
    width: int
    backend: str
    folder: str
    started: str
    info: Info
    titles: dict[str, str] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)
    kernels: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    pictures_failed: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self.rows) and not self.pictures_failed


def run(
    image: str | Path | None = None,
    out: str | Path = "convkit-tour",
    *,
    quick: bool = False,
    report: Callable[[str], None] = lambda text: None,
) -> Tour:
    """Makes the tour and writes its pictures, page and data into the folder `out`.

    Raises: InputError for an image that cannot be read or a folder that cannot be used.
    """
    from convkit import _native
    from convkit.apps import info, photographs, stages
    from convkit.apps.checks import check_copy, check_simt, missing_pairs
    from convkit.apps.images import read_image, shrink, to_planes
    from convkit.apps.pictures import busiest_crop

    start = time.perf_counter()
    path = photographs.find() if image is None else Path(image)
    photograph = shrink(read_image(path), LONGEST_QUICK if quick else LONGEST)
    folder = _prepare(Path(out))
    color, gray = to_planes(photograph, color=True), to_planes(photograph, color=False)
    tour = Tour(
        image=path.name,
        height=photograph.height,
        width=photograph.width,
        backend="cpu" if info.why_no_cuda(_native) else "cuda",
        folder=str(folder),
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        info=info.run(),
    )
    for stage in stages.photograph_stages(color, gray):
        report(stage.title)
        tour.titles[stage.key] = stage.title
        _measure(tour, stage, start, quick)
    tour.titles["copy"] = "An input that is a mirrored, thinned, turned view"
    tour.rows.append(check_copy("photograph", "copy", color, tour.backend))
    report("CUDA kernels on the host, thread by thread")
    orders = 2 if quick else 3
    crop = busiest_crop(color, *(CROP_QUICK if quick else CROP))
    size = f"{crop.shape[3]}x{crop.shape[2]}"
    tour.titles["simt"] = (
        f"CUDA kernels through simt: a crop of {size}, both layouts, float16 to float64, "
        f"{orders} thread orders"
    )
    tour.rows += check_simt(stages.crop_tasks(crop), orders)
    tour.rows.append(check_copy("simt", "simt", crop, "simt", orders))
    for backend in (tour.backend, "simt"):
        tour.not_run += [f"{pair} on {backend}" for pair in missing_pairs(tour.rows, backend)]
    tour.kernels = sorted(_native.simt_executed_kernels())
    report("Pictures and page")
    _write(tour, folder, color, gray, start)
    return tour


def _measure(tour: Tour, stage: Stage, start: float, quick: bool) -> None:
    """Checks and times one step of the story."""
    from convkit.apps.checks import check_task, waiter
    from convkit.testing.peers import fair_blas, peers
    from convkit.testing.timing import Way, race

    threads = tour.info.threads
    for task in stage.tasks:
        rows, calls = check_task(task, tour.backend)
        others = peers(
            task.problem,
            task.direction,
            task.data,
            backend=tour.backend,
            threads=threads,
            keys=OTHERS,
        )
        spent = time.perf_counter() - start
        seconds = SECONDS_QUICK if quick else SECONDS_PER_TASK * max(0.1, 1 - spent / TIMING_LIMIT)
        names = {f"algorithm {name}": call for name, call in calls.items()}
        numpy = next((peer.call for peer in others if peer.name == "NumPy"), None)
        with fair_blas(numpy, threads):
            found = race(
                names | {peer.name: peer.call for peer in others},
                seconds=seconds,
                least=3,
                most=15,
                way=Way(waiter(tour.backend)),
            )
        times = {name: found.median(name) * 1e6 for name in found.samples}
        others_us = {peer.name: times[peer.name] for peer in others if peer.name in times}
        fastest = min(others_us, key=others_us.__getitem__, default=None)
        for row in rows:
            mine = times.get(f"algorithm {row.algorithm}")
            if mine is not None:
                ratio = others_us[fastest] / mine if fastest else None
                row = replace(
                    row, time_us=mine, others_us=others_us, against=fastest, speed_up=ratio
                )
            tour.rows.append(row)


def _prepare(folder: Path) -> Path:
    """The folder, made if need be. Files of ours in it may go; anybody else's stay."""
    from convkit.apps.files import check_writable
    from convkit.apps.images import png_maker

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise InputError(f"--out {folder}: is a file, must be a folder") from None
    except OSError as error:
        raise InputError(f"--out {folder}: cannot be made: {error.strerror or error}") from None
    for found in sorted(folder.iterdir()):
        if found.name in (PAGE, DATA):
            ours = MADE_BY in _beginning(found)
        elif found.suffix == ".png":
            ours = not _is_our_name(found.name) or png_maker(found) == MADE_BY
        else:
            ours = True
        if not ours:
            raise InputError(
                f"--out {folder}: holds a file {found.name} that convkit tour did not write; "
                "name another folder"
            )
    check_writable(folder / PAGE)
    return folder


def _is_our_name(name: str) -> bool:
    starts = ("original", "edges-", "feature-", "mix-", "pooled-", "gram", "im2col", "gradient-")
    return name.startswith((*starts, "overview"))


def _beginning(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(2000).decode("utf-8", "replace")
    except OSError:
        return ""


def _write(tour: Tour, folder: Path, color: np.ndarray, gray: np.ndarray, start: float) -> None:
    from convkit.apps.files import write_whole
    from convkit.apps.images import save_png
    from convkit.apps.page import make_page
    from convkit.apps.pictures import make_pictures, overview

    pictures: list[Picture] = []
    learned: Learned | None = None
    try:
        pictures, learned = make_pictures(color, gray, tour.image)
    except Exception as error:
        # An op that raises has its failed rows; the page must come out with what there is.
        tour.pictures_failed = f"{type(error).__name__}: {error}"
    for picture in pictures:
        save_png(picture.image, folder / picture.file, made_by=MADE_BY)
    if pictures:
        save_png(overview(pictures), folder / "overview.png", made_by=MADE_BY)
    tour.files = [*(p.file for p in pictures), *(["overview.png"] * bool(pictures)), PAGE, DATA]
    tour.seconds = time.perf_counter() - start
    page = make_page(tour, pictures, learned)
    write_whole(folder / PAGE, lambda file: file.write(page.encode(errors="replace")))
    text = json.dumps(finite(as_dict(tour)), indent=1)
    write_whole(folder / DATA, lambda file: file.write(text.encode()))


def as_dict(tour: Tour) -> dict[str, Any]:
    """The tour as plain values: what --json prints and results.json holds."""
    return {"made_by": MADE_BY, "ok": tour.ok, **asdict(tour)}


def command(
    image: Annotated[
        Path | None,
        typer.Argument(help="A photograph. Default: one that an installed package carries."),
    ] = None,
    out: Annotated[
        str, typer.Option("--out", metavar="DIR", help="Folder for the pictures and the page.")
    ] = "convkit-tour",
    quick: Annotated[
        bool, typer.Option("--quick", help="A smaller picture and rougher times.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """See every kernel run on a photograph, checked and timed, and get a page to show.

    Exit status 1 if a result differs from its NumPy reference by more than the algorithm's bound.

    Example: convkit tour photo.jpg --out my-tour
    """
    if not out:
        raise InputError("--out '': names no folder")
    progress = console(stderr=True)
    with progress.status("Looking at the photograph") as status:
        tour = run(image, Path(out), quick=quick, report=lambda text: status.update(f"{text} ..."))
    if as_json:
        print_json(as_dict(tour))
    else:
        _show(tour)
    if not tour.ok:
        raise typer.Exit(1)


def _show(tour: Tour) -> None:
    from convkit.apps.table import show_rows

    out = console()
    facts = f"{tour.width}x{tour.height} pixels, {tour.info.isa}, {tour.info.threads} threads"
    out.print(f"[bold]convkit tour[/] {_escaped(tour.image)}, {facts}")
    out.print(
        "[dim]E is the distance from the NumPy reference in units of what rounding allows; "
        "speed-up is against the fastest other library here.[/]"
    )
    out.print()
    show_rows(out, tour.rows, tour.titles)
    out.print()
    wrong = sum(not row.ok for row in tour.rows)
    if tour.not_run:
        out.print(f"[yellow]not run:[/] {', '.join(tour.not_run)}")
    if tour.pictures_failed:
        out.print(f"[red]pictures:[/] {_escaped(tour.pictures_failed)}")
    count = len(tour.rows)
    verdict = (
        f"[red]{wrong} of {count} checks failed[/]"
        if wrong
        else f"[green]All {count} checks passed[/]"
    )
    out.print(f"{verdict} in {tour.seconds:.0f} s.")
    page = Path(tour.folder) / PAGE
    out.print(f"{len(tour.files)} files in {_escaped(tour.folder)}; open {_escaped(str(page))}")


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
