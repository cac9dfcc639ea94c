"""Operations and bytes of a problem, against numbers worked by hand."""

import pytest

from convkit import _native
from convkit.testing import PROBLEMS, Cost, Peaks, cost_of, floor_seconds, measure_peaks, parse


@pytest.mark.parametrize(
    ("op", "line", "direction", "dtype", "cost"),
    [
        # 2 * 2 images * 6 filters * 4x4 outputs * 2 channels * 9 taps; 2*4*4*4, 6*2*9, 2*6*4*4
        ("conv2d", "n2c4h4w4-k6r3s3-st1-pd1-g2", "fprop", "float32", (6912, 944, 768)),
        ("conv2d", "n2c4h4w4-k6r3s3-st1-pd1-g2", "dgrad", "float32", (6912, 1200, 512)),
        ("conv2d", "n2c4h4w4-k6r3s3-st1-pd1-g2", "wgrad", "float64", (6912, 2560, 864)),
        ("conv2d", "n1c1h2w2-k3r1s1-st1-pd0-bias-residual", "fprop", "float32", (24, 88, 48)),
        ("pool2d", "max-n1c2h4w4-r2s2-st2-pd0", "fprop", "float32", (32, 128, 96)),
        ("pool2d", "max-n1c2h4w4-r2s2-st2-pd0", "dgrad", "float32", (8, 96, 128)),
        ("pool2d", "avg-n1c2h4w4-r2s2-st2-pd0", "dgrad", "float64", (32, 64, 256)),
        ("gram", "n2c3h4w5", "fprop", "float32", (480, 480, 72)),
        ("gram", "n2c3h4w5", "dgrad", "float32", (720, 552, 480)),
        # 2 * 2 images * 4 channels * 3x3 pixels * 3 filters * 4 taps; 2*4*3*3, 4*3*2*2, 2*6*6*6
        ("conv_transpose2d", "n2c4h3w3-k6r2s2-st2-pd0-g2", "fprop", "float32", (1728, 480, 1728)),
        ("conv_transpose2d", "n2c4h3w3-k6r2s2-st2-pd0-g2", "dgrad", "float32", (1728, 1920, 288)),
        ("conv_transpose2d", "n2c4h3w3-k6r2s2-st2-pd0-g2", "wgrad", "float64", (1728, 4032, 384)),
        ("linear", "n3c5-k2-bias-residual", "fprop", "float32", (60, 132, 24)),
        ("linear", "n3c5-k2", "dgrad", "float32", (60, 64, 60)),
        ("linear", "n3c5-k2", "wgrad", "bfloat16", (60, 42, 20)),
        ("conv2d", "n2c4h4w4-k6r3s3-st1-pd1-g2", "fprop", "float16", (6912, 472, 384)),
        ("pool2d", "max-n1c2h4w4-r2s2-st2-pd0", "dgrad", "bfloat16", (8, 80, 64)),
        ("im2col", "n1c2h3w3-r2s2-st1-pd0", "fprop", "float32", (0, 72, 128)),
        ("im2col", "n1c2h3w3-r2s2-st1-pd0", "dgrad", "float32", (32, 128, 72)),
        # 120 pixels * (2 * 3 taps + 4), * (3 * 3 taps + 9); 2 taps where there are 2 channels
        ("lrn", "n2c4h3w5-size3-alpha1-beta0.75-k1", "fprop", "float32", (1200, 480, 480)),
        ("lrn", "n2c4h3w5-size3-alpha1-beta0.75-k1", "dgrad", "float64", (2160, 1920, 960)),
        ("lrn", "n1c2h1w1-size9-alpha1-beta1-k1", "fprop", "float32", (16, 8, 8)),
        # 15 logits * 4, 120 * 5, 15 * 7; logits, classes of 8 bytes, gradients of losses
        ("cross_entropy", "n3c5", "fprop", "float32", (60, 84, 4)),
        ("cross_entropy", "n2c5h3w4-smooth0.1-none", "fprop", "float16", (600, 432, 48)),
        ("cross_entropy", "n3c5-none", "dgrad", "float32", (105, 96, 60)),
    ],
)
def test_costs_worked_by_hand(op, line, direction, dtype, cost):
    assert cost_of(parse(op, line), direction, dtype) == Cost(*cost)


@pytest.mark.parametrize("op", sorted(PROBLEMS))
def test_every_row_has_a_cost_in_every_direction_that_no_layout_changes(op):
    for problem in PROBLEMS[op]:
        for direction in problem.directions:
            cost = cost_of(problem, direction)
            assert cost.flops >= 0
            assert cost.bytes > 0 or problem.n == 0
            assert cost == cost_of(problem.with_layout("NHWC"), direction)


def test_a_direction_that_the_op_lacks_is_refused():
    with pytest.raises(ValueError, match="direction is 'wgrad', gram has fprop, dgrad"):
        cost_of(parse("gram", "n1c2h3w3"), "wgrad")


def test_the_floor_is_the_longer_of_arithmetic_and_memory():
    peaks = Peaks("cpu", "float32", 1, flops_per_s=100.0, bytes_per_s=10.0)
    assert peaks.ridge == 10.0
    assert floor_seconds(Cost(500, 30, 10), peaks) == 5.0
    assert floor_seconds(Cost(500, 60, 40), peaks) == 10.0
    assert Cost(500, 60, 40).intensity == 5.0
    assert Cost(0, 0, 0).intensity == 0.0


def test_measured_peaks_are_those_of_a_machine():
    """Float32 lanes are twice those of float64, and no arithmetic is slower than memory here."""
    single, double = measure_peaks("cpu", "float32", 1), measure_peaks("cpu", "float64", 1)
    assert 1e8 < single.bytes_per_s < 1e12
    assert 1e9 < single.flops_per_s < 1e12
    assert 1.3 < single.flops_per_s / double.flops_per_s < 3


def test_16_bits_have_the_peaks_of_float32(monkeypatch):
    asked = []
    monkeypatch.setattr(_native, "measure_peaks", lambda *given: asked.append(given) or (1.0, 1.0))
    for dtype in ("float16", "bfloat16"):
        assert measure_peaks("cpu", dtype, 1).dtype == dtype
    assert asked == [("cpu", "float32", 1)] * 2


def test_measure_peaks_says_what_it_cannot_measure():
    for backend in ("simt", "reference"):
        with pytest.raises(ValueError, match=f"'{backend}': only cpu and cuda have peaks"):
            measure_peaks(backend)
    if not _native.with_cuda:
        with pytest.raises(ValueError, match="this build has no cuda backend"):
            measure_peaks("cuda")
    with pytest.raises(ValueError, match="dtype is 'int8', must be float32 or float64"):
        measure_peaks("cpu", "int8")
    with pytest.raises(ValueError, match="threads is 0, must be at least 1"):
        measure_peaks("cpu", threads=0)
