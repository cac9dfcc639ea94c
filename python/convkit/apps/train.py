"""`convkit train`: trains a network on a data set, with checkpoints, a log and curves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convkit.apps.files import write_whole
from convkit.apps.terminal import InputError, console, print_json

if TYPE_CHECKING:
    from convkit.data import Dataset, Loader
    from convkit.train import Epoch, Step, Trainer

CHECKPOINT, WEIGHTS, LOG, CURVES = (
    *("checkpoint.safetensors", "weights.safetensors"),
    *("log.jsonl", "curves.png"),
)
OPTIMIZERS = ("adam", "adamw", "sgd")


def load_data(name: str) -> tuple[Dataset, Dataset]:
    """(training images, test images) of a data set's name or a folder."""
    from convkit import data

    try:
        return data.load(name)
    except (FileNotFoundError, ValueError) as error:
        raise InputError(f"--data {name}: {error}") from None


def make_model(name: str, train: Dataset) -> Any:
    """The network for these images and classes."""
    from convkit import models

    try:
        known = models.MODELS[name]
    except KeyError:
        raise InputError(f"{name}: no such network; `convkit models` lists them") from None
    images, labels = train.batch(_first(1))[0], train.labels
    if tuple(images.shape[1:]) != known.image:
        raise InputError(
            f"{name}: takes images of {_text(known.image)}, the data has {_text(images.shape[1:])}"
        )
    classes = int(labels.max()) + 1
    if name in models.FIXED_CLASSES:
        if classes > models.FIXED_CLASSES[name]:
            raise InputError(
                f"{name}: knows {models.FIXED_CLASSES[name]} classes, the data has {classes}"
            )
        return models.make(name)
    return models.make(name, classes=classes)


def _first(count: int) -> Any:
    import numpy as np

    return np.arange(count)


def _text(shape: Any) -> str:
    return "x".join(map(str, shape))


def make_trainer(
    model: Any,
    train: Dataset,
    *,
    folder: Path,
    epochs: int,
    batch: int,
    rate: float,
    optimizer: str,
    seed: int,
    augment: Any,
    save_every: int | None,
) -> tuple[Trainer, Loader]:
    """The trainer that all of `convkit train`'s options describe, and its batches."""
    from convkit import data, models, optim
    from convkit.train import Trainer

    made: optim.Optimizer
    if optimizer == "sgd":
        made = optim.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    else:
        kind = {"adam": optim.Adam, "adamw": optim.AdamW}[optimizer]
        made = kind(model.parameters(), lr=rate)
    trainer = Trainer(
        model,
        made,
        loss=models.loss_of(model),
        schedule=optim.CosineLR(made, epochs),
        checkpoint=folder / CHECKPOINT,
        log=folder / LOG,
        save_every=save_every,
    )
    return trainer, data.Loader(train, batch, shuffle=True, seed=seed, augment=augment)


def augmentation_for(name: str) -> Any:
    """What small images of digits and things bear: a little turning, slanting, moving."""
    from convkit import data

    if name in ("digits", "mnist"):
        return data.Compose(
            data.Rotation(12, fill="edge"),
            data.Shear(0.15, 0.0, fill="edge"),
            data.RandomCrop(32, padding=3, fill="edge"),
        )
    if name in ("cifar10", "cifar100"):
        return data.Compose(data.RandomCrop(32, padding=4), data.Mirror())
    return data.Mirror() if name == "fashion" else None


def draw_curves(history: list[Epoch], path: Path) -> None:
    """Losses and accuracy by epoch, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    numbers = [one.epoch + 1 for one in history]
    left.plot(numbers, [one.train_loss for one in history], label="training")
    left.plot(numbers, [one.test_loss for one in history], label="test")
    left.set(xlabel="epoch", ylabel="loss", yscale="log")
    left.legend()
    right.plot(numbers, [100 * (one.accuracy or 0) for one in history], color="C2")
    right.set(xlabel="epoch", ylabel="test accuracy, %")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    write_whole(path, lambda file: figure.savefig(file, format="png", dpi=120))


@contextmanager
def _progress(trainer: Trainer, epochs: int, quiet: bool) -> Iterator[None]:
    """A bar for the running epoch with loss, images/s and time left, and a line for each."""
    if quiet:
        yield
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    out = console()
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console(stderr=True)) as bar:
        task = bar.add_task("", total=1, text="")

        def on_step(step: Step) -> None:
            started = bar.tasks[0].start_time or 0.0
            elapsed = max((bar.get_time() - started), 1e-9)
            done = step.epoch + step.step / step.steps
            bar.update(
                task,
                completed=done,
                total=epochs,
                description=f"epoch {step.epoch + 1}/{epochs}",
                text=f"loss {step.loss:.4f}, {elapsed:.0f} s",
            )

        def on_epoch(epoch: Epoch) -> None:
            out.print(
                f"epoch {epoch.epoch + 1:3}  loss {epoch.train_loss:.4f}  "
                f"test {epoch.test_loss:.4f}  accuracy {epoch.accuracy:.2%}  "
                f"{epoch.images_per_s:,.0f} images/s"
            )

        trainer.on_step, trainer.on_epoch = on_step, on_epoch
        yield


@dataclass(frozen=True)
class Trained:
    """What a run left."""

    folder: str
    parameters: int
    tested: int  # images
    history: list[Epoch]


def run(
    model: str,
    *,
    data: str = "digits",
    out: Path | None = None,
    epochs: int = 40,
    batch: int = 32,
    rate: float = 2e-3,
    optimizer: str = "adam",
    seed: int = 0,
    augment: bool = True,
    save_every: int | None = None,
    resume: bool = False,
    quiet: bool = True,
) -> Trained:
    """Trains, and writes weights, checkpoint, log and curves into the folder.

    Raises: InputError for what cannot be used.
    """
    for name, value in (("--epochs", epochs), ("--batch", batch)):
        if value < 1:
            raise InputError(f"{name} {value}: must be at least 1")
    if seed < 0 or not rate > 0:
        raise InputError(f"--seed {seed} --lr {rate}: must be at least 0, and above 0")
    if save_every is not None and save_every < 1:
        raise InputError(f"--save-every {save_every}: must be at least 1")
    if optimizer not in OPTIMIZERS:
        raise InputError(f"--optimizer {optimizer}: must be one of {', '.join(OPTIMIZERS)}")
    from convkit import nn
    from convkit.data import Loader
    from convkit.nn import files

    train, test = load_data(data)
    nn.manual_seed(seed)
    network = make_model(model, train)
    folder = out or Path(f"{model}-{Path(data).name}")
    folder.mkdir(parents=True, exist_ok=True)
    trainer, loader = make_trainer(
        network,
        train,
        folder=folder,
        epochs=epochs,
        batch=batch,
        rate=rate,
        optimizer=optimizer,
        seed=seed,
        augment=augmentation_for(data) if augment else None,
        save_every=save_every,
    )
    if resume:
        try:
            resumed = trainer.resume(loader)
        except ValueError as error:
            raise InputError(f"--resume: {error}") from None
        if not resumed:
            raise InputError(f"--resume: there is no {folder / CHECKPOINT}")
    else:
        (folder / LOG).unlink(missing_ok=True)
    with _progress(trainer, epochs, quiet):
        history = trainer.fit(loader, Loader(test, 256), epochs)
    files.save(network.state_dict(), folder / WEIGHTS)
    draw_curves(history, folder / CURVES)
    return Trained(str(folder), network.count(), len(test), history)


def command(
    model: Annotated[str, typer.Argument(help="A network of `convkit models`, such as lenet5.")],
    data: Annotated[
        str, typer.Option(help="digits, mnist, fashion, cifar10, cifar100, or a folder.")
    ] = "digits",
    out: Annotated[
        Path | None, typer.Option(help="Folder for all files. Default: MODEL-DATA.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="In all, those before a resume included.")] = 40,
    batch: Annotated[int, typer.Option(help="Images in a batch.")] = 32,
    rate: Annotated[float, typer.Option("--lr", help="Learning rate; falls as a cosine.")] = 2e-3,
    optimizer: Annotated[str, typer.Option(help="adam, adamw or sgd.")] = "adam",
    seed: Annotated[int, typer.Option(help="Same seed, same bits.")] = 0,
    augment: Annotated[bool, typer.Option(help="Turn, slant, move or mirror images.")] = True,
    save_every: Annotated[
        int | None, typer.Option(help="Steps between checkpoints; else after each epoch.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the folder's checkpoint.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Train a network on a data set; interrupted, --resume goes on with the same bits.

    Example: convkit train lenet5 --data digits
    """
    made = run(
        model,
        data=data,
        out=out,
        epochs=epochs,
        batch=batch,
        rate=rate,
        optimizer=optimizer,
        seed=seed,
        augment=augment,
        save_every=save_every,
        resume=resume,
        quiet=as_json,
    )
    if as_json:
        print_json(asdict(made))
        return
    last, seconds = made.history[-1], sum(one.seconds for one in made.history)
    print(
        f"{made.folder}: {last.accuracy:.2%} of {made.tested} test images right after "
        f"{len(made.history)} epochs, {seconds:.1f} s; {WEIGHTS}, {CHECKPOINT}, {LOG}, {CURVES}"
    )
