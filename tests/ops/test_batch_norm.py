"""Batch normalisation: statistics of the batch, of the past, and the gradients."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convkit
from convkit import reference, testing

from . import strategies
from .properties import Properties, guard, over
from .table import COMBINATIONS, Case, accepted, check_every_algorithm, every_way, mostly_plain

DIRECTIONS = st.sampled_from(["fprop", "dgrad"])
BACKENDS = pytest.mark.parametrize("backend", ["cpu", "simt", "reference"])
LAYOUTS = pytest.mark.parametrize("layout", ["NCHW", "NHWC"])


class TestProperties(Properties):
    op = "batch_norm"

    @over(share=mostly_plain(cpu=1.0, simt=0.35))
    def test_matches_the_reference_far_from_zero(self, case: Case) -> None:
        case.check(case.outputs(case.data("offset")), case.expected("offset"), "offset")


@strategies.examples(100)
@given(strategies.batch_norm(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_sizes_on_cpu(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "cpu", dtype, seed)


@strategies.examples(40)
@given(strategies.batch_norm(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_sizes_on_simt(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "simt", dtype, seed)


def images(values, dtype, layout):
    """(C, M) values as a batch of two images of C channels."""
    x = np.asarray(values, np.float64).reshape(len(values), 2, 1, -1).swapaxes(0, 1).astype(dtype)
    return np.ascontiguousarray(x if layout == "NCHW" else x.transpose(0, 2, 3, 1))


# Of (1, 2, 3, 4) with weight 1, bias 0 and eps 1e-5.
WORKED = np.array([1.0, 2.0, 3.0, 4.0])
WORKED_Y = np.array([-1.3416354199689269, -0.447211806656309])
WORKED_Y = np.concatenate([WORKED_Y, -WORKED_Y[::-1]])
WORKED_GRAD_Y = np.array([1.0, 0.0, 0.0, 0.0])
WORKED_GRAD_X = np.array(
    [0.2683303038930342, -0.3577683720252976, -0.08944343463101138, 0.1788815027632748]
)
# Distance of neighbours above 1: one rounding costs at most half of it.
ULP = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
# y takes five roundings (1/sqrt, its product with weight, x - mean, the product, the sum with
# bias); in 16 bits the one when it is stored outweighs them, and may fall beyond a tie.
TOLERANCE = {name: ulp if name.endswith("16") else 2.5 * ulp for name, ulp in ULP.items()}

# Of 1/deviation, its squares summed in float32 in blocks: E of a few units, halved by the root.
DEVIATIONS = 3 * ULP["float32"]


@pytest.mark.parametrize(("dtype", "layout"), COMBINATIONS)
@pytest.mark.parametrize("way", every_way("batch_norm", "fprop"))
class TestWorkedNumbers:
    def test_training(self, way, dtype, layout):
        x = images([WORKED, 2 * WORKED + 5], testing.as_dtype(dtype), layout)
        kept = np.float32 if x.dtype.itemsize == 2 else x.dtype
        running_mean, running_var = np.array([1, 2], kept), np.array([1, 3], kept)
        weight, bias = np.array([1, 3], kept), np.array([0, 1], kept)
        y, mean, invstd = accepted(
            convkit.batch_norm,
            way,
            x,
            weight,
            bias,
            running_mean,
            running_var,
            training=True,
            return_stats=True,
            layout=layout,
        )
        once = np.finfo(kept).eps
        np.testing.assert_array_equal(mean, [2.5, 10])
        # Its sums are exact: the root and the division round, by half an eps each.
        np.testing.assert_allclose(invstd, [1.25001**-0.5, 5.00001**-0.5], rtol=once)
        second = 3 * 2 * WORKED_Y * np.sqrt(1.25001 / 5.00001) + 1
        expected = images([WORKED_Y, second], np.float64, layout)
        assert y.dtype == x.dtype
        np.testing.assert_allclose(y.astype(np.float64), expected, rtol=TOLERANCE[dtype])
        # A product and a sum round, by half an eps each.
        np.testing.assert_allclose(running_mean, [0.9 + 0.25, 1.8 + 1], rtol=once)
        # The same, of a variance divided by m - 1: 5/3 and 20/3.
        np.testing.assert_allclose(running_var, [0.9 + 0.5 / 3, 2.7 + 2 / 3], rtol=once)

    def test_inference(self, way, dtype, layout):
        x = images([WORKED, WORKED], testing.as_dtype(dtype), layout)
        kept = np.float32 if x.dtype.itemsize == 2 else x.dtype
        mean, var = np.array([2, 1], kept), np.array([3, 0], kept)
        before = mean.copy(), var.copy()
        options = {"eps": 1, "activation": "relu", "residual": -x, "layout": layout}
        y = accepted(convkit.batch_norm, way, x, None, None, mean, var, **options)
        expected = images([np.maximum((WORKED - 2) / 2 - WORKED, 0), 0 * WORKED], x.dtype, layout)
        np.testing.assert_array_equal(y, expected, strict=True)
        np.testing.assert_array_equal((mean, var), before)


@pytest.mark.parametrize(("dtype", "layout"), COMBINATIONS)
@pytest.mark.parametrize("way", every_way("batch_norm", "dgrad"))
def test_worked_gradient(way, dtype, layout):
    x = images([WORKED, 10 - WORKED], testing.as_dtype(dtype), layout)
    grad_y = images([WORKED_GRAD_Y, WORKED_GRAD_Y], x.dtype, layout)
    kept = np.float32 if x.dtype.itemsize == 2 else x.dtype
    mean, invstd = np.array([2.5, 7.5], kept), np.full(2, 1.25001**-0.5, kept)
    weight = np.array([1, -2], kept)
    grad_x, grad_weight, grad_bias = accepted(
        convkit.batch_norm_grad, way, grad_y, x, weight, mean, invstd, layout=layout
    )
    expected = images([WORKED_GRAD_X, -2 * WORKED_GRAD_X], np.float64, layout)
    # Its terms are up to twice the result.
    np.testing.assert_allclose(grad_x.astype(np.float64), expected, rtol=2 * TOLERANCE[dtype])
    once = np.finfo(kept).eps
    # Two roundings, of half an eps each: of invstd as it is given, and of the product with it.
    np.testing.assert_allclose(grad_weight, [WORKED_Y[0], WORKED_Y[3]], rtol=once)
    np.testing.assert_array_equal(grad_bias, np.ones(2, kept), strict=True)


@BACKENDS
@LAYOUTS
@pytest.mark.parametrize("training", [True, False])
def test_gradients_of_weight_and_bias_agree_with_differences(backend, layout, training):
    rng = np.random.default_rng(0)
    x, grad_y = rng.standard_normal((2, 3, 5, 4, 6))
    c = x.shape[1 if layout == "NCHW" else 3]
    given = {"weight": rng.standard_normal(c), "bias": rng.standard_normal(c)}
    past = {} if training else {"running_mean": rng.random(c), "running_var": rng.random(c) + 1}
    options = {"training": training, "layout": layout}
    with testing.use_backend(backend):
        _, mean, invstd = convkit.batch_norm(x, **given, **past, **options, return_stats=True)
        grads = convkit.batch_norm_grad(grad_y, x, given["weight"], mean, invstd, **options)
        for name, grad in zip(given, grads[1:], strict=True):
            move = rng.standard_normal(c)
            above, below = (
                convkit.batch_norm(x, **given | {name: given[name] + s * move}, **past, **options)
                for s in (1, -1)
            )
            difference = (grad_y * (above - below) / 2).sum()  # y is linear in both
            assert (grad * move).sum() == pytest.approx(difference, rel=1e-12)


@BACKENDS
@LAYOUTS
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_running_statistics_are_within_the_bound(backend, layout, dtype):
    rng = np.random.default_rng(1)
    x = (rng.standard_normal((4, 7, 9, 5)) + 100).astype(dtype)
    c = x.shape[1 if layout == "NCHW" else 3]
    kept = "float32" if dtype == "float16" else dtype
    mean, var = rng.random(c).astype(kept), rng.random(c).astype(kept)
    wide = [a.astype(np.longdouble) for a in (x, mean, var)]
    reference.batch_norm(wide[0], None, None, *wide[1:], training=True, momentum=0.3, layout=layout)
    with testing.use_backend(backend):
        convkit.batch_norm(x, None, None, mean, var, training=True, momentum=0.3, layout=layout)
    for got, exact in zip((mean, var), wide[1:], strict=True):
        assert got.dtype == kept
        bound = 8
        # E of the table's row; nothing cancels, so that the unit is the result itself.
        np.testing.assert_allclose(got, exact, rtol=bound * np.finfo(kept).eps)


@BACKENDS
def test_a_mean_far_from_zero_costs_the_variance_nothing(backend):
    """E[x^2] - E[x]^2 in float32 has no correct digit here."""
    noise = np.random.default_rng(2).standard_normal((2, 3, 40, 41))
    x = (noise + 10_000).astype(np.float32)
    with testing.use_backend(backend):
        _, mean, invstd = convkit.batch_norm(x, training=True, return_stats=True)
    # Blocks are joined in double with what their means left over: the mean rounds once.
    np.testing.assert_allclose(mean, x.mean((0, 2, 3), np.float64), rtol=ULP["float32"] / 2)
    exact = 1 / np.sqrt(x.var((0, 2, 3), np.float64) + 1e-5)
    # Squares summed in float32 in blocks, E of a few units, halved by the root.
    np.testing.assert_allclose(invstd, exact, rtol=DEVIATIONS)


@BACKENDS
@LAYOUTS
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_values_far_from_zero_have_no_variance(backend, layout, dtype):
    x = np.full((2, 3, 37, 41), 12345.678, dtype)
    with testing.use_backend(backend):
        y, mean, invstd = convkit.batch_norm(x, training=True, return_stats=True, layout=layout)
    assert (mean == x.flat[0]).all()
    # No variance, so the root of eps and the division by it round, by half an ulp each.
    np.testing.assert_allclose(invstd, 1e-5**-0.5, rtol=ULP[dtype])
    # The mean keeps what its rounding left: without that y reaches half an ulp of x, times invstd.
    assert np.abs(y).max() < ULP[dtype]


@BACKENDS
def test_a_mean_that_drifts_over_the_batch_costs_nothing(backend):
    rng = np.random.default_rng(3)
    x = (rng.standard_normal((64, 2, 9, 9)) + 50 * np.arange(64).reshape(-1, 1, 1, 1)).astype("f4")
    with testing.use_backend(backend):
        _, mean, invstd = convkit.batch_norm(x, training=True, eps=0, return_stats=True)
    # Blocks are joined in double with what their means left over: the mean rounds once.
    np.testing.assert_allclose(mean, x.mean((0, 2, 3), np.float64), rtol=ULP["float32"] / 2)
    # Squares summed in float32 in blocks, E of a few units, halved by the root.
    np.testing.assert_allclose(invstd, 1 / x.std((0, 2, 3), np.float64), rtol=DEVIATIONS)


@BACKENDS
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_a_value_that_is_not_finite_stays_in_its_channel_and_names_the_mean(backend, value):
    x = np.random.default_rng(4).standard_normal((3, 4, 6, 5)).astype("f4")
    x[1, 2, 3, 4] = value
    with testing.use_backend(backend), np.errstate(all="ignore"):
        y, mean, _ = convkit.batch_norm(x, training=True, return_stats=True)
    np.testing.assert_array_equal(mean[2], np.float32(value))
    assert np.isnan(y[:, 2]).all()
    assert np.isfinite(np.delete(y, 2, axis=1)).all()


def update(x, mean, var, **options):
    return convkit.batch_norm(x, None, None, mean, var, training=True, **options)


X = np.random.default_rng(5).standard_normal((2, 3, 4, 5)).astype("f4")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weight": np.ones(4, "f4")}, r"weight\.shape is \(4,\), must be \(3,\)"),
        ({"weight": np.ones(3)}, r"weight\.dtype is float64, must be float32 where x\.dtype"),
        ({"momentum": 1.5}, "momentum is 1.5, must be from 0 to 1"),
        ({"eps": -1}, "eps is -1, must be at least 0"),
        ({"algo": "magic"}, "'magic'"),
        ({"out": np.ones((2, 3, 4, 4), "f4")}, r"out\.shape"),
        ({"residual": np.ones((2, 3, 4, 4), "f4")}, r"residual\.shape"),
        ({"running_var": None}, "running_var is None, but running_mean is given"),
        ({"running_var": np.ones(2, "f4")}, r"running_var\.shape is \(2,\)"),
        ({"x": X[:1, :, :1, :1]}, "at least 2 values per channel"),
    ],
)
@BACKENDS
def test_a_call_that_is_refused_leaves_running_statistics_alone(backend, options, message):
    mean, var = np.full(3, 2, "f4"), np.full(3, 3, "f4")
    arguments = {"x": X, "running_mean": mean, "running_var": var, "training": True} | options
    if backend == "reference" and "algo" in options:
        return  # has no algorithms to choose from
    with testing.use_backend(backend), pytest.raises((ValueError, TypeError), match=message):
        convkit.batch_norm(**arguments)
    assert (mean == 2).all()
    assert (var == 3).all()


def test_running_statistics_that_cannot_be_changed_are_refused_before_any_is():
    mean, frozen, strided = np.zeros(3, "f4"), np.ones(3, "f4"), np.ones(6, "f4")[::2]
    frozen.flags.writeable = False
    for var, message in (
        (frozen, "running_var is read-only, must be writeable"),
        (strided, "running_var must be C-contiguous"),
        (mean, "shares memory with"),
    ):
        with pytest.raises(ValueError, match=message):
            update(X, mean, var)
        assert (mean == 0).all()
    convkit.batch_norm(X, None, None, mean, frozen)  # inference only reads them


@pytest.mark.parametrize("backend", ["cpu", "simt"])
def test_running_statistics_are_changed_where_they_lie_and_nowhere_else(backend):
    memory = [guard((3,), np.float32) for _ in range(2)]
    for _, view in memory:
        view[...] = 1
    before = [m.copy() for m, _ in memory]
    with testing.use_backend(backend):
        out = np.empty_like(X)
        assert update(X, memory[0][1], memory[1][1], out=out) is out
    expected = np.ones(3, "f4"), np.ones(3, "f4")
    reference.batch_norm(X, None, None, *expected, training=True)
    for (after, view), old, wanted in zip(memory, before, expected, strict=True):
        # Reference and kernel round a product and a sum each, by half an ulp, and the reference
        # its float64 result once more on its way to float32.
        np.testing.assert_allclose(view, wanted, rtol=2 * ULP["float32"])
        view[...] = 1
        assert (after == old).all()


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_statistics_of_16_bit_arrays_are_float32(dtype):
    x = X.astype(dtype)
    y, mean, invstd = convkit.batch_norm(x, training=True, return_stats=True)
    assert (y.dtype, mean.dtype, invstd.dtype) == (x.dtype, np.float32, np.float32)
    grads = convkit.batch_norm_grad(y, x, None, mean, invstd)
    assert [g.dtype for g in grads] == [x.dtype, np.float32, np.float32]
    with pytest.raises(TypeError, match=r"weight\.dtype is .*16, must be float32 where x\.dtype"):
        convkit.batch_norm(x, np.ones(3, dtype), training=True)


@BACKENDS
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_an_empty_batch_still_has_its_other_results(backend, dtype):
    x = np.ones((0, 3, 4, 5), dtype)
    past = np.array([1, 2, 3], "f4")
    with testing.use_backend(backend):
        y, mean, invstd = convkit.batch_norm(x, None, None, past, past**2, eps=0, return_stats=True)
        grads = convkit.batch_norm_grad(x, x, None, mean, invstd, training=False)
    assert y.shape == grads[0].shape == x.shape
    np.testing.assert_array_equal(mean, past)
    # The root of a square is exact: the division alone rounds.
    np.testing.assert_allclose(invstd, 1 / past, rtol=ULP["float32"] / 2)
    assert (grads[1] == 0).all()
    assert (grads[2] == 0).all()


def test_torch_tensors_are_normalised_as_torch_does():
    torch = pytest.importorskip("torch")
    x = torch.from_numpy(X.copy())
    weight, bias = torch.rand(3), torch.rand(3)
    mean, var = torch.rand(3), torch.rand(3)
    theirs = mean.clone(), var.clone()
    y = convkit.batch_norm(x, weight, bias, mean, var, training=True)
    expected = torch.nn.functional.batch_norm(x, *theirs, weight, bias, training=True)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close((mean, var), theirs)
