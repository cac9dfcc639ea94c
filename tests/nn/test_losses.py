"""Losses against numbers worked by hand, the references, torch and differences."""

import doctest
import inspect

import ml_dtypes
import numpy as np
import pytest

import convkit
from convkit import Tensor, reference
from convkit.autograd import grad, gradcheck
from convkit.nn import losses

RNG = np.random.default_rng(3)
FEATURES, OTHER, THIRD = RNG.uniform(0.1, 2, (3, 5, 4))
PICTURE, TARGET = RNG.normal(size=(2, 2, 3, 4, 5))
WIDE_STYLE = RNG.normal(size=(1, 3, 6, 3))
LABELS = [0, 1, 0, 1, 2]
SAME = np.array([1, 0, 0, 1, 0])
WEIGHTS, BIAS = RNG.normal(size=4), np.array(0.3)

# Name, arrays that may have gradients, further arguments, options.
CALLS = {
    "bce": ("binary_cross_entropy_with_logits", [FEATURES - 1, OTHER / 2], (), {}),
    "bce_sum": ("binary_cross_entropy_with_logits", [FEATURES - 1, OTHER / 2], ("sum",), {}),
    "bce_none": ("binary_cross_entropy_with_logits", [FEATURES - 1, OTHER / 2], ("none",), {}),
    "mse": ("mse_loss", [FEATURES, OTHER], (), {}),
    "mse_none": ("mse_loss", [FEATURES, OTHER], ("none",), {}),
    "triplet": ("triplet_loss", [FEATURES, OTHER, THIRD], (), {}),
    "triplet_mean": (
        "triplet_loss",
        [FEATURES, OTHER, THIRD],
        (),
        {"margin": 1.5, "reduction": "mean"},
    ),
    "batch_hard": ("batch_hard_loss", [FEATURES], (LABELS,), {}),
    "batch_hard_soft": ("batch_hard_loss", [FEATURES], (LABELS,), {"margin": None}),
    "batch_hard_none": (
        "batch_hard_loss",
        [FEATURES],
        (LABELS,),
        {"margin": 3.0, "reduction": "none"},
    ),
    "contrastive": ("contrastive_loss", [FEATURES, OTHER], (SAME,), {"margin": 2.0}),
    "contrastive_sum": ("contrastive_loss", [FEATURES, OTHER], (SAME,), {"reduction": "sum"}),
    "verification": ("verification_logits", [FEATURES, OTHER, WEIGHTS, BIAS], (), {}),
    "chi_square": (
        "verification_logits",
        [FEATURES, OTHER, WEIGHTS, BIAS],
        (),
        {"similarity": "chi_square"},
    ),
    "content": ("content_loss", [PICTURE, TARGET], (), {}),
    "content_sum": ("content_loss", [PICTURE, TARGET], ("sum",), {}),
    "content_course": ("content_loss", [PICTURE, TARGET], ("course",), {}),
    "content_mean": ("content_loss", [PICTURE, TARGET], ("mean",), {}),
    "style": ("style_loss", [PICTURE, TARGET], (), {}),
    "style_of_another_size": ("style_loss", [PICTURE, WIDE_STYLE], (), {}),
    "style_nhwc": ("style_loss", [PICTURE, TARGET], (), {"layout": "NHWC"}),
    "variation": ("total_variation", [PICTURE], (), {}),
    "variation_absolute": ("total_variation", [PICTURE], ("absolute",), {}),
    "variation_nhwc": ("total_variation", [PICTURE], (), {"layout": "NHWC"}),
}
EACH = pytest.mark.parametrize("call", CALLS)


def tensors(*arrays, dtype="f8"):
    return [Tensor(np.array(array, dtype), requires_grad=True) for array in arrays]


@EACH
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(np.float64, 1e-13), (np.float32, 2e-6), (np.float16, 0.02), (ml_dtypes.bfloat16, 0.15)],
)
def test_matches_the_reference_in_its_own_dtype(call, dtype, tolerance):
    name, arrays, further, options = CALLS[call]
    given = tensors(*arrays, dtype=dtype)
    got = getattr(losses, name)(*given, *further, **options)
    expected = getattr(reference, name)(*(one.data for one in given), *further, **options)
    assert got.dtype == dtype
    assert got.shape == expected.shape
    wide = (one.astype("f8") for one in (got.data, expected))
    # Sums and their inputs are rounded in the dtype: some tens of its eps, as the rows above say.
    np.testing.assert_allclose(*wide, rtol=tolerance, atol=tolerance)
    got.backward(np.ones(got.shape, dtype))
    assert {one.grad.dtype for one in given} == {np.dtype(dtype)}


@EACH
def test_gradients_agree_with_differences(call):
    name, arrays, further, options = CALLS[call]
    gradcheck(lambda *given: getattr(losses, name)(*given, *further, **options), tensors(*arrays))


@pytest.mark.parametrize("call", ["bce", "triplet", "batch_hard_soft", "contrastive", "style"])
def test_gradients_have_gradients(call):
    name, arrays, further, options = CALLS[call]

    def slope(*given):
        loss = getattr(losses, name)(*given, *further, **options)
        return grad(loss, [given[0]], create_graph=True)[0]

    gradcheck(slope, tensors(*arrays), tolerance=1e-5)


@pytest.mark.parametrize("name", losses.__all__)
def test_parameters_are_those_of_the_reference(name):
    def parameters(function):
        return [
            (p.name, p.default, p.kind) for p in inspect.signature(function).parameters.values()
        ]

    assert parameters(getattr(losses, name)) == parameters(getattr(reference, name))


@pytest.mark.parametrize("name", losses.__all__)
def test_docstring_examples_run(name):
    function = getattr(losses, name)
    for section in ("Args:", "Returns:", "Raises:", ">>>"):
        assert section in function.__doc__
    runner = doctest.DocTestRunner()
    for example in doctest.DocTestFinder().find(function, name, globs={name: function}):
        runner.run(example)
    assert runner.failures == 0


# Numbers worked by hand.


def test_binary_cross_entropy_by_hand():
    (z,) = tensors([0.5])
    loss = losses.binary_cross_entropy_with_logits(z, np.ones(1, "u1"))
    loss.backward()
    assert loss.item() == pytest.approx(0.4740769841801067, abs=1e-15)
    assert z.grad.item() == pytest.approx(-0.3775406687981454, abs=1e-15)


def test_binary_cross_entropy_at_both_ends_and_at_zero():
    (z,) = tensors([50.0, -50.0, 1e4, -1e4, 0.0])
    y = [1, 0, 0, 1, 1]
    loss = losses.binary_cross_entropy_with_logits(z, y, "none")
    small = np.exp(-50)
    np.testing.assert_allclose(loss.data, [small, small, 1e4, 1e4, np.log(2)], rtol=1e-14)
    loss.sum().backward()
    np.testing.assert_allclose(z.grad.data, [-small, small, 1, -1, -0.5], rtol=1e-14)


def test_verification_by_hand():
    f1, f2, w = tensors([[0.5, 1.0, 0.25]], [[0.0, 1.0, 0.0]], [-1.0, 2.0, -4.0])
    (b,) = tensors([1.0])
    z = losses.verification_logits(f1, f2, w, b)
    assert z.data.tolist() == [-0.5]
    assert z.sigmoid().item() == pytest.approx(0.3775406687981454, abs=1e-15)
    loss = losses.binary_cross_entropy_with_logits(z, [True])
    assert loss.item() == pytest.approx(0.9740769841801067, abs=1e-15)
    loss.backward()
    dz = 0.3775406687981454 - 1
    np.testing.assert_allclose(w.grad.data, [0.5 * dz, 0, 0.25 * dz], rtol=1e-14)
    np.testing.assert_allclose(b.grad.data, [dz], rtol=1e-14)
    # sign(0) = 0: features that are equal get no gradient.
    np.testing.assert_allclose(f1.grad.data, [[-dz, 0, -4 * dz]], rtol=1e-14)
    np.testing.assert_array_equal(f2.grad.data, -f1.grad.data)


def test_chi_square_by_hand():
    f1, f2 = tensors([[1.0, 2.0, 0.0, 0.0]], [[0.5, 2.0, 0.25, 0.0]])
    each = [
        losses.verification_logits(f1, f2, unit, similarity="chi_square").item()
        for unit in np.eye(4)
    ]
    np.testing.assert_allclose(each, [1 / 6, 0, 0.25, 0], rtol=1e-15)
    z = losses.verification_logits(f1, f2, np.ones(4), similarity="chi_square")
    assert z.item() == pytest.approx(0.41666666666666663, abs=1e-16)
    z.backward()
    # (f1 - f2)(f1 + 3 f2) / (f1 + f2)^2, 0 where both are 0.
    slopes = [0.5 * 2.5 / 1.5**2, 0, -0.25 * 0.75 / 0.25**2, 0]
    np.testing.assert_allclose(f1.grad.data, [slopes], rtol=1e-14)


def test_triplets_by_hand():
    a, p, n = tensors([[0.6, 0.8]], [[0.8, 0.6]], [[1.0, 0.0]])
    idle = losses.triplet_loss(a, p, n)
    idle.backward()
    assert idle.item() == 0
    assert not a.grad.data.any()
    a, p, n = tensors([[0.6, 0.8]], [[0.8, 0.6]], [[1.0, 0.0]])
    loss = losses.triplet_loss(a, p, n, margin=0.8)
    loss.backward()
    assert loss.item() == pytest.approx(0.08, abs=1e-15)
    np.testing.assert_allclose(a.grad.data, [[0.4, -1.2]], atol=1e-15)
    np.testing.assert_allclose(p.grad.data, [[0.4, -0.4]], atol=1e-15)
    np.testing.assert_allclose(n.grad.data, [[-0.8, 1.6]], atol=1e-15)


def test_the_triplet_loss_is_a_sum():
    a = np.zeros((7, 3))
    assert losses.triplet_loss(a, a, a).item() == pytest.approx(7 * 0.2)


def test_contrastive_by_hand():
    f1, f2 = tensors([[0.3, 0.4], [0.3, 0.4]], [[0.0, 0.0], [0.0, 0.0]])
    loss = losses.contrastive_loss(f1, f2, [1, 0], reduction="none")
    np.testing.assert_allclose(loss.data, [0.125, 0.125], rtol=1e-15)
    loss.sum().backward()
    # s (f1 - f2), and -(m - D)/D (f1 - f2).
    np.testing.assert_allclose(f1.grad.data, [[0.3, 0.4], [-0.3, -0.4]], rtol=1e-14)
    np.testing.assert_array_equal(f2.grad.data, -f1.grad.data)


def test_equal_features_have_gradient_zero():
    f1, f2 = tensors(np.ones((2, 3)), np.ones((2, 3)))
    loss = losses.contrastive_loss(f1, f2, [0, 1], reduction="none")
    assert loss.data.tolist() == [0.5, 0]
    loss.sum().backward()
    assert not f1.grad.data.any()
    (x,) = tensors(np.ones((4, 3)))
    loss = losses.batch_hard_loss(x, [0, 0, 1, 1])
    assert loss.item() == pytest.approx(0.2)
    loss.backward()
    assert not x.grad.data.any()


def test_content_by_hand():
    f = np.array([[[[1.0, 2], [3, 4]], [[0, 1], [1, 0]]]])
    s = np.array([[[[1.0, 0], [0, 1]], [[2, 0], [0, 2]]]])
    values = [losses.content_loss(f, s, scale).item() for scale in ("half", "sum", "course")]
    assert values == [16, 32, 1]
    assert losses.content_loss(f, s, "mean").item() == 4


def test_style_by_hand():
    f = Tensor(np.array([[[[1.0, 2], [3, 4]], [[0, 1], [1, 0]]]]), requires_grad=True)
    s = np.array([[[[1.0, 0], [0, 1]], [[2, 0], [0, 2]]]])
    loss = losses.style_loss(f, s)
    loss.backward()
    assert loss.item() == 3.2109375
    assert f.grad.data[0, 0].tolist() == [[0.4375, 0.890625], [1.328125, 1.75]]
    assert f.grad.data[0, 1].tolist() == [[0.015625, -0.0625], [-0.046875, 0.0625]]


def test_a_style_computed_once_is_the_same_style():
    gram = convkit.gram_matrix(TARGET, normalize=True)
    whole = losses.style_loss(PICTURE, TARGET)
    assert losses.style_loss(PICTURE, gram).item() == whole.item()
    one = losses.style_loss(PICTURE, gram[:1]).item()
    assert one == pytest.approx(losses.style_loss(PICTURE, np.stack([TARGET[0]] * 2)).item())


def test_a_tiled_picture_has_the_style_of_its_tile():
    tiled = np.tile(PICTURE, (1, 1, 2, 3))
    assert losses.style_loss(PICTURE, tiled).item() < 1e-25


def test_total_variation_by_hand():
    (x,) = tensors([[[[1, 2], [4, 8]]]])
    assert losses.total_variation(x).item() == 62
    losses.total_variation(x).backward()
    # 2 (differences to both neighbours).
    assert x.grad.data[0, 0].tolist() == [[-8, -10], [-2, 20]]
    (x,) = tensors([[[[1, 2], [4, 4]]]])
    loss = losses.total_variation(x, "absolute")
    loss.backward()
    assert loss.item() == 1 + 0 + 3 + 2
    assert x.grad.data[0, 0].tolist() == [[-2, 0], [1, 1]]


# Mining.


@pytest.mark.parametrize("seed", range(5))
def test_mining_finds_what_the_definition_finds(seed):
    rng = np.random.default_rng(seed)
    x, labels = rng.normal(size=(24, 3)), rng.integers(0, 6, 24)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for name in ("semi_hard_triplets", "batch_hard_triplets"):
        got = getattr(losses, name)(Tensor(x, requires_grad=True), labels)
        expected = getattr(reference, name)(x, labels)
        assert len(expected[0]) > 10
        for one, other in zip(got, expected, strict=True):
            assert one.dtype == np.int64
            np.testing.assert_array_equal(one, other)


def test_a_semi_hard_negative_is_past_the_positive_and_within_the_margin():
    # Squared distances from face 0: positive 1; negatives 0.81, 1.21, 1.44, 9.
    x = np.array([[0.0], [1.0], [-0.9], [-1.1], [-1.2], [-3.0]])
    labels = [0, 0, 1, 2, 3, 4]

    def negative(margin):
        a, p, n = losses.semi_hard_triplets(x, labels, margin=margin)
        return n[(a == 0) & (p == 1)].tolist()

    assert negative(0.3) == [3]
    assert negative(0.2) == [5]  # 1.21 is not below 1.2: the farthest of all
    assert negative(100) == [3]


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0], []])
def test_without_pairs_or_negatives_there_are_no_triplets(labels):
    x = np.zeros((len(labels), 2))
    for mine in (losses.semi_hard_triplets, losses.batch_hard_triplets):
        found = mine(x, labels if labels else np.zeros(0, int))
        assert [(one.shape, one.dtype) for one in found] == [((0,), np.int64)] * 3


def test_mined_triplets_train():
    (x,) = tensors(FEATURES)
    a, p, n = losses.semi_hard_triplets(x, LABELS)
    loss = losses.triplet_loss(x[a], x[p], x[n])
    loss.backward()
    moved = x.data - 0.01 * x.grad.data
    assert losses.triplet_loss(moved[a], moved[p], moved[n]).item() < loss.item()


# torch.


def test_torch_has_the_same_elementwise_losses():
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    for reduction in ("mean", "sum", "none"):
        for ours, theirs in (
            (losses.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits),
            (losses.mse_loss, F.mse_loss),
        ):
            (x,) = tensors(FEATURES - 1)
            got = ours(x, OTHER / 2, reduction)
            got.sum().backward()
            other = torch.tensor(FEATURES - 1, requires_grad=True)
            expected = theirs(other, torch.tensor(OTHER / 2), reduction=reduction)
            expected.sum().backward()
            np.testing.assert_allclose(got.data, expected.detach().numpy(), rtol=1e-13)
            np.testing.assert_allclose(x.grad.data, other.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ["triplet_loss", "contrastive_loss", "verification_logits"])
def test_a_wide_number_leaves_float32_alone(name):
    f = FEATURES.astype("f4")
    wide = np.float64(0.3)
    made = {
        "triplet_loss": lambda: losses.triplet_loss(f, f, f, margin=wide),
        "contrastive_loss": lambda: losses.contrastive_loss(f, f, SAME, margin=wide),
        "verification_logits": lambda: losses.verification_logits(f, f, f[0], wide),
    }[name]()
    assert made.dtype == np.float32


# What is refused.

REFUSED = {
    "reduction": (
        lambda: losses.mse_loss([1.0], [1.0], "most"),
        "mse_loss: reduction is 'most', must be 'mean', 'sum' or 'none'",
    ),
    "shape": (
        lambda: losses.mse_loss([1.0], [1.0, 2.0]),
        r"mse_loss: target.shape is \(2,\), must be \(1,\), the shape of x",
    ),
    "broadcast": (
        lambda: losses.triplet_loss(FEATURES, OTHER, THIRD[:1]),
        r"triplet_loss: negative.shape is \(1, 4\), must be \(5, 4\), the shape of anchor",
    ),
    "margin": (
        lambda: losses.triplet_loss(FEATURES, OTHER, THIRD, margin=-1),
        "triplet_loss: margin is -1, must be at least 0 and finite",
    ),
    "margin_nan": (
        lambda: losses.contrastive_loss(FEATURES, OTHER, SAME, margin=float("nan")),
        "contrastive_loss: margin is nan, must be at least 0",
    ),
    "labels": (
        lambda: losses.batch_hard_loss(FEATURES, [0, 1]),
        r"batch_hard_loss: labels.shape is \(2,\), must be \(5,\)",
    ),
    "features": (
        lambda: losses.semi_hard_triplets(PICTURE, [0, 1]),
        r"semi_hard_triplets: x.shape is \(2, 3, 4, 5\), must be \(N, D\)",
    ),
    "same": (
        lambda: losses.contrastive_loss(FEATURES, OTHER, SAME[:, None]),
        r"contrastive_loss: same.shape is \(5, 1\), must be \(5,\), the shape of f1 without",
    ),
    "weights": (
        lambda: losses.verification_logits(FEATURES, OTHER, WEIGHTS[:3]),
        r"verification_logits: w.shape is \(3,\), must be \(4,\)",
    ),
    "bias": (
        lambda: losses.verification_logits(FEATURES, OTHER, WEIGHTS, WEIGHTS),
        r"verification_logits: b.shape is \(4,\), must be \(\) or \(1,\)",
    ),
    "similarity": (
        lambda: losses.verification_logits(FEATURES, OTHER, WEIGHTS, similarity="cosine"),
        "verification_logits: similarity is 'cosine', must be 'absolute' or 'chi_square'",
    ),
    "scale": (
        lambda: losses.content_loss(PICTURE, TARGET, "whole"),
        "content_loss: scale is 'whole', must be 'half', 'sum', 'course', 'mean'",
    ),
    "channels": (
        lambda: losses.style_loss(PICTURE, TARGET[:, :2]),
        r"style_loss: target.shape is \(2, 2, 4, 5\), must be of 3 channels",
    ),
    "channels_last": (
        lambda: losses.style_loss(PICTURE, TARGET[..., :4], layout="NHWC"),
        r"style_loss: target.shape is \(2, 3, 4, 4\), must be of 5 channels",
    ),
    "images": (
        lambda: losses.style_loss(PICTURE[:1], TARGET),
        r"style_loss: target.shape is \(2, 3, 4, 5\), must be of 3 channels, x's 1 images or 1",
    ),
    "grams": (
        lambda: losses.style_loss(PICTURE, np.zeros((2, 3, 4))),
        r"style_loss: target.shape is \(2, 3, 4\), must be",
    ),
    "layout": (
        lambda: losses.total_variation(PICTURE, layout="CHWN"),
        "total_variation: layout is 'CHWN', must be 'NCHW' or 'NHWC'",
    ),
    "image": (
        lambda: losses.total_variation(FEATURES),
        r"total_variation: x.shape is \(5, 4\), must be \(N, C, H, W\)",
    ),
    "norm": (
        lambda: losses.total_variation(PICTURE, "cubed"),
        "total_variation: norm is 'cubed', must be 'squared' or 'absolute'",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_named(what):
    call, message = REFUSED[what]
    with pytest.raises(ValueError, match=message):
        call()


def test_wrong_dtypes_are_named():
    with pytest.raises(TypeError, match=r"mse_loss: x.dtype is int64, must be float32"):
        losses.mse_loss([1], [1])
    with pytest.raises(TypeError, match=r"mse_loss: target.dtype is float64, must be float32 as x"):
        losses.mse_loss(np.ones(2, "f4"), np.ones(2))
    with pytest.raises(TypeError, match=r"labels.dtype is float64, must be integers"):
        losses.batch_hard_triplets(FEATURES, np.zeros(5))
