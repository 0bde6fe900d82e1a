"""Arrays as pixels and PNG bytes."""
