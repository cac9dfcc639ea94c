"""What every loss asks of its arguments."""

from __future__ import annotations

from typing import Any

from convkit.autograd import Tensor
from convkit.autograd.tensor import FLOATS
from convkit.ops.elementwise import space_of


def reduced(op: str, losses: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{op}: reduction is {reduction!r}, must be 'mean', 'sum' or 'none'")
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def features(op: str, name: str, value: Any, least_ndim: int = 0) -> Tensor:
    tensor = value if isinstance(value, Tensor) else Tensor(value)
    if tensor.dtype.name not in FLOATS:
        raise TypeError(
            f"{op}: {name}.dtype is {tensor.dtype}, must be {', '.join(FLOATS[:-1])} or "
            f"{FLOATS[-1]}"
        )
    if tensor.ndim < least_ndim:
        raise ValueError(
            f"{op}: {name}.shape is {tensor.shape}, must have at least {least_ndim} dimensions"
        )
    return tensor


def check_dtype(op: str, name: str, tensor: Tensor, of: str, like: Tensor) -> None:
    if tensor.dtype != like.dtype:
        raise TypeError(f"{op}: {name}.dtype is {tensor.dtype}, must be {like.dtype} as {of}")


def like(op: str, name: str, value: Any, of: str, like: Tensor, labels: bool = False) -> Tensor:
    """A Tensor of another's shape and dtype, where that one is; labels may be bool or integers."""
    tensor = value if isinstance(value, Tensor) else Tensor(space_of(like.data).asarray(value))
    if tensor.shape != like.shape:
        raise ValueError(
            f"{op}: {name}.shape is {tensor.shape}, must be {like.shape}, the shape of {of}"
        )
    if labels and tensor.dtype.kind in "biu":
        return tensor.astype(like.dtype)
    check_dtype(op, name, tensor, of, like)
    return tensor
