"""The way back: from a result to the gradients of the leaves.

Nodes are walked from the newest to the oldest, so a node has all its gradients when its turn comes,
and they are always added in the same order.
Source: Baydin et al. 2018, "Automatic Differentiation in Machine Learning: a Survey".
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .tensor import Edge, Hook, Node, Tensor, recording


class Walk:
    """One backward: the gradients on their way to the leaves."""

    def __init__(self, create_graph: bool) -> None:
        self.create_graph = create_graph
        self.pending: dict[Node, list[Tensor | None]] = {}
        self.queue: list[tuple[int, Node]] = []  # the newest first
        self.leaves: dict[int, tuple[Tensor, Tensor]] = {}
        self.wanted: dict[tuple[Node, int], Tensor] = {}  # of results that are asked for
        self.found: dict[int, Tensor] = {}
        self.given: dict[int, int] = defaultdict(int)  # how often an array was handed on, by id

    def start(self, root: Tensor, grad: Any) -> None:
        if not root.requires_grad:
            raise RuntimeError("backward: the tensor was not made from one that requires_grad")
        if grad is None:
            if root.size != 1:
                raise RuntimeError(
                    f"backward: the tensor's shape is {root.shape}; where it has more than one "
                    "element grad must be given"
                )
            grad = np.ones_like(root.data)  # on a device, too
        grad = grad if isinstance(grad, Tensor) else Tensor(grad)
        if grad.dtype != root.dtype:
            raise TypeError(f"backward: grad.dtype is {grad.dtype}, must be {root.dtype}")
        self.given[id(grad.data)] += 1  # the caller has it too
        self.give("backward", Edge.to(root), grad)

    def give(self, name: str, edge: Edge | None, grad: Tensor | None) -> None:
        if edge is None or grad is None:
            return
        if grad.shape != edge.shape:
            raise RuntimeError(
                f"{name}: a gradient's shape is {grad.shape}, must be that of its array, "
                f"{edge.shape}"
            )
        self.given[id(grad.data)] += 1
        leaf, node = edge.leaf, edge.node
        if leaf is not None:
            known = self.leaves.get(id(leaf))
            self.leaves[id(leaf)] = (leaf, known[1] + grad if known else grad)
            return
        assert node is not None
        if node not in self.pending:
            self.pending[node] = [None] * node.results
            heapq.heappush(self.queue, (-node.number, node))
        before = self.pending[node][edge.place]
        self.pending[node][edge.place] = grad if before is None else before + grad

    def run(self, retain: bool) -> None:
        while self.queue:
            _, node = heapq.heappop(self.queue)
            grads = self.pending.pop(node)
            for place, grad in enumerate(grads):
                if grad is None:
                    continue
                grads[place] = grad = _hooked(node.hooks.get(place, ()), grad)
                asked = self.wanted.get((node, place))
                if asked is not None:
                    self.found[id(asked)] = grad
            for edge, grad in zip(node.inputs, node.pull(tuple(grads)), strict=True):
                self.give(node.name, edge, grad)
            if not retain:
                node.free()
        for key, (leaf, grad) in self.leaves.items():
            self.leaves[key] = (leaf, _hooked(leaf._hooks, grad))

    def store(self) -> None:
        """Adds to the leaves' .grad, which share their memory with nothing."""
        for leaf, grad in self.leaves.values():
            if self.create_graph:
                leaf.grad = grad if leaf.grad is None else leaf.grad + grad
                continue
            with recording(False):
                data = grad.data if leaf.grad is None else leaf.grad.data + grad.data
            shared = data.base is not None or self.given[id(data)] > 1
            leaf.grad = Tensor(data.copy() if shared else data)


def _hooked(hooks: Iterable[Hook], grad: Tensor) -> Tensor:
    for hook in list(hooks):
        changed = hook(grad)
        grad = grad if changed is None else changed
    return grad


def grad(
    output: Tensor,
    inputs: Sequence[Tensor],
    grad_output: Any = None,
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of sum(output * grad_output) with respect to the inputs; touches no `.grad`.

    Raises: RuntimeError where the output does not depend on an input.

    >>> x = Tensor([3.0], requires_grad=True)
    >>> (first,) = grad(x**3, [x], [1.0], create_graph=True)
    >>> (second,) = grad(first, [x])
    >>> first.data.tolist(), second.data.tolist()
    ([27.0], [18.0])
    """
    walk = Walk(create_graph)
    for one in inputs:
        if one._node is not None:
            walk.wanted[one._node, one._place] = one
    with recording(create_graph):
        walk.start(output, grad_output)
        walk.run(retain_graph or create_graph)
    for leaf, found in walk.leaves.values():
        walk.found[id(leaf)] = found
    for i, one in enumerate(inputs):
        if id(one) not in walk.found:
            raise RuntimeError(f"grad: the output does not depend on inputs[{i}]")
    return tuple(walk.found[id(one)] for one in inputs)
