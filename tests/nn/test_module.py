"""Modules: names, state, modes, what is refused."""

import numpy as np
import pytest

import convkit
from convkit import Tensor, nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.parts = nn.ModuleList([nn.Linear(4, 3, bias=False), nn.Identity()])
        self.scale = nn.Parameter(np.ones(3, "f4"))

    def forward(self, x):
        x = convkit.global_avg_pool2d(self.body(x)).flatten(1)
        for part in self.parts:
            x = part(x)
        return x * self.scale


def images(n=2):
    return np.random.default_rng(0).standard_normal((n, 1, 6, 5)).astype("f4")


def test_names_are_torchs():
    assert list(Net().state_dict()) == [
        "scale",
        "body.0.weight",
        "body.0.bias",
        "body.1.weight",
        "body.1.bias",
        "body.1.running_mean",
        "body.1.running_var",
        "body.1.num_batches_tracked",
        "parts.0.weight",
    ]
    names = [name for name, _ in Net().named_modules()]
    assert names == ["", "body", "body.0", "body.1", "body.2", "parts", "parts.0", "parts.1"]
    assert Net().count() == 3 + 40 + 8 + 12


def test_state_goes_from_one_network_to_another():
    nn.manual_seed(1)
    first, second = Net(), Net()
    x = Tensor(images())
    first(x)  # moves running statistics
    assert not np.array_equal(first.eval()(x).data, second.eval()(x).data)
    assert second.load_state_dict(first.state_dict()) == ([], [])
    np.testing.assert_array_equal(first(x).data, second(x).data)
    first.body[0].weight.data[...] = 0
    assert second.body[0].weight.data.any()  # copied, not shared


def test_states_that_do_not_fit_change_nothing():
    net = Net()
    before = {name: array.copy() for name, array in net.state_dict().items()}
    state = {name: array + 1 for name, array in before.items()}
    state["parts.0.weight"] = np.zeros((4, 4), "f4")
    with pytest.raises(ValueError, match=r"parts.0.weight.shape is \(4, 4\), must be \(3, 4\)"):
        net.load_state_dict(state)
    del state["parts.0.weight"]
    with pytest.raises(ValueError, match=r"missing parts\.0\.weight; unexpected more"):
        net.load_state_dict({**state, "more": np.ones(1)})
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    found = net.load_state_dict({**state, "more": np.ones(1)}, strict=False)
    assert found == (["parts.0.weight"], ["more"])
    np.testing.assert_array_equal(net.scale.data, before["scale"] + 1)


def test_modes_reach_all_parts():
    net = Net()
    assert net.body[1].training
    net.eval()
    assert not any(one.training for one in net.modules())
    mean = net.body[1].running_mean.copy()
    net(Tensor(images()))
    np.testing.assert_array_equal(net.body[1].running_mean, mean)
    assert net.body[1].num_batches_tracked == 0
    net.train()
    net(Tensor(images()))
    assert not np.array_equal(net.body[1].running_mean, mean)
    assert net.body[1].num_batches_tracked == 1


def test_frozen_parts_get_no_gradient():
    net = Net()
    net.body.requires_grad_(False)
    net(Tensor(images())).sum().backward()
    assert all(one.grad is None for one in net.body.parameters())
    assert net.scale.grad is not None
    net.zero_grad()
    assert net.scale.grad is None


def test_hooks_see_results_and_may_change_them():
    net, seen = Net(), []
    remove = net.body.register_forward_hook(lambda m, args, y: seen.append(y.shape))
    net.register_forward_hook(lambda m, args, y: y * 0)
    assert not net(Tensor(images())).data.any()
    assert seen == [(2, 4, 6, 5)]
    remove()
    net(Tensor(images()))
    assert len(seen) == 1


def test_shared_parts_count_once():
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert net.count() == 12
    assert len(list(net.parameters())) == 2


def test_another_dtype():
    net = Net().astype("f8")
    y = net(Tensor(images().astype("f8")))
    assert y.dtype == np.float64
    assert net.body[1].num_batches_tracked.dtype == np.int64


def test_a_parameter_stays_one():
    net = Net()
    with pytest.raises(TypeError, match="scale is ndarray, must be Parameter or None"):
        net.scale = np.ones(3)
    net.scale = None
    assert "scale" not in net.state_dict()
    with pytest.raises(AttributeError, match="Net has no attribute 'tail'"):
        _ = net.tail

    class Early(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter(np.ones(1))

    with pytest.raises(RuntimeError, match=r"call super\(\).__init__\(\) first"):
        Early()
    with pytest.raises(TypeError, match="part 1 is int, must be a Module"):
        nn.Sequential(nn.ReLU(), 3)
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


def test_a_sequence_can_be_cut():
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))
    head = net[:2]
    x = Tensor(np.ones((1, 4), "f4"))
    np.testing.assert_array_equal(net[2](head(x)).data, net(x).data)
    assert len(net) == 3
    assert [type(one).__name__ for one in net] == ["Linear", "Tanh", "Linear"]
    assert "Linear(4, 2)" in repr(net)
