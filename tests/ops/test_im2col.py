"""im2col and col2im by every algorithm."""

import itertools

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
ANY_TYPE = (
    *("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    *("complex64", "complex128"),
)
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


@pytest.mark.parametrize("backend", ["cpu", "simt"])
@pytest.mark.parametrize("dtype", ANY_TYPE)
def test_elements_of_any_type_are_moved_as_they_are(dtype, backend):
    """Rows of all lengths, so that no piece of a copy is missed; strided as well."""
    rng = np.random.default_rng(0)
    lines = ["n2c3h5w6-r3s2-st1-pd1", "n1c4h9w41-r3s3-st2x1-pd1", "n1c2h8w7-r2s3-st2-pd2x1-dl1x2"]
    lines += [f"n1c{c}h3w{w}-r2s2-st1-pd1" for c, w in ((1, 1), (5, 3), (8, 9), (16, 17), (33, 34))]
    for line, layout in itertools.product(lines, ("NCHW", "NHWC")):
        problem = testing.parse("im2col", line).with_layout(layout)
        *sides, last = problem.x_shape
        size = np.dtype(dtype).itemsize
        raw = rng.integers(0, 2 if dtype == "bool" else 256, (*sides, last * size * 2), np.uint8)
        images = raw.view(dtype)[..., ::2]  # every bit pattern, every second element
        given = "float16" if dtype == "uint16" else dtype  # NaNs of all kinds keep their bits
        with testing.use_backend(backend):
            (_name, (_, size), options) = problem.call("fprop", {"x": images})
            got = convkit.im2col(images.view(given), size, **options)
        wanted = reference.im2col(images, size, **options)
        assert got.dtype == given
        assert got.view(dtype).tobytes() == wanted.tobytes(), problem


def test_torch_tensors_of_any_type():
    torch = pytest.importorskip("torch")
    for name in ("bool", "int8", "int64", "complex64", "bfloat16"):
        x = torch.tensor([[[[0, 1, 1], [1, 0, 1]]]]).to(getattr(torch, name))
        cols = convkit.im2col(x, (2, 2))
        assert cols.dtype == x.dtype
        assert cols.to(torch.int64 if name != "complex64" else x.dtype).tolist() == [
            [[0, 1], [1, 1], [1, 0], [0, 1]]
        ]


@pytest.mark.parametrize("dtype", ["O", "longdouble", "clongdouble", "M8[s]", "U3", "V3"])
def test_what_is_no_number_of_up_to_64_bits_is_refused(dtype):
    x = np.empty((1, 1, 3, 3), dtype)
    with pytest.raises(TypeError, match=r"^im2col: x\.dtype is .+, must be bool, an integer,"):
        convkit.im2col(x, 2)


@DTYPES
@pytest.mark.parametrize("way", every_way("im2col", "dgrad"))
def test_col2im_of_im2col_counts_how_often_a_pixel_is_read(way, dtype):
    columns = np.ones((1, 4, 4), dtype)
    got = accepted(convkit.col2im, way, columns, (1, 1, 3, 3), 2)
    np.testing.assert_array_equal(got[0, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])
