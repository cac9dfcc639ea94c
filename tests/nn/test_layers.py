"""Layers against their definitions, torch's layers and differences."""

import numpy as np
import pytest

import convkit
from convkit import Tensor, nn
from convkit.autograd import gradcheck
from convkit.models.lenet import C3_TABLE, digit_codes, rbf_loss

RNG = np.random.default_rng(0)


def images(*shape):
    return Tensor(RNG.standard_normal(shape), requires_grad=True)


LAYERS = {
    "Conv2d": (lambda: nn.Conv2d(4, 6, 3, 2, 1, groups=2), (2, 4, 5, 6)),
    "Conv2d_circular": (lambda: nn.Conv2d(2, 3, 3, 1, 1, padding_mode="circular"), (1, 2, 4, 4)),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2), (2, 4, 3, 4)),
    "Linear": (lambda: nn.Linear(5, 3), (4, 5)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), (4, 3, 2, 3)),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, 2, 1), (2, 3, 5, 5)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((2, 3)), (2, 3, 5, 4)),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3, alpha=2.0), (2, 5, 2, 2)),
    "Tanh": (nn.Tanh, (3, 4)),
    "Sigmoid": (nn.Sigmoid, (3, 4)),
    "ReLU": (nn.ReLU, (3, 4)),
    "ReLU6": (nn.ReLU6, (3, 4)),
    "PReLU": (lambda: nn.PReLU(3), (2, 3, 2, 2)),
    "Flatten": (nn.Flatten, (2, 3, 2, 2)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), (2, 2, 6, 5)),
}
OWN = {
    "ScaledTanh": (nn.ScaledTanh, (3, 4)),
    "Subsampling": (lambda: nn.Subsampling(3), (2, 3, 4, 4)),
    "TableConv2d": (lambda: nn.TableConv2d(3, [(0, 1), (2,), (0, 1, 2)], 2), (2, 3, 3, 4)),
    "RBF": (lambda: nn.RBF(RNG.choice([-1, 1], (4, 6))), (3, 6)),
    "L2Normalize": (nn.L2Normalize, (3, 4)),
    "L2Pool2d": (lambda: nn.L2Pool2d(3, 2, 1), (1, 2, 5, 5)),
    "LocallyConnected2d": (lambda: nn.LocallyConnected2d(2, 3, (4, 5), 2, 1), (2, 2, 4, 5)),
}


@pytest.mark.parametrize("name", [*LAYERS, *OWN])
def test_gradients_are_those_of_differences(name):
    make, shape = (LAYERS | OWN)[name]
    layer = make().astype("f8")
    x = images(*shape)
    inputs = [x, *layer.parameters()]
    assert gradcheck(lambda x, *_: layer(x), [x])
    names = [name for name, _ in layer.named_parameters()]

    def run(*values):
        for name, value in zip(names, values[1:], strict=True):
            layer._parameters[name] = value
        return layer(values[0])

    assert gradcheck(run, inputs)


@pytest.mark.parametrize("name", [n for n in LAYERS if n != "Flatten"])
def test_layers_do_what_torchs_do(name):
    torch = pytest.importorskip("torch")
    make, shape = LAYERS[name]
    layer = make()
    arguments = {
        "Conv2d": lambda t: t.Conv2d(4, 6, 3, 2, 1, groups=2),
        "Conv2d_circular": lambda t: t.Conv2d(2, 3, 3, 1, 1, padding_mode="circular"),
        "ConvTranspose2d": lambda t: t.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2),
        "Linear": lambda t: t.Linear(5, 3),
        "BatchNorm2d": lambda t: t.BatchNorm2d(3),
        "AvgPool2d": lambda t: t.AvgPool2d(3, 2, 1),
        "AdaptiveAvgPool2d": lambda t: t.AdaptiveAvgPool2d((2, 3)),
        "LocalResponseNorm": lambda t: t.LocalResponseNorm(3, alpha=2.0),
        "PReLU": lambda t: t.PReLU(3),
        "MaxPool2d": lambda t: t.MaxPool2d(3, 2, 1, ceil_mode=True),
    }
    peer = arguments.get(name, lambda t: getattr(t, name)())(torch.nn)
    layer.load_state_dict(peer.state_dict())
    x = (3 * RNG.standard_normal(shape)).astype("f4")
    for mode in (True, False):
        layer.train(mode), peer.train(mode)
        y, wanted = layer(Tensor(x)), peer(torch.from_numpy(x)).detach().numpy()
        # Float32 on both sides, sums of up to 36 terms in different orders.
        np.testing.assert_allclose(y.data, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["Conv2d", "Linear", "ConvTranspose2d"])
def test_first_values_have_torchs_spread(name):
    torch = pytest.importorskip("torch")
    sizes = {"Linear": (300, 200), "Conv2d": (40, 60, 3), "ConvTranspose2d": (40, 60, 3)}[name]
    layer, peer = getattr(nn, name)(*sizes), getattr(torch.nn, name)(*sizes)
    for ours, theirs in zip(layer.parameters(), peer.parameters(), strict=True):
        wanted = theirs.detach().numpy()
        assert abs(np.abs(ours.data).max() / np.abs(wanted).max() - 1) < 0.1
        assert ours.dtype == wanted.dtype


def test_scaled_tanh_has_the_papers_values():
    y = nn.ScaledTanh()(Tensor([1.0, 0.5, -1.0])).data
    wanted = [0.9999972559224791, 0.5516837063305313, -0.9999972559224791]
    # The document's digits; the product by 1.7159 rounds once more.
    np.testing.assert_allclose(y, wanted, rtol=1e-15)


def test_the_table_of_c3_is_a_convolution_with_holes():
    layer = nn.TableConv2d(6, C3_TABLE, 5)
    assert layer.count() == 1516
    x = RNG.standard_normal((1, 6, 7, 7)).astype("f4")
    y, at = layer(Tensor(x)), 0
    for k, channels in enumerate(C3_TABLE):
        own = layer.weight.data[at : at + len(channels)][None]
        at += len(channels)
        alone = convkit.conv2d(x[:, list(channels)], own, layer.bias.data[k : k + 1])
        # The holes are zeros that are added up too.
        np.testing.assert_allclose(y.data[:, k], alone[:, 0], rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="names channel 6, must be from 0 to 5"):
        nn.TableConv2d(6, [(0, 6)], 5)


def test_digits_are_different_bitmaps():
    codes = digit_codes()
    assert codes.shape == (10, 84)
    assert set(np.unique(codes)) == {-1.0, 1.0}
    distances = ((codes[:, None] - codes[None]) ** 2).sum(axis=2)
    assert distances[~np.eye(10, dtype=bool)].min() >= 4 * 4  # four pixels at least


def test_rbf_loss_is_the_papers():
    y = np.array([[1.0, 2.0], [0.5, 3.0]])
    wanted = np.mean(
        [
            1 + np.log(np.exp(-0.1) + np.exp(-1) + np.exp(-2)),
            3 + np.log(np.exp(-0.1) + np.exp(-0.5) + np.exp(-3)),
        ]
    )
    assert rbf_loss(Tensor(y), np.array([0, 1])).item() == pytest.approx(wanted, rel=1e-14)
    assert rbf_loss(Tensor(y), np.array([0, 1]), rubbish=None).item() == 2.0


def test_a_local_layer_with_equal_filters_is_a_convolution():
    layer = nn.LocallyConnected2d(2, 3, (5, 4), 2, 1)
    w = RNG.standard_normal((3, 2, 2, 2)).astype("f4")
    layer.weight.data[...] = w.reshape(1, 3, -1)
    layer.bias.data[...] = 0
    x = RNG.standard_normal((2, 2, 5, 4)).astype("f4")
    # The same eight products a pixel in float32, added by a matrix product in another order.
    np.testing.assert_allclose(layer(Tensor(x)).data, convkit.conv2d(x, w), rtol=1e-5, atol=1e-5)


def test_l2_pools_of_nothing_are_nothing():
    x = Tensor(np.zeros((1, 1, 4, 4)), requires_grad=True)
    y = nn.L2Pool2d(2)(x)
    assert y.data.max() < 1e-100
    y.sum().backward()
    assert not x.grad.data.any()
    three = Tensor(np.full((1, 1, 2, 2), 3.0))
    # A mean times four, then a root: the last bit may differ from 6.
    np.testing.assert_allclose(nn.L2Pool2d(2)(three).data, 6.0)


def test_unit_vectors():
    z = nn.L2Normalize()(Tensor(np.array([[3.0, 4.0], [0.0, 0.0]]))).data
    # 0.6 and 0.8 are rounded in the quotient and in the text alike.
    np.testing.assert_allclose(z, [[0.6, 0.8], [0, 0]])


def test_dropout_drops_what_its_seed_says():
    layer, x = nn.Dropout(0.25), Tensor(np.ones((100, 100), "f4"))
    nn.manual_seed(3)
    first = layer(x).data
    nn.manual_seed(3)
    np.testing.assert_array_equal(layer(x).data, first)
    assert set(np.unique(first)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((first == 0).mean() - 0.25) < 0.02
    assert layer.eval()(x) is x
    with pytest.raises(ValueError, match=r"p is 1\.0, must be at least 0 and below 1"):
        nn.Dropout(1.0)


def test_a_checkpoint_drops_the_same_again():
    layer = nn.Dropout(0.5)
    x = Tensor(np.ones((8, 8)), requires_grad=True)
    nn.manual_seed(5)
    kept = convkit.autograd.checkpoint(layer, x)
    after = nn.init.generator().random()
    kept.sum().backward()
    np.testing.assert_array_equal(x.grad.data, kept.data)
    nn.manual_seed(5)
    layer(x)
    assert nn.init.generator().random() == after


@pytest.mark.parametrize("layer", ["Conv2d", "ConvTranspose2d"])
def test_channels_that_do_not_fit_groups_are_refused(layer):
    with pytest.raises(
        ValueError, match=f"{layer}: out_channels is 5, must be a multiple of groups"
    ):
        getattr(nn, layer)(4, 5, 3, groups=2)


def test_fusing_checks_itself():
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Linear(4, 2), nn.ReLU()
    )
    net[1].running_var[...] = RNG.uniform(0.5, 2, 3)
    net[1].running_mean[...] = RNG.standard_normal(3)
    x = RNG.standard_normal((2, 2, 5, 6)).astype("f4")
    fused = nn.fuse(net, x)
    assert [type(one).__name__ for one in fused] == [
        *("Conv2d", "Identity", "Identity", "Linear", "Identity")
    ]
    assert net.training  # as it was
    net.eval()
    # fuse's own limit: folded weights are rounded to float32 before they are multiplied.
    np.testing.assert_allclose(fused(Tensor(x)).data, net(Tensor(x)).data, rtol=1e-4, atol=1e-5)

    class Wrong(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3)

        def forward(self, x):
            return self.conv(x)

        def fuse_parts(self):
            self.conv.weight.data[0] += 1

    with pytest.raises(ValueError, match="the fused model's result differs by"):
        nn.fuse(Wrong(), x)


def test_first_values_follow_their_papers():
    nn.manual_seed(0)
    w = np.empty((200, 100, 3, 3), "f4")
    assert nn.init.fans(w.shape) == (900, 1800)
    for function, std in (
        (nn.init.he_normal, (2 / 900) ** 0.5),
        (nn.init.he_uniform, (2 / 900) ** 0.5),
        (nn.init.xavier_normal, (2 / 2700) ** 0.5),
        (nn.init.xavier_uniform, (2 / 2700) ** 0.5),
        (nn.init.lecun_uniform, 2.4 / 900 / 3**0.5),
    ):
        assert function(w).std() == pytest.approx(std, rel=0.01)
    assert nn.init.he_normal(w, fan="out").std() == pytest.approx((2 / 1800) ** 0.5, rel=0.01)
    with pytest.raises(ValueError, match="fan is 'both'"):
        nn.init.he_normal(w, fan="both")
