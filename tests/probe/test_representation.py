"""The table of CKA against `cka` of the activations, pair by pair."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import actwidgets as aw
from actwidgets.errors import DataError, LayerError, ShapeError

pytestmark = pytest.mark.keras
NAMES = ("conv_2", "pool_1", "pool_2", "flatten", "dense", "predictions")


@pytest.fixture(scope="module")
def model():
    return aw.demo_model()


@pytest.fixture(scope="module")
def digits():
    return aw.load_dataset("digits").x_test[:150]


@pytest.fixture(scope="module")
def untrained(model):
    keras.utils.set_random_seed(3)
    return keras.models.clone_model(model)


def pair_by_pair(rows, columns):
    return [[aw.cka(row, column) for column in columns.values()] for row in rows.values()]


def test_it_is_cka_of_the_activations_pair_by_pair(model, digits):
    table = aw.layer_similarity(model, digits, layers=NAMES, batch_size=64)
    assert table.layers == table.other_layers == NAMES
    assert (table.n_samples, table.values.dtype, table.estimated.any()) == (150, np.float64, False)
    found = aw.activations(model, digits, NAMES)
    np.testing.assert_allclose(table.values, pair_by_pair(found, found), atol=1e-6)
    np.testing.assert_array_equal(table.values, table.values.T)
    np.testing.assert_allclose(np.diag(table.values), 1, atol=1e-9)
    assert table.values[2, 3] == pytest.approx(1, abs=1e-9)  # flattening changes nothing
    assert table.values[0, 5] < table.values[4, 5]  # the dense layer is nearer to the output


def test_every_layer_is_read_in_one_pass(model, digits):
    told = []
    table = aw.layer_similarity(model, digits[:20], batch_size=8, progress=told.append)
    assert table.layers == tuple(layer.name for layer in aw.layers(model))
    assert told == [8, 16, 20]
    assert np.isfinite(table.values).all()


def test_the_mean_over_positions_is_of_units(model, digits):
    table = aw.layer_similarity(model, digits, layers=NAMES, positions="mean")
    found = aw.activations(model, digits, NAMES)
    means = {
        name: values.reshape(150, -1, values.shape[-1]).mean(axis=1)
        for name, values in found.items()
    }
    np.testing.assert_allclose(table.values, pair_by_pair(means, means), atol=1e-5)


def test_layers_beyond_the_budget_are_estimated_and_told(model, digits):
    exact = aw.layer_similarity(model, digits, layers=NAMES)
    table = aw.layer_similarity(
        model, digits, layers=NAMES, batch_size=50, memory_budget_bytes=2**20
    )
    wide = np.array([name in ("conv_2", "pool_1") for name in NAMES])
    np.testing.assert_array_equal(table.estimated, wide[:, None] | wide)
    np.testing.assert_allclose(table.values, exact.values, atol=0.05)
    narrow = ~table.estimated
    np.testing.assert_allclose(table.values[narrow], exact.values[narrow], atol=1e-6)


def test_two_models_on_the_same_samples(model, untrained, digits):
    table = aw.layer_similarity(
        model, digits, untrained, layers=["pool_2", "dense"], other_layers=NAMES, batch_size=64
    )
    assert (table.layers, table.other_layers) == (("pool_2", "dense"), NAMES)
    mine = aw.activations(model, digits, ["pool_2", "dense"])
    theirs = aw.activations(untrained, digits, NAMES)
    np.testing.assert_allclose(table.values, pair_by_pair(mine, theirs), atol=1e-6)


def test_a_model_before_and_after_training():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)).astype(np.float32)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(8, "relu", name="hidden")])
    before = keras.models.clone_model(model)
    before.set_weights(model.get_weights())
    same = aw.layer_similarity(model, x, before)
    assert same.values[0, 0] == pytest.approx(1, abs=1e-9)
    model.set_weights([rng.normal(size=weight.shape) for weight in model.get_weights()])
    assert aw.layer_similarity(model, x, before).values[0, 0] < 0.99


def test_some_layers_of_one_model_by_others(model, digits):
    whole = aw.layer_similarity(model, digits[:40], layers=NAMES)
    table = aw.layer_similarity(
        model, digits[:40], layers="dense", other_layers=["pool_1", "dense"]
    )
    np.testing.assert_allclose(table.values, whole.values[4:5, [1, 4]], atol=1e-6)


def test_a_data_set_of_pairs_is_read_too(model, digits):
    wanted = aw.layer_similarity(model, digits[:60], layers=NAMES[3:])
    pairs = tf.data.Dataset.from_tensor_slices((digits[:60], np.arange(60))).batch(7)
    found = aw.layer_similarity(model, pairs, layers=NAMES[3:])
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"layers": ["conv9"]}, LayerError, "no layer 'conv9'; this model has conv_1"),
        ({"other_layers": "conv9"}, LayerError, "no layer 'conv9'; this model has conv_1"),
        ({"layers": []}, DataError, "at least one layer"),
        ({"layers": ["dense", "dense"]}, DataError, "dense is there twice"),
        ({"positions": "max"}, DataError, "must be 'flat' or 'mean'; got 'max'"),
        ({"x": np.zeros((3, 8, 8, 1))}, DataError, "at least 4 samples; got 3"),
        ({"x": np.zeros((0, 8, 8, 1))}, DataError, "at least 4 samples; got 0"),
        ({"x": np.zeros((9, 8, 9, 1))}, ShapeError, r"\(8, 8, 1\).*got .*\(8, 9, 1\)"),
        ({"x": iter([np.zeros((9, 8, 8, 1))])}, DataError, "one-shot"),
    ],
)
def test_what_cannot_be_compared_is_refused(model, digits, options, error, words):
    with pytest.raises(error, match=words):
        aw.layer_similarity(model, **{"x": digits, **options})


def test_a_second_model_that_takes_other_samples_is_refused(model, digits):
    other = keras.Sequential([keras.Input((64,)), keras.layers.Dense(3)])
    with pytest.raises(ShapeError, match=r"samples of shape \(64,\).*got .*8, 8, 1\)"):
        aw.layer_similarity(model, digits, other)


def test_a_layer_with_not_a_number_is_told_by_name():
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(2, name="good"), layers.Rescaling(np.nan, name="bad")]
    )
    x = np.random.default_rng(2).normal(size=(9, 3))
    with pytest.raises(DataError, match="layer 'bad' must be finite; 18 of its 18 values"):
        aw.layer_similarity(model, x)
    assert aw.layer_similarity(model, x, layers="good").values[0, 0] == pytest.approx(1)


def test_layers_whose_length_varies_compare_by_their_mean():
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((None, 2)), layers.Conv1D(3, 1, name="time"), layers.GlobalMaxPooling1D()]
    )
    rng = np.random.default_rng(1)
    x = [rng.normal(size=(5, length, 2)).astype(np.float32) for length in (4, 6)]
    batches = tf.data.Dataset.from_generator(
        lambda: iter(x), output_signature=tf.TensorSpec((None, None, 2))
    )
    with pytest.raises(ShapeError, match="'time' had 12 features per sample before and has 18"):
        aw.layer_similarity(model, batches)
    assert np.isfinite(aw.layer_similarity(model, batches, positions="mean").values).all()
