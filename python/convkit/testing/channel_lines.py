"""Problems whose sums run over channels: batch normalisation and the gradient of a bias."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .lines import Call, Problem


@dataclass(frozen=True, kw_only=True)
class BatchNorm(Problem):
    """Batch normalisation, by statistics of the batch (training) or given ones."""

    op: ClassVar[str] = "batch_norm"
    float32_arrays: ClassVar[frozenset[str]] = frozenset(
        {"weight", "bias", "running_mean", "running_var", "save_mean", "save_invstd"}
        | {"grad_weight", "grad_bias"}
    )
    eps: ClassVar[float] = 1e-5

    training: bool = False
    weight: bool = False
    bias: bool = False
    residual: bool = False
    activation: str | None = None

    def _parts(self) -> tuple[str, ...]:
        return (
            *super()._parts(),
            "train" if self.training else "",
            "weight" if self.weight else "",
            "bias" if self.bias else "",
            "residual" if self.residual else "",
            self.activation or "",
        )

    def gemm_k(self, direction: str) -> int:
        return self.n * self.h * self.w if self.training or direction == "dgrad" else 1

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.x_shape

    def flops_in(self, direction: str) -> int:
        given, training = (3, 7) if direction == "fprop" else (6, 9)
        return (training if self.training else given) * math.prod(self.x_shape)

    def images_independent(self, direction: str) -> bool:
        return direction == "fprop" and not self.training

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        options = {"training": self.training, "layout": self.layout}
        if direction == "dgrad":
            saved = (data["save_mean"], data["save_invstd"])
            return (
                "batch_norm_grad",
                (data["grad_y"], data["x"], data.get("weight"), *saved),
                options,
            )
        names = ("weight", "bias", "running_mean", "running_var")
        options |= {
            "eps": self.eps,
            "activation": self.activation,
            "residual": data.get("residual"),
            "return_stats": self.training,
        }
        return "batch_norm", (data["x"], *(data.get(name) for name in names)), options

    def saved(self, data: dict[str, Any], outputs: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        if self.training:
            return {"save_mean": outputs[1], "save_invstd": outputs[2]}
        invstd = 1 / np.sqrt(data["running_var"] + self.eps)
        return {"save_mean": data["running_mean"], "save_invstd": invstd}


@dataclass(frozen=True, kw_only=True)
class BiasGrad(Problem):
    """The sum over images and pixels of each channel: the wgrad of a bias."""

    op: ClassVar[str] = "bias_grad"
    directions: ClassVar[tuple[str, ...]] = ("wgrad",)

    def gemm_k(self, direction: str) -> int:
        return self.n * self.h * self.w

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.x_shape

    def flops_in(self, direction: str) -> int:
        return math.prod(self.x_shape)

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        return "conv2d_bias_grad", (data["grad_y"],), {"layout": self.layout}
