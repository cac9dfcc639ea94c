"""Other libraries do the same work: a ratio means nothing where they do something else."""

import numpy as np
import pytest

from convkit.testing import compare, expected, make_data, parse
from convkit.testing.peers import importable, peers

PROBLEMS = [
    ("conv2d", "n2c6h9w8-k4r3s3-st2-pd1-g2-bias-relu"),
    ("conv2d", "n1c3h9w9-k4r3s3-st1-pd1-bias-residual-tanh"),
    ("conv2d", "n1c3h9w8-k5r3s3-st1-pd1"),
    ("conv2d", "n1c2h7w8-k3r3s3-st1-pd0"),
    ("conv2d", "n1c5h9w9-k5r3s3-st2-pd1-g5-sigmoid"),
    ("conv2d", "n1c4h7w9-k6r1s1-st3-pd0-nhwc"),
    ("conv2d", "n1c4h11w11-k6r3s2-st1-pd2x1-dl2"),
    ("conv2d", "n1c3h6w7-k4r3s3-st1-pd1-flip"),
    ("conv2d", "n2c6h9w8-k4r3s3-st2-pd1-reflect-g2-bias"),
    ("conv2d", "n1c3h9w8-k5r3s3-st1-pt1pb0pl2pr1-circular"),
    ("conv2d", "n1c3h9w8-k5r3s3-st1-pd2-replicate-nhwc"),
    ("conv2d", "n1c5h9w9-k5r3s3-st1-pd1-replicate-g5"),
    ("pool2d", "max-n2c3h9w11-r3s3-st2-pd1"),
    ("pool2d", "avg-n1c4h9w9-r3s3-st2-pd1"),
    ("pool2d", "avg-n1c4h8w8-r3s3-st2-pd1-ceil-realpixels"),
    ("pool2d", "max-n1c4h8w8-r2s2-st2-pd0-nhwc"),
    ("gram", "n1c5h6w7"),
    ("gram", "n2c5h6w7-norm"),
    ("im2col", "n1c3h8w7-r3s2-st2-pd1"),
    ("conv_transpose2d", "n2c6h5w4-k8r3s3-st2-pd1-op1-g2"),
    ("conv_transpose2d", "n1c5h4w5-k5r4s4-st2-pd1-g5"),
    ("conv_transpose2d", "n1c3h4w5-k4r4s4-st2-pd1-bias-residual-tanh"),
    ("conv_transpose2d", "n1c3h4w5-k4r2s3-st2-pd0-dl3-op1x0"),
    ("conv_transpose2d", "n1c3h4w5-k4r2s3-st1-pd0-dl3-op2"),
    ("conv_transpose2d", "n1c4h5w6-k6r3s4-st2-pd1-nhwc"),
    ("linear", "n5c16-k7-bias-residual-tanh"),
    ("linear", "n5c16-k7"),
    ("adaptive_pool2d", "max-n2c5h9w8-p4q3"),
    ("adaptive_pool2d", "avg-n2c5h9w8-p4q3-nhwc"),
    ("adaptive_pool2d", "max-n2c5h9w8-global"),
    ("adaptive_pool2d", "avg-n2c5h9w8-p1q1"),
    ("batch_norm", "n3c4h5w6-train-weight-bias-residual-relu"),
    ("batch_norm", "n3c4h5w6-train-nhwc"),
    ("batch_norm", "n3c4h5w6-weight-bias-tanh"),
    ("batch_norm", "n3c4h5w6-bias-residual"),
    ("lrn", "n2c7h3w4-size5-alpha0.3-beta0.75-k2"),
    ("lrn", "n2c7h3w4-size4-alpha0.3-beta0.5-k1-nhwc"),
    ("cross_entropy", "n5c7"),
    ("cross_entropy", "n3c7h4w2-sum"),
    ("cross_entropy", "n5c7-smooth0.1-ignored"),
    ("cross_entropy", "n5c7-none"),
    ("bias_grad", "n3c4h5w6"),
    ("bias_grad", "n3c4h5w6-nhwc"),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "line"), PROBLEMS, ids=[line for _, line in PROBLEMS])
def test_peers_compute_what_the_reference_says(op, line, dtype):
    problem = parse(op, line)
    for direction in problem.directions:
        data = make_data(problem, direction, dtype=dtype)
        wanted = expected(problem, direction, data)[0]
        for peer in peers(problem, direction, data, backend="cpu", threads=1):
            found = compare(np.asarray(peer.output(peer.call())), wanted, bound=50)
            assert found.ok, f"{peer.name} {direction}: {found}"


def names(op, line, direction="fprop", **options):
    problem = parse(op, line)
    data = make_data(problem, direction)
    return [p.name for p in peers(problem, direction, data, backend="cpu", threads=1, **options)]


def test_only_the_peers_asked_for_are_made():
    line = "n1c3h9w9-k4r3s3-st1-pd1"
    assert names("conv2d", line, keys=("numpy", "scipy")) == ["NumPy", "SciPy"]
    assert names("conv2d", line, keys=()) == []
    assert names("conv2d", f"{line}-nhwc", keys=("numpy", "scipy")) == []


@pytest.mark.skipif(not importable("torch"), reason="needs torch")
def test_torch_stands_for_both_memory_formats():
    both = ("torch", "channels_last")
    line = "n1c4h9w9-k4r3s3-st1-pd1"
    assert names("conv2d", line, keys=both) == ["torch", "torch channels_last"]
    assert names("conv2d", f"{line}-nhwc", keys=both) == ["torch"]
    assert names("gram", "n1c4h5w5", keys=both) == ["torch"]


def test_a_peer_that_cannot_be_made_fails_in_its_own_row_alone(monkeypatch):
    def broken(*_args):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("convkit.testing.peers.scipy.make", broken)
    problem = parse("conv2d", "n1c3h9w9-k4r3s3-st1-pd1")
    data = make_data(problem, "fprop")
    keys = ("scipy", "numpy")
    made = peers(problem, "fprop", data, backend="cpu", threads=1, keys=keys)
    assert [peer.name for peer in made] == ["SciPy", "NumPy"]
    with pytest.raises(RuntimeError, match="no such kernel"):
        made[0].call()


def test_running_statistics_stay_as_they_were():
    problem = parse("batch_norm", "n3c4h5w6-train-weight-bias")
    data = make_data(problem, "fprop")
    before = {name: array.copy() for name, array in data.items()}
    for peer in peers(problem, "fprop", data, backend="cpu", threads=1):
        peer.call()
    assert all((data[name] == before[name]).all() for name in data)


@pytest.mark.skipif(not importable("onnxruntime"), reason="needs onnxruntime and onnx")
def test_onnx_runtime_has_the_forward_directions_and_the_transposed_convolution():
    for op, line in [
        ("conv2d", "n1c4h9w9-k4r3s3-st2-pd1"),
        ("conv_transpose2d", "n1c4h9w9-k4r3s3-st2-pd1-op1"),
        ("linear", "n3c4-k5-bias-relu"),
    ]:
        made = {d: names(op, line, d, keys=("onnxruntime",)) for d in ("fprop", "dgrad", "wgrad")}
        assert made == {"fprop": ["ONNX Runtime"], "dgrad": ["ONNX Runtime"], "wgrad": []}, op
    for op, line in [
        ("adaptive_pool2d", "avg-n1c4h9w9-global"),
        ("batch_norm", "n3c4h5w6-weight-bias-relu"),
        ("lrn", "n2c7h3w4-size5-alpha0.3-beta0.75-k2"),
    ]:
        assert names(op, line, keys=("onnxruntime",)) == ["ONNX Runtime"]


@pytest.mark.parametrize("line", ["n1c3h4w5-k4r3s3-st2-pd1-op1", "n1c3h4w5-k4r2s3-st1-pd0-dl3-op2"])
def test_a_transposed_convolution_is_done_by_arrays_where_a_convolution_has_its_sizes(line):
    made = [
        names("conv_transpose2d", line, d, keys=("numpy",)) for d in ("fprop", "dgrad", "wgrad")
    ]
    fits = line.endswith("op1")
    assert made == [["NumPy"] if fits else []] * 3
