"""`convkit edges`: what is written, how values become gray, and every input that cannot work."""

import os
import sys

import numpy as np
import pytest
from PIL import Image
from scipy.signal import correlate2d

from convkit.apps import edges, images
from convkit.apps.files import write_whole
from convkit.apps.filters import EDGE_KERNELS
from convkit.apps.terminal import InputError

pytest_plugins = ["tests.apps.command"]


def read(path):
    return np.asarray(Image.open(path))


def gray_of(path):
    return np.asarray(Image.open(path).convert("L"), np.float32) / 255


def test_sobel_is_written_as_png(convkit, photo, tmp_path):
    result = convkit("edges", photo, "-o", "out.png")
    assert result.status == 0
    assert "out.png: sobel, 53x41 gray" in result.out
    wanted = correlate2d(gray_of(photo), EDGE_KERNELS["sobel"], "same")
    wanted = np.rint(255 * np.abs(wanted) / np.abs(wanted).max())
    written = read(tmp_path / "out.png").astype(int)
    assert np.abs(written - wanted).max() <= 1


def test_default_name_is_image_and_kernel(convkit, photo, tmp_path):
    convkit("edges", photo, "--kernel", "scharr")
    assert (tmp_path / "photo-scharr.png").exists()


def test_several_kernels_give_several_files(convkit, photo, tmp_path):
    own = "1 0 -1; 1 0 -1"
    result = convkit(
        "edges",
        photo,
        "-o",
        "e.png",
        "--kernel",
        "vertical",
        "--kernel",
        own,
        "--kernel",
        own,
        "--json",
    )
    names = [one["file"] for one in result.json["edges"]]
    assert names == ["e-vertical.png", "e-own2.png", "e-own3.png"]
    assert all((tmp_path / name).exists() for name in names)
    assert result.json["edges"][1]["weights"] == [[1, 0, -1], [1, 0, -1]]


@pytest.mark.parametrize(
    ("options", "size"),
    [
        (["--padding", "valid"], (51, 39)),
        (["--padding", "full"], (55, 43)),
        (["--padding", "3"], (57, 45)),
        (["--stride", "2"], (27, 21)),
        (["--padding", "0", "--stride", "5"], (11, 8)),
    ],
)
def test_padding_and_stride_set_the_size(convkit, photo, tmp_path, options, size):
    assert convkit("edges", photo, "-o", "out.png", *options).status == 0
    assert Image.open(tmp_path / "out.png").size == size


def test_color_filters_each_channel(convkit, photo, tmp_path):
    convkit("edges", photo, "-o", "out.png", "--color", "--kernel", "vertical")
    planes = np.asarray(Image.open(photo), np.float32).transpose(2, 0, 1) / 255
    wanted = np.stack([correlate2d(p, EDGE_KERNELS["vertical"], "same") for p in planes])
    wanted = np.rint(255 * np.abs(wanted) / np.abs(wanted).max()).transpose(1, 2, 0)
    assert np.abs(read(tmp_path / "out.png").astype(int) - wanted).max() <= 1


def test_magnitude_joins_both_directions(photo, tmp_path):
    (found,) = edges.run(photo, tmp_path / "m.png", kernels=["sobel"], magnitude=True)
    gx, gy = (
        correlate2d(gray_of(photo), EDGE_KERNELS[name], "same")
        for name in ("sobel", "sobel-horizontal")
    )
    assert found.largest == pytest.approx(np.hypot(gx, gy).max(), rel=1e-5)


def test_mappings_to_gray():
    values = np.array([[-2.0, 0.0, 1.0, 2.0]])
    assert images.to_gray(values, "absolute").tolist() == [[255, 0, 128, 255]]
    assert images.to_gray(values, "signed").tolist() == [[0, 128, 191, 255]]
    assert images.to_gray(values, "clip").tolist() == [[0, 0, 255, 255]]
    assert images.to_gray(np.zeros((2, 2)), "absolute").tolist() == [[0, 0], [0, 0]]


def test_kernel_from_a_file(convkit, photo, tmp_path):
    (tmp_path / "k.txt").write_text("# mine\n0, 1, 0\n1 -4 1\n\n0 1 0\n")
    result = convkit("edges", photo, "--kernel", "k.txt", "--json")
    assert result.json["edges"][0]["weights"] == [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    assert result.json["edges"][0]["kernel"] == "k"


BAD = [
    (["photo.png", "--kernel", "bogus"], "is none of vertical"),
    (["photo.png", "--kernel", ""], "is none of vertical"),
    (["photo.png", "--kernel", "1 2; 3"], "row 2 has 1 numbers, row 1 has 2"),
    (["photo.png", "--kernel", "1 2-3"], "could not convert"),
    (["photo.png", "--kernel", "1e99"], "finite"),
    (["photo.png", "--kernel", " ".join("1" * 300)], "at most 255"),
    (["photo.png", "--kernel", "empty.txt"], "no numbers"),
    (["photo.png", "--kernel", "photo.png"], "not a text file"),
    (["photo.png", "--kernel", "folder"], "cannot be read"),
    (["photo.png", "--kernel", "/dev/zero"], "is longer than 2000000 characters"),
    (["photo.png", "--kernel", "a" * 300], "File name too long"),
    (["photo.png", "-o", "a" * 300 + ".png"], "File name too long"),
    (["a" * 300], "File name too long"),
    ([""], "is a folder"),
    *(
        (["photo.png", "--stride", stride], f"--stride {stride}: must be a whole number from 1")
        for stride in ("0", "-1", "a", "1.0", "2147483648", "9" * 5000)
    ),
    *(
        (["photo.png", "--padding", padding], f"--padding {padding}: must be same, valid, full or")
        for padding in ("-1", "a", "3000000000", "9" * 5000)
    ),
    (["photo.png", "--padding", "valid", "--kernel", " ".join("1" * 60)], "kernel own (1x60) with"),
    (["photo.png", "--padding", "2147483647"], "--padding 2147483647 --stride 1 cannot filter 53"),
    (["photo.png", "--kernel", "3e38 3e38; 3e38 3e38"], "passes the range of float32"),
    (["photo.png", "--kernel", "9e37 9e37; 9e37 9e37", "--magnitude"], "the range of float32"),
    (["photo.png", "--magnitude", "--kernel", "1 0 -1"], "square"),
    (["photo.png", "-o", "out.jpg"], "must end in .png"),
    (["photo.png", "-o", "folder.png"], "is a folder"),
    (["photo.png", "-o", "nowhere/out.png"], "no folder"),
    (["photo.png", "-o", "photo.png"], "is the image itself"),
    (["photo.png", "--lecture"], "--lecture"),
    ([], "needs an IMAGE"),
    (["nope.png"], "no such file"),
    (["folder"], "is a folder"),
    (["text.png"], "not an image"),
    (["nothing.png"], "not an image"),
    (["nan.tiff"], "nan.tiff: every pixel is NaN or infinite"),
    (["infinite.tiff"], "infinite.tiff: every pixel is NaN or infinite"),
    (["cut.png"], "cut.png"),
    (["cut.jpg"], "cut.jpg"),
]


@pytest.mark.parametrize(("arguments", "hint"), BAD, ids=[hint[:60] for _, hint in BAD])
def test_bad_input_is_one_line_and_status_2(convkit, photo, tmp_path, arguments, hint):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "text.png").write_text("I am no image")
    (tmp_path / "nothing.png").write_bytes(b"")
    for name, value in (("nan", np.nan), ("infinite", -np.inf)):
        Image.fromarray(np.full((3, 4), value, np.float32)).save(tmp_path / f"{name}.tiff")
    content = photo.read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    Image.open(photo).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    result = convkit("edges", *arguments)
    assert result.status == 2
    assert hint in result.one_line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_unwritable_folder_is_one_line(convkit, photo, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    result = convkit("edges", photo, "-o", "locked/out.png")
    assert result.status == 2
    assert "cannot be written" in result.one_line


def test_a_failed_write_leaves_no_file(photo, tmp_path):
    def fail(file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match="No space left"):
        write_whole(tmp_path / "out.bin", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_one_pixel(convkit, tmp_path):
    Image.new("RGB", (1, 1), (10, 200, 30)).save(tmp_path / "dot.png")
    assert convkit("edges", "dot.png", "-o", "out.png").status == 0
    assert read(tmp_path / "out.png").shape == (1, 1)


# name, image, the gray values it must be read as
def pictures():
    ramp = np.linspace(0, 255, 12).astype(np.uint8).reshape(3, 4)
    rgba = np.zeros((3, 4, 4), np.uint8)
    rgba[..., 3] = [[0, 0, 255, 255]] * 3
    palette = Image.fromarray(np.stack([ramp] * 3, -1)).convert("P", palette=Image.Palette.ADAPTIVE)
    yield "alpha.png", Image.fromarray(rgba), [[1, 1, 0, 0]] * 3
    yield "palette.png", palette, ramp / 255
    yield "wide.png", Image.fromarray(ramp.astype(np.uint16) * 257), ramp / 255
    yield "bits.png", Image.fromarray(ramp > 100), ramp > 100
    yield "float.tiff", Image.fromarray((ramp / 255).astype(np.float32)), ramp / 255
    holes = (100 + ramp / 255).astype(np.float32)
    holes[0, 0], holes[2, 1] = np.nan, np.inf
    known = np.where(np.isfinite(holes), holes, holes[0, 1]).astype(np.float64)
    yield "holes.tiff", Image.fromarray(holes), (known - known.min()) / (known.max() - known.min())
    yield "large.tiff", Image.fromarray(ramp.astype(np.int32) * 1000 + 7), ramp / 255
    la = Image.fromarray(np.stack([ramp, np.full_like(ramp, 255)], -1), "LA")
    yield "la.png", la, ramp / 255


@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
def test_modes_are_read_right(tmp_path):
    for name, image, wanted in pictures():
        image.save(tmp_path / name)
        planes = images.to_planes(images.read_image(tmp_path / name), color=False)
        assert planes.dtype == np.float32, name
        # Of every value the nearest float32.
        np.testing.assert_array_equal(planes[0, 0], np.asarray(wanted, np.float32), err_msg=name)
        assert images.to_planes(images.read_image(tmp_path / name), color=True).shape == (
            1,
            3,
            3,
            4,
        )


def test_cmyk_is_read_as_rgb(tmp_path):
    Image.new("CMYK", (4, 3), (0, 0, 0, 255)).save(tmp_path / "ink.jpg")
    planes = images.to_planes(images.read_image(tmp_path / "ink.jpg"), color=True)
    assert planes.shape == (1, 3, 3, 4)
    assert planes.max() < 0.1


def test_camera_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    Image.new("L", (5, 3)).save(tmp_path / "turned.jpg", exif=exif)
    assert images.read_image(tmp_path / "turned.jpg").size == (3, 5)


def test_bombs_are_refused(tmp_path, monkeypatch, photo):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(images.InputError, match="more pixels"):
        images.read_image(photo)


def test_written_files_obey_the_umask(photo, tmp_path):
    if sys.platform == "win32":
        pytest.skip("no umask")
    before = os.umask(0o027)
    try:
        edges.run(photo, tmp_path / "out.png")
    finally:
        os.umask(before)
    assert (tmp_path / "out.png").stat().st_mode & 0o777 == 0o640
