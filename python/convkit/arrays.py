"""Any array in, the same array type out: what the kernels need to know of a caller's array.

NumPy and CuPy arrays are read directly; other host arrays come through DLPack, other device arrays
through
`__cuda_array_interface__`. Nothing is copied here.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np

from convkit._native import shown


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
    writeable: bool = True  # of a device array; the ndarray of a host one knows it itself


HOST = -1
_LAST_ADDRESS = 2**64 - 1


class Spec(NamedTuple):
    """Stands for an array known by shape and dtype alone: the call is described, not run."""

    shape: tuple[int, ...]
    dtype: str


def itemsize(dtype: str) -> int:
    """Bytes of an element; NumPy knows bfloat16 only after ml_dtypes."""
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


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
    if _module(like).startswith("numba.") and "numba.cuda" in sys.modules:
        return sys.modules["numba.cuda"].device_array(shape, dtype)
    try:
        import cupy
    except ImportError:
        raise TypeError(
            f"a result for {type_name(like)} needs CuPy to allocate "
            "it: install convkit[cuda12] or convkit[cuda13], or pass out="
        ) from None
    result = cupy.empty(shape, dtype)
    owner: Any = sys.modules.get(_module(like).partition(".")[0])
    return owner.from_dlpack(result) if hasattr(owner, "from_dlpack") else result


def _interface_stream(array: Any) -> int:
    # Protocol version 3: 1 and 2 are the legacy and the per-thread default stream, else the
    # stream's address.
    return int(array.__cuda_array_interface__.get("stream") or 0)


INTERFACE = Family("__cuda_array_interface__", _interface_empty, _interface_stream)


def type_name(value: Any) -> str:
    """The value's type as a message names it."""
    return f"{_module(value)}.{_of_class(value, '__qualname__')}"


def brief(error: BaseException) -> str:
    """What another library's exception says, on one line and not too long."""
    text = " ".join(f"{error}".split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."


def _module(value: Any) -> str:
    return _of_class(value, "__module__")


def _of_class(value: Any, attribute: str) -> str:
    try:
        text = getattr(type(value), attribute)
    except Exception:  # a metaclass may have code of its own there
        text = None
    return text if isinstance(text, str) else "?"


def _attribute(op: str, name: str, array: Any, attribute: str) -> Any:
    """The attribute, None where there is none; it may be code that raises."""
    try:
        return getattr(array, attribute, None)
    except Exception as error:
        message = f"{op}: {name}.{attribute} cannot be read: {brief(error)}"
        raise TypeError(message) from error


def _device_of(op: str, name: str, array: Any) -> int:
    device = _attribute(op, name, array, "__dlpack_device__")
    if device is None:
        return 0
    try:
        told = device()
        number = operator.index(told[1])
    except Exception as error:
        message = f"{op}: {name}.__dlpack_device__() does not tell the device: {brief(error)}"
        raise TypeError(message) from error
    if not 0 <= number < 2**31:  # -1 would pass for the host
        message = f"{op}: {name}.__dlpack_device__() does not tell the device: it is {shown(told)}"
        raise TypeError(message)
    return number


def _integers(value: Any, low: int, high: int) -> tuple[int, ...] | None:
    """The value as a tuple of built-in ints, None where it is none of that range."""
    if not isinstance(value, (tuple, list)):
        return None
    try:
        numbers = tuple(operator.index(item) for item in value)
    except TypeError:
        return None
    return numbers if all(low <= number <= high for number in numbers) else None


class _Interface:
    """Reads a `__cuda_array_interface__`; what is wrong with it is named."""

    def __init__(self, what: str, entries: Any) -> None:
        if not isinstance(entries, dict):
            raise TypeError(f"{what} is {shown(entries)}, must be a dict")
        if entries.get("mask") is not None:
            raise TypeError(f"{what} has a mask; kernels do not know masks")
        self.what = what
        self.entries = entries

    def refuse(self, key: str, rule: str) -> NoReturn:
        given = f"is {shown(self.entries[key])}" if key in self.entries else "is missing"
        raise TypeError(f"{self.what}[{key!r}] {given}, must be {rule}")

    def shape(self) -> tuple[int, ...]:
        shape = _integers(self.entries.get("shape"), 0, 2**50)
        return (
            self.refuse("shape", "a tuple of integers from 0 to 2**50") if shape is None else shape
        )

    def dtype(self) -> np.dtype[Any]:
        text = self.entries.get("typestr")
        try:
            dtype = np.dtype(text if isinstance(text, str) else "")
        except Exception:  # NumPy has an error for each kind of wrong
            self.refuse("typestr", "a type in NumPy's notation, such as '<f4'")
        return dtype if dtype.isnative else self.refuse("typestr", "of native byte order")

    def strides(self, rank: int) -> tuple[int, ...] | None:
        given = self.entries.get("strides")
        strides = _integers(given, -(2**62), 2**62)
        if given is not None and (strides is None or len(strides) != rank):
            self.refuse("strides", f"None or a tuple of {rank} integers")
        return strides

    def data(self, is_empty: bool) -> tuple[int, bool]:
        """The address, and whether it is read-only."""
        pair: Any = self.entries.get("data")
        is_pair = isinstance(pair, (tuple, list)) and len(pair) == 2
        address = _integers(pair[:1], 0, _LAST_ADDRESS) if is_pair else None
        if address is None:
            self.refuse("data", "a pair (address, whether it is read-only)")
        if not is_empty and address[0] == 0:
            self.refuse("data", "an address other than 0")
        return address[0], bool(pair[1])

    def check_stream(self) -> None:
        stream = self.entries.get("stream")
        if stream is not None and _integers((stream,), 0, _LAST_ADDRESS) is None:
            self.refuse("stream", "None or a stream's address")


def _interface_buffer(op: str, name: str, array: Any, entries: Any, family: Family) -> Buffer:
    what = f"{op}: {name}.__cuda_array_interface__"
    interface = _Interface(what, entries)
    shape, dtype = interface.shape(), interface.dtype()
    is_empty = 0 in shape
    # The protocol has no word for bfloat16.
    dtype_name = str(array.dtype)[len("torch.") :] if family is TORCH else dtype.name
    dense_strides = _dense_strides(shape, dtype.itemsize)
    strides = interface.strides(len(shape)) or dense_strides
    address, is_read_only = interface.data(is_empty)
    interface.check_stream()
    itemsize = max(dtype.itemsize, 1)
    if not is_empty and any(step % itemsize for step in (address, *strides)):
        raise ValueError(
            f"{what}: the address {address} and strides {strides} must be multiples of the "
            f"{itemsize} bytes of an element"
        )
    return Buffer(
        array,
        shape,
        dtype_name,
        _device_of(op, name, array),
        is_empty or strides == dense_strides,
        address,
        strides,
        family,
        not is_read_only,
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
    # The type, not isinstance: an object may say of itself that it is of any class.
    if issubclass(kind, np.ma.MaskedArray):
        raise TypeError(
            f"{op}: {name} is a masked array; kernels do not know masks, pass {name}.filled(value)"
        )
    if issubclass(kind, np.ndarray):
        return _numpy_buffer(np.ndarray.view(array, np.ndarray))
    if issubclass(kind, np.generic):  # what NumPy makes of arithmetic on arrays of shape ()
        value = np.asarray(array)
        value.flags.writeable = False
        return _numpy_buffer(value)
    if issubclass(kind, type):  # a class has its objects' attributes, but is no array
        raise _no_array(op, name, array)
    library, why = _module(array).partition(".")[0], ""
    try:
        if library == "cupy" and hasattr(array, "data"):
            return _cupy_buffer(array)
        if library == "torch" and hasattr(array, "is_neg"):
            why = _why_no_plain_tensor(name, array)
    except Exception as error:
        message = f"{op}: {name} cannot be read as an array of {library}: {brief(error)}"
        raise TypeError(message) from error
    if why:
        raise TypeError(f"{op}: {why}")
    interface = _attribute(op, name, array, "__cuda_array_interface__")
    if interface is not None:
        family = TORCH if library == "torch" else INTERFACE
        return _interface_buffer(op, name, array, interface, family)
    if _attribute(op, name, array, "__dlpack__") is not None:
        try:
            is_bfloat16 = library == "torch" and str(array.dtype) == "torch.bfloat16"
            bits = array.view(sys.modules["torch"].int16) if is_bfloat16 else array
            host = np.from_dlpack(bits)
        except Exception as error:  # it runs the other library's code
            message = f"{op}: {name} cannot be read through DLPack: {brief(error)}"
            raise TypeError(message) from error
        buffer = _numpy_buffer(host)._replace(
            source=array, family=TORCH if library == "torch" else DLPACK
        )
        return buffer._replace(dtype="bfloat16") if is_bfloat16 else buffer
    raise _no_array(op, name, array)


def _why_no_plain_tensor(name: str, array: Any) -> str:
    """What DLPack would drop of a tensor of torch: what is done when it is read, its gradient."""
    if array.is_conj():
        return f"{name} is a lazily conjugated tensor; pass {name}.resolve_conj()"
    if array.is_neg():
        return f"{name} is a lazily negated tensor; pass {name}.resolve_neg()"
    if array.requires_grad:  # a view of bfloat16 as integers forgets it
        return f"{name} requires a gradient, which torch cannot follow here; pass {name}.detach()"
    return ""


def _no_array(op: str, name: str, value: Any) -> TypeError:
    return TypeError(
        f"{op}: {name} is {type_name(value)}, must be an array "
        "(NumPy, CuPy, or anything with __dlpack__ or __cuda_array_interface__)"
    )


def finish(result: Any, like: Buffer) -> Any:
    """A result made by `like.family.empty`, as the caller's type."""
    if like.family is not DLPACK:
        return result
    module = sys.modules.get(_module(like.source).partition(".")[0])
    for space in (module, getattr(module, "numpy", None)):
        if space is not None and hasattr(space, "from_dlpack"):
            return space.from_dlpack(result)
    return result
