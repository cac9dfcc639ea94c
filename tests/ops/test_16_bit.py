"""float16 and bfloat16: stored in 16 bits, computed in float32, rounded once."""

import dataclasses

import ml_dtypes
import numpy as np
import pytest

import convkit
from convkit import testing

DTYPES = pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16], ids=["f16", "bf16"])
BACKENDS = pytest.mark.parametrize("backend", ["cpu", "simt"])
HALVES = np.arange(65536, dtype=np.uint16)


def bits(array: np.ndarray) -> np.ndarray:
    return array.view(np.uint16)


@DTYPES
@BACKENDS
def test_every_value_survives_and_nans_become_quiet(dtype, backend):
    x = HALVES.view(dtype).reshape(4, 4, 64, 64)
    with testing.use_backend(backend):
        y = convkit.max_pool2d(x, 1)
    quiet = np.uint16(0x200 if dtype == np.float16 else 0x40)
    nan = np.isnan(x.astype(np.float32))
    assert np.array_equal(bits(y), np.where(nan, bits(x) | quiet, bits(x)))


@DTYPES
@BACKENDS
def test_results_are_rounded_to_nearest_even(dtype, backend):
    """Products of all values by a few: ties, subnormal results, overflow to infinity."""
    factors = np.array([1.0, 1.5, 1.0009765625, 0.0078125, 6e-5, -300.0, 3e-8]).astype(dtype)
    x = HALVES.view(dtype)
    x = x[np.isfinite(x.astype(np.float32))].reshape(1, 1, 2, -1)
    with testing.use_backend(backend), np.errstate(all="ignore"):
        y = convkit.conv2d(x, factors.reshape(-1, 1, 1, 1))
        exact = x.astype(np.float64) * factors.astype(np.float64).reshape(-1, 1, 1)
        rounded = exact.astype(np.float32).astype(dtype)
        assert np.array_equal(y.astype(np.float32), rounded.astype(np.float32))


@DTYPES
@BACKENDS
@pytest.mark.parametrize(
    ("op", "line"),
    [
        ("conv2d", "n9c40h64w48-k3r3s3-st1-pd1-bias-residual-relu"),
        ("pool2d", "max-n3c70h96w96-r2s2-st2-pd0"),
        ("pool2d", "avg-n3c70h96w96-r3s3-st2-pd1"),
        ("adaptive_pool2d", "max-n3c70h96w97-p6q5"),
        ("adaptive_pool2d", "avg-n3c70h96w96-p6q8"),
        ("adaptive_pool2d", "avg-n3c70h61w60-p7q7"),
        ("gram", "n20c7h100w98"),
        ("im2col", "n9c5h50w60-r3s3-st2-pd1"),
        ("batch_norm", "n9c40h64w48-weight-bias-residual-relu"),
        ("batch_norm", "n9c40h64w48-train-weight-bias-residual-relu"),
        ("bias_grad", "n9c40h64w48"),
        ("lrn", "n9c40h64w48-size5-alpha1-beta0.75-k1"),
        ("cross_entropy", "n9c40h64w48-smooth0.1-none-ignored"),
        ("cross_entropy", "n9c6000h4w4-sum-ignored"),
        ("cross_entropy", "n9c40h64w48-ignored"),
    ],
)
def test_a_batch_cut_into_pieces_is_the_float32_result_rounded(op, line, dtype, backend):
    for layout in ("NCHW", "NHWC"):
        row = testing.parse(op, line).with_layout(layout)
        if backend == "simt":
            row = dataclasses.replace(row, n=2, c=3, h=9, w=8)
        for direction in row.directions:
            stored = testing.make_data(row, direction, dtype=dtype)
            wide = {
                name: a.astype(np.float32) if a.dtype == dtype else a for name, a in stored.items()
            }
            results = testing.run_case(row, direction, "auto", backend, stored).outputs
            expected = testing.run_case(row, direction, "auto", backend, wide).outputs
            for result, one in zip(results, expected, strict=True):
                assert testing.same_bits(result, one.astype(result.dtype)), direction


def test_mixed_types_are_refused_with_both_names():
    x, w = np.ones((1, 1, 3, 3), np.float16), np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(TypeError, match=r"w\.dtype is float32, but x\.dtype is float16"):
        convkit.conv2d(x, w)


@DTYPES
def test_strided_inputs_and_out(dtype):
    x = np.arange(2 * 3 * 8 * 8).reshape(2, 3, 8, 8).astype(dtype)
    view = x[::-1, :, ::2, ::-1]
    y = convkit.avg_pool2d(view, 2)
    out = np.empty(y.shape, dtype)
    assert convkit.avg_pool2d(np.ascontiguousarray(view), 2, out=out) is out
    assert testing.same_bits(y, out)


def test_torch_bfloat16_in_and_out():
    torch = pytest.importorskip("torch")
    x = torch.arange(16.0).reshape(1, 1, 4, 4).to(torch.bfloat16)
    y = convkit.max_pool2d(x, 2)
    assert y.dtype == torch.bfloat16
    assert y.flatten().tolist() == [5.0, 7.0, 13.0, 15.0]
