"""Jupyter widgets bound to a live Keras model.

Names are looked up when they are first used, so that `import actwidgets` loads neither
TensorFlow nor bqplot.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "explore": "app",
    "Session": "session.session",
    "LayerPicker": "views.layer_picker",
    "SampleGallery": "views.sample_gallery",
    "FeatureMapGrid": "views.feature_map_grid",
    "ClassSimilarityMatrix": "views.class_similarity_matrix",
    "ClassRanking": "views.class_ranking",
    "ClassSeparation": "views.class_separation",
    "UnitBoxPlot": "views.unit_box_plot",
    "TopSamples": "views.top_samples",
    "UnitTable": "views.unit_table",
    "LayerSimilarity": "views.layer_similarity",
    "KernelGrid": "views.kernel_grid",
    "ConfusionMatrix": "views.confusion_matrix",
    "PredictionTable": "views.prediction_table",
    "ClassCounts": "views.class_counts",
    "EmbeddingScatter": "views.embedding_scatter",
    "UnitImportance": "views.unit_importance",
    "UnitAblation": "views.unit_ablation",
    "InputLab": "views.input_lab",
    "AttributionMap": "views.attribution_map",
    "SelectionBar": "views.selection_bar",
    "TrainingMonitor": "views.training_monitor",
    "WeightHistogram": "views.weight_histogram",
    "EpochSlider": "views.epoch_slider",
    "Recorder": "recording.recorder",
    "Recording": "recording.replay",
    "open_recording": "recording.replay",
    "TensorBoardActivations": "export.tensorboard_callback",
    "Ablation": "core.ablation",
    "Perturbation": "core.perturbation",
    "classification_report": "core.confusion",
    "confusion": "core.confusion",
    "layers": "probe.functions",
    "activations": "probe.functions",
    "predict": "probe.functions",
    "class_profiles": "probe.functions",
    "kernels": "probe.functions",
    "attribute": "probe.attribute",
    "attribution_methods": "core.attribution.registry",
    "faithfulness": "probe.attribute",
    "randomization_check": "probe.attribute",
    "Attribution": "core.attribution.base",
    "Partitions": "probe.dask",
    "cka": "core.cka",
    "layer_similarity": "probe.functions",
    "ClassProfiles": "core.class_profiles",
    "LayerInfo": "core.layers",
    "load_dataset": "datasets",
    "Dataset": "datasets",
    "load_model": "probe.load_model",
    "class_names_of": "probe.model_file",
    "demo_model": "probe.functions",
    "ActwidgetsError": "errors",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
