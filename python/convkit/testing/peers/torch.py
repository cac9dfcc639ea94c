"""The ops by torch, in either memory format. No tensor asks for a gradient, so no tape is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from convkit.testing.channel_lines import BatchNorm, BiasGrad, CrossEntropy, Lrn
from convkit.testing.lines import (
    AdaptivePool2d,
    Conv2d,
    ConvTranspose2d,
    Gram,
    Im2col,
    Linear,
    Pool2d,
    Problem,
)

from .arrays import gram

Call = Callable[[], Any]
_NCHW_FROM_NHWC = (0, 3, 1, 2)
_NHWC_FROM_NCHW = (0, 2, 3, 1)
_IN_BOTH_FORMATS = (Conv2d, ConvTranspose2d, Pool2d, AdaptivePool2d, BatchNorm, BiasGrad, Lrn)


def make(
    problem: Problem, direction: str, data: dict[str, Any], device: str, channels_last: bool
) -> tuple[Call, Callable[[Any], Any]] | None:
    """(call, output of a result as NumPy in the problem's layout); None where torch has no way.

    Arrays of an NHWC problem are channels_last as they stand; others are made so beforehand.
    """
    import torch

    nhwc = problem.layout == "NHWC"
    if not isinstance(problem, _IN_BOTH_FORMATS) and (nhwc or channels_last):
        return None
    if nhwc and channels_last:
        return None  # that is what plain torch does with these arrays
    if device == "cuda":
        if not torch.cuda.is_available():
            return None
        torch.backends.cudnn.allow_tf32 = False  # float32 means float32
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.benchmark = True  # its fastest algorithm, not its first guess
    tensors = {}
    for name, array in data.items():
        dense = np.ascontiguousarray(array).reshape(array.shape)  # it makes () a (1,)
        tensor = torch.from_numpy(dense).to(device)
        if name.startswith("running_"):
            tensor = tensor.clone()  # each call of batch_norm changes them
        if tensor.ndim == 4 and nhwc:
            tensor = tensor.permute(_NCHW_FROM_NHWC)
        elif tensor.ndim == 4 and channels_last:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        tensors[name] = tensor
    call = _call(torch, problem, direction, tensors)
    if call is None:
        return None

    def output(result: Any) -> Any:
        first = result[0] if isinstance(result, tuple) else result
        array = first.cpu().numpy()
        return array.transpose(_NHWC_FROM_NCHW) if nhwc and array.ndim == 4 else array

    return call, output


def _call(torch: Any, problem: Problem, direction: str, data: dict[str, Any]) -> Call | None:
    if isinstance(problem, Gram):
        return lambda: gram(torch, problem, direction, data)
    if isinstance(problem, Linear):
        return _linear(torch, problem, direction, data)
    if isinstance(problem, ConvTranspose2d):
        return _conv_transpose2d(torch, problem, direction, data)
    if isinstance(problem, AdaptivePool2d):
        return _adaptive_pool2d(torch, problem, direction, data)
    if isinstance(problem, BatchNorm):
        return _batch_norm(torch, problem, direction, data)
    if isinstance(problem, Lrn | CrossEntropy):
        return _by_tape(torch, problem, direction, data)
    if isinstance(problem, BiasGrad):
        return lambda: data["grad_y"].sum((0, 2, 3))
    if not isinstance(problem, (Conv2d, Pool2d, Im2col)):
        return None
    if isinstance(problem, Conv2d) and problem.padding_mode != "zeros":
        return _conv2d_of_padded(torch, problem, direction, data)
    if any(low != high for low, high in problem.windows.pads):
        return None  # torch pads both sides alike
    pads = tuple(low for low, _ in problem.windows.pads)
    if isinstance(problem, Conv2d):
        return _conv2d(torch, problem, direction, data, pads)
    if isinstance(problem, Im2col):
        size = (problem.r, problem.s)
        rest = (problem.dilation, pads, problem.stride)
        functional = torch.nn.functional
        if direction == "fprop":
            return lambda: functional.unfold(data["x"], size, *rest)
        return lambda: functional.fold(data["grad_y"], (problem.h, problem.w), size, *rest)
    return _pool2d(torch, problem, direction, data, pads)


def _conv2d(
    torch: Any, problem: Conv2d, direction: str, data: dict[str, Any], pads: tuple[int, ...]
) -> Call | None:
    if problem.flip:
        return None
    sizes = (problem.stride, pads, problem.dilation)
    if direction == "fprop":
        x, w, bias = (data.get(name) for name in ("x", "w", "bias"))
        finish = _finish(torch, problem, data)
        return lambda: finish(torch.conv2d(x, w, bias, *sizes, problem.groups))
    x, w, grad = data.get("x"), data.get("w"), data["grad_y"]
    # The one that is not read gives its shape and memory format.
    format_of = torch.channels_last if _is_channels_last(torch, grad) else torch.contiguous_format
    if direction == "dgrad":
        shape = (problem.n, problem.c, problem.h, problem.w)
        x = torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=format_of)
    else:
        shape = (problem.k, problem.c // problem.groups, problem.r, problem.s)
        w = torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=format_of)
    backward = torch.ops.aten.convolution_backward
    wanted = (direction == "dgrad", direction == "wgrad", False)
    rest = (None, *sizes, False, (0, 0), problem.groups, wanted)
    place = 0 if direction == "dgrad" else 1
    return lambda: backward(grad, x, w, *rest)[place]


def _conv2d_of_padded(
    torch: Any, problem: Conv2d, direction: str, data: dict[str, Any]
) -> Call | None:
    """As torch.nn.Conv2d has it: a padded copy, then the convolution of that."""
    if direction == "dgrad":
        return None  # no single call
    (top, bottom), (left, right) = problem.windows.pads
    inner = dataclasses.replace(
        problem,
        h=problem.h + top + bottom,
        w=problem.w + left + right,
        padding=((0, 0), (0, 0)),
        padding_mode="zeros",
    )
    pads = (left, right, top, bottom)

    def call() -> Any:
        padded = torch.nn.functional.pad(data["x"], pads, problem.padding_mode)
        convolve = _conv2d(torch, inner, direction, data | {"x": padded}, (0, 0))
        return convolve and convolve()

    return None if problem.flip else call


def _finish(
    torch: Any, problem: Conv2d | ConvTranspose2d | Linear | BatchNorm, data: dict[str, Any]
) -> Callable[[Any], Any]:
    residual = data.get("residual")
    act = getattr(torch, f"{problem.activation}_") if problem.activation else None

    def finish(y: Any) -> Any:
        if residual is not None:
            y += residual
        return y if act is None else act(y)

    return finish


def _conv_transpose2d(
    torch: Any, problem: ConvTranspose2d, direction: str, data: dict[str, Any]
) -> Call | None:
    padding: Any = problem.padding  # numbers: a transposed convolution takes no words
    if problem.flip or any(low != high for low, high in padding):
        return None
    pads = tuple(low for low, _ in padding)
    x, w = data.get("x"), data.get("w")
    if direction == "fprop":
        given = (problem.stride, pads, problem.output_padding, problem.groups, problem.dilation)
        bias, finish = data.get("bias"), _finish(torch, problem, data)
        return lambda: finish(torch.conv_transpose2d(x, w, bias, *given))
    grad = data["grad_y"]
    # The one that is not read gives its shape and memory format.
    unread = problem.x_shape if direction == "dgrad" else problem.w_shape
    empty = torch.empty(unread, dtype=grad.dtype, device=grad.device)
    if problem.layout == "NHWC":
        empty = empty.permute(_NCHW_FROM_NHWC)
    elif _is_channels_last(torch, grad):
        empty = empty.contiguous(memory_format=torch.channels_last)
    x, w = (empty, w) if direction == "dgrad" else (x, empty)
    wanted = (direction == "dgrad", direction == "wgrad", False)
    sizes = (problem.stride, pads, problem.dilation)
    rest = (None, *sizes, True, problem.output_padding, problem.groups, wanted)
    place = 0 if direction == "dgrad" else 1
    return lambda: torch.ops.aten.convolution_backward(grad, x, w, *rest)[place]


def _linear(torch: Any, problem: Linear, direction: str, data: dict[str, Any]) -> Call:
    if direction == "dgrad":
        return lambda: torch.matmul(data["grad_y"], data["w"])
    if direction == "wgrad":
        return lambda: torch.matmul(data["grad_y"].T, data["x"])
    x, w, bias = data["x"], data["w"], data.get("bias")
    finish = _finish(torch, problem, data)
    return lambda: finish(torch.nn.functional.linear(x, w, bias))


def _is_channels_last(torch: Any, tensor: Any) -> bool:
    return not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)


def _image_like(torch: Any, problem: Problem, grad: Any) -> Any:
    """The image that a gradient asks for its shape and memory format alone."""
    shape = (problem.n, problem.c, problem.h, problem.w)
    format_of = torch.channels_last if _is_channels_last(torch, grad) else torch.contiguous_format
    return torch.zeros(shape, dtype=grad.dtype, device=grad.device).contiguous(
        memory_format=format_of
    )


def _pool2d(
    torch: Any, problem: Pool2d, direction: str, data: dict[str, Any], pads: tuple[int, ...]
) -> Call:
    functional, aten = torch.nn.functional, torch.ops.aten
    rest = ((problem.r, problem.s), problem.stride, pads)
    if direction == "fprop":
        x = data["x"]
        if problem.kind == "max":
            pool = functional.max_pool2d
            options = (problem.dilation, problem.ceil_mode)
            return lambda: pool(x, *rest, *options, return_indices=True)
        counts = (problem.ceil_mode, problem.count_include_pad)
        return lambda: functional.avg_pool2d(x, *rest, *counts)
    grad = data["grad_y"]
    x = _image_like(torch, problem, grad)
    if problem.kind == "max":
        back = aten.max_pool2d_with_indices_backward
        tail = (problem.dilation, problem.ceil_mode, data["indices"])
        return lambda: back(grad, x, *rest, *tail)
    counts = (problem.ceil_mode, problem.count_include_pad)
    return lambda: aten.avg_pool2d_backward(grad, x, *rest, *counts, None)


def _adaptive_pool2d(
    torch: Any, problem: AdaptivePool2d, direction: str, data: dict[str, Any]
) -> Call:
    functional, aten = torch.nn.functional, torch.ops.aten
    if direction == "fprop" and problem.kind == "max":
        return lambda: functional.adaptive_max_pool2d(data["x"], problem.output, True)
    if direction == "fprop":
        return lambda: functional.adaptive_avg_pool2d(data["x"], problem.output)
    grad = data["grad_y"]
    x = _image_like(torch, problem, grad)
    if problem.kind == "max":
        return lambda: aten.adaptive_max_pool2d_backward(grad, x, data["indices"])
    return lambda: aten._adaptive_avg_pool2d_backward(grad, x)


def _batch_norm(torch: Any, problem: BatchNorm, direction: str, data: dict[str, Any]) -> Call:
    weight, past = data.get("weight"), (data.get("running_mean"), data.get("running_var"))
    rule = (problem.training, problem.eps)
    if direction == "dgrad":
        saved = (data["save_mean"], data["save_invstd"])
        if not problem.training:  # torch reads these alone
            past = (saved[0], saved[1] ** -2 - problem.eps)
        arrays = (data["grad_y"], data["x"], weight, *past)
        back = torch.ops.aten.native_batch_norm_backward
        return lambda: back(*arrays, *saved, *rule, [True, True, True])
    finish, norm = _finish(torch, problem, data), torch.nn.functional.batch_norm
    arrays = (data["x"], *past, weight, data.get("bias"))
    return lambda: finish(norm(*arrays, problem.training, 0.1, problem.eps))


def _by_tape(torch: Any, problem: Lrn | CrossEntropy, direction: str, data: dict[str, Any]) -> Call:
    """Torch's function, or its gradient by the tape, whose forward call is part of the time."""
    functional = torch.nn.functional
    if isinstance(problem, Lrn):
        numbers = (problem.size, problem.alpha, problem.beta, problem.k)

        def forward(x: Any) -> Any:
            return functional.local_response_norm(x, *numbers)
    else:
        options = {
            "reduction": problem.reduction,
            "label_smoothing": problem.smooth,
            "ignore_index": problem.ignore_index,
        }

        def forward(x: Any) -> Any:
            return functional.cross_entropy(x, data["target"], **options)

    if direction == "fprop":
        return lambda: forward(data["x"])

    def backward() -> Any:
        with torch.enable_grad():
            x = data["x"].detach().requires_grad_()
            return torch.autograd.grad(forward(x), x, data["grad_y"])[0]

    return backward
