"""Single cases and the settings around them."""

import pytest

import convkit
from convkit import testing
from convkit.testing import parse

from ..ops.table import cases, has_device

PROBLEM = parse("conv2d", "n1c3h5w6-k4r3s3-st1-pd1")


@pytest.mark.parametrize("op", testing.PROBLEMS)
@pytest.mark.parametrize("backend", ["cpu", "simt"])
def test_the_last_algorithm_of_a_backend_takes_every_problem(op, backend):
    """Or im2col, where padding is not zeros."""
    directions = testing.problems(op)[0].directions
    for direction in directions:
        rows = [row for row in testing.algorithms(op, backend) if direction in row["directions"]]
        assert rows, f"{op} has no {direction} on {backend}"
        names = [row["name"] for row in rows]
        for problem in testing.problems(op):
            for layout in ("NCHW", "NHWC"):
                told = testing.candidates(problem.with_layout(layout), direction, backend)
                assert [name for name in told if name in names] == names
                zeros = getattr(problem, "padding_mode", "zeros") == "zeros"
                assert told[rows[-1]["name"] if zeros else "im2col"] is None, problem.line


@pytest.mark.parametrize("op", testing.PROBLEMS)
def test_every_algorithm_takes_some_row_in_every_direction_it_has(op):
    taken = {
        (algo, backend, direction)
        for problem in testing.problems(op, "core", "edge")
        for backend in ("cpu", "simt")
        for direction in problem.directions
        for algo, reason in testing.candidates(problem, direction, backend).items()
        if reason is None
    }
    for row in testing.algorithms(op):
        if row["backend"] != "cuda":  # has the rows of simt
            for direction in row["directions"]:
                assert (row["name"], row["backend"], direction) in taken


@pytest.mark.gpu
def test_a_cuda_device_runs_the_cases_of_the_table():
    if not has_device():
        pytest.skip("no CUDA device")
    assert any(case.backend == "cuda" for case in cases("conv2d"))


def test_settings_are_put_back():
    threads, backend = convkit.num_threads(), convkit.backend()
    with testing.use_threads(3), testing.use_backend("reference"):
        assert convkit.num_threads() == 3
        assert convkit.backend() == "reference"
    assert (convkit.num_threads(), convkit.backend()) == (threads, backend)


def test_simt_order_is_refused_by_name():
    with pytest.raises(ValueError, match="sideways"), testing.simt_order("sideways"):
        pass


def test_check_case_compares_with_the_reference():
    outcome, (comparison,) = testing.check_case(PROBLEM, "fprop", "auto", "cpu")
    assert not outcome.refused
    assert outcome.result.shape == (1, 4, 5, 6)
    assert comparison.ok
    assert not testing.check_case(PROBLEM, "fprop", "auto", "cpu", bound=-1)[1][0].ok


def test_an_unknown_algorithm_is_an_error_and_no_refusal():
    with pytest.raises(ValueError, match="'magic'"):
        testing.check_case(PROBLEM, "fprop", "magic", "cpu")
