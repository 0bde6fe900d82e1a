"""What a model says of samples: right, wrong, and how sure."""
