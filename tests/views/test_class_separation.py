import numpy as np
import pytest
import shown
from fakes import FakeProbe

from actwidgets.images.colormap import FRAME, TOP, palette
from actwidgets.session.session import Session
from actwidgets.views.class_separation import ClassSeparation
from actwidgets.views.controls import shorten_path, unique_short


class _Growing(FakeProbe):
    """The deeper of its two layers parts the second class from the first, the other does not."""

    def activations(self, layers, x):
        noise = np.random.default_rng(0).normal(size=(len(x), 4, 6, 20)).astype(np.float32)
        parted = (np.asarray(x)[:, 0, 0, 0].astype(int) % 2)[:, None] * 10 + noise[:, 0, 0, :5]
        return {"conv": noise, "dense": parted}


@pytest.fixture
def session(data):
    return Session(_Growing(), *data, class_names=("shirt", "coat", "<b>bag"))


def _pixels(view):
    return shown.picture(view)


def test_every_layer_has_its_ratio_and_the_best_is_named(session):
    view = ClassSeparation(session)
    profiles = session.profiles(every_layer=True)
    layers = shown.words(view)[::2]
    assert layers == ["conv", "dense"]  # an empty output has nothing to show
    wanted = [profiles.fisher_ratio(name) for name in layers]
    assert wanted[1] > 10 > wanted[0]
    texts = shown.words(view)
    assert texts == ["conv", f"{wanted[0]:.3g}", "dense", f"{wanted[1]:.3g}"]
    assert "largest in dense" in shown.text(view)


def test_the_ratios_are_those_of_the_weights_that_the_model_has_now(session, monkeypatch):
    view = ClassSeparation(session)
    before = shown.words(view)[1::2]
    parted = _Growing.activations

    def exchanged(probe, layers, x):
        found = parted(probe, layers, x)
        return {
            "conv": found["conv"],
            "dense": found["dense"][::-1] * 0 + found["conv"][:, 0, 0, :5],
        }

    monkeypatch.setattr(_Growing, "activations", exchanged)
    session.refresh()
    wanted = session.profiles(every_layer=True).fisher_ratio("dense")
    assert shown.words(view)[1::2] == [before[0], f"{wanted:.3g}"] != before


def test_two_classes_can_be_parted(session):
    view = ClassSeparation(session, first=0, second=1)
    wanted = session.profiles(every_layer=True).fisher_ratio("dense", (0, 1))
    assert shown.words(view)[3] == f"{wanted:.3g}"
    assert "Fisher&#x27;s ratio of shirt and coat" in shown.markup(view)
    view.second = 2  # no samples: no ratio, and no failure
    assert shown.words(view)[3] == "–"
    assert "&lt;b&gt;bag" in shown.markup(view)


def test_few_samples_a_class_are_told_and_classes_without_any_left_out(data):
    class Thousand(_Growing):
        n_classes = 1000

    x, _ = data
    single = ClassSeparation(Session(Thousand(), x, np.arange(30) * 33))
    assert "not known, as no class has two samples" in shown.text(single)
    assert "970 of 1,000 classes without samples are left out" in shown.text(single)
    assert shown.words(single)[1::2] == ["–", "–"]
    missing = tuple(palette("nearness")[TOP + 1])
    assert not (_pixels(single)[..., :3] == missing).all(axis=2).any()
    pairs = ClassSeparation(Session(Thousand(), x, np.arange(30) // 2 * 33))
    assert "about 0.93 if they did not differ: too few samples to tell" in shown.text(pairs)
    many = ClassSeparation(Session(_Growing(), x, np.arange(30) % 3))
    assert "about 0.074 if they did not differ" in shown.text(many)
    assert "too few" not in shown.text(many)


def test_a_click_chooses_the_layer_and_frames_it(session):
    view = ClassSeparation(session)
    frame = tuple(palette("nearness")[FRAME])
    before = (_pixels(view)[..., :3] == frame).all(axis=2)
    shown.click(view, 0, 1)
    assert session.layer == "dense"
    after = (_pixels(view)[..., :3] == frame).all(axis=2)
    assert before[:, :80].any()
    assert not after[:, :80].any()
    assert after[:, 90:].any()


def test_moving_the_layer_works_nothing_out_again(session, monkeypatch):
    view = ClassSeparation(session)
    monkeypatch.setattr(type(session.profiles()), "similarity", None)
    session.layer = "dense"
    assert view.error == ""


def test_the_mouse_tells_the_ratio(session):
    view = ClassSeparation(session)
    shown.hover(view, 0, 0)
    assert "conv: Fisher&#x27;s ratio" in shown.markup(view)


def test_what_the_mouse_tells_is_worked_out_again_and_goes_as_it_leaves(session):
    view = ClassSeparation(session)
    profiles = session.profiles(every_layer=True)
    shown.hover(view, 0, 1)
    assert f"ratio {profiles.fisher_ratio('dense'):.4g}<" in shown.markup(view)
    view.first, view.second = 0, 1
    assert f"ratio {profiles.fisher_ratio('dense', (0, 1)):.4g}<" in shown.markup(view)
    view.children[-1].click()  # as the page does
    assert shown.readout(view) == ""
    view.second = 2
    assert shown.readout(view) == ""


def test_nested_layers_are_shortened_from_the_front_so_that_they_can_be_told():
    names = (
        "sequential_1/features/Conv1",
        "sequential_1/features/Conv2",
        "dense",
        "a/very_long_layer",
    )
    assert unique_short(names, 13, shorten_path) == [
        "…/Conv1",
        "…/Conv2",
        "dense",
        "…y_long_layer",
    ]
    other = unique_short(("block_1/expand_relu", "block_2/expand_relu"), 13, shorten_path)
    assert len(set(other)) == 2
    assert max(map(len, other)) <= 13
