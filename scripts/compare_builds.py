"""Compare every public number of two checkouts, on the same models and samples.

    python scripts/compare_builds.py BASE [NEW] [--only WORD …] [--keep FOLDER]

NEW is this checkout by default. Each runs in a process of its own and writes what it says of

- the published models of `$ACTWIDGETS_MODELS`, on samples of `$ACTWIDGETS_DATA`,
- every model of BASE's `tests/probe/model_zoo.py`,
- the demo model: a session, its views, and a recording of a short training.

Numbers are compared bit by bit; of those that differ the largest difference is printed. Texts
are compared too, but told apart: screens and messages may be worded anew. What only one build
says is listed. Public names that changed are asked for by the new name, then by the old one.
The exit code is 1 where numbers differ.

Not part of the test suite: it takes minutes.
"""

import argparse
import dataclasses
import importlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parents[1]
PUBLISHED: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "CIFAR-10_CNN5": ("cifar10", lambda x: x),
    "MNIST_LeNet60": ("mnist", lambda x: np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)))),
    "MNIST_dense128": ("mnist", lambda x: x[..., 0]),
    "tensorspace_mnist": ("mnist", lambda x: x[..., 0]),
    "mlperf_tiny_resnet": ("cifar10", lambda x: 255 * x),
}
# Words that became others: both builds' names are read with the new ones.
WORDS = (
    *(("ormalis", "ormaliz"), ("andomis", "andomiz"), ("colour", "color")),
    *(("disturbance", "perturbation"), ("changes_nothing", "is_identity"), ("grey", "gray")),
)
FIELDS = {"low": "min", "high": "max", "smallest": "min", "largest": "max"}
# What is not a number of the model: times, sizes on disk, and the state behind the numbers.
LEFT_OUT = {
    *("n_bytes", "seconds", "seconds_left", "per_second", "sums", "file", "help", "source"),
    *("run", "options", "traits", "weights_and_biases"),
}
STATEFUL = {"Session", "KerasProbe"}  # they are asked, and are no answer themselves
MAX_DEPTH, MAX_ITEMS = 4, 64


# --- what a build says -----------------------------------------------------------------------


class Numbers:
    """Arrays and texts by name, of whatever a call returns."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.texts: dict[str, str] = {}

    def of(self, name: str, call: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Note what a call returns, or the kind of its error; return it, or None."""
        try:
            value = call(*args, **options)
            self._note(name, value, 0)
        except Exception as error:  # noqa: BLE001  an error is an answer too, and compared
            self.texts[f"{name} !"] = type(error).__name__
            self.texts[f"{name} ! message"] = str(error)
            return None
        return value

    def _note(self, name: str, value: Any, depth: int) -> None:
        if isinstance(value, str):
            self.texts[name] = str(value)
        elif value is None or isinstance(value, bool | int | float | complex | np.generic):
            self.arrays[name] = np.asarray(np.nan if value is None else value)
        elif isinstance(value, np.ndarray):
            if value.dtype.kind in "OUS":
                self.texts[name] = str(value.tolist())
            else:
                self.arrays[name] = value
        elif depth >= MAX_DEPTH or type(value).__name__ in STATEFUL:
            return
        elif isinstance(value, Mapping):
            for key, each in value.items():
                self._note(f"{name}[{key}]", each, depth + 1)
        elif isinstance(value, tuple | list):
            if value and all(isinstance(each, int | float | np.number) for each in value):
                self.arrays[name] = np.asarray(value)
                return
            self.arrays[f"{name}.len"] = np.asarray(len(value))
            for index, each in enumerate(value[:MAX_ITEMS]):
                self._note(f"{name}[{index}]", each, depth + 1)
        elif type(value).__name__ == "DataFrame":
            self._note(name, {str(key): value[key].to_numpy() for key in value}, depth)
        elif type(value).__module__.split(".")[0] == "actwidgets":
            for part in public_parts(value):
                try:
                    of_part = getattr(value, part)
                except Exception as error:  # noqa: BLE001
                    self.texts[f"{name}.{part} !"] = type(error).__name__
                    continue
                self._note(f"{name}.{part}", of_part, depth + 1)

    def save(self, path: Path) -> None:
        """Write all of it, or nothing, to one file."""
        packed = io.BytesIO()
        texts = np.frombuffer(json.dumps(self.texts).encode(), np.uint8)
        # Numbered: a name in a zip file may not hold every character.
        names = np.frombuffer(json.dumps([*self.arrays]).encode(), np.uint8)
        arrays = {f"a{index}": each for index, each in enumerate(self.arrays.values())}
        np.savez_compressed(packed, texts=texts, names=names, **arrays)
        path.write_bytes(packed.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Numbers":
        """Read what `save` wrote, names in the new words."""
        numbers = cls()
        with np.load(path) as found:
            names = json.loads(found["names"].tobytes())
            arrays = [found[f"a{index}"] for index in range(len(names))]
            texts = json.loads(found["texts"].tobytes())
        numbers.arrays = dict(zip(map(in_new_words, names), arrays, strict=True))
        numbers.texts = {in_new_words(name): text for name, text in texts.items()}
        return numbers


def public_parts(value: Any) -> list[str]:
    """Names of an object's public fields and properties."""
    kind = type(value)
    names = {each.name for each in dataclasses.fields(value)} if is_record(value) else set()
    for name in dir(kind):
        descriptor = getattr(kind, name, None)
        if isinstance(descriptor, property) or type(descriptor).__name__ == "cached_property":
            names.add(name)
    return sorted(name for name in names if not name.startswith("_") and name not in LEFT_OUT)


def is_record(value: Any) -> bool:
    """Whether it is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def in_new_words(name: str) -> str:
    """A name as the newer build spells it."""
    for old, new in WORDS:
        name = name.replace(old, new)
    return re.sub(r"(?<=[.\[])(\w+)", lambda found: FIELDS.get(found[0], found[0]), name)


# --- one name or another ---------------------------------------------------------------------


def named(thing: Any, *names: str) -> Any:
    """The first attribute that there is."""
    for name in names:
        found = getattr(thing, name, None)
        if found is not None:
            return found
    raise AttributeError(f"{thing!r} has none of {', '.join(names)}")


def asked(part: Any, *methods: str) -> Callable[..., Any]:
    """A part of a session that is called itself, or one of its methods."""
    return part if callable(part) else named(part, *methods)


def embedding(session: Any, **options: Any) -> Any:
    """Points of the input or of a layer."""
    if hasattr(session, "embedding"):
        return session.embedding(**options)
    return asked(session.embeddings, "get")(**options)


def perturb(session: Any, **options: Any) -> None:
    """Choose how the samples are perturbed."""
    import actwidgets as aw

    value = named(aw, "Perturbation", "Disturbance")(**options)
    name = "perturbation" if hasattr(session, "perturbation") else "disturbance"
    session.select(**{name: value})


# --- numbers of a model ----------------------------------------------------------------------


def of_functions(
    numbers: Numbers, model: Any, x: Any, y: Any, *, few: Any, head: Any = None, light: bool = False
) -> None:
    """The functions of the package that take a model.

    Args:
        numbers: Where they are noted.
        model: The model.
        x: Samples.
        y: Their classes.
        few: Two samples, for what costs much.
        head: Which of several outputs.
        light: Whether to leave out what takes long.
    """
    import actwidgets as aw

    infos = numbers.of("layers", aw.layers, model, x) or ()
    found = numbers.of("activations", aw.activations, model, x, batch_size=4) or {}
    numbers.of("activations, training", aw.activations, model, few, training=True)
    numbers.of("predict", aw.predict, model, x, head=head)
    for info in infos:
        numbers.of(f"kernels of {info.name}", aw.kernels, model, info.name)
    of_profiles(numbers, model, x, y, head=head, light=light)
    tables = [each.reshape(len(each), -1) for each in found.values() if each.ndim > 1]
    tables = [each for each in tables if 0 < each.shape[1] < 5000]
    for index in range(min(3, len(tables) - 1)):
        numbers.of(f"cka {index}", aw.cka, tables[index], tables[-1])
    for positions in ("mean",) if light else ("mean", "flat"):
        name = f"layer_similarity {positions}"
        numbers.of(name, aw.layer_similarity, model, x, positions=positions)
    of_attributions(numbers, model, few, head=head, light=light)


def of_profiles(numbers: Numbers, model: Any, x: Any, y: Any, *, head: Any, light: bool) -> None:
    """Class profiles, and everything that is read from them."""
    import actwidgets as aw

    for reduce in ("any", "mean"):
        options = {"threshold": 0.1, "reduce": reduce, "batch_size": 16, "head": head}
        numbers.of(f"profiles {reduce}", aw.class_profiles, model, x, y, **options)
    profiles = numbers.of("profiles", aw.class_profiles, model, x, y, head=head)
    if profiles is None:
        return
    numbers.of("profiles merged", profiles.merge, profiles)
    numbers.of("profiles at 0.2", profiles.at_threshold, 0.2)
    metrics = ("mean_abs_diff", "cosine", "correlation", "euclidean", "jensen_shannon", "overlap")
    for layer in profiles.layers[:2] if light else profiles.layers:
        for name in ("fisher_ratio", "unit_findings", "to_dataframe", "histogram"):
            numbers.of(f"profiles {name} {layer}", getattr(profiles, name), layer)
        numbers.of(f"profiles quantile {layer}", profiles.quantile, layer, 0.3)
        for statistic in ("firing_rate", "mean", "max"):
            for metric in metrics:
                key, choice = f"{statistic} {metric} {layer}", (layer, statistic, metric)
                numbers.of(f"similarity {key}", profiles.similarity, *choice)
                numbers.of(f"ranking {key}", profiles.ranking, *choice)
                if statistic == "firing_rate":
                    numbers.of(f"clustering {key}", profiles.clustering, *choice)


def of_attributions(numbers: Numbers, model: Any, few: Any, *, head: Any, light: bool) -> None:
    """Every method of attribution, and what judges them."""
    import actwidgets as aw

    made = {}
    for method in (each.name for each in aw.attribution_methods()):
        made[method] = numbers.of(
            f"attribute {method}", aw.attribute, model, few, method=method, head=head
        )
    for method in ("gradient", "grad_cam"):
        name = f"attribute {method}, probability of class 1"
        numbers.of(
            name, aw.attribute, model, few, 1, method=method, output="probability", head=head
        )
    name = "attribute grad_cam, not upsampled"
    numbers.of(name, aw.attribute, model, few, method="grad_cam", upsample=False, head=head)
    if light:
        return
    for rule in ("epsilon", "gamma", "alpha_beta", "composite"):
        name = f"attribute lrp {rule}"
        numbers.of(name, aw.attribute, model, few, method="lrp", rule=rule, head=head)
    for kind in ("deletion", "insertion"):
        for method in ("gradient", "grad_cam"):
            if made[method] is not None:
                given, name = (model, few, made[method], kind), f"faithfulness {kind} {method}"
                numbers.of(name, aw.faithfulness, *given, steps=8, head=head)
    check = named(aw, "randomization_check", "randomisation_check")
    options: dict[str, Any] = {"method": "gradient", "n_layers": 2, "head": head}
    numbers.of("randomization_check", check, model, few, **options)


def of_session(
    numbers: Numbers,
    model: Any,
    x: Any,
    y: Any,
    *,
    options: Mapping[str, Any] | None = None,
    light: bool = False,
) -> None:
    """What a session says, layer by layer and as a whole.

    It is given a probe that compiles nothing ahead: what runs eagerly and what compiled must
    not hang on which thread was faster.
    """
    import actwidgets as aw
    from actwidgets.probe.keras_probe import KerasProbe

    given = dict(options or {})
    probe = numbers.of("session's probe", KerasProbe, model, x, **given)
    if probe is None:
        return
    head = {"head": given["head"]} if "head" in given else {}
    session = numbers.of("session", aw.Session, probe, x, y, threshold=0.05, **head)
    if session is None:
        return
    for name in ("output", "labels", "targets", "class_names"):
        numbers.of(f"session.{name}", getattr, session, name)
    predictions = named(session, "predictions", "predict")
    numbers.of("session.predictions", predictions)
    numbers.of("session.predictions of rows", predictions, [3, 1])
    numbers.of("session.pictures", session.pictures)
    for name in ("classification_report", "scores", "value_scores"):
        numbers.of(f"session.{name}", lambda name=name: getattr(session, name)())
    confusion = numbers.of("session.confusion", session.confusion)
    if confusion is not None:
        for by in ("row", "column", "all"):
            shares = named(confusion, "normalized", "normalised")
            numbers.of(f"confusion normalized {by}", shares, by)
        numbers.of("confusion worst_pairs", confusion.worst_pairs)
    names = [info.name for info in session.layers]
    for layer in names[:3] + names[-1:] if light else names:
        of_layer(numbers, session, layer, light=light)
    numbers.of("session.profiles of all", session.profiles, every_layer=True)
    numbers.of("session.layer_similarity", session.layer_similarity)
    of_embeddings(numbers, session, names, light=light)
    of_interventions(numbers, session, names)
    of_session_attributions(numbers, session, light=light)
    numbers.of("session.layer is refused", setattr, session, "layer", "no such layer")
    numbers.of("session.sample is refused", session.select, sample=10**6)
    session.close()


def of_layer(numbers: Numbers, session: Any, layer: str, *, light: bool) -> None:
    """What a session says of one layer and a unit of it."""
    session.select(layer=layer, samples=(0, 2), unit=0)
    names = ("maps", "kernels", "receptive_field", "profiles", "similarity", "unit_boxes")
    for name in (*names, "value_range"):
        numbers.of(f"session {layer} {name}", getattr(session, name))
    numbers.of(f"session {layer} maps of rows", session.maps, [4, 1])
    numbers.of(f"session {layer} top_samples", session.top_samples, 5)
    for name in ("peak_values", "peak_positions"):
        numbers.of(f"session {layer} {name}", getattr(session, name), [0, 1, 2])
    for name in ("weights", "activations"):
        numbers.of(f"session {layer} histograms.{name}", getattr(session.histograms, name))
    if not light and session.layer_info.n_units and session.layer_info.n_units > 1:
        session.select(unit=1)
        numbers.of(f"session {layer} unit 1 unit_boxes", session.unit_boxes)
        numbers.of(f"session {layer} unit 1 top_samples", session.top_samples, 5)


def of_embeddings(numbers: Numbers, session: Any, names: Sequence[str], *, light: bool) -> None:
    """Points of the input and of the last layers."""
    methods = ("pca", "features") if light else ("pca", "features", "tsne")
    for of in ("input", names[-1], names[0]):
        for method in methods:
            options = {"of": of, "method": method, "n_points": 60}
            numbers.of(f"embedding {method} of {of}", embedding, session, **options)
    part = named(session, "embeddings", "embedding")
    numbers.of("embedding predicted", part.predicted, 60)
    numbers.of("embedding unit_values", part.unit_values, names[0], 0, 60)


def of_interventions(numbers: Numbers, session: Any, names: Sequence[str]) -> None:
    """Predictions and maps with units switched off, and of perturbed samples."""
    import actwidgets as aw

    predictions = named(session, "predictions", "predict")
    for fill in ("zero", "mean"):
        ablations = (aw.Ablation(names[0], (0,), 0.25, fill),)
        numbers.of(f"ablate {fill}", session.select, ablations=ablations)
        numbers.of(f"ablated predictions {fill}", predictions)
        session.select(layer=names[-1])
        numbers.of(f"ablated maps {fill}", session.maps)
        numbers.of(f"ablated confusion {fill}", session.confusion)
    session.select(ablations=())
    choices: dict[str, dict[str, Any]] = {
        "noise": {"noise": 0.2, "seed": 3},
        "blur, turned": {"blur": 0.8, "rotation": 20.0, "shift_right": 1.0},
        "patch": {"patch": (1, 1, 2, 2), "brightness": 0.1, "contrast": 1.5},
    }
    outputs = named(session, "outputs", "predict")
    for name, choice in choices.items():
        numbers.of(f"perturb {name}", perturb, session, **choice)
        numbers.of(f"perturbed pictures {name}", session.pictures)
        numbers.of(f"perturbed maps {name}", session.maps)
        numbers.of(f"perturbed outputs {name}", outputs, [0, 2], as_shown=True)
    numbers.of("perturb no more", perturb, session)


def of_session_attributions(numbers: Numbers, session: Any, *, light: bool) -> None:
    """Attributions of the samples in view, and the importance of units."""
    part = session.attributions
    for method in ("gradient", "grad_cam"):
        numbers.of(f"session.attributions {method}", asked(part, "get"), method=method)
    if light:
        return
    numbers.of("session faithfulness", part.faithfulness, "gradient", rows=[0])
    check = named(part, "randomization", "randomisation")
    numbers.of("session randomization", check, "gradient", rows=[0])
    numbers.of("session.importance", asked(session.importance, "get"))
    numbers.of("session.class_index", session.select, class_index=1)
    numbers.of("session.importance of class 1", asked(session.importance, "get"))


# --- views and recordings --------------------------------------------------------------------


VIEWS = (
    *(("LayerPicker",), ("SampleGallery",), ("FeatureMapGrid",), ("ClassSimilarityMatrix",)),
    *(("ClassRanking",), ("ClassSeparation", "LayerStrip"), ("UnitBoxPlot",), ("TopSamples",)),
    *(("UnitTable", "UnitList"), ("LayerSimilarity",), ("KernelGrid",), ("ConfusionMatrix",)),
    *(("PredictionTable",), ("ClassCounts",), ("EmbeddingScatter",), ("UnitImportance",)),
    *(("UnitAblation",), ("InputLab",), ("AttributionMap",), ("WeightHistogram",)),
    ("SelectionBar", "Breadcrumbs"),
)


def of_views(numbers: Numbers, session: Any) -> None:
    """Pictures and marks of every view, in whatever order its widgets stand."""
    import actwidgets as aw

    for names in VIEWS:
        view = named(aw, *names)(session)
        for _ in range(5):  # what comes later may ask for more
            session.wait()
            for part in ("attributions", "embeddings", "importance"):
                wait = getattr(getattr(session, part, None), "wait", None)
                if callable(wait):
                    wait()
        numbers.texts[f"{names[0]} error"] = view.error
        pictures, marks = shown(view)
        for index, each in enumerate(sorted(pictures, key=lambda p: (p.shape, p.tobytes()))):
            numbers.arrays[f"view {names[0]} picture {index}"] = each
        for index, each in enumerate(sorted(marks, key=lambda p: (p.shape, p.tobytes()))):
            numbers.arrays[f"view {names[0]} mark {index}"] = each
        view.close()


def shown(view: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pixels of the pictures in a view, and arrays of its marks."""
    from PIL import Image

    pictures, marks = [], []
    for widget in widgets_of(view):
        kind = type(widget).__name__
        if kind == "Image" and isinstance(getattr(widget, "value", None), bytes) and widget.value:
            with Image.open(io.BytesIO(widget.value)) as image:
                pictures.append(np.asarray(image.convert("RGBA")))
        elif kind != "Image" and type(widget).__module__.startswith("bqplot.marks"):
            for name in ("x", "y", "color", "size", "sample"):
                if name in widget.keys:
                    values = np.asarray(getattr(widget, name))
                    if values.size and values.dtype.kind in "fiub":
                        marks.append(values.astype(np.float64))
    return pictures, marks


def widgets_of(widget: Any, seen: set[int] | None = None) -> Iterator[Any]:
    """A widget and all that it is made of."""
    import ipywidgets as w

    seen = set() if seen is None else seen
    if id(widget) in seen:
        return
    seen.add(id(widget))
    yield widget
    for name in ("children", "marks", "image"):
        parts = getattr(widget, name, None)
        parts = parts if isinstance(parts, list | tuple) else [parts]
        for each in parts:
            if isinstance(each, w.Widget):
                yield from widgets_of(each, seen)


def of_recording(numbers: Numbers) -> None:
    """Numbers of a training of two epochs, and of a session over its recording."""
    import keras

    import actwidgets as aw

    keras.utils.set_random_seed(5)
    digits = aw.load_dataset("digits")
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(6, 3, activation="relu", name="conv"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(12, activation="relu", name="dense"),
            keras.layers.Dense(10, activation="softmax", name="classes"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    with tempfile.TemporaryDirectory() as folder:
        recorder = aw.Recorder(model, Path(folder) / "run", digits.x_test[:40], digits.y_test[:40])
        model.fit(
            digits.x_train[:256],
            digits.y_train[:256],
            batch_size=64,
            epochs=2,
            shuffle=False,
            verbose=0,
            callbacks=[recorder.callback],
        )
        numbers.texts["recorder.error"] = recorder.error
        recording = aw.open_recording(Path(folder) / "run")
        of_snapshots(numbers, recording)
        of_recorded_session(numbers, recording)
        of_pictures_carried_off(numbers, recording, Path(folder))
        recorder.close()


def of_snapshots(numbers: Numbers, recording: Any) -> None:
    """What a recording holds, snapshot by snapshot."""
    for name in ("layers", "class_names", "n_samples", "labels", "output", "x"):
        numbers.of(f"recording.{name}", getattr, recording, name)
    numbers.of("recording.history", lambda: without_times(recording.history))
    names = (
        *("activations", "activation_error", "summaries", "summary_error"),
        *("weight_histograms", "activation_histogram", "kernels"),
    )
    for at in range(len(recording.snapshots)):
        numbers.of(f"recording.predictions {at}", recording.predictions, at)
        numbers.of(f"recording.profiles {at}", recording.profiles, at)
        for layer in (info.name for info in recording.layers):
            for name in names:
                numbers.of(f"recording {layer} {name} {at}", getattr(recording, name), layer, at)
    for layer in (info.name for info in recording.layers):
        numbers.of(f"recording {layer} weight_numbers", recording.weight_numbers, layer)


def of_recorded_session(numbers: Numbers, recording: Any) -> None:
    """What a session over a recording says at two snapshots."""
    session = recording.session(at=1)
    for at in (0, 1):
        session.at = at
        for layer in ("conv", "dense"):
            session.select(layer=layer, samples=(0, 2), unit=2)
            for name in ("maps", "profiles", "similarity", "unit_boxes", "top_samples"):
                numbers.of(f"recorded session {at} {layer} {name}", getattr(session, name))
        numbers.of(f"recorded session {at} confusion", session.confusion)
        numbers.of(f"recorded session {at} embedding", embedding, session, of="dense")
    numbers.of("recorded session layer_similarity", session.layer_similarity)
    session.close()


def without_times(history: Any) -> dict[str, Any]:
    """What a history holds, but for how long anything took."""
    return {name: getattr(history, name) for name in public_parts(history) if "second" not in name}


def of_pictures_carried_off(numbers: Numbers, recording: Any, folder: Path) -> None:
    """How many frames an animation has."""
    from PIL import Image

    import actwidgets as aw

    session = recording.session(layer="conv")
    view = aw.FeatureMapGrid(session)

    def frames() -> int:
        recording.save_gif(view, folder / "film.gif")
        with Image.open(folder / "film.gif") as film:
            return int(getattr(film, "n_frames", 1))

    numbers.of("frames of a film", frames)
    view.close()
    session.close()


# --- one build -------------------------------------------------------------------------------


def zoo_cases(root: Path) -> dict[str, Callable[[], Any]]:
    """The models of a checkout's zoo, built with whatever package is on the path."""
    sys.path[:0] = [str(root / "tests" / "probe"), str(root / "tests")]
    cases: dict[str, Callable[[], Any]] = importlib.import_module("model_zoo").CASES
    return cases


def collect(zoo: Path, folder: Path, only: Sequence[str]) -> None:
    """Write a file for each target, in this process; `zoo` is the checkout of the model zoo."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    cases = zoo_cases(zoo)
    for target in (*PUBLISHED, "demo", "recording", *(f"zoo {name}" for name in cases)):
        path = folder / f"{target}.npz"
        if path.exists() or (only and not any(word in target for word in only)):
            continue
        began_s, numbers = time.monotonic(), Numbers()
        keras.utils.clear_session()
        keras.utils.set_random_seed(11)
        if target in PUBLISHED:
            of_published(numbers, target)
        elif target == "demo":
            of_demo(numbers)
        elif target == "recording":
            of_recording(numbers)
        else:
            of_case(numbers, cases[target.removeprefix("zoo ")])
        numbers.save(path)
        sys.stderr.write(
            f"  {target}: {len(numbers.arrays):,} arrays, {len(numbers.texts):,} texts, "
            f"{time.monotonic() - began_s:.0f} s\n"
        )


def of_published(numbers: Numbers, name: str) -> None:
    """A model that somebody else published."""
    import actwidgets as aw

    data_name, prepared = PUBLISHED[name]
    data = aw.load_dataset(data_name, path=os.environ["ACTWIDGETS_DATA"])
    x, y = prepared(data.x_test[:64]), data.y_test[:64]
    model = aw.load_model(Path(os.environ["ACTWIDGETS_MODELS"]) / f"{name}.h5")
    of_functions(numbers, model, x, y, few=x[:2])
    of_session(numbers, model, x, y)


def of_demo(numbers: Numbers) -> None:
    """The model that ships with the package, and every view of it."""
    import actwidgets as aw

    digits = aw.load_dataset("digits")
    x, y = digits.x_test[:120], digits.y_test[:120]
    of_functions(numbers, aw.demo_model(), x, y, few=x[:2])
    of_session(numbers, aw.demo_model(), x, y)
    from actwidgets.probe.keras_probe import KerasProbe

    probe = KerasProbe(aw.demo_model(), x)
    session = aw.Session(probe, x, y, layer="conv_2", sample=3)
    of_views(numbers, session)
    session.select(layer="dense", samples=(1, 4, 5), unit=2, class_index=3)
    in_view = Numbers()
    of_views(in_view, session)
    numbers.arrays |= {f"dense {name}": each for name, each in in_view.arrays.items()}
    session.close()


def of_case(numbers: Numbers, build: Callable[[], Any]) -> None:
    """A model of the zoo."""
    case = build()
    n_samples = len(next(iter(case.x.values())) if isinstance(case.x, dict) else first(case.x))
    y = np.arange(n_samples) % 3
    head = case.options.get("head")

    def some(x: Any) -> Any:
        if isinstance(x, dict):
            return {name: each[:2] for name, each in x.items()}
        return [each[:2] for each in x] if isinstance(x, list) else x[:2]

    of_functions(numbers, case.model, case.x, y, few=some(case.x), head=head, light=True)
    of_session(numbers, case.model, case.x, y, options=case.options, light=True)


def first(x: Any) -> Any:
    """The first of several inputs."""
    return x[0] if isinstance(x, list) else x


# --- two builds ------------------------------------------------------------------------------


def run(root: Path, zoo: Path, folder: Path, only: Sequence[str]) -> None:
    """Have a checkout say its numbers, in a process of its own."""
    environment = os.environ | {
        "PYTHONPATH": str(root),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_DETERMINISTIC_OPS": "1",
        "PYTHONHASHSEED": "0",
    }
    shared = HERE.parent / "shared"
    for variable, name in (("ACTWIDGETS_DATA", "datasets"), ("ACTWIDGETS_MODELS", "models")):
        environment.setdefault(variable, str(shared / name))
    folder.mkdir(parents=True, exist_ok=True)
    sys.stderr.write(f"{root}\n")
    command = [sys.executable, __file__, str(zoo), "--collect", str(folder), "--only", *only]
    subprocess.run(command, env=environment, cwd=root, check=True)


@dataclasses.dataclass
class Difference:
    """What differs between two builds in one target."""

    n_equal: int
    numbers: list[tuple[str, str]]
    errors: list[str]
    texts: list[tuple[str, str, str]]
    only_base: list[str]
    only_new: list[str]


def compare(base: Numbers, new: Numbers) -> Difference:
    """Compare what two builds said of one target."""
    differing: list[tuple[str, str]] = []
    n_equal = 0
    for name in base.arrays.keys() & new.arrays.keys():
        one, other = base.arrays[name], new.arrays[name]
        if one.shape != other.shape:
            differing.append((name, f"shapes {one.shape} and {other.shape}"))
        elif one.dtype != other.dtype:
            differing.append((name, f"dtypes {one.dtype} and {other.dtype}"))
        elif one.tobytes() == other.tobytes() or np.array_equal(
            one, other, equal_nan=one.dtype.kind in "fc"
        ):
            n_equal += 1
        else:
            with np.errstate(all="ignore"):
                gap = np.abs(one.astype(np.float64) - other.astype(np.float64))
                scale = np.nanmax(np.abs(one.astype(np.float64)), initial=0)
            differing.append((name, f"{np.nanmax(gap, initial=0):.3g} of {scale:.3g}"))
    errors = [
        f"{name[:-2]}: {base.texts.get(name, 'no error')} became {new.texts.get(name, 'no error')}"
        for name in base.texts.keys() | new.texts.keys()
        if name.endswith(" !") and base.texts.get(name) != new.texts.get(name)
    ]
    texts = [
        (name, base.texts[name], new.texts[name])
        for name in base.texts.keys() & new.texts.keys()
        if not name.endswith(" !") and base.texts[name] != new.texts[name]
    ]
    return Difference(
        n_equal,
        sorted(differing),
        sorted(errors),
        sorted(texts),
        sorted(base.arrays.keys() - new.arrays.keys()),
        sorted(new.arrays.keys() - base.arrays.keys()),
    )


def report(base: Path, new: Path, limit: int, with_texts: bool, only: Sequence[str] = ()) -> int:
    """Print the table, and return how many numbers differ, or are gone."""
    say = sys.stdout.write
    say(f"{'':44} {'equal':>7} {'differ':>7} {'errors':>7} {'gone':>6} {'new':>6} {'texts':>6}\n")
    details, n_bad = [], 0
    for path in sorted(base.glob("*.npz")):
        if only and not any(word in path.stem for word in only):
            continue
        if not (new / path.name).exists():
            say(f"{path.stem:44} not in the new build\n")
            n_bad += 1
            continue
        found = compare(Numbers.load(path), Numbers.load(new / path.name))
        n_bad += len(found.numbers) + len(found.errors) + len(found.only_base)
        say(
            f"{path.stem:44} {found.n_equal:7,} {len(found.numbers):7,} {len(found.errors):7,} "
            f"{len(found.only_base):6,} {len(found.only_new):6,} {len(found.texts):6,}\n"
        )
        details.append((path.stem, found))
    for target, found in details:
        lines = [f"  {name}: {gap}" for name, gap in found.numbers]
        lines += [f"  {each}" for each in found.errors]
        lines += [f"  gone: {name}" for name in found.only_base]
        if with_texts:
            lines += [f"  text {name}: {old!r} -> {now!r}" for name, old, now in found.texts]
        if lines:
            say(f"\n{target}\n" + "\n".join(lines[:limit]) + "\n")
            if len(lines) > limit:
                say(f"  and {len(lines) - limit:,} more\n")
    return n_bad


def state_of(root: Path) -> str:
    """The commit of a checkout, or "" where files differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(root), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return "" if git("status", "--porcelain", "--", "actwidgets") else git("rev-parse", "HEAD")


def main() -> int:
    """Run both builds and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("base", type=Path)
    parser.add_argument("new", type=Path, nargs="?", default=HERE)
    parser.add_argument("--only", nargs="*", default=[], help="words in names of targets")
    parser.add_argument("--keep", type=Path, help="keep what a commit says, by commit, for later")
    parser.add_argument("--limit", type=int, default=40, help="lines a target")
    parser.add_argument("--texts", action="store_true", help="tell texts that differ, too")
    parser.add_argument("--collect", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.collect:
        collect(options.base.resolve(), options.collect, options.only)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        folders = {"base": Path(temporary) / "base", "new": Path(temporary) / "new"}
        for name, root in (("base", options.base.resolve()), ("new", options.new.resolve())):
            if options.keep and (state := state_of(root)):
                folders[name] = options.keep / state
            run(root, options.base.resolve(), folders[name], options.only)
        n_bad = report(folders["base"], folders["new"], options.limit, options.texts, options.only)
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
