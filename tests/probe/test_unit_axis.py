import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from model_zoo import build

import actwidgets as aw
from actwidgets.core.ablation import Edit
from actwidgets.probe.call_trace import trace_call
from actwidgets.probe.compiled import Trace
from actwidgets.probe.inputs import input_spec_of
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras


def test_channels_first_is_handed_on_by_layers_that_say_nothing():
    case = build("channels_first")
    found = {info.name: (info.unit_axis, info.n_units) for info in aw.layers(case.model)}
    assert found == {
        "conv": (1, 4),
        "norm": (1, 4),
        "relu": (1, 4),
        "pool": (1, 4),
        "mean": (-1, 4),
        "classes": (-1, 3),
    }
    session = aw.Session(case.model, case.x, layer="relu")
    assert session.maps().shape == (1, 4, 7, 4)
    np.testing.assert_allclose(session.maps()[0], np.moveaxis(case.wanted["relu"][0], 0, -1))


def test_moving_the_channels_to_the_end_ends_it():
    first = {"data_format": "channels_first"}
    model = keras.Sequential(
        [
            keras.Input((2, 6, 6)),
            keras.layers.Conv2D(4, 3, name="conv", **first),
            keras.layers.Permute((2, 3, 1), name="last"),
            keras.layers.ReLU(name="relu"),
        ]
    )
    assert [info.unit_axis for info in aw.layers(model)] == [1, -1, -1]


def test_attention_scores_have_a_map_for_each_head():
    case = build("transformer_with_attention_scores")
    infos = {info.name: info for info in aw.layers(case.model)}
    assert infos["attention:1"].output_shape == (None, 2, 7, 7)
    assert (infos["attention:1"].unit_axis, infos["attention:1"].n_units) == (1, 2)
    session = aw.Session(case.model, case.x, layer="attention:1")
    scores = session.maps()
    assert scores.shape == (1, 7, 7, 2)
    np.testing.assert_allclose(scores.sum(axis=2), 1, rtol=1e-5)  # over the keys, for each query


# --- each kind of layer is asked, whatever shape it puts out -----------------------------

FIRST = {"data_format": "channels_first"}
LAYERS = keras.layers
OPS = keras.ops


def _said_to_be_first(inputs):
    """A layer that says where the channels are, and does nothing: it runs on any processor."""
    return LAYERS.ZeroPadding2D(0, name="first", **FIRST)(inputs)


def _axes(model):
    """What is told by the graph, a trace and an eager call: they must agree."""
    inputs = input_spec_of(model, None)
    taps = trace_call(model, inputs.arguments(inputs.blank(3))).taps
    told = [
        {info.name: info.unit_axis for info in layers}
        for layers in (aw.layers(model), Trace(model, inputs).layer_index.layers)
    ]
    assert told[0] == told[1]
    assert {tap.name: tap.unit_axis for tap in taps if tap.name in told[0]} == told[0]
    return told[0]


# Each puts out numbers that differ along the channels alone where what it takes does. Every
# axis of (3, 4, 8, 8) that could be mistaken for another by its length can be here.
MOVES = {
    "relu": LAYERS.ReLU(),
    "prelu": LAYERS.PReLU(alpha_initializer="ones"),
    "softmax": LAYERS.Softmax(axis=1),
    "dropout": LAYERS.Dropout(0.5),
    "norm": LAYERS.BatchNormalization(axis=1),
    "norm_of_another_axis": LAYERS.BatchNormalization(axis=2),
    "rescaling": LAYERS.Rescaling(2.0),
    "pool": LAYERS.AveragePooling2D(2, **FIRST),
    "resize": LAYERS.UpSampling2D(2, **FIRST),
    "pool_that_keeps_axes": LAYERS.GlobalAveragePooling2D(keepdims=True, **FIRST),
    "permute_to_the_end": LAYERS.Permute((2, 3, 1)),
    "permute_by_one": LAYERS.Permute((2, 1, 3)),
    "permute_the_rest": LAYERS.Permute((1, 3, 2)),
    "reshape_behind": LAYERS.Reshape((4, 64)),
    "reshape_apart": LAYERS.Reshape((4, 2, 4, 8)),
    "add_to_itself": lambda x: LAYERS.Add()([x, x]),
    "times_its_mean": lambda x: LAYERS.Multiply()(
        [x, LAYERS.Reshape((4, 1, 1))(LAYERS.GlobalAveragePooling2D(**FIRST)(x))]
    ),
    "concatenate_along_units": lambda x: LAYERS.Concatenate(axis=1)([x, x]),
    "concatenate_along_rows": lambda x: LAYERS.Concatenate(axis=2)([x, x]),
    "through_time": LAYERS.TimeDistributed(LAYERS.ReLU()),
    "swapaxes": lambda x: OPS.swapaxes(x, 1, 3),
    "swapaxes_of_the_rest": lambda x: OPS.swapaxes(x, 2, -1),
    "moveaxis": lambda x: OPS.moveaxis(x, 1, -1),
    "moveaxis_to_the_front": lambda x: OPS.moveaxis(x, 3, 1),
    "moveaxis_of_two": lambda x: OPS.moveaxis(x, (1, 2), (2, 1)),
    "transpose": lambda x: OPS.transpose(x, (0, 3, 1, 2)),
    "tanh": OPS.tanh,
    "times_two": lambda x: x * 2.0,
    "plus_a_row": lambda x: x + np.float32([1] * 8),
    "flip": lambda x: OPS.flip(x, 2),
    "pad": lambda x: OPS.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)), mode="reflect"),
    "repeat": lambda x: OPS.repeat(x, 2, axis=3),
    "expand_before": lambda x: OPS.expand_dims(x, 1),
    "expand_behind": lambda x: OPS.expand_dims(x, -1),
    "squeeze": lambda x: OPS.squeeze(OPS.expand_dims(x, 1), 1),
    "stack": lambda x: OPS.stack([x, x], axis=1),
    "mean_over_rows": lambda x: OPS.mean(x, axis=2),
    "max_over_columns": lambda x: OPS.max(x, axis=-1, keepdims=True),
    "pick_a_row": lambda x: x[:, :, 0],
    "pick_rows": lambda x: x[:, :, 1:3],
    "pick_with_a_new_axis": lambda x: x[:, None, :, 0],
    "reshape": lambda x: OPS.reshape(x, (-1, 4, 64)),
    "split": lambda x: OPS.split(x, 2, axis=2)[0],
    "average": lambda x: OPS.average(x, axis=3),
    "average_of_two": lambda x: LAYERS.Average()([x, x]),
    "matrices": lambda x: OPS.matmul(x, x),
    "rows_of_a_matrix": lambda x: OPS.matmul(OPS.swapaxes(x, 1, 2), np.ones((1, 8, 8, 8), "f")),
    "where": lambda x: OPS.where(x > 0, x, x * 3),
    "einsum": lambda x: OPS.einsum("abcd->acbd", x),
    "nested": lambda x: keras.Sequential([keras.Input((4, 8, 8)), LAYERS.ReLU()])(x),
}


@pytest.mark.parametrize("name", MOVES)
def test_the_units_are_where_the_numbers_of_a_channel_have_gone(name):
    inputs = keras.Input((4, 8, 8))
    output = MOVES[name](_said_to_be_first(inputs))
    model = keras.Model(inputs, output)
    channels = np.float32([0.25, 1.5, -0.5, 2.75]).reshape(1, 4, 1, 1)
    x = np.broadcast_to(channels, (3, 4, 8, 8))
    values = np.asarray(model(x))
    moving = [axis for axis in range(1, values.ndim) if np.ptp(values, axis=axis).max() > 0.01]
    assert len(moving) == 1
    axes = _axes(model)
    told = axes[[*axes][-1]]
    assert told % values.ndim == moving[0]


# What has weights makes units of its own: the axis along which its weights lie, by hand.
MAKERS = {
    "dense": (LAYERS.Dense(8), (4, 8, 8), -1),
    "einsum_dense_last": (LAYERS.EinsumDense("abcd,de->abce", (None, None, 8)), (4, 8, 8), -1),
    "einsum_dense_first": (LAYERS.EinsumDense("abcd,be->aecd", (4, None, None)), (4, 8, 8), 1),
    "einsum_dense_between": (LAYERS.EinsumDense("abcd,ce->abed", (None, 8, None)), (4, 8, 8), 2),
    "einsum_dense_of_any_rank": (LAYERS.EinsumDense("...x,xy->...y", 8), (4, 8, 8), -1),
    "attention": (lambda x: LAYERS.MultiHeadAttention(2, 3, name="own")(x, x), (4, 8, 8), -1),
    "through_time_dense": (LAYERS.TimeDistributed(LAYERS.Dense(8)), (4, 8, 8), -1),
    "through_time_first": (
        LAYERS.TimeDistributed(LAYERS.ZeroPadding1D(0, **FIRST)),
        (4, 8, 8),
        2,
    ),
    "spectral": (LAYERS.SpectralNormalization(LAYERS.Dense(8)), (4, 8, 8), -1),
    "conv_of_the_other_format": (LAYERS.Conv2D(8, 1, data_format="channels_last"), (4, 8, 8), -1),
}


@pytest.mark.parametrize("name", MAKERS)
def test_layers_with_weights_say_where_their_units_are(name):
    layer, shape, wanted = MAKERS[name]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(_said_to_be_first(inputs)))
    layer_name = "own" if name == "attention" else layer.name
    assert _axes(model)[layer_name] == wanted


OVER_TIME = {
    "lstm": LAYERS.LSTM(8, return_sequences=True),
    "gru": LAYERS.GRU(8, return_sequences=True),
    "bidirectional": LAYERS.Bidirectional(LAYERS.LSTM(4, return_sequences=True)),
    "dense": LAYERS.Dense(8),
    "conv": LAYERS.Conv1D(8, 1),
    "attention": lambda x: LAYERS.Attention(name="own")([x, x]),
    "additive_attention": lambda x: LAYERS.AdditiveAttention(name="own")([x, x]),
}


@pytest.mark.parametrize("name", OVER_TIME)
def test_what_reads_a_sequence_of_channels_has_units_last(name):
    inputs = keras.Input((4, 8))
    first = LAYERS.ZeroPadding1D(0, name="first", **FIRST)(inputs)
    layer = OVER_TIME[name]
    axes = _axes(keras.Model(inputs, layer(first)))
    assert axes["first"] == 1
    assert axes["own" if name.endswith("attention") else layer.name] == -1


def test_layers_over_time_have_channels_behind_it():
    inputs = keras.Input((5, 3, 6, 8))
    small = keras.Sequential([keras.Input((3, 6, 8)), LAYERS.ZeroPadding2D(0, **FIRST)])
    model = keras.Model(
        inputs,
        [
            LAYERS.ConvLSTM2D(4, 3, return_sequences=True, name="sequence", **FIRST)(inputs),
            LAYERS.ConvLSTM2D(4, 3, name="end", **FIRST)(inputs),
            LAYERS.TimeDistributed(LAYERS.Conv2D(4, 3, **FIRST), name="steps")(inputs),
            LAYERS.TimeDistributed(small, name="models")(inputs),
        ],
    )
    told = {info.name: (info.unit_axis, info.n_units) for info in aw.layers(model)}
    assert [told[name] for name in ("sequence", "end", "steps", "models")] == [
        (2, 4),
        (1, 4),
        (2, 4),
        (2, 3),
    ]


def test_the_profiles_of_a_dense_layer_are_those_of_its_own_units():
    """The case of the issue: 8 units on (4, 8), told as 4."""
    inputs = keras.Input((4, 8))
    dense = LAYERS.Dense(8, name="dense")
    first = LAYERS.ZeroPadding1D(0, **FIRST)(inputs)
    output = LAYERS.Dense(2)(LAYERS.Flatten()(dense(first)))
    model = keras.Model(inputs, output)
    info = next(info for info in aw.layers(model) if info.name == "dense")
    assert (info.n_units, info.unit_axis) == (8, -1)
    x = np.random.default_rng(0).normal(size=(6, 4, 8)).astype("float32")
    y = np.arange(6) % 2
    profiles = aw.class_profiles(model, x, y, layers="dense")
    values = np.asarray(dense(x)).mean(axis=1)
    np.testing.assert_allclose(
        profiles.mean["dense"], [values[y == 0].mean(0), values[y == 1].mean(0)], rtol=1e-4
    )


def test_units_behind_an_axis_of_time_are_shown_folded_and_edited_as_units():
    inputs = keras.Input((5, 3, 4))
    steps = LAYERS.TimeDistributed(LAYERS.ZeroPadding1D(0, **FIRST), name="steps")(inputs)
    model = keras.Model(inputs, LAYERS.Dense(2)(LAYERS.Flatten()(steps)))
    x = np.random.default_rng(0).normal(size=(4, 5, 3, 4)).astype("float32")
    session = aw.Session(model, x, layer="steps")
    np.testing.assert_array_equal(session.maps()[0], np.moveaxis(x[0], 1, -1))
    found = aw.class_profiles(model, x, [0, 1, 0, 1], layers="steps").mean["steps"]
    np.testing.assert_allclose(found[0], x[::2].mean(axis=(0, 1, 3)), rtol=1e-4)
    edit = Edit(np.float32([1, 0, 1]), np.zeros(3, np.float32))
    edited = KerasProbe(model).edited({"steps": edit}).outputs(["steps"], x)["steps"]
    np.testing.assert_array_equal(edited, x * np.float32([1, 0, 1])[:, None])


def test_a_map_of_units_between_time_and_places_lies_over_both():
    """The input is (time, channel, place), and so is the layer: (5, 3, 4)."""
    inputs = keras.Input((5, 3, 4))
    steps = LAYERS.TimeDistributed(LAYERS.ZeroPadding1D(0, **FIRST), name="steps")(inputs)
    dense = LAYERS.Dense(2)
    model = keras.Model(inputs, dense(LAYERS.Flatten()(LAYERS.ReLU()(steps))))
    x = np.random.default_rng(0).uniform(0.1, 1, (2, 5, 3, 4)).astype("float32")
    # Grad-CAM: each unit weighed by the mean of its gradient, which is the kernel's.
    kernel = np.asarray(dense.kernel)[:, 1].reshape(5, 3, 4)
    weights = kernel.mean(axis=(0, 2))
    wanted = np.maximum((x * weights[:, np.newaxis]).sum(axis=2), 0)
    found = aw.attribute(model, x, method="grad_cam", layer="steps", target=1)
    np.testing.assert_allclose(found.values, wanted, rtol=1e-4, atol=1e-6)


def test_a_nested_model_and_its_caller_hand_on_the_axis():
    """In at the inner ReLU and out again, of both calls, one of them with units last."""
    inner = keras.Sequential([keras.Input((4, 4, 4)), LAYERS.ReLU(name="relu")], name="inner")
    inputs = keras.Input((4, 4, 4))
    last = LAYERS.ZeroPadding2D(0, data_format="channels_last")(inputs)
    outputs = [
        LAYERS.ELU(name="a")(inner(_said_to_be_first(inputs))),
        LAYERS.ELU(name="b")(inner(last)),
    ]
    axes = _axes(keras.Model(inputs, outputs))
    names = ("inner", "inner/relu", "a", "inner#1", "inner#1/relu", "b")
    assert [axes[name] for name in names] == [1, 1, 1, -1, -1, -1]


def test_a_sum_in_a_models_own_call_hands_on_the_axis():
    class Residual(keras.Model):
        def __init__(self):
            super().__init__()
            self.first = LAYERS.ZeroPadding2D(0, name="first", **FIRST)
            self.norm, self.relu = LAYERS.BatchNormalization(axis=1), LAYERS.ReLU(name="relu")

        def call(self, x):
            first = self.first(x)
            return self.relu(first + self.norm(first) * 2.0)

    model = Residual()
    x = np.zeros((2, 4, 8, 8), np.float32)
    model(x)
    axes = {info.name: info.unit_axis for info in aw.layers(model, x)}
    assert axes["relu"] == 1


def test_a_layer_of_the_users_own_leaves_units_where_they_are_only_if_its_shape_is_the_same():
    class Scales(LAYERS.Layer):
        def call(self, x):
            return x * 2

    class Turns(LAYERS.Layer):
        def call(self, x):
            return OPS.transpose(x, (0, 2, 3, 1))

    class Says(Turns):
        data_format = "channels_last"

    inputs = keras.Input((4, 8, 9))
    first = _said_to_be_first(inputs)
    model = keras.Model(
        inputs, [Scales(name="s")(first), Turns(name="t")(first), Says(name="y")(first)]
    )
    axes = _axes(model)
    assert [axes[name] for name in "sty"] == [1, -1, -1]


def test_keras_2_layers_are_asked_as_well():
    kl = tf_keras.layers
    inputs = tf_keras.Input((4, 8, 8))
    first = kl.ZeroPadding2D(0, name="first", **FIRST)(inputs)
    outputs = {
        "dense": kl.Dense(8, name="dense")(first),
        "norm": kl.BatchNormalization(axis=1, name="norm")(first),
        "permute": kl.Permute((2, 1, 3), name="permute")(first),
        "steps": kl.TimeDistributed(kl.Dense(8), name="steps")(first),
        "transpose": tf.transpose(first, (0, 3, 1, 2)),
        "reduce": tf.reduce_mean(first, 3),
        "add": first + 1.0,
        "picked": first[:, :, 0],
    }
    model = tf_keras.Model(inputs, outputs)
    told = {info.name: info.unit_axis for info in aw.layers(model)}
    assert {name: told[name] for name in ("first", "dense", "norm", "permute", "steps")} == {
        "first": 1,
        "dense": -1,
        "norm": 1,
        "permute": 2,
        "steps": -1,
    }
    rest = {name: axis for name, axis in told.items() if name.startswith("tf.")}
    assert sorted(rest.values()) == [1, 1, 1, 2], rest
