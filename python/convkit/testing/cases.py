"""One call of a public op on a chosen backend, and its check against the reference."""

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import convkit
from convkit import _native
from convkit.dispatch import use_backend
from convkit.queries import describe_call

from .compare import Comparison, bound_of, compare, expected
from .data import array_shapes, make_data
from .lines import Problem

_REFUSED = re.compile(r"cannot run this problem: (?P<reason>.+)\. These can: (?P<others>.+)", re.S)


@dataclass(frozen=True)
class Outcome:
    """The outputs of a call, or why the algorithm declined the problem."""

    outputs: tuple[np.ndarray, ...] | None
    refusal: str | None = None

    @property
    def refused(self) -> bool:
        return self.refusal is not None

    @property
    def result(self) -> np.ndarray:
        """The first output."""
        if self.outputs is None:
            raise ValueError(f"the algorithm refused: {self.refusal}")
        return self.outputs[0]


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """convkit.set_num_threads for the length of a block."""
    before = convkit.num_threads()
    convkit.set_num_threads(count)
    try:
        yield
    finally:
        convkit.set_num_threads(before)


@contextmanager
def simt_order(name: str, seed: int = 0, late_copies: bool = False) -> Iterator[None]:
    """The order in which the simulator runs threads: "forward", "reversed" or "shuffled".

    With late_copies, what a kernel copies with cp.async arrives when it waits for it, not at once.
    """
    _native.simt_set_order(name, seed, late_copies)
    try:
        yield
    finally:
        _native.simt_set_order("forward", 0)


def algorithms(op: str, backend: str | None = None) -> list[dict[str, Any]]:
    """The rows of an op's table: name, backend, directions ("fprop", ...) and error bound."""
    rows = [dict(row) for row in _native.algorithms(op)]
    return [row for row in rows if backend in (None, row["backend"])]


def candidates(
    problem: Problem, direction: str, backend: str, dtype: Any = "float32"
) -> dict[str, str | None]:
    """For each algorithm that has the direction: why it declines the problem, or None."""
    name, arrays, options = problem.call(direction, array_shapes(problem, direction))
    with use_backend(backend):
        found = describe_call(name, *arrays, dtype=dtype, **options).candidates()
    return {algo: reason or None for algo, reason in found}


def why_impossible(problem: Problem) -> str:
    """What the rules of its function say against a problem; "" for one that can be run."""
    try:
        candidates(problem, problem.directions[0], "cpu")
    except (ValueError, TypeError) as error:
        return str(error)
    return ""


def run_case(
    problem: Problem,
    direction: str,
    algo: str,
    backend: str,
    data: dict[str, Any],
    **extra: Any,
) -> Outcome:
    """Calls the public function on arrays as make_data gives them; `extra` (out) goes to it."""
    if backend == "cuda":
        cupy = importlib.import_module("cupy")
        data = {name: cupy.asarray(array) for name, array in data.items()}
    name, arrays, options = problem.call(direction, data)
    with use_backend(backend):
        try:
            result = getattr(convkit, name)(*arrays, **options, algo=algo, **extra)
        except ValueError as error:
            if _REFUSED.search(str(error)):
                return Outcome(None, str(error))
            raise
    outputs = result if isinstance(result, tuple) else (result,)
    return Outcome(tuple(o.get() for o in outputs) if backend == "cuda" else outputs)


def refusal_parts(text: str) -> tuple[str, list[str]]:
    """(reason, names of the algorithms that can) of a refusal."""
    match = _REFUSED.search(text)
    if match is None:
        raise ValueError(f"{text!r} is no refusal")
    return match["reason"], [name.strip(" .") for name in match["others"].split(",")]


def check_case(
    problem: Problem,
    direction: str,
    algo: str,
    backend: str,
    *,
    dtype: Any = "float32",
    kind: str = "normal",
    seed: int = 0,
    bound: float | None = None,
) -> tuple[Outcome, list[Comparison]]:
    """Runs a case and compares every output with the reference."""
    data = make_data(problem, direction, kind, dtype, seed)
    outcome = run_case(problem, direction, algo, backend, data)
    if outcome.outputs is None:
        return outcome, []
    if bound is None:
        bound = row_bound(problem.op, algo, backend)
    bound = bound_of(problem, direction, bound)
    wanted = expected(problem, direction, data)
    return outcome, [
        compare(output, one, bound) for output, one in zip(outcome.outputs, wanted, strict=True)
    ]


def row_bound(op: str, algo: str, backend: str) -> float:
    """The error bound that the table states for an algorithm; for auto the largest of its rows."""
    bounds = [row["bound"] for row in algorithms(op, backend) if algo in ("auto", row["name"])]
    if not bounds:
        raise ValueError(f"{op} has no algorithm {algo!r} on {backend}")
    return float(max(bounds))
