"""AlexNet. Krizhevsky, Sutskever and Hinton 2012."""

from __future__ import annotations

from typing import Any

from convkit import nn


class AlexNet(nn.Module):
    """The paper's: two towers (groups=2) with LRN, x (N, 3, 227, 227), 60,965,224 parameters.

    groups=1 is the network that ignores the towers: 62,378,344 parameters.
    """

    def __init__(self, classes: int = 1000, groups: int = 2, dropout: float = 0.5) -> None:
        super().__init__()

        def lrn() -> nn.Module:  # the paper's alpha is not divided by the size
            return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)

        self.features = nn.Sequential(
            *(nn.Conv2d(3, 96, 11, 4), nn.ReLU(), lrn(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(96, 256, 5, 1, 2, groups=groups), nn.ReLU(), lrn(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(256, 384, 3, 1, 1), nn.ReLU()),
            *(nn.Conv2d(384, 384, 3, 1, 1, groups=groups), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, 1, 1, groups=groups), nn.ReLU(), nn.MaxPool2d(3, 2)),
            nn.Flatten(),
        )
        self.classifier = nn.Sequential(
            *(nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(4096, classes),
        )

    def forward(self, x: Any) -> Any:
        return self.classifier(self.features(x))


class OneTowerAlexNet(nn.Module):
    """One tower without LRN, as torchvision has it: x (N, 3, 224, 224), 61,100,840 parameters.

    Krizhevsky 2014, arXiv:1404.5997. Keys are torchvision's.
    """

    def __init__(self, classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, 1, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, 1, 1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, 1, 1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            *(nn.Dropout(dropout), nn.Linear(9216, 4096), nn.ReLU()),
            *(nn.Dropout(dropout), nn.Linear(4096, 4096), nn.ReLU()),
            nn.Linear(4096, classes),
        )

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def alexnet(classes: int = 1000) -> AlexNet:
    """AlexNet in two towers."""
    return AlexNet(classes)


def alexnet_ungrouped(classes: int = 1000) -> AlexNet:
    """AlexNet without groups."""
    return AlexNet(classes, groups=1)


def alexnet_one_tower(classes: int = 1000) -> OneTowerAlexNet:
    """torchvision's AlexNet."""
    return OneTowerAlexNet(classes)
