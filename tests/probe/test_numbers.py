"""The numbers against Keras itself and against plain loops, on small models."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import actwidgets as aw
from actwidgets.errors import DataError, LayerError, ModelError, ShapeError
from actwidgets.probe.layer_weights import layer_weights

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((6, 10, 2)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flatten"),
            layers.Dropout(0.5, name="drop"),
            layers.Dense(5, activation="relu", name="dense"),
            layers.Dense(3, activation="softmax", name="classes"),
        ]
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(2)
    return rng.normal(size=(41, 6, 10, 2)).astype(np.float32), rng.integers(0, 3, 41)


@pytest.mark.parametrize("batch_size", [1, 7, 41, 256])
def test_activations_are_kerass_for_every_layer_and_batch_size(model, data, batch_size):
    reference = keras.Model(model.inputs, [layer.output for layer in model.layers])
    found = aw.activations(model, data[0], batch_size=batch_size)
    assert list(found) == [layer.name for layer in model.layers]
    for values, wanted in zip(found.values(), reference.predict(data[0], verbose=0), strict=True):
        assert values.dtype == np.float32
        np.testing.assert_allclose(values, wanted, atol=1e-6)


def test_predict_is_kerass(model, data):
    np.testing.assert_allclose(
        aw.predict(model, data[0], batch_size=10), model.predict(data[0], verbose=0), atol=1e-6
    )


def test_a_functional_model_with_branches_is_read():
    inputs = keras.Input((4,))
    left = keras.layers.Dense(3, name="left")(inputs)
    right = keras.layers.Dense(3, name="right")(inputs)
    model = keras.Model(inputs, keras.layers.Add(name="sum")([left, right]))
    x = np.ones((2, 4), np.float32)
    found = aw.activations(model, x)
    np.testing.assert_allclose(found["sum"], found["left"] + found["right"], rtol=1e-6)


@pytest.mark.parametrize(
    "as_given",
    [
        lambda x, y: (tf.data.Dataset.from_tensor_slices((x, y)).batch(9), None),
        lambda x, y: (tf.constant(x), tf.constant(y)),
        lambda x, y: (x.astype(np.float64), np.eye(3)[y]),
        lambda x, y: (x, y.astype(np.float32)),
    ],
    ids=["tf.data pairs", "tensors", "float64, one-hot", "float labels"],
)
def test_profiles_do_not_depend_on_how_the_data_are_given(model, data, as_given):
    wanted = aw.class_profiles(model, *data)
    found = aw.class_profiles(model, *as_given(*data))
    np.testing.assert_array_equal(found.counts, wanted.counts)
    for layer in wanted.layers:
        np.testing.assert_allclose(found.firing_rate[layer], wanted.firing_rate[layer], atol=1e-6)
        np.testing.assert_allclose(found.mean[layer], wanted.mean[layer], atol=1e-6)


def test_profiles_equal_a_plain_loop(model, data):
    x, y = data
    profiles = aw.class_profiles(model, x, y, layers=["conv", "dense"], threshold=0.1, batch_size=8)
    values = aw.activations(model, x, layers=["conv", "dense"])
    for class_index in range(3):
        rows = np.flatnonzero(y == class_index)
        for unit in range(4):
            fires = [(values["conv"][row, ..., unit] > 0.1).any() for row in rows]
            assert profiles.firing_rate["conv"][class_index, unit] == sum(fires) / len(rows)
        assert profiles.counts[class_index] == len(rows)
        means = values["conv"][rows].mean(axis=(1, 2), dtype=np.float64)
        np.testing.assert_allclose(profiles.mean["conv"][class_index], means.mean(0), rtol=1e-6)
        np.testing.assert_allclose(profiles.std["conv"][class_index], means.std(0), rtol=1e-6)
        np.testing.assert_array_equal(
            profiles.max["conv"][class_index], values["conv"][rows].max(axis=(0, 1, 2))
        )


def _of_maps(*shape):
    inputs = keras.Input(shape)
    maps = keras.layers.ReLU(name="maps")(inputs)
    return keras.Model(inputs, keras.layers.Dense(3)(maps[:, 0, 0]))


def test_folding_positions_does_not_depend_on_the_batch():
    """Where the layer's own output does not, as here where nothing is multiplied."""
    model = _of_maps(17, 11, 5)
    x = np.random.default_rng(0).normal(size=(67, 17, 11, 5)).astype(np.float32)
    y = np.arange(67) % 3
    found = [
        aw.class_profiles(model, x, y, layers="maps", batch_size=size, reduce=reduce)
        for size in (1, 7, 32, 67)
        for reduce in ("any", "mean")
    ]
    for profiles, reduce in zip(found, ("any", "mean") * 4, strict=True):
        whole = found[-2 if reduce == "any" else -1]
        for name in ("firing_rate", "min", "max", "mean", "std"):
            values, wanted = (getattr(each, name)["maps"] for each in (profiles, whole))
            rtol = 1e-12 if name in ("mean", "std") else 0
            np.testing.assert_allclose(values, wanted, rtol=rtol)


def test_a_single_statistic_may_stand_for_itself(model, data):
    found = aw.class_profiles(model, *data, layers="dense", statistics="mean")
    assert found.gathered("dense") == ("firing_rate", "mean", "std")


def test_a_layer_without_positions_is_left_out_and_refused_by_name():
    inputs = keras.Input((4, 4, 2))
    kept = keras.layers.ReLU(name="maps")(inputs)
    empty = keras.layers.Lambda(lambda maps: maps[:, :0], name="empty")(kept)
    both = [keras.layers.Dense(2)(kept[:, 0, 0]), empty]
    model, x = keras.Model(inputs, both), np.ones((3, 4, 4, 2), np.float32)
    assert "empty" not in aw.class_profiles(model, x, [0, 1, 1]).layers
    with pytest.raises(ShapeError, match="no positions"):
        aw.class_profiles(model, x, [0, 1, 1], layers="empty")


@pytest.mark.parametrize("layer", ["conv", "dense"])
def test_shares_of_positions_are_those_above_the_threshold(model, data, layer):
    x, y = data
    profiles = aw.class_profiles(model, x, y, layers=layer, threshold=0.3, reduce="mean")
    values = aw.activations(model, x, layers=layer)[layer]
    for index in range(3):
        mine = values[y == index].reshape(-1, values.shape[-1])
        np.testing.assert_allclose(profiles.firing_rate[layer][index], (mine > 0.3).mean(axis=0))


def test_nan_and_infinity_are_told_as_of_the_whole_output():
    model = _of_maps(3, 4, 2)
    x = np.random.default_rng(0).normal(size=(12, 3, 4, 2)).astype(np.float32)
    x[2, 1, 1, 0] = np.nan
    x[5] = np.nan
    x[7, 0, 0, 1] = np.inf
    y = np.arange(12) % 2
    values = aw.activations(model, x, layers="maps")["maps"]
    for batch_size in (12, 5, 1):
        profiles = aw.class_profiles(model, x, y, layers="maps", batch_size=batch_size)
        for index in range(2):
            mine = values[y == index]
            wanted = {
                "n_nan": np.isnan(mine).sum(axis=(0, 1, 2)),
                "max": np.nanmax(mine, axis=(0, 1, 2)),
                "firing_rate": (mine > 0).any(axis=(1, 2)).mean(axis=0),
            }
            for name, numbers in wanted.items():
                np.testing.assert_array_equal(getattr(profiles, name)["maps"][index], numbers)


def test_an_error_in_mid_stream_names_the_batch_and_keeps_what_was_gathered(model, data):
    x, y = data
    narrow = np.zeros((4, 5, 5, 1), np.float32)
    batches = [(x[:10], y[:10]), (x[10:20], y[10:20]), (narrow, y[:4]), (x[20:], y[20:])]
    with pytest.raises(ShapeError, match="batch 2, after 20 samples: ") as caught:
        aw.class_profiles(model, batches, layers="dense")
    partial = caught.value.partial
    assert not partial.complete
    whole = aw.class_profiles(model, x[:20], y[:20], layers="dense", batch_size=10)
    np.testing.assert_array_equal(partial.firing_rate["dense"], whole.firing_rate["dense"])


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_interrupt_or_a_failing_loader_leaves_what_was_gathered(model, data, failure):
    x, y = data

    class Loader:
        def __iter__(self):
            yield x[:10], y[:10]
            raise failure("no more")

    with pytest.raises(failure) as caught:
        aw.class_profiles(model, Loader(), layers="dense")
    assert caught.value.partial.n_samples == 10


class _ByIndex(keras.utils.PyDataset):
    """Batches of ten by index; so many, or without an end."""

    def __init__(self, data, n_batches):
        super().__init__()
        self._data, self._n_batches = data, n_batches

    @property
    def num_batches(self):
        return self._n_batches

    def __getitem__(self, index):
        return tuple(part[index * 10 : index * 10 + 10] for part in self._data)


def test_a_data_set_by_index_tells_how_many_batches_it_has(model, data):
    found = aw.class_profiles(model, _ByIndex(data, 3), layers="dense")
    assert found.n_samples == 30
    with pytest.raises(DataError, match="x never ends"):
        aw.class_profiles(model, _ByIndex(data, None), layers="dense")


def test_a_stream_without_an_end_is_refused(model, data):

    endless = tf.data.Dataset.from_tensor_slices(data).batch(8).repeat()
    with pytest.raises(DataError, match="x never ends"):
        aw.class_profiles(model, endless)
    assert aw.class_profiles(model, endless.take(3), layers="dense").n_samples == 24


def test_progress_is_told_after_each_batch(model, data):
    told = []
    aw.class_profiles(model, *data, layers="dense", batch_size=20, progress=told.append)
    assert told == [20, 40, 41]


def test_a_model_whose_output_is_an_image_is_read_all_the_same():
    model = keras.Sequential(
        [
            keras.Input((4, 6, 1)),
            keras.layers.Conv2D(3, 3, padding="same", name="code"),
            keras.layers.Conv2D(1, 3, padding="same", name="image"),
        ]
    )
    x = np.random.default_rng(0).random((5, 4, 6, 1), np.float32)
    assert aw.predict(model, x).shape == (5, 4, 6, 1)
    assert aw.activations(model, x)["code"].shape == (5, 4, 6, 3)
    with pytest.raises(DataError, match="give class_names"):
        aw.class_profiles(model, x, np.zeros(5, int))
    named = aw.class_profiles(model, x, np.zeros(5, int), class_names=("a", "b"))
    assert named.counts.tolist() == [5, 0]
    app = aw.explore(model, x)
    assert app.error == ""
    app.close()


def test_several_inputs_go_by_position_or_by_name():
    image, extra = keras.Input((2, 2, 1), name="image"), keras.Input((3,), name="extra")
    flat = keras.layers.Flatten(name="flat")(image)
    joined = keras.layers.Concatenate(name="joined")([flat, extra])
    model = keras.Model([image, extra], keras.layers.Dense(2, name="classes")(joined))
    x = np.ones((5, 2, 2, 1), np.float32), np.full((5, 3), 2, np.float32)
    wanted = [1, 1, 1, 1, 2, 2, 2]
    for given in (list(x), {"extra": x[1], "image": x[0]}):
        assert aw.activations(model, given, layers="joined")["joined"][0].tolist() == wanted
    with pytest.raises(ShapeError, match="inputs are image, extra; x has image"):
        aw.predict(model, {"image": x[0]})
    with pytest.raises(ShapeError, match="takes 2 inputs; x has 1"):
        aw.predict(model, x[0])
    app = aw.explore(model, list(x), np.zeros(5, int))
    assert (app.error, app.session.pictures().shape) == ("", (1, 2, 2, 3))
    app.close()


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((3, 10, 6, 2)), ShapeError, r"\(6, 10, 2\).*got .*\(10, 6, 2\)"),
        (np.zeros((6, 10, 2)), ShapeError, r"got samples of shape \(10, 2\)"),
        (np.full((3, 6, 10, 2), "a"), DataError, "must hold numbers"),
        (np.zeros((0, 6, 10, 2)), DataError, "no samples"),
        ((batch for batch in [np.zeros((1, 6, 10, 2))]), DataError, "one-shot"),
        (None, DataError, "must be an array"),
    ],
)
def test_samples_that_do_not_fit_are_refused(model, x, error, words):
    with pytest.raises(error, match=words):
        aw.predict(model, x)


def test_an_unknown_layer_is_refused_before_anything_is_run(model, data):
    with pytest.raises(LayerError, match="no layer 'conv9'; this model has conv, norm"):
        aw.activations(model, data[0], layers=["conv9"])


def test_labels_that_do_not_fit_are_refused(model, data):
    with pytest.raises(DataError, match="y holds 9"):
        aw.class_profiles(model, data[0], np.full(41, 9))
    with pytest.raises(ShapeError, match="41 samples and y has 3"):
        aw.class_profiles(model, data[0], np.zeros(3, int))
    with pytest.raises(DataError, match="needs labels"):
        aw.class_profiles(model, data[0])


def test_not_a_number_does_not_fire_and_is_counted(data):
    model = keras.Sequential(
        [keras.Input((6, 10, 2)), keras.layers.Activation("linear", name="id")]
    )
    model.add(keras.layers.GlobalAveragePooling2D())
    x = data[0].copy()
    x[0, 1, 1, 0] = x[1, ..., 0] = np.nan
    profiles = aw.class_profiles(model, x, np.zeros(41, int), layers="id", threshold=-9.0)
    assert profiles.n_nan["id"][0].tolist() == [61, 0]
    assert profiles.firing_rate["id"][0].tolist() == [40 / 41, 1.0]
    assert np.isfinite(profiles.mean["id"][0]).all()


def test_kernels_are_the_weights_as_they_are_now():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.Conv2D(4, (3, 2), name="conv"),
            layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
            layers.SeparableConv2D(3, 3, name="separable"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="dense"),
        ]
    )
    conv = model.get_layer("conv")
    np.testing.assert_array_equal(aw.kernels(model, "conv"), conv.kernel)
    assert aw.kernels(model, "depthwise").shape == (3, 3, 1, 8)
    assert aw.kernels(model, "separable").shape == (3, 3, 1, 8)
    assert aw.kernels(model, "dense").shape == (1, 1, 18, 3)
    conv.kernel.assign(np.ones(conv.kernel.shape))
    assert (aw.kernels(model, "conv") == 1).all()
    with pytest.raises(LayerError, match=r"'flat' \(Flatten\) has no kernels"):
        aw.kernels(model, "flat")


def test_quantized_kernels_are_told_in_the_units_of_the_weights():
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(5, name="dense")])
    before = aw.kernels(model, "dense")
    model.quantize("int8")
    np.testing.assert_allclose(aw.kernels(model, "dense"), before, atol=0.02)


def test_layers_whose_length_varies_from_batch_to_batch():
    words = keras.layers.TextVectorization(name="words")
    words.adapt(["red coat with a hood", "bag"])
    model = keras.Sequential(
        [
            keras.Input((), dtype="string"),
            words,
            keras.layers.Embedding(10, 4, name="tokens"),
            keras.layers.GlobalAveragePooling1D(name="mean"),
            keras.layers.Dense(2, name="classes"),
        ]
    )
    x, y = np.array(["red", "bag", "red coat with a hood", "a bag"]), np.array([0, 1, 0, 1])
    assert aw.activations(model, x, batch_size=4)["tokens"].shape == (4, 5, 4)
    with pytest.raises(ShapeError, match=r"'words' puts out samples of different shapes \(\(1,"):
        aw.activations(model, x, batch_size=2)
    profiles = aw.class_profiles(model, x, y, batch_size=2)
    assert list(profiles.layers) == ["tokens", "mean", "classes"]
    assert profiles.counts.tolist() == [2, 2]
    session = aw.Session(model, x, y, layer="words", sample=2)
    grid = aw.FeatureMapGrid(session)
    grid._on_user_click(0, 4)
    assert (session.unit, grid.error) == (4, "")


def test_weights_that_are_told_are_copies_also_where_keras_gives_views():
    memory = np.ones((2, 3), np.float32)

    class View:
        name, path, dtype = "kernel", "dense/kernel", "float32"

        def __array__(self, dtype=None, copy=None):
            return memory[:]

    weights = layer_weights(SimpleNamespace(name="dense", weights=[View()]))
    memory[:] = 7
    np.testing.assert_array_equal(weights["kernel"], np.ones((2, 3)))


def test_a_head_may_be_chosen_by_a_number_out_of_an_array():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, [keras.layers.Dense(n, name=f"d{n}")(inputs) for n in (2, 3)])
    assert aw.predict(model, np.zeros((5, 4)), head=np.int64(1)).shape == (5, 3)
    with pytest.raises(ModelError, match="no output 2; this model has 2"):
        aw.predict(model, np.zeros((5, 4)), head=np.int64(2))
