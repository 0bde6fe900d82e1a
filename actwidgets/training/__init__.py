"""What a training tells, and keeping out of its way."""
