"""Fixtures: runs the command as a user does, and makes a small image to run it on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convkit import cli


class Result:
    """What a run of the command left: exit status and both streams."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def one_line(self):
        """The error line; fails where there is more or less than one, or a traceback."""
        assert self.out == ""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("convkit: "), self.err
        return self.err.strip()


@pytest.fixture
def convkit(capsys, monkeypatch, tmp_path):
    """Runs `convkit ARGUMENTS` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_info:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Result(exit_info.value.code, out, err)

    return run


@pytest.fixture
def convkit_process(tmp_path):
    """Runs `convkit ARGUMENTS` as a process of its own."""

    def run(*arguments, code="from convkit_command import main; main()", **environment):
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | environment,
            timeout=120,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def photo(tmp_path) -> Path:
    """A small colour image with edges, stripes and a little noise."""
    y, x = np.mgrid[0:41, 0:53]
    pixels = np.zeros((41, 53, 3))
    pixels[..., 0] = 0.5 + 0.4 * np.sin(x / 2)
    pixels[..., 1] = x / 60
    pixels[..., 2] = ((x - 26) ** 2 + (y - 20) ** 2 < 150) * 0.8
    pixels += np.random.default_rng(5).normal(0, 0.02, pixels.shape)
    path = tmp_path / "photo.png"
    Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8)).save(path)
    return path
