"""The classic convolutional networks, each a file that reads like its paper's table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from convkit.models import alexnet as _alexnet
from convkit.models import faces as _faces
from convkit.models import googlenet as _googlenet
from convkit.models import lenet as _lenet
from convkit.models import nin as _nin
from convkit.models import resnet as _resnet
from convkit.models import vgg as _vgg
from convkit.nn import Module
from convkit.ops import cross_entropy


class Known(NamedTuple):
    """How to make a network, and the images it takes."""

    make: Callable[..., Any]
    image: tuple[int, int, int]


MODELS: dict[str, Known] = {
    "lenet5": Known(_lenet.lenet5, (1, 32, 32)),
    "lenet5_1998": Known(_lenet.lenet5_1998, (1, 32, 32)),
    "alexnet": Known(_alexnet.alexnet, (3, 227, 227)),
    "alexnet_ungrouped": Known(_alexnet.alexnet_ungrouped, (3, 227, 227)),
    "alexnet_one_tower": Known(_alexnet.alexnet_one_tower, (3, 224, 224)),
    **{f"vgg{n}": Known(getattr(_vgg, f"vgg{n}"), (3, 224, 224)) for n in (11, 13, 16, 19)},
    **{f"vgg{n}_bn": Known(getattr(_vgg, f"vgg{n}_bn"), (3, 224, 224)) for n in (11, 13, 16, 19)},
    **{
        f"resnet{n}": Known(getattr(_resnet, f"resnet{n}"), (3, 224, 224))
        for n in (18, 34, 50, 101, 152)
    },
    **{
        f"resnet{n}": Known(getattr(_resnet, f"resnet{n}"), (3, 32, 32))
        for n in (20, 32, 44, 56, 110)
    },
    "nin_cifar": Known(_nin.nin_cifar, (3, 32, 32)),
    "nin_imagenet": Known(_nin.nin_imagenet, (3, 224, 224)),
    "googlenet": Known(_googlenet.googlenet, (3, 224, 224)),
    "googlenet_torchvision": Known(_googlenet.googlenet_torchvision, (3, 224, 224)),
    "deepface": Known(_faces.deepface, (3, 152, 152)),
    "facenet": Known(_faces.facenet, (3, 224, 224)),
}


# Networks whose classes are part of what they are.
FIXED_CLASSES = {"lenet5_1998": 10}


def loss_of(model: Module) -> Callable[[Any, Any], Any]:
    """The loss that the network's results are made for: cross-entropy but for LeNet-5 of 1998."""
    is_rbf = isinstance(model, _lenet.LeNet5Of1998)
    return _lenet.rbf_loss if is_rbf else cross_entropy


def make(name: str, **options: Any) -> Module:
    """A network by name.

    Raises: ValueError that lists the names.
    """
    if name not in MODELS:
        raise ValueError(f"model is {name!r}, must be one of {', '.join(MODELS)}")
    made: Module = MODELS[name].make(**options)
    return made


__all__ = ["FIXED_CLASSES", "MODELS", "Known", "loss_of", "make"]
