"""Time per map over the passes it needs: `python benchmarks/attribution_speed.py`.

For each method, on the published CIFAR-10 CNN and on MobileNetV2 (weights=None): a warm map by the
session's own road over its floor, the bare compiled forward and backward passes that the method
cannot do without, in the same batches; then the whole of `actwidgets.attribute`, which reads and
traces the model, beside tf-explain, tf-keras-vis and xplique in the same run, each as its
documentation calls it. Those are not dependencies (`uv run --no-sync --with tf-explain --with
opencv-python-headless --with tf-keras-vis==0.8.7 --with "xplique<1.4" python …`; what is missing or
fails is said). Machines differ, so read the ratios.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import time
from statistics import median

import keras
import numpy as np
import tensorflow as tf

import actwidgets as aw
from actwidgets.core.attribution.registry import METHODS, attribution_steps, finished
from actwidgets.probe.keras_probe import KerasProbe

STEPS, NOISY, PATCH, STRIDE = 48, 50, 8, 4
SETTINGS = {
    "smooth_grad": {"n_samples": NOISY},
    "guided_smooth_grad": {"n_samples": NOISY},
    "integrated_gradients": {"steps": STEPS, "tolerance": None},
    "interior_gradients": {"steps": STEPS},
    "lrp": {"rule": "epsilon"},
}


class Floor:
    """Bare compiled passes of a model, and how many each method needs for one sample."""

    def __init__(self, model, layer, batch_size):
        self._batch_size = batch_size
        tap = keras.Model(model.inputs, [model.get_layer(layer).output, model.outputs[0]])

        def forward(x):
            return model(x, training=False)

        def backward(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                score = tf.reduce_max(model(x, training=False), axis=1)
            return score, tape.gradient(score, x)

        def to_layer(x):
            with tf.GradientTape() as tape:
                maps, outputs = tap(x, training=False)
                score = tf.reduce_max(outputs, axis=1)
            return score, maps, tape.gradient(score, maps)

        self._ways = {"forward": forward, "backward": backward, "layer": to_layer}
        spec = tf.TensorSpec((None, *model.input_shape[1:]))
        self._ways = {
            name: tf.function(way).get_concrete_function(spec) for name, way in self._ways.items()
        }

    def of(self, method, n_units, n_patches):
        """A function from one sample that does no more than the method must."""
        kind, count = {
            "smooth_grad": ("backward", NOISY),
            "guided_smooth_grad": ("backward", NOISY),
            "integrated_gradients": ("backward", STEPS),
            "interior_gradients": ("backward", STEPS),
            "occlusion": ("forward", n_patches + 1),
            "grad_cam": ("layer", 1),
            "grad_cam_plus_plus": ("layer", 1),
            "score_cam": ("forward", n_units + 1),
        }.get(method, ("backward", 1))

        def run(x):
            for start in range(0, count, self._batch_size):
                size = min(self._batch_size, count - start)
                self._ways[kind](tf.repeat(x, size, axis=0) if size > 1 else x)
            if method == "guided_grad_cam":
                self._ways["layer"](x)

        return run


def medians_ms(ways, x, n_rounds):
    """What each way takes, in turn, so that all meet the same weather."""
    taken = {name: [] for name in ways}
    for way in ways.values():
        way(x)
        way(x)
    for _ in range(n_rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            way(x)
            taken[name].append(time.perf_counter() - begun)
    return {name: 1000 * median(each) for name, each in taken.items()}


def peers(model, layer, target):
    """Other packages' ways, by method, as far as they can be imported."""
    found = {}
    try:
        from tf_explain.core.grad_cam import GradCAM
        from tf_explain.core.gradients_inputs import GradientsInputs
        from tf_explain.core.integrated_gradients import IntegratedGradients
        from tf_explain.core.occlusion_sensitivity import OcclusionSensitivity
        from tf_explain.core.smoothgrad import SmoothGrad
        from tf_explain.core.vanilla_gradients import VanillaGradients

        def explain(kind, **options):
            return lambda x: kind().explain((x.numpy(), None), model, target, **options)

        found |= {
            ("gradient", "tf-explain"): explain(VanillaGradients),
            ("gradient_x_input", "tf-explain"): explain(GradientsInputs),
            ("smooth_grad", "tf-explain"): explain(SmoothGrad, num_samples=NOISY, noise=0.1),
            ("integrated_gradients", "tf-explain"): explain(IntegratedGradients, n_steps=STEPS),
            ("occlusion", "tf-explain"): explain(OcclusionSensitivity, patch_size=PATCH),
            ("grad_cam", "tf-explain"): explain(GradCAM, layer_name=layer),
        }
    except ImportError as missing:
        print(f"tf-explain: {missing}")
    try:
        from tf_keras_vis.gradcam import Gradcam
        from tf_keras_vis.gradcam_plus_plus import GradcamPlusPlus
        from tf_keras_vis.saliency import Saliency
        from tf_keras_vis.scorecam import Scorecam
        from tf_keras_vis.utils.scores import CategoricalScore

        score = CategoricalScore([target])
        saliency = Saliency(model)
        cams = {
            "grad_cam": Gradcam(model),
            "grad_cam_plus_plus": GradcamPlusPlus(model),
            "score_cam": Scorecam(model),
        }
        found["gradient", "tf-keras-vis"] = lambda x: saliency(score, x)
        found["smooth_grad", "tf-keras-vis"] = lambda x: saliency(score, x, smooth_samples=NOISY)
        for name, cam in cams.items():
            found[name, "tf-keras-vis"] = lambda x, cam=cam: cam(score, x, penultimate_layer=layer)
    except ImportError as missing:
        print(f"tf-keras-vis: {missing}")
    try:
        from xplique import attributions as xplique

        one_hot = np.eye(model.output_shape[-1], dtype=np.float32)[[target]]
        kinds = {
            "gradient": (xplique.Saliency, {}),
            "gradient_x_input": (xplique.GradientInput, {}),
            "smooth_grad": (xplique.SmoothGrad, {"nb_samples": NOISY}),
            "integrated_gradients": (xplique.IntegratedGradients, {"steps": STEPS}),
            "guided_backprop": (xplique.GuidedBackprop, {}),
            "occlusion": (xplique.Occlusion, {"patch_size": PATCH, "patch_stride": STRIDE}),
            "grad_cam": (xplique.GradCAM, {"conv_layer": layer}),
            "grad_cam_plus_plus": (xplique.GradCAMPP, {"conv_layer": layer}),
        }
        for name, (kind, options) in kinds.items():
            try:
                explainer = kind(model, **options)
            except Exception as failure:  # noqa: BLE001  said, and left out
                print(f"xplique, {name}: {_said(failure)}")
                continue
            found[name, "xplique"] = lambda x, explainer=explainer: explainer(x.numpy(), one_hot)
    except ImportError as missing:
        print(f"xplique: {missing}")
    return found


def compare(title, model, x, n_rounds):
    probe = KerasProbe(model, x)
    slice_ = probe.score_function()
    points = slice_.points(x)
    target = int(slice_.scores(points)[0].argmax())
    floor = Floor(model, slice_.layer, slice_.batch_size)
    n_units = int(slice_.maps(points).shape[-1])
    others = peers(model, slice_.layer, target)
    options = SETTINGS | {"occlusion": {"patch": PATCH, "stride": STRIDE}}
    n_patches = (-(-(x.shape[1] - PATCH) // STRIDE) + 1) * (-(-(x.shape[2] - PATCH) // STRIDE) + 1)
    print(f"\n{title}: {x.shape[1]}x{x.shape[2]}, batches of {slice_.batch_size}, one sample")
    print(f"  {'':22} {'x floor':>8} {'floor, ms':>10}   attribute() and others, x floor")
    for name, method in METHODS.items():
        settings = options.get(name, {})

        def warm(x, method=method, settings=settings):
            finished(attribution_steps(slice_, slice_.points(x), method, target, settings))

        def whole(x, name=name, settings=settings):
            aw.attribute(model, x, target=target, method=name, **settings)

        ways = {"floor": floor.of(name, n_units, n_patches), "warm": warm}
        n = max(3, n_rounds // 5) if title.startswith("MobileNet") else n_rounds
        ms = medians_ms(ways, x, n)
        rest, told = {"attribute": whole}, []
        for (method_name, package), way in others.items():
            if method_name == name:
                try:
                    way(x)
                    rest[package] = way
                except Exception as failure:  # noqa: BLE001  said, and left out
                    told.append(f"{package} fails: {_said(failure)}")
        taken = medians_ms(rest, x, max(2, n // 5))
        told = [*(f"{each} {value / ms['floor']:.1f}" for each, value in taken.items()), *told]
        ratio = ms["warm"] / ms["floor"]
        print(f"  {name:22} {ratio:8.2f} {ms['floor']:10.2f}   {'; '.join(told)}")


def _said(failure):
    return " ".join(f"{type(failure).__name__}: {failure}".split())[:90]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--small", action="store_true", help="the CIFAR-10 CNN only")
    n_rounds, small = parser.parse_args().rounds, parser.parse_args().small
    folder = os.environ.get("ACTWIDGETS_MODELS")
    if folder:
        model = aw.load_model(os.path.join(folder, "CIFAR-10_CNN5.h5"))
        x = tf.constant(aw.load_dataset("cifar10").x_test[:1])
        compare("CIFAR-10 CNN", model, x, n_rounds)
    else:
        print("CIFAR-10 CNN: set ACTWIDGETS_MODELS and ACTWIDGETS_DATA")
    if small:
        return
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2((96, 96, 3), weights=None, classes=10)
    compare("MobileNetV2", model, tf.random.uniform((1, 96, 96, 3)), n_rounds)


if __name__ == "__main__":
    main()
