"""Training and losses on a device's arrays, by a stand-in for CuPy where there is no GPU."""

import numpy as np
import pytest

from convkit import Tensor
from convkit.nn import losses
from convkit.optim import LBFGS, SGD, Adam, AdamW, clip_grad_norm, clip_grad_value

from .. import standin

VALUES = np.random.default_rng(6).normal(size=(4, 3)).astype("f4")
LABELS = [0, 0, 1, 1]
OPTIMIZERS = {
    "sgd": lambda params: SGD(params, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "coupled": lambda params: SGD(params, lr=0.1, momentum=0.9, coupled=True),
    "adam": lambda params: Adam(params, lr=0.1, weight_decay=0.1),
    "adamw": lambda params: AdamW(params, lr=0.1),
    "lbfgs": lambda params: LBFGS(params, max_iter=4),
}
LOSSES = {
    "bce": lambda x: losses.binary_cross_entropy_with_logits(x, VALUES > 0),
    "mse": lambda x: losses.mse_loss(x, VALUES * 2),
    "batch_hard": lambda x: losses.batch_hard_loss(x, LABELS),
    "batch_soft": lambda x: losses.batch_hard_loss(x, LABELS, margin=None),
    "contrastive": lambda x: losses.contrastive_loss(x, VALUES[::-1].copy(), LABELS),
    "triplet": lambda x: losses.triplet_loss(x, VALUES + 1, VALUES * 2),
    "mined": lambda x: losses.triplet_loss(
        *(x[one] for one in losses.semi_hard_triplets(x, LABELS)), margin=3.0
    ),
    "chi_square": lambda x: losses.verification_logits(
        x * x, VALUES * 0, x[0], 0.5, similarity="chi_square"
    ).sum(),
    "content": lambda x: losses.content_loss(x.reshape(1, 1, 4, 3), 2 * VALUES[None, None]),
    "variation": lambda x: losses.total_variation(x.reshape(1, 2, 2, 3), "absolute"),
}


def on_both(monkeypatch):
    cupy = standin.install(monkeypatch)
    return [Tensor(place(VALUES), requires_grad=True) for place in (np.array, cupy.array)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_device_trains_to_the_same_bits(monkeypatch, name):
    ends = []
    for w in on_both(monkeypatch):
        make = OPTIMIZERS[name]
        optimizer = make([w])

        def closure(w=w):
            w.grad = None
            loss = ((w * w - 1) ** 2).sum()
            loss.backward()
            clip_grad_norm([w], 2.0)
            clip_grad_value([w], 1.5)
            return loss

        for _ in range(3):
            optimizer.step(closure)
        kept = optimizer.state_dict()
        for state in kept["state"].values():
            assert {type(value) for value in state.values()} <= {np.ndarray, int}
        again = make([w])
        again.load_state_dict(kept)
        again.step(closure)
        ends.append(w)
    assert type(ends[1].data) is standin.Array
    assert ends[1].numpy().tobytes() == ends[0].numpy().tobytes()
    assert not np.array_equal(ends[0].data, VALUES)


@pytest.mark.parametrize("name", LOSSES)
def test_a_device_has_the_same_losses(monkeypatch, name):
    found = []
    for x in on_both(monkeypatch):
        loss = LOSSES[name](x)
        loss.backward()
        found.append((loss.numpy(), x.grad.numpy()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
    assert found[0][1].any()


def test_an_infinite_loss_has_the_gradient_of_its_elements(monkeypatch):
    for x in on_both(monkeypatch):
        x.data[...] = 0
        with np.errstate(divide="ignore"):
            loss = x.log().sum()
            loss.backward()
        assert loss.item() == -np.inf
        assert (x.grad.numpy() == np.inf).all()
