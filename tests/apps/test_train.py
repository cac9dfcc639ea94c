"""`convkit train`, `eval`, `models` and `summary` as a user runs them."""

import json

import numpy as np
import pytest
from PIL import Image

from convkit import train
from convkit.nn import files

pytest_plugins = ["tests.apps.command"]
pytest.importorskip("safetensors")


@pytest.fixture
def digits():
    pytest.importorskip("sklearn", reason="needs scikit-learn, whose digits are trained on")


def test_training_leaves_all_files_and_eval_agrees(convkit, digits, tmp_path):
    result = convkit("train", "lenet5", "--epochs", "2", "--out", "made", "--seed", "3")
    assert result.status == 0, result.err
    assert "test images right after 2 epochs" in result.out
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == [
        *("checkpoint.safetensors", "curves.png"),
        *("log.jsonl", "weights.safetensors"),
    ]
    log = [json.loads(line) for line in (tmp_path / "made/log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in log] == [0, 1]
    with Image.open(tmp_path / "made/curves.png") as picture:
        assert picture.size[0] > 500
    found = convkit("eval", "lenet5", "made/weights.safetensors", "--json")
    assert found.json["accuracy"] == log[-1]["accuracy"]
    assert found.json["images"] == 359


def test_an_interrupted_training_resumes_with_the_same_bits(convkit, digits, tmp_path, monkeypatch):
    shared = ("--epochs", "3", "--batch", "256", "--seed", "1", "--json")
    whole = convkit("train", "lenet5", "--out", "a", *shared)
    assert whole.status == 0, whole.err
    assert len(whole.json["history"]) == 3
    epoch = train.Trainer._epoch

    def interrupted(self, *loaders):
        if len(self.history) == 2:
            raise KeyboardInterrupt
        return epoch(self, *loaders)

    with monkeypatch.context() as patched:
        patched.setattr(train.Trainer, "_epoch", interrupted)
        assert convkit("train", "lenet5", "--out", "b", *shared).status == 130
    assert not (tmp_path / "b/weights.safetensors").exists()
    assert convkit("train", "lenet5", "--out", "b", "--resume", *shared).status == 0
    found = files.load(tmp_path / "b/weights.safetensors")
    for name, array in files.load(tmp_path / "a/weights.safetensors").items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("train", "lenet6"), "lenet6: no such network; `convkit models` lists them"),
        (("train", "resnet20"), "resnet20: takes images of 3x32x32, the data has 1x32x32"),
        (("train", "lenet5", "--epochs", "0"), "--epochs 0: must be at least 1"),
        (("train", "lenet5", "--lr", "0"), "--lr 0.0: must be"),
        (("train", "lenet5", "--save-every", "0"), "--save-every 0: must be at least 1"),
        (("train", "lenet5", "--optimizer", "adagrad"), "must be one of adam, adamw, sgd"),
        (("train", "lenet5", "--resume"), "--resume: there is no lenet5-digits/checkpoint"),
        (("train", "lenet5", "--data", "nowhere"), "--data nowhere: "),
        (("eval", "lenet5", "none.pth"), "none.pth: No such file"),
        (("summary", "lenet6"), "lenet6: no such network"),
        (("summary", "lenet5", "--batch", "0"), "--batch 0: must be at least 1"),
        (("models", "lenet5", "x"), "x: no such network"),
    ],
)
def test_bad_input_is_one_line(convkit, digits, arguments, text):
    result = convkit(*arguments)
    assert result.status == 2
    assert text in result.one_line


def test_weights_of_another_network_are_refused(convkit, digits, tmp_path):
    files.save({"w": np.ones(3)}, tmp_path / "w")
    result = convkit("eval", "lenet5", "w")
    assert result.status == 2
    assert "w: load_state_dict: missing conv1.0.weight" in result.one_line
    (tmp_path / "w").write_bytes(b"\x80\x02nothing")
    assert "is no file of weights" in convkit("eval", "lenet5", "w").one_line


def test_networks_are_listed_with_their_counts(convkit):
    result = convkit("models", "lenet5", "resnet20", "--json")
    assert [row["parameters"] for row in result.json] == [61706, 269722]
    assert [row["macs"] for row in result.json] == [416520, 40551040]
    assert all(row["forward_s"] > 0 for row in result.json)
    text = convkit("models", "vgg16", "--no-timed").out
    assert "138,357,544" in text


def test_a_summary_has_a_line_for_each_layer(convkit):
    lines = convkit("summary", "lenet5").out.splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "MACs", "algorithm"]
    assert lines[-1].split() == ["total", "61,706", "416,520"]
    assert convkit("summary", "lenet5", "--json").json["macs"] == 416520
