"""Attributions beside those of tf-keras-vis, and beside theorems that say which side is right.

    uv run --with tf-keras-vis==0.8.7 python benchmarks/attribution_oracles.py

on the published `CIFAR-10_CNN5.h5` and test images of CIFAR-10 (`ACTWIDGETS_MODELS` and
`ACTWIDGETS_DATA` name their folders). Prints the largest difference as a share of the largest
value. tf-keras-vis works on Keras 2 only; here it is given the file as Keras 2 reads it, without
its last softmax. Where the two differ, so does what they compute; each such line is followed by
the same with tf-keras-vis' own definition put into our arithmetic.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_USE_LEGACY_KERAS"] = "1"  # tf.keras is Keras 2, which tf-keras-vis is made for

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras
from scipy.ndimage import zoom
from tf_keras_vis.gradcam import Gradcam
from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
from tf_keras_vis.saliency import Saliency
from tf_keras_vis.scorecam import Scorecam
from tf_keras_vis.utils.model_modifiers import GuidedBackpropagation
from tf_keras_vis.utils.scores import CategoricalScore

import actwidgets as aw
from actwidgets.core.attribution.cam import weighted_sum
from actwidgets.probe.keras_probe import KerasProbe

N_SAMPLES = 8


def main():
    """Print the table."""
    models, data = (Path(os.environ[f"ACTWIDGETS_{each}"]) for each in ("MODELS", "DATA"))
    path = models / "CIFAR-10_CNN5.h5"
    ours = aw.load_model(path)
    x = aw.load_dataset("cifar10", path=data).x_test[:N_SAMPLES]
    target = aw.predict(ours, x).argmax(axis=1)
    theirs = tf_keras.models.load_model(path, compile=False)
    theirs.layers[-1].activation = tf_keras.activations.linear
    score = CategoricalScore(target.tolist())
    slice_ = KerasProbe(ours).score_function()
    points, layer = slice_.points(x), slice_.layer
    print(f"{path.name}, {N_SAMPLES} images, maps of {layer!r} {slice_.maps(points).shape[1:]}")

    def attributed(method, **options):
        return aw.attribute(ours, x, target, method, layer=layer, **options).values

    options = {"normalize_map": False, "keepdims": True, "gradient_modifier": None}
    found = Saliency(theirs)(score, x, **options)
    _tell("gradient", attributed("gradient"), found)
    found = Saliency(theirs)(score, x, smooth_samples=4, smooth_noise=0.0, **options)
    _tell("SmoothGrad without noise", attributed("smooth_grad", n_samples=4, sigma=0.0), found)
    runs = [
        Saliency(theirs)(score, x, smooth_samples=200, smooth_noise=0.1, **options) for _ in "ab"
    ]
    ours_noisy = attributed("smooth_grad", n_samples=200, sigma=0.1)
    _tell("SmoothGrad, 200 copies, other noise", ours_noisy, runs[0])
    _tell("    tf-keras-vis, twice", np.asarray(runs[1]), runs[0])
    guided = Saliency(theirs, model_modifier=GuidedBackpropagation())
    _tell("guided backprop", attributed("guided_backprop"), guided(score, x, **options))

    options = {"penultimate_layer": layer, "seek_penultimate_conv_layer": False}
    options |= {"normalize_cam": False, "expand_cam": False}
    cam = Gradcam(theirs)(score, x, **options)
    _tell("Grad-CAM", attributed("grad_cam", upsample=False), cam)
    large = Gradcam(theirs)(score, x, **options | {"expand_cam": True})
    _tell("Grad-CAM at the size of the image", attributed("grad_cam"), large)
    _because(
        "scipy's zoom lays the corners of the map on those of the image, tf.image.resize (and "
        "Selvaraju's code, by cv2.resize) its edges on the edges",
        _cornered(attributed("grad_cam", upsample=False), x.shape[1:3]),
        large,
    )

    _, maps, gradients = slice_.map_gradients(points, target)
    plus = GradcamPlusPlus(theirs)(score, x, **options)
    found = attributed("grad_cam_plus_plus", upsample=False)
    raised = np.exp(aw.attribute(ours, x, target, "gradient").scores)[:, None, None]
    _tell("Grad-CAM++, times exp(score)", found * raised, plus)
    _because(
        "it divides each unit's alphas by their sum, as the authors' code does and the "
        "paper does not; on a pooled net that makes it Grad-CAM of positive weights",
        weighted_sum(maps, _normalized_weights(maps, gradients)) * raised,
        plus,
    )

    scored = Scorecam(theirs)(score, x, **options)
    found = attributed("score_cam", upsample=False)
    _tell("Score-CAM", found, scored)
    _because(
        "it weighs by the probability itself, not by its increase over a blank input, as the "
        "paper defines it, so that a flat map counts; and zooms masks as above",
        _score_cam_without_baseline(slice_, points, target),
        scored,
    )


def _tell(what, found, other):
    print(f"{what:36s} {_difference(found, other):.1e}")


def _because(why, found, other):
    print(f"    {why}: {_difference(found, other):.1e}")


def _difference(found, other):
    other = np.asarray(other, np.float64)
    assert found.shape == other.shape, (found.shape, other.shape)
    return np.abs(found - other).max() / np.abs(other).max()


def _cornered(maps, size):
    return zoom(maps, (1, size[0] / maps.shape[1], size[1] / maps.shape[2]), order=1)


def _normalized_weights(maps, gradients):
    """Weights of Grad-CAM++ with alphas that sum to one."""
    alphas = np.where(gradients == 0, 0, 1 / (2 + maps.sum(axis=(1, 2), keepdims=True) * gradients))
    sums = alphas.sum(axis=(1, 2), keepdims=True)
    alphas = alphas / np.where(sums == 0, 1, sums)
    return (alphas * np.maximum(gradients, 0)).sum(axis=(1, 2))


def _score_cam_without_baseline(slice_, points, target):
    maps, x = slice_.maps(points), points.arrays[0]
    large = zoom(maps, (1, x.shape[1] / maps.shape[1], x.shape[2] / maps.shape[2], 1), order=1)
    low, high = (each(large, axis=(1, 2), keepdims=True) for each in (np.min, np.max))
    masks = (large - low) / (high - low + 1e-7)
    weights = [
        slice_.scores(points.moved([x * masks[..., unit, None]]), "probability")[
            np.arange(len(x)), target
        ]
        for unit in range(maps.shape[-1])
    ]
    return weighted_sum(maps, np.stack(weights, axis=1))


if __name__ == "__main__":
    print(f"TensorFlow {tf.__version__}, Keras 2 {tf_keras.__version__}")
    main()
