"""The loader: the same batches for any prefetch, no thread that stays, states that resume."""

import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from convkit.data import ArrayDataset, Brightness, Compose, Loader, RandomCrop, Rotation
from convkit.data.loading import generator_at

AUGMENT = Compose(Rotation(20), RandomCrop(5, padding=1), Brightness(0.3))
PREFETCH = [0, 1, 2, 7]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert threads() == []


def threads():
    return [one for one in threading.enumerate() if one.name == "convkit-loader"]


def numbered(count=10):
    """Images that hold their own number, which is their label too."""
    numbers = np.arange(count)
    images = np.broadcast_to(numbers[:, None, None, None], (count, 1, 5, 5)).astype(np.float32)
    return ArrayDataset(images, numbers)


def epoch_of(loader):
    return [labels.tolist() for _, labels in loader]


def order_of(loader):
    return [label for batch in epoch_of(loader) for label in batch]


def bits(batches):
    return [(images.tobytes(), labels.tolist()) for images, labels in batches]


class Slow:
    """A data set that counts the batches read from it, and fails or waits at one."""

    def __init__(self, *, fails_at=None, waits=0.0):
        self.whole, self.read = numbered(12), 0
        self.fails_at, self.waits = fails_at, waits
        self.labels, self.classes = self.whole.labels, self.whole.classes

    def __len__(self):
        return len(self.whole)

    def batch(self, indices):
        self.read += 1
        time.sleep(self.waits)
        if self.read == self.fails_at:
            raise ZeroDivisionError(f"batch {self.read}")
        return self.whole.batch(indices)


@pytest.mark.parametrize("prefetch", PREFETCH)
def test_batches_are_in_order_and_the_last_is_smaller(prefetch):
    loader = Loader(numbered(), 4, prefetch=prefetch)
    assert len(loader) == 3
    assert epoch_of(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    for images, labels in loader:
        assert (images.dtype, labels.dtype) == (np.float32, np.int64)
        assert images[:, 0, 2, 3].tolist() == labels.tolist()


def test_drop_last_leaves_the_smaller_batch_out():
    loader = Loader(numbered(), 4, drop_last=True)
    assert len(loader) == 2
    assert epoch_of(loader) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(Loader(numbered(8), 4, drop_last=True)) == 2


def test_each_epoch_is_another_order_of_all_images():
    loader = Loader(numbered(50), 8, shuffle=True, seed=1)
    epochs = [order_of(loader) for _ in range(3)]
    assert loader.epoch == 3
    for epoch in epochs:
        assert sorted(epoch) == list(range(50))
        assert epoch != list(range(50))
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    again = Loader(numbered(50), 10, shuffle=True, seed=1)
    assert [order_of(again) for _ in range(3)] == epochs
    assert order_of(Loader(numbered(50), 8, shuffle=True, seed=2)) != epochs[0]


@pytest.mark.parametrize("prefetch", PREFETCH[1:])
def test_any_prefetch_gives_the_same_bits(prefetch):
    def make(ahead):
        return Loader(numbered(), 3, shuffle=True, seed=4, augment=AUGMENT, prefetch=ahead)

    plain, ahead = make(0), make(prefetch)
    for _ in range(3):
        assert bits(ahead) == bits(plain)


def test_an_image_is_changed_alike_in_any_order_and_batch_but_anew_in_each_epoch():
    def forms(**options):
        loader = Loader(numbered(), augment=AUGMENT, **options)
        found = [
            {
                label: image.tobytes()
                for images, labels in loader
                for image, label in zip(images, labels.tolist(), strict=True)
            }
            for _ in range(2)
        ]
        return found

    first = forms(batch_size=3)
    assert forms(batch_size=4, shuffle=True) == first
    other_seed = forms(batch_size=3, seed=1)
    for label in range(1, 10):
        assert first[0][label] != first[1][label]
        assert first[0][label] != other_seed[0][label]


def test_images_draw_their_numbers_apart():
    draws = []
    loader = Loader(
        numbered(),
        5,
        augment=lambda image, rng: (draws.append(rng.random()), image)[1],
        shuffle=True,
    )
    for _ in range(3):
        epoch_of(loader)
    # What shuffles (seed, epoch) starts no generator of an image (seed, epoch, index).
    starts = [generator_at(0, epoch).random() for epoch in range(3)]
    assert len({*draws, *starts}) == 33


def test_batches_do_not_share_memory_with_the_data_set():
    dataset = numbered()
    for images, labels in Loader(dataset, 4):
        images[:] = -1
        labels[:] = -1
    assert dataset.images[3, 0, 0, 0] == 3
    assert dataset.labels[3] == 3


@pytest.mark.parametrize("prefetch", PREFETCH)
@pytest.mark.parametrize("taken", [1, 2, 3])
def test_a_state_resumes_in_the_middle_of_an_epoch(prefetch, taken):
    def make():
        return Loader(numbered(), 4, shuffle=True, seed=9, augment=AUGMENT, prefetch=prefetch)

    whole = make()
    wanted = bits(whole) + bits(whole) + bits(whole)
    stopped = make()
    found = bits(stopped)
    for batch in stopped:
        found += bits([batch])
        if len(found) == 3 + taken:
            state = json.loads(json.dumps(stopped.state_dict()))
            break
    resumed = make()
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    while resumed.epoch < 3:
        found += bits(resumed)
    assert found == wanted


def test_a_state_between_epochs_resumes_with_the_next():
    loader = Loader(numbered(), 4, shuffle=True)
    epoch_of(loader)
    state = loader.state_dict()
    wanted = epoch_of(loader)
    loader.load_state_dict(state)
    assert epoch_of(loader) == wanted


def test_an_epoch_left_early_is_followed_by_the_next():
    loader = Loader(numbered(), 4, shuffle=True)
    second = Loader(numbered(), 4, shuffle=True)
    epoch_of(second)
    next(iter(loader))
    assert epoch_of(loader) == epoch_of(second)
    assert loader.epoch == 2


def test_an_older_iterator_does_not_move_the_state():
    loader = Loader(numbered(), 4)
    old = iter(loader)
    next(old)
    new = iter(loader)
    next(new)
    assert len(list(old)) == 2
    assert (loader.state_dict()["epoch"], loader.state_dict()["batch"]) == (1, 1)
    new.close()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": 1}, "the state has seed=1, this loader has 0"),
        ({"images": 11}, "images=11, this loader has 10"),
        ({"batch_size": 5}, "batch_size=5"),
        ({"shuffle": True}, "shuffle=True"),
        ({"drop_last": True}, "drop_last=True"),
        ({"epoch": -1}, "epoch=-1, must be 0 or more"),
        ({"epoch": None}, "epoch=None"),
        ({"batch": 4}, "batch=4, must be 0 to 3"),
        ({"batch": 1.0}, "batch=1.0"),
    ],
)
def test_a_state_of_another_loader_is_refused(changed, message):
    loader = Loader(numbered(), 4)
    before = loader.state_dict()
    with pytest.raises(ValueError, match=message):
        loader.load_state_dict(before | changed)
    assert loader.state_dict() == before


@pytest.mark.parametrize("prefetch", [1, 3])
def test_the_thread_works_ahead_and_no_further(prefetch):
    dataset = Slow()
    batches = iter(Loader(dataset, 1, prefetch=prefetch))
    next(batches)
    deadline = time.monotonic() + 10
    # One was taken, `prefetch` wait, and one more is done but has no room.
    while dataset.read < prefetch + 2 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.05)
    assert dataset.read == prefetch + 2
    batches.close()


def test_the_next_batch_is_prepared_while_the_last_is_used():
    loader = Loader(Slow(waits=0.05), 1, prefetch=2)
    start = time.perf_counter()
    for _ in loader:
        time.sleep(0.05)
    # One after the other it would be 12 * 0.1 seconds.
    assert time.perf_counter() - start < 1.0


@pytest.mark.parametrize("prefetch", PREFETCH)
@pytest.mark.parametrize("taken", [0, 1, 2])
def test_an_error_reaches_the_caller_where_its_batch_would_come(prefetch, taken):
    found = []

    def consume():
        for _, labels in Loader(Slow(fails_at=taken + 1), 2, prefetch=prefetch):
            found.append(labels.tolist())

    with pytest.raises(ZeroDivisionError, match=f"batch {taken + 1}") as raised:
        consume()
    assert found == [[0, 1], [2, 3], [4, 5]][:taken]
    assert raised.traceback[-1].name == "batch"


@pytest.mark.parametrize("prefetch", PREFETCH)
@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_leaving_early_ends_the_thread(prefetch, error):
    loader = Loader(Slow(waits=0.001), 1, prefetch=prefetch)
    try:
        for _ in loader:
            if error is not None:
                raise error
            break
    except (KeyboardInterrupt, ValueError):
        pass
    assert threads() == []


def test_an_iterator_that_is_dropped_ends_its_thread():
    batches = iter(Loader(numbered(), 1, prefetch=1))
    next(batches)
    assert len(threads()) == 1
    del batches
    assert threads() == []


def test_an_error_thrown_into_an_iterator_ends_its_thread():
    batches = iter(Loader(numbered(), 1, prefetch=1))
    next(batches)
    with pytest.raises(ValueError, match="thrown") as raised:
        batches.throw(ValueError("thrown"))
    assert threads() == []  # though the traceback keeps the frame of the iterator
    assert raised.tb is not None


def test_a_thread_that_is_stopped_while_it_works_does_not_hang():
    for waits in np.linspace(0, 0.003, 60):
        batches = iter(Loader(Slow(waits=0.001, fails_at=3), 1, prefetch=1))
        next(batches)
        time.sleep(waits)
        batches.close()
        assert threads() == []


def test_ctrl_c_ends_a_program_that_waits_for_a_batch():
    code = (
        "import signal, threading, time\n"
        "import numpy as np\n"
        "from convkit.data import ArrayDataset, Loader\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "numbers = ArrayDataset(np.zeros((9, 1, 2, 2), 'f4'), np.zeros(9, int))\n"
        "def slow(image, rng):\n"
        "    if rng.random() >= 0:\n"
        "        time.sleep(0.5)\n"
        "    return image\n"
        "main = threading.main_thread().ident\n"
        "threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()\n"
        "try:\n"
        "    for _ in Loader(numbers, 1, augment=slow):\n"
        "        pass\n"
        "except KeyboardInterrupt:\n"
        "    time.sleep(0.01)\n"
        "    names = [one.name for one in threading.enumerate()]\n"
        "    print('interrupted', 'convkit-loader' in names)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "interrupted False\n", done.stderr


def test_a_program_ends_with_an_iterator_still_open():
    code = (
        "import numpy as np\n"
        "from convkit.data import ArrayDataset, Loader\n"
        "numbers = ArrayDataset(np.zeros((9, 1, 2, 2), 'f4'), np.zeros(9, int))\n"
        "batches = iter(Loader(numbers, 1))\n"
        "next(batches)\n"
        "print('end')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_shapes_that_differ_in_a_batch_are_refused():
    def grow(image, rng):
        return image.repeat(1 + int(image[0, 0, 0] == 2), axis=1)

    with pytest.raises(ValueError, match=r"made image 2 \(1, 10, 5\), another of the batch \(1, 5"):
        epoch_of(Loader(numbered(), 4, augment=grow))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0, must be 1 or more"),
        ({"batch_size": 1, "seed": -1}, "seed is -1, must be 0 or more"),
        ({"batch_size": 1, "prefetch": -1}, "prefetch is -1, must be 0 or more"),
        ({"batch_size": 11, "drop_last": True}, "leaves nothing of 10 images in batches of 11"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=f"Loader: .*{message}"):
        Loader(numbered(), **options)
