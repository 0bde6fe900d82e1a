"""What leaves the notebook: figures, animations, event files."""
