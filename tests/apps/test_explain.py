"""`convkit explain`: text, JSON, and bad input in one line."""

import pytest

import convkit as library
from convkit import _native, ops
from convkit.apps import explain

pytest_plugins = ["tests.apps.command"]

CONV = ("conv2d", "--x", "1,3,20,20", "--w", "16,3,5,5")
FORWARD = {
    "conv2d": ("--x", "1,4,9,9", "--w", "6,4,3,3"),
    "max_pool2d": ("--x", "1,4,9,9", "--kernel-size", "3,2"),
    "avg_pool2d": ("--x", "1,4,9,9", "--kernel-size", "3"),
    "gram_matrix": ("--x", "1,4,9,9"),
    "im2col": ("--x", "1,4,9,9", "--kernel-size", "3"),
    "conv_transpose2d": ("--x", "1,4,9,9", "--w", "4,6,3,3", "--stride", "2"),
    "linear": ("--x", "3,9", "--w", "5,9"),
    "conv2d_bias_grad": ("--grad-y", "1,4,9,9"),
    "batch_norm": ("--x", "1,4,9,9"),
    "adaptive_max_pool2d": ("--x", "1,4,9,9", "--output-size", "4,3"),
    "adaptive_avg_pool2d": ("--x", "1,4,9,9", "--output-size", "4"),
    "global_max_pool2d": ("--x", "1,4,9,9"),
    "global_avg_pool2d": ("--x", "1,4,9,9"),
    "local_response_norm": ("--x", "1,4,9,9", "--size", "5", "--alpha", "5e-4", "--k", "2"),
    "cross_entropy": ("--logits", "8,10", "--label-smoothing", "0.1"),
}
GRADIENTS = {
    "conv2d_input_grad": "conv2d",
    "conv2d_weight_grad": "conv2d",
    "max_pool2d_grad": "max_pool2d",
    "avg_pool2d_grad": "avg_pool2d",
    "gram_matrix_grad": "gram_matrix",
    "col2im": "im2col",
    "conv_transpose2d_input_grad": "conv_transpose2d",
    "conv_transpose2d_weight_grad": "conv_transpose2d",
    "linear_input_grad": "linear",
    "linear_weight_grad": "linear",
    "batch_norm_grad": "batch_norm",
    "adaptive_max_pool2d_grad": "adaptive_max_pool2d",
    "adaptive_avg_pool2d_grad": "adaptive_avg_pool2d",
    "global_max_pool2d_grad": "global_max_pool2d",
    "global_avg_pool2d_grad": "global_avg_pool2d",
    "local_response_norm_grad": "local_response_norm",
    "cross_entropy_grad": "cross_entropy",
}


def test_text_says_everything_that_was_asked(convkit):
    result = convkit("explain", *CONV, "--stride", "2", "--padding", "0,1,2,3")
    assert result.status == 0
    for word in ("n1c3h20w20-k16r5s5-st2-pt0pb1pl2pr3", "(1, 16, 9, 11) float32", "FLOP/byte"):
        assert word in result.out
    for word in ("floor", "GFLOP/s", "direct: 3 input channels", "workspace", "copies       none"):
        assert word in result.out
    assert "1x1: the filter is (5, 5), needs (1, 1)" in result.out


@pytest.mark.parametrize("name", sorted(ops.FUNCTIONS))
def test_every_public_function_is_explained_from_the_forward_shapes(convkit, name):
    shapes = FORWARD[GRADIENTS.get(name, name)]
    assert convkit("explain", name, *shapes, "--no-measure", "--json").json["function"] == name


def test_json_is_what_python_tells(convkit):
    found = convkit("explain", *CONV, "--no-measure", "--json").json
    told = library.explain("conv2d", (1, 3, 20, 20), (16, 3, 5, 5), measure=False).to_dict()
    assert found == told | {
        "results": [{"shape": [1, 16, 16, 16], "dtype": "float32"}],
        "copies": [],
        "others": list(told["others"]),
    }


def test_a_problem_line_stands_for_the_shapes(convkit):
    line = "n1c3h20w20-k16r5s5-st1-pd0"
    by_line = convkit("explain", "conv2d", line, "--direction", "wgrad", "--no-measure")
    by_shapes = convkit("explain", "conv2d_weight_grad", *CONV[1:], "--no-measure")
    assert by_line.out == by_shapes.out
    assert convkit("explain", "pool2d", "max-n1c2h8w8-r2s2-st2-pd0", "--no-measure").status == 0


def test_all_backends_are_told_those_that_cannot_too(convkit):
    found = convkit("explain", *CONV, "--all-backends", "--no-measure", "--json").json
    assert [one["backend"] for one in found] == ["cpu", "cuda", "simt"]
    if not _native.with_cuda:
        assert found[1] == {"backend": "cuda", "error": "conv2d: this build has no cuda backend"}
    text = convkit("explain", *CONV, "--all-backends", "--no-measure").out
    assert text.count("problem ") == (3 if _native.with_cuda else 2)


def test_the_epilogue_and_the_limit_reach_the_call(convkit):
    options = ("--bias", "--residual", "--activation", "relu", "--layout", "NCHW")
    found = convkit("explain", *CONV, *options, "--no-measure", "--json").json
    assert found["problem"] == "n1c3h20w20-k16r5s5-st1-pd0-bias-residual-relu"
    linear = ("linear", "--x", "2,3,9", "--w", "5,9", *options[:-2], "--no-measure", "--json")
    assert convkit("explain", *linear).json["problem"] == "n6c9-k5-bias-residual-relu"
    transposed = ("conv_transpose2d", *FORWARD["conv_transpose2d"], "--output-padding", "1,0")
    found = convkit("explain", *transposed, "--no-measure", "--json").json
    assert found["problem"] == "n1c4h9w9-k6r3s3-st2-pd0-op1x0"
    for name, options, problem in (
        ("local_response_norm", ("--beta", "-0.5"), "n1c4h9w9-size5-alpha0.0005-beta-0.5-k2"),
        (
            "cross_entropy",
            ("--reduction", "sum", "--ignore-index", "-1"),
            "n8c10-smooth0.1-sum-ignored",
        ),
    ):
        found = convkit("explain", name, *FORWARD[name], *options, "--no-measure", "--json").json
        assert found["problem"] == problem
    pixels = ("cross_entropy", "--logits", "2,5,6,10", "--layout", "NHWC", "--reduction", "none")
    found = convkit("explain", *pixels, "--no-measure", "--json").json
    assert found["results"] == [{"shape": [2, 5, 6], "dtype": "float32"}]
    refused = convkit("explain", *CONV, "--algo", "im2col", "--max-workspace", "10")
    assert refused.status == 2
    assert "max_workspace is 10" in refused.one_line


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("conv3d", "--x", "1"), "op is 'conv3d', must be one of conv2d, "),
        (("conv2d",), "conv2d needs --x, or a problem line"),
        (("max_pool2d", "--x", "1,3,8,8"), "max_pool2d needs --kernel-size"),
        (("gram_matrix", "--x", "1,3,8,8", "--stride", "2"), "gram_matrix has no stride"),
        (("conv2d", "--x", "1x3x8x8", "--w", "4,3,3,3"), "--x is '1x3x8x8', must be a shape"),
        (("conv2d", "--x", "1,3,8", "--w", "4,3,3,3"), "x.shape is (1, 3, 8)"),
        (("conv2d", "--x", "", "--w", ""), "--x is '', must be a shape such as"),
        (("max_pool2d", "--x", "1,3,8,8", "--kernel-size", ""), "kernel_size is '', must be"),
        ((*CONV, "--padding", ""), "padding is '', must be"),
        (("conv2d", "n1c1"), "'n1c1': conv2d needs h, w, r, s, k too"),
        (("conv2d", "n1c1h1w1-k1r1s1-g0"), "groups is 0, must be at least 1"),
        ((*CONV, "--padding", "wide"), "padding is 'wide', must be"),
        ((*CONV, "--stride", "1,2,3"), "stride is (1, 2, 3), must be"),
        ((*CONV, "--direction", "up"), "direction is 'up'"),
        ((*CONV, "--backend", "tpu"), "backend is 'tpu', must be one of cpu, cuda, simt"),
        ((*CONV, "--dtype", "int8"), "x.dtype is int8"),
        ((*CONV, "--dtype", "int8", "--bias"), "x.dtype is int8"),
        ((*CONV, "--algo", "magic"), "algo is 'magic'"),
        (("conv2d", "n1c3h9w9-k4r3s3-st1-pd1", "--stride", "2"), "leave the options out"),
        (("gram_matrix", "--x", "1,4,9,9", "--bias"), "has no bias"),
        (("cross_entropy",), "cross_entropy needs --logits, or a problem line"),
        (("cross_entropy", "--logits", "8"), "logits.shape is (8,), must have at least 2"),
        (("conv2d", "nonsense"), "cannot read 'nonsense'"),
        (("conv2d_input_grad", *CONV[1:], "--direction", "wgrad"), "is dgrad, but --direction"),
    ],
)
def test_bad_input_is_one_line_and_status_2(convkit, arguments, hint):
    result = convkit("explain", *arguments, "--no-measure")
    assert result.status == 2
    assert hint in result.one_line


def test_run_can_be_called_from_python():
    (told,) = explain.run("gram", "n1c4h3w3", measure=False)
    assert told.algorithm == "symmetric_gemm"
