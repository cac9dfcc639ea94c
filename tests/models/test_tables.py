"""Parameters, multiply-adds and shapes of every network, to the last digit."""

import numpy as np
import pytest

from convkit import Tensor, models, nn, no_grad
from convkit.models import resnet
from convkit.models.googlenet import NaiveInception

PARAMETERS = {
    "lenet5": 61_706,
    "lenet5_1998": 60_000,
    "alexnet": 60_965_224,
    "alexnet_ungrouped": 62_378_344,
    "alexnet_one_tower": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    "nin_cifar": 966_986,
    "nin_imagenet": 7_595_176,
    "googlenet": 13_378_280,
    "googlenet_torchvision": 13_004_888,
    "deepface": 118_923_774,
    "facenet": 7_456_304,
}
# Of one image; whole forward passes of the largest are left to `convkit models`.
MACS = {
    "lenet5": 416_520,
    "alexnet": 724_406_816,
    "alexnet_ungrouped": 1_135_256_096,
    "alexnet_one_tower": 714_188_480,
    "resnet18": 1_814_073_344,
    "resnet50": 4_089_184_256,
    "resnet20": 40_551_040,
    "resnet110": 252_887_680,
    "nin_cifar": 222_486_528,
    "nin_imagenet": 1_100_188_800,
    "googlenet": 1_582_671_872,
    "googlenet_torchvision": 1_498_376_192,
    "facenet": 1_596_530_688,
}


def made(name, **options):
    with nn.init.no_init():
        return models.make(name, **options)


@pytest.mark.parametrize("name", models.MODELS)
def test_parameters_are_those_of_the_paper(name):
    assert made(name).count() == PARAMETERS[name]


@pytest.mark.parametrize("name", MACS)
def test_multiply_adds_are_those_of_the_paper(name):
    found = nn.summary(models.make(name), (1, *models.MODELS[name].image))
    assert found.macs == MACS[name]
    assert found.parameters == PARAMETERS[name]
    assert f"{MACS[name]:,}" in str(found)


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("resnet18", {"shortcut": "A"}, 11_515_688),
        ("resnet18", {"shortcut": "C"}, 12_043_816),
        ("resnet34", {"shortcut": "A"}, 21_623_848),
        ("resnet50", {"shortcut": "A"}, 22_780_456),
        ("resnet50", {"shortcut": "C"}, 40_128_552),
        ("resnet101", {"shortcut": "C"}, 76_981_288),
        ("resnet20", {"shortcut": "B"}, 272_474),
        ("resnet110", {"shortcut": "B"}, 1_730_714),
        ("googlenet", {"auxiliary": False}, 6_998_552),
        ("googlenet_torchvision", {"auxiliary": False}, 6_624_904),
        ("lenet5", {"in_channels": 3, "pool": "max"}, 62_006),
        ("lenet5", {"in_channels": 3, "pool": "max", "filters": 8}, 62_958),
    ],
)
def test_variants_have_their_own_counts(name, options, count):
    assert made(name, **options).count() == count


def test_the_strides_of_v1_cost_less():
    shape = (1, 3, 224, 224)
    v1 = nn.summary(models.make("resnet50", stride_in_first=True), shape)
    assert v1.macs == 3_857_973_248
    padded = nn.summary(models.make("resnet18", shortcut="A"), shape)
    assert padded.macs == 1_794_805_760


def test_facenet_without_biases_is_what_the_paper_counts():
    from convkit.models.faces import FaceNet

    assert FaceNet(bias=False).count() == 7_448_256


def test_the_naive_inception_only_grows():
    x = Tensor(np.zeros((1, 192, 28, 28), "f4"))
    assert NaiveInception(192, 64, 128, 32)(x).shape == (1, 416, 28, 28)


@pytest.mark.parametrize(
    "name",
    ["lenet5", "lenet5_1998", "alexnet", "resnet20", "nin_cifar", "googlenet", "facenet"],
)
def test_results_have_a_row_for_each_image(name):
    model = models.make(name).eval()
    x = np.random.default_rng(0).standard_normal((2, *models.MODELS[name].image)).astype("f4")
    with no_grad():
        y = model(Tensor(x))
        alone = model(Tensor(x[:1]))
    assert y.shape[0] == 2
    assert np.isfinite(y.data).all()
    # linear may take another algorithm for one row than for two, which rounds in another order.
    np.testing.assert_allclose(alone.data, y.data[:1], rtol=1e-4, atol=1e-5)


def test_every_seed_starts_a_network_its_own_way():
    def start(seed):
        nn.manual_seed(seed)
        return models.make("lenet5").state_dict()

    first, same, other = start(1), start(1), start(2)
    assert all((first[name] == same[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


def test_unknown_networks_and_options_are_refused():
    with pytest.raises(ValueError, match="model is 'lenet6', must be one of lenet5, "):
        models.make("lenet6")
    with pytest.raises(ValueError, match="depth is 21, must be 6n"):
        resnet.CifarResNet(21)
    with pytest.raises(ValueError, match="shortcut is 'D'"):
        models.make("resnet18", shortcut="D")
    with pytest.raises(ValueError, match="depth is 12, must be one of 11, 13, 16, 19"):
        models.MODELS["vgg11"].make.func(12)
