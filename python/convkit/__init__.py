"""Convolution, pooling and Gram kernels for NumPy, CuPy and any array that speaks DLPack."""

from convkit import autograd
from convkit._native import CudaError, num_threads
from convkit.autograd import Tensor, enable_grad, no_grad
from convkit.dispatch import backend, set_backend
from convkit.explanation import explain
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
from convkit.ops.elementwise import maximum, where
from convkit.ops.gram import gram_matrix, gram_matrix_grad
from convkit.ops.im2col import col2im, im2col
from convkit.ops.linear import linear, linear_input_grad, linear_weight_grad
from convkit.ops.lrn import local_response_norm, local_response_norm_grad
from convkit.ops.pool2d import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad
from convkit.ops.shaping import concatenate, log_softmax, matmul, softmax, stack
from convkit.queries import conv2d_algorithms, output_shape
from convkit.threads import set_num_threads

__version__ = "0.1.0"

__all__ = [
    "CudaError",
    "Tensor",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_grad",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_grad",
    "autograd",
    "avg_pool2d",
    "avg_pool2d_grad",
    "backend",
    "batch_norm",
    "batch_norm_grad",
    "col2im",
    "concatenate",
    "conv2d",
    "conv2d_algorithms",
    "conv2d_bias_grad",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv_transpose2d",
    "conv_transpose2d_input_grad",
    "conv_transpose2d_weight_grad",
    "cross_entropy",
    "cross_entropy_grad",
    "enable_grad",
    "explain",
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
    "log_softmax",
    "matmul",
    "max_pool2d",
    "max_pool2d_grad",
    "maximum",
    "no_grad",
    "num_threads",
    "output_shape",
    "set_backend",
    "set_num_threads",
    "softmax",
    "stack",
    "where",
]
