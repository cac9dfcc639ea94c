"""`convkit models`: every network with its parameters, multiply-adds and time here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from convkit.apps.terminal import InputError, console, print_json


def measured(name: str, *, timed: bool) -> dict[str, Any]:
    """A network's row: one image, float32."""
    import numpy as np

    from convkit import models, nn
    from convkit.autograd import Tensor, no_grad

    known = models.MODELS[name]
    with nn.init.no_init():
        network = models.make(name)
    for parameter in network.parameters():  # numbers, so that nothing is subnormal or NaN
        parameter.data[...] = 0
    row: dict[str, Any] = {"name": name, "image": known.image, "parameters": network.count()}
    if not timed:
        return row
    row["macs"] = nn.summary(network, (1, *known.image)).macs
    network.eval()
    image = Tensor(np.zeros((1, *known.image), np.float32))
    times = []
    with no_grad():
        for _ in range(3):
            start = time.perf_counter()
            network(image)
            times.append(time.perf_counter() - start)
    return row | {"forward_s": min(times)}


def run(names: list[str] | None = None, *, timed: bool = True) -> Iterator[dict[str, Any]]:
    """A row for each network, all where none is named.

    Raises: InputError for a name that is no network.
    """
    from convkit import models

    for name in names or ():
        if name not in models.MODELS:
            raise InputError(f"{name}: no such network; `convkit models --no-timed` lists them")
    return (measured(name, timed=timed) for name in names or models.MODELS)


def command(
    names: Annotated[list[str] | None, typer.Argument(help="Networks; none: all.")] = None,
    timed: Annotated[
        bool, typer.Option(help="Run each once: multiply-adds, and the time of one image.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """List the networks: parameters, multiply-adds and the time that one image takes here.

    Example: convkit models resnet50 vgg16
    """
    rows = run(names, timed=timed)
    if as_json:
        print_json(list(rows))
        return
    out = console()
    out.print(f"{'network':<22} {'image':>11} {'parameters':>12} {'MACs':>15} {'one image':>10}")
    for row in rows:
        size = "x".join(map(str, row["image"]))
        cost = f"{row['macs']:>15,} {row['forward_s'] * 1e3:>7.1f} ms" if timed else ""
        out.print(f"{row['name']:<22} {size:>11} {row['parameters']:>12,} {cost}")
