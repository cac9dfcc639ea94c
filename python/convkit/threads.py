"""How many threads the cpu backend uses."""

from __future__ import annotations

import operator

from convkit import _native
from convkit._native import shown

MOST = 256


def set_num_threads(threads: int) -> None:
    """Use up to `threads` threads on the cpu backend; results have the same bits for any number.

    At first it is CONVKIT_NUM_THREADS, else the cores this process may use. Threads start with the
    first call that
    needs them.

    Raises: TypeError for no integer, ValueError below 1.

    >>> set_num_threads(2)
    """
    try:
        count = operator.index(threads)
    except TypeError:
        count = None
    if count is None or isinstance(threads, bool):
        raise TypeError(f"set_num_threads: threads is {shown(threads)}, must be an int")
    if not 1 <= count <= MOST:
        text = f"threads is {shown(count)}, must be from 1 to {MOST}"
        raise ValueError(f"set_num_threads: {text}")
    _native.set_num_threads(count)
