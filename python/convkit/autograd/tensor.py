"""The tape: a Tensor knows the call that made it, a Node, and that one the Tensors it read.

Knows no op. What is kept for the way back is guarded: memory that changed since is noticed.
"""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

Hook = Callable[["Tensor"], "Tensor | None"]
Gradients = tuple["Tensor | None", ...]
FLOATS = ("float32", "float64", "float16", "bfloat16")

_numbers = itertools.count()


class _Mode(threading.local):
    recording = True


_mode = _Mode()


def is_recording() -> bool:
    """Whether this thread records calls on tensors that want gradients."""
    return _mode.recording


@contextmanager
def recording(wanted: bool) -> Iterator[None]:
    before = _mode.recording
    _mode.recording = wanted
    try:
        yield
    finally:
        _mode.recording = before


def no_grad() -> Any:
    """Nothing is recorded inside: `with no_grad(): ...`, or `@no_grad()` above a function.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> with no_grad():
    ...     y = 2 * x
    >>> y.requires_grad
    False
    """
    return recording(False)


def enable_grad() -> Any:
    """Inside no_grad: calls are recorded again."""
    return recording(True)


class Versions:
    """How often memory was changed in place; tensors that share the memory share this."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class _Kept:
    """A tensor kept for the way back, and the state of its memory then."""

    __slots__ = ("count", "data", "place", "tensor", "versions")

    def __init__(self, node: Node, tensor: Tensor) -> None:
        # A node that held its own result would keep itself alive.
        self.tensor = None if tensor._node is node else tensor
        self.data, self.place = tensor.data, tensor._place
        self.versions, self.count = tensor._versions, tensor._versions.count

    def restore(self, node: Node) -> Tensor:
        changed = self.tensor is not None and self.tensor.data is not self.data
        if changed or self.versions.count != self.count:
            raise RuntimeError(
                f"backward: an array that {node.name} needs for its gradient was changed after the "
                "call; change a copy, or change it after backward"
            )
        if self.tensor is not None:
            return self.tensor
        return Tensor.made(self.data, node, self.place, self.versions)


class Edge(NamedTuple):
    """Where the gradient of an input goes: to a leaf, or to a result of a node. It does not hold
    that result, whose memory may be freed."""

    leaf: Tensor | None
    node: Node | None
    place: int
    shape: tuple[int, ...]

    @staticmethod
    def to(tensor: Tensor | None) -> Edge | None:
        if tensor is None or not tensor.requires_grad:
            return None
        leaf = tensor if tensor._node is None else None
        return Edge(leaf, tensor._node, tensor._place, tensor.shape)


class Node:
    """A recorded call."""

    __slots__ = ("backward", "hooks", "inputs", "kept", "name", "number", "results")

    def __init__(
        self,
        name: str,
        inputs: Sequence[Tensor | None],
        backward: Callable[[Gradients], Iterable[Tensor | None]],
    ) -> None:
        self.name = name
        self.inputs = tuple(map(Edge.to, inputs))
        self.backward: Callable[[Gradients], Iterable[Tensor | None]] | None = backward
        self.number = next(_numbers)
        self.kept: dict[str, _Kept] | None = {}
        self.results = 0
        self.hooks: dict[int, list[Hook]] = defaultdict(list)

    def result(self, data: Any, versions: Versions | None = None) -> Tensor:
        """The call's next result."""
        self.results += 1
        return Tensor.made(data, self, self.results - 1, versions)

    def keep(self, name: str, tensor: Tensor) -> None:
        assert self.kept is not None
        self.kept[name] = _Kept(self, tensor)

    def restore(self, name: str) -> Tensor:
        """What was kept; RuntimeError where it has been freed, or changed in place since."""
        return self._kept()[name].restore(self)

    def _kept(self) -> dict[str, _Kept]:
        if self.kept is None:
            raise RuntimeError(
                f"backward: what {self.name} kept for its gradient was freed by an earlier "
                "backward; pass retain_graph=True to that one"
            )
        return self.kept

    def pull(self, grads: Gradients) -> Iterable[Tensor | None]:
        """The gradients of the inputs."""
        self._kept()
        assert self.backward is not None
        return self.backward(grads)

    def free(self) -> None:
        self.kept = self.backward = None


class Tensor:
    """An array whose history is remembered, so that gradients can be asked for.

    Args:
        data: a NumPy or CuPy array, which is not copied; or what np.asarray takes.
        requires_grad: whether `backward` shall leave this tensor's gradient in `.grad`.

    Raises: TypeError where gradients are wanted of something else than real floats.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.data.tolist()
    [2.0, 4.0]
    """

    __slots__ = (
        "__weakref__",
        "_hooks",
        "_node",
        "_place",
        "_requires_grad",
        "_versions",
        "data",
        "grad",
    )
    __array_ufunc__ = None  # of array * tensor NumPy asks the tensor

    data: Any
    grad: Tensor | None
    _node: Node | None
    _place: int
    _versions: Versions
    _hooks: list[Hook]
    _requires_grad: bool

    def __init__(self, data: Any, requires_grad: bool = False) -> None:
        array = data.data if isinstance(data, Tensor) else data
        if not is_device_array(array):
            array = np.asarray(array)
        self._set(array, None, 0, None)
        self.requires_grad = requires_grad

    @staticmethod
    def made(data: Any, node: Node | None, place: int, versions: Versions | None) -> Tensor:
        """The result of a recorded call, or of none."""
        tensor = Tensor.__new__(Tensor)
        tensor._set(data, node, place, versions)
        return tensor

    def _set(self, data: Any, node: Node | None, place: int, versions: Versions | None) -> None:
        self.data = data
        self.grad = None
        self._node, self._place = node, place
        self._versions = Versions() if versions is None else versions
        self._hooks = []
        self._requires_grad = node is not None

    @property
    def requires_grad(self) -> bool:
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if self._node is not None and not wanted:
            raise RuntimeError("requires_grad: a recorded result keeps it; use detach()")
        if wanted and self.data.dtype.name not in FLOATS:
            raise TypeError(
                f"Tensor: data.dtype is {self.data.dtype.name}, must be {', '.join(FLOATS[:-1])} "
                f"or {FLOATS[-1]} where gradients are wanted"
            )
        self._requires_grad = bool(wanted)

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded call made it."""
        return self._node is None

    @property
    def shape(self) -> tuple[int, ...]:
        return cast("tuple[int, ...]", self.data.shape)

    @property
    def dtype(self) -> Any:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return len(self.data.shape)

    @property
    def size(self) -> int:
        return int(self.data.size)

    def __len__(self) -> int:
        return len(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)  # NumPy refuses more than one element

    def numpy(self) -> np.ndarray:
        """The data as a NumPy array; that of a device is copied to the host."""
        return cast(np.ndarray, self.data.get() if is_device_array(self.data) else self.data)

    def item(self) -> float:
        """The only element as a Python number."""
        return cast(float, self.data.item())

    def detach(self) -> Tensor:
        """The same memory without its history."""
        return Tensor.made(self.data, None, 0, self._versions)

    def changed(self) -> None:
        """Says that the memory was changed in place: a backward that needs the old one raises."""
        self._versions.count += 1

    def __setitem__(self, index: Any, value: Any) -> None:
        if self.requires_grad and is_recording():
            raise RuntimeError(
                "Tensor: an element of a tensor that wants gradients is set; do it under no_grad()"
            )
        self.data[index] = value.data if isinstance(value, Tensor) else value
        self.changed()

    def __repr__(self) -> str:
        numbers = np.array2string(self.numpy(), separator=", ", prefix="Tensor(")
        made = f", made by {self._node.name}" if self._node else ""
        wants = ", requires_grad=True" if self.requires_grad and self.is_leaf else ""
        return f"Tensor({numbers}{made}{wants})"

    def register_hook(self, hook: Hook) -> Callable[[], None]:
        """Calls hook(gradient) once this tensor's gradient is whole; what it returns, if not None,
        takes the gradient's place. Returns the function that removes the hook."""
        if not self.requires_grad:
            raise RuntimeError("register_hook: the tensor wants no gradient")
        hooks = self._hooks if self._node is None else self._node.hooks[self._place]
        hooks.append(hook)
        return lambda: hooks.remove(hook)

    def backward(
        self, grad: Any = None, *, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Adds to `.grad` of every leaf that wants it the gradient of sum(self * grad).

        Args:
            grad: array or Tensor like self; None stands for 1 where self has one element.
            retain_graph: keeps what the calls kept, so that backward can be asked again.
            create_graph: records the walk itself, for gradients of gradients.
        """
        from .walk import Walk

        walk = Walk(create_graph)
        with recording(create_graph):
            walk.start(self, grad)
            walk.run(retain_graph or create_graph)
        walk.store()

    if TYPE_CHECKING:  # ops/arithmetic.py gives them

        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __pow__(self, exponent: float) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __rmatmul__(self, other: Any) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def max(self, axis: Any = None, keepdims: bool = False) -> Tensor: ...
        def reshape(self, *shape: Any) -> Tensor: ...
        def transpose(self, *axes: Any) -> Tensor: ...
        def flatten(self, start: int = 0) -> Tensor: ...
        def astype(self, dtype: Any) -> Tensor: ...
        def exp(self) -> Tensor: ...
        def log(self) -> Tensor: ...
        def sqrt(self) -> Tensor: ...
        def abs(self) -> Tensor: ...
        def tanh(self) -> Tensor: ...
        def sigmoid(self) -> Tensor: ...
        def relu(self) -> Tensor: ...


def is_device_array(array: Any) -> bool:
    """Whether it is CuPy's; everything else is NumPy's."""
    return type(array).__module__.partition(".")[0] == "cupy"
