"""`convkit augment`: a sheet with every augmentation, and every input that cannot work."""

import numpy as np
import pytest
from PIL import Image

from convkit import data
from convkit.apps import augment
from convkit.data.loading import generator_at

pytest_plugins = ["tests.apps.command"]


def read(path):
    return np.asarray(Image.open(path))


def test_the_sheet_is_written_and_said(convkit, photo, tmp_path):
    result = convkit("augment", photo, "--out", "sheet.png")
    assert result.status == 0
    assert result.out == "sheet.png: 13 augmentations of 53x41, seed 0\n"
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.info["Software"] == "convkit augment"
        assert sheet.width > 1000


def test_the_default_name_is_that_of_the_image(convkit, photo, tmp_path):
    assert convkit("augment", photo).status == 0
    assert (tmp_path / "photo-augmented.png").is_file()


def test_json_names_every_transform(convkit, photo):
    found = convkit("augment", photo, "-o", "a.png", "--seed", "4", "--json").json
    assert (found["file"], found["seed"], found["width"], found["height"]) == ("a.png", 4, 53, 41)
    text = " ".join(found["transforms"].values())
    for name in data.__all__:
        thing = getattr(data, name)
        if isinstance(thing, type) and issubclass(thing, data.Augmentation):
            assert (f"{name}(" in text) == (name not in ("Augmentation", "CenterCrop")), name


def test_the_seed_decides_the_sheet(convkit, photo, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert convkit("augment", photo, "-o", f"{name}.png", "--seed", seed).status == 0
    sheets = [read(tmp_path / f"{name}.png") for name in "abc"]
    assert np.array_equal(sheets[0], sheets[1])
    assert not np.array_equal(sheets[0], sheets[2])


def test_pictures_are_what_a_loader_makes_in_its_first_epochs():
    planes = np.random.default_rng(0).random((3, 9, 12), np.float32)
    drawn = augment._drawn(planes, data.Brightness(0.2), 5, 7)
    assert drawn.shape == (9, 3 * 12 + 2 * augment.GAP, 3)
    for epoch in range(3):
        wanted = data.Brightness(0.2)(planes, generator_at(5, epoch, 7))
        left = epoch * (12 + augment.GAP)
        found = drawn[:, left : left + 12].transpose(2, 0, 1)
        assert np.array_equal(found, np.rint(np.clip(wanted, 0, 1) * 255))


@pytest.mark.parametrize(
    ("mode", "size"),
    [("L", (8, 8)), ("RGBA", (300, 20)), ("I;16", (20, 190)), ("1", (13, 8)), ("P", (40, 40))],
)
def test_images_of_any_kind_and_shape_are_drawn(convkit, tmp_path, mode, size):
    image = Image.new("RGB", size, (10, 20, 30))
    image = Image.new("I;16", size) if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "odd.png")
    result = convkit("augment", "odd.png", "-o", "sheet.png")
    assert (result.status, result.err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["none.png"], "none.png: no such file"),
        (["."], ".: is a folder, not an image"),
        (["text.png"], "text.png: not an image that Pillow can read"),
        (["photo.png", "-o", "sheet.jpg"], "-o sheet.jpg: augment writes PNG"),
        (["photo.png", "-o", "none/sheet.png"], "there is no folder none"),
        (["photo.png", "-o", "photo.png"], "is the image itself"),
        (["photo.png", "-o", "folder.png"], "is a folder"),
        (["photo.png", "--seed", "-1"], "--seed -1: must be 0 or more"),
        (["thin.png"], "thin.png: is 192x1 after"),
    ],
)
def test_what_cannot_work_is_one_line_and_status_2(convkit, photo, tmp_path, arguments, hint):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "folder.png").mkdir()
    Image.new("L", (400, 2)).save(tmp_path / "thin.png")
    before = photo.read_bytes()
    result = convkit("augment", *arguments)
    assert result.status == 2
    assert hint in result.one_line
    assert photo.read_bytes() == before
