"""`convkit bench`: rows are checked before they are timed, kept whole, compared and drawn."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest

import convkit as library
from convkit.apps import bench
from convkit.apps.benchmark import contestants, record, rows, suite
from convkit.apps.benchmark.comparison import compare_runs, judge
from convkit.apps.benchmark.contestants import as_written
from convkit.apps.benchmark.plots import text_bars
from convkit.apps.benchmark.rows import Contestant, Row
from convkit.apps.benchmark.table import mean_lines
from convkit.apps.terminal import InputError
from convkit.testing import PROBLEMS, Peaks, parse, problems
from convkit.testing.timing import Interval, Noise, median_interval, race, ratios

pytest_plugins = ["tests.apps.command"]

LINE = "n1c3h9w9-k4r3s3-st1-pd1-bias-relu"
FAST = ("--seconds", "0.01", "--vs", "numpy", "--threads", "1", "--backend", "cpu")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Writes mine.py into the folder where the command runs; forgets it afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text):
        (tmp_path / "mine.py").write_text(text)
        monkeypatch.delitem(sys.modules, "mine", raising=False)

    yield write
    sys.modules.pop("mine", None)


def contestant(row, name):
    return next(one for one in row["contestants"] if one["name"] == name)


def test_a_run_says_all_about_a_row(convkit):
    result = convkit("bench", f"conv2d {LINE}", *FAST, "--json")
    assert result.status == 0, result.err
    made = result.json
    assert made["schema"] == record.SCHEMA
    assert [row["direction"] for row in made["rows"]] == ["fprop", "dgrad", "wgrad"]
    for row in made["rows"]:
        ours = contestant(row, "convkit")
        assert row["line"] == LINE
        assert 0 <= ours["error"] <= row["bound"]
        assert len(ours["samples_s"]) >= 7
        assert row["ratios"]["NumPy"]["low"] <= row["ratios"]["NumPy"]["high"]
        assert row["algorithm"] in {a["name"] for a in library._native.algorithms("conv2d")}
        assert row["flops"] == parse("conv2d", LINE).flops_in(row["direction"])
        assert row["floor_s"] > 0
    assert [row["function"] for row in made["overhead"]] == ["conv2d"]
    assert made["machine"]["cpu"]
    assert made["versions"]["numpy"] == np.__version__
    assert {(mean["direction"], mean["peer"]) for mean in made["means"]} == {
        (direction, "NumPy") for direction in ("fprop", "dgrad", "wgrad")
    }


def test_the_table_has_a_line_for_each_row_and_means_at_the_end(convkit):
    result = convkit("bench", LINE, "max-n1c2h8w8-r2s2-st2-pd0", *FAST)
    assert result.status == 0, result.err
    lines = result.out.splitlines()
    assert lines[0].split()[:3] == ["row", "dir", "algorithm"]
    assert [line.split()[1] for line in lines[1:6]] == ["fprop", "dgrad", "wgrad", "fprop", "dgrad"]
    assert sum(line.startswith("mean ") for line in lines) == 5
    assert any(line.startswith("one conv2d call") for line in lines)
    assert any(line.startswith("roof, 1 thread") for line in lines)


def test_all_algorithms_and_thread_counts_race(convkit):
    line = "n1c4h8w8-k5r1s1-st1-pd0"
    options = ("--vs", "none", "--algo", "all", "--directions", "fprop", "--threads", "1,2")
    made = convkit("bench", line, "--seconds", "0.01", "--backend", "cpu", *options, "--json").json
    assert [row["threads"] for row in made["rows"]] == [1, 2]
    for row in made["rows"]:
        names = {one["name"] for one in row["contestants"]}
        others = {"1x1", "im2col", "direct", "implicit_gemm", "strict"} - {row["algorithm"]}
        assert names == {"convkit", *(f"convkit {name}" for name in others)}
        assert set(row["ratios"]) == names - {"convkit"}


def test_the_users_function_races_once_it_is_right(convkit, mine):
    mine(
        "import numpy as np\n"
        "def conv(x, w, bias=None, padding=0, activation=None):\n"
        "    import convkit\n"
        "    y = convkit.conv2d(x, w, bias, padding=padding)\n"
        "    x[...] = 7  # spoils its own arrays only\n"
        "    return np.maximum(y, 0)\n"
    )
    options = ("--with", "mine:conv", "--directions", "fprop", "--json")
    row, other = convkit("bench", LINE, "n1c3h8w8-r2s2-st1-pd0", *FAST, *options).json["rows"]
    assert contestant(row, "mine:conv")["error"] <= 8
    assert row["ratios"]["mine:conv"]["middle"] > 0
    assert contestant(row, "NumPy")["error"] <= 8  # it comes after mine
    assert {one["name"] for one in other["contestants"]} == {"convkit", "NumPy"}


def test_a_wrong_function_is_never_timed(convkit, mine):
    mine(
        "calls = 0\n"
        "def conv(x, w, bias=None, **options):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    import convkit\n"
        "    y = convkit.conv2d(x, w, bias, **options)\n"
        "    y[0, 1, 2, 3] += 0.5\n"
        "    return y\n"
    )
    result = convkit("bench", LINE, *FAST, "--with", "mine:conv", "--directions", "fprop", "--json")
    row = result.json["rows"][0]
    wrong = contestant(row, "mine:conv")
    assert wrong["note"].startswith("wrong: E = ")
    assert "[0, 1, 2, 3]" in wrong["note"]
    assert wrong["samples_s"] == []
    assert "mine:conv" not in row["ratios"]
    assert sys.modules["mine"].calls == 2  # one for the row, one for what a call costs
    assert result.status == 0  # it is not ours


@pytest.mark.parametrize(
    ("body", "note"),
    [
        ("return x[:1, :1]", "ValueError: the result is (1, 1, 9, 9)"),
        ("return x.undefined", "AttributeError"),
        ("return 1 / 0", "ZeroDivisionError"),
        ("return None", "NoArray: returned None"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_a_function_that_fails_says_why(convkit, mine, body, note):
    mine(f"def conv(x, w, bias=None, **options):\n    {body}\n")
    result = convkit("bench", LINE, *FAST, "--with", "mine:conv", "--directions", "fprop", "--json")
    assert contestant(result.json["rows"][0], "mine:conv")["note"].startswith(note)


def test_a_function_that_leaves_when_it_is_timed_is_a_failure_too():
    def leaves():
        raise SystemExit(3)

    result = race({"ours": lambda: None, "mine": leaves}, seconds=0.01)
    assert result.failed == {"mine": "SystemExit: 3"}


def test_a_function_that_kills_the_process_is_named(convkit_process, mine):
    deadly = "import os\ndef conv(x, w, bias=None, **options):\n    x.shape[1] < 3 or os._exit(7)\n"
    mine(deadly)
    options = (*FAST, "--with", "mine:conv", "--directions", "fprop")
    result = convkit_process("bench", LINE, *options)
    assert result.status == 7
    assert f"convkit: the process died in: convkit bench: conv2d {LINE} fprop\n" in result.err


def test_a_wrong_result_of_ours_is_not_timed_and_fails_the_run(convkit, monkeypatch):
    right = library.conv2d

    def planted(*args, **options):
        y = right(*args, **options)
        y[..., -1] += 1
        return y

    monkeypatch.setattr(library, "conv2d", planted)
    planted.__signature__ = contestants.inspect.signature(right)
    options = ("--directions", "fprop")
    result = convkit("bench", LINE, *FAST, *options)
    assert result.status == 1
    assert "convkit: wrong: E = " in result.out
    row = convkit("bench", LINE, *FAST, *options, "--json").json["rows"][0]
    assert all(one["samples_s"] == [] for one in row["contestants"])
    assert row["ratios"] == {}


def test_cold_empties_the_caches(convkit, monkeypatch):
    emptied = []
    monkeypatch.setattr(rows, "_evictor", lambda backend: lambda: emptied.append(backend))
    made = convkit("bench", LINE, *FAST, "--cold", "--directions", "fprop", "--json").json
    assert made["rows"][0]["cold"]
    assert len(emptied) >= 2 * len(contestant(made["rows"][0], "convkit")["samples_s"])


def test_a_run_that_cannot_be_kept_is_refused_before_it_begins(convkit, monkeypatch):
    monkeypatch.setattr(bench, "run", lambda *_, **__: pytest.fail("it began"))
    result = convkit("bench", LINE, *FAST, "--save", "/proc/none.json")
    assert result.status == 2
    assert "/proc/none.json: cannot be written" in result.one_line


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_run_whose_file_fails_at_the_end_still_tells_its_results(convkit, options):
    line = ("bench", LINE, *FAST, "--directions", "fprop")
    result = convkit(*line, "--save", "/dev/full", *options)
    assert result.status == 2
    assert result.err.startswith("convkit: /dev/full: cannot be written: No space left")
    assert "conv2d" in result.out
    assert ("roof, 1 thread" in result.out) == (not options)


def test_interruption_keeps_what_is_done(convkit, tmp_path, monkeypatch):
    run_row, seen = rows.run_row, []

    def interrupted(work, *rest):
        seen.append(work.direction)
        if work.direction == "dgrad":
            raise KeyboardInterrupt
        return run_row(work, *rest)

    monkeypatch.setattr(rows, "run_row", interrupted)
    result = convkit("bench", LINE, *FAST, "--save", "part.json")
    assert result.status == 130
    assert result.err.strip() == "convkit: interrupted"
    part = record.load(tmp_path / "part.json")
    assert part.interrupted
    assert [row.direction for row in part.rows] == ["fprop"]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["resnet51"], "'resnet51' names no row"),
        (["conv2d n1c3h9w9-k4r3s3-gelu"], "'gelu'"),
        (["n1k3"], "problem line of no op"),
        (["--vs", "tensorflow"], "--vs tensorflow: must be of torch"),
        (["--with", "mine"], "must be module:function"),
        (["--with", "no_such_module:f"], "ModuleNotFoundError"),
        (["--with", "fft=math:sin"], "'fft' is no public function"),
        (["--with", "math:pi"], "pi is float"),
        (["--threads", "0"], "--threads 0: must be whole numbers"),
        (["--threads", "1,1000"], "--threads 1,1000: must be whole numbers from 1 to 256"),
        ([""], "'' names no row"),
        (["conv2d", " "], "' ' names no row"),
        (["conv2d n1c6h4w4-k4r1s1-g4"], "groups is 4, must divide x's 6 channels"),
        (["conv2d n0c0h0w0-k0r0s0"], "x.shape[1] is 0"),
        (["conv2d n0c3h9w9-k4r3s3"], "a batch of 0 images has nothing to time"),
        (["conv2d n1c3h9w9-k4r3s3-dl0"], "dilation is (0, 0)"),
        (["conv2d n1c3h9w9-k4r3s3-pd99999999999999999999"], "below 2**31"),
        (["--threads", "two"], "--threads two"),
        (["--batch", "1,-2"], "--batch 1,-2"),
        (["--directions", "up"], "--directions up: must be of fprop"),
        (["--layout", "CHWN"], "--layout CHWN"),
        (["linear", "--layout", "NHWC"], "--layout NHWC"),
        (["--dtype", "int8"], "--dtype int8"),
        (["--backend", "simt"], "for checking"),
        (["--algo", "fft"], "--algo fft"),
        (["--seconds", "0"], "--seconds 0"),
        (["--save", "no/such/folder.json"], "--save no/such/folder.json"),
        (["compare", "a.json", "b.json"], "a.json: cannot be read"),
        (["compare", "a.json", "b.json", "--fail-over", "much"], "--fail-over much"),
        (["compare", "a.json", "b.json", "--fail-over", "5"], "must be a percentage such as 5%"),
        (["compare", "a.json", "b.json", "--within", "1"], "must be a percentage such as 5%"),
        (["compare", "a.json", "b.json", "--within", "-1%"], "must be a percentage such as 5%"),
        (["plot", "a.json"], "a.json: cannot be read"),
        (["compare", "a.json"], "--help"),
    ],
)
def test_bad_input_is_one_line_and_status_2(convkit, arguments, hint):
    result = convkit("bench", *arguments)
    assert result.status == 2
    assert hint in result.one_line


def test_one_by_one_filters_with_padding_race_numpy(convkit):
    line = "conv2d n1c2h4w4-k3r1s1-st1-pd1"
    result = convkit("bench", line, *FAST, "--directions", "fprop", "--json")
    assert contestant(result.json["rows"][0], "NumPy")["samples_s"]


def test_a_peer_that_fails_leaves_the_others(convkit, monkeypatch):
    from convkit.testing.peers import arrays

    monkeypatch.setattr(arrays, "_conv", lambda *_: 1 / 0)
    result = convkit("bench", LINE, *FAST, "--directions", "fprop", "--json")
    assert result.status == 0
    row = result.json["rows"][0]
    assert contestant(row, "NumPy")["note"].startswith("ZeroDivisionError")
    assert contestant(row, "convkit")["samples_s"]


@pytest.mark.parametrize("words", [("bench",), ("bench", "compare"), ("bench", "plot")])
def test_help_of_each_part(convkit, words):
    result = convkit(*words, "--help")
    assert result.status == 0
    assert f"Usage: convkit {' '.join(words)} " in result.out
    assert f"Example: convkit {' '.join(words)}" in result.out
    assert "--json" in result.out


def test_the_parts_stay_out_of_the_list_of_programs(convkit):
    assert "bench compare" not in convkit().out


# Rows of the suite


def test_no_word_means_all_layers_and_quick_a_choice():
    everything, some = suite.choose([]), suite.choose([], quick=True)
    assert set(some) < set(everything)
    assert {row.op for row in some} == PROBLEMS.keys()
    networks = {row.name.partition(".")[0] for row in everything if row.op == "conv2d"}
    assert {"lenet", "alexnet", "vgg16", "resnet50", "googlenet", "nin", "mobilenet"} <= networks


def test_words_name_rows():
    assert suite.choose(["resnet50.stem7x7"]) == [
        row for row in problems("conv2d") if row.name == "resnet50.stem7x7"
    ]
    assert {row.name.partition(".")[0] for row in suite.choose(["nin"])} == {"nin"}
    assert {row.op for row in suite.choose(["gram", "pool2d"])} == {"gram", "pool2d"}
    for op, line in (
        ("conv2d", LINE),
        ("pool2d", "avg-n1c3h8w8-r2s2-st2-pd0"),
        ("gram", "n1c4h5w5"),
        ("im2col", "n1c3h8w8-r3s3-st1-pd1"),
        ("conv_transpose2d", "n1c4h5w5-k3r3s3-st2-pd1-op1"),
        ("linear", "n4c10-k7"),
    ):
        assert suite.choose([line]) == suite.choose([op, line]) == [parse(op, line)]


def test_rows_are_varied():
    row = parse("conv2d", LINE)
    varied = suite.vary([row], [1, 16], ["NCHW", "NHWC"])
    assert [(one.n, one.layout) for one in varied] == [
        (1, "NCHW"),
        (1, "NHWC"),
        (16, "NCHW"),
        (16, "NHWC"),
    ]
    assert suite.vary([row], [], ["NCHW"]) == [row]
    flat = parse("linear", "n4c10-k7")
    assert suite.vary([flat], [], ["NCHW", "NHWC"]) == [flat]


def test_plain_rows_have_no_epilogue():
    for op, line, plain in [
        ("conv2d", LINE, "n1c3h9w9-k4r3s3-st1-pd1"),
        ("linear", "n4c10-k7-bias-residual-tanh", "n4c10-k7"),
        ("batch_norm", "n3c4h5w6-weight-bias-residual-relu", "n3c4h5w6-weight-bias"),
        ("gram", "n1c5h6w7-norm", "n1c5h6w7-norm"),
    ]:
        assert suite.without_epilogue(parse(op, line)).line == plain


def test_every_op_has_a_row_for_the_cost_of_its_call():
    assert bench.TINY.keys() == PROBLEMS.keys()
    for op, line in bench.TINY.items():
        assert parse(op, line).line == line


def test_options_are_passed_as_one_writes_them():
    def written(line, function="conv2d"):
        problem = parse("conv2d", line)
        _, _, options = problem.call("fprop", dict.fromkeys(("x", "w")))
        return as_written(getattr(library, function), options)

    assert written("n1c3h9w9-k4r3s3-st1-pd0") == {}
    assert written("n1c3h9w9-k4r3s3-st2-pd1") == {"stride": 2, "padding": 1}
    assert written("n1c4h9w9-k4r3s3-st2x1-pd1x0-g2") == {
        "stride": (2, 1),
        "padding": (1, 0),
        "groups": 2,
    }
    assert written("n1c3h9w9-k4r3s3-st1-pt0pb1pl0pr0")["padding"] == ((0, 1), (0, 0))
    assert written("n1c3h9w9-k4r3s3-st1-same-relu") == {"padding": "same", "activation": "relu"}


# Records, comparison, plots: runs whose samples are made up


def synthetic(speeds, *, seed=0, noise=0.01, peer=1.0, marks=(), machine=None):
    """A run in which row i takes 1/speeds[i] ms and torch `peer` ms."""
    rng = np.random.default_rng(seed)
    made = []
    for i, speed in enumerate(speeds):
        ours = list(1e-3 / speed * np.exp(noise * rng.standard_normal(60)))
        theirs = list(1e-3 * peer * np.exp(noise * rng.standard_normal(60)))
        one = Row(
            *("conv2d", f"row{i}", f"n{i + 1}c3h9w9-k4r3s3-st1-pd1", "fprop", "conv2d"),
            *("float32", "cpu", 1, False, 10**6, 10**5, 1e-4),
        )
        one.contestants = [
            Contestant("convkit", 0.5, samples_s=ours),
            Contestant("torch", 0.7, samples_s=theirs),
        ]
        one.ratios = {"torch": median_interval(ratios(ours, theirs))}
        one.interval = median_interval(ours)
        one.marks = list(marks)
        made.append(one)
    facts = {"cpu": "A", "isa": "avx2", "cores": 2, "gpu": []} | (machine or {})
    return record.Run(
        argv=["convkit", "bench"],
        started="2026-01-01T00:00:00+00:00",
        machine=facts,
        versions={"torch": "2.0"},
        settings={},
        peaks=[Peaks("cpu", "float32", 1, 1e11, 2e10)],
        reference_s=1e-4,
        rows=made,
    )


def test_a_record_is_read_as_it_was_written(tmp_path):
    made = synthetic([1.0, 2.0], marks=["loop +7%"])
    made.rows[0].contestants[1].samples_s[3] = None
    made.rows[1].noise = Noise(0.1, 1.5, 0.2, 0.3)
    made.rows[1].contestants[0].error = math.inf
    record.save(made, tmp_path / "a.json")
    found = record.load(tmp_path / "a.json")
    made.rows[1].contestants[0].error = None  # JSON has no infinity
    assert found == made


def test_verdicts_follow_the_samples():
    before = synthetic([1.0, 1.0, 1.0, 1.0])
    after = synthetic([1.0, 1.02, 1.25, 0.8], seed=1)
    found = compare_runs(before, after)
    assert [row.verdict for row in found.rows] == ["SAME", "SAME", "FASTER", "SLOWER"]
    assert [row.by for row in found.rows] == ["torch"] * 4
    assert found.rows[2].speed.middle == pytest.approx(1.25, rel=0.02)
    assert found.mean == pytest.approx((1.02 * 1.25 * 0.8) ** 0.25, rel=0.01)


@pytest.mark.parametrize(("noise", "same"), [(0.02, 99), (0.06, 95)])
def test_two_runs_of_the_same_speed_are_the_same(noise, same):
    a, b = (synthetic([1.0] * 100, seed=seed, noise=noise) for seed in (10, 11))
    assert compare_runs(a, b).count("SAME") >= same


def test_much_noise_makes_unsure_not_faster():
    a, b = (synthetic([1.0] * 100, seed=seed, noise=0.5) for seed in (10, 11))
    found = compare_runs(a, b)
    assert found.count("UNSURE") > 90
    assert found.count("FASTER") + found.count("SLOWER") <= 4


def test_a_slower_machine_slows_the_peer_too():
    """Half the clock in the second run: ours takes twice as long, and so does torch."""
    found = compare_runs(synthetic([1.0]), synthetic([0.5], peer=2.0, seed=1))
    assert found.rows[0].verdict == "SAME"


def test_another_version_of_the_peer_is_no_measure():
    after = synthetic([1.0], seed=1, peer=1.5)
    after.versions = {"torch": "3.0"}
    found = compare_runs(synthetic([1.0]), after).rows[0]
    assert (found.by, found.verdict) == ("time", "SAME")


@pytest.mark.parametrize(
    ("interval", "doubted", "verdict"),
    [
        ((1.00, 0.98, 1.03), False, "SAME"),
        ((1.04, 1.02, 1.09), False, "SAME"),
        ((1.00, 0.80, 1.30), False, "UNSURE"),
        ((1.08, 0.99, 1.12), False, "SAME"),
        ((1.08, 0.95, 1.20), False, "UNSURE"),
        ((1.08, 1.03, 1.12), False, "FASTER"),
        ((1.08, 1.03, 1.12), True, "UNSURE"),
        ((1.40, 1.20, 1.50), True, "FASTER"),
        ((0.92, 0.90, 0.97), False, "SLOWER"),
        ((0.92, 0.90, 0.97), True, "UNSURE"),
        ((0.92, 0.90, 1.01), False, "SAME"),
    ],
)
def test_what_an_interval_says(interval, doubted, verdict):
    assert judge(Interval(*interval), doubted=doubted) == verdict


def test_rows_of_one_run_alone_are_named():
    a, b = synthetic([1.0, 1.0]), synthetic([1.0, 1.0, 1.0], seed=1)
    b.rows[1] = replace(b.rows[1], threads=2)
    found = compare_runs(a, b)
    assert (len(found.rows), found.only_a, found.only_b) == (
        1,
        ("row1 fprop",),
        ("row1 fprop", "row2 fprop"),
    )


def test_other_machines_are_refused_unless_allowed():
    a, b = synthetic([1.0]), synthetic([1.0], machine={"cpu": "B"})
    with pytest.raises(InputError, match="cpu: A and B"):
        compare_runs(a, b)
    assert compare_runs(a, b, any_machine=True).machines == ("cpu: A and B",)


def test_compare_fails_over_a_limit_only_where_told(convkit, tmp_path):
    record.save(synthetic([1.0, 1.0]), tmp_path / "a.json")
    record.save(synthetic([0.85, 1.3], seed=1), tmp_path / "b.json")
    arguments = ("bench", "compare", "a.json", "b.json")
    plain = convkit(*arguments)
    assert plain.status == 0
    assert "1 FASTER, 1 SLOWER, 0 SAME, 0 UNSURE" in plain.out
    assert convkit(*arguments, "--fail-over", "5%").status == 1
    assert convkit(*arguments, "--fail-over", "25%").status == 0
    told = convkit(*arguments, "--fail-over", "0.05", "--json")
    assert told.status == 1
    assert told.json["failed"]
    assert [row["verdict"] for row in told.json["rows"]] == ["SLOWER", "FASTER"]


def test_a_run_is_drawn(convkit, tmp_path):
    record.save(synthetic([0.5, 1.0, 3.0]), tmp_path / "a.json")
    assert convkit("bench", "plot", "a.json").out == "a.png\n"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert convkit("bench", "plot", "a.json", "--out", "a.svg", "--json").json == {"file": "a.svg"}
    assert "row2 fprop" in (tmp_path / "a.svg").read_text() or (tmp_path / "a.svg").stat().st_size
    assert "must end in .png" in convkit("bench", "plot", "a.json", "--out", "a.jpg").one_line
    assert convkit("bench", "plot", "a.json", "--text").out.splitlines()[0] == "against torch"


def test_text_bars_cross_the_line_where_ours_is_faster():
    _, slower, same, faster = text_bars(synthetic([0.5, 1.0, 4.0], noise=1e-9))
    assert slower.endswith("0.50 #####     |")
    assert same.endswith("1.00 ##########|")
    assert faster.endswith("4.00 ##########|" + 30 * "#")


def test_rows_in_doubt_say_why():
    made = synthetic([1.0, 1.0], noise=0.01)
    quiet, noisy = made.rows
    quiet.reference_s = noisy.reference_s = [1e-4] * 9
    noisy.noise = Noise(stolen=0.05, others=1.9)
    noisy.ratios["torch"] = Interval(1.0, 0.8, 1.2)
    for row in made.rows:
        record.mark(row, made)
    assert quiet.marks == []
    assert noisy.marks == ["stolen 5.0%", "others 1.9 cores", "interval ±20%"]


def test_means_are_geometric_and_name_the_lowest():
    made = synthetic([0.5, 2.0, 8.0], noise=1e-9)
    made.rows[1].marks = ["loop +7%"]
    (mean,) = record.means(made.rows)
    assert mean.ratio == pytest.approx(2.0)
    assert (mean.rows, mean.ahead, mean.doubted, mean.lowest_name) == (3, 2, 1, "row0")
    assert "ahead in 2 of 3; ? 1 in doubt" in mean_lines([mean])[0]
