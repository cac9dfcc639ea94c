"""VGG. Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image
Recognition"."""

from __future__ import annotations

from functools import partial
from typing import Any

from convkit import nn

# Convolutions 3x3 in each of the five blocks, which end with a pool.
CONFIGURATIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """x (N, 3, 224, 224); keys are torchvision's.

    Args:
        depth: 11, 13, 16 or 19 layers with weights.
        batch_norm: after each convolution, which the paper does not have.
        pool: "max", or "avg" as in style transfer (Gatys et al. 2016).
    """

    def __init__(
        self,
        depth: int,
        classes: int = 1000,
        batch_norm: bool = False,
        dropout: float = 0.5,
        pool: str = "max",
    ) -> None:
        super().__init__()
        if depth not in CONFIGURATIONS:
            known = ", ".join(map(str, CONFIGURATIONS))
            raise ValueError(f"VGG: depth is {depth}, must be one of {known}")
        if pool not in ("max", "avg"):
            raise ValueError(f"VGG: pool is {pool!r}, must be 'max' or 'avg'")
        layers: list[nn.Module] = []
        channels = 3
        for width, count in zip(_WIDTHS, CONFIGURATIONS[depth], strict=True):
            for _ in range(count):
                conv = nn.Conv2d(channels, width, 3, 1, 1)
                nn.init.he_normal(conv.weight.data, fan="out")
                conv.bias.data[...] = 0
                layers += [conv, *([nn.BatchNorm2d(width)] if batch_norm else []), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            *(nn.Linear(25088, 4096), nn.ReLU(), nn.Dropout(dropout)),
            *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout)),
            nn.Linear(4096, classes),
        )
        for one in self.classifier:
            if isinstance(one, nn.Linear):
                nn.init.normal(one.weight.data, 0.01)
                one.bias.data[...] = 0

    def forward(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


vgg11, vgg13, vgg16, vgg19 = (partial(VGG, depth) for depth in (11, 13, 16, 19))
vgg11_bn, vgg13_bn, vgg16_bn, vgg19_bn = (
    partial(VGG, depth, batch_norm=True) for depth in (11, 13, 16, 19)
)
