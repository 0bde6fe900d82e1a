"""A training recorded in a folder, and looked at again without its model."""
