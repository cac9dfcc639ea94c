"""Weights in files: safetensors in and out, torch's .pth in without running what it says."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C  # how torch's old format begins
_OLD = pickle.dumps(_MAGIC, 2)[:4]
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


def save(
    state: Mapping[str, Any], path: str | os.PathLike[str], notes: Mapping[str, str] | None = None
) -> None:
    """Writes arrays by name as safetensors; a reader finds the old file or the new one, whole.

    The bytes go to a temporary file beside it, to the disk, and then take its place.

    Args:
        state: NumPy arrays by name, such as `Module.state_dict()` gives.
        notes: texts by name that the file holds beside them; `notes_of` reads them.

    Raises: OSError where the folder cannot be written to; the old file is then as it was.
    """
    from safetensors.numpy import save as to_bytes

    arrays = {name: np.asarray(array, order="C") for name, array in state.items()}
    replace_file(Path(path), to_bytes(arrays, dict(notes) if notes else None))


def notes_of(path: str | os.PathLike[str]) -> dict[str, str]:
    """The texts beside the arrays of a safetensors file.

    Raises: ValueError where it is no such file; OSError.
    """
    with Path(path).open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            head = json.loads(file.read(length) if length < 1 << 27 else b"")
        except ValueError:
            raise ValueError(f"{path} is no safetensors file") from None
    notes: dict[str, str] = head.get("__metadata__", {}) if isinstance(head, dict) else {}
    return notes


def replace_file(path: Path, data: bytes) -> None:
    """Gives the file these bytes; killed at any moment, it has the old ones or the new ones.

    A symbolic link stays, and what it points to is replaced; an existing file's permissions stay.
    """
    path = Path(os.path.realpath(path))
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name too is on the disk
    finally:
        os.close(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Arrays by name from a safetensors file or from what torch.save wrote.

    A .pth file is a program for Python's unpickler. This one knows tensors, dictionaries, lists,
    numbers and text; a file that names anything else is refused, and nothing it says is run.

    Returns: what the file holds: a dictionary whose tensors are NumPy arrays.
    Raises: ValueError that names the file and what is wrong with it; OSError.
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(8)
        file.seek(0)
        try:
            if start[:4] == b"PK\x03\x04":
                found = _load_zip(file)
            elif start[:4] == _OLD:  # a length of safetensors may begin with some of these bytes
                found = _load_old(file)
            else:
                from safetensors.numpy import load as from_bytes

                found = dict(from_bytes(file.read()))
        except _Refused as error:
            raise ValueError(f"{path}: {error}") from None
        except Exception as error:  # safetensors and pickle have errors of their own for each flaw
            raise ValueError(f"{path} is no file of weights: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds {type(found).__name__}, must hold arrays by name")
    return found


class _Refused(ValueError):
    """Says what the file may not hold."""


class _Storage:
    """Memory that tensors of a file share."""

    def __init__(self, dtype: str, key: str, count: int) -> None:
        self.dtype, self.key, self.count = dtype, key, count
        self.data: np.ndarray | None = None

    def fill(self, raw: bytes) -> None:
        if self.dtype == "bfloat16":
            import ml_dtypes

            kind = np.dtype(ml_dtypes.bfloat16)
        else:
            kind = np.dtype(self.dtype)
        if len(raw) != self.count * kind.itemsize:
            raise _Refused(
                f"storage {self.key} has {len(raw)} bytes, must have {self.count * kind.itemsize}"
            )
        self.data = np.frombuffer(raw, kind.newbyteorder("<") if kind.kind != "V" else kind)


class _Tensor(NamedTuple):
    """Where a tensor lies in a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        data, shape = self.storage.data, self.shape
        if data is None:
            raise _Refused(f"storage {self.storage.key} is missing")
        if min(shape, default=1) < 0 or min(self.strides, default=0) < 0 or self.offset < 0:
            raise _Refused(f"a tensor has shape {shape} and strides {self.strides}")
        if 0 in shape:
            return np.empty(shape, data.dtype)
        last = sum((n - 1) * step for n, step in zip(shape, self.strides, strict=True))
        if self.offset + last >= len(data):
            raise _Refused(f"a tensor of shape {shape} reaches beyond storage {self.storage.key}")
        steps = tuple(step * data.itemsize for step in self.strides)
        view = np.lib.stride_tricks.as_strided(data[self.offset :], shape, steps)
        native = data.dtype if data.dtype.kind == "V" else data.dtype.newbyteorder("=")
        return np.array(view, dtype=native)


def _rebuild(storage: Any, offset: int, shape: Any, strides: Any, *_more: Any) -> _Tensor:
    if not isinstance(storage, _Storage):
        raise _Refused("a tensor lies in no storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


class _Unpickler(pickle.Unpickler):
    """Knows tensors and plain Python; everything else is refused by name."""

    def __init__(self, file: Any, storages: dict[str, _Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in (
            ("torch._utils", "_rebuild_tensor_v2"),
            ("torch._utils", "_rebuild_tensor"),
        ):
            return _rebuild
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda data, *_: data
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return _STORAGES[name]
        raise _Refused(f"it names {module}.{name}, which is no tensor; nothing of it was run")

    def persistent_load(self, saved: Any) -> _Storage:
        kind, dtype, key, _place, count = saved[:5]
        if kind not in ("storage", b"storage") or dtype not in _STORAGES.values():
            raise _Refused(f"it refers to {kind!r}, which is no storage")
        return self.storages.setdefault(str(key), _Storage(dtype, str(key), int(count)))


def _load_zip(file: BinaryIO) -> Any:
    storages: dict[str, _Storage] = {}
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        index = next((name for name in names if name.endswith("/data.pkl")), None)
        if index is None:
            raise _Refused("the archive has no data.pkl")
        root = index.removesuffix("data.pkl")
        if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
            raise _Refused("its numbers are big-endian")
        made = _Unpickler(io.BytesIO(archive.read(index)), storages).load()
        for storage in storages.values():
            storage.fill(archive.read(f"{root}data/{storage.key}"))
    return _arrays(made)


def _load_old(file: BinaryIO) -> Any:
    """Pickles of a magic number, a version and the machine, the object, the storages' keys; then
    each storage: its length and its numbers."""
    storages: dict[str, _Storage] = {}
    if _Unpickler(file, storages).load() != _MAGIC:
        raise _Refused("it does not begin as torch's files do")
    for _ in range(2):
        _Unpickler(file, storages).load()
    made = _Unpickler(file, storages).load()
    for key in _Unpickler(file, storages).load():
        storage = storages[str(key)]
        (count,) = np.frombuffer(file.read(8), "<i8")
        if count != storage.count:
            raise _Refused(f"storage {key} has {count} numbers, must have {storage.count}")
        width = 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize
        storage.fill(file.read(math.prod((int(count), width))))
    return _arrays(made)


def _arrays(value: Any) -> Any:
    """The same with arrays in the places of tensors."""
    if isinstance(value, _Tensor):
        return value.array()
    if isinstance(value, dict):
        return {key: _arrays(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(_arrays, value))
    return value
