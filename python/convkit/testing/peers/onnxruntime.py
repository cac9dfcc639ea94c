"""The ops by ONNX Runtime: a graph of one node (and its ReLU), bound to memory made beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from convkit.testing.channel_lines import BatchNorm, Lrn
from convkit.testing.lines import (
    AdaptivePool2d,
    Conv2d,
    ConvTranspose2d,
    Gram,
    Linear,
    Pool2d,
    Problem,
)

from .arrays import mirror

Call = Callable[[], Any]
_ACTIVATIONS = {"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}
_OPSET, _IR_VERSION = 17, 8


@dataclass
class _Graph:
    """One node: what it reads, weights as constants (as in a model), what it writes."""

    node: str
    feeds: dict[str, np.ndarray]
    outputs: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    activation: str | None = None


def make(
    problem: Problem, direction: str, data: dict[str, Any], threads: int, device: str
) -> tuple[Call, Callable[[Any], Any]] | None:
    """(call, output of a result as NumPy); None where no single node does the work."""
    graph = _graph(problem, direction, data)
    if graph is None:
        return None
    opened = _open(graph, threads, device)
    if opened is None:
        return None
    call, result = opened
    shape = problem.y_shape if direction == "fprop" else problem.x_shape
    return call, lambda _: result.numpy().reshape(shape)


def _graph(problem: Problem, direction: str, data: dict[str, Any]) -> _Graph | None:
    if isinstance(problem, Gram):
        if direction != "fprop" or problem.n != 1 or problem.normalize:
            return None
        features = data["x"].reshape(problem.c, -1)
        feeds = {"x": features, "same": features}
        return _Graph("Gemm", feeds, {"y": problem.y_shape[1:]}, attributes={"transB": 1})
    if isinstance(problem, ConvTranspose2d):
        return _transposed(problem, direction, data)
    if isinstance(problem, Linear):
        return _linear(problem, direction, data)
    if isinstance(problem, BatchNorm):
        return _batch_norm(problem, direction, data)
    if isinstance(problem, Lrn):
        if direction != "fprop" or problem.size % 2 == 0:  # its even windows lie elsewhere
            return None
        # ONNX takes no whole number where it asks for a float.
        rule = {"size": problem.size, "alpha": float(problem.alpha)}
        rule |= {"beta": float(problem.beta), "bias": float(problem.k)}
        return _Graph("LRN", {"x": data["x"]}, {"y": problem.y_shape}, attributes=rule)
    if isinstance(problem, AdaptivePool2d) and problem.output == (1, 1) and direction == "fprop":
        node = {"max": "GlobalMaxPool", "avg": "GlobalAveragePool"}[problem.kind]
        return _Graph(node, {"x": data["x"]}, {"y": problem.y_shape})
    if not isinstance(problem, (Conv2d, Pool2d)):
        return None
    pads = problem.windows.pads
    window: dict[str, Any] = {
        "kernel_shape": (problem.r, problem.s),
        "strides": problem.stride,
        "dilations": problem.dilation,
        "pads": [pads[0][0], pads[1][0], pads[0][1], pads[1][1]],
    }
    if isinstance(problem, Conv2d):
        return _convolution(problem, direction, data, window)
    if direction != "fprop":
        return None
    feeds = {"x": data["x"]}
    outputs: dict[str, tuple[int, ...]] = {"y": problem.y_shape}
    window["ceil_mode"] = int(problem.ceil_mode)
    if problem.kind == "max":
        outputs["indices"] = problem.y_shape
        return _Graph("MaxPool", feeds, outputs, attributes=window)
    del window["dilations"]  # AveragePool has them only in later opsets
    window["count_include_pad"] = int(problem.count_include_pad)
    return _Graph("AveragePool", feeds, outputs, attributes=window)


def _convolution(
    problem: Conv2d, direction: str, data: dict[str, Any], window: dict[str, Any]
) -> _Graph | None:
    if problem.flip or problem.residual or direction == "wgrad":
        return None
    if problem.padding_mode != "zeros":
        return None
    window["group"] = problem.groups
    if direction == "fprop":
        feeds, outputs = {"x": data["x"]}, {"y": problem.y_shape}
        return _Graph("Conv", feeds, outputs, _weights(data), window, problem.activation)
    # A gradient is the transposed convolution; rows that no window reached are output_padding.
    axes = (problem.stride, problem.output, problem.dilation, (problem.r, problem.s))
    reached = [
        stride * (side - 1) + dilation * (taps - 1) + 1 - sum(pads)
        for stride, side, dilation, taps, pads in zip(*axes, problem.windows.pads, strict=True)
    ]
    window["output_padding"] = [problem.h - reached[0], problem.w - reached[1]]
    feeds = {"grad_y": data["grad_y"]}
    return _Graph("ConvTranspose", feeds, {"y": problem.x_shape}, {"w": data["w"]}, window)


def _transposed(problem: ConvTranspose2d, direction: str, data: dict[str, Any]) -> _Graph | None:
    sums = replace(problem, bias=False, activation=None)
    mirrored = mirror(sums, direction, {name: data[name] for name in data if name != "bias"})
    graph = _graph(*mirrored) if mirrored else None
    if graph is None or direction != "fprop":
        return graph
    weights = {**graph.constants, **{name: data[name] for name in ("bias",) if name in data}}
    return replace(graph, constants=weights, activation=problem.activation)


def _linear(problem: Linear, direction: str, data: dict[str, Any]) -> _Graph | None:
    if problem.residual or direction == "wgrad":
        return None
    if direction == "dgrad":
        return _Graph("Gemm", {"grad_y": data["grad_y"]}, {"y": problem.x_shape}, _weights(data))
    feeds, outputs = {"x": data["x"]}, {"y": problem.y_shape}
    transposed = {"transB": 1}
    return _Graph("Gemm", feeds, outputs, _weights(data), transposed, problem.activation)


def _batch_norm(problem: BatchNorm, direction: str, data: dict[str, Any]) -> _Graph | None:
    if problem.training or problem.residual or direction != "fprop":
        return None
    eps = np.float32(problem.eps)  # as the format stores it
    constants = {
        "weight": data.get("weight", np.ones(problem.c, data["x"].dtype)),
        "bias": data.get("bias", np.zeros(problem.c, data["x"].dtype)),
        "mean": data["running_mean"],
        "var": data["running_var"] + (problem.eps - float(eps)),
    }
    outputs, rule = {"y": problem.y_shape}, {"epsilon": float(eps)}
    feeds = {"x": data["x"]}
    return _Graph("BatchNormalization", feeds, outputs, constants, rule, problem.activation)


def _weights(data: dict[str, Any]) -> dict[str, np.ndarray]:
    return {name: data[name] for name in ("w", "bias") if name in data}


def _open(graph: _Graph, threads: int, device: str) -> tuple[Call, Any] | None:
    """(call, the memory of its first output): a session, its inputs and outputs bound once."""
    import onnxruntime

    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    if provider not in onnxruntime.get_available_providers():
        return None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    names = list(graph.outputs)
    last = "activated" if graph.activation else names[0]
    model = _model(graph, last).SerializeToString()
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[provider])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented:
        return None  # no kernel for this type
    binding = session.io_binding()
    value = onnxruntime.OrtValue
    for name, array in graph.feeds.items():
        binding.bind_ortvalue_input(name, value.ortvalue_from_numpy(array, device, 0))
    memory = [
        value.ortvalue_from_shape_and_type(shape, _kind(graph, name).type, device, 0)
        for name, shape in graph.outputs.items()
    ]
    for name, one in zip([last, *names[1:]], memory, strict=True):
        binding.bind_ortvalue_output(name, one)
    return lambda: session.run_with_iobinding(binding), memory[0]


def _model(graph: _Graph, last: str) -> Any:
    from onnx import helper, numpy_helper

    names = list(graph.outputs)
    node = helper.make_node(graph.node, [*graph.feeds, *graph.constants], names, **graph.attributes)
    nodes = [node]
    if graph.activation:
        nodes.append(helper.make_node(_ACTIVATIONS[graph.activation], names[:1], [last]))

    def described(name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(dtype)
        return helper.make_tensor_value_info(name, kind, list(shape))

    made = helper.make_graph(
        nodes,
        "convkit",
        [described(name, array.shape, array.dtype) for name, array in graph.feeds.items()],
        [
            described(last if name == names[0] else name, shape, _kind(graph, name))
            for name, shape in graph.outputs.items()
        ],
        [numpy_helper.from_array(array, name) for name, array in graph.constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", _OPSET)])
    model.ir_version = _IR_VERSION
    return model


def _kind(graph: _Graph, name: str) -> np.dtype:
    first = next(iter(graph.feeds.values()))
    return np.dtype("int64") if name == "indices" else first.dtype
