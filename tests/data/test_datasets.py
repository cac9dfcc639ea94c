"""Data sets in memory: what they admit, and the split into training and test images."""

import numpy as np
import pytest

from convkit.data import ArrayDataset, split


def numbered(labels, classes=None):
    """Images that hold their own number."""
    images = np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1, 1)
    return ArrayDataset(images, np.array(labels), classes)


def test_items_batches_and_subsets_are_the_images_asked_for():
    dataset = numbered([0, 1, 2, 1], ["a", "b", "c"])
    assert len(dataset) == 4
    assert dataset[3] == (np.float32(3), 1)
    images, labels = dataset.batch(np.array([2, 0]))
    assert images.ravel().tolist() == [2, 0]
    assert labels.tolist() == [2, 0]
    part = dataset.subset(np.array([1, 3]))
    assert part.images.ravel().tolist() == [1, 3]
    assert part.classes == ("a", "b", "c")
    assert part.labels.dtype == np.int64


def test_a_batch_shares_no_memory():
    dataset = numbered([0, 1])
    dataset.batch(np.array([0, 1]))[0][:] = 9
    assert dataset.images.ravel().tolist() == [0, 1]


def test_classes_are_numbered_where_they_have_no_names():
    assert numbered([0, 2]).classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("images", "labels", "classes", "message"),
    [
        (np.zeros((2, 1, 3, 3)), [0, 1], None, r"images must be float32 .* float64 \(2, 1, 3, 3\)"),
        (np.zeros((2, 3, 3), "f4"), [0, 1], None, r"\(N, C, H, W\), got float32 \(2, 3, 3\)"),
        (np.zeros((2, 1, 3, 3), "f4"), [0.0, 1.0], None, "labels must be whole numbers"),
        (np.zeros((2, 1, 3, 3), "f4"), [0, 1, 1], None, "2 images, but 3 labels"),
        (np.zeros((2, 1, 3, 3), "f4"), [0, -1], None, "got -1 to 0"),
        (np.zeros((2, 1, 3, 3), "f4"), [0, 2], ["a", "b"], "0 to 1 for 2 classes, got 0 to 2"),
    ],
)
def test_what_is_no_data_set_is_refused(images, labels, classes, message):
    with pytest.raises(ValueError, match=message):
        ArrayDataset(images, np.array(labels), classes)


def test_a_split_keeps_every_image_once_and_every_class_in_proportion():
    labels = [0] * 50 + [1] * 30 + [2] * 20
    train, test = split(numbered(labels), 0.2, seed=3)
    assert np.bincount(test.labels).tolist() == [10, 6, 4]
    both = np.concatenate([train.images.ravel(), test.images.ravel()])
    assert sorted(both.tolist()) == list(range(100))
    for part in (train, test):
        assert part.labels.tolist() == [labels[int(one)] for one in part.images.ravel()]
        assert (np.diff(part.images.ravel()) > 0).all()


def test_a_split_has_the_size_asked_for_where_shares_are_no_whole_numbers():
    # Exact shares of 5 in 16: 7 * 5/16 = 2.19, 6 * 5/16 = 1.88, 3 * 5/16 = 0.94.
    _, test = split(numbered([0] * 7 + [1] * 6 + [2] * 3), test=5)
    assert np.bincount(test.labels).tolist() == [2, 2, 1]


def test_a_split_follows_its_seed():
    dataset = numbered([0, 1] * 50)
    chosen = [split(dataset, 0.3, seed=seed)[1].images.tobytes() for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]


@pytest.mark.parametrize("test", [0, 4, -1, 0.0, 0.05, 1.0])
def test_a_split_with_an_empty_part_is_refused(test):
    with pytest.raises(ValueError, match=r"must be 1 to 3"):
        split(numbered([0, 1, 0, 1]), test)
