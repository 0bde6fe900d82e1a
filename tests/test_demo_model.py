"""The model that ships: small, named to be read, and right about digits it has not seen."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from actwidgets.datasets import load_dataset

pytestmark = pytest.mark.keras
FILE = Path(__file__).parents[1] / "actwidgets" / "data" / "demo_model.keras"


@pytest.fixture(scope="module")
def model():
    from actwidgets.probe.functions import demo_model

    return demo_model()


@pytest.fixture(scope="module")
def digits():
    return load_dataset("digits")


def test_it_recognizes_unseen_digits(model, digits):
    predicted = model.predict(digits.x_test, verbose=0)
    np.testing.assert_allclose(predicted.sum(axis=1), 1, atol=1e-5)
    assert (predicted.argmax(axis=1) == digits.y_test).mean() > 0.97


def test_it_is_small_and_its_layers_have_names_to_read(model):
    assert FILE.stat().st_size < 300 * 1024
    assert [layer.name for layer in model.layers] == [
        *("conv_1", "conv_2", "conv_3", "pool_1", "conv_4", "pool_2"),
        *("flatten", "dropout", "dense", "predictions"),
    ]


def test_the_file_holds_no_training_state(model):
    assert not model.compiled
    with zipfile.ZipFile(FILE) as packed:
        assert not json.loads(packed.read("config.json")).get("compile_config")
        assert b"optimizer" not in packed.read("model.weights.h5")


def test_the_file_says_nothing_that_keras_3_10_refuses():
    with zipfile.ZipFile(FILE) as packed:
        config = packed.read("config.json").decode()
    for key in ("quantization_config", "input_axes", "shared_object_id"):
        assert key not in config


def test_each_call_gives_a_model_of_its_own(model):
    from actwidgets.probe.functions import demo_model

    other = demo_model()
    other.set_weights([np.zeros_like(weights) for weights in other.get_weights()])
    assert all(weights.any() for weights in model.get_weights()[::2])
