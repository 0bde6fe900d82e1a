import numpy as np
import pytest

from actwidgets.core.cka import cka
from actwidgets.errors import DataError
from actwidgets.session.passes import RepresentationPass

RANDOM = np.random.default_rng(0)
VALUES = {"a": RANDOM.normal(size=(300, 5)), "b": RANDOM.normal(size=(300, 7))}
VALUES["c"] = VALUES["a"] @ np.linalg.qr(RANDOM.normal(size=(5, 5)))[0]


def _outputs(layers, rows):
    return {name: VALUES[name][rows.start : rows.stop] for name in layers}


def _finished(**options):
    reading = RepresentationPass(
        ("a", "b", "c"), _outputs, n_samples=300, budget_bytes=2**20, **options
    )
    while not reading.complete:
        reading.step()
    return reading


def test_step_by_step_it_is_the_cka_of_all():
    reading = _finished()
    table = reading.table()
    for row, mine in enumerate(table.layers):
        for column, other in enumerate(table.other_layers):
            wanted = cka(VALUES[mine], VALUES[other])
            assert table.values[row, column] == pytest.approx(wanted, abs=1e-10)
    assert table.values[0, 2] == pytest.approx(1)  # a rotation
    reading.step()  # nothing more to read
    assert reading.n_read == 300


def test_of_fewer_than_four_samples_there_is_no_table():
    reading = RepresentationPass(("a",), _outputs, n_samples=3, budget_bytes=2**20)
    reading.step()
    assert reading.complete
    assert reading.table() is None


def test_columns_may_be_another_models():
    table = _finished(other_layers=("b",), other_outputs=_outputs).table()
    assert table.values.shape == (3, 1)
    assert table.values[1, 0] == pytest.approx(1)


def test_a_layer_with_nan_is_left_out_however_late_it_comes(monkeypatch):
    broken = VALUES["b"].copy()
    broken[290, 0] = np.nan
    monkeypatch.setitem(VALUES, "b", broken)
    reading = _finished()
    assert reading.left_out == ("b",)
    assert reading.table().layers == ("a", "c")
    assert reading.table().n_samples == 300
    monkeypatch.setitem(VALUES, "a", broken)
    monkeypatch.setitem(VALUES, "c", broken)
    with pytest.raises(DataError, match="every layer puts out NaN"):
        _finished()
