"""The compiled references against NumPy's."""

import numpy as np
import pytest

from convkit import reference, testing
from convkit.testing import compare, fast_reference, make_data, random_problem

# What summing in another order may change: of float64 sums, and of sums in longdouble.
CLOSE = {"float64": 1e-13, "longdouble": 1e-16}


def runs(op, kinds=("normal", "nan")):
    """(problem, direction, function name, arrays, options) that have a compiled form."""
    for seed in range(25):
        problem = random_problem(op, np.random.default_rng(seed), 100_000)
        for direction in problem.directions:
            for kind in kinds:
                data = make_data(problem, direction, kind, "float64", seed)
                if hasattr(fast_reference, problem.call(direction, data)[0]):
                    yield problem, direction, data


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize("op", ["conv2d", "pool2d", "gram"])
def test_compiled_loops_agree_with_numpy(op, dtype):
    for problem, direction, data in runs(op):
        wide = {name: a.astype(dtype) if a.dtype.kind == "f" else a for name, a in data.items()}
        name, arrays, options = problem.call(direction, wide)
        with np.errstate(all="ignore"):
            plain = getattr(reference, name)(*arrays, **options)
            compiled = getattr(fast_reference, name)(*arrays, **options)
        pairs = zip(plain, compiled, strict=True) if name == "max_pool2d" else [(plain, compiled)]
        for one, other in pairs:
            assert (other.dtype, other.shape) == (one.dtype, one.shape)
            scale = np.abs(one[np.isfinite(one)]).max(initial=1)
            np.testing.assert_allclose(
                other, one, rtol=0, atol=scale * CLOSE[dtype], err_msg=f"{problem.line} {direction}"
            )


def test_pairs_keep_what_one_float64_loses():
    x = np.array([1e17, 1.0, -1e17, 1.0], np.longdouble).reshape(1, 4, 1, 1)
    w = np.ones((1, 4, 1, 1), np.longdouble)
    assert fast_reference.conv2d(x, w).item() == 2.0
    tiny = np.full((1, 1, 1, 1), 1 + 2.0**-40, np.longdouble)
    assert fast_reference.conv2d(tiny, tiny).item() == np.longdouble(1 + 2.0**-40) ** 2


@pytest.mark.parametrize(
    ("op", "line", "compiled"),
    [
        ("conv2d", "n1c3h160w160-k32r3s3-st1-pd1", True),
        ("conv2d", "n1c3h16w16-k32r3s3-st1-pd1", False),  # small
        ("conv2d", "n1c64h40w40-k64r3s3-st1-pd1", False),  # BLAS is quicker
        ("pool2d", "max-n1c96h112w112-r3s3-st2-pd1", True),
    ],
)
def test_large_problems_use_the_compiled_form_where_it_is_quicker(monkeypatch, op, line, compiled):
    problem = testing.parse(op, line)
    name = "conv2d" if op == "conv2d" else "max_pool2d"
    called = []
    monkeypatch.setattr(fast_reference, name, lambda *a, **o: called.append(1) or np.zeros(1))
    monkeypatch.setattr(reference, name, lambda *a, **o: np.zeros(1))
    data = {key: a.astype("f8") for key, a in make_data(problem, "fprop").items()}
    testing.run_reference(problem, "fprop", data)
    assert bool(called) == compiled


def test_without_numba_large_problems_use_numpy(monkeypatch):
    problem = testing.parse("pool2d", "max-n1c96h112w112-r3s3-st2-pd1")
    monkeypatch.setitem(compare.__globals__, "_compiled", lambda: None)
    y, _ = testing.run_reference(problem, "fprop", make_data(problem, "fprop", dtype="float64"))
    assert y.shape == problem.y_shape
