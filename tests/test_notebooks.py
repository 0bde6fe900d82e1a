"""Every notebook runs from top to bottom, and none is kept with outputs."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from real_data import data_folder

N_IMAGES = {"mnist": (10_240, 600), "fashion_mnist": (1_600, 600), "cifar10": (1_600, 400)}
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def few_images(tmp_path_factory):
    """A folder of the real data sets cut short: the notebooks train on them in seconds."""
    whole, folder = data_folder(), tmp_path_factory.mktemp("data")
    if whole is None:
        return None
    for name, (n_train, n_test) in N_IMAGES.items():
        with np.load(whole / f"{name}.npz") as arrays:
            parts = {"train": slice(n_train), "test": slice(n_test)}
            cut = {
                f"{xy}_{part}": arrays[f"{xy}_{part}"][parts[part]] for xy in "xy" for part in parts
            }
        np.savez(folder / f"{name}.npz", **cut)
    return folder


@pytest.mark.notebook
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(path, few_images, tmp_path, monkeypatch):
    import nbformat  # takes seconds
    from nbclient import NotebookClient

    if few_images is not None:
        monkeypatch.setenv("ACTWIDGETS_DATA", os.fspath(few_images))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("IPYTHONDIR", os.fspath(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
    shown = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    ]
    assert shown, "a notebook of this project shows a widget"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs_and_with_its_kernel(path):
    content = json.loads(path.read_text("utf-8"))
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    for cell in content["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
