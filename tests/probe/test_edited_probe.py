"""An edited probe as a probe like any other: what it tells, traces, keeps and refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from edit_truth import altered, build, by_both_roads, edit_for
from model_zoo import images

from actwidgets.core.ablation import Edit
from actwidgets.errors import LayerError, ShapeError
from actwidgets.probe import compiled, extractors
from actwidgets.probe.base import Probe
from actwidgets.probe.compiled import FEW_SAMPLES
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
layers = keras.layers


def test_an_edited_probe_tells_all_that_a_probe_does():
    case, probe = build("sequential_with_input")
    edit = edit_for(4)
    found = probe.edited({"conv": edit})
    assert isinstance(found, Probe)
    assert (found.layers, found.n_classes) == (probe.layers, probe.n_classes)
    np.testing.assert_array_equal(found.kernels("conv"), probe.kernels("conv"))
    assert found.fingerprint() == probe.fingerprint()
    assert not found.is_stale()
    assert found.receptive_field("pool") == probe.receptive_field("pool")
    with pytest.raises(ShapeError, match="x must hold samples"):
        found.check(case.x[:, :2])
    conv = altered(case.wanted["conv"], edit)
    summary = found.summaries(["conv"], case.x, above=0.5)["conv"]
    np.testing.assert_allclose(summary.mean, conv.mean(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(summary.max, conv.max(axis=(1, 2)), atol=1e-5)
    np.testing.assert_array_equal(summary.n_above, (conv > 0.5).sum(axis=(1, 2)))


def test_no_edits_are_the_probe_itself():
    _, probe = build("sequential_with_input")
    assert probe.edited({}) is probe


def test_a_probe_that_has_answered_before_can_be_edited():
    case, probe = build("sequential_with_input")
    probe.check(case.x)
    probe.predictions(case.x)
    edit = edit_for(4)
    maps = probe.edited({"conv": edit}).activations(["conv"], case.x)["conv"]
    np.testing.assert_allclose(maps, altered(case.wanted["conv"], edit), atol=1e-5)


def test_edits_of_an_edited_probe_come_behind_those_it_has():
    x = images(3)
    model = _counted()
    first, last = model.get_layer("first"), model.get_layer("last")
    one, two, three = edit_for(4, 1), edit_for(4, 2), edit_for(2)
    once = KerasProbe(model).edited({"first": one})
    twice = once.edited({"first": two, "last": three})
    by_hand = altered(first(x), one)
    np.testing.assert_allclose(once.predictions(x), last(by_hand), atol=1e-6)
    wanted = altered(last(altered(by_hand, two)), three)
    np.testing.assert_allclose(twice.predictions(x), wanted, atol=1e-5)


def test_batches_of_odd_size_equal_the_whole():
    case, probe = build("sequential_with_input")
    x = np.concatenate([case.x] * 4)
    found = probe.edited({"conv": edit_for(4)})
    whole = found.predictions(x)
    parts = [found.predictions(x[start : start + 7]) for start in range(0, len(x), 7)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)


class Counting(layers.Layer):
    """Counts how often it is traced."""

    n_calls = 0

    def call(self, x):
        type(self).n_calls += not tf.executing_eagerly()
        return x


def _counted():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, name="first"), Counting(), layers.Dense(2, name="last")]
    )
    Counting.n_calls = 0
    return model


def test_other_numbers_and_other_layers_shown_need_no_other_trace():
    model, x = _counted(), images(3)
    probe = KerasProbe(model)
    last = model.get_layer("last")
    for seed in range(5):
        edit = edit_for(4, seed)
        found = probe.edited({"first": edit})
        wanted = last(altered(model.get_layer("first")(x), edit))
        np.testing.assert_allclose(found.predictions(x), wanted, atol=1e-6)
        found.activations(["last"], x)
        found.predictions(x[:1])
    assert len(x) >= FEW_SAMPLES + 1
    assert Counting.n_calls == 1


def test_new_weights_are_seen_without_a_new_trace():
    model, x = _counted(), images(3)
    found = KerasProbe(model).edited({"first": Edit([0, 1, 1, 1], [2, 0, 0, 0])})
    found.predictions(x)
    model.set_weights([3 * weight + 1 for weight in model.get_weights()])
    first = model.get_layer("first")(x).numpy()
    first[:, 0] = 2
    np.testing.assert_allclose(found.predictions(x), model.get_layer("last")(first), atol=1e-5)
    assert Counting.n_calls == 1


def test_a_slice_made_in_the_background_takes_over():
    model, x = _counted(), images(3)[:1]
    probe = KerasProbe(model, warm=True)
    for seed in range(3):
        found = probe.edited({"first": edit_for(4, seed)})
        wanted = model.get_layer("last")(altered(model.get_layer("first")(x), edit_for(4, seed)))
        np.testing.assert_allclose(found.predictions(x), wanted, atol=1e-6)
        found.wait()
        assert Counting.n_calls == 1
    probe.close()
    assert found._extractor._edited._prefetcher is None


def test_closing_an_edited_probe_leaves_the_plain_one_going():
    probe = KerasProbe(_counted(), warm=True)
    probe.edited({"first": edit_for(4)}).close()
    assert probe._extractor._prefetcher is not None
    probe.close()


def test_traces_are_bounded_and_those_let_go_still_answer(monkeypatch):
    monkeypatch.setattr(extractors, "MAX_TRACES", 2)
    probe, x = KerasProbe(_counted()), images(3)
    off = {"first": Edit([0] * 4, [0] * 4), "last": Edit([0, 0], [9, 9])}
    probes = [probe.edited(each) for each in ({"first": off["first"]}, {"last": off["last"]}, off)]
    assert [each.predictions(x)[0, 0] for each in probes] == [0, 9, 9]
    assert len(probe._edited_traces._kept) == 2


def test_a_unit_switched_off_is_off_also_where_it_is_not_finite():
    model = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: 1 / x, name="inverse")])
    x = np.tile(np.array([[0, 1], [np.nan, 0]], np.float32), (3, 1))
    found = by_both_roads(KerasProbe(model), {"inverse": Edit([0, 1], [7, 0])}, x)
    np.testing.assert_allclose(found[:2], [[7, 1], [7, np.inf]], rtol=1e-6)


def test_the_public_road_is_edited_too(monkeypatch):
    def broken(*_):
        raise AttributeError("TensorFlow has changed")

    monkeypatch.setattr(compiled, "function_on_graph", broken)
    model, x, edit = _counted(), images(3), edit_for(4)
    found = by_both_roads(KerasProbe(model), {"first": edit}, x)
    wanted = model.get_layer("last")(altered(model.get_layer("first")(x), edit))
    np.testing.assert_allclose(found, wanted, atol=1e-6)


# --- what is refused ---------------------------------------------------------------------


def _refused(probe, layer, n_units, error, words):
    with pytest.raises(error, match=words):
        probe.edited({layer: Edit(np.ones(n_units), np.zeros(n_units))})


def test_what_cannot_be_edited_says_why():
    _, probe = build("sequential_with_input")
    _refused(probe, "conv9", 1, LayerError, "no layer 'conv9'; this model has conv, pool")
    _refused(probe, "conv", 3, ShapeError, "layer 'conv' has 4 units; got an edit for 3")
    _refused(probe, "", 3, LayerError, "is an output of the model, not a layer")
    _, words = build("text_inside_the_model")
    _refused(words, "words", 4, LayerError, "'words' cannot be edited: it puts out int64")
    _refused(words, "lower", 1, LayerError, "puts out text")


def test_a_layer_whose_number_of_units_varies_is_refused():
    model = keras.Sequential([keras.Input((None,)), layers.Rescaling(2.0, name="twice")])
    _refused(KerasProbe(model), "twice", 3, LayerError, "its number of units varies")
