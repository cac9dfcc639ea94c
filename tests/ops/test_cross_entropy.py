"""Softmax cross-entropy and its gradient by every algorithm."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convkit
from convkit import reference, testing

from ..reference import worked
from . import strategies
from .properties import Properties
from .table import accepted, check_every_algorithm, every_way

DIRECTIONS = st.sampled_from(["fprop", "dgrad"])
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])
FORWARD = pytest.mark.parametrize("way", every_way("cross_entropy", "fprop"))
BACKWARD = pytest.mark.parametrize("way", every_way("cross_entropy", "dgrad"))


class TestProperties(Properties):
    op = "cross_entropy"


@strategies.examples(150)
@given(strategies.cross_entropy(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_cpu(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "cpu", dtype, seed)


@strategies.examples(40)
@given(strategies.cross_entropy(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_simt(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "simt", dtype, seed)


@DTYPES
@FORWARD
def test_worked_loss(way, dtype):
    z = worked.LOGITS.astype(dtype)
    loss = accepted(convkit.cross_entropy, way, z, np.array([2]))
    assert loss.shape == ()
    # exp and log by an ulp each, two sums and a difference by half of one.
    np.testing.assert_allclose(loss, worked.LOSS, rtol=4 * np.finfo(dtype).eps)
    smoothed = accepted(convkit.cross_entropy, way, z, np.array([2]), label_smoothing=0.3)
    expected = 0.7 * worked.LOSS + 0.3 * (worked.LOSS + 1)  # the mean logit is 1 below the largest
    # The same and a product, by half an ulp.
    np.testing.assert_allclose(smoothed, expected, rtol=4 * np.finfo(dtype).eps)


@DTYPES
@BACKWARD
def test_worked_gradient(way, dtype):
    z, one = worked.LOGITS.astype(dtype), np.ones((), dtype)
    grad = accepted(convkit.cross_entropy_grad, way, one, z, np.array([2]))
    expected = (worked.SOFTMAX - [[0, 0, 1]]).astype(dtype)
    # A share of 2/3 less 1 keeps the share's error, of 2.5 ulp, of a number half as large.
    np.testing.assert_allclose(grad, expected, rtol=8 * np.finfo(dtype).eps, strict=True)


@DTYPES
@BACKWARD
@pytest.mark.parametrize("smoothing", [0, 0.1, 0.3, 1])
@pytest.mark.parametrize("shape", [(3, 1), (2, 1, 3, 2)])
def test_the_only_class_has_no_gradient(way, dtype, smoothing, shape):
    """No rounding is left, which an infinite gradient would make infinite."""
    z, target = np.full(shape, 0.7, dtype), np.zeros(shape[:1] + shape[2:], int)
    for value in (1, np.inf):
        grad_loss = np.full((), value, dtype)
        # The logits are infinite or NaN on purpose; NumPy would warn of them.
        with np.errstate(all="ignore"):
            grad = accepted(
                convkit.cross_entropy_grad,
                way,
                *(grad_loss, z, target),
                label_smoothing=smoothing,
                reduction="sum",
            )
        np.testing.assert_array_equal(grad, np.full(shape, 0 * value))


@DTYPES
@FORWARD
@pytest.mark.parametrize("classes", [3, 70, 1100])
class TestOddLogits:
    def loss(self, way, z, target, **options):
        # The logits are infinite or NaN on purpose; NumPy would warn of them.
        with np.errstate(all="ignore"):
            return accepted(
                convkit.cross_entropy, way, z, np.array([target]), reduction="none", **options
            )

    def test_large_ones_do_not_overflow(self, way, dtype, classes):
        z = np.full((1, classes), -1e30, dtype)
        z[0, 1] = 1e30
        assert self.loss(way, z, 1) == 0
        # A difference, and 1e30 as the type holds it.
        np.testing.assert_allclose(self.loss(way, z, 0), 2e30, rtol=np.finfo(dtype).eps)

    def test_a_class_ruled_out_by_minus_infinity_costs_infinity(self, way, dtype, classes):
        z = np.zeros((1, classes), dtype)
        z[0, 2] = -np.inf
        assert self.loss(way, z, 2) == np.inf
        # Exact sums of ones; log by about an ulp.
        np.testing.assert_allclose(
            self.loss(way, z, 0), np.log(classes - 1), rtol=2 * np.finfo(dtype).eps
        )
        assert self.loss(way, z, 0, label_smoothing=0.1) == np.inf

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_nan_and_infinity_spoil_their_position_only(self, way, dtype, classes, value):
        z = np.zeros((2, classes), dtype)
        z[0, classes - 1] = value
        # The logits are infinite or NaN on purpose; NumPy would warn of them.
        with np.errstate(all="ignore"):
            loss = accepted(convkit.cross_entropy, way, z, np.array([0, 0]), reduction="none")
        assert np.isnan(loss[0])
        # Exact sums of ones; log by about an ulp.
        np.testing.assert_allclose(loss[1], np.log(classes), rtol=2 * np.finfo(dtype).eps)

    def test_no_class_possible_is_nan(self, way, dtype, classes):
        assert np.isnan(self.loss(way, np.full((1, classes), -np.inf, dtype), 1))


@FORWARD
@pytest.mark.parametrize("shape", [(3, 5), (3, 80), (3, 5, 2, 2)])
def test_an_ignored_position_counts_as_none_whatever_its_logits(way, shape):
    z = np.random.default_rng(0).standard_normal(shape)
    target = np.ones(shape[:1] + shape[2:], int)
    target[1] = 7777
    options = {"ignore_index": 7777, "label_smoothing": 0.1}
    clean = accepted(convkit.cross_entropy, way, z[::2], target[::2], label_smoothing=0.1)
    z[1] = np.nan
    # The logits are infinite or NaN on purpose; NumPy would warn of them.
    with np.errstate(all="ignore"):
        loss = accepted(convkit.cross_entropy, way, z, target, **options)
        each = accepted(convkit.cross_entropy, way, z, target, reduction="none", **options)
        grad = accepted(convkit.cross_entropy_grad, way, np.ones(()), z, target, **options)
        none = accepted(convkit.cross_entropy, way, z[1:2], target[1:2], **options)
    # float64: the same losses in sums of other lengths, a few ulp apart.
    np.testing.assert_allclose(loss, clean, rtol=1e-14)
    assert (each[1] == 0).all()
    assert (grad[1] == 0).all()
    assert np.isfinite(grad).all()
    assert np.isnan(none)


@pytest.mark.parametrize("shape", [(70, 6), (2, 70), (2, 6, 5, 7), (2, 7, 40, 3)])
@pytest.mark.parametrize("wrong", [-1, -(2**63), 2**62, "classes"])
class TestBadTargets:
    def call(self, shape, wrong):
        target = np.zeros(shape[:1] + shape[2:], int)
        place = tuple(side - 1 for side in target.shape)
        target[place] = wrong = shape[1] if wrong == "classes" else wrong
        text = ", ".join(map(str, place))
        rule = f"target[{text}] is {wrong}, must be from 0 to {shape[1] - 1}, or ignore_index=-100"
        return np.ones(shape), target, place, rule

    @pytest.mark.parametrize("backend", ["cpu", "reference"])
    @pytest.mark.parametrize("dtype", ["float64", "float16"])
    def test_are_refused_before_anything_is_written(self, shape, wrong, backend, dtype):
        z, target, _, rule = self.call(shape, wrong)
        z, out = z.astype(dtype), np.full(shape, 5, dtype)
        with testing.use_backend(backend):
            for reduction in ("mean", "sum", "none"):
                with pytest.raises(ValueError, match=f"^cross_entropy: {re.escape(rule)}$"):
                    convkit.cross_entropy(z, target, reduction=reduction)
                grad = np.ones(target.shape if reduction == "none" else (), dtype)
                with pytest.raises(ValueError, match=f"^cross_entropy_grad: {re.escape(rule)}$"):
                    convkit.cross_entropy_grad(grad, z, target, reduction=reduction, out=out)
        assert (out == 5).all()

    def test_give_nan_on_a_device_and_there_alone(self, shape, wrong):
        z, target, place, _ = self.call(shape, wrong)
        with testing.use_backend("simt"):
            each = convkit.cross_entropy(z, target, reduction="none")
            mean = convkit.cross_entropy(z, target)
            grad = convkit.cross_entropy_grad(np.ones_like(each), z, target, reduction="none")
        bad = np.zeros(target.shape, bool)
        bad[place] = True
        np.testing.assert_array_equal(np.isnan(each), bad)
        assert np.isnan(mean)
        np.testing.assert_array_equal(np.isnan(np.moveaxis(grad, 1, -1)).all(-1), bad)
        assert np.isnan(grad).sum() == shape[1]


def test_the_reference_agrees_with_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for shape in ((7, 5), (3, 4, 2, 3), (2, 3, 5)):
        z = rng.standard_normal(shape) * 3
        target = rng.integers(0, shape[1], shape[:1] + shape[2:])
        target.reshape(-1)[::4] = -100
        for reduction in ("mean", "sum", "none"):
            for smoothing in (0, 0.1, 1):
                options = {"reduction": reduction, "label_smoothing": smoothing}
                tensor = torch.tensor(z, requires_grad=True)
                loss = torch.nn.functional.cross_entropy(tensor, torch.tensor(target), **options)
                upstream = rng.standard_normal(tuple(loss.shape))
                loss.backward(torch.tensor(upstream))
                got = reference.cross_entropy(z, target, **options)
                # Two float64 sums in other orders; losses near zero are differences of ones near 1.
                np.testing.assert_allclose(got, loss.detach().numpy(), rtol=1e-13, atol=1e-15)
                got = reference.cross_entropy_grad(np.asarray(upstream), z, target, **options)
                # As above; a share less 1 loses digits of its own.
                np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_numpy_scalars_are_gradients_and_no_place_for_a_result(backend):
    z, target = worked.LOGITS, np.array([2])
    with testing.use_backend(backend):
        half = 0.5 * np.ones(())  # no longer an array
        got = convkit.cross_entropy_grad(half, z, target)
        # float64, by a few ulp; a gradient that was not read would be off by a factor.
        np.testing.assert_allclose(got, 0.5 * (worked.SOFTMAX - [[0, 0, 1]]), rtol=1e-14)
        with pytest.raises(ValueError, match="out is read-only"):
            convkit.cross_entropy(z, target, out=half)


@pytest.mark.parametrize(
    ("backend", "line"),
    [
        ("cpu", "n1c500000"),  # in a row
        ("cpu", "n1c60000h1w2"),  # apart
        ("simt", "n1c60000h1w2"),
    ],
)
@pytest.mark.parametrize(("option", "step"), [("none", 0.2), ("smooth0.5-none", 700)])
def test_sums_of_many_equal_classes_keep_their_digits(backend, line, option, step):
    """Class 0 is a step above the others. One chain of chains would be off by 16 units or more."""
    problem = testing.parse("cross_entropy", f"{line}-{option}")
    direction = "fprop" if problem.smooth else "dgrad"
    for seed in range(3):
        z = np.zeros(problem.x_shape, np.float32)
        z[:, 0] = step * np.random.default_rng(seed).uniform(0.5, 1)
        data = {"x": z, "target": np.zeros(problem.target_shape, int)}
        data["grad_y"] = np.ones(problem.y_shape, np.float32)
        (wanted,) = testing.expected(problem, direction, data)
        found = testing.run_case(problem, direction, "softmax", backend, data).result
        comparison = testing.compare(found, wanted)
        assert comparison.ok, comparison


def test_a_million_equal_losses_keep_their_mean():
    """A running sum in float32 would be off by a thousandth."""
    z = np.zeros((1 << 20, 3), np.float32)
    z[:, 0] = 0.3
    target = np.zeros(1 << 20, int)
    exact = reference.cross_entropy(z[:1].astype(np.float64), target[:1])
    # 2.5 float32 eps: the loss itself by about two ulp, and the mean's division.
    np.testing.assert_allclose(convkit.cross_entropy(z, target), exact, rtol=3e-7)
