"""Images changed at random, so that a network sees each in many forms.

Every class here is made with its parameters and called as `transform(image, rng)`: a float32 image
(C, H, W) in, one out. The image given is never written to, but the result may be a view of it. All
chance comes from `rng`, so an image and a generator's state decide the result.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from convkit.data.resampling import Fill, affine, bilinear, resize, smooth, turn

Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]
# A number r stands for -r to r; a pair for what lies between; equal ends for that value always.
Range = float | tuple[float, float]


class Augmentation(ABC):
    """What all transforms here share: they take float32 (C, H, W) and refuse the rest."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if image.dtype != np.float32 or image.ndim != 3:
            raise ValueError(
                f"{type(self).__name__}: image must be float32 (C, H, W), "
                f"got {image.dtype} {image.shape}"
            )
        return self._changed(image, rng)

    @abstractmethod
    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray: ...

    def _refuse(self, rule: str) -> None:
        raise ValueError(f"{type(self).__name__}: {rule}")

    def _check_ranges(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            low, high = _ends(value) if isinstance(value, tuple) else (value, value)
            if not (math.isfinite(low) and math.isfinite(high)):
                self._refuse(f"{name} is {value}, must be finite")
            if low > high:
                self._refuse(f"{name} is {value}, must be low to high")

    def _check_window(self, size: int | tuple[int, int]) -> None:
        if min(_pair(size)) < 1:
            self._refuse(f"size is {size}, must be 1 or more")

    def _check_size(self, image: np.ndarray, size: tuple[int, int]) -> None:
        if image.shape[1] < size[0] or image.shape[2] < size[1]:
            self._refuse(
                f"the image is {image.shape[1]}x{image.shape[2]}, "
                f"must be {size[0]}x{size[1]} or larger"
            )

    def _check_color(self, image: np.ndarray) -> None:
        if len(image) != 3:
            self._refuse(f"the image has {len(image)} channels, must have 3 (R, G, B)")


class Compose(Augmentation):
    """Transforms one after the other. In order: geometry, then colour, then Normalize."""

    def __init__(self, *transforms: Transform) -> None:
        self.transforms = transforms

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for transform in self.transforms:
            image = transform(image, rng)
        return image

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.transforms))})"


@dataclass(frozen=True)
class Mirror(Augmentation):
    """Left and right exchanged with this probability. Not for digits or text."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            self._refuse(f"probability is {self.probability}, must be 0 to 1")

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return image[:, :, ::-1] if rng.random() < self.probability else image


@dataclass(frozen=True)
class RandomCrop(Augmentation):
    """A window of `size` (a side, or height and width) at a place where it fits, all alike likely.

    Before, `padding` pixels are added on each side: `fill`, or with "reflect" the image mirrored at
    its outermost pixels.
    """

    size: int | tuple[int, int]
    padding: int = 0
    fill: float | Literal["edge", "reflect"] = 0.0

    def __post_init__(self) -> None:
        self._check_window(self.size)
        if self.padding < 0:
            self._refuse(f"padding is {self.padding}, must be 0 or more")

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        height, width = _pair(self.size)
        if self.padding:
            image = _padded(image, self.padding, self.fill)
        self._check_size(image, (height, width))
        top = int(rng.integers(image.shape[1] - height + 1))
        left = int(rng.integers(image.shape[2] - width + 1))
        return image[:, top : top + height, left : left + width]


@dataclass(frozen=True)
class CenterCrop(Augmentation):
    """The window of `size` in the middle; with `source`, after that became the shorter side."""

    size: int | tuple[int, int]
    source: int | None = None

    def __post_init__(self) -> None:
        self._check_window(self.size)

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if self.source is not None:
            image = _with_shorter_side(image, self.source)
        height, width = _pair(self.size)
        self._check_size(image, (height, width))
        top, left = (image.shape[1] - height) // 2, (image.shape[2] - width) // 2
        return image[:, top : top + height, left : left + width]


@dataclass(frozen=True)
class AlexNetCrop(Augmentation):
    """The training crop of AlexNet: of the middle square a window at random, mirrored or not.

    The shorter side becomes `source`, the square of that side in the middle is kept, and one of its
    windows of side `size` taken: 33 x 33 places x 2 for the paper's 224 of 256.
    Source: Krizhevsky et al. 2012, section 4.1.
    """

    size: int = 224
    source: int = 256

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.source:
            self._refuse(f"size is {self.size}, must be 1 to source ({self.source})")

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        image = CenterCrop(self.source, self.source)(image, rng)
        return Mirror()(RandomCrop(self.size)(image, rng), rng)


@dataclass(frozen=True)
class TenCrop(Augmentation):
    """The ten windows that AlexNet is tested on, (10, C, size, size); their outputs are averaged.

    Of the middle square of side `source`: top left, top right, bottom left, bottom right, centre;
    then the mirror images of these five. Nothing here is random.
    """

    size: int = 224
    source: int = 256

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.source:
            self._refuse(f"size is {self.size}, must be 1 to source ({self.source})")

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        image = CenterCrop(self.source, self.source)(image, rng)
        size, last = self.size, self.source - self.size
        corners = ((0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 2))
        windows = np.stack([image[:, y : y + size, x : x + size] for y, x in corners])
        return np.concatenate([windows, windows[..., ::-1]])


@dataclass(frozen=True)
class Rotation(Augmentation):
    """Turned about the centre by degrees in the range, anticlockwise where positive.

    A quarter turn of a square image moves pixels and changes none. The size stays: corners are cut.
    """

    degrees: Range = 15.0
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        self._check_ranges("degrees")

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return affine(image, turn(_drawn(self.degrees, rng)), self.fill)


@dataclass(frozen=True)
class Shear(Augmentation):
    """Slanted about the centre by the matrix [[1, x], [y, 1]], both numbers in their range.

    The pixel at (u, v) from the centre, v pointing down, goes to (u + x v, y u + v).
    """

    x: Range = 0.2
    y: Range = 0.0
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        self._check_ranges("x", "y")
        largest = max(map(abs, _ends(self.x))) * max(map(abs, _ends(self.y)))
        if not largest < 1:
            self._refuse(f"x is {self.x} and y {self.y}, must be less than 1 when multiplied")

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        x, y = _drawn(self.x, rng), _drawn(self.y, rng)
        return affine(image, np.array([[1.0, x], [y, 1.0]]), self.fill)


@dataclass(frozen=True)
class LocalWarp(Augmentation):
    """Each pixel is read a little beside its place, neighbours alike: elastic distortion.

    Both coordinates of the way are noise, even between -1 and 1, under a Gaussian of standard
    deviation `smoothness` (pixels), times `strength`. Source: Simard et al. 2003, who take 4 and 34
    for MNIST.
    """

    strength: float = 34.0
    smoothness: float = 4.0
    fill: Fill = 0.0

    def __post_init__(self) -> None:
        self._check_ranges("strength", "smoothness")
        if self.smoothness <= 0:
            self._refuse(f"smoothness is {self.smoothness}, must be above 0")

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.uniform(-1, 1, (2, *image.shape[1:]))
        if self.strength == 0:
            return image
        y, x = np.mgrid[0 : image.shape[1], 0 : image.shape[2]].astype(np.float64)
        down, right = (self.strength * smooth(field, self.smoothness) for field in noise)
        return bilinear(image, y + down, x + right, self.fill)


@dataclass(frozen=True)
class Brightness(Augmentation):
    """All values times 1 + a number in the range. Nothing is cut off at 1."""

    change: Range = 0.2

    def __post_init__(self) -> None:
        self._check_ranges("change")

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return image * np.float32(1 + _drawn(self.change, rng))


@dataclass(frozen=True)
class ColorShift(Augmentation):
    """A number added to each of R, G and B, drawn for each from its range. Nothing is cut off."""

    red: Range = 20 / 255
    green: Range = 20 / 255
    blue: Range = 20 / 255

    def __post_init__(self) -> None:
        self._check_ranges("red", "green", "blue")

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self._check_color(image)
        shifts = [_drawn(channel, rng) for channel in (self.red, self.green, self.blue)]
        return _shifted(image, np.array(shifts))


@dataclass(frozen=True)
class PCAColor(Augmentation):
    """AlexNet's change of colours: along the directions in which a data set's colours vary.

    To every pixel is added sum over i of p_i a_i l_i: p_i the eigenvectors of the 3x3 covariance of
    (R, G, B) over all pixels of the training set, l_i its eigenvalues, a_i drawn once for an image
    from a normal distribution of standard deviation `strength`.
    Source: Krizhevsky et al. 2012, section 4.1.

    Attributes: values: l_1 to l_3, largest first; vectors: p_i as columns.
    """

    values: tuple[float, float, float]
    vectors: tuple[tuple[float, float, float], ...]
    strength: float = 0.1

    @classmethod
    def fit(cls, images: np.ndarray, strength: float = 0.1) -> PCAColor:
        """The eigenvalues and eigenvectors of (N, 3, H, W) images."""
        if images.ndim != 4 or images.shape[1] != 3 or images.size == 0:
            raise ValueError(f"PCAColor.fit: images must be (N, 3, H, W), got {images.shape}")
        count = images.size // 3
        mean = images.mean(axis=(0, 2, 3), dtype=np.float64)
        covariance = np.zeros((3, 3))
        for image in images:  # one at a time: in float64 all would take much memory
            apart = image.reshape(3, -1) - mean[:, None]
            covariance += apart @ apart.T / count
        values, vectors = np.linalg.eigh(covariance)
        values, vectors = values[::-1], vectors[:, ::-1]
        # Of p and -p the one whose largest component is positive, so that machines agree.
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), range(3)])
        return cls(tuple(values.tolist()), tuple(map(tuple, vectors.tolist())), strength)

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self._check_color(image)
        drawn = rng.normal(0, 1, 3) * self.strength
        return _shifted(image, np.array(self.vectors) @ (drawn * np.array(self.values)))


@dataclass(frozen=True)
class Normalize(Augmentation):
    """(value - mean) / std for each channel. Nothing here is random."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.mean) != len(self.std) or not all(one > 0 for one in self.std):
            self._refuse(
                f"mean is {self.mean} and std {self.std}, must be one of each for a channel, std "
                "above 0"
            )

    @classmethod
    def fit(cls, images: np.ndarray) -> Normalize:
        """Mean and standard deviation of each channel of (N, C, H, W) images.

        For a channel that has one value everywhere the deviation is taken as 1.
        """
        if images.ndim != 4 or images.size == 0:
            raise ValueError(f"Normalize.fit: images must be (N, C, H, W), got {images.shape}")
        mean = images.mean(axis=(0, 2, 3), dtype=np.float64)
        squares = np.zeros(len(mean))
        for image in images:
            squares += ((image - mean[:, None, None]) ** 2).sum(axis=(1, 2))
        std = np.sqrt(squares / (images.size / len(mean)))
        return cls(tuple(mean.tolist()), tuple(np.where(std > 0, std, 1).tolist()))

    def _changed(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if len(image) != len(self.mean):
            self._refuse(f"the image has {len(image)} channels, must have {len(self.mean)}")
        mean, std = (np.array(one, np.float32)[:, None, None] for one in (self.mean, self.std))
        result: np.ndarray = (image - mean) / std
        return result


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _ends(span: Range) -> tuple[float, float]:
    return span if isinstance(span, tuple) else (-span, span)


def _drawn(span: Range, rng: np.random.Generator) -> float:
    low, high = _ends(span)
    return low + (high - low) * rng.random()


def _shifted(image: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """The image with a number added to each channel."""
    kept = np.where(shifts == 0, -0.0, shifts)  # x + -0.0 is x to the bit, where x + 0.0 is not
    result: np.ndarray = image + kept.astype(np.float32)[:, None, None]
    return result


def _padded(image: np.ndarray, padding: int, fill: Any) -> np.ndarray:
    widths = ((0, 0), (padding, padding), (padding, padding))
    if isinstance(fill, str):
        return np.pad(image, widths, mode=fill)  # type: ignore[call-overload, no-any-return]
    return np.pad(image, widths, constant_values=fill)


def _with_shorter_side(image: np.ndarray, side: int) -> np.ndarray:
    """The image resized so that its shorter side is `side`, its shape kept."""
    _, height, width = image.shape
    scale = side / min(height, width)
    return resize(image, max(side, round(height * scale)), max(side, round(width * scale)))
