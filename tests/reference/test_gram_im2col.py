"""The Gram and im2col references against each other's algebra, adjoints and differences."""

import numpy as np
import pytest

from convkit import reference

RNG = np.random.default_rng(2)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1, 1, 1), (3, 7, 1, 2), (0, 2, 3, 3)])
def test_gram_is_the_product_of_all_pairs_of_channels(shape, normalize):
    x = RNG.normal(size=shape)
    scale = shape[1] * shape[2] * shape[3] if normalize else 1
    expected = np.einsum("nihw,njhw->nij", x, x) / scale
    got = reference.gram_matrix(x, normalize)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-13)
    last = reference.gram_matrix(x.transpose(0, 2, 3, 1), normalize, layout="NHWC")
    np.testing.assert_allclose(last, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("normalize", [False, True])
def test_gram_gradient_agrees_with_differences(normalize):
    x, grad = RNG.normal(size=(2, 3, 2, 2)), RNG.normal(size=(2, 3, 3))
    grad_x = reference.gram_matrix_grad(grad, x, normalize)
    grad_last = reference.gram_matrix_grad(grad, x.transpose(0, 2, 3, 1), normalize, layout="NHWC")
    np.testing.assert_array_equal(grad_x.transpose(0, 2, 3, 1), grad_last)
    for place in np.ndindex(*x.shape):
        kept, step = x[place], 1e-4
        x[place] = kept + step
        above = reference.gram_matrix(x, normalize)
        x[place] = kept - step
        below = reference.gram_matrix(x, normalize)
        x[place] = kept
        difference = np.vdot(grad, above - below) / (2 * step)
        assert grad_x[place] == pytest.approx(difference, abs=1e-9)


# x_shape, kernel_size, options
COLUMNS = [
    ((2, 3, 5, 6), 3, {}),
    (
        (1, 2, 6, 5),
        (2, 3),
        {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2)},
    ),
    ((1, 1, 2, 2), 3, {"padding": "full"}),
    ((1, 2, 7, 7), 2, {"padding": "same", "stride": 3}),
    ((0, 2, 3, 3), 2, {}),
]


@pytest.mark.parametrize(("x_shape", "kernel", "options"), COLUMNS)
def test_filters_times_columns_is_convolution(x_shape, kernel, options):
    r, s = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    x, w = RNG.normal(size=x_shape), RNG.normal(size=(4, x_shape[1], r, s))
    y = reference.conv2d(x, w, **options)
    columns = reference.im2col(x, kernel, **options)
    assert columns.shape == (x_shape[0], x_shape[1] * r * s, y.shape[2] * y.shape[3])
    np.testing.assert_allclose((w.reshape(4, -1) @ columns).reshape(y.shape), y, atol=1e-13)
    last = reference.im2col(x.transpose(0, 2, 3, 1), kernel, **options, layout="NHWC")
    by_filter = w.transpose(0, 2, 3, 1).reshape(4, -1)
    np.testing.assert_allclose(
        (last @ by_filter.T).reshape(y.transpose(0, 2, 3, 1).shape),
        y.transpose(0, 2, 3, 1),
        atol=1e-13,
    )


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("x_shape", "kernel", "options"), COLUMNS)
def test_col2im_is_adjoint_to_im2col(x_shape, kernel, options, layout):
    x = RNG.normal(size=x_shape)
    if layout == "NHWC":
        x = x.transpose(0, 2, 3, 1)
    columns = reference.im2col(x, kernel, **options, layout=layout)
    other = RNG.normal(size=columns.shape)
    back = reference.col2im(other, x.shape, kernel, **options, layout=layout)
    assert back.shape == x.shape
    assert np.vdot(columns, other) == pytest.approx(np.vdot(x, back), abs=1e-12)


def test_col2im_of_im2col_counts_how_often_a_pixel_is_read():
    x = np.ones((1, 1, 3, 3))
    back = reference.col2im(reference.im2col(x, 2), x.shape, 2)
    np.testing.assert_array_equal(back[0, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, np.int32])
def test_results_have_the_type_of_the_first_array(dtype):
    x = np.ones((1, 2, 3, 3), dtype)
    columns = reference.im2col(x, 2)
    assert columns.dtype == dtype
    assert reference.col2im(columns, x.shape, 2).dtype == dtype
    gram = reference.gram_matrix(x)
    assert gram.dtype == dtype
    assert reference.gram_matrix_grad(gram, x).dtype == dtype


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="cols"):
        reference.col2im(np.zeros((1, 4, 5)), (1, 1, 3, 3), 2)
    with pytest.raises(ValueError, match="grad_gram"):
        reference.gram_matrix_grad(np.zeros((1, 2, 2)), np.zeros((1, 3, 2, 2)))
