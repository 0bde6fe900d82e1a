"""Samples as points in the plane."""
