"""The small trained model that ships with the package."""

from importlib import resources

import keras


def demo_model() -> keras.Model:
    """A CNN for 8x8 digits, trained by `scripts/train_demo_model.py`.

    Returns:
        A new, uncompiled `keras.Sequential` that takes `(sample, 8, 8, 1)` in 0..1, as
        `load_dataset("digits")` gives it. About 99 % of that test part are recognised.
    """
    packed = resources.files("actwidgets") / "data" / "demo_model.keras"
    with resources.as_file(packed) as file:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
