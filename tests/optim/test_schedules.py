"""Learning rates against torch's and numbers worked by hand."""

import numpy as np
import pytest

from convkit import Tensor
from convkit.optim import SGD, Adam, CosineLR, StepLR, WarmUp


def optimizer_of(*rates):
    groups = [{"params": [Tensor([1.0], requires_grad=True)], "lr": rate} for rate in rates]
    return SGD(groups)


def rates_of(schedule, steps):
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in schedule.optimizer.param_groups])
        schedule.step()
    return np.array(found)


TORCH = {
    "step": (
        lambda o: StepLR(o, 3, gamma=0.5),
        lambda s, o: s.StepLR(o, 3, gamma=0.5),
    ),
    "cosine": (
        lambda o: CosineLR(o, 9, least=0.01),
        lambda s, o: s.CosineAnnealingLR(o, 9, eta_min=0.01),
    ),
    "warm_up": (
        lambda o: WarmUp(o, 4, start=0.2),
        lambda s, o: s.LinearLR(o, start_factor=0.2, total_iters=4),
    ),
    "warm_up_and_cosine": (
        lambda o: WarmUp(CosineLR(o, 6), 4, start=0.25),
        lambda s, o: s.SequentialLR(
            o, [s.LinearLR(o, start_factor=0.25, total_iters=4), s.CosineAnnealingLR(o, 6)], [4]
        ),
    ),
    "warm_up_and_step": (
        lambda o: WarmUp(StepLR(o, 2), 4, start=0.25),
        lambda s, o: s.SequentialLR(
            o, [s.LinearLR(o, start_factor=0.25, total_iters=4), s.StepLR(o, 2)], [4]
        ),
    ),
}


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.filterwarnings("ignore")
def test_rates_are_those_of_torch(name):
    torch = pytest.importorskip("torch")
    ours, theirs = TORCH[name]
    schedule = ours(optimizer_of(0.1, 2.0))
    other = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": rate} for rate in (0.1, 2.0)])
    expected, their_schedule = [], theirs(torch.optim.lr_scheduler, other)
    for _ in range(10):
        expected.append([group["lr"] for group in other.param_groups])
        their_schedule.step()
    np.testing.assert_allclose(rates_of(schedule, 10), expected, rtol=1e-12, atol=1e-15)


def test_a_cosine_stays_at_its_end():
    rates = rates_of(CosineLR(optimizer_of(1.0), 2, least=0.5), 5)
    np.testing.assert_allclose(rates[:, 0], [1, 0.75, 0.5, 0.5, 0.5], rtol=1e-15)


def test_schedules_multiply():
    rates = rates_of(StepLR(CosineLR(optimizer_of(8.0), 2), 1, gamma=0.5), 3)
    np.testing.assert_allclose(rates[:, 0], [8, 2, 0], atol=1e-15)
    rates = rates_of(StepLR(StepLR(optimizer_of(64.0), 1, gamma=0.5), 2, gamma=0.25), 4)
    assert rates[:, 0].tolist() == [64, 32, 4, 2]
    rates = rates_of(StepLR(WarmUp(optimizer_of(8.0), 2), 1, gamma=0.5), 4)
    assert rates[:, 0].tolist() == [0, 2, 2, 1]


def test_a_restored_schedule_goes_on():
    def make(*rates):
        return WarmUp(CosineLR(optimizer_of(*rates), 7), 3)

    schedule = make(0.1, 2.0)
    rates_of(schedule, 5)
    kept = schedule.state_dict()
    other = make(9.0, 9.0)
    other.load_state_dict(kept)
    np.testing.assert_array_equal(rates_of(other, 5), rates_of(schedule, 5))
    assert kept["count"] == 5
    with pytest.raises(ValueError, match="WarmUp: state_dict has the rates of 2 groups, must be 1"):
        make(1.0).load_state_dict(kept)


def test_a_training_with_a_schedule_goes_on_with_the_same_bits():
    def training():
        w = Tensor(np.linspace(-1, 1, 7, dtype="f4"), requires_grad=True)
        optimizer = Adam([w], lr=0.1)
        return w, optimizer, WarmUp(CosineLR(optimizer, 8), 2)

    def go(w, optimizer, schedule, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            (w * w * w * w).sum().backward()
            optimizer.step()
            schedule.step()

    w, optimizer, schedule = training()
    go(w, optimizer, schedule, 3)
    kept = w.data.copy(), optimizer.state_dict(), schedule.state_dict()
    go(w, optimizer, schedule, 4)
    again, other, its_schedule = training()
    again.data[...] = kept[0]
    other.load_state_dict(kept[1])
    its_schedule.load_state_dict(kept[2])
    go(again, other, its_schedule, 4)
    assert again.data.tobytes() == w.data.tobytes()
    assert other.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]


REFUSED = {
    "step_size": (lambda o: StepLR(o, 0), "StepLR: step_size is 0, must be a whole number"),
    "gamma": (lambda o: StepLR(o, 1, gamma=0), "StepLR: gamma is 0, must be a number above 0"),
    "total": (lambda o: CosineLR(o, -1), "CosineLR: total is -1, must be a whole number"),
    "least": (lambda o: CosineLR(o, 1, least=-1), "CosineLR: least is -1, must be a number"),
    "steps": (lambda o: WarmUp(o, 0.5), "WarmUp: steps is 0.5, must be a whole number"),
    "start": (lambda o: WarmUp(o, 1, start=1), "WarmUp: start is 1, must be at least 0 and below"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_named(what):
    call, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        call(optimizer_of(1.0))


def test_what_is_no_optimizer_is_named():
    with pytest.raises(TypeError, match="StepLR: of is a list, must be an Optimizer or a Schedule"):
        StepLR([1], 1)
