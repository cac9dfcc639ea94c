"""Any array in, the same array type out: what the kernels need to know of a caller's array.

NumPy and CuPy arrays are read directly; other host arrays come through DLPack, other device arrays
through
`__cuda_array_interface__`. Nothing is copied here.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Family(NamedTuple):
    """How a library makes arrays: `empty(shape, dtype name, like)`, and the stream it works on."""

    name: str
    empty: Callable[[tuple[int, ...], str, Any], Any]
    stream: Callable[[Any], int]


class Buffer(NamedTuple):
    """One argument as the kernels see it."""

    source: Any  # the caller's array
    shape: tuple[int, ...]
    dtype: str
    device: int  # CUDA ordinal, or -1 for the host
    dense: bool  # C-contiguous, aligned, native byte order
    handle: Any  # an ndarray on the host; an address on a device
    strides: tuple[int, ...]  # in bytes
    family: Family


HOST = -1


class Spec(NamedTuple):
    """Stands for an array known by shape and dtype alone: the call is described, not run."""

    shape: tuple[int, ...]
    dtype: str


def _host_stream(_array: Any) -> int:
    return 0


def _numpy_empty(shape: tuple[int, ...], dtype: str, _like: Any) -> Any:
    return np.empty(shape, dtype)


NUMPY = Family("numpy", _numpy_empty, _host_stream)


# dtype.name is computed anew at each access, slower than the rest of a call.
_names: dict[np.dtype[Any], tuple[str, bool]] = {}


def _numpy_buffer(array: np.ndarray) -> Buffer:
    flags = array.flags
    dtype = array.dtype
    known = _names.get(dtype)
    if known is None:
        known = _names[dtype] = (dtype.name, dtype.isnative)
    name, is_native = known
    dense = is_native and flags.c_contiguous and flags.aligned
    # NumPy lends no memory of a type it does not know: bfloat16 goes by its bits.
    handle = array.view(np.uint16) if name == "bfloat16" else array
    return Buffer(array, array.shape, name, HOST, dense, handle, array.strides, NUMPY)


def _cupy_empty(shape: tuple[int, ...], dtype: str, like: Any) -> Any:
    cupy = sys.modules["cupy"]
    with cupy.cuda.Device(like.device.id):
        return cupy.empty(shape, dtype)


def _cupy_stream(array: Any) -> int:
    cupy = sys.modules["cupy"]
    return int(cupy.cuda.get_current_stream(array.device.id).ptr)


CUPY = Family("cupy", _cupy_empty, _cupy_stream)


def _cupy_buffer(array: Any) -> Buffer:
    return Buffer(
        array,
        array.shape,
        array.dtype.name,
        array.device.id,
        array.flags.c_contiguous,
        array.data.ptr,
        array.strides,
        CUPY,
    )


def _torch_empty(shape: tuple[int, ...], dtype: str, like: Any) -> Any:
    torch = sys.modules["torch"]
    return torch.empty(shape, dtype=getattr(torch, dtype), device=like.device)


def _torch_stream(array: Any) -> int:
    if array.device.type != "cuda":
        return 0
    return int(sys.modules["torch"].cuda.current_stream(array.device).cuda_stream)


TORCH = Family("torch", _torch_empty, _torch_stream)


def _interface_empty(shape: tuple[int, ...], dtype: str, like: Any) -> Any:
    """Device memory for arrays known only by their interface: Numba's own, else CuPy's."""
    if type(like).__module__.startswith("numba.") and "numba.cuda" in sys.modules:
        return sys.modules["numba.cuda"].device_array(shape, dtype)
    try:
        import cupy
    except ImportError:
        raise TypeError(
            f"a result for {type(like).__module__}.{type(like).__name__} needs CuPy to allocate "
            "it: install convkit[cuda12] or convkit[cuda13], or pass out="
        ) from None
    result = cupy.empty(shape, dtype)
    owner = sys.modules.get(type(like).__module__.partition(".")[0])
    return owner.from_dlpack(result) if hasattr(owner, "from_dlpack") else result


def _interface_stream(array: Any) -> int:
    # Protocol version 3: 1 and 2 are the legacy and the per-thread default stream, else the
    # stream's address.
    return int(array.__cuda_array_interface__.get("stream") or 0)


INTERFACE = Family("__cuda_array_interface__", _interface_empty, _interface_stream)


def _device_of(array: Any) -> int:
    device = getattr(array, "__dlpack_device__", None)
    return int(device()[1]) if device is not None else 0


def _interface_buffer(array: Any, interface: dict[str, Any], family: Family) -> Buffer:
    dtype = np.dtype(interface["typestr"])
    # The protocol has no word for bfloat16.
    name = str(array.dtype)[len("torch.") :] if family is TORCH else dtype.name
    shape = tuple(interface["shape"])
    strides = interface.get("strides")
    dense_strides = _dense_strides(shape, dtype.itemsize)
    return Buffer(
        array,
        shape,
        name,
        _device_of(array),
        dtype.isnative and (strides is None or tuple(strides) == dense_strides or 0 in shape),
        int(interface["data"][0]),
        dense_strides if strides is None else tuple(strides),
        family,
    )


def _dense_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides = []
    step = itemsize
    for side in reversed(shape):
        strides.append(step)
        step *= side
    return tuple(reversed(strides))


def _dlpack_empty(shape: tuple[int, ...], dtype: str, like: Any) -> Any:
    """A host result for a library reached through DLPack, by its own from_dlpack."""
    return np.empty(shape, dtype)


DLPACK = Family("dlpack", _dlpack_empty, _host_stream)


def wrap(op: str, name: str, array: Any) -> Buffer:
    """The array as a Buffer; TypeError naming `op` and `name` where it is no array."""
    kind = type(array)
    if kind is np.ndarray:
        return _numpy_buffer(array)
    if kind is Spec:
        return Buffer(array, array.shape, array.dtype, HOST, True, None, (), NUMPY)
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(
            f"{op}: {name} is a masked array; kernels do not know masks, pass {name}.filled(value)"
        )
    if isinstance(array, np.ndarray):
        return _numpy_buffer(np.asarray(array))
    library = kind.__module__.partition(".")[0]
    if library == "cupy" and hasattr(array, "data"):
        return _cupy_buffer(array)
    if library == "torch" and hasattr(array, "is_neg") and (array.is_neg() or array.is_conj()):
        # Such tensors are negated or conjugated only when read through torch; DLPack drops that.
        raise TypeError(f"{op}: {name} is a lazily negated tensor; pass {name}.resolve_neg()")
    family = TORCH if library == "torch" else INTERFACE
    interface = getattr(array, "__cuda_array_interface__", None)
    if interface is not None:
        return _interface_buffer(array, interface, family)
    if hasattr(array, "__dlpack__"):
        is_bfloat16 = library == "torch" and str(array.dtype) == "torch.bfloat16"
        bits = array.view(sys.modules["torch"].int16) if is_bfloat16 else array
        try:
            host = np.from_dlpack(bits)
        except (BufferError, RuntimeError, TypeError) as error:
            raise TypeError(f"{op}: {name} cannot be read through DLPack: {error}") from error
        buffer = _numpy_buffer(host)._replace(
            source=array, family=TORCH if library == "torch" else DLPACK
        )
        return buffer._replace(dtype="bfloat16") if is_bfloat16 else buffer
    raise TypeError(
        f"{op}: {name} is {kind.__module__}.{kind.__qualname__}, must be an array "
        "(NumPy, CuPy, or anything with __dlpack__ or __cuda_array_interface__)"
    )


def finish(result: Any, like: Buffer) -> Any:
    """A result made by `like.family.empty`, as the caller's type."""
    if like.family is not DLPACK:
        return result
    module = sys.modules.get(type(like.source).__module__.partition(".")[0])
    for space in (module, getattr(module, "numpy", None)):
        if space is not None and hasattr(space, "from_dlpack"):
            return space.from_dlpack(result)
    return result
