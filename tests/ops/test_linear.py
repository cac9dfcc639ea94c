"""The fully connected layer by every algorithm."""

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
ROWS = st.builds(
    testing.Linear,
    n=st.integers(0, 20),
    c=st.integers(1, 90),
    k=st.integers(1, 90),
    bias=st.booleans(),
    residual=st.booleans(),
    activation=st.sampled_from([None, "relu", "tanh", "sigmoid"]),
)
X = np.array([[1.0, 2.0, 3.0], [-1.0, 0.0, 2.0]])
W = np.array([[1.0, 0.0, -1.0], [2.0, 1.0, 0.0]])
GRAD_Y = np.array([[1.0, 2.0], [3.0, -1.0]])


class TestProperties(Properties):
    op = "linear"


@strategies.examples(100)
@given(ROWS, DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_sizes_on_cpu(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "cpu", dtype, seed)


@strategies.examples(30)
@given(ROWS, DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_sizes_on_simt(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "simt", dtype, seed)


@pytest.mark.parametrize("way", every_way("linear", "fprop"))
def test_worked_forward(way):
    y = accepted(convkit.linear, way, X, W, np.array([0.5, -4.0]), activation="relu")
    assert y.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    y = accepted(convkit.linear, way, X, W, np.array([0.5, -4.0]), residual=np.ones((2, 2)))
    assert y.tolist() == [[-0.5, 1.0], [-1.5, -5.0]]


@pytest.mark.parametrize("way", every_way("linear", "dgrad"))
def test_worked_input_gradient(way):
    grad_x = accepted(convkit.linear_input_grad, way, GRAD_Y, W)
    assert grad_x.tolist() == [[5.0, 2.0, -1.0], [1.0, -1.0, -3.0]]


@pytest.mark.parametrize("way", every_way("linear", "wgrad"))
def test_worked_weight_gradient(way):
    grad_w = accepted(convkit.linear_weight_grad, way, GRAD_Y, X)
    assert grad_w.tolist() == [[-2.0, 2.0, 9.0], [3.0, 4.0, 4.0]]


@pytest.mark.parametrize("leading", [(), (3,), (2, 1, 4), (0, 5), (2, 0)])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_any_leading_sides(leading, dtype):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((*leading, 6)).astype(dtype)
    w, bias = rng.standard_normal((4, 6)).astype(dtype), rng.standard_normal(4).astype(dtype)
    y = convkit.linear(x, w, bias)
    assert y.shape == (*leading, 4)
    grad_y = rng.standard_normal(y.shape).astype(dtype)
    results = (y, convkit.linear_input_grad(grad_y, w), convkit.linear_weight_grad(grad_y, x))
    x_rows, grad_rows = x.reshape(-1, 6), grad_y.reshape(-1, 4)
    by_rows = (
        convkit.linear(x_rows, w, bias),
        convkit.linear_input_grad(grad_rows, w),
        convkit.linear_weight_grad(grad_rows, x_rows),
    )
    shapes = (y.shape, x.shape, w.shape)
    for result, rows, shape in zip(results, by_rows, shapes, strict=True):
        assert testing.same_bits(result, rows.reshape(shape))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: convkit.linear(np.array(1.0), W), ["linear: x.shape is ()", "1 dimension"]),
        (lambda: convkit.linear(X, W[0]), ["linear: w.shape is (3,)", "2 dimensions"]),
        (lambda: convkit.linear(X[:, :2], W), ["x.shape is (2, 2)", "last side must be 3"]),
        (lambda: convkit.linear(X[:, :0], W[:, :0]), ["x.shape is (2, 0)", "at least 1"]),
        (lambda: convkit.linear(X, W, np.ones(3)), ["bias.shape is (3,)", "(2,)"]),
        (lambda: convkit.linear(X, W, residual=X), ["residual.shape is (2, 3)", "(2, 2)"]),
        (
            lambda: convkit.linear_input_grad(X, W),
            ["linear_input_grad: grad_y.shape is (2, 3)", "must be 2"],
        ),
        (
            lambda: convkit.linear_weight_grad(GRAD_Y[0], X),
            ["linear_weight_grad: grad_y.shape is (2,)", "(2, 3)"],
        ),
    ],
)
def test_errors_name_argument_value_and_rule(call, words):
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    for word in words:
        assert word in str(error.value)
