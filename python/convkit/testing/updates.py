"""Arrays that a call changes in place: the running statistics of a batch normalisation."""

import dataclasses
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from .channel_lines import BatchNorm
from .compare import Expected, batch_norm_spreads, compare, run_reference
from .lines import Call, Problem
from .subjects import Algorithm, Stranger, to_numpy

NAMES = ("running_mean", "running_var")
_DEFAULT, _OTHER = 0.1, 0.25  # of momentum: what a function without it must use, and another


@dataclass(frozen=True, kw_only=True)
class _Momentum(BatchNorm):
    """A batch normalisation in training that says how far its running statistics go."""

    momentum: float

    def call(self, direction: str, data: dict[str, Any]) -> Call:
        name, arrays, options = super().call(direction, data)
        return name, arrays, options | {"momentum": self.momentum}


def updates(problem: Problem, direction: str, subject: Algorithm | Stranger) -> bool:
    """Whether the subject, called for this problem, has arrays to change in place."""
    return (
        isinstance(problem, BatchNorm)
        and direction == "fprop"
        and problem.training
        and problem.gemm_k("fprop") > 1  # a variance of one number is none
        and all(map(subject.takes, NAMES))
    )


def run_updating(
    problem: Problem,
    direction: str,
    subject: Algorithm | Stranger,
    data: dict[str, np.ndarray],
    seed: int,
) -> tuple[tuple[np.ndarray, ...], list[str]]:
    """(results, what is wrong with the running statistics) of a call that is given some."""
    assert isinstance(problem, BatchNorm)
    fields = {field.name: getattr(problem, field.name) for field in dataclasses.fields(problem)}
    asked = _Momentum(**fields, momentum=_OTHER if subject.takes("momentum") else _DEFAULT)
    rng = np.random.default_rng([seed, zlib.crc32(problem.line.encode())])
    kept = np.dtype(np.float64 if data["x"].dtype == np.float64 else np.float32)
    before = {name: rng.uniform(0.5, 1.5, problem.c).astype(kept) for name in NAMES}
    given = {name: subject.array_library.array(array) for name, array in before.items()}
    results = subject.run(asked, direction, data | given, None, 0)
    after = {name: to_numpy(array) for name, array in given.items()}
    bound = subject.bound(problem, direction)
    wrong = []
    for name, wanted in _wanted(asked, direction, data, before).items():
        found = compare(after[name], wanted, bound)
        if found.ok:
            continue
        still = np.array_equal(after[name], before[name])
        fault = "was not updated" if still else f"was updated wrongly: {found}"
        wrong.append(f"{name}, given in training with momentum={asked.momentum}, {fault}")
    return tuple(map(to_numpy, results)), wrong


def _wanted(
    problem: _Momentum, direction: str, data: dict[str, np.ndarray], before: dict[str, np.ndarray]
) -> dict[str, Expected]:
    """What the reference leaves in the running statistics."""
    kept = before[NAMES[0]].dtype
    wider = np.longdouble if kept == np.float64 else np.float64
    wide = {name: array.astype(wider) for name, array in (data | before).items()}
    run_reference(problem, direction, wide)
    std = batch_norm_spreads(problem, direction, wide)[1]
    eps, m = np.finfo(kept).eps, problem.momentum
    found = {}
    for name, spread in zip(NAMES, (std, std**2), strict=True):
        unit = eps * ((1 - m) * np.abs(before[name]) + m * spread + np.abs(wide[name]))
        found[name] = Expected(wide[name], unit, kept)
    return found
