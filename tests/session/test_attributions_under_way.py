import numpy as np
import pytest
from fakes import FakeProbe, begin_when_waited_for, hold_back

from actwidgets.errors import LayerError
from actwidgets.session.session import Session
from actwidgets.session.tasks import Task

WEIGHTS = FakeProbe().slice.weights


def test_a_failure_is_kept_until_it_is_to_be_tried_again(session, probe):
    probe.slice.fails = LayerError("no gradient there")
    for _ in range(2):
        with pytest.raises(LayerError, match="no gradient there"):
            session.attributions.request("gradient")
    assert len(probe.slice.calls) == 1
    probe.slice.fails = None
    session.attributions.resume()
    assert session.attributions.request("gradient") is not None


def test_what_takes_long_is_made_in_the_background(session, monkeypatch):
    monkeypatch.setattr("actwidgets.session.attributions.AT_ONCE_S", 0)
    asked = {"method": "gradient", "client": "here"}
    assert session.attributions.request(**asked) is None
    session.attributions.wait()
    assert session.attributions.reading.complete
    np.testing.assert_array_equal(session.attributions.request(**asked).values[0], WEIGHTS)


def test_a_failure_in_the_background_comes_to_whoever_asks_next(session, probe, monkeypatch):
    monkeypatch.setattr("actwidgets.session.attributions.AT_ONCE_S", 0)
    probe.slice.fails = LayerError("no gradient there")
    assert session.attributions.request("gradient") is None
    session.attributions.wait()
    with pytest.raises(LayerError, match="no gradient there"):
        session.attributions.request("gradient")
    assert session.attributions.reading.failure == "LayerError: no gradient there"
    session.attributions.resume()
    assert session.attributions.reading.failure == ""


def test_what_nobody_asks_for_any_more_is_stopped(session, monkeypatch):
    monkeypatch.setattr("actwidgets.session.attributions.AT_ONCE_S", 0)
    attributions = session.attributions
    begin_when_waited_for(attributions, monkeypatch)
    attributions.request("gradient", client="here")
    (left,) = attributions._tasks.values()
    attributions("gradient", target=1)
    attributions.request("gradient", target=1, client="here")  # complete: it stays
    assert left.cancelled  # a process of its own would end
    assert [task.complete for task in attributions._tasks.values()] == [True]
    monkeypatch.setattr("actwidgets.session.context.KEPT", 0)
    attributions.request("gradient", target=2, client="there")
    (dropped,) = [task for task in attributions._tasks.values() if not task.complete]
    attributions.leave("there")
    assert dropped.cancelled


def test_what_is_asked_next_at_the_same_place_takes_its_room(session, probe, monkeypatch):
    monkeypatch.setattr("actwidgets.session.attributions.AT_ONCE_S", 0)
    attributions = session.attributions
    begin_when_waited_for(attributions, monkeypatch)
    assert attributions.request("gradient", target=0, client="here") is None
    assert attributions.request("gradient", target=1, client="here") is None
    attributions.wait()
    assert len(probe.slice.calls) == 1


def test_what_was_asked_or_glanced_at_longest_ago_is_dropped_first(session, monkeypatch):
    monkeypatch.setattr("actwidgets.session.context.KEPT", 2)
    get = session.attributions
    first, second = (get("gradient", rows=[row]) for row in range(2))
    assert get("gradient", rows=[0]) is first
    third = get("gradient", rows=[2])
    assert get("gradient", rows=[2]) is third
    assert get("gradient", rows=[0]) is first
    assert get("gradient", rows=[1]) is not second


def test_large_results_are_kept_within_a_share_of_the_budget(session):
    get = session.attributions
    of_one = get("gradient", rows=[0]).n_bytes
    assert of_one == 6 * 8 * 4
    session.memory_budget_bytes = 8 * of_one * 5
    found = [get("gradient", rows=range(row, row + 3)) for row in range(7)]
    held = [each.n_bytes for each in session.attributions._tasks.values()]
    assert held == [3 * of_one] * 2  # one within the share, and the newest
    assert get("gradient", rows=range(6, 9)) is found[6]


def test_what_is_on_show_is_kept_however_much_it_is(session, probe, monkeypatch):
    monkeypatch.setattr("actwidgets.session.context.KEPT", 1)

    def ask():
        return [
            session.attributions.request("gradient", rows=[row], client=f"view {row}")
            for row in range(4)
        ]

    before = ask()
    for one, other in zip(before, ask(), strict=True):
        assert one is other


def test_whoever_leaves_has_the_rest_left_undone(session, probe, monkeypatch):
    monkeypatch.setattr("actwidgets.session.attributions.AT_ONCE_S", 0)
    attributions = session.attributions
    begin_when_waited_for(attributions, monkeypatch)
    for place, target in (("12", 0), ("12 panel", 1), ("123 panel", 2), ("12 tiles on", 1)):
        attributions.request("gradient", target=target, client=place)
    attributions.leave("12", but=("12 tiles",))
    assert set(attributions._requests) == {"123 panel", "12 tiles on"}
    attributions.leave("12")
    attributions.wait()
    assert len(probe.slice.calls) == 1


def test_what_another_place_waits_for_goes_on(session, probe, monkeypatch):
    monkeypatch.setattr("actwidgets.session.attributions.AT_ONCE_S", 0)
    attributions = session.attributions
    begin_when_waited_for(attributions, monkeypatch)
    asked = {"method": "gradient"}
    for place in ("one", "other"):
        attributions.request(**asked, client=place)
    attributions.request("gradient", target=2, client="one")
    attributions.wait()
    assert attributions.request(**asked, client="other") is not None


def test_after_refresh_nothing_is_made_twice(data, session, probe, monkeypatch):
    weights = [1]
    probe.fingerprint = lambda: tuple(weights)
    other = Session(probe, data[0], None)
    attributions = other.attributions
    attributions("gradient")
    left = attributions._task("under way", lambda: Task("maps", (), lambda: iter([(0, 1)] * 9)))
    hold_back(attributions)
    other.context.queue.submit(left, attributions._report)
    weights[0] = 2
    other.refresh()
    attributions("gradient")
    assert left.cancelled
    n_calls = len(probe.slice.calls)
    monkeypatch.setattr("actwidgets.session.attributions.LOOK_EVERY_S", 0)
    attributions("gradient")
    assert len(probe.slice.calls) == n_calls


def test_cancelled_work_waits_until_it_is_resumed(session, probe, monkeypatch):
    monkeypatch.setattr("actwidgets.session.attributions.AT_ONCE_S", 0)
    attributions = session.attributions
    begin_when_waited_for(attributions, monkeypatch)
    asked = {"method": "gradient", "client": "here"}
    attributions.request(**asked)
    attributions.cancel()
    assert attributions.reading.cancelled
    assert attributions.request(**asked) is None
    attributions.wait()
    assert not probe.slice.calls
    attributions.resume()
    assert not attributions.reading.cancelled
    attributions.request(**asked)
    attributions.wait()
    assert attributions.request(**asked) is not None


def test_weights_are_compared_now_and_then_only(data, session, probe, monkeypatch):
    looks, now_s = [], [1000.0]
    probe.fingerprint = lambda: looks.append(now_s[0]) or (1,)
    other = Session(probe, data[0], None)
    attributions = other.attributions
    attributions("gradient")
    looks.clear()
    # Results have a look of their own, which here began at the time of this machine.
    monkeypatch.setattr("actwidgets.session.results.LOOK_EVERY_S", float("inf"))
    monkeypatch.setattr("actwidgets.session.attributions.time.monotonic", lambda: now_s[0])
    attributions._looked_s = now_s[0]
    for later_s in (0.1, 0.3, 0.4, 0.5, 0.6):
        now_s[0] = 1000.0 + later_s
        attributions("gradient")
    assert looks == [1000.3, 1000.6]


def test_whoever_waits_has_also_done_what_failed_or_was_cancelled(session, probe, monkeypatch):
    probe.slice.fails = LayerError("no gradient there")
    for ask in (session.attributions.request, session.attributions):
        with pytest.raises(LayerError):
            ask("gradient")
    probe.slice.fails = None
    assert session.attributions("gradient") is not None
    assert session.attributions.reading is None or session.attributions.reading.failure == ""


def test_an_interrupted_map_is_not_begun_again_behind_ones_back(session, probe):
    probe.slice.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        session.attributions("gradient")
    probe.slice.fails = None
    assert session.attributions.request("gradient") is None
    assert session.attributions.reading.cancelled
    session.attributions.resume()
    np.testing.assert_array_equal(session.attributions.request("gradient").values[0], WEIGHTS)


def test_two_views_of_cancelled_work_do_not_wake_each_other_without_end(session, monkeypatch):
    monkeypatch.setattr("actwidgets.session.attributions.AT_ONCE_S", 0)
    attributions, told = session.attributions, []
    begin_when_waited_for(attributions, monkeypatch)

    def glance(_change=None):
        told.append(1)
        for place, method in enumerate(("gradient", "occlusion")):
            attributions.request(method, client=f"view {place}")

    glance()
    attributions.observe(glance, names="reading")
    attributions.cancel()
    assert len(told) == 2


def test_work_in_the_background_gives_way_to_whoever_moves_something(session):
    reader = session.context.queue
    reader.touched_s = 0.0
    session.sample = 3
    assert reader.touched_s > 0
