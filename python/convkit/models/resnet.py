"""ResNet. He, Zhang, Ren and Sun 2015, "Deep Residual Learning for Image Recognition"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from convkit import nn
from convkit.autograd import Tensor
from convkit.nn.fusion import fold
from convkit.ops.shaping import concatenate


class PaddedShortcut(nn.Module):
    """Shortcut A: every second pixel, and channels of zeros. No parameters."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.more, self.stride = out_channels - channels, stride

    def forward(self, x: Tensor) -> Any:
        x = x[:, :, :: self.stride, :: self.stride]
        if not self.more:
            return x
        zeros = x.data[:, :1] * 0
        return concatenate([x, *[Tensor(zeros)] * self.more], axis=1)


class Block(nn.Module):
    """relu(f(x) + shortcut(x)), f being two 3x3 convolutions, or 1x1, 3x3, 1x1 (bottleneck)."""

    def __init__(
        self,
        channels: int,
        width: int,
        stride: int,
        bottleneck: bool,
        shortcut: str,
        stride_in_first: bool,
    ) -> None:
        super().__init__()
        out = width * (4 if bottleneck else 1)
        convolution = partial(nn.Conv2d, bias=False)
        if bottleneck:
            first, second = (stride, 1) if stride_in_first else (1, stride)
            self.conv1, self.bn1 = convolution(channels, width, 1, first), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = convolution(width, width, 3, second, 1), nn.BatchNorm2d(width)
            self.conv3, self.bn3 = convolution(width, out, 1), nn.BatchNorm2d(out)
        else:
            self.conv1, self.bn1 = convolution(channels, width, 3, stride, 1), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = convolution(width, width, 3, 1, 1), nn.BatchNorm2d(width)
        self.bottleneck = bottleneck
        changes = stride != 1 or channels != out
        self.downsample: nn.Module | None = None
        if shortcut == "C" or (shortcut == "B" and changes):
            projection = convolution(channels, out, 1, stride)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(out))
        elif changes:
            self.downsample = PaddedShortcut(channels, out, stride)
        # The last normalisation adds the shortcut and applies the ReLU: one pass in place of three.
        (self.bn3 if bottleneck else self.bn2).activation = "relu"
        self.bn1.activation = "relu"
        if bottleneck:
            self.bn2.activation = "relu"

    def forward(self, x: Any) -> Any:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn1(self.conv1(x))
        if not self.bottleneck:
            return _last(self.conv2, self.bn2, y, shortcut)
        return _last(self.conv3, self.bn3, self.bn2(self.conv2(y)), shortcut)

    def fuse_parts(self) -> None:
        for i in (1, 2, 3) if self.bottleneck else (1, 2):
            conv, norm = getattr(self, f"conv{i}"), getattr(self, f"bn{i}")
            fold(conv, norm)
            conv.activation = "relu"
            setattr(self, f"bn{i}", nn.Identity())


def _last(conv: Any, norm: Any, y: Any, shortcut: Any) -> Any:
    if isinstance(norm, nn.Identity):
        return conv(y, shortcut)
    return norm(conv(y), shortcut)


class ResNet(nn.Module):
    """x (N, 3, 224, 224); keys are torchvision's.

    Args:
        blocks: in each of the four stages.
        shortcut: where a block changes the shape: "A" pads with zeros, "B" projects (1x1
            convolution, torchvision), "C" projects in every block.
        stride_in_first: v1, as the paper: the 1x1 convolution strides; else the 3x3 (v1.5,
            torchvision). Only bottlenecks differ.
        zero_last: starts the last normalisation of each block with 0.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        bottleneck: bool,
        classes: int = 1000,
        shortcut: str = "B",
        stride_in_first: bool = False,
        zero_last: bool = False,
    ) -> None:
        super().__init__()
        _check_shortcut(shortcut)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1: Any = nn.BatchNorm2d(64)
        self.bn1.activation = "relu"
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = 64
        for stage, count in enumerate(blocks):
            width = 64 << stage
            stride = 1 if stage == 0 else 2
            layer = _stage(channels, width, count, stride, bottleneck, shortcut, stride_in_first)
            setattr(self, f"layer{stage + 1}", layer)
            channels = width * (4 if bottleneck else 1)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)
        _start(self, zero_last)

    def forward(self, x: Any) -> Any:
        x = self.maxpool(self.bn1(self.conv1(x)))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.fc(self.avgpool(x).flatten(1))

    def fuse_parts(self) -> None:
        fold(self.conv1, self.bn1)
        self.conv1.activation = "relu"
        self.bn1 = nn.Identity()


class CifarResNet(nn.Module):
    """x (N, 3, 32, 32): 6n + 2 layers of widths 16, 32, 64. Section 4.2 of the paper."""

    def __init__(self, depth: int, classes: int = 10, shortcut: str = "A") -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ValueError(f"CifarResNet: depth is {depth}, must be 6n + 2 and at least 8")
        _check_shortcut(shortcut)
        count = (depth - 2) // 6
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.bn1.activation = "relu"
        self.layer1 = _stage(16, 16, count, 1, False, shortcut, False)
        self.layer2 = _stage(16, 32, count, 2, False, shortcut, False)
        self.layer3 = _stage(32, 64, count, 2, False, shortcut, False)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, classes)
        _start(self, zero_last=False)

    def forward(self, x: Any) -> Any:
        x = self.bn1(self.conv1(x))
        for layer in (self.layer1, self.layer2, self.layer3):
            x = layer(x)
        return self.fc(self.avgpool(x).flatten(1))

    fuse_parts = ResNet.fuse_parts


def _check_shortcut(shortcut: str) -> None:
    if shortcut not in ("A", "B", "C"):
        raise ValueError(f"ResNet: shortcut is {shortcut!r}, must be 'A', 'B' or 'C'")


def _stage(
    channels: int,
    width: int,
    count: int,
    stride: int,
    bottleneck: bool,
    shortcut: str,
    stride_in_first: bool,
) -> nn.Sequential:
    out = width * (4 if bottleneck else 1)
    first = Block(channels, width, stride, bottleneck, shortcut, stride_in_first)
    rest = (Block(out, width, 1, bottleneck, shortcut, stride_in_first) for _ in range(count - 1))
    return nn.Sequential(first, *rest)


def _start(model: nn.Module, zero_last: bool) -> None:
    for one in model.modules():
        if isinstance(one, nn.Conv2d):
            nn.init.he_normal(one.weight.data, fan="out")
        if zero_last and isinstance(one, Block):
            (one.bn3 if one.bottleneck else one.bn2).weight.data[...] = 0


resnet18 = partial(ResNet, (2, 2, 2, 2), False)
resnet34 = partial(ResNet, (3, 4, 6, 3), False)
resnet50 = partial(ResNet, (3, 4, 6, 3), True)
resnet101 = partial(ResNet, (3, 4, 23, 3), True)
resnet152 = partial(ResNet, (3, 8, 36, 3), True)
resnet20, resnet32, resnet44, resnet56, resnet110 = (
    partial(CifarResNet, depth) for depth in (20, 32, 44, 56, 110)
)
