"""Tables, sparse matrices and stores as samples: the numbers of the plain array."""

import h5py
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import shown
import xarray as xr
import zarr
from dask import array as da

import actwidgets as aw
from actwidgets.errors import ActwidgetsError, DataError, ShapeError

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.keras

NAMES = ["age", "fare", "sex", "class"]
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(24, 4)).astype(np.float32)
Y = np.arange(24) % 3
LABELS = np.array(["low", "middle", "high"])[Y]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, activation="relu", name="hidden"),
            keras.layers.Dense(3, activation="softmax", name="out"),
        ]
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    with h5py.File(tmp_path_factory.mktemp("stored") / "x.h5", "w") as file:
        yield file.create_dataset("x", data=X)


KINDS = {
    "h5py": lambda stored: stored,
    "pandas": lambda _: pd.DataFrame(X, columns=NAMES, index=np.arange(24)[::-1]),
    "nullable": lambda _: pd.DataFrame(X, columns=NAMES).astype("Float32"),
    "polars": lambda _: pl.DataFrame(X, schema=NAMES),
    "sparse": lambda _: sp.csr_matrix(X),
    "sparse tensor": lambda _: tf.sparse.from_dense(X),
    "ragged tensor of one length": lambda _: tf.RaggedTensor.from_tensor(X),
    "tensor": lambda _: tf.constant(X),
    "xarray": lambda _: xr.DataArray(X),
    "zarr": lambda _: zarr.array(X, chunks=(5, 4)),
    "dask": lambda _: da.from_array(X, chunks=(5, 4)),
    "batches of tables": lambda _: [(pd.DataFrame(X[:10]), Y[:10]), (pd.DataFrame(X[10:]), Y[10:])],
}
METHODS = ("gradient_x_input", "occlusion", "integrated_gradients", "lrp")


def _numbers(model, x, y):
    """What each public function says, as arrays."""
    found = {"predict": aw.predict(model, x), **aw.activations(model, x)}
    found["layer_similarity"] = aw.layer_similarity(model, x).values
    profiles = aw.class_profiles(model, x, y, class_names=["low", "middle", "high"])
    found["class_profiles"] = profiles.mean["hidden"]
    if not isinstance(x, list):
        for method in METHODS:
            options = {"baseline": 0.0} if method == "integrated_gradients" else {}
            found[method] = aw.attribute(model, x, 1, method, **options).values
        attribution = aw.attribute(model, x, 1, "gradient_x_input")
        found["faithfulness"] = aw.faithfulness(model, x, attribution, steps=4).scores
        found["randomization_check"] = aw.randomization_check(
            model, x, 1, "gradient", n_layers=1
        ).similarity
    session = aw.Session(model, x, y, class_names=["low", "middle", "high"], samples=(5, 2))
    found["maps"] = session.maps()
    found["maps of some"] = session.maps([1, 1, 20, 3])
    found["predictions"] = session.predictions([7, 1, 1])
    found["confusion"] = session.confusion().counts
    found["labels"] = session.labels
    found["profiles"] = session.profiles().mean["hidden"]
    found["pictures"] = session.pictures()
    found["kept"] = np.asarray(session.context.samples.images((5, 2, 2)))
    session.close()
    return found


@pytest.fixture(scope="module")
def truth(model):
    return _numbers(model, X, Y)


@pytest.mark.parametrize("kind", KINDS)
def test_every_function_says_what_it_says_of_the_plain_array(model, stored, truth, kind):
    np.testing.assert_allclose(truth["predict"], model(X), rtol=1e-6)
    found = _numbers(model, KINDS[kind](stored), LABELS if kind == "pandas" else Y)
    for name, values in found.items():
        np.testing.assert_allclose(values, truth[name], atol=1e-6, err_msg=name)


def test_the_views_of_a_store_draw_samples_in_any_order(model, stored):
    session = aw.Session(model, stored, Y)
    session.samples = (5, 2)
    views = [aw.SampleGallery, aw.FeatureMapGrid, aw.PredictionTable, aw.EmbeddingScatter]
    for kind in (*views, aw.AttributionMap, aw.TopSamples, aw.InputLab):
        view = kind(session)
        session.samples = (9, 3)
        assert not view.error, kind
        view.close()
    session.close()


def test_a_column_for_each_input_goes_by_name_and_others_are_left_out():
    inputs = {name: keras.Input((1,), name=name) for name in NAMES[:2]}
    hidden = keras.layers.Dense(3, name="hidden")(keras.layers.Concatenate()([*inputs.values()]))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden))
    table = pd.DataFrame(X, columns=NAMES)
    plain = {name: X[:, [place]] for place, name in enumerate(NAMES[:2])}
    truth = aw.predict(model, plain)
    np.testing.assert_allclose(truth, model(plain), rtol=1e-6)
    vectors = {name: part[:, 0] for name, part in plain.items()}
    for x in (dict(table), dict(table[NAMES[:2]]), vectors, plain | {"id": np.arange(24)}):
        np.testing.assert_allclose(aw.predict(model, x), truth, atol=1e-6)
        session = aw.Session(model, x, Y % 2)
        session.samples = (5, 2)
        np.testing.assert_allclose(session.predictions([5, 2]), truth[[5, 2]], atol=1e-6)
        session.close()
        found = aw.attribute(model, x, 0, "gradient_x_input").values
        for name, values in aw.attribute(model, plain, 0, "gradient_x_input").values.items():
            np.testing.assert_allclose(found[name], values, atol=1e-6)
    with pytest.raises(ShapeError, match=r"takes 2 inputs; x has 1: .* of a table, dict\(x\)"):
        aw.predict(model, table)


def test_what_keras_does_not_take_is_refused_in_a_sentence(model):
    table = pd.DataFrame(X, columns=NAMES)
    ragged = tf.ragged.constant([[1.0, 2.0], [3.0]])
    refused = {
        "'sex' holds values like 'f'": table.assign(sex="f"),
        r"x is ragged, with rows of 1 to 2 values; .*x.to_tensor\(\)": ragged,
        r"these are samples, give np.stack\(x\)": list(X),
        "if this is one sample alone": tf.data.Dataset.from_tensor_slices(X),
        r"give x.batch\(32\)": tf.data.Dataset.from_tensor_slices((X, Y)),
    }
    for told, x in refused.items():
        for call in (aw.predict, aw.activations, aw.Session):
            with pytest.raises(ActwidgetsError, match=told):
                call(model, x)


@pytest.mark.parametrize(
    "y",
    [
        pd.Series(LABELS, index=np.arange(24)[::-1]),
        pd.Series(LABELS, dtype="category"),
        pl.Series(LABELS),
        pd.DataFrame({"level": LABELS}),
        pd.get_dummies(pd.Series(LABELS)),
        LABELS.tolist(),
    ],
)
def test_names_as_labels_are_classes_with_these_names(model, y):
    """In alphabetical order, unless the labels or the caller say another."""
    session = aw.Session(model, X, y)
    assert session.class_names == ("high", "low", "middle")
    assert session.labels.tolist() == np.array([1, 2, 0])[Y].tolist()
    profiles = aw.class_profiles(model, X, y)
    assert profiles.class_names == ("high", "low", "middle")
    np.testing.assert_array_equal(profiles.mean["hidden"], session.profiles().mean["hidden"])
    session.close()


def test_categories_decide_the_order_of_classes(model):
    y = pd.Series(pd.Categorical(LABELS, ["low", "middle", "high"]))
    session = aw.Session(model, X, y)
    assert session.class_names == ("low", "middle", "high")
    assert session.labels.tolist() == Y.tolist()
    session.close()


def test_names_of_other_classes_than_the_models_are_refused(model):
    with pytest.raises(DataError, match=r"names 2 classes \(a, b\), and the model has 3"):
        aw.Session(model, X, ["a", "b"] * 12)


def test_a_sample_of_several_labels_counts_in_each_of_its_classes(model):
    y = np.random.default_rng(5).random((24, 3)) > 0.6
    y[:5] = False  # a batch without a label at all
    hidden = np.asarray(model.get_layer("hidden")(X))
    table = pd.DataFrame(y.astype(int), columns=["low", "middle", "high"])
    for x, given in ((X, y), (X, table), ([(X[:5], y[:5]), (X[5:], y[5:])], None)):
        found = aw.class_profiles(
            model, x, given, "hidden", 0.2, class_names=["low", "middle", "high"], batch_size=5
        )
        assert found.counts.tolist() == y.sum(axis=0).tolist()
        for index in range(3):
            mine = hidden[y[:, index]]
            np.testing.assert_allclose(found.firing_rate["hidden"][index], (mine > 0.2).mean(0))
            np.testing.assert_allclose(found.mean["hidden"][index], mine.mean(0), rtol=1e-5)
            np.testing.assert_allclose(found.max["hidden"][index], mine.max(0), rtol=1e-6)
    with pytest.raises(ShapeError, match="2 columns of labels for 3 classes"):
        aw.class_profiles(model, X, np.ones((24, 2)))


def test_the_features_of_a_table_keep_their_names(model):
    """In attributions, in the plane of two features, and in the view of attributions."""
    table = pd.DataFrame(X, columns=NAMES)
    found = aw.attribute(model, table, 1, "gradient_x_input")
    assert found.feature_names == tuple(NAMES)
    largest = np.argsort(-np.abs(found.values[3]))
    assert [name for name, _ in found.by_feature(3)] == [NAMES[index] for index in largest]
    assert found.by_feature(3)[0][1] == found.values[3].flat[largest[0]]
    assert aw.attribute(model, X, 1, "gradient_x_input").by_feature(3) == ()
    session = aw.Session(model, table, Y, class_index=1, samples=(3,), sample=3)
    view = aw.AttributionMap(session, method="gradient_x_input", target="chosen")
    session.attributions.wait()
    view._on_session()
    assert f"sample 3: {NAMES[largest[0]]} {found.values[3][largest[0]]:+.3g}" in shown.text(view)
    view.close()
    plane = session.embeddings(of="input", method="features", features=(1, 3))
    assert "fare" in plane.note
    assert "class" in plane.note
    session.close()
