import numpy as np

from actwidgets.images.colormap import GAP, TOP
from actwidgets.images.heatmap import (
    HEAD_PX,
    LINE_PX,
    ProbabilitySheet,
    classes_within,
    sheet_within,
    shown_classes,
)


def test_cells_lie_where_their_middles_say():
    sheet = ProbabilitySheet(n_lines=2, n_classes=3)
    shares = np.array([[0.0, 0.5, 1.0], [np.nan, 2.0, -1.0]])
    codes = sheet.codes(shares)
    assert codes.shape == (sheet.height_px, sheet.width_px)
    found = [
        [codes[int(sheet.middle(line)), int(sheet.class_middle(place))] for place in range(3)]
        for line in range(2)
    ]
    assert found == [[0, round(TOP / 2), TOP], [GAP, TOP, 0]]
    assert (codes[:HEAD_PX] == GAP).all()
    assert (codes[:, -sheet.right_px :] == GAP).all()
    right, below = sheet.left_px + sheet.class_px - 1, HEAD_PX + LINE_PX - 1
    assert (codes[HEAD_PX:, right] == GAP).all()  # between two classes, and two lines
    assert (codes[below] == GAP).all()
    assert np.diff(sheet.row_edges).tolist() == [HEAD_PX, LINE_PX, LINE_PX]
    assert len(sheet.column_edges) == 6
    assert sheet.column_edges[-1] == sheet.width_px


def test_of_many_classes_those_that_hold_most_have_a_column():
    values = np.zeros((2, 30))
    values[0, 20], values[1, 3], values[1, 9] = 0.9, 0.4, np.nan
    assert shown_classes(values, limit=2).tolist() == [3, 20]
    assert shown_classes(values[:, :5]).tolist() == [0, 1, 2, 3, 4]
    assert len(shown_classes(np.zeros((0, 30)))) == 12


def test_of_scores_below_zero_the_largest_have_a_column():
    values = np.full((2, 30), -9.0)
    values[0, 20], values[1, 3], values[1, 9], values[0, 5] = -0.1, -2.0, np.nan, -np.inf
    assert shown_classes(values, limit=2).tolist() == [3, 20]


def test_of_very_many_classes_so_many_have_a_column_that_confidence_and_loss_have_room():
    assert classes_within(678, 1000) == 12
    sheet = sheet_within(678, 20, 12)
    assert sheet.right_px == 144
    assert sheet.width_px <= 678
    assert classes_within(560, 1000) == 9
    assert sheet_within(560, 20, 9).width_px <= 560
    assert classes_within(560, 10) == 10  # all of them, rather than the words beside them
    assert sheet_within(560, 20, 10).right_px == 0
    assert classes_within(330, 1000) == 6
