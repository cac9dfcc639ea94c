"""fuse: BatchNorm folded into the convolution before it, ReLU and sums into its epilogue."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from convkit.autograd import Tensor, no_grad

from .layers import BatchNorm2d, Conv2d, Linear, ReLU
from .module import Identity, Module, Parameter, Sequential

# Relative to the largest number of the result: folding multiplies in another order.
LARGEST_CHANGE = 1e-4


def fuse(model: Module, example: Any = None) -> Module:
    """A copy for inference that does less: w' = w weight / sqrt(var + eps), and so on.

    In every Sequential a BatchNorm2d after a Conv2d becomes part of it, and a ReLU after a Conv2d,
    BatchNorm2d or Linear its activation. Other modules may have a method `fuse_parts`, which does
    the same to them in place.

    Args:
        model: stays as it is.
        example: an input; the copy's result is compared with the model's in eval mode.

    Raises: ValueError where the two differ by more than 1e-4 of the largest number.
    """
    fused = copy.deepcopy(model).eval()
    for module in list(fused.modules()):
        if isinstance(module, Sequential):
            _fuse_sequence(module)
        elif hasattr(module, "fuse_parts"):
            module.fuse_parts()
    if example is not None:
        _compare(model, fused, example)
    return fused


def fold(conv: Conv2d, norm: BatchNorm2d) -> None:
    """Makes the convolution do the normalisation's work, in place."""
    scale = norm.weight.data / np.sqrt(norm.running_var + norm.eps)
    scale = scale.astype(conv.weight.dtype)
    start = 0 if conv.bias is None else conv.bias.data
    conv.weight = Parameter(conv.weight.data * scale.reshape(-1, 1, 1, 1))
    bias = norm.bias.data + (start - norm.running_mean) * scale
    conv.register_parameter("bias", Parameter(bias.astype(conv.weight.dtype)))


def _fuse_sequence(sequence: Sequential) -> None:
    names = [name for name, _ in sequence.children()]
    before: Module | None = None
    for name in names:
        one = sequence._modules[name]
        if isinstance(one, BatchNorm2d) and isinstance(before, Conv2d) and not before.activation:
            fold(before, one)
            sequence._modules[name] = Identity()
            continue
        if isinstance(one, ReLU) and isinstance(before, (Conv2d, BatchNorm2d, Linear)):
            before.activation = before.activation or "relu"
            sequence._modules[name] = Identity()
        if not isinstance(sequence._modules[name], Identity):
            before = one


def _compare(model: Module, fused: Module, example: Any) -> None:
    modes = [(one, one.training) for one in model.modules()]
    model.eval()
    try:
        with no_grad():
            wanted, found = (_numbers(one(_tensor(example))) for one in (model, fused))
    finally:
        for one, training in modes:
            one.training = training
    change = float(np.abs(found - wanted).max() / max(np.abs(wanted).max(), 1e-30))
    if not change <= LARGEST_CHANGE:
        raise ValueError(
            f"fuse: the fused model's result differs by {change:.2g} of the largest number, must "
            f"be at most {LARGEST_CHANGE:g}"
        )


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor(value)


def _numbers(value: Any) -> np.ndarray:
    first = value[0] if isinstance(value, tuple) else value
    return Tensor(first).numpy().astype(np.float64)
