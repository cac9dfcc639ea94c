"""First values of parameters. Every function changes its array in place and returns it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from convkit.autograd.function import random_states


class _Source:
    """The generator that initialisation and Dropout draw from."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)
        self.fills = True


_source = _Source()


def manual_seed(seed: int) -> None:
    """Starts the random numbers of initialisation and Dropout anew; they start with seed 0."""
    _source.generator = np.random.default_rng(seed)


def generator() -> np.random.Generator:
    return _source.generator


def random_state() -> dict[str, Any]:
    """Where the random numbers stand, for a checkpoint."""
    state: dict[str, Any] = dict(_source.generator.bit_generator.state)
    return state


def set_random_state(state: dict[str, Any]) -> None:
    _source.generator.bit_generator.state = state


def _rewind() -> Callable[[], None]:
    state = random_state()
    return lambda: set_random_state(state)


random_states.append(_rewind)


@contextmanager
def no_init() -> Iterator[None]:
    """Networks made inside keep whatever memory holds: for those that load a checkpoint at once."""
    before = _source.fills
    _source.fills = False
    try:
        yield
    finally:
        _source.fills = before


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight (out, in, ...): how many numbers meet in one."""
    area = math.prod(shape[2:])
    return shape[1] * area, shape[0] * area


def uniform(array: np.ndarray, bound: float) -> np.ndarray:
    """Uniform in [-bound, bound)."""
    if not _source.fills:
        return array
    array[...] = generator().uniform(-bound, bound, array.shape)
    return array


def normal(array: np.ndarray, std: float) -> np.ndarray:
    """Normal around 0."""
    if not _source.fills:
        return array
    array[...] = generator().normal(0, std, array.shape)
    return array


def xavier_uniform(array: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Uniform with variance gain^2 * 2 / (fan_in + fan_out). Glorot and Bengio 2010."""
    return uniform(array, gain * math.sqrt(6 / sum(fans(array.shape))))


def xavier_normal(array: np.ndarray, gain: float = 1.0) -> np.ndarray:
    """Normal with variance gain^2 * 2 / (fan_in + fan_out). Glorot and Bengio 2010."""
    return normal(array, gain * math.sqrt(2 / sum(fans(array.shape))))


def he_uniform(array: np.ndarray, slope: float = 0.0, fan: str = "in") -> np.ndarray:
    """Uniform with variance 2 / ((1 + slope^2) * fan). He et al. 2015."""
    return uniform(array, math.sqrt(6 / ((1 + slope**2) * _fan(array, fan))))


def he_normal(array: np.ndarray, slope: float = 0.0, fan: str = "in") -> np.ndarray:
    """Normal with variance 2 / ((1 + slope^2) * fan). He et al. 2015."""
    return normal(array, math.sqrt(2 / ((1 + slope**2) * _fan(array, fan))))


def lecun_uniform(array: np.ndarray) -> np.ndarray:
    """Uniform in +-2.4 / fan_in, as LeNet-5 starts. LeCun et al. 1998."""
    return uniform(array, 2.4 / fans(array.shape)[0])


def _fan(array: np.ndarray, fan: str) -> int:
    if fan not in ("in", "out"):
        raise ValueError(f"fan is {fan!r}, must be 'in' or 'out'")
    return fans(array.shape)[fan == "out"]


def default_(weight: np.ndarray, bias: np.ndarray | None, fan_in: int) -> None:
    """torch's start of convolutions and linear layers: uniform in +-1/sqrt(fan_in), both."""
    uniform(weight, 1 / math.sqrt(fan_in))
    if bias is not None:
        uniform(bias, 1 / math.sqrt(fan_in))
