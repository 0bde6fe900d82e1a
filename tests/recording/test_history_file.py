import numpy as np

from actwidgets.recording import store
from actwidgets.recording.store import HistoryFile


def test_what_is_added_is_read(tmp_path):
    file = HistoryFile(tmp_path)
    file.add_step(1, {"loss": 2.0})
    file.add_epoch(1.0, 1, {"loss": 2.0, "val_loss": float("nan")})
    found = store.read_history(tmp_path)
    np.testing.assert_array_equal(found.by_step["loss"], [[1], [2]])
    np.testing.assert_array_equal(found.by_epoch["val_loss"], [[1], [np.nan]])


def test_a_line_that_was_cut_off_is_left_out_and_the_next_is_whole(tmp_path):
    HistoryFile(tmp_path).add_epoch(1.0, 3, {"loss": 2.0})
    path = tmp_path / store.HISTORY_NAME
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        HistoryFile(tmp_path).add_epoch(2.0, 6, {"loss": 1.0})
        epochs = store.read_history(tmp_path).by_epoch["loss"][0]
        assert list(epochs) in ([2], [1, 2])
        assert epochs[-1] == 2


def test_lines_of_something_else_are_left_out(tmp_path):
    path = tmp_path / store.HISTORY_NAME
    path.write_bytes(b'[]\n3\n{"epoch": 1}\n{"epoch": "x", "metrics": {"a": 1}}\n\xff\xfe\n\n')
    HistoryFile(tmp_path).add_epoch(1.0, 3, {"loss": 2.0})
    assert [*store.read_history(tmp_path).by_epoch] == ["loss"]


def test_a_long_training_adds_few_lines(tmp_path):
    file = HistoryFile(tmp_path)
    for step in range(1, 20_001):
        file.add_step(step, {"loss": 1.0})
    steps = store.read_history(tmp_path).by_step["loss"][0]
    assert len(steps) < 4000
    assert list(steps[:512]) == list(range(1, 513))
    assert steps[-1] > 19_900


def test_no_history_is_an_empty_one(tmp_path):
    assert store.read_history(tmp_path).by_epoch == {}
