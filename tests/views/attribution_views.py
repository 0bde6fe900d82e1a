"""What the tests of attribution views share: a view, and what it shows."""

import shown
from fakes import begin_when_waited_for

from actwidgets.views.attribution_map import AttributionMap
from actwidgets.views.attribution_panels import AttributionPanels, AttributionTiles


def gradients_of_three(session):
    """A view of three samples by their gradient."""
    session.samples = (0, 1, 2)
    return AttributionMap(session, method="gradient")


def hold(session, monkeypatch):
    """Have maps made in the background, and not before somebody waits for them."""
    monkeypatch.setattr("actwidgets.session.attributions.AT_ONCE_S", 0)
    begin_when_waited_for(session.attributions, monkeypatch)


def tiles(view):
    """The tiles of the picture of maps."""
    return shown.part(view, AttributionTiles).tiles


def targets(view):
    """The class that each map tells of."""
    return [int(tile.attribution.target[tile.place]) for tile in tiles(view)]


def methods(view):
    """The method of each map."""
    return [tile.method for tile in tiles(view)]


def panel(view, name):
    """One of the parts that unfold below the maps."""
    return shown.control(view, AttributionPanels).made[name]


def requests(session):
    """What is asked of a session's attributions now, by who asks."""
    return session.attributions._requests


def captions(view):
    """What is written below the tiles."""
    return shown.words(shown.part(view, AttributionTiles))


def passes(session):
    """How often the model was asked for gradients."""
    return len(session.model.slice.calls)
