"""Keras callbacks, and whose turn it is at a model's weights."""
