"""The worked edge examples of the lecture: 6x6 numbers, 3x3 kernels, 4x4 results."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from convkit.apps.filters import EDGE_KERNELS

Rows = list[list[int]]

IMAGE: Rows = [
    [3, 0, 1, 2, 7, 4],
    [1, 5, 8, 9, 3, 1],
    [2, 7, 2, 5, 1, 3],
    [0, 1, 3, 1, 7, 8],
    [4, 2, 1, 6, 2, 8],
    [2, 4, 5, 2, 3, 9],
]
BRIGHT_TO_DARK: Rows = [[10, 10, 10, 0, 0, 0]] * 6
DARK_TO_BRIGHT: Rows = [[0, 0, 0, 10, 10, 10]] * 6
TWO_BLOCKS: Rows = [[10, 10, 10, 0, 0, 0]] * 3 + [[0, 0, 0, 10, 10, 10]] * 3

# title, image, kernel, whether the kernel is turned first
_EXAMPLES: list[tuple[str, Rows, str, bool]] = [
    ("Vertical edges", IMAGE, "vertical", False),
    (
        "The same as mathematical convolution (kernel turned by 180 degrees): the signs change",
        IMAGE,
        "vertical",
        True,
    ),
    ("Horizontal edges", IMAGE, "horizontal", False),
    ("Sobel: more weight on the middle row", IMAGE, "sobel", False),
    ("Scharr: still more weight on the middle row", IMAGE, "scharr", False),
    ("Bright to dark: the edge in the middle answers +30", BRIGHT_TO_DARK, "vertical", False),
    ("Dark to bright, the mirrored image: -30", DARK_TO_BRIGHT, "vertical", False),
    ("Two bright blocks, horizontal edges of both signs", TWO_BLOCKS, "horizontal", False),
]


@dataclass(frozen=True)
class Example:
    """image * kernel = output; flipped says that the kernel was turned by 180 degrees first."""

    title: str
    kernel_name: str
    flipped: bool
    image: Rows
    kernel: Rows
    output: Rows


def run() -> list[Example]:
    """All examples, computed by the library at this moment (valid, stride 1)."""
    import convkit

    examples = []
    for title, image, name, flipped in _EXAMPLES:
        x = np.array(image, np.float32)[None, None]
        w = np.ascontiguousarray(EDGE_KERNELS[name][None, None])
        y = convkit.conv2d(x, w, flip_kernel=flipped)[0, 0]
        output = np.rint(y).astype(int).tolist()
        kernel = EDGE_KERNELS[name].astype(int).tolist()
        examples.append(Example(title, name, flipped, image, kernel, output))
    return examples


def show(examples: list[Example]) -> None:
    """Each example as one line of matrices, or one below the other on a narrow terminal."""
    import shutil

    wide = shutil.get_terminal_size((80, 24)).columns
    for i, example in enumerate(examples):
        if i:
            print()
        print(example.title)
        blocks = [_block(example.image), _block(example.kernel), _block(example.output)]
        signs = ["convolved with" if example.flipped else "*", "="]
        line = _side_by_side(blocks, signs)
        print("\n".join(line if max(map(len, line)) <= wide else _stacked(blocks, signs)))


def _block(rows: Rows) -> list[str]:
    width = max(len(str(value)) for row in rows for value in row)
    return ["  " + " ".join(f"{value:>{width}}" for value in row) for row in rows]


def _side_by_side(blocks: list[list[str]], signs: list[str]) -> list[str]:
    """The blocks centred on one another's height, the signs on the middle row."""
    height = max(map(len, blocks))
    columns: list[list[str]] = []
    for block, sign in itertools.zip_longest(blocks, signs):
        blank = " " * len(block[0])
        above = (height - len(block)) // 2
        below = height - len(block) - above
        columns.append([blank] * above + block + [blank] * below)
        if sign:
            gap = " " * (len(sign) + 3)
            columns.append([gap] * height)
            columns[-1][(height - 1) // 2] = f"   {sign}"
    return ["".join(parts).rstrip() for parts in zip(*columns, strict=True)]


def _stacked(blocks: list[list[str]], signs: list[str]) -> list[str]:
    lines: list[str] = []
    for block, sign in itertools.zip_longest(blocks, signs):
        lines += block
        if sign:
            lines.append(sign)
    return lines
