"""The convolution reference against SciPy, and its gradients against adjoints and differences."""

import itertools

import numpy as np
import pytest
from scipy.signal import correlate2d

from convkit import reference

RNG = np.random.default_rng(0)

# x_shape, w_shape, options
PROBLEMS = [
    ((2, 3, 7, 6), (4, 3, 3, 2), {}),
    ((1, 2, 8, 9), (3, 2, 3, 3), {"stride": 2, "padding": 1}),
    ((2, 4, 9, 7), (6, 2, 3, 2), {"stride": (2, 3), "padding": (1, 2), "groups": 2}),
    ((1, 3, 6, 8), (3, 1, 3, 3), {"groups": 3, "padding": "same", "dilation": (1, 2)}),
    ((1, 1, 5, 5), (2, 1, 4, 4), {"padding": ((0, 3), (2, 1)), "stride": (3, 1)}),
    ((2, 2, 3, 2), (2, 2, 5, 4), {"padding": "full", "dilation": (2, 1)}),
    ((1, 2, 7, 8), (2, 2, 2, 3), {"padding": "same", "stride": 3}),
    ((1, 2, 11, 9), (2, 2, 2, 2), {"stride": 4, "flip_kernel": True}),
    ((2, 6, 5, 5), (4, 3, 2, 3), {"groups": 2, "flip_kernel": True, "padding": 1}),
    ((0, 2, 5, 5), (3, 2, 3, 3), {"padding": 1}),
]
ids = [f"{x}-{w}" for x, w, _ in PROBLEMS]


def expanded(w, dilation):
    """w with dilation - 1 zeros between its taps."""
    wide = np.zeros([d * (f - 1) + 1 for f, d in zip(w.shape, dilation, strict=True)])
    wide[:: dilation[0], :: dilation[1]] = w
    return wide


@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (3, 2)])
@pytest.mark.parametrize("pads", [((0, 0), (0, 0)), ((1, 2), (3, 0))])
@pytest.mark.parametrize("groups", [1, 2])
def test_conv2d_agrees_with_scipy(stride, dilation, pads, groups):
    x, w = RNG.normal(size=(2, 4, 12, 11)), RNG.normal(size=(6, 4 // groups, 3, 2))
    expected = []
    padded = np.pad(x, ((0, 0), (0, 0), *pads))
    for n, k in itertools.product(range(2), range(6)):
        first = k // (6 // groups) * (4 // groups)
        maps = [
            correlate2d(padded[n, first + c], expanded(w[k, c], dilation), mode="valid")
            for c in range(4 // groups)
        ]
        expected.append(sum(maps)[:: stride[0], :: stride[1]])
    got = reference.conv2d(x, w, stride=stride, dilation=dilation, padding=pads, groups=groups)
    np.testing.assert_allclose(got.reshape(12, *got.shape[2:]), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("sides", [(5, 6), (6, 5)])
@pytest.mark.parametrize("kernel", [(3, 3), (3, 5)])
def test_padding_words_agree_with_scipy(mode, sides, kernel):
    x, w = RNG.normal(size=sides), RNG.normal(size=kernel)
    got = reference.conv2d(x[None, None], w[None, None], padding=mode)[0, 0]
    np.testing.assert_allclose(got, correlate2d(x, w, mode=mode), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("x_shape", "w_shape", "options"), PROBLEMS, ids=ids)
def test_gradients_are_adjoint_to_conv2d(x_shape, w_shape, options):
    x, w = RNG.normal(size=x_shape), RNG.normal(size=w_shape)
    y = reference.conv2d(x, w, **options)
    grad_y = RNG.normal(size=y.shape)
    product = np.vdot(grad_y, y)
    grad_x = reference.conv2d_input_grad(grad_y, w, x_shape, **options)
    grad_w = reference.conv2d_weight_grad(grad_y, x, w_shape, **options)
    assert grad_x.shape == x_shape
    assert grad_w.shape == w_shape
    assert np.vdot(grad_x, x) == pytest.approx(product, abs=1e-10)
    assert np.vdot(grad_w, w) == pytest.approx(product, abs=1e-10)


@pytest.mark.parametrize(("x_shape", "w_shape", "options"), PROBLEMS[:5], ids=ids[:5])
def test_gradients_agree_with_differences(x_shape, w_shape, options):
    x, w = RNG.normal(size=x_shape), RNG.normal(size=w_shape)
    grad_y = RNG.normal(size=reference.conv2d(x, w, **options).shape)
    grads = {
        "x": reference.conv2d_input_grad(grad_y, w, x_shape, **options),
        "w": reference.conv2d_weight_grad(grad_y, x, w_shape, **options),
    }
    for name, moved in (("x", x), ("w", w)):
        for index in RNG.permutation(moved.size)[:20]:
            place = np.unravel_index(index, moved.shape)
            kept, step = moved[place], 1e-3
            moved[place] = kept + step
            above = reference.conv2d(x, w, **options)
            moved[place] = kept - step
            below = reference.conv2d(x, w, **options)
            moved[place] = kept
            difference = np.vdot(grad_y, above - below) / (2 * step)
            assert grads[name][place] == pytest.approx(difference, abs=1e-8)


@pytest.mark.parametrize(("x_shape", "w_shape", "options"), PROBLEMS, ids=ids)
def test_nhwc_is_nchw_transposed(x_shape, w_shape, options):
    x, w = RNG.normal(size=x_shape), RNG.normal(size=w_shape)
    y = reference.conv2d(x, w, **options)
    grad_y = RNG.normal(size=y.shape)
    x_last, w_last, grad_last = (a.transpose(0, 2, 3, 1) for a in (x, w, grad_y))
    options = {**options, "layout": "NHWC"}
    pairs = [
        (y, reference.conv2d(x_last, w_last, **options)),
        (
            reference.conv2d_input_grad(grad_y, w, x_shape, **{**options, "layout": "NCHW"}),
            reference.conv2d_input_grad(grad_last, w_last, x_last.shape, **options),
        ),
        (
            reference.conv2d_weight_grad(grad_y, x, w_shape, **{**options, "layout": "NCHW"}),
            reference.conv2d_weight_grad(grad_last, x_last, w_last.shape, **options),
        ),
    ]
    for first, last in pairs:
        np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), last)
    np.testing.assert_array_equal(
        reference.conv2d_bias_grad(grad_y),
        reference.conv2d_bias_grad(grad_last, layout="NHWC"),
    )


def test_epilogue_adds_bias_and_residual_before_the_activation():
    x, w, bias = (
        RNG.normal(size=(2, 3, 4, 4)),
        RNG.normal(size=(5, 3, 3, 3)),
        RNG.normal(size=5),
    )
    residual = RNG.normal(size=(2, 5, 4, 4))
    z = reference.conv2d(x, w, padding=1) + bias[:, None, None] + residual
    for activation, expected in (
        (None, z),
        ("relu", np.where(z > 0, z, 0)),
        ("tanh", np.tanh(z)),
        ("sigmoid", 1 / (1 + np.exp(-z))),
    ):
        got = reference.conv2d(x, w, bias, padding=1, residual=residual, activation=activation)
        np.testing.assert_allclose(got, expected, rtol=1e-14)


def test_sigmoid_of_large_values_does_not_overflow():
    z = np.array([-800.0, -40.0, 0.0, 40.0, 800.0])
    got = reference.conv2d(z.reshape(5, 1, 1, 1), np.ones((1, 1, 1, 1)), activation="sigmoid")
    np.testing.assert_allclose(got.ravel(), [0, np.exp(-40), 0.5, 1, 1], rtol=1e-15)


def test_a_nan_pixel_reaches_exactly_the_outputs_that_see_it():
    x = np.zeros((2, 2, 6, 6))
    x[1, 0, 2, 3] = np.nan
    y = reference.conv2d(x, np.ones((4, 1, 3, 3)), groups=2, padding=1, activation="relu")
    expected = np.zeros(y.shape, bool)
    expected[1, :2, 1:4, 2:5] = True
    np.testing.assert_array_equal(np.isnan(y), expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_results_have_the_type_of_the_first_array(dtype):
    x, w = np.ones((1, 2, 4, 4), dtype), np.ones((3, 2, 3, 3), dtype)
    y = reference.conv2d(x, w)
    assert y.dtype == dtype
    assert reference.conv2d_input_grad(y, w, x.shape).dtype == dtype
    assert reference.conv2d_weight_grad(y, x, w.shape).dtype == dtype
    assert reference.conv2d_bias_grad(y).dtype == dtype


def test_sums_are_made_in_float64_and_wider_where_given():
    x = np.array([1, 2.0**-30, -1], np.float32).reshape(1, 3, 1, 1)
    assert reference.conv2d(x, np.ones((1, 3, 1, 1), np.float32)).item() == 2.0**-30
    if np.finfo(np.longdouble).nmant > 60:
        x = np.array([1, 2.0**-60, -1], np.longdouble).reshape(1, 3, 1, 1)
        assert reference.conv2d(x, np.ones((1, 3, 1, 1), np.longdouble)).item() == 2.0**-60


@pytest.mark.parametrize(
    ("x_shape", "w_shape", "options"),
    [
        ((1, 3, 5, 5), (2, 2, 3, 3), {}),
        ((1, 4, 5, 5), (3, 2, 3, 3), {"groups": 2}),
        ((1, 2, 2, 5), (2, 2, 3, 3), {}),
        ((1, 2, 5, 5), (2, 2, 3, 3), {"stride": 0}),
        ((1, 2, 5, 5), (2, 2, 3, 3), {"padding": -1}),
        ((1, 2, 5, 5), (2, 2, 3, 3), {"padding": (1, 2, 3)}),
        ((1, 2, 5, 5), (2, 2, 3, 3), {"padding": ((1, 2), 3)}),
        ((1, 2, 5, 5), (2, 2, 3, 3), {"padding": "SAME"}),
        ((1, 2, 5, 5), (2, 2, 3, 3), {"dilation": True}),
        ((1, 2, 5, 5), (2, 2, 3, 3), {"activation": "gelu"}),
        ((1, 2, 5, 5), (2, 2, 3, 3), {"layout": "CHWN"}),
        ((2, 5, 5), (2, 2, 3, 3), {}),
    ],
)
def test_what_does_not_fit_is_refused(x_shape, w_shape, options):
    with pytest.raises(ValueError, match=r".+"):
        reference.conv2d(np.zeros(x_shape), np.zeros(w_shape), **options)


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="grad_y"):
        reference.conv2d_input_grad(np.zeros((1, 2, 4, 3)), np.zeros((2, 2, 3, 3)), (1, 2, 5, 5))
    with pytest.raises(ValueError, match="grad_y"):
        reference.conv2d_weight_grad(np.zeros((1, 2, 4, 3)), np.zeros((1, 2, 5, 5)), (2, 2, 3, 3))
