"""`convkit validate`: random problems by every algorithm, or by your own kernel, checked."""

from __future__ import annotations

import os
import re
import sys
from contextlib import nullcontext, redirect_stdout, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from xml.etree import ElementTree

import typer

from convkit.apps.files import write_whole
from convkit.apps.terminal import InputError, console, print_json
from convkit.apps.witness import witness

if TYPE_CHECKING:
    from convkit.testing.examine import Check
    from convkit.testing.report import Report
    from convkit.testing.selection import Selection
    from convkit.testing.subjects import Stranger

INTERRUPTED = 130
# What XML 1.0 cannot hold.
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd]")


def run(selection: Selection, user: Stranger | None = None, report: Report | None = None) -> Report:
    """Runs a selection with a progress bar on a terminal; Ctrl-C ends it early."""
    from rich.progress import Progress

    from convkit.testing.report import Report
    from convkit.testing.validation import finish, steps

    report = report or Report()
    total = len(selection.problems) or selection.cases
    out = console(stderr=True)
    with Progress(console=out, transient=True, disable=not out.is_terminal) as progress:
        task = progress.add_task("validate", total=total)
        try:
            for _ in steps(selection, report, user):
                failed = f", {len(report.failures)} failures" if report.failures else ""
                progress.update(task, advance=1, description=f"validate{failed}")
        except KeyboardInterrupt:
            finish(report)
    return report


def command(
    what: Annotated[
        list[str] | None,
        typer.Argument(help="Ops (conv2d) or public functions, then problem lines or tags."),
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Your function: module:function or file.py:function.")
    ] = None,
    op: Annotated[list[str] | None, typer.Option(help="As WHAT; may be repeated.")] = None,
    cases: Annotated[int, typer.Option(help="Random problems.")] = 200,
    seed: Annotated[int, typer.Option(help="Equal seeds draw equal problems.")] = 0,
    most_flops: Annotated[
        int | None, typer.Option(help="Operations of the largest random problem.")
    ] = None,
    backend: Annotated[str, typer.Option(help="cpu, simt, cuda: one or several, or all.")] = "cpu",
    algo: Annotated[str | None, typer.Option(help="One algorithm; all where not given.")] = None,
    dtype: Annotated[str, typer.Option(help="float32, float64, float16, bfloat16.")] = "",
    layout: Annotated[str, typer.Option(help="NCHW, NHWC.")] = "",
    direction: Annotated[str, typer.Option(help="fprop, dgrad, wgrad.")] = "",
    kind: Annotated[
        str, typer.Option(help="Data: whole, normal, one_signed, wide, flat, offset, nan.")
    ] = "",
    memory: Annotated[str, typer.Option(help="Inputs lie plain, skewed, strided.")] = "",
    bound: Annotated[float | None, typer.Option(help="Largest E of your function.")] = None,
    save: Annotated[
        str, typer.Option(help="Folder for the inputs of failures; '' for none.")
    ] = "convkit-failures",
    junit: Annotated[str | None, typer.Option(help="Write a JUnit file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Check every algorithm, or your own kernel, against the references.

    Exit status 0: all right; 1: a failure; 2: bad input.

    Example: convkit validate --against mykernels.py:conv2d conv2d
    """
    try:
        selection = _selection(
            [*(op or ()), *(what or ())],
            cases=cases,
            seed=seed,
            most_flops=most_flops,
            backends=_backends(backend),
            algo=algo,
            dtypes=_listed(dtype),
            layouts=_listed(layout),
            directions=_listed(direction),
            kinds=_listed(kind),
            memory=_listed(memory),
            save=save or None,
        )
        user = _user(against, selection, bound)
        # What a function prints, or does to sys.stdout, must not reach the report.
        with redirect_stdout(sys.stderr), witness() if user else nullcontext() as tell:
            if user and tell:
                user.announce = tell
            report = run(selection, user)
    except ValueError as error:
        raise InputError(f"validate: {error}") from None
    if as_json:
        print_json(as_dict(report))
    else:
        _show(report)
    if junit is not None:
        _write_junit(report, junit)
    if report.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not report.ok:
        raise typer.Exit(1)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _backends(text: str) -> tuple[str, ...]:
    from convkit import _native
    from convkit.apps.info import why_no_cuda

    names = ("cpu", "simt", "cuda") if text == "all" else _listed(text)
    missing = why_no_cuda(_native)
    if "cuda" in names and missing and text != "all":
        raise InputError(f"validate: backend cuda does not run here: {missing}")
    return tuple(name for name in names if name != "cuda" or not missing)


def _selection(words: list[str], **options: Any) -> Selection:
    """The words in order: names of ops and functions, lines and tags of the one before."""
    from convkit.ops import FUNCTIONS
    from convkit.testing import parse, problems
    from convkit.testing.selection import Selection, all_ops, op_of

    tags = {"core", "edge", "long", "layer", "huge"}
    names: list[str] = []
    found: list[Any] = []
    for word in words:
        if word in (*all_ops(), *FUNCTIONS):
            names.append(word)
        elif set(word.split(",")) <= tags:
            chosen = [op_of(name) for name in names] or all_ops()
            found += [row for one in chosen for row in problems(one, *word.split(","))]
        elif names and any(sign.isdigit() for sign in word):
            found.append(parse(op_of(names[-1]), word))
        else:
            known = ", ".join(dict.fromkeys((*all_ops(), *FUNCTIONS)))
            raise ValueError(f"{word!r} is no op ({known}), no tag and no problem line of an op")
    return Selection(names=tuple(names), problems=tuple(found), **options)


def _user(against: str | None, selection: Selection, bound: float | None) -> Stranger | None:
    from convkit.testing.compare import DEFAULT_BOUND
    from convkit.testing.selection import stranger
    from convkit.testing.subjects import load

    if against is None:
        if bound is not None:
            raise ValueError("--bound is for --against; algorithms have theirs in the table")
        return None
    if "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    return stranger(load(against), selection, DEFAULT_BOUND if bound is None else bound, against)


def worst(checks: list[Check]) -> Check | None:
    """The check of real numbers that is nearest to its bound, or farthest over it."""
    real = [check for check in checks if not check.refusal and check.case.kind != "whole"]
    return max(
        real, key=lambda check: (check.error / (check.bound or 1), check.error), default=None
    )


def as_dict(report: Report) -> dict[str, Any]:
    """The report in plain values, for JSON."""

    def of_check(check: Check) -> dict[str, Any]:
        case = asdict(check.case) | {"problem": check.case.problem.line}
        return case | {"error": check.error, "bound": check.bound, "repeat": check.reproducer}

    rows = []
    for (function, algorithm, backend), checks in report.rows().items():
        done = [check for check in checks if not check.refusal]
        hardest = worst(checks)
        rows.append(
            {
                "function": function,
                "algorithm": algorithm,
                "backend": backend,
                "checks": len(done),
                "failed": sum(not check.ok for check in done),
                "refused": len(checks) - len(done),
                "worst": of_check(hardest) if hardest else None,
            }
        )
    failures = [
        {
            "symptom": failure.symptom,
            "faults": [fault.text for fault in failure.check.faults],
            "where": failure.places,
            "when": failure.when,
            "cases": [f"{case.problem.line} {case.options}" for case in failure.cases],
            "first": of_check(failure.check),
            "simplest": of_check(failure.shrunk),
            "file": failure.file,
            "unsaved": failure.unsaved,
        }
        for failure in report.failures
    ]
    return {
        "ok": report.ok,
        "interrupted": report.interrupted,
        "seed": report.seed,
        "cases": report.cases,
        "seconds": report.seconds,
        "never_passed": report.never_passed,
        "refused": report.refusals,
        "skipped": report.skipped,
        "rows": rows,
        "failures": failures,
    }


_WIDE = 120  # columns of a terminal that has room for problem lines


def _show(report: Report) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from convkit.testing.report import failure_lines, remarks

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    wide = out.width >= _WIDE
    for heading in ("function", "algorithm", "backend"):
        table.add_column(heading, no_wrap=wide, overflow="fold")  # names are never cut
    for heading in ("checks", "failed", "exact", "worst E", "bound"):
        table.add_column(heading, justify="right", no_wrap=wide, overflow="fold")
    if wide:
        table.add_column("worst at", overflow="fold")
    for (function, algorithm, backend), checks in report.rows().items():
        done = [check for check in checks if not check.refusal]
        failed = sum(not check.ok for check in done)
        whole = [check for check in done if check.case.kind == "whole"]
        hardest = worst(checks)
        place = hardest and f"{hardest.case.problem.line} {hardest.case.dtype} {hardest.case.kind}"
        cells = (
            function,
            algorithm or "(none)",
            backend,
            str(len(done)),
            Text(str(failed), style="red" if failed else "green"),
            f"{sum(check.ok for check in whole)}/{len(whole)}" if whole else "-",
            f"{hardest.error:.3g}" if hardest else "-",
            f"{hardest.bound:g}" if hardest else "-",
            place or "-",
        )
        table.add_row(*(cells if wide else cells[:-1]))
    if report.checks:
        out.print(table)
    for failure in report.failures:
        first, *rest = failure_lines(failure)
        out.print(Text(first, style="bold red"), soft_wrap=True)
        out.print(Text("\n".join(rest) + "\n"), soft_wrap=True)
    for line in remarks(report):
        out.print(Text(line, style="dim"), soft_wrap=True)
    out.print(Text(report.summary, style="bold green" if report.ok else "bold red"))


def _write_junit(report: Report, file: str) -> None:
    suites = ElementTree.Element("testsuites", name="convkit validate")
    for (function, algorithm, backend), checks in report.rows().items():
        name = ".".join(part for part in (function, algorithm, backend) if part)
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=name,
            tests=str(len(checks)),
            failures=str(sum(not check.ok for check in checks)),
            skipped=str(sum(bool(check.refusal) for check in checks)),
        )
        for check in checks:
            title = f"{check.case.problem.line} {check.case.options}"
            test = ElementTree.SubElement(suite, "testcase", classname=name, name=title)
            if check.refusal:
                ElementTree.SubElement(test, "skipped", message=_xml(check.refusal))
            elif not check.ok:
                text = "; ".join(fault.text for fault in check.faults)
                failure = ElementTree.SubElement(test, "failure", message=_xml(text))
                failure.text = check.reproducer
    path = Path(file)
    with suppress(OSError):  # it cannot be written then, and that is said
        path.parent.mkdir(parents=True, exist_ok=True)
    tree = ElementTree.ElementTree(suites)
    write_whole(path, lambda out: tree.write(out, encoding="utf-8", xml_declaration=True))


def _xml(text: str) -> str:
    return _NO_XML.sub("?", text)
