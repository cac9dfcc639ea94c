"""Pool2d by every algorithm."""

from .properties import Properties


class TestProperties(Properties):
    op = "pool2d"
