"""The pooling references against window-by-window loops, adjoints and the rules for odd cases."""

import numpy as np
import pytest

from convkit import reference

RNG = np.random.default_rng(1)

# x_shape, kernel_size, options
PROBLEMS = [
    ((2, 3, 6, 7), 2, {}),
    ((1, 2, 7, 8), 3, {"stride": 2, "padding": 1}),
    ((1, 2, 7, 8), 3, {"stride": 2, "ceil_mode": True}),
    ((2, 1, 8, 5), (3, 2), {"stride": (1, 3), "padding": ((2, 0), (1, 1))}),
    ((1, 1, 5, 5), 2, {"stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 2, 6, 6), 2, {"stride": 3, "padding": ((0, 1), (1, 0)), "ceil_mode": True}),
    ((1, 1, 2, 2), 3, {"stride": 2, "ceil_mode": True}),
    ((1, 3, 1, 1), 1, {}),
    ((0, 3, 4, 4), 2, {}),
]


def windows_of(x_shape, kernel, stride=None, padding=0, dilation=1, ceil_mode=False, output=None):
    """For each window the list of (row, column) places it covers, inside the image or not."""
    pair = lambda v: v if isinstance(v, tuple) else (v, v)  # noqa: E731
    kernel, dilation = pair(kernel), pair(dilation)
    stride = kernel if stride is None else pair(stride)
    top, left = (p[0] if isinstance(p, tuple) else p for p in pair(padding))
    for p, q in np.ndindex(*output):
        yield (
            (p, q),
            [
                (
                    p * stride[0] - top + r * dilation[0],
                    q * stride[1] - left + s * dilation[1],
                )
                for r, s in np.ndindex(*kernel)
            ],
        )


@pytest.mark.parametrize("dilation", [1, (2, 1)])
@pytest.mark.parametrize(("x_shape", "kernel", "options"), PROBLEMS)
def test_max_pool_agrees_with_a_loop_over_windows(x_shape, kernel, options, dilation):
    if dilation != 1 and x_shape[2] < 4:
        dilation = 1
    x = RNG.integers(-3, 4, size=x_shape).astype(float)  # many ties
    y, indices = reference.max_pool2d(x, kernel, **options, dilation=dilation, return_indices=True)
    _, _, height, width = x_shape
    for (p, q), places in windows_of(
        x_shape, kernel, **options, dilation=dilation, output=y.shape[2:]
    ):
        inside = [h * width + w for h, w in places if 0 <= h < height and 0 <= w < width]
        values = x.reshape(*x_shape[:2], height * width)[:, :, inside]
        np.testing.assert_array_equal(y[:, :, p, q], values.max(axis=2))
        np.testing.assert_array_equal(indices[:, :, p, q], np.array(inside)[values.argmax(axis=2)])


@pytest.mark.parametrize("count_include_pad", [True, False])
@pytest.mark.parametrize(("x_shape", "kernel", "options"), PROBLEMS)
def test_avg_pool_agrees_with_a_loop_over_windows(x_shape, kernel, options, count_include_pad):
    x = RNG.normal(size=x_shape)
    y = reference.avg_pool2d(x, kernel, **options, count_include_pad=count_include_pad)
    _, _, height, width = x_shape
    padding = options.get("padding", 0)
    (_, bottom), (_, right) = (
        padding if isinstance(padding, tuple) else ((padding, padding), (padding, padding))
    )
    for (p, q), places in windows_of(x_shape, kernel, **options, output=y.shape[2:]):
        inside = [(h, w) for h, w in places if 0 <= h < height and 0 <= w < width]
        padded = [(h, w) for h, w in places if h < height + bottom and w < width + right]
        total = sum((x[:, :, h, w] for h, w in inside), np.zeros(x_shape[:2]))
        divisor = len(padded) if count_include_pad else len(inside)
        np.testing.assert_allclose(y[:, :, p, q], total / divisor, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("x_shape", "kernel", "options"), PROBLEMS)
def test_gradients_are_adjoint(x_shape, kernel, options):
    x = RNG.normal(size=x_shape)
    y, indices = reference.max_pool2d(x, kernel, **options, return_indices=True)
    grad_y = RNG.normal(size=y.shape)
    grad_x = reference.max_pool2d_grad(grad_y, indices, x_shape, kernel, **options)
    assert np.vdot(grad_x, x) == pytest.approx(np.vdot(grad_y, y), abs=1e-12)
    for count_include_pad in (True, False):
        pool = {**options, "count_include_pad": count_include_pad}
        y = reference.avg_pool2d(x, kernel, **pool)
        grad_x = reference.avg_pool2d_grad(grad_y, x_shape, kernel, **pool)
        assert np.vdot(grad_x, x) == pytest.approx(np.vdot(grad_y, y), abs=1e-12)


@pytest.mark.parametrize(("x_shape", "kernel", "options"), PROBLEMS)
def test_nhwc_is_nchw_transposed(x_shape, kernel, options):
    last = lambda a: a.transpose(0, 2, 3, 1)  # noqa: E731
    x = RNG.normal(size=x_shape)
    y, indices = reference.max_pool2d(x, kernel, **options, return_indices=True)
    y_last, indices_last = reference.max_pool2d(
        last(x), kernel, **options, return_indices=True, layout="NHWC"
    )
    np.testing.assert_array_equal(last(y), y_last)
    np.testing.assert_array_equal(last(indices), indices_last)
    grad_y, shape = RNG.normal(size=y.shape), last(x).shape
    np.testing.assert_array_equal(
        last(reference.max_pool2d_grad(grad_y, indices, x_shape, kernel, **options)),
        reference.max_pool2d_grad(
            last(grad_y), last(indices), shape, kernel, **options, layout="NHWC"
        ),
    )
    np.testing.assert_array_equal(
        last(reference.avg_pool2d(x, kernel, **options)),
        reference.avg_pool2d(last(x), kernel, **options, layout="NHWC"),
    )
    np.testing.assert_array_equal(
        last(reference.avg_pool2d_grad(grad_y, x_shape, kernel, **options)),
        reference.avg_pool2d_grad(last(grad_y), shape, kernel, **options, layout="NHWC"),
    )


def test_the_first_of_equal_pixels_and_the_first_nan_win():
    x = np.array([[[[1, 1, 2, np.nan], [1, 1, np.nan, 2]]]])
    y, indices = reference.max_pool2d(x, 2, return_indices=True)
    np.testing.assert_array_equal(y, [[[[1, np.nan]]]])
    np.testing.assert_array_equal(indices, [[[[0, 3]]]])


def test_pixels_of_minus_infinity_still_have_an_index():
    x = np.full((1, 1, 2, 2), -np.inf)
    y, indices = reference.max_pool2d(x, 2, stride=1, padding=1, return_indices=True)
    assert np.isneginf(y).all()
    np.testing.assert_array_equal(indices[0, 0], [[0, 0, 1], [0, 0, 1], [2, 2, 3]])


def test_a_window_that_meets_no_pixel_gives_minus_infinity_and_no_gradient():
    x = np.ones((1, 1, 1, 1))
    y, indices = reference.max_pool2d(x, 2, padding=1, dilation=2, return_indices=True)
    np.testing.assert_array_equal(y, [[[[-np.inf]]]])
    np.testing.assert_array_equal(indices, [[[[-1]]]])
    grad_x = reference.max_pool2d_grad(np.ones_like(y), indices, x.shape, 2, padding=1, dilation=2)
    np.testing.assert_array_equal(grad_x, [[[[0]]]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
def test_results_have_the_type_of_the_first_array(dtype):
    x = np.ones((1, 2, 4, 4), dtype)
    y, indices = reference.max_pool2d(x, 2, return_indices=True)
    assert y.dtype == reference.avg_pool2d(x, 2).dtype == dtype
    assert indices.dtype == np.int64
    assert reference.max_pool2d_grad(y, indices, x.shape, 2).dtype == dtype
    assert reference.avg_pool2d_grad(y, x.shape, 2).dtype == dtype


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        (3, {}),
        (0, {}),
        (2, {"padding": 2}),
        (2, {"padding": "same"}),
        (2, {"stride": 0}),
        (2, {"dilation": 2}),
        ((2, 2, 2), {}),
        (2.0, {}),
    ],
)
def test_what_does_not_fit_is_refused(kernel, options):
    with pytest.raises(ValueError, match=r".+"):
        reference.max_pool2d(np.zeros((1, 1, 2, 2)), kernel, **options)
