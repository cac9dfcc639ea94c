"""Training: optimizers, schedules of their learning rates, limits on gradients."""

from .adam import Adam, AdamW
from .clip import clip_grad_norm, clip_grad_value
from .lbfgs import LBFGS
from .optimizer import Optimizer
from .schedules import CosineLR, Schedule, StepLR, WarmUp
from .sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "AdamW",
    "CosineLR",
    "Optimizer",
    "Schedule",
    "StepLR",
    "WarmUp",
    "clip_grad_norm",
    "clip_grad_value",
]
