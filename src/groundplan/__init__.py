"""Groundplan: the reference architecture that runs."""

__version__ = "0.1.0"
