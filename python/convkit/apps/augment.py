"""`convkit augment`: what each augmentation makes of an image, on one labelled sheet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from convkit.apps.files import write_whole
from convkit.apps.images import read_image, shrink, to_planes
from convkit.apps.terminal import InputError, print_json

if TYPE_CHECKING:
    from convkit.data.augmentation import Transform

MADE_BY = "convkit augment"
LONGEST, SHORTEST = 192, 8  # pixels of the image that is changed
DRAWS = 3
COLUMNS = 3
GAP = 4  # white pixels between pictures
CELL, TITLE = 4.2, 0.35  # inches: width of a strip, height of its title
EXAMPLE = tuple((shift / 255, shift / 255) for shift in (20, -20, 20))


@dataclass(frozen=True)
class Sheet:
    """A sheet: where it lies, and the transforms on it, each by its title and how it was made."""

    image: str
    file: str
    seed: int
    width: int
    height: int
    transforms: dict[str, str]


def run(image: str | Path, out: str | Path | None = None, *, seed: int = 0) -> Sheet:
    """Draws the sheet and writes it as a PNG file.

    Raises: InputError for an image that cannot be used or a file that cannot be written.
    """
    if seed < 0:
        raise InputError(f"--seed {seed}: must be 0 or more")
    source = Path(image)
    target = _target(
        source, Path(f"{source.stem or 'image'}-augmented.png" if out is None else out)
    )
    planes = to_planes(shrink(read_image(source), LONGEST), color=True)[0]
    _, height, width = planes.shape
    if min(height, width) < SHORTEST:
        raise InputError(
            f"{image}: is {width}x{height} after its longer side became {LONGEST} at most; "
            f"the shorter one must be {SHORTEST} or more"
        )
    transforms = every_transform(planes)
    pictures = {"the image": _as_pixels([planes])}
    for index, (title, transform) in enumerate(transforms.items()):
        pictures[title] = _drawn(planes, transform, seed, index)
    write_whole(target, lambda file: _draw(pictures, file))
    made = {title: repr(transform) for title, transform in transforms.items()}
    return Sheet(str(image), str(target), seed, width, height, made)


def every_transform(planes: np.ndarray) -> dict[str, Transform]:
    """Every augmentation by its title, with parameters that suit the size of the image."""
    from convkit import data

    side = min(planes.shape[1:])
    crop = side * 7 // 8  # AlexNet's 224 of 256
    degrees, slant = data.Rotation(25, fill="edge"), data.Shear(0.3, 0.1)
    warp = data.LocalWarp(0.008 * side**2, side / 16, fill="edge")
    colors = data.PCAColor.fit(planes[None], strength=1.0)
    return {
        "Mirror, probability 1/2": data.Mirror(),
        "RandomCrop, zeros around": data.RandomCrop(planes.shape[1:], padding=side // 6),
        "AlexNetCrop, 7/8 of the middle square": data.AlexNetCrop(crop, side),
        "TenCrop, to test with": data.TenCrop(crop, side),
        "Rotation, up to 25 degrees, edge around": degrees,
        "Shear, x to 0.3, y to 0.1, zeros around": slant,
        "LocalWarp, elastic": warp,
        "Brightness, up to 40 %": data.Brightness(0.4),
        "ColorShift, +20 -20 +20 of 255": data.ColorShift(*EXAMPLE),
        "ColorShift, up to 40 of 255 each": data.ColorShift(*[40 / 255] * 3),
        "PCAColor, 10 x AlexNet's strength": colors,
        "Normalize, lowest to highest": data.Normalize.fit(planes[None]),
        "Mirror, Rotation, LocalWarp, ColorShift": data.Compose(
            data.Mirror(), degrees, warp, data.ColorShift(*[40 / 255] * 3)
        ),
    }


def _drawn(planes: np.ndarray, transform: Transform, seed: int, index: int) -> np.ndarray:
    """What a `Loader` would make of the image at `index` in its first epochs, side by side."""
    from convkit import data
    from convkit.data.loading import generator_at

    first = transform(planes, generator_at(seed, 0, index))
    if isinstance(transform, data.TenCrop):
        rows = [_as_pixels(list(first[:5])), _as_pixels(list(first[5:]))]
        return np.concatenate([rows[0], np.full_like(rows[0][:GAP], 255), rows[1]])
    if isinstance(transform, data.Normalize):
        low, high = float(first.min()), float(first.max())
        return _as_pixels([(first - low) / ((high - low) or 1)])
    if transform == data.ColorShift(*EXAMPLE):  # nothing is random here
        return _as_pixels([first])
    return _as_pixels(
        [transform(planes, generator_at(seed, epoch, index)) for epoch in range(DRAWS)]
    )


def _as_pixels(images: list[np.ndarray]) -> np.ndarray:
    """(C, H, W) images beside each other as bytes (H, W, C); what is beyond 0..1 is cut off.

    A single one leaves the room of the others white, so that all are drawn in one scale.
    """
    if len(images) == 1:
        images = images + [np.ones_like(images[0])] * (DRAWS - 1)
    gap = np.ones((*images[0].shape[:2], GAP), np.float32)
    strip = np.concatenate([part for image in images for part in (gap, image)][1:], axis=2)
    pixels: np.ndarray = np.rint(np.clip(strip, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels


def _draw(pictures: dict[str, np.ndarray], file: Any) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shapes = [pixels.shape[0] / pixels.shape[1] for pixels in pictures.values()]
    rows = [max(shapes[i : i + COLUMNS]) for i in range(0, len(shapes), COLUMNS)]
    heights = [CELL * tallest + TITLE for tallest in rows]
    figure = Figure(figsize=(COLUMNS * CELL, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), COLUMNS, squeeze=False, height_ratios=heights).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (title, pixels) in zip(axes, pictures.items(), strict=False):
        axis.imshow(pixels)
        axis.set_anchor("NW")
        axis.set_title(title, loc="left", fontsize=10)
    figure.savefig(file, format="png", dpi=120, metadata={"Software": MADE_BY})


def _target(image: Path, out: Path) -> Path:
    if out.suffix.lower() != ".png":
        raise InputError(f"-o {out}: augment writes PNG, so the name must end in .png")
    if out.is_dir():
        raise InputError(f"-o {out}: is a folder, must be a file name ending in .png")
    if not out.parent.is_dir():
        raise InputError(f"-o {out}: there is no folder {out.parent}")
    if out.exists() and image.exists() and out.samefile(image):
        raise InputError(f"-o {out}: is the image itself, name another file")
    return out


def command(
    image: Annotated[Path, typer.Argument(help="Any image that Pillow reads.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="OUT.png",
            help="PNG to write. Default: <image>-augmented.png in this folder. An existing file "
            "is replaced.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that is random; another gives others.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Draw what each augmentation of convkit.data makes of an image, three times each.

    Example: convkit augment photo.jpg --out sheet.png --seed 1
    """
    sheet = run(image, out, seed=seed)
    if as_json:
        print_json(asdict(sheet))
        return
    count = len(sheet.transforms)
    print(f"{sheet.file}: {count} augmentations of {sheet.width}x{sheet.height}, seed {sheet.seed}")
