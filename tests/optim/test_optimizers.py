"""Optimizers against torch and numbers worked by hand, and that a training goes on as it was."""

import copy
import doctest
import inspect

import ml_dtypes
import numpy as np
import pytest

from convkit import Tensor, autograd, optim
from convkit.nn.losses import mse_loss
from convkit.optim import LBFGS, SGD, Adam, AdamW
from convkit.optim.optimizer import PIECE

RNG = np.random.default_rng(4)
X, Y = RNG.normal(size=(12, 5)), RNG.normal(size=(12, 3))
FIRST = [RNG.normal(size=(5, 4)), RNG.normal(size=4), RNG.normal(size=(4, 3))]

FIRST_ORDER = {
    "sgd": (SGD, "SGD", {"lr": 0.1}),
    "sgd_decay": (SGD, "SGD", {"lr": 0.1, "weight_decay": 0.1}),
    "momentum": (SGD, "SGD", {"lr": 0.05, "momentum": 0.9}),
    "momentum_decay": (SGD, "SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    "nesterov": (
        SGD,
        "SGD",
        {"lr": 0.05, "momentum": 0.8, "nesterov": True, "weight_decay": 0.01},
    ),
    "adam": (Adam, "Adam", {"lr": 0.05}),
    "adam_decay": (
        Adam,
        "Adam",
        {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adamw": (AdamW, "AdamW", {"lr": 0.05}),
    "adamw_decay": (AdamW, "AdamW", {"lr": 0.05, "weight_decay": 0.3}),
}
MORE = {
    "coupled": (SGD, None, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01, "coupled": True}),
    "lbfgs": (LBFGS, "LBFGS", {"max_iter": 3}),
}


def leaves(dtype="f4"):
    return [Tensor(one.astype(dtype), requires_grad=True) for one in FIRST]


def loss_of(params):
    w, b, v = params
    dtype = w.dtype
    return mse_loss(((X.astype(dtype) @ w + b).tanh()) @ v, Y.astype(dtype))


def train(optimizer, params, steps):
    def closure():
        optimizer.zero_grad()
        loss = loss_of(params)
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(steps)]


# Rounding of float32 grows through L-BFGS' guesses of the curvature: that one in float64 alone.
@pytest.mark.parametrize(
    ("name", "dtype"),
    [(name, dtype) for name in FIRST_ORDER for dtype in ("f4", "f8")] + [("lbfgs", "f8")],
)
def test_twenty_steps_are_those_of_torch(name, dtype):
    torch = pytest.importorskip("torch")
    make, their_name, options = (FIRST_ORDER | MORE)[name]
    params = leaves(dtype)
    optimizer = make(params, **options)
    others = [torch.tensor(one.astype(dtype), requires_grad=True) for one in FIRST]
    if name == "lbfgs":
        options = options | {"line_search_fn": "strong_wolfe"}
    other = getattr(torch.optim, their_name)(others, **options)
    x, y = torch.tensor(X.astype(dtype)), torch.tensor(Y.astype(dtype))

    def closure():
        other.zero_grad()
        loss = (((x @ others[0] + others[1]).tanh() @ others[2] - y) ** 2).mean()
        loss.backward()
        return loss

    tolerance = 1e-6 if dtype == "f4" else 1e-12
    for step in range(7 if name == "lbfgs" else 20):
        train(optimizer, params, 1)
        other.step(closure)
        for one, theirs in zip(params, others, strict=True):
            np.testing.assert_allclose(
                one.data,
                theirs.detach().numpy(),
                rtol=tolerance,
                atol=tolerance,
                err_msg=f"step {step}",
            )


@pytest.mark.parametrize("name", [*FIRST_ORDER, *MORE])
def test_a_step_works_in_place_and_keeps_the_dtype(name):
    make, _, options = (FIRST_ORDER | MORE)[name]
    params = leaves()
    arrays = [one.data for one in params]
    optimizer = make(params, **options)
    losses = train(optimizer, params, 5)
    assert losses[-1] < losses[0]
    assert all(one.data is array for one, array in zip(params, arrays, strict=True))
    for state in optimizer.state_dict()["state"].values():
        for value in state.values():
            assert isinstance(value, int) or value.dtype == np.float32


@pytest.mark.parametrize("name", [*FIRST_ORDER, *MORE])
def test_a_restored_training_goes_on_with_the_same_bits(name):
    make, _, options = (FIRST_ORDER | MORE)[name]
    params = leaves()
    optimizer = make(params, **options)
    train(optimizer, params, 4)
    kept, arrays = optimizer.state_dict(), [one.data.copy() for one in params]
    frozen = copy.deepcopy(kept)
    whole = train(optimizer, params, 4)
    assert_equal_bits(kept, frozen)  # later steps do not reach what was given

    resumed = [Tensor(array, requires_grad=True) for array in arrays]
    # Options come with the state.
    other = make(resumed) if make is LBFGS else make(resumed, lr=123.0)
    other.load_state_dict(kept)
    assert train(other, resumed, 4) == whole
    for one, again in zip(params, resumed, strict=True):
        assert one.data.tobytes() == again.data.tobytes()
    assert_equal_bits(kept, frozen)


def assert_equal_bits(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal_bits(one[key], other[key])
    elif isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            assert_equal_bits(a, b)
    elif isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()
    else:
        assert one == other


@pytest.mark.parametrize("name", [*FIRST_ORDER, *MORE])
def test_two_trainings_have_the_same_bits(name):
    make, _, options = (FIRST_ORDER | MORE)[name]
    ends = []
    for _ in range(2):
        params = leaves()
        train(make(params, **options), params, 5)
        ends.append([one.data.tobytes() for one in params])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("name", [*FIRST_ORDER, *MORE])
def test_a_wide_rate_is_the_same_rate(name):
    """As a schedule of one's own may set it."""
    make, _, options = (FIRST_ORDER | MORE)[name]
    ends = []
    for kind in (float, np.float64):
        params = leaves()
        optimizer = make(params, **options)
        optimizer.param_groups[0]["lr"] = kind(0.07)
        train(optimizer, params, 5)
        ends.append([one.data.tobytes() for one in params])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_counts_that_numpy_gives_back_are_numbers(name):
    """np.savez makes arrays of everything."""
    make, _, options = FIRST_ORDER[name]
    params, again = leaves(), leaves()
    optimizer, other = make(params, **options), make(again, **options)
    train(optimizer, params, 2)
    train(other, again, 2)
    kept = other.state_dict()
    for state in kept["state"].values():
        state.update({name: np.asarray(value) for name, value in state.items()})
    other.load_state_dict(kept)
    train(optimizer, params, 2)
    train(other, again, 2)
    assert [one.data.tobytes() for one in params] == [one.data.tobytes() for one in again]


@pytest.mark.parametrize("name", [*FIRST_ORDER, "coupled"])
def test_large_and_strided_parameters_move_like_small_ones(name):
    make, _, options = (FIRST_ORDER | MORE)[name]
    values, slopes = RNG.normal(size=(2, 2 * PIECE + 5, 2)).astype("f4")
    rows = [0, PIECE - 1, PIECE, 2 * PIECE, 2 * PIECE + 4]
    dense = Tensor(values.copy(), requires_grad=True)
    strided = Tensor(np.asfortranarray(values), requires_grad=True)
    small = Tensor(values[rows], requires_grad=True)
    optimizer = make([dense, strided, small], **options)
    for _ in range(3):
        for param, slope in ((dense, slopes), (strided, slopes), (small, slopes[rows])):
            param.grad = Tensor(slope.copy())
        optimizer.step()
    np.testing.assert_array_equal(dense.data[rows], small.data)
    np.testing.assert_array_equal(strided.data, dense.data)
    assert not np.array_equal(small.data, values[rows])


@pytest.mark.parametrize("name", [*FIRST_ORDER, *MORE])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_parameters_of_16_bits_are_those_of_float32_rounded(name, dtype):
    """The gradient is 0, or the same for both: rounding does not reach it."""
    make, _, options = (FIRST_ORDER | MORE)[name]
    start, slope = [1.0, -2.0, 0.0, 3.0], np.array([1e-3, -0.5, 0.0, 2.0], dtype)
    ends = []
    for kind in (dtype, np.float32):
        w = Tensor(np.array(start, kind), requires_grad=True)
        optimizer = make([w], **options)

        def closure(w=w, kind=kind):
            w.grad = Tensor(slope.astype(kind))
            return (w.detach() * Tensor(slope.astype(kind))).sum()

        optimizer.step(closure)
        again = make([w], **options)
        again.load_state_dict(optimizer.state_dict())
        ends.append(w.data)
    assert ends[0].dtype == dtype
    np.testing.assert_array_equal(ends[0], ends[1].astype(dtype))
    assert ends[0][3] < 3


def test_groups_have_their_own_options():
    params = leaves("f8")
    optimizer = SGD([{"params": params[:1], "lr": 0.0}, {"params": params[1:]}], lr=0.1)
    train(optimizer, params, 2)
    np.testing.assert_array_equal(params[0].data, FIRST[0])
    alone = leaves("f8")
    train(SGD(alone[1:], lr=0.1), alone, 2)
    np.testing.assert_array_equal(params[2].data, alone[2].data)


def test_the_coupled_update_by_hand():
    """v := v / 2 - lr w / 8 - lr g; the rate falls between, what is remembered keeps its own."""
    w = Tensor([2.0], requires_grad=True)
    optimizer = SGD([w], lr=1.0, momentum=0.5, weight_decay=0.125, coupled=True)
    w.grad = Tensor(np.array([1.0]))
    optimizer.step()
    assert w.item() == 2 - 0.25 - 1  # v = -1.25
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert w.item() == 0.75 + (0.5 * -1.25 - 0.125 * 0.5 * 0.75 - 0.5)


def test_coupled_is_plain_while_the_rate_stays():
    ends = []
    for coupled in (False, True):
        params = leaves("f8")
        optimizer = SGD(params, lr=0.05, momentum=0.9, weight_decay=0.01, coupled=coupled)
        train(optimizer, params, 20)
        ends.append(params)
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one.data, other.data, rtol=1e-12, atol=1e-13)


def test_parameters_without_gradient_stay():
    w, frozen = Tensor([1.0], requires_grad=True), Tensor([1.0])
    optimizer = AdamW([w, frozen], lr=0.1)
    (w * frozen).sum().backward()
    optimizer.step()
    assert frozen.item() == 1
    assert w.item() < 1
    optimizer.zero_grad()
    assert w.grad is None
    before = w.item()
    optimizer.step()
    assert w.item() == before


def test_a_backward_through_changed_parameters_is_refused():
    w = Tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    w.grad = Tensor(np.ones(2))
    SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="was changed after the call"):
        loss.backward()


def test_gradients_are_left_alone():
    w = Tensor([1.0], requires_grad=True)
    for make in (SGD, Adam, AdamW):
        w.grad = Tensor(np.array([2.0]))
        make([w], lr=0.1, weight_decay=0.5).step()
        assert w.grad.item() == 2


# L-BFGS.


def test_lbfgs_finds_the_end_of_rosenbrocks_valley():
    w = Tensor([-1.2, 1.0], requires_grad=True)
    optimizer = LBFGS([w], max_iter=100, tolerance_change=1e-16)

    def closure():
        x, y = w[0], w[1]
        loss = (1 - x) ** 2 + 100 * (y - x * x) ** 2
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == pytest.approx(24.2)
    np.testing.assert_allclose(w.data, [1, 1], atol=1e-7)
    assert optimizer.state[0]["func_evals"] < 60


@pytest.mark.parametrize("history", [1, 3, 100])
def test_lbfgs_solves_least_squares(history):
    w = Tensor(np.zeros(5), requires_grad=True)
    optimizer = LBFGS([w], history_size=history, max_iter=60, tolerance_change=1e-16)

    def closure():
        loss = mse_loss(X @ w, Y[:, 0], "sum")
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(w.data, np.linalg.lstsq(X, Y[:, 0])[0], atol=1e-6)
    assert len(optimizer.state[0]["steps"]) <= history


def test_lbfgs_steps_back_from_where_the_loss_is_not_a_number():
    w = Tensor([0.1], requires_grad=True)
    optimizer = LBFGS([w], lr=50.0, max_iter=50, tolerance_change=1e-16)

    def closure():
        with np.errstate(invalid="ignore"):
            loss = (w - w.log()).sum()  # least at 1; NaN below 0
            loss.backward()
        return loss

    optimizer.step(closure)
    assert w.item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("start", [-1.0, 0.0])
def test_lbfgs_stays_where_a_gradient_is_not_finite(start):
    w = Tensor([start], requires_grad=True)
    optimizer = LBFGS([w])

    def closure():
        with np.errstate(invalid="ignore", divide="ignore"):
            loss = w.sqrt().sum()
            loss.backward()
        return loss

    optimizer.step(closure)
    assert w.item() == start


@pytest.mark.parametrize("scale", [1e25, 1e-5])
def test_lbfgs_in_float32_is_at_home_at_every_scale(scale):
    w = Tensor(np.array([3, -2, 5], "f4"), requires_grad=True)
    optimizer = LBFGS([w], tolerance_grad=0, tolerance_change=0)

    def closure():
        loss = ((w - 1) * (w - 1)).sum() * scale
        loss.backward()
        return loss

    for _ in range(3):
        optimizer.step(closure)
    np.testing.assert_allclose(w.data, [1, 1, 1], rtol=1e-4)


@pytest.mark.parametrize(("tolerance", "ends"), [(0.9, True), (1e-9, False)])
def test_lbfgs_ends_where_parameters_hardly_move(tolerance, ends):
    w = Tensor([0.8], requires_grad=True)
    optimizer = LBFGS([w], lr=0.3, tolerance_change=tolerance)

    def closure():
        loss = (100 * w**4).sum()  # the first step is 0.3 long and takes off 34.7
        loss.backward()
        return loss

    optimizer.step(closure)
    assert (optimizer.state[0]["n_iter"] == 1) == ends


def test_lbfgs_says_that_parameters_changed():
    w = Tensor([1.0, 2.0], requires_grad=True)
    before = (w * w).sum()

    def closure():
        loss = (w * w).sum()
        loss.backward()
        return loss

    LBFGS([w]).step(closure)
    with pytest.raises(RuntimeError, match="was changed after the call"):
        before.backward()


def test_lbfgs_asks_no_more_than_it_may():
    calls = []
    params = leaves("f8")
    optimizer = LBFGS(params, max_iter=50, max_eval=7)

    def closure():
        calls.append(autograd.is_recording())
        loss = loss_of(params)
        loss.backward()
        return loss

    with autograd.no_grad():
        optimizer.step(closure)
    assert calls == [True] * 7
    assert optimizer.state[0]["func_evals"] == 7


# What is refused.

W = Tensor([1.0], requires_grad=True)
REFUSED = {
    "lr": (lambda: SGD([W], lr=-1), "SGD: lr is -1, must be a number, at least 0"),
    "lr_nan": (lambda: Adam([W], lr=float("nan")), "Adam: lr is nan, must be"),
    "lr_text": (lambda: SGD([W], lr="fast"), "SGD: lr is 'fast', must be a number"),
    "momentum": (lambda: SGD([W], momentum=1.0), "SGD: momentum is 1.0, must be at least 0 and"),
    "decay": (lambda: SGD([W], weight_decay=-0.1), "SGD: weight_decay is -0.1, must be"),
    "flag": (lambda: SGD([W], coupled=1), "SGD: coupled is 1, must be True or False"),
    "nesterov": (lambda: SGD([W], nesterov=True), "SGD: nesterov is True, needs a momentum"),
    "both": (
        lambda: SGD([W], momentum=0.9, nesterov=True, coupled=True),
        "SGD: nesterov is True, must be False with coupled=True",
    ),
    "betas": (lambda: Adam([W], betas=(0.9, 1.0)), r"Adam: betas is \(0.9, 1.0\), must be two"),
    "eps": (lambda: AdamW([W], eps=0.0), "AdamW: eps is 0.0, must be a number above 0"),
    "history": (lambda: LBFGS([W], history_size=0), "LBFGS: history_size is 0, must be a whole"),
    "max_iter": (lambda: LBFGS([W], max_iter=1.5), "LBFGS: max_iter is 1.5, must be a whole"),
    "closure": (lambda: LBFGS([W]).step(), "LBFGS: closure is None, must compute the loss"),
    "groups": (
        lambda: LBFGS([{"params": [W]}, {"params": [Tensor([1.0])]}]),
        "LBFGS: params holds 2 groups, must be one",
    ),
    "dtypes": (
        lambda: LBFGS([W, Tensor(np.ones(1, "f4"))]),
        "LBFGS: params are float32 of numpy and float64 of numpy, must be of one dtype",
    ),
    "empty": (lambda: SGD([]), "SGD: params is empty, must hold at least one Tensor"),
    "twice": (lambda: SGD([W, W]), r"SGD: params\[1\] is given twice"),
    "twice_in_groups": (
        lambda: SGD([{"params": [W]}, {"params": [W]}]),
        r"SGD: params\[1\]: params\[0\] is given twice",
    ),
    "leaf": (lambda: SGD([W * 2]), r"SGD: params\[0\] was made by a call, must be a leaf"),
    "group_option": (
        lambda: SGD([{"params": [W], "rate": 1}]),
        "SGD: rate is not an option; options are lr, momentum",
    ),
    "group_lr": (
        lambda: SGD([{"params": [W]}, {"params": [Tensor([1.0])], "lr": -2}]),
        r"SGD: params\[1\]: lr is -2, must be",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_named(what):
    call, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_no_tensor_is_named():
    with pytest.raises(TypeError, match="SGD: params is a Tensor, must be a list"):
        SGD(W)
    with pytest.raises(TypeError, match=r"SGD: params\[0\] is ndarray, must be a Tensor of floats"):
        SGD([np.ones(2)])
    with pytest.raises(TypeError, match=r"SGD: params\[0\] is int64, must be a Tensor of floats"):
        SGD([Tensor([1])])


def test_a_state_that_does_not_fit_is_refused_and_changes_nothing():
    params = leaves()
    optimizer = SGD(params, lr=0.5, momentum=0.9)
    train(optimizer, params, 1)
    before = optimizer.state_dict()
    other = SGD(leaves()[:2], lr=0.1, momentum=0.9)
    with pytest.raises(ValueError, match=r"groups of \[2\] parameters, must be \[3\]"):
        optimizer.load_state_dict(other.state_dict())
    wrong = copy.deepcopy(before)
    wrong["state"][1]["momentum_buffer"] = np.zeros(5, "f4")
    wrong["param_groups"][0]["lr"] = 7.0
    message = r"state\[1\]\['momentum_buffer'\] of float32 \(5,\), must be float32 \(4,\)"
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(wrong)
    wrong["state"][1]["momentum_buffer"] = np.zeros(4)
    with pytest.raises(ValueError, match=r"of float64 \(4,\), must be float32 \(4,\)"):
        optimizer.load_state_dict(wrong)
    wrong = copy.deepcopy(before)
    wrong["param_groups"][0]["lr"] = -7.0
    with pytest.raises(ValueError, match=r"SGD: state_dict: lr is -7.0, must be"):
        optimizer.load_state_dict(wrong)
    assert_equal_bits(optimizer.state_dict(), before)


@pytest.mark.parametrize("name", optim.__all__)
def test_docstring_examples_run(name):
    runner = doctest.DocTestRunner()
    thing = getattr(optim, name)
    names = {one: getattr(optim, one) for one in optim.__all__} | {"Tensor": Tensor}
    assert inspect.getdoc(thing)
    for example in doctest.DocTestFinder().find(thing, name, globs=names):
        runner.run(example)
    assert runner.failures == 0
