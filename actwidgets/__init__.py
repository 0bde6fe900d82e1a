"""Jupyter widgets bound to a live Keras model."""

__version__ = "0.1.0"
