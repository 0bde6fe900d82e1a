"""What reaches the page when views are made, in messages."""

import re
import threading

import bqplot as bq
import comm
import ipywidgets as w
import pytest
import shown
from fakes import FakeProbe, open_widgets
from ipywidgets.embed import dependency_state

import actwidgets as aw
from actwidgets.views import comms
from actwidgets.views.comms import opened_together


class _Page:
    """Stands for the page: keeps every message in order, and what models it would have."""

    def __init__(self):
        self.messages = []  # ("open", "update", "custom" or "close", id, state)
        self.models = {}
        self.comms = {}

    def comm(self, *, comm_id=None, data=None, **_options):
        return _PageComm(self, comm_id or f"{len(self.messages)} of the page", data["state"])

    def tell(self, kind, model_id, state=None):
        for missing in _references(state) - set(self.models):
            raise AssertionError(f"{kind} of {model_id} refers to {missing}, which is not there")
        self.messages.append((kind, model_id, state))
        if kind == "close":
            del self.models[model_id]
        elif kind in ("open", "update"):
            self.models.setdefault(model_id, {}).update(state)

    def kinds(self):
        return [kind for kind, _, _ in self.messages]

    def layout_of(self, widget):
        return self.models[self.models[widget.model_id]["layout"].removeprefix("IPY_MODEL_")]


class _PageComm:
    def __init__(self, page, comm_id, state):
        self._page, self.comm_id = page, comm_id
        page.comms[comm_id] = self
        page.tell("open", comm_id, state)

    def send(self, data=None, metadata=None, buffers=None):
        self._page.tell(data["method"], self.comm_id, data.get("state", data.get("content")))

    def close(self):
        self._page.tell("close", self.comm_id)

    def on_msg(self, callback):
        self.receive = callback


def _references(state):
    return set(re.findall(r"IPY_MODEL_(\w[\w ]*)", repr(state)))


@pytest.fixture
def page(monkeypatch):
    found = _Page()
    monkeypatch.setattr(comm, "create_comm", found.comm)
    monkeypatch.setattr(comms, "_alike", {})  # those are on no page
    return found


def _explore(data):
    return aw.explore(FakeProbe(), *data, class_names=("a", "b", "c"))


def test_a_workbench_is_one_message_a_widget_and_no_change_of_any(page, data):
    """Where each change is told and each layout is its own there are over 480 messages.

    The rest are what is seen, and layouts of which no two are alike.
    """
    app = _explore(data)
    n_messages = len(page.messages)
    app.close()
    assert set(page.kinds()[:n_messages]) == {"open"}
    assert n_messages <= 200
    assert page.models == {}


@pytest.mark.parametrize("title", ["predictions", "units", "attributions", "interventions"])
def test_a_tab_is_told_with_two_changes_of_what_is_there(page, data, title):
    app = _explore(data)
    page.messages.clear()
    app.pages.turn_to(title)
    app.session.wait()
    told = [message for message in page.messages if message[0] == "update"]
    of_tabs = [set(state) for _, model_id, state in told if model_id in _ids_of_pages(app)]
    app.close()
    assert of_tabs == [{"selected_index"}, {"children"}]
    assert page.kinds().count("open") <= 115


def _ids_of_pages(app):
    return {app.pages.model_id, *(each.model_id for each in app.pages.children)}


def test_the_page_can_ask_for_every_model_that_another_refers_to(page, data):
    app = _explore(data)
    states = dependency_state([app])
    assert set(states) <= set(page.models)
    assert set().union(*(_references(each) for each in states.values())) <= set(states)
    assert set(page.models) <= set(open_widgets())
    app.close()


def test_every_model_answers_a_page_that_asks_for_one_after_another(page, data):
    """A JupyterLab that the kernel kept waiting shows nothing before all have answered."""
    app = _explore(data)
    for model_id in set(page.models):
        page.messages.clear()
        page.comms[model_id].receive({"content": {"data": {"method": "request_state"}}})
        ((kind, told, state),) = page.messages
        assert (kind, told) == ("update", model_id)
        assert state["_model_name"] == open_widgets()[model_id]._model_name
    page.messages.clear()
    page.comms[app.layout.model_id].receive({"content": {"data": {"method": "custom"}}})
    assert page.messages == []
    app.close()
    assert page.models == {}


def test_who_asks_for_all_models_amid_making_is_told_of_those_that_are_there(page):
    before = set(open_widgets())
    with opened_together():
        made = w.HTML()
        assert set(w.Widget.get_manager_state()["state"]) == before
        assert page.messages == []
    assert set(w.Widget.get_manager_state()["state"]) >= {made.model_id, made.layout.model_id}


def test_layouts_that_are_alike_are_one_until_one_changes(page):
    with opened_together():
        first, second, other = w.HTML(), w.HTML(), w.HTML(layout={"width": "9px"})
    assert page.layout_of(first) is page.layout_of(second)
    assert page.layout_of(first) is not page.layout_of(other)
    assert first.layout is not second.layout
    n_before = len(page.messages)
    second.layout.width = "5px"
    assert page.kinds()[n_before:] == ["open", "update"]
    assert page.layout_of(first)["width"] is None
    assert page.layout_of(second)["width"] == "5px"
    second.layout.width = "6px"
    first.layout.width = "7px"  # nobody shares it any more
    assert page.kinds()[n_before:] == ["open", "update", "update", "update"]
    assert page.layout_of(first)["width"] == "7px"
    assert page.layout_of(second)["width"] == "6px"
    with opened_together():
        third = w.HTML()
    assert page.layout_of(third)["width"] is None


def test_styles_that_are_alike_are_one_until_one_changes(page):
    with opened_together():
        first, second = w.Button(), w.Button()
    assert first.style.model_id == second.style.model_id
    second.style.button_color = "red"
    styles = [page.models[each.model_id]["style"] for each in (first, second)]
    colors = [page.models[each.removeprefix("IPY_MODEL_")]["button_color"] for each in styles]
    assert colors == [None, "red"]
    assert open_widgets()[second.style.model_id] is second.style


def test_the_size_of_a_figure_changes_without_another_layout(page):
    """bqplot listens to the one that the figure had at first."""
    with opened_together():
        one, other = bq.Figure(), bq.Figure()
    model_id = one.layout.model_id
    assert model_id != other.layout.model_id
    one.layout.width = "5px"
    assert one.layout.model_id == model_id
    assert page.models[model_id]["width"] == "5px"


def test_who_sets_the_width_of_a_view_sets_that_of_no_other(page, session):
    first, second = aw.LayerPicker(session), aw.LayerPicker(session)
    first.layout.width = "200px"
    assert page.layout_of(first)["width"] == "200px"
    assert page.layout_of(second)["width"] is None
    first.close(), second.close()


def test_a_layout_that_several_have_is_closed_with_the_last_of_them(page):
    with opened_together():
        first, second = w.HTML(), w.HTML()
    shared = first.layout.model_id
    first.layout.close()
    assert shared in page.models
    assert open_widgets()[shared] is second.layout
    second.layout.close()
    assert shared not in page.models
    assert shared not in open_widgets()
    first.layout.open()
    assert first.layout.model_id != shared
    first.layout.close()


def test_after_all_widgets_of_a_kernel_were_closed_a_view_is_whole(page, session, data):
    aw.LayerPicker(session)
    w.Widget.close_all()
    app = _explore(data)  # the page refuses references to what is closed
    assert page.layout_of(app)["width"] == "100%"
    app.close()


def test_what_is_displayed_or_referred_to_amid_making_reaches_the_page_at_once(page):
    box = w.VBox()
    with opened_together():
        shown, put, left = w.HTML("a"), w.HTML("b"), w.HTML("c")
        assert page.kinds() == ["open", "open"]  # the box and its layout
        assert shown.model_id in page.models
        box.children = (put,)
        assert page.models[box.model_id]["children"] == [f"IPY_MODEL_{put.model_id}"]
        shown.value = "d"
        left.value = "e"
        assert page.models[shown.model_id]["value"] == "d"
        assert "c" not in [state.get("value") for _, _, state in page.messages]
    assert page.models[left.model_id]["value"] == "e"


def test_messages_of_a_widget_s_own_kind_wait_until_it_is_open(page):
    with opened_together():
        widget = w.HTML("old")
        widget.send({"event": "mark"})
        widget.value = "new"
        assert page.messages == []
    kinds = [(kind, state.get("value")) for kind, _, state in page.messages[-2:]]
    assert kinds == [("open", "new"), ("custom", None)]


def _make_and_fail(made):
    with opened_together():
        made.append(w.HTML())
        made[1 // 0].close()


def test_constructors_are_watched_no_longer_than_that_and_for_nobody_else(page):
    made = []
    w.Widget.on_widget_constructed(made.append)
    try:
        with opened_together():
            widget = w.HTML()
        assert widget in made
        w.HTML()
        assert len(made) >= 2
        assert w.Widget._widget_construction_callback == made.append
    finally:
        w.Widget.on_widget_constructed(None)
    made.clear()
    with pytest.raises(ZeroDivisionError):
        _make_and_fail(made)
    (widget,) = made
    assert widget.model_id in page.models
    assert w.Widget._widget_construction_callback is None
    n_before = len(page.messages)
    w.HTML()
    assert len(page.messages) > n_before


def test_a_callback_set_amid_making_stays(page):
    made = []
    try:
        with opened_together():
            w.Widget.on_widget_constructed(made.append)
            widget = w.HTML()
        assert w.Widget._widget_construction_callback == made.append
        assert widget.model_id in page.models
    finally:
        w.Widget.on_widget_constructed(None)


def test_threads_make_views_at_the_same_time(page):
    inside, left = threading.Event(), threading.Event()

    def make():
        with opened_together():
            made.append(w.HTML("of the thread"))
            inside.set()
            left.wait(60)
        made.append(w.HTML("after"))

    made = []
    thread = threading.Thread(target=make)
    with opened_together():
        thread.start()
        inside.wait(60)
        mine = w.HTML("mine")
    assert mine.model_id in page.models
    assert "of the thread" not in [state.get("value") for _, _, state in page.messages]
    left.set()
    thread.join()
    assert {each.model_id for each in made} <= set(page.models)
    assert w.Widget._widget_construction_callback is None


def test_a_change_while_the_state_is_read_is_told_after_it(page, monkeypatch):
    """The background may paint a view on its own thread meanwhile."""
    with opened_together():
        widget = w.HTML("old")
        read = widget.get_state

        def read_and_change(key=None):
            state = read(key)
            if widget.value == "old":
                widget.value = "new"
            return state

        monkeypatch.setattr(widget, "get_state", read_and_change)
    assert page.models[widget.model_id]["value"] == "new"


def test_what_is_seldom_needed_is_made_when_it_is_and_stands_in_its_place(page, data):
    session = aw.Session(FakeProbe(), *data)
    bar, gallery = aw.SelectionBar(session), aw.SampleGallery(session, columns=20, rows=20)
    made = [type(each) for each in open_widgets().values()]
    assert not shown.parts(bar, w.Button, hidden=True)
    assert w.FloatProgress not in made
    n_buttons = len(shown.parts(gallery, w.Button, hidden=True))
    page.messages.clear()
    session.threshold = 0.5
    chips = shown.parts(bar, w.Button)
    assert [chip.description for chip in chips] == ["threshold 0.5  ×"]
    assert {f"IPY_MODEL_{chip.model_id}" for chip in chips} <= _references_of_rows(page)
    gallery.rows = gallery.columns = 1
    assert shown.is_shown(gallery, "next page")
    assert len(shown.parts(gallery, w.Button, hidden=True)) == n_buttons + 2
    n_told = len(page.messages)
    gallery.rows = gallery.columns = 20
    gallery.rows = gallery.columns = 1
    told = [state for kind, _, state in page.messages[n_told:] if kind == "open"]
    assert {state["_model_name"] for state in told} <= {"LayoutModel"}  # two were alike so far
    bar.close(), gallery.close()


def _references_of_rows(page):
    return {each for state in page.models.values() for each in state.get("children", ())}
