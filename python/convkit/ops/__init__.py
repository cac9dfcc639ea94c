"""The ops: public functions with their gradients, one file each."""

from collections.abc import Callable
from typing import Any

from convkit.ops.conv2d import conv2d, conv2d_input_grad, conv2d_weight_grad

# Every public op by name; what tests, listings and the command walk.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        conv2d,
        conv2d_input_grad,
        conv2d_weight_grad,
    )
}

# The parameters of ops that are arrays.
ARRAY_PARAMETERS = frozenset(
    {"x", "w", "bias", "residual", "grad_y", "indices", "grad_gram", "cols"}
)
