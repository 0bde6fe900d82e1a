"""Models of every kind that relevance is handed back through; none adds anything but biases."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from relevance_truth import chain

RAMP = np.linspace(-1, 2, 12)


def _residual():
    inputs = keras.Input((8, 24, 3))
    x = layers.Conv2D(4, 1, padding="same", activation="relu", name="first")(inputs)
    y = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x))
    x = layers.ReLU(name="rectified")(layers.Add(name="added")([x, y]))
    x = layers.Concatenate(name="joined")([x, layers.Conv2D(2, 3, padding="same")(x)])
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    return keras.Model(inputs, layers.Dense(3)(x))


def _branching():
    inputs = keras.Input((8, 24, 3))
    x = layers.Conv2D(4, 3)(inputs)
    x = layers.Add()([layers.ReLU()(x), layers.BatchNormalization()(x), layers.LeakyReLU()(x)])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def _shared():
    inputs = keras.Input((6,))
    shared = layers.Dense(6, activation="relu", name="shared")
    return keras.Model(inputs, layers.Dense(3)(shared(shared(inputs))))


def _nested():
    body = keras.Sequential(
        [
            keras.Input((8, 24, 3)),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.BatchNormalization(),
        ]
    )
    inputs = keras.Input((8, 24, 3))
    x = layers.Flatten()(layers.Conv2D(3, (2, 3), activation="relu")(body(inputs)))
    return keras.Model(inputs, layers.Dense(3)(x))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Conv2D(4, 3, name="first")
        self.norm = layers.BatchNormalization(name="norm")
        self.last = layers.Dense(3, name="last")

    def call(self, x, training=False):
        x = tf.maximum(self.norm(self.first(x), training=training), 0) * 2
        return self.last(tf.reshape(x[:, ::2], (-1, 3 * 22 * 4)) / 3)


def _subclassed():
    model = Subclassed()
    model(np.zeros((1, 8, 24, 3)))
    return model


class FusedNormalization(layers.Layer):
    def build(self, shape):
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        self.four = [
            self.add_weight(shape=shape[-1:], name=name, dtype="float32") for name in names
        ]

    def call(self, x):
        tensors = [tf.convert_to_tensor(each) for each in self.four]
        found = tf.compat.v1.nn.fused_batch_norm(
            tf.cast(x, tf.float32), *tensors, is_training=False
        )
        return tf.cast(found[0], x.dtype)


def conv(units=4, size=3, **options):
    return layers.Conv2D(units, size, **{"activation": "relu", **options})


MODELS = {
    "convolutions": lambda: chain(conv(), layers.MaxPooling2D(), conv(5, (1, 4), strides=2)),
    "pools": lambda: chain(conv(), layers.AveragePooling2D(2), conv(), layers.GlobalMaxPooling2D()),
    "dilated": lambda: chain(conv(dilation_rate=2), conv(padding="same", dilation_rate=3)),
    "separable": lambda: chain(
        layers.SeparableConv2D(4, 3, activation="relu"),
        layers.DepthwiseConv2D((2, 3), depth_multiplier=2),
        layers.BatchNormalization(),
        layers.ReLU(),
    ),
    "in groups": lambda: chain(
        conv(4),
        layers.Conv2D(6, 3, strides=2, groups=2),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Conv2D(6, 2, groups=6, activation="relu"),
    ),
    "a sequence in groups": lambda: chain(
        layers.Conv1D(4, 3, groups=2, activation="relu"), layers.MaxPooling1D(), shape=(9, 6)
    ),
    "transposed": lambda: chain(
        layers.Conv2DTranspose(2, 3, strides=2),
        layers.BatchNormalization(),
        layers.ReLU(),
        conv(),
        layers.GlobalAveragePooling2D(),
    ),
    "normalized behind": lambda: chain(
        conv(activation=None), layers.BatchNormalization(), layers.ReLU(), conv()
    ),
    "normalized in front": lambda: chain(
        conv(), layers.BatchNormalization(), layers.ZeroPadding2D(), conv()
    ),
    "normalized when flat": lambda: chain(
        layers.Conv2D(2, 3), layers.Flatten(), layers.BatchNormalization(), layers.ReLU()
    ),
    "normalized before a pool": lambda: chain(
        conv(), layers.BatchNormalization(), layers.MaxPooling2D(), conv()
    ),
    "moved": lambda: chain(
        layers.Permute((2, 1, 3)),
        layers.Cropping2D(1),
        layers.UpSampling2D(),
        layers.ZeroPadding2D(),
        conv(strides=3),
        layers.Reshape((-1, 2)),
        layers.Dense(2, activation="relu"),
    ),
    "a sequence": lambda: chain(
        layers.Conv1D(4, 3, padding="causal", dilation_rate=2),
        layers.BatchNormalization(),
        layers.LeakyReLU(),
        layers.MaxPooling1D(),
        layers.Dense(5, activation="relu"),
        layers.EinsumDense("abc,cd->abd", output_shape=(7, 3)),
        layers.AveragePooling1D(2),
        layers.Dropout(0.4),
        shape=(14, 2),
    ),
    "a volume": lambda: chain(
        layers.Conv3D(3, 2, strides=(1, 2, 2), activation="relu"),
        layers.Conv3DTranspose(2, 2, activation="relu"),
        shape=(5, 6, 7, 1),
    ),
    "dense": lambda: chain(
        layers.Dense(7), layers.BatchNormalization(), layers.PReLU(), shape=(6,)
    ),
    "branching": _branching,
    "scaled by hand": lambda: chain(
        layers.Dense(4),
        layers.Lambda(lambda x: x / -2),
        layers.Lambda(lambda x: -x * tf.ones((3, 1), x.dtype)),
        layers.ReLU(),
        layers.Lambda(lambda x: tf.matmul(tf.reshape(RAMP[:6], (2, 3)), x)),
        layers.Lambda(lambda x: x * RAMP[:4]),
        layers.Lambda(lambda x: tf.matmul(x, tf.reshape(RAMP[:8], (2, 4)), transpose_b=True)),
        layers.Lambda(lambda x: x * RAMP[2:4]),
        layers.Lambda(lambda x: tf.einsum("abc->acb", x)),
        layers.ReLU(),
        layers.Lambda(lambda x: x[..., None] * RAMP[1:4]),
        shape=(3, 2),
    ),
    "rescaled": lambda: chain(layers.Rescaling(0.25), conv(strides=2)),
    "residual": _residual,
    "shared": _shared,
    "nested": _nested,
    "subclassed": _subclassed,
}


def shape_of(model):
    return (8, 24, 3) if isinstance(model, Subclassed) else model.input_shape[1:]
