"""What can be asked of a call without data."""

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
    ],
)
def test_output_shape(op, args, kwargs, shape):
    assert convkit.output_shape(op, *args, **kwargs) == shape


def test_output_shape_refuses_what_the_call_would_refuse():
    with pytest.raises(ValueError, match="groups is 2, must divide x's 3 channels"):
        convkit.output_shape("conv2d", (1, 3, 8, 8), (4, 3, 3, 3), groups=2)
    with pytest.raises(ValueError, match="op is 'conv3d', must be one of conv2d, "):
        convkit.output_shape("conv3d", (1, 3, 8, 8), (4, 3, 3, 3))


@pytest.mark.parametrize("direction", ["fprop", "dgrad", "wgrad"])
def test_conv2d_algorithms_says_who_can_and_why_not(direction):
    told = dict(convkit.conv2d_algorithms((1, 4, 9, 9), (6, 4, 3, 3), direction=direction))
    assert list(told) == [
        row["name"] for row in convkit._native.algorithms("conv2d") if row["backend"] == "cpu"
    ]
    assert told["direct"] == ""
    assert "3" in told["1x1"]


def test_conv2d_algorithms_refuses_an_unknown_direction():
    with pytest.raises(ValueError, match="direction is 'back', must be fprop, dgrad or wgrad"):
        convkit.conv2d_algorithms((1, 4, 9, 9), (6, 4, 3, 3), direction="back")


def test_auto_takes_an_algorithm_that_can_run_the_problem():
    for shapes in [((1, 8, 9, 9), (4, 8, 3, 3)), ((1, 8, 9, 9), (8, 1, 3, 3))]:
        groups = shapes[0][1] // shapes[1][1]
        able = [n for n, why in convkit.conv2d_algorithms(*shapes, groups=groups) if not why]
        assert able
