"""A data set held in memory, and its parts for training and testing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, TypeVar

import numpy as np


class Batched(Protocol):
    """What a `Loader` reads: images (N, C, H, W) and labels (N,), fetched by their indices."""

    def __len__(self) -> int: ...

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


class Dataset(Batched, Protocol):
    """Images with a label each, of which parts can be taken."""

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def classes(self) -> tuple[str, ...]: ...

    def subset(self, indices: np.ndarray) -> Self: ...


class ArrayDataset:
    """Images (N, C, H, W) float32 and labels (N,) int64, each label a place in `classes`.

    `classes` holds the names; without it they are "0", "1" and so on.
    """

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, classes: Sequence[str] | None = None
    ) -> None:
        images, labels = np.asarray(images), np.asarray(labels)
        if images.dtype != np.float32 or images.ndim != 4:
            raise ValueError(
                f"ArrayDataset: images must be float32 (N, C, H, W), got {_described(images)}"
            )
        if labels.dtype.kind not in "iu" or labels.ndim != 1:
            raise ValueError(
                f"ArrayDataset: labels must be whole numbers (N,), got {_described(labels)}"
            )
        if len(images) != len(labels):
            raise ValueError(f"ArrayDataset: {len(images)} images, but {len(labels)} labels")
        self.images = images
        self.labels = labels.astype(np.int64)
        largest = int(self.labels.max(initial=-1))
        names = map(str, range(largest + 1)) if classes is None else classes
        self.classes = tuple(names)
        if self.labels.min(initial=0) < 0 or largest >= len(self.classes):
            raise ValueError(
                f"ArrayDataset: labels must be 0 to {len(self.classes) - 1} for "
                f"{len(self.classes)} classes, got {self.labels.min()} to {largest}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.images[index], int(self.labels[index])

    def batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the images and labels at `indices`, in that order."""
        return self.images[indices], self.labels[indices]

    def subset(self, indices: np.ndarray) -> ArrayDataset:
        """The images at `indices` as a data set of the same classes."""
        return ArrayDataset(*self.batch(indices), self.classes)


D = TypeVar("D", bound=Dataset)


def split(dataset: D, test: float | int = 0.2, *, seed: int = 0) -> tuple[D, D]:
    """The data set in two parts, (train, test), with every class in the same proportion.

    Args:
        dataset: anything with labels and subset().
        test: the share of images to test with, between 0 and 1, or their number.
        seed: which images; the same seed gives the same parts.

    Returns: both parts, images in the order they had. The second has exactly the size asked for;
        a class differs from its exact share by less than one image.
    Raises: ValueError where one of the parts would be empty.

    >>> digits = ArrayDataset(np.zeros((10, 1, 2, 2), "f4"), np.arange(10) // 5)
    >>> train, test = split(digits, test=0.4)
    >>> train.labels, test.labels
    (array([0, 0, 0, 1, 1, 1]), array([0, 0, 1, 1]))
    """
    total = len(dataset)
    wanted = round(test * total) if isinstance(test, float) else test
    if not 0 < wanted < total:
        raise ValueError(
            f"split: test={test} of {total} images is {wanted} images, must be 1 to {total - 1}"
        )
    labels = dataset.labels
    counts = np.bincount(labels)
    shares = counts * wanted // total
    # The images still missing go to the classes that rounding down cost most; ties to the first.
    lost = counts * wanted % total
    shares[np.argsort(-lost, kind="stable")[: wanted - shares.sum()]] += 1
    generator = np.random.default_rng(seed)
    chosen = np.zeros(total, bool)
    for label, share in enumerate(shares):
        chosen[generator.permutation(np.flatnonzero(labels == label))[:share]] = True
    return dataset.subset(np.flatnonzero(~chosen)), dataset.subset(np.flatnonzero(chosen))


def from_bytes(
    pixels: np.ndarray, labels: np.ndarray, classes: Sequence[str] | None = None
) -> ArrayDataset:
    """A data set of uint8 pixels (N, C, H, W) as float32 0..1: each divided by 255."""
    return ArrayDataset(np.divide(pixels, 255, dtype=np.float32), labels, classes)


def _described(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"
