"""A unit sees what its gradient reaches: no more than the field told, and not less."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
SHAPE = (19, 23, 2)
COMPILED = tf.function(
    lambda x: tf.nn.conv2d(x, tf.ones((3, 5, 2, 1)), 1, "VALID"), jit_compile=True
).get_concrete_function(tf.TensorSpec((None, *SHAPE)))


def _conv(size=3, **options):
    return layers.Conv2D(3, size, activation="softplus", **options)


def _chain(*parts, shape=SHAPE):
    model = keras.Sequential([keras.Input(shape), *parts])
    model.layers[-1].name = "last"
    return model


def _residual():
    inputs = keras.Input(SHAPE)
    x = _conv(1)(inputs)
    y = _conv(3, padding="same")(_conv(5, padding="same")(x))
    return keras.Model(inputs, layers.Activation("tanh", name="last")(layers.Add()([x, y])))


def _branches():
    inputs = keras.Input(SHAPE)
    parts = [_conv(size, strides=2, padding="same")(inputs) for size in (1, 3, 6)]
    return keras.Model(inputs, layers.Concatenate(name="last")(parts))


def _nested():
    body = keras.Sequential([keras.Input(SHAPE), _conv(), layers.MaxPooling2D()], name="body")
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, layers.Conv2D(2, 3, name="last")(body(inputs)))


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first, self.last = _conv(), layers.Conv2D(2, 3, strides=2, name="last")

    def call(self, x):
        return self.last(self.first(x) * 2 + 1)


def _subclassed():
    model = _Subclassed()
    model(np.zeros((1, *SHAPE), np.float32))
    return model


MODELS = {
    "valid convolutions and pools": lambda: _chain(
        _conv((3, 5)), layers.MaxPooling2D((2, 3)), _conv(2, strides=(2, 1))
    ),
    "even kernels of the same size": lambda: _chain(
        _conv(4, padding="same", strides=2),
        layers.AveragePooling2D(2, padding="same"),
        _conv(4, padding="same"),
    ),
    "strides that do not divide": lambda: _chain(
        _conv(3, padding="same", strides=(2, 3)), _conv(2)
    ),
    "dilated": lambda: _chain(_conv(3, dilation_rate=2), _conv(3, padding="same", dilation_rate=3)),
    "separable": lambda: _chain(layers.SeparableConv2D(3, 3), layers.DepthwiseConv2D(3, strides=2)),
    "padded by a layer": lambda: _chain(
        layers.ZeroPadding2D(((1, 2), (2, 0))), _conv(3, strides=2), layers.BatchNormalization()
    ),
    "permuted": lambda: _chain(_conv((3, 5)), layers.Permute((2, 1, 3)), _conv((3, 2))),
    "in groups": lambda: _chain(
        layers.Conv2D(4, (3, 5), groups=2, strides=(2, 1), activation="softplus"),
        layers.Conv2D(4, 3, groups=4, padding="same", use_bias=False),
        _conv(2),
    ),
    "a sequence in groups": lambda: _chain(
        layers.Conv1D(4, 4, groups=2, padding="same", activation="softplus"),
        layers.Conv1D(2, 3),
        shape=(31, 2),
    ),
    "in a compiled function": lambda: _chain(
        layers.Lambda(lambda x: COMPILED(x), output_shape=(17, 19, 1)), _conv()
    ),
    "residual": _residual,
    "branches": _branches,
    "nested": _nested,
    "subclassed": _subclassed,
    "a sequence": lambda: _chain(
        layers.Conv1D(3, 4, strides=2, padding="same", activation="softplus"),
        layers.AveragePooling1D(2),
        layers.Conv1D(2, 3),
        shape=(31, 2),
    ),
    "a volume": lambda: _chain(
        layers.Conv3D(2, (3, 2, 1), padding="same", activation="softplus"),
        layers.Conv3D(2, 3, strides=(1, 2, 1)),
        shape=(9, 11, 8, 1),
    ),
}


def _seen(model, probe, position):
    """Which places of the input move the map's value there: along each axis, first and last."""
    shape = _shape(model)
    found = np.zeros(shape[:-1], bool)
    for seed in range(4):  # a pooling picks one place of several
        x = tf.constant(np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.reduce_sum(_last(model, x)[(0, *position)])
        found |= (np.abs(tape.gradient(value, x).numpy()[0]) > 0).any(axis=-1)
    places = np.argwhere(found)
    return tuple(zip(places.min(axis=0), places.max(axis=0) + 1, strict=True))


def _last(model, x):
    return model(x, training=False)


def _shape(model):
    return model.inputs[0].shape[1:] if getattr(model, "inputs", None) else SHAPE


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_the_box_is_what_the_gradient_reaches(make):
    keras.utils.set_random_seed(1)
    model = make()
    for layer in model._flatten_layers():
        for weight in layer.weights:  # no weight by chance so small that nothing comes through
            if "kernel" in weight.name:
                weight.assign(np.sign(weight) * (np.abs(weight) + 0.1))
    like = np.zeros((1, *SHAPE), np.float32)
    probe = KerasProbe(model, None if getattr(model, "inputs", None) else like)
    field = probe.receptive_field("last")
    lengths = _last(model, np.zeros((1, *_shape(model)))).shape[1:-1]
    shape = _shape(model)[:-1]
    for position in (
        tuple(0 for _ in lengths),
        tuple(length // 2 for length in lengths),
        tuple(length - 1 for length in lengths),
    ):
        box = field.box(position, shape)
        seen = dict(zip(range(1, 9), _seen(model, probe, position), strict=False))
        assert box == tuple(seen[each.axis] for each in field.axes)


def test_what_mixes_all_positions_sees_everything():
    inputs = keras.Input(SHAPE)
    x = _conv()(inputs)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    gated = layers.Multiply(name="gated")([x, gate])
    dense = layers.Dense(2, name="dense")(layers.Flatten(name="flat")(gated))
    probe = KerasProbe(keras.Model(inputs, dense))
    for name in ("pool", "gated", "flat", "dense"):
        assert probe.receptive_field(name) is None


def test_a_map_that_is_stretched_over_another_sees_all_along_that_axis():
    inputs = keras.Input(SHAPE)
    strip = layers.Conv2D(2, (SHAPE[0], 1))(inputs)  # one row, added to each of the others
    added = layers.Activation("tanh", name="last")(strip + layers.Conv2D(2, 1)(inputs))
    assert KerasProbe(keras.Model(inputs, added)).receptive_field("last") is None


def test_two_inputs_are_not_told_apart():
    inputs = [keras.Input(SHAPE), keras.Input(SHAPE)]
    model = keras.Model(inputs, layers.Conv2D(2, 3, name="conv")(layers.Add()(inputs)))
    assert KerasProbe(model).receptive_field("conv") is None


def test_a_known_network_has_its_known_fields():
    """MobileNetV2's first convolution, its first block, and its last one: Araujo et al. 2019."""
    model = keras.applications.MobileNetV2(weights=None, input_shape=(224, 224, 3))
    probe = KerasProbe(model)
    assert probe.receptive_field("Conv1").size == (3, 3)
    assert probe.receptive_field("expanded_conv_depthwise").size == (7, 7)
    assert probe.receptive_field("out_relu").size == (491, 491)
