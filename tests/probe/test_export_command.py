"""`actwidgets export`, as a script or CI calls it."""

import csv
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

import actwidgets as aw
from actwidgets.__main__ import main
from actwidgets.images.tile_grid import map_sheet

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A folder with a model and data."""
    folder = tmp_path_factory.mktemp("shelf")
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12, 10, 1)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv_1"),
            keras.layers.Conv2D(4, 3, activation="relu", name="file"),  # also a word of numpy's
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(3, activation="softmax", name="out"),
        ]
    )
    model.save(folder / "model.keras")
    random = np.random.default_rng(0)
    x, y = random.random((20, 12, 10, 1)).astype(np.float32), np.arange(20) % 3
    np.savez(folder / "data.npz", x=x, y=y)
    np.save(folder / "x.npy", x)
    np.savetxt(folder / "y.txt", y)
    np.save(folder / "narrow.npy", x[:, :, :5])
    np.save(folder / "bytes.npy", (x * 255).astype(np.uint8))
    (folder / "broken.npz").write_bytes((folder / "data.npz").read_bytes()[:200])
    return folder


@pytest.fixture
def export(shelf, tmp_path, capsys):
    """Run the command in the folder's name; return its exit code, its output and its complaints."""

    def run(data="data.npz", *options, model="model.keras", out=tmp_path / "out"):
        named = str(shelf / data) if "." in data else data
        arguments = ["export", str(shelf / model), "--data", named, "--out", str(out)]
        code = main([*arguments, *map(str, options)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def expected(shelf, rows, layers):
    model = aw.load_model(shelf / "model.keras")
    return aw.activations(model, np.load(shelf / "data.npz")["x"][rows], layers)


def test_pictures_and_values_of_chosen_layers_and_samples(export, shelf, tmp_path):
    code, told, complaints = export("data.npz", "--layers", "conv_1,file", "--samples", "0,5,7")
    assert (code, complaints) == (0, "")
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == {
        *("conv_1.png", "file.png", "activations.npz", "class_profiles.csv"),
    }
    assert "conv_1.png: 3 samples of conv_1; colors from" in told
    wanted = expected(shelf, [0, 5, 7], ["conv_1", "file"])
    with np.load(out / "activations.npz", allow_pickle=False) as found:
        assert found["samples"].tolist() == [0, 5, 7]
        for layer, values in wanted.items():
            np.testing.assert_allclose(found[layer], values, rtol=0, atol=1e-6)
    for layer, values in wanted.items():
        sheet = map_sheet(values, width_px=1200)
        shown = np.asarray(Image.open(out / f"{layer}.png").convert("RGB"))
        difference = np.abs(
            shown.astype(int) - sheet.pixels(background=tuple(map(int, shown[0, 0])))
        )
        assert difference.max() <= 4, "a step of the scale"


def test_class_profiles_are_those_of_all_samples(export, shelf, tmp_path):
    assert export("x.npy", "--labels", shelf / "y.txt", "--layers", "conv_1", "--n", 2)[0] == 0
    with (tmp_path / "out" / "class_profiles.csv").open() as file:
        rows = list(csv.DictReader(file))
    with np.load(shelf / "data.npz") as data:
        model = aw.load_model(shelf / "model.keras")
        profiles = aw.class_profiles(model, data["x"], data["y"], layers=["conv_1"])
    assert {row["layer"] for row in rows} == {"conv_1"}
    assert [int(row["count"]) for row in rows[::4]] == [7, 7, 6]
    found = np.array([float(row["firing_rate"]) for row in rows]).reshape(3, 4)
    np.testing.assert_allclose(found, profiles.firing_rate["conv_1"])


def test_a_film_goes_from_the_input_over_the_layers_that_have_maps(export, shelf, tmp_path):
    code, told, _ = export("data.npz", "--format", "gif", "--n", 2)
    assert (code, os.listdir(tmp_path / "out")) == (0, ["layers.gif"])
    assert "3 frames" in told, "the input, conv_1 and file"
    with Image.open(tmp_path / "out" / "layers.gif") as film:
        assert film.n_frames == 3
        film.seek(1)
        shown = np.asarray(film.convert("RGB"))
    sheet = map_sheet(expected(shelf, [0, 1], ["conv_1"])["conv_1"], width_px=1200)
    pixels = sheet.pixels()
    inner = shown[: pixels.shape[0], : pixels.shape[1]]
    assert np.abs(inner.astype(int) - pixels).max() <= 12


def test_without_labels_there_are_no_profiles_and_layers_default_to_all(export, tmp_path):
    assert export("x.npy")[0] == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("conv_1.png", "file.png", "flatten.png", "out.png", "activations.npz"),
    }


def test_data_may_be_divided(export, shelf, tmp_path):
    code, _, _ = export("bytes.npy", "--divide-by", 255, "--format", "npz", "--layers", "conv_1")
    assert code == 0
    with np.load(tmp_path / "out" / "activations.npz") as found:
        wanted = expected(shelf, list(range(8)), ["conv_1"])["conv_1"]
        np.testing.assert_allclose(found["conv_1"], wanted, atol=0.02)


def test_a_second_export_takes_the_place_of_the_first(export, tmp_path):
    for _ in range(2):
        assert export("x.npy", "--format", "npz")[0] == 0
    assert os.listdir(tmp_path / "out") == ["activations.npz"]


@pytest.mark.parametrize(
    ("data", "options", "told"),
    [
        ("none.npz", (), "there is no file"),
        ("nothing", (), "no data set 'nothing'; there are digits, "),
        ("broken.npz", (), "cannot be read: it is no .npz or .npy file, or not all of one"),
        ("data.npz", ("--layers", "conv_1,conv_9"), "no layer 'conv_9'; this model has conv_1, "),
        ("narrow.npy", (), "x must hold samples of shape (12, 10, 1)"),
        ("data.npz", ("--samples", "0,20"), "sample 20 is outside 0..19"),
        ("data.npz", ("--labels", "none.txt"), "there is no file"),
        ("x.npy", ("--format", "csv"), "need labels: give --labels, or y in the data"),
        (
            "data.npz",
            ("--format", "png,gif", "--layers", "out"),
            "there is no animation (gif) to make",
        ),
        ("data.npz", ("--divide-by", "0"), "--divide-by must be above 0"),
        ("digits", (), "x must hold samples of shape (12, 10, 1)"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(export, tmp_path, data, options, told):
    code, said, complaints = export(data, *options)
    assert (code, said) == (1, "")
    assert told in complaints
    assert complaints.startswith("actwidgets: ")
    assert complaints.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_labels_of_another_number_or_outside_the_classes_are_refused(export, shelf, tmp_path):
    np.savetxt(tmp_path / "few.txt", [0, 1, 2])
    np.savetxt(tmp_path / "odd.txt", np.arange(20))
    assert "20 samples and 3 labels" in export("x.npy", "--labels", tmp_path / "few.txt")[2]
    assert (
        "y holds 19, but there are 3 classes"
        in (export("x.npy", "--labels", tmp_path / "odd.txt")[2])
    )
    assert not (tmp_path / "out").exists()


def test_no_such_model_and_something_that_is_none(export, tmp_path):
    assert "there is no model file" in export(model="none.keras")[2]
    code, _, complaints = export(model="data.npz")
    assert code == 1
    assert complaints.startswith("actwidgets: ")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_refused(export, tmp_path):
    (tmp_path / "notes").write_text("mine")
    code, _, complaints = export(out=tmp_path / "notes" / "below")
    assert code == 1
    assert "is a file; name a folder" in complaints
    assert (tmp_path / "notes").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--format", "png,bmp"), "no format bmp; there are png, npz, gif, csv"),
        (("--samples", "0,-3"), "rows are whole numbers from 0 on"),
        (("--n", "0"), "at least 1 is needed; got 0"),
        (("--n", "2", "--samples", "1"), "not allowed with"),
        (("--layers", ","), "name at least one layer"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_the_parser(capsys, options, told):
    with pytest.raises(SystemExit) as ended:
        main(["export", "model.keras", "--data", "digits", "--out", "out", *options])
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_in_a_terminal_it_loads_no_widgets(shelf, tmp_path):
    code = (
        "import sys; from actwidgets.__main__ import main; code = main(sys.argv[1:]);"
        "print({'ipywidgets', 'bqplot'} & set(sys.modules)); sys.exit(code)"
    )
    arguments = [shelf / "model.keras", "--data", shelf / "x.npy", "--out", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, "export", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"
    assert "Traceback" not in done.stderr
