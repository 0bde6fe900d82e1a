"""Every kind of model this package reads, with values worked out without it.

Each case calls its layers by hand, or goes through a Functional model built for the purpose.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from actwidgets.probe.frameworks import runs_channels_first

N_SAMPLES, N_CLASSES = 6, 3
layers = keras.layers
CASES: dict[str, Callable[[], "Case"]] = {}


@dataclass
class Case:
    """A model, samples for it, and what some of its layers put out for them."""

    model: Any
    x: Any
    wanted: dict[str, Any]
    all_names: list[str] | None = None  # every layer there is, where that is worth saying
    predicted: Any = None
    options: dict[str, Any] = field(default_factory=dict)  # of Session, such as head
    tolerance: float = 1e-5
    refused: dict[str, str] = field(default_factory=dict)  # layers that cannot be shown, and why


def case(function: Callable[[], Case]) -> Callable[[], Case]:
    """Put a builder into the zoo under its name."""
    CASES[function.__name__] = function
    return function


@cache
def build(name: str) -> "Case":
    """The case of that name, built once in a process: to be read must not change it."""
    return CASES[name]()


def images(*shape: int) -> np.ndarray:
    """Samples of a shape, the same every time."""
    return np.random.default_rng(7).normal(size=(N_SAMPLES, *shape)).astype(np.float32)


def classes(name: str = "classes") -> Any:
    """A layer that tells three classes apart."""
    return layers.Dense(N_CLASSES, activation="softmax", name=name)


@case
def sequential_with_input() -> Case:
    model = keras.Sequential(
        [
            keras.Input((6, 9, 2)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flat"),
            classes(),
        ]
    )
    x = images(6, 9, 2)
    conv = model.get_layer("conv")(x)
    pool = model.get_layer("pool")(conv)
    return Case(
        model,
        x,
        {"conv": conv, "pool": pool},
        ["conv", "pool", "flat", "classes"],
        model.get_layer("classes")(model.get_layer("flat")(pool)),
    )


@case
def sequential_built_by_a_call() -> Case:
    model = keras.Sequential([layers.Conv2D(4, 3, name="conv"), layers.Flatten(), classes()])
    x = images(5, 7, 1)
    model(x[:1])
    return Case(model, x, {"conv": model.get_layer("conv")(x)}, predicted=model(x))


@case
def functional_with_operations() -> Case:
    inputs = keras.Input((4, 6, 1))
    left = layers.Conv2D(3, 3, padding="same", name="left")(inputs)
    right = layers.Conv2D(3, 1, name="right")(inputs)
    joined = keras.ops.relu(left + right)
    pooled = layers.GlobalAveragePooling2D(name="pooled")(joined)
    model = keras.Model(inputs, classes()(pooled))
    x = images(4, 6, 1)
    total = model.get_layer("left")(x) + model.get_layer("right")(x)
    operations = [each.name for each in model.operations if not isinstance(each, keras.Layer)]
    return Case(
        model,
        x,
        {
            "left": model.get_layer("left")(x),
            operations[0]: total,
            operations[1]: tf.nn.relu(total),
        },
        ["left", "right", *operations, "pooled", "classes"],
    )


def _backbone(name: str = "backbone") -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 10, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv1"),
            keras.Sequential(
                [
                    keras.Input((6, 8, 4)),
                    layers.Conv2D(5, 3, name="conv2"),
                    layers.BatchNormalization(name="norm"),
                ],
                name="block",
            ),
        ],
        name=name,
    )


@case
def nested_two_levels_deep() -> Case:
    backbone = _backbone()
    model = keras.Sequential(
        [keras.Input((8, 10, 3)), backbone, layers.GlobalMaxPooling2D(name="pool"), classes()]
    )
    x = images(8, 10, 3)
    conv1 = backbone.get_layer("conv1")(x)
    conv2 = backbone.get_layer("block").get_layer("conv2")(conv1)
    return Case(
        model,
        x,
        {"backbone/conv1": conv1, "backbone/block/conv2": conv2, "backbone": backbone(x)},
        [
            "backbone",
            "backbone/conv1",
            "backbone/block",
            "backbone/block/conv2",
            "backbone/block/norm",
            "pool",
            "classes",
        ],
    )


@case
def application_in_a_functional_model() -> Case:
    keras.utils.set_random_seed(3)
    whole = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35
    )
    # Its first blocks, and images so small that they end in maps of one position, as the whole
    # does: what is asked of every layer takes as long as there are layers.
    end = whole.get_layer("block_3_project_BN")
    blocks = keras.Model(whole.inputs, end.output, name="mobilenet")
    backbone = keras.models.clone_model(blocks, [keras.Input((8, 8, 3))])
    inputs = keras.Input((8, 8, 3))
    features = backbone(layers.Rescaling(2.0, name="scale")(inputs))
    model = keras.Model(inputs, classes()(layers.GlobalAveragePooling2D(name="pool")(features)))
    x = images(8, 8, 3)
    names = ("block_2_add", "block_3_depthwise_relu")
    inside = keras.Model(backbone.inputs, [backbone.get_layer(name).output for name in names])
    added, rectified = inside(2 * x)
    return Case(
        model,
        x,
        {
            "mobilenet/block_2_add": added,
            "mobilenet/block_3_depthwise_relu": rectified,
            "mobilenet": backbone(2 * x),
        },
        tolerance=1e-4,
    )


@case
def shared_layer() -> Case:
    inputs = keras.Input((5,))
    shared = layers.Dense(5, activation="tanh", name="shared")
    model = keras.Model(inputs, classes()(shared(shared(shared(inputs)))))
    x = images(5)
    return Case(
        model,
        x,
        {"shared": shared(x), "shared#1": shared(shared(x)), "shared#2": shared(shared(shared(x)))},
        ["shared", "shared#1", "shared#2", "classes"],
    )


@case
def siamese() -> Case:
    tower = keras.Sequential(
        [keras.Input((6, 7, 1)), layers.Conv2D(2, 3, name="conv"), layers.Flatten(name="flat")],
        name="tower",
    )
    one, two = keras.Input((6, 7, 1), name="one"), keras.Input((6, 7, 1), name="two")
    model = keras.Model(
        [one, two], classes()(layers.Subtract(name="difference")([tower(one), tower(two)]))
    )
    x = [images(6, 7, 1), images(6, 7, 1)[::-1].copy()]
    conv = tower.get_layer("conv")
    return Case(
        model,
        x,
        {"tower/conv": conv(x[0]), "tower#1/conv": conv(x[1]), "tower#1": tower(x[1])},
        [
            "tower",
            "tower/conv",
            "tower/flat",
            "tower#1",
            "tower#1/conv",
            "tower#1/flat",
            "difference",
            "classes",
        ],
    )


@case
def inputs_and_outputs_in_dicts() -> Case:
    inputs = {"picture": keras.Input((5, 6, 1), name="image"), "facts": keras.Input((4,))}
    conv = layers.Conv2D(3, 3, name="conv")
    flat = layers.Flatten(name="flat")(conv(inputs["picture"]))
    joined = layers.Concatenate(name="joined")([flat, inputs["facts"]])
    model = keras.Model(inputs, {"kind": classes("kind")(joined), "age": layers.Dense(1)(joined)})
    x = {"picture": images(5, 6, 1), "facts": images(4)}
    return Case(
        model, x, {"conv": conv(x["picture"])}, predicted=model(x)["kind"], options={"head": "kind"}
    )


@case
def outputs_in_a_list() -> Case:
    inputs = keras.Input((4,))
    hidden = layers.Dense(6, activation="relu", name="hidden")
    coarse, fine = layers.Dense(2, name="coarse"), classes("fine")
    model = keras.Model(inputs, [coarse(hidden(inputs)), fine(hidden(inputs))])
    x = images(4)
    return Case(
        model,
        x,
        {"hidden": hidden(x), "hidden#1": hidden(x), "fine": fine(hidden(x))},
        predicted=fine(hidden(x)),
        options={"head": 1},
    )


class Block(layers.Layer):
    """A layer that holds layers."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.first = layers.Conv2D(units, 3, padding="same", name="first")
        self.second = layers.Conv2D(units, 3, padding="same", name="second")

    def call(self, x: Any) -> Any:
        return x + self.second(keras.ops.relu(self.first(x)))


class Subclassed(keras.Model):
    """No graph, and a loop in Python."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.blocks = [Block(2, name=f"block_{index}") for index in range(2)]
        self.pool = layers.GlobalAveragePooling2D(name="pool")
        self.last = classes()

    def call(self, x: Any, training: bool = False) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.last(self.pool(x))


@case
def subclassed() -> Case:
    model = Subclassed()
    x = images(5, 8, 2)
    model(x[:2])
    first = model.blocks[0].first(x)
    return Case(
        model,
        x,
        {"block_0/first": first, "block_1": model.blocks[1](model.blocks[0](x))},
        [
            "block_0",
            "block_0/first",
            "block_0/second",
            "block_1",
            "block_1/first",
            "block_1/second",
            "pool",
            "classes",
        ],
    )


class Branching(keras.Model):
    """Branches in Python on the values it gets: it cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.bright = layers.Dense(4, name="bright")
        self.dark = layers.Dense(4, name="dark")
        self.last = classes()

    def call(self, x: Any) -> Any:
        if keras.ops.max(x) > 1e6:
            return self.last(self.bright(x))
        return self.last(self.dark(x))


@case
def subclassed_with_control_flow() -> Case:
    model = Branching()
    x = images(4)
    model(x)
    return Case(model, x, {"dark": model.dark(x)}, ["dark", "classes"])


class Decorated(keras.Model):
    """Its call is a `tf.function`, and its input a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = layers.Dense(4, name="inner")
        self.last = classes()

    @tf.function
    def call(self, x: Any) -> Any:
        return self.last(self.inner(x["vector"]))


@case
def subclassed_tf_function_and_dict() -> Case:
    model = Decorated()
    x = {"vector": images(5), "unused": images(3, 4, 1)}
    model(x)
    return Case(model, x, {"inner": model.inner(x["vector"])}, ["inner", "classes"])


@case
def masked_tokens_of_any_length() -> Case:
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            layers.Embedding(20, 4, mask_zero=True, name="tokens"),
            layers.LSTM(5, return_sequences=True, name="lstm"),
            layers.GRU(4, name="gru"),
            classes(),
        ]
    )
    x = np.random.default_rng(1).integers(1, 20, (N_SAMPLES, 5))
    x[1:, -2:] = 0
    tokens = model.get_layer("tokens")(x)
    mask = tf.not_equal(x, 0)
    lstm = model.get_layer("lstm")(tokens, mask=mask)
    gru = model.get_layer("gru")(lstm, mask=mask)
    return Case(
        model,
        x,
        {"gru": gru},
        ["tokens", "lstm", "gru", "classes"],
        model.get_layer("classes")(gru),
    )


class TwoArguments(keras.Model):
    """Called with two arguments rather than a list."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = layers.Dense(4, name="inner")
        self.last = classes()

    def call(self, left: Any, right: Any, training: bool = False) -> Any:
        return self.last(self.inner(left) + self.inner(right))


@case
def subclassed_with_two_arguments() -> Case:
    model = TwoArguments()
    x = [images(5), images(5)[::-1].copy()]
    model(*x)
    return Case(
        model,
        x,
        {"inner": model.inner(x[0]), "inner#1": model.inner(x[1])},
        predicted=model(*x),
    )


@case
def conv1d_and_lstm_with_states() -> Case:
    inputs = keras.Input((6, 2))
    conv = layers.Conv1D(4, 3, activation="relu", name="conv")
    lstm = layers.LSTM(5, return_sequences=True, return_state=True, name="lstm")
    gru = layers.Bidirectional(layers.GRU(3), name="both")
    model = keras.Model(inputs, classes()(gru(lstm(conv(inputs))[0])))
    x = images(6, 2)
    sequence, hidden, cell = lstm(conv(x))
    return Case(
        model,
        x,
        {"conv": conv(x), "lstm": sequence, "lstm:1": hidden, "lstm:2": cell},
    )


class Positions(layers.Layer):
    """Adds an embedding of each position: a layer inside puts out no sample axis."""

    def __init__(self, length: int, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.table = layers.Embedding(length, units, name="table")
        self.length = length

    def call(self, x: Any) -> Any:
        return x + self.table(keras.ops.arange(self.length))


@case
def transformer_with_attention_scores() -> Case:
    inputs = keras.Input((7,), dtype="int32")
    tokens = layers.Embedding(20, 8, name="tokens")
    positions = Positions(7, 8, name="positions")
    attention = layers.MultiHeadAttention(2, 4, name="attention")
    embedded = positions(tokens(inputs))
    mixed, _ = attention(embedded, embedded, return_attention_scores=True)
    pooled = layers.GlobalAveragePooling1D(name="pool")(layers.LayerNormalization(name="n")(mixed))
    model = keras.Model(inputs, classes()(pooled))
    x = np.random.default_rng(1).integers(0, 20, (N_SAMPLES, 7))
    by_hand = positions(tokens(x))
    mixed, scores = attention(by_hand, by_hand, return_attention_scores=True)
    return Case(
        model,
        x,
        {"tokens": tokens(x), "positions": by_hand, "attention": mixed, "attention:1": scores},
        refused={"positions/table": "no sample axis"},
    )


@case
def conv3d() -> Case:
    model = keras.Sequential(
        [
            keras.Input((5, 6, 7, 1)),
            layers.Conv3D(3, 2, activation="relu", name="conv"),
            layers.GlobalMaxPooling3D(name="pool"),
            classes(),
        ]
    )
    x = images(5, 6, 7, 1)
    return Case(model, x, {"conv": model.get_layer("conv")(x)})


class Mean(layers.Layer):
    """One number for each sample, without a unit axis."""

    def call(self, x: Any) -> Any:
        return keras.ops.mean(x, axis=-1)


@case
def scalar_outputs() -> Case:
    inputs = keras.Input((4,))
    mean = Mean(name="mean")
    model = keras.Model(inputs, [classes()(inputs), mean(inputs)])  # `mean` is run first
    x = images(4)
    return Case(model, x, {"mean": x.mean(axis=-1)}, ["classes", "mean"], options={"head": 0})


def require_channels_first() -> None:
    """Skip the test where TensorFlow itself does not run such a model; TensorFlow is asked."""
    if not runs_channels_first():
        pytest.skip("TensorFlow runs no channels_first convolution with TF_ENABLE_ONEDNN_OPTS=0")


@case
def channels_first() -> Case:
    require_channels_first()
    options = {"data_format": "channels_first"}
    inputs = keras.Input((2, 6, 9))
    conv = layers.Conv2D(4, 3, name="conv", **options)
    norm = layers.BatchNormalization(axis=1, name="norm")
    relu = layers.ReLU(name="relu")
    pool = layers.MaxPooling2D(name="pool", **options)
    flat = layers.GlobalAveragePooling2D(name="mean", **options)
    model = keras.Model(inputs, classes()(flat(pool(relu(norm(conv(inputs)))))))
    x = images(2, 6, 9)
    return Case(
        model, x, {"conv": conv(x), "relu": relu(norm(conv(x))), "pool": pool(relu(norm(conv(x))))}
    )


def _in_precision(policy: str) -> Case:
    model = keras.Sequential(
        [
            keras.Input((6, 7, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv", dtype=policy),
            layers.Flatten(name="flat", dtype=policy),
            classes(),
        ]
    )
    x = images(6, 7, 1)
    conv = tf.cast(model.get_layer("conv")(x), tf.float32)
    return Case(model, x, {"conv": conv}, tolerance=2e-2, predicted=model(x))


@case
def mixed_float16() -> Case:
    return _in_precision("mixed_float16")


@case
def mixed_bfloat16() -> Case:
    return _in_precision("mixed_bfloat16")


@case
def quantized() -> Case:
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(6, activation="relu", name="dense"), classes()]
    )
    model.quantize("int8")
    x = images(8)
    return Case(model, x, {"dense": model.get_layer("dense")(x)}, predicted=model(x))


@case
def augmentation_and_dropout() -> Case:
    normalize = layers.Normalization(mean=1.0, variance=4.0, name="normalize")
    model = keras.Sequential(
        [
            keras.Input((6, 8, 1)),
            layers.Rescaling(0.5, name="scale"),
            normalize,
            layers.RandomFlip(seed=1, name="flip"),
            layers.RandomRotation(0.2, seed=2, name="rotate"),
            layers.GaussianNoise(0.3, seed=3, name="noise"),
            layers.Lambda(lambda x: 2 * x, name="twice"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.5, seed=4, name="drop"),
            classes(),
        ]
    )
    x = images(6, 8, 1)
    scaled = (0.5 * x - 1) / 2
    return Case(
        model,
        x,
        {
            "normalize": scaled,
            "rotate": scaled,
            "twice": 2 * scaled,
            "drop": model.get_layer("norm")(2 * scaled).numpy().reshape(N_SAMPLES, -1),
        },
    )


class OwnStep(keras.Model):
    """A Functional model with a training step of its own."""

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


@case
def in_training_with_a_step_of_its_own() -> Case:
    inputs = keras.Input((5,))
    hidden = layers.Dense(6, activation="relu", name="hidden", activity_regularizer="l2")
    frozen = layers.Dense(4, name="frozen")
    model = OwnStep(inputs, classes()(frozen(hidden(inputs))))
    frozen.trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = images(5)
    model.fit(x, np.arange(N_SAMPLES) % N_CLASSES, verbose=0)
    return Case(model, x, {"hidden": hidden(x), "frozen": frozen(hidden(x))})


@case
def in_a_distribution_strategy() -> Case:
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = keras.Sequential(
            [keras.Input((5,)), layers.Dense(6, activation="relu", name="hidden"), classes()]
        )
        model.compile("sgd", "sparse_categorical_crossentropy")
    x = images(5)
    return Case(model, x, {"hidden": model.get_layer("hidden")(x)}, predicted=model(x))


@case
def text_inside_the_model() -> Case:
    words = layers.TextVectorization(output_sequence_length=4, name="words")
    words.adapt(["red coat", "blue shirt", "red bag"])
    lower = layers.Lambda(tf.strings.lower, output_shape=(), dtype="string", name="lower")
    tokens = layers.Embedding(10, 5, name="tokens")
    inputs = keras.Input((), dtype="string")
    pooled = layers.GlobalAveragePooling1D(name="pool")
    model = keras.Model(inputs, classes()(pooled(tokens(words(lower(inputs))))))
    x = np.array(["red Coat", "blue shirt", "bag", "red", "coat coat", ""])
    return Case(model, x, {"tokens": tokens(words(x))}, refused={"lower": "puts out text"})


@case
def keras_2_functional() -> Case:
    import tf_keras

    kl = tf_keras.layers
    tower = tf_keras.Sequential(
        [
            kl.Input((6, 7, 1)),
            kl.Conv2D(3, 3, activation="relu", activity_regularizer="l2", name="conv"),
            kl.BatchNormalization(name="norm"),
        ],
        name="tower",
    )
    inputs = tf_keras.Input((6, 7, 1))
    drop = kl.Dropout(0.5, name="drop")
    shared = kl.Dense(4, name="shared")
    flat = kl.Flatten(name="flat")(tower(inputs))
    dense = kl.Dense(4, name="dense")
    last = kl.Dense(N_CLASSES, activation="softmax", name="classes")
    model = tf_keras.Model(inputs, last(shared(shared(drop(dense(flat))))))
    model.compile("sgd", "sparse_categorical_crossentropy")
    x = images(6, 7, 1)
    conv = tower.get_layer("conv")(x)
    once = shared(dense(kl.Flatten()(tower(x))))
    return Case(
        model,
        x,
        {"tower/conv": conv, "shared": once, "shared#1": shared(once)},
        [
            "tower",
            "tower/conv",
            "tower/norm",
            "flat",
            "dense",
            "drop",
            "shared",
            "shared#1",
            "classes",
        ],
        predicted=model(x),
    )


@case
def keras_2_subclassed() -> Case:
    import tf_keras

    class Recurrent(tf_keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = tf_keras.layers.LSTM(4, name="lstm")
            self.last = tf_keras.layers.Dense(N_CLASSES, activation="softmax", name="classes")

        def call(self, x: Any) -> Any:
            return self.last(self.lstm(x))

    model = Recurrent()
    x = images(5, 2)
    model(x)
    return Case(model, x, {"lstm": model.lstm(x)}, ["lstm", "classes"], predicted=model(x))
