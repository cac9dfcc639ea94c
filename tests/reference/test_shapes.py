"""Geometry rules against values worked by hand and against brute force."""

import itertools

import pytest

from convkit.reference import shapes


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "dilation", "pads"),
    [
        (224, 3, 2, 1, (0, 1)),
        (7, 3, 1, 1, (1, 1)),
        (7, 2, 1, 1, (0, 1)),
        (7, 4, 1, 1, (1, 2)),
        (7, 3, 1, 2, (2, 2)),
        (6, 2, 3, 1, (0, 0)),
        (8, 5, 3, 1, (1, 2)),
        (1, 1, 1, 1, (0, 0)),
    ],
)
def test_same_pads(side, kernel, stride, dilation, pads):
    assert shapes.same_pads(side, kernel, stride, dilation) == pads


def test_same_gives_the_side_over_the_stride_rounded_up():
    for side, kernel, stride, dilation in itertools.product(range(1, 12), *[range(1, 5)] * 3):
        low, high = shapes.same_pads(side, kernel, stride, dilation)
        output = shapes.conv_side(side, kernel, stride, dilation, low, high)
        assert output == (side + stride - 1) // stride
        assert high - low in (0, 1)


def test_conv_side_counts_the_places_where_the_kernel_fits():
    for side, kernel, stride, dilation, low, high in itertools.product(
        range(1, 7), range(1, 4), range(1, 4), range(1, 3), range(3), range(3)
    ):
        reach = dilation * (kernel - 1)
        places = [at for at in range(-low, side + high - reach, 1) if (at + low) % stride == 0]
        if places:
            assert shapes.conv_side(side, kernel, stride, dilation, low, high) == len(places)
        else:
            with pytest.raises(ValueError, match="does not fit"):
                shapes.conv_side(side, kernel, stride, dilation, low, high)


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "low", "high", "ceil_mode", "output"),
    [
        (112, 3, 2, 0, 0, False, 55),
        (112, 3, 2, 0, 0, True, 56),
        (56, 3, 2, 0, 0, True, 28),
        (5, 2, 2, 0, 0, True, 3),
        (4, 2, 2, 1, 1, True, 3),
        (5, 2, 2, 1, 1, True, 3),  # a fourth window would start past the image
        (2, 3, 2, 0, 0, True, 1),
        (142, 3, 2, 0, 0, True, 71),
        (5, 2, 3, 0, 1, True, 2),
    ],
)
def test_pool_side(side, kernel, stride, low, high, ceil_mode, output):
    assert shapes.pool_side(side, kernel, stride, 1, low, high, ceil_mode) == output


def test_every_form_of_padding_names_four_sides():
    def around(padding):
        return shapes.pads(padding, (6, 7), (3, 2), (1, 1), (2, 3))

    assert around(0) == around("valid") == ((0, 0), (0, 0))
    assert around((1, 2)) == ((1, 1), (2, 2))
    assert around([[1, 2], [3, 4]]) == ((1, 2), (3, 4))
    assert around("full") == ((4, 4), (3, 3))
    assert around("same") == ((2, 2), (1, 2))
