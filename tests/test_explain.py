"""What `convkit.explain` says of a call is what the call does."""

import re

import ml_dtypes
import numpy as np
import pytest

import convkit
from convkit import _native, dispatch, testing
from convkit.queries import describe_call
from convkit.testing import PROBLEMS, cost_of, use_backend

BACKENDS = ("cpu", "simt")
ROWS = [
    pytest.param(problem, direction, id=f"{op}.{direction}-{problem.name}")
    for op, problems in PROBLEMS.items()
    for problem in problems
    for direction in problem.directions
]


def plan_of(problem, direction, backend, algo="auto", max_workspace=None):
    """The native plan, by no code of explain."""
    name, arrays, options = problem.call(direction, testing.array_shapes(problem, direction))
    with use_backend(backend):
        call = describe_call(name, *arrays, **options, algo=algo, max_workspace=max_workspace)
    return call.plan()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("problem", "direction"), ROWS)
def test_every_row_of_the_table_is_explained_as_it_is_planned(problem, direction, backend):
    asked = {"direction": direction, "backend": backend, "measure": False}
    try:
        plan = plan_of(problem, direction, backend)
    except ValueError as error:  # no algorithm: the GPU's pools take under 2**31 pixels
        assert "huge" in problem.tags
        with pytest.raises(ValueError, match=re.escape(str(error))):
            convkit.explain(problem.op, problem.line, **asked)
        return
    told = convkit.explain(problem.op, problem.line, **asked)
    assert (told.algorithm, told.why) == (plan.algorithm, plan.why)
    assert told.workspace_bytes == plan.workspace_bytes()
    assert tuple((r.shape, r.dtype) for r in told.results) == plan.outputs
    cost = cost_of(problem, direction)
    assert (told.flops, told.bytes_read, told.bytes_written) == (
        cost.flops,
        cost.bytes_read,
        cost.bytes_written,
    )
    refusals = testing.candidates(problem, direction, backend)
    del refusals[plan.algorithm]
    assert [other.algorithm for other in told.others] == list(refusals)
    for other in told.others:
        if reason := refusals[other.algorithm]:
            assert (other.why_not, other.workspace_bytes) == (reason, None)
        else:
            named = plan_of(problem, direction, backend, other.algorithm)
            assert other.workspace_bytes == named.workspace_bytes()
    assert str(told).count("\n") >= 10


@pytest.mark.parametrize(("problem", "direction"), ROWS)
def test_a_call_leads_back_to_its_problem(problem, direction):
    name, arrays, options = problem.call(direction, testing.array_shapes(problem, direction))
    found, its_direction = testing.problem_of(describe_call(name, *arrays, **options))
    assert its_direction == direction
    again = found.call(direction, testing.array_shapes(found, direction))
    assert again == (name, tuple(arrays), options) or found.padding != problem.padding
    assert (found.x_shape, found.y_shape) == (problem.x_shape, problem.y_shape)
    assert cost_of(found, direction).flops == cost_of(problem, direction).flops


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("direction", ["fprop", "dgrad", "wgrad"])
@pytest.mark.parametrize("geometry", ["r3s3-st1-pd1", "r1s1-st1-pd0", "r1s1-st2-pd0"])
def test_the_reason_names_the_cut_off_that_decides(layout, backend, direction, geometry):
    """The number in the sentence is where the choice changes, the other is the problem's own."""

    def explained(channels):
        problem = testing.parse("conv2d", f"n1c{channels}h9w9-k8{geometry}").with_layout(layout)
        plan = plan_of(problem, direction, backend)
        return plan.algorithm, plan.why

    algorithm, why = explained(3)
    if found := re.fullmatch(r"3 input channels; up to (\d+) .*", why):
        most = int(found[1])
        assert algorithm == "direct"
        assert explained(most) == ("direct", why.replace("3 input", f"{most} input"))
        assert explained(most + 1)[0] != "direct"
        assert "table's order" in explained(most + 1)[1]
    else:
        assert algorithm == explained(500)[0]
        assert why == explained(500)[1]


def test_a_preferred_algorithm_over_the_limit_is_named_in_the_reason():
    line = "n1c20h15w17-k70r3s3-st1-pd1"
    free = convkit.explain("conv2d", line, direction="wgrad", measure=False)
    assert free.algorithm == "direct"
    with testing.use_threads(1):
        limit = plan_of(testing.parse("conv2d", line), "wgrad", "cpu").workspace_bytes() - 1
    told = convkit.explain("conv2d", line, direction="wgrad", max_workspace=limit, measure=False)
    assert told.algorithm == "implicit_gemm"
    assert told.workspace_bytes <= told.max_workspace == limit
    refusal = f"its workspace is {limit + 1} bytes on one thread, max_workspace is {limit}"
    assert told.why == (
        f"direct would come first ({free.why}), but {refusal}; "
        "the first in the table's order that can run it"
    )
    assert {o.algorithm: o.why_not for o in told.others}["direct"] == refusal


def test_arrays_that_will_be_copied_are_those_that_the_call_copies(monkeypatch):
    x = np.zeros((2, 4, 9, 18), "f4")[..., ::2]
    w = np.zeros((6, 4, 3, 3), "f4")
    residual = np.zeros((2, 6, 7, 7), ">f4")
    bias = np.zeros(25, "u1")[1:].view("f4")
    told = convkit.explain("conv2d", x, w, bias, residual=residual, measure=False)
    copied = []
    real = dispatch._dense

    def dense(op, name, backend, buffer):
        copied.append(name)
        return real(op, name, backend, buffer)

    monkeypatch.setattr(dispatch, "_dense", dense)
    convkit.conv2d(x, w, bias, residual=residual)
    assert [copy.array for copy in told.copies] == copied == ["x", "bias", "residual"]
    assert [copy.bytes for copy in told.copies] == [x.nbytes, bias.nbytes, residual.nbytes]
    whys = " ".join(copy.why for copy in told.copies)
    assert str(x.strides) in whys
    assert "not aligned" in whys
    assert "byte order" in whys
    assert told.problem == "n2c4h9w9-k6r3s3-st1-pd0-bias-residual"
    assert convkit.explain("conv2d", x.copy(), w, measure=False).copies == ()


def test_a_gradient_is_explained_from_its_own_call_or_from_the_forward_one():
    x, w, y = (1, 4, 9, 9), (6, 4, 3, 3), (1, 6, 7, 7)
    own = convkit.explain("conv2d_input_grad", y, w, x, measure=False)
    assert own.function == "conv2d_input_grad"
    assert own == convkit.explain(convkit.conv2d, x, w, direction="dgrad", measure=False)
    assert own == convkit.explain("conv2d", own.problem, direction="dgrad", measure=False)
    assert own == convkit.explain("conv2d_input_grad", own.problem, measure=False)
    strided = np.zeros((1, 4, 9, 18), "f4")[..., ::2]
    told = convkit.explain("conv2d", strided, w, direction="wgrad", measure=False)
    assert [copy.array for copy in told.copies] == ["x"]


def test_indices_that_nobody_wants_are_not_counted():
    shape = (1, 2, 8, 8)
    plain = convkit.explain("max_pool2d", shape, 2, measure=False)
    both = convkit.explain("max_pool2d", shape, 2, return_indices=True, measure=False)
    assert plain.bytes_written == 2 * 4 * 4 * 4
    assert both.bytes_written == 2 * 4 * 4 * (4 + 8)
    assert len(plain.results) == 1


def test_an_algorithm_asked_for_says_what_auto_would_take():
    told = convkit.explain("conv2d", (1, 8, 9, 9), (4, 8, 1, 1), algo="im2col", measure=False)
    assert (told.algorithm, told.why) == ("im2col", "algo names it")
    assert {other.algorithm: other.why_not for other in told.others} == {
        "1x1": "auto would take it: the first in the table's order",
        "implicit_gemm": "can run it",
        "direct": "can run it",
        "strict": "can run it",
    }


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bits_are_told_as_stored_and_with_the_memory_that_widens_them(dtype):
    line = "n2c8h9w9-k4r3s3-st1-pd1"
    told = convkit.explain("conv2d", line, dtype=dtype)
    wide = convkit.explain("conv2d", line, measure=False)
    assert told.name == f"conv2d.fprop.{wide.algorithm}.{dtype}"
    assert told.results[0].dtype == dtype
    assert 2 * told.bytes_read == wide.bytes_read
    assert 2 * told.bytes_written == wide.bytes_written
    assert told.workspace_bytes > wide.workspace_bytes
    assert told.floor_us > 0
    limit = 2 * 8 * 9 * 9 * 4 - 1  # x alone, widened, is larger
    with pytest.raises(ValueError, match=f"its workspace is .* max_workspace is {limit}"):
        convkit.explain("conv2d", line, dtype=dtype, max_workspace=limit, measure=False)


def test_strided_16_bits_are_copied_as_stored():
    x = np.zeros((1, 2, 6, 12), ml_dtypes.bfloat16)[..., ::2]
    (copy,) = convkit.explain("max_pool2d", x, 2, measure=False).copies
    assert (copy.array, copy.bytes) == ("x", 2 * 6 * 6 * 2)


def test_linear_streams_a_few_rows_and_says_up_to_how_many():
    def explained(rows, direction="fprop"):
        line = f"n{rows}c40-k30"
        return convkit.explain("linear", line, direction=direction, backend="cpu", measure=False)

    found = re.fullmatch(r"1 row; up to (\d+) stream .*", explained(1).why)
    most = int(found[1])
    assert explained(most).why.startswith(f"{most} rows; up to {most} stream")
    assert [explained(rows).algorithm for rows in (1, most, most + 1)] == [
        "stream",
        "stream",
        "gemm",
    ]
    assert "stream" not in explained(1, "wgrad").why


def test_the_rows_of_linear_may_have_any_number_of_sides():
    told = convkit.explain("linear", (2, 3, 4, 10), (5, 10), measure=False)
    assert told.problem == "n24c10-k5"
    assert told.results[0].shape == (2, 3, 4, 5)
    assert convkit.explain("linear", (10,), (5, 10), measure=False).problem == "n1c10-k5"


def test_a_transposed_convolution_says_whose_channels_it_counts():
    told = convkit.explain("conv_transpose2d", "n1c64h9w9-k3r4s4-st2-pd1", measure=False)
    assert told.why.startswith("for the convolution from y to x: 3 input channels; up to")


def test_numbers_and_flags_of_numpy_are_explained_like_pythons():
    told = convkit.explain(
        "conv2d", (1, 4, 9, 9), (6, 4, 3, 3), stride=np.int64(2), groups=np.int8(1), measure=False
    )
    assert told.problem == "n1c4h9w9-k6r3s3-st2-pd0"
    assert told.max_workspace is None
    held = convkit.explain(
        "gram_matrix", (1, 4, 9, 9), max_workspace=np.uint32(2**20), measure=False
    )
    assert type(held.max_workspace) is int


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((7,), {}, "op is 7, must be one of conv2d, "),
        ((print, (1,)), {}, "op is <built-in function print>, must be one of"),
        (("conv2d",), {}, "conv2d: missing a required argument: 'x'"),
        (("gram", "n1c2h3w3"), {"direction": 1}, "direction is 1, gram has"),
        (("gram", "n1c2h3w3"), {"backend": 1}, "backend is 1, must be one of"),
        (("gram", "n1c2h3w3"), {"dtype": None}, "explain: dtype is None, must be"),
        (("gram", "n1c2h3w3"), {"max_workspace": "1M"}, "max_workspace is '1M', must be"),
        (("gram_matrix", (1, 2, 3, "4")), {}, r"x is \(1, 2, 3, '4'\), must be a shape"),
    ],
)
def test_what_has_the_wrong_type_is_refused(arguments, options, message):
    with pytest.raises(TypeError, match=message):
        convkit.explain(*arguments, **options, measure=False)


def test_the_floor_follows_from_the_measured_peaks():
    told = convkit.explain("gram", "n4c64h30w30")
    arithmetic = told.flops / told.peak_flops_per_s
    memory = (told.bytes_read + told.bytes_written) / told.peak_bytes_per_s
    assert told.floor_us == pytest.approx(max(arithmetic, memory) * 1e6)
    simulated = convkit.explain("gram", "n4c64h30w30", backend="simt")
    assert simulated.floor_us is None
    assert "simt runs each GPU thread as a fiber" in str(simulated)
    assert "not measured" in str(convkit.explain("gram", "n1c4h3w3", measure=False))


def test_the_backend_is_where_the_call_would_run():
    shapes = ((1, 4, 9, 9), (6, 4, 3, 3))
    assert convkit.explain("conv2d", *shapes, measure=False).backend == "cpu"
    with use_backend("simt"):
        assert convkit.explain("conv2d", *shapes, measure=False).backend == "simt"
        line = "n1c4h9w9-k6r3s3-st1-pd0"
        assert convkit.explain("conv2d", line, measure=False).backend == "simt"
    with use_backend("reference"):
        with pytest.raises(ValueError, match="backend is 'reference', must be one of cpu, cuda"):
            convkit.explain("conv2d", *shapes)
        told = convkit.explain("conv2d", *shapes, backend="cpu", algo="im2col", measure=False)
        assert told.algorithm == "im2col"


def test_shapes_can_be_described_for_a_gpu(monkeypatch):
    monkeypatch.setattr(dispatch, "_backend", "cuda")
    spec = dispatch.wrap("conv2d", "x", dispatch.Spec((1, 2, 3, 3), "float32"))
    assert dispatch.choose_backend("conv2d", {"x": spec}) == "cuda"


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("conv3d", (1,)), {}, "op is 'conv3d', must be one of conv2d, "),
        (("conv2d", (1, 3, 8, 8), (4, 2, 3, 3)), {}, r"w.shape\[1\] is 2"),
        (("conv2d", (1, 3, 8, 8), (4, 3, 3, 3)), {"direction": "up"}, "direction is 'up', conv2d"),
        (("gram", "n1c2h3w3"), {"direction": "wgrad"}, "direction is 'wgrad', gram has fprop, d"),
        (
            ("gram_matrix_grad", (1, 2, 2), (1, 2, 3, 3)),
            {"direction": "fprop"},
            "direction is 'fprop', but gram_matrix_grad is dgrad itself",
        ),
        (("conv2d", "n1c3h9"), {}, "n1c3h9"),
        (("conv2d", (1, 3, 8, 8), (4, 3, 3, 3)), {"algo": "magic"}, "algo is 'magic'"),
        (("conv2d", (1, 3, 8, 8), (4, 3, 3, 3)), {"max_workspace": -1}, "max_workspace is -1"),
    ],
)
def test_what_cannot_be_explained_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        convkit.explain(*arguments, **options, measure=False)


def test_to_dict_is_plain_values():
    told = convkit.explain("conv2d", (1, 8, 9, 9), (4, 8, 3, 3), measure=False).to_dict()
    assert told["results"][0] == {"shape": (1, 4, 7, 7), "dtype": "float32"}
    assert told["others"][0].keys() == {"algorithm", "why_not", "workspace_bytes"}
    assert told["isa"] == _native.build_info()["isa"]


def test_a_shape_beside_an_array_of_classes_or_places_has_the_dtype_asked_for():
    classes, places = np.zeros(8, np.int64), np.zeros((1, 1, 2, 2), np.int64)
    for name, arguments in (
        ("cross_entropy", ((8, 10), classes)),
        ("max_pool2d_grad", ((1, 1, 2, 2), places, (1, 1, 4, 4), 2)),
    ):
        told = convkit.explain(name, *arguments, dtype="float64", measure=False)
        assert told.name.endswith(".float64")
