"""What holds of every view."""

import gc
import weakref

import bqplot as bq
import numpy as np
import pytest
import shown
import traitlets as t
from fakes import VIEWS, open_widgets, view_of
from ipywidgets.widgets.widget_description import DescriptionWidget

from actwidgets.core.perturbation import Perturbation
from actwidgets.errors import DataError
from actwidgets.session.session import Session
from actwidgets.views.base import with_all_they_hold
from actwidgets.views.controls import Readout
from actwidgets.views.feature_map_grid import FeatureMapGrid


@pytest.mark.parametrize("name", VIEWS)
def test_no_label_shows_null_as_its_tooltip(session, name):
    labeled = [
        each
        for each in with_all_they_hold([view_of(name, session)])
        if isinstance(each, DescriptionWidget) and each.description
    ]
    assert [each.description for each in labeled if each.tooltip is None] == []


def _readout(view):
    return "".join(shown.plain(each.value) for each in shown.parts(view, Readout, hidden=True))


def hovered(name, session):
    """A view with the mouse over a cell that has something to tell, or that has no such cell."""
    view = view_of(name, session)
    for each in with_all_they_hold([view]):
        if isinstance(each, bq.GridHeatMap):
            for row, column in np.ndindex(*np.shape(each.color)):
                shown.send(each, "hover", {"data": {"rowNum": row, "columnNum": column}})
                if _readout(view):
                    return view, True
    return view, False


@pytest.mark.parametrize("name", VIEWS)
def test_what_the_mouse_told_is_gone_once_it_has_left(session, name):
    session.select(samples=(0, 4, 9), layer="conv")
    view, is_hovered = hovered(name, session)
    if not is_hovered:
        assert (
            not shown.parts(view, Readout, hidden=True) or name == "KernelGrid"
        )  # the fake model has no kernels
        return
    told = _readout(view)
    view.watching = False
    view.watching = True
    assert _readout(view) == told  # the mouse is still there
    shown.leave(view)
    assert _readout(view) == ""
    view.watching = False
    view.watching = True
    assert _readout(view) == ""


@pytest.mark.parametrize("name", VIEWS)
def test_no_scale_is_both_reversed_and_told_its_order(session, name):
    # bqplot turns such an order round where it gets both at once, as after a page is reloaded.
    for each in with_all_they_hold([view_of(name, session)]):
        if isinstance(each, bq.OrdinalScale):
            assert not (each.reverse and each.domain)


@pytest.mark.parametrize(
    "name",
    ["ClassCounts", "ClassRanking", "ClassSeparation", "ClassSimilarityMatrix", "ConfusionMatrix"],
)
def test_without_labels_a_view_of_classes_says_that_it_needs_them(probe, data, name):
    view = view_of(name, Session(probe, data[0]))
    assert "this needs labels" in shown.text(view)
    assert view.error == ""
    assert not shown.parts(view, bq.Figure)


@pytest.mark.parametrize("name", VIEWS)
def test_closing_gives_every_widget_back_and_lets_go_of_the_view(session, name):
    before = open_widgets()
    view = view_of(name, session)
    session.select(layer="dense", sample=4, perturbation=Perturbation(noise=0.1))
    gone = weakref.ref(view)
    followed = view.session
    view.close(), view.close()
    assert open_widgets() == before
    del view
    for generation in range(3):  # a collection of the youngest is a thousand times faster
        if gone() is not None:
            gc.collect(generation)
    assert gone() is None
    followed.layer = "conv"
    followed.refresh()


def test_a_closed_view_saves_nothing_over_a_file(session, tmp_path):
    view = FeatureMapGrid(session)
    view.save_png(tmp_path / "maps.png")
    saved = (tmp_path / "maps.png").read_bytes()
    view.close()
    for save in (lambda: view.save_png(tmp_path / "maps.png"), view.figure, view.png):
        with pytest.raises(DataError, match="this FeatureMapGrid is closed"):
            save()
    assert (tmp_path / "maps.png").read_bytes() == saved


def test_a_view_that_nobody_watches_is_saved_as_it_would_be_painted_now(session):
    view, other = FeatureMapGrid(session), FeatureMapGrid(session)
    view.watching = False
    session.select(layer="dense")
    assert view.png() == other.png()


@pytest.mark.parametrize("name", VIEWS)
def test_a_refused_option_leaves_no_widget_behind_and_names_the_options(session, name):
    view = view_of(name, session)
    options = sorted(view.trait_names(option=True))
    before = open_widgets()
    said = "has no option colour; its options are " + (", ".join(options) or "none")
    with pytest.raises(TypeError, match=said):
        type(view)(view.session, colour="red")
    for option in options:
        if isinstance(view.traits()[option], t.Int | t.Float | t.Enum | t.Bool):
            with pytest.raises(t.TraitError):
                type(view)(view.session, **{option: object()})
    assert open_widgets() == before
