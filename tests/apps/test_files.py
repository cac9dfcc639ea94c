"""Files that programs write: whole, through links, into what is no regular file."""

import os
import threading
from pathlib import Path

import pytest

from convkit.apps.files import check_writable, write_whole
from convkit.apps.terminal import InputError


def put(path, text):
    write_whole(path, lambda file: file.write(text))


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "real.json", tmp_path / "link.json"
    link.symlink_to(target)
    for text in (b"new", b"newer"):  # where there was nothing, and where there was a file
        put(link, text)
        assert link.is_symlink()
        assert target.read_bytes() == text
    assert os.listdir(tmp_path / "folder") == ["real.json"]


def test_permissions_of_a_file_stay(tmp_path):
    (tmp_path / "a").touch(mode=0o600)
    put(tmp_path / "a", b"secret")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_a_pipe_is_written_to(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    check_writable(pipe)
    put(pipe, b"through")
    reader.join()
    assert got == [b"through"]
    assert pipe.is_fifo()


def test_an_open_file_is_written_to_and_not_replaced(tmp_path):
    with open(tmp_path / "out", "a+b") as file:
        put(tmp_path / f"/dev/fd/{file.fileno()}", b"text")
        assert (tmp_path / "out").read_bytes() == b"text"
        file.seek(0)
        assert file.read() == b"text"


def test_our_own_output_is_written_in_its_order(capfd):
    print("before")
    put(Path("/dev/stdout"), b"text\n")
    print("after")
    assert capfd.readouterr().out == "before\ntext\nafter\n"


@pytest.mark.parametrize("path", ["/dev/full", "/proc/none", "/no/such/folder", "/"])
def test_what_cannot_be_written_is_said(tmp_path, path):
    with pytest.raises(InputError, match=f"{path}: cannot be written"):
        put(tmp_path / path, b"text")


@pytest.mark.parametrize("path", ["/proc/none", "/no/such/folder", "file/below"])
def test_what_cannot_be_written_is_known_before(tmp_path, path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=f"{path}: cannot be written"):
        check_writable(tmp_path / path)
    assert os.listdir(tmp_path) == ["file"]


def test_what_can_be_written_leaves_no_trace_when_asked(tmp_path):
    check_writable(tmp_path / "new")
    assert os.listdir(tmp_path) == []
