"""Calls are named and listed in the order in which they were made, whatever order they run in.

Keras runs the calls of one depth of a graph in another order than they were made in. The values
wanted are those of each layer called by hand, in the order in which the model was built.
"""

import keras
import numpy as np
import pytest
import tf_keras

import actwidgets as aw
from actwidgets.core.ablation import Edit
from actwidgets.probe.call_trace import trace_call
from actwidgets.probe.compiled import Trace
from actwidgets.probe.inputs import input_spec_of
from actwidgets.probe.keras_probe import KerasProbe
from actwidgets.probe.layer_index import functional_layers
from actwidgets.recording.recorder import Recorder
from actwidgets.recording.replay import open_recording

pytestmark = pytest.mark.keras
N_SAMPLES = 6


def _samples(n_inputs):
    return [
        np.random.default_rng(number).normal(size=(N_SAMPLES, 3)).astype("float32")
        for number in range(n_inputs)
    ]


def _dense(library, n_units, name):
    return library.layers.Dense(n_units, bias_initializer="random_normal", name=name)


def siamese(library, kind=None, *, elsewhere=False):
    """The case of the issue: the second call of `shared` runs first, `o2` before `o1`."""
    first, second, other = (library.Input((3,)) for _ in range(3))
    shared, o1, o2 = (_dense(library, *each) for each in ((2, "shared"), (1, "o1"), (1, "o2")))
    if elsewhere:
        library.Model(other, shared(other))
    one = o1(shared(first))
    if elsewhere:
        library.Model(other, o1(shared(other)))
    model = (kind or library.Model)([first, second], [one, o2(shared(second))])
    x = _samples(2)
    calls = {"shared": shared(x[0]), "shared#1": shared(x[1])}
    return model, x, calls | {"o1": o1(calls["shared"]), "o2": o2(calls["shared#1"])}


def called_three_times(library):
    inputs = [library.Input((3,)) for _ in range(3)]
    shared = _dense(library, 2, "shared")
    heads = [_dense(library, 1, f"head_{letter}") for letter in "zyx"]
    model = library.Model(
        inputs, [head(shared(each)) for head, each in zip(heads, inputs, strict=True)]
    )
    x = _samples(3)
    wanted = {f"shared#{k}" if k else "shared": shared(x[k]) for k in range(3)}
    return model, x, wanted | {head.name: head(shared(x[k])) for k, head in enumerate(heads)}


def diamond(library):
    """The call that was made second lies deeper: it is run first."""
    inputs = library.Input((3,))
    shared, down, up, wide = (
        _dense(library, *each) for each in ((3, "shared"), (3, "down"), (3, "up"), (3, "wide"))
    )
    add = library.layers.Add(name="add")
    short = shared(down(inputs))
    long = wide(up(shared(inputs)))
    (x,) = _samples(1)
    late = wide(up(shared(x)))
    return (
        library.Model(inputs, add([short, long])),
        [x],
        {
            "down": down(x),
            "shared": shared(down(x)),
            "shared#1": shared(x),
            "up": up(shared(x)),
            "wide": late,
            "add": shared(down(x)) + late,
        },
    )


def heads_of_uneven_depth(library):
    inputs = library.Input((3,))
    trunk, a, b, c, d = (_dense(library, 2, name) for name in ("trunk", "a", "b", "c", "d"))
    (x,) = _samples(1)
    between = trunk(inputs)
    base = trunk(x)
    return (
        library.Model(inputs, [a(between), c(b(between)), d(between)]),
        [x],
        {"trunk": base, "b": b(base), "a": a(base), "c": c(b(base)), "d": d(base)},
    )


def _calls_of(encoder, inside, x):
    wanted = {}
    for name, given in zip(("encoder", "encoder#1"), x, strict=True):
        wanted |= {name: encoder(given), f"{name}/inside": inside(given)}
        wanted[f"{name}/last"] = wanted[name]
    return wanted


def nested_siamese(library):
    inputs = library.Input((3,))
    inside, last = _dense(library, 4, "inside"), _dense(library, 2, "last")
    encoder = library.Model(inputs, last(inside(inputs)), name="encoder")
    first, second = library.Input((3,)), library.Input((3,))
    left, right = _dense(library, 1, "left"), _dense(library, 1, "right")
    x = _samples(2)
    return (
        library.Model([first, second], [left(encoder(first)), right(encoder(second))]),
        x,
        _calls_of(encoder, inside, x)
        | {"left": left(encoder(x[0])), "right": right(encoder(x[1]))},
    )


def shared_inside_a_model_called_twice(library):
    one, two = library.Input((3,)), library.Input((3,))
    shared, o1, o2 = (_dense(library, *each) for each in ((3, "shared"), (3, "o1"), (3, "o2")))
    inner = library.Model([one, two], [o1(shared(one)), o2(shared(two))], name="inner")
    inputs = [library.Input((3,)) for _ in range(3)]
    a, b = inner(inputs[:2])
    c, d = inner(inputs[1:])
    ends = [_dense(library, 1, name) for name in ("end_a", "end_b", "end_c", "end_d")]
    model = library.Model(inputs, [end(each) for end, each in zip(ends, (a, b, c, d), strict=True)])
    x = _samples(3)
    wanted = {}
    for name, (left, right) in {"inner": x[:2], "inner#1": x[1:]}.items():
        wanted |= {
            name: o1(shared(left)),
            f"{name}:1": o2(shared(right)),
            f"{name}/shared": shared(left),
            f"{name}/shared#1": shared(right),
            f"{name}/o1": o1(shared(left)),
            f"{name}/o2": o2(shared(right)),
        }
    outputs = [o1(shared(x[0])), o2(shared(x[1])), o1(shared(x[1])), o2(shared(x[2]))]
    return model, x, wanted | {end.name: end(outputs[k]) for k, end in enumerate(ends)}


def sequential_encoder(library):
    inside, last = _dense(library, 4, "inside"), _dense(library, 2, "last")
    encoder = library.Sequential([library.Input((3,)), inside, last], name="encoder")
    first, second = library.Input((3,)), library.Input((3,))
    apart = library.layers.Subtract(name="apart")
    x = _samples(2)
    return (
        library.Model([first, second], apart([encoder(second), encoder(first)])),
        x,
        # Called on the second input first.
        _calls_of(encoder, inside, x[::-1]) | {"apart": encoder(x[1]) - encoder(x[0])},
    )


def calls_that_belong_to_another_model(library):
    """`shared` has a call before and one between that this model is not made of."""
    return siamese(library, elsewhere=True)


def operations_between(_):
    first, second = keras.Input((3,)), keras.Input((3,))
    shared = _dense(keras, 2, "shared")
    x = _samples(2)
    model = keras.Model([first, second], [shared(first) * 2.0, keras.ops.tanh(shared(second))])
    times, tanh = (each._keras_history[0].name for each in model.outputs)
    return (
        model,
        x,
        {
            "shared": shared(x[0]),
            "shared#1": shared(x[1]),
            times: shared(x[0]) * 2,
            tanh: np.tanh(shared(x[1])),
        },
    )


def subclass_that_runs_the_graph_itself(_):
    class Subclass(keras.Model):
        def call(self, inputs, training=None, mask=None):
            return super().call(inputs, training=training, mask=mask)

    return siamese(keras, Subclass)


SHAPES = [
    siamese,
    called_three_times,
    diamond,
    heads_of_uneven_depth,
    nested_siamese,
    shared_inside_a_model_called_twice,
    sequential_encoder,
    calls_that_belong_to_another_model,
]
CASES = {f"{shape.__name__}-keras_3": (shape, keras) for shape in SHAPES}
CASES |= {f"{shape.__name__}-keras_2": (shape, tf_keras) for shape in SHAPES}
CASES |= {
    shape.__name__: (shape, keras)
    for shape in (operations_between, subclass_that_runs_the_graph_itself)
}
_built = {}


@pytest.fixture(params=CASES)
def case(request):
    if request.param not in _built:
        shape, library = CASES[request.param]
        _built[request.param] = shape(library)
    return _built[request.param]


def _x(x):
    return x if len(x) > 1 else x[0]


def _first(x, n_samples):
    return _x([each[:n_samples] for each in x])


def _layers_of(taps):
    return [tap.name for tap in taps if tap.name.partition(":")[0]]


def test_layers_are_listed_in_the_order_in_which_they_were_made(case):
    model, _, wanted = case
    assert [info.name for info in aw.layers(model)] == list(wanted)


def test_the_graph_the_trace_and_an_eager_call_tell_the_same_names(case):
    model, x, wanted = case
    inputs = input_spec_of(model, None)
    tensors = inputs.tensors(_x(x))
    assert _layers_of(trace_call(model, inputs.arguments(tensors)).taps) == list(wanted)
    assert [info.name for info in Trace(model, inputs).layer_index.layers] == list(wanted)
    read = functional_layers(model)
    if read is not None:
        assert [info.name for info in read.layers] == list(wanted)


@pytest.mark.parametrize("n_samples", [2, N_SAMPLES], ids=["eager", "compiled"])
def test_each_name_stands_for_the_call_it_names(case, n_samples):
    model, x, wanted = case
    for names in [[*wanted], *([name] for name in wanted)]:
        found = aw.activations(model, _first(x, n_samples), names)
        for name in names:
            np.testing.assert_allclose(
                found[name],
                np.asarray(wanted[name])[:n_samples],
                rtol=1e-5,
                atol=1e-6,
                err_msg=name,
            )


def test_an_edit_alters_the_call_it_names_and_what_follows_from_it():
    model, x, wanted = siamese(keras)
    nothing = Edit(np.zeros(2, np.float32), np.zeros(2, np.float32))
    edited = KerasProbe(model).edited({"shared#1": nothing}).outputs([*wanted], x)
    np.testing.assert_array_equal(edited["shared#1"], 0)
    np.testing.assert_allclose(edited["o2"], model.get_layer("o2")(np.zeros((N_SAMPLES, 2))))
    for name in ("shared", "o1"):
        np.testing.assert_allclose(edited[name], wanted[name], rtol=1e-5)


def test_maps_of_a_class_are_of_the_call_they_name():
    """A class activation map at the second call depends on the second input alone."""
    first, second = keras.Input((6, 6, 1)), keras.Input((6, 6, 1))
    conv = keras.layers.Conv2D(2, 3, activation="relu", name="conv")
    pool = keras.layers.GlobalAveragePooling2D()
    o1, o2 = keras.layers.Dense(2, name="o1"), keras.layers.Dense(2, name="o2")
    model = keras.Model([first, second], [o1(pool(conv(first))), o2(pool(conv(second)))])
    x = [np.random.default_rng(k).normal(size=(3, 6, 6, 1)).astype("float32") for k in (0, 1)]
    options = {"method": "grad_cam", "target": 1, "upsample": False}
    for head, layer, dense, each in (("o1", "conv", o1, x[0]), ("o2", "conv#1", o2, x[1])):
        found = aw.attribute(model, x, head=head, layer=layer, **options).values
        # Of a mean and a Dense the gradient is the weight over the number of positions.
        weights = np.asarray(dense.kernel)[:, 1] / 16
        wanted = np.maximum((np.asarray(conv(each)) * weights).sum(-1), 0)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_recordings_and_profiles_hold_the_call_they_name(tmp_path):
    model, x, wanted = siamese(keras)
    y = np.arange(N_SAMPLES) % 2
    recorder = Recorder(model, tmp_path, x, y, head="o1")
    recorder.snapshot()
    recorder.close()
    recording = open_recording(tmp_path)
    assert [info.name for info in recording.layers] == [*wanted]
    profiles = aw.class_profiles(model, x, y, class_names=["even", "odd"])
    for name in ("shared", "shared#1"):
        values = np.asarray(wanted[name])
        error = recording.activation_error(name)
        kept = recording.activations(name)
        assert (abs(kept - values[: len(kept)]) <= error + 1e-5).all()
        means = [values[y == label].mean(axis=0) for label in (0, 1)]
        np.testing.assert_allclose(profiles.mean[name], means, rtol=1e-5)


def test_a_model_read_from_a_file_has_the_same_names_for_the_same_calls(tmp_path):
    for shape in SHAPES:
        model, x, wanted = shape(keras)
        model.save(tmp_path / "model.keras")
        found = aw.activations(keras.models.load_model(tmp_path / "model.keras"), _x(x))
        assert list(found) == list(wanted), shape.__name__
        for name, values in wanted.items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5, err_msg=shape.__name__)
