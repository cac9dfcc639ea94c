"""Runs problems by every algorithm of a backend and compares each result with the reference."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from convkit.testing import (
    Comparison,
    Expected,
    Problem,
    algorithms,
    bound_of,
    candidates,
    compare,
    expected,
    make_data,
    row_bound,
    run_case,
    same_bits,
    simt_order,
)

ORDERS = (("forward", 0), ("shuffled", 7), ("reversed", 0))


@dataclass(frozen=True)
class Row:
    """One line of the tour's table: an op by an algorithm, its error, its time."""

    part: str  # "photograph" or "simt"
    stage: str
    function: str  # conv2d_input_grad ...
    op: str
    direction: str
    shape: str  # the problem, as convkit.testing prints it
    algorithm: str
    backend: str
    error: float  # in error units E; infinite where the call failed
    bound: float
    ok: bool
    time_us: float | None = None
    against: str | None = None  # the fastest of the others
    speed_up: float | None = None
    others_us: dict[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Task:
    """A direction of a problem with the arrays it reads."""

    stage: str
    problem: Problem
    direction: str
    data: dict[str, np.ndarray]

    @property
    def dtype(self) -> str:
        floats = (array.dtype.name for array in self.data.values() if array.dtype.kind == "f")
        return next(floats)

    @property
    def function(self) -> str:
        return self.problem.call(self.direction, self.data)[0]


def make_task(
    stage: str, problem: Problem, direction: str, dtype: str = "float32", **arrays: np.ndarray
) -> Task:
    """The task on the arrays given (x, w, bias, ...); what else it needs is drawn with a seed."""
    data = make_data(problem, direction, dtype=dtype)
    data |= {name: arrays[name].astype(dtype) for name in data.keys() & arrays.keys()}
    if "indices" in data and "x" in arrays:
        from convkit import reference

        name, inputs, options = problem.call("fprop", {"x": arrays["x"]})
        data["indices"] = getattr(reference, name)(*inputs, **options)[1]
    return Task(stage, problem, direction, data)


def check_task(task: Task, backend: str) -> tuple[list[Row], dict[str, Callable[[], Any]]]:
    """A row for each algorithm that takes the task, and for each right one a call to be timed."""
    try:
        able = candidates(task.problem, task.direction, backend, task.dtype)
    except (AttributeError, ValueError) as error:
        return [_failed("photograph", task, "auto", backend, error)], {}
    wanted = expected(task.problem, task.direction, task.data)
    rows, calls = [], {}
    for algo, refusal in able.items():
        if refusal is not None:
            continue
        row, _ = _check("photograph", task, algo, backend, wanted)
        rows.append(row)
        if row.ok:
            calls[algo] = timed_call(task, algo, backend)
    return rows, calls


def check_simt(tasks: Iterable[Task], orders: int) -> Iterable[Row]:
    """A row for each function and algorithm on simt: the worst of all tasks and orders."""
    worst: dict[tuple[str, str], Row] = {}
    for task in tasks:
        try:
            able = candidates(task.problem, task.direction, "simt", task.dtype)
        except (AttributeError, ValueError) as error:
            yield _failed("simt", task, "auto", "simt", error)
            continue
        wanted = expected(task.problem, task.direction, task.data)
        for algo, refusal in able.items():
            if refusal is not None:
                continue
            row = _in_all_orders(task, algo, wanted, ORDERS[:orders])
            key = (row.function, algo)
            before = worst.get(key)
            if before is None or (before.ok, -before.error) > (row.ok, -row.error):
                worst[key] = row
    functions = list(dict.fromkeys(function for function, _ in worst))
    yield from sorted(worst.values(), key=lambda row: functions.index(row.function))


def check_copy(part: str, stage: str, x: np.ndarray, backend: str, orders: int = 1) -> Row:
    """A row for the copy that makes a strided input dense: a mirrored, thinned, turned view of x.

    im2col with a 1x1 window moves numbers without changing them, so the result is the view itself.
    """
    import convkit
    from convkit.testing import use_backend

    view = x[:, :, ::-1, ::2].swapaxes(2, 3)
    error, note = 0.0, ""
    try:
        source = view
        if backend == "cuda":
            import cupy

            source = cupy.asarray(x)[:, :, ::-1, ::2].swapaxes(2, 3)
        for order, seed in ORDERS[:orders]:
            with simt_order(order, seed), use_backend(backend):
                result = convkit.im2col(source, 1)
            result = result.get() if backend == "cuda" else result
            if not np.array_equal(result.reshape(view.shape), view):
                error, note = float("inf"), f"wrong: the view changed in {order} thread order"
    except Exception as failure:
        error, note = float("inf"), f"{type(failure).__name__}: {failure}"
    shape = "x".join(map(str, view.shape))
    names = (part, stage, "copy", "copy", "fprop", shape, "strided", backend)
    return Row(*names, error, 0.0, not note, note=note)


def missing_pairs(rows: list[Row], backend: str) -> list[str]:
    """What no row has run: op.direction.algorithm of the backend's tables."""
    from convkit import _native

    done = {(row.op, row.direction, row.algorithm) for row in rows if row.backend == backend}
    return [
        f"{op}.{direction}.{row['name']}"
        for op in _native.ops()
        for row in algorithms(op, backend)
        for direction in row["directions"]
        if (op, direction, row["name"]) not in done
    ]


def timed_call(task: Task, algo: str, backend: str) -> Callable[[], Any]:
    """The public call on arrays that already lie where the backend wants them; see `waiter`."""
    import convkit
    from convkit.testing import use_backend

    name, arrays, options = task.problem.call(task.direction, placed(task.data, backend))

    def call() -> Any:
        with use_backend(backend):
            return getattr(convkit, name)(*arrays, **options, algo=algo)

    return call


def placed(data: dict[str, np.ndarray], backend: str) -> dict[str, Any]:
    """The arrays where the backend wants them."""
    if backend != "cuda":
        return dict(data)
    cupy = importlib.import_module("cupy")
    return {name: cupy.asarray(array) for name, array in data.items()}


def waiter(backend: str) -> Callable[[], Any] | None:
    """What waits for the device; None where there is none."""
    if backend != "cuda":
        return None
    cupy: Any = importlib.import_module("cupy")
    wait: Callable[[], Any] = cupy.cuda.Device().synchronize
    return wait


def _in_all_orders(
    task: Task, algo: str, wanted: tuple[Expected, ...], orders: Iterable[tuple[str, int]]
) -> Row:
    first: tuple[np.ndarray, ...] | None = None
    worst: Row | None = None
    for order, seed in orders:
        with simt_order(order, seed):
            row, outputs = _check("simt", task, algo, "simt", wanted)
        if first is None:
            first = outputs
        elif row.ok and first is not None and not all(map(same_bits, first, outputs)):
            row = replace(row, ok=False, note=f"other bits in {order} thread order")
        if worst is None or (worst.ok, -worst.error) > (row.ok, -row.error):
            worst = row
    assert worst is not None
    return worst


def _check(
    part: str, task: Task, algo: str, backend: str, wanted: tuple[Expected, ...]
) -> tuple[Row, tuple[np.ndarray, ...]]:
    try:
        outcome = run_case(task.problem, task.direction, algo, backend, task.data)
        if outcome.outputs is None:
            raise ValueError(outcome.refusal)
        bound = bound_of(task.problem, task.direction, row_bound(task.problem.op, algo, backend))
        found = [compare(o, e, bound) for o, e in zip(outcome.outputs, wanted, strict=True)]
    except Exception as error:
        # A tour goes on: whatever a kernel raises is what the row has to say.
        return _failed(part, task, algo, backend, error), ()
    worst: Comparison = max(found, key=lambda one: one.error)
    note = "" if worst.ok else f"wrong: {worst}"
    row = _row(part, task, algo, backend, worst.error, bound, worst.ok, note)
    return row, outcome.outputs


def _failed(part: str, task: Task, algo: str, backend: str, error: Exception) -> Row:
    note = f"{type(error).__name__}: {error}"
    return _row(part, task, algo, backend, float("inf"), 0.0, False, note)


def _row(
    part: str,
    task: Task,
    algo: str,
    backend: str,
    error: float,
    bound: float,
    ok: bool,
    note: str,
) -> Row:
    return Row(
        part=part,
        stage=task.stage,
        function=task.function,
        op=task.problem.op,
        direction=task.direction,
        shape=task.problem.line,
        algorithm=algo,
        backend=backend,
        error=error,
        bound=bound,
        ok=ok,
        note=note,
    )
