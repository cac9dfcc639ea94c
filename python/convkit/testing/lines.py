"""A problem of each op and its one-line text, printed and parsed.

conv2d  n1c3h227w227-k96r11s11-st4-pd0      pool2d  max-n1c96h55w55-r3s3-st2-pd0
gram    n1c64h56w56                         im2col  n1c3h8w8-r3s3-st1-pd1
conv_transpose2d  n1c8h5w5-k4r3s3-st2-pd1-op1 (from c to k channels; output padding op)
linear  n16c400-k120-bias-relu (n rows of c features to k)
batch_norm  n8c64h56w56-train-weight-bias   bias_grad  n8c64h56w56
adaptive_pool2d  max-n1c8h13w11-p6q4 (p x q outputs), max-n1c8h13w11-global
lrn     n1c96h55w55-size5-alpha0.0005-beta0.75-k2
cross_entropy  n128c10 or n2c21h65w65-smooth0.1-sum-ignored

Optional words follow in any order: stride st2 or st2x1 (height x width); padding pd1, pd1x2,
pt0pb1pl0pr1 (top, bottom, left, right), same, valid, full; dilation dl2 or dl2x1; groups g32;
reflect, replicate, circular (what a convolution's padding shows); flip; bias; residual; relu, tanh,
sigmoid; ceil; realpixels (an average over real pixels only); norm; train (batch statistics);
weight; smooth0.1 (label smoothing); sum, none (reductions); ignored (some targets are); nhwc.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from convkit.reference import adaptive_pool2d, pool2d, shapes

Pair = tuple[int, int]
FourPads = tuple[Pair, Pair]
Call = tuple[str, tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What every problem has: an image batch, a layout, and its place in the table."""

    op: ClassVar[str]
    directions: ClassVar[tuple[str, ...]] = ("fprop", "dgrad")
    layouts: ClassVar[tuple[str, ...]] = ("NCHW", "NHWC")
    # Arrays that stay float32 beside ones of 16 bits.
    float32_arrays: ClassVar[frozenset[str]] = frozenset()

    n: int
    c: int
    h: int
    w: int
    layout: str = "NCHW"
    name: str = dataclasses.field(default="", compare=False)
    tags: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)

    def __str__(self) -> str:
        return self.line

    @property
    def line(self) -> str:
        """The text that parse() reads back."""
        return "-".join(part for part in (*self._parts(), self._layout_part()) if part)

    def _parts(self) -> tuple[str, ...]:
        return (f"n{self.n}c{self.c}h{self.h}w{self.w}",)

    def _layout_part(self) -> str:
        return "" if self.layout == "NCHW" else "nhwc"

    def gemm_k(self, direction: str) -> int:
        """Length of the sum that makes one element."""
        raise NotImplementedError

    def with_layout(self, layout: str) -> Self:
        """The same problem on arrays of another layout."""
        return dataclasses.replace(self, layout=layout)

    def in_layout(self, n: int, c: int, h: int, w: int) -> tuple[int, int, int, int]:
        """A shape in the problem's layout."""
        return (n, c, h, w) if self.layout == "NCHW" else (n, h, w, c)

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.in_layout(self.n, self.c, self.h, self.w)

    @property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of the forward result."""
        raise NotImplementedError

    def flops_in(self, direction: str) -> int:
        """Operations of a direction, counted as convkit.testing.cost_of says."""
        raise NotImplementedError

    @property
    def flops(self) -> int:
        """Operations of the forward direction."""
        return self.flops_in("fprop")

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        """(function name, arguments, keyword arguments): the same for convkit and its reference."""
        raise NotImplementedError

    def images_independent(self, direction: str) -> bool:
        """Whether an image has the same result alone and inside a batch."""
        return direction != "wgrad"

    def saved(self, data: dict[str, Any], outputs: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        """What the gradient takes of the forward call: of its arrays and its results."""
        return {}


@dataclass(frozen=True, kw_only=True)
class _Windowed(Problem):
    r: int
    s: int
    stride: Pair = (1, 1)
    padding: str | FourPads = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)

    @property
    def windows(self) -> shapes.Windows:
        return shapes.conv_windows(
            (self.h, self.w), (self.r, self.s), self.stride, self.padding, self.dilation
        )

    @property
    def output(self) -> Pair:
        """(P, Q)."""
        return self.windows.output

    @property
    def windows_per_pixel(self) -> int:
        """How many taps can meet one pixel: every (stride / gcd)-th of each axis."""
        return math.prod(
            -(-f * math.gcd(d, s) // s)
            for f, s, d in zip((self.r, self.s), self.stride, self.dilation, strict=True)
        )

    def _window_parts(self) -> tuple[str, ...]:
        return (
            f"st{_pair_text(self.stride)}",
            _padding_text(self.padding),
            "" if self.dilation == (1, 1) else f"dl{_pair_text(self.dilation)}",
        )


@dataclass(frozen=True, kw_only=True)
class Conv2d(_Windowed):
    """y = act(conv(x, w) + bias + residual); the epilogue belongs to fprop alone."""

    op: ClassVar[str] = "conv2d"
    directions: ClassVar[tuple[str, ...]] = ("fprop", "dgrad", "wgrad")

    k: int
    padding_mode: str = "zeros"
    groups: int = 1
    flip: bool = False
    bias: bool = False
    residual: bool = False
    activation: str | None = None

    def _parts(self) -> tuple[str, ...]:
        return (
            *super()._parts(),
            f"k{self.k}r{self.r}s{self.s}",
            *self._window_parts(),
            "" if self.padding_mode == "zeros" else self.padding_mode,
            "" if self.groups == 1 else f"g{self.groups}",
            "flip" if self.flip else "",
            "bias" if self.bias else "",
            "residual" if self.residual else "",
            self.activation or "",
        )

    @property
    def w_shape(self) -> tuple[int, int, int, int]:
        return self.in_layout(self.k, self.c // self.groups, self.r, self.s)

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        spare = {"reflect": -1, "circular": 0}.get(self.padding_mode)
        for side, pads in zip((self.h, self.w), self.windows.pads, strict=True):
            if spare is not None and max(pads) > max(side + spare, 0):
                raise ValueError(
                    f"pads {pads} pass what {self.padding_mode} shows of {side} pixels"
                )
        return self.in_layout(self.n, self.k, *self.output)

    def flops_in(self, direction: str) -> int:
        taps = self.c // self.groups * self.r * self.s
        return 2 * self.n * self.k * math.prod(self.output) * taps

    def gemm_k(self, direction: str) -> int:
        if direction == "fprop":
            return self.c // self.groups * self.r * self.s
        if direction == "dgrad":
            return self.k // self.groups * self._readers_of_a_pixel()
        return self.n * math.prod(self.output)

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        options = {
            "stride": self.stride,
            "padding": self.padding,
            "padding_mode": self.padding_mode,
            "dilation": self.dilation,
            "groups": self.groups,
            "layout": self.layout,
            "flip_kernel": self.flip,
        }
        if direction == "dgrad":
            return (
                "conv2d_input_grad",
                (data["grad_y"], data["w"], self.x_shape),
                options,
            )
        if direction == "wgrad":
            return (
                "conv2d_weight_grad",
                (data["grad_y"], data["x"], self.w_shape),
                options,
            )
        more = {"activation": self.activation, "residual": data.get("residual")}
        return "conv2d", (data["x"], data["w"], data.get("bias")), options | more

    def _readers_of_a_pixel(self) -> int:
        """The most taps that read one pixel, in the image or where padding shows it."""
        if self.padding_mode == "zeros":
            return self.windows_per_pixel
        shown = self.windows.shown(self.padding_mode)
        axes = zip(shown, self.windows.axes_read(), strict=True)
        return math.prod(int(np.bincount(pixels[read]).max()) for pixels, read in axes)


@dataclass(frozen=True, kw_only=True)
class ConvTranspose2d(_Windowed):
    """Every pixel lays its filters onto the output; the epilogue belongs to fprop alone."""

    op: ClassVar[str] = "conv_transpose2d"
    directions: ClassVar[tuple[str, ...]] = ("fprop", "dgrad", "wgrad")

    k: int
    output_padding: Pair = (0, 0)
    groups: int = 1
    flip: bool = False
    bias: bool = False
    residual: bool = False
    activation: str | None = None

    def _parts(self) -> tuple[str, ...]:
        return (
            *super()._parts(),
            f"k{self.k}r{self.r}s{self.s}",
            *self._window_parts(),
            "" if self.output_padding == (0, 0) else f"op{_pair_text(self.output_padding)}",
            "" if self.groups == 1 else f"g{self.groups}",
            "flip" if self.flip else "",
            "bias" if self.bias else "",
            "residual" if self.residual else "",
            self.activation or "",
        )

    @property
    def output(self) -> Pair:
        if isinstance(self.padding, str):
            raise ValueError(f"padding is {self.padding!r}, a transposed convolution takes numbers")
        height, width = (
            (n - 1) * s - low - high + shapes.effective(f, d) + more
            for n, s, (low, high), f, d, more in zip(
                (self.h, self.w),
                self.stride,
                self.padding,
                (self.r, self.s),
                self.dilation,
                self.output_padding,
                strict=True,
            )
        )
        return height, width

    @property
    def w_shape(self) -> tuple[int, ...]:
        return self.in_layout(self.c, self.k // self.groups, self.r, self.s)

    @property
    def y_shape(self) -> tuple[int, ...]:
        return self.in_layout(self.n, self.k, *self.output)

    def flops_in(self, direction: str) -> int:
        taps = self.k // self.groups * self.r * self.s
        return 2 * self.n * self.c * self.h * self.w * taps

    def gemm_k(self, direction: str) -> int:
        if direction == "fprop":
            return self.c // self.groups * self.windows_per_pixel
        if direction == "dgrad":
            return self.k // self.groups * self.r * self.s
        return self.n * self.h * self.w

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        options = {
            "stride": self.stride,
            "padding": self.padding,
            "output_padding": self.output_padding,
            "dilation": self.dilation,
            "groups": self.groups,
            "layout": self.layout,
            "flip_kernel": self.flip,
        }
        if direction == "dgrad":
            arrays: tuple[Any, ...] = (data["grad_y"], data["w"], self.x_shape)
            return "conv_transpose2d_input_grad", arrays, options
        if direction == "wgrad":
            arrays = (data["grad_y"], data["x"], self.w_shape)
            return "conv_transpose2d_weight_grad", arrays, options
        more = {"activation": self.activation, "residual": data.get("residual")}
        arrays = (data["x"], data["w"], data.get("bias"))
        return "conv_transpose2d", arrays, options | more


@dataclass(frozen=True, kw_only=True)
class Pool2d(_Windowed):
    """Maximum (with indices) or average over windows."""

    op: ClassVar[str] = "pool2d"

    kind: str
    ceil_mode: bool = False
    count_include_pad: bool = True

    def gemm_k(self, direction: str) -> int:
        return self.r * self.s if direction == "fprop" else self.windows_per_pixel

    def _parts(self) -> tuple[str, ...]:
        return (
            self.kind,
            *super()._parts(),
            f"r{self.r}s{self.s}",
            *self._window_parts(),
            "ceil" if self.ceil_mode else "",
            "" if self.count_include_pad else "realpixels",
        )

    @property
    def windows(self) -> shapes.Windows:
        return shapes.pool_windows(
            (self.h, self.w),
            (self.r, self.s),
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
        )

    @property
    def divisors(self) -> np.ndarray:
        """(P, Q): what each window of an average is divided by."""
        return pool2d.divisor(self.windows, self.count_include_pad)

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        return self.in_layout(self.n, self.c, *self.output)

    def flops_in(self, direction: str) -> int:
        outputs = self.n * self.c * math.prod(self.output)
        one_term = self.kind == "max" and direction == "dgrad"  # the maximum's pixel alone
        return outputs if one_term else outputs * self.r * self.s

    def saved(self, data: dict[str, Any], outputs: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        return {"indices": outputs[1]} if self.kind == "max" else {}

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        options: dict[str, Any] = {
            "stride": self.stride,
            "padding": self.padding,
            "ceil_mode": self.ceil_mode,
            "layout": self.layout,
        }
        size = (self.r, self.s)
        if self.kind == "max":
            options["dilation"] = self.dilation
            if direction == "fprop":
                return (
                    "max_pool2d",
                    (data["x"], size),
                    options | {"return_indices": True},
                )
            arrays = (data["grad_y"], data["indices"])
            return "max_pool2d_grad", (*arrays, self.x_shape, size), options
        options["count_include_pad"] = self.count_include_pad
        if direction == "fprop":
            return "avg_pool2d", (data["x"], size), options
        return "avg_pool2d_grad", (data["grad_y"], self.x_shape, size), options


@dataclass(frozen=True, kw_only=True)
class AdaptivePool2d(Problem):
    """Maximum (with indices) or average over p x q windows that share the image out."""

    op: ClassVar[str] = "adaptive_pool2d"

    kind: str
    p: int
    q: int
    # Asked of the global_* functions. A factory, because no simpler problem asks another function.
    is_global: bool = dataclasses.field(default_factory=bool)

    def _parts(self) -> tuple[str, ...]:
        output = "global" if self.is_global else f"p{self.p}q{self.q}"
        return self.kind, *super()._parts(), output

    @property
    def output(self) -> Pair:
        """(P, Q)."""
        return self.p, self.q

    @property
    def divisors(self) -> np.ndarray:
        """(P, Q): the pixels of each window."""
        return adaptive_pool2d.areas((self.h, self.w), self.output)

    @property
    def y_shape(self) -> tuple[int, int, int, int]:
        if self.is_global and self.output != (1, 1):
            raise ValueError(f"output is {self.output}, must be (1, 1) of a global pool")
        return self.in_layout(self.n, self.c, *self.output)

    def flops_in(self, direction: str) -> int:
        one_term = self.kind == "max" and direction == "dgrad"  # the maximum's pixel alone
        terms = self.p * self.q if one_term else int(self.divisors.sum())
        return self.n * self.c * terms

    def saved(self, data: dict[str, Any], outputs: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
        return {"indices": outputs[1]} if self.kind == "max" else {}

    def gemm_k(self, direction: str) -> int:
        """The pixels of the largest window, or the most windows that hold one pixel."""
        sides = ((self.h, self.p), (self.w, self.q))
        return math.prod(
            max(
                one.stop - one.start
                for one in adaptive_pool2d.ranges(*(axis if direction == "fprop" else axis[::-1]))
            )
            for axis in sides
        )

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        options: dict[str, Any] = {"layout": self.layout}
        function = f"{'global' if self.is_global else 'adaptive'}_{self.kind}_pool2d"
        if direction == "fprop":
            size = () if self.is_global else (self.output,)
            indexed = {"return_indices": True} if self.kind == "max" else {}
            return function, (data["x"], *size), options | indexed
        arrays = (data["grad_y"], data["indices"]) if self.kind == "max" else (data["grad_y"],)
        return f"{function}_grad", (*arrays, self.x_shape), options


@dataclass(frozen=True, kw_only=True)
class Gram(Problem):
    """Products of all pairs of feature maps."""

    op: ClassVar[str] = "gram"

    normalize: bool = False

    def _parts(self) -> tuple[str, ...]:
        return (*super()._parts(), "norm" if self.normalize else "")

    def gemm_k(self, direction: str) -> int:
        return self.h * self.w if direction == "fprop" else 2 * self.c

    @property
    def y_shape(self) -> tuple[int, int, int]:
        return self.n, self.c, self.c

    def flops_in(self, direction: str) -> int:
        pixels = self.n * self.h * self.w
        if direction == "fprop":
            return self.c * (self.c + 1) * pixels  # each pair of channels once
        return 2 * self.c**2 * pixels

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        options = {"layout": self.layout}
        if direction == "fprop":
            return "gram_matrix", (data["x"], self.normalize), options
        return "gram_matrix_grad", (data["grad_y"], data["x"], self.normalize), options


@dataclass(frozen=True, kw_only=True)
class Im2col(_Windowed):
    """Windows as columns (fprop) and back (dgrad: col2im)."""

    op: ClassVar[str] = "im2col"

    def gemm_k(self, direction: str) -> int:
        return 1 if direction == "fprop" else self.windows_per_pixel

    def _parts(self) -> tuple[str, ...]:
        return (*super()._parts(), f"r{self.r}s{self.s}", *self._window_parts())

    @property
    def y_shape(self) -> tuple[int, int, int]:
        rows, places = self.c * self.r * self.s, math.prod(self.output)
        return (self.n, rows, places) if self.layout == "NCHW" else (self.n, places, rows)

    def flops_in(self, direction: str) -> int:
        return 0 if direction == "fprop" else math.prod(self.y_shape)

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        options = {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "layout": self.layout,
        }
        size = (self.r, self.s)
        if direction == "fprop":
            return "im2col", (data["x"], size), options
        return "col2im", (data["grad_y"], self.x_shape, size), options


@dataclass(frozen=True, kw_only=True)
class Linear(Problem):
    """y = act(x w^T + bias + residual) on n rows; no image, so one layout."""

    op: ClassVar[str] = "linear"
    directions: ClassVar[tuple[str, ...]] = ("fprop", "dgrad", "wgrad")
    layouts: ClassVar[tuple[str, ...]] = ("NCHW",)

    h: int = 1
    w: int = 1
    k: int
    bias: bool = False
    residual: bool = False
    activation: str | None = None

    def _parts(self) -> tuple[str, ...]:
        return (
            f"n{self.n}c{self.c}",
            f"k{self.k}",
            "bias" if self.bias else "",
            "residual" if self.residual else "",
            self.activation or "",
        )

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.n, self.c

    @property
    def w_shape(self) -> tuple[int, int]:
        return self.k, self.c

    @property
    def y_shape(self) -> tuple[int, int]:
        return self.n, self.k

    def flops_in(self, direction: str) -> int:
        return 2 * self.n * self.c * self.k

    def gemm_k(self, direction: str) -> int:
        return {"fprop": self.c, "dgrad": self.k, "wgrad": self.n}[direction]

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        if direction == "dgrad":
            return "linear_input_grad", (data["grad_y"], data["w"]), {}
        if direction == "wgrad":
            return "linear_weight_grad", (data["grad_y"], data["x"]), {}
        options = {"activation": self.activation, "residual": data.get("residual")}
        return "linear", (data["x"], data["w"], data.get("bias")), options


def _pair_text(pair: Pair) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def _padding_text(padding: str | FourPads) -> str:
    if isinstance(padding, str):
        return padding
    (top, bottom), (left, right) = padding
    if top == bottom and left == right:
        return f"pd{_pair_text((top, left))}"
    return f"pt{top}pb{bottom}pl{left}pr{right}"
