"""One function every op calls: wrap the arrays, find or make the plan, allocate, run, return."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from convkit import _native
from convkit._native import recall, shown
from convkit.arrays import (
    DLPACK,
    HOST,
    NUMPY,
    Buffer,
    Spec,
    brief,
    finish,
    itemsize,
    type_name,
    wrap,
)
from convkit.autograd.tensor import Tensor

BACKENDS = ("auto", "cpu", "cuda", "simt", "reference")
PLAN_LIMIT = 4096
_LARGEST_LIMIT = 2**63 - 1

_backend = "auto"
Specs = tuple[tuple[tuple[int, ...], str], ...]
Described = dict[str, tuple[tuple[int, ...], str] | None]
_plans: dict[tuple[Any, ...], tuple[_native.Plan, Specs]] = {}

# Parameters that are their own key. 1 and True are equal as dictionary keys, so a flag has a key of
# its own.
_PLAIN = (int, str, type(None))
_FLAGS = {value: (bool, value) for value in (False, True)}
_DEEPEST = 2  # ((top, bottom), (left, right))


def set_backend(name: str) -> None:
    """Choose where ops run, for the whole process.

    Args:
        name: "auto" (host arrays on cpu, device arrays on cuda), "cpu", "cuda", "simt" (the CUDA
            sources on
            the host: slow, for checking) or "reference" (the NumPy definitions).

    Raises: ValueError for another name, or for "cuda" in a build or on a machine without it.

    >>> set_backend("cpu"); backend()
    'cpu'
    >>> set_backend("auto")
    """
    global _backend
    is_text = issubclass(type(name), str)
    if not is_text or name not in BACKENDS:
        error = ValueError if is_text else TypeError
        raise error(f"set_backend: name is {shown(name)}, must be one of {', '.join(BACKENDS)}")
    if name == "cuda":
        require_cuda("set_backend")
    _backend = name


def backend() -> str:
    """The name given to `set_backend`; "auto" at first."""
    return _backend


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """`set_backend(name)` for the length of a with block."""
    before = _backend
    set_backend(name)
    try:
        yield
    finally:
        set_backend(before)


def require_cuda(op: str) -> None:
    if not _native.with_cuda:
        raise ValueError(f"{op}: this build has no cuda backend (built without nvcc)")
    if not _native.cuda_devices():
        raise ValueError(f"{op}: no CUDA device (no device or no driver found)")


class _Refused:
    """In a key, a value that no parameter may have; equal to itself alone, so it is never found."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _key(value: Any, depth: int = _DEEPEST) -> Any:
    """The value as a key that only equal values of its kind share.

    Only built-in types are in it, whatever the caller's class overrides.
    """
    kind = type(value)
    if kind is bool or kind is np.bool_:
        return _FLAGS[bool(value)]
    if value is None:
        return value
    if kind is float:
        return (float, value)
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, (list, tuple)) and depth > 0:
        items = list.__iter__(value) if issubclass(kind, list) else tuple.__iter__(value)
        return tuple(_key(item, depth - 1) for item in items)
    try:
        return operator.index(value)
    except Exception:  # whatever __index__ raises, the parameter's own rule is what helps
        return _Refused(value)


def number(value: Any) -> Any:
    """NumPy's real scalars as a float; whatever else as it came, for the rules to judge."""
    if issubclass(type(value), float):
        return float.__float__(value)
    is_real = type(value) in (np.float16, np.float32, np.longdouble)
    return float(value) if is_real else value


def _value(key: Any) -> Any:
    """What the native side and the references read: the value of a key."""
    if type(key) is _Refused:
        return key.value
    if type(key) is not tuple:
        return key
    return key[1] if key[:1] in ((bool,), (float,)) else tuple(_value(item) for item in key)


def choose_backend(op: str, buffers: dict[str, Buffer | None]) -> str:
    """The backend for these arrays; ValueError where they are not all where it can run."""
    device, first, described = HOST, "", True
    for name, buffer in buffers.items():
        if buffer is None:
            continue
        if not first:
            device, first = buffer.device, name
            described = type(buffer.source) is Spec
        elif buffer.device != device:
            places = " and ".join(
                f"{n} on {'the host' if b.device == HOST else f'CUDA device {b.device}'}"
                for n, b in buffers.items()
                if b is not None
            )
            raise ValueError(f"{op}: all arrays must be in one place, but got {places}")
    if _backend == "auto":
        return "cpu" if device == HOST else "cuda"
    if described:  # shapes are nowhere yet
        return _backend
    if (_backend == "cuda") != (device != HOST):
        place = "the host" if device == HOST else f"CUDA device {device}"
        raise ValueError(f"{op}: {first} is on {place}, but the backend is {_backend!r}")
    return _backend


def _empty(op: str, what: str, shape: tuple[int, ...], dtype: str, like: Buffer) -> Any:
    """New memory of the library of `like`; the error says for what there is none."""
    try:
        return like.family.empty(shape, dtype, like.source)
    except MemoryError as error:
        raise MemoryError(f"{op}: no memory for {what}: {brief(error)}") from None
    except TypeError as error:
        raise TypeError(f"{op}: {brief(error)}") from None


def _dense(op: str, name: str, backend_name: str, buffer: Buffer) -> Buffer:
    """The same values in dense, aligned memory, which lives as long as the Buffer."""
    array = buffer.handle
    on_host = buffer.device == HOST
    what = f"a dense copy of {name}"
    like = buffer if buffer.family is not DLPACK else buffer._replace(family=NUMPY)
    dense = wrap("copy", "x", _empty(op, what, like.shape, like.dtype, like))
    if on_host and not (array.flags.aligned and array.dtype.isnative):
        dense.handle[...] = array
        return dense
    described: Described = {"x": (buffer.shape, buffer.dtype)}
    call = Call("copy", "auto", backend_name, described, {"strides": buffer.strides})
    source = array.ctypes.data if on_host else array
    stream = buffer.family.stream(buffer.source)
    call.plan().run((dense.handle,), (source,), stream, max(buffer.device, 0))
    return dense


def _check_out(
    op: str, name: str, out: Any, spec: tuple[Any, str], like: Buffer, inputs: dict[str, Any]
) -> Buffer:
    buffer = wrap(op, name, out)
    shape, dtype = spec
    if buffer.shape != shape:
        raise ValueError(f"{op}: {name}.shape is {buffer.shape}, must be {shape}")
    if buffer.dtype != dtype:
        raise TypeError(f"{op}: {name}.dtype is {buffer.dtype}, must be {dtype}")
    if buffer.device != like.device:
        raise ValueError(f"{op}: {name} must be where the inputs are")
    if not buffer.dense:
        raise ValueError(
            f"{op}: {name} must be C-contiguous, aligned and of native byte order; "
            f"its strides are {buffer.strides} bytes"
        )
    if not (buffer.handle.flags.writeable if buffer.device == HOST else buffer.writeable):
        raise ValueError(f"{op}: {name} is read-only, must be writeable")
    if buffer.device == HOST:
        for other, array in inputs.items():
            if array is not None and np.may_share_memory(buffer.handle, array.handle):
                raise ValueError(f"{op}: {name} shares memory with {other}, must not")
    else:
        _check_device_overlap(op, name, buffer, inputs)
    return buffer


def _extent(buffer: Buffer) -> tuple[int, int]:
    """First and one-past-last byte address a device array touches."""
    low = high = int(buffer.handle)
    for side, stride in zip(buffer.shape, buffer.strides, strict=True):
        if side == 0:
            return low, low
        low += min(0, (side - 1) * stride)
        high += max(0, (side - 1) * stride)
    return low, high + itemsize(buffer.dtype)


def _check_device_overlap(op: str, name: str, buffer: Buffer, inputs: dict[str, Any]) -> None:
    low, high = _extent(buffer)
    for other, array in inputs.items():
        if array is None:
            continue
        other_low, other_high = _extent(array)
        if low < other_high and other_low < high:
            raise ValueError(f"{op}: {name} shares memory with {other}, must not")


def check_limit(op: str, value: Any) -> int | None:
    """max_workspace as the native side takes it."""
    limit = value if type(value) in _PLAIN else _key(value)
    if limit is None:
        return None
    if type(limit) is not int:
        raise TypeError(f"{op}: max_workspace is {shown(value)}, must be None or an int (bytes)")
    if limit < 0:
        raise ValueError(f"{op}: max_workspace is {shown(value)}, must be at least 0")
    return min(limit, _LARGEST_LIMIT)


def _plain_text(op: str, name: str, value: Any) -> str:
    if not issubclass(type(value), str):
        raise TypeError(f"{op}: {name} is {shown(value)}, must be a string")
    return str.__str__(value)


class Call(NamedTuple):
    """One call as the native side takes it, without its data."""

    op: str
    algo: str
    backend: str
    arrays: Described
    parameters: dict[str, Any]
    max_workspace: int | None = None
    updated: tuple[str, ...] = ()  # arrays that change in place, the last outputs of the plan
    precision: str = "high"

    def planned(self) -> tuple[_native.Plan, Specs]:
        """The cached plan of this call, or a new one; what the rules refuse raises here."""
        algo, precision = self.algo, self.precision
        if type(algo) is not str:
            algo = _plain_text(self.op, "algo", algo)
        if type(precision) is not str:
            precision = _plain_text(self.op, "precision", precision)
        values = tuple(
            value if type(value) in _PLAIN else _key(value) for value in self.parameters.values()
        )
        limit = self.max_workspace
        key = (self.op, self.backend, algo, values, tuple(self.arrays.values()), limit, precision)
        known = _plans.get(key)
        if known is None:
            algo, precision = (
                text.encode(errors="backslashreplace").decode() for text in (algo, precision)
            )
            parameters = dict(zip(self.parameters, map(_value, values), strict=True))
            plan = _native.plan(
                self.op, self.backend, algo, self.arrays, parameters, limit, precision
            )
            known = (plan, plan.outputs)
            if len(_plans) >= PLAN_LIMIT:
                _plans.clear()
            _plans[key] = known
        return known

    def plain_parameters(self) -> dict[str, Any]:
        """The parameters as built-in types, where they are what they may be."""
        return {name: _value(_key(value)) for name, value in self.parameters.items()}

    def plan(self) -> _native.Plan:
        return self.planned()[0]

    def outputs(self) -> Specs:
        """(shape, dtype) of each result."""
        specs = self.planned()[1]
        return specs[: len(specs) - len(self.updated)]

    def candidates(self) -> list[tuple[str, str]]:
        """The backend's algorithms for this call, each with its refusal or ""."""
        parameters = self.plain_parameters()
        return _native.candidates(
            self.op,
            self.backend,
            self.arrays,
            parameters,
            self.max_workspace,
            _plain_text(self.op, "precision", self.precision),
        )


def run(
    op: str,
    arrays: dict[str, Any],
    parameters: dict[str, Any],
    *,
    algo: str = "auto",
    max_workspace: Any = None,
    out: Any = None,
    precision: str = "high",
    updated: tuple[str, ...] = (),
) -> Any:
    """Run the public function `op` on `arrays` (None where optional) and return its result.

    Args:
        op: the public function's name, which is also the native and the reference one.
        arrays: by parameter name, in the order of the native call. The first is what the result is
            like.
        parameters: the rest of the call, by name.
        updated: names of arrays that the call changes in place, where they are given; the last
            outputs of the plan.

    Returns: an array, or a tuple of them where the plan has several outputs.
    """
    # A call that is known is done without what follows, which takes longer than a small layer.
    may_be_known = not updated and _backend in ("auto", "cpu")
    if may_be_known:
        result = recall(op, arrays, parameters, algo, max_workspace, precision, out)
        if result is not None:
            return result
    if any(issubclass(type(array), Tensor) for array in arrays.values()):
        from convkit.recorded import record

        options = {"algo": algo, "max_workspace": max_workspace, "precision": precision}
        return record(op, arrays, parameters, out, updated=updated, **options)
    buffers = {
        name: None if array is None else wrap(op, name, array) for name, array in arrays.items()
    }
    backend_name = choose_backend(op, buffers)
    first = next(iter(buffers.values()))
    if first is None:
        raise TypeError(f"{op}: {next(iter(buffers))} is None, must be an array")
    limit = check_limit(op, max_workspace)
    # The reference backend obeys the same rules: it is the native problem that checks them. It has
    # no workspace to limit.
    is_reference = backend_name == "reference"
    call = Call(
        op,
        "auto" if is_reference else algo,
        "cpu" if is_reference else backend_name,
        {name: None if b is None else (b.shape, b.dtype) for name, b in buffers.items()},
        parameters,
        None if is_reference else limit,
        tuple(name for name in updated if buffers[name] is not None) if updated else (),
        precision,
    )
    if type(first.source) is Spec:
        return call
    plan, specs = call.planned()
    changed: list[Any] = []
    if call.updated:
        changed = _in_place(op, call.updated, buffers)
        specs = specs[: -len(changed)]
    results, handles = _results(op, specs, out, first, buffers)
    if is_reference:
        _run_reference(op, buffers, call.plain_parameters(), handles)
    else:
        ready = [
            b if b is None or b.dense else _dense(op, name, backend_name, b)
            for name, b in buffers.items()
        ]
        inputs = tuple(None if b is None else b.handle for b in ready)
        device = first.device if first.device > HOST else 0
        plan.run((*handles, *changed), inputs, first.family.stream(first.source), device)
    if may_be_known:
        _native.keep(op, arrays, parameters, algo, max_workspace, precision, plan)
    if out is None:
        results = [finish(result, first) for result in results]
    return results[0] if len(results) == 1 else tuple(results)


def _in_place(op: str, names: tuple[str, ...], buffers: dict[str, Buffer | None]) -> list[Any]:
    """What the native side writes to of the caller's arrays that a call changes."""
    handles = []
    for name in names:
        buffer = buffers[name]
        assert buffer is not None
        others = {other: b for other, b in buffers.items() if other != name}
        spec = (buffer.shape, buffer.dtype)
        handles.append(_check_out(op, name, buffer.source, spec, buffer, others).handle)
    return handles


def _results(
    op: str, specs: Specs, out: Any, first: Buffer, inputs: dict[str, Buffer | None]
) -> tuple[list[Any], list[Any]]:
    """The arrays for the results, new or the caller's, and what the native side takes of each."""
    if out is None:
        results, handles = [], []
        for shape, dtype in specs:
            result = _empty(op, "the result", shape, dtype, first)
            plain = type(result) is np.ndarray and dtype != "bfloat16"
            results.append(result)
            handles.append(result if plain else wrap(op, "out", result).handle)
        return results, handles
    if len(specs) == 1:
        results = [out]
    else:
        is_tuple = issubclass(type(out), tuple)
        results = list(out) if is_tuple else []
        if len(results) != len(specs):
            given = f"a tuple of {len(results)}" if is_tuple else type_name(out)
            raise TypeError(f"{op}: out is {given}, must be a tuple of {len(specs)} arrays")
    checked: list[Buffer] = []
    for result, spec in zip(results, specs, strict=True):
        others = {**inputs, **{f"out[{i}]": buffer for i, buffer in enumerate(checked)}}
        name = "out" if len(specs) == 1 else f"out[{len(checked)}]"
        checked.append(_check_out(op, name, result, spec, first, others))
    return results, [buffer.handle for buffer in checked]


def _run_reference(
    op: str, buffers: dict[str, Buffer | None], parameters: dict[str, Any], handles: list[Any]
) -> None:
    from convkit import reference

    named = {
        name: None if b is None else _numbers(b.handle, b.dtype) for name, b in buffers.items()
    }
    value = getattr(reference, op)(**named, **parameters)
    values = value if isinstance(value, tuple) else (value,)
    for handle, result in zip(handles, values, strict=True):
        _numbers(handle, result.dtype.name)[...] = result


def _numbers(handle: np.ndarray, dtype: str) -> np.ndarray:
    """A host array whose bfloat16 stood as bits, as numbers again."""
    if dtype != "bfloat16":
        return handle
    import ml_dtypes

    return handle.view(ml_dtypes.bfloat16)
