"""The kernels of narrower instruction sets than this processor's own."""

import json
import os
import subprocess
import sys

import pytest

from convkit import _native
from convkit.ops import FUNCTIONS

RUN = "from convkit.cli import main; main()"
PLAIN = ("--kind", "normal", "--json")
SETS = ("baseline", "avx2", "avx512")


def narrower_sets():
    own = _native.build_info()["isa"]
    return SETS[: SETS.index(own)] if own in SETS else ()


@pytest.mark.parametrize(("dtype", "tags"), [("float32", "core,edge"), ("float64", "core")])
@pytest.mark.parametrize("isa", narrower_sets())
def test_every_cpu_kernel_is_right_on_a_narrower_instruction_set(isa, dtype, tags):
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            RUN,
            "validate",
            tags,
            "--dtype",
            dtype,
            "--kind",
            "normal",
            "--json",
        ],
        env=os.environ | {"CONVKIT_ISA": isa},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    report = json.loads(done.stdout)
    wrong = [failure["simplest"]["repeat"] for failure in report["failures"]]
    assert done.returncode == 0, "\n".join(wrong[:5]) + done.stderr
    assert all(row["backend"] == "cpu" and row["checks"] for row in report["rows"])
    assert {row["function"] for row in report["rows"]} == set(FUNCTIONS)
