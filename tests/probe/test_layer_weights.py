"""Weights are those that a layer's own call multiplies with, quantized or adapted by LoRA or not.

The values wanted are what Keras' own call makes of one-hot samples: the rows of the kernel.
"""

import keras
import numpy as np
import pytest

import actwidgets as aw
from actwidgets.errors import LayerError
from actwidgets.probe.keras_probe import KerasProbe
from actwidgets.probe.layer_weights import count_weights

pytestmark = pytest.mark.keras
Config = keras.quantizers.Int4QuantizationConfig
BY_CHANNEL, BY_GROUP = Config(block_size=None), Config(block_size=4)
WAYS = {
    "plain": None,
    "int8": ("int8", None),
    "int4_by_channel": ("int4", BY_CHANNEL),
    "int4_by_group": ("int4", BY_GROUP),
    "int4": ("int4", None),
    "float8": ("float8", None),
}


def _adapted(layer):
    """LoRA whose second matrix is not zero, and whose factor is not one."""
    layer.enable_lora(2, lora_alpha=3)
    b = next(each for each in layer.trainable_variables if each.name.endswith("_b"))
    b.assign(np.random.default_rng(1).normal(size=b.shape))


def _made(layer, shape, way, has_lora):
    layer.build(shape)
    layer.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in layer.get_weights()])
    if WAYS[way]:
        mode, config = WAYS[way]
        layer.quantize(mode, config=config)
    if has_lora:
        _adapted(layer)
    if way == "float8":
        layer.kernel_scale.assign(0.01)
    return layer


def _rows(layer, n_inputs):
    return np.asarray(layer(np.eye(n_inputs, dtype=np.float32)))


WITH_LORA = [
    (way, lora) for way in WAYS for lora in (False, True) if (way, lora) != ("float8", True)
]


@pytest.mark.parametrize(("way", "has_lora"), WITH_LORA)
def test_a_dense_layers_kernel_is_what_its_call_multiplies_with(way, has_lora):
    layer = _made(keras.layers.Dense(5, use_bias=False, name="d"), (None, 7), way, has_lora)
    wanted = _rows(layer, 7)
    model = keras.Sequential([keras.Input((7,)), layer])
    np.testing.assert_allclose(aw.kernels(model, "d")[0, 0], wanted, atol=1e-5)
    weights = KerasProbe(model).weights("d")
    np.testing.assert_allclose(weights["kernel"], wanted, atol=1e-5)
    assert weights.keys() >= {"kernel"} | ({"kernel_scale"} if WAYS[way] else set())


def test_the_case_of_the_issue_worked_by_hand():
    """A kernel of 0.5s is code 127 at scale 254; a LoRA of rank one adds 0.25."""
    layer = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", name="d")
    layer.build((None, 2))
    layer.kernel.assign([[0.5], [0.5]])
    layer.quantize("int8")
    layer.enable_lora(1)
    layer.lora_kernel_a.assign([[1], [1]])
    layer.lora_kernel_b.assign([[0.25]])
    found = aw.kernels(keras.Sequential([keras.Input((2,)), layer]), "d")
    np.testing.assert_allclose(found, np.full((1, 1, 2, 1), 0.75), rtol=1e-3)


@pytest.mark.parametrize(("way", "has_lora"), WITH_LORA)
@pytest.mark.parametrize(
    ("equation", "inputs", "output", "n_inputs"),
    [
        ("ab,bcd->acd", (None, 6), (3, 4), 6),
        ("abc,cd->abd", (None, 6, 6), (None, 5), 6),
        ("ab,cb->ac", (None, 6), (5,), 6),
    ],
)
def test_an_einsum_dense_layers_kernel_too(equation, inputs, output, n_inputs, way, has_lora):
    if equation == "ab,cb->ac" and has_lora and way != "plain":
        pytest.skip("Keras itself cannot call it")
    layer = keras.layers.EinsumDense(equation, output, name="e")
    layer = _made(layer, inputs, way, has_lora)
    one_hot = np.eye(n_inputs, dtype=np.float32)
    samples = one_hot if len(inputs) == 2 else one_hot[np.newaxis]
    wanted = np.asarray(layer(samples)).reshape(n_inputs, *output[output[0] is None :])
    if equation == "ab,cb->ac":
        wanted = wanted.T
    found = KerasProbe(keras.Sequential([keras.Input(inputs[1:]), layer])).weights("e")
    np.testing.assert_allclose(found["kernel"], wanted, atol=1e-5)


@pytest.mark.parametrize(("way", "has_lora"), [each for each in WITH_LORA if each[0] != "float8"])
def test_an_embedding_is_what_its_call_looks_up(way, has_lora):
    layer = _made(keras.layers.Embedding(9, 7, name="e"), (None,), way, has_lora)
    wanted = np.asarray(layer(np.arange(9)))
    found = KerasProbe(keras.Sequential([keras.Input((3,)), layer])).weights("e")
    np.testing.assert_allclose(found["embeddings"], wanted, atol=1e-5)


@pytest.mark.parametrize("way", [way for way in WAYS if way != "float8"])
@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_an_embedding_that_is_also_called_backwards_has_both(tied, way):
    layer = keras.layers.ReversibleEmbedding(9, 8, tie_weights=tied, name="e")
    _made(layer, (None,), way, has_lora=False)
    found = KerasProbe(keras.Sequential([keras.Input((3,)), layer])).weights("e")
    np.testing.assert_allclose(found["embeddings"], np.asarray(layer(np.arange(9))), atol=1e-5)
    if not tied:
        wanted = np.asarray(layer(np.eye(8, dtype=np.float32), reverse=True))
        np.testing.assert_allclose(found["reverse_embeddings"], wanted, atol=1e-5)


@pytest.mark.parametrize("kind", ["Conv1D", "Conv2D", "Conv3D"])
def test_convolutions_adapted_by_lora(kind):
    n_axes = int(kind[4])
    layer = getattr(keras.layers, kind)(3, 2, use_bias=False, name="c")
    shape = (*[2] * n_axes, 2)
    layer = _made(layer, (None, *shape), "plain", has_lora=True)
    wanted = _rows_of_convolution(layer, shape)
    found = KerasProbe(keras.Sequential([keras.Input(shape), layer])).weights("c")
    np.testing.assert_allclose(found["kernel"], wanted, atol=1e-5)


def _rows_of_convolution(layer, shape):
    """Of an input as large as the kernel each one-hot sample brings one row of it."""
    n_values = int(np.prod(shape))
    rows = np.asarray(layer(np.eye(n_values, dtype=np.float32).reshape(-1, *shape)))
    return rows.reshape(*shape, -1)


def test_a_depthwise_kernel_is_as_it_is_kept():
    layer = keras.layers.DepthwiseConv2D(2, name="c")
    model = keras.Sequential([keras.Input((4, 4, 3)), layer])
    wanted = np.asarray(layer.kernel).reshape(2, 2, 1, 3)
    np.testing.assert_array_equal(aw.kernels(model, "c"), wanted)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_calibrated_layers_are_read_as_they_are_called(mode, bits):
    if mode == "awq" and bits == 8:
        pytest.skip("AWQ has four bits")
    options = {"dataset": None, "tokenizer": None, "weight_bits": bits, "group_size": 4}
    name = {"gptq": "GPTQConfig", "awq": "AWQConfig"}[mode]
    config = getattr(keras.quantizers, name)(**options)
    layer = keras.layers.Dense(5, use_bias=False, name="d")
    layer.build((None, 8))
    layer.quantize(mode, config=config)
    model = keras.Sequential([keras.Input((8,)), layer])
    np.testing.assert_array_equal(aw.kernels(model, "d")[0, 0], np.asarray(layer._kernel))
    random = np.random.default_rng(0)
    for variable in (layer.quantized_kernel, layer.kernel_zero):
        variable.assign(random.integers(0, 16, variable.shape))
    layer.kernel_scale.assign(random.normal(size=layer.kernel_scale.shape))
    layer.g_idx.assign(np.arange(8) // 4)
    if mode == "awq":
        layer.awq_scales.assign(random.uniform(1, 2, layer.awq_scales.shape))
    setattr(layer, f"is_{mode}_calibrated", True)
    np.testing.assert_allclose(aw.kernels(model, "d")[0, 0], _rows(layer, 8), atol=1e-4)


def test_a_merged_model_has_the_same_kernel_but_for_the_rounding(tmp_path):
    layer = _made(keras.layers.Dense(5, use_bias=False, name="d"), (None, 7), "int8", True)
    model = keras.Sequential([keras.Input((7,)), layer])
    model.save(tmp_path / "model.keras")  # merges the LoRA, with new codes and scales
    merged = keras.models.load_model(tmp_path / "model.keras")
    wanted = _rows(layer, 7)
    step = abs(wanted).max(axis=0) / 127
    assert (abs(aw.kernels(merged, "d")[0, 0] - wanted) <= step).all()
    np.testing.assert_allclose(
        aw.kernels(merged, "d")[0, 0], _rows(merged.get_layer("d"), 7), atol=1e-5
    )


def test_a_layer_inside_another_is_resolved_by_its_path():
    layer = _made(keras.layers.Dense(5, use_bias=False, name="d"), (None, 7), "int8", True)
    inner = keras.Sequential([keras.Input((7,)), layer], name="inner")
    model = keras.Sequential([keras.Input((7,)), inner])
    probe = KerasProbe(model)
    for found in (probe.weights("inner")["kernel"], probe.kernels("inner/d")[0, 0]):
        np.testing.assert_allclose(found, _rows(layer, 7), atol=1e-5)


def test_two_codes_in_a_byte_are_two_parameters():
    """Dense(5) on 7 inputs keeps its 35 codes in 21 bytes (7 rows of 3)."""
    for way, beside in (("int8", 5), ("int4_by_channel", 5), ("int4_by_group", 2 * 10 + 7)):
        layer = _made(keras.layers.Dense(5, use_bias=False), (None, 7), way, has_lora=False)
        assert count_weights(layer) == 35 + beside
    embedding = _made(keras.layers.Embedding(9, 7), (None,), "int4_by_channel", has_lora=False)
    assert count_weights(embedding) == 63 + 9
    model = keras.Sequential([keras.Input((7,)), layer])
    assert aw.layers(model)[0].n_params == 35 + 27


def test_what_is_quantized_in_a_way_not_known_is_refused_by_name():
    layer = _made(keras.layers.Dense(5, name="d"), (None, 7), "int8", has_lora=False)
    model = keras.Sequential([keras.Input((7,)), layer])

    class Another(keras.layers.Dense):
        quantization_mode = "int2"

    layer.__class__ = Another
    for read in (aw.kernels, lambda model, name: KerasProbe(model).weights(name)):
        with pytest.raises(
            LayerError, match=r"layer 'd' is quantized to int2, and its kernel cann"
        ):
            read(model, "d")
