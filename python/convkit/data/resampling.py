"""Images read between their pixels: bilinear interpolation, resizing, smoothing. (C, H, W)."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

Fill = float | Literal["edge"]


def bilinear(image: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill: Fill) -> np.ndarray:
    """The image at the places (rows, columns), which are (P, Q), counted in pixels from 0.

    Between pixels the four around a place are weighed by their nearness, in float64. Outside the
    image lies `fill`, into which the outermost pixels fade over one pixel, or with "edge" what the
    nearest pixel holds. Places on a pixel get its value to the bit, but for the sign of a zero.

    Returns: (C, P, Q) of the image's dtype.
    """
    _, height, width = image.shape
    if fill == "edge":
        padded = np.pad(image, ((0, 0), (0, 1), (0, 1)), mode="edge")
        rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    else:
        padded = np.pad(image, ((0, 0), (1, 2), (1, 2)), constant_values=fill)
        rows, columns = np.clip(rows, -1, height) + 1, np.clip(columns, -1, width) + 1
    top, left = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    down, right = rows - top, columns - left
    upper = padded[:, top, left] * (1 - right) + padded[:, top, left + 1] * right
    lower = padded[:, top + 1, left] * (1 - right) + padded[:, top + 1, left + 1] * right
    result: np.ndarray = (upper * (1 - down) + lower * down).astype(image.dtype)
    return result


def affine(image: np.ndarray, matrix: np.ndarray, fill: Fill) -> np.ndarray:
    """The image moved by a matrix [[a, b], [c, d]] on (x, y) about its centre; y points down.

    Each place of the result is read where the inverse of the matrix takes it.
    """
    _, height, width = image.shape
    if np.array_equal(matrix, np.eye(2)):
        return image
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    (a, b), (c, d) = np.linalg.inv(matrix)
    x, y = x - middle_x, y - middle_y
    return bilinear(image, c * x + d * y + middle_y, a * x + b * y + middle_x, fill)


def turn(degrees: float) -> np.ndarray:
    """The matrix of a turn anticlockwise, as one sees it; exact for multiples of 90 degrees."""
    quarters, rest = divmod(degrees, 90)
    cos, sin = math.cos(math.radians(rest)), math.sin(math.radians(rest))
    for _ in range(int(quarters) % 4):
        cos, sin = -sin, cos
    return np.array([[cos, sin], [-sin, cos]])


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image in another size: bilinear; where it shrinks, a triangle as wide as two new pixels.

    So every pixel counts, as in Pillow's BILINEAR and torchvision's with antialias=True.
    """
    if image.shape[1:] == (height, width):
        return image
    rows, columns = (
        _triangles(old, new) for old, new in zip(image.shape[1:], (height, width), strict=True)
    )
    result: np.ndarray = (rows @ image.astype(np.float64) @ columns.T).astype(image.dtype)
    return result


def _triangles(old: int, new: int) -> np.ndarray:
    """(new, old): how much each old pixel counts for each new one; every row sums to 1."""
    scale = old / new
    centers = (np.arange(new) + 0.5) * scale
    distances = np.abs(np.arange(old) + 0.5 - centers[:, None]) / max(scale, 1.0)
    weights: np.ndarray = np.maximum(0, 1 - distances)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


def smooth(field: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W) values under a Gaussian of deviation sigma, cut at 4 sigma; outside lies 0."""
    reach = int(4 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    bell = np.exp(-0.5 * (offsets / sigma) ** 2)
    bell /= bell.sum()
    for axis in (0, 1):
        size = field.shape[axis]
        distances = np.arange(size)[:, None] - np.arange(size)
        inside = np.abs(distances) <= reach
        weights = np.where(inside, bell[np.clip(distances + reach, 0, 2 * reach)], 0)
        field = weights @ field if axis == 0 else field @ weights.T
    return field
