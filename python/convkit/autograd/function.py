"""Calls of one's own on the tape: Function, and checkpoint, which computes twice to keep less."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .tensor import Gradients, Node, Tensor, is_recording, recording
from .walk import Walk


class Context:
    """What forward leaves for backward.

    needs: for each positional argument of apply, whether its gradient is asked for.
    """

    def __init__(self, needs: tuple[bool, ...]) -> None:
        self.needs = needs
        self._arrays: tuple[Any, ...] = ()
        self._restore: Callable[[], tuple[Any, ...]] = tuple

    def save(self, *arrays: Any) -> None:
        """Keeps arrays of forward, or numbers: its arguments, its results or others. Save only what
        backward will read: the rest is freed."""
        self._arrays = arrays

    @property
    def saved(self) -> tuple[Any, ...]:
        """What was saved, arrays as Tensors: those that were arguments or results know where they
        come from, so that backward can be differentiated itself."""
        return self._restore()


class Function:
    """A call with a gradient of one's own.

    >>> import numpy as np
    >>> class Cube(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save(x)
    ...         return x**3
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (x,) = ctx.saved
    ...         return 3 * x * x * grad
    >>> x = Tensor([2.0], requires_grad=True)
    >>> Cube.apply(x).backward()
    >>> x.grad.data.tolist()
    [12.0]
    """

    @staticmethod
    def forward(ctx: Any, *args: Any, **options: Any) -> Any:
        """From the arguments, Tensors as plain arrays, to an array or a tuple of arrays."""
        raise NotImplementedError

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """From the gradients of the results, Tensors (None where nothing flows back), to those of
        the positional arguments: a Tensor, or a tuple with None where no gradient is needed."""
        raise NotImplementedError

    @classmethod
    def apply(cls, *args: Any, **options: Any) -> Any:
        """Runs forward and records the call: Tensors out."""
        tensors = [arg if isinstance(arg, Tensor) else None for arg in args]
        needs = tuple(tensor is not None and tensor.requires_grad for tensor in tensors)
        ctx = Context(needs)
        arrays = tuple(arg.data if isinstance(arg, Tensor) else arg for arg in args)
        made = cls.forward(ctx, *arrays, **options)
        results = made if isinstance(made, tuple) else (made,)
        if not (is_recording() and any(needs)):
            outputs = [_plain(result, arrays, tensors) for result in results]
            return tuple(outputs) if isinstance(made, tuple) else outputs[0]

        count = len(args)  # not the arguments themselves, which may be freed

        def backward(grads: Gradients) -> Iterable[Tensor | None]:
            found = cls.backward(ctx, *grads)
            found = found if isinstance(found, tuple) else (found,)
            if len(found) != count:
                raise RuntimeError(
                    f"{cls.__name__}: backward gave {len(found)} gradients, must give one for each "
                    f"of {count} arguments"
                )
            return found

        node = Node(cls.__name__, tensors, backward)
        outputs = [
            node.result(_array(result), _versions(result, arrays, tensors)) for result in results
        ]
        names = _keep(node, ctx._arrays, arrays, tensors, results, outputs)
        ctx._arrays = ()
        ctx._restore = lambda: tuple(
            node.restore(name) if isinstance(name, str) else name for name in names
        )
        return tuple(outputs) if isinstance(made, tuple) else outputs[0]


def _array(result: Any) -> Any:
    return np.asarray(result) if isinstance(result, (np.generic, float, int)) else result


def _versions(result: Any, arrays: tuple[Any, ...], tensors: list[Tensor | None]) -> Any:
    """The count of changes that the result shares with the argument whose memory it is."""
    base = getattr(result, "base", None)
    for array, tensor in zip(arrays, tensors, strict=True):
        if tensor is None:
            continue
        if result is array or (base is not None and base is _owner(array)):
            return tensor._versions
    return None


def _owner(array: Any) -> Any:
    base = getattr(array, "base", None)
    return array if base is None else base


def _plain(result: Any, arrays: tuple[Any, ...], tensors: list[Tensor | None]) -> Tensor:
    return Tensor.made(_array(result), None, 0, _versions(result, arrays, tensors))


def _keep(
    node: Node,
    saved: tuple[Any, ...],
    arrays: tuple[Any, ...],
    tensors: list[Tensor | None],
    results: tuple[Any, ...],
    outputs: list[Tensor],
) -> list[Any]:
    """Keeps each array as the tensor it belongs to; the names to ask for. None and numbers are
    themselves: an array made of 2.0 would be float64, and on the host."""
    known = [*zip(arrays, tensors, strict=True), *zip(results, outputs, strict=True)]
    names: list[Any] = []
    for i, array in enumerate(saved):
        owner = next((t for one, t in known if one is array and t is not None), None)
        if array is None or (owner is None and isinstance(array, (int, float, np.generic))):
            names.append(array)
            continue
        node.keep(f"{i}", Tensor(array) if owner is None else owner)
        names.append(f"{i}")
    return names


# What draws random numbers lets itself be set back: each entry returns a function that does it.
random_states: list[Callable[[], Callable[[], None]]] = []


def checkpoint(function: Callable[..., Any], *args: Any) -> Any:
    """function(*args) that keeps only its arguments, and runs again in backward.

    Trades time for memory (Chen et al. 2016, arXiv:1604.06174). The function must give the same
    again; convkit's own random numbers are set back for it. Parameters it reads get their
    gradients too. Gradients of such gradients are refused.

    Returns: what the function returns, a Tensor or a tuple of them.
    """
    if not is_recording():
        return function(*args)
    rewind = [state() for state in random_states]
    with recording(False):
        made = function(*args)
    results = made if isinstance(made, tuple) else (made,)
    tensors = [arg if isinstance(arg, Tensor) else None for arg in args]

    def backward(grads: Gradients) -> Iterable[Tensor | None]:
        if is_recording():
            raise RuntimeError("checkpoint: its gradient cannot be differentiated")
        read = [
            arg if tensor is None else _fresh(node.restore(f"{i}"))
            for i, (arg, tensor) in enumerate(zip(args, tensors, strict=True))
        ]
        now = [state() for state in random_states]
        for one in rewind:
            one()
        with recording(True):
            again = function(*read)
        for one in now:
            one()
        walk = Walk(create_graph=False)
        for result, grad in zip(again if isinstance(made, tuple) else (again,), grads, strict=True):
            if grad is not None and result.requires_grad:
                walk.start(result, grad)
        walk.run(retain=False)
        own = {id(tensor) for tensor in read if isinstance(tensor, Tensor)}
        found = {key: grad for key, (_, grad) in walk.leaves.items() if key in own}
        for key in found:
            del walk.leaves[key]
        walk.store()  # of the parameters that the function read
        return [found.get(id(one)) if isinstance(one, Tensor) else None for one in read]

    node = Node("checkpoint", tensors, backward)
    for i, tensor in enumerate(tensors):
        if tensor is not None:
            node.keep(f"{i}", tensor)
    outputs = tuple(node.result(result.data) for result in results)
    return outputs if isinstance(made, tuple) else outputs[0]


def _fresh(tensor: Tensor) -> Tensor:
    return Tensor(tensor.data, requires_grad=tensor.requires_grad)
