"""Cases of the problem table: row x layout x dtype x direction x backend x algorithm."""

import functools
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from convkit import _native, testing
from convkit.testing import Expected, Problem

HOST_BACKENDS = ("cpu", "simt")
# A continuous-integration run under sanitizers takes a small part of everything.
REDUCED = os.environ.get("CONVKIT_TEST_TABLE") == "reduced"
DTYPES = ("float32", "float64", "float16", "bfloat16")
COMBINATIONS = [(dtype, layout) for dtype in DTYPES for layout in ("NCHW", "NHWC")]
# Of what float64 gets: 16-bit types run the kernels of float32 between two conversions.
SHARE_16_BIT = 0.15
# Of what other algorithms get: test_strict.py compares all bits with those of the cpu.
SHARE_STRICT_SIMT = 0.3


@dataclass(frozen=True)
class Case:
    """One problem run one way."""

    problem: Problem
    direction: str
    algo: str
    backend: str
    dtype: str = "float32"
    bound: float = 8.0

    @property
    def id(self) -> str:
        """A test id that says all, e.g. fprop.direct-cpu-float32-NCHW-3x3_tail."""
        way = f"{self.direction}.{self.algo}-{self.backend}"
        return f"{way}-{self.dtype}-{self.problem.layout}-{self.problem.name}"

    def data(self, kind: str = "normal", seed: int = 0) -> dict[str, np.ndarray]:
        """Read-only arrays, shared by the cases of a problem."""
        return wanted(self.problem, self.direction, kind, self.dtype, seed)[0]

    def expected(self, kind: str = "normal", seed: int = 0) -> tuple[Expected, ...]:
        return wanted(self.problem, self.direction, kind, self.dtype, seed)[1]

    def outputs(self, data: dict[str, Any], **extra: Any) -> tuple[np.ndarray, ...]:
        """What the algorithm makes of the arrays; a refusal is a failure here."""
        outcome = testing.run_case(
            self.problem, self.direction, self.algo, self.backend, data, **extra
        )
        assert outcome.outputs is not None, f"candidates() said yes, the call: {outcome.refusal}"
        return outcome.outputs

    def check(
        self,
        outputs: tuple[np.ndarray, ...],
        expected: tuple[Expected, ...],
        kind: str = "normal",
        seed: int = 0,
    ) -> None:
        """Every output within the bound of the table row."""
        bound = testing.bound_of(self.problem, self.direction, self.bound)
        for output, one in zip(outputs, expected, strict=True):
            comparison = testing.compare(output, one, bound)
            assert comparison.ok, f"{comparison}\n{self.reproducer(kind, seed)}"

    def reproducer(self, kind: str = "normal", seed: int = 0) -> str:
        return testing.reproducer(
            self.problem, self.direction, self.algo, self.backend, self.dtype, kind, seed
        )


@functools.lru_cache(maxsize=64)
def wanted(
    problem: Problem, direction: str, kind: str, dtype: str, seed: int
) -> tuple[dict[str, np.ndarray], tuple[Expected, ...]]:
    """The data of a problem and what the reference makes of it."""
    data = testing.make_data(problem, direction, kind, dtype, seed)
    for array in data.values():
        array.flags.writeable = False
    return data, testing.expected(problem, direction, data)


@functools.cache
def bounds(op: str, backend: str) -> dict[str, float]:
    return {row["name"]: row["bound"] for row in testing.algorithms(op, backend)}


@functools.cache
def candidates(problem: Problem, direction: str, backend: str, dtype: str) -> dict[str, Any]:
    return testing.candidates(problem, direction, backend, dtype)


def sampled(key: str, share: float) -> bool:
    """Whether a key belongs to a fixed share of all keys."""
    share *= 0.12 if REDUCED else 1
    return zlib.crc32(key.encode()) % 1000 < share * 1000


def cases(
    op: str,
    *,
    tags: tuple[str, ...] = ("core", "edge"),
    backends: tuple[str, ...] = ("cpu", "simt", "cuda"),
    share: Callable[[str, str, str], float] = lambda backend, dtype, layout: 1.0,
    keep: Callable[[Problem, str], bool] = lambda problem, direction: True,
    refused: bool = False,
) -> Iterator[Case]:
    """All cases that run (or, with refused, all that are declined) in an order that shares data.

    share: what part of the cases of a (backend, dtype, layout) to take. keep: which problems and
    directions make sense.
    """
    for row in testing.problems(op, *tags):
        for dtype, layout in COMBINATIONS:
            if layout not in row.layouts:
                continue
            problem = row.with_layout(layout)
            for direction in row.directions:
                if not keep(problem, direction):
                    continue
                for backend in backends:
                    if not bounds(op, backend) or (backend == "cuda" and not has_device()):
                        continue
                    part = share(backend, dtype, layout)
                    part *= SHARE_16_BIT if dtype.endswith("16") else 1
                    for algo, reason in candidates(problem, direction, backend, dtype).items():
                        bound = bounds(op, backend)[algo]
                        is_compared = (algo, backend) == ("strict", "simt")
                        taken = part * (SHARE_STRICT_SIMT if is_compared else 1)
                        case = Case(problem, direction, algo, backend, dtype, bound)
                        if (reason is not None) == refused and sampled(case.id, taken):
                            yield case


def mostly_plain(cpu: float, simt: float, plain_simt: float = 1.0) -> Callable[..., float]:
    """A share for cpu (and cuda), one for simt, and another for simt on float32 NCHW."""

    def share(backend: str, dtype: str, layout: str) -> float:
        if backend == "simt":
            return plain_simt if (dtype, layout) == ("float32", "NCHW") else simt
        return cpu

    return share


def check_every_algorithm(
    problem: Problem, direction: str, backend: str, dtype: str, seed: int
) -> None:
    """All algorithms that take a problem: within the bound on real numbers, exact on whole ones."""
    for algo, reason in testing.candidates(problem, direction, backend, dtype).items():
        if reason is not None:
            continue
        case = Case(problem, direction, algo, backend, dtype, bounds(problem.op, backend)[algo])
        case.check(case.outputs(case.data("normal", seed)), case.expected("normal", seed))
        if testing.exact_on_whole(problem, direction):
            outputs = case.outputs(case.data("whole", seed))
            for output, expected in zip(outputs, case.expected("whole", seed), strict=True):
                assert np.array_equal(output, expected.exact.astype(output.dtype)), case.reproducer(
                    "whole", seed
                )


@functools.cache
def has_device() -> bool:
    return bool(_native.with_cuda and _native.cuda_devices())


def every_way(op: str, direction: str) -> list[Any]:
    """(backend, algorithm) pairs that have a direction, with auto and the reference, as params."""
    ways = [("reference", "auto")]
    for backend in HOST_BACKENDS:
        rows = testing.algorithms(op, backend)
        if rows:
            ways.append((backend, "auto"))
        ways += [(backend, row["name"]) for row in rows if direction in row["directions"]]
    return [pytest.param(way, id="-".join(way)) for way in ways]


def accepted(call: Callable[..., Any], way: tuple[str, str], *arrays: Any, **options: Any) -> Any:
    """call(...) the (backend, algorithm) way, or a skip with the algorithm's reason."""
    backend, algo = way
    with testing.use_backend(backend):
        try:
            return call(*arrays, algo=algo, **options)
        except ValueError as error:
            if "cannot run this problem" not in str(error):
                raise
            reason, _ = testing.refusal_parts(str(error))
            pytest.skip(f"{algo} on {backend}: {reason}")
