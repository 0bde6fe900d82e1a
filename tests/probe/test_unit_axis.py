import keras
import numpy as np
import pytest
from model_zoo import CASES

import actwidgets as aw

pytestmark = pytest.mark.keras


def test_channels_first_is_handed_on_by_layers_that_say_nothing():
    case = CASES["channels_first"]()
    found = {info.name: (info.unit_axis, info.n_units) for info in aw.layers(case.model)}
    assert found == {
        "conv": (1, 4),
        "norm": (1, 4),
        "relu": (1, 4),
        "pool": (1, 4),
        "mean": (-1, 4),
        "classes": (-1, 3),
    }
    session = aw.Session(case.model, case.x, layer="relu")
    assert session.maps().shape == (1, 4, 7, 4)
    np.testing.assert_allclose(session.maps()[0], np.moveaxis(case.wanted["relu"][0], 0, -1))


def test_moving_the_channels_to_the_end_ends_it():
    first = {"data_format": "channels_first"}
    model = keras.Sequential(
        [
            keras.Input((2, 6, 6)),
            keras.layers.Conv2D(4, 3, name="conv", **first),
            keras.layers.Permute((2, 3, 1), name="last"),
            keras.layers.ReLU(name="relu"),
        ]
    )
    assert [info.unit_axis for info in aw.layers(model)] == [1, -1, -1]


def test_attention_scores_have_a_map_for_each_head():
    case = CASES["transformer_with_attention_scores"]()
    infos = {info.name: info for info in aw.layers(case.model)}
    assert infos["attention:1"].output_shape == (None, 2, 7, 7)
    assert (infos["attention:1"].unit_axis, infos["attention:1"].n_units) == (1, 2)
    session = aw.Session(case.model, case.x, layer="attention:1")
    scores = session.maps()
    assert scores.shape == (1, 7, 7, 2)
    np.testing.assert_allclose(scores.sum(axis=2), 1, rtol=1e-5)  # over the keys, for each query
