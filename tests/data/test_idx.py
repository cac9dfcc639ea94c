"""Files of the idx format: read to the byte, and refused with the rule they break."""

import gzip
import struct

import numpy as np
import pytest

from convkit.data import load_idx_folder, read_idx


def idx(array, code=0x08):
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    """Two training images of 2x3 and one test image, as MNIST's files."""
    images = np.arange(12, dtype=np.uint8).reshape(2, 2, 3) * 20
    write = lambda name, data: (tmp_path / name).write_bytes(data)  # noqa: E731
    write("train-images-idx3-ubyte", idx(images))
    write("train-labels-idx1-ubyte.gz", gzip.compress(idx(np.array([3, 0], np.uint8))))
    write("t10k-images.idx3-ubyte", idx(images[:1]))
    write("t10k-labels-idx1-ubyte", idx(np.array([1], np.uint8)))
    return tmp_path


def test_a_hand_written_file_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"\0\0\x08\x02" + b"\0\0\0\x02" + b"\0\0\0\x03" + b"abcdef")
    assert read_idx(tmp_path / "a").tolist() == [[97, 98, 99], [100, 101, 102]]


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")]
)
def test_every_type_is_big_endian_in_the_file_and_native_here(tmp_path, code, dtype):
    wanted = np.array([[1, 2, 100], [0, 7, 9]], dtype)
    (tmp_path / "a").write_bytes(idx(wanted.astype(wanted.dtype.newbyteorder(">")), code))
    held = read_idx(tmp_path / "a")
    assert held.dtype == np.dtype(dtype)
    assert held.dtype.isnative
    assert held.tolist() == wanted.tolist()


WHOLE = idx(np.arange(6, dtype=np.uint8).reshape(2, 3))


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "starts with nothing"),
        (b"\x89PNG1234", "starts with 89 50 4e 47, must start with 00 00"),
        (b"\0\0\x07\x01\0\0\0\0", "a type"),
        (b"\0\0\x08\x00", "number of dimensions from 1"),
        (WHOLE[:9], "ends in its header, which must give 2 dimensions"),
        (WHOLE[:-1], r"holds only 5 bytes of values, \(2, 3\) must be 6 bytes"),
        (WHOLE + b"x", r"holds more bytes of values, \(2, 3\) must be 6"),
        (b"\0\0\x08\x02" + b"\xff" * 8 + b"abc", "holds only 3 bytes of values"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_damaged_file_is_named_with_the_rule(tmp_path, data, rule, zipped):
    path = tmp_path / ("bad.gz" if zipped else "bad")
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(ValueError, match=rule) as raised:
        read_idx(path)
    assert str(raised.value).startswith(f"{path}: ")


@pytest.mark.parametrize("cut", [slice(0, 5), slice(0, 25), slice(0, -6)])
def test_a_truncated_gzip_file_is_a_value_error(tmp_path, cut):
    path = tmp_path / "bad.gz"
    path.write_bytes(gzip.compress(WHOLE)[cut])
    with pytest.raises(ValueError, match=r"bad\.gz: damaged gzip file"):
        read_idx(path)


def test_a_gz_file_that_is_none_is_a_value_error(tmp_path):
    (tmp_path / "bad.gz").write_bytes(WHOLE)
    with pytest.raises(ValueError, match=r"bad\.gz: damaged gzip file"):
        read_idx(tmp_path / "bad.gz")


def test_a_flipped_bit_in_a_gzip_file_is_a_value_error(tmp_path):
    data = bytearray(gzip.compress(WHOLE))
    data[-8] ^= 1  # its checksum
    (tmp_path / "bad.gz").write_bytes(data)
    with pytest.raises(ValueError, match="damaged gzip file"):
        read_idx(tmp_path / "bad.gz")


def test_a_folder_gives_images_from_0_to_1(folder):
    train, test = load_idx_folder(folder)
    assert train.images.shape == (2, 1, 2, 3)
    assert train.images[1, 0, 1, 2] == np.float32(220) / np.float32(255)
    assert train.labels.tolist() == [3, 0]
    assert test.labels.tolist() == [1]
    assert test.classes == train.classes == ("0", "1", "2", "3")


def test_a_missing_file_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels-idx1-ubyte"):
        load_idx_folder(folder)


@pytest.mark.parametrize(
    ("labels", "rule"),
    [
        (np.zeros(3, np.uint8), "holds 3 labels, .* holds 1 images"),
        (np.zeros((1, 1), np.uint8), r"holds uint8 \(1, 1\), labels must be uint8 in 1"),
        (np.array([4], np.uint8), "label 4, must be 0 to 3"),
    ],
)
def test_labels_that_do_not_fit_are_refused(folder, labels, rule):
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(ValueError, match=rule):
        load_idx_folder(folder)
