"""Builds the simt runtime and the kernels of this folder, by each C++ compiler of the machine.

Three ways: plain; with the address and undefined-behaviour sanitizers; checked, which compiles
kernels with the thread sanitizer's instrumentation and lets csrc/simt/check answer it. No part of
the installed package is used.
"""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CSRC = HERE.parents[1] / "csrc"
RUNTIME = [
    *sorted((CSRC / "simt").glob("*.cpp")),
    CSRC / "core" / "error.cpp",
    CSRC / "core" / "parallel.cpp",
    CSRC / "gpu" / "launch_error.cpp",
]
CHECKER = sorted((CSRC / "simt" / "check").glob("*.cpp"))
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wshadow", "-Wno-unknown-pragmas", "-ffp-contract=off"]
# Order of threads, seed, and whether cp.async arrives late.
ORDERS = [("forward",), ("reversed", "0", "late"), ("shuffled", "1"), ("shuffled", "2", "late")]
PROBES = [
    *("pipeline", "partial_4", "partial_8", "partial_16"),
    *("matrices_1", "matrices_2", "matrices_4"),
    *("matrices_1_transposed", "matrices_2_transposed", "matrices_4_transposed"),
    *("product_tf32", "product_bfloat16", "product_float16"),
    *("split_tf32", "split_bfloat16", "pieces"),
]
PROGRAMS = {
    "planted_bugs": ["planted_bugs.cu"],
    "memory_bugs": ["memory_bugs.cu"],
    "probes": ["probes.cu"],
    "features": ["features.cpp", "feature_kernels.cu"],
}


@dataclass(frozen=True)
class Build:
    flags: tuple[str, ...]
    kernel_flags: tuple[str, ...] = ()
    runtime: tuple[Path, ...] = tuple(RUNTIME)


BUILDS = {
    "plain": Build(("-O2",)),
    "sanitized": Build(
        (
            *("-O1", "-g", "-fno-omit-frame-pointer", "-DCK_GUARD_ELEMS=0"),
            *("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"),
        )
    ),
    "checked": Build(
        ("-O2", "-g1", "-DCK_SIMT_CHECK", "-DCK_GUARD_ELEMS=0"),
        ("-fsanitize=thread", "-fno-tree-loop-distribute-patterns", "-Wno-tsan"),
        (*RUNTIME, *CHECKER),
    ),
}


def compilers() -> list[str]:
    """The default C++ compiler and clang++ if that is another one."""
    default = [os.environ.get("CXX"), "c++", "g++", "clang++"]
    found = [path for name in default if name and (path := shutil.which(name))][:1]
    clang = shutil.which("clang++")
    if clang and os.path.realpath(clang) != os.path.realpath(found[0]):
        found.append(clang)
    return found


def environment() -> dict[str, str]:
    # LeakSanitizer's exit drops piped output. A preloaded sanitizer is the caller's, not ours.
    env = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
    return env | {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": ""}


def run(command: list[str | Path], timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env=environment(), check=False
    )


def compile_objects(
    compiler: str, flags: list[str], sources: list[Path], folder: Path
) -> list[Path]:
    def one(source: Path) -> Path:
        target = folder / f"{source.stem}.o"
        command = [compiler, *FLAGS, *flags, f"-I{CSRC}", "-x", "c++", "-c", source, "-o", target]
        done = run(command)
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr, done.stderr
        return target

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, sources))


class Programs:
    """The programs of this folder, built by one compiler in one way as they are asked for."""

    def __init__(self, compiler: str, build: str, folder: Path) -> None:
        self.compiler = compiler
        self.build = build
        self.folder = folder
        self.how = BUILDS[build]
        self.flags = [*self.how.flags, "-DCK_GPU=simt_baseline", "-pthread"]
        if build == "sanitized":
            (folder / "probe.cpp").write_text("int main() { return 0; }\n")
            probe = [compiler, *self.flags, folder / "probe.cpp", "-o", folder / "probe"]
            if run(probe).returncode != 0 or run([folder / "probe"]).returncode != 0:
                pytest.skip(f"{compiler} has no address sanitizer")
        self.runtime = compile_objects(compiler, self.flags, list(self.how.runtime), folder)

    def program(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            sources = [HERE / source for source in PROGRAMS[name]]
            flags = [*self.flags, *self.how.kernel_flags]
            objects = compile_objects(self.compiler, flags, sources, self.folder)
            # The runtime first: what it shares with the programs (std) must not be instrumented.
            command = [self.compiler, *self.flags, *self.runtime, *objects, "-o", path]
            done = run(command)
            assert done.returncode == 0, done.stderr
        return path

    def case(self, program: str, name: str, order: tuple[str, ...]) -> str:
        """What the program printed, reports of sanitizers included."""
        done = run([self.program(program), name, *order])
        return done.stdout + done.stderr

    def features(self, command: str, order: tuple[str, ...] = ()) -> list[str]:
        done = run([self.program("features"), command, *order])
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()


def compiler_builds(*builds: str) -> list[object]:
    found = compilers()
    if not found:
        reason = pytest.mark.skip(reason="no C++ compiler found")
        return [pytest.param(("", build), id=build, marks=reason) for build in builds]
    return [
        pytest.param((compiler, build), id=f"{Path(compiler).name}-{build}")
        for compiler in found
        for build in builds
    ]
