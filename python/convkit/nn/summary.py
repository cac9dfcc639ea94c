"""summary: what each layer of a network makes, holds and costs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from convkit.autograd import Tensor, no_grad
from convkit.queries import describe_call

from .classic import LocallyConnected2d, TableConv2d
from .layers import Conv2d, ConvTranspose2d, Linear
from .module import Module


@dataclass(frozen=True)
class Line:
    """A layer that has parameters of its own, or no parts."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    macs: int
    algorithm: str


@dataclass(frozen=True)
class Summary:
    """All layers of a network in the order in which they ran."""

    lines: tuple[Line, ...]
    parameters: int

    @property
    def macs(self) -> int:
        return sum(line.macs for line in self.lines)

    def __str__(self) -> str:
        head = ("layer", "kind", "output", "parameters", "MACs", "algorithm")
        rows = [
            (
                line.name,
                line.kind,
                " x ".join(map(str, line.output)),
                f"{line.parameters:,}" if line.parameters else "",
                f"{line.macs:,}" if line.macs else "",
                line.algorithm,
            )
            for line in self.lines
        ]
        rows.append(("total", "", "", f"{self.parameters:,}", f"{self.macs:,}", ""))
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        right = (False, False, False, True, True, False)
        return "\n".join(
            "  ".join(
                cell.rjust(width) if at_right else cell.ljust(width)
                for cell, width, at_right in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in (head, *rows)
        )


def summary(model: Module, input: Any) -> Summary:
    """Runs the model once, in eval mode and unrecorded, and says what each layer did.

    Args:
        input: an array, or the shape of one of float32, with the batch.

    Returns: a Summary; print it. A MAC is one multiply-add; taps on padding count
        (N K P Q (C/groups) R S for a convolution), normalisation, pools and activations do not.
        The algorithm is the one that `auto` takes for this batch.
    """
    is_shape = isinstance(input, tuple) and all(isinstance(side, int) for side in input)
    x = Tensor(np.zeros(input, np.float32) if is_shape else input)
    lines: list[Line] = []
    removers: list[Callable[[], None]] = []
    for name, module in model.named_modules():
        if module._parameters or not module._modules:
            hook = partial(_note, lines, name or type(module).__name__)
            removers.append(module.register_forward_hook(hook))
    modes = [(one, one.training) for one in model.modules()]
    model.eval()
    try:
        with no_grad():
            model(x)
    finally:
        for remove in removers:
            remove()
        for one, training in modes:
            one.training = training
    return Summary(tuple(lines), model.count())


def _note(lines: list[Line], name: str, module: Module, args: tuple[Any, ...], made: Any) -> None:
    output = made[0] if isinstance(made, tuple) else made
    held = sum(one.size for one in module._parameters.values() if one is not None)
    macs, algorithm = _work(module, args[0], output)
    lines.append(Line(name, type(module).__name__, output.shape, held, macs, algorithm))


def _work(module: Module, x: Any, y: Any) -> tuple[int, str]:
    """(MACs, algorithm)."""
    if isinstance(module, Conv2d):
        options = {
            name: getattr(module, name)
            for name in ("stride", "padding", "padding_mode", "dilation", "groups")
        }
        call = describe_call("conv2d", x.shape, module.weight.shape, **options)
        return y.size * math.prod(module.weight.shape[1:]), call.plan().algorithm
    if isinstance(module, ConvTranspose2d):
        return x.size * math.prod(module.weight.shape[1:]), ""
    if isinstance(module, Linear):
        call = describe_call("linear", x.shape, module.weight.shape)
        return y.size * module.in_features, call.plan().algorithm
    if isinstance(module, TableConv2d):
        return module.weight.size * math.prod(y.shape[2:]) * y.shape[0], ""
    if isinstance(module, LocallyConnected2d):
        return module.weight.size * y.shape[0], ""
    return 0, ""
