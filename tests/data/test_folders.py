"""Photographs in folders: which are found, how they are resized, what is refused."""

import sys

import numpy as np
import pytest
from PIL import Image

from convkit.data import ImageFolder, finding


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 4x6 photographs, each of one colour, and files that are none."""
    for name, color in (("dog/b.png", 20), ("dog/a.PNG", 10), ("cat/x.bmp", 30)):
        save(tmp_path / name, np.full((4, 6, 3), color))
    (tmp_path / "cat" / "notes.txt").write_text("no photograph")
    (tmp_path / "cat" / ".hidden.png").write_text("no photograph")
    (tmp_path / ".git").mkdir()
    (tmp_path / "readme.png").write_text("no class")
    return tmp_path


def test_classes_and_files_are_in_alphabetical_order(folder):
    held = ImageFolder(folder)
    assert held.classes == ("cat", "dog")
    assert held.labels.tolist() == [0, 1, 1]
    images, labels = held.batch(np.array([2, 0]))
    assert images.shape == (2, 3, 4, 6)
    assert images.dtype == np.float32
    assert images[:, 0, 0, 0].tolist() == [np.float32(20 / 255), np.float32(30 / 255)]
    assert labels.tolist() == [1, 0]
    assert held[1][0][0, 0, 0] == np.float32(10 / 255)


def test_a_subset_keeps_classes(folder):
    part = ImageFolder(folder).subset(np.array([1]))
    assert (len(part), part.classes, part.labels.tolist()) == (1, ("cat", "dog"), [1])


def test_channels_are_red_green_blue(tmp_path):
    save(tmp_path / "a" / "a.png", [[[255, 0, 51]]])
    assert ImageFolder(tmp_path)[0][0].ravel().tolist() == [1, 0, np.float32(0.2)]
    luma = ImageFolder(tmp_path, color=False)[0][0]
    assert luma.shape == (1, 1, 1)
    assert round(float(luma[0, 0, 0]) * 255) == round(0.299 * 255 + 0.114 * 51)


def test_the_centre_is_cut_out_and_resized(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 3))
    save(tmp_path / "a" / "a.png", pixels)
    small = Image.fromarray(pixels.astype(np.uint8)).resize((8, 4), Image.Resampling.BILINEAR)
    wanted = np.asarray(small.crop((2, 0, 6, 4))).transpose(2, 0, 1)
    image, _ = ImageFolder(tmp_path, size=4)[0]
    assert image.shape == (3, 4, 4)
    assert np.abs(image * 255 - wanted).max() <= 1.01  # Pillow rounds to bytes on its way
    assert ImageFolder(tmp_path, size=(2, 4))[0][0].shape == (3, 2, 4)


def test_transparency_lies_over_white(tmp_path):
    save(tmp_path / "a" / "a.png", [[[0, 0, 0, 0], [0, 0, 0, 255]]])
    assert ImageFolder(tmp_path)[0][0][0].tolist() == [[1, 0]]


def test_sixteen_bits_keep_their_gray(tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.array([[0, 32768, 65535]], np.uint16)).save(tmp_path / "a" / "a.png")
    assert np.rint(ImageFolder(tmp_path)[0][0][0] * 255).tolist() == [[0, 128, 255]]


def test_the_camera_s_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    save(tmp_path / "a" / "a.png", np.zeros((2, 5, 3)), exif=exif)
    assert ImageFolder(tmp_path)[0][0].shape == (3, 5, 2)


def test_what_has_no_classes_or_photographs_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        ImageFolder(tmp_path / "none")
    with pytest.raises(ValueError, match="has no sub-folders, must have one for each class"):
        ImageFolder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match=r"cat: has no photographs \(\.bmp"):
        ImageFolder(tmp_path)
    save(tmp_path / "cat" / "a.png", np.zeros((2, 2, 3)))
    with pytest.raises(ValueError, match="cat: is no known class, these are: dog"):
        ImageFolder(tmp_path, classes=["dog"])
    with pytest.raises(ValueError, match="size is 0"):
        ImageFolder(tmp_path, size=0)


def test_a_damaged_photograph_is_named(folder):
    good = (folder / "dog" / "b.png").read_bytes()
    for data in (b"", b"text", good[:20], good[:50]):
        (folder / "dog" / "b.png").write_bytes(data)
        with pytest.raises(ValueError, match=r"b\.png: not a photograph that Pillow can read"):
            ImageFolder(folder).batch(np.array([0, 2]))


def test_photographs_of_several_sizes_need_a_size(folder):
    save(folder / "dog" / "b.png", np.zeros((5, 6, 3)))
    with pytest.raises(ValueError, match=r"b\.png: is 6x5, another is 6x4: give a size"):
        ImageFolder(folder).batch(np.arange(3))
    assert ImageFolder(folder, size=3).batch(np.arange(3))[0].shape == (3, 3, 3, 3)


def test_train_and_test_folders_share_classes(tmp_path):
    for name in ("train/cat/a.png", "train/dog/a.png", "val/dog/b.png"):
        save(tmp_path / name, np.zeros((2, 2, 3)))
    train, test = finding.load(tmp_path)
    assert train.labels.tolist() == [0, 1]
    assert test.labels.tolist() == [1]
    assert test.classes == ("cat", "dog")


def test_a_folder_of_classes_is_split(tmp_path):
    for name in ("cat", "dog"):
        for number in range(5):
            save(tmp_path / name / f"{number}.png", np.zeros((2, 2, 3)))
    train, test = finding.load(tmp_path, size=2)
    assert np.bincount(train.labels).tolist() == [4, 4]
    assert test.labels.tolist() == [0, 1]


def test_without_pillow_the_message_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match="pip install pillow"):
        ImageFolder(folder)[0]
