"""Training: epochs, evaluation, checkpoints that resume to the bit, early stop, a log."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from convkit.autograd import Tensor, no_grad
from convkit.data import Loader
from convkit.nn import Module, files, init
from convkit.ops import cross_entropy
from convkit.optim import Optimizer, Schedule, clip_grad_norm

Loss = Callable[[Any, Any], Tensor]
_NOTE = "convkit.train"


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to."""

    epoch: int
    train_loss: float
    test_loss: float | None
    accuracy: float | None  # of the test images, from 0 to 1
    rate: float  # the first group's learning rate
    images_per_s: float
    seconds: float


@dataclass(frozen=True)
class Step:
    """A step that was just made, for callbacks."""

    epoch: int
    step: int
    steps: int  # of the epoch
    loss: float
    images: int


class Trainer:
    """Trains a network on batches.

    Args:
        model, optimizer: the optimizer holds the model's parameters, or some of them.
        loss: of (result, labels); of a tuple of results (GoogLeNet) the sum, the others weighted
            with 0.3.
        schedule: stepped after each epoch.
        clip: the largest norm of all gradients together.
        checkpoint: a file that is written after each epoch, and every `save_every` steps. `resume`
            goes on from it with the bits that would have followed.
        log: a file that gets a line of JSON for each epoch.
        patience: ends after so many epochs without a better test loss.
        on_step, on_epoch: are called with a Step, an Epoch; one that returns True ends training.

    Whole runs are reproducible: same seeds, same bits, at any number of threads.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        *,
        loss: Loss = cross_entropy,
        schedule: Schedule | None = None,
        clip: float | None = None,
        checkpoint: str | Path | None = None,
        save_every: int | None = None,
        log: str | Path | None = None,
        patience: int | None = None,
        on_step: Callable[[Step], Any] | None = None,
        on_epoch: Callable[[Epoch], Any] | None = None,
    ) -> None:
        for name, value in (("save_every", save_every), ("patience", patience)):
            if value is not None and value < 1:
                raise ValueError(f"Trainer: {name} is {value}, must be at least 1 or None")
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.schedule, self.clip = schedule, clip
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.save_every, self.patience = save_every, patience
        self.log = None if log is None else Path(log)
        self.on_step, self.on_epoch = on_step, on_epoch
        self.history: list[Epoch] = []
        self._losses: list[float] = []  # of the running epoch's steps
        self._images = 0
        self._before = 0.0  # seconds of the running epoch before it was resumed

    def fit(self, train: Loader, test: Loader | None = None, epochs: int = 1) -> list[Epoch]:
        """Trains until `epochs` epochs are done, those before a resume included."""
        while len(self.history) < epochs and not self._is_stuck():
            if self._epoch(train, test):
                break
        return self.history

    def evaluate(self, loader: Iterable[tuple[np.ndarray, np.ndarray]]) -> tuple[float, float]:
        """(mean loss, part of the images whose result names their label), in eval mode.

        The largest number names the class; of a model with `smallest_wins` the smallest.
        """
        named = np.argmin if getattr(self.model, "smallest_wins", False) else np.argmax
        modes = [(one, one.training) for one in self.model.modules()]
        self.model.eval()
        loss = right = count = 0.0
        try:
            with no_grad():
                for images, labels in loader:
                    result = self.model(Tensor(images))
                    loss += self._loss(result, labels).item() * len(labels)
                    right += float((named(result.numpy(), axis=1) == labels).sum())
                    count += len(labels)
        finally:
            for one, training in modes:
                one.training = training
        return (loss / count, right / count) if count else (math.nan, math.nan)

    def _epoch(self, train: Loader, test: Loader | None) -> bool:
        """Whether a callback wants out."""
        start = time.perf_counter()
        self.model.train()
        number = len(self.history)
        for images, labels in train:
            loss = self._step(images, labels)
            self._losses.append(loss)
            self._images += len(labels)
            made = Step(number, len(self._losses), len(train), loss, self._images)
            if self.on_step and self.on_step(made):
                return True
            if self.save_every and len(self._losses) % self.save_every == 0:
                self.save(train, self._before + time.perf_counter() - start)
        seconds = self._before + time.perf_counter() - start
        rate = float(self.optimizer.param_groups[0]["lr"])
        test_loss, accuracy = self.evaluate(test) if test is not None else (None, None)
        # Added in order, so that a resumed epoch's mean has the same bits.
        mean = sum(self._losses) / max(len(self._losses), 1)
        done = Epoch(number, mean, test_loss, accuracy, rate, self._images / seconds, seconds)
        self.history.append(done)
        self._losses, self._images, self._before = [], 0, 0.0
        if self.schedule:
            self.schedule.step()
        if self.log:
            with self.log.open("a") as file:
                file.write(json.dumps(asdict(done)) + "\n")
        self.save(train)
        return bool(self.on_epoch and self.on_epoch(done))

    def _step(self, images: np.ndarray, labels: np.ndarray) -> float:
        self.optimizer.zero_grad()
        loss = self._loss(self.model(Tensor(images)), labels)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(
                f"the loss is {value} at step {len(self._losses) + 1} of epoch "
                f"{len(self.history)}; try a smaller learning rate"
            )
        loss.backward()
        if self.clip is not None:
            clip_grad_norm(self.optimizer.params, self.clip)
        self.optimizer.step()
        return value

    def _loss(self, result: Any, labels: np.ndarray) -> Tensor:
        if not isinstance(result, tuple):
            return self.loss(result, labels)
        first, *others = (self.loss(one, labels) for one in result)
        return sum((0.3 * one for one in others), first)

    def _is_stuck(self) -> bool:
        losses = [one.test_loss for one in self.history if one.test_loss is not None]
        if self.patience is None or len(losses) <= self.patience:
            return False
        return min(losses[-self.patience :]) >= min(losses[: -self.patience])

    def save(self, train: Loader, seconds: float = 0.0) -> None:
        """Writes the checkpoint file, if there is one; killed meanwhile, the old one is whole."""
        if self.checkpoint is None:
            return
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict() if self.schedule else None,
            "loader": train.state_dict(),
            "random": init.random_state(),
            "history": [asdict(one) for one in self.history],
            "losses": self._losses,
            "images": self._images,
            "seconds": seconds,
        }
        arrays: dict[str, np.ndarray] = {}
        note = json.dumps(_without_arrays(state, "", arrays))
        files.save(arrays, self.checkpoint, {_NOTE: note})

    def resume(self, train: Loader) -> bool:
        """Goes on from the checkpoint file; False where there is none yet.

        Raises: ValueError where the file is no checkpoint, or of another network or loader.
        """
        if self.checkpoint is None or not self.checkpoint.exists():
            return False
        note = files.notes_of(self.checkpoint).get(_NOTE)
        if note is None:
            raise ValueError(f"{self.checkpoint} is no checkpoint of a training")
        state = _with_arrays(json.loads(note), files.load(self.checkpoint))
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(state["schedule"])
        train.load_state_dict(state["loader"])
        init.set_random_state(state["random"])
        self.history = [Epoch(**one) for one in state["history"]]
        self._losses, self._images = state["losses"], state["images"]
        self._before = state["seconds"]
        return True


def _without_arrays(value: Any, place: str, arrays: dict[str, np.ndarray]) -> Any:
    """The value as JSON holds it; its arrays go to `arrays` by their place."""
    if isinstance(value, np.ndarray):
        arrays[place] = value
        return {"array": place}
    if isinstance(value, dict):
        items = [
            [key, _without_arrays(one, f"{place}/{key}", arrays)] for key, one in value.items()
        ]
        return {"dict": items}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(one, f"{place}/{i}", arrays) for i, one in enumerate(value)]
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any, arrays: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_with_arrays(one, arrays) for one in value]
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    return {key: _with_arrays(one, arrays) for key, one in value["dict"]}
