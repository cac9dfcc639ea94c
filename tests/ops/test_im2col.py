"""im2col and col2im by every algorithm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convkit

from ..reference import worked
from . import strategies
from .properties import Properties
from .table import accepted, check_every_algorithm, every_way

DIRECTIONS = st.sampled_from(["fprop", "dgrad"])
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


class TestProperties(Properties):
    op = "im2col"


@strategies.examples(100)
@given(strategies.im2col(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_cpu(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "cpu", dtype, seed)


@strategies.examples(80)
@given(strategies.im2col(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_simt(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "simt", dtype, seed)


@DTYPES
@pytest.mark.parametrize("way", every_way("im2col", "fprop"))
def test_worked_columns(way, dtype):
    got = accepted(convkit.im2col, way, worked.X.astype(dtype), 2)
    np.testing.assert_array_equal(got, worked.IM2COL.astype(dtype), strict=True)
    last = worked.X.astype(dtype).transpose(0, 2, 3, 1)
    got = accepted(convkit.im2col, way, last, 2, layout="NHWC")
    expected = worked.IM2COL.astype(dtype).swapaxes(1, 2)  # one channel: only transposed
    np.testing.assert_array_equal(got, expected, strict=True)


@DTYPES
@pytest.mark.parametrize("way", every_way("im2col", "dgrad"))
def test_col2im_of_im2col_counts_how_often_a_pixel_is_read(way, dtype):
    columns = np.ones((1, 4, 4), dtype)
    got = accepted(convkit.col2im, way, columns, (1, 1, 3, 3), 2)
    np.testing.assert_array_equal(got[0, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
