"""Validation finds planted faults, shrinks them and says where they are."""

import dataclasses

import numpy as np
import pytest

import convkit
from convkit import ops, reference, testing
from convkit.testing import parse, subjects
from convkit.testing.examine import Case
from convkit.testing.pattern import when_wrong
from convkit.testing.selection import select, stranger
from convkit.testing.subjects import load
from convkit.testing.validation import steps
from tests.testing.planted import FAULTS, in_halves, last_column, other_columns, rolled_column

CASES = {"cases": 40, "most_flops": 40_000, "dtype": ["float32", "float64"]}


@pytest.mark.parametrize(
    ("function", "op", "symptom", "words", "simplest"), FAULTS, ids=[f[0].__name__ for f in FAULTS]
)
def test_a_planted_fault_is_found_shrunk_and_named(function, op, symptom, words, simplest):
    report = testing.validate(function, op=op, **CASES)
    assert not report.ok
    failure = next(f for f in report.failures if f.symptom == symptom)
    assert words in str(report)
    first, small = failure.check.case.problem, failure.shrunk.case.problem
    assert simplest(small), small.line
    assert small.flops <= first.flops
    again = testing.validate(
        function,
        op=op,
        problems=small,
        dtype=failure.shrunk.case.dtype,
        kind=failure.shrunk.case.kind,
        memory=failure.shrunk.case.memory,
    )
    assert symptom in {f.symptom for f in again.failures}


def test_a_later_call_that_writes_into_an_earlier_result_is_found():
    held = {}

    def reused(x, w):
        y = reference.conv2d(x, w)
        if held.get("shape") != y.shape:
            held.update(shape=y.shape, calls=0, y=np.empty_like(y))
        held["calls"] += 1
        held["y"][...] = y if held["calls"] % 3 else y + 1
        return held["y"]

    text = str(testing.validate(reused, op="conv2d", problems="n1c1h3w3-k1r1s1-st1-pd0"))
    assert "gave other bits" in text


@pytest.mark.parametrize("name", sorted(ops.FUNCTIONS))
def test_the_references_themselves_are_right(name):
    report = testing.validate(getattr(reference, name), op=name, cases=8, most_flops=20_000)
    assert report.ok, str(report)
    assert report.never_passed == ()
    assert not report.refusals


@pytest.mark.parametrize("backend", ["cpu", "simt"])
def test_every_function_and_algorithm_is_reached_and_right(backend):
    wanted = {
        (direction, row["name"], op)
        for op in testing.PROBLEMS
        for row in testing.algorithms(op, backend)
        for direction in row["directions"]
    }
    # Twice, as an op may have two functions for a direction.
    report = testing.validate(cases=2 * len(wanted), backend=backend, most_flops=20_000)
    assert report.ok, str(report)
    done = {(c.case.direction, c.subject.name, c.case.problem.op) for c in report.checks}
    assert done == wanted


def cases_of(**options):
    report = testing.Report()
    list(steps(select(most_flops=5000, **options), report))
    return [check.case for check in report.checks]


def test_equal_seeds_give_equal_cases_and_more_cases_begin_with_the_same():
    first = cases_of(cases=12, seed=3)
    assert first == cases_of(cases=12, seed=3)
    assert first == cases_of(cases=14, seed=3)[: len(first)]
    other = cases_of(cases=12, seed=4)
    assert [case.problem for case in first] != [case.problem for case in other]


def test_what_is_selected_is_all_that_is_checked():
    cases = cases_of(
        op="conv2d", direction=["dgrad"], dtype="float64", layout="NHWC", kind="wide", cases=8
    )
    assert len(cases) >= 8
    for case in cases:
        assert (case.function, case.dtype, case.kind) == ("conv2d_input_grad", "float64", "wide")
        assert case.problem.layout == "NHWC"
    assert {case.function for case in cases_of(op="max_pool2d_grad", cases=4)} == {
        "max_pool2d_grad"
    }
    (algorithm,) = {
        check.subject.name for check in testing.validate(op="conv2d", algo="1x1", cases=5).checks
    }
    assert algorithm == "1x1"


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"op": "fft"}, "fft"),
        ({"algo": "magic"}, "magic"),
        ({"op": "gram", "algo": "1x1"}, "1x1"),
        ({"op": "gram", "direction": "wgrad"}, "wgrad"),
        ({"dtype": "int8"}, "int8"),
        ({"backend": "tpu"}, "tpu"),
        ({"cases": 0}, "cases is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"function": abs, "op": "conv2d", "bound": float("inf")}, "bound is inf"),
        ({"op": "conv2d", "problems": "n1c3"}, "n1c3"),
        ({"op": "conv2d", "problems": "n1c3h2w2-k1r3s3-st1-pd0"}, "no valid problem"),
        ({"problems": "n1c3h2w2"}, "name it"),
    ],
)
def test_a_selection_that_makes_no_sense_is_refused(options, hint):
    with pytest.raises(ValueError, match=hint):
        testing.validate(**options)


LINE = parse("conv2d", "n2c3h5w6-k4r3s3-st1-pd1-bias")


@pytest.mark.parametrize(
    ("symptom", "spoil"),
    [
        ("values", lambda outputs, data: outputs[0].__setitem__((0, 0, 0, 0), 1e6)),
        ("inputs", lambda outputs, data: data["x"].fill(0)),
        ("guard", lambda outputs, data: write_around(outputs[0])),
        ("raised", lambda outputs, data: 1 / 0),
    ],
)
def test_faults_of_convkits_own_algorithms_are_found(monkeypatch, symptom, spoil):
    real = subjects.run_case

    def spoilt(problem, direction, algo, backend, data, **extra):
        outcome = real(problem, direction, algo, backend, data, **extra)
        if algo == "direct" and extra.get("out") is not None:
            spoil(outcome.outputs, data)
        return outcome

    monkeypatch.setattr(subjects, "run_case", spoilt)
    report = testing.validate(op="conv2d", problems=LINE, direction="fprop", kind="normal")
    failures = {(f.check.subject.name, f.symptom) for f in report.failures}
    assert ("direct", symptom) in failures
    assert {name for name, _ in failures} == {"direct"}


@pytest.mark.parametrize("backend", ["cpu", "simt"])
def test_running_statistics_of_convkits_own_algorithms_are_checked(monkeypatch, backend):
    real = subjects.run_case

    def spoilt(problem, direction, algo, backend, data, **extra):
        given = data["running_var"].copy() if "running_var" in data else None
        outcome = real(problem, direction, algo, backend, data, **extra)
        if algo == "strict" and given is not None:
            data["running_var"][...] = given
        return outcome

    chosen = {"op": "batch_norm", "problems": "n2c3h2w2-train", "backend": backend}
    chosen |= {"direction": "fprop", "kind": ("normal", "offset")}
    assert testing.validate(**chosen).ok
    monkeypatch.setattr(subjects, "run_case", spoilt)
    report = testing.validate(**chosen)
    assert {(f.check.subject.name, f.symptom) for f in report.failures} == {
        ("strict", "statistics")
    }


@pytest.mark.parametrize(
    ("function", "kind", "said", "unsaid"),
    [
        (
            rolled_column,
            "offset",
            "shifted by one column: place i holds what belongs to i - 1",
            "no index",
        ),
        (
            rolled_column,
            "whole",
            "shifted by one column: place i holds what belongs to i - 1",
            "no index",
        ),
        (other_columns, "offset", "'offset' data is too alike to tell", "no index"),
        (in_halves, "normal", "precision is lost, no index is wrong", "shifted"),
    ],
)
def test_lost_precision_and_a_wrong_index_are_told_apart(function, kind, said, unsaid):
    chosen = {"op": "conv2d", "problems": "n2c3h9w9-k4r3s3-st1-pd0", "dtype": "float32"}
    text = str(testing.validate(function, kind=kind, **chosen))
    assert said in text
    assert unsaid not in text


def write_around(view):
    np.lib.stride_tricks.as_strided(view.reshape(-1), (view.size + 1,))[-1] = 0


def test_a_problem_that_no_algorithm_takes_is_a_failure(monkeypatch):
    monkeypatch.setattr("convkit.testing.validation.able", lambda *_: ())
    report = testing.validate(op="gram", problems="n1c3h4w4", direction="fprop", kind="normal")
    assert [f.symptom for f in report.failures] == ["UNTESTED"]
    assert not report.ok


def test_inputs_of_a_failure_are_saved(tmp_path):
    report = testing.validate(last_column, op="conv2d", save=tmp_path, **CASES)
    failure = report.failures[0]
    with np.load(failure.file) as saved:
        np.testing.assert_array_equal(saved["output"], last_column(saved["x"], saved["w"]))
        assert (saved["output"] != saved["exact"]).any()


class TestStrangers:
    def record(self, line, function="conv2d", direction="fprop"):
        """The call that a function with **keywords gets for a problem."""
        calls = []

        def spy(*args, **keywords):
            calls.append((args, keywords))
            raise NotImplementedError("only looking")

        op = {"conv2d": "conv2d", "max_pool2d": "pool2d"}[function]
        report = testing.validate(
            spy,
            op=function,
            problems=parse(op, line),
            direction=direction,
            kind="normal",
            dtype="float32",
        )
        assert not report.ok  # nothing was checked
        assert report.refusals == {"only looking": 1}
        return calls[0]

    def test_parameters_come_as_simple_as_they_are(self):
        args, keywords = self.record("n1c3h9w9-k4r3s3-st2-same-dl1x2")
        assert [array.shape for array in args] == [(1, 3, 9, 9), (4, 3, 3, 3)]
        assert keywords["stride"] == 2
        assert keywords["dilation"] == (1, 2)
        assert keywords["padding"] == (1, 2)
        assert keywords["bias"] is keywords["residual"] is keywords["activation"] is None
        _, keywords = self.record("n1c3h9w9-k4r3s3-st2x1-pt0pb1pl1pr0")
        assert (keywords["stride"], keywords["padding"]) == ((2, 1), ((0, 1), (1, 0)))
        args, keywords = self.record("max-n1c3h9w9-r3s3-st2-pd1", "max_pool2d")
        assert args[1] == 3
        assert (keywords["padding"], keywords["return_indices"]) == (1, True)

    def test_missing_parameters_are_never_needed(self):
        seen = set()

        def small(x, w, *, stride=1):
            seen.add(stride if isinstance(stride, int) else "pair")
            return reference.conv2d(x, w, stride=stride)

        report = testing.validate(small, op="conv2d", **CASES)
        assert report.ok, str(report)
        assert report.cases == CASES["cases"]
        assert len(seen) > 3
        assert "bias, padding, padding_mode, dilation, groups, layout" in str(report)

    def test_a_given_line_that_needs_one_is_skipped(self):
        def small(x, w):
            return reference.conv2d(x, w)

        report = testing.validate(
            small, op="conv2d", problems=["n1c3h5w5-k2r3s3-st2-pd1", "n1c3h5w5-k2r3s3-st1-pd0"]
        )
        assert report.skipped == {"needs padding, stride": 1}
        assert report.ok

    def test_a_default_stride_of_a_pool_is_its_kernel(self):
        def pool(x, kernel_size):
            return reference.max_pool2d(x, kernel_size)

        report = testing.validate(pool, op="max_pool2d", problems="max-n1c2h6w6-r2s3-st2x3-pd0")
        assert report.ok, str(report)

    def test_running_statistics_without_a_momentum_go_by_the_default(self):
        def batch_norm(x, *, running_mean, running_var, training=False):
            return reference.batch_norm(x, None, None, running_mean, running_var, training=training)

        report = testing.validate(batch_norm, op="batch_norm", **CASES | {"dtype": "float32"})
        assert report.ok, str(report)

    def test_results_of_other_libraries_are_fetched(self):
        class OnDevice:
            def __init__(self, array):
                self.array = array

            def get(self):
                return self.array

        def device(x, w):
            return OnDevice(reference.conv2d(x, w))

        assert testing.validate(device, op="conv2d", cases=5, most_flops=5000).ok

    @pytest.mark.parametrize(
        ("function", "op", "hint"),
        [
            (lambda x, w, block: x, "conv2d", "block"),
            (lambda x: x, "conv2d", "cannot be called"),
            (lambda x: x, "pool2d", "max_pool2d, max_pool2d_grad"),
            (lambda x: x, ("conv2d", "gram_matrix"), "which one"),
        ],
    )
    def test_a_function_that_cannot_be_called_so_is_refused_at_once(self, function, op, hint):
        with pytest.raises(ValueError, match=hint):
            testing.validate(function, op=op)

    def test_an_op_with_one_forward_function_stands_for_it(self):
        subject = stranger(reference.gram_matrix, select(op="gram"))
        assert subject.function_name == "gram_matrix"

    def test_convkit_is_right_as_a_stranger(self):
        assert testing.validate(convkit.conv2d, op="conv2d", **CASES).ok

    @pytest.mark.parametrize(
        ("path", "hint"),
        [
            ("nothing", "module:function"),
            ("os:nothing", "nothing"),
            ("os:name", "called"),
            ("no_such_module:f", "no_such_module"),
            ("no_such.py:f", "no_such"),
        ],
    )
    def test_a_path_that_names_no_function_is_refused(self, path, hint):
        with pytest.raises(ValueError, match=hint):
            load(path)


class TestPatterns:
    def cases(self, *lines, **changes):
        return [Case(parse("conv2d", line), "fprop", **changes) for line in lines]

    passing = tuple(f"n1c{c}h5w{w}-k3r3s3-st1-pd1" for c in (1, 4, 7) for w in (5, 6))

    def test_one_property_that_parts_them(self):
        failing = self.cases("n1c4h5w5-k3r3s3-st2-pd1", "n1c7h5w6-k3r3s3-st1x2-pd1")
        assert when_wrong(failing, self.cases(*self.passing)) == "exactly when stride > 1"

    def test_a_size_that_parts_them(self):
        failing = self.cases("n1c9h5w5-k3r3s3-st1-pd1", "n1c12h5w6-k3r3s3-st1-pd1")
        assert when_wrong(failing, self.cases(*self.passing)) == "exactly when channels >= 9"

    def test_passing_cases_with_the_property_are_counted(self):
        failing = self.cases("n2c4h5w5-k3r3s3-st2-pd1", "n1c7h5w6-k3r3s3-st2-pd1")
        passing = self.cases(*self.passing, "n1c3h4w4-k3r3s3-st2-pd1")
        assert when_wrong(failing, passing) == "only when stride > 1 (1 of 3 such cases pass)"

    def test_few_cases_prove_nothing(self):
        failing = self.cases("n1c4h5w5-k3r3s3-st2-pd1")
        assert when_wrong(failing, self.cases(*self.passing)) == ""
        assert when_wrong(failing * 2, self.cases(*self.passing[:2])) == ""

    def test_failures_in_every_case(self):
        assert when_wrong(self.cases(*self.passing), []) == "in every case"


def test_a_case_names_its_public_function():
    case = Case(LINE, "wgrad")
    assert case.function == "conv2d_weight_grad"
    pool = Case(parse("pool2d", "avg-n1c1h2w2-r2s2-st2-pd0"), "dgrad")
    assert pool.function == "avg_pool2d_grad"
    assert dataclasses.replace(case, memory="strided").options.endswith("--memory strided")
