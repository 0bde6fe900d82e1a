"""What layer-wise relevance propagation promises, and the settings it refuses."""

import numpy as np
import pytest

from actwidgets.core.attribution.base import RULES, Inputs, LrpRules
from actwidgets.core.attribution.lrp import LRP
from actwidgets.core.attribution.registry import attribution_steps, finished
from actwidgets.errors import DataError


class _TwoInputs:
    """S_c = 1 + the sum of the first input and of c times the second; the 1 is a bias."""

    layer, output, n_targets, batch_size = "", "logit", 3, 8

    def __init__(self):
        self.asked = []

    def relevance(self, points, target, rules):
        self.asked.append(rules)
        first, second = points.arrays
        second = second * target[:, None]
        return 1 + first.sum(axis=(1, 2)) + second.sum(axis=1), (first, second)


POINTS = Inputs((np.ones((2, 2, 3)), np.full((2, 4), 0.5)), ("image", "numbers"))
TARGET = np.array([2, 0])


def _lrp(slice_, **options):
    return finished(attribution_steps(slice_, POINTS, LRP, TARGET, options))


def test_the_gap_is_what_the_values_of_all_inputs_lack_of_the_score():
    found = _lrp(_TwoInputs())
    np.testing.assert_array_equal(found.scores, [1 + 6 + 4, 1 + 6])
    np.testing.assert_array_equal(found.gap, [-1, -1])
    np.testing.assert_array_equal(found.values["image"], POINTS.arrays[0])
    np.testing.assert_array_equal(found.values["numbers"], [[1] * 4, [0] * 4])


def test_the_gap_is_summed_in_double_precision():
    slice_ = _TwoInputs()
    many = Inputs(
        (np.full((1, 1, 2**14 + 1), 1e4, np.float32), np.zeros((1, 1), np.float32)), ("a", "b")
    )
    many.arrays[0][0, 0, 0] = 1e-2
    slice_.relevance = lambda points, target, rules: (np.zeros(1), points.arrays)
    found = finished(attribution_steps(slice_, many, LRP, np.array([0]), {}))
    np.testing.assert_allclose(found.gap, [2**14 * 1e4 + 1e-2], rtol=1e-12)


def test_settings_become_rules():
    slice_ = _TwoInputs()
    _lrp(slice_)
    _lrp(slice_, rule="gamma", gamma=1, epsilon=0, alpha=1.5, box=[0, np.ones(3)])
    plain, other = slice_.asked
    assert plain == LrpRules()
    assert other == LrpRules("gamma", epsilon=0, gamma=1, alpha=1.5, box=(0.0, (1.0, 1.0, 1.0)))
    assert len({plain, other}) == 2  # heads are looked up by them


def test_each_rule_is_offered_and_the_default_first():
    (option,) = (each for each in LRP.options if each.name == "rule")
    assert option.choices == RULES
    assert option.default == RULES[0]


def test_a_probability_is_refused_before_any_work():
    slice_ = _TwoInputs()
    slice_.output = "probability"
    with pytest.raises(DataError, match="hands back the score before the softmax; got output="):
        _lrp(slice_)
    assert not slice_.asked


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rule": "zeta"}, "rule must be one of composite, epsilon, gamma, alpha_beta; got 'zeta'"),
        ({"epsilon": -1}, "epsilon must be a number of at least 0; got -1"),
        ({"gamma": np.nan}, "gamma must be a number of at least 0; got nan"),
        ({"gamma": np.inf}, "gamma must be a number of at least 0; got inf"),
        ({"alpha": 0.5}, "alpha must be a number of at least 1; got 0.5"),
        ({"alpha": "2"}, "alpha must be a number of at least 1; got '2'"),
        ({"box": (1, 0)}, r"box must be \(lowest, highest\).*got \(1, 0\)"),
        ({"box": (0, np.nan)}, "box must be"),
        ({"box": ((0, 1), (1, 1))}, "box must be"),
        ({"box": (np.zeros((2, 2)), 1)}, "box must be"),
        ({"box": 1}, "box must be"),
    ],
)
def test_rules_that_are_none_are_refused(options, words):
    with pytest.raises(DataError, match=words):
        _lrp(_TwoInputs(), **options)
