"""`convkit tour`: a whole one on a small image, its page, and how it tells a wrong kernel."""

import json
import os
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import convkit as library
from convkit import _native
from convkit.apps import photographs, stages, table, tour
from convkit.apps.checks import check_simt, check_task
from convkit.apps.images import read_image, to_planes
from convkit.testing import compare, expected
from convkit.testing.compare import DEFAULT_BOUND
from convkit.testing.peers import peers

pytest_plugins = ["tests.apps.command"]

FUNCTIONS = [
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "max_pool2d",
    "max_pool2d_grad",
    "avg_pool2d",
    "avg_pool2d_grad",
    "gram_matrix",
    "gram_matrix_grad",
    "im2col",
    "col2im",
    *(
        f"{scope}_{kind}_pool2d{grad}"
        for scope in ("adaptive", "global")
        for kind in ("max", "avg")
        for grad in ("", "_grad")
    ),
    "conv2d_bias_grad",
    "batch_norm",
    "batch_norm_grad",
    "local_response_norm",
    "local_response_norm_grad",
    "cross_entropy",
    "cross_entropy_grad",
    "conv_transpose2d",
    "conv_transpose2d_input_grad",
    "conv_transpose2d_weight_grad",
    "linear",
    "linear_input_grad",
    "linear_weight_grad",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One quick tour: (folder, result)."""
    folder = tmp_path_factory.mktemp("tour")
    y, x = np.mgrid[0:44, 0:37]
    noise = np.random.default_rng(3).integers(0, 40, (44, 37, 3))
    pixels = noise + np.stack([x * 5, y * 4, 100 + 90 * np.sin(x * y / 40)], -1)
    photo = folder / "a <b> & 'c'.png"
    Image.fromarray(pixels.astype(np.uint8)).save(photo)
    return folder, tour.run(photo, folder / "out", quick=True)


@pytest.fixture(scope="module")
def page(made):
    folder, _ = made
    return (folder / "out" / "index.html").read_text(encoding="utf-8")


def test_all_checks_pass(made):
    _, result = made
    assert [row for row in result.rows if not row.ok] == []
    assert result.pictures_failed == ""
    assert result.ok


def test_every_function_runs_on_the_photograph_and_through_simt(made):
    _, result = made
    for part in ("photograph", "simt"):
        found = {row.function for row in result.rows if row.part == part}
        assert found == {*FUNCTIONS, "copy"}


def test_every_algorithm_runs_in_every_direction(made):
    _, result = made
    assert result.not_run == []
    assert result.kernels


def test_rows_carry_error_bound_and_time(made):
    folder, _ = made
    data = json.loads((folder / "out" / "results.json").read_text())
    assert data["ok"] is True
    assert data["made_by"] == "convkit tour"
    for row in data["rows"]:
        assert 0 <= row["error"] <= row["bound"]
        assert row["function"] in (*FUNCTIONS, "copy")
        assert row["direction"] in ("fprop", "dgrad", "wgrad")
        if row["part"] == "photograph" and row["function"] != "copy":
            assert row["time_us"] > 0
            assert (row["speed_up"] is None) == (row["against"] is None)
        if row["part"] == "simt":
            assert row["backend"] == "simt"
    timed = [row for row in data["rows"] if row["against"]]
    assert {row["function"] for row in timed} == set(FUNCTIONS)


def test_files_are_those_it_names(made):
    folder, result = made
    assert sorted(path.name for path in (folder / "out").iterdir()) == sorted(result.files)
    for name in result.files:
        if name.endswith(".png"):
            assert Image.open(folder / "out" / name).info["Software"] == "convkit tour"


class Page(HTMLParser):
    """Checks that tags nest and collects what the tests ask for."""

    VOID = frozenset(["meta", "link", "img", "br", "hr", "input", "col"])

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_page_is_whole_and_needs_nothing_else(page):
    parsed = Page()
    parsed.feed(page)
    parsed.close()
    assert parsed.open == []
    images = [attrs for tag, attrs in parsed.tags if tag == "img"]
    assert len(images) > 25
    for attrs in images:
        assert attrs["alt"]
        assert attrs["src"].startswith("data:image/png;base64,")
    for _, attrs in parsed.tags:
        for name in ("src", "href", "srcset", "data", "action"):
            assert not (attrs.get(name) or "").startswith(("http", "//", "file")), attrs
    assert "@import" not in page
    assert "url(" not in page
    assert not [tag for tag, _ in parsed.tags if tag in ("script", "iframe", "object")]


def test_page_names_every_op_and_escapes_the_file_name(page):
    parsed = Page()
    parsed.feed(page)
    text = "".join(parsed.text)
    for function in FUNCTIONS:
        assert function in text
    assert "a <b> & 'c'.png" in text
    assert "<b> &" not in page


def test_page_ids_are_unique(page):
    parsed = Page()
    parsed.feed(page)
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert [tag for tag, _ in parsed.tags].count("h1") == 1


def test_learned_kernel_is_sobel(page):
    assert "<td>2.0000</td><td>0.0000</td><td>-2.0000</td>" in page


def _quick(monkeypatch):
    """The smallest tour, for tests that only ask how it ends."""
    monkeypatch.setattr(tour, "SECONDS_QUICK", 0)
    monkeypatch.setattr(tour, "CROP_QUICK", (6, 7))


def test_command_prints_a_row_for_each_function(convkit, photo, monkeypatch):
    _quick(monkeypatch)
    result = convkit("tour", photo, "--out", "t", "--quick")
    assert result.status == 0, result.out
    for function in FUNCTIONS:
        assert function in result.out
    assert "checks passed" in result.out
    assert "t/index.html" in result.out


def test_a_planted_wrong_kernel_fails(convkit, photo, monkeypatch, tmp_path):
    _quick(monkeypatch)
    right = library.conv2d_weight_grad

    def wrong(*args, **options):
        result = right(*args, **options)
        result.flat[0] += 1
        return result

    monkeypatch.setattr(library, "conv2d_weight_grad", wrong)
    result = convkit("tour", photo, "--out", "t", "--quick", "--json")
    assert result.status == 1
    data = result.json
    failed = [row for row in data["rows"] if not row["ok"]]
    assert {row["function"] for row in failed} == {"conv2d_weight_grad"}
    assert {row["part"] for row in failed} == {"photograph", "simt"}
    assert all("wrong: E =" in row["note"] for row in failed)
    assert "checks failed" in (tmp_path / "t" / "index.html").read_text()


def test_an_op_that_raises_fails_its_row_alone(convkit, photo, monkeypatch):
    _quick(monkeypatch)

    def broken(*args, **options):
        raise RuntimeError("deadlock <in> block 3")

    monkeypatch.setattr(library, "avg_pool2d_grad", broken)
    result = convkit("tour", photo, "--out", "t", "--quick")
    assert result.status == 1
    assert "RuntimeError: deadlock <in> block 3" in result.out


def test_bits_that_depend_on_thread_order_fail(photo, monkeypatch):
    color = to_planes(read_image(photo), color=True)[:, :, :6, :7]
    task = next(stages.crop_tasks(np.ascontiguousarray(color)))
    right, calls = library.conv2d, []

    def unstable(*args, **options):
        result = right(*args, **options)
        calls.append(1)
        if len(calls) == 2:
            result.flat[0] = np.nextafter(result.flat[0], np.float32(9))
        return result

    monkeypatch.setattr(library, "conv2d", unstable)
    rows = list(check_simt([task], 2))
    assert any("other bits in shuffled thread order" in row.note for row in rows)
    assert not all(row.ok for row in rows)


BAD = [
    (["nope.png"], "no such file"),
    (["photo.png", "--out", "photo.png"], "is a file, must be a folder"),
    (["photo.png", "--out", "photo.png/x"], "cannot be made"),
    (["photo.png", "--out", ""], "names no folder"),
    (["photo.png", "--out", "/proc/self/fdinfo"], "cannot be written"),
    (["photo.png", "--out", "theirs"], "holds a file original.png"),
    (["photo.png", "--out", "site"], "holds a file index.html"),
]


@pytest.mark.parametrize(("arguments", "hint"), BAD, ids=[hint for _, hint in BAD])
def test_bad_input_is_one_line_and_status_2(convkit, photo, tmp_path, arguments, hint):
    for name in ("theirs", "site"):
        (tmp_path / name).mkdir()
    Image.new("L", (2, 2)).save(tmp_path / "theirs" / "original.png")
    (tmp_path / "site" / "index.html").write_text("<p>my site</p>")
    result = convkit("tour", *arguments, "--quick")
    assert result.status == 2
    assert hint in result.one_line
    assert (tmp_path / "site" / "index.html").read_text() == "<p>my site</p>"


def test_a_second_tour_replaces_the_first_and_nothing_else(convkit, photo, tmp_path, monkeypatch):
    _quick(monkeypatch)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "notes.txt").write_text("mine")
    (tmp_path / "t" / "holiday.png").write_bytes(photo.read_bytes())
    for _ in range(2):
        assert convkit("tour", photo, "--out", "t", "--quick").status == 0
    assert (tmp_path / "t" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "t" / "holiday.png").read_bytes() == photo.read_bytes()


def test_names_that_are_no_text_work(convkit, photo, tmp_path, monkeypatch):
    _quick(monkeypatch)
    name = os.fsdecode(b"p\xff.png")
    (tmp_path / name).write_bytes(photo.read_bytes())
    result = convkit("tour", name, "--out", os.fsdecode(b"t\xff"), "--quick")
    assert result.status == 0, result.err
    assert b"p?.png" in (tmp_path / os.fsdecode(b"t\xff") / "index.html").read_bytes()


def test_interruption_leaves_no_half_files(convkit, photo, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("convkit.apps.checks.check_task", interrupt)
    result = convkit("tour", photo, "--out", "t", "--quick")
    assert result.status == 130
    assert list((tmp_path / "t").iterdir()) == []


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (1, 40)])
def test_tiny_images_work(convkit, tmp_path, monkeypatch, size):
    _quick(monkeypatch)
    Image.new("RGB", size, (200, 10, 90)).save(tmp_path / "tiny.png")
    result = convkit("tour", "tiny.png", "--out", "t", "--quick")
    assert result.status == 0, result.out + result.err


@pytest.mark.parametrize("color", [(200, 10, 90), (128, 128, 128), (37, 99, 181)])
def test_even_pictures_pass(tmp_path, color):
    Image.new("RGB", (400, 300), color).save(tmp_path / "even.png")
    result = tour.run(tmp_path / "even.png", tmp_path / "t", quick=True)
    assert [(row.function, row.backend, row.error) for row in result.rows if not row.ok] == []


def test_photograph_comes_with_matplotlib():
    assert photographs.find().name == "grace_hopper.jpg"


def test_no_photograph_is_said(monkeypatch):
    monkeypatch.setattr(photographs, "find_spec", lambda name: None)
    with pytest.raises(photographs.InputError, match="no photograph found"):
        photographs.find()


def test_peers_compute_the_same(photo):
    """A comparison of times means nothing where the others do something else."""
    image = read_image(photo)
    color, gray = to_planes(image, color=True), to_planes(image, color=False)
    seen = set()
    for stage in stages.photograph_stages(color, gray):
        for task in stage.tasks:
            wanted = expected(task.problem, task.direction, task.data)[0]
            found = peers(task.problem, task.direction, task.data, backend="cpu", threads=1)
            for peer in found:
                # The bound that the library's own algorithms are held to; NumPy comes to E = 1.3.
                comparison = compare(peer.output(peer.call()), wanted, DEFAULT_BOUND)
                assert comparison.ok, f"{peer.name} {task}: {comparison}"
                seen.add((peer.name, task.function))
    assert {function for name, function in seen if name == "NumPy"} == set(FUNCTIONS)
    assert {function for name, function in seen if name == "SciPy"} == {
        "conv2d",
        "max_pool2d",
        "avg_pool2d",
    }


def test_every_stage_has_rows_for_each_able_algorithm(photo):
    image = read_image(photo)
    color, gray = to_planes(image, color=True), to_planes(image, color=False)
    stage = next(iter(stages.photograph_stages(color, gray)))
    rows, calls = check_task(stage.tasks[0], "cpu")
    assert set(calls) == {row.algorithm for row in rows}
    assert set(calls) <= {row["name"] for row in _native.algorithms("conv2d")}


@pytest.mark.parametrize("width", [20, 47, 50, 56, 80, 130])
def test_narrow_terminals_cut_no_name(made, capsys, width):
    _, result = made
    table.show_rows(Console(width=width), result.rows, result.titles)
    text = capsys.readouterr().out
    assert "…" not in text
    if width >= 47:
        names = {name for row in result.rows for name in (row.function, row.algorithm)}
        assert names <= set(text.split())
