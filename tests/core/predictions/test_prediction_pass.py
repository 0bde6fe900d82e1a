import numpy as np

from actwidgets.core.predictions import PredictionTable
from actwidgets.session.passes import STEP, PredictionPass, spread


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


def test_steps_of_a_fast_model_grow_up_to_a_limit_and_those_of_a_slow_one_do_not(monkeypatch):
    def sizes():
        asked = []
        predict = lambda rows: asked.append(len(rows)) or np.zeros((len(rows), 2))  # noqa: E731
        wanted = PredictionPass(PredictionTable(20 * STEP, 2), predict)
        for _ in range(4):
            wanted.step()
        return asked

    monkeypatch.setattr("actwidgets.session.passes.LARGEST_STEP", 4 * STEP)
    monkeypatch.setattr("actwidgets.session.passes.FAST_S", np.inf)
    assert sizes() == [STEP, 2 * STEP, 4 * STEP, 4 * STEP]
    monkeypatch.setattr("actwidgets.session.passes.FAST_S", 0.0)
    assert sizes() == [STEP] * 4


def test_rows_are_spread_evenly_and_differ():
    assert spread(5, 10).tolist() == [0, 1, 2, 3, 4]
    assert spread(101, 3).tolist() == [0, 50, 100]
    assert len(set(spread(1001, 1000).tolist())) == 1000
