"""Module: layers made of layers, their parameters by torch's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from convkit.autograd import Tensor

ForwardHook = Callable[["Module", tuple[Any, ...], Any], Any]


class Parameter(Tensor):
    """A leaf that training changes."""

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        super().__init__(data, requires_grad=True)


class Loaded(NamedTuple):
    """What load_state_dict did not find a partner for."""

    missing: list[str]
    unexpected: list[str]


class Module:
    """Base of layers and networks: write `forward`, and assign parts as attributes.

    >>> class Twice(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.weight = Parameter(np.ones(3, "f4"))
    ...
    ...     def forward(self, x):
    ...         return 2 * x * self.weight
    >>> Twice()(Tensor(np.ones(3, "f4"))).data.tolist()
    [2.0, 2.0, 2.0]
    >>> list(Twice().state_dict())
    ['weight']
    """

    training: bool

    def __init__(self) -> None:
        parts: dict[str, Any] = {"_parameters": {}, "_buffers": {}, "_modules": {}, "_hooks": []}
        self.__dict__.update(parts, training=True)

    def __setattr__(self, name: str, value: Any) -> None:
        kinds = {"_parameters": Parameter, "_modules": Module}
        for place, kind in kinds.items():
            if isinstance(value, kind):
                if place not in self.__dict__:
                    raise RuntimeError(f"{type(self).__name__}: call super().__init__() first")
                for other in ("_parameters", "_buffers", "_modules"):
                    self.__dict__[other].pop(name, None)
                self.__dict__.pop(name, None)
                self.__dict__[place][name] = value
                return
        for place in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__.get(place, ()):
                if value is not None and place != "_buffers":
                    raise TypeError(
                        f"{type(self).__name__}.{name} is {type(value).__name__}, must be "
                        f"{kinds[place].__name__} or None"
                    )
                self.__dict__[place][name] = value
                return
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        for place in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(place, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def register_parameter(self, name: str, value: Parameter | None) -> None:
        """A parameter, or None for one that this layer goes without."""
        self._parameters[name] = value

    def register_buffer(self, name: str, value: Any) -> None:
        """An array that belongs to the state but is not trained."""
        self._buffers[name] = value

    def forward(self, *args: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args: Any) -> Any:
        result = self.forward(*args)
        for hook in list(self._hooks):
            changed = hook(self, args, result)
            result = result if changed is None else changed
        return result

    def register_forward_hook(self, hook: ForwardHook) -> Callable[[], None]:
        """Calls hook(module, arguments, result) after each forward; what it returns, if not None,
        takes the result's place. Returns the function that removes it."""
        self._hooks.append(hook)
        return lambda: self._hooks.remove(hook)

    # Walking

    def children(self) -> Iterator[tuple[str, Module]]:
        """Direct parts by name."""
        return ((name, one) for name, one in self._modules.items() if one is not None)

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below, each once."""
        seen: set[int] = set()
        for name, one in self._walk(prefix):
            if id(one) not in seen:
                seen.add(id(one))
                yield name, one

    def _walk(self, prefix: str) -> Iterator[tuple[str, Module]]:
        yield prefix, self
        for name, child in self.children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        return (one for _, one in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """All parameters by name, shared ones once."""
        seen: set[int] = set()
        for prefix, module in self.named_modules():
            for name, one in module._parameters.items():
                if one is not None and id(one) not in seen:
                    seen.add(id(one))
                    yield (f"{prefix}.{name}" if prefix else name), one

    def parameters(self) -> Iterator[Parameter]:
        return (one for _, one in self.named_parameters())

    def count(self) -> int:
        """Numbers in all parameters."""
        return sum(one.size for one in self.parameters())

    # State

    def train(self, mode: bool = True) -> Module:
        """Dropout drops, and BatchNorm takes the batch's statistics."""
        for one in self.modules():
            one.training = mode
        return self

    def eval(self) -> Module:
        return self.train(False)

    def requires_grad_(self, wanted: bool = True) -> Module:
        """False freezes all parameters: no gradient is made for them."""
        for one in self.parameters():
            one.requires_grad = wanted
        return self

    def zero_grad(self) -> None:
        for one in self.parameters():
            one.grad = None

    def apply(self, function: Callable[[Module], Any]) -> Module:
        """function(module) for this module and all below."""
        for one in self.modules():
            function(one)
        return self

    def astype(self, dtype: Any) -> Module:
        """Parameters and float buffers become that dtype, in place."""
        for one in self.modules():
            for parameter in one._parameters.values():
                if parameter is not None:
                    parameter.data = parameter.data.astype(dtype)
            for name, array in one._buffers.items():
                if array is not None and array.dtype.kind == "f":
                    one._buffers[name] = array.astype(dtype)
        return self

    def state_dict(self) -> dict[str, Any]:
        """Parameters and buffers by torch's names: the arrays themselves, not copies."""
        state: dict[str, Any] = {}
        for prefix, module in self._walk(""):
            start = f"{prefix}." if prefix else ""
            for name, one in module._parameters.items():
                if one is not None:
                    state[start + name] = one.data
            for name, array in module._buffers.items():
                if array is not None:
                    state[start + name] = array
        return state

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> Loaded:
        """Copies arrays by name into parameters and buffers.

        Args:
            state: arrays, Tensors, or tensors of torch.
            strict: whether every name must have a partner on both sides.

        Raises: ValueError that lists names without a partner, or the first array of another
            shape; nothing is copied then.
        """
        own = self.state_dict()
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        if strict and (missing or unexpected):
            raise ValueError(
                f"load_state_dict: {_listed('missing', missing)}"
                f"{'; ' if missing and unexpected else ''}{_listed('unexpected', unexpected)}"
            )
        arrays = {name: _array_of(state[name]) for name in own if name in state}
        for name, array in arrays.items():
            if array.shape != own[name].shape:
                raise ValueError(
                    f"load_state_dict: {name}.shape is {array.shape}, must be {own[name].shape}"
                )
        for name, array in arrays.items():
            own[name][...] = array
        for parameter in self.parameters():
            parameter.changed()
        return Loaded(missing, unexpected)

    def extra_repr(self) -> str:
        """What stands in the brackets of the module's text."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.children()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _array_of(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.data
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


def _listed(what: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f"{what} {shown}"


class Sequential(Module):
    """Modules one after another.

    >>> from convkit import nn
    >>> net = Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> list(net.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        named: Iterable[tuple[str, Any]] = ((f"{i}", one) for i, one in enumerate(modules))
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = modules[0].items()
        for name, one in named:
            if not isinstance(one, Module):
                kind = type(one).__name__
                raise TypeError(f"Sequential: part {name} is {kind}, must be a Module")
            self._modules[name] = one

    def forward(self, x: Any) -> Any:
        for _, one in self.children():
            x = one(x)
        return x

    def __getitem__(self, index: int | slice) -> Any:
        parts = list(self._modules.values())
        if isinstance(index, slice):
            names = list(self._modules)[index]
            return Sequential({name: self._modules[name] for name in names})
        return parts[index]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())


class ModuleList(Module):
    """Modules by number, for a forward of one's own."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for one in modules:
            self.append(one)

    def append(self, module: Module) -> ModuleList:
        self._modules[f"{len(self._modules)}"] = module
        return self

    def __getitem__(self, index: int) -> Module:
        modules: list[Module] = list(self._modules.values())
        return modules[index]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())


class Identity(Module):
    """Gives back what it gets."""

    def forward(self, x: Any) -> Any:
        return x
