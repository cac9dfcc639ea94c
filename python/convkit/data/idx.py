"""Files of the idx format, in which MNIST and Fashion-MNIST are published; gzipped or plain."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from convkit.data.datasets import ArrayDataset, from_bytes

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GARMENTS = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
_PIECE = 1 << 20  # bytes read at once: a header that lies about its size costs no memory


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an idx file, in this machine's byte order. `.gz` files are unpacked.

    The file is: two zero bytes, a byte for the type, a byte for the number of dimensions, each
    dimension as a big-endian uint32, the values in C order and big-endian.

    Raises: ValueError that names the file and the rule that it breaks; OSError where it cannot be
        opened.
    """
    path = Path(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read(file, path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged gzip file: {error}") from None


def _read(file: Any, path: Path) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise ValueError(
            f"{path}: not an idx file: starts with {magic.hex(' ') or 'nothing'}, must start with "
            "00 00, a type (08, 09, 0b to 0e) and a number of dimensions from 1"
        )
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise ValueError(f"{path}: ends in its header, which must give {magic[3]} dimensions")
    dtype = np.dtype(TYPES[magic[2]])
    shape = tuple(np.frombuffer(header, ">u4").tolist())
    wanted = math.prod(shape) * dtype.itemsize
    data = bytearray()
    while len(data) <= wanted:  # one byte more than wanted, to see that nothing follows
        piece = file.read(min(_PIECE, wanted + 1 - len(data)))
        if not piece:
            break
        data += piece
    if len(data) != wanted:
        held = f"only {len(data)}" if len(data) < wanted else "more"
        raise ValueError(f"{path}: holds {held} bytes of values, {shape} must be {wanted} bytes")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def find_part(folder: Path, part: str, kind: str) -> Path | None:
    """The file of `part` ("train" or "t10k") and `kind` ("images-idx3" or "labels-idx1")."""
    for name in (f"{part}-{kind}-ubyte", f"{part}-{kind.replace('-', '.')}-ubyte"):
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    return None


def is_idx_folder(folder: Path) -> bool:
    """Whether the folder holds MNIST's training images, or a set in its place."""
    return find_part(folder, "train", "images-idx3") is not None


def load_idx_folder(
    folder: str | os.PathLike[str], classes: tuple[str, ...] | None = None
) -> tuple[ArrayDataset, ArrayDataset]:
    """MNIST, Fashion-MNIST or another set in their place, as (train, test), pixels 0..1.

    Files: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, the same with `t10k`; each may end
    in `.gz`, and `train-images.idx3-ubyte` does as well.

    Raises: FileNotFoundError for a file that is missing, ValueError for one that is damaged.
    """
    folder = Path(folder)
    train = _load_part(folder, "train", classes)
    return train, _load_part(folder, "t10k", train.classes)


def _load_part(folder: Path, part: str, classes: tuple[str, ...] | None) -> ArrayDataset:
    found = {}
    for kind in ("images-idx3", "labels-idx1"):
        path = find_part(folder, part, kind)
        if path is None:
            raise FileNotFoundError(f"{folder}: has no {part}-{kind}-ubyte or .gz of it")
        array = read_idx(path)
        wanted = int(kind[-1])
        if array.dtype != np.uint8 or array.ndim != wanted:
            raise ValueError(
                f"{path}: holds {array.dtype} {array.shape}, "
                f"{kind.partition('-')[0]} must be uint8 in {wanted} dimensions"
            )
        found[kind] = path, array
    (images_path, images), (labels_path, labels) = found.values()
    if len(images) != len(labels):
        raise ValueError(
            f"{labels_path}: holds {len(labels)} labels, {images_path} holds {len(images)} images: "
            "must be as many"
        )
    if classes is not None and labels.max(initial=0) >= len(classes):
        raise ValueError(f"{labels_path}: label {labels.max()}, must be 0 to {len(classes) - 1}")
    return from_bytes(images[:, None], labels, classes)
