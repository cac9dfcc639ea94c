"""The reference against numbers worked by hand."""

import numpy as np
import pytest

from convkit import reference

from . import worked
from .worked import rows


@pytest.mark.parametrize(("options", "expected"), worked.CONV)
def test_conv2d_gives_the_worked_numbers(options, expected):
    np.testing.assert_array_equal(reference.conv2d(worked.X, worked.W, **options), rows(expected))


def test_conv2d_gradients_give_the_worked_numbers():
    np.testing.assert_array_equal(
        reference.conv2d_input_grad(worked.DY, worked.W, worked.X.shape),
        rows(worked.CONV_INPUT_GRAD),
    )
    np.testing.assert_array_equal(
        reference.conv2d_weight_grad(worked.DY, worked.X, worked.W.shape),
        rows(worked.CONV_WEIGHT_GRAD),
    )
    assert reference.conv2d_bias_grad(worked.DY).tolist() == [worked.CONV_BIAS_GRAD]


@pytest.mark.parametrize(("grad_y", "w", "side", "options", "expected"), worked.TRANSPOSED)
def test_input_gradient_is_transposed_convolution(grad_y, w, side, options, expected):
    got = reference.conv2d_input_grad(rows(grad_y), rows(w), (1, 1, side, side), **options)
    np.testing.assert_array_equal(got, rows(expected))


@pytest.mark.parametrize(("kernel", "expected"), worked.EDGES)
def test_edge_filters_give_the_lecture_numbers(kernel, expected):
    np.testing.assert_array_equal(reference.conv2d(worked.LECTURE, rows(kernel)), rows(expected))


@pytest.mark.parametrize(("image", "kernel", "expected"), worked.STEPS)
def test_steps_give_the_lecture_numbers(image, kernel, expected):
    np.testing.assert_array_equal(reference.conv2d(rows(image), rows(kernel)), rows(expected))


def test_true_convolution_with_the_vertical_filter_is_the_negative():
    kernel = rows(worked.VERTICAL)
    np.testing.assert_array_equal(
        reference.conv2d(worked.LECTURE, kernel, flip_kernel=True),
        -reference.conv2d(worked.LECTURE, kernel),
    )


def test_stride_2_gives_the_course_numbers():
    got = reference.conv2d(worked.COURSE, worked.COURSE_KERNEL, stride=2)
    np.testing.assert_array_equal(got, worked.COURSE_STRIDE_2)


def test_first_alexnet_layer_has_side_55():
    x, w = np.zeros((1, 3, 227, 227)), np.zeros((1, 3, 11, 11))
    assert reference.conv2d(x, w, stride=4).shape == (1, 1, 55, 55)


def test_pools_give_the_worked_numbers():
    y, indices = reference.max_pool2d(worked.POOLED, 2, return_indices=True)
    np.testing.assert_array_equal(y, worked.POOLED_MAX)
    np.testing.assert_array_equal(indices, worked.POOLED_INDICES)
    np.testing.assert_array_equal(reference.avg_pool2d(worked.POOLED, 2), worked.POOLED_AVG)
    np.testing.assert_array_equal(
        reference.max_pool2d(worked.OVERLAP, 3, stride=1), worked.OVERLAP_MAX
    )


@pytest.mark.parametrize(("count_include_pad", "expected"), worked.AVG_PADDED)
def test_padded_average_gives_the_worked_numbers(count_include_pad, expected):
    got = reference.avg_pool2d(
        worked.X, 3, stride=2, padding=1, count_include_pad=count_include_pad
    )
    np.testing.assert_array_equal(got, expected)


def test_im2col_gives_the_worked_numbers():
    np.testing.assert_array_equal(reference.im2col(worked.X, 2), worked.IM2COL)


def test_gram_gives_the_worked_numbers():
    np.testing.assert_array_equal(reference.gram_matrix(worked.GENERATED), worked.GENERATED_GRAM)
    np.testing.assert_array_equal(reference.gram_matrix(worked.STYLE), worked.STYLE_GRAM)
    np.testing.assert_array_equal(
        reference.gram_matrix_grad(worked.GRAM_GRAD, worked.GENERATED),
        worked.GRAM_INPUT_GRAD,
    )


@pytest.mark.parametrize(("numbers", "expected"), worked.LRN)
def test_local_response_norm_gives_the_worked_numbers(numbers, expected):
    got = reference.local_response_norm(worked.CHANNELS, *numbers)
    # NumPy's power and division, by an ulp or two.
    np.testing.assert_allclose(got, rows(expected).reshape(1, 6, 1, 1), rtol=1e-15)


def test_local_response_norm_gradient_gives_the_worked_numbers():
    grad_y = np.eye(1, 6).reshape(1, 6, 1, 1)
    got = reference.local_response_norm_grad(grad_y, worked.CHANNELS, *worked.LRN[-1][0])
    # The same.
    np.testing.assert_allclose(got, rows(worked.LRN_GRAD).reshape(1, 6, 1, 1), rtol=1e-15)


def test_cross_entropy_gives_the_worked_numbers():
    target = np.array([2])
    got = reference.cross_entropy(worked.LOGITS, target)
    # NumPy's exp and log, by an ulp or two.
    np.testing.assert_allclose(got, worked.LOSS, rtol=1e-15)
    grad = reference.cross_entropy_grad(np.ones(()), worked.LOGITS, target)
    # The same.
    np.testing.assert_allclose(grad, worked.SOFTMAX - [[0, 0, 1]], rtol=1e-15)


def test_gram_makes_the_style_cost_and_its_gradient():
    difference = reference.gram_matrix(worked.GENERATED) - reference.gram_matrix(worked.STYLE)
    scale = (2 * 2 * 2 * 2) ** 2  # (2 n_H n_W n_c)^2
    assert (difference**2).sum() / scale == worked.STYLE_COST
    np.testing.assert_array_equal(
        reference.gram_matrix_grad(2 * difference / scale, worked.GENERATED),
        worked.STYLE_GRADIENT,
    )
