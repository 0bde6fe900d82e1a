"""Epochs and steps over several fits, told as `ListeningCallback` tells them."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.training.events import Curves, EpochCount, TrainingMoment


@dataclass
class Fit:
    """A call of `fit`: where it begins and ends, and how many of its steps are done."""

    first: int = 0
    n_epochs: int = 1
    n_steps: int = 4
    at_a_time: int = 1
    is_known: bool = True
    interrupted_after: int | None = None

    def told(self):
        """What is told, in turn: a method's name and a moment."""
        end, size = self.first + self.n_epochs, self.n_steps if self.is_known else None
        yield "begin", TrainingMoment(n_epochs=end, n_steps=size)
        done = 0
        for epoch in range(self.first, end):
            of_epoch = 0
            while of_epoch < self.n_steps:
                yield "before_step", TrainingMoment(epoch, done, end, size, of_epoch)
                if self.interrupted_after is not None and done >= self.interrupted_after:
                    return
                added = min(self.at_a_time, self.n_steps - of_epoch)
                done, of_epoch = done + added, of_epoch + added
                yield "after_step", TrainingMoment(epoch, done, end, size, of_epoch)
            yield "after_epoch", TrainingMoment(epoch + 1, done, end, size)


def tell(count, fit):
    """The moments that are given back, and the places after each."""
    for name, moment in fit.told():
        now = getattr(count, name)(moment)
        yield name, moment, now, count.epoch, count.step


def after(*fits):
    count = EpochCount()
    for fit in fits:
        list(tell(count, fit))
    return count


fits = st.lists(
    st.builds(
        Fit,
        first=st.integers(0, 6),
        n_epochs=st.integers(0, 3),
        n_steps=st.integers(0, 5),
        at_a_time=st.integers(1, 3),
        is_known=st.booleans(),
        interrupted_after=st.none() | st.integers(0, 8),
    ),
    max_size=5,
)


@given(fits)
def test_every_epoch_has_a_place_of_its_own_and_nothing_falls(made):
    count, n_begun, n_steps, highest = EpochCount(), 0, 0, 0.0
    for fit in made:
        complete, before = max(fit.first, n_begun), n_steps
        for name, moment, now, epoch, step in tell(count, fit):
            assert epoch >= highest
            highest = epoch
            if name == "begin":
                continue
            if name == "after_step":
                n_begun, n_steps = complete + 1, before + moment.step
                assert complete < epoch <= complete + 1
            elif name == "after_epoch":
                n_begun = complete = complete + 1
                assert epoch == complete
            assert (now.epoch, now.step, step) == (complete, n_steps, n_steps)


@given(fits)
def test_curves_are_placed_where_a_recorder_places_them(made):
    count, curves = EpochCount(), Curves()
    for fit in made:
        for name, moment, _, place, _ in tell(count, fit):
            if name == "begin":
                curves.begin()
            elif name == "after_step":
                curves.add_step(moment)
                assert curves.by_step("loss")[0][-1] == pytest.approx(place)
                assert curves.earlier_epochs == count.earlier_epochs
            elif name == "after_epoch":
                curves.add_epoch(moment)
                assert curves.n_epochs == place


@pytest.mark.parametrize(
    ("second", "epoch", "earlier"),
    [
        (Fit(0), 3, 2),  # as Keras does unless told otherwise
        (Fit(1), 3, 1),
        (Fit(2), 3, 0),
        (Fit(5), 6, 0),
        (Fit(0, n_steps=0, is_known=False), 3, 2),
    ],
)
def test_a_second_fit_begins_behind_the_first_or_beyond(second, epoch, earlier):
    count = after(Fit(n_epochs=2), second)
    assert (count.epoch, count.earlier_epochs) == (epoch, earlier)


@pytest.mark.parametrize(("done", "epoch"), [(4, 1.0), (5, 1.25), (8, 2.0)])
def test_an_epoch_counts_as_begun_with_its_first_step(done, epoch):
    interrupted = Fit(n_epochs=3, interrupted_after=done)
    assert after(interrupted).epoch == epoch
    assert after(interrupted, Fit()).epoch == -(-done // 4) + 1


def test_how_many_steps_an_epoch_has_is_learned_from_the_last_complete_one():
    unknown = Fit(is_known=False)
    interrupted = Fit(is_known=False, interrupted_after=2)
    assert after(interrupted).steps_of_epoch is None
    assert after(interrupted, Fit(is_known=False, n_steps=0)).steps_of_epoch is None
    assert after(unknown).steps_of_epoch == 4
    assert after(unknown, Fit(n_steps=6, is_known=False)).steps_of_epoch == 6
    assert after(unknown, Fit(n_steps=6, interrupted_after=1)).steps_of_epoch == 6
    assert after(unknown, Fit(n_steps=6, is_known=False, interrupted_after=1)).steps_of_epoch == 4


def test_it_goes_on_from_where_it_is_said_to_have_come():
    count = EpochCount(epoch=1.5, step=6)
    list(tell(count, Fit()))
    assert (count.epoch, count.step) == (3, 10)


def test_the_end_of_a_fit_is_counted_too():
    count = after(Fit(n_epochs=2))
    ends = [now.n_epochs for name, _, now, *_ in tell(count, Fit()) if name != "begin"]
    assert set(ends) == {3}
