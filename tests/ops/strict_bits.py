"""Digests of what precision="strict" makes of the problem table, for tests and other processes.

`python -m tests.ops.strict_bits BACKEND...` prints them as JSON.
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convkit import _native, testing
from convkit.testing import Problem

from .table import sampled

KINDS = ("normal", "wide", "nan")
# Of what float32 and float64 get.
SHARES = {"float32": 1.0, "float64": 1.0, "float16": 0.2, "bfloat16": 0.2}
OPS = tuple(op for op in _native.ops() if op != "copy")


@dataclass(frozen=True)
class StrictCase:
    """A direction of a row of the table, in its first layout."""

    problem: Problem
    direction: str
    dtype: str
    kind: str

    @property
    def id(self) -> str:
        return f"{self.problem.op}.{self.direction}-{self.dtype}-{self.kind}-{self.problem.name}"

    def data(self, layout: str) -> dict[str, np.ndarray]:
        """The same values in each layout."""
        problem = self.problem.with_layout(layout)
        data = testing.make_data(problem, self.direction, self.kind, self.dtype)
        if self.problem.op == "im2col" and self.direction == "dgrad" and layout == "NHWC":
            plain = problem.with_layout("NCHW")
            cols = testing.make_data(plain, self.direction, self.kind, self.dtype)["grad_y"]
            n, rows, pixels = cols.shape
            taps = cols.reshape(n, problem.c, rows // problem.c, pixels).transpose(0, 3, 2, 1)
            data["grad_y"] = np.ascontiguousarray(taps.reshape(n, pixels, rows))
        return data

    def digest(self, backend: str, layout: str, data: dict[str, np.ndarray] | None = None) -> str:
        """Of all results as numbers of NCHW; all NaNs count as one."""
        problem = self.problem.with_layout(layout)
        if data is None:
            data = self.data(layout)
        # Wide and NaN data overflow and are invalid on purpose; the bits are what is compared.
        with np.errstate(all="ignore"):
            outcome = testing.run_case(
                problem, self.direction, "auto", backend, data, precision="strict"
            )
        assert outcome.outputs is not None, outcome.refusal
        return digest_of([in_nchw(problem, output) for output in outcome.outputs])


def digest_of(arrays: list[np.ndarray]) -> str:
    found = hashlib.sha256()
    for array in arrays:
        if array.dtype != np.int64:
            array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]


def in_nchw(problem: Problem, output: np.ndarray) -> np.ndarray:
    if problem.layout == "NCHW":
        return output
    if output.ndim == 4:
        return output.transpose(0, 3, 1, 2)
    if problem.op != "im2col":
        return output
    n, pixels, columns = output.shape  # of im2col
    taps = output.reshape(n, pixels, columns // problem.c, problem.c)
    return taps.transpose(0, 3, 2, 1).reshape(n, columns, pixels)


def strict_cases(op: str) -> Iterator[StrictCase]:
    for row in testing.problems(op, "core", "edge", "long"):
        problem = row.with_layout(row.layouts[0])
        for direction in row.directions:
            for dtype, share in SHARES.items():
                for kind in KINDS if dtype == "float32" else KINDS[:1]:
                    case = StrictCase(problem, direction, dtype, kind)
                    if sampled(case.id, share):
                        yield case


def all_digests(backend: str, ops: tuple[str, ...] = OPS) -> dict[str, str]:
    return {
        case.id: case.digest(backend, case.problem.layout)
        for op in ops
        for case in strict_cases(op)
    }


def image_slices(
    case: StrictCase, images: int, per_image: frozenset[str]
) -> tuple[dict[str, Any], list[dict[str, Any]], StrictCase, StrictCase]:
    """The data of a batch and of its images one by one, with the cases that they belong to."""
    batch = replace(case, problem=replace(case.problem, n=images))
    alone = replace(case, problem=replace(case.problem, n=1))
    data = batch.data(case.problem.layout)
    parts = [
        {k: a[i : i + 1] if k in per_image else a for k, a in data.items()} for i in range(images)
    ]
    return data, parts, batch, alone


if __name__ == "__main__":
    json.dump({backend: all_digests(backend) for backend in sys.argv[1:]}, sys.stdout)
