"""GoogLeNet. Szegedy et al. 2014, "Going Deeper with Convolutions"."""

from __future__ import annotations

from typing import Any

from convkit import nn
from convkit.nn.fusion import fold
from convkit.ops.shaping import concatenate

# 1x1; 3x3 reduction, 3x3; 5x5 reduction, 5x5; pool projection.
MODULES = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class Inception(nn.Module):
    """Four branches side by side: 1x1 | 1x1, 3x3 | 1x1, 5x5 | pool, 1x1; a ReLU after each
    convolution."""

    def __init__(
        self, channels: int, one: int, red3: int, three: int, red5: int, five: int, pool: int
    ) -> None:
        super().__init__()
        conv, relu = nn.Conv2d, nn.ReLU
        self.branch1 = nn.Sequential(conv(channels, one, 1), relu())
        self.branch2 = nn.Sequential(
            conv(channels, red3, 1), relu(), conv(red3, three, 3, 1, 1), relu()
        )
        self.branch3 = nn.Sequential(
            conv(channels, red5, 1), relu(), conv(red5, five, 5, 1, 2), relu()
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv(channels, pool, 1), relu())

    def forward(self, x: Any) -> Any:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return concatenate([branch(x) for branch in branches], axis=1)


class NaiveInception(nn.Module):
    """Without reductions: the pool passes all channels on, so the depth only grows."""

    def __init__(self, channels: int, one: int, three: int, five: int) -> None:
        super().__init__()
        conv, relu = nn.Conv2d, nn.ReLU
        self.branch1 = nn.Sequential(conv(channels, one, 1), relu())
        self.branch2 = nn.Sequential(conv(channels, three, 3, 1, 1), relu())
        self.branch3 = nn.Sequential(conv(channels, five, 5, 1, 2), relu())
        self.branch4 = nn.MaxPool2d(3, 1, 1)

    def forward(self, x: Any) -> Any:
        branches = (self.branch1, self.branch2, self.branch3, self.branch4)
        return concatenate([branch(x) for branch in branches], axis=1)


class AuxiliaryHead(nn.Module):
    """Classes from the middle of the network, in training alone."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.AvgPool2d(5, 3), nn.Conv2d(channels, 128, 1), nn.ReLU())
        self.fc = nn.Sequential(
            *(nn.Flatten(), nn.Linear(2048, 1024), nn.ReLU(), nn.Dropout(0.7)),
            nn.Linear(1024, classes),
        )

    def forward(self, x: Any) -> Any:
        return self.fc(self.conv(x))


class GoogLeNet(nn.Module):
    """x (N, 3, 224, 224), 6,998,552 parameters without the auxiliary heads, 13,378,280 with.

    With heads and in training it returns (logits, aux of 4d, aux of 4a); the paper weights their
    losses 0.3 each.
    """

    def __init__(self, classes: int = 1000, auxiliary: bool = True) -> None:
        super().__init__()
        relu = nn.ReLU
        self.stem = nn.Sequential(
            *(nn.Conv2d(3, 64, 7, 2, 3), relu(), nn.MaxPool2d(3, 2, ceil_mode=True)),
            nn.LocalResponseNorm(5),
            *(nn.Conv2d(64, 64, 1), relu(), nn.Conv2d(64, 192, 3, 1, 1), relu()),
            *(nn.LocalResponseNorm(5), nn.MaxPool2d(3, 2, ceil_mode=True)),
        )
        for name, sizes in MODULES.items():
            setattr(self, f"inception{name}", Inception(*sizes))
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.avgpool, self.dropout = nn.AdaptiveAvgPool2d(1), nn.Dropout(0.4)
        self.fc = nn.Linear(1024, classes)
        self.aux1: Any = AuxiliaryHead(512, classes) if auxiliary else None
        self.aux2: Any = AuxiliaryHead(528, classes) if auxiliary else None

    def forward(self, x: Any) -> Any:
        x = self.pool(self.inception3b(self.inception3a(self.stem(x))))
        after_4a = x = self.inception4a(x)
        after_4d = x = self.inception4d(self.inception4c(self.inception4b(x)))
        x = self.pool(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if not self.training or self.aux1 is None:
            return logits
        return logits, self.aux2(after_4d), self.aux1(after_4a)


class _BasicConv2d(nn.Module):
    """Convolution, BatchNorm and ReLU: torchvision's part of that name."""

    def __init__(
        self, channels: int, width: int, size: int, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, size, stride, padding, bias=False)
        self.bn: Any = nn.BatchNorm2d(width, eps=1e-3)
        self.bn.activation = "relu"

    def forward(self, x: Any) -> Any:
        return self.bn(self.conv(x))

    def fuse_parts(self) -> None:
        fold(self.conv, self.bn)
        self.conv.activation = "relu"
        self.bn = nn.Identity()


class _Inception(nn.Module):
    """torchvision's: its "5x5" branch is a 3x3, kept for the checkpoint's sake."""

    def __init__(
        self, channels: int, one: int, red3: int, three: int, red5: int, five: int, pool: int
    ) -> None:
        super().__init__()
        conv = _BasicConv2d
        self.branch1 = conv(channels, one, 1)
        self.branch2 = nn.Sequential(conv(channels, red3, 1), conv(red3, three, 3, 1, 1))
        self.branch3 = nn.Sequential(conv(channels, red5, 1), conv(red5, five, 3, 1, 1))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1, ceil_mode=True), conv(channels, pool, 1))

    forward = Inception.forward


class _AuxiliaryHead(nn.Module):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.conv = _BasicConv2d(channels, 128, 1)
        self.fc1, self.fc2 = nn.Linear(2048, 1024), nn.Linear(1024, classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, x: Any) -> Any:
        x = self.conv(nn.functional.adaptive_avg_pool2d(x, 4)).flatten(1)
        return self.fc2(self.dropout(self.fc1(x).relu()))


class TorchvisionGoogLeNet(nn.Module):
    """torchvision's GoogLeNet with its keys: BatchNorm in place of LRN, 6,624,904 parameters
    (13,004,888 with auxiliary heads). Its weights want inputs scaled to (x - 0.5) / 0.5."""

    def __init__(self, classes: int = 1000, auxiliary: bool = True) -> None:
        super().__init__()
        self.conv1 = _BasicConv2d(3, 64, 7, 2, 3)
        self.conv2, self.conv3 = _BasicConv2d(64, 64, 1), _BasicConv2d(64, 192, 3, 1, 1)
        for name, sizes in MODULES.items():
            setattr(self, f"inception{name}", _Inception(*sizes))
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.pool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.aux1: Any = _AuxiliaryHead(512, classes) if auxiliary else None
        self.aux2: Any = _AuxiliaryHead(528, classes) if auxiliary else None
        self.avgpool, self.dropout = nn.AdaptiveAvgPool2d(1), nn.Dropout(0.2)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x: Any) -> Any:
        x = self.pool(self.conv3(self.conv2(self.pool(self.conv1(x)))))
        x = self.pool(self.inception3b(self.inception3a(x)))
        after_4a = x = self.inception4a(x)
        after_4d = x = self.inception4d(self.inception4c(self.inception4b(x)))
        x = self.pool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        logits = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        if not self.training or self.aux1 is None:
            return logits
        return logits, self.aux2(after_4d), self.aux1(after_4a)


def googlenet(classes: int = 1000, auxiliary: bool = True) -> GoogLeNet:
    """GoogLeNet as the paper has it."""
    return GoogLeNet(classes, auxiliary)


def googlenet_torchvision(classes: int = 1000, auxiliary: bool = True) -> TorchvisionGoogLeNet:
    """GoogLeNet as torchvision has it."""
    return TorchvisionGoogLeNet(classes, auxiliary)
