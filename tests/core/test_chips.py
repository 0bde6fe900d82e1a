"""What is selected in words, and how it is taken back."""

from actwidgets.core.ablation import Ablation
from actwidgets.core.perturbation import Perturbation
from actwidgets.core.selection import Selection, ablation_text, chips, perturbation_text

NAMES = ("shirt", "coat")


def _texts(selection, **known):
    return [chip.text for chip in chips(selection, NAMES, **known)]


def test_nothing_chosen_is_nothing_told():
    assert chips(Selection("dense"), NAMES) == ()


def test_every_choice_has_its_words_and_what_takes_it_back():
    selection = Selection(
        "dense",
        sample=5,
        samples=(5, 7),
        class_index=1,
        threshold=0.25,
        perturbation=Perturbation(noise=0.2, rotation=-15, patch=(0, 0, 3, 4)),
        ablations=(Ablation("dense", (1,)),),
    )
    found = chips(selection, NAMES)
    assert [each.text for each in found] == [
        "2 samples: 5, 7",
        "class coat",
        "threshold 0.25",
        "noise 0.2, rotation -15°, 3 × 4 px hidden",
        "dense: unit 1 off",
    ]
    assert [dict(each.clear) for each in found] == [
        {"samples": (5,)},
        {"class_index": None},
        {"threshold": 0.0},
        {"perturbation": None},
        {"ablations": ()},
    ]


def test_samples_of_one_cell_of_the_confusion_matrix_are_told_as_such():
    selection = Selection("dense", samples=tuple(range(1200)))
    assert _texts(selection) == ["1,200 samples: 0, 1, 2, …"]
    assert _texts(selection, labels=[0] * 1200, predicted=[1] * 1200) == [
        "1,200 samples of shirt predicted as coat"
    ]
    assert _texts(selection, labels=[0] * 1200, predicted=[0, 1] * 600) == [
        "1,200 samples of shirt"
    ]


def test_ablations_and_perturbations_in_words():
    many = Ablation("a", tuple(range(9)), scale=0.5)
    assert ablation_text(many) == "a: units 0, 1, 2, 3, 4, 5 and 3 more × 0.5"
    assert ablation_text(Ablation("a", (2,), fill="mean")) == "a: unit 2 at their mean"
    half = Ablation("a", (2,), scale=0.5, fill="mean")
    assert ablation_text(half) == "a: unit 2 × 0.5 about their mean"
    assert perturbation_text(Perturbation(shift_down=2, blur=1.5)) == "blur 1.5 px, shift down 2 px"
