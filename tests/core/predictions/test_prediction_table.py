import numpy as np

from actwidgets.core.predictions import PredictionTable


def test_predictions_are_asked_for_once_per_row():
    asked = []

    def predict(rows):
        asked.append(rows.tolist())
        return rows[:, None] * np.ones(2)

    table = PredictionTable(600, 2)
    assert table.of([3, 1, 3], predict).tolist() == [[3, 3], [1, 1], [3, 3]]
    table.of([1, 2], predict)
    assert asked == [[1, 3], [2]]
    assert table.of(range(600), predict)[:, 0].tolist() == list(range(600))
    assert [len(rows) for rows in asked[2:]] == [256, 256, 85]
