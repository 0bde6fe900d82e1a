"""The small curve below the slider of a recording's snapshots."""

import numpy as np
import pytest

from actwidgets.views.epoch_slider import MetricCurve


@pytest.fixture
def curve():
    made = MetricCurve(400)
    yield made
    made.close()


def axis_of(curve):
    _, figure = curve.children
    return figure.axes[0]


def test_its_axis_tells_round_numbers_that_enclose_the_values(curve):
    curve.show("accuracy", [np.nan, 0.13, 0.45, 0.57])
    np.testing.assert_allclose(axis_of(curve).tick_values, [0, 0.2, 0.4, 0.6])
    assert (axis_of(curve).scale.min, axis_of(curve).scale.max) == pytest.approx((-0.036, 0.636))
    curve.show("loss", [2.31, 1.62, 1.21])
    np.testing.assert_allclose(axis_of(curve).tick_values, [1, 1.5, 2, 2.5])


def test_it_tells_what_it_is_escaped(curve):
    curve.show("<i>loss</i>", [2.0, 1.0])
    name, _ = curve.children
    assert "&lt;i&gt;loss&lt;/i&gt;" in name.value


@pytest.mark.parametrize("values", [[np.nan, np.nan], [0.0, 0.0], [np.inf, 1.0]])
def test_it_takes_what_is_no_curve(curve, values):
    curve.show("loss", values)
    assert axis_of(curve).scale.min < axis_of(curve).scale.max
