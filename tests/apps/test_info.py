"""What `convkit info` says about this installation."""

import numpy

from convkit import _native
from convkit.apps import info

pytest_plugins = ["tests.apps.command"]


def test_json_lists_backends_versions_and_algorithms(convkit):
    found = convkit("info", "--json").json
    assert [one["name"] for one in found["backends"]] == ["cpu", "cuda", "simt", "reference"]
    assert found["packages"]["numpy"] == numpy.__version__
    assert found["isa"] == _native.build_info()["isa"]
    assert found["isa"] in found["isas_available"]
    assert found["threads"] == _native.num_threads()
    assert set(found["algorithms"]) == set(_native.ops())
    for rows in found["algorithms"].values():
        for row in rows:
            assert row.keys() == {"name", "backend", "directions", "bound", "strict"}


def test_text_names_every_op_and_the_missing_device(convkit):
    result = convkit("info")
    assert result.status == 0
    for op in _native.ops():
        assert op in result.out
    if not _native.cuda_devices():
        assert "no CUDA device" in result.out


class _Native:
    def __init__(self, with_cuda, devices):
        self.with_cuda, self._devices = with_cuda, devices

    def cuda_devices(self):
        return self._devices


def test_each_reason_for_no_cuda_is_told(monkeypatch):
    assert "no nvcc" in info.why_no_cuda(_Native(False, []))
    assert info.why_no_cuda(_Native(True, [])) == "no CUDA device"
    monkeypatch.setattr(info, "_package_version", lambda name: None)
    assert "CuPy is not installed" in info.why_no_cuda(_Native(True, ["H100"]))
    monkeypatch.setattr(info, "_package_version", lambda name: "14.0")
    assert info.why_no_cuda(_Native(True, ["H100"])) is None


def test_narrow_terminals_cut_no_name(convkit, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = convkit("info").out
    for op in _native.ops():
        for name in (op, *(row["name"] for row in _native.algorithms(op))):
            assert f" {name} " in text
    assert "…" not in text
