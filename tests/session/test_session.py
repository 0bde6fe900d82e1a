import threading

import numpy as np
import pytest
import traitlets as t
from fakes import FakeProbe, SlowProbe, begin_when_waited_for

from actwidgets.core.selection import Selection
from actwidgets.errors import DataError, SelectionError, ShapeError
from actwidgets.session.session import Session


def _record(session, name="selection"):
    seen = []
    session.observe(lambda change: seen.append(change.new), names=name)
    return seen


def test_several_fields_are_one_notification(session):
    seen = _record(session)
    session.select(layer="dense", sample=3, unit=1, class_index=2, threshold=0.5)
    assert seen == [Selection("dense", 3, (3,), 1, 2, 0.5)]


def test_choosing_a_smaller_layer_moves_the_unit_in_the_same_step(session):
    session.unit = 19
    seen = _record(session)
    session.layer = "dense"
    assert seen == [Selection("dense", unit=0)]
    assert session.unit == 0


def test_the_same_choice_is_no_notification(session):
    seen = _record(session)
    session.select(layer="conv", sample=0, unit=0)
    session.sample = 0
    assert seen == []


def test_the_sample_in_focus_is_always_on_show(session):
    session.samples = [4, np.int64(7)]
    assert (session.sample, session.samples) == (4, (4, 7))
    session.sample = 7
    assert session.samples == (4, 7)
    session.sample = 9
    assert session.samples == (9, 7)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"layer": "conv9"}, "no layer 'conv9'; this model has conv, dense, empty"),
        ({"layer": "dense", "unit": 5}, "unit 5 is outside 0..4 of layer 'dense'"),
        ({"unit": -1}, "outside 0..19"),
        ({"sample": 30}, "sample 30 is outside 0..29"),
        ({"samples": (1, 99)}, "sample 99 is outside"),
        ({"samples": ()}, "at least one"),
        ({"samples": (1, 1)}, "must differ"),
        ({"class_index": 3}, "class 3 is outside 0..2, or None"),
        ({"threshold": float("nan")}, "must be finite"),
        ({"sample": "first"}, "must be an integer"),
        ({"layer": "dense", "sample": 99}, "sample 99"),
    ],
)
def test_a_refused_choice_changes_nothing(session, choice, words):
    before, seen = session.selection, _record(session)
    with pytest.raises(SelectionError, match=words):
        session.select(**choice)
    assert (session.selection, seen) == (before, [])
    assert all(getattr(session, name) == getattr(before, name) for name in choice)


def test_a_field_refuses_what_select_refuses(session):
    before = session.selection
    for name, value in [("layer", "x"), ("unit", 20), ("samples", ()), ("class_index", 3)]:
        with pytest.raises(t.TraitError):
            setattr(session, name, value)
        with pytest.raises(t.TraitError):
            session.set_trait(name, value)
        assert getattr(session, name) == getattr(before, name)
    assert session.selection == before
    session.set_trait("unit", 7)
    assert session.selection.unit == 7


def test_fields_can_be_held_and_linked(session):
    other = t.HasTraits()
    other.add_traits(sample=t.Int(3))
    t.link((other, "sample"), (session, "sample"))
    assert session.sample == 3
    seen = _record(session)
    with session.hold_trait_notifications():
        session.layer, session.unit = "dense", 4
    assert seen == [Selection("dense", 3, (3,), 4)]


def test_a_misspelt_field_is_named(session):
    with pytest.raises(TypeError, match="layr"):
        session.select(layr="conv")


def test_the_selection_and_the_revision_are_read_only(session):
    for name, value in [("selection", Selection("conv")), ("revision", 3)]:
        with pytest.raises(t.TraitError, match="read-only"):
            setattr(session, name, value)


def test_maps_are_the_rows_on_show_in_their_order(session):
    session.samples = (5, 2)
    maps = session.maps()
    assert maps.shape == (2, 4, 6, 20)
    np.testing.assert_array_equal(maps[:, 0, 0, 1], [10, 4])


def test_maps_are_computed_once_until_refresh(session, probe):
    session.maps(), session.maps()
    assert probe.calls == [(("conv",), 1)]
    session.refresh()
    session.maps()
    assert len(probe.calls) == 2
    assert session.revision == 1


def test_cached_maps_cannot_be_written_to(session):
    with pytest.raises(ValueError, match="read-only"):
        session.maps()[0] = 1


def test_predictions_are_made_only_for_rows_not_asked_for_before(session, probe):
    assert session.predictions([3, 4]).argmax(axis=1).tolist() == [0, 1]
    session.predictions([4, 5])
    assert [n for _, n in probe.calls] == [2, 1]
    assert session.predicted_classes().tolist() == [row % 3 for row in range(30)]


def test_the_profiles_of_a_layer_follow_the_threshold_without_another_pass(session, probe):
    session.layer = "dense"
    assert session.profiles().firing_rate["dense"][0].tolist() == [14 / 15] * 5
    n_calls = len(probe.calls)
    session.threshold = 10.0
    # class 0 is samples 0, 2, … 28; unit u has the value sample * (u + 1)
    wanted = [sum(sample * (u + 1) > 10 for sample in range(0, 30, 2)) / 15 for u in range(5)]
    assert session.profiles().firing_rate["dense"][0].tolist() == wanted
    assert len(probe.calls) == n_calls


def test_a_budget_too_small_for_peaks_leaves_histograms_and_their_error_is_told(probe, data):
    session = Session(probe, *data, memory_budget_bytes=100, layer="dense")
    plenty = Session(probe, *data, layer="dense")
    for threshold in (0.0, 10.0, 25.0):
        session.threshold = plenty.threshold = threshold
        sketched, exact = session.profiles(), plenty.profiles()
        off = np.abs(sketched.firing_rate["dense"] - exact.firing_rate["dense"])
        assert np.nanmax(off) <= sketched.firing_error
        assert exact.firing_error == 0
        assert (sketched.firing_error == 0) == (threshold in (0.0, 10.0))  # edges of bins
    assert [call for call in probe.calls if call[0] == ("dense",)] == [(("dense",), 30)] * 2


def test_partial_profiles_become_whole_in_the_background(probe):
    x = np.zeros((1000, 6, 8, 1), np.float32)
    session = Session(probe, x, np.zeros(1000, int))
    readings = _record(session, "reading")
    assert session.profiles.read(partial=True).n_samples == 64
    session.wait()
    assert readings[-1].complete
    assert readings[-1].layers == ("conv",)
    assert session.profiles.read(partial=True).n_samples == 1000


def test_a_failure_in_the_background_is_told(probe, monkeypatch):
    session = Session(probe, np.zeros((1000, 6, 8, 1), np.float32), np.zeros(1000, int))
    begin_when_waited_for(session, monkeypatch)
    session.profiles.read(partial=True)
    probe.fails_on = ("conv",)
    session.wait()
    assert session.reading.failure == "FloatingPointError: nothing finite in <maps>"


def test_new_weights_end_the_pass_that_read_the_old_ones():
    go = threading.Event()

    class Slow(FakeProbe):
        def activations(self, layers, x):
            if threading.current_thread() is not threading.main_thread():
                assert go.wait(60)
            return super().activations(layers, x)

    session = Session(Slow(), np.zeros((1000, 6, 8, 1), np.float32), np.zeros(1000, int))
    session.profiles.read(partial=True)
    session.refresh()
    go.set()
    session.wait()
    assert session.reading is None


def test_a_class_without_samples_is_nan_and_named(session):
    profiles = session.profiles()
    assert np.isnan(profiles.firing_rate["conv"][2]).all()
    assert profiles.empty_classes == ("bag",)


def test_profiles_need_labels(probe, data):
    with pytest.raises(DataError, match="no y"):
        Session(probe, data[0]).profiles()


def test_assigning_a_model_moves_the_selection_to_it(session, probe, data):
    class Smaller(type(probe)):
        layers = probe.layers[1:2]

    session.select(layer="conv", unit=7, sample=3)
    seen = _record(session, "revision")
    session.model = Smaller()
    assert session.selection == Selection("dense", 3, (3,), 0)
    assert seen == [1]


def test_a_model_that_does_not_fit_the_data_is_not_taken(session, probe):
    class Wider(type(probe)):
        n_classes = 4

    before = session.model
    with pytest.raises(DataError, match="4 classes need 4 class_names; got 3"):
        session.model = Wider()
    assert session.model is before
    assert session.maps().shape == (1, 4, 6, 20)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"x": None}, DataError, "give x"),
        ({"x": np.zeros((0, 6, 8, 1))}, DataError, "no samples"),
        ({"y": np.zeros(7, int)}, ShapeError, "30 samples and y has 7"),
        ({"y": np.full(30, 3)}, DataError, "y holds 3, but there are 3 classes"),
        ({"y": np.full(30, 0.5)}, DataError, "whole class indices; got .*0.5"),
        ({"y": np.zeros((30, 4))}, ShapeError, "4 columns for 3 classes"),
        ({"class_names": ("a", "b")}, DataError, "need 3 class_names; got 2"),
        ({"class_names": ("a", "b", "a")}, DataError, "repeated: a"),
        ({"class_names": ("a", "b", 3)}, DataError, "number 2 is 3"),
        ({"layer": "conv9"}, SelectionError, "this model has conv"),
    ],
)
def test_what_cannot_be_shown_is_refused(probe, data, change, error, words):
    arguments = {"x": data[0], "y": data[1], **change}
    with pytest.raises(error, match=words):
        Session(probe, **arguments)


@pytest.fixture
def slow():
    """A session of 1,000 samples that reads in the background once it is let go."""
    x = np.zeros((1000, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(1000)
    session = Session(SlowProbe(), x, np.arange(1000) % 3, layer="dense")
    yield session
    session.model.go.set()
    session.close()


def test_cancelled_reading_stays_partial_until_it_is_resumed(slow):
    assert slow.profiles.read(partial=True).n_samples == 64
    slow.cancel()
    slow.model.go.set()
    slow.wait()
    assert slow.reading.cancelled
    assert not slow.reading.under_way
    partial = slow.profiles.read(partial=True)
    assert not partial.complete
    assert partial.n_samples <= 128
    assert not slow.is_reading  # nobody reads on unasked
    slow.resume()
    assert not slow.reading.cancelled
    slow.profiles.read(partial=True)
    slow.wait()
    assert slow.profiles.read(partial=True).complete


def test_after_a_cancel_the_last_complete_result_is_given(slow):
    before = slow.profiles()
    slow.refresh()
    assert slow.profiles.read(partial=True).n_samples == 64
    slow.cancel()
    assert slow.profiles.read(partial=True) is before
    assert slow.reading.cancelled


def test_complete_results_are_kept_of_the_last_layers_alone_and_where_they_are_small(
    slow, monkeypatch
):
    monkeypatch.setattr("actwidgets.session.profiles.COMPLETE_KEPT", 1)

    def after_a_cancel(layer):
        slow.layer = layer
        slow.profiles.read(partial=True)
        slow.cancel()
        return slow.profiles.read(partial=True)

    for layer in ("conv", "dense"):
        slow.layer = layer
        before = slow.profiles()
    slow.refresh()
    assert after_a_cancel("dense") is before
    assert after_a_cancel("conv").n_samples == 64
    slow.memory_budget_bytes = 8 * before.n_bytes - 1
    slow.model.go.set()
    slow.resume()
    slow.layer = "dense"
    assert slow.profiles() is not before
    slow.refresh()
    assert after_a_cancel("dense") is before  # the later one was too large
    slow.model = SlowProbe(slow.model.go)
    assert after_a_cancel("dense") is not before  # it was of another model


def test_one_pass_reads_every_layer_and_then_serves_each(slow):
    profiles = slow.profiles(every_layer=True)
    assert profiles.layers == ("conv", "dense")  # an empty output has nothing to tell
    slow.model.calls.clear()
    for layer in profiles.layers:
        slow.layer = layer
        np.testing.assert_array_equal(
            slow.profiles().firing_rate[layer], profiles.firing_rate[layer]
        )
    slow.threshold = 77.0
    assert slow.profiles().firing_error == 0
    assert slow.model.calls == []


def test_boxes_and_top_samples_of_the_chosen_unit(slow):
    slow.profiles()
    slow.select(unit=2)
    boxes = slow.unit_boxes()
    values = np.arange(1000.0) * 3
    for index in range(3):
        wanted = np.percentile(values[np.arange(1000) % 3 == index], [25, 50, 75])
        np.testing.assert_allclose(boxes.fives[index, 1:4], wanted)
    assert boxes.error == 0
    rows, found = slow.top_samples(3)
    assert rows.tolist() == [999, 998, 997]
    assert found.tolist() == [2997, 2994, 2991]


def test_beyond_the_budget_boxes_are_sketched_and_top_samples_are_still_exact(probe):
    x = np.zeros((1000, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(1000)
    session = Session(probe, x, np.arange(1000) % 3, layer="dense", memory_budget_bytes=100)
    session.select(unit=2)
    session.profiles()
    boxes, values = session.unit_boxes(), np.arange(1000.0) * 3
    for index in range(3):
        wanted = np.percentile(values[np.arange(1000) % 3 == index], [25, 50, 75])
        assert np.abs(boxes.fives[index, 1:4] - wanted).max() <= boxes.error + 3
    assert 0 < boxes.error < 2997 / 8
    assert session.top_samples(3)[0].tolist() == [999, 998, 997]


def test_layers_whose_sums_go_beyond_the_budget_are_left_out_of_the_pass_over_all(probe, data):
    per_pair = 3 * (40 + 900)  # bytes of a unit with three classes
    session = Session(probe, *data, memory_budget_bytes=2 * per_pair * 10)
    assert session.profiles(every_layer=True).layers == ("dense",)  # 5 units, and 20 do not fit
    assert session.profiles().layers == ("conv",)  # one at a time they all do


def test_of_single_layers_only_the_one_looked_at_is_read_and_all_of_them_behind_it(slow):
    slow.context.budget_bytes = 200_000  # for all sums, not for the peaks that tell of each layer
    for choice in ({"every_layer": True}, {}):
        slow.profiles.read(partial=True, **choice)
    slow.layer = "conv"
    slow.profiles.read(partial=True)
    slow.model.go.set()
    slow.wait()
    assert list(dict.fromkeys(reversed(slow.model.behind)))[:2] == [("conv", "dense"), ("conv",)]
    assert slow.model.behind.count(("dense",)) <= 1  # it was under way, and is left


def test_a_pass_of_all_layers_under_way_tells_of_each_of_them(slow):
    slow.profiles.read(partial=True, every_layer=True)
    for layer in ("dense", "conv"):
        slow.layer = layer
        partial = slow.profiles.read(partial=True)
        assert (partial.layers, partial.n_samples) == (("conv", "dense"), 64)
        assert slow.profiles.layers_read() == ("conv", "dense")
    slow.model.go.set()
    slow.wait()
    assert set(slow.model.behind) == {("conv", "dense")}


def test_who_waits_for_all_samples_of_a_layer_does_not_wait_for_all_layers(slow):
    slow.profiles.read(partial=True, every_layer=True)
    slow.cancel()
    slow.layer = "conv"
    assert slow.profiles().layers == ("conv",)


def test_where_all_layers_cannot_be_read_one_of_them_can(slow):
    slow.profiles.read(partial=True, every_layer=True)
    slow.model.failure = MemoryError("too large")
    slow.model.go.set()
    slow.wait()
    assert "too large" in slow.reading.failure
    slow.model.failure = None
    assert slow.profiles.read(partial=True).layers == ("dense",)


def test_an_interrupt_while_one_waits_cancels_the_pass(slow, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    slow.profiles.read(partial=True)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Condition, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt):
            slow.wait()
    assert slow.reading.cancelled
