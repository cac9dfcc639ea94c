"""Gives every test of a `Properties` class the cases that its decorator asks for."""

import pytest

from . import table


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    selection = getattr(metafunc.function, "selection", None)
    if selection is None:
        return
    chosen = list(table.cases(metafunc.cls.op, **selection))
    marks = {"cuda": [pytest.mark.gpu]}
    metafunc.parametrize(
        "case",
        [pytest.param(case, id=case.id, marks=marks.get(case.backend, [])) for case in chosen],
    )
