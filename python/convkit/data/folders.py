"""Photographs in folders, one folder for each class, read when they are wanted."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


class ImageFolder:
    """The photographs in the sub-folders of a folder; each sub-folder is a class.

    Classes and files are in alphabetical order. A batch holds RGB values 0..1, (N, 3, H, W), or
    (N, 1, H, W) of luma with color=False. Transparency is laid over white, the camera's
    orientation is applied.

    Args:
        folder: with a sub-folder for each class. Names that start with a dot are passed over.
        size: side, or (height, width), of the result: the photograph is resized until it just
            covers that, and its centre is cut out. None takes photographs as they are; all must
            have one size then.
        color: RGB, or luma.
        classes: the names of the classes in order, where the folder need not hold all.

    Raises: FileNotFoundError for a folder that is missing; ValueError where it has no classes, or
        a class has no photographs; later, in `batch`, for a file that cannot be read.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        size: int | tuple[int, int] | None = None,
        color: bool = True,
        classes: Sequence[str] | None = None,
    ) -> None:
        folder = Path(folder)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder")
        self.size = (size, size) if isinstance(size, int) else size
        if self.size is not None and min(self.size) < 1:
            raise ValueError(f"ImageFolder: size is {size}, must be 1 or more")
        self.color = color
        found = {entry.name: photographs(entry) for entry in _folders(folder)}
        if not found:
            raise ValueError(f"{folder}: has no sub-folders, must have one for each class")
        empty = next((name for name, files in found.items() if not files), None)
        if empty is not None:
            raise ValueError(
                f"{folder / empty}: has no photographs ({', '.join(sorted(SUFFIXES))})"
            )
        self.classes = tuple(found if classes is None else classes)
        strange = next((name for name in found if name not in self.classes), None)
        if strange is not None:
            raise ValueError(
                f"{folder / strange}: is no known class, these are: {', '.join(self.classes)}"
            )
        self.files = [file for files in found.values() for file in files]
        numbers = [self.classes.index(name) for name, files in found.items() for _ in files]
        self.labels = np.array(numbers, np.int64)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return read_photograph(self.files[index], self.size, self.color), int(self.labels[index])

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The photographs and labels at `indices`, in that order."""
        images: list[np.ndarray] = []
        for index in np.asarray(indices).tolist():
            images.append(read_photograph(self.files[index], self.size, self.color))
            if images[-1].shape != images[0].shape:
                (height, width), (rows, columns) = images[-1].shape[1:], images[0].shape[1:]
                raise ValueError(
                    f"{self.files[index]}: is {width}x{height}, another is {columns}x{rows}: "
                    "give a size that all are brought to"
                )
        return np.stack(images), self.labels[indices]

    def subset(self, indices: np.ndarray) -> ImageFolder:
        """The photographs at `indices` as a data set of the same classes."""
        part = ImageFolder.__new__(ImageFolder)
        part.size, part.color, part.classes = self.size, self.color, self.classes
        part.files = [self.files[index] for index in np.asarray(indices).tolist()]
        part.labels = self.labels[indices]
        return part


def load_image_folder(
    folder: str | os.PathLike[str], size: int | tuple[int, int] | None, seed: int = 0
) -> tuple[ImageFolder, ImageFolder]:
    """The folder as (train, test): its folders `train` and `test` (or `val`), else a fifth to test.

    Raises: what `ImageFolder` raises.
    """
    from convkit.data.datasets import split

    folder = Path(folder)
    for name in ("test", "val"):
        if (folder / "train").is_dir() and (folder / name).is_dir():
            train = ImageFolder(folder / "train", size=size)
            return train, ImageFolder(folder / name, size=size, classes=train.classes)
    return split(ImageFolder(folder, size=size), 0.2, seed=seed)


def photographs(folder: Path) -> list[Path]:
    """The files that look like photographs, by name."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".") and entry.is_file()
    )


def _folders(folder: Path) -> list[Path]:
    return sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")
    )


def read_photograph(path: Path, size: tuple[int, int] | None, color: bool) -> np.ndarray:
    """(3 or 1, H, W) float32 0..1. Raises ValueError naming the file where it is no photograph."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise ImportError("photographs need Pillow: pip install pillow") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's notes on metadata; bombs still raise
            with Image.open(path) as file:
                file.load()
                image: Any = _plain(ImageOps.exif_transpose(file), "RGB" if color else "L")
    except FileNotFoundError:
        raise
    except Exception as error:  # Pillow's decoders raise a dozen kinds on damaged files
        raise ValueError(f"{path}: not a photograph that Pillow can read: {error}") from None
    if size is not None and (image.height, image.width) != size:
        image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    planes = pixels.transpose(2, 0, 1) if color else pixels[None]
    return np.ascontiguousarray(np.divide(planes, 255, dtype=np.float32))


def _plain(image: Any, mode: str) -> Any:
    from PIL import Image

    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
    elif image.mode.startswith("I;16") or image.mode == "I":
        # Pillow would cut 16 bits off at 255.
        high = np.clip(np.asarray(image, np.int64), 0, 65535) / 257
        image = Image.fromarray(np.rint(high).astype(np.uint8))
    return image.convert(mode)
