"""Widgets that show a session: ipywidgets and bqplot, no arithmetic worth testing."""
