"""Attributions: what of the input speaks for a class, and how far to believe it."""
