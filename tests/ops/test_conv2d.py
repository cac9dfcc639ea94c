"""Convolution and its gradients by every algorithm."""

from .properties import Properties


class TestProperties(Properties):
    op = "conv2d"
