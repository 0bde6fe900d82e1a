import threading
import time
import traceback
import weakref

import numpy as np
import pytest

from actwidgets.session.tasks import Task


def _counting(n_pieces, result="all", begun=None):
    """Work of some pieces, that notes each beginning."""

    def begin():
        if begun is not None:
            begun.append(len(begun))
        for done in range(n_pieces):
            yield done, n_pieces
        return result

    return begin


def test_it_tells_how_far_it_is_and_what_came_of_it():
    work = Task("maps", (), _counting(2))
    told = [(work.n_read, work.n_samples)]
    while not work.complete:
        work.step()
        told.append((work.n_read, work.n_samples))
    assert told == [(0, 1), (0, 2), (1, 2), (2, 2)]
    assert work.result() == "all"


def test_another_step_after_the_last_does_nothing():
    begun = []
    work = Task("maps", (), _counting(0, begun=begun))
    work.step()
    work.step()
    assert (begun, work.result()) == ([0], "all")


def test_work_whose_length_was_told_too_small_is_not_complete_yet():
    def begin():
        yield 3, 2

    work = Task("maps", (), begin)
    work.step()
    assert (work.n_read, work.n_samples) == (3, 4)


def test_two_threads_share_the_pieces():
    inside, together = [], []

    def begin():
        for done in range(20):
            inside.append(done)
            time.sleep(0.001)  # lets the others in
            together.append(len(inside))
            inside.pop()
            yield done, 20
        return "all"

    work = Task("maps", (), begin)

    def drive():
        while not work.complete:
            work.step()

    threads = [threading.Thread(target=drive) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(together), max(together), work.result()) == (20, 1, "all")


def test_after_a_failure_it_begins_anew_when_it_is_asked_to():
    begun = []

    def begin():
        begun.append(0)
        yield 0, 1
        if len(begun) == 1:
            raise ValueError
        return "all"

    work = Task("maps", (), begin)
    work.step()
    with pytest.raises(ValueError, match=r"^$"):
        work.step()
    assert work.failure == "ValueError"  # it has no words of its own
    work.resume()
    assert (work.failure, work.error) == ("", None)
    work.step()
    work.step()
    assert (len(begun), work.result()) == (2, "all")


def test_after_an_interrupt_it_begins_anew_too():
    pressed = [KeyboardInterrupt]

    def begin():
        yield 0, 1
        if pressed:
            raise pressed.pop()
        return "all"

    work = Task("maps", (), begin)
    work.step()
    with pytest.raises(KeyboardInterrupt):
        work.step()
    assert not work.complete
    assert work.failure == ""
    work.step()
    work.step()
    assert work.result() == "all"


def test_an_error_raised_again_tells_where_it_arose_and_grows_no_longer():
    def deep_inside():
        raise ValueError("no slope")

    def begin():
        yield 0, 1
        deep_inside()

    work = Task("maps", (), begin)
    work.step()
    with pytest.raises(ValueError, match="no slope"):
        work.step()
    lengths = []
    for _ in range(3):
        with pytest.raises(ValueError, match="no slope") as found:
            raise work.error
        frames = traceback.extract_tb(found.value.__traceback__)
        lengths.append(len(frames))
        assert frames[-1].name == "deep_inside"
    assert len(set(lengths)) == 1


def test_an_error_that_is_kept_holds_no_arrays():
    held = []

    def begin():
        array = np.zeros(8)
        held.append(weakref.ref(array))
        yield 0, 1
        raise ValueError("no slope")

    work = Task("maps", (), begin)
    work.step()
    with pytest.raises(ValueError, match="no slope"):
        work.step()
    assert work.error is not None
    assert held[0]() is None


def test_what_is_stopped_keeps_what_was_done():
    begun = []
    work = Task("maps", (), _counting(2, begun=begun))
    work.step()
    work.stop()
    assert work.cancelled
    work.resume()
    assert not work.cancelled
    work.step()
    work.step()
    assert (begun, work.complete) == ([0], True)
