"""Samples of a wrong shape: the same sentence wherever they are given."""

import numpy as np
import pytest

import actwidgets as aw
from actwidgets.errors import ShapeError

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def model():
    return keras.Sequential(
        [
            keras.Input((12, 10, 3)),
            keras.layers.Conv2D(2, 3, name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((10, 12, 3), r"got samples of shape \(10, 12, 3\): rows and columns are swapped"),
        ((12, 10), r"got samples of shape \(12, 10\)$"),
        ((360,), r"got samples of shape \(360,\): .* x.reshape\(-1, 12, 10, 3\)"),
    ],
)
def test_a_session_and_a_recorder_tell_shapes_of_samples(model, tmp_path, shape, told):
    x, y = np.zeros((6, *shape), np.float32), np.arange(6) % 3
    told = r"^x must hold samples of shape \(12, 10, 3\); " + told
    with pytest.raises(ShapeError, match=told):
        aw.Session(model, x, y)
    with pytest.raises(ShapeError, match=told):
        aw.Recorder(model, tmp_path / "run", x, y)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ShapeError, match=told):
        aw.activations(model, x)


def test_of_several_inputs_the_one_is_named():
    inputs = [keras.Input((4,), name="left"), keras.Input((2,), name="right")]
    model = keras.Model(inputs, keras.layers.Concatenate(name="both")(inputs))
    with pytest.raises(ShapeError, match=r"^right must hold samples of shape \(2,\); got .*\(3,\)"):
        aw.activations(model, [np.zeros((5, 4)), np.zeros((5, 3))])
