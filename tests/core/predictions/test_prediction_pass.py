import numpy as np

from actwidgets.core.predictions.prediction_pass import STEP, PredictionPass, spread
from actwidgets.core.predictions.prediction_table import PredictionTable


def test_what_is_known_is_not_predicted_again_and_the_rest_is_step_by_step():
    asked = []

    def predict(rows):
        asked.extend(rows.tolist())
        return np.stack([rows, -rows], axis=1)

    wanted = PredictionPass(PredictionTable(STEP + 40, 2), predict)
    wanted.predictions([3, STEP + 10])
    assert (wanted.n_read, wanted.known.tolist()) == (2, [3, STEP + 10])
    wanted.step()
    assert wanted.n_read == STEP + 2
    assert not wanted.complete
    wanted.step()
    assert wanted.complete
    assert sorted(asked) == list(range(STEP + 40))
    np.testing.assert_array_equal(wanted.predictions([7]), [[7, -7]])


def test_rows_are_spread_evenly_and_differ():
    assert spread(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert spread(101, 3).tolist() == [0, 50, 100]
    assert len(set(spread(1001, 1000).tolist())) == 1000
