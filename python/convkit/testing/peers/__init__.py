"""The same work by other libraries, as a careful user of each writes it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from convkit.testing.lines import Problem
from convkit.testing.timing import clock

from . import arrays, onnxruntime, scipy, torch

# Name on the command line: (name in a table, packages it needs).
KNOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "torch": ("torch", ("torch",)),
    "channels_last": ("torch channels_last", ("torch",)),
    "onnxruntime": ("ONNX Runtime", ("onnxruntime", "onnx")),
    "cupy": ("CuPy", ("cupy",)),
    "numpy": ("NumPy", ("numpy",)),
    "scipy": ("SciPy", ("scipy",)),
}
PLAIN = ("numpy", "scipy")  # array libraries: what one writes where there is no such op


@dataclass(frozen=True)
class Peer:
    """Another library's way: `call` does the work, `output` makes NumPy of the first result."""

    name: str
    call: Callable[[], Any]
    output: Callable[[Any], np.ndarray]


def importable(key: str) -> bool:
    """Whether the packages of a peer are installed; imports none."""
    return all(find_spec(package) is not None for package in KNOWN[key][1])


def peers(
    problem: Problem,
    direction: str,
    data: dict[str, np.ndarray],
    *,
    backend: str,
    threads: int,
    keys: Iterable[str] = tuple(KNOWN),
) -> list[Peer]:
    """What can do the work on this machine, each with `threads` threads. None where nothing fits.

    On cuda the calls return before the device is done: whoever times them waits for it.
    """
    found = []
    for key in keys:
        if not importable(key):
            continue
        name = KNOWN[key][0]
        try:
            made = _make(key, problem, direction, data, backend, threads)
        except Exception as error:  # another library's; its row says so, the others go on
            made = partial(_raise, error), _to_numpy
        if made is not None:
            found.append(Peer(name, *made))
    return found


def _raise(error: Exception) -> Any:
    raise error


def _make(
    key: str,
    problem: Problem,
    direction: str,
    data: dict[str, np.ndarray],
    backend: str,
    threads: int,
) -> Any:
    on_device = backend == "cuda"
    device = "cuda" if on_device else "cpu"
    if key in ("torch", "channels_last"):
        if not on_device:
            import torch as library

            library.set_num_threads(threads)
        return torch.make(problem, direction, data, device, key == "channels_last")
    if problem.layout != "NCHW":
        return None
    if key == "onnxruntime":
        return onnxruntime.make(problem, direction, data, threads, device)
    if on_device != (key == "cupy"):
        return None
    if key == "cupy":
        import cupy

        call = arrays.make(problem, direction, data, cupy)
    elif key == "numpy":
        call = arrays.make(problem, direction, data, np)
    else:
        call = scipy.make(problem, direction, data)
    return None if call is None else (call, _to_numpy)


def _to_numpy(result: Any) -> np.ndarray:
    first = result[0] if isinstance(result, tuple) else result
    return first.get() if hasattr(first, "get") else np.asarray(first)


@contextmanager
def fair_blas(numpy: Callable[[], Any] | None, threads: int) -> Iterator[None]:
    """Gives NumPy's BLAS one thread or `threads`, whichever makes its call here faster.

    Where other programs use the cores, BLAS threads that wait for one another can take a hundred
    times as long as one alone; that would flatter whatever stands beside them.
    """
    if numpy is None or find_spec("threadpoolctl") is None:
        yield
        return
    controller = _blas_controller()
    times = {threads: math.inf}
    with suppress(Exception):  # a call that fails says so where it is checked
        for count in {1, threads}:
            with controller.limit(limits=count, user_api="blas"):
                times[count] = min(clock(numpy) for _ in range(2))
    with controller.limit(limits=min(times, key=times.__getitem__), user_api="blas"):
        yield


@lru_cache(maxsize=1)
def _blas_controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
