"""Relevance is kept from layer to layer, and LRP-0 is the gradient times the input."""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from precision import double_precision
from real_data import require_data, require_model
from relevance_truth import ALL_RULES, LRP_0, HandedBack, chain, samples, with_weights

import actwidgets as aw
from actwidgets.core.attributions.lrp_rules import LrpRules
from actwidgets.errors import LayerError, ShapeError

pytestmark = pytest.mark.keras


@pytest.fixture(autouse=True, scope="module")
def _in_double_precision():
    with double_precision():
        yield


RAMP = np.linspace(-1, 2, 12)


# --- models ------------------------------------------------------------------------------


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


class _Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Conv2D(4, 3, name="first")
        self.norm = layers.BatchNormalization(name="norm")
        self.last = layers.Dense(3, name="last")

    def call(self, x, training=False):
        x = tf.maximum(self.norm(self.first(x), training=training), 0) * 2
        return self.last(tf.reshape(x[:, ::2], (-1, 3 * 22 * 4)) / 3)


def _subclassed():
    model = _Subclassed()
    model(np.zeros((1, 8, 24, 3)))
    return model


class _FusedNormalization(layers.Layer):
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


def _conv(units=4, size=3, **options):
    return layers.Conv2D(units, size, **{"activation": "relu", **options})


MODELS = {
    "convolutions": lambda: chain(_conv(), layers.MaxPooling2D(), _conv(5, (1, 4), strides=2)),
    "pools": lambda: chain(
        _conv(), layers.AveragePooling2D(2), _conv(), layers.GlobalMaxPooling2D()
    ),
    "dilated": lambda: chain(_conv(dilation_rate=2), _conv(padding="same", dilation_rate=3)),
    "separable": lambda: chain(
        layers.SeparableConv2D(4, 3, activation="relu"),
        layers.DepthwiseConv2D((2, 3), depth_multiplier=2),
        layers.BatchNormalization(),
        layers.ReLU(),
    ),
    "transposed": lambda: chain(
        layers.Conv2DTranspose(2, 3, strides=2),
        layers.BatchNormalization(),
        layers.ReLU(),
        _conv(),
        layers.GlobalAveragePooling2D(),
    ),
    "normalised behind": lambda: chain(
        _conv(activation=None), layers.BatchNormalization(), layers.ReLU(), _conv()
    ),
    "normalised in front": lambda: chain(
        _conv(), layers.BatchNormalization(), layers.ZeroPadding2D(), _conv()
    ),
    "normalised when flat": lambda: chain(
        layers.Conv2D(2, 3), layers.Flatten(), layers.BatchNormalization(), layers.ReLU()
    ),
    "normalised before a pool": lambda: chain(
        _conv(), layers.BatchNormalization(), layers.MaxPooling2D(), _conv()
    ),
    "moved": lambda: chain(
        layers.Permute((2, 1, 3)),
        layers.Cropping2D(1),
        layers.UpSampling2D(),
        layers.ZeroPadding2D(),
        _conv(strides=3),
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
    "rescaled": lambda: chain(layers.Rescaling(0.25), _conv(strides=2)),
    "residual": _residual,
    "shared": _shared,
    "nested": _nested,
    "subclassed": _subclassed,
}


def _shape(model):
    return (8, 24, 3) if isinstance(model, _Subclassed) else model.input_shape[1:]


@pytest.fixture(params=MODELS)
def model(request):
    keras.utils.set_random_seed(1)
    return MODELS[request.param]()


# --- what holds for all of them ----------------------------------------------------------


def test_lrp_0_is_the_gradient_times_the_input(model):
    x = samples(*_shape(with_weights(model, shifted=True)))
    found = HandedBack(model, x, LRP_0)
    np.testing.assert_allclose(found.relevance[0], found.gradient_x_input[0], rtol=1e-7, atol=1e-10)
    assert np.abs(found.relevance[0]).max() > 1e-3


@pytest.mark.parametrize("rules", ALL_RULES.values(), ids=ALL_RULES)
def test_nothing_is_lost_where_nothing_is_added(model, rules):
    x = samples(*_shape(with_weights(model)))
    found = HandedBack(model, x, rules)
    np.testing.assert_allclose(found.totals, found.scores, rtol=1e-6)


@pytest.mark.parametrize("rules", ALL_RULES.values(), ids=ALL_RULES)
@pytest.mark.parametrize("name", ["residual", "nested", "separable", "normalised in front"])
def test_the_relevance_of_every_layer_sums_to_the_score(name, rules):
    model = with_weights(MODELS[name]())
    x = samples(*_shape(model))
    names = [each.name for each in model.layers if not isinstance(each, layers.InputLayer)]
    if name == "residual":  # others are in one of two branches, and get a part
        names = ["first", "added", "rectified", "joined", "pooled"]
    together = HandedBack(model, x, rules, at=names)
    for place, name in enumerate(names):
        alone = HandedBack(model, x, rules, at=[name])
        for total in (alone.totals, together.totals_at[place]):
            np.testing.assert_allclose(total, together.scores, rtol=1e-6, err_msg=name)


def test_gamma_0_is_the_epsilon_rule(model):
    x = samples(*_shape(with_weights(model, shifted=True)))
    gamma = HandedBack(model, x, LrpRules("gamma", gamma=0.0, epsilon=0.01))
    epsilon = HandedBack(model, x, LrpRules("epsilon", epsilon=0.01))
    np.testing.assert_allclose(gamma.relevance[0], epsilon.relevance[0], rtol=1e-7, atol=1e-12)


def test_what_is_missing_is_what_the_biases_took():
    model = with_weights(
        chain(_conv(activation=None), layers.BatchNormalization(), layers.ReLU(), _conv()),
        shifted=True,
    )
    x = samples(8, 24, 3)
    found = HandedBack(model, x, LRP_0)
    taken = []
    for sample in range(len(x)):
        with tf.GradientTape() as tape:
            score = tf.reduce_max(model(x[sample : sample + 1]))
        slopes = tape.gradient(score, model.trainable_variables)
        shifts = {
            variable.path: slope
            for variable, slope in zip(model.trainable_variables, slopes, strict=True)
        }
        norm = model.layers[1]
        scale = norm.gamma / tf.sqrt(norm.moving_variance + norm.epsilon)
        amount = tf.reduce_sum(shifts[norm.beta.path] * (norm.beta - norm.moving_mean * scale))
        for layer in model.layers:
            if getattr(layer, "bias", None) is not None:
                amount += tf.reduce_sum(shifts[layer.bias.path] * layer.bias)
        taken.append(float(amount))
    assert np.abs(taken).min() > 1e-3
    np.testing.assert_allclose(found.scores - found.totals, taken, rtol=1e-6)


# --- rules worked out by hand -------------------------------------------------------------


def _one_unit(*weights, bias=0.0):
    model = keras.Sequential([keras.Input((len(weights),)), layers.Dense(1)])
    model.layers[0].set_weights([np.array(weights)[:, None], np.array([bias])])
    return model


X = np.array([[1.0, 2.0]])
BY_HAND = {  # 3·1 - 1·2 + ½ = 1½
    "epsilon": (LrpRules("epsilon", epsilon=0.5), [1.5 * 3 / 2, 1.5 * -2 / 2]),
    "gamma": (LrpRules("gamma", epsilon=0, gamma=1), [1.5 * 6 / 5, 1.5 * -2 / 5]),
    "alpha 2": (LrpRules("alpha_beta", epsilon=0), [2 * 1.5 * 3 / 3.5, -1.5]),
    "alpha 1": (LrpRules("alpha_beta", epsilon=0, alpha=1), [1.5 * 3 / 3.5, 0]),
    "box": (LrpRules("epsilon", epsilon=0, box=(-1, 3)), [1.5 * 6 / 7, 1.5 * 1 / 7]),
    "box by channel": (
        LrpRules("epsilon", epsilon=0, box=((-1, 0), (3, 4))),
        [1.5 * 6 / 8, 1.5 * 2 / 8],
    ),
    "composite": (LrpRules(epsilon=0.5), [1.5 * 3 / 2, 1.5 * -2 / 2]),
}


@pytest.mark.parametrize(("rules", "wanted"), BY_HAND.values(), ids=BY_HAND)
def test_one_unit_by_hand(rules, wanted):
    found = HandedBack(_one_unit(3, -1, bias=0.5), X, rules)
    np.testing.assert_allclose(found.relevance[0], [wanted], rtol=1e-7)


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        (LrpRules("epsilon", epsilon=1), [-3 * 1 / -4, -3 * -4 / -4]),
        (LrpRules("gamma", epsilon=0, gamma=1), [-3 * 1 / -7, -3 * -8 / -7]),
        (LrpRules("alpha_beta", epsilon=0), [2 * -3, 3]),
    ],
)
def test_a_score_below_zero_by_hand(rules, wanted):  # 1·1 - 2·2 = -3
    found = HandedBack(_one_unit(1, -2), X, rules)
    np.testing.assert_allclose(found.relevance[0], [wanted], rtol=1e-7)


def test_inputs_below_zero_speak_for_what_their_weight_speaks_against():
    found = HandedBack(_one_unit(-3, -1), X * [-1, 1], LrpRules("alpha_beta", epsilon=0))
    np.testing.assert_allclose(found.relevance[0], [[2, -1]])  # -3·-1 - 1·2 = 1


@pytest.mark.parametrize("sign", [1, -1])
def test_where_all_contributions_agree_they_get_no_more_than_there_is(sign):
    found = HandedBack(_one_unit(3 * sign, sign), X, LrpRules("alpha_beta", epsilon=0))
    np.testing.assert_allclose(found.relevance[0], [[3 * sign, 2 * sign]])


def test_the_composite_takes_gamma_at_convolutions_and_epsilon_at_dense_layers():
    rules = LrpRules(epsilon=0.01, gamma=0.7)
    gamma, epsilon = (LrpRules(each, epsilon=0.01, gamma=0.7) for each in ("gamma", "epsilon"))
    images = with_weights(keras.Sequential([keras.Input((1, 1, 3)), layers.Conv2D(4, 1)]))
    dense = with_weights(keras.Sequential([keras.Input((3,)), layers.Dense(4)]))
    x = samples(3)
    for model, values, like, unlike in (
        (images, x[:, None, None], gamma, epsilon),
        (dense, x, epsilon, gamma),
    ):
        found = HandedBack(model, values, rules, output="").relevance[0]
        np.testing.assert_allclose(found, HandedBack(model, values, like).relevance[0])
        assert np.abs(found - HandedBack(model, values, unlike).relevance[0]).max() > 1e-3


def test_with_alpha_1_nothing_speaks_against_a_score_above_zero():
    model = with_weights(MODELS["convolutions"](), shifted=True)
    found = HandedBack(model, np.abs(samples(8, 24, 3)), ALL_RULES["alpha 1"])
    assert (found.scores > 0).all()
    assert found.relevance[0].min() >= 0
    assert found.relevance[0].max() > 0


def test_a_sum_is_shared_in_proportion_and_a_maximum_goes_to_the_winner():
    inputs = keras.Input((4,))
    halves = layers.Add()([inputs[:, :2], inputs[:, 2:]])
    model = keras.Model(inputs, layers.Reshape((1,))(keras.ops.max(halves, axis=1)))
    found = HandedBack(model, np.array([[1.0, 5.0, 2.0, -1.0]]), LRP_0)
    np.testing.assert_allclose(found.relevance[0], [[0, 5, 0, -1]])


# --- the box of the input ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["convolutions", "rescaled", "moved", "nested", "subclassed"])
def test_nothing_is_lost_to_a_box_or_to_the_bias_of_the_first_layer(name):
    model = with_weights(MODELS[name]())
    first = next(each for each in model._flatten_layers() if isinstance(each, layers.Conv2D))
    first.bias.assign(samples(*first.bias.shape)[0] / 4)
    x = np.clip(samples(*_shape(model)), -1, 2)
    found = HandedBack(model, x, LrpRules(epsilon=1e-12, box=(-1, 2)))
    np.testing.assert_allclose(found.totals, found.scores, rtol=1e-6)
    assert np.abs(found.relevance[0] - found.gradient_x_input[0]).max() > 1e-3


def test_a_box_goes_through_what_rescales_the_input():
    model = with_weights(MODELS["convolutions"]())
    inputs = keras.Input((8, 24, 3))
    scaled = keras.Model(inputs, model(layers.Rescaling(-2.0, offset=1.0)(inputs)))
    x = np.clip(samples(8, 24, 3), -1, 2)
    found = HandedBack(scaled, x, LrpRules(box=(-1, 2)))
    wanted = HandedBack(model, 1 - 2 * x, LrpRules(box=(-3, 3)))
    np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=1e-7, atol=1e-12)


def test_a_box_of_another_number_of_channels_is_refused():
    with pytest.raises(ShapeError, match=r"box has 2 values.*\(8, 24, 3\) has 3"):
        HandedBack(MODELS["convolutions"](), samples(8, 24, 3), LrpRules(box=((0, 0), (1, 1))))


def test_a_box_that_nothing_uses_is_refused():
    model = chain(layers.ReLU(), layers.Dense(3), shape=(4,))
    with pytest.raises(LayerError, match="box is for layers with weights that read the input"):
        HandedBack(model, samples(4), LrpRules(box=(0, 1)))


# --- batch normalisation -------------------------------------------------------------------


def _folded_behind(norm, kernel, bias, *, axis=-1):
    scale = (norm.gamma / np.sqrt(norm.moving_variance + norm.epsilon)).numpy()
    shape = [1] * kernel.ndim
    shape[axis] = -1
    return kernel * scale.reshape(shape), (bias - norm.moving_mean) * scale + norm.beta


WEIGHTED = {
    "convolution": (lambda: layers.Conv2D(5, 3, strides=2), -1),
    "dilated": (lambda: layers.Conv2D(5, 3, dilation_rate=2), -1),
    "depthwise": (lambda: layers.DepthwiseConv2D(3), -2),
    "transposed": (lambda: layers.Conv2DTranspose(5, 3), -2),
    "dense": (lambda: layers.Dense(5), -1),
}


@pytest.mark.parametrize("rules", ALL_RULES.values(), ids=ALL_RULES)
@pytest.mark.parametrize(("make", "axis"), WEIGHTED.values(), ids=WEIGHTED)
def test_a_normalisation_is_folded_into_the_layer_in_front_of_it(make, axis, rules):
    parted = chain(make(), layers.BatchNormalization(), layers.ReLU())
    with_weights(parted, shifted=True)
    norm = parted.layers[1]
    norm.gamma.assign(norm.gamma * np.resize([1, -1], norm.gamma.shape))
    whole = chain(make(), layers.ReLU())
    kernel, bias = _folded_behind(norm, *parted.layers[0].get_weights(), axis=axis)
    whole.layers[0].set_weights([kernel, bias])
    whole.layers[-1].set_weights(parted.layers[-1].get_weights())
    x = samples(8, 24, 3)
    found, wanted = HandedBack(parted, x, rules), HandedBack(whole, x, rules)
    np.testing.assert_allclose(found.scores, wanted.scores)
    np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rules", ALL_RULES.values(), ids=ALL_RULES)
def test_a_normalisation_between_two_layers_is_folded_into_the_first(rules):
    parted = chain(layers.Dense(5), layers.BatchNormalization(), layers.Dense(4), shape=(6,))
    norm = with_weights(parted, shifted=True).layers[1]
    norm.gamma.assign(norm.gamma * [1, -1, 1, -1, 1])
    whole = chain(layers.Dense(5), layers.Dense(4), shape=(6,))
    others = [each for layer in parted.layers[2:] for each in layer.get_weights()]
    whole.set_weights([*_folded_behind(norm, *parted.layers[0].get_weights()), *others])
    x = samples(6)
    found, wanted = HandedBack(parted, x, rules), HandedBack(whole, x, rules)
    np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rules", ALL_RULES.values(), ids=ALL_RULES)
def test_a_normalisation_behind_a_relu_is_folded_into_the_layer_behind_it(rules):
    parted = chain(_conv(), layers.BatchNormalization(), _conv(strides=2))
    with_weights(parted, shifted=True)
    first, norm, second, last = [each for each in parted.layers if each.weights]
    norm.gamma.assign(norm.gamma * [1, -1, 1, -1])
    scale = (norm.gamma / np.sqrt(norm.moving_variance + norm.epsilon)).numpy()
    shift = (norm.beta - norm.moving_mean * scale).numpy()
    kernel, bias = second.get_weights()
    whole = chain(_conv(), _conv(strides=2))
    whole.layers[0].set_weights(first.get_weights())
    added = np.einsum("abcd,c->d", kernel, shift)
    whole.layers[1].set_weights([kernel * scale[:, None], bias + added])
    whole.layers[-1].set_weights(last.get_weights())
    x = samples(8, 24, 3)
    found, wanted = HandedBack(parted, x, rules), HandedBack(whole, x, rules)
    np.testing.assert_allclose(found.scores, wanted.scores)
    np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("front", [True, False], ids=["in front", "behind"])
def test_a_fused_normalisation_is_folded_like_one_of_several_operations(front):
    def normalised(norm):
        if front:
            return chain(_conv(), norm, _conv())
        return chain(_conv(activation=None), norm, layers.ReLU())

    fused, plain = normalised(_FusedNormalization()), normalised(layers.BatchNormalization())
    with_weights(plain, shifted=True)
    for one, other in zip(fused.weights, plain.weights, strict=True):
        one.assign(other)
    x = samples(8, 24, 3)
    for rules in ALL_RULES.values():
        found, wanted = HandedBack(fused, x, rules), HandedBack(plain, x, rules)
        np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=0.01, atol=1e-4)


def test_a_fused_normalisation_without_a_layer_to_fold_it_into_takes_part_in_the_sum():
    model = chain(_conv(), _FusedNormalization(), layers.MaxPooling2D(), _conv())
    found = HandedBack(with_weights(model, shifted=True), samples(8, 24, 3))
    largest = np.abs(found.gradient_x_input[0]).max()
    assert np.abs(found.relevance[0] - found.gradient_x_input[0]).max() < 1e-3 * largest


SCALED = {
    "from a constant": (lambda x: 3 - x, -1, 3),
    "negated": (lambda x: -x, -1, 0),
    "divided": (lambda x: x / RAMP[:5] + 0.5, 1 / RAMP[:5], 0.5),
    "less a constant": (lambda x: (x - 0.5) * RAMP[2:7], RAMP[2:7], -0.5 * RAMP[2:7]),
}


@pytest.mark.parametrize("rules", ALL_RULES.values(), ids=ALL_RULES)
@pytest.mark.parametrize(("function", "scale", "shift"), SCALED.values(), ids=SCALED)
def test_a_scale_written_by_hand_is_folded_too(function, scale, shift, rules):
    parted = chain(layers.Dense(5), layers.Lambda(function), layers.ReLU(), shape=(6,))
    kernel, bias, *others = with_weights(parted, shifted=True).get_weights()
    whole = chain(layers.Dense(5), layers.ReLU(), shape=(6,))
    whole.set_weights([kernel * scale, bias * scale + shift, *others])
    x = samples(6)
    found, wanted = HandedBack(parted, x, rules), HandedBack(whole, x, rules)
    np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("rules", ALL_RULES.values(), ids=ALL_RULES)
@pytest.mark.parametrize("function", [lambda x: 3 - x, lambda x: x / RAMP[:5] + 0.5])
def test_a_scale_in_front_of_a_layer_is_folded_into_it(function, rules):
    parted = chain(layers.ReLU(), layers.Lambda(function), layers.Dense(4), shape=(5,))
    kernel, bias, *others = with_weights(parted, shifted=True).get_weights()
    shift = function(np.zeros((1, 5)))
    scale = function(np.ones((1, 5))) - shift
    whole = chain(layers.ReLU(), layers.Dense(4), shape=(5,))
    whole.set_weights([kernel * scale.T, bias + (shift @ kernel)[0], *others])
    x = samples(5)
    found, wanted = HandedBack(parted, x, rules), HandedBack(whole, x, rules)
    np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=1e-6, atol=1e-9)


def test_a_bias_along_the_second_axis_is_not_taken_for_one_of_the_last():
    def biased(x):
        return tf.nn.bias_add(x, RAMP[:3], data_format="NCHW")

    def added(x):
        return x + RAMP[:3, None, None]

    first, second = (
        chain(layers.Dense(3), layers.Lambda(function), shape=(3, 2, 2))
        for function in (biased, added)
    )
    second.set_weights(with_weights(first).get_weights())
    x = samples(3, 2, 2)
    for rules in ALL_RULES.values():
        found, wanted = HandedBack(first, x, rules), HandedBack(second, x, rules)
        np.testing.assert_allclose(found.relevance[0], wanted.relevance[0])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: keras.ops.relu(x),
        lambda x: keras.ops.pad(keras.ops.relu(x), ((0, 0), (1, 1)), constant_values=-1.0),
        lambda x: keras.ops.concatenate([keras.ops.relu(x), -keras.ops.relu(x)], axis=1),
        lambda x: keras.ops.maximum(x, -1.0),
    ],
)
def test_what_is_known_of_signs_changes_nothing(function):
    known = chain(layers.Lambda(function), layers.Dense(4), layers.ReLU(), shape=(6,))
    hidden = chain(
        layers.Lambda(lambda x: keras.ops.minimum(function(x), 1e9)),
        layers.Dense(4),
        layers.ReLU(),
        shape=(6,),
    )
    hidden.set_weights(with_weights(known).get_weights())
    for rules in ALL_RULES.values():
        found, wanted = HandedBack(known, samples(6), rules), HandedBack(hidden, samples(6), rules)
        np.testing.assert_allclose(found.relevance[0], wanted.relevance[0])


# --- the same model written in other ways -----------------------------------------------


def _as_argument():
    return chain(layers.Conv2D(4, 3, activation="relu"))


def _as_layer():
    return chain(layers.Conv2D(4, 3), layers.ReLU())


def _as_named_layer():
    return chain(layers.Conv2D(4, 3), layers.Activation("relu"))


def _as_bound():
    return chain(layers.Conv2D(4, 3), layers.Lambda(lambda x: keras.ops.maximum(0.0, x)))


def _as_choice():
    return chain(layers.Conv2D(4, 3), layers.Lambda(lambda x: keras.ops.where(x > 0, x, 0.0)))


@pytest.mark.parametrize("rules", ALL_RULES.values(), ids=ALL_RULES)
@pytest.mark.parametrize("make", [_as_layer, _as_named_layer, _as_bound, _as_choice])
def test_a_relu_is_one_however_it_is_written(make, rules):
    first = with_weights(_as_argument(), shifted=True)
    other = make()
    other.set_weights(first.get_weights())
    x = samples(8, 24, 3)
    np.testing.assert_allclose(
        HandedBack(other, x, rules).relevance[0],
        HandedBack(first, x, rules).relevance[0],
        rtol=1e-7,
        atol=1e-12,
    )


@pytest.mark.parametrize(
    "activation",
    [
        *("gelu", "silu", "mish", "hard_silu", "elu", "selu", "tanh", "softplus", "sigmoid"),
        *("relu6", lambda x: keras.ops.clip(x, -0.1, 0.1), lambda x: 1 / x),
    ],
)
def test_an_activation_hands_on_what_it_is_handed(activation):
    model = chain(
        layers.Dense(6, name="before"), layers.Activation(activation, name="behind"), shape=(4,)
    )
    x = samples(*_shape(with_weights(model)))
    before, behind = (
        HandedBack(model, x, ALL_RULES["epsilon"], at=[name]) for name in ("before", "behind")
    )
    np.testing.assert_allclose(before.relevance[0], behind.relevance[0])
    whole = HandedBack(model, x, ALL_RULES["epsilon"])
    np.testing.assert_allclose(whole.totals, whole.scores)


def test_an_input_that_the_score_does_not_depend_on_gets_nothing():
    first, second = keras.Input((3,)), keras.Input((4,))
    outputs = [layers.Dense(3)(first), layers.Dense(2)(layers.Concatenate()([first, second]))]
    model = with_weights(keras.Model([first, second], outputs))
    x = [samples(3), samples(4, seed=3)]
    found = HandedBack(model, x, ALL_RULES["epsilon"])
    assert np.abs(found.relevance[0]).max() > 1e-3
    assert found.relevance[1].shape == (4, 4)
    assert not found.relevance[1].any()
    both = HandedBack(model, x, ALL_RULES["epsilon"], output=":1")
    assert np.abs(both.relevance[1]).max() > 1e-3
    np.testing.assert_allclose(both.totals, both.scores)


# --- what is refused -----------------------------------------------------------------------


def _gated():
    inputs = keras.Input((4,), name="given")
    gate = layers.Dense(4, activation="sigmoid")(inputs)
    block = keras.Model(inputs, layers.Multiply(name="gate")([inputs, gate]), name="block")
    return keras.Sequential([keras.Input((4,)), layers.Dense(4), block, layers.Dense(3)])


def _attentive():
    inputs = keras.Input((5, 4))
    x = layers.MultiHeadAttention(2, 3, name="attention")(inputs, inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


class _Product(keras.Model):
    def __init__(self):
        super().__init__()
        self.one, self.other = layers.Dense(3, name="one"), layers.Dense(3, name="other")

    def call(self, x):
        return self.one(x) * self.other(x)


def _multiplied():
    model = _Product()
    model(np.zeros((1, 4)))
    return model


class _SharedOut(keras.Model):
    def __init__(self):
        super().__init__()
        self.nothing, self.last = layers.Dropout(0.5, name="nothing"), layers.Dense(3)

    def call(self, x):
        return self.last(self.nothing(tf.nn.softmax(x)))


def _shared_out():
    model = _SharedOut()
    model(np.zeros((1, 4)))
    return model


def _operated():
    inputs = keras.Input((4,))
    x = keras.ops.softmax(layers.Dense(4)(inputs))
    return keras.Model(inputs, layers.Dense(3)(x))


class _InTraining(layers.Layer):
    def call(self, x):
        ones = tf.ones(x.shape[-1:])
        return tf.compat.v1.nn.fused_batch_norm(tf.cast(x, tf.float32), ones, ones)[0]


IMAGE = tf.ones((1, 8, 24, 1), tf.float64)
REFUSED = {
    "a loop": (
        lambda: chain(layers.LSTM(3, name="memory"), layers.Dropout(0.1), shape=(5, 4)),
        (5, 4),
        r"layer 'memory' \(LSTM\).*TensorListStack",
    ),
    "attention": (
        _attentive,
        (5, 4),
        r"layer 'attention' \(MultiHeadAttention\).*of two things that both depend on the input",
    ),
    "a softmax on the way": (
        lambda: chain(layers.Dense(4, activation="softmax", name="shares"), shape=(4,)),
        (4,),
        r"layer 'shares' \(Dense\).*Softmax for which there is no rule",
    ),
    "a plain operation": (_operated, (4,), r"layer 'softmax\w*' \(Softmax\)"),
    "a normalisation by batch": (
        lambda: chain(layers.Conv2D(4, 3), _InTraining(name="norm")),
        (8, 24, 3),
        r"layer 'norm' \(_InTraining\).*FusedBatchNorm",
    ),
    "bounds of another shape": (
        lambda: chain(
            layers.Dense(1),
            layers.Lambda(lambda x: tf.maximum(x, RAMP[:3]), name="bounds"),
            shape=(4,),
        ),
        (4,),
        r"layer 'bounds' \(Lambda\).*Maximum for which",
    ),
    "kernels made of the input": (
        lambda: chain(
            layers.Lambda(lambda x: tf.nn.conv2d(IMAGE, x[0, ..., None], 1, "VALID"), name="odd"),
            shape=(3, 3, 1),
        ),
        (3, 3, 1),
        r"layer 'odd' \(Lambda\).*Conv2D",
    ),
    "transposed kernels made of the input": (
        lambda: chain(
            layers.Lambda(
                lambda x: tf.nn.conv2d_transpose(
                    IMAGE, x[0, ..., None], (1, 10, 26, 1), 1, "VALID"
                ),
                name="odd",
            ),
            shape=(3, 3, 1),
        ),
        (3, 3, 1),
        r"layer 'odd' \(Lambda\).*Conv2DBackpropInput",
    ),
    "an operation of its own, handed on by a layer": (
        _shared_out,
        (4,),
        r"the model's own call: it holds a Softmax",
    ),
    "a gate": (
        _gated,
        (4,),
        r"layer 'block/gate' \(Multiply\).*Mul of two things that both depend on the input; take",
    ),
    "a product": (_multiplied, (4,), r"the model's own call: it holds a Mul of two things"),
    "a normalisation by sample": (
        lambda: chain(layers.Dense(4), layers.LayerNormalization(name="norm"), shape=(4,)),
        (4,),
        r"layer 'norm' \(LayerNormalization\)",
    ),
}


@pytest.mark.parametrize(("make", "shape", "words"), REFUSED.values(), ids=REFUSED)
def test_what_it_cannot_be_handed_through_is_named(make, shape, words):
    with pytest.raises(LayerError, match=words):
        HandedBack(make(), samples(*shape))


# --- in single precision: other frameworks, published models -------------------------------


def test_a_maximum_over_a_volume_goes_to_the_winner():
    model = keras.Sequential(
        [
            keras.Input((2, 2, 2, 1), dtype="float32"),
            layers.MaxPooling3D(dtype="float32"),
            layers.Reshape((1,), dtype="float32"),
        ]
    )
    x = np.zeros((1, 2, 2, 2, 1), np.float32)
    x[0, 1, 0, 1] = 3
    np.testing.assert_array_equal(HandedBack(model, x).relevance[0], x)


def test_a_model_of_keras_2_is_handed_through_alike():
    keras_2 = pytest.importorskip("tf_keras")
    kinds = keras_2.layers
    model = keras_2.Sequential(
        [
            kinds.Input((8, 24, 3)),
            kinds.Conv2D(4, 3),
            kinds.BatchNormalization(),
            kinds.ReLU(),
            kinds.MaxPooling2D(),
            kinds.Flatten(),
            kinds.Dense(3),
        ]
    )
    x = samples(8, 24, 3).astype(np.float32)
    for rules in ALL_RULES.values():
        found = HandedBack(model, x, rules)
        np.testing.assert_allclose(found.totals, found.scores, rtol=1e-3)
    found = HandedBack(model, x)
    np.testing.assert_allclose(found.relevance[0], found.gradient_x_input[0], rtol=1e-3, atol=1e-6)
    ends = [kinds.Softmax(name="shares"), kinds.Dense(2)]
    refused = keras_2.Sequential([kinds.Input((8, 24, 3)), model, *ends])
    with pytest.raises(LayerError, match=r"layer 'shares' \(Softmax\)"):
        HandedBack(refused, x)


@pytest.mark.parametrize("rule", ALL_RULES)
@pytest.mark.parametrize(
    ("file", "brightest"), [("CIFAR-10_CNN5.h5", 1.0), ("mlperf_tiny_resnet.h5", 255.0)]
)
def test_published_models_lose_nothing_but_to_their_biases(file, brightest, rule):
    """With the biases taken out, all of the score arrives at the image."""
    model = aw.load_model(require_model(file))
    with np.load(require_data("cifar10") / "cifar10.npz") as data:
        x = data["x_test"][:8].astype(np.float32) * (brightest / 255)
    found = HandedBack(model, x)
    largest = np.abs(found.gradient_x_input[0]).max()
    np.testing.assert_allclose(
        found.relevance[0], found.gradient_x_input[0], rtol=1e-3, atol=1e-5 * largest
    )
    for variable in model.weights:
        if variable.name in ("bias", "beta", "moving_mean"):
            variable.assign(np.zeros(variable.shape))
    rules = replace(ALL_RULES[rule], epsilon=1e-9)
    for each in (rules, replace(rules, box=(0, brightest))):
        found = HandedBack(model, x, each)
        np.testing.assert_allclose(found.totals, found.scores, rtol=2e-3)
