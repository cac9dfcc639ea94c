"""A photograph that an installed package carries."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from convkit.apps.terminal import InputError

# package, and where its photographs lie inside it; the first that is there is taken
_PLACES = (
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    ("skimage", "data/astronaut.png"),
    ("sklearn", "datasets/images/china.jpg"),
)


def find() -> Path:
    """The first photograph found; the packages are looked up, not imported."""
    for path in _candidates():
        if path.is_file():
            return path
    raise InputError(
        "no photograph found: name one (convkit tour photo.jpg), or pip install 'convkit[plot]', "
        "whose matplotlib carries one"
    )


def _candidates() -> Iterator[Path]:
    for package, inside in _PLACES:
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield Path(folder) / inside
