"""Networks that compare faces: DeepFace's and FaceNet's, Siamese pairs and verification heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from convkit import nn
from convkit.autograd import Tensor
from convkit.ops.shaping import concatenate


class DeepFace(nn.Module):
    """Taigman et al. 2014: x (N, 3, 152, 152), 118,923,774 parameters for 4030 persons.

    `describe` gives the 4096 numbers before the classes.
    """

    def __init__(self, classes: int = 4030) -> None:
        super().__init__()
        local = nn.LocallyConnected2d
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 32, 11), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
            *(nn.Conv2d(32, 16, 9), nn.ReLU()),
            *(local(16, 16, (63, 63), 9), nn.ReLU()),
            *(local(16, 16, (55, 55), 7, 2), nn.ReLU()),
            *(local(16, 16, (25, 25), 5), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(7056, 4096), nn.ReLU()),
        )
        self.dropout, self.fc = nn.Dropout(0.5), nn.Linear(4096, classes)

    def describe(self, x: Any) -> Any:
        """(N, 4096)."""
        return self.features(x)

    def forward(self, x: Any) -> Any:
        return self.fc(self.dropout(self.describe(x)))


# 1x1; 3x3 reduction, 3x3; 5x5 reduction, 5x5; pool and its projection; 0 for what is not there.
_NN2 = {
    "3a": (192, 64, 96, 128, 16, 32, "max", 32, 1),
    "3b": (256, 64, 96, 128, 32, 64, "l2", 64, 1),
    "3c": (320, 0, 128, 256, 32, 64, "max", 0, 2),
    "4a": (640, 256, 96, 192, 32, 64, "l2", 128, 1),
    "4b": (640, 224, 112, 224, 32, 64, "l2", 128, 1),
    "4c": (640, 192, 128, 256, 32, 64, "l2", 128, 1),
    "4d": (640, 160, 144, 288, 32, 64, "l2", 128, 1),
    "4e": (640, 0, 160, 256, 64, 128, "max", 0, 2),
    "5a": (1024, 384, 192, 384, 48, 128, "l2", 128, 1),
    "5b": (1024, 384, 192, 384, 48, 128, "max", 128, 1),
}


class _Branches(nn.Module):
    """FaceNet's inception: some without 1x1 or projection, some of stride 2, some pool by L2."""

    def __init__(
        self,
        channels: int,
        one: int,
        red3: int,
        three: int,
        red5: int,
        five: int,
        pool: str,
        projection: int,
        stride: int,
        bias: bool,
    ) -> None:
        super().__init__()

        def conv(before: int, width: int, size: int, step: int = 1) -> list[nn.Module]:
            return [nn.Conv2d(before, width, size, step, size // 2, bias=bias), nn.ReLU()]

        pools = {"max": nn.MaxPool2d, "l2": nn.L2Pool2d}
        branches = [
            nn.Sequential(*conv(channels, red3, 1), *conv(red3, three, 3, stride)),
            nn.Sequential(*conv(channels, red5, 1), *conv(red5, five, 5, stride)),
            nn.Sequential(
                pools[pool](3, stride, 1), *(conv(channels, projection, 1) if projection else [])
            ),
        ]
        if one:
            branches.insert(0, nn.Sequential(*conv(channels, one, 1)))
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Any) -> Any:
        return concatenate([branch(x) for branch in self.branches], axis=1)


class FaceNet(nn.Module):
    """Schroff et al. 2015, NN2: x (N, 3, 224, 224) to (N, 128) of length 1.

    7,456,304 parameters; without biases 7,448,256, which the paper counts.
    """

    def __init__(self, features: int = 128, bias: bool = True) -> None:
        super().__init__()
        relu, lrn = nn.ReLU, nn.LocalResponseNorm
        self.stem = nn.Sequential(
            *(nn.Conv2d(3, 64, 7, 2, 3, bias=bias), relu(), nn.MaxPool2d(3, 2, 1), lrn(5)),
            *(nn.Conv2d(64, 64, 1, bias=bias), relu()),
            *(nn.Conv2d(64, 192, 3, 1, 1, bias=bias), relu(), lrn(5), nn.MaxPool2d(3, 2, 1)),
        )
        self.inception = nn.Sequential(
            {name: _Branches(*sizes, bias=bias) for name, sizes in _NN2.items()}
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(1024, features, bias=bias)
        self.normalize = nn.L2Normalize()

    def forward(self, x: Any) -> Any:
        x = self.avgpool(self.inception(self.stem(x))).flatten(1)
        return self.normalize(self.fc(x))


class Siamese(nn.Module):
    """One network on two images: its weights are shared, both gradients add up.

    forward(a, b) gives both embeddings, by one pass over the two batches side by side; BatchNorm
    then sees both.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, a: Any, b: Any) -> Any:
        both = concatenate([a if isinstance(a, Tensor) else Tensor(a), b], axis=0)
        found = self.network(both)
        count = a.shape[0]
        return found[:count], found[count:]


class VerificationHead(nn.Module):
    """The logit of "the same person": sum over k of weight[k] d[k] + bias.

    d is |f1 - f2|, or with kind="chi_square" (f1 - f2)^2 / (f1 + f2), 0 where both are 0. Taigman
    et al. 2014. Its loss is binary cross-entropy with logits.
    """

    def __init__(self, features: int, kind: str = "absolute") -> None:
        super().__init__()
        if kind not in ("absolute", "chi_square"):
            raise ValueError(
                f"VerificationHead: kind is {kind!r}, must be 'absolute' or 'chi_square'"
            )
        self.kind = kind
        self.weight = nn.Parameter(np.full(features, -1.0, np.float32))
        self.bias = nn.Parameter(np.ones((), np.float32))

    def forward(self, first: Any, second: Any) -> Any:
        difference = first - second
        if self.kind == "absolute":
            distance = difference.abs()
        else:
            total = first + second
            empty = total.data == 0
            distance = difference * difference / (total + empty.astype(total.dtype))
        return (distance * self.weight).sum(axis=1) + self.bias


def deepface(classes: int = 4030) -> DeepFace:
    """DeepFace with its 4030 persons."""
    return DeepFace(classes)


def facenet(features: int = 128) -> FaceNet:
    """FaceNet NN2."""
    return FaceNet(features)
