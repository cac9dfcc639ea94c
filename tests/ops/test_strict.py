"""precision="strict": one tree of sums, the same bits wherever and however it runs."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import convkit
from convkit import testing
from convkit.testing.memory import lay

from . import strict_tree
from .properties import PER_IMAGE
from .strict_bits import OPS, StrictCase, all_digests, digest_of, image_slices, strict_cases
from .table import HOST_BACKENDS, has_device
from .test_isa import narrower_sets

ROOT = Path(__file__).parents[2]
BACKENDS = (*HOST_BACKENDS, "cuda") if has_device() else HOST_BACKENDS


@functools.cache
def digests(op: str) -> dict[str, str]:
    """What this processor's widest instruction set makes."""
    return all_digests("cpu", (op,))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op", OPS)
def test_backends_and_layouts_give_the_same_bits(op, backend):
    wrong = [
        f"{case.id} {layout}"
        for case in strict_cases(op)
        for layout in case.problem.layouts
        if (backend, layout) != ("cpu", case.problem.layout)  # the digests themselves
        if case.digest(backend, layout) != digests(op)[case.id]
    ]
    assert not wrong, f"{len(wrong)}: {wrong[:5]}"


@pytest.mark.parametrize("isa", narrower_sets())
def test_instruction_sets_give_the_same_bits(isa):
    # Beside an AVX-512 processor's own simt kernels only the baseline's are others.
    backends = HOST_BACKENDS if isa == "baseline" else ("cpu",)
    done = subprocess.run(
        [sys.executable, "-m", "tests.ops.strict_bits", *backends],
        cwd=ROOT,
        env=os.environ | {"CONVKIT_ISA": isa},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    own = {key: value for op in OPS for key, value in digests(op).items()}
    for backend, found in json.loads(done.stdout).items():
        assert found.keys() == own.keys()
        wrong = [key for key, value in found.items() if value != own[key]]
        assert not wrong, f"{backend}, {len(wrong)}: {wrong[:5]}"


@pytest.mark.parametrize("op", OPS)
def test_strided_arrays_give_the_same_bits(op):
    for case in strict_cases(op):
        layout = case.problem.layouts[-1]
        data = {
            name: array if name.startswith("running") else lay(array, "strided")
            for name, array in case.data(layout).items()
        }
        assert case.digest("cpu", layout, data) == digests(op)[case.id], case.id


@pytest.mark.parametrize("op", OPS)
def test_an_image_has_the_bits_alone_that_it_has_in_a_batch(op):
    for case in strict_cases(op):
        problem = case.problem
        if not problem.images_independent(case.direction) or problem.n not in (1, 2):
            continue
        data, parts, batch, alone = image_slices(case, 3, PER_IMAGE)
        whole = strict_outputs(batch, data)
        for i, part in enumerate(parts):
            single = digest_of(strict_outputs(alone, part))
            assert single == digest_of([output[i : i + 1] for output in whole]), case.id


def strict_outputs(case: StrictCase, data: dict[str, np.ndarray]) -> list[np.ndarray]:
    # Wide and NaN data overflow and are invalid on purpose; the bits are what is compared.
    with np.errstate(all="ignore"):
        outcome = testing.run_case(
            case.problem, case.direction, "auto", "cpu", data, precision="strict"
        )
    return list(outcome.outputs or ())


# Large enough for several threads.
LARGE = {
    "conv2d": "n3c40h28w28-k24r3s3-st1-pd1",
    "conv_transpose2d": "n3c24h28w28-k40r3s3-st2-pd1",
    "linear": "n60c700-k300",
    "pool2d": "avg-n2c30h64w64-r3s3-st2-pd1",
    "adaptive_pool2d": "avg-n2c70h64w64-p9q9",
    "gram": "n2c70h40w40",
    "im2col": "n2c30h64w64-r3s3-st1-pd1",
    "batch_norm": "n4c30h90w90-train-weight-bias-residual-tanh",
    "bias_grad": "n4c40h90w90",
    "lrn": "n2c40h30w30-size5-alpha0.3-beta0.6-k1",
    "cross_entropy": "n500c300",
}


@pytest.mark.parametrize("op", OPS)
def test_any_number_of_threads_gives_the_same_bits(op):
    row = testing.parse(op, LARGE[op])
    for layout in row.layouts:
        for direction in row.directions:
            case = StrictCase(row, direction, "float32", "normal")
            found = set()
            for count in (1, 2, 5):
                with testing.use_threads(count):
                    found.add(case.digest("cpu", layout))
            assert len(found) == 1, f"{direction} {layout}"


def test_every_direction_has_one_strict_algorithm_on_every_backend():
    for op in OPS:
        rows = testing.algorithms(op)
        for backend in {row["backend"] for row in rows}:
            mine = [row for row in rows if row["backend"] == backend]
            strict = [row for row in mine if row["strict"]]
            assert [row["name"] for row in strict] == ["strict"]
            assert set(strict[0]["directions"]) == {d for row in mine for d in row["directions"]}


def test_the_emulated_multiply_add_rounds_once():
    strict_tree.check_fused()


@pytest.mark.parametrize("terms", [1, 63, 64, 65, 1024, 1025, 16384, 16385, 40000])
def test_sums_follow_the_stated_tree(terms):
    rng = np.random.default_rng(terms)
    grad_y = rng.standard_normal((1, 2, 1, terms), "f4")
    stated = strict_tree.total(strict_tree.chains_of_terms(grad_y[0, :, 0].T))
    assert np.array_equal(convkit.conv2d_bias_grad(grad_y, precision="strict"), stated)


@pytest.mark.parametrize(("n", "c", "k"), [(3, 5, 4), (2, 1100, 3), (20000, 2, 3)])
def test_linear_follows_the_stated_tree(n, c, k):
    rng = np.random.default_rng(c)
    x, w = rng.standard_normal((n, c), "f4"), rng.standard_normal((k, c), "f4")
    bias = rng.standard_normal(k, "f4")
    stated = strict_tree.product(x[:4], w.T) + bias
    y = convkit.linear(x, w, bias, activation="relu", precision="strict")
    assert np.array_equal(y[:4], np.maximum(stated, 0))
    grad_y = rng.standard_normal((n, k), "f4")
    grad_w = convkit.linear_weight_grad(grad_y, x, precision="strict")
    assert np.array_equal(grad_w, strict_tree.product(grad_y.T, x))


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(
    "line",
    [
        "n2c6h9w8-k4r3s2-st2x1-pd1-g2",
        "n1c130h6w6-k3r3s3-st1-pd1",
        "n2c4h7w5-k6r3s3-st2x1-pd3x2-dl1x2-g2-reflect",
        "n1c3h4w5-k40r5s4-st1-pd4x3-replicate",
        "n2c3h5w6-k20r3s3-st2-pd5-circular",
    ],
)
def test_conv2d_follows_the_stated_tree(line, layout):
    problem = testing.parse("conv2d", line).with_layout(layout)
    stated = strict_tree.Conv2d(testing.parse("conv2d", line))
    for direction in ("fprop", "dgrad", "wgrad"):
        data = testing.make_data(problem, direction)
        plain = testing.make_data(problem.with_layout("NCHW"), direction)
        case = StrictCase(problem, direction, "float32", "normal")
        expected = digest_of([getattr(stated, direction)(**plain)])
        assert case.digest("cpu", layout, data) == expected, direction


@pytest.mark.parametrize(("side", "stride", "pad"), [(3, 2, 1), (12, 1, 5), (33, 1, 0)])
def test_average_pools_follow_the_stated_tree(side, stride, pad):
    rng = np.random.default_rng(side)
    x = rng.standard_normal((2, 3, side + 3, side + 2), "f4")
    stated = strict_tree.AveragePool(side, stride, pad)
    options = {"stride": stride, "padding": pad, "count_include_pad": False}
    y = convkit.avg_pool2d(x, side, precision="strict", **options)
    assert np.array_equal(y, stated.forward(x))
    grad_y = rng.standard_normal(y.shape, "f4")
    grad_x = convkit.avg_pool2d_grad(grad_y, x.shape, side, precision="strict", **options)
    assert np.array_equal(grad_x, stated.backward(grad_y, *x.shape[2:]))


def test_gram_matrices_follow_the_stated_tree():
    x = np.random.default_rng(0).standard_normal((1, 5, 40, 30), "f4")
    rows = x[0].reshape(5, -1)
    stated = strict_tree.product(rows, rows.T) / np.float32(5 * 40 * 30)
    assert np.array_equal(convkit.gram_matrix(x, normalize=True, precision="strict")[0], stated)
    grad = np.random.default_rng(1).standard_normal((1, 5, 5), "f4")
    stated = strict_tree.product(grad[0] + grad[0].T, rows)
    grad_x = convkit.gram_matrix_grad(grad, x, precision="strict")
    assert np.array_equal(grad_x[0].reshape(5, -1), stated)


def test_a_variance_follows_the_stated_tree():
    x = np.random.default_rng(0).standard_normal((2, 3, 30, 40), "f4") + np.float32(3)
    _, mean, invstd = convkit.batch_norm(
        x, training=True, return_stats=True, eps=0.0, precision="strict"
    )
    m = np.float64(2 * 30 * 40)
    terms = x.transpose(0, 2, 3, 1).reshape(-1, 3)
    first = (strict_tree.total(strict_tree.chains_of_terms(terms)) / m).astype("f4")
    d = terms - first
    sums = strict_tree.total(strict_tree.chains_of_terms(d)).astype("f8")
    squares = [strict_tree.product(d[:, c][None], d[:, c][:, None])[0, 0] for c in range(3)]
    variance = (np.array(squares, "f8") - sums * (sums / m)) / m
    assert np.array_equal(mean, (first + sums / m).astype("f4"))
    assert np.array_equal(invstd, (1 / np.sqrt(variance)).astype("f4"))


@pytest.mark.parametrize("classes", [1, 10, 1100])
def test_a_softmax_follows_the_stated_tree(classes):
    z = 5 * np.random.default_rng(classes).standard_normal((3, classes), "f4")
    e = strict_tree.exp(z - z.max(1, keepdims=True))
    inverse = 1 / strict_tree.total(strict_tree.chains_of_terms(e.T))[:, None]
    target = np.arange(3) % classes
    wanted = (np.arange(classes) == target[:, None]).astype("f4")
    grad = convkit.cross_entropy_grad(
        np.ones((), "f4"), z, target, reduction="sum", precision="strict"
    )
    assert np.array_equal(grad, strict_tree.fused(e, inverse, -wanted))


@pytest.mark.parametrize("shape", [(40000, 3), (2, 5, 11, 80)])
def test_sums_of_losses_follow_the_stated_tree(shape):
    rng = np.random.default_rng(0)
    z = rng.standard_normal(shape, "f4")
    target = rng.integers(-1, shape[1], shape[:1] + shape[2:])
    options = {"ignore_index": -1, "precision": "strict"}
    losses = convkit.cross_entropy(z, target, reduction="none", **options).ravel()
    stated = strict_tree.total(strict_tree.chains_of_terms(losses))
    assert convkit.cross_entropy(z, target, reduction="sum", **options) == stated
    stated = stated / np.float32((target != -1).sum())
    assert convkit.cross_entropy(z, target, **options) == stated


def test_an_algorithm_of_another_order_is_refused():
    x = np.ones((1, 1, 3, 3), "f4")
    with pytest.raises(ValueError, match=r"order of their own.*These can: strict"):
        convkit.conv2d(x, x, algo="direct", precision="strict")
    told = convkit.explain("conv2d", x.shape, x.shape, precision="strict", measure=False)
    assert told.algorithm == "strict"
    assert "every backend" in str(told)
