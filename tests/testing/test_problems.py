"""Problem lines are printed and parsed; the table holds what it promises."""

import dataclasses

import pytest
from hypothesis import given

from convkit import testing
from convkit.testing import Conv2d, parse, problems

from ..ops import strategies


@pytest.mark.parametrize("op", testing.PROBLEMS)
def test_every_row_is_parsed_from_the_line_it_prints(op):
    for row in problems(op):
        assert parse(op, row.line) == row
        nhwc = row.with_layout("NHWC")
        assert nhwc.line == f"{row.line}-nhwc"
        assert parse(op, nhwc.line) == nhwc


@pytest.mark.parametrize("op", [op for op in testing.PROBLEMS if hasattr(strategies, op)])
def test_random_problems_are_parsed_from_the_line_they_print(op):
    @strategies.examples(100)
    @given(getattr(strategies, op)())
    def check(problem):
        assert parse(op, problem.line) == problem
        assert min(problem.y_shape[1:], default=1) >= 1

    check()


def test_the_line_of_the_first_alexnet_layer():
    problem = parse("conv2d", "n1c3h227w227-k96r11s11-st4-pd0")
    assert problem == Conv2d(n=1, c=3, h=227, w=227, k=96, r=11, s=11, stride=(4, 4))
    assert problem.output == (55, 55)
    assert problem.flops == 2 * 105_415_200
    assert str(problem) == "n1c3h227w227-k96r11s11-st4-pd0"


def test_every_part_of_a_line_is_read():
    line = "n2c6h9w8-k4r3s2-st2x1-pt0pb1pl2pr3-dl1x2-reflect-g2-flip-bias-residual-tanh-nhwc"
    problem = parse("conv2d", line)
    assert problem.line == line
    assert dataclasses.asdict(problem) | {"name": "", "tags": frozenset()} == {
        **{"n": 2, "c": 6, "h": 9, "w": 8, "k": 4, "r": 3, "s": 2, "groups": 2},
        **{"stride": (2, 1), "padding": ((0, 1), (2, 3)), "dilation": (1, 2), "flip": True},
        "padding_mode": "reflect",
        **{"bias": True, "residual": True, "activation": "tanh", "layout": "NHWC"},
        **{"name": "", "tags": frozenset()},
    }


@pytest.mark.parametrize(
    "line",
    [
        "n1c3h1w1-size3-alpha1e-05-beta-0.5-k1e+16",
        "n2c3h1w1-size2147483647-alpha0-beta-100-k0.30000000000000004-nhwc",
    ],
)
def test_numbers_of_any_sign_and_size_are_read_as_they_are_printed(line):
    assert parse("lrn", line).line == line


@pytest.mark.parametrize(
    ("op", "line", "message"),
    [
        ("conv2d", "n1c3h9w9-k4r3s3-st1-pd1-gelu", "'gelu'"),
        ("conv2d", "n1c3h9w9-k4r3s3-st1-norm", "normalize"),
        ("conv2d", "n1c3h9w9-st1", "conv2d needs r, s, k too"),
        ("conv2d", "", "''"),
        ("pool2d", "n1c3h9w9-r2s2-st2-pd0", "needs max or avg too"),
        ("gram", "n1c3h9w9-r2s2", "r, s"),
        ("adaptive_pool2d", "max-n1c3h9w9-p2", "needs q too"),
        ("lrn", "n1c3h9w9-alpha1", "needs size too"),
        ("lrn", "n1c3h9w9-size3-alpha1e", "'alpha1e'"),
        ("fft", "n1c3h9w9", "'fft'"),
        ("conv2d", "n1c3h9w9-k4r3s3-g0", "groups is 0, must be at least 1"),
        ("conv2d", "n1c3h9w9-k4r3s3-pd0-pd1", "'pd1' gives padding, which is given before"),
        ("conv2d", "n1c3h9w9-k4r3s3-same-pt0pb1pl0pr0", "gives padding, which is given before"),
        ("conv2d", "n1c3h9w9-k4r3s3-relu-tanh", "'tanh' gives activation"),
        ("conv2d", "n1c3h9w9-k4r3s3-n2", "'n2' gives n"),
        ("conv2d", "n1c3h9w9n2-k4r3s3", "'n1c3h9w9n2' gives a size twice"),
        ("pool2d", "max-avg-n1c3h9w9-r2s2", "'avg' gives kind"),
        ("adaptive_pool2d", "max-n1c3h9w9-p2q2-global", "'global' gives p, q"),
        ("lrn", "n1c3h9w9-size3-size5", "'size5' gives size"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(op, line, message):
    with pytest.raises(ValueError, match=message):
        parse(op, line)


def test_an_op_without_rows_is_named():
    with pytest.raises(ValueError, match="'fft'"):
        problems("fft")


@pytest.mark.parametrize("op", testing.PROBLEMS)
def test_rows_are_distinct_and_small_enough_for_a_simulator(op):
    rows = problems(op)
    assert len({row.line for row in rows}) == len(rows)
    small = problems(op, "core", "edge", "long")
    assert len({row.name for row in small}) == len(small)
    assert max(row.flops for row in small) < 10_000_000
    assert sum(row.flops for row in small) < 40_000_000


@pytest.mark.parametrize("op", testing.PROBLEMS)
def test_huge_rows_pass_the_range_of_32_bits(op):
    for row in problems(op, "huge"):
        sizes = [row.n * row.c * row.h * row.w]
        elements = 1
        for side in row.y_shape:
            elements *= side
        assert max(*sizes, elements) >= 2**31
