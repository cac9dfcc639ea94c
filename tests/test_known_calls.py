"""Known calls (bind/recall.h) give what new ones give, and no other call is taken for one."""

import numpy as np
import pytest

import convkit
from convkit import dispatch

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 4, 9, 8)).astype("f4")
W = RNG.standard_normal((6, 4, 3, 3)).astype("f4")


@pytest.fixture
def slow(monkeypatch):
    """Counts the calls that go through the dispatcher."""
    taken = []
    wrap = dispatch.wrap
    monkeypatch.setattr(dispatch, "wrap", lambda *args: (taken.append(args[1]), wrap(*args))[1])
    return taken


def known(slow, *args, function=convkit.conv2d, **options):
    """The result, and whether it came without the dispatcher."""
    slow.clear()
    result = function(*args, **options)
    return result, not slow


def test_the_second_call_is_known_and_has_its_own_result(slow):
    first, _ = known(slow, X, W, padding=1)
    second, is_known = known(slow, X, W, padding=1)
    assert is_known
    np.testing.assert_array_equal(first, second)
    assert not np.shares_memory(first, second)
    other, is_known = known(slow, 2 * X, W, padding=1)
    assert is_known
    np.testing.assert_array_equal(other, 2 * first)


OTHERS = {
    "strided": lambda: X[:, :, ::-1],
    "transposed": lambda: np.ascontiguousarray(X.transpose(3, 2, 1, 0)).transpose(3, 2, 1, 0),
    "other byte order": lambda: X.astype(">f4"),
    "unaligned": lambda: np.frombuffer(b"\0" + X.tobytes(), "u1")[1:].view("f4").reshape(X.shape),
    "subclass": lambda: X.view(type("Own", (np.ndarray,), {})),
}


@pytest.mark.parametrize("name", OTHERS)
def test_arrays_that_are_not_dense_are_the_dispatchers(slow, name):
    known(slow, X, W, padding=1)
    x = OTHERS[name]()
    y, is_known = known(slow, x, W, padding=1)
    assert not is_known
    np.testing.assert_array_equal(y, convkit.conv2d(np.array(x, "f4", order="C"), W, padding=1))


@pytest.mark.parametrize(
    "options",
    [
        {"padding": True},
        {"padding": 1.0},
        {"stride": np.ones(2)},
        {"groups": 3},
        {"algo": "none"},
        {"precision": "low"},
        {"max_workspace": -1},
        {"layout": "nchw"},
        {"activation": "gelu"},
        {"flip_kernel": 1},
    ],
)
def test_a_wrong_call_stays_wrong_beside_a_known_one(options):
    for _ in range(2):
        convkit.conv2d(X, W, padding=1, stride=1, flip_kernel=True)
        convkit.conv2d(X, W, padding=1)
        with pytest.raises((TypeError, ValueError), match=f"^conv2d: {next(iter(options))}"):
            convkit.conv2d(X, W, **{"padding": 1} | options)


def test_every_part_of_a_call_tells_it_from_others(slow):
    """Each differs from the first by one thing; each is new once, then known."""
    x64, w64 = X.astype("f8"), W.astype("f8")
    calls = [
        ((X, W), {"padding": 2}),
        ((X, W), {"padding": (2, 2)}),
        ((X, W), {"padding": ((2, 2), (2, 2))}),
        ((X, W), {"padding": 2, "stride": 2}),
        ((X, W), {"padding": 2, "dilation": 2}),
        ((X[:1], W), {"padding": 2}),
        ((X, W[:5]), {"padding": 2}),
        ((x64, w64), {"padding": 2}),
        ((X, W, W[:, 0, 0, 0].copy()), {"padding": 2}),
        ((X, W), {"padding": 2, "activation": "relu"}),
        ((X, W), {"padding": 2, "algo": "im2col"}),
        ((X, W), {"padding": 2, "precision": "strict"}),
        ((X, W), {"padding": 2, "max_workspace": 10**9}),
        ((X, W), {"padding": 2, "flip_kernel": True}),
        ((X, W), {"padding": 2, "padding_mode": "circular"}),
    ]
    firsts = [known(slow, *args, **options) for args, options in calls]
    assert not any(is_known for _, is_known in firsts)
    for (args, options), (first, _) in zip(calls, firsts, strict=True):
        again, is_known = known(slow, *args, **options)
        assert is_known, options
        assert again.dtype == first.dtype
        np.testing.assert_array_equal(again, first)


def test_out_is_filled_where_it_fits(slow):
    y = convkit.conv2d(X, W, padding=1)
    out = np.full_like(y, np.nan)
    result, is_known = known(slow, X, W, padding=1, out=out)
    assert is_known
    assert result is out
    np.testing.assert_array_equal(out, y)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda y: y[:, :5], "out.shape"),
        (lambda y: y.astype("f8"), "out.dtype"),
        (lambda y: np.empty((*y.shape[:3], 16), "f4")[..., ::2], "C-contiguous"),
        (lambda y: y.astype(">f4"), "native byte order"),
        (lambda y: np.frombuffer(y.tobytes(), "f4").reshape(y.shape), "read-only"),
        (lambda y: [y], "out is"),
    ],
)
def test_out_that_does_not_fit_is_refused_as_before(make, text):
    y = convkit.conv2d(X, W, padding=1)
    with pytest.raises((TypeError, ValueError), match=text):
        convkit.conv2d(X, W, padding=1, out=make(y))


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_out_that_shares_memory_with_an_input_is_refused(shift):
    memory = np.zeros(3 * X.size, "f4")
    at = X.size
    x = memory[at : at + X.size].reshape(X.shape)
    w = np.zeros((4, 4, 1, 1), "f4")
    convkit.conv2d(x, w)
    begin = at + shift * (X.size - 1)
    with pytest.raises(ValueError, match="out shares memory with x"):
        convkit.conv2d(x, w, out=memory[begin : begin + X.size].reshape(X.shape))
    beside = memory[at + X.size :].reshape(X.shape)
    assert convkit.conv2d(x, w, out=beside) is beside


def test_several_results_and_empty_ones(slow):
    for x in (X, X[:0]):
        wanted = convkit.max_pool2d(x, 2, return_indices=True)
        again, is_known = known(slow, x, 2, return_indices=True, function=convkit.max_pool2d)
        assert is_known
        assert [a.dtype.name for a in again] == ["float32", "int64"]
        for one, other in zip(again, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


def test_another_backend_is_asked(slow):
    y = convkit.conv2d(X, W, padding=1)
    for name in ("simt", "reference"):
        with dispatch.use_backend(name):
            other, is_known = known(slow, X, W, padding=1)
        assert not is_known
        np.testing.assert_allclose(other, y, rtol=1e-4, atol=1e-4)  # sums of 36 in another order


def test_arrays_changed_in_place_are_changed_each_time():
    mean, var = np.zeros(4, "f4"), np.ones(4, "f4")
    seen = []
    for _ in range(3):
        convkit.batch_norm(X, None, None, mean, var, training=True)
        seen.append(mean.copy())
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(seen[1], seen[2])


def test_more_calls_than_are_kept():
    x, w = np.ones((1, 1, 1, 3), "f4"), np.ones((1, 1, 1, 1), "f4")
    for pad in range(5000):
        y = convkit.conv2d(x, w, padding=((0, 0), (0, pad)))
        assert y.shape[3] == 3 + pad


def test_what_a_known_call_finds_in_its_numbers_is_a_value_error():
    logits = np.zeros((2, 3), "f4")
    convkit.cross_entropy(logits, np.array([0, 2]))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^cross_entropy: target\[1\] is 3, must be from 0"):
            convkit.cross_entropy(logits, np.array([0, 3]))
