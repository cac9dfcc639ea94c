"""Arrays in awkward memory: between guard bytes, off alignment, with gaps between elements."""

from typing import Any

import numpy as np

GUARD = 96  # bytes on either side of a guarded array
PATTERN = 0xA5
UNWRITTEN_INDEX = -12345
FORMS = ("plain", "skewed", "strided")


def guard(shape: tuple[int, ...], dtype: Any, xp: Any = np) -> tuple[Any, Any]:
    """(bytes, array inside): between patterns, full of NaN, aligned to its type and no more.

    xp is the array library that the memory comes from.
    """
    itemsize = np.dtype(dtype).itemsize
    nbytes = int(np.prod(shape)) * itemsize
    memory = xp.full(nbytes + 2 * GUARD + 16, PATTERN, np.uint8)
    address = memory.ctypes.data if xp is np else memory.data.ptr
    skip = -(address + GUARD) % 16 + itemsize
    memory = memory[skip % 16 :][: nbytes + 2 * GUARD]
    view = memory[GUARD : GUARD + nbytes].view(dtype).reshape(shape)
    view[...] = UNWRITTEN_INDEX if np.issubdtype(dtype, np.integer) else np.nan
    return memory, view


def guards_broken(memory: Any, view: Any) -> str:
    """Which guard bytes were written over; "" where none."""
    if not (memory[:GUARD] == PATTERN).all():
        return "bytes before out were written"
    if not (memory[GUARD + view.nbytes :] == PATTERN).all():
        return "bytes after out were written"
    return ""


def lay(array: np.ndarray, form: str) -> np.ndarray:
    """A copy of an array: "plain" (dense), "skewed" (dense, one element off alignment) or
    "strided" (every second element of its memory, axes in reverse order)."""
    if form == "plain" or (form == "strided" and array.ndim == 0):
        return np.array(array, order="C")
    if form == "skewed":
        view: np.ndarray = guard(array.shape, array.dtype)[1]
    elif form == "strided":
        turned = array.shape[::-1]
        wide = np.zeros((*turned[:-1], 2 * turned[-1]), array.dtype)
        view = wide[..., ::2].transpose()
    else:
        raise ValueError(f"memory is {form!r}, known are {', '.join(FORMS)}")
    view[...] = array
    return view
