"""LeNet-5. LeCun, Bottou, Bengio and Haffner 1998, "Gradient-Based Learning Applied to Document
Recognition"."""

from __future__ import annotations

from typing import Any

import numpy as np

from convkit import nn
from convkit.autograd import Tensor

# Table I: the maps of S2 that each map of C3 sees.
C3_TABLE = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)

# 7 x 12 bitmaps of the digits, drawn after those of the paper's figure 3; # is +1.
_DIGITS = """
..###.. ...#... ..###.. ..###.. ....#.. ######. ..###.. ####### ..###.. ..###..
.#...#. ..##... .#...#. .#...#. ...##.. #...... .#...#. ......# .#...#. .#...#.
#.....# .###... #.....# #.....# ..#.#.. #...... #...... .....#. #.....# #.....#
#.....# ...#... ......# ......# ..#.#.. #...... #...... .....#. #.....# #.....#
#.....# ...#... .....#. .....#. .#..#.. #.###.. #.###.. ....#.. .#...#. #.....#
#.....# ...#... ....#.. ..###.. .#..#.. ##...#. ##...#. ....#.. ..###.. .#...##
#.....# ...#... ...#... .....#. #...#.. ......# #.....# ...#... .#...#. ..###.#
#.....# ...#... ..#.... ......# ####### ......# #.....# ...#... #.....# ......#
#.....# ...#... .#..... ......# ....#.. ......# #.....# ..#.... #.....# ......#
#.....# ...#... #...... #.....# ....#.. #.....# #.....# ..#.... #.....# #.....#
.#...#. ...#... #...... .#...#. ....#.. .#...#. .#...#. .#..... .#...#. .#...#.
..###.. .#####. ####### ..###.. ....#.. ..###.. ..###.. .#..... ..###.. ..###..
"""


def digit_codes() -> np.ndarray:
    """(10, 84) of -1 and 1: the bitmaps that the last layer compares with."""
    rows = [line.split() for line in _DIGITS.split("\n") if line]
    bits = [[row[digit] for row in rows] for digit in range(10)]
    return np.array([[1 if c == "#" else -1 for row in one for c in row] for one in bits], "f4")


class LeNet5(nn.Module):
    """The modern form: softmax in place of the bitmaps, full connections, 61,706 parameters.

    x: (N, in_channels, 32, 32). The slide's network has average pools and 1 channel.
    """

    def __init__(
        self,
        classes: int = 10,
        in_channels: int = 1,
        filters: int = 6,
        pool: str = "avg",
        activation: str = "relu",
    ) -> None:
        super().__init__()
        pools = {"avg": nn.AvgPool2d, "max": nn.MaxPool2d}
        activations = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
        if pool not in pools or activation not in activations:
            raise ValueError(
                f"LeNet5: pool is {pool!r} and activation {activation!r}, must be one of "
                f"{', '.join(pools)} and one of {', '.join(activations)}"
            )
        act, down = activations[activation], pools[pool]
        self.conv1 = nn.Sequential(nn.Conv2d(in_channels, filters, 5), act(), down(2))
        self.conv2 = nn.Sequential(nn.Conv2d(filters, 16, 5), act(), down(2))
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(400, 120), act(), nn.Linear(120, 84), act()
        )
        self.fc = nn.Linear(84, classes)

    def forward(self, x: Any) -> Any:
        return self.fc(self.head(self.conv2(self.conv1(x))))


class LeNet5Of1998(nn.Module):
    """As the paper has it: 60,000 trained numbers, 340,908 connections.

    x: (N, 1, 32, 32), background -0.1, ink 1.175. Returns (N, 10): squared distances from the
    digits' bitmaps; the smallest wins. `rbf_loss` is its loss.
    """

    smallest_wins = True

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.s2 = _first(nn.Conv2d(1, 6, 5)), nn.Subsampling(6)
        self.c3, self.s4 = nn.TableConv2d(6, C3_TABLE, 5), nn.Subsampling(16)
        self.c5, self.f6 = _first(nn.Conv2d(16, 120, 5)), _first(nn.Linear(120, 84))
        self.squash = nn.ScaledTanh()
        self.rbf = nn.RBF(digit_codes())

    def forward(self, x: Any) -> Any:
        for layer in (self.c1, self.s2, self.c3, self.s4, self.c5):
            x = self.squash(layer(x))
        return self.rbf(self.squash(self.f6(x.flatten(1))))


def _first(layer: Any) -> Any:
    nn.init.lecun_uniform(layer.weight.data)
    layer.bias.data[...] = 0
    return layer


def rbf_loss(distances: Tensor, target: Any, rubbish: float | None = 0.1) -> Tensor:
    """The mean over images of y[target] + log(exp(-rubbish) + sum over i of exp(-y[i])).

    Args:
        distances: (N, classes), what LeNet5Of1998 gives.
        target: (N,) of int64.
        rubbish: the paper's j > 0; None for the plain form, the mean of y[target].
    """
    rows = np.arange(len(distances))
    own = distances[rows, target]
    if rubbish is None:
        return own.mean()
    # Distances are at least 0, so no exponential overflows.
    return (own + ((-distances).exp().sum(axis=1) + float(np.exp(-rubbish))).log()).mean()


def lenet5(classes: int = 10, **options: Any) -> LeNet5:
    """The modern LeNet-5."""
    return LeNet5(classes, **options)


def lenet5_1998() -> LeNet5Of1998:
    """LeNet-5 with trainable subsampling, the C3 table and the bitmaps."""
    return LeNet5Of1998()
