"""Gram matrices and their gradient by every algorithm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convkit

from ..reference import worked
from . import strategies
from .properties import Properties
from .table import COMBINATIONS, accepted, check_every_algorithm, every_way

DIRECTIONS = st.sampled_from(["fprop", "dgrad"])


class TestProperties(Properties):
    op = "gram"


@strategies.examples(100)
@given(strategies.gram(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_cpu(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "cpu", dtype, seed)


@strategies.examples(40)
@given(strategies.gram(), DIRECTIONS, strategies.DTYPES, strategies.SEEDS)
def test_random_geometries_on_simt(problem, direction, dtype, seed):
    check_every_algorithm(problem, direction, "simt", dtype, seed)


def in_layout(x, dtype, layout):
    x = x.astype(dtype)
    return x if layout == "NCHW" else np.ascontiguousarray(x.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(("dtype", "layout"), COMBINATIONS)
@pytest.mark.parametrize("way", every_way("gram", "fprop"))
class TestWorkedNumbers:
    @pytest.mark.parametrize(
        ("features", "expected"),
        [(worked.GENERATED, worked.GENERATED_GRAM), (worked.STYLE, worked.STYLE_GRAM)],
    )
    def test_gram(self, way, dtype, layout, features, expected):
        x = in_layout(features, dtype, layout)
        got = accepted(convkit.gram_matrix, way, x, layout=layout)
        np.testing.assert_array_equal(got, expected.astype(dtype), strict=True)
        normalized = accepted(convkit.gram_matrix, way, x, True, layout=layout)
        np.testing.assert_array_equal(normalized, (expected / 8).astype(dtype), strict=True)

    def test_symmetric_to_the_bit(self, way, dtype, layout):
        x = in_layout(np.random.default_rng(0).normal(size=(2, 37, 9, 7)), dtype, layout)
        got = accepted(convkit.gram_matrix, way, x, layout=layout)
        np.testing.assert_array_equal(got, got.swapaxes(1, 2))


@pytest.mark.parametrize(("dtype", "layout"), COMBINATIONS)
@pytest.mark.parametrize("way", every_way("gram", "dgrad"))
def test_worked_gradient(way, dtype, layout):
    x = in_layout(worked.GENERATED, dtype, layout)
    got = accepted(convkit.gram_matrix_grad, way, worked.GRAM_GRAD.astype(dtype), x, layout=layout)
    expected = in_layout(worked.GRAM_INPUT_GRAD, dtype, layout)
    np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize("way", every_way("gram", "dgrad"))
def test_worked_style_cost_and_gradient(way):
    gram = [
        accepted(convkit.gram_matrix, (way[0], "auto"), x) for x in (worked.GENERATED, worked.STYLE)
    ]
    difference, scale = gram[0] - gram[1], 16.0**2
    assert (difference**2).sum() / scale == worked.STYLE_COST
    got = accepted(convkit.gram_matrix_grad, way, 2 * difference / scale, worked.GENERATED)
    np.testing.assert_array_equal(got, worked.STYLE_GRADIENT)
