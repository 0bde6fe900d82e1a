"""Intervals, what may be spent, and curves."""

import numpy as np
import pytest

from actwidgets.errors import DataError
from actwidgets.training.events import MAX_STEPS, Curves, TrainingMoment, interval
from actwidgets.training.time_budget import TimeBudget


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("every", "now", "due"),
    [
        ("epoch", TrainingMoment(epoch=1), True),
        (("epochs", 2), TrainingMoment(epoch=1), False),
        ("batch", TrainingMoment(step=1), True),
        (("batches", 50), TrainingMoment(step=49), False),
        (("batches", 50), TrainingMoment(step=64), True),  # several at a time
        (("seconds", 0.5), TrainingMoment(), True),
        (("seconds", 1.5), TrainingMoment(), False),
    ],
)
def test_an_interval_tells_when_it_is_time(every, now, due):
    assert interval(every).is_over(now.epoch, now.step, 1.0) is due


@pytest.mark.parametrize(
    ("every", "passed", "is_last"),
    [
        ("epoch", (0, 7, 1, 1), True),
        ("epoch", (0, 7, 1, 2), False),
        ("epoch", (0, 7, 4, 3), True),  # four at a time go beyond the end
        ("epoch", (0, 7, 1, None), None),
        (("epochs", 2), (0, 7, 1, 1), False),
        (("epochs", 2), (1, 15, 1, 1), True),
        (("batches", 8), (0, 7, 1, 99), True),
        (("batches", 8), (0, 6, 1, 1), False),
        (("seconds", 2), (0, 7, 1, 1), None),
    ],
)
def test_it_knows_which_step_is_the_last(every, passed, is_last):
    assert interval(every).is_last_step(*passed) is is_last


@pytest.mark.parametrize(
    "every",
    ["epok", ("batches", 0), ("batches", 1.5), ("seconds", -1), 7, ("seconds", "1"), None, ()],
)
def test_what_is_no_interval_is_refused(every):
    with pytest.raises(DataError, match=r"an interval is .*got"):
        interval(every)


def test_what_is_spent_stays_below_the_share():
    clock = Clock()
    allowance, shares = TimeBudget(0.05, clock), []
    for _ in range(5000):
        clock.now += 0.01
        if allowance.can_afford():
            with allowance.spending():
                clock.now += 0.03
            shares.append(allowance.spent_share)
    assert len(shares) > 50
    assert max(shares[1:]) <= 0.05
    assert shares[-1] > 0.045


def test_what_costs_much_waits_until_it_is_earned():
    clock = Clock()
    allowance = TimeBudget(0.1, clock)
    with allowance.spending():
        clock.now += 2.0
    clock.now += 37.0
    assert not allowance.can_afford()  # 39 s at a tenth are 3.9, and 2 + 2 are wanted
    clock.now += 2.0
    assert allowance.can_afford()
    assert not allowance.can_afford(1.0)


def curves_of(fits, n_steps=4):
    curves = Curves()
    for first, n_epochs in fits:
        curves.begin()
        for epoch in range(first, first + n_epochs):
            for step in range(1, n_steps + 1):
                curves.add_step(
                    TrainingMoment(
                        epoch, 0, None, n_steps, step, {"loss": epoch + 1 / step, "acc": 0.5}
                    )
                )
            curves.add_epoch(
                TrainingMoment(epoch + 1, metrics={"loss": epoch, "val_loss": 2.0 * epoch})
            )
    return curves


def test_curves_are_placed_by_epochs_and_break_where_the_mean_begins_anew():
    curves = curves_of([(0, 2)])
    places, values = curves.by_step("loss")
    np.testing.assert_allclose(places, [0.25, 0.5, 0.75, 1, 1, 1.25, 1.5, 1.75, 2])
    np.testing.assert_allclose(values, [1, 0.5, 1 / 3, 0.25, np.nan, 2, 1.5, 4 / 3, 1.25])
    np.testing.assert_array_equal(curves.by_epoch("val_loss"), [[1, 2], [0, 2]])
    assert curves.names == ("loss", "acc")


@pytest.mark.parametrize("fits", [[(0, 2), (0, 1)], [(0, 2), (2, 1)]])
def test_a_second_fit_comes_behind_the_first(fits):
    np.testing.assert_array_equal(curves_of(fits).by_epoch("loss")[0], [1, 2, 3])
    assert curves_of(fits).by_step("loss")[0][-1] == 3


def test_a_fit_comes_behind_an_interrupted_one_with_steps_of_its_own():
    curves = Curves()
    curves.begin()
    for step in (1, 2):
        curves.add_step(TrainingMoment(0, 0, 1, 8, step, {"loss": 1.0}))
    curves.begin()
    for step in (1, 2):
        curves.add_step(TrainingMoment(0, 0, 1, 2, step, {"loss": 2.0}))
    curves.add_epoch(TrainingMoment(1, metrics={"loss": 2.0}))
    np.testing.assert_allclose(curves.by_step("loss")[0], [0.125, 0.25, 1, 1.5, 2])
    np.testing.assert_array_equal(curves.by_epoch("loss")[0], [2])
    assert curves.earlier_epochs == 1


def test_steps_of_an_epoch_of_unknown_length_lie_evenly_in_it_short_of_its_end():
    curves = Curves()
    curves.begin()
    for step in (1, 2, 3):
        curves.add_step(TrainingMoment(0, step, 1, None, step, {"loss": 1.0}))
    np.testing.assert_allclose(curves.by_step("loss")[0], [0.25, 0.5, 0.75])
    curves.add_epoch(TrainingMoment(1, 3, metrics={"loss": 1.0}))
    np.testing.assert_allclose(curves.by_step("loss")[0], [1 / 3, 2 / 3, 1])
    for step in range(1, 6):  # longer than the one before
        curves.add_step(TrainingMoment(1, 3 + step, 1, None, step, {"loss": 1.0}))
    np.testing.assert_allclose(curves.by_step("loss")[0][4:], [1.2, 1.4, 1.6, 1.8, 2])


def test_very_many_steps_are_thinned_and_the_ends_stay():
    curves = Curves()
    curves.begin()
    for step in range(1, 10 * MAX_STEPS + 1):
        curves.add_step(TrainingMoment(0, step, 1, 10 * MAX_STEPS, step, {"loss": float(step)}))
    places, values = curves.by_step("loss")
    assert MAX_STEPS // 2 <= len(places) <= MAX_STEPS
    assert places[-1] > 0.999
    assert np.all(np.diff(values) == np.diff(values)[0])


def test_there_may_be_nothing_to_show_yet():
    curves = Curves()
    assert curves.names == ()
    assert curves.last == {}
    assert len(curves.by_step("loss")[0]) == len(curves.by_epoch("val_loss")[0]) == 0
