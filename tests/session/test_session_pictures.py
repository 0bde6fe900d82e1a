"""Samples given as vectors and shown as pictures, through a session and its views."""

import numpy as np
import pytest
import shown
from fakes import FakeProbe

from actwidgets.core.layers import AxisField, ReceptiveField
from actwidgets.errors import DataError, ShapeError
from actwidgets.session.session import Session
from actwidgets.views.feature_map_grid import FeatureMapGrid
from actwidgets.views.sample_gallery import SampleGallery
from actwidgets.views.top_samples import TopSamples


class _OfVectors(FakeProbe):
    """The same units, of vectors: it refuses anything else."""

    def check(self, x):
        assert x.shape[1:] in ((48,), (64,))

    def activations(self, layers, x):
        return super().activations(layers, np.asarray(x)[:, :, None, None])

    def predictions(self, x):
        return super().predictions(np.asarray(x)[:, :, None, None])

    def receptive_field(self, layer):
        """As of a convolution over the vector: along its one axis."""
        return ReceptiveField((AxisField(1, 3, 1, 0),)) if layer == "conv" else None


@pytest.fixture
def vectors():
    x = np.zeros((30, 48), np.float32)
    x[:, 0] = np.arange(30)
    return x


def test_the_model_gets_vectors_and_people_get_pictures(vectors):
    session = Session(_OfVectors(), vectors, image_shape=(6, 8))
    assert session.picture_shape == (6, 8)
    pictures = session.pictures([29, 0])
    assert pictures.shape == (2, 6, 8, 3)
    assert pictures[:, 0, 0, 0].tolist() == [255, 0]
    assert session.maps([3])[0, 0, 0, 0] == 3
    for view in (SampleGallery(session), FeatureMapGrid(session)):
        assert view.error == ""


def test_a_square_is_taken_for_a_picture_unless_told_otherwise():
    x = np.zeros((4, 64), np.float32)
    assert Session(_OfVectors(), x).picture_shape == (8, 8)
    assert Session(_OfVectors(), x, image_shape=()).picture_shape == ()


@pytest.mark.parametrize(
    ("shape", "error"), [((6, 9), ShapeError), ((48,), DataError), ("ab", DataError)]
)
def test_a_shape_that_does_not_fit_is_refused_before_the_model_is_read(vectors, shape, error):
    with pytest.raises(error, match="image_shape"):
        Session(object(), vectors, image_shape=shape)


def test_what_a_unit_sees_of_a_vector_is_not_framed_in_its_picture(vectors):
    labels = np.arange(30) % 2
    session = Session(_OfVectors(), vectors, labels, image_shape=(6, 8), layer="conv")
    view = TopSamples(session)
    assert view._rows[0] == 29
    assert "framed" not in shown.text(view)
    assert view.error == ""


@pytest.mark.keras
def test_a_model_that_folds_vectors_itself_tells_no_field_of_pictures():
    import keras

    keras.utils.set_random_seed(0)
    folded = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Reshape((8, 8, 1)),
            keras.layers.Conv2D(2, 3, name="maps"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    along = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Reshape((64, 1)),
            keras.layers.Conv1D(2, 3, name="maps"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    x = np.random.default_rng(0).random((6, 64), np.float32)
    for model, shape in ((folded, (8, 8)), (along, ())):  # a series is no picture
        session = Session(model, x, np.arange(6) % 2, layer="maps")
        assert session.picture_shape == shape
        view = TopSamples(session)
        session.wait()
        assert "framed" not in shown.text(view)
        assert view.error == ""
        session.close()
