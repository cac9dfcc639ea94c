"""The tour as one HTML page that needs nothing else: pictures inside, light and dark, any width."""

from __future__ import annotations

import base64
import io
from html import escape
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convkit.apps import story
from convkit.apps.table import error_text, group_of, ratio_text, time_text

if TYPE_CHECKING:
    from PIL.Image import Image

    from convkit.apps.checks import Row
    from convkit.apps.pictures import Learned, Picture
    from convkit.apps.tour import Tour


def make_page(tour: Tour, pictures: list[Picture], learned: Learned | None) -> str:
    """The whole page. Everything that comes from outside is escaped."""
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    body = [_top(tour, pictures)]
    for chapter in story.CHAPTERS:
        shown = [picture for picture in pictures if picture.section == chapter.key]
        parts = [_gallery(shown, chapter.gallery)]
        if chapter.key == "gradients" and learned is not None:
            parts.append(_learned(learned))
        body.append(_section(chapter, parts))
    body += [_speed(tour), _simt(tour), _numbers(tour), _environment(tour)]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="generator" content="convkit tour">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>convkit tour: {escape(tour.image)}</title>\n<style>\n{css}</style>\n</head>\n"
        "<body>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def data_uri(image: Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=image.width * image.height < 200_000)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _top(tour: Tour, pictures: list[Picture]) -> str:
    wrong = sum(not row.ok for row in tour.rows)
    photograph = sum(row.part == "photograph" for row in tour.rows)
    verdict = (
        f'<p class="verdict failed">{wrong} of {len(tour.rows)} checks failed</p>'
        if wrong
        else f'<p class="verdict">All {len(tour.rows)} checks passed</p>'
    )
    ratios = [row.speed_up for row in fastest_rows(tour) if row.speed_up]
    mean = float(np.exp(np.mean(np.log(ratios)))) if ratios else None
    facts = {
        "image": f"{tour.image}, {tour.width}x{tour.height}",
        "runs on the photograph": str(photograph),
        "CUDA kernels checked on the host": str(len(tour.kernels)),
        "backend": f"{tour.backend}, {tour.info.isa}, {tour.info.threads} threads",
        "mean speed-up over the next best": ratio_text(mean) or "not timed",
        "whole tour": f"{tour.seconds:.0f} s",
    }
    listed = "".join(
        f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in facts.items()
    )
    picture = _image(pictures[0]) if pictures else ""
    return (
        '<header class="top">\n<div>\n<h1>A photograph, seen by convolution kernels</h1>\n'
        f'<p class="lead">{story.LEAD}</p>\n{verdict}\n<dl class="facts">{listed}</dl>\n</div>\n'
        f"<div>{picture}</div>\n</header>\n<main>"
    )


def _section(chapter: story.Chapter, parts: list[str]) -> str:
    formula = f'<div class="formula">{chapter.formula}<code>{escape(chapter.code)}</code></div>'
    paragraphs = "".join(f"<p>{text}</p>" for text in chapter.paragraphs)
    return (
        f'<section id="{chapter.key}">\n<h2>{escape(chapter.title)}</h2>\n{paragraphs}\n{formula}\n'
        + "\n".join(parts)
        + "\n</section>"
    )


def _image(picture: Picture) -> str:
    return (
        f'<img src="{data_uri(picture.image)}" alt="{escape(picture.alt)}" '
        f'width="{picture.image.width}" height="{picture.image.height}">'
    )


def _gallery(pictures: list[Picture], kind: str) -> str:
    if not pictures:
        return ""
    figures = "".join(
        f"<figure>{_image(one)}<figcaption>{escape(one.caption)}</figcaption></figure>\n"
        for one in pictures
    )
    return f'<div class="gallery {kind}">\n{figures}</div>'


def _learned(learned: Learned) -> str:
    def matrix(values: np.ndarray, caption: str, form: str) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td>{value + 0.0:{form}}</td>" for value in row) + "</tr>"
            for row in values
        )
        return f'<table class="matrix"><caption>{caption}</caption>{rows}</table>'

    found = np.where(np.abs(learned.found) < 5e-5, 0, learned.found)
    return (
        f"<p>{story.LEARNED}</p>\n"
        '<div class="pair">'
        + matrix(learned.true, "the kernel that was used", "g")
        + matrix(found, f"what {learned.steps} steps found", ".4f")
        + "</div>"
    )


def fastest_rows(tour: Tour) -> list[Row]:
    """The fastest algorithm of each step and op that was timed beside another library."""
    best: dict[tuple[str, str], Row] = {}
    for row in tour.rows:
        if row.speed_up is None or row.time_us is None:
            continue
        before = best.get((row.stage, row.function))
        if before is None or row.time_us < (before.time_us or 0):
            best[row.stage, row.function] = row
    return list(best.values())


def _speed(tour: Tour) -> str:
    """The fastest algorithm of each op beside the fastest other library, on a logarithmic scale."""
    best = fastest_rows(tour)
    if not best:
        return ""
    largest = max(abs(np.log2(row.speed_up or 1)) for row in best) or 1
    items = []
    for row in best:
        ratio = row.speed_up or 1
        width = max(0.25, 18 * abs(float(np.log2(ratio))) / float(largest))
        kind = ' class="less"' if ratio < 1 else ""
        other = time_text(row.others_us[row.against or ""])
        times = f"{time_text(row.time_us)} by {row.algorithm}, {other} by {row.against}"
        # Only conv2d has several steps; the other ops say by their name what they do.
        step = escape(_short(tour.titles.get(row.stage, ""))) if row.op == "conv2d" else ""
        items.append(
            f'<li><div><code>{escape(row.function)}</code> <span class="quiet">{step}</span></div>'
            f'<div class="bar"><i{kind} style="width:{width:.2f}rem"></i>'
            f"<b>{ratio_text(ratio)}</b><small>{escape(times)}</small></div></li>"
        )
    return (
        '<section id="speed">\n<h2>How fast</h2>\n'
        f"<p>{story.speed(tour.info.threads, tour.backend)}</p>\n"
        f'<ul class="bars">\n{"".join(items)}</ul>\n</section>'
    )


def _short(title: str) -> str:
    return title.partition(":")[0].lower()


def _simt(tour: Tour) -> str:
    rows = [row for row in tour.rows if row.part == "simt"]
    if not rows:
        return ""
    kernels = ", ".join(f"<code>{escape(name)}</code>" for name in tour.kernels)
    listed = f"<p class='quiet'>Kernels that ran: {kernels}.</p>" if kernels else ""
    return (
        '<section id="simt">\n<h2>GPU kernels without a GPU</h2>\n'
        f"<p>{story.SIMT}</p>\n{_table(rows, tour)}\n{listed}\n</section>"
    )


def _numbers(tour: Tour) -> str:
    rows = [row for row in tour.rows if row.part == "photograph"]
    missing = (
        f'<p class="slow">Not run: {escape(", ".join(tour.not_run))}.</p>' if tour.not_run else ""
    )
    return (
        f'<section id="numbers">\n<h2>All the numbers</h2>\n<p>{story.NUMBERS}</p>\n'
        f"{_table(rows, tour)}\n{missing}\n</section>"
    )


def _table(rows: list[Row], tour: Tour) -> str:
    others = sorted({name for row in rows for name in row.others_us})
    headings = ["", "op", "algorithm", "error E", "bound"]
    timed = any(row.time_us is not None for row in rows)
    if timed:
        headings += ["time", *others]
    first_number = 3
    head = "".join(
        f'<th scope="col"{" class=number" if i >= first_number else ""}>{escape(text)}</th>'
        for i, text in enumerate(headings)
    )
    body = []
    for (stage, shape), group in groupby(rows, key=group_of):
        title = f"{escape(tour.titles.get(stage, stage))}<span>{escape(shape)}</span>"
        body.append(
            f'<tr class="step"><th scope="rowgroup" colspan="{len(headings)}">{title}</th></tr>'
        )
        for row in group:
            body.append(_table_row(row, others, timed, len(headings)))
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of checks">'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>{''.join(body)}</tbody>\n</table></div>"
    )


def _table_row(row: Row, others: list[str], timed: bool, columns: int) -> str:
    mark = (
        '<span class="good" role="img" aria-label="passed">✓</span>'
        if row.ok
        else '<span class="bad" role="img" aria-label="failed">✗</span>'
    )
    cells = [
        f"<td>{mark}</td>",
        f"<td><code>{escape(row.function)}</code></td>",
        f"<td>{escape(row.algorithm)}</td>",
        f'<td class="number">{error_text(row.error)}</td>',
        f'<td class="number">{row.bound:g}</td>',
    ]
    if timed:
        cells.append(f'<td class="number"><b>{time_text(row.time_us)}</b></td>')
        cells += [
            f'<td class="number">{time_text(row.others_us.get(name))}</td>' for name in others
        ]
    note = f'<tr><td class="note" colspan="{columns}">{escape(row.note)}</td></tr>'
    return f"<tr>{''.join(cells)}</tr>\n" + ("" if row.ok else note)


def _environment(tour: Tour) -> str:
    info = tour.info
    facts = {
        "convkit": f"{info.version}, built by {info.compiler}",
        "Python": f"{info.python} on {info.platform}",
        "processor": info.processor,
        "instruction set": info.isa,
        "threads": str(info.threads),
        "CUDA devices": ", ".join(info.devices) or "none",
        "packages": ", ".join(f"{name} {v}" for name, v in info.packages.items() if v),
        "date": tour.started,
    }
    rows = "".join(
        f'<tr><th scope="row">{escape(key)}</th><td class="long">{escape(value)}</td></tr>'
        for key, value in facts.items()
    )
    return (
        '<section id="again">\n<h2>Do it again</h2>\n'
        f"<p>{story.AGAIN}</p>\n<pre><code>{escape(story.COMMANDS)}</code></pre>\n"
        f'<div class="scroll" tabindex="0" role="region" aria-label="Environment"><table>{rows}'
        "</table></div>\n</section>\n</main>\n"
        f"<footer>Made by convkit tour {escape(info.version)} in {tour.seconds:.0f} s.</footer>"
    )
