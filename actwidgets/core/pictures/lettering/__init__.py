"""Words as pixels: Pillow's own font, and signs that it lacks."""
