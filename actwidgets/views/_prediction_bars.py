"""The most probable classes of a sample as bars, before and now."""

import html
from collections.abc import Sequence

import numpy as np

from actwidgets.core.predictions.prediction_shift import PredictionShift
from actwidgets.views._controls import share_text
from actwidgets.views._style import RIGHT, WRONG

NOW, CHOSEN = "#8cc9c4", "#3fa7a0"
SHEET = """<style>
.aw-says { font: 600 14px/20px var(--jp-ui-font-family, sans-serif); margin: 0 0 6px;
  color: var(--jp-ui-font-color1, #212121); font-variant-numeric: tabular-nums; }
.aw-bars { border-collapse: collapse; width: 100%; table-layout: fixed;
  font: 12px/16px var(--jp-ui-font-family, sans-serif);
  color: var(--jp-ui-font-color1, #212121); }
.aw-bars th { width: 92px; padding: 0 8px 0 0; font-weight: 400; text-align: right;
  overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
.aw-bars .aw-true th { font-weight: 700; }
.aw-bars td { padding: 2px 0; }
.aw-bars td:last-child { width: 54px; text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums; }
.aw-bars b, .aw-bars i { display: block; min-width: 1px; }
.aw-bars b { height: 10px; }
.aw-bars i { height: 3px; background: var(--jp-ui-font-color2, #757575); opacity: .6; }
</style>"""


def sentence(
    shift: PredictionShift, names: Sequence[str], true: int | None, *, changed: bool
) -> str:
    """`ankle boot 0.98 → sandal 0.61`, as HTML; without `changed` the first half only."""
    told = []
    for predicted, sure in zip(shift.predicted, shift.confidence, strict=True):
        if not shift.has_probabilities:
            told.append(_coloured(names[predicted], predicted, true))
        elif np.isnan(sure):
            told.append("not a number")
        else:
            told.append(_coloured(f"{names[predicted]} {share_text(sure)}", predicted, true))
    return f'<div class="aw-says">{" → ".join(told if changed else told[:1])}</div>'


def bars(shift: PredictionShift, names: Sequence[str], true: int | None) -> str:
    """A row for each class, as HTML: what the model says now, and a thin line: before.

    The name of the true class is bold. The bar of the predicted class stands out: green where
    it is the true one, red where it is not.
    """
    rows = []
    for index, before, now in zip(shift.classes, shift.before, shift.now, strict=True):
        name = html.escape(names[index], quote=True)
        colour = NOW
        if index == shift.predicted[1] and not np.isnan(now):
            colour = CHOSEN if true is None else RIGHT if index == true else WRONG
        kind, told = (
            (' class="aw-true"', f"{name}: the true class") if index == true else ("", name)
        )
        rows.append(
            f'<tr{kind}><th title="{told}">{name}</th><td>'
            f'<b style="width:{_width(_share(now, shift))}%;background:{colour}"></b>'
            f'<i style="width:{_width(_share(before, shift))}%"></i></td>'
            f"<td>{_figure(now)}</td></tr>"
        )
    return f'<table class="aw-bars">{"".join(rows)}</table>'


def values_sentence(before: float, now: float, *, changed: bool) -> str:
    """What a regression says, before and now, as HTML."""
    told = f"{before:.4g} → {now:.4g}" if changed else f"{before:.4g}"
    return f'<div class="aw-says">{told}</div>'


def _coloured(text: str, predicted: int, true: int | None) -> str:
    text = html.escape(text, quote=True)
    if true is None:
        return text
    return f'<span style="color:{RIGHT if predicted == true else WRONG}">{text}</span>'


def _figure(value: float) -> str:
    return "–" if np.isnan(value) else share_text(value)


def _share(value: float, shift: PredictionShift) -> float:
    """How long a bar is, in 0..1: of margins by where it lies among all of them."""
    if shift.has_probabilities:
        return value
    known = np.nan_to_num([*shift.before, *shift.now])
    low, high = min(known.min(), 0.0), max(known.max(), 0.0)
    return (value - low) / (high - low) if high > low else 0.0


def _width(share: float) -> str:
    return f"{0.0 if np.isnan(share) else 100 * share:.1f}"
