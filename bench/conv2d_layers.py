"""Times conv2d and its gradients beside torch on the layers of the problem table.

    python bench/conv2d_layers.py [--threads 1] [--batch 1] [--only NAME]

Whole Python calls on NCHW float32 arrays, interleaved round by round in one run; each number is the
fastest of the rounds. Ratios are torch's time over convkit's. Needs torch.
"""

import argparse
import dataclasses
import math
import time
from collections.abc import Callable

import numpy as np
import torch

import convkit
from convkit import testing

SECONDS = 0.5
DIRECTIONS = ("fprop", "dgrad", "wgrad")


def race(*calls: Callable[[], object]) -> list[float]:
    """The fastest time of each call, taken in turns."""
    times: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    end = time.perf_counter() + SECONDS
    while len(times[0]) < 3 or (time.perf_counter() < end and len(times[0]) < 200):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def calls(problem: testing.Conv2d, direction: str) -> tuple[Callable[[], object], ...]:
    """torch's call and ours, bias and activation left out as torch does not fuse them."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(problem.x_shape).astype("f4")
    w = rng.standard_normal(problem.w_shape).astype("f4")
    grad_y = rng.standard_normal(problem.y_shape).astype("f4")
    geometry = {
        "stride": problem.stride,
        "padding": problem.padding,
        "groups": problem.groups,
    }
    pads = [low for low, _ in problem.padding]
    tx, tw, tg = (torch.from_numpy(array) for array in (x, w, grad_y))

    def torch_grad(*wanted: bool) -> object:
        return torch.ops.aten.convolution_backward(
            tg, tx, tw, None, problem.stride, pads, (1, 1), False, (0, 0), problem.groups, wanted
        )

    if direction == "fprop":
        return (
            lambda: torch.conv2d(tx, tw, None, problem.stride, pads, 1, problem.groups),
            lambda: convkit.conv2d(x, w, **geometry),
        )
    if direction == "dgrad":
        return (
            lambda: torch_grad(True, False, False),
            lambda: convkit.conv2d_input_grad(grad_y, w, x.shape, **geometry),
        )
    return (
        lambda: torch_grad(False, True, False),
        lambda: convkit.conv2d_weight_grad(grad_y, x, w.shape, **geometry),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--only", default="", help="part of a layer's name")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    convkit.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    ratios: dict[str, list[float]] = {direction: [] for direction in DIRECTIONS}
    for row in testing.problems("conv2d"):
        if "layer" not in row.tags or row.n != 1 or arguments.only not in row.name:
            continue
        problem = dataclasses.replace(row, n=arguments.batch)
        line = f"{row.name:24s}"
        for direction in DIRECTIONS:
            theirs, ours = race(*calls(problem, direction))
            ratios[direction].append(theirs / ours)
            rate = problem.flops / ours / 1e9
            line += f"  {direction} {rate:6.1f} GFLOP/s {theirs / ours:6.2f}x"
        print(line, flush=True)
    for direction, values in ratios.items():
        mean = math.exp(sum(map(math.log, values)) / len(values))
        print(f"{direction}: geometric mean {mean:.2f}x torch, lowest {min(values):.2f}x")


if __name__ == "__main__":
    main()
