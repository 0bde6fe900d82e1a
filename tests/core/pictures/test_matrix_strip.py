import numpy as np

from actwidgets.images.colormap import FRAME, GAP, NAN, TOP
from actwidgets.images.tile_grid import BAR, MatrixStrip


def test_each_matrix_has_its_own_scale_and_its_bar():
    strip = MatrixStrip(3, 2)
    matrices = [np.array([[0, 1.0], [1, 0]]), np.array([[0, 9.0], [9, 0]]), np.full((2, 2), np.nan)]
    codes = strip.draw(matrices, [1.0, 4.0, np.nan], framed=1)
    assert codes.shape == (strip.height, strip.width) == (2 * strip.cell_height, 176)
    for tile, (far, length) in enumerate(((TOP, 18), (TOP, 72), (NAN, 0))):
        top, left = strip.corner(tile)
        assert codes[top, left] == (0 if tile < 2 else NAN)
        assert codes[top, left + strip.side - 1] == far
        bar = codes[top + strip.side + 6, left : left + strip.side]
        assert (bar == BAR).sum() == length
    top, left = strip.corner(1)
    assert codes[top - 1, left] == FRAME
    assert codes[-1, -1] == GAP  # the place beside the last tile is empty


def test_more_classes_than_pixels_are_thinned_out():
    codes = MatrixStrip(1, 1).draw([1 - np.eye(500)], [1.0], None)
    assert codes.shape == (122, 88)


def test_an_infinite_ratio_has_the_whole_bar():
    strip = MatrixStrip(2, 2)
    codes = strip.draw([np.zeros((2, 2))] * 2, [np.inf, 3.0], None)
    for tile in range(2):
        top, left = strip.corner(tile)
        assert (codes[top + strip.side + 6, left : left + strip.side] == BAR).all()
