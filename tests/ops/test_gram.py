"""Gram by every algorithm."""

from .properties import Properties


class TestProperties(Properties):
    op = "gram"
