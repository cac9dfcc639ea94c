"""Statistics on samples whose truth is known, and rounds run by calls that count themselves."""

import numpy as np
import pytest

from convkit.testing import timing
from convkit.testing.timing import (
    Interval,
    Load,
    Noise,
    Way,
    change_interval,
    median_interval,
    noise_between,
    race,
    ratios,
    read_load,
)


def samples(median, spread, count, seed):
    rng = np.random.default_rng(seed)
    return median * np.exp(spread * rng.standard_normal(count))


def test_the_interval_holds_the_true_median_as_often_as_it_says():
    held = sum(
        found.low <= 2.0 <= found.high
        for found in (median_interval(samples(2.0, 0.1, 40, seed)) for seed in range(200))
    )
    assert 0.88 <= held / 200 <= 0.995


def test_noise_that_lasts_for_rounds_widens_the_interval():
    """Rounds that follow one another share what disturbs them: each tells less than it seems."""
    rng = np.random.default_rng(0)
    shifts = np.repeat(rng.choice([1.0, 1.3], 25), 4)
    values = shifts * samples(1.0, 0.01, 100, 1)
    mixed = rng.permutation(values)
    lasting = [median_interval(values, seed).width for seed in range(5)]
    scattered = [median_interval(mixed, seed).width for seed in range(5)]
    assert np.mean(lasting) > 1.3 * np.mean(scattered)


def test_few_values_give_the_smallest_and_the_largest():
    assert median_interval([3.0, 1.0, 2.0]) == Interval(2.0, 1.0, 3.0)
    with pytest.raises(ValueError, match="no values"):
        median_interval([])


def test_a_drift_of_the_machine_leaves_the_ratio_alone():
    """Times that double over the run: the ratio of each round still says 1.5."""
    drift = np.linspace(1, 2, 60)
    ours = list(drift * samples(1.0, 0.01, 60, 0))
    theirs = list(1.5 * drift * samples(1.0, 0.01, 60, 1))
    found = median_interval(ratios(ours, theirs))
    assert found.low < 1.5 < found.high
    assert found.width < 0.01
    assert median_interval(ours).width > 0.05


def test_rounds_that_one_sat_out_make_no_ratio():
    assert ratios([1.0, 2.0, 4.0], [3.0, None, 8.0]) == [3.0, 2.0]


@pytest.mark.parametrize("truth", [0.8, 1.0, 1.3])
def test_a_change_between_runs_is_found(truth):
    found = change_interval(samples(1.0, 0.05, 80, 2), truth * samples(1.0, 0.05, 80, 3))
    assert found.low <= truth <= found.high
    assert found.width < 0.05


def test_a_change_of_few_values_is_as_wide_as_they_are():
    found = change_interval([1.0, 2.0, 1.5], [1.0, 2.0, 1.5])
    assert found.low <= 0.75
    assert found.high >= 1.3


class Clock:
    """time.perf_counter that calls move on by what they are said to take."""

    def __init__(self, monkeypatch):
        self.now, self.log = 0.0, []
        monkeypatch.setattr(timing.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(timing, "_switches", lambda: 0)
        monkeypatch.setattr(timing, "reference_loop", lambda: self.pass_by(1e-4))

    def pass_by(self, seconds):
        self.now += seconds

    def call(self, name, seconds):
        def made():
            self.log.append(name)
            self.now += seconds

        return made


def test_a_race_takes_turns_and_finds_the_ratio(monkeypatch):
    clock = Clock(monkeypatch)
    calls = {"a": clock.call("a", 0.01), "b": clock.call("b", 0.03)}
    found = race(calls, seconds=100, least=7)
    ratio = found.ratio("a", "b")
    assert (ratio.low, ratio.middle, ratio.high) == pytest.approx((3, 3, 3))
    assert len(found.times("a")) == len(found.times("b")) == 8  # narrow at the first look
    # After two first calls of each: an untimed and a timed a, and a b that is too long to warm up.
    rounds = ["".join(clock.log[i : i + 3]) for i in range(4, len(clock.log), 3)]
    assert len(rounds) == 8
    assert set(rounds) == {"aab", "baa"}  # the order varies
    assert found.reference == pytest.approx([1e-4] * 8)


def test_short_calls_are_repeated_and_time_ends_a_race(monkeypatch):
    clock = Clock(monkeypatch)
    draw = np.random.default_rng(0)

    def unsteady():
        clock.log.append("a")
        clock.pass_by(1e-5 * draw.uniform(0.5, 1.5) ** 4)

    found = race({"a": unsteady}, seconds=0.05, precision=1e-9, least=3)
    assert 3 <= len(found.samples["a"]) < 100
    assert len(clock.log) > 20 * len(found.samples["a"])


def test_a_ratio_unfit_for_comparing_runs_gets_more_time(monkeypatch):
    def rounds(spread):
        clock, draw = Clock(monkeypatch), np.random.default_rng(0)

        def b():
            clock.pass_by(1e-3 * np.exp(spread * draw.standard_normal()))

        return len(race({"a": clock.call("a", 1e-3), "b": b}, seconds=0.1).samples["a"])

    steady, unsteady, hopeless = rounds(0.02), rounds(0.1), rounds(0.9)
    assert steady < 1.3 * 25  # four calls a round
    assert 1.3 * 25 < unsteady < 4 * 25
    assert hopeless > 3 * 25 / 1.5  # unsteady calls also take longer
    assert hopeless <= 4 * 25 + 1


def test_a_slow_peer_sits_out_and_a_broken_one_is_left_out(monkeypatch):
    clock = Clock(monkeypatch)

    def broken():
        raise RuntimeError("no")

    calls = {"a": clock.call("a", 0.01), "slow": clock.call("slow", 3.0), "broken": broken}
    found = race(calls, seconds=1, least=6)
    assert found.failed == {"broken": "RuntimeError: no"}
    assert len(found.times("slow")) == timing.SLOW_ROUNDS < len(found.times("a"))
    assert len(found.samples["slow"]) == len(found.samples["a"])
    assert found.ratio("a", "slow").middle == pytest.approx(300)


def test_calls_of_like_length_all_race_to_the_end(monkeypatch):
    clock = Clock(monkeypatch)
    found = race({"a": clock.call("a", 2.0), "b": clock.call("b", 3.0)}, seconds=1, least=7)
    assert len(found.times("a")) == len(found.times("b")) == 7


def test_a_disturbed_sample_is_taken_again(monkeypatch):
    clock = Clock(monkeypatch)
    switches = iter([0, 1, 1, 1])  # during the first try, not the second

    def switched():
        return next(switches, 1)

    monkeypatch.setattr(timing, "_switches", switched)
    found = race({"a": clock.call("a", 0.03)}, seconds=1, least=1, most=1)
    assert found.preempted == 0
    counts = iter(range(100))
    monkeypatch.setattr(timing, "_switches", lambda: next(counts))
    found = race({"a": clock.call("a", 0.03)}, seconds=1, least=1, most=1)
    assert found.preempted == 1


def test_caches_are_emptied_before_each_call_and_the_device_is_waited_for(monkeypatch):
    clock = Clock(monkeypatch)
    way = Way(wait=clock.call("wait", 0.5), evict=clock.call("evict", 9.0))
    found = race({"a": clock.call("a", 1e-6)}, seconds=1, least=2, most=2, way=way)
    assert found.times("a") == pytest.approx([0.5 + 1e-6] * 2)
    assert clock.log[-8:] == ["evict", "wait", "a", "wait"] * 2


def test_arrays_are_placed_anew_before_rounds(monkeypatch):
    clock = Clock(monkeypatch)
    places = []

    def place():
        places.append(clock.now)
        return {"a": clock.call(f"a{len(places)}", 0.03)}

    race({"a": clock.call("a", 0.03)}, seconds=1, least=5, most=5, place=place)
    assert len(places) == 5
    assert clock.log[-5:] == ["a1", "a2", "a3", "a4", "a5"]


def test_placing_takes_no_longer_than_the_rounds(monkeypatch):
    clock = Clock(monkeypatch)
    places = []

    def place():
        places.append(clock.now)
        clock.pass_by(0.1)
        return {"a": clock.call("a", 0.025)}

    race({"a": clock.call("a", 0.025)}, seconds=100, least=40, most=40, place=place)
    assert 2 <= len(places) <= 12  # a quarter of the rounds takes as long


def test_stolen_time_and_other_programs_are_told():
    before = Load(wall=0, own=0, busy=10, stolen=1, total=100)
    quiet = Load(wall=10, own=9.9, busy=20, stolen=1, total=120)
    robbed = Load(wall=10, own=9, busy=19, stolen=2, total=120)
    crowded = Load(wall=10, own=10, busy=28, stolen=1, total=120)
    assert noise_between(before, quiet).reasons(1, 2) == []
    assert noise_between(before, robbed).stolen == pytest.approx(0.05)
    assert noise_between(before, robbed).reasons(1, 2) == ["stolen 5.0%"]
    assert noise_between(before, crowded).reasons(1, 2) == ["others 0.8 cores"]
    assert noise_between(before, crowded).reasons(1, 8) == []  # there were idle cores
    assert noise_between(None, quiet) == Noise()


def test_drift_and_preemption_are_told():
    assert Noise(drift=0.02, preempted=0.1).reasons(1, 2) == []
    assert Noise(drift=0.07).reasons(1, 2) == ["loop +7%"]
    assert Noise(preempted=0.5).reasons(1, 2) == ["preempted 50%"]
    assert timing.drift_of([1.1, 1.0, 1.2], 1.0) == pytest.approx(0.1)
    assert timing.drift_of([], 1.0) == 0


def test_threads_that_look_for_work_are_seen(tmp_path):
    for name, stat in {"1": "1 (a) R) S 1 2", "2": "2 (own) R 1 2"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "stat").write_text(stat)
    (tmp_path / "3").mkdir()  # has ended
    own = timing.threading.get_native_id()
    (tmp_path / "2").rename(tmp_path / str(own))
    assert not timing._others_run(str(tmp_path))
    (tmp_path / "1" / "stat").write_text("1 (a) R) R 1 2")
    assert timing._others_run(str(tmp_path))
    assert not timing._others_run(str(tmp_path / "none"))


def test_a_call_waits_for_the_threads_of_the_one_before(monkeypatch):
    running = [True, True, False]
    monkeypatch.setattr(timing, "_others_run", lambda: running.pop(0) if running else False)
    race({"a": lambda: None}, seconds=0, least=1, most=1, way=Way(pools=True))
    assert running == []


def test_the_load_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(timing.os, "sysconf", lambda name: 100)
    file = tmp_path / "stat"
    file.write_text("cpu  100 200 300 4000 500 60 70 800 0 0\ncpu0 1 2 3\n")
    found = read_load(str(file))
    assert (found.busy, found.stolen, found.total) == pytest.approx((7.3, 8.0, 60.3))
    assert read_load(str(tmp_path / "none")) is None
    file.write_text("nonsense\n")
    assert read_load(str(file)) is None
