"""Pooling and its gradients by every algorithm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convkit
from convkit import reference, testing

from ..reference import worked
from . import strategies
from .properties import Properties
from .table import accepted, check_every_algorithm, every_way

DIRECTIONS = st.sampled_from(["fprop", "dgrad"])
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


class TestProperties(Properties):
    op = "pool2d"


@strategies.examples(150)
@given(strategies.pool2d(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_cpu(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "cpu", dtype, seed)


@strategies.examples(100)
@given(strategies.pool2d(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_simt(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "simt", dtype, seed)


@DTYPES
@pytest.mark.parametrize("way", every_way("pool2d", "fprop"))
class TestWorkedNumbers:
    def test_max(self, way, dtype):
        x = worked.POOLED.astype(dtype)
        y, indices = accepted(convkit.max_pool2d, way, x, 2, return_indices=True)
        np.testing.assert_array_equal(y, worked.POOLED_MAX.astype(dtype), strict=True)
        np.testing.assert_array_equal(indices, worked.POOLED_INDICES, strict=True)
        alone = accepted(convkit.max_pool2d, way, x, 2)
        np.testing.assert_array_equal(alone, y, strict=True)

    def test_overlapping_max(self, way, dtype):
        y = accepted(convkit.max_pool2d, way, worked.OVERLAP.astype(dtype), 3, stride=1)
        np.testing.assert_array_equal(y, worked.OVERLAP_MAX.astype(dtype), strict=True)

    def test_average(self, way, dtype):
        y = accepted(convkit.avg_pool2d, way, worked.POOLED.astype(dtype), 2)
        np.testing.assert_array_equal(y, worked.POOLED_AVG.astype(dtype), strict=True)

    @pytest.mark.parametrize(("count_include_pad", "expected"), worked.AVG_PADDED)
    def test_padded_average(self, way, dtype, count_include_pad, expected):
        options = {"stride": 2, "padding": 1, "count_include_pad": count_include_pad}
        y = accepted(convkit.avg_pool2d, way, worked.X.astype(dtype), 3, **options)
        np.testing.assert_allclose(y, expected, rtol=2 * np.finfo(dtype).eps)


@DTYPES
@pytest.mark.parametrize("way", every_way("pool2d", "fprop"))
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
class TestOddPixels:
    def pool(self, way, x, size, layout, **options):
        if layout == "NHWC":
            x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        both = accepted(
            convkit.max_pool2d, way, x, size, return_indices=True, layout=layout, **options
        )
        return both if layout == "NCHW" else tuple(a.transpose(0, 3, 1, 2) for a in both)

    def test_the_first_nan_and_the_first_of_equal_pixels_win(self, way, dtype, layout):
        x = np.array([[[[1, 1, 2, np.nan], [1, 1, np.nan, 2]]]], dtype)
        y, indices = self.pool(way, x, 2, layout)
        np.testing.assert_array_equal(y, [[[[1, np.nan]]]])
        np.testing.assert_array_equal(indices, [[[[0, 3]]]])

    def test_zeros_of_either_sign_are_equal(self, way, dtype, layout):
        x = np.array([[[[-0.0, 0.0, 0.0, -0.0]]]], dtype)
        y, indices = self.pool(way, x, (1, 2), layout)
        np.testing.assert_array_equal(np.signbit(y), [[[[True, False]]]])
        np.testing.assert_array_equal(indices, [[[[0, 2]]]])

    def test_pixels_of_minus_infinity_still_have_an_index(self, way, dtype, layout):
        x = np.full((1, 2, 2, 2), -np.inf, dtype)
        y, indices = self.pool(way, x, 2, layout, stride=1, padding=1)
        assert np.isneginf(y).all()
        np.testing.assert_array_equal(indices[0, 1], [[0, 0, 1], [0, 0, 1], [2, 2, 3]])

    def test_dilated_pixels_of_minus_infinity_still_have_an_index(self, way, dtype, layout):
        x = np.full((1, 1, 3, 3), -np.inf, dtype)
        y, indices = self.pool(way, x, 2, layout, stride=1, padding=1, dilation=2)
        assert np.isneginf(y).all()
        np.testing.assert_array_equal(indices[0, 0], [[4, 3, 4], [1, 0, 1], [4, 3, 4]])

    def test_a_window_that_meets_no_pixel_gives_minus_infinity(self, way, dtype, layout):
        y, indices = self.pool(way, np.ones((1, 3, 1, 1), dtype), 2, layout, padding=1, dilation=2)
        assert np.isneginf(y).all()
        assert (indices == -1).all()


@DTYPES
@pytest.mark.parametrize("way", every_way("pool2d", "dgrad"))
def test_overlapping_windows_add_their_gradients(way, dtype):
    grad_y = np.arange(1, 10).reshape(1, 1, 3, 3).astype(dtype)
    indices = np.array([[[[6, 6, 9], [6, 6, 9], [15, 23, 24]]]])
    options = {"stride": 1}
    got = accepted(convkit.max_pool2d_grad, way, grad_y, indices, (1, 1, 5, 5), 3, **options)
    expected = np.zeros(25)
    expected[[6, 9, 15, 23, 24]] = [1 + 2 + 4 + 5, 3 + 6, 7, 8, 9]
    np.testing.assert_array_equal(got.ravel(), expected)


@pytest.mark.parametrize("way", every_way("pool2d", "dgrad"))
def test_index_minus_one_gets_no_gradient(way):
    grad_y, indices = np.ones((1, 1, 1, 1), np.float32), np.full((1, 1, 1, 1), -1)
    options = {"padding": 1, "dilation": 2}
    got = accepted(convkit.max_pool2d_grad, way, grad_y, indices, (1, 1, 1, 1), 2, **options)
    assert got.item() == 0


def covered_only(indices, x_shape, size, stride, padding):
    """Indices with -1 for those that are no pixel of their window."""
    h, w = x_shape[2:]
    kept = np.full_like(indices, -1)
    for at, index in np.ndenumerate(indices):
        below = index // w - (at[2] * stride - padding)
        right = index % w - (at[3] * stride - padding)
        if 0 <= index < h * w and 0 <= below < size and 0 <= right < size:
            kept[at] = index
    return kept


@DTYPES
@pytest.mark.parametrize(
    "geometry",
    # x_shape, kernel, stride, padding, ceil_mode
    [
        ((2, 9, 5, 7), 3, 1, 1, False),
        ((1, 3, 40, 70), 3, 1, 1, False),
        ((1, 1, 5, 1500), 3, 1, 1, False),
        ((1, 40, 6, 6), 2, 2, 0, False),
        ((2, 3, 7, 5), 2, 2, 0, False),
        ((2, 3, 7, 5), 2, 2, 0, True),
        ((1, 2, 90, 131), 2, 2, 0, True),
        ((3, 11, 7, 7), 3, 2, 0, False),
        ((1, 5, 8, 9), 3, 2, 1, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("threads", [1, 2])
def test_index_outside_its_window_has_no_effect(geometry, threads, dtype):
    x_shape, size, stride, padding, ceil_mode = geometry
    options = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    rng = np.random.default_rng(1)
    x = rng.integers(-9, 9, x_shape).astype(dtype)
    y, indices = convkit.max_pool2d(x, size, return_indices=True, **options)
    h, w = x_shape[2:]
    far = np.iinfo(np.int64)
    wrong = [
        1,
        -1,
        2,
        -w,
        w,
        h * w,
        -h * w,
        1 << 31,
        1 << 32,
        -(1 << 32),
        far.max // 2,
        far.min // 2,
    ]
    moved = indices + rng.choice(wrong, y.shape) * (rng.random(y.shape) < 0.5)
    grad_y = rng.integers(1, 9, y.shape).astype(dtype)
    with testing.use_threads(threads):
        got = convkit.max_pool2d_grad(grad_y, moved, x_shape, size, **options)
    kept = covered_only(moved, x_shape, size, stride, padding)
    expected = reference.max_pool2d_grad(grad_y, kept, x_shape, size, **options)
    np.testing.assert_array_equal(got, expected, strict=True)
