"""Settings of the whole process: what they refuse."""

import re

import numpy as np
import pytest

import convkit

BACKEND_RULE = "must be one of auto, cpu, cuda, simt, reference"
SETTINGS = [
    ("set_backend", "gpu", ValueError, f"name is 'gpu', {BACKEND_RULE}"),
    ("set_backend", "\ud800" * 99, ValueError, BACKEND_RULE),
    ("set_backend", None, TypeError, f"name is None, {BACKEND_RULE}"),
    ("set_backend", np.ones((2, 3)), TypeError, "name is array([["),
    ("set_backend", ["cpu"], TypeError, "name is ['cpu']"),
    *(
        ("set_num_threads", value, ValueError, f"threads is {value}, must be from 1 to 256")
        for value in (0, -1, 257, 2**64)
    ),
    ("set_num_threads", 10**5000, ValueError, "threads is <int that cannot be printed>, must"),
    *(
        ("set_num_threads", value, TypeError, f"threads is {value!r}, must be an int")
        for value in (1.0, "2", None, True, np.True_, [1])
    ),
    ("set_num_threads", np.ones((2, 3)), TypeError, "threads is array([["),
]


@pytest.mark.parametrize(
    ("function", "value", "error", "text"),
    [pytest.param(*row, id=f"{row[0]}-{i}") for i, row in enumerate(SETTINGS)],
)
def test_a_wrong_setting_is_refused_and_changes_nothing(function, value, error, text):
    before = convkit.backend(), convkit.num_threads()
    with pytest.raises(error, match=rf"^{function}: .*{re.escape(text)}") as caught:
        getattr(convkit, function)(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200
    assert (convkit.backend(), convkit.num_threads()) == before
