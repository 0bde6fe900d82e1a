"""What leaves the notebook: files, animations, TensorBoard."""
