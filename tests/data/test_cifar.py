"""CIFAR in both its versions; pickles that would do anything but hold arrays are refused."""

import os
import pickle
import struct

import numpy as np
import pytest

from convkit.data import load_cifar
from convkit.data.cifar import read_pickle

PIXELS = 3 * 32 * 32


def pixels_of(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, PIXELS), np.uint8)


def of_python_2(pixels, labels):
    """A batch as the published files hold it: protocol 2, text as byte strings."""
    text = lambda one: b"U" + bytes([len(one)]) + one  # noqa: E731
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + b"K\0K\x01\x87R"
    dtype += b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b")
    array += b"\x87R(K\x01K" + bytes([len(pixels)]) + b"M" + struct.pack("<H", PIXELS) + b"\x86"
    array += dtype + b"\x89T" + struct.pack("<I", pixels.nbytes) + pixels.tobytes() + b"tb"
    numbers = b"](" + b"".join(b"K" + bytes([one]) for one in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + numbers + b"u."


def write_binary_10(folder, labels=range(10)):
    pixels = pixels_of(12)
    for number in range(6):
        name = "test_batch.bin" if number == 5 else f"data_batch_{number + 1}.bin"
        records = b"".join(
            bytes([labels[(number + i) % len(labels)]]) + pixels[2 * number + i].tobytes()
            for i in range(2)
        )
        (folder / name).write_bytes(records)
    return pixels


def test_the_binary_version_of_ten_classes(tmp_path):
    pixels = write_binary_10(tmp_path)
    train, test = load_cifar(tmp_path)
    assert train.images.shape == (10, 3, 32, 32)
    assert test.images.shape == (2, 3, 32, 32)
    assert train.labels.tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert test.classes[5] == "dog"
    wanted = (pixels.astype(np.float32) / np.float32(255)).reshape(-1, 3, 32, 32)
    assert np.array_equal(np.concatenate([train.images, test.images]), wanted)


def test_the_binary_version_of_a_hundred_classes_takes_the_fine_label(tmp_path):
    inside = tmp_path / "cifar-100-binary"
    inside.mkdir()
    pixels = pixels_of(2)
    for name in ("train.bin", "test.bin"):
        (inside / name).write_bytes(
            b"".join(bytes([7, 90 + i]) + pixels[i].tobytes() for i in range(2))
        )
    (inside / "fine_label_names.txt").write_text("\n".join(f"class{i}" for i in range(100)))
    train, _ = load_cifar(tmp_path)
    assert train.labels.tolist() == [90, 91]
    assert train.classes[90] == "class90"
    assert train.images[1, 2, 31, 31] == np.float32(pixels[1, -1]) / np.float32(255)


def test_the_published_pickles(tmp_path):
    pixels = pixels_of(12)
    for number in range(6):
        name = "test_batch" if number == 5 else f"data_batch_{number + 1}"
        part = pixels[2 * number : 2 * number + 2]
        (tmp_path / name).write_bytes(of_python_2(part, [number, 9]))
    train, test = load_cifar(tmp_path, 10)
    assert train.labels.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert test.labels.tolist() == [5, 9]
    assert np.array_equal(np.rint(test.images * 255).reshape(2, -1), pixels[10:])


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["u1", "<i4", ">i2"])
def test_pickles_of_this_numpy_are_read(tmp_path, protocol, order, dtype):
    wanted = np.asarray(np.arange(6).reshape(2, 3), dtype, order=order)
    held = {b"data": wanted, b"labels": [1, 2], b"name": b"\xff\0", "text": "x"}
    (tmp_path / "a").write_bytes(pickle.dumps(held, protocol))
    found = read_pickle(tmp_path / "a")
    assert found["data"].dtype == np.dtype(dtype)
    assert np.array_equal(found["data"], wanted)
    assert (found["labels"], found["name"], found["text"]) == ([1, 2], b"\xff\0", "x")


class Runs:
    """Runs a command where its pickle is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "thing",
    [
        Runs(os.system, "touch PLACE"),
        Runs(eval, "open('PLACE', 'w')"),
        Runs(np.load, "PLACE", None, True),
        Runs(np.ndarray, (2,), np.dtype("O"), b"x" * 16),
        np.array([1, "x", None], object),
        np.array([1.5]),
        np.array(["text"]),
        range(3),
    ],
    ids=lambda thing: type(thing).__name__,
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_of_anything_else_is_refused(tmp_path, monkeypatch, thing, protocol):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").write_bytes(pickle.dumps({b"data": thing}, protocol))
    with pytest.raises(ValueError, match=r"bad: not a pickle of CIFAR: ") as raised:
        read_pickle(tmp_path / "bad")
    assert "names" in str(raised.value) or "must be of whole numbers" in str(raised.value)
    assert not (tmp_path / "PLACE").exists()


def test_every_truncation_of_a_pickle_is_a_value_error(tmp_path):
    data = of_python_2(pixels_of(1)[:, :PIXELS], [3])
    for end in [*range(0, 200, 3), len(data) - 1]:
        (tmp_path / "bad").write_bytes(data[:end])
        with pytest.raises(ValueError, match="bad: not a pickle of CIFAR"):
            read_pickle(tmp_path / "bad")


@pytest.mark.parametrize(
    ("held", "rule"),
    [
        ([1], "holds a list, must be a dictionary"),
        ({"data": 3, "labels": [1]}, "'data' must be uint8"),
        ({"data": np.zeros((1, 5), "u1"), "labels": [1]}, r"\(1, 5\), must be \(N, 3072\)"),
        ({"data": pixels_of(2), "labels": [1]}, "1 labels for 2 images"),
        ({"data": pixels_of(1), "labels": [10]}, "labels are 10 to 10, must be 0 to 9"),
        ({"data": pixels_of(1), "labels": ["cat"]}, "'labels' must be a list of whole numbers"),
        ({"data": pixels_of(1)}, "'labels' must be a list"),
    ],
)
def test_a_pickle_that_holds_something_else_is_refused(tmp_path, held, rule):
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (tmp_path / name).write_bytes(pickle.dumps(held))
    with pytest.raises(ValueError, match=rule) as raised:
        load_cifar(tmp_path)
    assert "data_batch_1: " in str(raised.value)


@pytest.mark.parametrize("size", [0, 3072, 3074])
def test_a_binary_file_of_another_size_is_refused(tmp_path, size):
    write_binary_10(tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(bytes(size))
    with pytest.raises(ValueError, match=rf"data_batch_3\.bin: is {size} bytes .* 3073"):
        load_cifar(tmp_path)


def test_a_label_beyond_the_classes_is_refused(tmp_path):
    write_binary_10(tmp_path, labels=[10])
    with pytest.raises(ValueError, match=r"data_batch_1\.bin: label 10, must be 0 to 9"):
        load_cifar(tmp_path)


def test_an_incomplete_set_is_not_found(tmp_path):
    write_binary_10(tmp_path)
    (tmp_path / "data_batch_2.bin").unlink()
    with pytest.raises(FileNotFoundError, match="no complete CIFAR"):
        load_cifar(tmp_path)
