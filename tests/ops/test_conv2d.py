"""Convolution and its gradients by every algorithm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convkit
from convkit import testing

from ..reference import worked
from ..reference.worked import rows
from . import strategies
from .properties import Properties
from .table import COMBINATIONS, accepted, check_every_algorithm, every_way

DIRECTIONS = st.sampled_from(["fprop", "dgrad", "wgrad"])


class TestProperties(Properties):
    op = "conv2d"


@strategies.examples(150)
@given(strategies.conv2d(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_cpu(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "cpu", dtype, seed)


@strategies.examples(60)
@given(strategies.conv2d(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_simt(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "simt", dtype, seed)


def images(array, dtype, layout):
    """A worked (1, 1, H, W) array; with one channel both layouts hold the same numbers."""
    n, c, h, w = array.shape
    return array.astype(dtype).reshape((n, c, h, w) if layout == "NCHW" else (n, h, w, c))


@pytest.mark.parametrize(("dtype", "layout"), COMBINATIONS)
@pytest.mark.parametrize("way", every_way("conv2d", "fprop"))
class TestWorkedNumbers:
    @pytest.mark.parametrize(("options", "expected"), worked.CONV)
    def test_small_example(self, way, dtype, layout, options, expected):
        x, w = (images(a, dtype, layout) for a in (worked.X, worked.W))
        y = accepted(convkit.conv2d, way, x, w, layout=layout, **options)
        np.testing.assert_array_equal(y, images(rows(expected), dtype, layout), strict=True)

    @pytest.mark.parametrize(("kernel", "expected"), worked.EDGES)
    def test_edge_filters(self, way, dtype, layout, kernel, expected):
        x, w = images(worked.LECTURE, dtype, layout), images(rows(kernel), dtype, layout)
        y = accepted(convkit.conv2d, way, x, w, layout=layout)
        np.testing.assert_array_equal(y, images(rows(expected), dtype, layout), strict=True)

    @pytest.mark.parametrize(("image", "kernel", "expected"), worked.STEPS)
    def test_steps(self, way, dtype, layout, image, kernel, expected):
        x, w = images(rows(image), dtype, layout), images(rows(kernel), dtype, layout)
        y = accepted(convkit.conv2d, way, x, w, layout=layout)
        np.testing.assert_array_equal(y, images(rows(expected), dtype, layout), strict=True)

    def test_course_with_stride_2(self, way, dtype, layout):
        x, w = (images(a, dtype, layout) for a in (worked.COURSE, worked.COURSE_KERNEL))
        y = accepted(convkit.conv2d, way, x, w, stride=2, layout=layout)
        np.testing.assert_array_equal(y, images(worked.COURSE_STRIDE_2, dtype, layout), strict=True)


@pytest.mark.parametrize(("dtype", "layout"), COMBINATIONS)
@pytest.mark.parametrize("way", every_way("conv2d", "dgrad"))
@pytest.mark.parametrize(
    ("grad_y", "w", "side", "options", "expected"),
    [("1 2; 3 4", "1 2; 3 4", 3, {}, worked.CONV_INPUT_GRAD), *worked.TRANSPOSED],
)
def test_worked_input_gradients(way, dtype, layout, grad_y, w, side, options, expected):
    arrays = (images(rows(a), dtype, layout) for a in (grad_y, w))
    shape = images(np.zeros((1, 1, side, side)), dtype, layout).shape
    got = accepted(convkit.conv2d_input_grad, way, *arrays, shape, layout=layout, **options)
    np.testing.assert_array_equal(got, images(rows(expected), dtype, layout), strict=True)


@pytest.mark.parametrize(("dtype", "layout"), COMBINATIONS)
@pytest.mark.parametrize("way", every_way("conv2d", "wgrad"))
def test_worked_weight_gradient(way, dtype, layout):
    grad_y, x, w = (images(a, dtype, layout) for a in (worked.DY, worked.X, worked.W))
    got = accepted(convkit.conv2d_weight_grad, way, grad_y, x, w.shape, layout=layout)
    expected = images(rows(worked.CONV_WEIGHT_GRAD), dtype, layout)
    np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize("way", every_way("conv2d", "fprop"))
def test_a_nan_weight_spoils_its_filter_and_no_other(way):
    x, w = np.ones((2, 3, 5, 6), np.float32), np.ones((9, 3, 3, 3), np.float32)
    w[4, 2, 1, 0] = np.nan
    y = accepted(convkit.conv2d, way, x, w)
    assert np.isnan(y[:, 4]).all()
    assert (np.delete(y, 4, axis=1) == 27).all()


@pytest.mark.parametrize("way", every_way("conv2d", "fprop"))
def test_relu_keeps_nan(way):
    x, w = np.full((1, 1, 1, 1), np.nan, np.float32), np.ones((1, 1, 1, 1), np.float32)
    assert np.isnan(accepted(convkit.conv2d, way, x, w, activation="relu")).all()


@pytest.mark.parametrize("way", every_way("conv2d", "wgrad"))
def test_weight_gradient_of_an_empty_batch_is_zero(way):
    grad_y, x = np.zeros((0, 4, 5, 5), np.float32), np.zeros((0, 3, 5, 5), np.float32)
    out = np.full((4, 3, 3, 3), np.nan, np.float32)
    got = accepted(convkit.conv2d_weight_grad, way, grad_y, x, out.shape, padding=1, out=out)
    assert got is out
    assert (out == 0).all()


MODES = [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")]


@pytest.mark.parametrize(("mode", "numpys"), MODES)
@pytest.mark.parametrize("backend", ["cpu", "simt"])
def test_padding_of_a_mode_is_the_convolution_of_a_padded_image(backend, mode, numpys):
    rng = np.random.default_rng(3)
    x, w = (rng.integers(-3, 4, shape).astype("f4") for shape in ((2, 3, 5, 6), (4, 3, 3, 4)))
    pads = ((4, 1), (0, 3))
    padded = np.pad(x, ((0, 0), (0, 0), *pads), numpys)
    y = convkit.conv2d(padded, w, stride=(1, 2))
    grad_y = rng.integers(-3, 4, y.shape).astype("f4")
    grad_w = convkit.conv2d_weight_grad(grad_y, padded, w.shape, stride=(1, 2))
    options = {"stride": (1, 2), "padding": pads, "padding_mode": mode}
    with convkit.testing.use_backend(backend):
        np.testing.assert_array_equal(convkit.conv2d(x, w, **options), y)
        np.testing.assert_array_equal(
            convkit.conv2d_weight_grad(grad_y, x, w.shape, **options), grad_w
        )
        # The adjoint, exactly: whole numbers.
        grad_x = convkit.conv2d_input_grad(grad_y, w, x.shape, **options)
        assert (grad_x.astype("f8") * x).sum() == (grad_y.astype("f8") * y).sum()


@pytest.mark.parametrize("backend", ["cpu", "simt"])
def test_other_algorithms_say_that_they_pad_with_zeros(backend):
    x, w = np.ones((1, 3, 5, 5), "f4"), np.ones((2, 3, 3, 3), "f4")
    options = {"padding": 1, "padding_mode": "reflect"}
    with convkit.testing.use_backend(backend):
        for algo in ("direct", "implicit_gemm"):
            with pytest.raises(ValueError, match="padding_mode is 'reflect', needs 'zeros'"):
                convkit.conv2d(x, w, algo=algo, **options)
        # Where nothing is padded there is nothing to show.
        convkit.conv2d(x, w, padding_mode="reflect", algo="direct")


@pytest.mark.parametrize(
    ("mode", "padding", "rule"),
    [
        ("reflect", 5, "((5, 5), (5, 5)), must be below the image's sides (5, 7)"),
        ("reflect", ((0, 0), (2, 7)), "((0, 0), (2, 7)), must be below the image's sides (5, 7)"),
        ("circular", (6, 0), "((6, 6), (0, 0)), must be at most the image's sides (5, 7)"),
    ],
)
def test_pads_that_a_mode_cannot_show_are_refused(mode, padding, rule):
    x, w = np.ones((1, 2, 5, 7), "f4"), np.ones((3, 2, 3, 3), "f4")
    for call in (
        lambda **options: convkit.conv2d(x, w, **options),
        lambda **options: convkit.conv2d_input_grad(x, w, x.shape, **options),
        lambda **options: convkit.conv2d_weight_grad(x, x, w.shape, **options),
    ):
        with pytest.raises(ValueError, match=f"where padding_mode is '{mode}'") as refusal:
            call(padding=padding, padding_mode=mode)
        assert rule in str(refusal.value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("precision", ["high", "strict"])
@pytest.mark.parametrize("backend", ["cpu", "simt"])
def test_tanh_keeps_the_sign_of_zero(backend, precision, dtype):
    x = np.zeros((1, 3, 1, 7), dtype)
    options = {"activation": "tanh", "precision": precision}
    with testing.use_backend(backend):
        y = convkit.conv2d(x, np.ones((2, 3, 1, 1), dtype), **options)
        z = convkit.batch_norm(-x, None, None, x[0, :, 0, 0], x[0, :, 0, 0] + 1, **options)
    assert not np.signbit(y).any()  # a sum of zeros is +0
    assert np.signbit(z).all()
