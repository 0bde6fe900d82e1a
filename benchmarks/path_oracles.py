"""Paths, noise and patches beside what others compute of the same network and images.

Run as `uv run --no-sync --with saliency --with shap python benchmarks/path_oracles.py`, with
ACTWIDGETS_DATA and ACTWIDGETS_MODELS set. PAIR `saliency` 0.2 and `shap` see the network through a
gradient tape of its own, on scores before the softmax; differences are relative to the largest
value of theirs. Shapley values of a linear model are worked out over all subsets.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import itertools
import math
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import actwidgets as aw

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from real_data import require_data, require_model

try:
    import saliency.core as saliency
except ImportError:
    saliency = None
try:
    import shap
except ImportError:
    shap = None

N_IMAGES = 6
layers = keras.layers


def main():
    model = aw.load_model(require_model("CIFAR-10_CNN5.h5"))
    with np.load(require_data("cifar10") / "cifar10.npz") as arrays:
        x = arrays["x_test"][:N_IMAGES].astype(np.float32) / 255
    target = aw.predict(model, x).argmax(axis=1)
    if saliency is None or shap is None:
        print("saliency or shap is not installed: run with `uv run --with`")
    if saliency is not None:
        _with_saliency(model, x, target)
    if shap is not None:
        _with_shap(model, x, target)
    _with_exact_shapley()


def _logits(model):
    """The scores before the softmax, by Keras' own means."""
    last = model.layers[-1]
    below = keras.Model(model.inputs, last.input)
    return lambda x: tf.matmul(below(x, training=False), last.kernel) + last.bias


def _with_saliency(model, x, target):
    logits = _logits(model)

    def call(batch, call_model_args=None, expected_keys=None):
        batch = tf.constant(np.asarray(batch, np.float32))
        with tf.GradientTape() as tape:
            tape.watch(batch)
            scores = logits(batch)[:, call_model_args]
        return {
            saliency.OUTPUT_LAYER_VALUES: scores.numpy(),
            saliency.INPUT_OUTPUT_GRADIENTS: tape.gradient(scores, batch).numpy(),
        }

    def theirs(method, name="GetMask", **options):
        found = [
            getattr(method, name)(each, call, int(c), **options)
            for each, c in zip(x, target, strict=True)
        ]
        return np.stack(found)

    steps = 200
    found = theirs(saliency.IntegratedGradients(), x_steps=steps, batch_size=100)
    ours = aw.attribute(model, x, target, "integrated_gradients", steps=steps, tolerance=None)
    change = ours.path.scores[:, -1] - ours.path.scores[:, 0]
    gap = np.abs(found.reshape(N_IMAGES, -1).sum(axis=1) - change) / np.abs(change)
    own = np.abs(ours.gap) / np.abs(change)
    _tell(
        f"integrated gradients, {steps} steps",
        found,
        ours,
        f"two quadratures: theirs misses S(x) - S(0) by {_spread(gap)}, ours by {_spread(own)}; "
        "theirs counts the two ends as whole steps",
    )
    same = aw.attribute(model, x, target, "interior_gradients", alphas=np.linspace(0, 1, steps)[1:])
    at_zero = aw.attribute(model, 0 * x, target, "gradient")
    theirs_rule = (np.asarray(same) * (steps - 1) + x * np.asarray(at_zero)) / steps
    _tell("  on their own steps", found, theirs_rule, "both right: rounding of float32")

    size = 8
    found = theirs(saliency.Occlusion(), size=size, value=0.5)
    ours = aw.attribute(model, x, target, "occlusion", patch=size, stride=1, fill=0.5)
    starts = 33 - size
    covered = np.array([sum(s <= i < s + size for s in range(starts)) for i in range(32)])
    counts = (covered[:, None] * covered)[..., None]
    _tell(
        "occlusion 8x8, stride 1",
        found,
        ours,
        "theirs adds overlaps up, up to 64 in the middle and 1 in a corner: a frame of small "
        "values that says nothing of the image",
    )
    _tell("  theirs over its overlaps", found / counts, ours, "both right: rounding of float32")

    copies = 400
    np.random.seed(0)  # theirs draws from numpy's own
    found = theirs(saliency.GradientSaliency(), "GetSmoothedMask", nsamples=copies, magnitude=False)
    ours = aw.attribute(model, x, target, "smooth_grad", n_samples=copies, seed=0)
    other = aw.attribute(model, x, target, "smooth_grad", n_samples=copies, seed=1)
    _tell(
        f"SmoothGrad, {copies} copies",
        found,
        ours,
        f"both right: other noise; two seeds of ours differ by {_difference(other, ours):.1e}",
    )


def _with_shap(model, x, target):
    """Expected gradients with one baseline are integrated gradients at random alphas."""
    below = keras.Model(model.inputs, model.layers[-1].input)
    top = layers.Dense(10, name="scores")
    outputs = top(below.outputs[0])
    scores = keras.Model(below.inputs, outputs)
    top.set_weights(model.layers[-1].get_weights())
    nothing = np.zeros((1, *x.shape[1:]), np.float32)
    ours = aw.attribute(model, x, target, "integrated_gradients", tolerance=0.002, max_steps=3000)
    for name, make in (
        ("GradientExplainer", lambda: shap.GradientExplainer(scores, nothing)),
        ("DeepExplainer", lambda: shap.DeepExplainer(scores, nothing)),
    ):
        options = {"nsamples": 2000, "rseed": 0} if name == "GradientExplainer" else {}
        try:
            found = np.asarray(make().shap_values(x, **options))
        except (TypeError, ValueError, AttributeError, LookupError, AssertionError) as failure:
            words = " ".join(str(failure).split())[:120]
            print(f"shap {name}: does not run here: {type(failure).__name__}: {words}")
            continue
        found = found[..., 0, :] if found.ndim == 6 else found
        found = np.stack([each[..., c] for each, c in zip(found, target, strict=True)])
        change = ours.path.scores[:, -1] - ours.path.scores[:, 0]
        gap = np.abs(found.reshape(N_IMAGES, -1).sum(axis=1) - change) / np.abs(change)
        own = np.abs(ours.gap) / np.abs(change)
        why = {
            "GradientExplainer": "both right in the mean: theirs draws 2,000 alphas at random",
            "DeepExplainer": "two methods: theirs is DeepLIFT's rescale rule, complete as well",
        }[name]
        _tell(f"shap {name}", found, ours, f"{why}; gaps {_spread(gap)}, ours {_spread(own)}")


def _with_exact_shapley():
    """All subsets of eight features of a linear model."""
    rng = np.random.default_rng(0)
    n_features = 8
    model = keras.Sequential(
        [keras.Input((n_features,), dtype="float64"), layers.Dense(1, dtype="float64")]
    )
    x, baseline = rng.normal(size=(1, n_features)), rng.normal(size=n_features)
    values = np.zeros(n_features)
    others = {i: [j for j in range(n_features) if j != i] for i in range(n_features)}
    masks = np.array(list(itertools.product([False, True], repeat=n_features)))
    worth = dict(
        zip(map(tuple, masks), model(np.where(masks, x, baseline)).numpy()[:, 0], strict=True)
    )
    for feature in range(n_features):
        for size in range(n_features):
            share = math.factorial(size) * math.factorial(n_features - size - 1)
            for subset in itertools.combinations(others[feature], size):
                without = [place in subset for place in range(n_features)]
                along = [place in (*subset, feature) for place in range(n_features)]
                gain = worth[tuple(along)] - worth[tuple(without)]
                values[feature] += share / math.factorial(n_features) * gain
    for method, options in (
        ("integrated_gradients", {"baseline": baseline}),
        ("occlusion", {"patch": 1, "fill": baseline}),
    ):
        ours = aw.attribute(model, x, 0, method, **options)
        _tell(f"exact Shapley values, {method}", values[None], ours, "equal for a linear model")


def _difference(found, ours):
    found, ours = np.asarray(found, np.float64), np.asarray(ours, np.float64)
    return float(np.abs(found - ours).max() / np.abs(found).max())


def _tell(what, found, ours, why):
    correlation = np.corrcoef(np.ravel(found), np.ravel(np.asarray(ours)))[0, 1]
    apart = f"largest difference {_difference(found, ours):.1e} (correlation {correlation:.4f})"
    print(f"{what}: {apart}: {why}")


def _spread(values):
    return f"{np.median(values):.2%} (at most {values.max():.2%})"


if __name__ == "__main__":
    main()
