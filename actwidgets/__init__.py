"""Jupyter widgets bound to a live Keras model.

Names are looked up when they are first used, so that `import actwidgets` loads neither
TensorFlow nor bqplot.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "explore": "app",
    "Session": "session",
    "LayerPicker": "views.layer_picker",
    "SampleGallery": "views.sample_gallery",
    "FeatureMapGrid": "views.feature_map_grid",
    "ClassSimilarityMatrix": "views.class_similarity_matrix",
    "ClassRanking": "views.class_ranking",
    "LayerStrip": "views.layer_strip",
    "UnitBoxPlot": "views.unit_box_plot",
    "TopSamples": "views.top_samples",
    "UnitList": "views.unit_list",
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
    "Breadcrumbs": "views.breadcrumbs",
    "TrainingMonitor": "views.training_monitor",
    "WeightHistogram": "views.weight_histogram",
    "EpochSlider": "views.epoch_slider",
    "Recorder": "recording.recorder",
    "Recording": "recording.recording",
    "open_recording": "recording.recording",
    "TensorBoardActivations": "export.tensorboard_callback",
    "Ablation": "core.interventions.ablation",
    "Disturbance": "core.interventions.disturbance",
    "classification_report": "core.predictions.classification_report",
    "confusion": "core.predictions.confusion",
    "layers": "probe.numbers",
    "activations": "probe.numbers",
    "predict": "probe.numbers",
    "class_profiles": "probe.numbers",
    "kernels": "probe.numbers",
    "attribute": "probe.attributions.attribute",
    "attribution_methods": "core.attributions.methods",
    "faithfulness": "probe.attributions.faithfulness",
    "randomisation_check": "probe.attributions.randomisation_check",
    "Attribution": "core.attributions.attribution",
    "Partitions": "probe.cluster.partitions",
    "cka": "core.representations.cka",
    "layer_similarity": "probe.representation",
    "ClassProfiles": "core.profiles.class_profiles",
    "LayerInfo": "core.layer_info",
    "load_dataset": "datasets",
    "Dataset": "datasets",
    "load_model": "probe.model_files",
    "class_names_of": "probe.labels_file",
    "demo_model": "probe.demo_model",
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
