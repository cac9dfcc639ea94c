"""Random problems of every op, shrinking, and arrays in awkward memory."""

import numpy as np
import pytest

from convkit import _native, testing
from convkit.testing import memory, parse, random_problem, shrink
from convkit.testing.geometry import RANDOM, fits, simpler
from convkit.testing.parsing import CLASSES
from convkit.testing.selection import all_ops


def test_every_native_op_has_random_problems():
    assert set(all_ops()) == set(_native.ops()) - {"copy"} == set(RANDOM) == set(CLASSES)


@pytest.mark.parametrize("op", RANDOM)
def test_random_problems_are_valid_and_within_their_limit(op):
    rng = np.random.default_rng(1)
    drawn = [random_problem(op, rng, 50_000) for _ in range(150)]
    assert len(set(drawn)) > 100
    for problem in drawn:
        assert problem.flops <= 50_000
        assert parse(op, problem.line) == problem
        for direction in problem.directions:
            assert testing.candidates(problem, direction, "cpu")  # raises where it is invalid


def test_random_problems_reach_every_value_of_every_option():
    rng = np.random.default_rng(0)
    drawn = [random_problem("conv2d", rng) for _ in range(400)]
    assert {p.activation for p in drawn} == {None, "relu", "tanh", "sigmoid"}
    assert {"same", "valid", "full"} < {p.padding for p in drawn}
    for name in ("flip", "bias", "residual"):
        assert {getattr(p, name) for p in drawn} == {False, True}
    assert any(p.groups == p.c > 1 for p in drawn)
    assert any(1 < p.groups < p.c for p in drawn)
    assert any(p.dilation != (1, 1) for p in drawn)
    assert any(p.n == 0 for p in drawn)
    assert max(p.c for p in drawn) == 300


def test_shrinking_keeps_what_the_failure_needs_and_drops_the_rest():
    start = parse("conv2d", "n2c12h13w9-k18r3s5-st2x3-pt1pb2pl0pr3-dl2-g6-flip-bias-relu-nhwc")
    small = shrink(start, lambda p: p.stride[1] > 1 and p.w % 2 == 1 and p.k >= 3)
    assert small.line == "n1c1h1w1-k3r1s1-st1x2-pd0"
    assert shrink(start, lambda p: p.groups > 1 and p.c == p.groups * 2).line == (
        "n1c4h1w1-k2r1s1-st1-pd0-g2"
    )


@pytest.mark.parametrize("op", RANDOM)
def test_simpler_problems_are_other_problems(op):
    problem = random_problem(op, np.random.default_rng(5))
    candidates = list(simpler(problem))
    assert candidates
    assert problem not in candidates
    assert any(fits(candidate) for candidate in candidates)


def test_padding_that_does_not_fit_a_pool_is_no_problem():
    assert not fits(parse("pool2d", "max-n1c1h5w5-r2s2-st1-pd2"))
    assert not fits(parse("conv2d", "n1c3h5w5-k4r3s3-st1-pd0-g2"))
    assert fits(parse("conv2d", "n0c3h5w5-k4r3s3-st1-pd0"))


@pytest.mark.parametrize("form", memory.FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_laid_arrays_hold_the_same_numbers(form, dtype):
    array = np.arange(60, dtype=dtype).reshape(3, 4, 5)
    laid = memory.lay(array, form)
    np.testing.assert_array_equal(laid, array)
    assert not np.shares_memory(laid, array)
    assert laid.flags.c_contiguous == (form != "strided")
    if form == "skewed":
        assert laid.ctypes.data % 16 == laid.itemsize


def test_guards_tell_which_side_was_written():
    whole, view = memory.guard((2, 3), np.float32)
    assert np.isnan(view).all()
    assert memory.guards_broken(whole, view) == ""
    whole[memory.GUARD - 1] = 0
    assert "before" in memory.guards_broken(whole, view)
    whole[memory.GUARD - 1] = memory.PATTERN
    whole[memory.GUARD + view.nbytes] = 0
    assert "after" in memory.guards_broken(whole, view)
