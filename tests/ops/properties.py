"""One test for each property that every algorithm of every op must have.

A test file makes a subclass with the name of its op; conftest.py hands over the cases.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from convkit import _native, testing
from convkit.testing import Problem
from convkit.testing.memory import guard, guards_broken, lay

from .table import Case, mostly_plain

# Arrays that begin with the images of the batch.
PER_IMAGE = frozenset({"x", "residual", "grad_y", "indices", "target"})
FLAT_SUM = 128  # products in a sum of equal terms: shorter ones cannot pass the bound
FLAT_SEEDS = range(2)  # by chance a number's roundings cancel each other
SIMT_CHECKS = _native.build_info()["simt_checks"]
LARGEST_LAYER = 400_000_000  # operations; the reference runs them in float64 twice


def reference_operations(problem: Any) -> int:
    return 2 * problem.gemm_k("fprop") * math.prod(problem.y_shape)


def over(**selection: Any) -> Callable[[Any], Any]:
    """Which cases of the table a test walks (arguments of table.cases)."""

    def mark(function: Any) -> Any:
        function.selection = selection
        return function

    return mark


class Properties:
    """What each algorithm must do with each problem that it takes."""

    op: str

    @over(share=mostly_plain(cpu=1.0, simt=0.35))
    def test_matches_the_reference(self, case: Case) -> None:
        for kind in ("normal", "one_signed"):
            case.check(case.outputs(case.data(kind)), case.expected(kind), kind)

    @over(
        tags=("layer",),
        backends=("cpu", "cuda"),
        share=lambda backend, dtype, layout: 1.0 if dtype == "float32" else 0.0,
        keep=lambda problem, direction: reference_operations(problem) < LARGEST_LAYER,
    )
    def test_matches_the_reference_on_layers_of_networks(self, case: Case) -> None:
        case.check(case.outputs(case.data()), case.expected())

    @over(share=mostly_plain(cpu=0.25, simt=0.05, plain_simt=0.25))
    def test_matches_the_reference_on_values_of_six_decades(self, case: Case) -> None:
        case.check(case.outputs(case.data("wide")), case.expected("wide"), "wide")

    @over(
        tags=("core", "edge", "long"),
        share=mostly_plain(cpu=1.0, simt=0.35),
        keep=lambda problem, direction: problem.gemm_k(direction) >= FLAT_SUM,
    )
    def test_matches_the_reference_on_flat_data(self, case: Case) -> None:
        for seed in FLAT_SEEDS:
            outputs = case.outputs(case.data("flat", seed))
            case.check(outputs, case.expected("flat", seed), "flat", seed)

    @over(share=mostly_plain(cpu=1.0, simt=0.35), keep=testing.exact_on_whole)
    def test_is_exact_on_whole_numbers(self, case: Case) -> None:
        outputs = case.outputs(case.data("whole"))
        for output, expected in zip(outputs, case.expected("whole"), strict=True):
            wrong = np.argwhere(output != expected.exact.astype(output.dtype))
            assert wrong.size == 0, f"first at {wrong[0]}\n{case.reproducer('whole')}"

    @over(share=mostly_plain(cpu=0.5, simt=0.1, plain_simt=0.3))
    def test_gives_the_same_bits_twice_and_for_any_thread_count(self, case: Case) -> None:
        data = case.data()
        first = case.outputs(data)
        assert_same(first, case.outputs(data))
        for count in (1, 2, 3):
            with testing.use_threads(count):
                assert_same(first, case.outputs(data))

    @over(
        share=mostly_plain(cpu=0.4, simt=0.1, plain_simt=0.3),
        keep=lambda problem, direction: (
            problem.images_independent(direction) and problem.n in (1, 2)
        ),
    )
    def test_gives_an_image_alone_the_bits_it_has_in_a_batch(self, case: Case) -> None:
        batch = dataclasses.replace(case, problem=dataclasses.replace(case.problem, n=3))
        alone = dataclasses.replace(case, problem=dataclasses.replace(case.problem, n=1))
        data = batch.data()
        together = batch.outputs(data)
        for image in range(3):
            one = {
                name: array[image : image + 1] if name in PER_IMAGE else array
                for name, array in data.items()
            }
            for whole, single in zip(together, alone.outputs(one), strict=True):
                assert testing.same_bits(whole[image : image + 1], single), f"image {image}"

    @over(backends=("simt",), share=mostly_plain(cpu=0, simt=0.25))
    def test_gives_the_same_bits_in_any_thread_order(self, case: Case) -> None:
        data = case.data()
        forward = case.outputs(data)
        for order, seed, late in (
            ("reversed", 0, True),
            ("shuffled", 1, False),
            ("shuffled", 2, True),
        ):
            with testing.simt_order(order, seed, late):
                assert_same(forward, case.outputs(data))

    if SIMT_CHECKS:  # where every test checks accesses, but this one costs least

        @over(backends=("simt",), share=lambda *case: 2.5)  # of a reduced table 30 %
        def test_each_access_of_a_kernel_is_right(self, case: Case) -> None:
            case.outputs(case.data())

    @over(share=mostly_plain(cpu=0.5, simt=0.15, plain_simt=0.4))
    def test_fills_out_and_leaves_guard_bytes_alone(self, case: Case) -> None:
        data = case.data()
        plain = case.outputs(data)
        guarded = [guard(output.shape, output.dtype) for output in plain]
        out = tuple(view for _, view in guarded)
        outputs = case.outputs(data, out=out if len(out) > 1 else out[0])
        for given, returned, expected in zip(out, outputs, plain, strict=True):
            assert returned is given
            assert testing.same_bits(returned, expected)
        for memory, view in guarded:
            assert not guards_broken(memory, view), guards_broken(memory, view)

    @over(share=mostly_plain(cpu=0.5, simt=0.3, plain_simt=0.4))
    def test_gives_the_same_bits_at_any_alignment(self, case: Case) -> None:
        data = case.data()
        skewed = {name: lay(array, "skewed") for name, array in data.items()}
        assert_same(case.outputs(data), case.outputs(skewed))

    @over(share=mostly_plain(cpu=0.5, simt=0.1, plain_simt=0.3), keep=lambda p, d: p.n > 0)
    def test_a_nan_or_infinite_value_reaches_exactly_what_sees_it(self, case: Case) -> None:
        name = seen_array(case.problem, case.direction)
        for seed, value in enumerate((np.nan, np.inf, -np.inf)):
            data = {key: array.copy() for key, array in case.data().items()}
            flat = data[name].reshape(-1)
            flat[np.random.default_rng(seed).integers(flat.size)] = value
            expected = testing.expected(case.problem, case.direction, data)
            with np.errstate(all="ignore"):
                outputs = case.outputs(data)
            case.check(outputs, expected)

    @over(
        share=lambda backend, dtype, layout: 0.5 if dtype == "float64" else 0.0,
        keep=lambda problem, direction: (
            direction != "fprop" and "fprop" in problem.directions and problem.n > 0
        ),
    )
    def test_gradients_agree_with_differences(self, case: Case) -> None:
        problem = plain(case.problem)
        backward = dataclasses.replace(case, problem=problem)
        forward = dataclasses.replace(backward, direction="fprop", algo="auto")
        data = {name: array.copy() for name, array in forward.data().items()}
        outputs = forward.outputs(data)
        rng = np.random.default_rng(3)
        data["grad_y"] = np.asarray(rng.standard_normal(outputs[0].shape))
        grad = backward.outputs(data | problem.saved(data, outputs))[0]
        name, step = "w" if case.direction == "wgrad" else "x", 1e-5
        for _ in range(3):
            move = rng.standard_normal(data[name].shape)
            above, below = (
                forward.outputs({**data, name: data[name] + sign * step * move})[0]
                for sign in (1, -1)
            )
            change = np.zeros_like(above)
            np.subtract(above, below, out=change, where=above != below)  # -inf stays as it is
            difference = data["grad_y"] * change / (2 * step)
            scale = np.abs(grad * move).sum() + np.abs(difference).sum()
            assert abs((grad * move).sum() - difference.sum()) <= 1e-7 * scale, case.reproducer()

    @over(share=mostly_plain(cpu=0.3, simt=0.1, plain_simt=0.3), refused=True)
    def test_refuses_with_a_reason_and_names_who_can(self, case: Case) -> None:
        outcome = testing.run_case(
            case.problem, case.direction, case.algo, case.backend, case.data()
        )
        assert outcome.refusal is not None, "candidates() said no, but the call ran"
        reason, others = testing.refusal_parts(outcome.refusal)
        told = testing.candidates(case.problem, case.direction, case.backend, case.dtype)
        assert reason == told[case.algo]
        assert repr(case.algo) in outcome.refusal
        assert others == [name for name, declined in told.items() if declined is None]


def assert_same(first: tuple[np.ndarray, ...], second: tuple[np.ndarray, ...]) -> None:
    for one, other in zip(first, second, strict=True):
        assert testing.same_bits(one, other), f"differ at {np.argwhere(one != other)[:3].tolist()}"


def plain(problem: Problem) -> Problem:
    """The problem without its epilogue, which belongs to fprop alone."""
    ended = (testing.Conv2d, testing.ConvTranspose2d, testing.Linear, testing.BatchNorm)
    if not isinstance(problem, ended):
        return problem
    return dataclasses.replace(problem, bias=False, residual=False, activation=None)


def seen_array(problem: Problem, direction: str) -> str:
    """The array whose single value we spoil: one that no zero padding stands against."""
    return "grad_y" if direction == "dgrad" or problem.op == "bias_grad" else "x"
