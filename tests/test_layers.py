"""The arrows of the architecture, read out of the source."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1] / "actwidgets"
ROOMS = (  # imports point only up this list, or within a row
    {"errors"},
    {"core", "images", "training"},
    {"probe"},
    {"session"},
    {"datasets"},
    {"recording", "export"},
    {"views"},
    {"app"},
    {"__main__", "__init__", "server_extension"},
)
OUTSIDE = {
    "errors": {"traitlets"},
    "core": {"numpy", "scipy", "sklearn", "pandas"},
    "images": {"numpy", "PIL"},
    "probe": {"numpy", "keras", "tensorflow", "h5py", "dask", "distributed", "cloudpickle"},
    "session": {"numpy", "traitlets", "sklearn", "loky"},
    "recording": {"numpy", "traitlets", "PIL"},
    "datasets": {"numpy", "sklearn"},
    "training": {"numpy"},
    "export": {
        "numpy",
        "pandas",
        "PIL",
        "bqplot",
        "ipywidgets",
        "matplotlib",
        "tensorboard",
        "traitlets",
    },
    "views": {"numpy", "traitlets", "ipywidgets", "bqplot", "anywidget", "comm", "PIL"},
    "app": {"ipywidgets"},
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
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    (rank,) = (rank for rank, row in enumerate(ROOMS) if room in row)
    allowed = set().union(*ROOMS[: rank + 1])
    for name in _imports(path):
        first, *rest = name.split(".")
        if first != "actwidgets":
            known = OUTSIDE.get(room, set()) | set(sys.stdlib_module_names)
            assert first in known, f"{room} must not import {name}"
        elif rest:
            assert rest[0] in allowed or (room, name) in EXCEPTIONS, (
                f"{room} must not import {name}"
            )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("actwidgets", {"tensorflow", "keras", "bqplot", "ipywidgets", "numpy"}),
        (
            "actwidgets.session.session",
            {"tensorflow", "keras", "bqplot", "ipywidgets", "sklearn", "pandas", "scipy.ndimage"},
        ),
        ("actwidgets.views.feature_map_grid", {"tensorflow", "keras", "matplotlib"}),
        ("actwidgets.probe.dask", {"tensorflow", "keras", "dask"}),
        ("actwidgets.recording.recorder", {"tensorflow", "keras", "bqplot", "ipywidgets"}),
        ("actwidgets.app", {"tensorflow", "keras", "matplotlib"}),
        ("actwidgets.__main__", {"tensorflow", "keras", "bqplot", "ipywidgets"}),
        ("actwidgets.server_extension", {"tensorflow", "keras", "bqplot", "ipywidgets", "numpy"}),
        ("actwidgets.export.tensorboard", {"tensorflow", "keras", "tensorboard"}),
    ],
)
def test_importing_it_does_not_load(module, unwanted):
    code = f"import sys, {module}; print({unwanted!r} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stdout + done.stderr


@pytest.mark.keras
def test_every_public_name_is_there():
    import actwidgets as aw

    for name in aw.__all__:
        assert getattr(aw, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'explor'"):
        aw.explor  # noqa: B018
