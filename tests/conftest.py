"""Shared fixtures: a model-free session, and a check that nothing failed quietly."""

import gc
import re

import ipywidgets as w
import numpy as np
import pytest
from fakes import FakeProbe
from hypothesis import settings

from actwidgets.session.session import Session
from actwidgets.views.base import View

N_SAMPLES = 30

# No test asserts a time: an example may be the first to import what it is compared with.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


AT_ONCE = (  # seconds within which something is made at once, and not in the background
    "actwidgets.session.predictions.AT_ONCE_S",
    "actwidgets.session.attributions.AT_ONCE_S",
    "actwidgets.recording.replay.AT_ONCE_S",
    "actwidgets.views.attribution_map.WITHIN_S",
)


OF_KERAS = re.compile(r"^pytestmark = .*pytest\.mark\.keras", re.MULTILINE)


def pytest_ignore_collect(collection_path, config):
    """With `-m "not slow"`, not even import what would only import TensorFlow or a browser."""
    if config.getoption("markexpr") != "not slow":
        return None
    if collection_path.suffix != ".py":
        return collection_path.name == "browser" or None
    return bool(OF_KERAS.search(collection_path.read_text("utf-8"))) or None


def pytest_collection_modifyitems(items):
    """Mark as slow what starts something; notebooks come first, and files of quick tests last.

    The notebooks take longest, and with quick files at the end both workers end together.
    """
    for item in items:
        if any(map(item.get_closest_marker, ("keras", "browser", "notebook"))):
            item.add_marker("slow")
    notebooks, slow = (
        {item.path for item in items if item.get_closest_marker(name)}
        for name in ("notebook", "slow")
    )
    items.sort(key=lambda item: (item.path not in notebooks, item.path not in slow))


def pytest_collection_finish():
    """Keep what was imported out of garbage collection: there are millions of objects."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="module")
def in_double_precision():
    """Models in double precision for a whole file."""
    from small_models import double_precision  # which imports Keras

    with double_precision():
        yield


@pytest.fixture(autouse=True)
def _slow_machines_do_the_same(monkeypatch):
    """What is made at once is, however long it takes; tests of the background set 0.

    And the background waits for no mouse to rest where none is moved.
    """
    for each in AT_ONCE:
        monkeypatch.setattr(each, float("inf"))
    monkeypatch.setattr("actwidgets.session.tasks.GIVE_WAY_S", 0.0)


@pytest.fixture
def probe():
    return FakeProbe()


@pytest.fixture
def data():
    """Images 6x8 whose first pixel is the sample's number, and labels of two of three classes."""
    x = np.zeros((N_SAMPLES, 6, 8, 1), np.float32)
    x[:, 0, 0, 0] = np.arange(N_SAMPLES)
    return x, np.arange(N_SAMPLES) % 2


@pytest.fixture
def session(probe, data):
    return Session(probe, *data, class_names=("shirt", "coat", "bag"))


@pytest.fixture(autouse=True)
def _leave_no_widgets(request, monkeypatch):
    failures = []
    original = View._show_error

    def note(self, text):
        if getattr(self, "_subscribed", True):  # not of a view closed while a thread drew it
            failures.append(text)
        original(self, text)

    monkeypatch.setattr(View, "_show_error", note)
    yield
    quiet = [text for text in failures if text]  # not what a reader meets once all is closed
    w.Widget.close_all()
    assert not quiet or request.node.get_closest_marker("expects_error"), quiet
