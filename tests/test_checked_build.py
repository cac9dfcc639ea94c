"""A build with CONVKIT_CHECK knows the arrays of a call and refuses what a kernel does amiss."""

import numpy as np
import pytest

from convkit import _native

pytestmark = pytest.mark.skipif(
    not _native.build_info()["simt_checks"], reason="not a build with CONVKIT_CHECK"
)
PARAMETERS = {"kernel_size": 3, "stride": 1, "padding": 0, "dilation": 1, "layout": "NCHW"}


def plan(algo: str = "gather") -> _native.Plan:
    arrays = {"x": ((1, 1, 8, 8), "float32")}
    return _native.plan("im2col", "simt", algo, arrays, PARAMETERS)


def test_arrays_that_lie_apart_are_fine():
    x, out = np.ones(64, "f4"), np.empty(9 * 36, "f4")
    plan().run((out,), (x,))
    assert (out == 1).all()


def test_an_output_upon_the_input_is_reported():
    out = np.ones(9 * 36, "f4")
    with pytest.raises(_native.SimtError, match=r"race on array 'output 0', byte \d+ of 1296, "):
        plan().run((out.ctypes.data,), (out.ctypes.data,))


def test_a_read_of_what_no_kernel_has_written_is_reported():
    out = np.ones(9 * 36 + 64, "f4")
    with pytest.raises(_native.SimtError, match=r"array 'output 0', byte \d+ of 1296 was never"):
        plan().run((out.ctypes.data,), (out.ctypes.data + 64,))
