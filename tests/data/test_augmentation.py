"""Transforms against hand-worked images and their definitions; same bits from the same seed."""

import itertools

import numpy as np
import pytest
from PIL import Image

from convkit import data
from convkit.data import (
    AlexNetCrop,
    Brightness,
    CenterCrop,
    ColorShift,
    Compose,
    LocalWarp,
    Mirror,
    Normalize,
    PCAColor,
    RandomCrop,
    Rotation,
    Shear,
    TenCrop,
)

EYE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
EVERY = [
    Mirror(),
    RandomCrop(6, padding=2),
    CenterCrop(4, source=8),
    AlexNetCrop(6, 8),
    TenCrop(6, 8),
    Rotation(30),
    Shear(0.3, 0.2),
    LocalWarp(20, 2),
    Brightness(0.5),
    ColorShift(),
    PCAColor((0.2, 0.1, 0.05), EYE, 0.5),
    Normalize((0.5,) * 3, (0.25,) * 3),
    Compose(Rotation(10), Mirror(), Brightness()),
]
STILL = [
    Mirror(0),
    RandomCrop(8),
    CenterCrop(8),
    CenterCrop(8, source=8),
    Rotation(0),
    Rotation((360, 360)),
    Shear(0, 0),
    LocalWarp(0),
    Brightness(0),
    ColorShift(0, 0, 0),
    PCAColor((0.2, 0.1, 0.05), EYE, 0),
    Normalize((0,) * 3, (1,) * 3),
    Compose(),
    Compose(Mirror(1), Mirror(1)),
]


def image_of(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def numbered(height, width):
    return np.arange(height * width, dtype=np.float32).reshape(1, height, width)


def rng(seed=0):
    return np.random.default_rng(seed)


def draws(transform, image, count=2000):
    generator = rng()
    return [transform(image, generator) for _ in range(count)]


@pytest.mark.parametrize("transform", EVERY, ids=repr)
def test_the_generator_decides_and_the_image_stays(transform):
    image = image_of(3, 8, 8)
    before = image.copy()
    first, again = (transform(image, rng(7)) for _ in range(2))
    assert first.dtype == np.float32
    assert first.tobytes() == again.tobytes()
    assert image.tobytes() == before.tobytes()


@pytest.mark.parametrize("transform", STILL, ids=repr)
def test_parameters_that_change_nothing_leave_every_bit(transform):
    image = image_of(3, 8, 8) - np.float32(0.5)
    image[0, 0] = np.float32([0, -0.0, 1e-42, 1e30, -1e30, 1, -1, 3e38])
    assert transform(image, rng()).tobytes() == image.tobytes()


@pytest.mark.parametrize("transform", [one for one in EVERY if type(one) is not Compose], ids=repr)
@pytest.mark.parametrize("image", [np.zeros((3, 8, 8)), np.zeros((8, 8), "f4")])
def test_what_is_no_float32_image_is_refused(transform, image):
    message = rf"{type(transform).__name__}: image must be float32 \(C, H, W\), got {image.dtype}"
    with pytest.raises(ValueError, match=message):
        transform(image, rng())


def test_a_mirror_exchanges_left_and_right():
    image = np.array([[[1, 2, 3], [4, 5, 6]]], np.float32)
    assert Mirror(1)(image, rng()).tolist() == [[[3, 2, 1], [6, 5, 4]]]


def test_a_mirror_happens_with_its_probability():
    mirrored = sum(one[0, 0, 0] == 1 for one in draws(Mirror(0.3), numbered(1, 2), 4000))
    assert abs(mirrored - 1200) < 5 * np.sqrt(4000 * 0.3 * 0.7)  # 5 standard deviations


def test_a_random_crop_takes_every_window_that_fits():
    image = numbered(4, 5)
    found = {one.tobytes() for one in draws(RandomCrop((2, 3)), image)}
    windows = {
        image[:, y : y + 2, x : x + 3].tobytes() for y, x in itertools.product(range(3), range(3))
    }
    assert found == windows


@pytest.mark.parametrize(
    ("fill", "line"),
    [
        (0.0, [0, 0, 1, 2, 3, 0, 0]),
        (9.0, [9, 9, 1, 2, 3, 9, 9]),
        ("edge", [1, 1, 1, 2, 3, 3, 3]),
        ("reflect", [3, 2, 1, 2, 3, 2, 1]),
    ],
)
def test_a_random_crop_pads_before(fill, line):
    image = np.array([[[1, 2, 3]] * 3], np.float32)
    found = {tuple(one[0, 2]) for one in draws(RandomCrop((5, 3), 2, fill), image, 200)}
    assert found == {tuple(line[x : x + 3]) for x in range(5)}


def test_the_crop_of_alexnet_takes_windows_of_the_middle_square_and_their_mirrors():
    image = numbered(4, 8)
    middle = image[:, :, 2:6]
    windows = [middle[:, y : y + 3, x : x + 3] for y in range(2) for x in range(2)]
    wanted = {one.tobytes() for one in windows} | {one[..., ::-1].tobytes() for one in windows}
    assert {one.tobytes() for one in draws(AlexNetCrop(3, 4), image)} == wanted
    assert len(wanted) == 8


def test_ten_crops_are_corners_centre_and_their_mirrors():
    image = numbered(4, 4)
    crops = TenCrop(2, 4)(image, rng())
    assert crops.shape == (10, 1, 2, 2)
    firsts = [0, 2, 8, 10, 5]
    assert crops[:5, 0, 0, 0].tolist() == firsts
    assert crops[5:, 0, 0, 0].tolist() == [first + 1 for first in firsts]
    assert crops[:5, 0, 1, 1].tolist() == [first + 5 for first in firsts]


def test_a_source_resizes_the_shorter_side_and_keeps_the_shape():
    plane = image_of(1, 10, 25)
    small = Image.fromarray(plane[0]).resize((10, 4), Image.Resampling.BILINEAR)
    wanted = np.asarray(small.crop((3, 0, 7, 4)))
    assert np.abs(CenterCrop(4, source=4)(plane, rng())[0] - wanted).max() < 1e-6


def test_a_quarter_turn_is_exact_and_anticlockwise():
    image = image_of(3, 8, 8)
    assert np.array_equal(Rotation((90, 90))(image, rng()), np.rot90(image, 1, (1, 2)))
    assert np.array_equal(Rotation((-90, -90))(image, rng()), np.rot90(image, -1, (1, 2)))


def test_a_rotation_agrees_with_pillow_away_from_the_edge():
    y, x = np.mgrid[0:41, 0:41]
    plane = np.sin(x / 5 + 1).astype(np.float32) * np.cos(y / 7).astype(np.float32)
    turned = Rotation((17, 17))(plane[None], rng())[0]
    wanted = np.asarray(Image.fromarray(plane).rotate(17, Image.Resampling.BILINEAR))
    inside = slice(10, 31)
    assert np.abs(turned - wanted)[inside, inside].max() < 1e-4


def test_a_shear_follows_its_matrix():
    image = np.zeros((1, 9, 9), np.float32)
    image[0, 6, 4] = 1  # (u, v) = (0, 2) from the centre goes to (u + 1.5 v, v) = (3, 2)
    assert np.argwhere(Shear((1.5, 1.5), 0)(image, rng())[0] == 1).tolist() == [[6, 7]]
    image[:] = 0
    image[0, 4, 6] = 1  # (2, 0) goes to (2, 0 - 0.5 * 2)
    assert np.argwhere(Shear(0, (-0.5, -0.5))(image, rng())[0] == 1).tolist() == [[3, 6]]


def test_ranges_are_drawn_from_end_to_end():
    image = np.ones((1, 1, 1), np.float32)
    found = np.array(draws(Brightness((0.2, 0.4)), image)).ravel()
    assert 1.2 <= found.min() < 1.201
    assert 1.399 < found.max() < 1.4
    found = np.array(draws(Brightness(0.3), image)).ravel()
    assert 0.7 <= found.min() < 0.702
    assert 1.298 < found.max() < 1.3


def test_a_warp_moves_by_smoothed_noise():
    """On a slope the change of a pixel is the way it moved; its spread is known for white noise."""
    y, x = np.mgrid[0:200, 0:200].astype(np.float32)
    warped = LocalWarp(34, 4)(np.stack([y, x]), rng())
    inside = slice(20, 180)
    down, right = (warped - np.stack([y, x]))[:, inside, inside]
    # Noise of variance 1/3 under a Gaussian: variance 1 / (3 * 4 pi sigma^2).
    wanted = 34 / np.sqrt(12 * np.pi * 4**2)
    for moved in (down, right):
        assert abs(moved.std() / wanted - 1) < 0.1
        assert np.abs(np.diff(moved, axis=0)).max() < wanted  # neighbours move alike
    assert abs(np.corrcoef(down.ravel(), right.ravel())[0, 1]) < 0.2


def test_brightness_scales_and_cuts_nothing_off():
    image = np.array([[[0.5, 1.0]]], np.float32)
    assert Brightness((0.5, 0.5))(image, rng()).tolist() == [[[0.75, 1.5]]]


def test_a_colour_shift_adds_to_each_channel_its_own():
    image = np.full((3, 1, 2), 100, np.float32)
    shifted = ColorShift((20, 20), (-20, -20), (20, 20))(image, rng())
    assert shifted[:, 0].tolist() == [[120, 120], [80, 80], [120, 120]]
    shifts = np.array(draws(ColorShift(1, 0, 2), image * 0))[:, :, 0, 0]
    assert (shifts[:, 1] == 0).all()
    assert 0.99 < np.abs(shifts[:, 0]).max() <= 1
    assert 1.98 < np.abs(shifts[:, 2]).max() <= 2
    assert abs(np.corrcoef(shifts[:, 0], shifts[:, 2])[0, 1]) < 0.1


def test_pca_is_that_of_the_covariance_of_all_pixels():
    images = image_of(5, 3, 6, 4) * np.float32([1, 3, 0.5])[:, None, None]
    images[:, 1] += images[:, 0] + 100  # far from 0, where a one-pass sum would lose digits
    fitted = PCAColor.fit(images)
    pixels = images.transpose(1, 0, 2, 3).reshape(3, -1).astype(np.float64)
    covariance = np.cov(pixels, bias=True)
    values, vectors = np.array(fitted.values), np.array(fitted.vectors)
    assert (np.diff(values) <= 0).all()
    assert np.abs(vectors @ np.diag(values) @ vectors.T - covariance).max() < 1e-9
    assert np.abs(vectors.T @ vectors - np.eye(3)).max() < 1e-12
    assert (vectors[np.abs(vectors).argmax(axis=0), range(3)] > 0).all()


def test_pca_adds_the_same_to_every_pixel_with_the_spread_of_its_definition():
    transform = PCAColor.fit(image_of(4, 3, 5, 5), strength=0.1)
    shifts = np.array(draws(transform, np.zeros((3, 2, 2), np.float32), 4000))
    assert (shifts == shifts[:, :, :1, :1]).all()
    # The coefficient of p_i is a_i l_i: independent, of standard deviation 0.1 l_i.
    along = shifts[:, :, 0, 0] @ np.array(transform.vectors)
    spread = along.std(axis=0) / (0.1 * np.array(transform.values))
    assert np.abs(spread - 1).max() < 5 / np.sqrt(2 * 4000)
    assert np.abs(np.corrcoef(along.T) - np.eye(3)).max() < 5 / np.sqrt(4000)


def test_normalising_by_a_data_set_gives_mean_0_and_deviation_1():
    images = image_of(6, 2, 5, 4) * np.float32([1, 7])[:, None, None] + 3
    fitted = Normalize.fit(images)
    assert np.abs(np.array(fitted.mean) - images.mean(axis=(0, 2, 3), dtype="f8")).max() < 1e-12
    assert np.abs(np.array(fitted.std) - images.std(axis=(0, 2, 3), dtype="f8")).max() < 1e-12
    found = np.stack([fitted(image, rng()) for image in images])
    assert np.abs(found.mean(axis=(0, 2, 3))).max() < 1e-5
    assert np.abs(found.std(axis=(0, 2, 3)) - 1).max() < 1e-5


def test_normalising_keeps_a_channel_of_one_value_finite():
    images = np.full((2, 1, 3, 3), 0.25, np.float32)
    assert Normalize.fit(images) == Normalize((0.25,), (1.0,))


def test_compose_goes_in_order():
    image = np.array([[[1, 3]]], np.float32)
    transform = Compose(Brightness((1, 1)), Normalize((2.0,), (4.0,)), Mirror(1))
    assert transform(image, rng()).tolist() == [[[1.0, 0.0]]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Mirror(1.5), "Mirror: probability is 1.5, must be 0 to 1"),
        (lambda: RandomCrop(0), "RandomCrop: size is 0, must be 1 or more"),
        (lambda: RandomCrop(3, -1), "RandomCrop: padding is -1, must be 0 or more"),
        (lambda: CenterCrop((0, 3)), r"CenterCrop: size is \(0, 3\), must be 1 or more"),
        (lambda: AlexNetCrop(300), r"AlexNetCrop: size is 300, must be 1 to source \(256\)"),
        (lambda: TenCrop(0), "TenCrop: size is 0"),
        (lambda: Shear(2, 0.5), "Shear: x is 2 and y 0.5, must be less than 1 when multiplied"),
        (lambda: LocalWarp(1, 0), "LocalWarp: smoothness is 0, must be above 0"),
        (lambda: Rotation((5, 1)), r"Rotation: degrees is \(5, 1\), must be low to high"),
        (lambda: Brightness(float("nan")), "Brightness: change is nan, must be finite"),
        (lambda: ColorShift(1, (2, 1)), r"ColorShift: green is \(2, 1\), must be low to high"),
        (lambda: Normalize((1,), (0,)), "Normalize: mean is .* std above 0"),
        (lambda: Normalize((1, 2), (1,)), "Normalize: mean is"),
        (lambda: Normalize.fit(image_of(1, 3, 3)), r"Normalize.fit: images must be \(N, C"),
        (lambda: PCAColor.fit(image_of(2, 1, 3, 3)), r"PCAColor.fit: images must be \(N, 3"),
        (lambda: RandomCrop(9)(image_of(1, 8, 8), rng()), "is 8x8, must be 9x9 or larger"),
        (lambda: CenterCrop((2, 9))(image_of(1, 8, 8), rng()), "is 8x8, must be 2x9 or larger"),
        (lambda: ColorShift()(image_of(1, 8, 8), rng()), "has 1 channels, must have 3"),
        (lambda: PCAColor((1, 1, 1), EYE)(image_of(4, 8, 8), rng()), "has 4 channels, must have 3"),
        (lambda: Normalize((0,), (1,))(image_of(3, 8, 8), rng()), "has 3 channels, must have 1"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_transform_is_tried_here():
    classes = {type(one) for one in EVERY}
    named = {getattr(data, name) for name in data.__all__}
    augmentations = {
        one for one in named if isinstance(one, type) and issubclass(one, data.Augmentation)
    }
    assert augmentations - {data.Augmentation} == classes
