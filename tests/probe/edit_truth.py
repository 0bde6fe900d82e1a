"""Edits, what numpy makes of them, and the roads by which a probe answers."""

from functools import cache

import model_zoo
import numpy as np

from actwidgets.core import batches
from actwidgets.core.ablation import Edit
from actwidgets.probe.compiled import FEW_SAMPLES
from actwidgets.probe.extractors import EditedTraces
from actwidgets.probe.keras_probe import KerasProbe


@cache
def build(name):
    """The case of that name and a probe of it, made once."""
    case = model_zoo.build(name)
    return case, KerasProbe(case.model, case.x, head=case.options.get("head"))


def edit_for(n_units, seed=0):
    """Factors and offsets that differ from unit to unit; the first is switched off."""
    factor, offset = np.random.default_rng(seed).normal(size=(2, n_units))
    factor[0] = 0
    return Edit(factor, offset)


def altered(values, edit, unit_axis=-1):
    """What numpy makes of the output of a layer."""
    values = np.asarray(values, np.float32)
    if values.ndim == 1:
        return edit.factor * values + edit.offset
    units_last = np.moveaxis(values, unit_axis, -1) * edit.factor + edit.offset
    return np.moveaxis(units_last, -1, unit_axis)


def predict(probe, x):
    """The prediction, for `by_both_roads`."""
    return probe.predictions(x)


def by_both_roads(probe, edits, x, read=predict):
    """What an edited probe answers compiled, after seeing that an eager call says the same."""
    probe._edited_traces = EditedTraces(probe._extractor)  # or it would be compiled already
    found = probe.edited(edits)
    few = batches.take(x, np.arange(2))
    eager = read(found, few)
    slices = found._extractor._edited
    assert not slices._functions
    compiled = read(found, x)
    assert len(compiled) > FEW_SAMPLES
    assert slices._functions or not any(each.trace for each in slices._traces.values())
    np.testing.assert_allclose(eager, compiled[:2], atol=1e-5, rtol=1e-5)
    np.testing.assert_allclose(read(found, few), eager, atol=1e-5, rtol=1e-5)
    return compiled
