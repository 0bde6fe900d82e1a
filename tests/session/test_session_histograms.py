import numpy as np
import pytest
from fakes import FakeProbe

from actwidgets.core.histograms import histogram
from actwidgets.errors import DataError, LayerError
from actwidgets.session.session import Session
from actwidgets.training.step_gate import StepGate


def _grow(probe, factor):
    """Have all weights be some times what they are."""
    tell = type(probe).weights
    probe.weights = lambda layer: {
        name: factor * values for name, values in tell(probe, layer).items()
    }


def _same(one, other):
    assert (one.exponent, one.first, one.n_values) == (other.exponent, other.first, other.n_values)
    np.testing.assert_array_equal(one.counts, other.counts)
    assert one.mean == pytest.approx(other.mean, abs=1e-12)


def test_weights_are_counted_by_name(session, probe):
    found = session.histograms.weights()
    assert list(found) == ["kernel", "bias"]
    _same(found["kernel"], histogram(probe.weights("conv")["kernel"]))
    assert session.histograms.weights("empty") == {}
    assert session.histograms.activations("empty").n_values == 0


def test_no_more_weights_are_counted_than_asked_for_and_all_units_are_among_them(session):
    few = session.histograms.weights("conv", limit=60)["kernel"]
    assert 20 < few.n_values <= 60
    assert few.min < -0.9
    assert few.max > 0.9


def test_activations_are_counted_at_all_positions_of_all_samples_where_they_are_few(session, probe):
    found = session.histograms.activations("conv")
    values = probe.activations(["conv"], session.context.samples.rows(range(session.n_samples)))[
        "conv"
    ]
    _same(found, histogram(values))
    assert found.std == pytest.approx(values.std(dtype=np.float64))
    assert session.histograms.n_samples("conv") == session.n_samples == 30


def test_of_many_samples_some_are_drawn_all_over_and_the_same_each_time(probe):
    x = np.zeros((5000, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(5000)
    session = Session(probe, x, np.arange(5000) % 2)
    found = session.histograms.activations("dense")
    assert session.histograms.n_samples("dense") == 256
    assert found.n_values == 256 * 5
    assert found.min < 100
    assert found.max > 5 * 4900
    session.refresh()
    _same(session.histograms.activations("dense"), found)


def test_while_the_model_is_trained_few_samples_are_run_but_for_what_is_remembered(probe):
    x = np.zeros((400, 6, 8, 1), np.float32)
    probe.step_gate = StepGate()
    session = Session(probe, x, np.arange(400) % 2)
    probe.step_gate.begin_training(lambda: True)
    assert session.histograms.activations("dense").n_values == 32 * 5
    assert session.histograms.n_samples("dense") == 32
    session.histograms.remember("epoch 1")
    label, kept = session.histograms.moments("dense", "activations")[0]
    assert (label, kept.n_values) == ("epoch 1", 256 * 5)
    probe.step_gate.end_training()
    assert session.histograms.n_samples("dense") == 256


def test_activations_are_counted_once_for_each_state_of_the_weights(session, probe):
    session.histograms.activations()
    probe.calls.clear()
    session.histograms.activations()
    assert not probe.calls
    probe.fingerprint = lambda: 2
    session.histograms.activations()
    assert probe.calls


def test_a_moment_is_kept_while_the_weights_go_on(session, probe):
    histograms = session.histograms
    before = histograms.weights()["kernel"]
    histograms.remember("before")
    _grow(probe, 3)
    session.refresh()
    (first, kept), (last, now) = histograms.moments("conv", "kernel")
    assert (first, last) == ("before", "now")
    _same(kept, before)
    assert now.max == 3
    assert [label for label, _ in histograms.moments("dense", "bias")] == ["before", "now"]
    assert [label for label, _ in histograms.moments("dense", "activations")] == ["before", "now"]
    assert histograms.in_view == -1


def test_all_of_a_moment_is_of_the_same_weights(session, probe):
    probe.step_gate = StepGate()
    looking, tell = [], probe.weights

    def weights(layer):
        looking.append(probe.step_gate._n_looking)
        return tell(layer)

    probe.weights = weights
    session.histograms.remember("before")
    assert looking
    assert all(looking)


def test_another_model_has_weights_of_its_own(session):
    assert session.histograms.weight_names("conv") == ("kernel", "bias")
    other = FakeProbe()
    other.weights = lambda layer: {"gamma": np.ones(2, np.float32)}
    session.model = other
    assert session.histograms.weight_names("conv") == ("gamma",)
    assert session.histograms.weights("conv")["gamma"].n_values == 2


def test_activations_may_be_left_out_of_a_moment(session, probe):
    session.histograms.remember("before", activations=False)
    assert not probe.calls
    assert [label for label, _ in session.histograms.moments("conv", "activations")] == ["now"]


def test_moments_are_named_once_and_forgotten(session):
    for label in ("c", "a", "b", "c"):
        session.histograms.remember(label)
    assert (session.histograms.labels, session.histograms.n_changes) == (("a", "b", "c"), 4)
    session.histograms.forget("b")
    assert session.histograms.labels == ("a", "c")
    with pytest.raises(DataError, match="no moment 'b'; kept are a, c"):
        session.histograms.forget("b")
    session.histograms.forget()
    assert session.histograms.labels == ()


def test_of_very_many_moments_every_second_is_forgotten_but_the_first_and_the_last(session):
    for number in range(101):
        session.histograms.remember(str(number), activations=False)
    labels = session.histograms.labels
    assert len(labels) == 52
    assert labels[:2] == ("0", "2")
    assert labels[-2:] == ("99", "100")


@pytest.mark.parametrize("label", ["", "now"])
def test_a_moment_needs_a_name_of_its_own(session, label):
    with pytest.raises(DataError, match='a name of its own, such as "before"; got'):
        session.histograms.remember(label)


def test_what_is_not_there_is_refused(session):
    with pytest.raises(LayerError, match="no layer 'conv9'; this model has conv, dense, empty"):
        session.histograms.weights("conv9")
    with pytest.raises(LayerError, match="'conv' has no 'gamma'; it has kernel, bias, activations"):
        session.histograms.moments("conv", "gamma")
    with pytest.raises(LayerError, match="'empty' has no 'kernel'; it has activations"):
        session.histograms.moments("empty")


def test_nan_and_infinities_are_counted_apart(session, probe):
    probe.weights = lambda layer: {"kernel": np.array([np.nan, np.inf, 1, 3], np.float32)}
    found = session.histograms.weights()["kernel"]
    assert (found.n_nan, found.n_infinite, found.mean) == (1, 1, 2.0)


class _Kept:
    """What a probe of a recording has besides."""

    def __init__(self):
        self.at = 1
        self.table = [histogram([float(at), at + 1.0]) for at in range(3)]

    def weight_histograms(self, layer):
        return {"kernel": self.table[self.at]}

    def activation_histogram(self, layer):
        return self.table[self.at]

    def histogram_moments(self, layer, what, name=None):
        assert (what, name) in {("weights", "kernel"), ("activations", None)}
        return [(f"epoch {at}", each) for at, each in enumerate(self.table)]


def test_a_recording_tells_its_own_moments(session, probe):
    kept = _Kept()
    probe.keeps_histograms = True
    for name in ("weight_histograms", "activation_histogram", "histogram_moments", "at"):
        setattr(probe, name, getattr(kept, name))
    histograms = session.histograms
    assert histograms.recorded
    assert histograms.in_view == 1
    assert histograms.weights()["kernel"] is histograms.activations() is kept.table[1]
    for what in ("kernel", "activations"):
        assert [label for label, _ in histograms.moments("conv", what)] == [
            "epoch 0",
            "epoch 1",
            "epoch 2",
        ]
    with pytest.raises(LayerError, match="has no 'bias'"):
        histograms.moments("conv", "bias")
    with pytest.raises(DataError, match="a recording has its moments"):
        histograms.remember("before")
