"""Arrays as pixels."""
