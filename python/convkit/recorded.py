"""Calls of ops on Tensors: run on their arrays, and recorded with the op's own gradient.

An op says its gradient beside its function, by `gradient_of`. Those that only sum and multiply say
it in public functions, so that gradients have gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from convkit import dispatch
from convkit.autograd.tensor import FLOATS, Gradients, Node, Tensor, is_recording

Found = dict[str, Tensor]


class Recorded:
    """A recorded call, as its gradient sees it."""

    def __init__(
        self,
        node: Node,
        arrays: Mapping[str, Any],
        parameters: dict[str, Any],
        needs: frozenset[str],
        run_options: dict[str, Any],
    ) -> None:
        self._node = node
        self._shapes: dict[str, tuple[int, ...]] = {
            name: a.shape for name, a in arrays.items() if a is not None
        }
        self._run_options = run_options
        self.parameters = parameters
        self.needs = needs

    def __getitem__(self, name: str) -> Tensor:
        """An array or a result that was kept: "x", or "y" for the result."""
        return self._node.restore(name)

    def has(self, name: str) -> bool:
        """Whether the call had this array."""
        return name in self._shapes

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def options(self, *names: str) -> dict[str, Any]:
        """Parameters by name, and how the call was to be run."""
        return {name: self.parameters[name] for name in names} | self._run_options


class Rule(NamedTuple):
    """keeps: names of arrays and results that the gradient reads, from (what needs a gradient,
    parameters). pull: from a Recorded and the results' gradients to those of the arrays, by name.
    also: parameters as a recorded call has them, for results that the caller did not ask for.
    """

    keeps: Callable[[frozenset[str], dict[str, Any]], Iterable[str]]
    pull: Callable[..., Found]
    also: dict[str, Any]


RULES: dict[str, Rule] = {}


def gradient_of(
    op: str,
    keeps: Callable[[frozenset[str], dict[str, Any]], Iterable[str]],
    also: dict[str, Any] | None = None,
) -> Callable[[Callable[..., Found]], Callable[..., Found]]:
    """Makes a function the gradient of the public function `op`."""

    def register(pull: Callable[..., Found]) -> Callable[..., Found]:
        RULES[op] = Rule(keeps, pull, also or {})
        return pull

    return register


def of_product(first: str, second: str) -> Callable[[frozenset[str], dict[str, Any]], list[str]]:
    """What a product of two arrays keeps: each for the other's gradient."""

    def keeps(needs: frozenset[str], parameters: dict[str, Any]) -> list[str]:
        names = [name for name, other in ((first, second), (second, first)) if other in needs]
        return names + (["y"] if parameters.get("activation") else [])

    return keeps


def nothing(_needs: frozenset[str], _parameters: dict[str, Any]) -> list[str]:
    return []


def record(
    op: str, arrays: dict[str, Any], parameters: dict[str, Any], out: Any, **run_options: Any
) -> Any:
    """dispatch.run for arrays of which some are Tensors: Tensors out, integers as plain arrays."""
    tensors = {name: a if isinstance(a, Tensor) else None for name, a in arrays.items()}
    plain = {name: a.data if isinstance(a, Tensor) else a for name, a in arrays.items()}
    needs = frozenset(name for name, t in tensors.items() if t is not None and t.requires_grad)
    wanted = is_recording() and bool(needs)
    if isinstance(out, Tensor):
        raise TypeError(f"{op}: out is a Tensor, must be an array; with Tensors leave it out")
    if wanted and out is not None:
        raise ValueError(f"{op}: out is given, but the call is recorded for gradients")
    rule = RULES.get(op)
    more = rule.also if rule and wanted else {}
    made = dispatch.run(op, plain, parameters | more, out=out, **run_options)
    results = made if isinstance(made, tuple) else (made,)
    for name in run_options.get("updated", ()):
        tensor = tensors[name]
        if tensor is not None:
            tensor.changed()
    if not wanted:
        outputs = tuple(Tensor(one) if _is_float(one) else one for one in results)
        return outputs if isinstance(made, tuple) else outputs[0]
    outputs = _recorded(op, rule, arrays, tensors, parameters, needs, results, run_options)
    asked = len(outputs)
    if any(parameters[name] != value for name, value in more.items()):
        asked = 1  # the others were asked for by the rule
    return outputs[0] if asked == 1 else outputs


def _recorded(
    op: str,
    rule: Rule | None,
    arrays: dict[str, Any],
    tensors: dict[str, Tensor | None],
    parameters: dict[str, Any],
    needs: frozenset[str],
    results: tuple[Any, ...],
    run_options: dict[str, Any],
) -> tuple[Any, ...]:
    names = tuple(arrays)  # not the arrays themselves, which may be freed

    def backward(grads: Gradients) -> Iterable[Tensor | None]:
        if rule is None:
            raise NotImplementedError(f"backward: {op} has no gradient of its own")
        found = rule.pull(call, *grads)
        return [found.get(name) for name in names]

    node = Node(op, list(tensors.values()), backward)
    kept_options = {name: run_options[name] for name in ("precision", "max_workspace")}
    call = Recorded(node, arrays, parameters, needs, kept_options)
    outputs = tuple(node.result(one) if _is_float(one) else one for one in results)
    known = {**arrays, "y": outputs[0], **{f"y{i}": one for i, one in enumerate(outputs)}}
    for name in rule.keeps(needs, parameters) if rule else ():
        array = known[name]
        if array is not None:
            node.keep(name, array if isinstance(array, Tensor) else Tensor(array))
    return outputs


def _is_float(array: Any) -> bool:
    return array.dtype.name in FLOATS
