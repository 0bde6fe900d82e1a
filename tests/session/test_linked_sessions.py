"""Sessions over the same samples that follow one another, each as far as its model goes."""

import threading

import numpy as np
import pytest
from fakes import FakeProbe

from actwidgets.core.ablation import Ablation
from actwidgets.core.layers import LayerInfo
from actwidgets.errors import DataError
from actwidgets.session.session import Session
from actwidgets.views.comparison import LinkedSessions


class _Narrow(FakeProbe):
    """A dense layer of one unit, and a layer of its own."""

    layers = (
        LayerInfo("dense", "Dense", (None, 1), 1, 0),
        LayerInfo("other", "Dense", (None, 4), 4, 0),
    )


@pytest.fixture
def sessions(data):
    names = {"class_names": ("a", "b", "c"), "layer": "dense"}
    return {
        "wide": Session(FakeProbe(), *data, **names, unit=3),
        "narrow": Session(_Narrow(), *data, **names),
    }


def test_what_is_chosen_in_one_is_chosen_in_all(sessions):
    LinkedSessions(sessions)
    wide, narrow = sessions.values()
    wide.select(samples=(4, 7), class_index=2, threshold=0.5)
    assert (narrow.samples, narrow.class_index, narrow.threshold) == ((4, 7), 2, 0.5)
    narrow.sample = 7
    assert wide.sample == 7


def test_a_choice_in_one_leaves_what_only_the_other_has(sessions):
    LinkedSessions(sessions)
    wide, narrow = sessions.values()
    wide.select(unit=4, ablations=(Ablation("dense", (4,)),))
    assert (narrow.unit, narrow.ablations) == (0, ())
    narrow.class_index = 1
    assert (wide.unit, wide.class_index) == (4, 1)
    assert wide.ablations == (Ablation("dense", (4,)),)


def test_a_layer_that_a_model_lacks_is_told_and_its_own_stays(sessions):
    linked = LinkedSessions(sessions)
    wide, narrow = sessions.values()
    told = []
    linked.observe(lambda change: told.append(change.new), names="unmatched")
    wide.select(layer="conv", samples=(9,), unit=11)
    assert (narrow.layer, narrow.samples) == ("dense", (9,))
    wide.layer = "dense"
    narrow.layer = "other"
    assert wide.layer == "dense"
    assert told == [{"narrow": "conv"}, {}, {"wide": "other"}]


def test_a_layer_is_followed_also_where_it_lacks_the_unit(sessions):
    linked = LinkedSessions(sessions)
    wide, narrow = sessions.values()
    narrow.layer = "other"
    assert linked.unmatched == {"wide": "other"}
    wide.select(layer="conv", unit=2)
    assert (narrow.layer, narrow.unit) == ("other", 0)
    wide.select(layer="dense", unit=3)
    assert (narrow.layer, narrow.unit) == ("dense", 0)
    assert linked.unmatched == {}


def test_what_else_is_chosen_does_not_hide_that_layers_differ(sessions):
    linked = LinkedSessions(sessions)
    wide, narrow = sessions.values()
    wide.layer = "conv"
    narrow.class_index = 1
    assert linked.unmatched == {"narrow": "conv"}


def test_what_two_threads_choose_at_once_is_chosen_in_both(sessions):
    wide, narrow = sessions.values()
    others = []

    def choose_elsewhere(_change):
        others.append(threading.Thread(target=lambda: narrow.select(class_index=2)))
        others[-1].start()
        others[-1].join(0.3)  # it waits for its turn

    wide.observe(choose_elsewhere, names="sample")
    LinkedSessions(sessions)
    wide.select(sample=7)
    for other in others:
        other.join(60)
    assert (wide.sample, wide.class_index) == (7, 2)
    assert (narrow.sample, narrow.class_index) == (7, 2)


def test_one_change_is_one_selection_in_each(sessions):
    LinkedSessions(sessions)
    seen = []
    for name, session in sessions.items():
        session.observe(lambda change, name=name: seen.append(name), names="selection")
    sessions["wide"].select(samples=(1, 2), class_index=1)
    assert sorted(seen) == ["narrow", "wide"]


def test_what_one_model_lacks_does_not_come_back_to_the_other(sessions):
    LinkedSessions(sessions)
    wide, narrow = sessions.values()
    wide.layer = "conv"
    narrow.select(layer="other", unit=2)
    wide.select(layer="dense", unit=3)
    assert (narrow.layer, narrow.unit) == ("dense", 0)
    assert wide.unit == 3


def test_closed_each_goes_its_own_way(sessions):
    linked = LinkedSessions(sessions)
    linked.close(), linked.close()
    sessions["wide"].sample = 5
    assert sessions["narrow"].sample == 0


def test_one_session_or_other_samples_are_refused(sessions, data):
    with pytest.raises(DataError, match="two models or more; got 1"):
        LinkedSessions({"alone": sessions["wide"]})
    fewer = Session(FakeProbe(), data[0][:9], np.zeros(9, int))
    with pytest.raises(DataError, match="must hold the same samples"):
        LinkedSessions({"wide": sessions["wide"], "fewer": fewer})
