"""Files of Keras 1, written by hand as it wrote them; what is read is compared with numpy."""

import json

import h5py
import keras
import numpy as np
import pytest

import actwidgets as aw
from actwidgets.errors import ModelError

pytestmark = pytest.mark.keras
RNG = np.random.default_rng(5)


def _random(*shape):
    return RNG.uniform(-1, 1, shape).astype(np.float32)


def _write(path, config, weights, *, says_version=True):
    """An `.h5` file: `weights` by layer, in the order in which Keras 1 kept them."""
    with h5py.File(path, "w") as file:
        if says_version:
            file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(config).encode()
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = [name.encode() for name in weights]
        for name, values in weights.items():
            names = [f"{name}_{index}".encode() for index in range(len(values))]
            group.create_group(name).attrs["weight_names"] = names
            for each, value in zip(names, values, strict=True):
                group[name][each.decode()] = value
    return path


def _layer(kind, name, **config):
    return {"class_name": kind, "config": {"name": name, "trainable": True, **config}}


def _sequential(*layers, shape):
    layers[0]["config"] |= {"batch_input_shape": [None, *shape], "input_dtype": "float32"}
    return {"class_name": "Sequential", "config": list(layers)}


def _dense(name, units, activation="linear", **more):
    options = {"init": "glorot_uniform", "W_regularizer": None, "bias": True, "input_dim": None}
    return _layer("Dense", name, output_dim=units, activation=activation, **options, **more)


def _convolution(name, n_filters, rows, columns, **more):
    options = {"init": "glorot_uniform", "activation": "linear", "border_mode": "valid"}
    options |= {"subsample": [1, 1], "dim_ordering": "tf", "bias": True, "W_constraint": None}
    sizes = {"nb_filter": n_filters, "nb_row": rows, "nb_col": columns}
    return _layer("Convolution2D", name, **sizes, **(options | more))


def _convolved(x, kernel, bias, stride=(1, 1)):
    """The sum over a window, position by position, without padding."""
    rows, columns = kernel.shape[:2]
    height = (x.shape[1] - rows) // stride[0] + 1
    width = (x.shape[2] - columns) // stride[1] + 1
    found = np.empty((len(x), height, width, kernel.shape[3]))
    for row in range(height):
        for column in range(width):
            top, left = row * stride[0], column * stride[1]
            window = x[:, top : top + rows, left : left + columns]
            found[:, row, column] = np.einsum("nrci,rcio->no", window, kernel) + bias
    return found


@pytest.mark.parametrize("says_version", [True, False])
def test_a_cnn_of_keras_1_is_read_under_the_names_of_today(says_version, tmp_path):
    kernel, bias, weights, other = _random(2, 3, 2, 4), _random(4), _random(24, 3), _random(3)
    config = _sequential(
        _convolution("c", 4, 2, 3, subsample=[2, 1], activation="relu"),
        _layer("MaxPooling2D", "m", pool_size=[1, 2], strides=[1, 2], border_mode="valid"),
        _layer("Dropout", "d", p=0.5),
        _layer("Flatten", "f"),
        _dense("o", 3),
        shape=(6, 7, 2),
    )
    path = _write(
        tmp_path / "one.h5",
        config,
        {"c": [kernel, bias], "o": [weights, other]},
        says_version=says_version,
    )
    x = _random(3, 6, 7, 2)
    maps = np.maximum(_convolved(x, kernel, bias, (2, 1)), 0)  # (3, 3, 5, 4)
    pooled = maps[:, :, :4].reshape(3, 3, 2, 2, 4).max(axis=3)
    loaded = aw.load_model(path)
    assert isinstance(loaded, keras.Model)
    np.testing.assert_allclose(
        aw.predict(loaded, x), pooled.reshape(3, 24) @ weights + other, atol=1e-5
    )
    assert next((each.name, each.kind) for each in aw.layers(loaded)) == ("c", "Conv2D")


def test_kernels_in_theanos_order_are_turned_and_same_padding_is_kept(tmp_path):
    kernel, bias = _random(4, 2, 3, 3), _random(4)  # (filter, in, row, column)
    config = _sequential(
        _convolution("c", 4, 3, 3, dim_ordering="th", border_mode="same"), shape=(2, 5, 6)
    )
    path = _write(tmp_path / "theano.h5", config, {"c": [kernel, bias]})
    layer = aw.load_model(path).layers[0]
    assert (layer.data_format, layer.padding) == ("channels_first", "same")
    np.testing.assert_array_equal(np.asarray(layer.kernel), kernel.transpose(2, 3, 1, 0))


def test_a_convolution_of_one_axis_loses_its_axis_of_one(tmp_path):
    kernel, bias = _random(3, 1, 2, 4), _random(4)
    layer = _layer(
        "Convolution1D", "c", nb_filter=4, filter_length=3, border_mode="valid", bias=True,
        subsample_length=2, activation="linear", input_dim=2, input_length=9,
    )  # fmt: skip
    path = _write(tmp_path / "c1.h5", _sequential(layer, shape=(9, 2)), {"c": [kernel, bias]})
    x = _random(2, 9, 2)
    wanted = _convolved(x[:, :, None], kernel, bias, (2, 1))[:, :, 0]
    np.testing.assert_allclose(aw.predict(aw.load_model(path), x), wanted, atol=1e-5)


def _sigmoid(x):
    return 1 / (1 + np.exp(-x))


def _hard_sigmoid(x):
    return np.clip(0.2 * x + 0.5, 0, 1)


@pytest.mark.parametrize("inner", ["hard_sigmoid", "sigmoid"])
def test_an_lstm_has_its_gates_in_the_right_order(inner, tmp_path):
    parts = {gate: (_random(2, 3), _random(3, 3), _random(3)) for gate in "icfo"}  # its order
    layer = _layer(
        "LSTM", "l", output_dim=3, activation="tanh", inner_activation=inner, dropout_W=0.0,
        dropout_U=0.0, inner_init="orthogonal", forget_bias_init="one", consume_less="cpu",
        return_sequences=False, go_backwards=False, stateful=False, unroll=False,
        U_regularizer=None, input_dim=2, input_length=4,
    )  # fmt: skip
    weights = [each for gate in "icfo" for each in parts[gate]]
    path = _write(tmp_path / "lstm.h5", _sequential(layer, shape=(4, 2)), {"l": weights})
    x, squash = _random(5, 4, 2), {"hard_sigmoid": _hard_sigmoid, "sigmoid": _sigmoid}[inner]
    h = c = np.zeros((5, 3))
    for step in range(4):
        gates = {g: x[:, step] @ w + h @ u + b for g, (w, u, b) in parts.items()}
        c = squash(gates["f"]) * c + squash(gates["i"]) * np.tanh(gates["c"])
        h = squash(gates["o"]) * np.tanh(c)
    np.testing.assert_allclose(aw.predict(aw.load_model(path), x), h, atol=1e-5)


def test_a_gru_resets_before_the_product_as_it_did(tmp_path):
    parts = {gate: (_random(2, 3), _random(3, 3), _random(3)) for gate in "zrh"}
    layer = _layer(
        "GRU", "g", output_dim=3, activation="tanh", inner_activation="hard_sigmoid",
        consume_less="cpu", return_sequences=False, input_dim=2, input_length=4,
    )  # fmt: skip
    weights = [each for gate in "zrh" for each in parts[gate]]
    path = _write(tmp_path / "gru.h5", _sequential(layer, shape=(4, 2)), {"g": weights})
    x, h = _random(5, 4, 2), np.zeros((5, 3))
    for step in range(4):
        at = {g: x[:, step] @ w + b for g, (w, _, b) in parts.items()}
        z, r = (_hard_sigmoid(at[g] + h @ parts[g][1]) for g in "zr")
        h = z * h + (1 - z) * np.tanh(at["h"] + (r * h) @ parts["h"][1])
    np.testing.assert_allclose(aw.predict(aw.load_model(path), x), h, atol=1e-5)


MERGES = {
    "sum": lambda a, b: a + b,
    "mul": lambda a, b: a * b,
    "ave": lambda a, b: (a + b) / 2,
    "max": np.maximum,
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
    "dot": lambda a, b: (a * b).sum(axis=-1, keepdims=True),
}


@pytest.mark.parametrize("mode", MERGES)
def test_a_merge_becomes_the_layer_of_its_mode(mode, tmp_path):
    first, second = (_random(2, 3), _random(3)), (_random(2, 3), _random(3))
    entry = {"batch_input_shape": [None, 2], "input_dtype": "float32", "sparse": False}
    merge = _layer(
        "Merge", "joined", mode=mode, mode_type="raw", concat_axis=-1, dot_axes=-1,
        output_shape=None, output_shape_type="raw", output_mask=None, output_mask_type="raw",
        arguments={},
    )  # fmt: skip
    layers = [
        ({"class_name": "InputLayer", "config": {"name": "x", **entry}}, []),
        (_dense("a", 3), [[["x", 0, 0]]]),
        (_dense("b", 3), [[["x", 0, 0]]]),
        (merge, [[["a", 0, 0], ["b", 0, 0]]]),
    ]
    listed = [{**e, "name": e["config"]["name"], "inbound_nodes": nodes} for e, nodes in layers]
    inner = {"name": "m", "layers": listed, "input_layers": [["x", 0, 0]]}
    config = {"class_name": "Model", "config": {**inner, "output_layers": [["joined", 0, 0]]}}
    path = _write(tmp_path / "merge.h5", config, {"a": first, "b": second})
    x = _random(4, 2)
    wanted = MERGES[mode](x @ first[0] + first[1], x @ second[0] + second[1])
    np.testing.assert_allclose(aw.predict(aw.load_model(path), x), wanted, atol=1e-5)


def test_embeddings_normalization_and_wrapped_layers_are_read(tmp_path):
    table, weights, bias = _random(7, 3), _random(3, 2), _random(2)
    gamma, beta, mean, variance = _random(2), _random(2), _random(2), _random(2) + 2
    inner = _dense("inner", 2)
    config = _sequential(
        _layer("Embedding", "e", input_dim=7, output_dim=3, init="uniform", input_length=4,
               mask_zero=False, dropout=0.0, W_regularizer=None, activity_regularizer=None),
        _layer("TimeDistributed", "t", layer=inner),
        _layer("BatchNormalization", "b", epsilon=0.01, mode=0, axis=-1, momentum=0.99,
               gamma_regularizer=None, beta_regularizer=None),
        shape=(4,),
    )  # fmt: skip
    stored = {"e": [table], "t": [weights, bias], "b": [gamma, beta, mean, variance]}
    path = _write(tmp_path / "words.h5", config, stored)
    tokens = RNG.integers(0, 7, (5, 4))
    values = table[tokens] @ weights + bias
    wanted = gamma * (values - mean) / np.sqrt(variance + 0.01) + beta
    np.testing.assert_allclose(aw.predict(aw.load_model(path), tokens), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (_layer("Highway", "h", activation="relu"), r"'h' is a Highway, which has gone"),
        (_layer("MaxoutDense", "h", output_dim=3), r"'h' is a MaxoutDense, which has gone"),
        (_layer("BatchNormalization", "h", mode=1), r"'h' normalizes in a mode that has gone"),
        (_layer("Merge", "h", mode="cos"), r"'h' merges by 'cos', which has gone"),
        (_layer("Merge", "h", mode="sum", layers=[{}]), r"'h' merges models, and no tensors"),
    ],
)
def test_what_keras_1_alone_could_do_is_refused_by_name(layer, told, tmp_path):
    path = _write(tmp_path / "old.h5", _sequential(_dense("a", 3), layer, shape=(3,)), {})
    with pytest.raises(ModelError, match=rf"old.h5 was written by Keras 1, and its .*{told}"):
        aw.load_model(path)
