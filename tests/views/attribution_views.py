"""What the tests of attribution views share: a view, and what it shows."""

import io
import re

import numpy as np
from fakes import begin_when_waited_for
from PIL import Image

from actwidgets.views.attribution_map import AttributionMap


def gradients_of_three(session):
    """A view of three samples by their gradient."""
    session.samples = (0, 1, 2)
    return AttributionMap(session, method="gradient")


def hold(session, monkeypatch):
    """Have maps made in the background, and not before somebody waits for them."""
    monkeypatch.setattr("actwidgets.session.attributions.AT_ONCE_S", 0)
    begin_when_waited_for(session.attributions._reader, monkeypatch)


def painted(view):
    """What the picture shows now, `(row, column, RGBA)`."""
    return np.asarray(Image.open(io.BytesIO(view._tiles.picture.image.image.value)))


def captions(view):
    """What is written below the tiles."""
    return list(view._tiles.picture.words.text)


def text(widget):
    """What a reader sees of a piece of HTML."""
    return " ".join(re.sub("<[^>]*>", " ", widget.value).split())


def passes(session):
    """How often the model was asked for gradients."""
    return len(session.model.slice.calls)
