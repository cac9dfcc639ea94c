"""What a call would do, without doing it: plan, cost, floor, copies, and why not otherwise."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from convkit import _native, ops
from convkit._native import shown
from convkit.arrays import Buffer, Spec, itemsize, wrap
from convkit.dispatch import Call, check_limit, choose_backend
from convkit.queries import array_dtype, describe_call, dtype_name, shape_of

if TYPE_CHECKING:
    from convkit.testing import Peaks, Problem

BACKENDS = ("cpu", "cuda", "simt")  # those that have algorithms


@dataclasses.dataclass(frozen=True)
class Result:
    """One array that the call returns."""

    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Copy:
    """An input that is copied before the kernel reads it."""

    array: str
    bytes: int
    why: str


@dataclasses.dataclass(frozen=True)
class Other:
    """An algorithm that is not taken; workspace_bytes is None where it cannot run the problem."""

    algorithm: str
    why_not: str
    workspace_bytes: int | None


@dataclasses.dataclass(frozen=True)
class Explanation:
    """One call explained; print it, or take `to_dict()`."""

    name: str  # conv2d.fprop.implicit_gemm.float32
    function: str
    problem: str
    backend: str
    isa: str | None  # instruction set of the cpu backend
    threads: int
    results: tuple[Result, ...]
    flops: int
    bytes_read: int
    bytes_written: int
    flops_per_byte: float
    peak_flops_per_s: float | None
    peak_bytes_per_s: float | None
    floor_us: float | None
    why_no_floor: str
    algorithm: str
    why: str
    workspace_bytes: int
    max_workspace: int | None
    precision: str
    copies: tuple[Copy, ...]
    bound: float
    deterministic: bool  # of every algorithm: see docs/numerics.md
    others: tuple[Other, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as `convkit explain --json` prints them."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        return "\n".join(f"{label:<13}{text}" for label, text in _lines(self))


def explain(
    op: str | Callable[..., Any],
    *args: Any,
    direction: str | None = None,
    dtype: str = "float32",
    backend: str | None = None,
    algo: str = "auto",
    precision: str = "high",
    max_workspace: int | None = None,
    measure: bool = True,
    **parameters: Any,
) -> Explanation:
    """What a call would do: its result, cost, roofline floor, algorithm and why, workspace, copies.

    Args:
        op: a public function or its name; with a problem line (see convkit.testing) also "pool2d"
            or "gram".
        args, parameters: as for that function, with a shape or an array in the place of each array;
            or one problem line, such as "n1c3h227w227-k96r11s11-st4-pd0".
        direction: "dgrad" or "wgrad" explains the gradient of the forward call described.
        dtype: of arrays given as shapes.
        backend: "cpu", "cuda" or "simt"; None is where the call would run.
        algo, precision, max_workspace: as in the function.
        measure: True measures this machine's peaks for the floor, once a process: half a second.

    Returns: an Explanation.
    Raises: what the call itself would raise.

    >>> told = explain("conv2d", (1, 8, 9, 9), (4, 8, 1, 1), measure=False)
    >>> told.algorithm, told.flops, [other.algorithm for other in told.others]
    ('1x1', 5184, ['implicit_gemm', 'im2col', 'direct', 'strict'])
    """
    from convkit import testing

    name = _name_of(op)
    dtype = dtype_name("explain", dtype)
    buffers: dict[str, Buffer | None] = {}
    if len(args) == 1 and isinstance(args[0], str):
        problem, direction = _of_line(name, args[0], direction)
        call = _call_of(problem, direction, dtype)
    else:
        call, buffers = _described(name, args, parameters, dtype)
        call.plan()  # the rules come first: only a valid call has a problem
        problem, own = testing.problem_of(call)
        if direction not in (None, own):
            _check_direction(name, problem, own, direction)
            call, own = _call_of(problem, direction, dtype), direction
        direction = own
    call = call._replace(
        backend=_check_backend(backend or choose_backend(name, buffers)),
        algo=algo,
        precision=precision,
        max_workspace=check_limit(name, max_workspace),
    )
    peaks, why_no_floor = _peaks_for(call.backend, _dtype_of(call), measure)
    return _explanation(call, problem, direction, buffers, peaks, why_no_floor)


def _name_of(op: Any) -> str:
    """The name of a function, or the name itself, which the rules may refuse."""
    if issubclass(type(op), str):
        return str.__str__(op)
    for name, function in ops.FUNCTIONS.items():
        if function is op:
            return name
    known = ", ".join(ops.FUNCTIONS)
    raise TypeError(f"explain: op is {shown(op)}, must be one of {known}, or its name")


def _of_line(name: str, line: str, direction: str | None) -> tuple[Problem, str]:
    from convkit import testing

    op, own, _ = testing.FUNCTIONS.get(name, (name, "fprop", {}))
    problem = testing.parse(op, line)
    wanted = direction or own
    if wanted not in problem.directions:
        _check_direction(name, problem, "fprop", wanted)
    return problem, wanted


def _check_direction(name: str, problem: Problem, own: str, direction: Any) -> None:
    known = ", ".join(problem.directions)
    if direction not in problem.directions:
        error = ValueError if issubclass(type(direction), str) else TypeError
        raise error(f"explain: direction is {shown(direction)}, {name} has {known}")
    if own != "fprop":
        raise ValueError(f"explain: direction is {direction!r}, but {name} is {own} itself")


def _check_backend(backend: str) -> str:
    is_text = issubclass(type(backend), str)
    if not is_text or backend not in BACKENDS:
        error = ValueError if is_text else TypeError
        raise error(
            f"explain: backend is {shown(backend)}, must be one of {', '.join(BACKENDS)}: only "
            "these have algorithms"
        )
    return backend


def _call_of(problem: Problem, direction: str, dtype: str) -> Call:
    from convkit import testing

    shapes = testing.array_shapes(problem, direction)
    name, arrays, options = problem.call(direction, shapes)
    call: Call = describe_call(name, *arrays, dtype=dtype, **options)
    return call


def _described(
    name: str, args: tuple[Any, ...], parameters: dict[str, Any], dtype: str
) -> tuple[Call, dict[str, Buffer | None]]:
    """The call with shapes for arrays, and the arrays that were arrays."""
    if name not in ops.FUNCTIONS:
        raise ValueError(f"explain: op is {shown(name)}, must be one of {', '.join(ops.FUNCTIONS)}")
    try:
        bound = inspect.signature(ops.FUNCTIONS[name]).bind(*args, **parameters)
    except TypeError as error:
        raise TypeError(f"{name}: {error}") from None
    buffers: dict[str, Buffer | None] = {}
    for key, value in bound.arguments.items():
        if key not in ops.ARRAY_PARAMETERS or value is None or _is_shape(value):
            continue
        buffers[key] = buffer = wrap(name, key, value)
        bound.arguments[key] = Spec(buffer.shape, buffer.dtype)
    for key, value in bound.arguments.items():
        if key in ops.ARRAY_PARAMETERS and _is_shape(value) and type(value) is not Spec:
            floats = (b for one, b in buffers.items() if b and one not in ops.INT64_PARAMETERS)
            first = next(floats, None)
            given = first.dtype if first is not None else dtype
            shape = shape_of(name, key, value)
            bound.arguments[key] = Spec(shape, array_dtype(name, key, given))
    call: Call = ops.FUNCTIONS[name](*bound.args, **bound.kwargs)
    return call, buffers


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list))


def _dtype_of(call: Call) -> str:
    return next(spec[1] for spec in call.arrays.values() if spec is not None)


@functools.cache
def _measured(backend: str, dtype: str, threads: int) -> Peaks:
    from convkit import testing

    return testing.measure_peaks(backend, dtype, threads)


def _peaks_for(backend: str, dtype: str, measure: bool) -> tuple[Peaks | None, str]:
    from convkit import testing

    why = testing.why_no_peaks(backend) if measure else "not measured"
    return (None, why) if why else (_measured(backend, dtype, _native.num_threads()), "")


def _explanation(
    call: Call,
    problem: Problem,
    direction: str,
    buffers: dict[str, Buffer | None],
    peaks: Peaks | None,
    why_no_floor: str,
) -> Explanation:
    from convkit import testing

    plan = call.plan()
    dtype = _dtype_of(call)
    # Max pooling may keep its indices to itself.
    written = sum(math.prod(shape) * itemsize(kind) for shape, kind in plan.outputs)
    cost = dataclasses.replace(testing.cost_of(problem, direction, dtype), bytes_written=written)
    return Explanation(
        name=f"{problem.op}.{direction}.{plan.algorithm}.{dtype}",
        function=call.op,
        problem=problem.line,
        backend=plan.backend,
        isa=_native.build_info()["isa"] if plan.backend == "cpu" else None,
        threads=plan.threads() if plan.backend == "cpu" else 1,
        results=tuple(Result(*spec) for spec in call.outputs()),
        flops=cost.flops,
        bytes_read=cost.bytes_read,
        bytes_written=cost.bytes_written,
        flops_per_byte=cost.intensity,
        peak_flops_per_s=peaks.flops_per_s if peaks else None,
        peak_bytes_per_s=peaks.bytes_per_s if peaks else None,
        floor_us=testing.floor_seconds(cost, peaks) * 1e6 if peaks else None,
        why_no_floor=why_no_floor,
        algorithm=plan.algorithm,
        why=plan.why,
        workspace_bytes=plan.workspace_bytes(),
        max_workspace=call.max_workspace,
        precision=call.precision,
        copies=_copies(call, buffers),
        bound=testing.bound_of(problem, direction, plan.bound),
        deterministic=True,
        others=_others(call, plan.algorithm),
    )


def _copies(call: Call, buffers: dict[str, Buffer | None]) -> tuple[Copy, ...]:
    """What dispatch.run copies: inputs that are not dense."""
    copies = []
    for name, buffer in buffers.items():
        if name not in call.arrays or buffer is None or buffer.dense:
            continue
        size = math.prod(buffer.shape) * itemsize(buffer.dtype)
        flags = getattr(buffer.handle, "flags", None)
        if flags is not None and not flags.aligned:
            why = "it is not aligned to its element"
        elif flags is not None and not buffer.handle.dtype.isnative:
            why = "its byte order is not native"
        else:
            why = f"its strides are {buffer.strides} bytes, kernels read dense arrays"
        copies.append(Copy(name, size, why))
    return tuple(copies)


def _others(call: Call, taken: str) -> tuple[Other, ...]:
    auto = None if call.algo == "auto" else _auto_plan(call)
    others: list[Other] = []
    for name, refusal in call.candidates():
        if name == taken:
            continue
        if refusal:
            others.append(Other(name, refusal, None))
            continue
        why_not = f"can run it, but auto prefers {taken}"
        if auto is not None:
            is_choice = name == auto.algorithm
            why_not = f"auto would take it: {auto.why}" if is_choice else "can run it"
        workspace = call._replace(algo=name).plan().workspace_bytes()
        others.append(Other(name, why_not, workspace))
    return tuple(others)


def _auto_plan(call: Call) -> _native.Plan:
    return call._replace(algo="auto").plan()


def _lines(told: Explanation) -> list[tuple[str, str]]:
    """(label, text) of each line of the printed form."""
    where = told.backend
    if told.isa is not None:
        where += f" ({told.isa}, {_count(told.threads, 'thread')})"
    results = ", ".join(f"{one.shape} {one.dtype}" for one in told.results)
    moved = told.bytes_read + told.bytes_written
    lines = [
        ("call", f"{told.name} on {where}"),
        ("problem", told.problem),
        ("result", results),
        ("work", f"{_si(told.flops)}FLOP, {told.flops_per_byte:.3g} FLOP/byte"),
        (
            "traffic",
            f"{_si(moved)}B: {_si(told.bytes_read)}B read, {_si(told.bytes_written)}B written, "
            "each array once",
        ),
        ("floor", _floor(told, moved)),
        ("algorithm", f"{told.algorithm}: {told.why}"),
        ("workspace", _workspace(told)),
        *(("copies", f"{c.array}, {_si(c.bytes)}B: {c.why}") for c in told.copies),
    ]
    if not told.copies:
        lines.append(("copies", "none"))
    bound = f"{told.bound:g} E (docs/numerics.md)" if told.bound else "0: it only moves numbers"
    lines.append(("error bound", bound))
    bits = "the same on every run and any number of threads"
    if told.precision == "strict":
        bits = "the same on every backend, instruction set and layout (docs/numerics.md)"
    lines.append(("bits", bits))
    for i, other in enumerate(told.others):
        workspace = ""
        if other.workspace_bytes is not None:
            workspace = f" (workspace {_si(other.workspace_bytes)}B)"
        label = "other" if i == 0 else ""
        lines.append((label, f"{other.algorithm}: {other.why_not}{workspace}"))
    return lines


def _floor(told: Explanation, moved: int) -> str:
    if told.floor_us is None or not told.peak_flops_per_s or not told.peak_bytes_per_s:
        return f"none: {told.why_no_floor}"
    arithmetic, memory = told.flops / told.peak_flops_per_s, moved / told.peak_bytes_per_s
    limit = "arithmetic" if arithmetic >= memory else "memory"
    return (
        f"{_si(told.floor_us / 1e6)}s, set by {limit}: {_si(arithmetic)}s at "
        f"{_si(told.peak_flops_per_s)}FLOP/s, {_si(memory)}s at {_si(told.peak_bytes_per_s)}B/s"
    )


def _workspace(told: Explanation) -> str:
    text = f"{_si(told.workspace_bytes)}B"
    return text if told.max_workspace is None else f"{text} of at most {_si(told.max_workspace)}B"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _si(value: float) -> str:
    """Three digits and a decimal prefix: 1.23 M, ready for its unit."""
    if value == 0:
        return "0 "
    power = min(max(math.floor(math.log10(abs(value)) / 3), -3), 4)
    scaled = value / 1000.0**power
    if round(scaled, 0) >= 1000 and power < 4:
        scaled, power = scaled / 1000, power + 1
    return f"{scaled:.3g} {'num kMGT'[power + 3].strip()}"
