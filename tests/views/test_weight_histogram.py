import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
import shown
from fakes import messages, open_widgets, wiretap

from actwidgets.core.histograms import histogram
from actwidgets.probe.base import Probe
from actwidgets.session.session import Session
from actwidgets.views.weight_histogram import ROWS_UP_TO, WeightHistogram


def _grow(probe, factor):
    """Have all weights be some times what they are."""
    tell = type(probe).weights
    probe.weights = lambda layer: {
        name: factor * values + 0.25 for name, values in tell(probe, layer).items()
    }


def _areas(view):
    """The outlines of the counts."""
    return shown.part(view, bq.Lines)


def _spreads(view):
    """The lines from one deviation below a mean to one above."""
    return shown.part(view, bq.Lines, 1)


def _row_names(view):
    return shown.part(view, bq.Axis, 1).tick_labels


def _across(view):
    return shown.part(view, bq.Axis).scale


@pytest.fixture
def view(session, probe):
    view = WeightHistogram(session)
    _grow(probe, 3)
    session.refresh()
    return view


def test_the_weights_at_first_and_now_are_over_the_same_bins(view, session, probe):
    x, y = _areas(view).x, _areas(view).y
    assert x.shape == y.shape
    assert len(x) == 2
    np.testing.assert_array_equal(x[0], x[1])
    before, now = (found for _, found in session.histograms.moments("conv", "kernel"))
    for outline, found in zip(y, (before, now), strict=True):
        assert outline[1:-1:2].sum() == found.n_values == 180
    assert view.error == ""


def test_mean_and_deviation_are_those_of_numpy_in_words_and_marks(view, probe):
    now = probe.weights("conv")["kernel"].astype(np.float64)
    assert f"now: mean {now.mean():.3g}, standard deviation {now.std():.3g}" in shown.text(view)
    assert "at first: mean" in shown.text(view)
    left, middle, *_, right = _spreads(view).x[1]
    assert middle == pytest.approx(now.mean())
    assert (left, right) == pytest.approx((now.mean() - now.std(), now.mean() + now.std()))
    assert "180 weights" in shown.text(view)


def test_a_change_of_the_weights_is_one_message_per_mark(view, session, probe):
    wires = wiretap()
    _grow(probe, 5)
    session.refresh()
    lines = [traits for name, traits in messages(wires) if name == "Lines"]
    assert len(lines) == 2


def test_other_fields_of_the_session_repaint_nothing(view, session):
    wires = wiretap()
    session.select(sample=3, unit=2, class_index=1)
    assert not messages(wires)


def test_it_follows_the_layer_and_makes_nothing_anew(view, session):
    layer, style, what = session.layer, view.style, view.what
    for allowed in ({w.Layout}, set()):  # what is shown or hidden gets one of its own at first
        widgets = open_widgets()
        session.layer = "dense"
        assert "dense · kernel" in shown.text(view)
        assert "45 weights" in shown.text(view)
        view.style = "ridgeline"
        view.what = "activations"
        made = set(open_widgets().values()) - set(widgets.values())
        assert {type(each) for each in made} <= allowed
        session.layer, view.style, view.what = layer, style, what


def test_a_layer_without_weights_says_so_and_keeps_the_choice(view, session):
    view.what = "bias"
    session.layer = "empty"
    assert "nothing to show for empty: it has no weights" in shown.text(view)
    assert shown.control(view, "show").value is None
    assert view.error == ""
    session.layer = "dense"
    assert shown.control(view, "show").value == view.what == "bias"
    assert "5 weights" in shown.text(view)


def test_weights_of_another_name_are_shown_where_there_is_no_kernel(session, probe):
    probe.weights = lambda layer: {"gamma": np.ones(4, np.float32)}
    view = WeightHistogram(session)
    assert "conv · gamma" in shown.text(view)
    assert view.what == "kernel"
    assert shown.control(view, "show").value == "gamma"


def test_what_a_layer_puts_out_is_shown_too(view, session):
    shown.take(view, "show", 2)
    assert view.what == "activations"
    assert "14,400 values: of 30 samples at all positions" in shown.text(view)
    assert "keep this moment to compare" in shown.text(view)
    shown.press(view, "Keep this moment")
    assert session.histograms.labels == ("at first", "moment 1")
    assert "moment 1: mean" in shown.text(view)
    session.layer = "empty"
    assert "nothing to show for empty: its output is empty" in shown.text(view)


def test_moments_are_chosen_from_lists(view, session):
    session.histograms.remember("epoch 1")
    session.histograms.remember("epoch 2")
    assert [name for name, _ in shown.control(view, "to").options] == [
        "now",
        "at first",
        "epoch 1",
        "epoch 2",
    ]
    shown.take(view, "to", 2)
    shown.take(view, "from", 3)
    assert (view.earlier, view.later) == ("epoch 2", "epoch 1")
    assert "epoch 2: mean" in shown.text(view)
    session.histograms.forget("epoch 2")
    assert "no moment epoch 2 of this layer" in shown.text(view)
    assert "at first: mean" in shown.text(view)
    assert view.error == ""


def test_rows_are_all_moments_the_first_on_top(view, session):
    for number in range(5):
        session.histograms.remember(f"epoch {number}", activations=False)
    view.style = "ridgeline"
    assert _areas(view).y[:, 0].tolist() == [6, 5, 4, 3, 2, 1, 0]
    assert _row_names(view)["6"] == "at first"
    assert _row_names(view)["0"] == "▸ now"
    assert len(set(_areas(view).colors)) == 7
    assert not shown.is_shown(view, "from")


def test_of_very_many_moments_some_are_rows_and_that_is_said(view, session):
    for number in range(60):
        session.histograms.remember(f"epoch {number}", activations=False)
    view.style = "ridgeline"
    assert len(_areas(view).y) == ROWS_UP_TO
    assert "40 of 62 moments" in shown.text(view)
    labels = _row_names(view)
    assert (labels["39"], labels["0"]) == ("at first", "▸ now")
    assert len(labels) <= 15


def test_log_counts_are_powers_of_ten(view):
    view.log_counts = True
    assert _areas(view).y.max() <= 1 + np.log10(180)
    assert _row_names(view) == {"0": "0", "1": "1", "2": "10"}
    view.log_counts = False
    assert not _row_names(view)


def test_of_very_many_weights_a_part_is_counted_and_that_is_said(session, probe):
    kernel = np.random.default_rng(0).normal(size=(1500, 1500)).astype(np.float32)
    probe.weights = lambda layer: {"kernel": kernel}
    view = WeightHistogram(session)
    assert " of 2,250,000 weights, evenly spread" in shown.text(view)


def test_nan_and_infinities_are_told(session, probe):
    probe.weights = lambda layer: {"kernel": np.array([np.nan, np.inf, 1, 3], np.float32)}
    view = WeightHistogram(session)
    assert "now: 1 NaN and 1 infinite not in the bins" in shown.text(view)
    probe.weights = lambda layer: {"kernel": np.array([np.nan], np.float32)}
    session.histograms.forget()
    session.refresh()
    assert "nothing to show for conv: no value is finite" in shown.text(view)


def test_equal_weights_are_one_bin(session, probe):
    probe.weights = lambda layer: {"bias": np.zeros(7, np.float32)}
    view = WeightHistogram(session)
    assert view.error == ""
    assert _areas(view).y.max() == 7
    assert np.isfinite([_across(view).min, _across(view).max]).all()
    assert _across(view).min < _across(view).max


def test_names_are_escaped(session):
    session.histograms.remember("<b>one</b>")
    view = WeightHistogram(session, earlier="<b>one</b>")
    assert "&lt;b&gt;one&lt;/b&gt;: mean" in shown.markup(view)


def test_a_probe_that_tells_no_weights_shows_activations_only(data, probe):
    class Silent(Probe):
        layers, n_classes = probe.layers, 3
        activations, predictions, check = probe.activations, probe.predictions, probe.check

    view = WeightHistogram(Session(Silent(), *data))
    assert "nothing to show for conv" in shown.text(view)
    view.what = "activations"
    assert "14,400 values" in shown.text(view)


def test_closing_gives_everything_back_and_stops_watching(session):
    before = set(open_widgets())
    view = WeightHistogram(session)
    view.close()
    assert set(open_widgets()) == before
    painted = []
    view._render = painted.append
    session.histograms.remember("later")
    session.refresh()
    assert not painted


class _Recording:
    """What a probe of a recording has besides."""

    def __init__(self, probe):
        self.table = [histogram(np.linspace(-at - 1, at + 1, 50)) for at in range(4)]
        probe.keeps_histograms, probe.at = True, 1
        probe.weight_histograms = lambda layer: {"kernel": self.table[probe.at]}
        probe.activation_histogram = lambda layer: self.table[probe.at]
        probe.histogram_moments = lambda layer, what, name=None: [
            (f"epoch {at}", each) for at, each in enumerate(self.table)
        ]


def test_a_recording_shows_its_own_moments_and_the_one_it_is_at(session, probe):
    _Recording(probe)
    view = WeightHistogram(session)
    assert session.histograms.labels == ()
    assert "epoch 0: mean" in shown.text(view)
    assert "epoch 1: mean" in shown.text(view)
    assert not shown.is_shown(view, "Keep this moment")
    probe.at = 3
    session.refresh()
    assert "epoch 3: mean" in shown.text(view)
    view.style = "ridgeline"
    assert _row_names(view)["0"] == "▸ epoch 3"
    probe.at = 2
    session.refresh()
    assert _row_names(view)["1"] == "▸ epoch 2"
    assert _areas(view).fill_opacities[2] > _areas(view).fill_opacities[3]


def test_each_moment_is_told_in_a_line_of_its_own(view):
    lines = shown.markup(view).split("</div>")
    lines = [line for line in lines if "standard deviation" in line]
    assert [line.count("standard deviation") for line in lines] == [1, 1]
    assert "at first" in lines[0]


def test_rows_of_a_figure_have_the_names_of_their_moments(session, probe):
    _Recording(probe)
    view = WeightHistogram(session, style="ridgeline")
    (plot,) = view.figure().axes
    wanted = ["epoch 0", "▸ epoch 1", "epoch 2", "epoch 3"]
    names = [label.get_text() for label in plot.get_yticklabels()]
    assert sorted(names, key=lambda each: each[-1]) == wanted


def test_the_axis_stays_while_a_recording_is_scrubbed(session, probe):
    _Recording(probe)
    view = WeightHistogram(session)
    ends = _across(view).min, _across(view).max
    assert ends[0] <= -4
    assert ends[1] >= 4  # of the last moment, which is not shown
    counts = _areas(view).y.max(axis=1)
    probe.at = 3
    session.refresh()
    assert (_across(view).min, _across(view).max) == ends
    assert _areas(view).y.max(axis=1)[0] == counts[0]  # of the first moment


def test_of_a_recording_it_is_told_of_how_many_samples_activations_are(session, probe):
    _Recording(probe)
    view = WeightHistogram(session, what="activations")
    session.layer = "dense"  # five units, and fifty values were counted
    assert "50 values: of 10 of 30 samples" in shown.text(view)
