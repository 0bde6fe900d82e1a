"""The rules of relevance, on units small enough to be worked out by hand."""

import keras
import numpy as np
import pytest
from keras import layers
from relevance_models import MODELS, shape_of
from relevance_truth import ALL_RULES, LRP_0, chain, handed_back, samples, with_weights

from actwidgets.core.attribution.base import LrpRules
from actwidgets.errors import LayerError, ShapeError

pytestmark = [pytest.mark.keras, pytest.mark.usefixtures("in_double_precision")]


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
    found = handed_back(_one_unit(3, -1, bias=0.5), X, rules)
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
    found = handed_back(_one_unit(1, -2), X, rules)
    np.testing.assert_allclose(found.relevance[0], [wanted], rtol=1e-7)


def test_inputs_below_zero_speak_for_what_their_weight_speaks_against():
    found = handed_back(_one_unit(-3, -1), X * [-1, 1], LrpRules("alpha_beta", epsilon=0))
    np.testing.assert_allclose(found.relevance[0], [[2, -1]])  # -3·-1 - 1·2 = 1


@pytest.mark.parametrize("sign", [1, -1])
def test_where_all_contributions_agree_they_get_no_more_than_there_is(sign):
    found = handed_back(_one_unit(3 * sign, sign), X, LrpRules("alpha_beta", epsilon=0))
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
        found = handed_back(model, values, rules, output="").relevance[0]
        np.testing.assert_allclose(found, handed_back(model, values, like).relevance[0])
        assert np.abs(found - handed_back(model, values, unlike).relevance[0]).max() > 1e-3


def test_with_alpha_1_nothing_speaks_against_a_score_above_zero():
    model = with_weights(MODELS["convolutions"](), shifted=True)
    found = handed_back(model, np.abs(samples(8, 24, 3)), ALL_RULES["alpha 1"])
    assert (found.scores > 0).all()
    assert found.relevance[0].min() >= 0
    assert found.relevance[0].max() > 0


def test_a_sum_is_shared_in_proportion_and_a_maximum_goes_to_the_winner():
    inputs = keras.Input((4,))
    halves = layers.Add()([inputs[:, :2], inputs[:, 2:]])
    model = keras.Model(inputs, layers.Reshape((1,))(keras.ops.max(halves, axis=1)))
    found = handed_back(model, np.array([[1.0, 5.0, 2.0, -1.0]]), LRP_0)
    np.testing.assert_allclose(found.relevance[0], [[0, 5, 0, -1]])


@pytest.mark.parametrize("name", ["convolutions", "rescaled", "moved", "nested", "subclassed"])
def test_nothing_is_lost_to_a_box_or_to_the_bias_of_the_first_layer(name):
    model = with_weights(MODELS[name]())
    first = next(each for each in model._flatten_layers() if isinstance(each, layers.Conv2D))
    first.bias.assign(samples(*first.bias.shape)[0] / 4)
    x = np.clip(samples(*shape_of(model)), -1, 2)
    found = handed_back(model, x, LrpRules(epsilon=1e-12, box=(-1, 2)))
    np.testing.assert_allclose(found.totals, found.scores, rtol=1e-6)
    assert np.abs(found.relevance[0] - found.gradient_x_input[0]).max() > 1e-3


def test_a_box_goes_through_what_rescales_the_input():
    model = with_weights(MODELS["convolutions"]())
    inputs = keras.Input((8, 24, 3))
    scaled = keras.Model(inputs, model(layers.Rescaling(-2.0, offset=1.0)(inputs)))
    x = np.clip(samples(8, 24, 3), -1, 2)
    found = handed_back(scaled, x, LrpRules(box=(-1, 2)))
    wanted = handed_back(model, 1 - 2 * x, LrpRules(box=(-3, 3)))
    np.testing.assert_allclose(found.relevance[0], wanted.relevance[0], rtol=1e-7, atol=1e-12)


def test_a_box_of_another_number_of_channels_is_refused():
    with pytest.raises(ShapeError, match=r"box has 2 values.*\(8, 24, 3\) has 3"):
        handed_back(MODELS["convolutions"](), samples(8, 24, 3), LrpRules(box=((0, 0), (1, 1))))


def test_a_box_that_nothing_uses_is_refused():
    model = chain(layers.ReLU(), layers.Dense(3), shape=(4,))
    with pytest.raises(LayerError, match="box is for layers with weights that read the input"):
        handed_back(model, samples(4), LrpRules(box=(0, 1)))
