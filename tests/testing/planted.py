"""Functions with a fault each, and what validation must say of them."""

import itertools

import numpy as np

from convkit import reference


def as_if_dense(x):
    """What a kernel sees that takes any array for a dense one."""
    flat = np.lib.stride_tricks.as_strided(x, (x.size,), (x.itemsize,))
    return flat.copy().reshape(x.shape)


def flipped(x, w, bias=None, *, stride=1, padding=0):
    turned = w[:, :, ::-1, ::-1]
    return reference.conv2d(x, turned, bias, stride=stride, padding=padding)


def transposed(x, w, *, stride=1, padding=0):
    turned = w.swapaxes(2, 3) if w.shape[2] == w.shape[3] else w
    return reference.conv2d(x, turned, stride=stride, padding=padding)


def last_column(x, w, *, stride=1, padding=0):
    y = reference.conv2d(x, w, stride=stride, padding=padding)
    if x.shape[3] % 2:
        y[..., -1] *= -1
    return y


def filters_over_8(x, w, *, stride=1, padding=0, groups=1):
    y = reference.conv2d(x, w, stride=stride, padding=padding, groups=groups)
    y[:, 8:] *= 2
    return y


def edge_padding(x, w, *, stride=1, padding=0):
    top, left = (padding, padding) if isinstance(padding, int) else padding
    if not isinstance(top, int):
        raise NotImplementedError("asymmetric padding")
    pads = ((0, 0), (0, 0), (top, top), (left, left))
    return reference.conv2d(np.pad(x, pads, "edge"), w, stride=stride)


def in_halves(x, w, *, stride=1, padding=0):
    x, w = np.round(x * 512) / 512, np.round(w * 512) / 512
    return reference.conv2d(x, w, stride=stride, padding=padding)


def first_image(x, w, *, stride=1, padding=0):
    y = reference.conv2d(x[:1], w, stride=stride, padding=padding)
    return np.repeat(y, len(x), 0)


def no_nan(x, w, *, stride=1, padding=0):
    with np.errstate(all="ignore"):
        y = reference.conv2d(x, w, stride=stride, padding=padding)
    return np.where(np.isnan(y), 0, y)


def dense_only(x, w, *, stride=1, padding=0):
    return reference.conv2d(as_if_dense(x), w, stride=stride, padding=padding)


def late_residual(x, w, *, activation=None, residual=None):
    y = reference.conv2d(x, w, activation=activation)
    return y if residual is None else y + residual


def in_place(x, w):
    y = reference.conv2d(x, w)
    x[...] = 0
    return y


_memory = {}


def one_buffer(x, w):
    y = reference.conv2d(x, w)
    held = _memory.setdefault((y.shape, y.dtype), np.empty_like(y))
    held[...] = y * (1 + len(_memory))
    return held


_calls = itertools.count()


def other_bits(x, w):
    y = reference.conv2d(x, w)
    return y if next(_calls) % 2 else y * (1 + np.finfo(y.dtype).eps)


def one_ulp_off(x, w):
    y = reference.conv2d(x, w)
    return y * (1 + np.finfo(y.dtype).eps)


def float32_only(x, w):
    return reference.conv2d(x, w).astype(np.float32)


def channels_last(x, w):
    return reference.conv2d(x, w).transpose(0, 2, 3, 1)


def crash(x, w):
    if x.shape[1] > 4:
        raise RuntimeError("boom")
    return reference.conv2d(x, w)


def shifted_index(x, kernel_size, *, stride=None, return_indices=False):
    y, indices = reference.max_pool2d(x, kernel_size, stride=stride, return_indices=True)
    return (y, indices + (indices > 5)) if return_indices else y


def all_pixels(x, kernel_size, *, stride=None, padding=0, count_include_pad=True):
    return reference.avg_pool2d(x, kernel_size, stride=stride, padding=padding)


def upper_triangle(x, normalize=False):
    return np.triu(reference.gram_matrix(x, normalize)).astype(x.dtype)


def weights_backwards(grad_y, x, w_shape, *, stride=1, padding=0):
    grad = reference.conv2d_weight_grad(grad_y, x, w_shape, stride=stride, padding=padding)
    return np.ascontiguousarray(grad[:, :, ::-1, ::-1])


def whole_alpha(x, size, alpha=1e-4, beta=0.75, k=1.0):
    return reference.local_response_norm(x, size, alpha * size, beta, k)


def unsmoothed(logits, target, *, label_smoothing=0.0, reduction="mean"):
    return reference.cross_entropy(logits, target, reduction=reduction)


def last_class(grad_loss, logits, target, *, reduction="mean"):
    grad = reference.cross_entropy_grad(grad_loss, logits, target, reduction=reduction)
    grad[:, -1:] *= 2
    return grad


def undivided(grad_loss, logits, target, *, reduction="mean"):
    rule = "sum" if reduction == "mean" else reduction
    return reference.cross_entropy_grad(grad_loss, logits, target, reduction=rule)


def rolled_column(x, w, *, stride=1, padding=0):
    return np.roll(reference.conv2d(x, w, stride=stride, padding=padding), 1, 3)


def other_columns(x, w, *, stride=1, padding=0):
    y = reference.conv2d(x, w, stride=stride, padding=padding)
    return y[..., np.random.default_rng(0).permutation(y.shape[3])]


def late_row(x, kernel_size, *, stride=None):
    y = reference.avg_pool2d(x, kernel_size, stride=stride)
    y[:, :, :-1] = y[:, :, 1:].copy()
    return y


def no_indices(x, kernel_size, *, stride=None, return_indices=False):
    return reference.max_pool2d(x, kernel_size, stride=stride)


def no_invstd(x, *, training=False, running_mean=None, running_var=None, return_stats=False):
    running = (running_mean, running_var) if not training else (None, None)
    found = reference.batch_norm(
        x, None, None, *running, training=training, return_stats=return_stats
    )
    return found[:2] if return_stats else found


def same_buffer(x, w):
    y = reference.conv2d(x, w)
    held = _held.setdefault((y.shape, y.dtype), np.empty_like(y))
    held[...] = y
    return held


_held = {}


def cached(x, w):
    return _cached.setdefault((x.shape, w.shape, x.dtype), reference.conv2d(x, w))


_cached = {}


def the_input(x, kernel_size):
    return x if kernel_size == 1 else reference.avg_pool2d(x, kernel_size)


def nothing(x, w):
    return None


def generator(x, w):
    yield reference.conv2d(x, w)


def lists(x, w):
    return reference.conv2d(x, w).tolist()


def objects(x, w):
    return reference.conv2d(x, w).astype(object)


def words(x, w):
    return reference.conv2d(x, w).astype(str)


def complex_numbers(x, w):
    return reference.conv2d(x, w) + 0j


def leaves(x, w):
    raise SystemExit(3)


class _Silent(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def says_nothing(x, w):
    raise _Silent


def running_statistics(spoil):
    """A batch_norm that spoils what it leaves in the running statistics, or how it uses them."""

    def batch_norm(
        x,
        weight=None,
        bias=None,
        running_mean=None,
        running_var=None,
        *,
        training=False,
        momentum=0.1,
        return_stats=False,
    ):
        own = [None if one is None else one.copy() for one in (running_mean, running_var)]
        found = reference.batch_norm(
            x, weight, bias, *own, training=training, momentum=momentum, return_stats=return_stats
        )
        if training and running_mean is not None:
            m = x.size // x.shape[1]
            spoil(running_mean, running_var, *own, m, found)
        return found

    return batch_norm


def kept(mean, var, new_mean, new_var, m, found):
    pass


def mean_only(mean, var, new_mean, new_var, m, found):
    mean[...] = new_mean


def biased_variance(mean, var, new_mean, new_var, m, found):
    mean[...] = new_mean
    var[...] = 0.75 * var + (new_var - 0.75 * var) * (m - 1) / m


def other_result(mean, var, new_mean, new_var, m, found):
    mean[...], var[...] = new_mean, new_var
    found[0][...] *= 2


FAULTS = [
    (flipped, "conv2d", "values", "the flipped kernel", lambda p: p.r * p.s > 1 or p.h + p.w > 2),
    (transposed, "conv2d", "values", "read transposed", lambda p: p.r == p.s > 1),
    (last_column, "conv2d", "values", "only in the last column", lambda p: p.w % 2 == 1),
    (filters_over_8, "conv2d", "values", "only in filters 8 and later", lambda p: p.k == 9),
    (edge_padding, "conv2d", "values", "reaches into the padding", lambda p: p.h * p.w <= 2),
    (in_halves, "conv2d", "precision", "precision is lost", lambda p: p.flops <= 8),
    (first_image, "conv2d", "values", "image 0 of x", lambda p: p.n == 2),
    (no_nan, "conv2d", "values", "a NaN of the inputs is swallowed", lambda p: p.flops == 2),
    (dense_only, "conv2d", "values", "inputs lie strided", lambda p: p.n * p.c * p.h * p.w > 1),
    (late_residual, "conv2d", "values", "residual added after", lambda p: p.residual),
    (in_place, "conv2d", "inputs", "the input x was written to", lambda p: p.flops == 2),
    (one_buffer, "conv2d", "values", "", lambda p: True),
    (other_bits, "conv2d", "repeat", "gave other bits", lambda p: True),
    (one_ulp_off, "conv2d", "precision", "wrong on whole numbers", lambda p: p.flops <= 8),
    (float32_only, "conv2d", "dtype", "dtype is float64", lambda p: p.flops == 2),
    (channels_last, "conv2d", "shape", "the shape is that of NHWC", lambda p: True),
    (crash, "conv2d", "raised", "channels >= 5", lambda p: p.c == 5),
    (shifted_index, "max_pool2d", "values", "(indices)", lambda p: 7 <= p.h * p.w <= 9),
    (
        all_pixels,
        "avg_pool2d",
        "values",
        "asked was over pixels",
        lambda p: not p.count_include_pad,
    ),
    (upper_triangle, "gram_matrix", "values", "only below the diagonal", lambda p: p.c == 2),
    (whole_alpha, "local_response_norm", "values", "not divided by size", lambda p: p.size == 2),
    (unsmoothed, "cross_entropy", "values", "without label smoothing", lambda p: p.c == 2),
    (last_class, "cross_entropy_grad", "values", "only in the last class", lambda p: p.c == 2),
    (
        undivided,
        "cross_entropy_grad",
        "values",
        "sum of the losses",
        lambda p: p.n * p.h * p.w == 2,
    ),
    (weights_backwards, "conv2d_weight_grad", "values", "flipped kernel", lambda p: p.r * p.s == 2),
    (rolled_column, "conv2d", "values", "shifted by one column: place i", lambda p: p.r * p.s == 1),
    (late_row, "avg_pool2d", "values", "shifted by one row: place i holds", lambda p: p.h == 2),
    (no_indices, "max_pool2d", "shape", "returned 1 array, must return 2", lambda p: True),
    (no_invstd, "batch_norm", "shape", "returned 2 arrays, must return 3", lambda p: p.training),
    (same_buffer, "conv2d", "repeat", "wrote into the result of the first", lambda p: True),
    (cached, "conv2d", "repeat", "with other values gave the result of the", lambda p: True),
    (the_input, "avg_pool2d", "memory", "in the memory of the input x", lambda p: p.r * p.s == 1),
    (nothing, "conv2d", "type", "returned None, must return an array", lambda p: True),
    (generator, "conv2d", "type", "returned a generator", lambda p: True),
    (lists, "conv2d", "type", "returned a list", lambda p: True),
    (objects, "conv2d", "dtype", "the result is object, must be float", lambda p: True),
    (words, "conv2d", "dtype", "must be float", lambda p: True),
    (complex_numbers, "conv2d", "dtype", "the result is complex", lambda p: True),
    (leaves, "conv2d", "raised", "raised SystemExit: 3 (planted.py:", lambda p: True),
    (says_nothing, "conv2d", "raised", "__str__ raised RuntimeError", lambda p: True),
    (running_statistics(kept), "batch_norm", "statistics", "not updated", lambda p: p.training),
    (
        running_statistics(mean_only),
        "batch_norm",
        "statistics",
        "running_var, given in training with momentum=0.25, was not updated",
        lambda p: p.training,
    ),
    (
        running_statistics(biased_variance),
        "batch_norm",
        "statistics",
        "running_var, given in training with momentum=0.25, was updated wrongly",
        lambda p: p.training,
    ),
    (
        running_statistics(other_result),
        "batch_norm",
        "values",
        "given running statistics, the result is wrong",
        lambda p: p.training,
    ),
]
