"""Problems of channels: normalisation over a batch or over neighbours, the gradient of a bias, the
loss of classes."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .lines import Call, Pair, Problem


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


@dataclass(frozen=True, kw_only=True)
class Lrn(Problem):
    """Channels divided by a power of the squares around them."""

    op: ClassVar[str] = "lrn"

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def _parts(self) -> tuple[str, ...]:
        names = ("size", "alpha", "beta", "k")
        return (*super()._parts(), *(f"{n}{_number_text(getattr(self, n))}" for n in names))

    @property
    def window(self) -> Pair:
        """How many channels before and after its own a window holds."""
        return self.size // 2, (self.size - 1) // 2

    def gemm_k(self, direction: str) -> int:
        return min(self.size, self.c)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.x_shape

    def flops_in(self, direction: str) -> int:
        taps = min(self.size, self.c)
        steps = 2 * taps + 4 if direction == "fprop" else 3 * taps + 9
        return steps * math.prod(self.x_shape)

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        numbers = (self.size, self.alpha, self.beta, self.k)
        options = {"layout": self.layout}
        if direction == "fprop":
            return "local_response_norm", (data["x"], *numbers), options
        return "local_response_norm_grad", (data["grad_y"], data["x"], *numbers), options


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Problem):
    """Softmax cross-entropy of c classes; without h and w the logits are (N, C)."""

    op: ClassVar[str] = "cross_entropy"
    ignore_index: ClassVar[int] = -1

    h: int = 1
    w: int = 1
    smooth: float = 0
    reduction: str = "mean"
    ignored: bool = False

    def _parts(self) -> tuple[str, ...]:
        return (
            f"n{self.n}c{self.c}" if self.is_flat else super()._parts()[0],
            f"smooth{_number_text(self.smooth)}" if self.smooth else "",
            "" if self.reduction == "mean" else self.reduction,
            "ignored" if self.ignored else "",
        )

    @property
    def is_flat(self) -> bool:
        return self.h == self.w == 1

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (self.n, self.c) if self.is_flat else super().x_shape

    @property
    def target_shape(self) -> tuple[int, ...]:
        return (self.n,) if self.is_flat else (self.n, self.h, self.w)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.target_shape if self.reduction == "none" else ()

    def gemm_k(self, direction: str) -> int:
        reduces = direction == "fprop" and self.reduction != "none"
        return max(self.c, math.prod(self.target_shape) if reduces else 0)

    def flops_in(self, direction: str) -> int:
        steps = 4 + (self.smooth > 0) if direction == "fprop" else 7
        return steps * math.prod(self.x_shape)

    def images_independent(self, direction: str) -> bool:
        return self.reduction == "none"

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        options: dict[str, Any] = {
            "label_smoothing": self.smooth,
            "reduction": self.reduction,
            "layout": self.layout,
        }
        if self.ignored:
            options["ignore_index"] = self.ignore_index
        if direction == "fprop":
            return "cross_entropy", (data["x"], data["target"]), options
        return "cross_entropy_grad", (data["grad_y"], data["x"], data["target"]), options


def _number_text(number: float) -> str:
    return repr(float(number)).removesuffix(".0")
