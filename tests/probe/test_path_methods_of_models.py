"""Paths, noise and patches of Keras models: sums, inputs of every kind, and batches of one."""

import contextlib

import keras
import numpy as np
import pytest
from model_zoo import CASES, build
from real_data import require_data, require_model

import actwidgets as aw
from actwidgets.core.attribution.registry import attribution_steps, finished, method_named
from actwidgets.errors import ModelError
from actwidgets.probe.attribute import faithfulness
from actwidgets.probe.keras_probe import KerasProbe

pytestmark = pytest.mark.keras
UNTRACEABLE = "subclassed_with_control_flow"
layers = keras.layers


def _smooth(shape, dtype="float64"):
    """A net of tanh and softplus, so that no slope jumps."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input(shape, dtype=dtype)
    x = inputs
    if len(shape) == 3:
        x = layers.Conv2D(4, 3, activation="tanh", dtype=dtype, bias_initializer="normal")(x)
    x = layers.Flatten(dtype=dtype)(x)
    x = layers.Dense(6, activation="softplus", dtype=dtype)(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", dtype=dtype)(x))


def _images(*shape):
    return np.random.default_rng(0).uniform(0, 1, shape)


def _sum(attribution, n_samples):
    values = attribution.values
    values = values.values() if isinstance(values, dict) else [values]
    return sum(np.asarray(each, float).reshape(n_samples, -1).sum(axis=1) for each in values)


@pytest.mark.parametrize("shape", [(7,), (8, 24, 3), (5, 6, 1)])
@pytest.mark.parametrize("output", ["logit", "probability"])
def test_integrated_gradients_are_complete_on_smooth_nets(shape, output):
    model, x = _smooth(shape), _images(4, *shape)
    baseline = np.random.default_rng(1).normal(size=shape)
    found = aw.attribute(
        model,
        x,
        1,
        "integrated_gradients",
        output=output,
        baseline=baseline,
        steps=1024,
        tolerance=None,
    )
    ends = [
        aw.attribute(model, where, 1, "gradient", output=output).scores
        for where in (x, np.broadcast_to(baseline, x.shape))
    ]
    change = ends[0] - ends[1]
    np.testing.assert_allclose(found.gap, 0, atol=2e-6 * np.abs(change).max())
    np.testing.assert_allclose(_sum(found, 4), change, atol=1e-5)  # the values are float32
    np.testing.assert_allclose(found.path.scores[:, [-1, 0]].T, ends, atol=1e-12)


def test_the_tolerance_is_met_on_real_images():
    model = aw.load_model(require_model("CIFAR-10_CNN5.h5"))
    with np.load(require_data("cifar10") / "cifar10.npz") as arrays:
        x = arrays["x_test"][:12].astype(np.float32) / 255
    found = aw.attribute(model, x, method="integrated_gradients", tolerance=0.02)
    change = found.path.scores[:, -1] - found.path.scores[:, 0]
    assert (np.abs(found.gap) <= 0.02 * np.abs(change) + 1e-4).all()
    assert found.note == ""
    np.testing.assert_allclose(_sum(found, 12) - change, found.gap, atol=1e-4)
    coarse = aw.attribute(model, x, method="integrated_gradients", tolerance=None)
    assert (np.abs(coarse.gap) > 0.02 * np.abs(change)).any()


def test_interior_gradients_on_the_same_alphas_are_integrated_gradients():
    model, x = _smooth((8, 24, 3)), _images(3, 8, 24, 3)
    integrated = aw.attribute(model, x, 0, "integrated_gradients", steps=8, tolerance=None)
    alphas = integrated.path.alphas[1:-1]
    interior = aw.attribute(model, x, 0, "interior_gradients", alphas=alphas)
    np.testing.assert_allclose(interior.values, integrated.values, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(interior.path.scores, integrated.path.scores[:, 1:-1])
    one = aw.attribute(model, x, 0, "interior_gradients", alphas=[1])
    here = aw.attribute(model, x, 0, "gradient_x_input")
    np.testing.assert_allclose(one.values, here.values, rtol=1e-6)


def test_gradient_norms_of_a_path_are_those_of_gradients_there():
    model, x = _smooth((5, 6, 1)), _images(2, 5, 6, 1)
    found = aw.attribute(model, x, 2, "interior_gradients", alphas=[0.25, 1])
    for step, alpha in enumerate((0.25, 1)):
        there = aw.attribute(model, alpha * x, 2, "gradient")
        norms = np.linalg.norm(np.asarray(there).reshape(2, -1), axis=1)
        np.testing.assert_allclose(found.path.gradient_norms[:, step], norms, rtol=1e-6)
        np.testing.assert_allclose(found.path.scores[:, step], there.scores, rtol=1e-9)


def test_the_gap_runs_over_all_inputs():
    keras.utils.set_random_seed(2)
    left, right = keras.Input((5,), name="left"), keras.Input((4, 4, 1), name="right")
    both = layers.Concatenate()([layers.Dense(3, "tanh")(left), layers.Flatten()(right)])
    model = keras.Model([left, right], layers.Dense(2)(layers.Dense(4, "softplus")(both)))
    x = {"left": _images(3, 5), "right": _images(3, 4, 4, 1)}
    found = aw.attribute(
        model, x, 0, "integrated_gradients", baseline={"left": 0.5, "right": "mean"}, steps=200
    )
    start = {
        "left": np.full((3, 5), 0.5),
        "right": np.broadcast_to(x["right"].mean(axis=(1, 2), keepdims=True), (3, 4, 4, 1)),
    }
    change = found.scores - aw.attribute(model, start, 0, "gradient").scores
    np.testing.assert_allclose(_sum(found, 3), change, atol=1e-4)
    np.testing.assert_allclose(found.gap, 0, atol=1e-4)


def test_tokens_are_attributed_where_they_are_embedded():
    keras.utils.set_random_seed(3)
    tokens = keras.Input((6,), dtype="int32")
    embedded = layers.Embedding(20, 4, name="words")(tokens)
    pooled = layers.GlobalAveragePooling1D()(layers.Conv1D(3, 2, activation="tanh")(embedded))
    model = keras.Model(tokens, layers.Dense(2)(pooled))
    x = np.random.default_rng(0).integers(0, 20, (3, 6))
    found = aw.attribute(model, x, 0, "integrated_gradients", steps=200)
    assert found.values.shape == (3, 6, 4)
    np.testing.assert_allclose(found.gap, 0, atol=1e-4)
    hidden = aw.attribute(model, x, 0, "occlusion", fill=0, patch=1).values
    assert (hidden == hidden[..., :1]).all()  # a token is hidden as a whole
    assert (np.abs(hidden[..., 0]).max(axis=1) > 0).all()


FEW = {
    "gradient": {},
    "smooth_grad": {"n_samples": 3},
    "guided_smooth_grad": {"n_samples": 3},
    "integrated_gradients": {"steps": 4, "tolerance": None},
    "interior_gradients": {"steps": 4},
    "occlusion": {},
}


@pytest.mark.parametrize("kind", [each for each in CASES if each != UNTRACEABLE])
def test_batches_of_one_give_what_the_whole_gives(kind):
    case = build(kind)
    probe = KerasProbe(case.model, case.x, head=case.options.get("head"))
    whole, one_by_one = probe.score_function(), probe.score_function(memory_budget_bytes=1)
    slices = {whole.batch_size: whole, 1: one_by_one}
    whole_size = whole.batch_size
    assert whole_size > one_by_one.batch_size == 1
    points = whole.points(case.x)
    for method, options in FEW.items():
        steps = {}
        for size, slice_ in slices.items():
            with contextlib.suppress(ModelError):  # no ReLU to guide
                steps[size] = finished(
                    attribution_steps(slice_, points, method_named(method), 0, options)
                )
        assert steps or method == "guided_smooth_grad"
        if steps:
            for one, other in zip(_arrays(steps[1]), _arrays(steps[whole_size]), strict=True):
                reach = max(np.abs(other).max(), 1e-3) * (3e-2 if "float16" in kind else 1e-4)
                np.testing.assert_allclose(one, other, atol=reach)


def _arrays(attribution):
    values = attribution.values
    return list(values.values()) if isinstance(values, dict) else [values]


def test_a_small_budget_of_memory_gives_the_same():
    model, x = _smooth((8, 24, 3)), _images(3, 8, 24, 3)
    for method in ("integrated_gradients", "interior_gradients", "occlusion"):
        whole = aw.attribute(model, x, 0, method)
        tight = aw.attribute(model, x, 0, method, memory_budget_bytes=1)
        np.testing.assert_allclose(tight.values, whole.values, rtol=1e-5, atol=1e-8)


def test_without_noise_guided_smooth_grad_is_the_guided_gradient_of_a_net_by_hand():
    """One unit max(0, x0 - x1) with weight 1 and one max(0, x0 + x1) with weight -1."""
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(2, "relu"), layers.Dense(1, use_bias=False)]
    )
    model.set_weights([np.array([[1.0, 1], [-1, 1]]), np.zeros(2), np.array([[1.0], [-1]])])
    found = aw.attribute(model, np.array([[3.0, 1]]), 0, "guided_smooth_grad", sigma=0)
    np.testing.assert_allclose(found.values, [[1, -1]])  # the second lets no negative pass
    plain = aw.attribute(model, np.array([[3.0, 1]]), 0, "smooth_grad", sigma=0)
    np.testing.assert_allclose(plain.values, [[0, -2]])


def test_deletion_and_insertion_follow_the_probability_of_the_attributions_class():
    model, x = _smooth((8, 24, 3)), _images(3, 8, 24, 3).astype(np.float32)
    map_ = aw.attribute(model, x, [0, 1, 2], "occlusion", patch=2)
    deleted = faithfulness(model, x, map_, steps=6, fill=0)
    probabilities = aw.predict(model, x)
    np.testing.assert_allclose(deleted.scores[:, 0], probabilities[range(3), range(3)], rtol=1e-5)
    empty = aw.predict(model, 0 * x)[range(3), range(3)]
    np.testing.assert_allclose(deleted.scores[:, -1], empty, rtol=1e-5)
    inserted = faithfulness(model, x, map_, "insertion", steps=6, fill=0)
    np.testing.assert_allclose(inserted.scores[:, 0], empty, rtol=1e-5)
    np.testing.assert_allclose(inserted.scores[:, -1], deleted.scores[:, 0], rtol=1e-5)
    assert ((inserted.auc > 0) & (inserted.auc < 1)).all()


def test_maps_of_several_inputs_have_one_curve():
    case = build("siamese")
    map_ = aw.attribute(case.model, case.x, 0, "gradient_x_input")
    found = faithfulness(case.model, case.x, map_, steps=5)
    assert found.scores.shape == (len(map_), 6)
