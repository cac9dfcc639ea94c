"""The tape: what is kept and freed, what is noticed, functions of one's own."""

import gc
import weakref

import numpy as np
import pytest

import convkit
from convkit import Tensor, autograd, no_grad
from convkit.autograd import Function, checkpoint, grad, gradcheck

RNG = np.random.default_rng(0)


def leaf(*shape, low=-2.0, high=2.0, dtype="f8"):
    return Tensor(RNG.uniform(low, high, shape).astype(dtype), requires_grad=True)


def test_results_have_the_bits_of_plain_arrays():
    x, w = RNG.standard_normal((2, 3, 6, 5)).astype("f4"), RNG.standard_normal((4, 3, 3, 3))
    w = w.astype("f4")
    y = convkit.conv2d(Tensor(x, requires_grad=True), Tensor(w), padding=1)
    np.testing.assert_array_equal(y.data, convkit.conv2d(x, w, padding=1))
    y.backward(np.ones_like(y.data))
    plain = convkit.conv2d(Tensor(x), w, padding=1)
    assert isinstance(plain, Tensor)
    assert not plain.requires_grad


def test_a_recorded_pool_gives_what_was_asked_for():
    x = Tensor(RNG.standard_normal((1, 2, 4, 4)).astype("f4"), requires_grad=True)
    y = convkit.max_pool2d(x, 2)
    assert isinstance(y, Tensor)
    both = convkit.max_pool2d(x, 2, return_indices=True)
    assert isinstance(both[1], np.ndarray)
    np.testing.assert_array_equal(both[0].data, y.data)
    both[0].sum().backward()
    assert x.grad.data.sum() == 8


def test_gradients_add_up_until_they_are_cleared():
    x = leaf(3)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.data.tolist() == [5.0] * 3
    x.grad = None
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad.data, 2 * x.data)


def test_a_tensor_used_often_adds_its_gradients():
    x = leaf(4)
    y = x * 2
    z = (y + y * y + y * x).sum()
    z.backward()
    # Float64; the tape adds the three ways in another order than this line.
    np.testing.assert_allclose(x.grad.data, 2 + 8 * x.data + 4 * x.data, rtol=1e-12)


def test_gradients_share_no_memory():
    x, y, given = leaf(3), leaf(3), np.ones(3)
    (x + y).backward(given)
    assert not np.shares_memory(x.grad.data, y.grad.data)
    assert not np.shares_memory(x.grad.data, given)
    x.grad.data[...] = 9
    assert y.grad.data.tolist() == [1.0] * 3
    z = leaf(2, 3)
    z.sum().backward()
    z.grad.data += 1  # not a view of one number


def test_nothing_is_recorded_under_no_grad():
    x = leaf(3)
    with no_grad():
        y = x * 2
        with convkit.enable_grad():
            assert (x * 2).requires_grad
    assert not y.requires_grad
    with pytest.raises(RuntimeError, match="not made from one that requires_grad"):
        y.sum().backward()

    @no_grad()
    def function():
        return (x * 2).requires_grad

    assert not function()
    assert x.detach().requires_grad is False
    assert np.shares_memory(x.detach().data, x.data)


def test_a_second_backward_says_what_to_do():
    x = leaf(3)
    y = (x * x).sum()
    y.backward()
    with pytest.raises(
        RuntimeError, match=r"Sum kept .* freed by an earlier backward; pass retain_"
    ):
        y.backward()
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()


def test_a_change_in_place_that_would_give_wrong_gradients_is_noticed():
    x = leaf(3)
    y = x * x
    with no_grad():
        x[0] = 5.0
    with pytest.raises(RuntimeError, match="Multiply needs for its gradient was changed after"):
        y.sum().backward()
    z = x.exp()
    with no_grad():
        z[1] = 0.0
    with pytest.raises(RuntimeError, match="Exp needs"):
        z.sum().backward()
    view = x.reshape(3, 1)
    y = x * x
    with no_grad():
        view[0] = 1.0
    with pytest.raises(RuntimeError, match="changed after the call"):
        y.sum().backward()
    y = x * x
    x.data = x.data * 2
    with pytest.raises(RuntimeError, match="changed after the call"):
        y.sum().backward()


def test_a_change_that_harms_nothing_is_allowed():
    x = leaf(3)
    y = x + 1
    with no_grad():
        x[0] = 5.0  # a sum's gradient does not read it
    y.sum().backward()
    with pytest.raises(RuntimeError, match=r"under no_grad\(\)"):
        x[0] = 1.0


def test_running_statistics_that_change_are_noticed():
    x, mean, var = leaf(2, 3, 2, 2), Tensor(np.zeros(3)), Tensor(np.ones(3))
    before = mean._versions.count
    convkit.batch_norm(x, None, None, mean, var, training=True)
    assert mean._versions.count == before + 1
    assert mean.data.any()


def test_hooks_see_the_whole_gradient_and_may_replace_it():
    x = leaf(3)
    y = x * 2
    seen = []
    remove = y.register_hook(lambda g: seen.append(g.data.copy()))
    x.register_hook(lambda g: g * 10)
    (y + y * 3).sum().backward()
    assert seen[0].tolist() == [4.0] * 3
    assert len(seen) == 1
    assert x.grad.data.tolist() == [80.0] * 3
    remove()
    (x * 2).sum().backward()
    assert len(seen) == 1


def test_what_the_way_back_does_not_read_is_freed():
    x, w = leaf(1, 2, 5, 5), Tensor(RNG.standard_normal((2, 2, 3, 3)))
    hidden = convkit.conv2d(x, w, padding=1)
    gone = weakref.ref(hidden.data)
    y = (hidden + 1).sum()
    del hidden
    gc.disable()  # no cycle keeps it: it goes with its last use
    try:
        assert gone() is None
        kept = (x * x).exp()
        held = weakref.ref(kept.data)
        z = kept.sum()
        del kept
        assert held() is not None
        (y + z).backward()
        assert held() is None
    finally:
        gc.enable()


def test_a_graph_is_freed_without_the_collector():
    x = leaf(3)
    gc.collect()
    gc.disable()
    try:
        y = (x.exp().tanh() * x).sum()
        node = weakref.ref(y.data)
        middle = weakref.ref(x.exp())
        assert middle() is None
        del y
        assert node() is None
    finally:
        gc.enable()


class Cube(Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.scale = scale
        ctx.save(x)
        return scale * x**3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved
        return 3 * ctx.scale * x * x * grad, None


class SplitInTwo(Function):
    @staticmethod
    def forward(ctx, x):
        assert ctx.needs == (True,)
        return x[:1].copy(), x[1:].copy()

    @staticmethod
    def backward(ctx, first, rest):
        zero = Tensor(np.zeros(1))
        return convkit.concatenate([zero if first is None else first, rest])


def test_a_users_function_has_gradients_and_gradients_of_them():
    x = leaf(3)
    assert gradcheck(lambda x: Cube.apply(x, 2.0), [x])
    (first,) = grad(Cube.apply(x, 2.0).sum(), [x], create_graph=True)
    (second,) = grad(first.sum(), [x])
    # Float64; products in another order.
    np.testing.assert_allclose(second.data, 12 * x.data, rtol=1e-12)
    a, b = SplitInTwo.apply(x)
    b.sum().backward()
    assert x.grad.data.tolist() == [0.0, 1.0, 1.0]
    assert a.shape == (1,)


def test_a_wrong_backward_is_named():
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, grad):
            return grad

    with pytest.raises(
        RuntimeError, match="Wrong: backward gave 1 gradients, must give one for ea"
    ):
        Wrong.apply(leaf(2), leaf(2)).sum().backward()

    class WrongShape(Function):
        @staticmethod
        def forward(ctx, x):
            return x.sum(axis=0)

        @staticmethod
        def backward(ctx, grad):
            return grad

    with pytest.raises(
        RuntimeError, match=r"WrongShape: a gradient's shape is \(3,\), must be .*2, 3"
    ):
        WrongShape.apply(leaf(2, 3)).sum().backward()


def test_gradcheck_finds_a_wrong_gradient():
    class Off(Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            return 2.001 * grad

    with pytest.raises(AssertionError, match=r"inputs\[0\] at \(0,\)"):
        gradcheck(lambda x: Off.apply(x), [leaf(2)])
    with pytest.raises(TypeError, match=r"inputs\[0\].dtype is float32, must be float64"):
        gradcheck(lambda x: x, [leaf(2, dtype="f4")])


def test_checkpoint_gives_the_same_bits_and_keeps_less():
    w = leaf(4, 4)
    calls = []

    def body(x):
        calls.append(1)
        return (x @ w).tanh() @ w

    x = leaf(2, 4)
    body(x).sum().backward()
    wanted = x.grad.data, w.grad.data
    x.grad = w.grad = None
    calls.clear()
    y = checkpoint(body, x)
    assert len(calls) == 1
    y.sum().backward()
    assert len(calls) == 2
    np.testing.assert_array_equal(x.grad.data, wanted[0])
    np.testing.assert_array_equal(w.grad.data, wanted[1])
    with pytest.raises(RuntimeError, match="checkpoint: its gradient cannot be differentiated"):
        grad(checkpoint(body, x).sum(), [x], create_graph=True)


def test_grad_of_results_in_the_middle_and_of_strangers():
    x = leaf(3)
    y = x * 2
    found = grad((y * y).sum(), [y, x])
    # Float64; y + y against 2 y.
    np.testing.assert_allclose(found[0].data, 2 * y.data)
    # Float64; the same, times 2.
    np.testing.assert_allclose(found[1].data, 4 * y.data)
    assert x.grad is None
    with pytest.raises(RuntimeError, match=r"does not depend on inputs\[1\]"):
        grad(x.sum(), [x, leaf(2)])


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Tensor([1, 2], requires_grad=True), TypeError, "data.dtype is int64"),
        (lambda: leaf(2).backward(), RuntimeError, r"shape is \(2,\)"),
        (lambda: (leaf(2) * 1).backward(np.ones(3)), RuntimeError, r"shape is \(3,\)"),
        (lambda: (leaf(2) * 1).backward(np.ones(2, "f4")), TypeError, "dtype is float32, must be"),
        (lambda: leaf(2).sum(axis=1), ValueError, "axis is 1, the tensor has 1 dimensions"),
        (lambda: leaf(2, 2).sum(axis=(0, -2)), ValueError, "names a dimension twice"),
        (lambda: leaf(2) @ leaf(3), ValueError, "2 columns must meet as many rows, not 3"),
        (lambda: convkit.concatenate([]), ValueError, "tensors is empty"),
        (lambda: convkit.concatenate([leaf(2)], 1), ValueError, "axis is 1, must be from -1 to 0"),
        (lambda: leaf(2) ** leaf(2), TypeError, "exponent must be a number"),
        (lambda: leaf(2).detach().register_hook(print), RuntimeError, "wants no gradient"),
        (
            lambda: convkit.conv2d(leaf(1, 1, 3, 3), np.ones((1, 1, 1, 1)), out=np.empty(9)),
            ValueError,
            "out is given, but the call is recorded",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_float32_stays_float32():
    x = leaf(3, dtype="f4")
    y = (2 * x + 1) / 3 - x**2
    y = (y.exp() + y.sigmoid() * np.float32(2)).mean()
    assert y.dtype == np.float32
    y.backward()
    assert x.grad.dtype == np.float32
    mixed = (x * Tensor(np.ones(3))).sum()  # float64, as NumPy has it
    mixed.backward()
    assert x.grad.dtype == np.float32


def test_threads_have_tapes_of_their_own():
    from concurrent.futures import ThreadPoolExecutor

    def one(seed):
        rng = np.random.default_rng(seed)
        x = Tensor(rng.standard_normal((1, 3, 8, 8)), requires_grad=True)
        w = Tensor(rng.standard_normal((3, 3, 3, 3)), requires_grad=True)
        for _ in range(5):
            with no_grad():
                assert not (x * 1).requires_grad
            convkit.conv2d(x, w, padding=1).relu().sum().backward()
        return x.grad.data.tobytes() + w.grad.data.tobytes()

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(one, range(8)))
    assert together == [one(seed) for seed in range(8)]


def test_the_module_lists_its_names():
    assert all(hasattr(autograd, name) for name in autograd.__all__)
