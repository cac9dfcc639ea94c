"""The tour's pictures: what each op makes of the photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from convkit.apps.filters import EDGE_KERNELS, filter_bank
from convkit.apps.images import as_image, color_map, enlarge
from convkit.apps.solve import learn_kernel, sharpen
from convkit.apps.stages import CYCLE, SEPIA

if TYPE_CHECKING:
    from PIL.Image import Image

POOL = 8  # side of the windows in the pictures of pooling
IM2COL_CROP = 12


@dataclass(frozen=True)
class Picture:
    """A file of the tour, with the caption under it and the words for who cannot see it."""

    file: str
    image: Image
    caption: str
    alt: str
    section: str


@dataclass(frozen=True)
class Learned:
    """The numbers of a kernel that were found from an image and its filtered copy."""

    true: np.ndarray
    found: np.ndarray
    steps: int


def make_pictures(color: np.ndarray, gray: np.ndarray, name: str) -> tuple[list[Picture], Learned]:
    """All pictures, made by the library's own ops from (1, 3, H, W) and (1, 1, H, W) pixels."""
    pictures = [
        Picture(
            "original.png",
            as_image(color[0], "clip"),
            f"{name}, {gray.shape[3]}x{gray.shape[2]} pixels",
            f"The photograph {name}",
            "photograph",
        ),
        *_edges(gray),
        *_features(color),
        *_mixed(color),
        *_pools(color),
        _gram(color),
        *_im2col(gray),
        *_undone(color),
    ]
    learned = learn_kernel(gray, EDGE_KERNELS["sobel"])
    return pictures, Learned(EDGE_KERNELS["sobel"], *learned)


def _edges(gray: np.ndarray) -> list[Picture]:
    import convkit

    bank = np.stack(list(EDGE_KERNELS.values()))[:, None]
    maps = convkit.conv2d(gray, bank, padding="same")[0]
    return [
        Picture(
            f"edges-{name}.png",
            as_image(_even(plane), "absolute"),
            _title(name),
            f"{_title(name)} edges of the photograph, bright where the brightness changes",
            "edges",
        )
        for name, plane in zip(EDGE_KERNELS, maps, strict=True)
    ]


def _even(plane: np.ndarray) -> np.ndarray:
    """The responses with the strongest 0.4 % cut off, so that a few do not darken the rest."""
    limit = float(np.quantile(np.abs(plane), 0.996))
    cut: np.ndarray = np.clip(plane, -limit, limit)
    return cut


def _title(name: str) -> str:
    return name.replace("-", ", ").capitalize()


def _features(color: np.ndarray) -> list[Picture]:
    import convkit

    names, bank = filter_bank()
    maps = convkit.conv2d(color, bank, padding="same")[0]
    pictures = []
    for i, (name, plane, weights) in enumerate(zip(names, maps, bank, strict=True)):
        positive = float(weights.sum()) > 0.5  # a blur keeps brightness, an edge filter removes it
        pictures.append(
            Picture(
                f"feature-{i + 1:02}.png",
                as_image(plane, "clip") if positive else as_image(_even(plane), "signed"),
                name,
                f"Feature map of the filter {name}",
                "features",
            )
        )
    return pictures


def _mixed(color: np.ndarray) -> list[Picture]:
    import convkit

    def mix(rows: tuple[tuple[float, ...], ...]) -> Image:
        weights = np.array(rows, np.float32)[:, :, None, None]
        return as_image(convkit.conv2d(color, weights)[0], "clip")

    return [
        Picture(
            "mix-sepia.png",
            mix(SEPIA),
            "Sepia: three filters, each a mix of red, green and blue",
            "The photograph in brown tones",
            "mix",
        ),
        Picture(
            "mix-exchanged.png",
            mix(CYCLE),
            "Colours exchanged: the weights are three ones and six zeros",
            "The photograph in false colours",
            "mix",
        ),
    ]


def _pools(color: np.ndarray) -> list[Picture]:
    import convkit

    shown = []
    for kind, word in (("max", "largest"), ("avg", "mean")):
        pool = convkit.max_pool2d if kind == "max" else convkit.avg_pool2d
        pooled = pool(color, _fitting(color, POOL))[0]
        title = "Max" if kind == "max" else "Average"
        shown.append(
            Picture(
                f"pooled-{kind}.png",
                enlarge(as_image(pooled, "clip"), 4),
                f"{title} pooling {POOL}x{POOL}: the {word} pixel of each window, drawn larger",
                f"The photograph in coarse squares, each the {word} of its window",
                "pooling",
            )
        )
    return shown


def _fitting(image: np.ndarray, side: int) -> tuple[int, int]:
    return min(side, image.shape[2]), min(side, image.shape[3])


def _gram(color: np.ndarray) -> Picture:
    import convkit

    _, bank = filter_bank()
    maps = convkit.conv2d(color, bank, padding="same", activation="relu")
    gram = convkit.gram_matrix(maps, normalize=True)[0]
    strength = np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    return Picture(
        "gram.png",
        enlarge(color_map(gram / np.maximum(strength, np.finfo(np.float32).tiny)), 20),
        "Each entry over the strength of its two maps: yellow means that they always go together, "
        "dark that they never do",
        "A symmetric matrix of coloured squares, brightest along its diagonal",
        "gram",
    )


def _im2col(gray: np.ndarray) -> list[Picture]:
    """A small crop where something happens, and its windows as columns."""
    import convkit

    crop = busiest_crop(gray, IM2COL_CROP, IM2COL_CROP)
    rows, across = _fitting(crop, 3)
    columns = convkit.im2col(crop, (rows, across))[0]
    return [
        Picture(
            "im2col-crop.png",
            enlarge(as_image(crop[0], "clip"), 14),
            f"A crop of {crop.shape[3]}x{crop.shape[2]} pixels",
            "A few enlarged pixels of the photograph",
            "im2col",
        ),
        Picture(
            "im2col.png",
            enlarge(as_image(columns, "clip"), 8),
            f"Its {columns.shape[1]} windows as columns of {columns.shape[0]} numbers",
            "A wide, low matrix of gray squares: nine rows that look like shifted copies",
            "im2col",
        ),
    ]


def busiest_crop(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """The crop (1, C, height, width) with the largest variance, on a coarse grid of places."""
    h, w = planes.shape[2:]
    height, width = min(height, h), min(width, w)
    rows = range(0, h - height + 1, max(1, height // 2))
    columns = range(0, w - width + 1, max(1, width // 2))
    top, left = max(
        ((i, j) for i in rows for j in columns),
        key=lambda at: planes[0, :, at[0] : at[0] + height, at[1] : at[1] + width].std(),
    )
    return np.ascontiguousarray(planes[:, :, top : top + height, left : left + width])


def _undone(color: np.ndarray) -> list[Picture]:
    blurred, sharp, steps = sharpen(color)
    return [
        Picture(
            "gradient-blurred.png",
            as_image(blurred[0], "clip"),
            "Blurred by conv2d with a bell 9 pixels wide",
            "The photograph out of focus",
            "gradients",
        ),
        Picture(
            "gradient-restored.png",
            as_image(sharp[0], "clip"),
            f"Restored from the blurred one by {steps} steps along conv2d_input_grad",
            "The photograph in focus again",
            "gradients",
        ),
    ]


def overview(pictures: list[Picture]) -> Image:
    """The most telling pictures side by side in one, for a README or a message."""
    from PIL import Image

    wanted = (
        "original.png",
        "edges-sobel.png",
        "feature-03.png",
        "feature-11.png",
        "pooled-max.png",
        "gram.png",
        "mix-sepia.png",
        "gradient-restored.png",
    )
    found = {picture.file: picture.image for picture in pictures}
    tiles = [found[name] for name in wanted if name in found]
    across, gap = 4, 8
    width, height = 240, round(240 * tiles[0].height / tiles[0].width)
    down = -(-len(tiles) // across)
    sheet = Image.new("RGB", (across * (width + gap) + gap, down * (height + gap) + gap), "white")
    for i, tile in enumerate(tiles):
        left, top = gap + i % across * (width + gap), gap + i // across * (height + gap)
        sheet.paste(tile.convert("RGB").resize((width, height)), (left, top))
    return sheet
