"""max_workspace: who is refused, who runs, and that it changes no bit."""

from typing import Any

import numpy as np
import pytest

import convkit
from convkit import testing
from convkit.queries import describe_call
from convkit.testing import Problem, problems, use_backend

BACKENDS = ("cpu", "simt")
# One row of each kind for each op: all the workspaces there are.
NAMES = {
    "conv2d": ("3x3_tail", "1x1_tail", "grouped", "depthwise_strided", "first_strided", "dilated"),
    "pool2d": ("overlap", "avg"),
    "gram": (),
    "im2col": (),
    "conv_transpose2d": ("3x3_strided", "depthwise", "1x1"),
    "linear": ("tail", "one_row"),
}


def rows() -> Any:
    for op, names in NAMES.items():
        found = [row for row in problems(op, "core", "edge") if row.name in names]
        for problem in found or problems(op, "core")[:3]:
            for direction in problem.directions:
                for backend in BACKENDS:
                    label = f"{op}.{direction}-{backend}-{problem.name}"
                    yield pytest.param(problem, direction, backend, id=label)


def plan_of(problem: Problem, direction: str, backend: str, **options: Any) -> Any:
    shapes = testing.array_shapes(problem, direction)
    name, arrays, parameters = problem.call(direction, shapes)
    with use_backend(backend):
        return describe_call(name, *arrays, **parameters, **options).plan()


@pytest.mark.parametrize(("problem", "direction", "backend"), list(rows()))
def test_a_limit_refuses_who_needs_more_and_changes_no_bit(problem, direction, backend):
    data = testing.make_data(problem, direction)
    with testing.use_threads(3):
        able = [a for a, why in testing.candidates(problem, direction, backend).items() if not why]
        for algo in able:
            with testing.use_threads(1):
                needed = plan_of(problem, direction, backend, algo=algo).workspace_bytes()
            free = testing.run_case(problem, direction, algo, backend, data)
            held = testing.run_case(problem, direction, algo, backend, data, max_workspace=needed)
            for one, other in zip(free.outputs, held.outputs, strict=True):
                assert testing.same_bits(one, other)
            plan = plan_of(problem, direction, backend, algo=algo, max_workspace=needed)
            assert plan.workspace_bytes() <= needed
            if needed == 0:
                continue
            with pytest.raises(ValueError, match=f"{needed} bytes.*max_workspace is {needed - 1}"):
                plan_of(problem, direction, backend, algo=algo, max_workspace=needed - 1)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("op", "line"),
    [
        ("conv2d", "n2c6h9w8-k5r3s3-st1-pd1-bias"),
        ("pool2d", "max-n3c4h9w9-r2s2-st2-pd0"),
        ("linear", "n7c30-k20"),
        ("conv_transpose2d", "n2c4h5w5-k3r3s3-st2-pd1"),
    ],
)
def test_widened_arrays_count_as_workspace(op, line, backend, dtype):
    problem = testing.parse(op, line)
    with testing.use_threads(1):
        for direction in problem.directions:
            wide = plan_of(problem, direction, backend)
            free = plan_of(problem, direction, backend, algo=wide.algorithm, dtype=dtype)
            needed = free.workspace_bytes()
            assert needed > wide.workspace_bytes()
            options = {"algo": wide.algorithm, "dtype": dtype}
            held = plan_of(problem, direction, backend, max_workspace=needed, **options)
            assert held.workspace_bytes() == needed
            with pytest.raises(ValueError, match=f"{needed} bytes.*max_workspace is {needed - 1}"):
                plan_of(problem, direction, backend, max_workspace=needed - 1, **options)


def test_a_pool_of_16_bits_is_limited_by_its_small_images():
    """Its batch is cut finer than by the image, and so is what the limit is held against."""
    problem = testing.parse("pool2d", "avg-n1c64h256w256-r2s2-st2-pd0")
    with testing.use_threads(1):
        options = {"dtype": "float16", "algo": "direct"}
        needed = plan_of(problem, "fprop", "cpu", **options).workspace_bytes()
    assert needed < 64 * 256 * 256 * 4
    with pytest.raises(ValueError, match=f"its workspace is {needed} bytes"):
        plan_of(problem, "fprop", "cpu", max_workspace=needed - 1, **options)


def test_auto_walks_on_to_an_algorithm_that_fits():
    problem = testing.parse("conv2d", "n1c64h30w30-k64r3s3-st1-pd1")
    with testing.use_threads(1):
        free = plan_of(problem, "fprop", "cpu")
        limit = free.workspace_bytes() - 1
        taken = plan_of(problem, "fprop", "cpu", max_workspace=limit)
    assert taken.algorithm != free.algorithm
    assert taken.workspace_bytes() <= limit
    with pytest.raises(ValueError, match="no algorithm of backend 'cpu' can run") as error:
        plan_of(problem, "fprop", "cpu", max_workspace=0)
    assert "implicit_gemm: its workspace is" in str(error.value)


def test_fewer_threads_run_where_all_would_need_too_much():
    problem = testing.parse("conv2d", "n4c64h30w30-k64r3s3-st1-pd1")
    with testing.use_threads(4):
        free = plan_of(problem, "fprop", "cpu")
        limit = free.workspace_bytes() - 1
        held = plan_of(problem, "fprop", "cpu", max_workspace=limit)
        assert held.algorithm == free.algorithm
        assert free.threads() == 4
        assert 1 <= held.threads() < 4
        assert held.workspace_bytes() <= limit


def test_the_choice_does_not_depend_on_the_number_of_threads():
    """Or results would: other algorithms sum in another order."""
    problem = testing.parse("conv2d", "n1c64h30w30-k64r3s3-st1-pd1")
    with testing.use_threads(1):
        limit = plan_of(problem, "fprop", "cpu").workspace_bytes()
    chosen = set()
    for threads in (1, 2, 7):
        with testing.use_threads(threads):
            chosen.add(plan_of(problem, "fprop", "cpu", max_workspace=limit).algorithm)
    assert len(chosen) == 1


def test_a_plan_kept_without_a_limit_is_not_used_with_one():
    x, w = np.ones((1, 64, 9, 9), "f4"), np.ones((64, 64, 3, 3), "f4")
    convkit.conv2d(x, w)
    with pytest.raises(ValueError, match="max_workspace is 0"):
        convkit.conv2d(x, w, max_workspace=0)
    convkit.conv2d(x, w)


def test_the_reference_has_no_workspace_but_keeps_the_rule():
    x, w = np.ones((1, 4, 9, 9), "f4"), np.ones((4, 4, 3, 3), "f4")
    with use_backend("reference"):
        assert convkit.conv2d(x, w, max_workspace=0)[0, 0, 0, 0] == 36
        with pytest.raises(ValueError, match="max_workspace is -1, must be at least 0"):
            convkit.conv2d(x, w, max_workspace=-1)
