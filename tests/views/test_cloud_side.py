import numpy as np
import pytest
import shown

from actwidgets.core.embedding import Embedding
from actwidgets.views.embedding_scatter import CloudSide


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
    seen = np.linalg.norm(side.shown.points - first, axis=1)
    return seen, np.linalg.norm(after.points - before.points, axis=1)


def test_pictures_in_one_plane_are_moved_alike(side):
    before, after = picture(0, "one"), picture(1, "one")
    side.show(before, "layer", picture(2))  # which it is laid upon
    assert not np.allclose(side.shown.points, before.points)
    seen, given = moved_by(side, before, after)
    np.testing.assert_allclose(seen, given, rtol=1e-4)


@pytest.mark.parametrize("plane", ["", "another"])
def test_others_are_laid_upon_what_was_there(side, plane):
    before, after = picture(0, "one"), picture(1, plane)
    side.show(before, "layer", None)
    seen, given = moved_by(side, before, after)
    assert seen.sum() < given.sum()


def test_whose_points_will_stand_there_is_said_until_they_do(side):
    side.show_waiting("conv_1")
    assert "conv_1" in shown.text(side)
    assert "not computed yet" in shown.text(side)
    side.show(picture(0), "conv_1", None)
    assert "not computed" not in shown.text(side)
    side.show_waiting("conv_2")  # the points of before stay, and so does their name
    assert "conv_1" in shown.text(side)
