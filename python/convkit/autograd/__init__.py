"""Tensors that remember how they were made, and the way back from a result to gradients."""

from .function import Function, checkpoint
from .gradcheck import gradcheck
from .tensor import Tensor, enable_grad, is_recording, no_grad
from .walk import grad

__all__ = [
    "Function",
    "Tensor",
    "checkpoint",
    "enable_grad",
    "grad",
    "gradcheck",
    "is_recording",
    "no_grad",
]
