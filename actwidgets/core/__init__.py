"""Numbers: arrays in, arrays and small frozen dataclasses out. No widgets, no Keras."""
