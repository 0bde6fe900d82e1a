import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actwidgets.core.ablation import Ablation
from actwidgets.core.perturbation import Perturbation
from actwidgets.core.selection import (
    FIELDS,
    Selection,
    ablation_text,
    chips,
    known_rows,
    perturbation_text,
    resolve,
)
from actwidgets.errors import SelectionError

NOW = Selection("conv", sample=3, samples=(1, 3), unit=15, class_index=1, threshold=0.5)
N_UNITS = {"conv": 20, "dense": 5}


def _resolve(now=NOW, **choice):
    return resolve(now, choice, n_units=N_UNITS, n_samples=10, n_classes=3)


def test_no_choice_changes_nothing():
    assert _resolve() == NOW


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"layer": "dense"}, {"layer": "dense", "unit": 0}),
        ({"layer": "dense", "unit": 4}, {"layer": "dense", "unit": 4}),
        ({"unit": 0}, {"unit": 0}),
        ({"sample": 1}, {"sample": 1}),
        ({"sample": 7}, {"sample": 7, "samples": (7, 3)}),
        ({"samples": [5, 3]}, {"samples": (5, 3)}),
        ({"samples": [5, 6]}, {"samples": (5, 6), "sample": 5}),
        ({"samples": [5, 6], "sample": 6}, {"samples": (5, 6), "sample": 6}),
        ({"samples": [5, 6], "sample": 9}, {"samples": (9, 6), "sample": 9}),
        ({"class_index": None}, {"class_index": None}),
        ({"threshold": 2}, {"threshold": 2.0}),
    ],
)
def test_a_choice_is_repaired_where_it_leaves_no_doubt(choice, wanted):
    assert _resolve(**choice) == dataclasses.replace(NOW, **wanted)


def test_a_unit_that_the_new_layer_has_stays():
    now = dataclasses.replace(NOW, unit=4)
    assert _resolve(now, layer="dense").unit == 4


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"layer": "conv9"}, "no layer 'conv9'; this model has conv, dense"),
        ({"layer": None}, "no layer None"),
        ({"layer": ["conv"]}, r"no layer \['conv'\]"),
        ({"unit": 20}, r"unit 20 is outside 0\.\.19 of layer 'conv'"),
        ({"unit": -1}, "unit -1 is outside"),
        ({"layer": "dense", "unit": 5}, r"unit 5 is outside 0\.\.4 of layer 'dense'"),
        ({"unit": 1.0}, r"unit must be an integer; got 1\.0"),
        ({"unit": "3"}, "unit must be an integer; got '3'"),
        ({"sample": 10}, r"sample 10 is outside 0\.\.9"),
        ({"sample": None}, "sample must be an integer; got None"),
        ({"samples": []}, "at least one row; got none"),
        ({"samples": [2, 2]}, r"samples must differ; got \(2, 2\)"),
        ({"samples": [0, 10]}, r"sample 10 is outside 0\.\.9"),
        ({"samples": [0.5]}, r"sample must be an integer; got 0\.5"),
        ({"samples": "12"}, "several rows; got '12'"),
        ({"samples": 3}, "several rows; got 3"),
        ({"samples": np.array(3)}, r"several rows; got array\(3\)"),
        ({"class_index": 3}, r"class 3 is outside 0\.\.2, or None"),
        ({"class_index": "bag"}, "class must be an integer; got 'bag'"),
        ({"ablations": 5}, "must be several Ablation; got 5"),
        ({"ablations": "dense"}, "must be several Ablation; got 'dense'"),
        ({"ablations": [Ablation("dense", (1,)), None]}, "must be several Ablation; got None"),
        ({"ablations": np.zeros(2)}, "must be several Ablation"),
        ({"ablations": Ablation("dense", (5,))}, r"unit 5 is outside 0\.\.4 of layer 'dense'"),
        ({"threshold": "high"}, "threshold must be a number; got 'high'"),
        ({"threshold": None}, "threshold must be a number; got None"),
        ({"threshold": np.nan}, "threshold must be finite; got nan"),
        ({"threshold": np.inf}, "threshold must be finite; got inf"),
        ({"threshold": 10**400}, "threshold must be a number"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(choice, words):
    with pytest.raises(SelectionError, match=words):
        _resolve(**choice)


def test_a_field_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(TypeError, match="no field layr, untit; it has layer, sample, samples"):
        _resolve(layr="conv", untit=1)


def test_numpy_numbers_become_plain_ones():
    found = _resolve(
        sample=np.int64(2), samples=np.array([4, 2]), unit=np.uint8(3), threshold=np.float32(0.5)
    )
    assert found == Selection("conv", 2, (4, 2), 3, 1, 0.5)
    for value in (found.sample, *found.samples, found.unit):
        assert type(value) is int
    assert type(found.threshold) is float


def test_rows_may_come_from_a_generator():
    assert _resolve(samples=(row for row in (7, 8))).samples == (7, 8)
    assert known_rows(range(3), 10) == (0, 1, 2)


@pytest.mark.parametrize("rows", [np.array([4, -1]), np.array([4, 10]), range(8, 11)])
def test_very_many_rows_are_checked_as_few_are(rows):
    with pytest.raises(SelectionError, match=r"sample (-1|10) is outside 0\.\.9"):
        known_rows(rows, 10)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "layer": st.sampled_from(["conv", "dense", "none"]),
            "sample": st.integers(-2, 12),
            "samples": st.lists(st.integers(-1, 11), max_size=4),
            "unit": st.integers(-1, 25),
            "class_index": st.none() | st.integers(-1, 4),
            "threshold": st.floats(),
        },
    )
)
def test_whatever_is_chosen_the_outcome_is_consistent_or_refused(choice):
    try:
        found = _resolve(**choice)
    except SelectionError:
        return
    assert found.sample in found.samples
    assert len(set(found.samples)) == len(found.samples)
    assert 0 <= found.unit < N_UNITS[found.layer]
    assert all(0 <= row < 10 for row in found.samples)
    for name in set(choice) & set(FIELDS) - {"samples"}:
        assert getattr(found, name) == choice[name]


# --- chips --------------------------------------------------------------------------------


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
