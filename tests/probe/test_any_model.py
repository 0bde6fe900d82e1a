"""One matrix: every kind of model in the zoo, with every public function and view."""

import keras
import numpy as np
import pytest
from model_zoo import CASES, N_CLASSES, N_SAMPLES, build

import actwidgets as aw
from actwidgets.core import batches
from actwidgets.errors import LayerError
from actwidgets.probe.compiled import Trace
from actwidgets.probe.inputs import input_spec_of
from actwidgets.probe.keras_probe import KerasProbe
from actwidgets.probe.layer_index import functional_layers

pytestmark = [pytest.mark.keras, pytest.mark.parametrize("name", CASES, scope="module")]
Y = np.arange(N_SAMPLES) % N_CLASSES
NEEDS_A_CALL = {
    "sequential_built_by_a_call",
    "subclassed",
    "subclassed_with_control_flow",
    "subclassed_with_two_arguments",
    "subclassed_tf_function_and_dict",
    "conv1d_and_lstm_with_states",  # holds a Bidirectional, which holds layers
    "transformer_with_attention_scores",
    "text_inside_the_model",
    "keras_2_functional",
    "keras_2_subclassed",
}


def _repeated(x, times):
    return batches.take(x, np.tile(np.arange(N_SAMPLES), times))


def _units_last(values, info):
    return np.moveaxis(values, info.unit_axis, -1) if values.ndim > 1 else values[:, None]


def test_layers(name):
    case = build(name)
    infos = {info.name: info for info in aw.layers(case.model, case.x)}
    if case.all_names is not None:
        assert list(infos) == case.all_names
    for layer, values in case.wanted.items():
        values = np.asarray(values)
        info = infos[layer]
        assert (None, *values.shape[1:]) == info.output_shape, layer
        assert info.n_units == (values.shape[info.unit_axis] if values.ndim > 1 else 1)


@pytest.mark.parametrize("batch_size", [256, 4])
def test_activations(name, batch_size):
    case = build(name)
    # A first batch of four is run eagerly, larger ones compiled; both must be right.
    for times in (1, 4):
        found = aw.activations(
            case.model, _repeated(case.x, times), [*case.wanted], batch_size=batch_size
        )
        for layer, values in case.wanted.items():
            wanted = np.asarray(values, np.float32)
            assert found[layer].dtype == np.float32
            np.testing.assert_allclose(
                found[layer],
                np.tile(wanted, (times, *[1] * (wanted.ndim - 1))),
                atol=case.tolerance,
                rtol=case.tolerance,
                err_msg=layer,
            )


def test_of_no_samples_there_are_no_values_in_the_shape_of_some(name):
    case = build(name)
    probe = KerasProbe(case.model, case.x, **case.options)
    x, layers = batches.take(case.x, slice(0, 0)), [*case.wanted]
    some, none = probe.activations(layers, case.x), probe.activations(layers, x)
    for layer in layers:
        assert none[layer].shape == (0, *some[layer].shape[1:]), layer
        summary, wanted = (probe.summaries((layer,), each)[layer] for each in (x, case.x))
        assert summary.mean.shape == (0, *wanted.mean.shape[1:])
        assert np.array_equal(summary.n_positions, wanted.n_positions)
    assert probe.predictions(x).shape == (0, *probe.predictions(case.x).shape[1:])


def test_batches_of_any_size_one_after_the_other(name):
    case = build(name)
    probe = KerasProbe(case.model, case.x, **case.options)
    whole = aw.predict(case.model, case.x, head=case.options.get("head"))
    close = {"atol": max(1e-5, case.tolerance), "rtol": case.tolerance}
    slice_ = probe.score_function(output="probability")
    for n_samples in (1, 2, 3, 7, 40, 2):
        rows = np.arange(n_samples) % N_SAMPLES
        x = batches.take(case.x, rows)
        np.testing.assert_allclose(probe.predictions(x), whole[rows], **close)
        np.testing.assert_allclose(slice_.scores(slice_.points(x)), whole[rows], **close)
        found, folded = probe.activations([*case.wanted], x), probe.summaries([*case.wanted], x)
        for layer, values in case.wanted.items():
            info = next(each for each in probe.layers if each.name == layer)
            wanted = _units_last(np.asarray(values, np.float32)[rows], info)
            np.testing.assert_allclose(found[layer].reshape(wanted.shape), wanted, **close)
            peaks = wanted.reshape(n_samples, -1, wanted.shape[-1]).max(axis=1)
            np.testing.assert_allclose(folded[layer].max, peaks, **close)
    assert not any(each.wrong for each in probe._extractor._traces.values())


def test_predict(name):
    case = build(name)
    head = case.options.get("head")
    found = aw.predict(case.model, case.x, head=head)
    assert found.shape == (N_SAMPLES, N_CLASSES)
    wanted = (
        case.predicted if case.predicted is not None else _first(case.model(case.x, training=False))
    )
    np.testing.assert_allclose(
        found, np.asarray(wanted, np.float32), atol=max(1e-5, case.tolerance)
    )


def test_class_profiles(name):
    case = build(name)
    profiles = aw.class_profiles(
        case.model, case.x, Y, threshold=0.1, batch_size=4, head=case.options.get("head")
    )
    infos = {info.name: info for info in aw.layers(case.model, case.x)}
    assert list(profiles.layers) == list(infos)
    for layer, values in case.wanted.items():
        units = _units_last(np.asarray(values, np.float32), infos[layer])
        peaks = units.reshape(N_SAMPLES, -1, units.shape[-1]).max(axis=1)
        wanted = np.stack([(peaks[index == Y] > 0.1).mean(axis=0) for index in range(N_CLASSES)])
        if case.tolerance <= 1e-4:
            np.testing.assert_allclose(profiles.firing_rate[layer], wanted, err_msg=layer)
        np.testing.assert_allclose(
            profiles.max[layer],
            np.stack([peaks[index == Y].max(axis=0) for index in range(N_CLASSES)]),
            atol=case.tolerance,
            rtol=case.tolerance,
        )


def test_views_of_every_layer(name):
    case = build(name)
    session = aw.Session(case.model, case.x, Y, **case.options)
    grid, matrix = aw.FeatureMapGrid(session), aw.ClassSimilarityMatrix(session)
    infos = {info.name: info for info in session.layers}
    for layer, values in case.wanted.items():
        session.select(layer=layer, samples=(1, 4))
        wanted = np.asarray(values, np.float32)[[1, 4]]
        wanted = np.moveaxis(wanted, infos[layer].unit_axis, -1) if wanted.ndim > 1 else wanted
        for _ in range(2):  # eager at first, then compiled
            np.testing.assert_allclose(
                session.maps(), wanted, atol=case.tolerance, rtol=case.tolerance
            )
            session.context.probe.wait()
            session.refresh()
    for layer in infos:
        session.layer = layer
        assert (grid.error, matrix.error) == ("", ""), layer
    session.close()


def test_what_cannot_be_shown_says_why(name):
    case = build(name)
    for layer, why in case.refused.items():
        assert layer not in [info.name for info in aw.layers(case.model, case.x)]
        with pytest.raises(LayerError, match=why):
            aw.activations(case.model, case.x, layer)


def test_the_outline_is_what_a_trace_finds(name):
    case = build(name)
    listed = functional_layers(case.model)
    assert (listed is None) == (name in NEEDS_A_CALL)
    if listed is not None:
        traced = Trace(case.model, input_spec_of(case.model)).layer_index
        assert listed.layers == traced.layers
        assert [o.shape for o in listed._heads] == [o.shape for o in traced._heads]
        assert listed.outputs.keys() == traced.outputs.keys()


def _first(output):
    return keras.tree.flatten(output)[0]
