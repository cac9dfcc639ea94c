"""The adaptive references against loops over pixels, adjoints and hand-counted windows."""

import numpy as np
import pytest

from convkit import reference
from convkit.reference import adaptive_pool2d

RNG = np.random.default_rng(1)
SIZES = [
    ((13, 13), (6, 6)),
    ((20, 17), (6, 5)),
    ((3, 4), (7, 4)),
    ((1, 5), (1, 1)),
    ((2, 1), (2, 9)),
]


def holds(pixel, window, side, windows):
    """Whether pixel [pixel, pixel + 1) and the window's share of the side have a part in common."""
    return window * side < (pixel + 1) * windows and (window + 1) * side > pixel * windows


def pixels_of(p, q, sides, output):
    return [
        (h, w)
        for h, w in np.ndindex(*sides)
        if holds(h, p, sides[0], output[0]) and holds(w, q, sides[1], output[1])
    ]


@pytest.mark.parametrize(
    ("side", "windows", "ends"),
    [
        (13, 6, [(0, 3), (2, 5), (4, 7), (6, 9), (8, 11), (10, 13)]),
        (17, 5, [(0, 4), (3, 7), (6, 11), (10, 14), (13, 17)]),
        (6, 3, [(0, 2), (2, 4), (4, 6)]),
        (2, 3, [(0, 1), (0, 2), (1, 2)]),
        (1, 2, [(0, 1), (0, 1)]),
    ],
)
def test_windows_begin_and_end_where_the_formula_says(side, windows, ends):
    found = adaptive_pool2d.ranges(side, windows)
    assert [(one.start, one.stop) for one in found] == ends


@pytest.mark.parametrize(("sides", "output"), SIZES)
def test_pools_agree_with_a_loop_over_pixels(sides, output):
    x = RNG.integers(-3, 4, (2, 3, *sides)).astype(float)  # many ties
    largest, indices = reference.adaptive_max_pool2d(x, output, return_indices=True)
    mean = reference.adaptive_avg_pool2d(x, output)
    for p, q in np.ndindex(*output):
        places = pixels_of(p, q, sides, output)
        values = np.stack([x[:, :, h, w] for h, w in places], -1)
        numbers = np.array([h * sides[1] + w for h, w in places])
        np.testing.assert_array_equal(largest[:, :, p, q], values.max(-1))
        np.testing.assert_array_equal(indices[:, :, p, q], numbers[values.argmax(-1)])
        # The same float64 terms in another order.
        np.testing.assert_allclose(mean[:, :, p, q], values.sum(-1) / len(places), rtol=1e-14)


@pytest.mark.parametrize(("sides", "output"), SIZES)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_gradients_are_adjoints(sides, output, layout):
    """Of the average, and of the maximum as the choice of pixels that it made."""
    x, grad_y = RNG.standard_normal((2, 3, *sides)), RNG.standard_normal((2, 3, *output))
    if layout == "NHWC":
        x, grad_y = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (x, grad_y))
    option = {"layout": layout}
    y = reference.adaptive_avg_pool2d(x, output, **option)
    grad_x = reference.adaptive_avg_pool2d_grad(grad_y, x.shape, **option)
    assert (grad_x * x).sum() == pytest.approx((grad_y * y).sum(), rel=1e-12)
    y, chosen = reference.adaptive_max_pool2d(x, output, return_indices=True, **option)
    grad_x = reference.adaptive_max_pool2d_grad(grad_y, chosen, x.shape, **option)
    assert (grad_x * x).sum() == pytest.approx((grad_y * y).sum(), rel=1e-12)


def test_an_index_outside_its_window_takes_no_gradient():
    grad_y = np.array([[[[1.0, 2.0, 4.0]]]])
    indices = np.array([[[[0, 3, 1]]]])  # of 4 pixels to 3 windows: 0-1, 1-2, 2-3
    grad_x = reference.adaptive_max_pool2d_grad(grad_y, indices, (1, 1, 1, 4))
    assert grad_x.ravel().tolist() == [1.0, 0.0, 0.0, 0.0]
