"""Every kind of model in the zoo, with gradients and maps by roads of their own."""

import numpy as np
import pytest
import tensorflow as tf
from model_zoo import CASES, N_SAMPLES, build

import actwidgets as aw
from actwidgets.core.ablation import Edit
from actwidgets.errors import LayerError, ModelError
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = [pytest.mark.keras, pytest.mark.parametrize("name", CASES, scope="module")]
TARGET = np.arange(N_SAMPLES) % 3
OTHER = (TARGET + 1) % 3
EMBEDDED = (
    "masked_tokens_of_any_length",
    "transformer_with_attention_scores",
    "text_inside_the_model",
)
HALVES = ("mixed_float16", "mixed_bfloat16")


def _rest(name, case):
    """Of a model that embeds its input: from the embedding to the prediction, by hand."""
    layer = case.model.get_layer
    if name == "masked_tokens_of_any_length":
        mask = tf.not_equal(case.x, 0)
        return lambda e: layer("classes")(layer("gru")(layer("lstm")(e, mask=mask), mask=mask))
    if name == "text_inside_the_model":
        return lambda e: layer("classes")(layer("pool")(e))

    def attended(embedded):
        placed = layer("positions")(embedded)
        mixed, _ = layer("attention")(placed, placed, return_attention_scores=True)
        return layer("classes")(layer("pool")(layer("n")(mixed)))

    return attended


def _taped(name, case, of):
    """The gradient of a function of the probabilities, through the model as it is called."""
    with tf.GradientTape() as tape:
        if name in EMBEDDED:
            x = _tokens(case)
            tape.watch(x)
            found = _rest(name, case)(x)
        else:
            x = tf.nest.map_structure(tf.constant, case.x)
            tape.watch(x)
            spread = isinstance(x, list) and name == "subclassed_with_two_arguments"
            found = case.model(*(x if spread else [x]), training=False)
            head = case.options.get("head", 0)
            if isinstance(head, str) or isinstance(found, list | tuple):
                found = found[head]
        value = of(tf.cast(found, tf.float64))
    gradients = tape.gradient(value, x, unconnected_gradients="zero")
    return tf.nest.map_structure(np.asarray, gradients)


def _tokens(case):
    if "tokens" in case.wanted:
        return tf.convert_to_tensor(case.wanted["tokens"])
    return case.model.get_layer("tokens")(case.x)


def _chosen(table, target):
    return tf.gather(table, target, axis=1, batch_dims=1)


def _assert_close(name, found, wanted, share=1e-4):
    share = 3e-2 if name in HALVES else share
    found = list(found.values()) if isinstance(found, dict) else [found]
    for one, other in zip(found, tf.nest.flatten(wanted), strict=True):
        largest = np.abs(other.astype(np.float64)).max()
        np.testing.assert_allclose(one, other.astype(np.float32), rtol=share, atol=share * largest)


def test_the_gradient_of_a_probability_is_that_of_a_tape(name):
    case = build(name)
    found = aw.attribute(
        case.model, case.x, TARGET, "gradient", output="probability", **case.options
    )
    _assert_close(name, found.values, _taped(name, case, lambda p: _chosen(p, TARGET)))


def test_gradients_of_logits_differ_as_those_of_log_probabilities_do(name):
    case = build(name)
    one, other = (
        aw.attribute(case.model, case.x, target, "gradient", **case.options).values
        for target in (TARGET, OTHER)
    )
    wanted = _taped(
        name, case, lambda p: tf.math.log(_chosen(p, TARGET)) - tf.math.log(_chosen(p, OTHER))
    )
    found = {key: one[key] - other[key] for key in one} if isinstance(one, dict) else one - other
    _assert_close(name, found, wanted, 1e-3)


NOT_ON_THE_WAY = {
    ("outputs_in_a_list", "hidden"),  # which belongs to the other output
    ("conv1d_and_lstm_with_states", "lstm:1"),
    ("conv1d_and_lstm_with_states", "lstm:2"),
    ("scalar_outputs", "mean"),
    ("outputs_in_a_list", "fine"),  # behind its softmax
}


def test_gradients_at_maps_are_those_of_offsets_to_their_units(name):
    case = build(name)
    probe = KerasProbe(case.model, case.x, **case.options)
    infos = {info.name: info for info in probe.layers}
    for layer, values in case.wanted.items():
        slice_ = probe.score_function(layer)
        points = slice_.points(case.x)
        if (name, layer) in NOT_ON_THE_WAY:
            with pytest.raises(LayerError, match=f"no gradient of the score reaches.*'{layer}'"):
                slice_.map_gradients(points, TARGET)
            continue
        scores, maps, gradients = slice_.map_gradients(points, TARGET)
        values, axis = np.asarray(values, np.float32), infos[layer].unit_axis
        units_last = np.moveaxis(values, axis, -1) if axis > 0 else values
        np.testing.assert_allclose(
            maps.astype(np.float32), units_last, atol=case.tolerance, rtol=case.tolerance
        )
        assert gradients.shape == maps.shape
        if name in (*HALVES, "quantized") or layer in ("attention:1", "mobilenet/block_2_add"):
            # Too coarse to be differenced; used before it is handed out, and edited; or with
            # more kinks behind it than a step can keep clear of.
            continue
        n_units, step = infos[layer].n_units, 1e-2
        unit = n_units // 2
        sides = []
        for sign in (1, -1):
            offset = np.zeros(n_units)
            offset[unit] = sign * step
            altered = probe.edited({layer: Edit(np.ones(n_units), offset)}).score_function()
            table = altered.scores(points if name not in EMBEDDED else altered.points(case.x))
            sides.append(table[range(N_SAMPLES), TARGET])
        wanted = (sides[0] - sides[1]) / (2 * step)
        found = (gradients[..., unit] if gradients.ndim > 1 else gradients).reshape(N_SAMPLES, -1)
        scale = max(np.abs(wanted).max(), 0.05)
        np.testing.assert_allclose(found.sum(axis=1), wanted, atol=0.03 * scale, err_msg=layer)
        np.testing.assert_allclose(scores, slice_.scores(points)[range(N_SAMPLES), TARGET])


CAMS = {
    "sequential_with_input": ("conv", (6, 9)),
    "sequential_built_by_a_call": ("conv2d", (5, 7)),
    "functional_with_operations": ("relu", (4, 6)),
    "nested_two_levels_deep": ("backbone/block/norm", (8, 10)),
    "application_in_a_functional_model": ("mobilenet/block_3_pad", (8, 8)),
    "siamese": ("tower#1/conv", {"two": (6, 7)}),
    "inputs_and_outputs_in_dicts": ("conv", {"picture": (5, 6)}),
    "subclassed": ("block_1", (5, 8)),
    "masked_tokens_of_any_length": ("lstm", (5,)),
    "conv1d_and_lstm_with_states": ("lstm", (6,)),
    "transformer_with_attention_scores": ("n", (7,)),
    "conv3d": ("conv", (5, 6, 7)),
    "channels_first": ("relu", (6, 9)),
    "mixed_float16": ("conv", (6, 7)),
    "mixed_bfloat16": ("conv", (6, 7)),
    "augmentation_and_dropout": ("norm", (6, 8)),
    "text_inside_the_model": ("tokens", (4,)),
    "keras_2_functional": ("tower/norm", (6, 7)),
}
WITH_RELU = {
    "sequential_with_input",
    "functional_with_operations",
    "nested_two_levels_deep",
    "application_in_a_functional_model",
    "outputs_in_a_list",
    "subclassed",
    "conv1d_and_lstm_with_states",
    "conv3d",
    "channels_first",
    *HALVES,
    "quantized",
    "in_training_with_a_step_of_its_own",
    "in_a_distribution_strategy",
    "keras_2_functional",
}


@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_plus_plus", "score_cam"])
def test_maps_lie_over_the_inputs_that_their_layer_sees(name, method):
    case = build(name)
    if name not in CAMS:
        with pytest.raises(LayerError, match=r"has spatial axes|no layer of this model has maps"):
            aw.attribute(case.model, case.x, TARGET, method, **case.options)
        return
    layer, shapes = CAMS[name]
    found = aw.attribute(case.model, case.x, TARGET, method, **case.options)
    assert found.layer in (layer, *case.wanted) or name == "sequential_built_by_a_call"
    values = found.values if isinstance(shapes, dict) else {"": found.values}
    shapes = shapes if isinstance(shapes, dict) else {"": shapes}
    assert {key: each.shape[1:] for key, each in values.items()} == shapes
    for each in values.values():
        assert each.dtype == np.float32
        assert np.isfinite(each).all()
        assert each.min() >= 0


def test_guided_methods_work_or_say_why_not(name):
    case = build(name)
    if name in WITH_RELU:
        found = aw.attribute(case.model, case.x, TARGET, "guided_backprop", **case.options).values
        plain = aw.attribute(case.model, case.x, TARGET, "gradient", **case.options).values
        assert found.shape == plain.shape
        assert not np.array_equal(found, plain)
        return
    told = "cannot be traced" if "control_flow" in name else "there is none"
    with pytest.raises(ModelError, match=told):
        aw.attribute(case.model, case.x, TARGET, "guided_backprop", **case.options)


def test_batches_of_one_give_the_same(name):
    """Gradients of all but one kind are compared beside the path methods."""
    case, method = build(name), "grad_cam" if name in CAMS else "gradient"
    whole, single = (
        aw.attribute(
            case.model, case.x, TARGET, method, memory_budget_bytes=budget, **case.options
        ).values
        for budget in (2**29, 1)
    )
    _assert_close(name, single, tf.nest.flatten(whole), 1e-4)
