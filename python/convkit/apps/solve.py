"""Two things gradients are for: finding a kernel from its effect, and undoing a blur."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from convkit.apps.filters import bell

BLUR_SIDE, BLUR_SIGMA, BLUR_STEPS = 9, 1.8, 40


def conjugate_gradients(
    apply: Callable[[np.ndarray], np.ndarray], right: np.ndarray, steps: int
) -> np.ndarray:
    """x with apply(x) near `right`, apply being linear, symmetric and positive.

    Hestenes and Stiefel 1952: each step goes along a gradient made independent of the ones before.
    """
    x = np.zeros_like(right)
    residual = right.copy()
    direction = residual.copy()
    length = float(np.vdot(residual, residual))
    for _ in range(steps):
        image = apply(direction)
        bend = float(np.vdot(direction, image))
        if not bend > 0:  # solved, or not a number
            break
        x += (length / bend) * direction
        residual -= (length / bend) * image
        longer = float(np.vdot(residual, residual))
        direction = residual + (longer / length) * direction
        length = longer
    return x


def learn_kernel(gray: np.ndarray, kernel: np.ndarray) -> tuple[np.ndarray, int]:
    """(kernel, steps): the weights found again from an image and its filtered copy alone.

    The gradient of |conv2d(x, w) - y|^2 / 2 is conv2d_weight_grad(conv2d(x, w) - y, x).
    """
    import convkit

    x = (gray - gray.mean()).astype(np.float64)
    shape = (1, 1, *kernel.shape)
    y = convkit.conv2d(x, kernel.astype(np.float64).reshape(shape), padding="same")

    def back(errors: np.ndarray) -> np.ndarray:
        grad: np.ndarray = convkit.conv2d_weight_grad(errors, x, shape, padding="same")
        return grad

    steps = 2 * kernel.size
    found = conjugate_gradients(
        lambda w: back(convkit.conv2d(x, w, padding="same")), back(y), steps
    )
    return found[0, 0], steps


def sharpen(color: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(blurred, restored, steps): least squares for the blur, by its gradient for the pixels."""
    import convkit

    channels = color.shape[1]
    plane = bell(BLUR_SIDE, BLUR_SIGMA).astype(np.float32)
    w = np.ascontiguousarray(np.broadcast_to(plane, (channels, 1, *plane.shape)))

    def blur(x: np.ndarray) -> np.ndarray:
        y: np.ndarray = convkit.conv2d(x, w, padding="same", groups=channels)
        return y

    def back(errors: np.ndarray) -> np.ndarray:
        options: dict[str, Any] = {"padding": "same", "groups": channels}
        grad: np.ndarray = convkit.conv2d_input_grad(errors, w, color.shape, **options)
        return grad

    blurred = blur(color)
    return (
        blurred,
        conjugate_gradients(lambda x: back(blur(x)), back(blurred), BLUR_STEPS),
        (BLUR_STEPS),
    )
