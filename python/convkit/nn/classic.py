"""Layers of single papers: LeNet-5's, DeepFace's and FaceNet's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from convkit import ops
from convkit.autograd import Tensor
from convkit.ops.elementwise import maximum
from convkit.ops.shaping import Spread

from . import init
from .module import Module, Parameter


class ScaledTanh(Module):
    """1.7159 tanh(2x / 3): +-1 are its own values. LeCun et al. 1998."""

    def forward(self, x: Any) -> Any:
        return 1.7159 * (x * (2 / 3)).tanh()


class Subsampling(Module):
    """weight * (sum of each 2x2 window) + bias, one of each a channel. LeCun et al. 1998."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # A sum of four: fan-in 4.
        self.weight = Parameter(init.uniform(np.empty(channels, np.float32), 2.4 / 4))
        self.bias = Parameter(np.zeros(channels, np.float32))

    def forward(self, x: Any) -> Any:
        sums = ops.avg_pool2d(x, 2) * 4.0
        return sums * self.weight.reshape(1, -1, 1, 1) + self.bias.reshape(1, -1, 1, 1)


class TableConv2d(Module):
    """A convolution whose filters see only the input channels that a table names.

    weight: (sum of the rows' lengths, R, S), filter after filter. LeCun et al. 1998, table I.
    """

    def __init__(self, in_channels: int, table: Sequence[Sequence[int]], kernel_size: int) -> None:
        super().__init__()
        for row in table:
            for channel in row:
                if not 0 <= channel < in_channels:
                    raise ValueError(
                        f"TableConv2d: the table names channel {channel}, must be from 0 to "
                        f"{in_channels - 1}"
                    )
        self.table, self.in_channels = [tuple(row) for row in table], in_channels
        self._filters = np.concatenate([[i] * len(row) for i, row in enumerate(table)])
        self._channels = np.concatenate([np.asarray(row) for row in table])
        area = kernel_size * kernel_size
        weight = np.empty((len(self._filters), kernel_size, kernel_size), np.float32)
        lengths = np.concatenate([[len(row)] * len(row) for row in table])
        for one, length in zip(weight, lengths, strict=True):
            init.uniform(one, 2.4 / (length * area))
        self.weight = Parameter(weight)
        self.bias = Parameter(np.zeros(len(table), np.float32))

    def forward(self, x: Any) -> Any:
        shape = (len(self.table), self.in_channels, *self.weight.shape[1:])
        filters = Spread.apply(self.weight, (self._filters, self._channels), shape)
        return ops.conv2d(x, filters, self.bias)


class RBF(Module):
    """y[n, i] = sum over j of (x[n, j] - codes[i, j])^2; the codes are fixed. LeCun et al. 1998."""

    def __init__(self, codes: Any) -> None:
        super().__init__()
        self.register_buffer("codes", np.asarray(codes, np.float32))

    def forward(self, x: Any) -> Any:
        difference = x.reshape(x.shape[0], 1, -1) - self.codes
        return (difference * difference).sum(axis=2)


class L2Normalize(Module):
    """x / max(norm of x, eps) along axis 1. Schroff et al. 2015."""

    def __init__(self, eps: float = 1e-12) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, x: Any) -> Any:
        return l2_normalize(x, self.eps)


def l2_normalize(x: Tensor, eps: float = 1e-12) -> Tensor:
    """x / max(norm of x, eps) along axis 1."""
    squares = (x * x).sum(axis=1, keepdims=True)
    return x / maximum(squares, eps * eps).sqrt()


class L2Pool2d(Module):
    """sqrt(sum of squares of each window), whose slope at 0 is 0. Schroff et al. 2015."""

    def __init__(self, kernel_size: int, stride: int | None = None, padding: int = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Any) -> Any:
        means = ops.avg_pool2d(x * x, self.kernel_size, stride=self.stride, padding=self.padding)
        sums = means * float(self.kernel_size**2)
        tiny = np.finfo(x.dtype).tiny  # of the sum, whose root no window of numbers but 0 reaches
        return maximum(sums, tiny).sqrt()


class LocallyConnected2d(Module):
    """A convolution with filters of its own at each place, and a bias for each output.

    weight: (P*Q, K, C*R*S), bias: (K, P, Q). Taigman et al. 2014.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        input_size: tuple[int, int],
        kernel_size: int,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride = kernel_size, stride
        p, q = ((side - kernel_size) // stride + 1 for side in input_size)
        if min(p, q) < 1:
            raise ValueError(
                f"LocallyConnected2d: kernel_size is {kernel_size}, must be at most the sides of "
                f"input_size={input_size}"
            )
        fan_in = in_channels * kernel_size**2
        weight = np.empty((p * q, out_channels, fan_in), np.float32)
        bias = np.empty((out_channels, p, q), np.float32)
        init.default_(weight, bias, fan_in)
        self.weight, self.bias = Parameter(weight), Parameter(bias)

    def forward(self, x: Any) -> Any:
        columns = ops.im2col(x, self.kernel_size, stride=self.stride)  # (N, C*R*S, P*Q)
        places = columns.transpose(2, 1, 0)  # (P*Q, C*R*S, N)
        made = (self.weight @ places).transpose(2, 1, 0)  # (N, K, P*Q)
        return made.reshape(x.shape[0], *self.bias.shape) + self.bias
