"""The problem of a call: what Problem.call makes, read backwards."""

import math
from typing import Any

from convkit.dispatch import Call

from .channel_lines import BatchNorm, BiasGrad, CrossEntropy, Lrn
from .lines import (
    AdaptivePool2d,
    Conv2d,
    ConvTranspose2d,
    FourPads,
    Gram,
    Im2col,
    Linear,
    Pair,
    Pool2d,
    Problem,
)

# Public functions: (op, direction, fields that the name alone tells).
FUNCTIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "conv2d": ("conv2d", "fprop", {}),
    "conv2d_input_grad": ("conv2d", "dgrad", {}),
    "conv2d_weight_grad": ("conv2d", "wgrad", {}),
    "max_pool2d": ("pool2d", "fprop", {"kind": "max"}),
    "max_pool2d_grad": ("pool2d", "dgrad", {"kind": "max"}),
    "avg_pool2d": ("pool2d", "fprop", {"kind": "avg"}),
    "avg_pool2d_grad": ("pool2d", "dgrad", {"kind": "avg"}),
    "adaptive_max_pool2d": ("adaptive_pool2d", "fprop", {"kind": "max"}),
    "adaptive_max_pool2d_grad": ("adaptive_pool2d", "dgrad", {"kind": "max"}),
    "adaptive_avg_pool2d": ("adaptive_pool2d", "fprop", {"kind": "avg"}),
    "adaptive_avg_pool2d_grad": ("adaptive_pool2d", "dgrad", {"kind": "avg"}),
    "global_max_pool2d": ("adaptive_pool2d", "fprop", {"kind": "max", "is_global": True}),
    "global_max_pool2d_grad": ("adaptive_pool2d", "dgrad", {"kind": "max", "is_global": True}),
    "global_avg_pool2d": ("adaptive_pool2d", "fprop", {"kind": "avg", "is_global": True}),
    "global_avg_pool2d_grad": ("adaptive_pool2d", "dgrad", {"kind": "avg", "is_global": True}),
    "gram_matrix": ("gram", "fprop", {}),
    "gram_matrix_grad": ("gram", "dgrad", {}),
    "im2col": ("im2col", "fprop", {}),
    "col2im": ("im2col", "dgrad", {}),
    "conv_transpose2d": ("conv_transpose2d", "fprop", {}),
    "conv_transpose2d_input_grad": ("conv_transpose2d", "dgrad", {}),
    "conv_transpose2d_weight_grad": ("conv_transpose2d", "wgrad", {}),
    "conv2d_bias_grad": ("bias_grad", "wgrad", {}),
    "batch_norm": ("batch_norm", "fprop", {}),
    "batch_norm_grad": ("batch_norm", "dgrad", {}),
    "local_response_norm": ("lrn", "fprop", {}),
    "local_response_norm_grad": ("lrn", "dgrad", {}),
    "cross_entropy": ("cross_entropy", "fprop", {}),
    "cross_entropy_grad": ("cross_entropy", "dgrad", {}),
    "linear": ("linear", "fprop", {}),
    "linear_input_grad": ("linear", "dgrad", {}),
    "linear_weight_grad": ("linear", "wgrad", {}),
}
_IGNORED_UNASKED = -100  # the default of ignore_index


def problem_of(call: Call) -> tuple[Problem, str]:
    """The problem and direction of a call that the rules accept (see Call.plan).

    >>> from convkit.queries import describe_call
    >>> call = describe_call("conv2d", (1, 3, 20, 20), (16, 3, 5, 5), padding="same")
    >>> problem_of(call)[0].line
    'n1c3h20w20-k16r5s5-st1-same'
    """
    op, direction, fields = FUNCTIONS[call.op]
    given = call.plain_parameters()
    if op == "linear":
        return _linear(call, direction), direction
    if op == "cross_entropy":
        return _cross_entropy(call), direction
    layout = given["layout"]
    n, c, h, w = _sizes(_arrays(call)[0] if op == "bias_grad" else _shape(call, "x"), layout)
    common: dict[str, Any] = {"n": n, "c": c, "h": h, "w": w, "layout": layout}
    if op == "gram":
        return Gram(**common, normalize=given["normalize"]), direction
    if op == "adaptive_pool2d":
        y_shape = call.outputs()[0][0] if direction == "fprop" else _arrays(call)[0]
        _, _, p, q = _sizes(y_shape, layout)
        return AdaptivePool2d(**common | {"p": p, "q": q} | fields), direction
    if op == "bias_grad":
        return BiasGrad(**common), direction
    if op == "batch_norm":
        common |= {"weight": call.arrays["weight"] is not None, "training": given["training"]}
        return BatchNorm(**common, **_epilogue(call, direction)), direction
    if op == "lrn":
        numbers = {name: given[name] for name in ("size", "alpha", "beta", "k")}
        return Lrn(**common, **numbers), direction
    common["padding"] = _padding(given["padding"])
    if op in ("conv2d", "conv_transpose2d"):
        first, second, r, s = _sizes(_shape(call, "w"), layout)
        common |= {
            "r": r,
            "s": s,
            "stride": _pair(given["stride"]),
            "dilation": _pair(given["dilation"]),
            "groups": given["groups"],
            "flip": given["flip_kernel"],
        }
        if op == "conv2d":
            common["padding_mode"] = given["padding_mode"]
            return Conv2d(**common, k=first, **_epilogue(call, direction)), direction
        output_padding = _pair(given["output_padding"])
        k = second * given["groups"]
        common |= {"k": k, "output_padding": output_padding}
        return ConvTranspose2d(**common, **_epilogue(call, direction)), direction
    r, s = _pair(given["kernel_size"])
    stride = (r, s) if given["stride"] is None else _pair(given["stride"])
    common |= {"r": r, "s": s, "stride": stride, "dilation": _pair(given.get("dilation", 1))}
    if op == "im2col":
        return Im2col(**common), direction
    for name in ("ceil_mode", "count_include_pad"):
        if name in given:
            common[name] = given[name]
    return Pool2d(**common, **fields), direction


def _linear(call: Call, direction: str) -> Linear:
    """Leading sides are rows, however many there are."""
    first = _arrays(call)[0]
    n = math.prod(first[:-1])
    if direction == "wgrad":
        return Linear(n=n, c=_arrays(call)[1][-1], k=first[-1])
    k, c = _arrays(call)[1]
    return Linear(n=n, c=c, k=k, **_epilogue(call, direction))


def _cross_entropy(call: Call) -> CrossEntropy:
    """Sides beyond the classes are pixels, however many there are. Who names a class to ignore has
    targets of it."""
    given = call.plain_parameters()
    n, *rest = _shape(call, "logits")
    c = rest.pop(0 if given["layout"] == "NCHW" else -1)
    h, w = (math.prod(rest[:1]), math.prod(rest[1:]))
    return CrossEntropy(
        **{"n": n, "c": c, "h": h, "w": w, "layout": given["layout"]},
        smooth=given["label_smoothing"],
        reduction=given["reduction"],
        ignored=given["ignore_index"] != _IGNORED_UNASKED,
    )


def _epilogue(call: Call, direction: str) -> dict[str, Any]:
    if direction != "fprop":
        return {}
    return {
        "bias": call.arrays["bias"] is not None,
        "residual": call.arrays["residual"] is not None,
        "activation": call.plain_parameters()["activation"],
    }


def _arrays(call: Call) -> list[tuple[int, ...]]:
    return [spec[0] for spec in call.arrays.values() if spec is not None]


def _shape(call: Call, name: str) -> tuple[int, ...]:
    """The shape of x or w: of the array, or in a gradient the parameter."""
    spec = call.arrays.get(name)
    shape: tuple[int, ...]
    shape = spec[0] if spec is not None else call.plain_parameters()[f"{name}_shape"]
    return shape


def _sizes(shape: tuple[int, ...], layout: str) -> tuple[int, int, int, int]:
    first, *rest = shape
    channels, height, width = rest if layout == "NCHW" else (rest[2], *rest[:2])
    return first, channels, height, width


def _pair(value: Any) -> Pair:
    height, width = value if isinstance(value, tuple) else (value, value)
    return height, width


def _padding(value: Any) -> str | FourPads:
    if isinstance(value, str):
        return value
    height, width = value if isinstance(value, tuple) else (value, value)
    return _pair(height), _pair(width)
