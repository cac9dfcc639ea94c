"""The same networks built by torch: results and gradients, weights copied by key."""

import numpy as np
import pytest

import convkit
from convkit import Tensor, models, nn

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

# (ours, torchvision's, side of the image)
NETWORKS = [
    ("alexnet_one_tower", "alexnet", 127),
    ("vgg11", "vgg11", 64),
    ("vgg13_bn", "vgg13_bn", 64),
    ("resnet18", "resnet18", 64),
    ("resnet50", "resnet50", 64),
    ("googlenet_torchvision", "googlenet", 96),
]
TRAINED = [row for row in NETWORKS if row[0] != "vgg11"]  # a second VGG takes long and adds little


def both(ours, theirs):
    torch.manual_seed(0)
    options = {"init_weights": True} if theirs == "googlenet" else {}
    peer = getattr(torchvision.models, theirs)(num_classes=10, **options)
    if theirs == "googlenet":
        peer.transform_input = False
    for module in peer.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    with nn.init.no_init():
        model = models.make(ours, classes=10)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    loaded = model.load_state_dict(peer.state_dict())
    assert loaded == ([], [])
    return model, peer


def images(side, count=2):
    return np.random.default_rng(1).standard_normal((count, 3, side, side)).astype("f4")


def close(found, wanted, tolerance, least=0.0):
    scale = max(np.abs(wanted).max(), least)
    # Each caller says its tolerance and why; relative to the largest number, as rounding is.
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(("ours", "theirs", "side"), NETWORKS, ids=[n[0] for n in NETWORKS])
def test_results_agree(ours, theirs, side):
    model, peer = both(ours, theirs)
    x = images(side)
    model.eval(), peer.eval()
    with convkit.no_grad(), torch.no_grad():
        # Float32 through up to 50 layers, each side rounding in its own order.
        close(model(Tensor(x)).data, peer(torch.from_numpy(x)).numpy(), 2e-5)


@pytest.mark.parametrize(("ours", "theirs", "side"), TRAINED, ids=[n[0] for n in TRAINED])
def test_gradients_agree(ours, theirs, side):
    """In float64, so that no rounding hides a wrong one; in training mode, statistics included."""
    model, peer = both(ours, theirs)
    model.train().astype("f8"), peer.train().double()
    x, target = images(side).astype("f8"), np.array([3, 7])
    given = Tensor(x, requires_grad=True)
    found, wanted = model(given), peer(torch.from_numpy(x).requires_grad_())
    if theirs == "googlenet":
        wanted = (wanted.logits, wanted.aux_logits2, wanted.aux_logits1)
    else:
        found, wanted = (found,), (wanted,)
    loss = sum(convkit.cross_entropy(one, target) for one in found)
    loss.backward()
    sum(
        torch.nn.functional.cross_entropy(one, torch.from_numpy(target)) for one in wanted
    ).backward()
    gradients = {name: one.grad.numpy() for name, one in peer.named_parameters()}
    largest = max(np.abs(one).max() for one in gradients.values())
    for name, parameter in model.named_parameters():
        # A bias before a normalisation has no gradient but rounding.
        close(parameter.grad.data, gradients[name], 1e-8, least=1e-4 * largest)
    state = peer.state_dict()
    for name, array in model.state_dict().items():
        if "running" in name or "tracked" in name:
            # Float64 on both sides; the sums of the batch in another order.
            close(array, state[name].numpy(), 1e-10)


@pytest.mark.parametrize("ours", ["vgg13_bn", "resnet18", "resnet50", "googlenet_torchvision"])
def test_fused_networks_do_less_and_say_the_same(ours):
    theirs = {"googlenet_torchvision": "googlenet"}.get(ours, ours)
    model, _ = both(ours, theirs)
    x = images(96)
    fused = nn.fuse(model, x)
    assert not any(isinstance(one, nn.BatchNorm2d) for one in fused.modules())
    assert any(isinstance(one, nn.BatchNorm2d) for one in model.modules())
