"""The simt runtime by itself: it runs correct kernels and catches the planted bugs.

test_checks.py has the build that checks each access.
"""

import re
import shutil
from pathlib import Path

import pytest

from .programs import (
    CSRC,
    HERE,
    ORDERS,
    PROBES,
    Programs,
    compile_objects,
    compiler_builds,
    compilers,
    run,
)


@pytest.fixture(scope="module", params=compiler_builds("plain", "sanitized"))
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    compiler, build = request.param
    return Programs(compiler, build, tmp_path_factory.mktemp("simt"))


CORRECT = ["gemm", "broadcast", "exchange", "block_sum", "barrier", "warp_sum", "named"]


@pytest.mark.parametrize("case", CORRECT)
def test_correct_kernel_gives_equal_bits_in_all_orders(programs: Programs, case: str) -> None:
    printed = {programs.case("planted_bugs", case, order) for order in ORDERS}
    assert len(printed) == 1
    assert re.fullmatch(r"ok [0-9a-f]{16}\n", printed.pop())


WRONG = r"wrong \d+ of \d+\n"
DIVERGENT = r"error .*divergent barrier: .*__syncthreads at planted_bugs.cu:\d+"
# What each planted bug must print, in every order.
BUGS = {
    "gemm_no_barrier_at_loop_end": WRONG,
    "gemm_write_past_shared_array": r"error .*wrote beyond shared array 'a_tile' of 1024 bytes",
    "gemm_write_into_next_shared_array": WRONG,
    "gemm_write_past_row_end": WRONG,
    "exchange_no_syncwarp": WRONG,
    "block_sum_uninitialised": WRONG,
    "barrier_at_two_sites": DIVERGENT,
    "barrier_conditional": DIVERGENT,
    "barrier_after_return": DIVERGENT,
    "warp_sum_lanes_missing": (
        r"error .*deadlock, 96 of 96 .*16 in __shfl_xor_sync at planted_bugs.cu:\d+, warp 0, "
        r"mask 0xffffffff, lanes missing: 16-31: threads 0-15; .*48 in __syncthreads"
    ),
    "named_warp_missing": (
        r"error .*deadlock, 96 of 96 .*32 in __syncthreads at planted_bugs.cu:\d+: "
        r"threads 64-95; 64 in named_barrier_sync at planted_bugs.cu:\d+: threads 0-63"
    ),
}
# Where the sanitizers come first, with more to say.
SANITIZED = {
    "gemm_write_past_shared_array": r"AddressSanitizer: use-after-poison",
    "gemm_write_into_next_shared_array": (
        r"planted_bugs.cu:\d+:\d+: runtime error: index 9 out of bounds for type '"
    ),
    "gemm_write_past_row_end": r"AddressSanitizer: heap-buffer-overflow",
}


@pytest.mark.parametrize("case", BUGS)
def test_planted_bug_is_caught_in_every_order(programs: Programs, case: str) -> None:
    pattern = BUGS[case]
    if programs.build == "sanitized":
        pattern = SANITIZED.get(case, pattern)
    for order in ORDERS:
        assert re.search(pattern, programs.case("planted_bugs", case, order)), order


def test_missing_barrier_after_broadcast_is_seen_by_orders_alone(programs: Programs) -> None:
    case = "broadcast_no_barrier"
    forward, *others = (programs.case("planted_bugs", case, order) for order in ORDERS)
    assert forward.startswith("ok ")
    for printed in others:
        assert re.fullmatch(WRONG, printed)


@pytest.mark.parametrize("case", PROBES)
def test_probe_of_a_wrapper_gives_whole_numbers_exactly(programs: Programs, case: str) -> None:
    printed = {programs.case("probes", case, order) for order in ORDERS}
    assert len(printed) == 1
    assert re.fullmatch(r"ok [0-9a-f]{16}\n", printed.pop())


@pytest.mark.parametrize("order", ["forward", "reversed", "shuffled"])
def test_bugs_of_async_copies_are_seen_early_or_late(programs: Programs, order: str) -> None:
    def printed(case: str, *late: str) -> str:
        return programs.case("probes", case, (order, "1", *late))

    assert re.fullmatch(WRONG, printed("pipeline_waits_for_too_few", "late"))
    assert re.fullmatch(WRONG, printed("pipeline_no_barrier_before_reuse"))
    assert re.fullmatch(WRONG, printed("pipeline_no_barrier_after_wait", "late"))
    error = r"error .*cp_async at probes.cu:\d+: the source must be a multiple of 8\n"
    assert re.fullmatch(error, printed("misaligned"))


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_each_feature_gives_the_worked_values(programs: Programs, order: tuple[str, ...]) -> None:
    lines = programs.features("run", order)
    assert len(lines) == 14
    assert [line for line in lines if not line.endswith(" 0")] == []


def test_faulty_launch_throws_and_later_launches_work(programs: Programs) -> None:
    block = re.escape("SimtError faulty: block (0, 0, 0)")
    expected = [
        "SimtError faulty: grid.y is 65536, must be 1 to 65535",
        "SimtError faulty: grid.x is 0, must be 1 to 2147483647",
        "SimtError faulty: block has 2048 threads, must be at most 1024",
        "SimtError faulty: block.z is 65, must be 1 to 64",
        "SimtError faulty: dynamic shared memory is 232449 bytes, must be at most 232448",
        f"{block}: static shared memory up to array 'values' is 49156 bytes, must be at most 49152",
        f"{block}: thread 8: __shfl_sync at feature_kernels.cu:\\d+: mask 0x000000ff lacks the "
        "lane itself, 8",
        f"{block}: thread 15: __shfl_sync at .* with mask 0x0000ffff meets lane 3 in .* "
        "with mask 0xffffffff",
        f"{block}: thread 5 = \\(5, 0, 0\\): __trap\\(\\)",
        f"{block}: deadlock, 31 of 32 threads wait for ever; .*lanes missing: 9 "
        "\\(returned or not in the block: 9\\)",
        f"{block}: thread 0: inner: a kernel launched a kernel",
        "int 42",
    ]
    lines = programs.features("faults")
    assert len(lines) == len(expected), lines
    for number, (line, pattern) in enumerate(zip(lines, expected, strict=True)):
        assert re.match(f"{number} {pattern}", line), line


def test_host_threads_launch_at_the_same_time(programs: Programs) -> None:
    assert programs.features("threads") == ["failures 0"]


def test_child_forked_after_use_can_launch(programs: Programs) -> None:
    assert programs.features("fork") == ["failures 0"]


def test_log_holds_each_kernel_name_once(programs: Programs) -> None:
    assert programs.features("log") == ["launches 3", "atomics", "nothing"]


def test_kernel_object_shares_no_inline_function(tmp_path: Path) -> None:
    """Else the linker could pick the AVX2 copy of one for a processor without AVX2."""
    nm = shutil.which("nm")
    if not compilers() or nm is None:
        pytest.skip("no C++ compiler or no nm found")
    for flags in (["-O3"], ["-O0"]):
        (kernels,) = compile_objects(
            compilers()[0],
            [*flags, "-DCK_GPU=simt_space"],
            [HERE / "feature_kernels.cu"],
            tmp_path,
        )
        symbols = run([nm, "--demangle", kernels]).stdout
        weak = re.findall(r"^[0-9a-f ]* [WVu] (.*)$", symbols, re.MULTILINE)
        assert [name for name in weak if "ck::simt_space::" not in name] == []


@pytest.mark.parametrize(
    "source", ["planted_bugs.cu", "memory_bugs.cu", "probes.cu", "feature_kernels.cu"]
)
def test_nvcc_compiles_the_same_source(tmp_path: Path, source: str) -> None:
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        pytest.skip("no nvcc found")
    flags = ["-std=c++20", "-fmad=false", "-gencode=arch=compute_80,code=sm_80", "-DCK_GPU=cuda"]
    done = run([nvcc, *flags, f"-I{CSRC}", "-c", HERE / source, "-o", tmp_path / "out.o"], 300)
    assert done.returncode == 0, done.stderr
