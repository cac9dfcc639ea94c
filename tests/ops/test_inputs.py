"""Arrays that are not dense give the same bits as their dense copies."""

import numpy as np
import pytest

from convkit import testing
from convkit.testing import Problem, parse

from .properties import assert_same

LINES = [
    ("conv2d", "n2c6h7w8-k4r3s3-st1-pd1-g2-bias-residual-relu"),
    ("conv2d", "n2c5h7w8-k4r3s2-st2-same-nhwc"),
    ("conv2d", "n3c4h6w5-k6r1s1-st1-pd0"),
    ("pool2d", "max-n2c3h7w8-r3s3-st2-pd1"),
    ("pool2d", "avg-n2c3h7w8-r2s3-st2-pd1-nhwc"),
    ("gram", "n3c5h4w6-norm"),
    ("gram", "n2c5h4w6-nhwc"),
    ("batch_norm", "n2c6h7w8-train-weight-bias-residual-relu"),
    ("batch_norm", "n2c5h4w3-weight-bias-residual-nhwc"),
    ("bias_grad", "n2c5h4w3-nhwc"),
    ("lrn", "n2c5h4w6-size3-alpha1-beta0.75-k1"),
    ("lrn", "n2c5h4w6-size3-alpha1-beta0.6-k1-nhwc"),
    ("cross_entropy", "n3c5h4w6-smooth0.1-none"),
    ("cross_entropy", "n3c70-none-ignored"),
    ("im2col", "n2c3h6w5-r3s2-st1-pd1"),
    ("im2col", "n2c3h6w5-r3s2-st1-pd1-nhwc"),
]


def reversed_in_every_axis(array):
    turn = (slice(None, None, -1),) * array.ndim
    return array[turn].copy()[turn]


def transposed(array):
    return np.ascontiguousarray(array.T).T


def sliced_from_a_larger_one(array):
    large = np.full([2 * side + 3 for side in array.shape], -7, array.dtype)
    view = large[tuple(slice(1, 2 * side + 1, 2) for side in array.shape)]
    view[...] = array
    return view


def unaligned(array):
    memory = np.zeros(array.nbytes + 1, np.uint8)
    view = np.ndarray(array.shape, array.dtype, buffer=memory, offset=1)
    view[...] = array
    return view


def in_the_other_byte_order(array):
    return array.astype(array.dtype.newbyteorder())


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def in_channels_last_memory(array):
    order = (0, *range(2, array.ndim), 1) if array.ndim > 2 else tuple(range(array.ndim))
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


VARIANTS = [
    reversed_in_every_axis,
    transposed,
    sliced_from_a_larger_one,
    unaligned,
    in_the_other_byte_order,
    read_only,
    in_channels_last_memory,
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("backend", ["cpu", "simt", "reference"])
@pytest.mark.parametrize(("op", "line"), LINES)
def test_any_strides_give_the_bits_of_the_dense_copy(op, line, backend, variant, dtype):
    problem = parse(op, line)
    for direction in problem.directions:
        data = testing.make_data(problem, direction, dtype=dtype)
        dense = outputs(problem, direction, backend, data)
        views = {name: variant(array) for name, array in data.items()}
        before = {name: view.copy() for name, view in views.items()}
        assert_same(dense, outputs(problem, direction, backend, views))
        for name, view in views.items():
            np.testing.assert_array_equal(view, before[name])  # inputs stay as they were


@pytest.mark.parametrize("backend", ["cpu", "simt", "reference"])
@pytest.mark.parametrize(("op", "line"), LINES)
@pytest.mark.parametrize("axes", [(0,), (1,), (2, 3), (0, 1, 2, 3)])
def test_broadcast_arrays_give_the_bits_of_the_dense_copy(op, line, backend, axes):
    problem = parse(op, line)
    for direction in problem.directions:
        views = {
            name: array if name in ("indices", "target") else repeated(array, axes)
            for name, array in testing.make_data(problem, direction).items()
        }
        dense = {name: view.copy() for name, view in views.items()}
        assert_same(
            outputs(problem, direction, backend, dense), outputs(problem, direction, backend, views)
        )


def repeated(array: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The first entry along each axis, with stride 0."""
    first = tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(array.ndim))
    return np.broadcast_to(array[first], array.shape)


def outputs(
    problem: Problem, direction: str, backend: str, data: dict[str, np.ndarray]
) -> tuple[np.ndarray, ...]:
    outcome = testing.run_case(problem, direction, "auto", backend, data)
    assert outcome.outputs is not None, outcome.refusal
    for output in outcome.outputs:
        assert output.flags.c_contiguous
        assert output.dtype.isnative
    return outcome.outputs
