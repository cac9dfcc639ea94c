"""Adaptive and global pooling and their gradients by every algorithm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convkit
from convkit import testing

from . import strategies
from .properties import Properties
from .table import accepted, check_every_algorithm, every_way

DIRECTIONS = st.sampled_from(["fprop", "dgrad"])
FPROP = pytest.mark.parametrize("way", every_way("adaptive_pool2d", "fprop"))
DGRAD = pytest.mark.parametrize("way", every_way("adaptive_pool2d", "dgrad"))
LAYOUTS = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
PROBLEMS = st.builds(
    testing.AdaptivePool2d,
    kind=st.sampled_from(["max", "avg"]),
    n=strategies.BATCHES,
    c=st.integers(1, 9),
    h=st.integers(1, 20),
    w=st.integers(1, 40),
    p=st.integers(1, 12),
    q=st.integers(1, 25),
    layout=strategies.LAYOUTS,
)
# Windows of 5 pixels to 3: 0-1, 1-3, 3-4; of 3 to 2: 0-1, 1-2.
X = np.array([[1.0, 7.0, 3.0, 3.0, 0.0], [2.0, 4.0, 9.0, 9.0, 5.0], [6.0, 8.0, 0.0, 1.0, 3.0]])
AVERAGE = [[14 / 4, 35 / 6, 17 / 4], [20 / 4, 31 / 6, 18 / 4]]
LARGEST, PLACES = [[7.0, 9.0, 9.0], [8.0, 9.0, 9.0]], [[1, 7, 8], [11, 7, 8]]
GRAD_Y = np.array([[4.0, 6.0, 8.0], [12.0, 18.0, -4.0]])
AVERAGE_GRAD = [[1, 2, 1, 3, 2], [4, 8, 4, 5, 1], [3, 6, 3, 2, -1]]
LARGEST_GRAD = [[0, 4, 0, 0, 0], [0, 0, 24, 4, 0], [0, 12, 0, 0, 0]]


class TestProperties(Properties):
    op = "adaptive_pool2d"


@strategies.examples(150)
@given(PROBLEMS, DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_sizes_on_cpu(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "cpu", dtype, seed)


@strategies.examples(60)
@given(PROBLEMS, DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_sizes_on_simt(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "simt", dtype, seed)


def image(plane, layout, channels=1):
    """A batch of one image with the same plane in every channel."""
    stacked = np.repeat(np.asarray(plane)[None], channels, 0)
    return np.ascontiguousarray(stacked if layout == "NCHW" else stacked.transpose(1, 2, 0))[None]


def called(function, way, *arrays, **options):
    return accepted(getattr(convkit, function), way, *arrays, **options)


@LAYOUTS
class TestWorkedNumbers:
    @FPROP
    def test_average(self, way, layout):
        y = called("adaptive_avg_pool2d", way, image(X, layout, 3), (2, 3), layout=layout)
        np.testing.assert_allclose(y, image(AVERAGE, layout, 3), rtol=1e-15, strict=True)

    @FPROP
    def test_maximum(self, way, layout):
        x = image(X, layout, 3)
        options = {"layout": layout, "return_indices": True}
        y, indices = called("adaptive_max_pool2d", way, x, (2, 3), **options)
        np.testing.assert_array_equal(y, image(LARGEST, layout, 3), strict=True)
        np.testing.assert_array_equal(indices, image(PLACES, layout, 3), strict=True)
        alone = called("adaptive_max_pool2d", way, x, (2, 3), layout=layout)
        np.testing.assert_array_equal(alone, y, strict=True)

    @DGRAD
    def test_average_gradient(self, way, layout):
        grad_y, expected = image(GRAD_Y, layout, 3), image(AVERAGE_GRAD, layout, 3)
        options = {"layout": layout}
        grad_x = called("adaptive_avg_pool2d_grad", way, grad_y, expected.shape, **options)
        np.testing.assert_array_equal(grad_x, expected)

    @DGRAD
    def test_maximum_gradient(self, way, layout):
        grad_y, indices = image(GRAD_Y, layout, 3), image(PLACES, layout, 3)
        expected = image(LARGEST_GRAD, layout, 3)
        options = {"layout": layout}
        grad_x = called("adaptive_max_pool2d_grad", way, grad_y, indices, expected.shape, **options)
        np.testing.assert_array_equal(grad_x, expected)

    @FPROP
    def test_larger_outputs_repeat_pixels(self, way, layout):
        x = image([[1.0, 4.0]], layout)
        y = called("adaptive_avg_pool2d", way, x, (2, 3), layout=layout)
        np.testing.assert_array_equal(y, image([[1.0, 2.5, 4.0]] * 2, layout))


@LAYOUTS
class TestOddPixels:
    def pool(self, way, x, size, layout):
        options = {"layout": layout, "return_indices": True}
        x = image(x, layout, 2)
        y, indices = called("adaptive_max_pool2d", way, x, size, **options)
        alone = called("adaptive_max_pool2d", way, x, size, layout=layout)
        assert testing.same_bits(alone, y)
        first = (0, 0) if layout == "NCHW" else (0, ..., 0)
        return y[first].tolist(), indices[first].tolist()

    @FPROP
    def test_the_first_of_equal_pixels_wins(self, way, layout):
        y, indices = self.pool(way, [[1.0, 2.0, 2.0], [2.0, 1.0, 1.0]], 1, layout)
        assert (y, indices) == ([[2.0]], [[1]])
        _, indices = self.pool(way, [[0.0, 1.0, 5.0], [5.0, 5.0, 0.0]], (1, 2), layout)
        assert indices == [[3, 2]]

    @FPROP
    def test_the_first_nan_wins(self, way, layout):
        nan = np.nan
        y, indices = self.pool(way, [[9.0, 1.0, nan], [nan, 2.0, 7.0]], 1, layout)
        assert np.isnan(y).all()
        assert indices == [[2]]
        _, indices = self.pool(way, [[9.0, 1.0, 3.0], [2.0, nan, nan]], (1, 2), layout)
        assert indices == [[4, 4]]

    @FPROP
    def test_zeros_of_either_sign_are_equal(self, way, layout):
        y, indices = self.pool(way, [[-1.0, -0.0, 0.0], [0.0, 0.0, 0.0]], (1, 1), layout)
        assert np.signbit(y).all()
        assert indices == [[1]]

    @FPROP
    def test_pixels_of_minus_infinity_still_have_an_index(self, way, layout):
        y, indices = self.pool(way, np.full((3, 5), -np.inf), (2, 3), layout)
        assert np.isneginf(y).all()
        assert indices == [[0, 1, 3], [5, 6, 8]]

    @DGRAD
    @pytest.mark.parametrize("index", [-(2**63), -1, 2, 10, 15, 2**31 + 1, 2**32, 2**63 - 1])
    def test_an_index_of_no_pixel_of_its_window_takes_no_gradient(self, way, layout, index):
        if way[0] == "reference" or way[1] == "pool2d":
            output, window = (3, 5), [7]  # every pixel its own window
        else:
            output, window = (2, 3), [0, 1, 5, 6]
        grad_y = image(np.ones(output), layout)
        indices = np.full(grad_y.shape, index)
        shape = image(X, layout).shape
        first = tuple(np.argwhere(np.ones(output))[0 if len(window) > 1 else 7])
        at = (0, 0, *first) if layout == "NCHW" else (0, *first, 0)
        others = np.zeros(grad_y.shape)
        others[at] = 1
        got = called("adaptive_max_pool2d_grad", way, others, indices, shape, layout=layout)
        assert not got.any()
        indices[at] = window[-1]
        got = called("adaptive_max_pool2d_grad", way, others, indices, shape, layout=layout)
        assert np.flatnonzero(got).tolist() == [window[-1]]


@LAYOUTS
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("backend", ["cpu", "simt", "reference"])
def test_global_pools_are_adaptive_ones_of_one_pixel(backend, dtype, layout):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 5, 6) if layout == "NCHW" else (2, 5, 6, 3)).astype(dtype)
    one = {"layout": layout}
    with testing.use_backend(backend):
        y, indices = convkit.global_max_pool2d(x, return_indices=True, **one)
        assert y.shape == ((2, 3, 1, 1) if layout == "NCHW" else (2, 1, 1, 3))
        grad_y = rng.standard_normal(y.shape).astype(dtype)
        pairs = [
            (y, convkit.adaptive_max_pool2d(x, 1, **one)),
            (y, convkit.global_max_pool2d(x, **one)),
            (indices, convkit.adaptive_max_pool2d(x, 1, return_indices=True, **one)[1]),
            (convkit.global_avg_pool2d(x, **one), convkit.adaptive_avg_pool2d(x, (1, 1), **one)),
            (
                convkit.global_max_pool2d_grad(grad_y, indices, x.shape, **one),
                convkit.adaptive_max_pool2d_grad(grad_y, indices, x.shape, **one),
            ),
            (
                convkit.global_avg_pool2d_grad(grad_y, x.shape, **one),
                convkit.adaptive_avg_pool2d_grad(grad_y, x.shape, **one),
            ),
        ]
        for first, second in pairs:
            assert testing.same_bits(first, second)
    sides = (2, 3) if layout == "NCHW" else (1, 2)
    np.testing.assert_allclose(pairs[3][0], x.mean(sides, keepdims=True), rtol=1e-2, atol=1e-3)
    np.testing.assert_array_equal(y, x.max(sides, keepdims=True))


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_none_keeps_a_side(backend):
    x = np.arange(60.0).reshape(1, 3, 4, 5)
    with testing.use_backend(backend):
        for size, shape in (((None, 2), (4, 2)), ([3, None], (3, 5)), ((None, None), (4, 5))):
            assert convkit.adaptive_avg_pool2d(x, size).shape == (1, 3, *shape)
            assert convkit.output_shape("adaptive_max_pool2d", x.shape, size) == (1, 3, *shape)
        np.testing.assert_array_equal(convkit.adaptive_max_pool2d(x, (None, None)), x)


@pytest.mark.parametrize(
    ("sides", "output", "refused"),
    [((14, 12), (7, 6), False), ((13, 12), (6, 6), True), ((12, 5), (6, 10), True)],
)
def test_pool2d_says_which_sides_it_needs(sides, output, refused):
    problem = testing.parse(
        "adaptive_pool2d", f"avg-n1c2h{sides[0]}w{sides[1]}-p{output[0]}q{output[1]}"
    )
    for backend in ("cpu", "simt"):
        told = testing.candidates(problem, "fprop", backend)
        assert list(told) == ["pool2d", "direct", "strict"]
        assert told["direct"] is None
        expected = (
            f"the image is {sides[0]} x {sides[1]}, needs multiples of the output's "
            f"{output[0]} x {output[1]}"
        )
        assert told["pool2d"] == (expected if refused else None)


IMAGE, POOLED = np.zeros((2, 3, 8, 9), "f4"), np.zeros((2, 3, 4, 5), "f4")
ONE, INDICES = np.zeros((2, 3, 1, 1), "f4"), np.zeros((2, 3, 4, 5), "i8")
AVG, MAX = convkit.adaptive_avg_pool2d, convkit.adaptive_max_pool2d
AVG_GRAD, MAX_GRAD = convkit.adaptive_avg_pool2d_grad, convkit.adaptive_max_pool2d_grad


@pytest.mark.parametrize("backend", ["cpu", "simt", "reference"])
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: AVG(IMAGE[0], 2), ["adaptive_avg_pool2d: x.shape is (3, 8, 9)", "4 dim"]),
        (lambda: AVG(IMAGE[:, :, :0], 2), ["x.shape[2] is 0", "at least 1"]),
        (lambda: MAX(IMAGE, 0), ["adaptive_max_pool2d: output_size is (0, 0)", "at least 1"]),
        (lambda: AVG(IMAGE, (2, -1)), ["output_size is (2, -1)", "at least 1"]),
        (lambda: AVG(IMAGE, 2**31), ["output_size is (2147483648, 2147483648)", "below 2**31"]),
        (lambda: AVG(IMAGE, 2**70), [f"output_size is {2**70}", "below 2**31"]),
        (lambda: AVG(IMAGE, (2**31 - 1,) * 2), ["the output's shape", "2**50 bytes"]),
        (lambda: AVG(IMAGE, None), ["output_size is None", "an int or a pair of ints and None"]),
        (lambda: AVG(IMAGE, (2, 2, 2)), ["output_size is (2, 2, 2)", "pair"]),
        (lambda: AVG(IMAGE, (2, 2.0)), ["output_size is (2, 2.0)", "pair"]),
        (lambda: AVG(IMAGE, (None, True)), ["output_size is (None, True)", "pair"]),
        (lambda: MAX(IMAGE, 2, return_indices=1), ["return_indices is 1", "True or False"]),
        (lambda: MAX(IMAGE.astype("i4"), 2), ["x.dtype is int32", "float32"]),
        (
            lambda: AVG_GRAD(POOLED, (2, 4, 8, 9)),
            ["adaptive_avg_pool2d_grad: grad_y.shape is (2, 3, 4, 5)", "(2, 4, 4, 5)"],
        ),
        (lambda: AVG_GRAD(POOLED[0], IMAGE.shape), ["grad_y.shape is (3, 4, 5)", "4 dim"]),
        (lambda: AVG_GRAD(POOLED, (2, 3, 8)), ["x_shape is (2, 3, 8)", "4 dimensions"]),
        (lambda: AVG_GRAD(POOLED[..., :0], IMAGE.shape), ["grad_y.shape[3] is 0", "at least 1"]),
        (
            lambda: MAX_GRAD(POOLED, INDICES[:, :, 1:], IMAGE.shape),
            ["adaptive_max_pool2d_grad: indices.shape is (2, 3, 3, 5)", "(2, 3, 4, 5)"],
        ),
        (lambda: MAX_GRAD(POOLED, INDICES.astype("i4"), IMAGE.shape), ["indices.dtype is int32"]),
        (
            lambda: convkit.global_avg_pool2d_grad(POOLED, IMAGE.shape),
            ["global_avg_pool2d_grad: grad_y.shape is (2, 3, 4, 5)", "(2, 3, 1, 1)", "one pixel"],
        ),
        (
            lambda: convkit.global_max_pool2d_grad(ONE, INDICES, IMAGE.shape),
            ["global_max_pool2d_grad: indices.shape is (2, 3, 4, 5)", "(2, 3, 1, 1)"],
        ),
        (lambda: convkit.global_max_pool2d(IMAGE[0]), ["global_max_pool2d: x.shape is"]),
    ],
)
def test_errors_name_argument_value_and_rule(call, words, backend):
    with testing.use_backend(backend), pytest.raises((ValueError, TypeError)) as error:
        call()
    for word in words:
        assert word in str(error.value)


def test_sides_whose_product_would_overflow_are_refused():
    with pytest.raises(ValueError, match=r"height times height .* below 2\*\*62"):
        convkit.output_shape("adaptive_avg_pool2d", (1, 1, 2**33, 1), (2**30, 1))
