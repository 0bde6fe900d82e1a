"""Which units carry a class."""
