"""What a session's importance keeps, drops, stops and goes on with."""

import functools
import threading
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeProbe, report
from planted import CARRIES, N_UNITS, PlantedProbe, planted_samples

from actwidgets.core.unit_importance import MEASURES
from actwidgets.errors import DataError
from actwidgets.probe.base import Probe
from actwidgets.session import importance
from actwidgets.session.importance import ImportancePass
from actwidgets.session.session import Session
from actwidgets.views.layer_similarity import LayerSimilarity

UNITS = "<units>"


class _Gated(PlantedProbe):
    """Its reading waits until the test lets it go on."""

    def __init__(self):
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()
        self.n_read = 0

    def activations(self, layers, x):
        self.n_read += len(x)
        self.begun.set()
        assert self.go.wait(60)
        return super().activations(layers, x)


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch):
    monkeypatch.setattr(importance, "ImportancePass", functools.partial(ImportancePass, n_trees=25))


@pytest.fixture
def probe():
    return PlantedProbe()


@pytest.fixture
def session(probe):
    session = Session(probe, *planted_samples(), class_names=("a", "b"))
    yield session
    session.close()


def _same(one, other):
    return all(np.array_equal(one.of(each), other.of(each), equal_nan=True) for each in MEASURES)


def test_it_is_made_once_and_measures_nothing_unasked(session, probe):
    assert session.importance is session.importance
    assert session.importance.known() is None
    assert session.importance.reading is None
    assert probe.log == []


def test_in_the_background_it_finds_the_same_as_at_once(session):
    at_once = session.importance()
    other = Session(PlantedProbe(), *planted_samples(), class_names=("a", "b"))
    readings = []
    other.importance.observe(lambda change: readings.append(change.new), names="reading")
    early = other.importance.request()
    assert not early.complete
    other.importance.wait()
    assert _same(other.importance.known(), at_once)
    assert readings[0].n_read < readings[-1].n_read
    assert readings[-1].complete
    assert other.importance.of == (UNITS, None)


def test_what_is_measured_at_once_is_told_to_whoever_watches(session):
    readings = []
    session.importance.observe(lambda change: readings.append(change.new), names="reading")
    session.importance()
    session.class_index = 1
    session.importance()
    assert session.importance.of == (UNITS, 1)
    session.importance()  # kept: nothing new
    assert [reading.complete for reading in readings] == [True, True]


def test_it_is_kept_by_layer_and_class(session, probe):
    first = session.importance()
    assert first.layer == UNITS
    session.class_index = 1
    assert session.importance.known() is None
    second = session.importance()
    assert second.class_name == "b"
    assert second.ablation[CARRIES] == 1
    session.select(layer="maps", class_index=None)
    assert session.importance.known() is None
    n_runs = len(probe.log)
    session.layer = UNITS
    assert _same(session.importance(), first)
    session.class_index = 1
    assert _same(session.importance(), second)
    assert len(probe.log) == n_runs


def test_a_map_counts_by_its_mean(session):
    flat = session.importance()
    session.layer = "maps"  # whose positions average to the unit's value
    table = session.importance()
    np.testing.assert_allclose(table.mutual_information, flat.mutual_information, atol=1e-5)


def test_other_weights_drop_what_was_measured_announced_or_not(session, probe):
    for change in (session.refresh, lambda: setattr(probe, "fingerprint", lambda: 7)):
        session.importance()
        change()
        assert session.importance.known() is None


def test_cancel_stops_and_resume_goes_on_where_it_was():
    probe = _Gated()
    session = Session(probe, *planted_samples())
    session.importance.request()
    assert probe.begun.wait(60)
    session.importance.cancel()
    assert session.importance.reading.cancelled
    probe.go.set()
    session.importance.wait()
    n_read = session.importance.reading.n_read
    assert not session.importance.known().complete
    session.importance.request()  # not asked to go on
    session.importance.wait()
    assert not session.importance.known().complete
    session.importance.resume()
    assert session.importance.reading.under_way
    session.importance.wait()
    assert session.importance.known().complete
    assert session.importance.reading.n_read > n_read
    fresh = Session(PlantedProbe(), *planted_samples())
    assert _same(session.importance.known(), fresh.importance())


def test_a_refresh_ends_what_is_under_way():
    probe = _Gated()
    session = Session(probe, *planted_samples())
    session.importance.request()
    assert probe.begun.wait(60)
    session.refresh()
    assert session.importance.reading is None
    probe.go.set()
    session.importance.wait()
    assert session.importance.known() is None
    assert session.importance.reading is None


def test_another_measurement_takes_the_place_of_one_under_way():
    probe = _Gated()
    session = Session(probe, *planted_samples())
    session.importance.request()
    assert probe.begun.wait(60)
    session.class_index = 0
    session.importance.request()
    probe.go.set()
    session.importance.wait()
    assert session.importance.known().complete
    assert probe.n_read == 64 + 300  # the piece under way, and no more of that
    session.class_index = None
    assert session.importance.known() is None


def test_a_failure_is_told_and_it_can_be_asked_again(session, probe):
    def fail(layers, x):
        raise FloatingPointError("no")

    probe.activations = fail
    session.importance.request()
    session.importance.wait()
    assert session.importance.reading.failure == "FloatingPointError: no"
    assert session.importance.known() is None
    with pytest.raises(FloatingPointError):
        session.importance()
    assert session.importance.known() is None
    del probe.activations
    assert session.importance().complete


def test_closing_the_session_stops_it():
    probe = _Gated()
    session = Session(probe, *planted_samples())
    session.importance.request()
    assert probe.begun.wait(60)
    probe.go.set()
    session.close()
    assert session.context.queue._thread is None


def test_ablations_of_the_session_are_not_in_force(session):
    from actwidgets.core.ablation import Ablation

    whole = session.importance()
    other = Session(PlantedProbe(), *planted_samples(), class_names=("a", "b"))
    other.ablations = (Ablation(UNITS, (CARRIES,)),)
    assert _same(other.importance(), whole)


# --- what cannot be measured -------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 1])  # or a regression
def test_without_labels_it_is_refused(probe, n_classes):
    probe.n_classes = n_classes
    session = Session(probe, planted_samples()[0])
    assert session.importance.missing() == "this needs labels"
    with pytest.raises(DataError, match="no importance of units: this needs labels"):
        session.importance()


def test_a_model_that_predicts_no_classes_is_measured_without_ablation(probe):
    probe.n_classes = 0
    session = Session(probe, *planted_samples(), class_names=("a", "b"))
    table = session.importance()
    assert np.isnan(table.ablation).all()
    assert table.order("forest")[0] in (CARRIES, 4)
    assert any("not one value per class" in each for each in table.notes)


def test_a_probe_that_cannot_be_edited_is_measured_without_ablation():
    class Plain(Probe):
        n_classes, layers = 2, PlantedProbe.layers
        check, activations = PlantedProbe.check, PlantedProbe.activations

        def predictions(self, x):
            return np.eye(2, dtype=np.float32)[np.zeros(len(x), int)]

    table = Session(Plain(), *planted_samples()).importance()
    assert np.isnan(table.ablation).all()
    assert table.known("forest")
    assert any("No ablation effect" in each for each in table.notes)


def test_units_whose_number_varies_are_refused(probe):
    from actwidgets.core.layers import LayerInfo

    probe.layers = (LayerInfo("ragged", "Dense", (None, None), None, 0),)
    session = Session(probe, *planted_samples())
    assert session.importance.missing() == "its units vary from sample to sample"


def test_all_units_are_measured(session):
    assert session.importance().measured.tolist() == list(range(N_UNITS))


def _stale(reading):
    """What is told where work is cancelled during its last step."""
    return replace(reading, n_read=reading.n_read - 1, cancelled=True)


@pytest.mark.parametrize(
    ("part", "ask"),
    [
        ("importance", lambda session: session.importance.request()),
        ("embeddings", lambda session: session.embeddings.request(of="input", method="pca")),
    ],
)
def test_work_cancelled_in_its_last_step_is_told_complete_when_asked_again(part, ask):
    x = np.random.default_rng(0).normal(size=(12, 6, 8, 1)).astype(np.float32)
    session = Session(FakeProbe(), x, np.arange(12) % 2)
    work = getattr(session, part)
    ask(session)
    session.wait()
    work.wait()
    assert work.reading.complete
    report(work, _stale(work.reading))
    ask(session)
    assert not work.reading.under_way
    assert work.reading.complete
    session.close()


def test_similarity_cancelled_in_its_last_step_is_told_complete_when_asked_again():
    x = np.random.default_rng(0).normal(size=(300, 6, 8, 1)).astype(np.float32)
    session = Session(FakeProbe(), x, np.arange(300) % 2)
    view = LayerSimilarity(session)
    session.wait()
    assert session.reading.complete
    session.context.report(_stale(session.reading))
    session.profiles.layer_similarity(partial=True)
    assert session.reading.complete
    assert not session.reading.cancelled
    view.close()
    session.close()
