"""The class-activation notebook's model, and its numbers worked out the notebook's way.

The loops are here to compare the package with: they share no code with it and are slow on
purpose. `python -m tests.fashion_cnn OUT.keras` trains the model on all of Fashion-MNIST.
"""

import sys

FULL_EPOCHS = 12
BATCH_SIZE = 128


def build(seed=0):
    """The untrained model: four 3x3 convolutions, global average pooling, two dense layers."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu", name="conv_1"),
            layers.Conv2D(32, 3, activation="relu", name="conv_2"),
            layers.MaxPooling2D(name="pool"),
            layers.Conv2D(64, 3, activation="relu", name="conv_3"),
            layers.Conv2D(64, 3, activation="relu", name="conv_4"),
            layers.GlobalAveragePooling2D(name="average"),
            layers.Dense(32, activation="relu", name="dense"),
            layers.Dense(10, activation="softmax", name="predictions"),
        ],
        name="fashion_cnn",
    )


def train(model, x, y, epochs=FULL_EPOCHS, verbose=0):
    """Fit with Adam whose steps shrink to nothing at the end; returns Keras' history."""
    import keras

    n_steps = epochs * -(-len(x) // BATCH_SIZE)
    schedule = keras.optimizers.schedules.CosineDecay(2e-3, n_steps)
    model.compile(
        keras.optimizers.Adam(schedule), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return model.fit(x, y, batch_size=BATCH_SIZE, epochs=epochs, verbose=verbose)


def accuracy(model, x, y):
    """The share of samples whose likeliest class is the right one."""
    return float((model.predict(x, batch_size=256, verbose=0).argmax(axis=1) == y).mean())


def notebook_firing_share(model, x, y, layer="dense", n_classes=10, threshold=0):
    """For each class, on what share of its samples each unit puts out more than the threshold.

    The notebook's threshold is zero. It divided by 1000 whatever the class held; here each
    class is divided by its own number of samples.
    """
    import keras

    head = keras.Model(model.inputs, model.get_layer(layer).output)
    outputs = head.predict(x, batch_size=256, verbose=0).tolist()
    n_units = len(outputs[0])
    shares = []
    for class_index in range(n_classes):
        n_fired = [0] * n_units
        n_seen = 0
        for values, label in zip(outputs, y, strict=True):
            if label != class_index:
                continue
            n_seen += 1
            for unit in range(n_units):
                if values[unit] > threshold:
                    n_fired[unit] += 1
        shares.append([fired / n_seen for fired in n_fired])
    return shares


def notebook_distance(shares):
    """For each pair of classes, the mean over the units of how far their shares differ."""
    distances = []
    for mine in shares:
        row = []
        for theirs in shares:
            total = 0.0
            for unit in range(len(mine)):
                total += abs(mine[unit] - theirs[unit])
            row.append(total / len(mine))
        distances.append(row)
    return distances


def notebook_ranking(distances):
    """For each class, all classes from the nearest on; the class itself comes first."""
    return [
        sorted(range(len(row)), key=lambda other: (other != index, row[other]))
        for index, row in enumerate(distances)
    ]


def main(out):
    """Train on all of Fashion-MNIST, say how accurate it became, and save it."""
    import actwidgets as aw
    from tests.real_data import data_folder

    data = aw.load_dataset("fashion_mnist", path=data_folder())
    model = build()
    train(model, data.x_train, data.y_train, verbose=2)
    model.save(out)
    reached = accuracy(model, data.x_test, data.y_test)
    sys.stdout.write(f"test accuracy {reached:.4f}, saved to {out}\n")
    if reached < 0.88:
        sys.exit("that is less than 0.88")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.fashion_cnn OUT.keras")
    main(sys.argv[1])
