"""Every view as a picture, without a browser."""

import inspect
import io
import logging
import threading
from pathlib import Path

import bqplot as bq
import ipywidgets as w
import numpy as np
import pytest
import traitlets as t
from ipywidgets.widgets.widget_description import DescriptionWidget
from PIL import Image
from recorded_training import MemoryRecording

import actwidgets as aw
from actwidgets.app import Workbench
from actwidgets.comparison import Comparison
from actwidgets.core.pictures.colormaps import GAP
from actwidgets.errors import DataError
from actwidgets.recording.films import save_contact_sheet, save_gif
from actwidgets.recording.recorded_session import RecordedSession
from actwidgets.session import Session
from actwidgets.views._closing import with_all_they_hold
from actwidgets.views._picture import Picture
from actwidgets.views.base import View
from actwidgets.views.painting import figures
from actwidgets.views.painting.paint import paint

VIEWS = [
    name
    for name in aw.__all__
    if inspect.isclass(getattr(aw, name, None)) and issubclass(getattr(aw, name), View)
]
PAPER = {"light": (255, 255, 255), "dark": (17, 17, 17)}


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def made(name, session):
    view = getattr(aw, name)
    if name == "EpochSlider":
        return view(RecordedSession(MemoryRecording()))
    return view(session, session) if name == "LayerSimilarity" else view(session)


def pictures_in(widget):
    """Every picture of pixels in a tree that is on show."""
    if isinstance(widget, w.DOMWidget) and widget.layout.display == "none":
        return
    if isinstance(widget, Picture):
        yield widget
    for child in getattr(widget, "children", ()):
        yield from pictures_in(child)


def holds(whole, part, seen):
    """Whether a picture holds another, where `seen` says that pixels count."""
    rows, columns = np.nonzero(seen)
    first = rows[0], columns[0]
    wanted = part[first]
    candidates = np.argwhere((whole == wanted).all(axis=2))
    height, width = part.shape[:2]
    for row, column in candidates:
        top, left = row - first[0], column - first[1]
        if top < 0 or left < 0:
            continue
        box = whole[top : top + height, left : left + width]
        if box.shape == part.shape and (box == part)[seen].all():
            return True
    return False


def on_screen(picture):
    """A picture as its PNG says, enlarged to the size that it has on the screen."""
    image = Image.open(io.BytesIO(picture.image.image.value)).convert("RGBA")
    layout = picture.figure.layout
    size = int(layout.width.removesuffix("px")), int(layout.height.removesuffix("px"))
    return np.asarray(image.resize(size, Image.Resampling.NEAREST))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", VIEWS)
def test_every_view_is_painted_with_its_pictures(session, name, theme, caplog):
    session.samples = (0, 4, 9)
    view = made(name, session)
    with caplog.at_level(logging.WARNING):
        shown = pixels(view.png(theme=theme))
    assert not view.error
    assert not caplog.records, "something cannot be painted"
    assert (shown[0, 0] == PAPER[theme]).all()
    assert (shown != PAPER[theme]).any(axis=2).sum() > 100  # words at least
    for picture in pictures_in(view):
        if picture._size and picture.image.image.value and min(picture._size) > 1:
            wanted = on_screen(picture)
            words = picture.words in picture.figure.marks and len(picture.words.text)
            if (wanted[..., 3] == 255).any() and not words:
                assert holds(shown, wanted[..., :3], wanted[..., 3] == 255)


@pytest.mark.parametrize("name", VIEWS)
def test_no_label_shows_null_as_its_tooltip(session, name):
    labelled = [
        each
        for each in with_all_they_hold([made(name, session)])
        if isinstance(each, DescriptionWidget) and each.description
    ]
    assert [each.description for each in labelled if each.tooltip is None] == []


def hovered(name, session):
    """A view with the mouse over a cell that has something to tell, or that has no such cell."""
    view = made(name, session)
    for each in with_all_they_hold([view]):
        if isinstance(each, bq.GridHeatMap) and each._hover_handlers.callbacks:
            for row, column in np.ndindex(*np.shape(each.color)):
                cell = {"rowNum": row, "columnNum": column, "color": 0}
                each._handle_custom_msgs(None, {"event": "hover", "data": cell})
                if view._readout.value != "&nbsp;":
                    return view, True
    return view, False


@pytest.mark.parametrize("name", VIEWS)
def test_what_the_mouse_told_is_gone_once_it_has_left(session, name):
    session.select(samples=(0, 4, 9), layer="conv")
    view, is_hovered = hovered(name, session)
    if not is_hovered:
        assert view._readout is None or name == "KernelGrid"  # the fake model has no kernels
        return
    told = view._readout.value
    view._repaint()
    assert view._readout.value == told  # the mouse is still there
    view.children[-1].click()  # as the page does
    assert view._readout.value == "&nbsp;"
    view._repaint()
    assert view._readout.value == "&nbsp;"


@pytest.mark.parametrize("name", VIEWS)
def test_no_scale_is_both_reversed_and_told_its_order(session, name):
    # bqplot turns such an order round where it gets both at once, as after a page is reloaded.
    for each in with_all_they_hold([made(name, session)]):
        if isinstance(each, bq.OrdinalScale):
            assert not (each.reverse and each.domain)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_mosaic_of_maps_is_its_palette_pixel_by_pixel(session, theme):
    session.samples = (1, 2)
    view = aw.FeatureMapGrid(session)
    png = view._maps.image.image.value
    codes = np.asarray(Image.open(io.BytesIO(png)))
    wanted = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    zoom = view._maps._size[0] // codes.shape[0]
    shown = pixels(view.png(scale=1, theme=theme))
    wanted = np.where((codes == GAP)[..., None], np.uint8(PAPER[theme]), wanted)
    wanted = wanted.repeat(zoom, axis=0).repeat(zoom, axis=1)
    assert holds(shown, wanted, np.ones(wanted.shape[:2], bool))


@pytest.mark.parametrize("scale", [2, 3])
def test_larger_scales_repeat_pixels(session, scale):
    view = aw.FeatureMapGrid(session)
    wanted = on_screen(view._maps).repeat(scale, axis=0).repeat(scale, axis=1)
    assert holds(pixels(view.png(scale=scale)), wanted[..., :3], wanted[..., 3] == 255)


def test_the_same_state_gives_the_same_bytes(session):
    view = aw.ConfusionMatrix(session)
    before = view.png()
    assert view.png() == before
    session.select(layer="dense")
    session.select(layer="conv")
    assert view.png() == before
    assert aw.ConfusionMatrix(session).png() == before


def side_by_side(session):
    x = np.zeros((session.n_samples, 6, 8, 1), np.float32)
    return Comparison({"other": Session(session.model, x), "this": session})


@pytest.mark.parametrize("kind", [aw.ConfusionMatrix, Workbench, side_by_side])
def test_nothing_changes_while_it_is_painted(session, kind, monkeypatch):
    free = []

    def look(*_):
        thread = threading.Thread(
            target=lambda: free.append(session.lock._lock.acquire(timeout=0.01))
        )
        thread.start()
        thread.join()
        return b""

    monkeypatch.setattr("actwidgets.views.painting.paint.paint", look)
    kind(session).png()
    assert free == [False]


def test_controls_and_what_is_hidden_are_left_out(caplog):
    text = w.HTML("<b>seen</b>")
    alone = paint(w.VBox([text]))
    button = w.Button(description="press")
    hidden = w.HTML("<b>hidden</b>", layout={"display": "none"})
    folded = w.VBox([w.HTML("folded")], layout={"height": "0px"})
    empty = w.HTML("&nbsp;")
    sheet = w.HTML("<style>.a { color: red }</style>")
    box = w.VBox([button, hidden, text, w.IntSlider(), folded, empty, sheet, w.Text("x")])
    assert paint(box) == alone
    assert not caplog.records


def test_what_nobody_knows_is_left_out_and_told_once(caplog, monkeypatch):
    class Strange(w.DOMWidget):
        pass

    class StrangeMark(bq.Mark):
        pass

    monkeypatch.setattr(figures, "_told", set())
    text = w.HTML("seen")
    strange = bq.Figure(marks=[StrangeMark(scales={})], layout={"width": "40px", "height": "30px"})
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            paint(w.VBox([text, Strange(), strange]))
    assert [record.args for record in caplog.records] == [("Strange",), ("StrangeMark",)]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"theme": "blue"}, "no theme 'blue'; there are light, dark"),
        ({"scale": 0}, "above 0 and up to 16; got 0"),
        ({"scale": float("nan")}, "got nan"),
    ],
)
def test_what_cannot_be_painted_is_refused(session, tmp_path, options, told):
    view = aw.LayerPicker(session)
    kept = tmp_path / "kept.png"
    kept.write_bytes(b"before")
    with pytest.raises(DataError, match=told):
        view.save_png(kept, **options)
    assert kept.read_bytes() == b"before"


def test_a_picture_is_saved_at_twice_the_size(session, tmp_path):
    view = aw.FeatureMapGrid(session)
    view.save_png(tmp_path / "maps.png")
    saved = Image.open(tmp_path / "maps.png")
    once = Image.open(io.BytesIO(view.png()))
    assert saved.size == (2 * once.width, 2 * once.height)
    assert [path.name for path in tmp_path.iterdir()] == ["maps.png"]
    with pytest.raises(DataError, match="cannot be written"):
        view.save_png(tmp_path / "nowhere" / "maps.png")


@pytest.mark.parametrize("name", ["x.svg", "x.pdf", "x.jpg", "x.PNG.html"])
def test_a_name_that_promises_another_format_is_refused(session, tmp_path, name):
    view = aw.LayerPicker(session)
    right = Path(name).stem + ".png"
    with pytest.raises(DataError, match=rf"written as PNG; got '.*{name}': give '.*{right}'"):
        view.save_png(tmp_path / name)
    with pytest.raises(DataError, match=rf"contact sheets are written as PNG; got '.*{name}'"):
        save_contact_sheet(view, tmp_path / name, over="layers")
    with pytest.raises(DataError, match=rf"films are written as GIF; got '.*{name}'"):
        save_gif(view, tmp_path / name, over="layers")
    assert not list(tmp_path.iterdir())
    for good in ("x.png", "y.PNG", "no ending"):
        view.save_png(tmp_path / good)
        assert (tmp_path / good).read_bytes().startswith(b"\x89PNG")


def test_a_workbench_shows_the_page_that_is_open(session):
    app = Workbench(session)
    first = pixels(app.png())
    app.pages.turn_to("units")
    assert not np.array_equal(first, pixels(app.png()))
    assert not app.error


def test_a_comparison_lays_its_models_side_by_side(probe, data):
    sessions = {name: Session(probe, *data) for name in ("before", "after")}
    comparison = Comparison(sessions)
    shown = Image.open(io.BytesIO(comparison.png()))
    assert shown.width > 1300
    sessions["before"].sample = 2
    assert sessions["after"].sample == 2  # still linked


@pytest.mark.expects_error
def test_a_failure_is_painted_in_its_banner(session, probe):
    view = aw.FeatureMapGrid(session)
    quiet = pixels(view.png())
    probe.fails_on = ("dense",)
    session.layer = "dense"
    assert view.error
    shown = pixels(view.png())
    red = (shown == (217, 83, 79)).all(axis=2).sum()
    assert red > 20
    assert not (quiet == (217, 83, 79)).all(axis=2).any()


def test_names_of_any_length_and_script_are_painted(probe, data):
    names = ("<b>bold</b>" * 20, "naïve café 日本語 " * 9, "×→–")
    session = Session(probe, *data, class_names=names)
    for name in ("ConfusionMatrix", "UnitBoxPlot", "SampleGallery", "ClassSimilarityMatrix"):
        assert made(name, session).png()


def test_a_trait_of_a_view_is_not_in_the_way():
    assert not {"png", "save_png"} & set(View.class_trait_names())
    assert issubclass(View, t.HasTraits)
