"""Files of weights: there and back, torch's, hostile and cut ones, and a kill in the middle."""

import collections
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from convkit import models, nn
from convkit.nn import files

pytest.importorskip("safetensors")


def same(found, wanted):
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def test_a_network_goes_there_and_back(tmp_path):
    nn.manual_seed(1)
    net = models.make("resnet20")
    path = tmp_path / "net.safetensors"
    files.save(net.state_dict(), path)
    nn.manual_seed(2)
    other = models.make("resnet20")
    assert other.load_state_dict(files.load(path)) == ([], [])
    for name, array in net.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], array)
    assert os.listdir(tmp_path) == ["net.safetensors"]


def test_safetensors_library_reads_what_we_write(tmp_path):
    from safetensors.numpy import load_file

    state = {"a": np.arange(6, dtype="f4").reshape(2, 3)[:, ::-1], "n": np.array(3)}
    files.save(state, tmp_path / "x")
    same(load_file(tmp_path / "x"), {name: np.array(a, order="C") for name, a in state.items()})


def test_no_length_of_a_head_is_taken_for_another_format(tmp_path):
    firsts = set()
    for length in range(1, 300, 7):
        state = {"n" * length: np.ones(1, "f4")}
        files.save(state, tmp_path / "x")
        firsts.add((tmp_path / "x").read_bytes()[0])
        same(files.load(tmp_path / "x"), state)
    assert 0x80 in firsts  # how a pickle begins


@pytest.mark.parametrize("old", [False, True])
def test_torchs_files_are_read(tmp_path, old):
    torch = pytest.importorskip("torch")
    base = torch.arange(24.0).reshape(4, 6)
    state = collections.OrderedDict(
        weight=base[1:3, ::2],
        transposed=base.t(),
        shared=base[0],
        half=base.half(),
        long=torch.arange(3),
        flag=torch.tensor([True, False]),
        number=torch.tensor(5, dtype=torch.int64),
        empty=torch.empty(0, 3),
        parameter=torch.nn.Parameter(torch.ones(2)),
    )
    path = tmp_path / "x.pth"
    torch.save(state, path, _use_new_zipfile_serialization=not old)
    same(files.load(path), {name: one.detach().numpy() for name, one in state.items()})
    torch.save({"epoch": 3, "nested": {"w": torch.ones(2, dtype=torch.bfloat16)}}, path)
    found = files.load(path)
    assert found["epoch"] == 3
    assert found["nested"]["w"].dtype.name == "bfloat16"
    assert found["nested"]["w"].astype("f4").tolist() == [1.0, 1.0]


def hostile_zip(path, payload):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", payload)


@pytest.mark.parametrize("old", [False, True])
def test_what_a_file_says_is_never_run(tmp_path, old):
    path, marker = tmp_path / "x.pth", tmp_path / "ran"

    class Marks:
        def __reduce__(self):
            return os.mkdir, (str(marker),)

    payload = pickle.dumps({"w": Marks()}, protocol=2)
    if old:
        path.write_bytes(pickle.dumps(files._MAGIC, 2) + payload)
    else:
        hostile_zip(path, payload)
    with pytest.raises(ValueError, match=r"x.pth: it names posix.mkdir, which is no tensor"):
        files.load(path)
    assert not marker.exists()


@pytest.mark.parametrize(
    ("count", "shape", "strides", "offset", "text"),
    [
        (4, (5,), (1,), 0, "reaches beyond storage 0"),
        (4, (2, 2), (3, 1), 0, "reaches beyond storage 0"),
        (4, (2,), (1,), 3, "reaches beyond storage 0"),
        (4, (2,), (-1,), 1, "strides"),
        (5, (2,), (1,), 0, "storage 0 has 16 bytes, must have 20"),
    ],
)
def test_tensors_outside_their_storage_are_refused(count, shape, strides, offset, text):
    def read():
        one = files._Storage("float32", "0", count)
        one.fill(b"\0" * 16)
        return files._rebuild(one, offset, shape, strides).array()

    with pytest.raises(ValueError, match=text):
        read()


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "x.safetensors"
    files.save({"w": np.ones((4, 4), "f4")}, path)
    whole = path.read_bytes()
    for cut in (0, 1, 7, 8, 20, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ValueError, match=r"x.safetensors is no file of weights"):
            files.load(path)
    path.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(ValueError, match="is no file of weights"):
        files.load(path)
    hostile_zip(path, pickle.dumps([1, 2], 2))
    with pytest.raises(ValueError, match="holds list, must hold arrays by name"):
        files.load(path)
    with pytest.raises(FileNotFoundError):
        files.load(tmp_path / "none")


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    files.save({"w": np.zeros(2, "f4")}, target)
    target.chmod(0o640)
    link.symlink_to(target)
    files.save({"w": np.ones(2, "f4")}, link)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    assert files.load(target)["w"].tolist() == [1.0, 1.0]


def test_a_folder_that_cannot_be_written_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    files.save({"w": np.ones(2, "f4")}, path)

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "replace", broken)
    with pytest.raises(OSError, match="disk full"):
        files.save({"w": np.zeros(2, "f4")}, path)
    assert files.load(path)["w"].tolist() == [1.0, 1.0]
    assert os.listdir(tmp_path) == ["x"]


WRITES = """
import sys, numpy as np
from convkit.nn import files
for i in range(1000000):
    files.save({"w": np.full(200000, i, "f4"), "n": np.array(i)}, sys.argv[1])
    print(i, flush=True)
"""


def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path):
    path = tmp_path / "x"
    for delay in (0.01, 0.013, 0.021, 0.034):
        with subprocess.Popen(
            [sys.executable, "-c", WRITES, path], stdout=subprocess.PIPE
        ) as process:
            process.stdout.readline()  # it has written once
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        found = files.load(path)
        assert (found["w"] == found["n"]).all()
