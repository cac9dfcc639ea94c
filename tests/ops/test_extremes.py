"""What a call costs is what its arrays cost: enormous strides, padding, dilation and windows over a
tiny image run in little memory, and right (tests/ops/extremes.py)."""

import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""), reason="AddressSanitizer maps terabytes"
)


def run(function: str, backend: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.ops.extremes", function, backend],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "CONVKIT_NUM_THREADS": "2"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("backend", ["cpu", "simt"])
@pytest.mark.parametrize(
    "function",
    ["convolutions", "columns_of_images", "maxima", "averages", "windows_of_channels"],
)
def test_tiny_images_under_enormous_parameters_need_little_memory(function, backend):
    assert run(function, backend) == ""


@pytest.mark.parametrize(
    ("backend", "what"), [("cpu", "the workspace"), ("simt", "the stack of a GPU thread")]
)
def test_out_of_memory_says_what_was_wanted_and_the_next_call_works(backend, what):
    told = run("out_of_memory", backend)
    line = rf"conv2d: no memory for {what} of algorithm 'im2col' on {backend}, \d+ bytes\n"
    assert re.fullmatch(line, told), told


def test_threads_that_do_not_start_are_done_without():
    assert run("without_threads", "cpu") == ""
