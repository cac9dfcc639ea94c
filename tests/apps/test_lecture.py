"""The worked examples of the lecture, against numbers written down by hand."""

import convkit as library
from convkit.apps import lecture

pytest_plugins = ["tests.apps.command"]

# Edge kernels of the lecture on its 6x6 image: the 4x4 results.
VERTICAL = [[-5, -4, 0, 8], [-10, -2, 2, 3], [0, -2, -4, -7], [-3, -2, -3, -16]]
HORIZONTAL = [[-7, -11, 2, 4], [10, 17, 9, -3], [4, 5, -1, -7], [-7, -6, 1, 2]]
SOBEL = [[-12, -8, 5, 16], [-10, 0, 3, 5], [-3, -2, -8, -14], [0, -6, -4, -18]]
SCHARR = [[-64, -40, 35, 80], [-30, 8, 13, 23], [-21, -6, -40, -70], [12, -34, -16, -62]]
BLOCKS = [[0, 0, 0, 0], [30, 10, -10, -30], [30, 10, -10, -30], [0, 0, 0, 0]]
EXPECTED = [
    ("vertical", False, VERTICAL),
    ("vertical", True, [[-value for value in row] for row in VERTICAL]),
    ("horizontal", False, HORIZONTAL),
    ("sobel", False, SOBEL),
    ("scharr", False, SCHARR),
    ("vertical", False, [[0, 30, 30, 0]] * 4),
    ("vertical", False, [[0, -30, -30, 0]] * 4),
    ("horizontal", False, BLOCKS),
]


def test_numbers_are_those_of_the_lecture():
    found = [(one.kernel_name, one.flipped, one.output) for one in lecture.run()]
    assert found == EXPECTED


def test_json_carries_image_kernel_and_output(convkit):
    examples = convkit("edges", "--lecture", "--json").json["examples"]
    assert [one["output"] for one in examples] == [output for _, _, output in EXPECTED]
    assert examples[0]["image"][0] == [3, 0, 1, 2, 7, 4]
    assert examples[0]["kernel"] == [[1, 0, -1]] * 3


def test_text_is_aligned(convkit, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = convkit("edges", "--lecture")
    assert result.status == 0
    assert "  2 7 2 5 1 3   *   1  0 -1   =  -10  -2   2   3\n" in result.out
    assert max(map(len, result.out.splitlines())) <= 88


def test_narrow_terminals_get_matrices_below_one_another(convkit, monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    result = convkit("edges", "--lecture")
    matrices = [line for line in result.out.splitlines() if line.startswith("  ")]
    assert max(map(len, matrices)) <= 30


def test_is_computed_not_stored(monkeypatch):
    monkeypatch.setattr(library, "conv2d", lambda x, w, **_: x[:, :, :4, :4] * 0)
    assert all(row == [0] * 4 for one in lecture.run() for row in one.output)
