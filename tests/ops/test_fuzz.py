"""Whatever is passed, a call ends in a result of the right shape or in a clear error."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convkit
from convkit import reference, testing
from convkit.testing.memory import guard, guards_broken

from . import strategies
from .test_errors import ADAPTIVE, CONVOLUTIONS, GOOD, LOSS, LRN, POOLS

# Sizes in between would be legal and only cost memory.
NUMBERS = st.sampled_from([0, 1, 1, 2, 2, 3, 4, -1, 2**31, 2**32, 2**62, 2**63, 2**64, -(2**63)])
ODD = st.sampled_from([None, True, 1.0, float("nan"), "same", "x", b"1", [], {}, object(), 1j])
VALUES = st.recursive(
    NUMBERS | ODD, lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=4), max_leaves=4
)
PARAMETERS = {
    function: ["stride", "padding", "layout", "algo", *more]
    for functions, more in (
        (CONVOLUTIONS, ["dilation", "groups", "flip_kernel"]),
        (POOLS, ["kernel_size", "ceil_mode"]),
        (("im2col", "col2im"), ["kernel_size", "dilation"]),
    )
    for function in functions
}
PARAMETERS |= {"gram_matrix": ["normalize", "layout"], "gram_matrix_grad": ["normalize", "layout"]}
PARAMETERS |= {name: ["layout", "algo", *{"output_size"} & GOOD[name].keys()] for name in ADAPTIVE}
PARAMETERS |= {
    "conv2d_bias_grad": ["layout", "algo"],
    "batch_norm": ["eps", "momentum", "training", "activation", "return_stats", "layout", "algo"],
    "batch_norm_grad": ["training", "layout", "algo"],
}
PARAMETERS |= {name: ["size", "alpha", "beta", "k", "layout", "algo"] for name in LRN}
PARAMETERS |= {
    name: ["label_smoothing", "reduction", "ignore_index", "layout", "algo"] for name in LOSS
}


def check_call(function: str, arguments: dict[str, Any]) -> None:
    """The shape that the reference gives, or an error that starts with the function's name."""
    try:
        result, message = getattr(convkit, function)(**arguments), ""
    except (ValueError, TypeError) as error:
        result, message = None, str(error)
    if result is None:
        assert message.startswith(f"{function}: "), message
    else:
        arguments.pop("algo", None)
        with np.errstate(all="ignore"):
            expected = getattr(reference, function)(**arguments)
        assert shapes_of(result) == shapes_of(expected)


def shapes_of(result: Any) -> list[tuple[int, ...]]:
    return [one.shape for one in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.parametrize("function", GOOD)
def test_any_parameters_end_in_a_result_or_a_clear_error(function):
    names = st.sampled_from([n for n in (*PARAMETERS[function], "x_shape", "w_shape")])

    @strategies.examples(150)
    @given(st.dictionaries(names, VALUES, min_size=1, max_size=3))
    def check(changes: dict[str, Any]) -> None:
        changes = {
            name: value
            for name, value in changes.items()
            if name in GOOD[function] or name in PARAMETERS[function]
        }
        check_call(function, GOOD[function] | changes)

    check()


@strategies.examples(150)
@given(st.data())
def test_any_shapes_of_arrays_end_in_a_result_or_a_clear_error(data):
    function = data.draw(st.sampled_from(list(GOOD)))
    arguments = {}
    for name, value in GOOD[function].items():
        if isinstance(value, np.ndarray) and data.draw(st.booleans()):
            shape = data.draw(st.lists(st.integers(0, 4), max_size=5))
            value = np.ones(shape, value.dtype)
        arguments[name] = value
    check_call(function, arguments)


@pytest.mark.parametrize("backend", ["cpu", "simt"])
@pytest.mark.parametrize("index", [-(2**63), -5, -1, 16, 17, 2**31, 2**63 - 1])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_indices_of_no_pixel_write_nowhere(backend, index, layout):
    shape, pooled = (
        ((1, 3, 4, 4), (1, 3, 2, 2)) if layout == "NCHW" else ((1, 4, 4, 3), (1, 2, 2, 3))
    )
    for row in testing.algorithms("pool2d", backend):
        memory, out = guard(shape, np.float32)
        indices = np.full(pooled, index)
        with testing.use_backend(backend):
            try:
                convkit.max_pool2d_grad(
                    np.ones(pooled, np.float32),
                    indices,
                    shape,
                    2,
                    layout=layout,
                    algo=row["name"],
                    out=out,
                )
            except ValueError:
                continue
        assert (out == 0).all()
        assert not guards_broken(memory, out)
