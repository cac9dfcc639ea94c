"""The gradient of a bias: sums over images and pixels."""

import numpy as np
import pytest
from hypothesis import given

import convkit

from . import strategies
from .properties import Properties
from .table import COMBINATIONS, accepted, check_every_algorithm, every_way


class TestProperties(Properties):
    op = "bias_grad"


@strategies.examples(60)
@given(strategies.bias_grad(), strategies.DTYPES, strategies.SEEDS)
def test_random_sizes_on_cpu(problem, dtype, seed):
    check_every_algorithm(problem, "wgrad", "cpu", dtype, seed)


@strategies.examples(30)
@given(strategies.bias_grad(), strategies.DTYPES, strategies.SEEDS)
def test_random_sizes_on_simt(problem, dtype, seed):
    check_every_algorithm(problem, "wgrad", "simt", dtype, seed)


@pytest.mark.parametrize(("dtype", "layout"), COMBINATIONS)
@pytest.mark.parametrize("way", every_way("bias_grad", "wgrad"))
def test_worked_numbers(way, dtype, layout):
    grad_y = np.array([[[[1, 2], [3, 4]]], [[[10, 20], [30, 40]]]], np.float64)
    grad_y = np.concatenate([grad_y, -2 * grad_y], axis=1).astype(dtype)
    if layout == "NHWC":
        grad_y = np.ascontiguousarray(grad_y.transpose(0, 2, 3, 1))
    got = accepted(convkit.conv2d_bias_grad, way, grad_y, layout=layout)
    np.testing.assert_array_equal(got, np.array([110, -220]).astype(dtype), strict=True)
