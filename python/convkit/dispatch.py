"""One function every op calls: wrap the arrays, find or make the plan, allocate, run, return."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from convkit import _native
from convkit.arrays import DLPACK, HOST, NUMPY, Buffer, Spec, finish, wrap

BACKENDS = ("auto", "cpu", "cuda", "simt", "reference")
PLAN_LIMIT = 4096

_backend = "auto"
Specs = tuple[tuple[tuple[int, ...], str], ...]
_plans: dict[tuple[Any, ...], tuple[_native.Plan, Specs]] = {}

# 1, 1.0 and True are equal as dictionary keys, so parameters are checked for their type before the
# look-up.
_PLAIN = (int, str, type(None))


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
    if name not in BACKENDS:
        raise ValueError(f"set_backend: name is {name!r}, must be one of {', '.join(BACKENDS)}")
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


def _canonical(value: Any) -> Any:
    """The value as a key that only equal values of its kind share; C++ checks the rules."""
    if isinstance(value, (list, tuple)):
        return tuple(_canonical(item) for item in value)
    if isinstance(value, (bool, np.bool_)):
        return ("flag", bool(value))
    if isinstance(value, (int, np.integer)):
        return int(value)
    if type(value) is float:
        return ("float", value)
    if isinstance(value, (str, type(None))):
        return value
    return (type(value), repr(value))  # refused there, with the parameter's own rule


def choose_backend(op: str, buffers: dict[str, Buffer | None]) -> str:
    """The backend for these arrays; ValueError where they are not all where it can run."""
    device, first = HOST, ""
    for name, buffer in buffers.items():
        if buffer is None:
            continue
        if not first:
            device, first = buffer.device, name
        elif buffer.device != device:
            places = " and ".join(
                f"{n} on {'the host' if b.device == HOST else f'CUDA device {b.device}'}"
                for n, b in buffers.items()
                if b is not None
            )
            raise ValueError(f"{op}: all arrays must be in one place, but got {places}")
    if _backend == "auto":
        return "cpu" if device == HOST else "cuda"
    if (_backend == "cuda") != (device != HOST):
        place = "the host" if device == HOST else f"CUDA device {device}"
        raise ValueError(f"{op}: {first} is on {place}, but the backend is {_backend!r}")
    return _backend


def _dense(backend_name: str, buffer: Buffer) -> Buffer:
    """The same values in dense, aligned memory, which lives as long as the Buffer."""
    array = buffer.handle
    on_host = buffer.device == HOST
    if on_host and not (array.flags.aligned and array.dtype.isnative):
        return _numpy_copy(buffer)
    described = {"x": (buffer.shape, buffer.dtype)}
    call = Call("copy", "auto", backend_name, described, {"strides": buffer.strides})
    like = buffer if buffer.family is not DLPACK else buffer._replace(family=NUMPY)
    dense = wrap("copy", "x", like.family.empty(like.shape, like.dtype, like.source))
    source = array.ctypes.data if on_host else array
    stream = buffer.family.stream(buffer.source)
    call.plan().run((dense.handle,), (source,), stream, max(buffer.device, 0))
    return dense


def _numpy_copy(buffer: Buffer) -> Buffer:
    array = buffer.handle
    return buffer._replace(
        handle=np.require(array, array.dtype.newbyteorder("="), ["C", "A"]), dense=True
    )


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
    if buffer.device == HOST:
        if not buffer.handle.flags.writeable:
            raise ValueError(f"{op}: {name} is read-only, must be writeable")
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
    return low, high + np.dtype(buffer.dtype).itemsize


def _check_device_overlap(op: str, name: str, buffer: Buffer, inputs: dict[str, Any]) -> None:
    low, high = _extent(buffer)
    for other, array in inputs.items():
        if array is None:
            continue
        other_low, other_high = _extent(array)
        if low < other_high and other_low < high:
            raise ValueError(f"{op}: {name} shares memory with {other}, must not")


class Call(NamedTuple):
    """One call as the native side takes it, without its data."""

    op: str
    algo: str
    backend: str
    arrays: dict[str, tuple[tuple[int, ...], str] | None]
    parameters: dict[str, Any]

    def planned(self) -> tuple[_native.Plan, Specs]:
        """The cached plan of this call, or a new one; what the rules refuse raises here."""
        if type(self.algo) is not str:
            raise TypeError(f"{self.op}: algo is {self.algo!r}, must be a string")
        values = tuple(
            value if type(value) in _PLAIN else _canonical(value)
            for value in self.parameters.values()
        )
        key = (self.op, self.backend, self.algo, values, tuple(self.arrays.values()))
        known = _plans.get(key)
        if known is None:
            plan = _native.plan(self.op, self.backend, self.algo, self.arrays, self.parameters)
            known = (plan, plan.outputs)
            if len(_plans) >= PLAN_LIMIT:
                _plans.clear()
            _plans[key] = known
        return known

    def plan(self) -> _native.Plan:
        return self.planned()[0]

    def candidates(self) -> list[tuple[str, str]]:
        """The backend's algorithms for this call, each with its refusal or ""."""
        return _native.candidates(self.op, self.backend, self.arrays, self.parameters)


def run(
    op: str,
    arrays: dict[str, Any],
    parameters: dict[str, Any],
    *,
    algo: str = "auto",
    out: Any = None,
    outputs: int = 1,
    updated: tuple[str, ...] = (),
) -> Any:
    """Run the public function `op` on `arrays` (None where optional) and return its result.

    Args:
        op: the public function's name, which is also the native and the reference one.
        arrays: by parameter name, in the order of the native call. The first is what the result is
            like.
        parameters: the rest of the call, by name.
        outputs: how many of the op's results are wanted (max_pool2d without indices wants one).
        updated: names of arrays that the call changes in place, where they are given; the last
            results of the native call.
    """
    buffers = {
        name: None if array is None else wrap(op, name, array) for name, array in arrays.items()
    }
    backend_name = choose_backend(op, buffers)
    first = next(iter(buffers.values()))
    if first is None:
        raise TypeError(f"{op}: {next(iter(buffers))} is None, must be an array")
    # The reference backend obeys the same rules: it is the native problem that checks them.
    is_reference = backend_name == "reference"
    call = Call(
        op,
        "auto" if is_reference else algo,
        "cpu" if is_reference else backend_name,
        {name: None if b is None else (b.shape, b.dtype) for name, b in buffers.items()},
        parameters,
    )
    if type(first.source) is Spec:
        return call
    plan, specs = call.planned()
    changed = _in_place(op, updated, buffers)
    results, handles = _results(op, specs[:outputs], out, first, buffers)
    if changed:
        handles += [None] * (len(specs) - outputs - len(changed)) + changed
    if is_reference:
        _run_reference(op, buffers, parameters, handles)
    else:
        ready = [b if b is None or b.dense else _dense(backend_name, b) for b in buffers.values()]
        inputs = tuple(None if b is None else b.handle for b in ready)
        device = first.device if first.device > HOST else 0
        plan.run(tuple(handles), inputs, first.family.stream(first.source), device)
    if out is None:
        results = [finish(result, first) for result in results]
    return results[0] if outputs == 1 else tuple(results)


def _in_place(op: str, names: tuple[str, ...], buffers: dict[str, Buffer | None]) -> list[Any]:
    """What the native side writes to of the caller's arrays that a call changes."""
    handles = []
    for name in names:
        buffer = buffers[name]
        if buffer is not None:
            others = {other: b for other, b in buffers.items() if other != name}
            spec = (buffer.shape, buffer.dtype)
            handles.append(_check_out(op, name, buffer.source, spec, buffer, others).handle)
    return handles


def _results(
    op: str, specs: Specs, out: Any, first: Buffer, inputs: dict[str, Buffer | None]
) -> tuple[list[Any], list[Any]]:
    """The arrays for the results, new or the caller's, and what the native side takes of each."""
    if out is None:
        results = [first.family.empty(shape, dtype, first.source) for shape, dtype in specs]
        known = [type(r) is np.ndarray and r.dtype.kind != "V" for r in results]
        handles = [
            r if plain else wrap(op, "out", r).handle
            for r, plain in zip(results, known, strict=True)
        ]
        return results, handles
    if len(specs) == 1:
        results = [out]
    elif isinstance(out, tuple) and len(out) == len(specs):
        results = list(out)
    else:
        raise TypeError(
            f"{op}: out is {type(out).__name__}, must be a tuple of {len(specs)} arrays"
        )
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
    for handle, result in zip(
        handles, value if isinstance(value, tuple) else (value,), strict=False
    ):
        _numbers(handle, result.dtype.name)[...] = result


def _numbers(handle: np.ndarray, dtype: str) -> np.ndarray:
    """A host array whose bfloat16 stood as bits, as numbers again."""
    if dtype != "bfloat16":
        return handle
    import ml_dtypes

    return handle.view(ml_dtypes.bfloat16)
