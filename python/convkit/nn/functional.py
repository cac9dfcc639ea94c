"""The ops, which take Tensors like any array, under torch's roof of names."""

from convkit.ops import (
    adaptive_avg_pool2d,
    adaptive_max_pool2d,
    avg_pool2d,
    batch_norm,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    global_avg_pool2d,
    global_max_pool2d,
    gram_matrix,
    im2col,
    linear,
    local_response_norm,
    max_pool2d,
)
from convkit.ops.elementwise import maximum, where
from convkit.ops.shaping import concatenate, log_softmax, matmul, softmax, stack

from .classic import l2_normalize

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool2d",
    "batch_norm",
    "concatenate",
    "conv2d",
    "conv_transpose2d",
    "cross_entropy",
    "global_avg_pool2d",
    "global_max_pool2d",
    "gram_matrix",
    "im2col",
    "l2_normalize",
    "linear",
    "local_response_norm",
    "log_softmax",
    "matmul",
    "max_pool2d",
    "maximum",
    "softmax",
    "stack",
    "where",
]
