"""What a problem costs whoever solves it: operations, and bytes that must move."""

import math
from dataclasses import dataclass

from convkit.arrays import itemsize

from .channel_lines import BatchNorm, BiasGrad
from .data import array_shapes
from .lines import AdaptivePool2d, Conv2d, ConvTranspose2d, Linear, Pool2d, Problem


@dataclass(frozen=True)
class Cost:
    """The least that one call does; see cost_of for what is counted."""

    flops: int
    bytes_read: int
    bytes_written: int

    @property
    def bytes(self) -> int:
        return self.bytes_read + self.bytes_written

    @property
    def intensity(self) -> float:
        """FLOPs per byte; 0 where nothing moves."""
        return self.flops / self.bytes if self.bytes else 0.0


def cost_of(problem: Problem, direction: str, dtype: str = "float32") -> Cost:
    """Operations and compulsory traffic of one direction of a problem.

    FLOPs are those of the definition, as the field counts them: a multiply-add is two, taps that
    fall in padding count like the others (conv2d: 2*N*K*P*Q*(C/groups)*R*S in every direction;
    conv_transpose2d: 2*N*C*H*W*(K/groups)*R*S; linear: 2*N*C*K), an epilogue counts nothing.
    A maximum or an addition of a pool is one. A Gram matrix is symmetric, so its forward direction
    counts each pair of channels once. im2col moves data: none. batch_norm counts an element's steps
    in the sums and in the result; local_response_norm too, a power being one (2*taps + 4, its
    gradient 3*taps + 9); cross_entropy the steps of a logit, an exponential being one (4, one more
    with label smoothing; its gradient 7). An algorithm may do fewer (Winograd)
    or more (a padded tile).

    Bytes are each array once, as if the caches were endless and empty at first: whole arrays, also
    where a stride over a 1x1 filter skips pixels. Max pooling writes its indices (int64), and its
    gradient reads them; classes are int64 too. float16 and bfloat16 are 2 bytes each, as stored.

    >>> from convkit.testing import parse
    >>> cost_of(parse("conv2d", "n1c3h227w227-k96r11s11-st4-pd0"), "fprop").flops
    210830400
    """
    if direction not in problem.directions:
        known = ", ".join(problem.directions)
        raise ValueError(f"direction is {direction!r}, {problem.op} has {known}")
    arrays = array_shapes(problem, direction)
    return Cost(
        problem.flops_in(direction),
        *(
            sum(
                _bytes(shape, _dtype_of(name, dtype, problem.float32_arrays))
                for name, shape in named.items()
            )
            for named in (arrays, _results(problem, direction))
        ),
    )


def _results(problem: Problem, direction: str) -> dict[str, tuple[int, ...]]:
    """What a direction writes."""
    if isinstance(problem, BatchNorm):
        return _batch_norm_results(problem, direction)
    if direction == "dgrad":
        return {"grad_x": problem.x_shape}
    if isinstance(problem, (Conv2d, ConvTranspose2d, Linear)) and direction == "wgrad":
        return {"grad_w": problem.w_shape}
    if isinstance(problem, BiasGrad):
        return {"grad_bias": (problem.c,)}
    if isinstance(problem, (Pool2d, AdaptivePool2d)) and problem.kind == "max":
        return {"y": problem.y_shape, "indices": problem.y_shape}
    return {"y": problem.y_shape}


def _batch_norm_results(problem: BatchNorm, direction: str) -> dict[str, tuple[int, ...]]:
    per_channel = (problem.c,)
    if direction == "dgrad":
        return {"grad_x": problem.x_shape, "grad_weight": per_channel, "grad_bias": per_channel}
    statistics = ("save_mean", "save_invstd") if problem.training else ()
    return {"y": problem.y_shape, **dict.fromkeys(statistics, per_channel)}


def _dtype_of(name: str, dtype: str, float32: frozenset[str]) -> str:
    if name in ("indices", "target"):
        return "int64"
    return "float32" if name in float32 and itemsize(dtype) == 2 else dtype


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    return math.prod(shape) * itemsize(dtype)
