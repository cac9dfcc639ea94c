"""The pool of threads as the system sees it."""

import os
import subprocess
import sys

import pytest

CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

START = """
import os, time
import numpy as np, convkit

first, second = both = sorted(os.sched_getaffinity(0))[:2]
os.sched_setaffinity(0, both)
x, w = np.ones((1, 32, 24, 24), "f4"), np.ones((32, 32, 3, 3), "f4")
threads = lambda: set(map(int, os.listdir("/proc/self/task")))
before = threads()
convkit.set_num_threads(2)
call = lambda: convkit.conv2d(x, w, padding=1)

def stand_on(core):  # the system may move it on, but seldom does at once
    os.sched_setaffinity(0, {core})
    os.sched_setaffinity(0, both)

call()
(helper,) = threads() - before
allowed = lambda: os.sched_getaffinity(helper)

def leaves(core):
    for _ in range(20):
        stand_on(core)
        call()
        if allowed() == set(both) - {core}:
            return True
    return False
"""


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
@pytest.mark.parametrize(
    "check",
    [
        pytest.param(
            "assert leaves(second) and leaves(first) and leaves(second), allowed()",
            id="they_leave_the_callers_core",
        ),
        pytest.param(
            "for core in (first, second):\n"
            "    leaves(first + second - core)\n"
            "    for thread in threads():\n"
            "        os.sched_setaffinity(thread, {core})\n"
            "    call()\n"
            "    assert allowed() == {core}, (core, allowed())\n"
            "    for thread in threads():\n"
            "        os.sched_setaffinity(thread, both)\n"
            "    assert leaves(core)",
            id="they_stay_within_the_cores_of_all_threads",
        ),
        pytest.param(
            "leaves(first)\n"
            "os.sched_setaffinity(helper, {first})\n"
            "for core in (first, second):\n"
            "    stand_on(core)\n"
            "    call()\n"
            "    assert allowed() == {first}, (core, allowed())",
            id="they_stay_where_the_user_puts_them",
        ),
        pytest.param(
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    call()\n"
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


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_a_first_caller_that_is_bound_binds_none_after_it():
    code = START.replace("call()\n(helper", "stand_on = lambda c: None\ncall()\n(helper", 1)
    code = code.replace(
        "os.sched_setaffinity(0, both)\nx, w", "os.sched_setaffinity(0, {first})\nx, w"
    )
    code += (
        "assert allowed() == {first}\n"
        "os.sched_setaffinity(0, both)\n"
        "call()\n"
        "assert len(allowed()) == 1, allowed()\n"
        "os.sched_setaffinity(0, {second})\n"
        "os.sched_setaffinity(0, both)\n"
        "call(), call()\n"
        "assert allowed() <= set(both)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_thread_that_is_still_at_work_does_not_spoil_the_end():
    code = (
        "import threading, time, numpy as np, convkit\n"
        "x, w = np.ones((4, 32, 64, 64), 'f4'), np.ones((32, 32, 3, 3), 'f4')\n"
        "def forever():\n"
        "    while True:\n"
        "        convkit.conv2d(x, w, padding=1)\n"
        "threading.Thread(target=forever, daemon=True).start()\n"
        "time.sleep(0.2)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
