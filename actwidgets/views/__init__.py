"""Pictures of a session: ipywidgets and bqplot, and no arithmetic worth testing."""
