"""The ops: public functions with their gradients, one file each."""

from collections.abc import Callable
from typing import Any

from convkit.ops.adaptive_pool2d import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_grad,
    adaptive_max_pool2d,
    adaptive_max_pool2d_grad,
    global_avg_pool2d,
    global_avg_pool2d_grad,
    global_max_pool2d,
    global_max_pool2d_grad,
)
from convkit.ops.batch_norm import batch_norm, batch_norm_grad
from convkit.ops.bias_grad import conv2d_bias_grad
from convkit.ops.conv2d import conv2d, conv2d_input_grad, conv2d_weight_grad
from convkit.ops.conv_transpose2d import (
    conv_transpose2d,
    conv_transpose2d_input_grad,
    conv_transpose2d_weight_grad,
)
from convkit.ops.cross_entropy import cross_entropy, cross_entropy_grad
from convkit.ops.gram import gram_matrix, gram_matrix_grad
from convkit.ops.im2col import col2im, im2col
from convkit.ops.linear import linear, linear_input_grad, linear_weight_grad
from convkit.ops.lrn import local_response_norm, local_response_norm_grad
from convkit.ops.pool2d import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad

# Every public op by name; what tests, listings and the command walk.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        conv2d,
        conv2d_input_grad,
        conv2d_weight_grad,
        max_pool2d,
        max_pool2d_grad,
        avg_pool2d,
        avg_pool2d_grad,
        gram_matrix,
        gram_matrix_grad,
        im2col,
        col2im,
        conv_transpose2d,
        conv_transpose2d_input_grad,
        conv_transpose2d_weight_grad,
        linear,
        linear_input_grad,
        linear_weight_grad,
        conv2d_bias_grad,
        batch_norm,
        batch_norm_grad,
        adaptive_avg_pool2d,
        adaptive_avg_pool2d_grad,
        adaptive_max_pool2d,
        adaptive_max_pool2d_grad,
        global_avg_pool2d,
        global_avg_pool2d_grad,
        global_max_pool2d,
        global_max_pool2d_grad,
        local_response_norm,
        local_response_norm_grad,
        cross_entropy,
        cross_entropy_grad,
    )
}

# The parameters of ops that are arrays.
ARRAY_PARAMETERS = frozenset(
    {"x", "w", "bias", "residual", "grad_y", "indices", "grad_gram", "cols"}
    | {"weight", "running_mean", "running_var", "save_mean", "save_invstd"}
    | {"logits", "target", "grad_loss"}
)

# Those that hold places and classes, whatever the dtype of the others.
INT64_PARAMETERS = frozenset({"indices", "target"})

# Those that stay float32 where the others are float16 or bfloat16.
FLOAT32_PARAMETERS: dict[str, frozenset[str]] = {
    "batch_norm": frozenset({"weight", "bias", "running_mean", "running_var"}),
    "batch_norm_grad": frozenset({"weight", "save_mean", "save_invstd"}),
}

__all__ = [
    "ARRAY_PARAMETERS",
    "FLOAT32_PARAMETERS",
    "FUNCTIONS",
    "INT64_PARAMETERS",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_grad",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_grad",
    "avg_pool2d",
    "avg_pool2d_grad",
    "batch_norm",
    "batch_norm_grad",
    "col2im",
    "conv2d",
    "conv2d_bias_grad",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "conv_transpose2d_input_grad",
    "conv_transpose2d_weight_grad",
    "cross_entropy",
    "cross_entropy_grad",
    "global_avg_pool2d",
    "global_avg_pool2d_grad",
    "global_max_pool2d",
    "global_max_pool2d_grad",
    "gram_matrix",
    "gram_matrix_grad",
    "im2col",
    "linear",
    "linear_input_grad",
    "linear_weight_grad",
    "local_response_norm",
    "local_response_norm_grad",
    "max_pool2d",
    "max_pool2d_grad",
]
