"""`convkit summary`: the layers of a network."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from convkit.apps.terminal import InputError, print_json

if TYPE_CHECKING:
    from convkit.nn.summary import Summary


def run(model: str, *, batch: int = 1) -> Summary:
    """The network's layers for a batch of that many images.

    Raises: InputError for a name that is no network, and a batch below 1.
    """
    from convkit import models, nn

    if model not in models.MODELS:
        raise InputError(f"{model}: no such network; `convkit models` lists them")
    if batch < 1:
        raise InputError(f"--batch {batch}: must be at least 1")
    return nn.summary(models.make(model), (batch, *models.MODELS[model].image))


def command(
    model: Annotated[str, typer.Argument(help="A network of `convkit models`, such as resnet50.")],
    batch: Annotated[int, typer.Option(help="Images at once.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Show each layer's result, parameters, multiply-adds and the algorithm that auto takes.

    Example: convkit summary lenet5
    """
    found = run(model, batch=batch)
    if as_json:
        lines = [asdict(line) for line in found.lines]
        print_json({"lines": lines, "parameters": found.parameters, "macs": found.macs})
        return
    print(found)
