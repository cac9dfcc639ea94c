"""NumPy definitions of every op and loss, written from the formulas to be read beside them.

Names and parameters are those of convkit; sums are made in float64 (in longdouble for longdouble
inputs) and the result has the type of the first array. Nothing here shares code with the kernels.
"""

from .adaptive_pool2d import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_grad,
    adaptive_max_pool2d,
    adaptive_max_pool2d_grad,
    global_avg_pool2d,
    global_avg_pool2d_grad,
    global_max_pool2d,
    global_max_pool2d_grad,
)
from .batch_norm import batch_norm, batch_norm_grad
from .conv2d import conv2d, conv2d_bias_grad, conv2d_input_grad, conv2d_weight_grad
from .conv_transpose2d import (
    conv_transpose2d,
    conv_transpose2d_input_grad,
    conv_transpose2d_weight_grad,
)
from .cross_entropy import cross_entropy, cross_entropy_grad
from .gram import gram_matrix, gram_matrix_grad
from .im2col import col2im, im2col
from .linear import linear, linear_input_grad, linear_weight_grad
from .losses import (
    batch_hard_loss,
    batch_hard_triplets,
    binary_cross_entropy_with_logits,
    content_loss,
    contrastive_loss,
    mse_loss,
    semi_hard_triplets,
    style_loss,
    total_variation,
    triplet_loss,
    verification_logits,
)
from .lrn import local_response_norm, local_response_norm_grad
from .pool2d import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_grad",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_grad",
    "avg_pool2d",
    "avg_pool2d_grad",
    "batch_hard_loss",
    "batch_hard_triplets",
    "batch_norm",
    "batch_norm_grad",
    "binary_cross_entropy_with_logits",
    "col2im",
    "content_loss",
    "contrastive_loss",
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
    "mse_loss",
    "semi_hard_triplets",
    "style_loss",
    "total_variation",
    "triplet_loss",
    "verification_logits",
]
