"""Who races in a row: our algorithms, the user's own functions, other libraries."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from convkit.apps.checks import placed
from convkit.apps.terminal import InputError
from convkit.testing import Problem, bound_of, row_bound
from convkit.testing.compare import DEFAULT_BOUND
from convkit.testing.peers import peers
from convkit.testing.subjects import said, to_numpy

OURS = "convkit"
# Others round as they like, by Winograd too; beyond this it is no float32 any more, or other work.
PEER_BOUND = 1000.0


@dataclass(frozen=True)
class Stranger:
    """The user's own function, put into the race of a public one."""

    name: str
    function: str  # the public function it does the work of
    call: Callable[..., Any]


@dataclass(frozen=True)
class Settings:
    """How every row is run."""

    backend: str = "cpu"
    dtype: str = "float32"
    seconds: float = 1.0
    precision: float = 0.01
    cold: bool = False
    algorithms: tuple[str, ...] = ("auto",)  # the first is what ratios are made with
    vs: tuple[str, ...] = ()
    strangers: tuple[Stranger, ...] = ()


@dataclass(frozen=True)
class Field:
    """A direction of a problem, and how it is to be run."""

    problem: Problem
    direction: str
    settings: Settings
    threads: int
    able: dict[str, str | None]  # our algorithms, each with why it declines
    taken: str  # the one that auto takes


@dataclass(frozen=True)
class Entry:
    """A way to do the work on arrays that lie where it wants them."""

    name: str
    call: Callable[[], Any]
    outputs: Callable[[Any], list[np.ndarray]]
    bound: float


def enter(field: Field, data: dict[str, np.ndarray]) -> list[Entry]:
    """All that can do the work on this machine, ours first."""
    found = [*_own(field, data), *_strangers(field, data)]
    others = peers(
        field.problem,
        field.direction,
        data,
        backend=field.settings.backend,
        threads=field.threads,
        keys=field.settings.vs,
    )
    for peer in others:
        outputs = partial(_output_of, peer.output)
        found.append(Entry(peer.name, peer.call, outputs, PEER_BOUND))
    return found


def _own(field: Field, data: dict[str, np.ndarray]) -> Iterable[Entry]:
    """Ours by each algorithm asked for that takes the problem."""
    import convkit

    problem, direction, settings = field.problem, field.direction, field.settings
    on_device = placed(data, settings.backend)
    names = list(settings.algorithms)
    if "all" in names:
        names = ["auto", *(algo for algo in field.able if algo != field.taken)]
    for algo in names:
        if field.able.get(algo):
            continue
        name, arrays, options = problem.call(direction, _own_statistics(on_device))
        options = as_written(getattr(convkit, name), options)
        if algo != "auto":
            options["algo"] = algo
        call = partial(getattr(convkit, name), *arrays, **options)
        row = row_bound(problem.op, field.taken if algo == "auto" else algo, settings.backend)
        label = OURS if algo == "auto" else f"{OURS} {algo}"
        yield Entry(label, call, _arrays, bound_of(problem, direction, row))


def _own_statistics(data: dict[str, Any]) -> dict[str, Any]:
    """The arrays, with copies of the running statistics: each call of batch_norm changes them."""
    own = {name: array.copy() for name, array in data.items() if name.startswith("running_")}
    return data | own


def _strangers(field: Field, data: dict[str, np.ndarray]) -> Iterable[Entry]:
    """The user's functions, on arrays of their own: what they write there harms nobody."""
    import convkit

    for stranger in field.settings.strangers:
        copies = {name: array.copy() for name, array in data.items()}
        name, arrays, options = field.problem.call(
            field.direction, placed(copies, field.settings.backend)
        )
        if stranger.function != name:
            continue
        options = as_written(getattr(convkit, name), options)
        while arrays[-1] is None:  # no bias
            arrays = arrays[:-1]
        call = partial(stranger.call, *arrays, **options)
        yield Entry(stranger.name, call, _first_array, DEFAULT_BOUND)


def as_written(function: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """The options as one writes them: no defaults, one number where all are equal.

    >>> import convkit
    >>> as_written(convkit.conv2d, {"stride": (2, 2), "padding": ((1, 1), (1, 1)), "groups": 1})
    {'stride': 2, 'padding': 1}
    """
    defaults = inspect.signature(function).parameters
    written = {name: _short(value) for name, value in options.items()}
    return {
        name: value
        for name, value in written.items()
        if type(value) is not type(defaults[name].default) or value != defaults[name].default
    }


def _short(value: Any) -> Any:
    if not isinstance(value, tuple):
        return value
    if isinstance(value[0], tuple):  # the pads of each axis
        if any(low != high for low, high in value):
            return value
        value = tuple(low for low, _ in value)
    return value[0] if len(set(value)) == 1 else value


def _arrays(result: Any) -> list[np.ndarray]:
    outputs = result if isinstance(result, tuple) else (result,)
    return [to_numpy(output) for output in outputs]


def _first_array(result: Any) -> list[np.ndarray]:
    return _arrays(result)[:1]


def _output_of(output: Callable[[Any], np.ndarray], result: Any) -> list[np.ndarray]:
    return [output(result)]


def load_stranger(text: str) -> Stranger:
    """ "module:name" for conv2d, or "function=module:name" for another public function.

    Raises: InputError where there is no such thing.
    """
    from convkit import ops

    function, _, place = text.rpartition("=")
    function = function or "conv2d"
    if function not in ops.FUNCTIONS:
        known = ", ".join(ops.FUNCTIONS)
        raise InputError(f"--with {text}: {function!r} is no public function; these are: {known}")
    module, _, name = place.partition(":")
    if not module or not name:
        raise InputError(f"--with {text}: must be module:function, such as mymodule:my_conv2d")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a file in the folder where one stands, as python -m has
    try:
        found = getattr(importlib.import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the user's module raises when it is imported
        raise InputError(f"--with {text}: {said(error)}") from None
    if not callable(found):
        raise InputError(f"--with {text}: {name} is {type(found).__name__}, must be callable")
    return Stranger(place, function, found)
