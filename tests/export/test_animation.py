"""Animations of views, decoded and compared with what the views show."""

import io
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import traitlets as t
from fakes import FakeProbe
from PIL import Image, ImageSequence

from actwidgets.errors import DataError
from actwidgets.export import animation
from actwidgets.export.animation import (
    Frame,
    captioned,
    contact_sheet,
    frames_of,
    gif,
    on_one_size,
    save_contact_sheet,
    save_gif,
)
from actwidgets.images.colormap import ValueRange
from actwidgets.session.session import Session
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


def decoded(file):
    """The frames of a GIF, a path or bytes."""
    with Image.open(io.BytesIO(file) if isinstance(file, bytes) else file) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def shown(view, theme="light"):
    return np.asarray(Image.open(io.BytesIO(view.png(1, theme))).convert("RGB"))


class MosaicOnly:
    """A view that is nothing but its mosaic: so few colors that a GIF can hold them all."""

    def __init__(self, view):
        self.view, self.session = view, view.session

    def png(self, scale=1, theme="light"):
        image = Image.open(io.BytesIO(self.view._maps.image.value)).convert("RGB")
        file = io.BytesIO()
        image.save(file, "png")
        return file.getvalue()


def test_every_snapshot_is_a_frame_as_the_view_shows_it(moving, tmp_path):
    view = FeatureMapGrid(moving)
    moving.at = 2
    save_gif(view, tmp_path / "film.gif", fps=5, common_range=False)
    assert moving.at == 2
    film = decoded(tmp_path / "film.gif")
    assert len(film) == len(EPOCHS)
    wanted = []
    for moving.at in range(len(EPOCHS)):
        wanted.append(shown(view))
    for frame, pixels in zip(film, wanted, strict=True):
        part = frame[: pixels.shape[0], : pixels.shape[1]].astype(int)
        assert np.abs(part - pixels).max() <= 5
    assert not np.array_equal(film[0], film[1])


@pytest.mark.parametrize(("colors", "captions"), [("gray", True), ("viridis", False)])
def test_mosaics_in_an_animation_are_exact(moving, tmp_path, colors, captions):
    view = FeatureMapGrid(moving, cmap=colors)
    bare = MosaicOnly(view)
    save_gif(bare, tmp_path / "film.gif", captions=captions)
    for at, frame in enumerate(decoded(tmp_path / "film.gif")):
        moving.at = at
        pixels = np.asarray(Image.open(io.BytesIO(bare.png())).convert("RGB"))
        np.testing.assert_array_equal(frame[: pixels.shape[0]], pixels)


@pytest.mark.parametrize("normalize", ["per layer", "symmetric", "per map"])
def test_a_color_is_the_same_value_in_all_frames_unless_each_map_has_its_own(moving, normalize):
    view = FeatureMapGrid(moving, normalize=normalize)
    ends = []
    for moving.at in range(len(EPOCHS)):
        ends.append((view.own_range.low, view.own_range.high))
    moving.at = 1
    frames = frames_of(view)
    assert moving.at == 1
    assert view.common_range is None
    assert np.array_equal(shown(view), frames_of(view, common_range=False)[1].pixels)
    if normalize != "per map":
        lows, highs = zip(*ends, strict=True)
        assert len({*highs}) == len(EPOCHS)
        view.common_range = ValueRange(min(lows), max(highs))
    for moving.at, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.pixels, shown(view))


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


def test_any_view_makes_an_animation(moving, tmp_path):
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
        ({"over": "time"}, "no animation over 'time'; there are epochs, layers"),
        ({"over": "epochs"}, "needs a view of a recording's session.*got one of a Session"),
        ({"over": "layers", "layers": ["nowhere"]}, "no layer 'nowhere'; there are conv, dense"),
        ({"over": ["layers"]}, "no animation over"),
        ({"over": "layers", "layers": "nowhere"}, "no layer 'nowhere'; there are conv, dense"),
        ({"over": "layers", "layers": 5}, "layers must be a name or a list of names; got 5"),
        ({"over": "layers", "theme": "blue"}, "no theme 'blue'"),
        ({"over": "layers", "fps": 0}, "fps must be a number"),
        ({"over": "layers", "scale": 0}, "scale must be a number above 0 and up to 16; got 0"),
        ({"over": "layers", "scale": "2"}, "scale must be .*; got '2'"),
    ],
)
def test_what_cannot_be_animated_is_refused_and_nothing_is_written(
    session, tmp_path, options, told
):
    with pytest.raises(DataError, match=told):
        save_gif(FeatureMapGrid(session), tmp_path / "film.gif", **options)
    assert not list(tmp_path.iterdir())
    assert session.layer == "conv"


@pytest.mark.expects_error
def test_a_view_that_fails_on_the_way_makes_no_animation(session, probe, tmp_path):
    view = FeatureMapGrid(session)
    probe.fails_on = ("dense",)
    with pytest.raises(DataError, match="FeatureMapGrid failed at dense: could not draw"):
        save_gif(view, tmp_path / "film.gif", over="layers", layers=["dense"])
    assert session.layer == "conv"
    assert not list(tmp_path.iterdir())


def test_a_frame_waits_for_what_is_read_in_the_background(session, monkeypatch):
    waited = []

    def note(context, works, who):
        waited.append((context.selection.layer, who))
        assert context is session.context
        parts = {session.attributions, session.embeddings, session.importance}
        assert set(works) == {session, *parts}

    monkeypatch.setattr(animation, "finish", note)
    frames_of(FeatureMapGrid(session), "layers", layers=["dense", "conv"])
    assert waited == [("dense", "FeatureMapGrid"), ("conv", "FeatureMapGrid")]


def patterned(n_colors, shape=(16, 24), seed=0):
    """A frame of so many colors."""
    keys = (np.arange(n_colors) + 1000 * seed) * 9_999_991 % (1 << 24)
    colors = np.stack([keys >> 16, keys >> 8 & 255, keys & 255], axis=1).astype(np.uint8)
    return colors[np.resize(np.arange(n_colors), shape)]


def test_up_to_256_colors_every_pixel_of_every_frame_is_exact():
    first = patterned(256)
    frames = [first, first[::-1], first[:, ::-1]]
    for frame, shown in zip(frames, decoded(gif(frames, 4)), strict=True):
        np.testing.assert_array_equal(frame, shown)


def test_colors_that_are_nearly_alike_stay_apart():
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    np.testing.assert_array_equal(decoded(gif([ramp], 4))[0], ramp)


def test_frames_whose_colors_differ_share_a_palette():
    frames = [patterned(120, seed=1), patterned(120, seed=2)]
    for frame, shown in zip(frames, decoded(gif(frames, 4)), strict=True):
        np.testing.assert_array_equal(frame, shown)


def test_beyond_256_colors_each_is_replaced_by_one_nearby():
    ramp = np.arange(300, dtype=np.uint16)
    frame = np.stack([ramp % 256, ramp // 2, 255 - ramp % 256], axis=1).astype(np.uint8)
    frame = np.tile(frame, (4, 1, 1))
    shown = decoded(gif([frame], 4))[0]
    assert 0 < np.abs(shown.astype(int) - frame).max() <= 4


def test_the_palette_is_the_same_for_all_frames_so_that_nothing_flickers():
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (30, 30, 3), dtype=np.uint8)
    noise[:10] = (10, 20, 30)
    other = noise.copy()
    other[20:] = 255
    one, two = decoded(gif([noise, other], 4))
    np.testing.assert_array_equal(one[:20], two[:20])
    np.testing.assert_array_equal(one[:10], noise[:10])  # what is seen most is exact


def test_smaller_frames_lie_in_the_corner_of_the_largest():
    small, large = np.full((2, 4, 3), 200, np.uint8), np.full((6, 6, 3), 50, np.uint8)
    shown = decoded(gif([large, small], 4, background=(1, 2, 3)))
    assert shown[0].shape == shown[1].shape == (6, 6, 3)
    np.testing.assert_array_equal(shown[1][:2, :4], small)
    assert (shown[1][2:] == (1, 2, 3)).all()
    np.testing.assert_array_equal(on_one_size([large, small])[1][-1, -1], large[0, 0])


@pytest.mark.parametrize("fps", [0.5, 3, 4, 7, 24, 30, 50])
def test_an_animation_is_as_long_as_its_frames(fps):
    frames = [np.full((2, 2, 3), shade, np.uint8) for shade in range(90)]
    with Image.open(io.BytesIO(gif(frames, fps))) as image:
        delays = [frame.info["duration"] for frame in ImageSequence.Iterator(image)]
    assert sum(delays) == 10 * round(100 * 90 / fps)
    assert max(delays) - min(delays) <= 10


def test_the_file_says_the_times_and_whether_it_loops():
    frames = [patterned(2), patterned(2)[::-1, ::-1]]
    image = Image.open(io.BytesIO(gif(frames, 3)))
    assert image.n_frames == 2
    assert image.info["loop"] == 0
    assert image.info["duration"] == 330
    assert "loop" not in Image.open(io.BytesIO(gif(frames, 3, loop=False))).info


def length_ms(file):
    """How long an animation is, by what Pillow reads of each of its frames."""
    return sum(frame.info["duration"] for frame in ImageSequence.Iterator(Image.open(file)))


@pytest.mark.parametrize(
    ("frames", "fps"),
    [
        ([0] * 700, 1),  # 700 s of one picture: more than the format has a number for
        ([0] * 3000, 0.5),  # 6,000 s: several times as long
        ([1, *[0] * 700, 1], 1),
        ([1, 0, *[1] * 1311, 0], 2),  # 655.5 s: a little longer than one frame can stay
        ([0, 1, 0], 0.001),  # without repeats, each frame stays too long
        ([0], 1 / 86400),
        ([0], 3),
        ([0, 0], 30),
    ],
)
def test_an_animation_is_as_long_as_it_should_be_however_long_a_frame_stays(frames, fps):
    pictures = patterned(256), patterned(256)[::-1]  # no place of the palette is free
    file = io.BytesIO(gif([pictures[place] for place in frames], fps))
    assert length_ms(file) == 10 * round(100 * len(frames) / fps)
    changes = [place for k, place in enumerate(frames) if not k or place != frames[k - 1]]
    shown = decoded(file.getvalue())
    seen = [shown[0], *(b for a, b in pairwise(shown) if not np.array_equal(a, b))]
    for place, pixels in zip(changes, seen, strict=True):
        np.testing.assert_array_equal(pixels, pictures[place])


@pytest.mark.parametrize(
    ("frames", "fps", "told"),
    [
        ([], 4, "a frame at least"),
        (5, 4, "frames must be a list of pictures; got 5"),
        ([np.zeros((3, 3, 3))], 4, r"\(3, 3, 3\) of float64"),
        ([np.zeros((3, 3), np.uint8)], 4, r"shape \(3, 3\)"),
        ([np.zeros((0, 3, 3), np.uint8)], 4, "not empty"),
        (
            [np.zeros((2, 2, 3), np.uint8)],
            0,
            "fps must be a number of at least 1/86400 and up to 50; got 0",
        ),
        ([np.zeros((2, 2, 3), np.uint8)], 51, "got 51"),
        ([np.zeros((2, 2, 3), np.uint8)], 1e-300, "at least 1/86400 .*got 1e-300"),
        ([np.zeros((2, 2, 3), np.uint8)], "4", "got '4'"),
        ([np.zeros((2, 2, 3), np.uint8)], float("nan"), "got nan"),
    ],
)
def test_what_is_no_animation_is_refused(frames, fps, told):
    with pytest.raises(DataError, match=told):
        gif(frames, fps)


def test_the_same_frames_give_the_same_bytes():
    frames = [patterned(400), patterned(300)]
    assert gif(frames, 4) == gif(frames, 4)


def found(sheet, frame):
    """Where a frame lies in a sheet; None where it does not."""
    height, width = frame.shape[:2]
    for top in range(sheet.shape[0] - height + 1):
        for left in range(sheet.shape[1] - width + 1):
            if np.array_equal(sheet[top : top + height, left : left + width], frame):
                return top, left
    return None


def frames_of_noise(count, shape=(7, 40, 3)):
    generator = np.random.default_rng(0)
    return list(generator.integers(0, 256, (count, *shape), dtype=np.uint8))


def test_every_frame_is_in_the_sheet_as_it_is_row_by_row():
    frames = frames_of_noise(5)
    sheet = contact_sheet(
        list(map(Frame, frames, ["one", "two", "three", "four", "five"])), columns=2
    )
    places = [found(sheet, frame) for frame in frames]
    assert None not in places
    assert places == sorted(places)
    assert len({top for top, _ in places}) == 3
    assert len({left for _, left in places}) == 2


def test_a_caption_lies_below_its_frame():
    frame = frames_of_noise(1)[0]
    with_words, without = captioned(frame, "epoch 1"), captioned(frame, "")
    np.testing.assert_array_equal(with_words[:7], frame)
    assert (without[7:] == 255).all()
    assert (with_words[7:] < 200).any()


def test_a_caption_that_is_too_long_is_cut():
    frame = frames_of_noise(1)[0]
    cut = captioned(frame, "a very long name of a layer")
    assert cut.shape[1] == 40
    assert (cut[7:, -1] == 255).all(), "no letter is cut in half"


def test_a_caption_has_letters_of_any_script():
    frame = frames_of_noise(1)[0]
    strips = {captioned(frame, letter)[7:].tobytes() for letter in ("ж", "ß", "λ", "\ufffe")}
    assert len(strips) == 4, "a letter the font lacks is an empty box"
