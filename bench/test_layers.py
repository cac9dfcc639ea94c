"""The rows of `convkit bench` under pytest-benchmark: pip install '.[bench]', then pytest bench.

    pytest bench -k resnet50 --benchmark-autosave
    pytest-benchmark compare

A wrong result fails its test and is not timed. `convkit bench` tells more: it lets peers take turns
and says how far to trust each ratio.
"""

import os
from dataclasses import dataclass
from functools import lru_cache, partial

import pytest

import convkit
from convkit.apps.benchmark.contestants import OURS, Field, Settings, enter
from convkit.apps.benchmark.rows import Work
from convkit.apps.benchmark.suite import choose
from convkit.testing import candidates, compare, peers, use_backend, use_threads

BACKEND = os.environ.get("CONVKIT_BENCH_BACKEND", "cpu")
PEERS = tuple(key for key in ("torch", "onnxruntime") if peers.importable(key))
ROWS = [
    pytest.param(problem, direction, id=f"{problem.op}-{problem.name}-{direction}")
    for problem in choose(())
    for direction in problem.directions
]


@dataclass(frozen=True)
class Prepared:
    """A row's work and all that can do it, on one thread."""

    work: Work
    entries: dict


@lru_cache(maxsize=1)
def prepared(problem, direction):
    """The row in hand: its contestants follow one another."""
    work = Work(problem, direction, "float32")
    able = candidates(problem, direction, BACKEND)
    settings = Settings(backend=BACKEND, vs=PEERS)
    found = enter(Field(problem, direction, settings, 1, able, "auto"), work.data)
    return Prepared(work, {entry.name: entry for entry in found})


@pytest.mark.parametrize("name", [OURS, *(peers.KNOWN[key][0] for key in PEERS)])
@pytest.mark.parametrize(("problem", "direction"), ROWS)
def test_layer(benchmark, problem, direction, name):
    with use_backend(BACKEND), use_threads(1):
        row = prepared(problem, direction)
        if name not in row.entries:
            pytest.skip(f"{name} has no {direction} of {problem.op}")
        entry = row.entries[name]
        call = entry.call if BACKEND != "cuda" else partial(_to_the_end, entry.call)
        for output, wanted in zip(entry.outputs(call()), row.work.wanted, strict=False):
            found = compare(output, wanted, entry.bound)
            assert found.ok, found
        benchmark.group = f"{problem.line} {direction}"
        benchmark.extra_info.update(line=problem.line, convkit=convkit.__version__)
        benchmark(call)


def _to_the_end(call):
    import cupy

    result = call()
    cupy.cuda.Device().synchronize()
    return result
