"""Which rows to run: the problem table by name, op or network, or problem lines as they print."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from convkit.apps.terminal import InputError
from convkit.testing import (
    PROBLEMS,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    Linear,
    Problem,
    parse,
    problems,
)
from convkit.testing.cases import why_impossible

SUITE = ("layer", "network")


def choose(words: Iterable[str], *, quick: bool = False) -> list[Problem]:
    """The problems that the words name; all layers of the table where there is none.

    A word is an op (conv2d), a network or a row (resnet50, resnet50.stem7x7), or a problem line,
    with its op before it or without.

    Raises: InputError for a word that names nothing.
    """
    tags, words = SUITE[:1] if quick else SUITE, list(words)
    tokens = [token for word in words for token in word.split()]
    if not words:
        return [row for op in PROBLEMS for row in problems(op, *tags)]
    if empty := [word for word in words if not word.split()]:
        raise InputError(f"{empty[0]!r} names no row")
    found: list[Problem] = []
    op = None
    for i, token in enumerate(tokens):
        if token in PROBLEMS:
            op = token
            if i + 1 == len(tokens) or not _is_line(tokens[i + 1]):
                found += problems(op, *tags)
            continue
        if _is_line(token):
            found.append(_parsed(op, token))
        else:
            found += _named(op, token)
        op = None
    if empty := [row.line for row in found if not row.n]:
        raise InputError(f"{empty[0]}: a batch of 0 images has nothing to time")
    return list(dict.fromkeys(found))


def vary(rows: Iterable[Problem], batches: Iterable[int], layouts: Iterable[str]) -> list[Problem]:
    """Each row with each batch size (as it stands where none is given) and each layout."""
    sizes = list(batches)
    varied = [
        replace(row, n=n, layout=layout)
        for row in rows
        for n in (sizes or [row.n])
        for layout in layouts
        if layout in row.layouts
    ]
    return list(dict.fromkeys(varied))


def without_epilogue(problem: Problem) -> Problem:
    """The sums alone: no bias, residual or activation."""
    if isinstance(problem, BatchNorm):  # its bias is a term of its own
        return replace(problem, residual=False, activation=None)
    if not isinstance(problem, (Conv2d, ConvTranspose2d, Linear)):
        return problem
    return replace(problem, bias=False, residual=False, activation=None)


def _is_line(token: str) -> bool:
    start = token.removeprefix("max-").removeprefix("avg-")
    return start[:1] == "n" and start[1:2].isdigit()


def _parsed(op: str | None, line: str) -> Problem:
    errors = []
    for one in [op] if op else PROBLEMS:
        try:
            problem = parse(one, line)
        except ValueError as error:
            errors.append(str(error))
            continue
        if why := why_impossible(problem):
            raise InputError(why)
        return problem
    hint = errors[0] if op else f"{line!r} is a problem line of no op ({', '.join(PROBLEMS)})"
    raise InputError(hint)


def _named(op: str | None, name: str) -> Iterator[Any]:
    rows = [
        row
        for one in ([op] if op else PROBLEMS)
        for row in problems(one)
        if "huge" not in row.tags and name in (row.name, row.name.partition(".")[0])
    ]
    if not rows:
        networks = sorted(
            {row.name.partition(".")[0] for one in PROBLEMS for row in problems(one, *SUITE)}
        )
        raise InputError(
            f"{name!r} names no row; rows are called by op ({', '.join(PROBLEMS)}), network "
            f"({', '.join(networks)}), name (resnet50.stem7x7) or problem line"
        )
    yield from rows
