"""Gradients, and gradients of gradients, of every primitive and op against differences."""

import numpy as np
import pytest

import convkit
from convkit import Tensor
from convkit.autograd import grad, gradcheck

RNG = np.random.default_rng(0)


def leaf(*shape, low=-2.0, high=2.0, dtype="f8"):
    return Tensor(RNG.uniform(low, high, shape).astype(dtype), requires_grad=True)


def apart(*shape):
    """No two elements nearer than a difference step: a maximum stays where it is."""
    values = RNG.permutation(np.arange(np.prod(shape))) - np.prod(shape) / 2 + 0.25
    return Tensor(values.reshape(shape).astype("f8"), requires_grad=True)


MASK = RNG.random((3, 4)) < 0.5
PRIMITIVES = {
    "add": (lambda a, b: a + b, lambda: [leaf(3, 4), leaf(3, 4)]),
    "add_broadcast": (lambda a, b: a + b, lambda: [leaf(3, 4), leaf(4)]),
    "add_number": (lambda a: 2 + a + 3, lambda: [leaf(3)]),
    "add_array": (lambda a: np.ones((2, 3)) + a, lambda: [leaf(3)]),
    "sub": (lambda a, b: a - b, lambda: [leaf(3, 1), leaf(1, 4)]),
    "rsub": (lambda a: 1 - a, lambda: [leaf(3)]),
    "mul": (lambda a, b: a * b, lambda: [leaf(2, 3, 4), leaf(3, 1)]),
    "mul_itself": (lambda a: a * a * a, lambda: [leaf(4)]),
    "div": (lambda a, b: a / b, lambda: [leaf(3, 4), leaf(4, low=1)]),
    "rdiv": (lambda a: 2 / a, lambda: [leaf(3, low=1)]),
    "pow": (lambda a: a**3, lambda: [leaf(3)]),
    "pow_half": (lambda a: a**0.5, lambda: [leaf(3, low=1)]),
    "pow_zero": (lambda a: a**0 + a, lambda: [leaf(3)]),
    "neg": (lambda a: -a, lambda: [leaf(3)]),
    "exp": (lambda a: a.exp(), lambda: [leaf(3)]),
    "log": (lambda a: a.log(), lambda: [leaf(3, low=0.5)]),
    "sqrt": (lambda a: a.sqrt(), lambda: [leaf(3, low=0.5)]),
    "abs": (lambda a: a.abs(), lambda: [apart(5)]),
    "tanh": (lambda a: a.tanh(), lambda: [leaf(3)]),
    "sigmoid": (lambda a: a.sigmoid(), lambda: [leaf(3)]),
    "relu": (lambda a: a.relu(), lambda: [apart(3, 4)]),
    "maximum": (convkit.maximum, lambda: [apart(3, 4), apart(3, 4) + 0.1]),
    "maximum_number": (lambda a: convkit.maximum(a, 0.0), lambda: [apart(5)]),
    "where": (lambda a, b: convkit.where(MASK, a, b), lambda: [leaf(3, 4), leaf(4)]),
    "sum": (lambda a: a.sum(), lambda: [leaf(2, 3)]),
    "sum_axis": (lambda a: a.sum(axis=(0, 2)), lambda: [leaf(2, 3, 4)]),
    "sum_keepdims": (lambda a: a.sum(axis=-1, keepdims=True), lambda: [leaf(2, 3)]),
    "mean": (lambda a: a.mean(axis=1), lambda: [leaf(2, 3)]),
    "max": (lambda a: a.max(), lambda: [apart(3, 4)]),
    "max_axis": (lambda a: a.max(axis=1), lambda: [apart(2, 3, 4)]),
    "max_axes": (lambda a: a.max(axis=(2, 0), keepdims=True), lambda: [apart(2, 3, 4)]),
    "reshape": (lambda a: a.reshape(3, -1) * 2, lambda: [leaf(2, 3, 2)]),
    "flatten": (lambda a: a.flatten(1), lambda: [leaf(2, 3, 2)]),
    "transpose": (lambda a: a.transpose(2, 0, 1), lambda: [leaf(2, 3, 4)]),
    "transpose_all": (lambda a: a.transpose(), lambda: [leaf(2, 3)]),
    "index": (lambda a: a[1], lambda: [leaf(3, 2)]),
    "index_slice": (lambda a: a[::-2, 1:], lambda: [leaf(5, 3)]),
    "index_new_axis": (lambda a: a[None, ..., 0], lambda: [leaf(2, 3)]),
    "index_repeated": (lambda a: a[np.array([0, 2, 0, 0])], lambda: [leaf(3, 2)]),
    "index_pairs": (lambda a: a[np.arange(3), np.array([1, 1, 0])], lambda: [leaf(3, 2)]),
    "index_mask": (lambda a: a[MASK], lambda: [leaf(3, 4)]),
    "concatenate": (lambda a, b: convkit.concatenate([a, b], 1), lambda: [leaf(2, 3), leaf(2, 1)]),
    "stack": (lambda a, b: convkit.stack([a, b], -1), lambda: [leaf(2, 3), leaf(2, 3)]),
    "softmax": (lambda a: convkit.softmax(a), lambda: [leaf(2, 5)]),
    "log_softmax": (lambda a: convkit.log_softmax(a, axis=0), lambda: [leaf(4, 3)]),
    "matmul": (lambda a, b: a @ b, lambda: [leaf(2, 3), leaf(3, 4)]),
    "matmul_batch": (lambda a, b: a @ b, lambda: [leaf(2, 2, 3), leaf(3, 4)]),
    "matmul_batches": (lambda a, b: a @ b, lambda: [leaf(2, 1, 2, 3), leaf(3, 3, 4)]),
    "matmul_vectors": (lambda a, b: a @ b, lambda: [leaf(3), leaf(3)]),
    "matmul_row": (lambda a, b: a @ b, lambda: [leaf(3), leaf(3, 2)]),
    "matmul_column": (lambda a, b: a @ b, lambda: [leaf(2, 3), leaf(3)]),
}


@pytest.mark.parametrize("name", PRIMITIVES)
def test_primitives_have_the_gradients_of_differences(name):
    function, inputs = PRIMITIVES[name]
    assert gradcheck(function, [Tensor(one.data, requires_grad=True) for one in inputs()])


@pytest.mark.parametrize("name", PRIMITIVES)
def test_gradients_of_primitives_have_gradients(name):
    function, inputs = PRIMITIVES[name]
    tensors = [Tensor(one.data, requires_grad=True) for one in inputs()]
    weights = RNG.standard_normal(function(*tensors).shape)

    def first(*given):
        # Beside each gradient its square: where a gradient is constant something is left.
        y = (function(*given) ** 2 * weights).sum()
        return tuple(g * 1 for g in grad(y, given, create_graph=True))

    assert gradcheck(first, tensors, tolerance=2e-6)


def maps(*shape):
    return leaf(*shape, low=-1, high=1)


OPS = {
    "conv2d": (
        lambda x, w, b, r: convkit.conv2d(
            x, w, b, stride=2, padding=((1, 0), (2, 1)), groups=2, residual=r, activation="tanh"
        ),
        lambda: [maps(2, 4, 5, 4), maps(4, 2, 3, 3), maps(4), maps(2, 4, 2, 3)],
    ),
    "conv2d_nhwc": (
        lambda x, w, b: convkit.conv2d(x, w, b, layout="NHWC", dilation=2, activation="sigmoid"),
        lambda: [maps(1, 5, 6, 2), maps(3, 2, 2, 2), maps(3)],
    ),
    "conv2d_circular": (
        lambda x, w: convkit.conv2d(x, w, padding=1, padding_mode="circular", flip_kernel=True),
        lambda: [maps(1, 2, 4, 3), maps(2, 2, 3, 3)],
    ),
    "conv2d_input_grad": (
        lambda g, w: convkit.conv2d_input_grad(g, w, (1, 2, 5, 5), stride=2, padding=1),
        lambda: [maps(1, 3, 3, 3), maps(3, 2, 3, 3)],
    ),
    "conv2d_weight_grad": (
        lambda g, x: convkit.conv2d_weight_grad(g, x, (3, 2, 3, 3), stride=2, padding=1),
        lambda: [maps(2, 3, 3, 3), maps(2, 2, 5, 5)],
    ),
    "conv2d_bias_grad": (lambda g: convkit.conv2d_bias_grad(g), lambda: [maps(2, 3, 2, 2)]),
    "conv_transpose2d": (
        lambda x, w, b, r: convkit.conv_transpose2d(
            x, w, b, stride=2, padding=1, output_padding=1, residual=r, activation="tanh"
        ),
        lambda: [maps(1, 3, 3, 2), maps(3, 2, 3, 3), maps(2), maps(1, 2, 6, 4)],
    ),
    "conv_transpose2d_input_grad": (
        lambda g, w: convkit.conv_transpose2d_input_grad(g, w, (1, 3, 3, 2), stride=2),
        lambda: [maps(1, 2, 7, 5), maps(3, 2, 3, 3)],
    ),
    "conv_transpose2d_weight_grad": (
        lambda g, x: convkit.conv_transpose2d_weight_grad(g, x, (3, 2, 3, 3), stride=2),
        lambda: [maps(1, 2, 7, 5), maps(1, 3, 3, 2)],
    ),
    "linear": (
        lambda x, w, b, r: convkit.linear(x, w, b, residual=r, activation="sigmoid"),
        lambda: [maps(2, 3, 4), maps(5, 4), maps(5), maps(2, 3, 5)],
    ),
    "linear_vector": (lambda x, w: convkit.linear(x, w), lambda: [maps(4), maps(5, 4)]),
    "linear_input_grad": (convkit.linear_input_grad, lambda: [maps(3, 5), maps(5, 4)]),
    "linear_weight_grad": (convkit.linear_weight_grad, lambda: [maps(3, 5), maps(3, 4)]),
    "max_pool2d": (
        lambda x: convkit.max_pool2d(x, 3, stride=2, padding=1),
        lambda: [apart(2, 2, 5, 4)],
    ),
    "max_pool2d_nhwc": (
        lambda x: convkit.max_pool2d(x, 2, stride=1, layout="NHWC"),
        lambda: [apart(1, 4, 3, 2)],
    ),
    "avg_pool2d": (
        lambda x: convkit.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False),
        lambda: [maps(2, 2, 5, 4)],
    ),
    "adaptive_avg_pool2d": (
        lambda x: convkit.adaptive_avg_pool2d(x, (2, 3)),
        lambda: [maps(1, 2, 5, 4)],
    ),
    "adaptive_max_pool2d": (
        lambda x: convkit.adaptive_max_pool2d(x, (2, 3), layout="NHWC"),
        lambda: [apart(1, 5, 4, 2)],
    ),
    "global_avg_pool2d": (lambda x: convkit.global_avg_pool2d(x), lambda: [maps(2, 3, 3, 2)]),
    "global_max_pool2d": (lambda x: convkit.global_max_pool2d(x), lambda: [apart(2, 3, 3, 2)]),
    "im2col": (lambda x: convkit.im2col(x, 2, padding=1), lambda: [maps(1, 2, 3, 4)]),
    "col2im": (lambda c: convkit.col2im(c, (1, 2, 3, 4), 2), lambda: [maps(1, 8, 6)]),
    "gram_matrix": (lambda x: convkit.gram_matrix(x, True), lambda: [maps(2, 3, 2, 2)]),
    "gram_matrix_grad": (
        lambda g, x: convkit.gram_matrix_grad(g, x, True, layout="NHWC"),
        lambda: [maps(2, 3, 3), maps(2, 2, 2, 3)],
    ),
}
# Their gradients are kernels that know no gradient of their own.
ONCE = {
    "batch_norm": (
        lambda x, w, b, r: convkit.batch_norm(
            x, w, b, training=True, residual=r, activation="tanh"
        ),
        lambda: [maps(2, 3, 3, 2), maps(3), maps(3), maps(2, 3, 3, 2)],
    ),
    "batch_norm_inference": (
        lambda x, w, b: convkit.batch_norm(x, w, b, np.zeros(3), np.ones(3), layout="NHWC"),
        lambda: [maps(2, 3, 2, 3), maps(3), maps(3)],
    ),
    "local_response_norm": (
        lambda x: convkit.local_response_norm(x, 3, alpha=2.0, k=1.5),
        lambda: [maps(1, 5, 2, 2)],
    ),
    "cross_entropy": (
        lambda z: convkit.cross_entropy(z, np.array([1, 0, 2]), label_smoothing=0.1),
        lambda: [maps(3, 4)],
    ),
    "cross_entropy_each": (
        lambda z: convkit.cross_entropy(z, np.array([1, -100, 2]), reduction="none"),
        lambda: [maps(3, 4)],
    ),
}


@pytest.mark.parametrize("name", [*OPS, *ONCE])
def test_ops_have_the_gradients_of_differences(name):
    function, inputs = (OPS | ONCE)[name]
    assert gradcheck(function, inputs())


@pytest.mark.parametrize("name", OPS)
def test_gradients_of_ops_have_gradients(name):
    function, inputs = OPS[name]
    tensors = inputs()
    weights = RNG.standard_normal(function(*tensors).shape)

    def first(*given):
        return grad((function(*given) ** 2 * weights).sum(), given, create_graph=True)

    assert gradcheck(first, tensors, tolerance=1e-5)


@pytest.mark.parametrize("name", ONCE)
def test_a_second_gradient_that_does_not_exist_is_refused(name):
    function, inputs = ONCE[name]
    tensors = inputs()
    found = grad(function(*tensors).sum(), tensors, create_graph=True)
    with pytest.raises(NotImplementedError, match="_grad has no gradient of its own"):
        found[0].sum().backward()


def test_every_op_with_a_gradient_is_checked_here():
    from convkit.recorded import RULES

    checked = {name for name in RULES if name in OPS or name in ONCE}
    by_second_gradients = {
        *("max_pool2d_grad", "avg_pool2d_grad", "adaptive_max_pool2d_grad"),
        *("adaptive_avg_pool2d_grad", "global_max_pool2d_grad", "global_avg_pool2d_grad"),
    }
    assert set(RULES) == checked | by_second_gradients
