"""Batches of a data set, the next ones prepared by a thread while the last one is used."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from convkit.data.augmentation import Transform
from convkit.data.datasets import Batched

Batch = tuple[np.ndarray, np.ndarray]
Batches = Generator[Batch, None, None]


class Loader:
    """Iterates over the batches of a data set: (images, labels) float32 and int64.

    Each `for` over the loader is an epoch. What it yields depends on the data set, on seed, epoch
    and the arguments before `prefetch`, and on nothing else; batches are new arrays.

    Args:
        dataset: an `ArrayDataset`, an `ImageFolder`, or anything with len() and batch(indices).
        batch_size: images in a batch; the last one of an epoch may be smaller.
        shuffle: a new order in each epoch, drawn from (seed, epoch).
        seed: a whole number from 0.
        drop_last: leaves a last batch out that would be smaller.
        augment: called as augment(image, rng) for every image; rng is seeded by (seed, epoch, index
            in the data set), so the order of calls does not matter.
        prefetch: how many batches the thread prepares ahead; 0 prepares them without a thread.

    The thread ends with its epoch, and at once when the `for` is left early or its iterator is
    closed. What fails in it is raised where the batch would have come.

    >>> numbers = ArrayDataset(np.zeros((5, 1, 2, 2), "f4"), np.arange(5))
    >>> [labels.tolist() for _, labels in Loader(numbers, 2)]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Batched,
        batch_size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        augment: Transform | None = None,
        prefetch: int = 2,
    ) -> None:
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            ("prefetch", prefetch, 0),
        ):
            if value < least:
                raise ValueError(f"Loader: {name} is {value}, must be {least} or more")
        if drop_last and len(dataset) < batch_size:
            raise ValueError(
                f"Loader: drop_last leaves nothing of {len(dataset)} images in batches of "
                f"{batch_size}"
            )
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.augment = augment
        self.prefetch = prefetch
        self._epoch = 0
        self._given = 0  # batches of this epoch that were yielded
        self._resumes = False
        self._iteration: object = None  # the latest `for`; an older one no longer counts

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    @property
    def epoch(self) -> int:
        """The epoch that runs, or that the next `for` begins where the last one was finished."""
        return self._epoch

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: the epoch, and how many of its batches were yielded.

        Only numbers and truth values, so that JSON can hold it.
        """
        return {"epoch": self._epoch, "batch": self._given, **self._rules()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The next `for` yields what would have followed when `state` was taken.

        Raises: ValueError where that was another loader: other seed, sizes or rules.
        """
        for name, own in self._rules().items():
            if state.get(name) != own:
                raise ValueError(
                    f"Loader: the state has {name}={state.get(name)}, this loader has {own}"
                )
        epoch, batch = state.get("epoch"), state.get("batch")
        if type(epoch) is not int or epoch < 0:
            raise ValueError(f"Loader: the state has epoch={epoch}, must be 0 or more")
        if type(batch) is not int or not 0 <= batch <= len(self):
            raise ValueError(f"Loader: the state has batch={batch}, must be 0 to {len(self)}")
        self._epoch, self._given, self._resumes = epoch, batch, True
        self._iteration = None

    def _rules(self) -> dict[str, Any]:
        return {
            "images": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "drop_last": self.drop_last,
        }

    def __iter__(self) -> Iterator[Batch]:
        """An epoch: after one that was left early the next, after load_state_dict its remainder."""
        if self._given and not self._resumes:
            self._epoch, self._given = self._epoch + 1, 0
        self._resumes = False
        this = self._iteration = object()
        return self._batches(this, self._epoch, self._given)

    def _batches(self, this: object, epoch: int, given: int) -> Iterator[Batch]:
        prepared = self._prepare(epoch, given)
        if self.prefetch:
            prepared = _ahead(prepared, self.prefetch)
        try:
            for batch in prepared:
                given += 1
                if self._iteration is this:
                    self._given = given
                yield batch
        finally:
            prepared.close()
        if self._iteration is this:
            self._epoch, self._given = epoch + 1, 0

    def _prepare(self, epoch: int, first: int) -> Batches:
        total = len(self.dataset)
        order = np.arange(total)
        if self.shuffle:
            order = generator_at(self.seed, epoch).permutation(total)
        for number in range(first, len(self)):
            chosen = order[number * self.batch_size : (number + 1) * self.batch_size]
            images, labels = self.dataset.batch(chosen)
            yield self._augmented(images, chosen, epoch), labels

    def _augmented(self, images: np.ndarray, indices: np.ndarray, epoch: int) -> np.ndarray:
        if self.augment is None:
            return images
        changed: list[np.ndarray] = []
        for image, index in zip(images, indices.tolist(), strict=True):
            changed.append(self.augment(image, generator_at(self.seed, epoch, index)))
            if changed[-1].shape != changed[0].shape:
                raise ValueError(
                    f"Loader: augment made image {index} {changed[-1].shape}, another of the batch "
                    f"{changed[0].shape}: must be of one shape"
                )
        return np.stack(changed)


def generator_at(seed: int, *place: int) -> np.random.Generator:
    """The source of chance at (epoch, index) of a seed, or for the order of an (epoch,)."""
    # As a spawn key the numbers stay apart: in a list (3, 0) and (3,) would seed alike.
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))


class _End:
    """What the thread hands over last: nothing, or what made it stop."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def _ahead(batches: Batches, most: int) -> Batches:
    """The same batches, up to `most` of them computed by a thread before they are asked for."""
    ready: queue.Queue[Any] = queue.Queue(most)
    stop = threading.Event()

    def work() -> None:
        end = _End()
        try:
            for batch in batches:
                ready.put(batch)
                if stop.is_set():
                    return
        except BaseException as error:
            end = _End(error)
        ready.put(end)

    # A daemon: an iterator that nobody closes must not keep the interpreter from ending.
    thread = threading.Thread(target=work, name="convkit-loader", daemon=True)
    try:
        thread.start()
        while not isinstance(item := ready.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        stop.set()
        # A thread that waits for room gets it, puts one thing at most, and then sees the stop.
        while not ready.empty():
            ready.get_nowait()
        thread.join()
