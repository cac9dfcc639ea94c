"""Numbers beside Tensors leave their dtype alone, forward and back."""

import ml_dtypes
import numpy as np
import pytest

import convkit
from convkit import Tensor

SLOPES = np.random.default_rng(0).normal(size=100).astype("f4")
CALLS = {
    "add": lambda x: x + 0.5,
    "rsub": lambda x: 0.5 - x,
    "mul": lambda x: 0.1 * x,
    "div": lambda x: x / 0.3,
    "rdiv": lambda x: 2 / x,
    "pow": lambda x: x**1.5,
    "maximum": lambda x: convkit.maximum(x, 0.5),
    "mean": lambda x: x.mean(),
}


def test_gradients_of_products_with_numbers_are_computed_in_float32():
    x = Tensor(np.ones(100, "f4"), requires_grad=True)
    (x * 0.1).backward(SLOPES)
    np.testing.assert_array_equal(x.grad.data, SLOPES * np.float32(0.1))
    assert (SLOPES * np.float32(0.1) != (SLOPES.astype("f8") * 0.1).astype("f4")).any()
    x.grad = None
    (x / 3).backward(SLOPES)
    np.testing.assert_array_equal(x.grad.data, SLOPES / np.float32(3))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_a_number_leaves_the_dtype_alone(call, dtype):
    x = Tensor(np.array([0.25, 1.0, 2.0], dtype), requires_grad=True)
    y = CALLS[call](x)
    assert y.dtype == dtype
    y.backward(np.ones(y.shape, dtype))
    assert x.grad.dtype == dtype
    exact = Tensor(np.array([0.25, 1.0, 2.0]), requires_grad=True)
    z = CALLS[call](exact)
    z.sum().backward()
    # Up to four roundings in the dtype, each half an eps, and one more of the number itself.
    tolerance = 4 * float(ml_dtypes.finfo(dtype).eps)
    # The same call in float64 is exact beside it.
    np.testing.assert_allclose(y.data.astype("f8"), z.data, rtol=tolerance)
    # The same, for the gradient.
    np.testing.assert_allclose(x.grad.data.astype("f8"), exact.grad.data, rtol=tolerance)
