"""Models with the outputs of some layers altered, against what is worked out without it."""

import importlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from edit_truth import altered, build, by_both_roads, edit_for
from model_zoo import CASES, images

from actwidgets.core.ablation import Edit
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
layers = keras.layers


@pytest.mark.parametrize("name", CASES)
def test_edits_that_change_nothing_give_the_plain_prediction(name):
    case, probe = build(name)
    same = {}
    for info in probe.layers:
        if "int" not in probe._extractor.layer_index.outputs[info.name].dtype:
            same[info.name] = Edit(np.ones(info.n_units), np.zeros(info.n_units))
    assert len(same) >= len(case.wanted) > 0
    found = by_both_roads(probe, same, case.x)
    np.testing.assert_allclose(found, probe.predictions(case.x), atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_an_edited_layer_shows_the_edited_values(name):
    case, probe = build(name)
    infos = {info.name: info for info in probe.layers}
    for layer, values in case.wanted.items():
        edit, bound = edit_for(infos[layer].n_units), 4 * case.tolerance
        found = by_both_roads(
            probe, {layer: edit}, case.x, lambda p, x, layer=layer: p.outputs([layer], x)[layer]
        )
        wanted = altered(values, edit, infos[layer].unit_axis)
        np.testing.assert_allclose(found, wanted, atol=bound, rtol=bound, err_msg=layer)


@pytest.mark.parametrize("name", CASES)
def test_an_edit_of_the_last_layer_is_one_of_the_prediction(name):
    case, probe = build(name)
    last = {"kind": "kind", 1: "fine"}.get(case.options.get("head"), "classes")
    plain, edit = probe.predictions(case.x), edit_for(3)
    found = by_both_roads(probe, {last: edit}, case.x)
    np.testing.assert_allclose(found, altered(plain, edit), atol=1e-5)
    np.testing.assert_array_equal(probe.predictions(case.x), plain)


# --- what lies behind the edited layer ---------------------------------------------------


def _net():
    """Hand-set: hidden is relu of (a, -a, b), and the last layer adds up 1, 10 and 100 of it."""
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, activation="relu", name="hidden"),
            layers.Dense(1, name="sum"),
        ]
    )
    model.set_weights(
        [np.array([[1, -1, 0], [0, 0, 1]]), np.zeros(3), np.array([[1], [10], [100]]), np.zeros(1)]
    )
    return model


X = np.tile(np.array([[2, 3], [-2, -3]], np.float32), (3, 1))  # hidden (2, 0, 3), (0, 2, 0)


@pytest.mark.parametrize(
    ("factor", "offset", "hidden", "total"),
    [
        ([1, 1, 1], [0, 0, 0], [[2, 0, 3], [0, 2, 0]], [302, 20]),
        ([1, 1, 0], [0, 0, 0], [[2, 0, 0], [0, 2, 0]], [2, 20]),
        ([0, 1, 1], [5, 0, 0], [[5, 0, 3], [5, 2, 0]], [305, 25]),
        ([-2, 0.5, 1], [0, -1, 0], [[-4, -1, 3], [0, 0, 0]], [286, 0]),  # behind the activation
    ],
)
def test_a_net_worked_out_by_hand(factor, offset, hidden, total):
    probe, edits = KerasProbe(_net()), {"hidden": Edit(factor, offset)}
    found = by_both_roads(probe, edits, X, lambda p, x: p.outputs(["hidden"], x)["hidden"])
    assert found[:2].tolist() == hidden
    assert by_both_roads(probe, edits, X)[:2, 0].tolist() == total


def test_edits_of_several_layers_follow_one_another():
    edits = {"hidden": Edit([1, 1, 0], [0, 0, 0]), "sum": Edit([2], [1])}
    assert by_both_roads(KerasProbe(_net()), edits, X)[:2, 0].tolist() == [5, 41]


def _dense_net():
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, activation="tanh", name="first"),
            layers.Dense(6, activation="relu", name="next"),
            layers.Dense(3, activation="softmax"),
        ]
    )


def _net_of_maps():
    return keras.Sequential(
        [
            keras.Input((7, 9, 2)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.MaxPooling2D(),
            layers.Conv2D(3, 2, name="next"),
            layers.GlobalAveragePooling2D(),
        ]
    )


@pytest.mark.parametrize("unit", range(4))
@pytest.mark.parametrize("make", [_dense_net, _net_of_maps])
def test_a_unit_switched_off_is_an_input_of_the_next_kernel_at_zero(make, unit):
    model = make()
    x = images(*model.input_shape[1:])
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    kernel = clone.get_layer("next").kernel.numpy()
    kernel[..., unit, :] = 0
    clone.get_layer("next").kernel.assign(kernel)
    found = by_both_roads(KerasProbe(model), {"first": Edit(1 - np.eye(4)[unit], np.zeros(4))}, x)
    np.testing.assert_allclose(found, clone(x), atol=1e-6)


def test_layers_before_the_edited_one_are_as_they_were_and_later_ones_follow():
    case, probe = build("sequential_with_input")
    edit = edit_for(4)
    found = probe.edited({"pool": edit}).activations(["conv", "pool", "flat"], case.x)
    plain = probe.activations(["conv", "pool"], case.x)
    np.testing.assert_array_equal(found["conv"], plain["conv"])
    pool = altered(plain["pool"], edit)
    np.testing.assert_allclose(found["flat"], pool.reshape(len(pool), -1), atol=1e-6)


def test_only_the_call_that_is_named_of_a_shared_layer():
    case, probe = build("shared_layer")
    shared, last = (case.model.get_layer(name) for name in ("shared", "classes"))
    edit = edit_for(5)
    once = shared(case.x).numpy()
    twice = altered(shared(once), edit)
    found = by_both_roads(probe, {"shared#1": edit}, case.x)
    np.testing.assert_allclose(found, last(shared(twice)), atol=1e-6)
    seen = probe.edited({"shared#1": edit}).activations([*case.wanted], case.x)
    for name, wanted in (("shared", once), ("shared#1", twice), ("shared#2", shared(twice))):
        np.testing.assert_allclose(seen[name], wanted, atol=1e-6, err_msg=name)


def test_only_the_call_that_is_named_of_a_shared_tower():
    case, probe = build("siamese")
    tower, last = (case.model.get_layer(name) for name in ("tower", "classes"))
    edit = edit_for(2)
    conv, flat = tower.get_layer("conv"), tower.get_layer("flat")
    second = flat(altered(conv(case.x[1]), edit))
    wanted = last(flat(conv(case.x[0])) - second)
    found = by_both_roads(probe, {"tower#1/conv": edit}, case.x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_layer_two_models_deep():
    case, probe = build("nested_two_levels_deep")
    backbone, pool, last = case.model.layers
    block, edit = backbone.get_layer("block"), edit_for(5)
    conv2 = altered(block.get_layer("conv2")(backbone.get_layer("conv1")(case.x)), edit)
    wanted = last(pool(block.get_layer("norm")(conv2)))
    found = by_both_roads(probe, {"backbone/block/conv2": edit}, case.x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_skip_connection_goes_round_the_edit():
    case, probe = build("subclassed")
    block, other = case.model.blocks
    edit = edit_for(2)
    first = altered(block.first(case.x), edit)
    wanted = case.model.last(case.model.pool(other(case.x + block.second(tf.nn.relu(first)))))
    found = by_both_roads(probe, {"block_0/first": edit}, case.x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_an_operation_of_a_functional_model():
    case, probe = build("functional_with_operations")
    (total, _), edit = [name for name in case.wanted if name not in ("left", "right")], edit_for(3)
    pooled = tf.nn.relu(altered(case.wanted[total], edit)).numpy().mean(axis=(1, 2))
    found = by_both_roads(probe, {total: edit}, case.x)
    wanted = case.model.get_layer("classes")(pooled)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_units_lie_where_the_catalogue_says():
    case, probe = build("channels_first")
    edit, model = edit_for(4), case.model
    relu = tf.nn.relu(altered(model.get_layer("norm")(case.wanted["conv"]), edit, unit_axis=1))
    pooled = model.get_layer("mean")(model.get_layer("pool")(relu))
    found = by_both_roads(probe, {"norm": edit}, case.x)
    wanted = model.get_layer("classes")(pooled)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    seen = probe.edited({"norm": edit}).activations(["relu"], case.x)[
        "relu"
    ]  # behind the edit the axis is known too
    np.testing.assert_allclose(seen, np.moveaxis(relu.numpy(), 1, -1), atol=1e-5)


def test_masks_go_with_the_edited_values():
    case, probe = build("masked_tokens_of_any_length")
    edit, model = edit_for(4), case.model
    mask = tf.not_equal(case.x, 0)
    tokens = altered(model.get_layer("tokens")(case.x), edit)
    lstm = model.get_layer("lstm")(tokens, mask=mask)
    wanted = model.get_layer("classes")(model.get_layer("gru")(lstm, mask=mask))
    found = by_both_roads(probe, {"tokens": edit}, case.x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["keras", "tf_keras"])
def test_masks_that_tensors_carry_go_with_the_edited_values(name):
    framework = importlib.import_module(name)

    class Tokens(framework.Model):
        def __init__(self):
            super().__init__()
            self.tokens = framework.layers.Embedding(20, 4, mask_zero=True, name="tokens")
            self.lstm = framework.layers.LSTM(3, name="lstm")

        def call(self, x):
            return self.lstm(self.tokens(x))

    model, edit = Tokens(), edit_for(4)
    x = np.random.default_rng(1).integers(1, 20, (6, 7)).astype(np.float32)
    x[:, -2:] = 0
    model(x)
    wanted = model.lstm(tf.constant(altered(model.tokens(x), edit)), mask=tf.not_equal(x, 0))
    found = by_both_roads(KerasProbe(model, x), {"tokens": edit}, x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("element", range(3))
def test_only_the_element_that_is_named_of_an_output_of_several(element):
    x, edit = images(7, 2), edit_for(5)
    inputs = keras.Input((7, 2))
    lstm = layers.LSTM(5, return_sequences=True, return_state=True, name="lstm")
    sequence, hidden, cell = lstm(inputs)
    joined = layers.Concatenate(name="joined")(
        [layers.GlobalMaxPooling1D(name="peak")(sequence), hidden, cell]
    )
    parts = [each.numpy() for each in lstm(x)]
    parts[element] = altered(parts[element], edit)
    name = f"lstm:{element}" if element else "lstm"
    found = by_both_roads(KerasProbe(keras.Model(inputs, joined)), {name: edit}, x)
    wanted = np.concatenate([parts[0].max(axis=1), *parts[1:]], axis=1)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_a_model_that_cannot_be_traced_is_run_eagerly():
    case, probe = build("subclassed_with_control_flow")
    edit = edit_for(4)
    wanted = case.model.last(altered(case.model.dark(case.x), edit))
    found = by_both_roads(probe, {"dark": edit}, case.x)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_half_precision_stays_half_precision():
    case, probe = build("mixed_float16")
    edit, model = edit_for(4), case.model
    conv = tf.cast(altered(case.wanted["conv"], edit), tf.float16)
    wanted = model.get_layer("classes")(model.get_layer("flat")(conv))
    found = by_both_roads(probe, {"conv": edit}, case.x)
    np.testing.assert_allclose(found, wanted, atol=1e-2)
    (tensor,) = probe.edited({"conv": edit})._extractor.outputs(["conv"], case.x)
    assert tensor.dtype == tf.float16


def test_models_of_keras_2():
    case, probe = build("keras_2_functional")
    edit, model = edit_for(4), case.model
    twice = altered(case.wanted["shared#1"], edit)
    found = by_both_roads(probe, {"shared#1": edit}, case.x)
    wanted = model.get_layer("classes")(twice)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_branch_that_the_prediction_does_not_need():
    case, probe = build("outputs_in_a_list")
    found = by_both_roads(probe, {"coarse": edit_for(2)}, case.x)
    np.testing.assert_allclose(found, probe.predictions(case.x), atol=1e-6)
