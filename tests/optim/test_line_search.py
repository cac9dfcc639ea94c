"""The line search along functions of one number, and along scripts of what it is told."""

import math

import pytest

from convkit.optim.line_search import Point, strong_wolfe


def search(function, t=1.0, most=25, width=1e-12):
    """function: from t to (loss, slope). Returns the end, and all lengths tried."""
    tried = []

    def at(t):
        tried.append(t)
        return Point(t, *_loss_and_slope(function, t))

    end, count = strong_wolfe(
        at, Point(0.0, *_loss_and_slope(function, 0.0)), t, most=most, width=width
    )
    assert count == len(tried) <= most
    return end, tried


def _loss_and_slope(function, t):
    loss, slope = function(t)
    return loss, None, slope


def scripted(*answers):
    """After the start, with loss 0 and slope -1, the answers in turn, whatever the length."""
    left = iter([(0.0, -1.0), *answers])
    return lambda t: next(left)


def _exp(x):
    return math.exp(min(x, 700.0))


FUNCTIONS = {
    "parabola": lambda t: ((t - 3) ** 2, 2 * (t - 3)),
    "quartic": lambda t: ((t - 0.01) ** 4, 4 * (t - 0.01) ** 3),
    "far": lambda t: ((t / 100 - 1) ** 2, (t / 100 - 1) / 50),
    "waves": lambda t: (-math.sin(9 * t) / 9 - 0.3 * t, -math.cos(9 * t) - 0.3),
    "wall": lambda t: (_exp(20 * t) - 25 * t, 20 * _exp(20 * t) - 25),
    "barrier": lambda t: (
        (-t - math.log(1 - t) / 2, -1 + 0.5 / (1 - t)) if t < 1 else (math.nan, math.nan)
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("t", [1e-3, 1.0, 50.0])
def test_the_end_satisfies_both_conditions(name, t):
    function = FUNCTIONS[name]
    end, tried = search(function, t)
    loss, slope = function(0.0)
    assert end.loss <= loss + 1e-4 * end.t * slope
    assert abs(end.slope) <= 0.9 * abs(slope)
    assert (end.loss, end.slope) == function(end.t)
    assert end.t in tried


def test_a_loss_that_rises_again_bounds_the_search():
    # The second length is worse than the first, though it fell enough and still falls.
    _, tried = search(scripted((-0.5, -0.95), (-0.4, -0.95), (-0.6, 0.0)))
    assert tried[0] < tried[2] < tried[1]


def test_twice_at_an_edge_the_search_moves_inward():
    # The cubic puts its minimum beside 0 each time.
    _, tried = search(scripted((1e6, 1e6), (1e3, 1e9), (-0.1, 0.0)))
    assert tried[1] < 0.1
    assert tried[2] == pytest.approx(0.1 * tried[1])


def test_a_straight_line_is_followed_to_the_last_evaluation():
    end, tried = search(lambda t: (-t, -1.0), most=6)
    assert len(tried) == 6
    assert end.t == max(tried) > 1000


def test_without_anything_lower_it_stays():
    end, _ = search(lambda t: (0.0, -1.0) if t == 0 else (1.0 + t, 1.0), most=8)
    assert end.t == 0
