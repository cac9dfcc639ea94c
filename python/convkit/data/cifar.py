"""CIFAR-10 and CIFAR-100 as published: the binary version, and the one of Python pickles."""

from __future__ import annotations

import math
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from convkit.data.datasets import ArrayDataset, from_bytes

CLASSES_10 = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
SHAPE = (3, 32, 32)
PIXELS = math.prod(SHAPE)
# (files to train with, file to test with, bytes of labels before each image)
_BINARY = {
    10: ([f"data_batch_{i}.bin" for i in range(1, 6)], "test_batch.bin", 1),
    100: (["train.bin"], "test.bin", 2),  # the coarse label, then the fine one
}
_PYTHON = {
    10: ([f"data_batch_{i}" for i in range(1, 6)], "test_batch", "labels"),
    100: (["train"], "test", "fine_labels"),
}
_FOLDERS = (
    "",
    *("cifar-10-batches-bin", "cifar-10-batches-py", "cifar-100-binary", "cifar-100-python"),
)
_NAMES = {10: "batches.meta.txt", 100: "fine_label_names.txt"}


def find_cifar(folder: Path, classes: int | None = None) -> tuple[Path, int, bool] | None:
    """(folder of the files, 10 or 100, whether binary), in `folder` or where archives unpack to."""
    for name in _FOLDERS:
        for count in (10, 100) if classes is None else (classes,):
            for binary, versions in ((True, _BINARY), (False, _PYTHON)):
                if (folder / name / versions[count][1]).is_file() and all(
                    (folder / name / file).is_file() for file in versions[count][0]
                ):
                    return folder / name, count, binary
    return None


def load_cifar(
    folder: str | os.PathLike[str], classes: int | None = None
) -> tuple[ArrayDataset, ArrayDataset]:
    """CIFAR-10 or CIFAR-100 (its 100 fine classes) as (train, test), pixels 0..1.

    Args:
        folder: with the binary or the pickled files, or the one their archive was unpacked in.
        classes: 10 or 100; None takes what is found.

    Raises: FileNotFoundError where no complete set is found, ValueError naming a damaged file.
    """
    found = find_cifar(Path(folder), classes)
    if found is None:
        raise FileNotFoundError(
            f"{folder}: has no complete CIFAR-{classes or '10 or CIFAR-100'}: data_batch_1.bin to "
            "data_batch_5.bin and test_batch.bin, train.bin and test.bin, or the pickles of these"
        )
    place, count, binary = found
    versions: dict[int, Any] = _BINARY if binary else _PYTHON
    train, test, labelled = versions[count]
    read = _read_binary if binary else _read_pickle
    names = _class_names(place, count)
    parts = []
    for files in (train, [test]):
        pieces = [read(place / file, labelled, count) for file in files]
        pixels = np.concatenate([piece[0] for piece in pieces])
        parts.append(from_bytes(pixels, np.concatenate([piece[1] for piece in pieces]), names))
    return parts[0], parts[1]


def _class_names(place: Path, count: int) -> tuple[str, ...]:
    if count == 10:
        return CLASSES_10
    path, meta = place / _NAMES[100], place / "meta"
    if path.is_file():
        names = path.read_text(errors="replace").split()
    elif meta.is_file():
        listed = read_pickle(meta).get("fine_label_names", [])
        names = [_text(name) for name in listed] if isinstance(listed, list) else []
    else:
        names = [str(number) for number in range(count)]
    if len(names) != count:
        raise ValueError(f"{place}: names {len(names)} classes, CIFAR-100 must have 100")
    return tuple(names)


def _read_binary(path: Path, labelled: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    record, size = labelled + PIXELS, path.stat().st_size
    if size == 0 or size % record:
        raise ValueError(f"{path}: is {size} bytes long, must be records of {record} bytes")
    records = np.fromfile(path, np.uint8).reshape(-1, record)
    labels = _checked_labels(path, records[:, labelled - 1].astype(np.int64), count)
    return records[:, labelled:].reshape(-1, *SHAPE), labels


def _read_pickle(path: Path, key: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    held = read_pickle(path)
    pixels, labels = held.get("data"), held.get(key)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise ValueError(f"{path}: 'data' must be uint8 (N, {PIXELS})")
    if pixels.shape[1] != PIXELS:
        raise ValueError(f"{path}: 'data' is {pixels.shape}, must be (N, {PIXELS})")
    if not isinstance(labels, list) or any(type(label) is not int for label in labels):
        raise ValueError(f"{path}: '{key}' must be a list of whole numbers")
    if len(labels) != len(pixels):
        raise ValueError(f"{path}: {len(labels)} labels for {len(pixels)} images, must be as many")
    if labels and not 0 <= min(labels) <= max(labels) < count:
        raise ValueError(
            f"{path}: labels are {min(labels)} to {max(labels)}, must be 0 to {count - 1}"
        )
    return pixels.reshape(-1, *SHAPE), np.array(labels, np.int64)


def _checked_labels(path: Path, labels: np.ndarray, count: int) -> np.ndarray:
    if labels.max() >= count:
        raise ValueError(f"{path}: label {labels.max()}, must be 0 to {count - 1}")
    return labels


def read_pickle(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle of numbers, text, bytes, lists and arrays of whole numbers.

    Nothing is imported and nothing of NumPy is called by the file: what it may name is listed in
    `_Unpickler`. Raises: ValueError naming the file for anything else.
    """
    try:
        with path.open("rb") as file:
            held = _Unpickler(file, encoding="bytes").load()
        if type(held) is not dict:
            raise ValueError(f"holds a {type(held).__name__}, must be a dictionary")
        return {_text(key): _finished(value) for key, value in held.items()}
    except OSError:
        raise
    except Exception as error:  # by its documentation unpickling damaged files may raise anything
        raise ValueError(f"{path}: not a pickle of CIFAR: {error}") from None


class _Refused(Exception):
    """A pickle names something that it may not."""


class _Dtype:
    """Stands in for `numpy.dtype`: whole numbers of one kind and size."""

    def __init__(self, name: Any = "", *_: Any) -> None:
        self.dtype = self._checked(_text(name).lstrip("<>|="))

    def __setstate__(self, state: Any) -> None:
        self.dtype = self._checked(_text(state[1]) + self.dtype.str[1:])

    @staticmethod
    def _checked(text: str) -> np.dtype[Any]:
        if text.lstrip("<>|=") not in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8"):
            raise _Refused(f"an array of {text}, must be of whole numbers")
        return np.dtype(text)


class _Array:
    """Stands in for an array while its pickle is read."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, columns_first, data = state
        self.state = (data, dtype, shape, "F" if columns_first else "C")


def _from_buffer(*state: Any) -> _Array:
    array = _Array()
    array.state = state
    return array


def _finished(value: Any) -> Any:
    if not isinstance(value, _Array):
        return value
    data, kind, shape, order = value.state
    if not isinstance(kind, _Dtype) or not isinstance(data, (bytes, bytearray)):
        raise _Refused("an array without its dtype and bytes")
    pixels = np.frombuffer(data, kind.dtype)
    return pixels.reshape(shape, order="F" if _text(order) == "F" else "C")


def _encode(text: str, encoding: str) -> bytes:
    """Stands in for `_codecs.encode`, by which Python 3 writes bytes into old pickles."""
    if _text(encoding) not in ("latin1", "latin-1"):
        raise _Refused(f"text encoded as {encoding}")
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    _ADMITTED = {  # noqa: RUF012
        **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
        **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
        ("numpy", "ndarray"): "numpy.ndarray",  # an argument of _reconstruct, never called
        ("numpy", "dtype"): _Dtype,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._ADMITTED[module, name]
        except KeyError:
            raise _Refused(f"it names {module}.{name}, may hold arrays and bytes only") from None


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)
