"""bench/ptx.py: what it reads of nvcc's output, and that its table covers every kernel file."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("ptx", ROOT / "bench" / "ptx.py")
ptx = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ptx)

PTX = """
.version 9.0
.target sm_80
.visible .entry _Z5firstPf(
	.param .u64 _Z5firstPf_param_0
)
{
	.reg .f32 	%f<4>;
	fma.rn.f32 	%f1, %f2, %f3, %f4;
	@%p1 fma.rn.f32 	%f1, %f2, %f3, %f4;
	cp.async.cg.shared.global [%r1], [%rd1], 16, %r2;
	cp.async.commit_group;
	bar.sync 	0;
	add.rn.f32 	%f1, %f2, %f3;
	add.s32 	%r1, %r2, %r3;
	ret;
}
.visible .entry _Z6secondv()
{
	mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%f1}, {%r1}, {%r2}, {%f1};
	ret;
}
"""
REPORT = """
ptxas info    : Compiling entry function '_Z5firstPf' for 'sm_80'
ptxas info    : Function properties for _Z5firstPf
    48 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 90 registers, used 1 barriers, 48 bytes cumulative stack size, 4352 bytes smem
ptxas info    : Compiling entry function '_Z6secondv' for 'sm_90a'
ptxas info    : Used 8 registers, used 0 barriers
"""


def test_instructions_are_counted_by_kernel():
    assert ptx.instructions(PTX) == {
        "_Z5firstPf": {"fma": 2, "mma": 0, "cp.async": 1, "bar": 1},
        "_Z6secondv": {"fma": 0, "mma": 1, "cp.async": 0, "bar": 0},
    }


def test_resources_are_read_by_architecture():
    first = {"registers": 90, "spilled": 12, "stack": 48, "shared": 4352}
    second = {"registers": 8, "spilled": 0, "stack": 0, "shared": 0}
    found = ptx.resources(REPORT)
    assert found == {"sm_80": {"_Z5firstPf": first}, "sm_90a": {"_Z6secondv": second}}


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ex2.approx.ftz.f32 %f1, %f2;", ["ex2.approx.ftz.f32"]),
        ("@!%p3 mul.f32 %f1, %f2, %f3;", ["mul.f32"]),
        ("add.ftz.f32 %f1, %f2, %f3;", ["add.ftz.f32"]),
        ("div.rn.f32 %f1, %f2, %f3;", []),
        ("mul.rn.f64 %fd1, %fd2, %fd3;", []),
    ],
)
def test_arithmetic_that_is_not_allowed_is_found(line, found):
    assert ptx.forbidden(PTX.replace("ret;", f"{line}\n\tret;")) == found
    assert ptx.forbidden(PTX) == []


def test_the_table_has_every_kernel_file_and_says_what_changed():
    version, files = ptx.parse(ptx.TABLE.read_text())
    assert ptx.parse(ptx.text_of(files, version)) == (version, files)
    sources = {
        f"{path.parent.name}/{path.name}"
        for path in (ROOT / "csrc" / "ops").glob("*/gpu_*.cu")
        if "__global__" in path.read_text() or "launch<" in path.read_text()
    }
    assert sources <= set(files)
    source = next(iter(files))
    name = next(iter(files[source]))
    changed = {**files, source: {**files[source], name: {**files[source][name], "bar": "77"}}}
    old = files[source][name]["bar"]
    assert ptx.differences(files, changed) == [f"{source}: {name}: bar was {old}, is 77"]
    less = {**files, source: {k: v for k, v in files[source].items() if k != name}}
    assert ptx.differences(files, less) == [f"{source}: {name} is gone"]
    assert ptx.differences(less, files) == [f"{source}: {name} is new"]
