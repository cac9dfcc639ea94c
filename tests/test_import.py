"""Importing convkit is cheap and has no side effects."""

import os
import subprocess
import sys

import pytest

CHECKS = {
    "starts no thread": (
        "import os, numpy\n"
        "before = len(os.listdir('/proc/self/task'))\n"
        "import convkit\n"
        "assert len(os.listdir('/proc/self/task')) == before"
    ),
    "needs nothing but NumPy": (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        part = name.partition('.')[0]\n"
        "        if part in {'torch', 'cupy', 'scipy', 'typer', 'rich', 'PIL', 'matplotlib'}:\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import numpy as np, convkit\n"
        "assert convkit.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))).sum() == 16\n"
    ),
    "loads no command or reference": (
        "import sys, convkit\n"
        "heavy = [m for m in sys.modules if m.startswith(('convkit.apps', 'convkit.cli', "
        "'convkit.reference', 'convkit.testing'))]\n"
        "assert not heavy, heavy"
    ),
}


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", CHECKS)
def test_import(name):
    done = python(CHECKS[name])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("isa", ["baseline", "avx2", "avx512"])
def test_the_instruction_set_can_be_forced(isa):
    code = "import convkit._native as n; print(n.build_info()['isa'])"
    done = python(code, CONVKIT_ISA=isa)
    if "must be one that this processor has" in done.stderr:
        pytest.skip(f"this processor has no {isa}")
    assert done.stdout.strip() in {isa, "neon"}, done.stderr


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("CONVKIT_ISA", "sse9", "must be one that this processor has: "),
        *(
            ("CONVKIT_NUM_THREADS", value, "must be a whole number from 1 to 256")
            for value in ("abc", "0", "-1", "257", "1e9", "2.0", " 2", "9" * 30)
        ),
    ],
)
def test_a_wrong_environment_fails_the_import_in_one_way(name, value, rule):
    done = python("import convkit", **{name: value})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"ImportError: {name} is '{value}', {rule}")


def test_the_environment_sets_the_number_of_threads():
    code = "import convkit; print(convkit.num_threads())"
    assert python(code, CONVKIT_NUM_THREADS="7").stdout == "7\n"
    assert python(code, CONVKIT_NUM_THREADS="").stdout == python(code).stdout


def test_threads_survive_a_fork():
    code = (
        "import os, numpy as np, convkit\n"
        "convkit.set_num_threads(2)\n"
        "x, w = np.ones((2, 16, 40, 40), 'f4'), np.ones((16, 16, 3, 3), 'f4')\n"
        "first = convkit.conv2d(x, w)\n"
        "child = os.fork()\n"
        "same = bool((convkit.conv2d(x, w) == first).all())\n"
        "if child == 0: os._exit(0 if same else 1)\n"
        "assert same and os.waitpid(child, 0)[1] == 0"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_a_call_needs_no_thread_that_the_system_has_no_room_for():
    code = (
        "import os, resource, numpy as np, convkit\n"
        "x = np.random.default_rng(1).random((64, 16, 64, 64), 'f4')\n"
        "convkit.set_num_threads(1)\n"
        "wanted = convkit.max_pool2d(x, 2)\n"
        "out = np.empty_like(wanted)\n"
        "convkit.set_num_threads(64)\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "room = 2**26  # for a workspace and some threads of 8 MiB\n"
        "resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, -1))\n"
        "convkit.max_pool2d(x, 2, out=out)\n"
        "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n"
        "assert (out == wanted).all()\n"
        "assert len(os.listdir('/proc/self/task')) < 64, 'there was room'\n"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


def test_ctrl_c_ends_a_long_call_and_the_next_one_works():
    code = (
        "import os, signal, threading, numpy as np, convkit\n"
        "x, w = np.zeros((8, 256, 112, 112), 'f4'), np.zeros((256, 256, 7, 7), 'f4')\n"
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    convkit.conv2d(x, w, padding=3)\n"
        "    print('finished')\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted')\n"
        "assert convkit.conv2d(x[:1, :, :8, :8], w).shape == (1, 256, 2, 2)\n"
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "interrupted"
