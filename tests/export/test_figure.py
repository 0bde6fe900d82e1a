"""Every view as a matplotlib figure: its texts, its data, its pictures, and files of it."""

import io
import logging
import sys
import threading
from pathlib import Path

import ipywidgets as w
import matplotlib
import numpy as np
import pytest
from fakes import VIEWS, view_of
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import actwidgets as aw
from actwidgets.app import Workbench
from actwidgets.errors import ActwidgetsError, DataError
from actwidgets.export.animation import save_contact_sheet, save_gif
from actwidgets.images.colormap import GAP
from actwidgets.session.session import Session
from actwidgets.views.base import View
from actwidgets.views.comparison import Comparison
from actwidgets.views.controls import hint
from actwidgets.views.picture import Picture

PAPER = {"light": (255, 255, 255), "dark": (17, 17, 17)}
TITLES = {  # what a reader of the figure is told at least
    "LayerPicker": ["Layers", "Conv2D", "Dense"],
    "SampleGallery": ["Samples", "✓ shirt"],
    "FeatureMapGrid": ["Feature maps", "conv · Conv2D"],
    "ClassSimilarityMatrix": ["Class similarity", "metric: ", "shirt", "coat"],
    "UnitBoxPlot": ["Unit 0 by class", "quartile", "coat"],
    "ConfusionMatrix": ["Confusion matrix", "predicted", "true", "precision", "shirt"],
    "PredictionTable": ["Predictions", "confid.", "shirt"],
    "ClassCounts": ["Samples by class", "shirt"],
    "EmbeddingScatter": ["Embedding of samples", "method: PCA", "shirt"],
    "UnitImportance": ["Unit importance"],
    "InputLab": ["Input lab", "brightness: "],
    "AttributionMap": ["method: "],
    "WeightHistogram": ["conv"],
}


def texts(figure):
    """Every text of a figure."""
    return [each.get_text() for each in figure.findobj(Text) if each.get_text()]


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def pictures_in(widget):
    """Every picture of pixels in a tree that is on show."""
    folded = (widget.layout.height, widget.layout.display)
    if "0px" in folded or "none" in folded:
        return
    if isinstance(widget, Picture) and widget.image.value:
        yield widget
    for child in getattr(widget, "children", ()):
        yield from pictures_in(child)


def decoded(picture):
    return np.asarray(Image.open(io.BytesIO(picture.image.value)).convert("RGBA"))


def region(figure, axes, scale):
    """The pixels of a PNG where some axes lie."""
    shown = pixels(png_of(figure, scale))
    height, width = shown.shape[:2]
    place = axes.get_position()
    rows = slice(round((1 - place.y1) * height), round((1 - place.y0) * height))
    return shown[rows, round(place.x0 * width) : round(place.x1 * width)]


def png_of(figure, scale=1):
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=96 * scale, facecolor=figure.get_facecolor())
    return file.getvalue()


@pytest.mark.parametrize("name", VIEWS)
def test_every_view_is_a_figure_with_its_texts_and_its_pictures(session, name, caplog):
    session.samples = (0, 4, 9)
    view = view_of(name, session)
    with caplog.at_level(logging.WARNING):
        figure = view.figure()
    assert isinstance(figure, Figure)
    assert not view.error
    assert not caplog.records, "something cannot be drawn"
    told = texts(figure)
    for title in TITLES.get(name, []):
        assert any(title in each for each in told), told
    for text in view.findings if hasattr(view, "findings") else []:
        assert text in told
    arrays = [image.get_array() for axes in figure.axes for image in axes.images]
    for picture in pictures_in(view):
        assert any(np.array_equal(decoded(picture), each) for each in arrays)
        for word in picture.words.text if picture.words in picture.figure.marks else []:
            assert not word or word in told


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("scale", [1, 2, 3])
def test_pixels_of_a_picture_are_squares_of_whole_pixels(session, theme, scale):
    session.samples = (1, 2)
    view = aw.FeatureMapGrid(session)
    png = view._maps.image.value
    codes = np.asarray(Image.open(io.BytesIO(png)))
    zoom = view._maps._size[0] // codes.shape[0]
    wanted = np.where((codes == GAP)[..., None], np.uint8(PAPER[theme]), pixels(png))
    figure = view.figure(theme)
    axes = next(
        axes
        for axes in figure.axes
        if axes.images and np.array_equal(axes.images[0].get_array(), decoded(view._maps))
    )
    np.testing.assert_array_equal(
        region(figure, axes, scale), wanted.repeat(zoom * scale, 0).repeat(zoom * scale, 1)
    )


def test_numbers_of_a_plot_are_those_of_its_axes(session):
    view = aw.UnitBoxPlot(session)
    figure = view.figure()
    axes = next(axes for axes in figure.axes if axes.patches)
    boxes = session.unit_boxes()
    known = np.isfinite(boxes.fives).all(axis=1)
    edges = [box.get_path().vertices[:, 1] for box in axes.patches]
    np.testing.assert_allclose([(each.min(), each.max()) for each in edges],
                               boxes.fives[known][:, [1, 3]])  # fmt: skip
    assert [label.get_text() for label in axes.get_xticklabels()][:2] == ["shirt", "coat"]
    matrix = aw.ClassSimilarityMatrix(session).figure()
    values = next(axes.images[0].get_array() for axes in matrix.axes if axes.images)
    wanted = session.profiles().similarity("conv", "mean", "euclidean")
    np.testing.assert_allclose(values[::-1][:2, :2], wanted[:2, :2], rtol=1e-6)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_same_state_gives_the_same_files(session, tmp_path, theme):
    first, again = aw.ConfusionMatrix(session), aw.ConfusionMatrix(session)
    assert first.png(theme=theme) == again.png(theme=theme) == first.png(theme=theme)
    assert tuple(pixels(first.png(theme=theme))[0, 0]) == PAPER[theme]


def test_vector_graphics_hold_texts_and_pictures(session, tmp_path):
    view = aw.FeatureMapGrid(session)
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        view.save_svg(tmp_path / "maps.svg")
    svg = (tmp_path / "maps.svg").read_text("utf-8")
    assert "Feature maps" in svg
    assert svg.count("<image") >= 2
    view.save_pdf(tmp_path / "maps.pdf")
    pdf = (tmp_path / "maps.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert "<dc:date>" not in svg
    assert b"CreationDate" not in pdf


def test_a_picture_is_saved_at_twice_the_size(session, tmp_path):
    view = aw.FeatureMapGrid(session)
    view.save_png(tmp_path / "maps.png")
    saved = Image.open(tmp_path / "maps.png")
    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.dpi": 30}):  # a notebook's
        once = Image.open(io.BytesIO(view.png()))
    assert saved.size == (2 * once.width, 2 * once.height)
    assert [path.name for path in tmp_path.iterdir()] == ["maps.png"]
    with pytest.raises(DataError, match="cannot be written"):
        view.save_png(tmp_path / "nowhere" / "maps.png")


@pytest.mark.parametrize("name", ["x.jpg", "x.PNG.html", "x.gifv"])
def test_a_name_that_promises_another_format_is_refused(session, tmp_path, name):
    view = aw.LayerPicker(session)
    for suffix in ("png", "svg", "pdf"):
        right = Path(name).stem + "." + suffix
        told = rf"written as {suffix.upper()}; got '.*{name}': give '.*{right}'"
        with pytest.raises(DataError, match=told):
            getattr(view, f"save_{suffix}")(tmp_path / name)
    with pytest.raises(DataError, match=rf"contact sheets are written as PNG; got '.*{name}'"):
        save_contact_sheet(view, tmp_path / name, over="layers")
    with pytest.raises(DataError, match=rf"animations are written as GIF; got '.*{name}'"):
        save_gif(view, tmp_path / name, over="layers")
    assert not list(tmp_path.iterdir())
    for good in ("x.png", "y.PNG", "no ending"):
        view.save_png(tmp_path / good)
        assert (tmp_path / good).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"theme": "blue"}, "no theme 'blue'; there are light, dark"),
        ({"theme": ["light"]}, r"no theme \['light'\]"),
        ({"scale": 0}, "scale must be a number above 0 and up to 16; got 0"),
        ({"scale": "2"}, "scale must be .*; got '2'"),
        ({"scale": None}, "got None"),
        ({"scale": 17}, "got 17"),
        ({"within_s": None}, "within_s must be a number of at least 0; got None"),
        ({"within_s": -1}, "got -1"),
        ({"scale": float("nan")}, "got nan"),
    ],
)
def test_what_cannot_be_drawn_is_refused(session, tmp_path, options, told):
    view = aw.LayerPicker(session)
    kept = tmp_path / "kept.png"
    kept.write_bytes(b"before")
    with pytest.raises(DataError, match=told):
        view.save_png(kept, **options)
    method = view.figure if "within_s" in options else view.png
    with pytest.raises(DataError, match=told):
        method(**options)
    assert kept.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["kept.png"]


def test_without_matplotlib_a_sentence_says_how_to_install_it(session, tmp_path, monkeypatch):
    for name in [*sys.modules]:
        if name.startswith(("matplotlib", "actwidgets.export.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("actwidgets.export.figure")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    view = aw.LayerPicker(session)
    for fails in (view.figure, view.png, lambda: view.save_pdf(tmp_path / "x.pdf")):
        with pytest.raises(ActwidgetsError, match=r'pip install "actwidgets\[export\]"'):
            fails()
    assert not list(tmp_path.iterdir())


def test_pyplot_and_its_settings_are_left_alone(session):
    before = dict(matplotlib.rcParams)
    was_loaded = "matplotlib.pyplot" in sys.modules
    with matplotlib.rc_context({"axes.grid": True, "text.usetex": True, "axes.facecolor": "red"}):
        png = aw.UnitBoxPlot(session).png()
    assert png == aw.UnitBoxPlot(session).png()
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) == was_loaded


def side_by_side(session):
    x = np.zeros((session.n_samples, 6, 8, 1), np.float32)
    return Comparison({"other": Session(session.model, x), "this": session})


@pytest.mark.parametrize("kind", [aw.ConfusionMatrix, Workbench, side_by_side])
def test_nothing_changes_while_it_is_drawn(session, kind, monkeypatch):
    free = []

    def look(*_):
        thread = threading.Thread(
            target=lambda: free.append(session.lock._lock.acquire(timeout=0.01))
        )
        thread.start()
        thread.join()
        return Figure()

    monkeypatch.setattr("actwidgets.export.figure.figure_of", look)
    kind(session).png()
    assert free == [False]


def test_a_workbench_shows_the_page_that_is_open(session):
    app = Workbench(session)
    first = texts(app.figure())
    assert any("Feature maps" in each for each in first)
    app.pages.turn_to("units")
    then = texts(app.figure())
    assert any("Unit 0 by class" in each for each in then)
    assert not any("Feature maps" in each for each in then)
    assert not app.error


def test_a_comparison_lays_its_models_side_by_side(probe, data):
    sessions = {name: Session(probe, *data) for name in ("before", "after")}
    figure = Comparison(sessions).figure()
    lefts = {each.get_text(): each.get_window_extent().x0 for each in figure.findobj(Text)}
    assert lefts["after"] - lefts["before"] > 400
    sessions["before"].sample = 2
    assert sessions["after"].sample == 2  # still linked


@pytest.mark.expects_error
def test_a_failure_is_drawn_in_its_banner(session, probe):
    view = aw.FeatureMapGrid(session)
    probe.fails_on = ("dense",)
    session.layer = "dense"
    assert view.error
    assert any("nothing finite in <maps>" in each for each in texts(view.figure()))


def test_names_of_any_length_and_script_are_texts_as_they_are(probe, data):
    names = ("a_$x^2$_b", "naïve café", "×→–" + "<b>long</b>" * 20)
    session = Session(probe, *data, class_names=names)
    for name in ("ConfusionMatrix", "UnitBoxPlot", "SampleGallery", "ClassSimilarityMatrix"):
        figure = view_of(name, session).figure()
        told = texts(figure)
        assert any("a_$" in each for each in told)
        assert any("naï" in each for each in told)
        assert not any(each.get_parse_math() for each in figure.findobj(Text) if each.get_text())
        assert png_of(figure)


def test_what_a_mouse_can_do_is_left_out(session):
    view = aw.EmbeddingScatter(session)
    session.embeddings.wait()
    shown = view.png()
    view._hint.value = hint("other words")
    assert view.png() == shown


def test_a_trait_of_a_view_is_not_in_the_way():
    assert not {"figure", "png", "save_png", "save_svg", "save_pdf"} & set(View.class_trait_names())
    assert not hasattr(w.VBox, "figure")
