"""Edge kernels of the lecture, kernels of the user's own, and a hand-made bank of filters."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from convkit.apps.terminal import InputError

_VERTICAL = {
    "vertical": [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
    "sobel": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    "scharr": [[3, 0, -3], [10, 0, -10], [3, 0, -3]],
}


def _edge_kernels() -> dict[str, np.ndarray]:
    upright = {name: np.array(rows, np.float32) for name, rows in _VERTICAL.items()}
    return {
        "vertical": upright["vertical"],
        "horizontal": upright["vertical"].T,
        "sobel": upright["sobel"],
        "sobel-horizontal": upright["sobel"].T,
        "scharr": upright["scharr"],
        "scharr-horizontal": upright["scharr"].T,
    }


EDGE_KERNELS = _edge_kernels()
LARGEST_SIDE = 255
LONGEST_TEXT = 2_000_000  # of a file of rows


def find_kernel(text: str) -> tuple[str, np.ndarray]:
    """(label, weights) of a kernel by name, as rows "1 0 -1; 1 0 -1", or from a file of rows."""
    name = text.strip().lower()
    if name in EDGE_KERNELS:
        return name, EDGE_KERNELS[name]
    if re.fullmatch(r"[\s\d.,;eE+-]+", text) and re.search(r"\d", text):
        return "own", parse_kernel(text, repr(text))
    path = Path(text)
    if not text or not path.exists():
        known = ", ".join(EDGE_KERNELS)
        raise InputError(
            f"--kernel {text!r}: is none of {known}, no rows of numbers like "
            '"1 0 -1; 1 0 -1; 1 0 -1" and no file'
        )
    try:
        with path.open(encoding="utf-8") as file:
            content = file.read(LONGEST_TEXT + 1)
    except UnicodeDecodeError:
        raise InputError(f"--kernel {text}: not a text file") from None
    except OSError as error:
        raise InputError(f"--kernel {text}: cannot be read: {error.strerror or error}") from None
    if len(content) > LONGEST_TEXT:
        raise InputError(f"--kernel {text}: is longer than {LONGEST_TEXT} characters")
    return path.stem, parse_kernel(re.sub(r"#.*", "", content), text)


def parse_kernel(text: str, where: str) -> np.ndarray:
    """Rows parted by ';' or line ends, numbers by blanks or commas."""
    rows = [
        row.replace(",", " ").split() for row in re.split(r"[;\n]", text) if row.strip(" ,\r\t")
    ]
    if not rows:
        raise InputError(f"--kernel {where}: holds no numbers")
    lengths = [len(row) for row in rows]
    for i, length in enumerate(lengths):
        if length != lengths[0]:
            raise InputError(
                f"--kernel {where}: row {i + 1} has {length} numbers, row 1 has {lengths[0]}"
            )
    if max(len(rows), lengths[0]) > LARGEST_SIDE:
        raise InputError(
            f"--kernel {where}: is {len(rows)}x{lengths[0]}, at most {LARGEST_SIDE} a side"
        )
    try:
        kernel = np.array([[float(number) for number in row] for row in rows], np.float64)
    except ValueError as error:
        raise InputError(f"--kernel {where}: {error}") from None
    if not np.all(np.abs(kernel) <= np.finfo(np.float32).max):
        raise InputError(f"--kernel {where}: numbers must be finite float32 values")
    return kernel.astype(np.float32)


def bell(size: int, sigma: float) -> np.ndarray:
    """A Gaussian of size x size numbers whose sum is 1."""
    axis = np.arange(size) - size // 2
    profile = np.exp(-(axis**2) / (2 * sigma**2))
    plane: np.ndarray = np.outer(profile, profile) / profile.sum() ** 2
    return plane


def _gabor(size: int, degrees: float, wavelength: float = 4.0, sigma: float = 2.0) -> np.ndarray:
    """A wave under a bell, without its mean: it answers to stripes of one direction and width."""
    axis = np.arange(size) - size // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    angle = math.radians(degrees)
    across = x * math.cos(angle) + y * math.sin(angle)
    window = np.exp(-(x**2 + y**2) / (2 * sigma**2))
    wave: np.ndarray = window * np.cos(2 * math.pi * across / wavelength)
    wave -= window * wave.sum() / window.sum()
    wave /= np.abs(wave).sum()
    return wave


def _centred(rows: list[list[float]], size: int) -> np.ndarray:
    kernel = np.zeros((size, size))
    inner = np.array(rows, float)
    low = (size - len(inner)) // 2
    kernel[low : low + len(inner), low : low + len(inner)] = inner
    return kernel


BANK_SIDE = 7
# The same filter on R, G and B, or weights of its own per colour.
_COLOR_WEIGHTS = {"red against green": (1, -1, 0), "blue against yellow": (-0.5, -0.5, 1)}


def filter_bank() -> tuple[list[str], np.ndarray]:
    """Names and weights (K, 3, 7, 7) of filters to draw by hand: blurs, edges, waves, colours."""
    side = BANK_SIDE
    still, wide = _centred([[1]], side), bell(side, 1.6)
    planes = {
        "blur": wide,
        "sharpen": 2.2 * still - 1.2 * wide,
        "emboss": _centred([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], side),
        "outline": still - bell(side, 1.0),
        "Sobel, vertical": _centred(EDGE_KERNELS["sobel"].tolist(), side) / 4,
        "Sobel, horizontal": _centred(EDGE_KERNELS["sobel-horizontal"].tolist(), side) / 4,
        "spots (difference of Gaussians)": bell(side, 1.0) - bell(side, 2.0),
        "motion blur": np.eye(side) / side,
    }
    planes |= {f"Gabor {angle}°": 2 * _gabor(side, angle) for angle in (0, 30, 60, 90, 120, 150)}
    bank = {name: np.stack([plane] * 3) / 3 for name, plane in planes.items()}
    for name, colors in _COLOR_WEIGHTS.items():
        bank[name] = np.array(colors)[:, None, None] * bell(side, 1.0)
    return list(bank), np.stack(list(bank.values())).astype(np.float32)
