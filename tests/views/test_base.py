import threading

import ipywidgets as w
import pytest
import shown
import traitlets as t
from fakes import VIEWS

import actwidgets as aw
from actwidgets.views.base import View, with_all_they_hold
from actwidgets.views.controls import OfferedChoice, setting
from actwidgets.views.layer_picker import LayerPicker


class _Counting(View):
    watched = ("sample", "unit")
    size = t.Int(1, min=1).tag(option=True)

    def _build(self):
        self.renders = 0
        self.box = w.BoundedIntText(min=-5, max=9)
        return (self._control("size", self.box),)

    def _render(self, selection):
        self.renders += 1
        if selection.unit == 3:
            raise FloatingPointError("nothing finite in <maps>")


def test_a_change_repaints_once_and_only_what_it_concerns(session):
    view = _Counting(session)
    view.renders = 0
    session.select(sample=3, unit=1, layer="dense")
    assert view.renders == 1
    session.threshold = 0.5
    assert view.renders == 1
    session.refresh()
    assert view.renders == 2


def test_messages_to_a_view_go_where_the_browser_sends_them(session, monkeypatch):
    """ipykernel 7.4 has them wait for the thread that sent something last, which may be `fit`."""
    kind = type(w.HTML().comm)
    monkeypatch.setattr(kind, "_reply_subshell_for", lambda *_: "main", raising=False)
    view = _Counting(session)
    # Layouts and styles that are alike have one comm, which the page sends nothing.
    comms = [each.comm for each in with_all_they_hold([view]) if isinstance(each.comm, kind)]
    assert view.comm in comms
    assert len(comms) > 2
    assert all(each._reply_subshell_for is None for each in comms)


@pytest.mark.expects_error
def test_a_view_that_cannot_draw_says_so_and_recovers(session):
    broken, picker = _Counting(session), LayerPicker(session)
    session.unit = 3
    assert broken.error == "could not draw: nothing finite in <maps>"
    assert "&lt;maps&gt;" in shown.markup(broken)
    assert picker.error == ""
    session.unit = 0
    assert broken.error == ""
    assert "nothing finite" not in shown.text(broken)


def test_a_view_that_does_not_watch_paints_what_it_missed_once_it_does_again(session):
    view = _Counting(session)
    view.renders, view.watching = 0, False
    session.unit = 2
    session.unit = 1
    assert view.renders == 0
    view.watching = True
    assert view.renders == 1
    view.watching = False
    view.watching = True
    assert view.renders == 1


def test_a_view_that_was_closed_paints_nothing_more(session):
    view = _Counting(session)
    view.renders, view.watching = 0, False
    session.unit = 2
    view.close()
    view.watching = True
    view.size = 3
    session.unit = 1
    assert view.renders == 0


@pytest.mark.expects_error
def test_a_failure_stays_until_the_same_succeeds_or_a_picture_is_drawn(session):
    view = _Counting(session)
    with view._guard("could not draw"):
        with view._guard("could not choose"):
            raise ValueError("none")
        assert view.error == "could not choose: none"
    assert view.error == "could not choose: none"  # what it was part of has not succeeded
    with view._guard("could not read"):
        pass
    assert view.error == "could not choose: none"
    with view._guard("could not choose"):
        pass
    assert view.error == ""


def test_an_option_goes_both_ways_and_repaints(session):
    view = _Counting(session, size=4)
    assert view.box.value == 4
    view.renders = 0
    view.box.set_state({"value": 6})
    assert (view.size, view.renders) == (6, 1)
    view.size = 2
    assert (view.box.value, view.renders) == (2, 2)


@pytest.mark.expects_error
def test_an_option_that_is_refused_leaves_the_view_as_it_was(session):
    view = _Counting(session, size=4)
    view.box.set_state({"value": 0})
    assert view.size == 4
    assert "could not set size" in view.error
    with pytest.raises(t.TraitError):
        view.size = 0


def test_a_misspelt_option_is_refused(session):
    with pytest.raises(TypeError, match=r"LayerPicker\(\) has no option heigth"):
        LayerPicker(session, heigth=3)


def test_a_view_needs_a_session():
    with pytest.raises(TypeError, match="needs a Session; got str"):
        LayerPicker("model")


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_that_was_refused_is_collected_without_a_word(name):
    kind = getattr(aw, name)
    kind.__new__(kind).close()  # as `__del__` does, whatever `__init__` came to


def test_the_error_trait_is_read_only(session):
    with pytest.raises(t.TraitError, match="read-only"):
        LayerPicker(session).error = "no"


def test_what_the_code_sets_is_no_choice_of_the_users_but_what_comes_on_another_thread_is():
    chosen = []
    control = OfferedChoice("layer", chosen.append)
    control.offer(["a", "b"], "a")
    assert chosen == []
    with setting(control):
        browser = threading.Thread(target=control.set_state, args=({"index": 1},))
        browser.start()
        browser.join()
        control.value = "a"
    assert chosen == ["b"]
    control.set_state({"index": 1})
    assert chosen == ["b", "b"]
    control.close()
