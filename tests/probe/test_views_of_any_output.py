"""Every view on models whose output is no vector of classes: none raises, none fails."""

import logging

import keras
import numpy as np
import pytest
import shown

import actwidgets as aw

pytestmark = pytest.mark.keras
layers = keras.layers
GENERATOR = np.random.default_rng(2)
VIEWS = (
    *("LayerPicker", "SampleGallery", "SelectionBar", "FeatureMapGrid", "KernelGrid"),
    *("ConfusionMatrix", "PredictionTable", "ClassCounts", "EmbeddingScatter"),
    *("ClassSimilarityMatrix", "ClassRanking", "ClassSeparation", "LayerSimilarity", "UnitBoxPlot"),
    *("TopSamples", "UnitTable", "UnitImportance", "AttributionMap", "UnitAblation", "InputLab"),
    *("TrainingMonitor", "WeightHistogram"),
)


def _samples(*shape):
    return GENERATOR.random((6, *shape)).astype(np.float32)


def _unet():
    inputs = keras.Input((8, 8, 1))
    maps = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    down = layers.UpSampling2D()(layers.MaxPooling2D()(maps))
    outputs = layers.Conv2D(3, 1, activation="softmax")(layers.Concatenate()([maps, down]))
    return keras.Model(inputs, outputs), _samples(8, 8, 1)


def _autoencoder():
    inputs = keras.Input((8, 8, 1))
    code = layers.Dense(2)(layers.Flatten()(inputs))
    outputs = layers.Reshape((8, 8, 1))(layers.Dense(64, activation="sigmoid")(code))
    return keras.Model(inputs, outputs), _samples(8, 8, 1)


def _detector():
    inputs = keras.Input((8, 8, 1))
    flat = layers.Flatten()(layers.Conv2D(4, 3)(inputs))
    boxes = layers.Reshape((5, 4), name="boxes")(layers.Dense(20)(flat))
    scores = layers.Dense(5, activation="sigmoid", name="scores")(flat)
    return keras.Model(inputs, {"boxes": boxes, "scores": scores}), _samples(8, 8, 1)


def _sequence_to_sequence():
    inputs = keras.Input((7, 4))
    states = layers.LSTM(5, return_sequences=True)(inputs)
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(states)), _samples(7, 4)


def _maps_alone():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, layers.Conv2D(6, 3)(inputs)), _samples(8, 8, 3)


def _scalar():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.ops.sum(layers.Dense(3)(inputs), axis=-1)), _samples(4)


def _regression():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(1)]), _samples(4)


def _any_length():
    inputs = keras.Input((None, 4))
    return keras.Model(inputs, layers.Conv1D(3, 1)(inputs)), _samples(5, 4)


MODELS = {
    "U-Net": (_unet, GENERATOR.integers(0, 3, (6, 8, 8))),
    "autoencoder": (_autoencoder, None),
    "detector": (_detector, None),
    "tags of a sequence": (_sequence_to_sequence, GENERATOR.integers(0, 3, (6, 7))),
    "maps alone": (_maps_alone, None),
    "a scalar": (_scalar, None),
    "regression": (_regression, GENERATOR.random(6)),
    "any length": (_any_length, None),
}


@pytest.mark.parametrize(
    ("kind", "with_y"),
    [
        (kind, with_y)
        for kind, (_, y) in MODELS.items()
        for with_y in ((False, True) if y is not None else (False,))
    ],
)
def test_every_view_is_made_and_follows_without_a_failure(kind, with_y, caplog):
    make, y = MODELS[kind]
    model, x = make()
    session = aw.Session(model, x, y if with_y else None)
    views = {name: getattr(aw, name)(session) for name in VIEWS}
    with caplog.at_level(logging.WARNING, "actwidgets"):
        for layer in [info.name for info in session.layers]:
            session.layer = layer
        session.samples = (5, 2)
        session.wait()
    assert {name: view.error for name, view in views.items() if view.error} == {}
    assert [record.message for record in caplog.records if record.exc_info] == []
    for view in views.values():
        view.close()
    session.close()


def test_without_classes_there_is_nothing_to_count():
    for make in (_unet, _autoencoder, _detector, _maps_alone):
        model, x = make()
        session = aw.Session(model, x)
        for splits in (None, {"train": [0, 1, 1]}):
            view = aw.ClassCounts(session, splits)
            assert "nothing to count" in shown.text(view)
            assert not view.error
            view.close()
        session.close()
