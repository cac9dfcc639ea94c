"""Maximum and average over windows that share an image out, and their gradients."""

from __future__ import annotations

from typing import Any

from convkit.dispatch import run
from convkit.recorded import Found, Recorded, gradient_of, nothing


def adaptive_max_pool2d(
    x: Any,
    output_size: Any,
    *,
    return_indices: bool = False,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Largest pixel of each window, for an output of a given size.

    Along a side of n pixels, window i of o reaches from floor(i*n / o) to ceil((i + 1)*n / o):
    the windows cover the image, differ by at most one pixel and overlap where o does not divide n.
    An output may be larger than the image.

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC". float32, float64, float16 or
            bfloat16 (ml_dtypes); any strides, any array library.
        output_size: int or pair, >= 1; None in a pair keeps that side.
        return_indices: True also returns where each maximum stands.
        precision: "high" or "strict", as in conv2d.
        algo: "auto", "pool2d" (max_pool2d's kernels, where both sides divide the image's) or
            "direct".
        max_workspace: as in conv2d.
        out: dense array for y, of its shape and dtype; with return_indices a tuple of two. Must not
            overlap x.

    Returns: y (N, C, P, Q), or (N, P, Q, C) for NHWC, of x's array type, dtype and device, on x's
        stream; with return_indices (y, indices). indices are int64 of y's shape: h*W + w of the
        pixel in its image, in both layouts.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: exact. Of equal pixels the first (row by row) counts; a NaN counts as largest, the
        first one first.

    >>> import numpy as np
    >>> x = np.array([[1, 3, 2], [2, 9, 1], [1, 3, 2]], "f4").reshape(1, 1, 3, 3)
    >>> y, indices = adaptive_max_pool2d(x, (2, None), return_indices=True)
    >>> y[0, 0].tolist(), indices[0, 0].tolist()
    ([[2.0, 9.0, 2.0], [2.0, 9.0, 2.0]], [[3, 4, 2], [3, 4, 8]])
    """
    return run(
        "adaptive_max_pool2d",
        {"x": x},
        {"output_size": output_size, "return_indices": return_indices, "layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def adaptive_max_pool2d_grad(
    grad_y: Any,
    indices: Any,
    x_shape: tuple[int, ...],
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `adaptive_max_pool2d` with respect to x.

    grad_x[n, c, h, w] = sum of grad_y[n, c, p, q] over the windows that hold the pixel and whose
    index is h*W + w.

    Args:
        grad_y: the gradient of adaptive_max_pool2d's result; its sides are the output size.
        indices: int64, as adaptive_max_pool2d returns them. An index that is no pixel of its window
            takes its gradient nowhere.
        x_shape: the shape of x.
        layout, precision, algo, max_workspace, out: as in adaptive_max_pool2d.

    Returns: an array of shape x_shape, of grad_y's array type, dtype and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: windows are added row by row; same bits on every run and at any thread count.

    >>> import numpy as np
    >>> x = np.array([[[[1, 3, 2], [2, 9, 1], [1, 3, 2]]]], "f4")
    >>> y, indices = adaptive_max_pool2d(x, 2, return_indices=True)
    >>> adaptive_max_pool2d_grad(np.array([[[[1, 2], [3, 4]]]], "f4"), indices, x.shape)[0, 0]
    array([[ 0.,  0.,  0.],
           [ 0., 10.,  0.],
           [ 0.,  0.,  0.]], dtype=float32)
    """
    return run(
        "adaptive_max_pool2d_grad",
        {"grad_y": grad_y, "indices": indices},
        {"x_shape": x_shape, "layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def adaptive_avg_pool2d(
    x: Any,
    output_size: Any,
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Mean of each window, for an output of a given size.

    Windows as in `adaptive_max_pool2d`; each mean is over the window's own pixels.

    Args:
        x: (N, C, H, W), or (N, H, W, C) with layout="NHWC". float32, float64, float16 or
            bfloat16 (ml_dtypes); any strides, any array library.
        output_size: int or pair, >= 1; None in a pair keeps that side.
        precision: "high" or "strict", as in conv2d.
        algo: "auto", "pool2d" (avg_pool2d's kernels, where both sides divide the image's) or
            "direct".
        max_workspace: as in conv2d.
        out: dense array for the result, of its shape and dtype; must not overlap x.

    Returns: (N, C, P, Q), or (N, P, Q, C) for NHWC, of x's array type, dtype and device, on x's
        stream.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: float32 accumulates in float32, in blocks; same bits on every run and at any thread
        count.

    >>> import numpy as np
    >>> adaptive_avg_pool2d(np.array([[[[1, 3, 5, 8, 9]]]], "f4"), (1, 3))[0, 0].tolist()
    [[2.0, 5.333333492279053, 8.5]]
    """
    return run(
        "adaptive_avg_pool2d",
        {"x": x},
        {"output_size": output_size, "layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def adaptive_avg_pool2d_grad(
    grad_y: Any,
    x_shape: tuple[int, ...],
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `adaptive_avg_pool2d` with respect to x.

    grad_x[n, c, h, w] = sum of grad_y[n, c, p, q] / pixels(p, q) over the windows that hold the
    pixel.

    Args:
        grad_y: the gradient of adaptive_avg_pool2d's result; its sides are the output size.
        x_shape: the shape of x.
        layout, precision, algo, max_workspace, out: as in adaptive_avg_pool2d.

    Returns: an array of shape x_shape, of grad_y's array type, dtype and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as adaptive_avg_pool2d.

    >>> import numpy as np
    >>> adaptive_avg_pool2d_grad(np.array([[[[4, 8]]]], "f4"), (1, 1, 1, 3))[0, 0].tolist()
    [[2.0, 6.0, 4.0]]
    """
    return run(
        "adaptive_avg_pool2d_grad",
        {"grad_y": grad_y},
        {"x_shape": x_shape, "layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def global_max_pool2d(
    x: Any,
    *,
    return_indices: bool = False,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Largest pixel of each channel: `adaptive_max_pool2d` with output_size 1.

    Args:
        x, return_indices, layout, precision, algo, max_workspace, out: as in adaptive_max_pool2d.

    Returns: y (N, C, 1, 1), or (N, 1, 1, C) for NHWC, of x's array type, dtype and device; with
        return_indices (y, indices).
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as adaptive_max_pool2d.

    >>> import numpy as np
    >>> global_max_pool2d(np.array([[[[1, 3], [7, 5]]]], "f4")).tolist()
    [[[[7.0]]]]
    """
    return run(
        "global_max_pool2d",
        {"x": x},
        {"return_indices": return_indices, "layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def global_max_pool2d_grad(
    grad_y: Any,
    indices: Any,
    x_shape: tuple[int, ...],
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `global_max_pool2d` with respect to x.

    Args:
        grad_y: the gradient of global_max_pool2d's result, of its shape.
        indices: int64, as global_max_pool2d returns them.
        x_shape, layout, precision, algo, max_workspace, out: as in adaptive_max_pool2d_grad.

    Returns: an array of shape x_shape, of grad_y's array type, dtype and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: exact.

    >>> import numpy as np
    >>> one = np.ones((1, 1, 1, 1), "f4")
    >>> global_max_pool2d_grad(one, np.full((1, 1, 1, 1), 2), (1, 1, 2, 2)).tolist()
    [[[[0.0, 0.0], [1.0, 0.0]]]]
    """
    return run(
        "global_max_pool2d_grad",
        {"grad_y": grad_y, "indices": indices},
        {"x_shape": x_shape, "layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def global_avg_pool2d(
    x: Any,
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Mean of each channel: `adaptive_avg_pool2d` with output_size 1.

    Args:
        x, layout, precision, algo, max_workspace, out: as in adaptive_avg_pool2d.

    Returns: (N, C, 1, 1), or (N, 1, 1, C) for NHWC, of x's array type, dtype and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as adaptive_avg_pool2d.

    >>> import numpy as np
    >>> global_avg_pool2d(np.array([[[[1, 3], [7, 5]]]], "f4")).tolist()
    [[[[4.0]]]]
    """
    return run(
        "global_avg_pool2d",
        {"x": x},
        {"layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def global_avg_pool2d_grad(
    grad_y: Any,
    x_shape: tuple[int, ...],
    *,
    layout: str = "NCHW",
    precision: str = "high",
    algo: str = "auto",
    max_workspace: int | None = None,
    out: Any = None,
) -> Any:
    """Gradient of `global_avg_pool2d` with respect to x: grad_y / (H*W) in every pixel.

    Args:
        grad_y: the gradient of global_avg_pool2d's result, of its shape.
        x_shape, layout, precision, algo, max_workspace, out: as in adaptive_avg_pool2d_grad.

    Returns: an array of shape x_shape, of grad_y's array type, dtype and device.
    Raises: ValueError for shapes or values that do not fit, TypeError for dtypes; nothing is
        allocated before.
    Numerics: as adaptive_avg_pool2d.

    >>> import numpy as np
    >>> global_avg_pool2d_grad(np.array([[[[6]]]], "f4"), (1, 1, 1, 3)).tolist()
    [[[[2.0, 2.0, 2.0]]]]
    """
    return run(
        "global_avg_pool2d_grad",
        {"grad_y": grad_y},
        {"x_shape": x_shape, "layout": layout},
        precision=precision,
        algo=algo,
        max_workspace=max_workspace,
        out=out,
    )


def _of_max(name: str, grad_function: Any) -> None:
    """The gradients of a maximum and of its gradient."""

    @gradient_of(name, lambda needs, parameters: ["y1"], also={"return_indices": True})
    def _max(call: Recorded, grad: Any, _indices: Any = None) -> Found:
        indices, options = call["y1"].data, call.options("layout")
        return {"x": grad_function(grad, indices, call.shape("x"), **options)}

    @gradient_of(f"{name}_grad", lambda needs, parameters: ["indices"])
    def _max_grad(call: Recorded, grad: Any) -> Found:
        from .shaping import taken

        return {"grad_y": taken(grad, call["indices"].data, call.parameters["layout"])}


_of_max("adaptive_max_pool2d", adaptive_max_pool2d_grad)
_of_max("global_max_pool2d", global_max_pool2d_grad)


@gradient_of("adaptive_avg_pool2d", nothing)
def _adaptive_avg_pool2d(call: Recorded, grad: Any) -> Found:
    return {"x": adaptive_avg_pool2d_grad(grad, call.shape("x"), **call.options("layout"))}


@gradient_of("adaptive_avg_pool2d_grad", nothing)
def _adaptive_avg_pool2d_grad(call: Recorded, grad: Any) -> Found:
    shape, layout = call.shape("grad_y"), call.parameters["layout"]
    size = shape[2:] if layout == "NCHW" else shape[1:3]
    return {"grad_y": adaptive_avg_pool2d(grad, size, **call.options("layout"))}


@gradient_of("global_avg_pool2d", nothing)
def _global_avg_pool2d(call: Recorded, grad: Any) -> Found:
    return {"x": global_avg_pool2d_grad(grad, call.shape("x"), **call.options("layout"))}


@gradient_of("global_avg_pool2d_grad", nothing)
def _global_avg_pool2d_grad(call: Recorded, grad: Any) -> Found:
    return {"grad_y": global_avg_pool2d(grad, **call.options("layout"))}
