"""A training on disk: what is kept of it while it runs, and how it is replayed."""
