"""What views tell of passes that are cancelled, replaced, finished by others, or that fail."""

import threading

import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
import shown
from fakes import SlowProbe, begin_when_waited_for, report

from actwidgets.core.ablation import Ablation
from actwidgets.session.results import STEP
from actwidgets.session.session import Session
from actwidgets.session.tasks import Progress, progress_of
from actwidgets.views.class_separation import ClassSeparation
from actwidgets.views.class_similarity_matrix import ClassSimilarityMatrix
from actwidgets.views.confusion_matrix import ConfusionMatrix
from actwidgets.views.controls import ProgressLine
from actwidgets.views.prediction_table import PredictionTable

N_SAMPLES = 8 * STEP


@pytest.fixture
def session(monkeypatch):
    """Of a model that predicts one batch at once, and the rest when it is let go."""
    monkeypatch.setattr("actwidgets.session.predictions.AT_ONCE_S", 0.0)
    x = np.zeros((N_SAMPLES, 6, 8, 1), np.float32)
    session = Session(SlowProbe(), x, np.zeros(N_SAMPLES, int), class_names=("a", "b", "c"))
    yield session
    session.model.go.set()
    session.close()


def _told(view):
    """The figures of the progress line and its button, or "" where it is hidden."""
    lines = shown.parts(view, ProgressLine)
    return f"{shown.text(lines[0])} {lines[0].button.description}" if lines else ""


def test_one_cancel_stops_the_passes_of_all_views_and_each_resumes_all(session):
    views = [ClassSimilarityMatrix(session), ConfusionMatrix(session)]
    session.cancel()
    assert all("cancelled" in _told(view) and "Resume" in _told(view) for view in views)
    session.model.go.set()
    shown.press(views[0], "Resume")
    session.wait()
    assert [_told(view) for view in views] == ["", ""]
    assert all(f"{N_SAMPLES:,} samples" in shown.text(view) for view in views)


@pytest.mark.parametrize("kind", [ClassSimilarityMatrix, ConfusionMatrix])
def test_what_others_finish_is_no_longer_said_to_be_cancelled(kind, session):
    view = kind(session)
    session.cancel()
    session.model.go.set()
    session.confusion(), session.profiles()
    session.threshold, session.class_index = 0.5, 1
    assert f"{N_SAMPLES:,} samples" in shown.text(view)
    assert "cancelled" not in shown.text(view)
    assert _told(view) == ""


def test_what_another_view_finishes_is_told_to_those_that_wait_for_it(session, monkeypatch):
    begin_when_waited_for(session, monkeypatch)
    view = ConfusionMatrix(session)
    assert (session.reading, "so far" in shown.text(view)) == (None, True)
    monkeypatch.setattr("actwidgets.session.predictions.AT_ONCE_S", 10.0)
    PredictionTable(session)
    session.model.go.set()
    session.wait()
    assert f"{N_SAMPLES:,} samples, accuracy" in shown.text(view)


def test_what_was_read_while_it_did_not_watch_is_painted_once_it_does(session):
    view = ConfusionMatrix(session)
    view.watching = False
    session.model.go.set()
    session.wait()
    assert "so far" in shown.text(view)
    view.watching = True
    assert f"{N_SAMPLES:,} samples, accuracy" in shown.text(view)
    assert _told(view) == ""


def test_views_may_be_closed_in_the_middle_of_a_pass(session):
    kept, closed = ConfusionMatrix(session), ConfusionMatrix(session)
    behind = ConfusionMatrix(session)
    behind.watching = False
    before = next(each for each in shown.parts(closed, w.HTML) if "so far" in each.value)
    closed.close()
    session.model.go.set()
    session.wait()
    assert f"{N_SAMPLES:,} samples, accuracy" in shown.text(kept)
    assert "so far" in before.value
    session.ablations = Ablation("dense", (0,))
    kept.close(), behind.close()
    session.close()
    assert not session.is_reading


def test_after_a_refresh_nothing_is_cancelled(session, monkeypatch):
    view = ConfusionMatrix(session)
    session.cancel()
    monkeypatch.setattr("actwidgets.session.predictions.AT_ONCE_S", 10.0)
    session.refresh()
    assert session.reading is None
    assert f"{N_SAMPLES:,} samples, accuracy" in shown.text(view)
    assert _told(view) == ""


def test_a_pass_for_ablations_that_are_gone_is_left(session):
    session.predictions()
    view = ConfusionMatrix(session)
    session.ablations = off = (Ablation("dense", (0,)),)
    assert "so far" in shown.text(view)
    report(session, progress_of(session.results.model(off).prediction_pass))
    assert "Cancel" in _told(view)
    session.ablations = ()
    assert _told(view) == ""
    session.model.go.set()
    session.wait()
    assert session.reading.complete
    assert not session.results._models[off].prediction_pass.complete


def test_a_cancelled_pass_is_not_followed_by_that_of_other_ablations(session):
    view = ConfusionMatrix(session)
    session.cancel()
    session.ablations = off = (Ablation("dense", (0,)),)
    session.ablations = ()
    assert "cancelled" in _told(view)
    session.model.go.set()
    session.wait()
    assert "cancelled" in _told(view)
    assert not session.results._models[off].prediction_pass.complete


def test_no_thread_tells_of_a_pass_while_another_one_writes_how_far_it_was(session, monkeypatch):
    view, free = ConfusionMatrix(session), []

    def another_thread():
        free.append(session.lock._lock.acquire(blocking=False))

    def show(_reading):
        other = threading.Thread(target=another_thread)
        other.start(), other.join()

    monkeypatch.setattr(shown.control(view, ProgressLine), "show", show)
    view.normalized = "row"
    assert free == [False]


@pytest.mark.expects_error
def test_a_pass_that_fails_is_told_and_read_when_it_is_asked_for_again(session):
    view = ConfusionMatrix(session)
    session.model.failure = FloatingPointError("<b>no")
    session.model.go.set()
    session.wait()
    assert view.error == "could not read all samples: FloatingPointError: <b>no"
    assert "&lt;b&gt;no" in shown.markup(view)
    before = shown.words(view)
    session.class_index = 1
    session.wait()
    assert "could not read all samples" in view.error
    assert shown.words(view) == before
    session.model.failure = None
    session.class_index = 2
    session.wait()
    assert view.error == ""
    assert f"{N_SAMPLES:,} samples, accuracy" in shown.text(view)


@pytest.fixture
def untraced(session, monkeypatch):
    """A session whose model is to be traced first, so that no pass begins at once."""
    monkeypatch.setattr(SlowProbe, "summarizes_at_once", lambda probe, layers: False)
    return session


def test_a_view_of_one_layer_tells_how_far_the_pass_of_all_layers_is(untraced):
    separation, view = ClassSeparation(untraced), ClassSimilarityMatrix(untraced)
    untraced.cancel()
    assert all("cancelled" in _told(each) for each in (view, separation))
    untraced.model.go.set()
    shown.press(view, "Resume")
    untraced.wait()
    assert set(untraced.model.behind) == {("conv", "dense")}
    assert all(f"{N_SAMPLES:,} samples" in shown.text(each) for each in (view, separation))


def test_who_cancels_before_the_first_batch_does_not_wait_for_it(untraced):
    """It may be the model's trace, and a handler of the browser that waits."""
    view = ClassSimilarityMatrix(untraced)
    untraced.cancel()
    report(untraced, Progress("profiles", ("another",), 1, 2))
    later = ClassSimilarityMatrix(untraced)
    assert untraced.model.calls == []
    for each in (view, later):
        assert "cancelled" in _told(each)
        assert f"0 of {N_SAMPLES:,} samples so far" in shown.text(each)
        assert not shown.is_shown(each, bq.Figure)
    untraced.model.go.set()
    untraced.wait()
    assert len(untraced.model.behind) == 1  # which was under way


class OfAllError(Exception):
    pass


@pytest.mark.expects_error
def test_where_the_pass_of_all_layers_fails_a_view_of_one_reads_its_own(untraced, monkeypatch):
    separation, view = ClassSeparation(untraced), ClassSimilarityMatrix(untraced)
    summaries = untraced.model.summaries

    def fail_on_all(layers, x, **options):
        if len(layers) > 1:
            raise OfAllError("too many")
        return summaries(layers, x, **options)

    monkeypatch.setattr(untraced.model, "summaries", fail_on_all)
    untraced.model.go.set()
    untraced.wait()
    assert "too many" in separation.error
    assert view.error == ""
    assert f"{N_SAMPLES:,} samples" in shown.text(view)


def test_a_view_with_a_picture_shows_one_of_a_layer_that_is_to_be_traced(untraced):
    labels = np.arange(N_SAMPLES) % 3
    x = np.broadcast_to(labels[:, None, None, None], (N_SAMPLES, 6, 8, 1)).astype(np.float32)
    session = Session(SlowProbe(), x, labels, class_names=("a", "b", "c"))
    view = ClassSimilarityMatrix(session)
    assert not shown.is_shown(view, bq.Figure)
    session.model.go.set()
    session.wait()
    session.model.go.clear()
    session.layer = "conv" if session.layer == "dense" else "dense"
    assert shown.is_shown(view, bq.Figure)
    session.model.go.set()
    session.close()


def test_what_failed_before_its_first_batch_is_not_begun_again_and_again(untraced):
    untraced.model.failure = MemoryError("too large")
    untraced.model.go.set()
    assert not untraced.profiles.begin()
    untraced.wait()
    assert untraced.profiles.begin()
    untraced.wait()
    assert len(untraced.model.behind) == 1
