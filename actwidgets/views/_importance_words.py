"""What three measures of units found, what they cost and what to mind, in words."""

import html
from collections.abc import Sequence

import numpy as np

from actwidgets.core.importance.unit_importance import MEASURES, ImportanceTable
from actwidgets.views._controls import decimals
from actwidgets.views._progress import duration

TITLES = {
    "forest": "Random forest",
    "mutual_information": "Mutual information",
    "ablation": "Ablation effect",
}
DOING = {"reading": "reading samples", "forest": "growing the forest"} | {
    "mutual_information": "mutual information",
    "ablation": "switching units off",
}
MINUS = "\u2212"
HEAD = "position:absolute;white-space:nowrap;color:var(--jp-ui-font-color1,#212121)"
FAINT = "color:var(--jp-ui-font-color2,#616161)"


def header(table: ImportanceTable, by: str, lefts_px: Sequence[int], width_px: int) -> str:
    """The names of the measures and their units, each over its panel, as HTML."""
    lost = "accuracy" if table.class_name is None else "recall"
    units = {
        "forest": "% of the forest's gain",
        "mutual_information": "nats",
        "ablation": f"points of {lost} lost",
    }
    cells = [f'<div style="{HEAD};left:2px"><b>Unit</b></div>']
    for measure, left in zip(MEASURES, lefts_px, strict=True):
        mark = " ▾" if measure == by else ""
        cells.append(
            f'<div style="{HEAD};left:{left}px"><b>{TITLES[measure]}{mark}</b><br>'
            f'<span style="{FAINT}">{units[measure]}</span></div>'
        )
    style = f"position:relative;height:36px;width:{width_px}px;line-height:16px;font-size:12px"
    return f'<div style="{style}">{"".join(cells)}</div>'


def figures(table: ImportanceTable, measure: str, units: Sequence[int]) -> list[str]:
    """The values behind the bars; nothing where one is not known yet, – where it never is."""
    values = table.of(measure) * (1 if measure == "mutual_information" else 100)
    highest = float(np.nanmax(np.abs(values), initial=0.0))
    places = min(decimals(highest) + (measure == "ablation"), 2)  # one sample is to be seen
    unknown = "–" if table.complete else ""
    return [
        unknown if np.isnan(values[unit]) else f"{values[unit]:.{places}f}".replace("-", MINUS)
        for unit in units
    ]


def progress(table: ImportanceTable, cancelled: bool) -> str:
    """What is being done, and how long it will take."""
    if cancelled:
        return f"{DOING[table.stage]}, cancelled"
    return f"{DOING[table.stage]}; about {duration(table.seconds_left)} left in all"


def subject(layer: str, class_name: str | None) -> str:
    """What is measured, as plain text."""
    return layer if class_name is None else f"{layer}, {class_name} against the rest"


def account(table: ImportanceTable) -> str:
    """A row per measure: what it cost, what it found, what to mind; as HTML."""
    rows = [
        f'<tr><td style="{_CELL};white-space:nowrap"><b>{TITLES[measure]}</b></td>'
        f'<td style="{_CELL};width:215px">{html.escape(_found(table, measure))}</td>'
        f'<td style="{_CELL}">{html.escape(table.caveats[measure])}</td></tr>'
        for measure in MEASURES
    ]
    heads = "".join(
        f'<th style="{_CELL};{FAINT}">{name}</th>'
        for name in ("measure", "cost and finding", "what to mind")
    )
    return (
        '<table class="aw-table" style="margin:10px 0 0 0;line-height:16px">'
        f"<tr>{heads}</tr>{''.join(rows)}</table>"
    )


_CELL = "text-align:left;vertical-align:top;padding:2px 14px 6px 0;white-space:normal"


def _found(table: ImportanceTable, measure: str) -> str:
    seconds = f"{table.seconds[measure]:.1f} s"
    if not table.n_units or np.isnan(table.of(measure)).all():
        return "not known" if table.complete else "not yet"
    if measure == "forest":
        text = f"{seconds} for {_counted(table.n_trees, 'tree')} on {table.n_finite:,} samples"
        if not np.isnan(table.out_of_bag_accuracy):
            text += (
                f"; out of the bag right on {table.out_of_bag_accuracy:.1%}, where the most "
                f"frequent class makes {table.majority_share:.1%}"
            )
        return text
    n_known = int((~np.isnan(table.of(measure)[table.measured])).sum())
    units = _counted(n_known, "unit")
    if measure == "mutual_information":
        return f"{seconds} for {units} on {table.n_finite:,} samples"
    name = "accuracy" if table.class_name is None else "recall"
    return (
        f"{seconds} for {units} on {table.n_ablated:,} samples; {name} {table.baseline:.1%} with "
        f"all units; one sample is {100 / table.n_ablated:.2g} points"
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
