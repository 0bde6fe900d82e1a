"""How alike layers are: debiased linear CKA."""
