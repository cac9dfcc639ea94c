"""Im2col by every algorithm."""

from .properties import Properties


class TestProperties(Properties):
    op = "im2col"
