"""Relevance through gates, normalizations and recurrent layers, worked out beside the model.

Where gates and what normalizes count as constants, LRP-0 is the gradient of the model in which
they are held constant, times the input. Recurrent layers are gone through by hand in numpy.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from relevance_truth import (
    ALL_RULES,
    LRP_0,
    by_each_rule,
    chain,
    handed_back,
    samples,
    with_weights,
)

import actwidgets as aw
from actwidgets.core.attribution.base import LrpRules
from actwidgets.errors import LayerError

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("in_double_precision")]


def _gradient_x_input(function, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = tf.reduce_max(function(x), axis=1)
    return (x * tape.gradient(score, x)).numpy()


def _held(x):
    return tf.stop_gradient(x)


# --- normalizations ----------------------------------------------------------------------


def _deviation(x, axes, epsilon=1e-3):
    return _held(tf.sqrt(tf.math.reduce_variance(x, axes, keepdims=True) + epsilon))


def _centered(axes):
    def normalized(x, norm):
        found = (x - tf.reduce_mean(x, axes, keepdims=True)) / _deviation(x, axes)
        return found * norm.gamma + norm.beta

    return normalized


def _grouped(x, norm):
    parts = tf.reshape(x, (-1, 4, 5, 2, 3))
    found = (parts - tf.reduce_mean(parts, (1, 2, 4), keepdims=True)) / _deviation(parts, (1, 2, 4))
    return tf.reshape(found, (-1, 4, 5, 6)) * norm.gamma + norm.beta


def _root_mean_square(x, norm):
    return x / _held(tf.sqrt(tf.reduce_mean(x**2, -1, keepdims=True) + 1e-6)) * norm.scale


def _unit(x, _norm):
    return x / _held(tf.sqrt(tf.reduce_sum(x**2, -1, keepdims=True)))


NORMALIZATIONS = {
    "layer": (layers.LayerNormalization, _centered(-1)),
    "layer over all axes": (
        lambda: layers.LayerNormalization(axis=[1, 2, 3]),
        _centered((1, 2, 3)),
    ),
    "group": (lambda: layers.GroupNormalization(2), _grouped),
    "instance": (lambda: layers.GroupNormalization(-1), _centered((1, 2))),
    "root mean square": (layers.RMSNormalization, _root_mean_square),
    "unit": (layers.UnitNormalization, _unit),
    "by hand": (
        lambda: layers.Lambda(lambda x: tf.math.l2_normalize(x, -1, epsilon=1e-30)),
        _unit,
    ),
}


def _normalized(make):
    parts = layers.Conv2D(6, 1), make(), layers.ReLU(), layers.Conv2D(3, 2)
    return chain(*parts, shape=(4, 5, 3))


@pytest.mark.parametrize(("make", "by_hand"), NORMALIZATIONS.values(), ids=NORMALIZATIONS)
def test_what_normalizes_counts_as_a_constant(make, by_hand):
    model = with_weights(_normalized(make), shifted=True)
    conv, norm, _, *others = model.layers

    def held(x):
        x = tf.nn.relu(by_hand(conv(x), norm))
        for layer in others:
            x = layer(x)
        return x

    x = samples(4, 5, 3)
    np.testing.assert_allclose(held(x), model(x), rtol=1e-9)
    found = handed_back(model, x, LRP_0).relevance[0]
    np.testing.assert_allclose(found, _gradient_x_input(held, x), rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("make", [each for each, _ in NORMALIZATIONS.values()], ids=NORMALIZATIONS)
def test_nothing_is_lost_in_a_normalization(make):
    for rule, found in by_each_rule(with_weights(_normalized(make)), samples(4, 5, 3)).items():
        np.testing.assert_allclose(found.totals, found.scores, rtol=1e-6, err_msg=rule)


def test_a_normalization_of_keras_2_is_handed_through_alike():
    keras_2 = pytest.importorskip("tf_keras")
    kinds = keras_2.layers
    parts = [(kinds.LayerNormalization, _centered(-1)), (lambda: kinds.GroupNormalization(2), None)]
    for make, by_hand in parts:
        norm, ends = make(), (kinds.Flatten(), kinds.Dense(3, use_bias=False))
        model = keras_2.Sequential([kinds.Input((4, 5, 6)), norm, *ends])
        x = samples(4, 5, 6).astype(np.float32)
        found = handed_back(model, x, LRP_0)
        np.testing.assert_allclose(found.totals, found.scores, rtol=1e-3)
        if by_hand is not None:
            wanted = _gradient_x_input(lambda x: ends[1](ends[0](by_hand(x, norm))), x)  # noqa: B023
            np.testing.assert_allclose(found.relevance[0], wanted, rtol=1e-3, atol=1e-5)


# --- gates -------------------------------------------------------------------------------


def _squeezed(gate):
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="first")(inputs)
    pooled = layers.GlobalAveragePooling2D(keepdims=True)(x)
    excited = gate(layers.Conv2D(4, 1, name="excite")(layers.Conv2D(2, 1, name="squeeze")(pooled)))
    x = layers.Multiply()([excited, x])
    return keras.Model(inputs, layers.Dense(3, name="last")(layers.GlobalMaxPooling2D()(x)))


GATES = {
    "sigmoid": lambda x: layers.Activation("sigmoid")(x),
    "hard sigmoid": lambda x: layers.Activation("hard_sigmoid")(x),
    "of a capped ReLU": lambda x: layers.ReLU(6.0)(x + 3.0) * (1 / 6),
    "the rest of a sigmoid": lambda x: 1.0 - layers.Activation("sigmoid")(x),
}


@pytest.mark.parametrize("gate", GATES.values(), ids=GATES)
def test_a_gate_carries_none(gate):
    model = with_weights(_squeezed(gate), shifted=True)
    first, squeeze, excite, last = map(model.get_layer, ("first", "squeeze", "excite", "last"))

    def held(x):
        x = first(x)
        pooled = tf.reduce_mean(x, (1, 2), keepdims=True)
        return last(tf.reduce_max(x * _held(gate(excite(squeeze(pooled)))), (1, 2)))

    x = samples(6, 6, 3)
    np.testing.assert_allclose(held(x), model(x), rtol=1e-9)
    found = handed_back(model, x, LRP_0).relevance[0]
    np.testing.assert_allclose(found, _gradient_x_input(held, x), rtol=1e-7, atol=1e-10)


def test_half_of_a_gated_linear_unit_is_the_signal():
    unit = layers.Lambda(keras.activations.glu)  # Activation("glu") tells another shape
    model = keras.Sequential([keras.Input((4,)), unit, layers.Dense(1)])
    model.layers[-1].set_weights([np.array([[2.0], [-1.0]]), np.zeros(1)])
    x = np.array([[1.0, 3.0, 0.0, 0.0]])  # gates of one half: 2·½ - 3·½
    found = handed_back(model, x, LRP_0).relevance[0]
    np.testing.assert_allclose(found, [[1, -1.5, 0, 0]])


def test_of_two_gates_or_none_neither_is_the_signal():
    for kind in ("sigmoid", "relu6"):
        inputs = keras.Input((4,))
        one, other = (layers.Dense(4, activation=kind)(inputs) for _ in range(2))
        model = keras.Model(inputs, layers.Dense(3)(layers.Multiply(name="both")([one, other])))
        with pytest.raises(LayerError, match=r"layer 'both' \(Multiply\).*of two things"):
            handed_back(model, samples(4), LRP_0)


# --- calls -------------------------------------------------------------------------------


def _saved(inner, folder):
    inner.export(folder, verbose=False)
    return layers.TFSMLayer(str(folder), call_endpoint="serve", dtype="float64")


def _compiled(inner, _folder):
    function = tf.function(lambda x: inner(x), jit_compile=True)
    signature = tf.TensorSpec((None, *inner.input_shape[1:]), tf.float64)
    concrete = function.get_concrete_function(signature)
    return layers.Lambda(lambda x: concrete(x), output_shape=inner.output_shape[1:])


@pytest.mark.parametrize("make", [_saved, _compiled])
def test_a_call_is_gone_through_like_the_layers_inside_it(make, tmp_path):
    inner = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            layers.Conv2D(4, 3, activation="hard_silu"),
            layers.LayerNormalization(),
            layers.Flatten(),
        ]
    )
    plain = with_weights(chain(*inner.layers, shape=(6, 6, 3)), shifted=True)
    called = chain(make(inner, tmp_path / "saved"), shape=(6, 6, 3))
    called.layers[-1].set_weights(plain.layers[-1].get_weights())
    x = samples(6, 6, 3)
    rules = {"LRP-0": LRP_0, "composite": ALL_RULES["composite"]}
    both = by_each_rule(called, x, rules), by_each_rule(plain, x, rules)
    for found, wanted in zip(*(each.values() for each in both), strict=True):
        np.testing.assert_allclose(found.scores, wanted.scores)
        np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=1e-6, atol=1e-10)


# --- published architectures --------------------------------------------------------------


def _conv_next():
    from keras.src.applications.convnext import ConvNeXt

    return ConvNeXt([1, 1, 1, 1], [4, 6, 8, 10], include_preprocessing=False, **SMALL)


def _efficient_net():
    from keras.src.applications.efficientnet_v2 import EfficientNetV2

    return EfficientNetV2(
        0.1, 0.1, 32, name="efficientnetv2-b0", include_preprocessing=False, **SMALL
    )


def _mobile_net():
    from keras.src.applications.mobilenet_v3 import MobileNetV3Small

    return MobileNetV3Small(alpha=0.25, include_preprocessing=False, dropout_rate=0, **SMALL)


SMALL = {"weights": None, "input_shape": (32, 32, 3), "classes": 3, "classifier_activation": None}


@pytest.mark.parametrize("make", [_conv_next, _efficient_net, _mobile_net])
def test_published_architectures_lose_nothing_but_to_their_biases(make):
    found = handed_back(with_weights(make()), samples(32, 32, 3), LrpRules(epsilon=0.0))
    assert (found.scores != 0).all()
    np.testing.assert_allclose(found.totals, found.scores, rtol=1e-4)


# --- recurrent layers --------------------------------------------------------------------


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _lstm(x, weights, received):
    """An LSTM and its relevance as in Arras et al. 2017, sample by sample, with numpy.

    Args:
        x: `(step, channel)`.
        weights: Kernel, recurrent kernel and bias, gates in the order i, f, c, o.
        received: Gives what arrives at each output `(step, unit)` when told the outputs.
    """
    kernel, recurrent, bias = weights
    n_units = len(recurrent)
    h, c, kept, outputs = np.zeros(n_units), np.zeros(n_units), [], []
    for row in x:
        i, f, g, o = np.split(row @ kernel + h @ recurrent + bias, 4)
        old, new = _sigmoid(f) * c, _sigmoid(i) * np.tanh(g)
        kept.append((row, h, g, old, new))
        c = old + new
        h = _sigmoid(o) * np.tanh(c)
        outputs.append(h)
    arrived = received(np.array(outputs))
    to_h, to_c, found = np.zeros(n_units), np.zeros(n_units), np.zeros_like(x)
    of_candidate = slice(2 * n_units, 3 * n_units)
    for step in reversed(range(len(x))):
        row, before, g, old, new = kept[step]
        to_c = to_c + to_h + arrived[step]
        to_g = new / (old + new) * to_c
        found[step] = row * (kernel[:, of_candidate] @ (to_g / g))
        to_h = before * (recurrent[:, of_candidate] @ (to_g / g))
        to_c = old / (old + new) * to_c
    return np.array(outputs), found


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_an_lstm_is_gone_through_as_by_hand(sequences, backwards):
    lstm = layers.LSTM(4, return_sequences=sequences, go_backwards=backwards)
    model = with_weights(chain(lstm, shape=(5, 3)), shifted=True)
    *weights, last, bias = model.get_weights()
    x = samples(5, 3)
    found = handed_back(model, x, LRP_0)
    for place, row in enumerate(x):

        def received(outputs):
            values = outputs if sequences else outputs[-1:]
            scores = values.ravel() @ last + bias
            part = values.ravel() * last[:, scores.argmax()]
            arrived = np.zeros_like(outputs)
            arrived[-len(values) :] = part.reshape(values.shape)
            return arrived

        wanted = _lstm(row[::-1] if backwards else row, weights, received)[1]
        wanted = wanted[::-1] if backwards else wanted
        np.testing.assert_allclose(found.relevance[0][place], wanted, rtol=1e-7, atol=1e-12)


RECURRENT = {
    "LSTM": layers.LSTM,
    "GRU": layers.GRU,
    "GRU of Keras 1": lambda *a, **k: layers.GRU(*a, reset_after=False, **k),
    "SimpleRNN": layers.SimpleRNN,
}


@pytest.mark.parametrize("kind", RECURRENT.values(), ids=RECURRENT)
def test_a_loop_is_gone_through_like_the_same_steps_written_out(kind):
    def made(**options):
        return chain(
            kind(4, return_sequences=True, **options),
            layers.Bidirectional(kind(3, **options)),
            shape=(3, 3),
        )

    looped, written_out = made(), made(unroll=True)
    for weight in with_weights(looped, shifted=True).weights:
        if weight.name == "bias" and len(weight.shape) == 2:
            # Written out, the first step holds a gate times a constant, which is a scaling.
            weight.assign(weight * np.array([[1.0], [0.0]]))
    written_out.set_weights(looped.get_weights())
    x = samples(3, 3)
    rules = {"LRP-0": LRP_0, "epsilon": ALL_RULES["epsilon"]}
    both = by_each_rule(looped, x, rules), by_each_rule(written_out, x, rules)
    for found, wanted in zip(*(each.values() for each in both), strict=True):
        np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=1e-6, atol=1e-10)


@pytest.mark.parametrize(
    ("kind", "merged"),
    [*((kind, "concat") for kind in RECURRENT), ("GRU", "sum"), ("GRU", None)],
)
def test_nothing_is_lost_in_a_recurrent_layer(kind, merged):
    kind = RECURRENT[kind]
    inputs = keras.Input((None, 3))
    x = kind(4, return_sequences=True)(inputs)
    parts = layers.Bidirectional(kind(3), merge_mode=merged)(x)
    x = layers.Concatenate()(parts) if merged is None else parts
    model = with_weights(keras.Model(inputs, layers.Dense(3)(x)))
    found = handed_back(model, samples(5, 3), ALL_RULES["composite"])
    np.testing.assert_allclose(found.totals, found.scores, rtol=1e-6)


def test_states_that_are_put_out_are_handed_back_too():
    inputs = keras.Input((5, 3))
    outputs, state, cell = layers.LSTM(4, return_sequences=True, return_state=True)(inputs)
    parts = [layers.Flatten()(outputs), state, cell]
    model = with_weights(keras.Model(inputs, layers.Dense(3)(layers.Concatenate()(parts))))
    found = handed_back(model, samples(5, 3), LRP_0)
    np.testing.assert_allclose(found.totals, found.scores, rtol=1e-9)


@pytest.mark.parametrize("sequences", [False, True])
def test_steps_that_are_masked_get_nothing_and_change_nothing(sequences):
    def made(n_steps):
        inputs = keras.Input((n_steps, 3))
        x = layers.Masking()(inputs)
        x = layers.Bidirectional(layers.LSTM(4, return_sequences=sequences))(x)
        x = keras.ops.max(x, axis=1) if sequences else x
        return keras.Model(inputs, layers.Dense(3)(x))

    long, short = with_weights(made(5), shifted=True), made(3)
    short.set_weights(long.get_weights())
    x = np.abs(samples(5, 3)) + 0.1
    x[:, 3:] = 0
    long.get_layer(index=-1).bias.assign([9.0, 0, 0])
    short.get_layer(index=-1).bias.assign([9.0, 0, 0])
    found, wanted = handed_back(long, x, LRP_0), handed_back(short, x[:, :3], LRP_0)
    assert not found.relevance[0][:, 3:].any()
    if sequences:  # the maximum may be that of a masked step, where 0 is put out
        return
    np.testing.assert_allclose(found.relevance[0][:, :3], wanted.relevance[0], rtol=1e-7)


@pytest.mark.parametrize("sequences", [False, True])
def test_what_arrives_where_zero_is_put_out_for_a_masked_step_goes_nowhere(sequences):
    def made(n_steps):
        inputs = keras.Input((n_steps, 3))
        x = layers.Masking()(inputs)
        x = layers.SimpleRNN(4, return_sequences=sequences, zero_output_for_mask=True)(x)
        x = layers.Activation("sigmoid")(x)  # 0.5 of a masked step, so that something arrives
        return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))

    long, short = with_weights(made(5), shifted=True), made(3)
    *recurrent, kernel, _ = long.get_weights()
    only = np.array([9.0, 0, 0])  # one class for both
    long.set_weights([*recurrent, kernel, only])
    short.set_weights([*recurrent, kernel[: 4 * (3 if sequences else 1)], only])
    x = np.abs(samples(5, 3)) + 0.1
    x[:, 3:] = 0
    seen = handed_back(short, x[:, :3], LRP_0).relevance[0]
    wanted = seen if sequences else 0 * seen
    assert seen.any()
    found = handed_back(long, x, LRP_0).relevance[0]
    np.testing.assert_allclose(found[:, :3], wanted, rtol=1e-7)
    assert not found[:, 3:].any()


def _given_a_state():
    inputs = keras.Input((5, 3))
    state = layers.Dense(4)(inputs[:, 0])
    x = layers.LSTM(4, name="memory")(inputs, initial_state=[state, state])
    return keras.Model(inputs, layers.Dense(3)(x))


REFUSED = {
    "an initial state": _given_a_state,
    "cells of its own": lambda: chain(
        layers.RNN([layers.LSTMCell(3), layers.GRUCell(3)], name="memory"), shape=(5, 3)
    ),
    "convolutions": lambda: chain(layers.ConvLSTM1D(3, 2, name="memory"), shape=(5, 4, 3)),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_what_is_recurrent_in_another_way_is_named(make):
    model = make()
    with pytest.raises(LayerError, match=r"layer 'memory' \(\w+\).*for which there is no rule"):
        handed_back(model, samples(*model.input_shape[1:]), LRP_0)


def test_text_behind_an_embedding_is_attributed_through_recurrent_layers():
    model = keras.Sequential(
        [
            keras.Input((5,), dtype="int32"),
            layers.Embedding(10, 4, mask_zero=True, dtype="float32"),
            layers.Bidirectional(layers.LSTM(6, return_sequences=True, dtype="float32")),
            layers.GRU(3, dtype="float32"),
            layers.Dense(3, dtype="float32"),
        ]
    )
    x = np.array([[1, 2, 3, 0, 0], [4, 5, 0, 0, 0]], np.int32)
    found = aw.attribute(model, x, None, "lrp", epsilon=1e-9)
    np.testing.assert_allclose(found.gap, 0, atol=1e-4)
    assert not found.values[x == 0].any()
    assert found.values[x > 0].any()


def test_another_value_of_the_weights_is_read_when_it_is_run():
    model = with_weights(chain(layers.LSTM(4), shape=(5, 3)))
    x = samples(5, 3)
    before = aw.attribute(model, x, 0, "lrp")
    with_weights(model, seed=5)
    after = aw.attribute(model, x, 0, "lrp")
    assert np.abs(after.values - before.values).max() > 1e-3
    np.testing.assert_allclose(after.gap, 0, atol=1e-3)
