"""Names and figures stand in the middle of their rows, as the bars do."""

import numpy as np

from actwidgets.views.unit_importance import ROW_PX, MeasureBars


def test_words_stand_in_the_middle_of_their_rows():
    bars = MeasureBars(2, 760, lambda row: None)
    for n_rows in (4, 30, 1):
        panel = 0.0, np.linspace(0.9, 0.1, n_rows), ["0.5"] * n_rows
        bars.show([f"unit {row}" for row in range(n_rows)], 0, [panel] * 2)
        middles = (np.arange(n_rows) + 0.5) / n_rows
        np.testing.assert_allclose(bars.names.y, middles)
        np.testing.assert_allclose(bars.figures.y, np.tile(middles, 2))
        assert bars._figure.layout.height == f"{n_rows * ROW_PX}px"
    assert not bars.names.scales["y"].allow_padding
    bars.close()
