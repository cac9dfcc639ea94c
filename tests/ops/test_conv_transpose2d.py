"""Transposed convolution by every algorithm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convkit
from convkit import testing

from . import strategies
from .properties import Properties
from .table import accepted, check_every_algorithm, every_way

DIRECTIONS = st.sampled_from(["fprop", "dgrad", "wgrad"])
SIDES, FEW = st.integers(1, 6), st.integers(1, 3)


class TestProperties(Properties):
    op = "conv_transpose2d"


@st.composite
def geometries(draw):
    """Any geometry whose output has a pixel."""
    stride, dilation = draw(st.tuples(FEW, FEW)), draw(st.tuples(FEW, FEW))
    pads = st.tuples(st.integers(0, 2), st.integers(0, 2))
    groups = draw(FEW)
    problem = testing.ConvTranspose2d(
        n=draw(st.integers(0, 3)),
        c=groups * draw(FEW),
        h=draw(SIDES),
        w=draw(SIDES),
        k=groups * draw(FEW),
        r=draw(FEW),
        s=draw(FEW),
        stride=stride,
        dilation=dilation,
        padding=(draw(pads), draw(pads)),
        output_padding=tuple(
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
        ),
        groups=groups,
        flip=draw(st.booleans()),
        layout=draw(st.sampled_from(["NCHW", "NHWC"])),
    )
    if min(problem.output) < 1:
        problem = testing.ConvTranspose2d(**{**vars(problem), "padding": ((0, 0), (0, 0))})
    return problem


@strategies.examples(150)
@given(geometries(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_cpu(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "cpu", dtype, seed)


@strategies.examples(50)
@given(geometries(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_simt(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "simt", dtype, seed)


@pytest.mark.parametrize("way", every_way("conv_transpose2d", "fprop"))
def test_worked_numbers(way):
    x, w = np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
    y = accepted(convkit.conv_transpose2d, way, x, w)
    assert y[0, 0].tolist() == [[1, 4, 4], [6, 20, 16], [9, 24, 16]]
    y = accepted(convkit.conv_transpose2d, way, x, w, stride=2, padding=1, output_padding=1)
    assert y[0, 0].tolist() == [[4, 6, 8], [6, 4, 8], [12, 12, 16]]


def test_upsampling_by_ones_repeats_pixels():
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype("f4")
    w = np.ones((3, 1, 2, 2), "f4")
    y = convkit.conv_transpose2d(x, w, stride=2, groups=3)
    np.testing.assert_array_equal(y, x.repeat(2, axis=2).repeat(2, axis=3))


def test_it_is_the_input_gradient_of_conv2d():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 5, 4)).astype("f4")
    w = rng.standard_normal((6, 2, 3, 3)).astype("f4")
    geometry = {"stride": 2, "padding": ((1, 0), (0, 1)), "groups": 2}
    y = convkit.conv_transpose2d(x, w, output_padding=1, **geometry)
    assert testing.same_bits(y, convkit.conv2d_input_grad(x, w, y.shape, **geometry))


@pytest.mark.parametrize("precision", ["high", "strict"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("backend", ["cpu", "simt"])
def test_the_epilogue_is_that_of_a_convolution(backend, layout, precision):
    """Where windows do not overlap both sum the same terms in the same order, then add the same."""
    rng = np.random.default_rng(0)
    c, k = 6, 5
    x = rng.standard_normal((2, c, 4, 3)).astype("f4")
    w = rng.standard_normal((c, k, 1, 1)).astype("f4")
    bias = rng.standard_normal(k).astype("f4")
    residual = rng.standard_normal((2, k, 4, 3)).astype("f4")
    turned = np.ascontiguousarray(w.transpose(1, 0, 2, 3))
    if layout == "NHWC":
        x, w, turned, residual = (
            np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (x, w, turned, residual)
        )
    more = {"layout": layout, "precision": precision}
    with testing.use_backend(backend):
        plain = convkit.conv_transpose2d(x, w, **more)
        for activation in (None, "relu", "tanh", "sigmoid"):
            given = {"activation": activation, "residual": residual}
            y = convkit.conv_transpose2d(x, w, bias, **given, **more)
            if precision == "strict":
                other = convkit.conv2d(x, turned, bias, **given, **more)
                assert testing.same_bits(y, other)
            if activation in (None, "relu"):
                shift = bias if layout == "NHWC" else bias.reshape(-1, 1, 1)
                stated = plain + shift + residual
                stated = np.maximum(stated, 0) if activation else stated
                assert testing.same_bits(y, stated)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bias": np.ones(3, "f4")}, ["bias.shape is (3,)", "must be (2,)", "output channel"]),
        (
            {"bias": np.ones(2, "f4"), "groups": 2},
            ["bias.shape is (2,)", "must be (4,)", "output channel"],
        ),
        ({"bias": np.ones(2, "f8")}, ["bias.dtype is float64", "float32"]),
        ({"residual": np.ones((1, 2, 6, 7), "f4")}, ["residual.shape is", "must be (1, 2, 7, 7)"]),
        ({"activation": "gelu"}, ["activation is 'gelu'", "'relu'"]),
        ({"output_padding": 2, "stride": 2}, ["output_padding is (2, 2)", "stride (2, 2)"]),
        ({"output_padding": -1}, ["output_padding is (-1, -1)", "at least 0"]),
        ({"padding": 4}, ["height would be -1", "at least 1"]),
        ({"padding": "same"}, ["padding is 'same'", "an int, a pair or"]),
        ({"groups": 3}, ["groups is 3", "must divide x's 4 channels"]),
        ({"stride": 0}, ["stride is (0, 0)", "at least 1"]),
        ({"w": np.ones((5, 2, 3, 3), "f4")}, ["w.shape[0] is 5", "x's 4 channels"]),
        ({"stride": 2**31}, ["stride is (2147483648, 2147483648)"]),
    ],
)
def test_errors_name_argument_value_and_rule(options, words):
    arguments = {"x": np.ones((1, 4, 5, 5), "f4"), "w": np.ones((4, 2, 3, 3), "f4")} | options
    with pytest.raises((ValueError, TypeError)) as error:
        convkit.conv_transpose2d(**arguments)
    for word in ("conv_transpose2d: ", *words):
        assert word in str(error.value)


def test_a_gradient_of_another_shape_is_refused():
    x, w = np.ones((1, 4, 5, 5), "f4"), np.ones((4, 2, 3, 3), "f4")
    with pytest.raises(ValueError, match=r"grad_y.shape is \(1, 2, 8, 7\), must be \(1, 2, 7, 7\)"):
        convkit.conv_transpose2d_weight_grad(np.ones((1, 2, 8, 7), "f4"), x, w.shape)
