"""Photographs in, PNG files out: by Pillow, with every failure as one line."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from convkit.apps.files import write_whole
from convkit.apps.terminal import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Mapping = Literal["absolute", "signed", "clip"]


def read_image(path: str | os.PathLike[str]) -> Image:
    """The photograph as a Pillow image of mode RGB, L or F, upright, transparency laid over white.

    Mode F holds gray values 0..1 of pictures with more than 8 bits. Raises InputError for what is
    no readable image.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's notes on metadata; bombs still raise
            with Image.open(path) as image:
                image.load()
                upright = ImageOps.exif_transpose(image)
    except UnidentifiedImageError:
        raise InputError(f"{path}: not an image that Pillow can read") from None
    except Image.DecompressionBombError:
        raise InputError(f"{path}: the image has more pixels than Pillow admits") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not an image") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, SyntaxError, EOFError, IndexError, TypeError, MemoryError) as error:
        # Pillow's decoders raise these on damaged files.
        raise InputError(f"{path}: damaged image: {error}") from None
    return _plain(path, upright)


def _plain(path: Path, image: Image) -> Image:
    from PIL import Image

    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)
        if not np.isfinite(values).any():
            raise InputError(f"{path}: every pixel is NaN or infinite")
        return Image.fromarray(_unit_range(values, image.mode))
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return image.convert("L")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        page = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(page, layer).convert("RGB")
    return image.convert("RGB")


def _unit_range(values: np.ndarray, mode: str) -> np.ndarray:
    """16-bit values over 65535; wider ones over their range, unless they are 0..1 already.

    Pixels that are NaN or infinite become black.
    """
    finite = np.isfinite(values)
    known = values[finite].astype(np.float64)
    low, high = float(known.min()), float(known.max())
    if mode != "F" and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    elif mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    unit = np.zeros(values.shape, np.float32)
    unit[finite] = (known - low) / ((high - low) or 1)
    return unit


def to_planes(image: Image, *, color: bool) -> np.ndarray:
    """The pixels as float32 0..1 in (1, C, H, W): C is 3 with color, else 1 (Rec. 601 luma)."""
    if image.mode == "F":
        plane = np.asarray(image, np.float32)[None, None]
        return np.repeat(plane, 3, axis=1) if color else plane
    pixels = np.asarray(image.convert("RGB" if color else "L"), np.float32) / np.float32(255)
    planes = pixels.transpose(2, 0, 1) if color else pixels[None]
    return np.ascontiguousarray(planes[None])


def shrink(image: Image, longest: int) -> Image:
    """The image with its longer side at most `longest`."""
    if max(image.size) <= longest:
        return image
    from PIL import Image

    scale = longest / max(image.size)
    size = [max(1, round(side * scale)) for side in image.size]
    return image.resize(size, Image.Resampling.LANCZOS)


def to_gray(values: np.ndarray, mapping: Mapping = "absolute") -> np.ndarray:
    """Numbers as bytes to look at.

    absolute: |v| / max|v|, so that 0 is black and the strongest response white.
    signed: 0 is middle gray, the strongest response white or black by its sign.
    clip: 0 is black, 1 white, what lies beyond is cut off.
    """
    if mapping == "clip":
        unit = np.clip(values, 0, 1)
    else:
        largest = float(np.max(np.abs(values), initial=0))
        unit = values / (largest or 1)
        unit = np.abs(unit) if mapping == "absolute" else 0.5 + 0.5 * unit
    pixels: np.ndarray = np.rint(unit * 255).astype(np.uint8)
    return pixels


def as_image(planes: np.ndarray, mapping: Mapping = "absolute") -> Image:
    """(C, H, W) or (H, W) values as a Pillow image: RGB where C is 3, else gray."""
    from PIL import Image

    pixels = to_gray(planes, mapping)
    if pixels.ndim == 3:
        pixels = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels[0]
    return Image.fromarray(np.ascontiguousarray(pixels))


def color_map(values: np.ndarray, name: str = "viridis") -> Image:
    """(H, W) values from their smallest to their largest in the colours of a Matplotlib map."""
    import matplotlib
    from PIL import Image

    low, high = float(values.min()), float(values.max())
    colors = matplotlib.colormaps[name]((values - low) / ((high - low) or 1), bytes=True)
    return Image.fromarray(np.ascontiguousarray(colors[..., :3]))


def enlarge(image: Image, factor: int) -> Image:
    """Every pixel as a square of factor x factor."""
    from PIL import Image

    size = (image.width * factor, image.height * factor)
    return image.resize(size, Image.Resampling.NEAREST)


def save_png(image: Image, path: Path, *, made_by: str) -> None:
    """The image as a PNG file that says who made it. Written whole or not at all."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Software", made_by)
    write_whole(path, lambda file: image.save(file, "PNG", pnginfo=info, optimize=False))


def png_maker(path: Path) -> str | None:
    """What `save_png` noted in a file; None where it is another's."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.info.get("Software")
    except (OSError, ValueError, SyntaxError):
        return None
