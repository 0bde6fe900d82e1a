import bqplot as bq
import numpy as np
import pytest
import shown
from fakes import FakeProbe

from actwidgets.core.cka import cka
from actwidgets.core.layers import LayerInfo
from actwidgets.images.colormap import FRAME, palette
from actwidgets.session.session import Session
from actwidgets.views.layer_similarity import LayerSimilarity


class _Random(FakeProbe):
    """Layers that put out random numbers, the last one those of the first."""

    def __init__(self, n_layers=3, seed=0, nan_in=None):
        super().__init__()
        self.layers = tuple(
            LayerInfo(f"<i>layer {k}", "Dense", (None, 4), 4, 20) for k in range(n_layers)
        )
        random = np.random.default_rng(seed)
        self.values = {each.name: random.normal(size=(30, 4)) for each in self.layers}
        self.values[self.layers[-1].name] = self.values[self.layers[0].name] * 3
        if nan_in is not None:
            self.values[self.layers[nan_in].name][7] = np.nan

    def activations(self, layers, x):
        rows = np.asarray(x)[:, 0, 0, 0].astype(int)
        return {name: self.values[name][rows].astype(np.float32) for name in layers}


def _session(data, **options):
    return Session(_Random(**options), *data)


def test_figures_are_the_cka_of_the_activations(data):
    session = _session(data)
    view = LayerSimilarity(session)
    values = list(session.model.values.values())
    texts = shown.words(view)
    assert texts[:3] == ["<i>layer 0", "<i>layer 1", "<i>layer 2"]
    wanted = [
        f"{cka(a.astype(np.float32), b.astype(np.float32)):.2f}" for a in values for b in values
    ]
    assert texts[6:] == wanted
    assert "30 of 30 samples" in shown.text(view)


def test_a_click_chooses_the_layer_of_the_row_and_frames_it(data):
    session = _session(data)
    view = LayerSimilarity(session)
    shown.click(view, 2, 1)
    assert session.layer == "<i>layer 2"
    picture = shown.picture(view)[..., :3]
    framed = (picture == palette("nearness")[FRAME]).all(axis=2)
    assert framed[2 * 46 : 3 * 46, 96:].any()
    assert not framed[: 2 * 46].any()


def test_the_mouse_tells_the_value_and_names_are_escaped(data):
    view = LayerSimilarity(_session(data))
    shown.hover(view, 0, 3)
    assert "&lt;i&gt;layer 0 – &lt;i&gt;layer 2: 1.000" in shown.markup(view)
    shown.hover(view, 0, 0)  # a name
    assert view.error == ""


def test_moving_the_layer_asks_for_nothing(data):
    session = _session(data)
    view = LayerSimilarity(session)
    asked = len(session.model.calls)
    session.layer = "<i>layer 1"
    assert len(session.model.calls) == asked
    assert view.error == ""


def test_a_refresh_reads_anew(data):
    session = _session(data)
    view = LayerSimilarity(session)
    before = shown.words(view)
    session.model.values = _Random(seed=1).values
    session.refresh()
    assert shown.words(view) != before


def test_another_model_gives_the_columns(data):
    session, other = _session(data), _session(data, n_layers=2, seed=5)
    view = LayerSimilarity(session, other)
    assert len(shown.words(view)) == 3 + 2 + 3 * 2  # names of rows and columns, values
    assert "columns: the other" in shown.text(view)
    assert view.error == ""


def test_a_session_beside_itself_closes_as_any_other(data):
    session = _session(data)
    view = LayerSimilarity(session, session)
    assert view.error == ""
    view.close()
    session.refresh()


def test_a_layer_with_nan_is_left_out_and_named(data):
    view = LayerSimilarity(_session(data, nan_in=1))
    assert shown.words(view)[:2] == ["<i>layer 0", "<i>layer 2"]
    assert "left out for NaN or infinity: &lt;i&gt;layer 1" in shown.markup(view)


@pytest.mark.expects_error
def test_sessions_of_other_samples_are_refused(data):
    x, y = data
    view = LayerSimilarity(_session(data), Session(_Random(), x[:20], y[:20]))
    assert "must hold the same samples; they hold 30 and 20" in view.error
    with pytest.raises(TypeError, match="other must be a Session or None; got str"):
        LayerSimilarity(_session(data), "before")


def test_very_many_layers_are_pixels(data):
    view = LayerSimilarity(_session(data, n_layers=120))
    assert shown.words(view) == []
    layout = shown.part(view, bq.Figure).layout
    assert (layout.height, layout.width) == ("360px", "360px")


def test_too_few_samples_say_so(data):
    x, y = data
    view = LayerSimilarity(Session(_Random(), x[:3], y[:3]))
    assert "needs 4 samples" in shown.text(view)
    assert view.error == ""
