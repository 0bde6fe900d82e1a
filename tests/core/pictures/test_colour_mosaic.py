import numpy as np
import pytest

from actwidgets.errors import ShapeError
from actwidgets.images.colormap import FRAME_COLOR
from actwidgets.images.tile_grid import Mosaic, color_mosaic


def test_tiles_have_their_colors_and_what_lies_between_is_transparent():
    mosaic = Mosaic(n_samples=1, n_units=3, tile_height=2, tile_width=3, columns=2)
    colors = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(1, 2, 3, 3, 3) + 200
    picture = color_mosaic(mosaic, colors)
    assert picture.shape == (mosaic.height, mosaic.width, 4)
    np.testing.assert_array_equal(picture[1:3, 6:9, :3], colors[0, :, :, 1])
    np.testing.assert_array_equal(picture[5:7, 1:4, :3], colors[0, :, :, 2])
    assert (picture[..., 3] == 255).sum() == 3 * 6  # codes of gap and frame are colors here
    assert not picture[picture[..., 3] == 0].any()


def test_the_frame_lies_around_the_tile():
    mosaic = Mosaic(n_samples=1, n_units=2, tile_height=1, tile_width=1, columns=2)
    picture = color_mosaic(mosaic, np.full((1, 1, 1, 2, 3), 255, np.uint8), framed=1)
    assert picture[1, 4].tolist() == [255, 255, 255, 255]
    box = picture[:, 3:].reshape(-1, 4).tolist()
    assert box.count([*FRAME_COLOR, 255]) == 8
    assert not picture[0, :3].any()


def test_colors_of_another_grid_are_refused():
    mosaic = Mosaic(n_samples=1, n_units=2, tile_height=1, tile_width=1, columns=2)
    with pytest.raises(ShapeError, match="takes codes of shape"):
        color_mosaic(mosaic, np.zeros((1, 1, 1, 3, 3), np.uint8))
