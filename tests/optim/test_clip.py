"""Limits on gradients."""

import numpy as np
import pytest

from convkit import Tensor
from convkit.optim import clip_grad_norm, clip_grad_value


def with_grads(*grads, dtype="f4"):
    params = [Tensor(np.zeros_like(grad, dtype), requires_grad=True) for grad in grads]
    for param, grad in zip(params, grads, strict=True):
        param.grad = Tensor(np.array(grad, dtype))
    return [*params, Tensor([1.0], requires_grad=True)]


def test_the_norm_is_of_all_gradients_together():
    params = with_grads([3.0, 0.0], [[4.0]])
    arrays = [param.grad.data for param in params[:2]]
    assert clip_grad_norm(params, 10) == 5
    assert arrays[0].tolist() == [3, 0]  # short enough
    assert clip_grad_norm(params, 5) == 5
    assert arrays[0].tolist() == [3, 0]
    assert clip_grad_norm(params, 2.5) == 5
    assert arrays[0].tolist() == [1.5, 0]
    assert arrays[1].tolist() == [[2]]
    assert [param.grad.data is array for param, array in zip(params, arrays, strict=False)]


@pytest.mark.parametrize("limit", [0.1, 3.0, 1e3])
def test_torch_clips_alike(limit):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(5)
    grads = [rng.normal(size=(30, 1000)), rng.normal(size=7)]
    for ours, theirs in (
        (clip_grad_norm, torch.nn.utils.clip_grad_norm_),
        (clip_grad_value, torch.nn.utils.clip_grad_value_),
    ):
        params = with_grads(*grads)
        others = [torch.zeros(grad.shape) for grad in grads]
        for other, grad in zip(others, grads, strict=True):
            other.grad = torch.tensor(grad.astype("f4"))
        norm, expected = ours(params, limit), theirs(others, limit)
        if norm is not None:
            assert norm == pytest.approx(expected.item(), rel=1e-6)
        for param, other in zip(params, others, strict=False):
            assert param.grad.dtype == np.float32
            np.testing.assert_allclose(param.grad.data, other.grad.numpy(), rtol=2e-6)


def test_large_gradients_of_float32_have_a_length():
    params = with_grads([3e30, 4e30])
    assert clip_grad_norm(params, 1.0) == pytest.approx(5e30, rel=1e-6)
    np.testing.assert_allclose(params[0].grad.data, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_gradients_without_a_length_stay(bad):
    params = with_grads([1.0, bad])
    assert not np.isfinite(clip_grad_norm(params, 0.5))
    np.testing.assert_array_equal(params[0].grad.data, np.array([1, bad], "f4"))


def test_values_are_limited_on_both_sides():
    params = with_grads([-3.0, -0.5, 0.5, 3.0, np.nan])
    clip_grad_value(params, 1)
    np.testing.assert_array_equal(params[0].grad.data, [-1, -0.5, 0.5, 1, np.nan])


def test_limits_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="clip_grad_norm: max_norm is 0, must be a number above 0"):
        clip_grad_norm([], 0)
    with pytest.raises(ValueError, match="clip_grad_value: max_value is -1, must be a number"):
        clip_grad_value([], -1)
