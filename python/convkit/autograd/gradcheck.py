"""Gradients against differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .tensor import Tensor
from .walk import grad


def gradcheck(
    function: Callable[..., Any],
    inputs: Sequence[Tensor],
    *,
    step: float = 1e-6,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> bool:
    """Compares the gradients of function(*inputs) with central differences, element by element.

    Results are weighted with random numbers and summed; each input that requires_grad must be
    float64. A difference may be off by `tolerance` times (1 + the larger of both): rounding leaves
    about 1e-16 / step, curvature step**2.

    Returns: True.
    Raises: AssertionError that names the input, the element and both numbers; TypeError where an
        input is not float64.

    >>> gradcheck(lambda x: x * x, [Tensor([1.0, -2.0], requires_grad=True)])
    True
    """
    rng = np.random.default_rng(seed)
    wanted = [i for i, one in enumerate(inputs) if one.requires_grad]
    for i in wanted:
        if inputs[i].dtype != np.float64:
            raise TypeError(f"gradcheck: inputs[{i}].dtype is {inputs[i].dtype}, must be float64")
    results = function(*inputs)
    results = results if isinstance(results, tuple) else (results,)
    weights = [rng.standard_normal(one.shape) for one in results]

    def weighted(made: Any) -> Any:
        made = made if isinstance(made, tuple) else (made,)
        terms = [(one * w).sum() for one, w in zip(made, weights, strict=True)]
        return sum(terms[1:], terms[0])

    found = grad(weighted(results), [inputs[i] for i in wanted])
    for i, gradient in zip(wanted, found, strict=True):
        original = inputs[i].numpy()
        for place in np.ndindex(original.shape):
            values = []
            for sign in (1, -1):
                moved = original.copy()
                moved[place] += sign * step
                arguments = list(inputs)
                # Recorded, as the function may ask for gradients itself.
                arguments[i] = Tensor(moved, requires_grad=True)
                values.append(weighted(function(*arguments)).item())
            difference = (values[0] - values[1]) / (2 * step)
            exact = float(gradient.numpy()[place])
            error = abs(exact - difference)
            assert error <= tolerance * (1 + max(abs(exact), abs(difference))), (
                f"gradcheck: inputs[{i}] at {place}: the gradient is {exact!r}, "
                f"differences give {difference!r}"
            )
    return True
