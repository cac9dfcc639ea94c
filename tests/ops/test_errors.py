"""Bad calls: the error names the function, the argument, its value and the rule."""

import re
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

import convkit
from convkit import testing

EITHER = (ValueError, TypeError)
HUGE = 2**62


def f(*shape: int, dtype: Any = "float32") -> np.ndarray:
    """Zeros of any size: one number, repeated."""
    return np.broadcast_to(np.zeros((), dtype), shape)


X, W, Y = f(2, 6, 8, 9), f(4, 6, 3, 3), f(2, 4, 6, 7)
POOL, POOLED = f(2, 3, 8, 9), f(2, 3, 4, 4)
INDICES = f(2, 3, 4, 4, dtype="int64")
PIXEL, PLACE = f(2, 3, 1, 1), f(2, 3, 1, 1, dtype="int64")
COLS, C6 = f(2, 54, 42), f(6)
LOGITS, LOSSES, TARGET = f(2, 3, 4, 5), f(2, 4, 5), f(2, 4, 5, dtype="int64")
SHAPE = (2, 6, 8, 9)

# A good call of each function: arguments by name.
GOOD: dict[str, dict[str, Any]] = {
    "conv2d": {"x": X, "w": W},
    "conv2d_input_grad": {"grad_y": Y, "w": W, "x_shape": SHAPE},
    "conv2d_weight_grad": {"grad_y": Y, "x": X, "w_shape": (4, 6, 3, 3)},
    "max_pool2d": {"x": POOL, "kernel_size": 2},
    "max_pool2d_grad": {
        "grad_y": POOLED,
        "indices": INDICES,
        "x_shape": (2, 3, 8, 9),
        "kernel_size": 2,
    },
    "avg_pool2d": {"x": POOL, "kernel_size": 2},
    "avg_pool2d_grad": {"grad_y": POOLED, "x_shape": (2, 3, 8, 9), "kernel_size": 2},
    "adaptive_max_pool2d": {"x": POOL, "output_size": 4},
    "adaptive_max_pool2d_grad": {"grad_y": POOLED, "indices": INDICES, "x_shape": (2, 3, 8, 9)},
    "adaptive_avg_pool2d": {"x": POOL, "output_size": 4},
    "adaptive_avg_pool2d_grad": {"grad_y": POOLED, "x_shape": (2, 3, 8, 9)},
    "global_max_pool2d": {"x": POOL},
    "global_max_pool2d_grad": {"grad_y": PIXEL, "indices": PLACE, "x_shape": (2, 3, 8, 9)},
    "global_avg_pool2d": {"x": POOL},
    "global_avg_pool2d_grad": {"grad_y": PIXEL, "x_shape": (2, 3, 8, 9)},
    "gram_matrix": {"x": X},
    "gram_matrix_grad": {"grad_gram": f(2, 6, 6), "x": X},
    "im2col": {"x": X, "kernel_size": 3},
    "col2im": {"cols": COLS, "x_shape": SHAPE, "kernel_size": 3},
    "conv2d_bias_grad": {"grad_y": Y},
    "batch_norm": {"x": X, "weight": C6, "bias": C6, "running_mean": C6, "running_var": C6},
    "batch_norm_grad": {
        "grad_y": X,
        "x": X,
        "weight": C6,
        "save_mean": C6,
        "save_invstd": C6,
    },
    "local_response_norm": {"x": X, "size": 5},
    "local_response_norm_grad": {"grad_y": X, "x": X, "size": 5},
    "cross_entropy": {"logits": LOGITS, "target": TARGET, "reduction": "none"},
    "cross_entropy_grad": {
        "grad_loss": LOSSES,
        "logits": LOGITS,
        "target": TARGET,
        "reduction": "none",
    },
}


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError


class Lying(list):
    """A list whose length and items are not what it stores."""

    def __len__(self) -> int:
        return 2

    def __iter__(self) -> Any:
        return iter(range(10_000))


class Shouting(int):
    def __index__(self) -> int:
        raise RuntimeError

    __int__ = __index__


ENDLESS: list[Any] = [0]
ENDLESS[0] = ENDLESS
ENDLESS.append(ENDLESS)

CONVOLUTIONS = ("conv2d", "conv2d_input_grad", "conv2d_weight_grad")
POOLS = ("max_pool2d", "max_pool2d_grad", "avg_pool2d", "avg_pool2d_grad")
COLUMNS = ("im2col", "col2im")
ADAPTIVE = tuple(name for name in GOOD if name.startswith(("adaptive", "global")))
LRN = ("local_response_norm", "local_response_norm_grad")
LOSS = ("cross_entropy", "cross_entropy_grad")
WINDOWED = (*CONVOLUTIONS, *POOLS, *COLUMNS)
ALL = tuple(GOOD)


def having(parameter: str) -> tuple[str, ...]:
    return tuple(name for name, arguments in GOOD.items() if parameter in arguments)


# Any 4 dimensions will do for the gradient of a bias.
SHAPED_GRAD = tuple(name for name in having("grad_y") if name != "conv2d_bias_grad")
NORMS = ("batch_norm", "batch_norm_grad")
SEVERAL_RESULTS = ("batch_norm_grad",)


# functions, changed arguments, error, what its text must hold.
BAD: list[tuple[tuple[str, ...], dict[str, Any], Any, list[str]]] = [
    # ranks and sizes
    (having("x"), {"x": f(6, 8, 9)}, ValueError, ["x.shape is (6, 8, 9)", "4 dimensions"]),
    (having("x"), {"x": f()}, ValueError, ["x.shape is ()", "4 dimensions"]),
    (having("x"), {"x": f(2, 0, 8, 9)}, ValueError, ["x.shape[1] is 0", "at least 1"]),
    (having("x"), {"x": f(2, 6, 0, 9)}, ValueError, ["x.shape[2] is 0", "at least 1"]),
    (having("x"), {"x": f(2**20, 2**20, 1024, 1024)}, ValueError, ["x.shape", "2**50 bytes"]),
    (having("w"), {"w": f(4, 6, 3)}, ValueError, ["w.shape is (4, 6, 3)", "4 dimensions"]),
    (having("w"), {"w": f(0, 6, 3, 3)}, ValueError, ["w.shape[0] is 0", "at least 1"]),
    (having("w"), {"w": f(4, 6, 3, 0)}, ValueError, ["w.shape[3] is 0", "at least 1"]),
    (having("w"), {"w": f(4, 5, 3, 3)}, ValueError, ["w.shape[1] is 5", "must be 6", "groups=1"]),
    (having("w"), {"w": f(4, 6, 9, 3)}, ValueError, ["height", "9", "8"]),
    (having("x_shape"), {"x_shape": (6, 8, 9)}, ValueError, ["x_shape", "4 dimensions"]),
    (having("x_shape"), {"x_shape": (2, 3, -8, 9)}, ValueError, ["x_shape[2] is -8", "at least"]),
    (having("x_shape"), {"x_shape": (HUGE, 6, 8, 9)}, ValueError, ["x_shape", str(HUGE)]),
    (having("x_shape"), {"x_shape": (2, 6, HUGE, HUGE)}, ValueError, ["x_shape", str(HUGE)]),
    (having("x_shape"), {"x_shape": (2, 6, 2**70, 9)}, ValueError, ["x_shape"]),
    (having("x_shape"), {"x_shape": 8}, EITHER, ["x_shape is 8"]),
    (having("x_shape"), {"x_shape": None}, EITHER, ["x_shape is None"]),
    (having("x_shape"), {"x_shape": (2, 6, 8.0, 9)}, EITHER, ["x_shape", "8.0"]),
    (having("w_shape"), {"w_shape": (4, 6, 3)}, ValueError, ["w_shape", "4 dimensions"]),
    (having("w_shape"), {"w_shape": (4, 5, 3, 3)}, ValueError, ["w_shape[1] is 5", "must be 6"]),
    (having("w_shape"), {"w_shape": (HUGE, 6, 3, 3)}, ValueError, ["w_shape", str(HUGE)]),
    (SHAPED_GRAD, {"grad_y": f(2, 4, 5, 7)}, ValueError, ["grad_y.shape", "(2, 4, 5, 7)"]),
    (having("grad_y"), {"grad_y": f(2, 4, 7)}, ValueError, ["grad_y.shape", "(2, 4, 7)"]),
    (("conv2d_input_grad",), {"x_shape": (2, 6, 8, 8)}, ValueError, ["grad_y", "(2, 4, 6, 6)"]),
    (having("cols"), {"cols": f(2, 54, 41)}, ValueError, ["cols.shape", "41", "(2, 54, 42)"]),
    (having("cols"), {"cols": f(2, 6, 9, 42)}, ValueError, ["cols.shape", "(2, 6, 9, 42)"]),
    (having("grad_gram"), {"grad_gram": f(2, 6, 5)}, ValueError, ["grad_gram.shape", "(2, 6, 6)"]),
    (having("indices"), {"indices": f(2, 3, 4, 3, dtype="int64")}, ValueError, ["indices.shape"]),
    # groups
    (CONVOLUTIONS, {"groups": 4}, ValueError, ["groups is 4", "divide", "6 channels"]),
    (CONVOLUTIONS, {"groups": 3}, ValueError, ["groups is 3", "divide", "4 filters"]),
    (CONVOLUTIONS, {"groups": 2}, ValueError, ["[1] is 6", "groups=2", "must be 3"]),
    (CONVOLUTIONS, {"groups": 0}, ValueError, ["groups is 0", "at least 1"]),
    (CONVOLUTIONS, {"groups": HUGE}, ValueError, [f"groups is {HUGE}"]),
    (CONVOLUTIONS, {"groups": 2.0}, TypeError, ["groups is 2.0", "int"]),
    (CONVOLUTIONS, {"groups": True}, TypeError, ["groups is True", "int"]),
    (CONVOLUTIONS, {"groups": None}, TypeError, ["groups is None", "int"]),
    # stride, dilation, kernel_size
    *(
        (functions, {name: value}, error, [f"{name} is", *parts])
        for functions, name in (
            (WINDOWED, "stride"),
            ((*CONVOLUTIONS, "max_pool2d", "max_pool2d_grad", *COLUMNS), "dilation"),
            ((*POOLS, *COLUMNS), "kernel_size"),
        )
        for value, error, parts in (
            (0, ValueError, ["0", "at least 1"]),
            ((1, -1), ValueError, ["(1, -1)", "at least 1"]),
            (HUGE, ValueError, ["below 2**31"]),
            (2**70, ValueError, ["below 2**31"]),
            (-(2**70), ValueError, ["at least 1"]),
            (1.0, TypeError, ["1.0", "int"]),
            (True, TypeError, ["True", "int"]),
            ("2", TypeError, ["2", "int"]),
            ((1, 2, 3), EITHER, ["(1, 2, 3)", "pair"]),
            ((1, 2.5), EITHER, ["2.5"]),
            ((1, True), EITHER, ["True"]),
            ((), EITHER, ["()"]),
        )
    ),
    (("conv2d", "im2col"), {"stride": None}, TypeError, ["stride is None"]),
    (WINDOWED, {"stride": np.ones(2, int)}, EITHER, ["stride is"]),
    ((*CONVOLUTIONS, *COLUMNS), {"dilation": 2**30}, ValueError, ["height", str(2**30)]),
    ((*POOLS, *COLUMNS), {"kernel_size": (9, 2)}, ValueError, ["height", "9", "8"]),
    ((*POOLS, *COLUMNS), {"kernel_size": None}, TypeError, ["kernel_size is None"]),
    # padding
    *(
        (WINDOWED, {"padding": value}, error, ["padding is", *parts])
        for value, error, parts in (
            (-1, ValueError, ["-1", "at least 0"]),
            (((0, 0), (0, -1)), ValueError, ["-1", "at least 0"]),
            (HUGE, ValueError, [str(HUGE)]),
            (((0, 0), (0, 2**70)), ValueError, []),
            (1.0, TypeError, ["1.0"]),
            (True, TypeError, ["True"]),
            (None, TypeError, ["None"]),
            ((1, 2, 3), EITHER, ["(1, 2, 3)"]),
            (((1, 2), 3), EITHER, ["((1, 2), 3)"]),
            (((1, 1), (1,)), EITHER, ["((1, 1), (1,))"]),
            (((1, 1, 1), (1, 1, 1)), EITHER, ["((1, 1, 1), (1, 1, 1))"]),
            ((1, "a"), EITHER, ["'a'"]),
            ("SAME", EITHER, ["SAME"]),
        )
    ),
    (POOLS, {"padding": "same"}, EITHER, ["padding is", "same"]),
    (POOLS, {"padding": 2}, ValueError, ["padding", "2", "smaller"]),
    (POOLS, {"padding": ((0, 0), (0, 2))}, ValueError, ["padding", "smaller"]),
    # values that are no plain Python: shown whole and right, or cut, and never run
    *(
        (having("x_shape"), {"x_shape": (2, 6, side, 9)}, ValueError, [f"x_shape is (2, 6, {side}"])
        for side in (2**63, 2**64, -(2**63) - 1)
    ),
    *(
        (WINDOWED, {name: value}, ValueError, [f"{name} is {value}, must be at least"])
        for name in ("stride", "padding")
        for value in (2**63, 2**64 + 1, -(2**63) - 1)
    ),
    (CONVOLUTIONS, {"groups": 2**63}, ValueError, [f"groups is {2**63}, must be from 1"]),
    (CONVOLUTIONS, {"groups": 10**5000}, ValueError, ["groups is <int that cannot be printed>"]),
    (WINDOWED, {"stride": Unprintable()}, TypeError, ["stride is <Unprintable that cannot be"]),
    (WINDOWED, {"padding": ENDLESS}, TypeError, ["padding is ", "[...]"]),
    (WINDOWED, {"padding": list(range(10**5))}, TypeError, ["padding is (0, 1, 2,", "..., must"]),
    (WINDOWED, {"padding": (side for side in (1, 1))}, TypeError, ["padding is <generator"]),
    (WINDOWED, {"padding": np.zeros((40, 40))}, TypeError, ["padding is array([[0., 0."]),
    (WINDOWED, {"stride": Lying([1, 2, 3])}, TypeError, ["stride is (1, 2, 3), must be"]),
    (WINDOWED, {"stride": Mock(spec=int)}, TypeError, ["stride is <Mock spec='int'"]),
    (WINDOWED, {"padding": Mock(spec=tuple)}, TypeError, ["padding is <Mock spec='tuple'"]),
    (ALL, {"layout": Mock(spec=str)}, TypeError, ["layout is <Mock spec='str'"]),
    (ALL, {"algo": Mock(spec=str)}, TypeError, ["algo is <Mock spec='str'", "must be a string"]),
    (WINDOWED, {"stride": {1, 2}}, TypeError, ["stride is {1, 2}"]),
    (WINDOWED, {"stride": np.float32(1)}, TypeError, ["stride is np.float32(1.0)"]),
    (WINDOWED, {"stride": np.True_}, TypeError, ["stride is True", "int"]),
    (ALL, {"layout": "\ud800"}, ValueError, [r"layout is '\ud800'"]),
    (ALL, {"layout": "NCHW\0"}, ValueError, [r"layout is 'NCHW\x00'"]),
    (ALL, {"layout": "N" * 9999}, ValueError, ["layout is 'NNNN", "N..., must be"]),
    (ALL, {"algo": "\ud800"}, ValueError, ["algo is", "ud800"]),
    (ALL, {"algo": "direct\0"}, ValueError, [r"algo is 'direct\x00'"]),
    ((*CONVOLUTIONS, *COLUMNS), {"padding": "\ud800"}, ValueError, [r"padding is '\ud800'"]),
    (("conv2d",), {"activation": "\udfff"}, ValueError, [r"activation is '\udfff'"]),
    # words and flags
    (ALL, {"layout": "CHWN"}, ValueError, ["layout is 'CHWN'", "'NCHW' or 'NHWC'"]),
    (ALL, {"layout": None}, EITHER, ["layout is None", "'NCHW' or 'NHWC'"]),
    (
        ("conv2d", "batch_norm"),
        {"activation": "gelu"},
        ValueError,
        ["activation is 'gelu'", "'relu'"],
    ),
    (("conv2d", "batch_norm"), {"activation": 1}, TypeError, ["activation is 1", "'relu'"]),
    (CONVOLUTIONS, {"flip_kernel": 1}, TypeError, ["flip_kernel is 1", "True or False"]),
    (
        CONVOLUTIONS,
        {"padding_mode": "mirror"},
        ValueError,
        ["padding_mode is 'mirror'", "'zeros', 'reflect', 'replicate' or 'circular'"],
    ),
    (CONVOLUTIONS, {"padding_mode": None}, EITHER, ["padding_mode is None", "'reflect'"]),
    (POOLS, {"ceil_mode": 1}, TypeError, ["ceil_mode is 1", "True or False"]),
    (POOLS[2:], {"count_include_pad": None}, TypeError, ["count_include_pad is None"]),
    (("max_pool2d",), {"return_indices": 1}, TypeError, ["return_indices is 1", "True or False"]),
    (("max_pool2d",), {"return_indices": X}, TypeError, ["return_indices is array"]),
    (("gram_matrix", "gram_matrix_grad"), {"normalize": 1}, TypeError, ["normalize is 1"]),
    # bias and residual
    (("conv2d",), {"bias": f(5)}, ValueError, ["bias.shape is (5,)", "(4,)"]),
    (("conv2d",), {"bias": f(4, 1)}, ValueError, ["bias.shape is (4, 1)", "(4,)"]),
    (("conv2d",), {"residual": X}, ValueError, ["residual.shape is", "(2, 4, 6, 7)"]),
    (("conv2d",), {"bias": f(4, dtype="float64")}, TypeError, ["bias.dtype is float64", "float32"]),
    (("conv2d",), {"residual": Y.astype("f8")}, TypeError, ["residual.dtype is float64"]),
    # batch normalisation
    *(
        (having(name), {name: value}, error, [f"{name}.", *parts])
        for name in ("weight", "running_mean", "running_var", "save_mean", "save_invstd")
        for value, error, parts in (
            (f(5), ValueError, ["shape is (5,)", "must be (6,)", "x.shape=(2, 6, 8, 9)"]),
            (f(6, 1), ValueError, ["shape is (6, 1)", "must be (6,)"]),
            (f(6, dtype="float64"), TypeError, ["dtype is float64", "must be float32"]),
        )
    ),
    (("batch_norm",), {"bias": f(5)}, ValueError, ["bias.shape is (5,)", "(6,)"]),
    (("batch_norm",), {"residual": Y}, ValueError, ["residual.shape is", "(2, 6, 8, 9)"]),
    (("batch_norm",), {"residual": X.astype("f8")}, TypeError, ["residual.dtype is float64"]),
    (("batch_norm",), {"running_mean": None}, TypeError, ["running_mean is None", "training"]),
    (("batch_norm",), {"running_var": None}, TypeError, ["running_var is None", "training"]),
    (("batch_norm_grad",), {"save_mean": None}, TypeError, ["save_mean is None"]),
    (NORMS, {"training": 1}, TypeError, ["training is 1", "True or False"]),
    (("batch_norm",), {"return_stats": "yes"}, TypeError, ["return_stats is 'yes'"]),
    (("batch_norm_grad",), {"x": f(1, 6, 1, 1), "grad_y": f(1, 6, 1, 1)}, ValueError, ["2 values"]),
    *(
        (("batch_norm",), {name: value}, error, [f"{name} is", *parts])
        for name in ("eps", "momentum")
        for value, error, parts in (
            (-0.5, ValueError, ["-0.5", "0"]),
            (float("nan"), ValueError, ["nan", "finite"]),
            (float("inf"), ValueError, ["inf", "finite"]),
            (10**400, ValueError, ["finite"]),
            ("1", TypeError, ["'1'", "a number"]),
            (True, TypeError, ["True", "a number"]),
            (None, TypeError, ["None", "a number"]),
            (1j, TypeError, ["1j", "a number"]),
            (np.ones(2), TypeError, ["a number"]),
            ([0.1], TypeError, ["0.1", "a number"]),
        )
    ),
    (("batch_norm",), {"momentum": 1.0000001}, ValueError, ["momentum is 1.0000001, must"]),
    (("batch_norm",), {"eps": -1e-300}, ValueError, ["eps is -1e-300, must"]),
    (LRN, {"beta": 100.0000001}, ValueError, ["beta is 100.0000001, must"]),
    (LRN, {"alpha": -1.00000001}, ValueError, ["alpha is -1.00000001, must"]),
    (LOSS, {"label_smoothing": 1.0000001}, ValueError, ["label_smoothing is 1.0000001, must"]),
    (("batch_norm",), {"momentum": 2}, ValueError, ["momentum is 2", "from 0 to 1"]),
    # local response normalisation and losses
    (LRN, {"size": 0}, ValueError, ["size is 0", "at least 1"]),
    (LRN, {"size": -(2**70)}, ValueError, ["size is -", "at least 1"]),
    (LRN, {"size": 2**31}, ValueError, [f"size is {2**31}", "below 2**31"]),
    (LRN, {"size": 2**70}, ValueError, [f"size is {2**70}", "below 2**31"]),
    (LRN, {"size": 5.0}, TypeError, ["size is 5.0", "an int"]),
    (LRN, {"alpha": -1}, ValueError, ["alpha is -1", "at least 0"]),
    (LRN, {"k": -0.5}, ValueError, ["k is -0.5", "at least 0"]),
    (LRN, {"beta": 100.5}, ValueError, ["beta is 100.5", "from -100 to 100"]),
    *(
        (functions, {name: value}, error, [f"{name} is", *parts])
        for functions, names in ((LRN, ("alpha", "beta", "k")), (LOSS, ("label_smoothing",)))
        for name in names
        for value, error, parts in (
            (float("nan"), ValueError, ["nan", "finite"]),
            (-float("inf"), ValueError, ["-inf", "finite"]),
            (10**400, ValueError, ["finite"]),
            ("1", TypeError, ["'1'", "a number"]),
            (True, TypeError, ["True", "a number"]),
            (None, TypeError, ["None", "a number"]),
            (np.ones(2), TypeError, ["a number"]),
        )
    ),
    (LOSS, {"label_smoothing": 1.5}, ValueError, ["label_smoothing is 1.5", "from 0 to 1"]),
    (LOSS, {"label_smoothing": -0.1}, ValueError, ["label_smoothing is -0.1", "from 0 to 1"]),
    (LOSS, {"reduction": "max"}, ValueError, ["reduction is 'max'", "'none', 'sum', 'mean'"]),
    (LOSS, {"reduction": None}, TypeError, ["reduction is None", "'none', 'sum', 'mean'"]),
    (LOSS, {"ignore_index": 1.0}, TypeError, ["ignore_index is 1.0", "an int"]),
    (LOSS, {"ignore_index": None}, TypeError, ["ignore_index is None", "an int"]),
    (LOSS, {"ignore_index": 2**63}, ValueError, [f"ignore_index is {2**63}", "to 2**63 - 1"]),
    (LOSS, {"logits": f(3)}, ValueError, ["logits.shape is (3,)", "at least 2 dimensions"]),
    (LOSS, {"logits": f(2, 0, 4, 5)}, ValueError, ["logits.shape[1] is 0", "at least 1"]),
    (LOSS, {"logits": LOGITS.astype("i8")}, TypeError, ["logits.dtype is int64", "float32"]),
    (LOSS, {"target": f(2, 4, 6, dtype="int64")}, ValueError, ["target.shape is", "(2, 4, 5)"]),
    (LOSS, {"target": TARGET.astype("i4")}, TypeError, ["target.dtype is int32", "int64"]),
    (LOSS, {"target": None}, TypeError, ["target is None"]),
    (LOSS[1:], {"grad_loss": f(2, 4, 6)}, ValueError, ["grad_loss.shape is", "(2, 4, 5)"]),
    (LOSS[1:], {"reduction": "sum"}, ValueError, ["grad_loss.shape is", "must be ()"]),
    (LOSS[1:], {"grad_loss": LOSSES.astype("f8")}, TypeError, ["logits.dtype", "float64"]),
    # types
    *(
        (
            tuple(op for op in having("x") if op != "im2col"),  # it moves elements of any type
            {"x": X.astype(dtype)},
            TypeError,
            [f"x.dtype is {dtype}", "float32"],
        )
        for dtype in ("int32", "uint16", "complex64", "bool", "object")
    ),
    (having("w"), {"w": W.astype("f8")}, TypeError, ["w.dtype is float64", "float32"]),
    (having("grad_y"), {"grad_y": Y.astype("i8")}, TypeError, ["grad_y.dtype is int64"]),
    (having("grad_gram"), {"grad_gram": f(2, 6, 6, dtype="f8")}, TypeError, ["float64", "float32"]),
    (having("cols"), {"cols": COLS.astype("i2")}, TypeError, ["cols.dtype is int16"]),
    (having("indices"), {"indices": INDICES.astype("i4")}, TypeError, ["indices.dtype is int32"]),
    (having("x"), {"x": None}, TypeError, ["x is None"]),
    (having("x"), {"x": [[1.0]]}, TypeError, ["x is", "list", "must be an array"]),
    (having("x"), {"x": "image"}, TypeError, ["x is", "str", "must be an array"]),
    (having("x"), {"x": np.ma.masked_array(X)}, TypeError, ["x is a masked array"]),
    (having("w"), {"w": 1.0}, TypeError, ["w is", "float", "must be an array"]),
    # algorithms
    (ALL, {"algo": "magic"}, ValueError, ["'magic'", "auto"]),
    (ALL, {"algo": None}, TypeError, ["algo is None"]),
    (ALL, {"algo": 3}, TypeError, ["algo is 3"]),
    (ALL, {"precision": "medium"}, ValueError, ["precision is 'medium'", "'high' or 'strict'"]),
    (ALL, {"precision": "low"}, ValueError, ["precision is 'low'", "'high' or 'strict'"]),
    (ALL, {"precision": None}, TypeError, ["precision is None, must be a string"]),
    (ALL, {"max_workspace": -1}, ValueError, ["max_workspace is -1", "at least 0"]),
    (ALL, {"max_workspace": -(2**70)}, ValueError, ["max_workspace is -", "at least 0"]),
    (ALL, {"max_workspace": Unprintable()}, TypeError, ["max_workspace is", "None or an int"]),
    (ALL, {"max_workspace": 1.5}, TypeError, ["max_workspace is 1.5", "None or an int"]),
    (ALL, {"max_workspace": True}, TypeError, ["max_workspace is True", "None or an int"]),
    (ALL, {"max_workspace": "1M"}, TypeError, ["max_workspace is '1M'", "None or an int"]),
    (CONVOLUTIONS, {"algo": "im2col", "max_workspace": 1}, ValueError, ["max_workspace is 1"]),
]
ROWS = [
    pytest.param(function, changes, error, parts, id=f"{function}-{next(iter(changes))}-{i}")
    for i, (functions, changes, error, parts) in enumerate(BAD)
    for function in functions
]


@pytest.mark.parametrize("function", ALL)
def test_the_good_call_runs(function):
    getattr(convkit, function)(**GOOD[function])


@pytest.mark.parametrize(("function", "changes", "error", "parts"), ROWS)
def test_an_error_names_the_function_the_argument_and_the_rule(function, changes, error, parts):
    with pytest.raises(error) as caught:
        getattr(convkit, function)(**(GOOD[function] | changes))
    text = str(caught.value)
    assert text.startswith(f"{function}: ")
    for part in parts:
        assert part in text
    assert "\n" not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    ("function", "plain", "other"),
    [
        ("conv2d", {"flip_kernel": True}, {"flip_kernel": np.True_}),
        ("gram_matrix", {"normalize": True}, {"normalize": np.bool_(1)}),
        ("avg_pool2d", {"ceil_mode": True}, {"ceil_mode": np.True_}),
        ("max_pool2d", {"return_indices": True}, {"return_indices": np.True_}),
        ("conv2d", {"stride": (1, 2)}, {"stride": Lying([1, 2])}),
        ("conv2d", {"stride": 2}, {"stride": Shouting(2)}),
        ("conv2d", {"stride": 2}, {"stride": np.array(2)}),
        ("conv2d", {"max_workspace": 2**20}, {"max_workspace": Shouting(2**20)}),
        ("conv2d", {"max_workspace": 2**20}, {"max_workspace": np.uint32(2**20)}),
        (
            "conv2d",
            {"padding": ((1, 0), (2, 1))},
            {"padding": [[np.int8(1), 0], (2, np.uint64(1))]},
        ),
        ("conv2d", {"algo": "direct"}, {"algo": np.str_("direct")}),
        ("conv2d", {"layout": "NCHW"}, {"layout": np.str_("NCHW")}),
    ],
)
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_values_of_other_types_count_as_the_plain_ones(function, plain, other, backend):
    arrays = {
        name: np.random.default_rng(1).standard_normal(value.shape).astype(value.dtype)
        for name, value in GOOD[function].items()
        if isinstance(value, np.ndarray)
    }
    with testing.use_backend(backend):
        expected, result = (
            getattr(convkit, function)(**(GOOD[function] | arrays | changes))
            for changes in (plain, other)
        )
    assert type(result) is type(expected)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("flag", [True, np.True_])
def test_a_flag_is_no_number_even_where_the_same_number_went_before(flag):
    convkit.conv2d(X, W, stride=1, padding=(1, 1))
    for changes in ({"stride": flag}, {"padding": (1, flag)}, {"stride": 1.0}):
        with pytest.raises(TypeError, match=r"conv2d: (stride|padding) is "):
            convkit.conv2d(X, W, **({"stride": 1, "padding": (1, 1)} | changes))


@pytest.mark.parametrize("backend", ["simt", "reference"])
@pytest.mark.parametrize("function", ALL)
def test_every_backend_has_the_same_rules(function, backend):
    with testing.use_backend(backend), pytest.raises(ValueError, match="layout is 'CHWN'"):
        getattr(convkit, function)(**GOOD[function], layout="CHWN")


def result_of(function: str) -> np.ndarray:
    return getattr(convkit, function)(**GOOD[function])


@pytest.mark.parametrize("function", [name for name in ALL if name not in SEVERAL_RESULTS])
class TestOut:
    def call(self, function, out):
        return getattr(convkit, function)(**GOOD[function], out=out)

    def test_of_another_shape_is_refused(self, function):
        shape = result_of(function).shape
        out = np.zeros((*shape[:-1], shape[-1] + 1), np.float32)
        with pytest.raises(ValueError, match=re.escape(f"out.shape is {out.shape}, must be")):
            self.call(function, out)

    def test_of_another_type_is_refused(self, function):
        out = np.zeros(result_of(function).shape, np.float64)
        with pytest.raises(TypeError, match=r"out\.dtype is float64, must be float32"):
            self.call(function, out)

    def test_that_is_read_only_is_refused(self, function):
        out = np.zeros(result_of(function).shape, np.float32)
        out.flags.writeable = False
        with pytest.raises(ValueError, match="out is read-only"):
            self.call(function, out)

    def test_that_is_not_dense_is_refused(self, function):
        *sides, last = result_of(function).shape
        out = np.zeros((*sides, 2 * last), np.float32)[..., ::2]
        with pytest.raises(ValueError, match="out must be C-contiguous"):
            self.call(function, out)

    def test_that_is_no_array_is_refused(self, function):
        with pytest.raises(TypeError, match="out is"):
            self.call(function, [0.0])

    def test_that_shares_memory_with_an_input_is_refused(self, function):
        memory = np.zeros(50_000, np.float32)
        arguments = {}
        for name, value in GOOD[function].items():
            if isinstance(value, np.ndarray) and value.dtype == np.float32:
                value = memory[: value.size].reshape(value.shape)
            arguments[name] = value
        out = memory[: result_of(function).size].reshape(result_of(function).shape)
        with pytest.raises(ValueError, match="out shares memory with "):
            getattr(convkit, function)(**arguments, out=out)


def test_several_outs_are_checked_like_one():
    y, indices = convkit.max_pool2d(POOL, 2, return_indices=True)
    for out, given in [
        (y, "numpy.ndarray"),
        ([y, indices], "builtins.list"),
        ((), "a tuple of 0"),
        ((y, indices, y), "a tuple of 3"),
        (Mock(spec=tuple), "unittest.mock.Mock"),
    ]:
        with pytest.raises(TypeError, match=f"out is {given}, must be a tuple of 2 arrays"):
            convkit.max_pool2d(POOL, 2, return_indices=True, out=out)
    arrays = GOOD["batch_norm_grad"]
    grads = convkit.batch_norm_grad(**arrays)
    with pytest.raises(TypeError, match=r"out is .*tuple of 3 arrays"):
        convkit.batch_norm_grad(**arrays, out=grads[:2])
    with pytest.raises(ValueError, match=r"out\[2\] shares memory with out\[1\]"):
        convkit.batch_norm_grad(**arrays, out=(*grads[:2], grads[1]))
    with pytest.raises(TypeError, match=r"dtype is int32, must be int64"):
        convkit.max_pool2d(POOL, 2, return_indices=True, out=(y, indices.astype(np.int32)))


def test_out_of_memory_is_a_memory_error_and_the_next_call_works():
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 1, 1), np.float32)
    # 2**49 bytes are more than processors can address.
    with pytest.raises(MemoryError, match=r"^conv2d: no memory for the result: "):
        convkit.conv2d(x, w, padding=((2**23, 2**23), (2**22, 2**22)))
    with pytest.raises(MemoryError, match=r"^max_pool2d: no memory for a dense copy of x: "):
        convkit.max_pool2d(f(1, 1, 2**24, 2**23), 1, stride=2**23)
    with pytest.raises(MemoryError, match=r"^max_pool2d: no memory for a dense copy of x: "):
        convkit.max_pool2d(f(1, 1, 2**24, 2**23, dtype=">f4"), 1, stride=2**23)
    assert (convkit.conv2d(x, w) == 1).all()


def test_a_workspace_there_is_no_memory_for_is_named():
    x, w = np.zeros((1, 1, 9000, 9000), np.float32), np.zeros((1, 1, 8000, 8000), np.float32)
    needed = 8000**2 * 1001**2 * 4  # the columns; more than processors can address
    line = r"conv2d: no memory for the workspace of algorithm 'im2col' on cpu, (\d+) bytes"
    with pytest.raises(MemoryError, match=f"^{line}$") as text:
        convkit.conv2d(x, w, algo="im2col")
    assert int(str(text.value).split()[-2]) >= needed


def test_a_result_too_large_to_address_is_a_value_error():
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(ValueError, match=re.escape("2**50 bytes")):
        convkit.conv2d(x, w, padding=2**30)
