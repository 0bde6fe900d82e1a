import pytest

from actwidgets.recording.recorder import TrainingProgress
from actwidgets.training.events import TrainingMoment


def fit(course, epochs, first=0, n_steps=4, known=True, until=None):
    """As Keras tells it; the epochs that stood after each step."""
    found, done = [], 0
    size = n_steps if known else None
    course.begin(TrainingMoment(n_epochs=epochs, n_steps=size))
    for epoch in range(first, epochs):
        for step in range(n_steps):
            course.before_step(TrainingMoment(epoch, done, epochs, size, step))
            if done == until:
                return found
            done += 1
            course.after_step(TrainingMoment(epoch, done, epochs, size, step + 1))
            found.append(course.epoch)
        course.after_epoch(TrainingMoment(epoch + 1, done, epochs, size))
    course.pause()
    return found


def test_amid_an_epoch_is_told_as_a_part_of_it():
    assert fit(TrainingProgress(), 2) == [0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]


def test_of_an_epoch_of_unknown_length_it_is_known_that_it_is_not_over():
    course = TrainingProgress()
    first, second = (found := fit(course, 2, known=False))[:4], found[4:]
    assert first == sorted(first)
    assert 0 < first[0] < first[-1] < 1
    assert second == [1.25, 1.5, 1.75, 2]
    assert course.epoch == 2


def test_a_second_fit_goes_on():
    course = TrainingProgress()
    fit(course, 2)
    fit(course, 1)
    assert (course.epoch, course.step) == (3, 12)


@pytest.mark.parametrize(("first", "wanted"), [(2, 3), (5, 6), (1, 3)])
def test_epochs_that_keras_counts_on_are_not_counted_twice(first, wanted):
    course = TrainingProgress()
    fit(course, 2)
    fit(course, first + 1, first)
    assert course.epoch == wanted


def test_an_interrupted_epoch_counts_as_one():
    course = TrainingProgress()
    fit(course, 2, until=5)
    assert (course.epoch, course.step) == (1.25, 5)
    fit(course, 1)
    assert (course.epoch, course.step) == (3, 9)


def test_pauses_do_not_count(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    course = TrainingProgress(seconds=5)
    course.begin(TrainingMoment())
    now[0] = 3
    assert course.seconds == 8
    course.pause()
    now[0] = 100
    assert course.seconds == 8
    course.begin(TrainingMoment())
    course.begin(TrainingMoment())  # the one before was interrupted
    now[0] = 101
    assert course.seconds == 9


def test_steps_done_several_at_a_time_are_a_stride():
    course = TrainingProgress()
    course.begin(TrainingMoment(n_steps=4))
    course.before_step(TrainingMoment())
    course.after_step(TrainingMoment(0, 2, 1, 4, 2))
    assert (course.stride, course.step, course.epoch) == (2, 2, 0.5)
    course.before_step(TrainingMoment(0, 2, 1, 4, 2))
    course.after_step(TrainingMoment(0, 3, 1, 4, 3))  # an epoch's last step may be of fewer
    assert course.stride == 2
    course.begin(TrainingMoment(n_steps=4))
    assert course.stride is None


def test_which_step_is_the_last_of_a_fit():
    course = TrainingProgress()
    course.begin(TrainingMoment(n_epochs=2, n_steps=5))
    assert not course.is_last_step(TrainingMoment(1, 9, 2, 5, 4))  # nobody knows how many at a time
    course.after_step(TrainingMoment(0, 2, 2, 5, 2))
    known = [course.is_last_step(TrainingMoment(1, 5 + step, 2, 5, step)) for step in range(5)]
    assert known == [False, False, False, True, True]
    assert not course.is_last_step(TrainingMoment(0, 4, 2, 5, 4))
    assert not course.is_last_step(TrainingMoment(1, 9, None, 5, 4))


def test_an_epoch_without_a_step_counts_on():
    course = TrainingProgress(epoch=2, step=6)
    course.begin(TrainingMoment())
    course.after_epoch(TrainingMoment(1, 0))
    assert (course.epoch, course.step) == (3, 6)
