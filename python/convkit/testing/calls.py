"""The problem of a call: what Problem.call makes, read backwards."""

from typing import Any

from convkit.dispatch import Call

from .lines import Conv2d, FourPads, Gram, Im2col, Pair, Pool2d, Problem

# Public functions: (op, direction, fields that the name alone tells).
FUNCTIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "conv2d": ("conv2d", "fprop", {}),
    "conv2d_input_grad": ("conv2d", "dgrad", {}),
    "conv2d_weight_grad": ("conv2d", "wgrad", {}),
    "max_pool2d": ("pool2d", "fprop", {"kind": "max"}),
    "max_pool2d_grad": ("pool2d", "dgrad", {"kind": "max"}),
    "avg_pool2d": ("pool2d", "fprop", {"kind": "avg"}),
    "avg_pool2d_grad": ("pool2d", "dgrad", {"kind": "avg"}),
    "gram_matrix": ("gram", "fprop", {}),
    "gram_matrix_grad": ("gram", "dgrad", {}),
    "im2col": ("im2col", "fprop", {}),
    "col2im": ("im2col", "dgrad", {}),
}


def problem_of(call: Call) -> tuple[Problem, str]:
    """The problem and direction of a call that the rules accept (see Call.plan).

    >>> from convkit.queries import describe_call
    >>> call = describe_call("conv2d", (1, 3, 20, 20), (16, 3, 5, 5), padding="same")
    >>> problem_of(call)[0].line
    'n1c3h20w20-k16r5s5-st1-same'
    """
    op, direction, fields = FUNCTIONS[call.op]
    given = call.parameters
    layout = given["layout"]
    n, c, h, w = _sizes(_shape(call, "x"), layout)
    common: dict[str, Any] = {"n": n, "c": c, "h": h, "w": w, "layout": layout}
    if op == "gram":
        return Gram(**common, normalize=given["normalize"]), direction
    common["padding"] = _padding(given["padding"])
    if op == "conv2d":
        k, _, r, s = _sizes(_shape(call, "w"), layout)
        common |= {
            "stride": _pair(given["stride"]),
            "dilation": _pair(given["dilation"]),
            "groups": int(given["groups"]),
            "flip": given["flip_kernel"],
        }
        epilogue: dict[str, Any] = {}
        if direction == "fprop":
            epilogue = {name: call.arrays[name] is not None for name in ("bias", "residual")}
            epilogue["activation"] = given["activation"]
        return Conv2d(**common, k=k, r=r, s=s, **epilogue), direction
    r, s = _pair(given["kernel_size"])
    stride = (r, s) if given["stride"] is None else _pair(given["stride"])
    common |= {"r": r, "s": s, "stride": stride, "dilation": _pair(given.get("dilation", 1))}
    if op == "im2col":
        return Im2col(**common), direction
    for name in ("ceil_mode", "count_include_pad"):
        if name in given:
            common[name] = given[name]
    return Pool2d(**common, **fields), direction


def _shape(call: Call, name: str) -> tuple[int, ...]:
    """The shape of x or w: of the array, or in a gradient the parameter."""
    spec = call.arrays.get(name)
    return tuple(spec[0] if spec is not None else call.parameters[f"{name}_shape"])


def _sizes(shape: tuple[int, ...], layout: str) -> tuple[int, int, int, int]:
    first, *rest = (int(side) for side in shape)
    channels, height, width = rest if layout == "NCHW" else (rest[2], *rest[:2])
    return first, channels, height, width


def _pair(value: Any) -> Pair:
    height, width = value if isinstance(value, (tuple, list)) else (value, value)
    return int(height), int(width)


def _padding(value: Any) -> str | FourPads:
    if isinstance(value, str):
        return value
    height, width = value if isinstance(value, (tuple, list)) else (value, value)
    return _pair(height), _pair(width)
