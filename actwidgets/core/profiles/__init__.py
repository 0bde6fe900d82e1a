"""What the units of a layer do for each class, and how alike that makes the classes."""
