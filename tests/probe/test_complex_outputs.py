"""Layers that put out complex numbers are shown by magnitude, and by phase under a second name.

The values wanted are numpy's: `np.fft` of the samples, its absolute value and its angle.
"""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import actwidgets as aw
from actwidgets.errors import LayerError
from actwidgets.probe.call_trace import trace_call
from actwidgets.probe.compiled import Trace
from actwidgets.probe.inputs import input_spec_of
from actwidgets.probe.layer_index import functional_layers
from actwidgets.recording.recorder import Recorder
from actwidgets.recording.replay import open_recording

pytestmark = pytest.mark.keras
X = np.random.default_rng(0).normal(size=(6, 4, 8)).astype("float32")
Y = np.arange(6) % 2


class Spectrum(keras.layers.Layer):
    """The Fourier transform along the last axis."""

    def __init__(self, precision="complex64", **options):
        super().__init__(**options)
        self.precision = precision

    def call(self, x):
        return tf.signal.fft(tf.cast(x, self.precision))

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, self.precision)


class Real(keras.layers.Layer):
    def call(self, z):
        return tf.math.real(z)

    def compute_output_spec(self, z):
        return keras.KerasTensor(z.shape, "float32")


def _functional(precision="complex64"):
    inputs = keras.Input((4, 8))
    spectrum = Spectrum(precision, dtype="float64" if "128" in precision else None, name="fft")
    flat = keras.layers.Flatten(name="flat")(Real(name="real")(spectrum(inputs)))
    return keras.Model(inputs, keras.layers.Dense(2, name="classes")(flat))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.fft, self.real = Spectrum(name="fft"), Real(name="real")
        self.flat, self.classes = keras.layers.Flatten(name="flat"), keras.layers.Dense(2)

    def call(self, x):
        return self.classes(self.flat(self.real(self.fft(x))))


def _subclassed():
    model = Subclassed()
    model(X)
    return model


@pytest.fixture(params=[_functional, lambda: _functional("complex128"), _subclassed])
def model(request):
    return request.param()


def test_magnitude_and_phase_are_told_apart_in_the_list_of_layers(model):
    infos = {info.name: info for info in aw.layers(model, X)}
    assert list(infos)[:3] == ["fft", "fft:phase", "real"]
    assert infos["fft"].kind == "Spectrum (magnitude)"
    assert infos["fft:phase"].kind == "Spectrum (phase)"
    assert infos["fft:phase"].output_shape == (None, 4, 8)


@pytest.mark.parametrize("n_samples", [2, 6], ids=["eager", "compiled"])
def test_their_values_are_those_of_numpy(model, n_samples):
    wanted = np.fft.fft(X[:n_samples])
    for names in (None, ["fft"], ["fft:phase"], ["fft:phase", "fft"]):
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            found = aw.activations(model, X[:n_samples], names)
        if "fft" in found:
            np.testing.assert_allclose(found["fft"], abs(wanted), rtol=1e-4, atol=1e-5)
        if "fft:phase" in found:
            # A turn more or less is the same phase.
            turned = np.exp(1j * (found["fft:phase"] - np.angle(wanted)))
            np.testing.assert_allclose(turned, 1, atol=1e-4)
        assert {values.dtype for values in found.values()} == {np.dtype("float32")}


def test_the_graph_the_trace_and_an_eager_call_name_them_alike():
    model = _functional()
    inputs = input_spec_of(model, None)
    taps = trace_call(model, inputs.arguments(inputs.tensors(X))).taps
    names = ["fft", "fft:phase", "real", "flat", "classes"]
    assert [tap.name for tap in taps if tap.name.partition(":")[0]] == names
    for layers in (functional_layers(model).layers, Trace(model, inputs).layer_index.layers):
        assert [info.name for info in layers] == names


def test_profiles_and_recordings_are_of_the_magnitude(model, tmp_path):
    wanted = abs(np.fft.fft(X))
    profiles = aw.class_profiles(model, X, Y, class_names=["even", "odd"])
    means = [wanted[label == Y].mean(axis=(0, 1)) for label in (0, 1)]
    np.testing.assert_allclose(profiles.mean["fft"], means, rtol=1e-4)
    recorder = Recorder(model, tmp_path, X, Y)
    recorder.snapshot()
    recorder.close()
    recording = open_recording(tmp_path)
    kept = recording.activations("fft")
    error = recording.activation_error("fft")
    assert (abs(kept - wanted[: len(kept)]) <= error + 1e-4).all()
    session = aw.Session(model, X, Y, layer="fft:phase")
    assert session.maps().shape == (1, 4, 8)


def test_a_complex_output_of_the_model_is_predicted_by_its_magnitude():
    inputs = keras.Input((4, 8))
    spectrum = Spectrum(name="fft")(inputs)
    real = keras.layers.Dense(2, name="d")(Real()(spectrum))
    model = keras.Model(inputs, [spectrum, real])
    np.testing.assert_allclose(aw.predict(model, X), abs(np.fft.fft(X)), rtol=1e-4, atol=1e-5)
    assert aw.predict(model, X, head=1).shape == (6, 4, 2)  # the phase is not a head


def test_what_cannot_be_done_with_them_is_refused_by_name():
    model = _functional()
    session = aw.Session(model, X, Y, layer="fft")
    session.ablations = (aw.Ablation("fft", units=(1,)),)
    with pytest.raises(LayerError, match="'fft' cannot be edited: it puts out complex numbers"):
        session.maps()
    with pytest.raises(LayerError, match="no gradient can be taken in what layer 'fft' shows"):
        aw.attribute(model, X, method="grad_cam", layer="fft", target=0, upsample=False)


def test_views_say_which_of_the_two_they_show():
    session = aw.Session(_functional(), X, Y, layer="fft")
    for name, part in (("fft", "magnitude"), ("fft:phase", "phase")):
        session.layer = name
        grid = aw.FeatureMapGrid(session)
        assert (grid.error, session.layer_info.kind) == ("", f"Spectrum ({part})")
        grid.close()


@pytest.mark.parametrize("n_samples", [2, 6], ids=["eager", "compiled"])
def test_numbers_of_other_kinds_become_the_nearest_float32(n_samples):
    """What does not fit is rounded, and beyond the range it is infinite; nothing else is lost."""

    class Casts(keras.layers.Layer):
        def call(self, x):
            x = tf.cast(x, "float64")
            return (
                x * 1e300,
                tf.cast(x * 16777217, "int64"),
                x > 0,
                tf.cast(x * 3, "uint8"),
                tf.cast(x / 3, "bfloat16"),
            )

    model = keras.Sequential([keras.Input((2,)), Casts(name="casts")])
    x = np.tile(np.float32([[0, 1]]), (n_samples, 1))
    with np.errstate(over="ignore"):
        found = aw.activations(model, x)
    names = ["casts", "casts:1", "casts:2", "casts:3", "casts:4"]
    wanted = [(0, np.inf), (0, 16777216), (0, 1), (0, 3), (0, 0.333984375)]
    for name, values in zip(names, wanted, strict=True):
        np.testing.assert_array_equal(found[name], np.tile(np.float32(values), (n_samples, 1)))
