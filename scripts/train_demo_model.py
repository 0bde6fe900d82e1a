"""Train the small digits CNN that ships with the package: `python scripts/train_demo_model.py`.

The same seed, data and versions give the same file, byte for byte.
"""

import hashlib
import json
import sys
import zipfile
from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

from actwidgets.datasets import load_dataset

OUT = Path(__file__).parents[1] / "actwidgets" / "data" / "demo_model.keras"
SEED = 7
EPOCHS = 60
BATCH_SIZE = 32
NEEDED_ACCURACY = 0.97
PASSING = {"date_saved", "shared_object_id"}  # other in every run
NEWER = {"quantization_config", "input_axes", "output_axes"}  # all null; Keras 3.10 refuses them


def build() -> keras.Model:
    """The model before training: its maps stay 8x8 for three convolutions."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="digits"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv_1"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv_2"),
            layers.Conv2D(24, 3, padding="same", activation="relu", name="conv_3"),
            layers.MaxPooling2D(name="pool_1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv_4"),
            layers.MaxPooling2D(name="pool_2"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.3, name="dropout"),
            layers.Dense(32, activation="relu", name="dense"),
            layers.Dense(10, activation="softmax", name="predictions"),
        ],
        name="digits_cnn",
    )


def train(model: keras.Model, x, y) -> None:
    """Fit, with steps that shrink to nothing at the end."""
    n_steps = EPOCHS * -(-len(x) // BATCH_SIZE)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(2e-3, n_steps)),
        "sparse_categorical_crossentropy",
    )
    model.fit(x, y, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)


def accuracy(model: keras.Model, x, y) -> float:
    """The share of samples whose likeliest class is the right one."""
    return float((model.predict(x, verbose=0).argmax(axis=1) == y).mean())


def digest(model: keras.Model) -> str:
    """A fingerprint of the weights."""
    joined = b"".join(weights.tobytes() for weights in model.get_weights())
    return hashlib.sha256(joined).hexdigest()[:16]


def without(tree, keys):
    """A JSON tree without these keys, at any depth."""
    if isinstance(tree, dict):
        return {key: without(each, keys) for key, each in tree.items() if key not in keys}
    return [without(each, keys) for each in tree] if isinstance(tree, list) else tree


def settle(file: Path) -> None:
    """Rewrite a `.keras` file so that it is the same in every run, and older Keras reads it."""
    with zipfile.ZipFile(file) as saved:
        parts = {name: saved.read(name) for name in saved.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as settled:
        for name, content in parts.items():
            if name.endswith(".json"):
                content = json.dumps(without(json.loads(content), PASSING | NEWER)).encode()
            settled.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def main() -> int:
    """Train, save without the optimizer, and say what came out."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    data = load_dataset("digits")
    trained = build()
    train(trained, data.x_train, data.y_train)
    bare = build()  # never compiled, so the file holds weights and nothing of the training
    bare.set_weights(trained.get_weights())
    train_accuracy = accuracy(bare, data.x_train, data.y_train)
    test_accuracy = accuracy(bare, data.x_test, data.y_test)
    sys.stdout.write(
        f"accuracy {train_accuracy:.4f} in training, {test_accuracy:.4f} in test; "
        f"{bare.count_params():,} parameters, weights {digest(bare)}\n"
    )
    if test_accuracy <= NEEDED_ACCURACY:
        sys.stderr.write(f"not saved: more than {NEEDED_ACCURACY} in test is needed\n")
        return 1
    OUT.parent.mkdir(exist_ok=True)
    bare.save(OUT)
    settle(OUT)
    sys.stdout.write(f"saved {OUT.name}, {OUT.stat().st_size / 1024:.0f} KB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
