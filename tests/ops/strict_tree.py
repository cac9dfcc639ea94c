"""The tree of docs/numerics.md in NumPy, for float32: what an outsider would write from its words.

Nothing here is shared with the kernels.
"""

import math
from fractions import Fraction
from typing import Any

import numpy as np

CHAIN, GROUP = 64, 16


def fused(a: Any, b: Any, c: Any) -> Any:
    """a * b + c rounded once to float32.

    The product is exact in float64. The sum is rounded to odd there: where it is inexact, the last
    bit becomes 1. What float32 then rounds off lies on the side of a tie that the exact sum does.
    """
    product = np.asarray(a, "f8") * np.asarray(b, "f8")
    c = np.asarray(c, "f8")
    total = product + c
    part = total - product
    rest = (product - (total - part)) + (c - part)  # total + rest is exact
    bits = np.atleast_1d(total).view("i8").reshape(np.shape(total))
    outward = (rest > 0) == (total > 0)
    odd = np.where(outward, bits + 1, bits - 1)
    bits = np.where((rest != 0) & (bits % 2 == 0), odd, bits)
    return bits.view("f8").astype("f4")


def check_fused() -> None:
    """Against exact fractions, on sums that lie near ties of float32."""
    rng = np.random.default_rng(0)
    a = rng.integers(1, 1 << 24, 3000).astype("f4") * np.float32(2.0) ** rng.integers(-40, 40, 3000)
    b = rng.integers(1, 1 << 12, 3000).astype("f4")
    c = a * b * np.float32(2.0) ** rng.integers(-26, 27, 3000)
    c[::3] = (a[::3] * b[::3]).astype("f4") * np.float32(2**24 + 2) / 2**24
    a[::2] *= -1
    a, b, c = (array.astype("f4") for array in (a, b, c))
    found = fused(a, b, c)
    naive = (a.astype("f8") * b + c).astype("f4")
    for x, y, z, value in zip(a, b, c, found, strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        near = [np.nextafter(value, -np.inf, dtype="f4"), np.nextafter(value, np.inf, dtype="f4")]
        error = abs(Fraction(float(value)) - exact)
        others = [abs(Fraction(float(other)) - exact) for other in near]
        assert error <= min(others)
        if error in others:  # a tie goes to the even one
            assert value.view("i4") % 2 == 0
    tie = np.float32(1 + 2**-12), np.float32(1 + 2**-12)
    small = np.float32(2.0**-80)
    assert fused(*tie, small) != np.float32(np.float64(tie[0]) * tie[1] + np.float64(small))
    assert naive.dtype == found.dtype


def total(chains: list[np.ndarray]) -> np.ndarray:
    """Chains, groups of 16 of them, sections of 16 groups; what is left joins from below."""
    zero = np.zeros_like(chains[0])
    group, groups, sections = zero, zero, zero
    for count, chain in enumerate(chains, 1):
        group = group + chain
        if count % GROUP == 0:
            groups, group = groups + group, zero
        if count % GROUP**2 == 0:
            sections, groups = sections + groups, zero
    return sections + (groups + group)


def chains_of_terms(terms: np.ndarray) -> list[np.ndarray]:
    """Of the numbers along the first axis."""
    chains = []
    for first in range(0, len(terms), CHAIN):
        chain = np.zeros(terms.shape[1:], "f4")
        for term in terms[first : first + CHAIN]:
            chain = chain + term
        chains.append(chain)
    return chains


def sum_of(terms: list[np.ndarray], like: np.ndarray) -> np.ndarray:
    return total(chains_of_terms(np.stack(terms))) if terms else np.zeros_like(like)


def exp(x: np.ndarray) -> np.ndarray:
    """2^k * exp(r) with k = round(x / ln 2), and the Taylor polynomial of degree 7 of r."""
    high, low = (
        np.float32(float.fromhex("0x1.62e4p-1")),
        np.float32(float.fromhex("0x1.7f7d1cp-20")),
    )
    k = np.rint(x.astype("f8") * np.float32(1 / np.log(2)))
    r = fused(-k, low, fused(-k, high, x))
    p = np.full(x.shape, np.float32(1) / np.float32(math.factorial(7)))
    for i in range(6, -1, -1):
        p = fused(p, r, np.float32(1) / np.float32(math.factorial(i)))
    return np.ldexp(p, k.astype(int))


class AveragePool:
    """avg_pool2d of (n, c, h, w) with one window side, stride and padding, real pixels counted."""

    def __init__(self, side: int, stride: int, pad: int) -> None:
        self.side, self.stride, self.pad = side, stride, pad

    def window(self, i: int, size: int) -> range:
        start = i * self.stride - self.pad
        return range(max(start, 0), min(start + self.side, size))

    def outputs(self, size: int) -> int:
        return (size + 2 * self.pad - self.side) // self.stride + 1

    def forward(self, x: np.ndarray) -> np.ndarray:
        height, width = x.shape[2:]
        y = np.empty((*x.shape[:2], self.outputs(height), self.outputs(width)), "f4")
        for p, q in np.ndindex(*y.shape[2:]):
            rows, columns = self.window(p, height), self.window(q, width)
            terms = [x[:, :, h, w] for h in rows for w in columns]
            y[:, :, p, q] = sum_of(terms, y[:, :, p, q]) / np.float32(len(terms))
        return y

    def backward(self, grad_y: np.ndarray, height: int, width: int) -> np.ndarray:
        grad_x = np.empty((*grad_y.shape[:2], height, width), "f4")
        for h, w in np.ndindex(height, width):
            terms = []
            for p, q in np.ndindex(*grad_y.shape[2:]):
                rows, columns = self.window(p, height), self.window(q, width)
                if h in rows and w in columns:
                    area = np.float32(len(rows) * len(columns))
                    terms.append(grad_y[:, :, p, q] / area)
            grad_x[:, :, h, w] = sum_of(terms, grad_x[:, :, h, w])
        return grad_x


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The matrix product of (m, depth) and (depth, n)."""
    chains = []
    for first in range(0, a.shape[1], CHAIN):
        chain = np.zeros((a.shape[0], b.shape[1]), "f4")
        for k in range(first, min(first + CHAIN, a.shape[1])):
            chain = fused(a[:, k, None], b[None, k], chain)
        chains.append(chain)
    return total(chains)


PADS: dict[str, dict[str, Any]] = {
    "zeros": {"mode": "constant", "constant_values": 0},
    "reflect": {"mode": "reflect"},
    "replicate": {"mode": "edge"},
    "circular": {"mode": "wrap"},
}


class Conv2d:
    """conv2d of NCHW arrays, without epilogue."""

    def __init__(self, problem: Any) -> None:
        self.p = problem
        _, _, self.out_h, self.out_w = problem.y_shape
        (self.top, self.bottom), (self.left, self.right) = problem.padding
        self.c, self.k = problem.c // problem.groups, problem.k // problem.groups

    def windows(self, x: np.ndarray, group: int) -> np.ndarray:
        """(c, r, s) x (n, p, q): what each tap reads."""
        p = self.p
        channels = x[:, group * self.c : (group + 1) * self.c]
        sides = ((self.top, self.bottom), (self.left, self.right))
        padded = np.pad(channels, ((0, 0), (0, 0), *sides), **PADS[p.padding_mode])
        rows = []
        for r in range(p.r):
            for s in range(p.s):
                h, w = r * p.dilation[0], s * p.dilation[1]
                end_h = h + (self.out_h - 1) * p.stride[0] + 1
                end_w = w + (self.out_w - 1) * p.stride[1] + 1
                rows.append(padded[:, :, h : end_h : p.stride[0], w : end_w : p.stride[1]])
        stacked = np.stack(rows)  # (taps, n, c, p, q)
        return stacked.transpose(2, 0, 1, 3, 4).reshape(self.c * len(rows), -1)

    def fprop(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        y = np.empty(self.p.y_shape, "f4")
        for g in range(self.p.groups):
            filters = w[g * self.k : (g + 1) * self.k].reshape(self.k, -1)
            sums = product(filters, self.windows(x, g))
            sums = sums.reshape(self.k, self.p.n, self.out_h, self.out_w)
            y[:, g * self.k : (g + 1) * self.k] = sums.transpose(1, 0, 2, 3)
        return y

    def wgrad(self, grad_y: np.ndarray, x: np.ndarray) -> np.ndarray:
        grads = []
        for g in range(self.p.groups):
            mine = grad_y[:, g * self.k : (g + 1) * self.k].transpose(1, 0, 2, 3)
            grads.append(product(mine.reshape(self.k, -1), self.windows(x, g).T))
        return np.concatenate(grads).reshape(self.p.k, self.c, self.p.r, self.p.s)

    def dgrad(self, grad_y: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Pixel by pixel: the taps (k, r, s) whose window begins at a whole step from a place that
        shows it."""
        p = self.p
        grad_x = np.empty((p.n, p.c, p.h, p.w), "f4")
        for h in range(p.h):
            rows = [
                self.steps(a, p.r, p.dilation[0], p.stride[0])
                for a in self.places(h, p.h, (self.top, self.bottom))
            ]
            for v in range(p.w):
                columns = [
                    self.steps(b, p.s, p.dilation[1], p.stride[1])
                    for b in self.places(v, p.w, (self.left, self.right))
                ]
                if not (any(rows) and any(columns)):
                    grad_x[:, :, h, v] = 0
                    continue
                for g in range(p.groups):
                    terms = [
                        (w[k, :, r, s], self.gradient(grad_y, k, i, j))
                        for k in range(g * self.k, (g + 1) * self.k)
                        for a_steps in rows
                        for b_steps in columns
                        for r, i in a_steps
                        for s, j in b_steps
                    ]
                    weights, gradients = (np.stack(side) for side in zip(*terms, strict=True))
                    sums = product(weights.T, gradients)
                    grad_x[:, g * self.c : (g + 1) * self.c, h, v] = sums.T
        return grad_x

    def places(self, pixel: int, size: int, pads: tuple[int, int]) -> list[int]:
        """Where the padded image shows a pixel, counted from its own begin."""
        shown = np.pad(np.arange(1, size + 1), pads, **PADS[self.p.padding_mode])
        return [int(at) for at in np.flatnonzero(shown == pixel + 1)]

    @staticmethod
    def steps(padded: int, taps: int, dilation: int, stride: int) -> list[tuple[int, int]]:
        """(tap, window), the window possibly outside."""
        starts = [(tap, padded - tap * dilation) for tap in range(taps)]
        return [(tap, start // stride) for tap, start in starts if start % stride == 0]

    def gradient(self, grad_y: np.ndarray, k: int, i: int, j: int) -> np.ndarray:
        if 0 <= i < self.out_h and 0 <= j < self.out_w:
            return grad_y[:, k, i, j]
        return np.zeros(len(grad_y), "f4")
