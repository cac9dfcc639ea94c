"""`convkit bench`: layers checked, then timed beside other libraries; runs kept and compared."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convkit.apps.files import check_writable
from convkit.apps.terminal import InputError, console, finite, print_json
from convkit.apps.witness import witness

if TYPE_CHECKING:
    from convkit.apps.benchmark.contestants import Settings
    from convkit.apps.benchmark.record import Run
    from convkit.apps.benchmark.rows import Row
    from convkit.testing import Problem

SECONDS, SECONDS_QUICK = 1.0, 0.1
DTYPES = ("float32", "float64")
# One problem of each op, so small that only the call itself takes time.
TINY = {
    "conv2d": "n1c1h8w8-k1r3s3-st1-pd1",
    "pool2d": "max-n1c1h8w8-r2s2-st2-pd0",
    "gram": "n1c1h8w8",
    "im2col": "n1c1h8w8-r3s3-st1-pd1",
    "conv_transpose2d": "n1c1h8w8-k1r3s3-st1-pd1",
    "linear": "n1c8-k8",
    "adaptive_pool2d": "avg-n1c1h8w8-p4q4",
    "batch_norm": "n1c1h8w8-weight-bias",
    "bias_grad": "n1c1h8w8",
    "lrn": "n1c4h4w4-size3-alpha0.0001-beta0.75-k1",
    "cross_entropy": "n4c10",
}


def run(
    problems: Iterable[Problem],
    settings: Settings,
    *,
    threads: Iterable[int] = (1,),
    directions: Iterable[str] = ("fprop", "dgrad", "wgrad"),
    argv: list[str] | None = None,
    on_row: Callable[[Row], None] = lambda row: None,
    report: Callable[[str], None] = lambda text: None,
) -> Run:
    """Runs the benchmark; what is done when it is interrupted is in the Run that comes back."""
    from convkit.apps.benchmark import record
    from convkit.testing import measure_peaks
    from convkit.testing.timing import clock, reference_loop

    start = time.perf_counter()
    made = record.Run(
        argv=list(sys.argv if argv is None else argv),
        started=datetime.now().astimezone().isoformat(timespec="seconds"),
        machine=record.machine_facts(),
        versions=record.version_facts(),
        settings={key: value for key, value in asdict(settings).items() if key != "strangers"},
    )
    made.settings["with"] = [stranger.name for stranger in settings.strangers]
    rows, counts, wanted = list(problems), list(threads), set(directions)
    try:
        report("the machine")
        made.reference_s = record.measure_reference(reference_loop, clock)
        made.peaks = [measure_peaks(settings.backend, settings.dtype, n) for n in counts]
        tiny = _tiny(rows, wanted)
        for row in _rows(tiny, {"fprop"}, settings, counts[:1], made, report):
            made.overhead.append(row)
        for row in _rows(rows, wanted, settings, counts, made, report):
            made.rows.append(row)
            on_row(row)
    except KeyboardInterrupt:
        made.interrupted = True
    for row in made.rows:  # now that all have told how long the fixed loop takes here
        record.mark(row, made)
    made.machine["gpu_state_after"] = record.machine_facts()["gpu_state"]
    made.seconds = time.perf_counter() - start
    return made


def _tiny(rows: list[Problem], directions: set[str]) -> list[Problem]:
    from convkit.testing import parse

    ops = dict.fromkeys(row.op for row in rows if row.op in TINY and "fprop" in directions)
    return [parse(op, TINY[op], name="call") for op in ops]


def _rows(
    problems: list[Problem],
    directions: set[str],
    settings: Settings,
    threads: list[int],
    made: Run,
    report: Callable[[str], None],
) -> Iterable[Row]:
    from convkit.apps.benchmark.record import mark
    from convkit.apps.benchmark.rows import Work, run_row

    for problem in problems:
        for direction in problem.directions:
            if direction not in directions:
                continue
            report(f"{problem.op} {problem.name} {direction}")
            work = Work(problem, direction, settings.dtype)
            for count, peaks in zip(threads, made.peaks, strict=False):
                row = run_row(work, settings, count, peaks)
                mark(row, made)
                yield row


def command(
    rows: Annotated[
        list[str] | None,
        typer.Argument(
            help="An op (conv2d), a network (resnet50), a row's name or a problem line; "
            "none: all layers."
        ),
    ] = None,
    vs: Annotated[
        str | None,
        typer.Option(
            help="Peers, of torch,channels_last,onnxruntime,cupy,numpy,scipy. Default: the first "
            "four, those that are installed; NumPy where none is."
        ),
    ] = None,
    stranger: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="MODULE:FUNCTION",
            help="Your own conv2d in the race; max_pool2d=mymodule:my_pool for another function.",
        ),
    ] = None,
    algo: Annotated[
        str, typer.Option(help="Our algorithms, the first to make ratios with; or all.")
    ] = "auto",
    threads: Annotated[
        str | None, typer.Option(help="Thread counts, such as 1,2. Default: all cores.")
    ] = None,
    directions: Annotated[str, typer.Option(help="Of fprop,dgrad,wgrad.")] = "fprop,dgrad,wgrad",
    layout: Annotated[str, typer.Option(help="NCHW, NHWC or both.")] = "NCHW",
    batch: Annotated[
        str | None, typer.Option(help="Batch sizes in place of the rows' own, such as 1,16.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    backend: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    plain: Annotated[
        bool, typer.Option("--plain", help="Rows without bias, residual, activation.")
    ] = False,
    cold: Annotated[
        bool, typer.Option("--cold", help="Empty the caches before each call.")
    ] = False,
    seconds: Annotated[
        float | None, typer.Option(help="Longest time for the rounds of a row. Default: 1.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A choice of the layers, 0.1 s for each.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Keep the run, with every sample.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Time layers of networks, each result checked first, beside the libraries installed here.

    Columns: E, the distance from the reference in units of what rounding allows; our median and
    fastest time; operations and compulsory bytes per second; part of the roofline's floor; for each
    peer its time over ours, a median over interleaved rounds. ? marks rows with reasons for doubt.
    `convkit bench compare A.json B.json` and `convkit bench plot A.json` read what --save wrote.
    Exit status 1 if one of our results is wrong.

    Example: convkit bench resnet50 --vs torch --threads 1,2 --save a.json
    """
    from convkit.apps.benchmark import record
    from convkit.apps.benchmark.suite import choose, vary, without_epilogue
    from convkit.threads import MOST

    counts = _numbers("--threads", threads, most=MOST) or [_all_threads()]
    wanted = _of("--directions", directions, ("fprop", "dgrad", "wgrad"))
    layouts = _of("--layout", layout.upper(), ("NCHW", "NHWC"))
    settings = _settings(vs, stranger, algo, dtype, backend, cold, seconds, quick)
    problems = vary(choose(rows or (), quick=quick), _numbers("--batch", batch), layouts)
    if not problems:
        raise InputError(f"--layout {layout}: none of these rows has it")
    if plain:
        problems = list(dict.fromkeys(map(without_epilogue, problems)))
    if save is not None:
        if save.is_dir() or not save.absolute().parent.is_dir():
            raise InputError(f"--save {save}: must name a file in a folder that exists")
        check_writable(save)
    on_row, finish = _printer(settings, counts) if not as_json else (lambda row: None, None)
    watched = witness() if settings.strangers else nullcontext(lambda text: None)
    with console(stderr=True).status("Starting") as status, watched as tell:

        def report(text: str) -> None:
            status.update(f"{text} ...")
            tell(f"convkit bench: {text}")

        made = run(
            problems,
            settings,
            threads=counts,
            directions=wanted,
            on_row=on_row,
            report=report,
        )
    unsaved = _save(made, save) if save is not None else None
    if made.interrupted and not unsaved:
        raise KeyboardInterrupt
    if finish is None:
        print_json(record.as_dict(made))
    else:
        finish(made)
    if unsaved:
        raise unsaved
    if made.wrong:
        raise typer.Exit(1)


def _save(made: Run, path: Path) -> InputError | None:
    """Keeps the run; what went wrong is for after the summary, which is all that is left of it."""
    from convkit.apps.benchmark import record

    try:
        record.save(made, path)
    except InputError as error:
        return error
    return None


def _settings(
    vs: str | None,
    strangers: list[str] | None,
    algo: str,
    dtype: str,
    backend: str,
    cold: bool,
    seconds: float | None,
    quick: bool,
) -> Settings:
    from convkit import _native
    from convkit.apps.benchmark.contestants import Settings, load_stranger
    from convkit.apps.info import why_no_cuda
    from convkit.testing import peers

    if dtype not in DTYPES:
        raise InputError(f"--dtype {dtype}: must be one of {', '.join(DTYPES)}")
    if backend not in ("auto", "cpu", "cuda"):
        hint = "; simt and reference are for checking" * (backend in ("simt", "reference"))
        raise InputError(f"--backend {backend}: must be auto, cpu or cuda{hint}")
    missing = why_no_cuda(_native)
    if backend == "cuda" and missing:
        raise InputError(f"--backend cuda: {missing}")
    if seconds is not None and not 0 < seconds < 3600:
        raise InputError(f"--seconds {seconds}: must be above 0 and below 3600")
    known = {row["name"] for op in _native.ops() for row in _native.algorithms(op)}
    algorithms = _of("--algo", algo, ("auto", "all", *sorted(known)))
    if vs is not None:
        keys = _of("--vs", vs, tuple(peers.KNOWN)) if vs != "none" else []
        for key in keys:
            if not peers.importable(key):
                packages = " and ".join(peers.KNOWN[key][1])
                raise InputError(f"--vs {key}: needs {packages}, which cannot be found here")
    else:
        keys = [key for key in peers.KNOWN if key not in peers.PLAIN and peers.importable(key)]
        keys = keys or ["numpy"]
    return Settings(
        backend="cpu" if backend == "cpu" or missing else "cuda",
        dtype=dtype,
        seconds=seconds or (SECONDS_QUICK if quick else SECONDS),
        cold=cold,
        algorithms=("auto", "all") if "all" in algorithms else tuple(algorithms),
        vs=tuple(keys),
        strangers=tuple(map(load_stranger, strangers or ())),
    )


def _printer(
    settings: Settings, threads: list[int]
) -> tuple[Callable[[Row], None], Callable[[Run], None]]:
    """What to do with each row and with the whole run."""
    from convkit.apps.benchmark.contestants import OURS
    from convkit.apps.benchmark.table import Table, show_end
    from convkit.testing.peers import KNOWN

    out = console()
    peers = [f"{OURS} {name}" for name in settings.algorithms[1:] if name != "all"]
    peers += [stranger.name for stranger in settings.strangers]
    peers += [KNOWN[key][0] for key in settings.vs]
    table = Table(out, peers, threads)
    return table.add, lambda made: show_end(out, made)


def compare(
    a: Annotated[Path, typer.Argument(help="The earlier run, a file of --save.")],
    b: Annotated[Path, typer.Argument(help="The later run.")],
    within: Annotated[str, typer.Option(help="Changes up to this are no change.")] = "5%",
    fail_over: Annotated[
        str | None,
        typer.Option(help="Exit with 1 if a SLOWER row lost more than this, such as 5%."),
    ] = None,
    any_machine: Annotated[
        bool, typer.Option("--any-machine", help="Also compare runs of different machines.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Compare two runs row by row: FASTER, SLOWER, SAME or UNSURE.

    Rows with a common peer are compared by their ratios to it, which hold on a busy machine; others
    by their times. Speed is B over A with its 99 % interval.

    Example: convkit bench compare before.json after.json --fail-over 5%
    """
    from convkit.apps.benchmark import record
    from convkit.apps.benchmark.comparison import compare_runs

    limit = None if fail_over is None else _percent("--fail-over", fail_over)
    near = _percent("--within", within)
    found = compare_runs(record.load(a), record.load(b), within=near, any_machine=any_machine)
    lost = limit is not None and any(
        row.verdict == "SLOWER" and row.speed.middle < 1 / (1 + limit) for row in found.rows
    )
    if as_json:
        print_json(finite(asdict(found) | {"mean": found.mean, "failed": lost}))
    else:
        from convkit.apps.benchmark.table import show_comparison

        show_comparison(console(), found)
    if lost:
        raise typer.Exit(1)


def plot(
    a: Annotated[Path, typer.Argument(help="A run, a file of --save.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="PNG or SVG. Default: A.png.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Bars on the terminal, no file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Draw a run: the roofline with every row, and bars of the ratios.

    Example: convkit bench plot a.json --out a.svg
    """
    from importlib.util import find_spec

    from convkit.apps.benchmark import plots, record

    made = record.load(a)
    path = a.with_suffix(".png") if out is None else out
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"--out {path}: must end in .png or .svg")
    if text or find_spec("matplotlib") is None:
        lines = plots.text_bars(made)
        print_json({"bars": lines}) if as_json else print("\n".join(lines))
        return
    try:
        plots.save_picture(made, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    print_json({"file": str(path)}) if as_json else print(path)


more_commands: dict[str, Callable[..., None]] = {"compare": compare, "plot": plot}


def _all_threads() -> int:
    import convkit

    return convkit.num_threads()


def _of(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    """The comma-separated words, each of which must be known."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in known:
            raise InputError(f"{option} {word}: must be of {', '.join(known)}")
    if not words:
        raise InputError(f"{option}: names nothing; must be of {', '.join(known)}")
    return list(dict.fromkeys(words))


def _numbers(option: str, text: str | None, most: int = 2**31 - 1) -> list[int]:
    if text is None:
        return []
    try:
        found = [int(word) for word in text.split(",")]
    except ValueError:
        found = [0]
    if not 1 <= min(found) <= max(found) <= most:
        raise InputError(f"{option} {text}: must be whole numbers from 1 to {most}, such as 1,2")
    return list(dict.fromkeys(found))


def _percent(option: str, text: str) -> float:
    """A percentage, or a part below 1: 5 may be meant as 5 %, and is not read as 500 %."""
    parted = not text.endswith("%")
    try:
        value = float(text.removesuffix("%")) / (1 if parted else 100)
    except ValueError:
        value = -1.0
    if not 0 <= value < (1 if parted else 10):
        raise InputError(f"{option} {text}: must be a percentage such as 5%")
    return value
