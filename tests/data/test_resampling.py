"""Images read between their pixels, against hand-worked numbers, Pillow and SciPy."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from convkit.data.resampling import affine, bilinear, resize, smooth, turn


def image_of(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def places(*pairs):
    rows, columns = np.array(pairs, np.float64).T
    return rows[None], columns[None]


def test_between_four_pixels_each_counts_by_its_nearness():
    image = np.array([[[0, 4], [8, 16]]], np.float32)
    rows, columns = places((0, 0), (0, 0.5), (0.25, 0), (0.5, 0.5), (1, 1), (0.25, 0.75))
    # The last: 0.75 * (0.75 * 4) + 0.25 * (0.25 * 8 + 0.75 * 16) = 2.25 + 3.5.
    assert bilinear(image, rows, columns, 0.0).tolist() == [[[0, 4 / 2, 2, 7, 16, 5.75]]]


def test_outside_lies_the_fill_or_the_nearest_pixel():
    image = np.array([[[2, 4], [6, 8]]], np.float32)
    rows, columns = places((-0.5, 0), (-1, 0), (-99, 1), (1.5, 1), (2, 1), (99, 99), (0, -1e9))
    assert bilinear(image, rows, columns, 1.0).tolist() == [[[1.5, 1, 1, 4.5, 1, 1, 1]]]
    assert bilinear(image, rows, columns, "edge").tolist() == [[[2, 2, 4, 8, 8, 8, 2]]]


@pytest.mark.parametrize(("fill", "mode"), [(0.25, "constant"), ("edge", "nearest")])
def test_any_place_agrees_with_scipy(fill, mode):
    image = image_of(2, 7, 9).astype(np.float64)
    rows, columns = np.random.default_rng(1).uniform(-1.99, 10, (2, 30, 20))
    # SciPy's constant mode does not fade: the image is given a frame of the fill first.
    framed = np.pad(image, ((0, 0), (4, 4), (4, 4)), constant_values=0.25)
    for channel, plane in enumerate(image if fill == "edge" else framed):
        shift = 0 if fill == "edge" else 4
        wanted = map_coordinates(
            plane, [rows + shift, columns + shift], order=1, mode=mode, cval=0.25
        )
        assert np.abs(bilinear(image, rows, columns, fill)[channel] - wanted).max() < 1e-12


@pytest.mark.parametrize("size", [(5, 5), (4, 4), (5, 3)])
@pytest.mark.parametrize("quarters", [-2, -1, 0, 1, 2, 3, 5])
def test_quarter_turns_move_pixels_and_change_none(size, quarters):
    if quarters % 2 and size[0] != size[1]:
        size = (size[0], size[0])
    image = image_of(3, *size)
    turned = affine(image, turn(90.0 * quarters), 0.0)
    assert np.array_equal(turned, np.rot90(image, quarters, axes=(1, 2)))


def test_a_turn_is_a_turn_anticlockwise():
    angle = np.deg2rad(200)
    wanted = [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
    assert np.abs(turn(200) - wanted).max() < 1e-15
    assert np.abs(turn(-160) - wanted).max() < 1e-15


def test_a_shear_by_whole_pixels_moves_rows():
    image = np.arange(9, dtype=np.float32).reshape(1, 3, 3) + 1
    sheared = affine(image, np.array([[1.0, 1.0], [0.0, 1.0]]), 0.0)
    # The row above the centre goes one to the left, the one below one to the right.
    assert sheared[0].tolist() == [[2, 3, 0], [4, 5, 6], [0, 7, 8]]


@pytest.mark.parametrize("new", [(12, 9), (3, 20), (1, 1), (40, 4), (7, 13)])
def test_resizing_agrees_with_pillow(new):
    image = image_of(2, 12, 15)
    resized = resize(image, *new)
    assert resized.dtype == np.float32
    for channel, plane in enumerate(image):
        wanted = Image.fromarray(plane).resize(new[::-1], Image.Resampling.BILINEAR)
        assert np.abs(resized[channel] - np.asarray(wanted)).max() < 1e-6


def test_resizing_to_the_same_size_changes_no_bit():
    image = image_of(2, 5, 4)
    assert np.array_equal(resize(image, 5, 4), image)


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_smoothing_agrees_with_scipy(sigma):
    field = image_of(13, 21).astype(np.float64)
    wanted = gaussian_filter(field, sigma, mode="constant")
    assert np.abs(smooth(field, sigma) - wanted).max() < 1e-12
