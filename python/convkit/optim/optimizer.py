"""What all optimizers share: groups of parameters, state that can be kept and restored, pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from convkit.autograd import Tensor, enable_grad
from convkit.autograd.tensor import FLOATS, is_device_array
from convkit.ops.elementwise import space_of

from .rules import Rule, checked

Closure = Callable[[], Tensor]

# Elements for which all arrays of an update fit a core's cache, where all passes but the first
# find them.
PIECE = 1 << 13


class Optimizer:
    """Changes parameters by their gradients; those of 16 bits by steps computed in float32.

    param_groups: dicts with "params" and the options for them, which may be changed between steps.
    state: what was gathered for each parameter, by its number.
    """

    RULES: ClassVar[dict[str, Rule]]

    def __init__(self, params: Iterable[Any], **defaults: Any) -> None:
        self.name = type(self).__name__
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[int, dict[str, Any]] = {}
        if isinstance(params, (Tensor, Mapping)):
            kind = type(params).__name__
            raise TypeError(f"{self.name}: params is a {kind}, must be a list of Tensors or dicts")
        given = list(params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        for i, group in enumerate(groups):
            self._add(f"params[{i}]: " if len(groups) > 1 else "", group, defaults)

    def _add(self, place: str, group: Any, defaults: dict[str, Any]) -> None:
        owner = f"{self.name}: {place}".removesuffix(": ")
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(
                f"{owner} is a {type(group).__name__}, must be a dict with 'params' as the first"
            )
        options = self._checked(owner, {**defaults, **group})
        params = list(group["params"])
        if not params:
            raise ValueError(f"{owner}: params is empty, must hold at least one Tensor")
        known = {id(param) for param in self.params}
        for i, param in enumerate(params):
            if not isinstance(param, Tensor) or param.dtype.name not in FLOATS:
                kind = param.dtype if isinstance(param, Tensor) else type(param).__name__
                raise TypeError(f"{owner}: params[{i}] is {kind}, must be a Tensor of floats")
            if not param.is_leaf:
                raise ValueError(f"{owner}: params[{i}] was made by a call, must be a leaf")
            if id(param) in known:
                raise ValueError(f"{owner}: params[{i}] is given twice")
            known.add(id(param))
        self.param_groups.append({"params": params, **options})

    def _checked(self, owner: str, given: dict[str, Any]) -> dict[str, Any]:
        for name in given.keys() - self.RULES.keys() - {"params"}:
            known = ", ".join(self.RULES)
            raise ValueError(f"{owner}: {name} is not an option; options are {known}")
        options = {n: checked(owner, n, given[n], rule) for n, rule in self.RULES.items()}
        self.check(owner, options)
        return options

    def check(self, owner: str, options: dict[str, Any]) -> None:
        """Raises ValueError for options that do not go together."""

    @property
    def params(self) -> list[Tensor]:
        """All parameters, in the order of their numbers."""
        return [param for group in self.param_groups for param in group["params"]]

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for param in self.params:
            param.grad = None

    def step(self, closure: Closure | None = None) -> Tensor | None:
        """Changes every parameter that has a gradient.

        Args:
            closure: called first, if given: computes the loss, calls its backward, returns it.

        Returns: what the closure returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        number = 0
        for group in self.param_groups:
            options = {n: rule.kind(group[n]) for n, rule in self.RULES.items()}
            for param in group["params"]:
                if param.grad is not None:
                    state = self.state.setdefault(number, {})
                    data, wide = param.data, widened(param.data)
                    self.update(wide, widened(param.grad.data), state, options)
                    if wide is not data:
                        data[...] = wide
                    param.changed()
                number += 1
        return loss

    def update(self, param: Any, grad: Any, state: dict[str, Any], options: dict[str, Any]) -> None:
        """Changes a parameter's array, float32 or float64, in place."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Everything but the parameters, as dicts of numbers and NumPy arrays of its own.

        With the parameters it restores a training exactly: the same bits follow.
        """
        groups, number = [], 0
        for group in self.param_groups:
            count = len(group["params"])
            groups.append({**group, "params": list(range(number, number + count))})
            number += count
        state = {
            number: {name: on_host(value) for name, value in one.items()}
            for number, one in self.state.items()
        }
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what state_dict gave of an optimizer of the same parameters.

        Raises: ValueError where groups, parameters or their shapes differ; nothing is changed then.
        """
        own = [len(group["params"]) for group in self.param_groups]
        given = [len(group["params"]) for group in state_dict["param_groups"]]
        if own != given:
            raise ValueError(
                f"{self.name}: state_dict has groups of {given} parameters, must be {own}"
            )
        groups = [
            {"params": mine["params"], **self._checked(f"{self.name}: state_dict", theirs)}
            for mine, theirs in zip(self.param_groups, state_dict["param_groups"], strict=True)
        ]
        self.state = self.restored({int(n): dict(one) for n, one in state_dict["state"].items()})
        self.param_groups = groups

    def restored(self, state: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
        """The state that a state_dict holds, each array where its parameter is."""
        params = self.params
        for number, one in state.items():
            if not 0 <= number < len(params):
                raise ValueError(
                    f"{self.name}: state_dict has a state for parameter {number}, "
                    f"must be below {len(params)}"
                )
            for name, value in one.items():
                if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "iu":
                    one[name] = int(value)  # a float64 made of it would widen float32
                elif isinstance(value, np.ndarray):
                    one[name] = self.placed(f"state[{number}][{name!r}]", value, params[number])
        return state

    def placed(self, place: str, value: np.ndarray, param: Tensor) -> Any:
        """A copy where the parameter is; ValueError where it does not fit."""
        dtype = wide_dtype(param)
        if value.shape != param.shape or value.dtype != dtype:
            raise ValueError(
                f"{self.name}: state_dict has {place} of {value.dtype} {value.shape}, "
                f"must be {dtype} {param.shape}"
            )
        return space_of(param.data).array(value)


def wide_dtype(param: Any) -> np.dtype:
    """The type that steps are computed in: what 16 bits would swallow is remembered."""
    return np.dtype("float32") if param.dtype.name in FLOATS[2:] else np.dtype(param.dtype)


def widened(array: Any) -> Any:
    return array.astype(wide_dtype(array), copy=False)


def on_host(value: Any) -> Any:
    if is_device_array(value):
        return value.get()
    return value.copy() if isinstance(value, np.ndarray) else value


def pieces(*arrays: Any) -> Iterator[tuple[Any, ...]]:
    """Views of arrays of one shape, piece by piece; on a device, or not dense, in one piece."""
    if is_device_array(arrays[0]) or not all(array.flags.c_contiguous for array in arrays):
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, PIECE):
        yield tuple(array[start : start + PIECE] for array in flat)
