"""Bad calls: the error names the function, the argument, its value and the rule."""

import os
import re
from typing import Any

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
COLS, C6 = f(2, 54, 42), f(6)
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
}
CONVOLUTIONS = ("conv2d", "conv2d_input_grad", "conv2d_weight_grad")
POOLS = ("max_pool2d", "max_pool2d_grad", "avg_pool2d", "avg_pool2d_grad")
COLUMNS = ("im2col", "col2im")
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
    (POOLS, {"ceil_mode": 1}, TypeError, ["ceil_mode is 1", "True or False"]),
    (POOLS[2:], {"count_include_pad": None}, TypeError, ["count_include_pad is None"]),
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
            ([0.1], TypeError, ["[0.1]", "a number"]),
        )
    ),
    (("batch_norm",), {"momentum": 2}, ValueError, ["momentum is 2", "from 0 to 1"]),
    # types
    *(
        (having("x"), {"x": X.astype(dtype)}, TypeError, [f"x.dtype is {dtype}", "float32"])
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
    with pytest.raises(TypeError, match=r"out is .*tuple of 2 arrays"):
        convkit.max_pool2d(POOL, 2, return_indices=True, out=y)
    arrays = GOOD["batch_norm_grad"]
    grads = convkit.batch_norm_grad(**arrays)
    with pytest.raises(TypeError, match=r"out is .*tuple of 3 arrays"):
        convkit.batch_norm_grad(**arrays, out=grads[:2])
    with pytest.raises(ValueError, match=r"out\[2\] shares memory with out\[1\]"):
        convkit.batch_norm_grad(**arrays, out=(*grads[:2], grads[1]))
    with pytest.raises(TypeError, match=r"dtype is int32, must be int64"):
        convkit.max_pool2d(POOL, 2, return_indices=True, out=(y, indices.astype(np.int32)))


@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer ends the process instead"
)
def test_out_of_memory_is_a_memory_error_and_the_next_call_works():
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(MemoryError):  # 2**49 bytes are more than processors can address
        convkit.conv2d(x, w, padding=((2**23, 2**23), (2**22, 2**22)))
    assert (convkit.conv2d(x, w) == 1).all()


def test_a_result_too_large_to_address_is_a_value_error():
    x, w = np.ones((1, 1, 4, 4), np.float32), np.ones((1, 1, 1, 1), np.float32)
    with pytest.raises(ValueError, match=re.escape("2**50 bytes")):
        convkit.conv2d(x, w, padding=2**30)
