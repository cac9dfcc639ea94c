"""The pool of threads as the system sees it."""

import os
import subprocess
import sys

import pytest

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

START = """
import os
import numpy as np, convkit

first, second = cores = sorted(os.sched_getaffinity(0))[:2]
os.sched_setaffinity(0, cores)
x, w = np.ones((1, 32, 24, 24), "f4"), np.ones((32, 32, 3, 3), "f4")
threads = lambda: set(map(int, os.listdir("/proc/self/task")))
before = threads()
convkit.set_num_threads(2)

def call_on(core):
    os.sched_setaffinity(0, {core})
    convkit.conv2d(x, w, padding=1)

call_on(first)
os.sched_setaffinity(0, cores)
(helper,) = threads() - before
os.sched_setaffinity(helper, cores)
allowed = lambda: os.sched_getaffinity(helper)
"""


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
@pytest.mark.parametrize(
    "check",
    [
        pytest.param(
            "for core, other in ((second, first), (first, second)):\n"
            "    call_on(core)\n"
            "    assert allowed() == {other}, (core, allowed())",
            id="they_leave_the_callers_core",
        ),
        pytest.param(
            "call_on(second)\n"
            "os.sched_setaffinity(helper, {second})\n"
            "for core in (first, second):\n"
            "    call_on(core)\n"
            "    assert allowed() == {second}, (core, allowed())",
            id="they_stay_where_the_user_puts_them",
        ),
        pytest.param(
            "call_on(second)\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    call_on(first)\n"
            "    os._exit(len(threads()) - 2)\n"
            "assert os.waitpid(pid, 0)[1] == 0",
            id="a_forked_child_has_its_own",
        ),
    ],
)
def test_helpers(check):
    code = START + check
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
