"""What can be asked of a call without data."""

import re
from unittest.mock import Mock

import numpy as np
import pytest

import convkit


@pytest.mark.parametrize(
    ("op", "args", "kwargs", "shape"),
    [
        ("conv2d", ((1, 3, 227, 227), (96, 3, 11, 11)), {"stride": 4}, (1, 96, 55, 55)),
        ("conv2d", ((2, 7, 7, 8), (4, 3, 3, 8)), {"layout": "NHWC"}, (2, 5, 5, 4)),
        ("conv2d", ((1, 1, 5, 5), (1, 1, 4, 4)), {"padding": "same"}, (1, 1, 5, 5)),
        ("conv2d", ((1, 1, 5, 5), (1, 1, 4, 4)), {"padding": "full"}, (1, 1, 8, 8)),
        ("conv2d_input_grad", ((1, 4, 3, 3), (4, 2, 3, 3), (1, 2, 5, 5)), {}, (1, 2, 5, 5)),
        ("max_pool2d", ((1, 96, 55, 55), 3), {"stride": 2}, (1, 96, 27, 27)),
        ("gram_matrix", ((2, 5, 7, 3),), {}, (2, 5, 5)),
        ("im2col", ((2, 3, 5, 5), 2), {}, (2, 12, 16)),
        ("max_pool2d", ((2, 3, 8, 8), 2), {"return_indices": True}, ((2, 3, 4, 4), (2, 3, 4, 4))),
        ("conv2d", ([2, 3, 5, 5], np.array([1, 3, 2, 2])), {}, (2, 1, 4, 4)),
        ("conv2d", ((2, 3, 5, 5), (1, 3, 2, 2)), {"dtype": np.float64}, (2, 1, 4, 4)),
        ("conv2d", ((2, 3, 5, 5), (1, 3, 2, 2)), {"dtype": np.dtype("f4")}, (2, 1, 4, 4)),
    ],
)
def test_output_shape(op, args, kwargs, shape):
    assert convkit.output_shape(op, *args, **kwargs) == shape


XS, WS = (1, 4, 9, 9), (6, 4, 3, 3)
REFUSED = [
    ((XS, WS), {"groups": 3}, ValueError, "conv2d: groups is 3, must divide x's 4 channels"),
    ((XS, WS), {"strides": 2}, TypeError, "conv2d: got an unexpected keyword argument 'strides'"),
    ((XS, 5), {}, TypeError, "conv2d: w is 5, must be a shape: a tuple of ints"),
    ((XS, "abcd"), {}, TypeError, "conv2d: w is 'abcd', must be a shape"),
    ((XS, (6, 4, 3.0, 3)), {}, TypeError, "conv2d: w is (6, 4, 3.0, 3), must be a shape"),
    ((XS, (6, 4, True, 3)), {}, TypeError, "conv2d: w is (6, 4, True, 3), must be a shape"),
    ((np.ones(XS), WS), {}, TypeError, "conv2d: x is array([[[[1., "),
    (((2**70, 4, 9, 9), WS), {}, ValueError, f"conv2d: x is ({2**70}, 4, 9, 9), must have sides"),
    ((XS, (-1, 4, 3, 3)), {}, ValueError, "conv2d: w.shape[0] is -1, must be at least 1"),
    ((XS, WS), {"dtype": np.int32}, TypeError, "conv2d: x.dtype is int32, must be float32, "),
]


@pytest.mark.parametrize("query", ["output_shape", "conv2d_algorithms"])
@pytest.mark.parametrize(("shapes", "options", "error", "text"), REFUSED)
def test_queries_refuse_what_the_call_would_refuse(query, shapes, options, error, text):
    first = ("conv2d",) if query == "output_shape" else ()
    with pytest.raises(error, match=f"^{re.escape(text)}"):
        getattr(convkit, query)(*first, *shapes, **options)


def test_output_shape_refuses_a_call_that_lacks_a_shape():
    with pytest.raises(TypeError, match=r"^conv2d: missing a required argument: 'w'"):
        convkit.output_shape("conv2d", XS)


@pytest.mark.parametrize("dtype", ["float33", None, 5, object(), "f4,("])
def test_queries_refuse_what_is_no_dtype(dtype):
    for query, first in (("output_shape", ("conv2d",)), ("conv2d_algorithms", ())):
        with pytest.raises(TypeError, match=f"^{query}: dtype is .*, must be a dtype such as"):
            getattr(convkit, query)(*first, XS, WS, dtype=dtype)


@pytest.mark.parametrize(
    ("op", "error"),
    [("conv3d", ValueError), ([], TypeError), (np.ones(2), TypeError)],
)
def test_output_shape_refuses_what_is_no_op(op, error):
    with pytest.raises(error, match=r"^output_shape: op is .*, must be one of conv2d, "):
        convkit.output_shape(op, XS, WS)


@pytest.mark.parametrize("direction", ["fprop", "dgrad", "wgrad"])
def test_conv2d_algorithms_says_who_can_and_why_not(direction):
    told = dict(convkit.conv2d_algorithms((1, 4, 9, 9), (6, 4, 3, 3), direction=direction))
    assert list(told) == [
        row["name"] for row in convkit._native.algorithms("conv2d") if row["backend"] == "cpu"
    ]
    assert told["direct"] == ""
    assert "3" in told["1x1"]


@pytest.mark.parametrize(("direction", "error"), [("back", ValueError), ([], TypeError)])
def test_conv2d_algorithms_refuses_an_unknown_direction(direction, error):
    with pytest.raises(error, match=r"direction is .*, must be fprop, dgrad or wgrad"):
        convkit.conv2d_algorithms(XS, WS, direction=direction)


def test_queries_refuse_what_says_it_is_a_string():
    with pytest.raises(TypeError, match=r"^output_shape: op is <Mock"):
        convkit.output_shape(Mock(spec=str), XS, WS)
    with pytest.raises(TypeError, match=r"^conv2d_algorithms: direction is <Mock"):
        convkit.conv2d_algorithms(XS, WS, direction=Mock(spec=str))


def test_auto_takes_an_algorithm_that_can_run_the_problem():
    for shapes in [((1, 8, 9, 9), (4, 8, 3, 3)), ((1, 8, 9, 9), (8, 1, 3, 3))]:
        groups = shapes[0][1] // shapes[1][1]
        able = [n for n, why in convkit.conv2d_algorithms(*shapes, groups=groups) if not why]
        assert able


def test_bfloat16_needs_no_other_package_to_be_named():
    x, w = (1, 3, 8, 8), (4, 3, 3, 3)
    assert convkit.output_shape("conv2d", x, w, dtype="bfloat16") == (1, 4, 6, 6)
    assert all(not why for _, why in convkit.conv2d_algorithms(x, w, dtype="bfloat16")[1:])
