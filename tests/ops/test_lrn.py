"""Local response normalisation and its gradient by every algorithm."""

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
WAYS = every_way("lrn", "fprop")
FORWARD = pytest.mark.parametrize("way", WAYS)
LAYOUTS = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])


class TestProperties(Properties):
    op = "lrn"


@strategies.examples(150)
@given(strategies.lrn(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_cpu(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "cpu", dtype, seed)


@strategies.examples(60)
@given(strategies.lrn(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_simt(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "simt", dtype, seed)


def in_layout(channels, dtype, layout):
    """Channels of one pixel."""
    channels = np.asarray(channels, dtype)
    return channels.reshape((1, -1, 1, 1) if layout == "NCHW" else (1, 1, 1, -1))


@DTYPES
@LAYOUTS
@FORWARD
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
class TestForward:
    @pytest.mark.parametrize(("numbers", "expected"), worked.LRN)
    def test_worked_numbers(self, way, dtype, layout, numbers, expected):
        x = in_layout(worked.CHANNELS, dtype, layout)
        y = accepted(convkit.local_response_norm, way, x, *numbers, layout=layout)
        expected = in_layout([float(v) for v in expected.split()], dtype, layout)
        # Whole sums; a product, a sum and a power of about an ulp, a division.
        np.testing.assert_allclose(y, expected, rtol=3 * np.finfo(dtype).eps, strict=True)

    def test_no_sum_at_all_divides_by_zero(self, way, dtype, layout):
        x = in_layout([0, 0, 0, 2, -0.0, 0, 0], dtype, layout)
        for beta in (0.5, 0.75, 1, 0.6):
            y = accepted(convkit.local_response_norm, way, x, 3, 3, beta, 0, layout=layout)
            np.testing.assert_array_equal(np.isnan(y.ravel()), [1, 1, 0, 0, 0, 1, 1])

    def test_infinity_silences_its_neighbours(self, way, dtype, layout):
        x = in_layout([1, 2, 3, -np.inf, 4, 5, 6], dtype, layout)
        for beta in (0.5, 0.75, 1, 0.6):
            y = accepted(convkit.local_response_norm, way, x, 3, 3, beta, 1, layout=layout)
            np.testing.assert_array_equal(y.ravel()[2:5], [0, np.nan, 0])
            assert np.isfinite(y.ravel()[[0, 1, 5, 6]]).all()

    def test_power_zero_changes_nothing(self, way, dtype, layout):
        x = in_layout([0, np.nan, np.inf, 1e30, -3, -0.0], dtype, layout)
        y = accepted(convkit.local_response_norm, way, x, 3, 3, 0, 0, layout=layout)
        np.testing.assert_array_equal(y, x)


@DTYPES
@LAYOUTS
@pytest.mark.parametrize("way", [way for way in WAYS if "reference" not in way.values[0]])
@pytest.mark.parametrize("beta", [-100, -1.5, -0.75, 1e-9, 0.1, 0.7499, 3, 31.7, 100])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_powers_are_exact_to_a_few_roundings(way, dtype, layout, beta):
    """On sums over the whole range, subnormal ones too: one channel, so that S is x^2."""
    info = np.finfo(dtype)
    sums = np.geomspace(float(info.smallest_subnormal), float(info.max), 400, dtype="f8")
    x = np.sqrt(sums).astype(dtype).reshape((1, 1, 20, 20) if layout == "NCHW" else (1, 20, 20, 1))
    y = accepted(convkit.local_response_norm, way, x, 1, 1, beta, 0, layout=layout)
    # The kernel's own sum, rounded to dtype, so that only the power is measured.
    power = (x * x).astype(np.longdouble) ** np.longdouble(-beta)
    exact = x * power
    normal = np.ones(x.shape, bool)
    for value in (power, exact):
        normal &= (value > info.tiny) & (value < info.max)
    assert normal.any()
    error = np.abs(y - exact)[normal] / np.abs(exact[normal])
    assert error.max() < (4 + abs(beta)) * info.eps


@DTYPES
@LAYOUTS
@pytest.mark.parametrize("way", every_way("lrn", "dgrad"))
class TestGradient:
    def test_worked_numbers(self, way, dtype, layout):
        x = in_layout(worked.CHANNELS, dtype, layout)
        grad_y = in_layout(np.eye(1, 6), dtype, layout)
        got = accepted(
            convkit.local_response_norm_grad, way, grad_y, x, *worked.LRN[-1][0], layout=layout
        )
        expected = in_layout([float(v) for v in worked.LRN_GRAD.split()], dtype, layout)
        # The same, and a second product and difference.
        np.testing.assert_allclose(got, expected, rtol=4 * np.finfo(dtype).eps, strict=True)

    def test_power_zero_passes_the_gradient_on(self, way, dtype, layout):
        x = in_layout([0, np.nan, np.inf, 1, -3], dtype, layout)
        grad_y = in_layout([1, 2, 3, 4, 5], dtype, layout)
        for size in (3, 99):
            got = accepted(
                convkit.local_response_norm_grad, way, grad_y, x, size, 3, 0, 0, layout=layout
            )
            np.testing.assert_array_equal(got, grad_y)


@pytest.mark.parametrize("beta", [-0.5, -1, -2.3])
@pytest.mark.parametrize("way", every_way("lrn", "dgrad"))
def test_gradient_of_a_power_that_amplifies(way, beta):
    x, grad_y = np.random.default_rng(0).standard_normal((2, 1, 9, 3, 4))
    numbers = (3, 1.5, beta, 1.0)
    got = accepted(convkit.local_response_norm_grad, way, grad_y, x, *numbers)
    expected = reference.local_response_norm_grad(grad_y, x, *numbers)
    # float64: powers and sums by a few hundred ulp at most; two terms may cancel.
    np.testing.assert_allclose(got, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 40])
def test_the_reference_agrees_with_torch(size):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(size)
    x, grad_y = rng.standard_normal((2, 2, 11, 3, 4))
    tensor = torch.tensor(x, requires_grad=True)
    y = torch.nn.functional.local_response_norm(tensor, size, 0.7, 0.6, 1.5)
    y.backward(torch.tensor(grad_y))
    got = reference.local_response_norm(x, size, 0.7, 0.6, 1.5)
    # float64 beside torch's own average pool and power, whose order is another.
    np.testing.assert_allclose(got, y.detach().numpy(), rtol=1e-13)
    got = reference.local_response_norm_grad(grad_y, x, size, 0.7, 0.6, 1.5)
    # The tape adds the two terms of each pixel, which may cancel, in another order.
    np.testing.assert_allclose(got, tensor.grad.numpy(), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(("direction", "beta"), [("fprop", 3), ("dgrad", -1)])
@LAYOUTS
@pytest.mark.parametrize("backend", ["cpu", "simt"])
def test_windows_of_14_000_equal_channels_keep_their_digits(backend, layout, direction, beta):
    """One chain of chains would be off by 10 units: these numbers are among the worst for it."""
    line = f"n1c14000h1w1-size28000-alpha1-beta{beta}-k0"
    problem = testing.parse("lrn", line).with_layout(layout)
    numbers = {"x": 0.83, "grad_y": 2 / 3}
    data = {name: np.full(problem.x_shape, value, np.float32) for name, value in numbers.items()}
    (wanted,) = testing.expected(problem, direction, data)
    found = testing.run_case(problem, direction, "direct", backend, data).result
    comparison = testing.compare(found, wanted)
    assert comparison.ok, comparison


def test_windows_do_not_drift_over_thousands_of_channels():
    """A running sum would carry the roundings of what left the window."""
    x = np.ones((1, 5000, 1, 1), np.float32)
    x[0, :8] = 1e4
    y = convkit.local_response_norm(x, 5, 5.0, 1.0, 0.0)
    assert (y[0, 12:-2, 0, 0] == np.float32(0.2)).all()
    for backend in ("cpu", "simt"):
        with testing.use_backend(backend):
            again = convkit.local_response_norm(x, 5, 5.0, 1.0, 0.0)
        np.testing.assert_array_equal(again, y)
