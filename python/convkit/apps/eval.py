"""`convkit eval`: how often a trained network is right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convkit.apps.terminal import InputError, print_json
from convkit.apps.train import load_data, make_model


def run(model: str, weights: str | Path, *, data: str = "digits") -> dict[str, float]:
    """{"loss", "accuracy", "images"} of the test images.

    Raises: InputError for what is no network, data set or file of its weights.
    """
    from convkit import models
    from convkit.data import Loader
    from convkit.nn import files, init
    from convkit.optim import SGD
    from convkit.train import Trainer

    train, test = load_data(data)
    with init.no_init():
        network = make_model(model, train)
    try:
        network.load_state_dict(files.load(weights))
    except ValueError as error:
        raise InputError(f"{weights}: {error}") from None
    trainer = Trainer(network, SGD(network.parameters(), lr=0.1), loss=models.loss_of(network))
    loss, accuracy = trainer.evaluate(Loader(test, 256))
    return {"loss": loss, "accuracy": accuracy, "images": len(test)}


def command(
    model: Annotated[str, typer.Argument(help="A network of `convkit models`, such as lenet5.")],
    weights: Annotated[Path, typer.Argument(help="Its weights: safetensors, or torch's .pth.")],
    data: Annotated[
        str, typer.Option(help="digits, mnist, fashion, cifar10, cifar100, or a folder.")
    ] = "digits",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Test a network's weights on the test images of a data set.

    Example: convkit eval lenet5 lenet5-digits/weights.safetensors --data digits
    """
    found = run(model, weights, data=data)
    if as_json:
        print_json(found)
        return
    print(f"{found['accuracy']:.2%} of {found['images']} images right, loss {found['loss']:.4f}")
