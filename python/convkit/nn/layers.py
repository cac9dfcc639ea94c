"""Layers on convkit's ops, with torch's names, parameters and first values. Images are NCHW."""

from __future__ import annotations

from typing import Any

import numpy as np

from convkit import ops
from convkit.autograd import Tensor
from convkit.ops.elementwise import maximum, where

from . import init
from .module import Module, Parameter

Pair = tuple[int, int]


def _pair(value: Any) -> Pair:
    height, width = value if isinstance(value, tuple) else (value, value)
    return height, width


def _options(module: Module, *names: str) -> str:
    return ", ".join(f"{name}={getattr(module, name)!r}" for name in names)


class Conv2d(Module):
    """`convkit.conv2d` with a weight (K, C/groups, R, S) and a bias (K,).

    `activation` is the op's epilogue, which `fuse` sets; forward takes a residual too.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: Any = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ) -> None:
        super().__init__()
        _check_groups("Conv2d", in_channels, out_channels, groups)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.padding_mode = groups, padding_mode
        self.activation: str | None = None
        weight = np.empty((out_channels, in_channels // groups, *self.kernel_size), np.float32)
        start = np.empty(out_channels, np.float32) if bias else None
        init.default_(weight, start, init.fans(weight.shape)[0])
        self.weight = Parameter(weight)
        self.register_parameter("bias", None if start is None else Parameter(start))

    def forward(self, x: Any, residual: Any = None) -> Any:
        return ops.conv2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            padding_mode=self.padding_mode,
            dilation=self.dilation,
            groups=self.groups,
            activation=self.activation,
            residual=residual,
        )

    def extra_repr(self) -> str:
        more = _options(self, "kernel_size", "stride", "padding")
        rest = _options(self, *([] if self.groups == 1 else ["groups"]))
        bias = "" if self.bias is not None else "bias=False"
        parts = [f"{self.in_channels}, {self.out_channels}", more, rest, bias]
        return ", ".join(part for part in parts if part)


class ConvTranspose2d(Module):
    """`convkit.conv_transpose2d` with a weight (C, K/groups, R, S) and a bias (K,)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: Any = 0,
        output_padding: int | Pair = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Pair = 1,
    ) -> None:
        super().__init__()
        _check_groups("ConvTranspose2d", in_channels, out_channels, groups)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.output_padding, self.groups = output_padding, groups
        weight = np.empty((in_channels, out_channels // groups, *self.kernel_size), np.float32)
        start = np.empty(out_channels, np.float32) if bias else None
        init.default_(weight, start, init.fans(weight.shape)[0])
        self.weight = Parameter(weight)
        self.register_parameter("bias", None if start is None else Parameter(start))

    def forward(self, x: Any) -> Any:
        return ops.conv_transpose2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def extra_repr(self) -> str:
        more = _options(self, "kernel_size", "stride", "padding")
        return f"{self.in_channels}, {self.out_channels}, {more}"


def _check_groups(layer: str, in_channels: int, out_channels: int, groups: int) -> None:
    for name, value in (("in_channels", in_channels), ("out_channels", out_channels)):
        if value < 1 or groups < 1 or value % groups:
            raise ValueError(
                f"{layer}: {name} is {value}, must be a multiple of groups={groups}; both at "
                "least 1"
            )


class Linear(Module):
    """`convkit.linear` with a weight (out, in) and a bias (out,)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.activation: str | None = None
        weight = np.empty((out_features, in_features), np.float32)
        start = np.empty(out_features, np.float32) if bias else None
        init.default_(weight, start, in_features)
        self.weight = Parameter(weight)
        self.register_parameter("bias", None if start is None else Parameter(start))

    def forward(self, x: Any) -> Any:
        return ops.linear(x, self.weight, self.bias, activation=self.activation)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"


class BatchNorm2d(Module):
    """`convkit.batch_norm`: the batch's statistics in training, running ones else."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.activation: str | None = None
        self.weight = Parameter(np.ones(num_features, np.float32))
        self.bias = Parameter(np.zeros(num_features, np.float32))
        self.register_buffer("running_mean", np.zeros(num_features, np.float32))
        self.register_buffer("running_var", np.ones(num_features, np.float32))
        self.register_buffer("num_batches_tracked", np.zeros((), np.int64))

    def forward(self, x: Any, residual: Any = None) -> Any:
        if self.training:
            self.num_batches_tracked += 1
        return ops.batch_norm(
            x,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
            activation=self.activation,
            residual=residual,
        )

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}"


class MaxPool2d(Module):
    """`convkit.max_pool2d`."""

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: Any = 0,
        dilation: int | Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.dilation, self.ceil_mode = dilation, ceil_mode

    def forward(self, x: Any) -> Any:
        return ops.max_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )

    def extra_repr(self) -> str:
        return _options(self, "kernel_size", "stride", "padding", "ceil_mode")


class AvgPool2d(Module):
    """`convkit.avg_pool2d`."""

    def __init__(
        self,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Any) -> Any:
        return ops.avg_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return _options(self, "kernel_size", "stride", "padding", "ceil_mode")


class AdaptiveAvgPool2d(Module):
    """`convkit.adaptive_avg_pool2d`: output_size windows, whatever the image's size."""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Any) -> Any:
        return ops.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"{self.output_size}"


class LocalResponseNorm(Module):
    """`convkit.local_response_norm`."""

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, x: Any) -> Any:
        return ops.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return _options(self, "size", "alpha", "beta", "k")


class Dropout(Module):
    """In training each number becomes 0 with probability p, the rest is divided by 1 - p.

    The mask is drawn from `nn.manual_seed`'s numbers. Srivastava et al. 2014.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"Dropout: p is {p}, must be at least 0 and below 1")
        self.p = p

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        kept = init.generator().random(x.shape, dtype=np.float32) >= self.p
        return x * (kept / (1 - self.p)).astype(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.p}"


class Flatten(Module):
    """(N, ...) as (N, -1)."""

    def forward(self, x: Any) -> Any:
        return x.reshape(x.shape[0], -1)


class ReLU(Module):
    def forward(self, x: Any) -> Any:
        return _tensor(x).relu()


class ReLU6(Module):
    """min(max(x, 0), 6). Howard et al. 2017."""

    def forward(self, x: Any) -> Any:
        return -maximum(-_tensor(x).relu(), -6.0)


class PReLU(Module):
    """x where positive, else weight * x, one weight a channel. He et al. 2015."""

    def __init__(self, num_parameters: int = 1, start: float = 0.25) -> None:
        super().__init__()
        self.weight = Parameter(np.full(num_parameters, start, np.float32))

    def forward(self, x: Any) -> Any:
        x = _tensor(x)
        slope = self.weight.reshape(1, -1, *[1] * (x.ndim - 2))
        return where(x.data > 0, x, x * slope)


class Tanh(Module):
    def forward(self, x: Any) -> Any:
        return _tensor(x).tanh()


class Sigmoid(Module):
    def forward(self, x: Any) -> Any:
        return _tensor(x).sigmoid()


def _tensor(x: Any) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x)
