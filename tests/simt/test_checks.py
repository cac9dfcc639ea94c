"""The check build: it reports each planted bug with its place, and nothing in correct kernels."""

import re

import pytest

from .programs import HERE, ORDERS, PROBES, Programs, compiler_builds


@pytest.fixture(scope="module", params=compiler_builds("checked"))
def programs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Programs:
    compiler, build = request.param
    return Programs(compiler, build, tmp_path_factory.mktemp("simt"))


CORRECT = {
    "probes": PROBES,
    "planted_bugs": [
        *("gemm", "broadcast", "exchange", "block_sum", "barrier", "warp_sum", "named"),
    ],
    "memory_bugs": [
        *("chain", "flag", "bytes", "fenced", "halves", "pairs", "relay", "misuse"),
    ],
}


def cases(table):
    return [(program, case) for program, names in table.items() for case in names]


@pytest.mark.parametrize(("program", "case"), cases(CORRECT))
def test_nothing_is_reported_in_a_correct_kernel(
    programs: Programs, program: str, case: str
) -> None:
    printed = {programs.case(program, case, order) for order in ORDERS}
    assert len(printed) == 1
    assert re.fullmatch(r"ok [0-9a-f]{16}\n", printed.pop())


def race(array: str, does: str = "(reads|writes)", line: str = r"\w+\.cu:\d+") -> str:
    return (
        rf"thread \d+ {does} \d+ bytes at {line}: race on {array}, byte \d+ of \d+, "
        rf"which thread \d+ (wrote|read) at \w+\.cu:\d+ with no barrier between"
    )


def unwritten(array: str) -> str:
    return rf"thread \d+ reads \d bytes at \w+\.cu:\d+: {array}, byte \d+ of \d+ was never written"


NOT_AWAITED = (
    r"thread \d+ reads \d+ bytes at probes\.cu:\d+: shared array .buffer., byte \d+ of 3072, "
    r"for which thread \d+ has not awaited its copy, begun at async_copy\.cuh:\d+ "
    r"from probes\.cu:\d+"
)
UNORDERED = r"of block \(\d, 0, 0\) wrote at \w+\.cu:\d+; blocks of a launch are not ordered"
DIVERGENT = r"divergent barrier: .*__syncthreads at planted_bugs\.cu:\d+"
# What each bug must give in every order, after "error KERNEL: block (x, y, z): ".
REPORTS = {
    "probes": {
        "pipeline_waits_for_too_few": NOT_AWAITED,
        "pipeline_no_barrier_after_wait": unwritten("shared array 'buffer'"),
        "pipeline_no_barrier_before_reuse": NOT_AWAITED,
        "misaligned": r"thread \d+: cp_async at probes\.cu:\d+: the source must be a multiple of 8",
    },
    "planted_bugs": {
        "gemm_no_barrier_at_loop_end": race("shared array '[ab]_tile'"),
        "gemm_write_past_shared_array": (
            r"thread 63 writes 4 bytes at planted_bugs\.cu:\d+: byte 1024 of shared array "
            r"'a_tile', which has 1024"
        ),
        "gemm_write_into_next_shared_array": race("shared array 'b_tile'", "writes"),
        "gemm_write_past_row_end": (
            r"thread \d+ writes 4 bytes at planted_bugs\.cu:\d+: (race on array 'c', byte \d+ of "
            r"12600, which .* blocks of a launch are not ordered"
            r"|outside of all arrays: byte 12600 of 'c', which has 12600)"
        ),
        "broadcast_no_barrier": (
            f"{race('shared array .value.', 'reads')}|{unwritten('shared array .value.')}"
        ),
        "exchange_no_syncwarp": unwritten(r"shared array '\(dynamic\)'"),
        "block_sum_uninitialised": unwritten(r"shared array '\(dynamic\)'"),
        "barrier_at_two_sites": DIVERGENT,
        "barrier_conditional": DIVERGENT,
        "barrier_after_return": DIVERGENT,
        "warp_sum_lanes_missing": r"deadlock, 96 of 96 .*lanes missing: 16-31: threads 0-15",
        "named_warp_missing": r"deadlock, 96 of 96 .*64 in named_barrier_sync at planted_bugs\.cu",
    },
    "memory_bugs": {
        "chain_across_blocks": f"race on array 'y', .*{UNORDERED}|{unwritten('array .y.')}",
        "flag_of_every_block": rf"writes 4 .*race on array 'y', byte 0 of 16, .*{UNORDERED}",
        "bytes_shared": race("shared array 'values'", "writes"),
        "fenced_by_shuffle": race("shared array 'values'", "reads"),
        "fenced_by_half": race("shared array 'values'", "reads"),
        "pairs_crossed": (
            f"{race('shared array .values.', 'reads')}|{unwritten('shared array .values.')}"
        ),
        "write_to_input": r"writes 4 bytes at memory_bugs\.cu:\d+: array 'x', byte \d+ of .* input",
        "read_of_output": unwritten("array 'y'"),
        "read_before_array": (
            r"reads 4 bytes at memory_bugs\.cu:\d+: outside of all arrays: byte -[48] of 'x', "
            r"which has 128"
        ),
    },
}


@pytest.mark.parametrize(("program", "case"), cases(REPORTS))
def test_planted_bug_is_reported_in_every_order(
    programs: Programs, program: str, case: str
) -> None:
    pattern = REPORTS[program][case]
    for order in ORDERS:
        printed = programs.case(program, case, order)
        assert re.match(rf"error \w+: block \(\d, \d, 0\): .*({pattern})", printed), printed


def test_a_report_names_the_lines_of_both_accesses(programs: Programs) -> None:
    lines = (HERE / "planted_bugs.cu").read_text().splitlines()
    printed = programs.case("planted_bugs", "broadcast_no_barrier", ("forward",))
    reads, wrote = (int(number) for number in re.findall(r"planted_bugs\.cu:(\d+)", printed))
    assert "y[threadIdx.x] = value" in lines[reads - 1]
    assert "value = x[0]" in lines[wrote - 1]


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_each_feature_gives_the_worked_values(programs: Programs, order: tuple[str, ...]) -> None:
    lines = programs.features("run", order)
    assert len(lines) == 13  # all but the one that reads what nobody has written
    assert [line for line in lines if not line.endswith(" 0")] == []


def test_launches_work_after_a_fault(programs: Programs) -> None:
    assert [line for line in programs.features("faults") if "later launches" in line] == []


def test_host_threads_launch_at_the_same_time(programs: Programs) -> None:
    assert programs.features("threads") == ["failures 0"]
