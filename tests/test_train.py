"""Training: the same bits for the same seeds, resumed anywhere, killed at any moment."""

import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import convkit
from convkit import models, nn, optim
from convkit.data import ArrayDataset, Loader
from convkit.train import Epoch, Trainer

pytest.importorskip("safetensors")

COUNT, CLASSES = 60, 4


def images(seed=0):
    """Bars at places that tell their class, on noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, COUNT)
    pictures = 0.3 * rng.standard_normal((COUNT, 1, 12, 12)).astype("f4")
    for picture, label in zip(pictures, labels, strict=True):
        picture[0, 3 * label : 3 * label + 2] += 1
    return ArrayDataset(pictures, labels)


def network(dropout=0.2):
    return nn.Sequential(
        *(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(dropout), nn.Linear(100, CLASSES)),
    )


def mirrored(image, rng):
    return image[..., ::-1] if rng.random() < 0.5 else image


def setup(folder=None, seed=0, make=optim.Adam, **options):
    nn.manual_seed(seed)
    model = network()
    optimizer = make(model.parameters(), lr=3e-3)
    trainer = Trainer(
        model,
        optimizer,
        schedule=optim.CosineLR(optimizer, 4),
        checkpoint=None if folder is None else folder / "checkpoint",
        log=None if folder is None else folder / "log",
        **options,
    )
    loader = Loader(images(), 8, shuffle=True, seed=seed, augment=mirrored)
    return trainer, loader, Loader(images(1), 16)


def bits(trainer):
    return {name: array.tobytes() for name, array in trainer.model.state_dict().items()}


def test_it_learns():
    trainer, train, test = setup()
    history = trainer.fit(train, test, 8)
    assert [one.epoch for one in history] == list(range(8))
    assert history[-1].accuracy > 0.9 > history[0].accuracy
    assert history[-1].train_loss < history[0].train_loss / 3
    assert history[0].rate == pytest.approx(3e-3)
    assert trainer.model.training  # as evaluation found it


def test_same_seeds_same_bits_at_any_number_of_threads():
    found = []
    for threads in (1, 2, 3):
        convkit.set_num_threads(threads)
        try:
            trainer, train, test = setup()
            trainer.fit(train, test, 2)
        finally:
            convkit.set_num_threads(2)
        found.append((bits(trainer), [one.test_loss for one in trainer.history]))
    assert found[0] == found[1] == found[2]
    other, train, test = setup(seed=1)
    other.fit(train, test, 2)
    assert bits(other) != found[0][0]


@pytest.mark.parametrize("make", [optim.Adam, optim.AdamW, optim.SGD])
@pytest.mark.parametrize("steps", [1, 7, 8, 9, 20])
def test_a_run_that_is_resumed_ends_as_if_it_had_not_stopped(tmp_path, make, steps):
    whole, train, test = setup(make=make)
    whole.fit(train, test, 4)
    taken = []
    first, train, test = setup(
        tmp_path, make=make, save_every=1, on_step=lambda step: len(taken) >= steps
    )
    first.on_step = lambda step: (taken.append(step), len(taken) > steps)[1]
    first.fit(train, test, 4)
    second, train, test = setup(tmp_path, seed=0, make=make, save_every=1)
    nn.init.generator().random(17)  # stands elsewhere
    assert second.resume(train)
    second.fit(train, test, 4)
    assert bits(second) == bits(whole)
    for one, other in zip(second.history, whole.history, strict=True):
        assert (one.train_loss, one.test_loss) == (other.train_loss, other.test_loss)
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2, 3]


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.test_train import setup
from convkit.nn import files
folder = Path(sys.argv[1])
trainer, train, test = setup(folder, save_every=1, on_step=lambda step: time.sleep(0.01))
trainer.resume(train)
print("ready", flush=True)
trainer.fit(train, test, 4)
files.save(trainer.model.state_dict(), folder / "done")
"""


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bits(tmp_path, request):
    whole, train, test = setup()
    whole.fit(train, test, 4)
    draw, kills, most = random.Random(0), 0, 6
    root = str(request.config.rootpath)
    for _ in range(60):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, tmp_path, root], stdout=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            if kills < most:
                time.sleep(draw.uniform(0, 0.06))
                process.send_signal(signal.SIGKILL)
            process.wait(60)
        if process.returncode == 0:
            break
        kills += 1
    assert kills == most
    from convkit.nn import files

    found = files.load(tmp_path / "done")
    assert {name: array.tobytes() for name, array in found.items()} == bits(whole)


def test_it_stops_early_when_nothing_gets_better():
    trainer, train, test = setup(patience=2)
    losses = (2, 1, 3, 4)
    trainer.history = [Epoch(i, 1.0, loss, 0.5, 0.1, 1.0, 1.0) for i, loss in enumerate(losses)]
    assert trainer.fit(train, test, 10) == trainer.history
    assert len(trainer.history) == 4
    trainer.patience = 3
    trainer.fit(train, test, 5)
    assert len(trainer.history) == 5


def test_callbacks_see_steps_and_may_end_it():
    seen = []
    trainer, train, test = setup(on_step=seen.append, on_epoch=lambda epoch: epoch.epoch == 1)
    trainer.fit(train, test, 10)
    assert len(trainer.history) == 2
    assert [step.step for step in seen] == [*range(1, 9)] * 2
    assert {step.steps for step in seen} == {8}


def test_gradients_can_be_bounded():
    trainer, train, _ = setup(clip=1e-6, make=optim.SGD)
    before = bits(trainer)
    trainer.fit(train, None, 1)
    after = trainer.model.state_dict()
    start = np.frombuffer(before["6.weight"], "f4").reshape(after["6.weight"].shape)
    assert 0 < np.abs(after["6.weight"] - start).max() < 1e-6
    assert trainer.history[0].test_loss is None


def test_a_loss_that_is_no_number_says_where():
    trainer, train, _ = setup()
    trainer.model[0].weight.data[...] = np.inf
    with pytest.raises(FloatingPointError, match="the loss is nan at step 1 of epoch 0"):
        trainer.fit(train, None, 1)


def test_several_results_are_weighted_as_googlenets():
    trainer, _, _ = setup()
    z = convkit.Tensor(np.eye(4, dtype="f4"))
    labels = np.arange(4)
    alone = trainer._loss(z, labels).item()
    assert trainer._loss((z, z, z), labels).item() == pytest.approx(1.6 * alone, rel=1e-6)


def test_lenet_of_1998_learns_by_its_own_loss():
    rng = np.random.default_rng(0)
    x = np.where(rng.random((10, 1, 32, 32)) < 0.1, 1.175, -0.1).astype("f4")
    data = ArrayDataset(x, np.arange(10))
    nn.manual_seed(0)
    model = models.make("lenet5_1998")
    trainer = Trainer(model, optim.Adam(model.parameters(), lr=2e-3), loss=models.loss_of(model))
    trainer.fit(Loader(data, 10), Loader(data, 10), 60)
    assert trainer.history[-1].accuracy == 1.0


def test_what_is_no_checkpoint_is_refused(tmp_path):
    from convkit.nn import files

    trainer, train, _ = setup(tmp_path)
    assert not trainer.resume(train)
    files.save({"w": np.ones(1)}, tmp_path / "checkpoint")
    with pytest.raises(ValueError, match="checkpoint is no checkpoint of a training"):
        trainer.resume(train)
    (tmp_path / "checkpoint").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no safetensors file"):
        trainer.resume(train)
    with pytest.raises(ValueError, match="patience is 0, must be at least 1"):
        setup(patience=0)
