"""The arrows of the architecture, read out of the source."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1] / "actwidgets"
ALLOWED = {
    "errors": set(),
    "core": {"errors"},
    "probe": {"errors", "core"},
    "background": {"core"},
    "background_work": {"background"},
    "_traits": set(),
    "session_numbers": {"errors", "core"},
    "session_readings": {"core", "background", "background_work", "session_numbers"},
    "session_passes": {"errors", "core", "background", "session_readings"},
    "session_predictions": {"errors", "core", "background", "session_passes"},
    "session_jobs": {"errors", "core", "background", "background_work", "session_passes"},
    "session_embeddings": {"errors", "core", "session_jobs", "session_passes"},
    "session_attributions": {"errors", "core", "session_jobs", "session_predictions"},
    "session_importance": {
        *("errors", "core", "background", "background_work", "session_predictions"),
    },
    "session_training": {"core", "session_predictions"},
    "session_histograms": {"errors", "core", "session_passes"},
    "session": {
        *("errors", "core", "background", "_traits", "session_predictions"),
        *("session_attributions", "session_embeddings", "session_importance", "session_training"),
        "session_histograms",
    },
    "finishing": {"errors", "background_work", "session"},
    "export": {"errors", "core", "probe", "finishing"},
    "views": {
        *("errors", "core", "background_work", "session", "recording", "finishing", "_traits"),
        "export",
    },
    "recording": {
        *("errors", "core", "background", "session", "session_jobs", "finishing"),
        *("session_passes", "session_embeddings", "export"),
    },
    "datasets": {"errors", "probe"},
    "linked_sessions": {"errors", "core", "session"},
    "comparison": {"session", "recording", "views", "linked_sessions"},
    "app": {"errors", "core", "probe", "session", "recording", "views", "comparison"},
    "exporting": {"errors", "core", "probe", "datasets", "export"},
    "__main__": {"exporting"},
    "__init__": set(),
}
OUTSIDE = {
    "errors": {"traitlets"},
    "core": {"numpy", "scipy", "sklearn", "PIL", "pandas", "loky"},
    "probe": {"numpy", "keras", "tensorflow", "h5py", "dask", "distributed", "cloudpickle"},
    "background": set(),
    "background_work": {"traitlets"},
    "_traits": {"traitlets"},
    "session_numbers": {"numpy", "traitlets"},
    "session_readings": {"traitlets"},
    "session_passes": {"numpy"},
    "session_predictions": {"numpy"},
    "session_jobs": {"traitlets"},
    "session_embeddings": {"numpy"},
    "session_attributions": {"numpy"},
    "session_importance": {"traitlets"},
    "session_training": set(),
    "session_histograms": {"numpy", "traitlets"},
    "session": {"numpy", "traitlets"},
    "finishing": set(),
    "export": {"numpy", "PIL", "matplotlib", "bqplot", "ipywidgets", "tensorboard"},
    "views": {"numpy", "traitlets", "ipywidgets", "bqplot", "anywidget", "PIL"},
    "recording": {"numpy", "traitlets", "PIL"},
    "datasets": {"numpy", "sklearn"},
    "linked_sessions": {"traitlets"},
    "comparison": {"ipywidgets"},
    "app": {"ipywidgets"},
    "exporting": {"numpy", "pandas"},
    "__main__": set(),
    "__init__": set(),
}
# A session makes a probe of a Keras model, late, so that everything else does without one.
EXCEPTIONS = {
    ("session", "actwidgets.probe.keras_probe"),
    ("recording", "actwidgets.probe.keras_probe"),
}


def _imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {path}"
            yield node.module


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_the_right_way(path):
    layer = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert layer in ALLOWED, f"say in this test what {layer} may import"
    for name in _imports(path):
        first, *rest = name.split(".")
        if first != "actwidgets":
            known = OUTSIDE[layer] | set(sys.stdlib_module_names)
            assert first in known, f"{layer} must not import {name}"
        elif rest and rest[0] != layer and (layer, name) not in EXCEPTIONS:
            assert rest[0] in ALLOWED[layer], f"{layer} must not import {name}"


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("actwidgets", {"tensorflow", "keras", "bqplot", "ipywidgets", "numpy"}),
        (
            "actwidgets.session",
            {"tensorflow", "keras", "bqplot", "ipywidgets", "sklearn", "pandas", "scipy.ndimage"},
        ),
        ("actwidgets.views.feature_map_grid", {"tensorflow", "keras", "matplotlib"}),
        ("actwidgets.probe.cluster.tasks", {"tensorflow", "keras", "dask"}),
        ("actwidgets.recording.recorder", {"tensorflow", "keras", "bqplot", "ipywidgets"}),
        ("actwidgets.app", {"tensorflow", "keras", "matplotlib"}),
        ("actwidgets.__main__", {"tensorflow", "keras", "bqplot", "ipywidgets"}),
        ("actwidgets.export.tensorboard", {"tensorflow", "keras", "tensorboard"}),
    ],
)
def test_importing_it_does_not_load(module, unwanted):
    code = f"import sys, {module}; print({unwanted!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr


def test_every_public_name_is_there():
    import actwidgets as aw

    for name in aw.__all__:
        assert getattr(aw, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'explor'"):
        aw.explor  # noqa: B018
