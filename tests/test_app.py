import ipywidgets as w
import numpy as np
import pytest
import shown
from fakes import FakeProbe, keep_moving, messages, open_widgets, wiretap

import actwidgets as aw
from actwidgets.errors import ActwidgetsError, DataError, ShapeError
from actwidgets.views.base import View


def test_closing_the_workbench_gives_every_widget_back(data):
    before = open_widgets()
    app = aw.explore(FakeProbe(), *data, class_names=("a", "b", "c"))
    assert len(open_widgets()) > len(before)
    app.session.select(layer="dense", sample=4)
    app.close(), app.close()
    assert open_widgets() == before


def test_the_views_are_linked_through_the_session(data):
    app = aw.explore(FakeProbe(), *data)
    shown.take(app.views["LayerPicker"], w.Select, 1)
    assert "dense" in shown.text(app.views["FeatureMapGrid"])
    assert "dense" in shown.text(app.views["ClassSimilarityMatrix"])
    assert app.error == ""


def test_one_user_action_is_one_render_per_view(data, monkeypatch):
    app = aw.explore(FakeProbe(), *data)
    app.session.wait()
    painted = []
    original = View._repaint

    def counted(self):
        painted.append(type(self).__name__)
        original(self)

    monkeypatch.setattr(View, "_repaint", counted)
    shown.take(app.views["LayerPicker"], w.Select, 1)
    assert sorted(painted) == [
        "ClassSeparation",
        "ClassSimilarityMatrix",
        "FeatureMapGrid",
        "LayerPicker",
        "SelectionBar",
    ]
    painted.clear()
    rest = keep_moving(app.views["SampleGallery"], monkeypatch)
    shown.choose(app.views["SampleGallery"], "sample", 4)
    assert painted == ["FeatureMapGrid"]
    rest()  # the thumbnails follow when it rests
    assert painted == ["FeatureMapGrid", "SampleGallery"]


def test_what_is_behind_a_tab_is_made_when_it_is_opened_and_costs_nothing_behind_another(data):
    app = aw.explore(FakeProbe(), *data)
    assert "ConfusionMatrix" not in app.views
    app.pages.turn_to("predictions")
    confusion, maps = app.views["ConfusionMatrix"], app.views["FeatureMapGrid"]
    assert (confusion.watching, maps.watching) == (True, False)
    before = shown.text(maps)
    app.session.select(layer="dense", class_index=1)
    assert shown.text(maps) == before
    app.pages.set_state({"selected_index": 0})
    assert "dense" in shown.text(maps)
    assert app.views["ConfusionMatrix"] is confusion
    for title in app.pages.titles:
        app.pages.turn_to(title)
    assert app.error == ""
    with pytest.raises(DataError, match="no page 'unit'; there are layers, predictions"):
        app.pages.turn_to("unit")


def test_several_models_are_compared_side_by_side(data):
    class Other(FakeProbe):
        layers = FakeProbe.layers[1:]

    before = open_widgets()
    app = aw.explore({"<b>new": FakeProbe(), "old": Other()}, *data, layer="dense")
    new, old = app.sessions.values()
    for title in app.pages.titles:
        app.pages.turn_to(title)
    new.select(sample=3, samples=(3, 5), unit=2)
    assert (old.samples, old.unit) == ((3, 5), 2)
    old.class_index = 2
    assert new.class_index == 2
    new.layer = "conv"
    assert old.layer == "dense"
    app.pages.turn_to("layers")
    assert "no layer conv here: dense is shown" in shown.text(app)
    assert app.error == ""
    new.layer = "dense"
    assert "no layer conv here" not in shown.text(app)
    app.close(), app.close()
    assert open_widgets() == before
    new.sample = 9
    assert old.sample == 3  # each goes its own way


def test_the_first_selection_is_what_is_asked_for_and_no_class(data):
    assert aw.explore(FakeProbe(), *data).session.class_index is None
    assert aw.explore(FakeProbe(), data[0]).session.class_index is None
    app = aw.explore(FakeProbe(), *data, class_index=2, layer="dense", unit=4)
    assert (app.session.class_index, app.session.layer, app.session.unit) == (2, "dense", 4)


def test_a_slider_tick_is_one_pass_and_no_more_messages_than_pictures(data, monkeypatch):
    probe = FakeProbe()
    app = aw.explore(probe, *data)
    gallery = app.views["SampleGallery"]
    keep_moving(gallery, monkeypatch)
    wires, probe.calls[:] = wiretap(), []
    shown.choose(gallery, "sample", 14)
    assert probe.calls == [(("conv",), 1)]
    assert [name for name, _ in messages(wires)] == ["HTML", "Image", "Image"]


@pytest.mark.expects_error
def test_a_view_that_fails_leaves_the_others_alive(data):
    probe = FakeProbe()
    app = aw.explore(probe, *data)
    probe.fails_on = ("dense",)
    app.session.layer = "dense"
    assert "FeatureMapGrid: could not draw" in app.error
    assert app.views["LayerPicker"].error == ""
    assert app.views["SampleGallery"].error == ""
    app.session.layer = "conv"
    assert app.error == ""


def test_nothing_is_left_open_by_what_is_refused(data):
    before = open_widgets()
    with pytest.raises(ActwidgetsError):
        aw.explore(FakeProbe(), data[0], np.full(30, 9))
    assert open_widgets() == before


def test_models_that_cannot_be_compared_are_let_go_of(data, monkeypatch):
    closed = []
    monkeypatch.setattr(FakeProbe, "close", lambda self: closed.append(self), raising=False)
    one, other = FakeProbe(), FakeProbe()
    other.layers = ()
    for models in ({"one": one}, {"one": one, "other": other}):
        with pytest.raises(ActwidgetsError):
            aw.explore(models, *data)
    assert closed == [one, one]


def test_the_views_follow_a_training_before_its_tab_is_opened(data, probe):
    told = []
    probe.training_callback = lambda listener: told.append(listener) or listener
    app = aw.explore(probe, *data)
    assert app.callback is app.callback
    assert told == [app.views["TrainingMonitor"]._watch]
    app.pages.turn_to("training")
    assert app.views["TrainingMonitor"].watching
    assert "callbacks=[app.callback]" in shown.text(app.views["TrainingMonitor"])
    assert "WeightHistogram" in app.views
    app.close()


def _class_chip(app, name="SelectionBar"):
    button = app.views[name].buttons["class_index"]
    return "" if button.layout.display == "none" else button.description


def test_no_class_is_in_focus_without_a_chip_that_takes_it_back(data):
    app = aw.explore(FakeProbe(), *data)
    assert app.session.class_index is None
    assert _class_chip(app) == ""
    app.session.class_index = 0
    assert _class_chip(app) == "class 0  ×"
    app.views["SelectionBar"].buttons["class_index"].click()
    assert app.session.class_index is None
    assert _class_chip(app) == ""


def test_a_class_that_was_chosen_can_be_taken_back(data, session):
    assert _class_chip(aw.explore(FakeProbe(), *data, class_index=0)) == "class 0  ×"
    session.class_index = 1
    assert _class_chip(aw.explore(session)) == "class coat  ×"


def test_side_by_side_too_a_class_is_chosen_by_somebody(data):
    models = {"one": FakeProbe(), "other": FakeProbe()}
    app = aw.explore(models, *data)
    assert app.sessions["one"].class_index is None
    assert _class_chip(app, "one: SelectionBar") == ""
    app.sessions["other"].class_index = 2
    assert _class_chip(app, "one: SelectionBar") == "class 2  ×"
    chosen = aw.explore(models, *data, class_index=0)
    assert _class_chip(chosen, "one: SelectionBar") == "class 0  ×"


def test_layers_side_by_side_have_room_in_their_column(data):
    app = aw.explore(FakeProbe(), *data)
    assert app.views["ClassSeparation"].columns == 6
    app.close()


def test_of_several_models_the_one_that_takes_no_such_samples_is_named(data):
    class Other(FakeProbe):
        def check(self, x):
            raise ShapeError("x must hold samples of shape (3,)")

    before = open_widgets()
    with pytest.raises(ShapeError, match=r"^after: x must hold"):
        aw.explore({"before": FakeProbe(), "after": Other()}, *data)
    assert open_widgets() == before
