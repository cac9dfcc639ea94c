"""The comparison must see what it is there to see."""

import dataclasses

import numpy as np
import pytest

from convkit import testing
from convkit.testing import Comparison, Expected, make_data, parse

F4 = np.dtype(np.float32)
PROBLEM = parse("conv2d", "n1c5h6w7-k4r3s3-st1-pd1")


def test_a_correct_rounding_is_within_one_unit():
    for op, rows in testing.PROBLEMS.items():
        for problem in rows:
            if not problem.tags & {"core", "edge"}:
                continue
            for direction in problem.directions:
                data = make_data(problem, direction, "normal")
                wanted = testing.expected(problem, direction, data)
                for one in wanted:
                    rounded = one.exact.astype(np.float32 if one.exact.dtype.kind == "f" else int)
                    bound = testing.bound_of(problem, direction, 1)
                    if bound:
                        assert testing.compare(rounded, one, bound).ok, (op, problem.line)


def test_a_wrong_number_alone_is_told_with_the_right_one():
    wanted = Expected(np.asarray(2.0), np.asarray(0.01), F4)
    assert str(testing.compare(np.float32(3), wanted)) == "E = 100 (bound 8): got 3.0, exact 2.0"


def test_the_error_unit_is_that_of_the_definition():
    data = make_data(PROBLEM, "fprop", "normal")
    (wanted,) = testing.expected(PROBLEM, "fprop", data)
    patch, w = data["x"][0, :, 1:4, 2:5].astype(float), data["w"][3].astype(float)
    exact = (patch * w).sum()
    unit = 2.0**-23 * (np.sqrt(5 * 3 * 3) * np.sqrt(((patch * w) ** 2).sum()) + abs(exact))
    assert wanted.exact[0, 3, 2, 3] == pytest.approx(exact, rel=1e-13)
    assert wanted.unit[0, 3, 2, 3] == pytest.approx(unit, rel=1e-13)
    spoiled = wanted.exact.copy()
    spoiled[0, 3, 2, 3] += 20 * unit
    found = testing.compare(spoiled, wanted)
    assert found.index == (0, 3, 2, 3)
    assert found.error == pytest.approx(20)
    assert not found.ok
    assert "E = 20 (bound 8) at [0, 3, 2, 3]" in str(found)


@pytest.mark.parametrize(
    ("line", "direction", "terms"),
    [
        ("avg-n1c1h6w6-r3s2-st1-pd0", "fprop", 6),
        ("avg-n1c1h6w6-r3s3-st2-pd1-realpixels", "fprop", 9),
        ("avg-n1c1h6w6-r2s2-st2-pd0", "dgrad", 1),
        ("avg-n1c1h9w9-r3s3-st2-pd0", "dgrad", 4),
    ],
)
def test_pool_units_count_the_terms_of_a_sum(line, direction, terms):
    """On ones each term of an average is 1 / divisor."""
    problem = parse("pool2d", line)
    data = {
        name: np.ones_like(array)
        for name, array in make_data(problem, direction, "normal", "float64").items()
    }
    (wanted,) = testing.expected(problem, direction, data)
    y = wanted.exact[0, 0, 2, 2]
    size = problem.r * problem.s
    met = y * size
    unit = 2.0**-52 * (np.sqrt(terms * met) / size + y)
    assert wanted.unit[0, 0, 2, 2] == pytest.approx(float(unit), rel=1e-12)


@pytest.mark.parametrize("line", ["n4c3h24w23-train-weight-bias", "n2c3h24w23-weight-bias"])
def test_batch_norm_units_excuse_no_cancellation(line):
    """Both textbook shortcuts pass on data about zero and fail far from it."""
    problem = parse("batch_norm", line)
    for kind, is_fine in (("normal", True), ("offset", False)):
        data = make_data(problem, "fprop", kind)
        x = data["x"]
        mean = data.get("running_mean", x.mean((0, 2, 3)))
        squares = (x * x).mean((0, 2, 3)) - mean * mean
        invstd = 1 / np.sqrt(np.maximum(data.get("running_var", squares), 0) + np.float32(1e-5))
        scale = data["weight"] * invstd
        shift = data["bias"] - mean * scale
        y = x * scale.reshape(-1, 1, 1) + shift.reshape(-1, 1, 1)
        found = [
            testing.compare(got, wanted)
            for got, wanted in zip(
                (y, mean, invstd), testing.expected(problem, "fprop", data), strict=False
            )
        ]
        assert all(one.ok for one in found) == is_fine, (kind, [str(one) for one in found])


@pytest.mark.parametrize(("direction", "terms"), [("fprop", 9), ("dgrad", 4)])
def test_adaptive_pool_units_count_the_terms_of_a_sum(direction, terms):
    """On ones; pixel (2, 2) is in four windows of nine pixels."""
    problem = parse("adaptive_pool2d", "avg-n1c1h13w13-p6q6")
    data = {name: np.ones_like(a) for name, a in make_data(problem, direction).items()}
    (wanted,) = testing.expected(problem, direction, data)
    unit = 2.0**-23 * (np.sqrt(terms * terms) / 9 + terms / 9)
    assert wanted.unit[0, 0, 2, 2] == pytest.approx(float(unit), rel=1e-6)


def test_gram_units_scale_with_the_normalization():
    plain, scaled = (parse("gram", f"n1c4h3w4{word}") for word in ("", "-norm"))
    for direction in plain.directions:
        data = make_data(plain, direction)
        first, second = (testing.expected(p, direction, data)[0] for p in (plain, scaled))
        np.testing.assert_allclose(first.unit / 48, second.unit, rtol=1e-12)


def test_nan_and_infinity_must_stand_where_the_reference_has_them():
    wanted = Expected(np.array([np.nan, np.inf, 1.0]), np.array([np.nan, np.inf, 1e-7]), F4)
    assert testing.compare(np.array([np.nan, np.inf, 1.0]), wanted).error == 0
    for wrong in (
        [1.0, np.inf, 1],
        [np.nan, -np.inf, 1],
        [np.nan, np.nan, 1],
        [np.nan, np.inf, np.nan],
    ):
        found = testing.compare(np.array(wrong), wanted)
        assert not found.ok, found


def test_moved_numbers_are_compared_to_the_bit():
    problem = parse("pool2d", "max-n1c1h4w4-r2s2-st2-pd0")
    data = make_data(problem, "fprop")
    wanted, indices = testing.expected(problem, "fprop", data)
    y = wanted.exact.astype(np.float32)
    assert testing.compare(y, wanted, testing.bound_of(problem, "fprop", 8)).ok
    y[0, 0, 1, 1] = np.nextafter(y[0, 0, 1, 1], np.float32(9))
    assert not testing.compare(y, wanted, testing.bound_of(problem, "fprop", 8)).ok
    moved = indices.exact + (indices.exact == indices.exact.max())
    assert not testing.compare(moved, indices, 0).ok


def test_another_shape_is_no_result():
    wanted = Expected(np.zeros((1, 2)), np.zeros((1, 2)), F4)
    with pytest.raises(ValueError, match="reference"):
        testing.compare(np.zeros((2, 1)), wanted)


def test_same_bits_tells_zeros_and_types_apart():
    zero = np.zeros(2, np.float32)
    assert testing.same_bits(zero, np.zeros((2, 2), np.float32)[:, 0])
    assert not testing.same_bits(zero, -zero)
    assert not testing.same_bits(zero, zero.astype(np.float64))


def test_empty_results_have_no_error():
    wanted = Expected(np.zeros((0, 3)), np.zeros((0, 3)), F4)
    assert testing.compare(np.zeros((0, 3)), wanted) == Comparison(0.0, 8.0, (), 0.0, 0.0)


@pytest.mark.parametrize("kind", testing.KINDS)
def test_data_depends_on_the_seed_and_not_on_the_layout(kind):
    first = make_data(PROBLEM, "wgrad", kind, seed=1)
    again = make_data(PROBLEM, "wgrad", kind, seed=1)
    last = make_data(PROBLEM.with_layout("NHWC"), "wgrad", kind, seed=1)
    other = make_data(PROBLEM, "wgrad", kind, seed=2)
    for name, array in first.items():
        assert array.flags.c_contiguous
        assert last[name].flags.c_contiguous
        np.testing.assert_array_equal(array, again[name])
        np.testing.assert_array_equal(array.transpose(0, 2, 3, 1), last[name])
        assert (array != other[name]).any()


def test_whole_data_stays_exact_in_float32():
    for rows in testing.PROBLEMS.values():
        for problem in rows:
            if not problem.tags & {"core", "edge"}:
                continue
            for direction in problem.directions:
                if not testing.exact_on_whole(problem, direction):
                    continue
                data = make_data(problem, direction, "whole", "float64")
                for output in testing.run_reference(problem, direction, data):
                    assert (output == np.round(output)).all(), problem.line
                sizes = {name: a if name == "indices" else np.abs(a) for name, a in data.items()}
                for output in testing.run_reference(problem, direction, sizes):
                    largest = np.abs(output[np.isfinite(output)]).max(initial=0)
                    assert largest < 2**24, problem.line


def test_the_reproducer_runs_what_it_says():
    nhwc = dataclasses.replace(PROBLEM, layout="NHWC")
    assert testing.reproducer(nhwc, "dgrad", "direct", "simt", np.float64, "wide", 7) == (
        "convkit validate conv2d n1c5h6w7-k4r3s3-st1-pd1-nhwc --direction dgrad "
        "--algo direct --backend simt --dtype float64 --kind wide --seed 7"
    )


def test_one_rounding_to_16_bits_is_no_error_and_two_are():
    problem = parse("conv2d", "n1c5h6w7-k4r3s3-st1-pd1")
    for dtype in ("float16", "bfloat16"):
        data = make_data(problem, "fprop", "normal", dtype)
        (wanted,) = testing.expected(problem, "fprop", data)
        rounded = wanted.exact.astype(testing.as_dtype(dtype))
        assert testing.compare(rounded, wanted).error == 0
        spoilt = (rounded.view(np.uint16) + np.uint16(1)).view(rounded.dtype)
        assert not testing.compare(spoilt, wanted).ok
