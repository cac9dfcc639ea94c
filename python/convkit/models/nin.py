"""Network in Network. Lin, Chen and Yan 2014; layer sizes of the authors' released models."""

from __future__ import annotations

import itertools
from typing import Any

from convkit import nn


def _mlpconv(channels: int, widths: tuple[int, int, int], *window: Any) -> list[nn.Module]:
    """A convolution and two 1x1, a ReLU after each."""
    parts: list[nn.Module] = [nn.Conv2d(channels, widths[0], *window), nn.ReLU()]
    for before, width in itertools.pairwise(widths):
        parts += [nn.Conv2d(before, width, 1), nn.ReLU()]
    return parts


class CifarNIN(nn.Module):
    """x (N, 3, 32, 32), 966,986 parameters for 10 classes."""

    def __init__(self, classes: int = 10, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_mlpconv(3, (192, 160, 96), 5, 1, 2),
            *(nn.MaxPool2d(3, 2, ceil_mode=True), nn.Dropout(dropout)),
            *_mlpconv(96, (192, 192, 192), 5, 1, 2),
            *(nn.AvgPool2d(3, 2, ceil_mode=True), nn.Dropout(dropout)),
            *_mlpconv(192, (192, 192, classes), 3, 1, 1),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Any) -> Any:
        return self.pool(self.features(x)).flatten(1)


class ImageNetNIN(nn.Module):
    """x (N, 3, 224, 224), 7,595,176 parameters for 1000 classes."""

    def __init__(self, classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(*_mlpconv(3, (96, 96, 96), 11, 4), nn.MaxPool2d(3, 2, ceil_mode=True)),
            *(*_mlpconv(96, (256, 256, 256), 5, 1, 2), nn.MaxPool2d(3, 2)),
            *(*_mlpconv(256, (384, 384, 384), 3, 1, 1), nn.MaxPool2d(3, 2), nn.Dropout(dropout)),
            *_mlpconv(384, (1024, 1024, classes), 3, 1, 1),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Any) -> Any:
        return self.pool(self.features(x)).flatten(1)


def nin_cifar(classes: int = 10) -> CifarNIN:
    """Network in Network for 32x32 images."""
    return CifarNIN(classes)


def nin_imagenet(classes: int = 1000) -> ImageNetNIN:
    """Network in Network for 224x224 images."""
    return ImageNetNIN(classes)
