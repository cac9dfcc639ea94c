"""Layers, losses and first values: torch's names on convkit's ops."""

from convkit.nn import functional, init, losses
from convkit.nn.classic import (
    RBF,
    L2Normalize,
    L2Pool2d,
    LocallyConnected2d,
    ScaledTanh,
    Subsampling,
    TableConv2d,
)
from convkit.nn.fusion import fuse
from convkit.nn.init import manual_seed
from convkit.nn.layers import (
    AdaptiveAvgPool2d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Dropout,
    Flatten,
    Linear,
    LocalResponseNorm,
    MaxPool2d,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    Tanh,
)
from convkit.nn.module import Identity, Module, ModuleList, Parameter, Sequential
from convkit.nn.summary import summary

__all__ = [
    "RBF",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Flatten",
    "Identity",
    "L2Normalize",
    "L2Pool2d",
    "Linear",
    "LocalResponseNorm",
    "LocallyConnected2d",
    "MaxPool2d",
    "Module",
    "ModuleList",
    "PReLU",
    "Parameter",
    "ReLU",
    "ReLU6",
    "ScaledTanh",
    "Sequential",
    "Sigmoid",
    "Subsampling",
    "TableConv2d",
    "Tanh",
    "functional",
    "fuse",
    "init",
    "losses",
    "manual_seed",
    "summary",
]
