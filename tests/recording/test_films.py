"""Films of views, decoded and compared with what the views show."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import traitlets as t
from fakes import FakeProbe
from PIL import Image, ImageSequence

from actwidgets.core.pictures.gif import colour_error, on_one_size
from actwidgets.errors import DataError
from actwidgets.recording import films
from actwidgets.recording.films import frames_of, save_contact_sheet, save_gif
from actwidgets.session import Session
from actwidgets.views.class_similarity_matrix import ClassSimilarityMatrix
from actwidgets.views.feature_map_grid import FeatureMapGrid

EPOCHS = (0.0, 0.5, 1.0, 2.0)


class MovingProbe(FakeProbe):
    """A model whose maps are other ones at every moment."""

    at = 0

    def activations(self, layers, x):
        made = super().activations(layers, x)
        slope = np.arange(24, dtype=np.float32).reshape(4, 6)
        for name, values in made.items():
            if values.ndim == 4 and values.size:
                made[name] = values + (self.at + 1) * slope[..., None]
        return made


class MovingSession(Session):
    """Stands for a session of a recording."""

    at = t.Int(0)
    recording = SimpleNamespace(snapshots=[SimpleNamespace(epoch=epoch) for epoch in EPOCHS])

    @t.observe("at")
    def _moved(self, change):
        self.model.at = change.new
        self.refresh()


@pytest.fixture
def moving(data):
    return MovingSession(MovingProbe(), *data, samples=(1, 2))


def decoded(path):
    with Image.open(path) as film:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]


def shown(view, theme="light"):
    return np.asarray(Image.open(io.BytesIO(view.png(1, theme))).convert("RGB"))


class MosaicOnly:
    """A view that is nothing but its mosaic: so few colours that a GIF can hold them all."""

    def __init__(self, view):
        self.view, self.session = view, view.session

    def png(self, scale=1, theme="light"):
        image = Image.open(io.BytesIO(self.view._maps.image.image.value)).convert("RGB")
        file = io.BytesIO()
        image.save(file, "png")
        return file.getvalue()


def test_every_snapshot_is_a_frame_as_the_view_shows_it(moving, tmp_path):
    view = FeatureMapGrid(moving)
    moving.at = 2
    save_gif(view, tmp_path / "film.gif", fps=5)
    assert moving.at == 2
    film = decoded(tmp_path / "film.gif")
    assert len(film) == len(EPOCHS)
    wanted = []
    for moving.at in range(len(EPOCHS)):
        wanted.append(shown(view))
    error = colour_error(wanted)
    assert error <= 4
    for frame, pixels in zip(film, wanted, strict=True):
        part = frame[: pixels.shape[0], : pixels.shape[1]].astype(int)
        # Captions have colours of their own, which the palette has to hold too.
        assert np.abs(part - pixels).max() <= error + 1
    assert not np.array_equal(film[0], film[1])


@pytest.mark.parametrize(("colours", "captions"), [("grey", True), ("viridis", False)])
def test_mosaics_in_a_film_are_exact(moving, tmp_path, colours, captions):
    view = FeatureMapGrid(moving, colours=colours)
    bare = MosaicOnly(view)
    save_gif(bare, tmp_path / "film.gif", captions=captions)
    for at, frame in enumerate(decoded(tmp_path / "film.gif")):
        moving.at = at
        pixels = np.asarray(Image.open(io.BytesIO(bare.png())).convert("RGB"))
        np.testing.assert_array_equal(frame[: pixels.shape[0]], pixels)


def test_layers_follow_the_input_in_the_order_of_the_model(session, tmp_path):
    session.select(layer="dense", unit=3)
    view = FeatureMapGrid(session)
    frames = frames_of(view, "layers")
    assert [frame.caption for frame in frames] == ["input", "conv"]
    np.testing.assert_array_equal(frames[-1].pixels, shown(_at(view, "conv")))
    frames = frames_of(view, "layers", layers=["dense", "conv"], theme="dark")
    assert [frame.caption for frame in frames] == ["input", "dense", "conv"]
    np.testing.assert_array_equal(frames[1].pixels, shown(_at(view, "dense"), "dark"))
    save_gif(view, tmp_path / "layers.gif", over="layers", layers=["dense", "conv"])
    film = decoded(tmp_path / "layers.gif")
    assert len(film) == 3
    assert len({frame.shape for frame in film}) == 1


def _at(view, layer):
    view.session.layer = layer
    return view


def test_layer_and_unit_are_put_back(session):
    session.select(layer="conv", unit=17)
    frames_of(FeatureMapGrid(session), "layers", layers=["dense"])
    assert (session.layer, session.unit) == ("conv", 17)


def test_the_input_is_shown_as_it_is_enlarged(data):
    x, _ = data
    x = x.copy()
    x[2, 3, 4, 0] = 20
    session = Session(FakeProbe(), x, samples=(2,))
    first = frames_of(FeatureMapGrid(session), "layers")[0].pixels
    picture = session.pictures([2])[0]
    times = round(160 / 8)
    enlarged = picture.repeat(times, axis=0).repeat(times, axis=1)
    rows, columns = enlarged.shape[:2]
    np.testing.assert_array_equal(first[12 : 12 + rows, 12 : 12 + columns], enlarged)


def test_any_view_makes_a_film(moving, tmp_path):
    view = ClassSimilarityMatrix(moving)
    save_gif(view, tmp_path / "classes.gif", theme="dark", fps=2)
    with Image.open(tmp_path / "classes.gif") as film:
        assert film.info["duration"] in (500, 2000)  # equal frames are one that stays longer


def test_a_contact_sheet_holds_every_frame_as_it_is(moving, tmp_path):
    view = FeatureMapGrid(moving)
    save_contact_sheet(view, tmp_path / "sheet.png", columns=2)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    frames = on_one_size([frame.pixels for frame in frames_of(view)], (255, 255, 255))
    height, width = frames[0].shape[:2]
    for place, frame in enumerate(frames):
        row, column = divmod(place, 2)
        top, left = 12 + row * (height + 34), 12 + column * (width + 12)
        np.testing.assert_array_equal(sheet[top : top + height, left : left + width], frame)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"over": "time"}, "no film over 'time'; there are epochs, layers"),
        ({"over": "epochs"}, "needs a view of a recording's session.*got one of a Session"),
        ({"over": "layers", "layers": ["nowhere"]}, "no layer 'nowhere'; there are conv, dense"),
        ({"over": "layers", "theme": "blue"}, "no theme 'blue'"),
        ({"over": "layers", "fps": 0}, "fps lies above 0"),
    ],
)
def test_what_cannot_be_filmed_is_refused_and_nothing_is_written(session, tmp_path, options, told):
    with pytest.raises(DataError, match=told):
        save_gif(FeatureMapGrid(session), tmp_path / "film.gif", **options)
    assert not list(tmp_path.iterdir())
    assert session.layer == "conv"


@pytest.mark.expects_error
def test_a_view_that_fails_on_the_way_makes_no_film(session, probe, tmp_path):
    view = FeatureMapGrid(session)
    probe.fails_on = ("dense",)
    with pytest.raises(DataError, match="FeatureMapGrid failed at dense: could not draw"):
        save_gif(view, tmp_path / "film.gif", over="layers", layers=["dense"])
    assert session.layer == "conv"
    assert not list(tmp_path.iterdir())


def test_a_frame_waits_for_what_is_read_in_the_background(session, monkeypatch):
    waited = []

    def note(of, works, who):
        waited.append((of.layer, who))
        assert of is session
        assert set(works) == {of, of.attributions, of.embeddings, of.importance}

    monkeypatch.setattr(films, "finish", note)
    frames_of(FeatureMapGrid(session), "layers", layers=["dense", "conv"])
    assert waited == [("dense", "FeatureMapGrid"), ("conv", "FeatureMapGrid")]
