import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image, ImageSequence

from actwidgets.core.pictures.gif import colour_error, frame_times, gif, on_one_size
from actwidgets.errors import DataError


def decoded(film):
    image = Image.open(io.BytesIO(film))
    return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def patterned(n_colours, shape=(16, 24), seed=0):
    """A frame of so many colours."""
    generator = np.random.default_rng(seed)
    keys = generator.permutation(1 << 24)[:n_colours]
    colours = np.stack([keys >> 16, keys >> 8 & 255, keys & 255], axis=1).astype(np.uint8)
    return colours[np.resize(np.arange(n_colours), shape)]


def test_up_to_256_colours_every_pixel_of_every_frame_is_exact():
    first = patterned(256)
    frames = [first, first[::-1], first[:, ::-1]]
    assert colour_error(frames) == 0
    for frame, shown in zip(frames, decoded(gif(frames, 4)), strict=True):
        np.testing.assert_array_equal(frame, shown)


def test_colours_that_are_nearly_alike_stay_apart():
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    np.testing.assert_array_equal(decoded(gif([ramp], 4))[0], ramp)


def test_frames_whose_colours_differ_share_a_palette():
    frames = [patterned(120, seed=1), patterned(120, seed=2)]
    for frame, shown in zip(frames, decoded(gif(frames, 4)), strict=True):
        np.testing.assert_array_equal(frame, shown)


def test_beyond_256_colours_no_pixel_is_further_off_than_is_said():
    ramp = np.arange(300, dtype=np.uint16)
    frame = np.stack([ramp % 256, ramp // 2, 255 - ramp % 256], axis=1).astype(np.uint8)
    frame = np.tile(frame, (4, 1, 1))
    error = colour_error([frame])
    shown = decoded(gif([frame], 4))[0]
    assert 0 < error <= 4
    assert np.abs(shown.astype(int) - frame).max() == error


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
    shown = decoded(gif([large, small], 4, paper=(1, 2, 3)))
    assert shown[0].shape == shown[1].shape == (6, 6, 3)
    np.testing.assert_array_equal(shown[1][:2, :4], small)
    assert (shown[1][2:] == (1, 2, 3)).all()
    np.testing.assert_array_equal(on_one_size([large, small])[1][-1, -1], large[0, 0])


@pytest.mark.parametrize("fps", [0.5, 3, 4, 7, 24, 30, 50])
def test_a_film_is_as_long_as_its_frames(fps):
    times = frame_times(90, fps)
    assert sum(times) == round(100 * 90 / fps)
    assert max(times) - min(times) <= 1


def test_the_file_says_the_times_and_whether_it_loops():
    frames = [patterned(2), patterned(2)[::-1, ::-1]]
    image = Image.open(io.BytesIO(gif(frames, 3)))
    assert image.n_frames == 2
    assert image.info["loop"] == 0
    assert image.info["duration"] == 330
    assert "loop" not in Image.open(io.BytesIO(gif(frames, 3, loop=False))).info


def length_ms(film):
    """How long a film is, by what Pillow reads of each of its frames."""
    return sum(frame.info["duration"] for frame in ImageSequence.Iterator(Image.open(film)))


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
def test_a_film_is_as_long_as_it_should_be_however_long_a_frame_stays(frames, fps):
    pictures = patterned(256), patterned(256)[::-1]  # no place of the palette is free
    film = io.BytesIO(gif([pictures[place] for place in frames], fps))
    assert length_ms(film) == 10 * round(100 * len(frames) / fps)
    changes = [place for k, place in enumerate(frames) if not k or place != frames[k - 1]]
    shown = decoded(film.getvalue())
    seen = [shown[0], *(b for a, b in pairwise(shown) if not np.array_equal(a, b))]
    for place, pixels in zip(changes, seen, strict=True):
        np.testing.assert_array_equal(pixels, pictures[place])


@pytest.mark.parametrize(
    ("frames", "fps", "told"),
    [
        ([], 4, "a frame at least"),
        ([np.zeros((3, 3, 3))], 4, r"\(3, 3, 3\) of float64"),
        ([np.zeros((3, 3), np.uint8)], 4, r"shape \(3, 3\)"),
        ([np.zeros((0, 3, 3), np.uint8)], 4, "not empty"),
        ([np.zeros((2, 2, 3), np.uint8)], 0, "fps lies above 0, .* and up to 50; got 0"),
        ([np.zeros((2, 2, 3), np.uint8)], 51, "got 51"),
        ([np.zeros((2, 2, 3), np.uint8)], 1e-300, "a frame a day at least, .* got 1e-300"),
        ([np.zeros((2, 2, 3), np.uint8)], "4", "got 4"),
        ([np.zeros((2, 2, 3), np.uint8)], float("nan"), "got nan"),
    ],
)
def test_what_is_no_film_is_refused(frames, fps, told):
    with pytest.raises(DataError, match=told):
        gif(frames, fps)


def test_the_same_frames_give_the_same_bytes():
    frames = [patterned(400), patterned(300)]
    assert gif(frames, 4) == gif(frames, 4)
