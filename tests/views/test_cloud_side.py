import numpy as np
import pytest

from actwidgets.core.embeddings.embedding import Embedding
from actwidgets.views._cloud_side import CloudSide


def ignore(*_given):
    """What nobody does here."""


@pytest.fixture
def side():
    made = CloudSide(200, on_choose=ignore, on_clear=ignore, on_hover=ignore)
    yield made
    made.close()


def picture(seed, plane=""):
    points = np.random.default_rng(seed).normal(0, 1, (12, 2)).astype(np.float32)
    return Embedding(points, np.arange(12), "pca", "layer", "", None, plane)


def moved_by(side, before, after):
    """How far each point goes on the screen, and how far it goes in the pictures given."""
    first = side.shown.points
    side.show(after, "layer", None)
    shown = np.linalg.norm(side.shown.points - first, axis=1)
    return shown, np.linalg.norm(after.points - before.points, axis=1)


def test_pictures_in_one_plane_are_moved_alike(side):
    before, after = picture(0, "one"), picture(1, "one")
    side.show(before, "layer", picture(2))  # which it is laid upon
    assert not np.allclose(side.shown.points, before.points)
    shown, given = moved_by(side, before, after)
    np.testing.assert_allclose(shown, given, rtol=1e-4)


@pytest.mark.parametrize("plane", ["", "another"])
def test_others_are_laid_upon_what_was_there(side, plane):
    before, after = picture(0, "one"), picture(1, plane)
    side.show(before, "layer", None)
    shown, given = moved_by(side, before, after)
    assert shown.sum() < given.sum()
