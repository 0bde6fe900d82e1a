"""A classification report as a table."""

import html

import numpy as np

from actwidgets.core.predictions.classification_report import COLUMNS, ClassificationReport

ROWS = 30


def report_table(report: ClassificationReport, chosen: int | None = None) -> str:
    """The report as HTML, with names escaped.

    Of more than 30 classes those with the lowest F1 of those that have samples. A figure that
    is 0 because there was nothing to divide by is a dash.

    Args:
        report: The report.
        chosen: A class that stands out, or None.
    """
    n_classes = len(report.class_names)
    rows = np.arange(n_classes)
    if n_classes > ROWS:
        known = np.flatnonzero(report.support)
        rows = known[np.argsort(report.f1[known], kind="stable")[:ROWS]]
    has_iou = report.iou is not None
    lines = [_line("th", "", (*COLUMNS, "IoU") if has_iou else COLUMNS)]
    for index in rows.tolist():
        support, n_predicted = int(report.support[index]), int(report.n_predicted[index])
        cells = (
            _share(report.precision[index], n_predicted),
            _share(report.recall[index], support),
            _share(report.f1[index], support + n_predicted),
            f"{support:,}",
        )
        if report.iou is not None:
            cells += (_share(report.iou[index], support + n_predicted),)
        lines.append(_line("td", report.class_names[index], cells, is_chosen=index == chosen))
    total = f"{int(report.support.sum()):,}"
    whole = "accuracy" if report.micro is None else "all labels right"
    last = ("",) if has_iou else ()
    accuracy = ("", "", _share(report.accuracy, 1), total, *last)
    lines.append(_line("td", whole, accuracy, rule=True))
    for name, each in report.averages:
        figures = (_share(value, 1) for value in (each.precision, each.recall, each.f1))
        if report.iou is not None:
            last = (_share(float(report.iou.mean()), 1),) if name == "macro avg" else ("",)
        lines.append(_line("td", name.replace("avg", "average"), (*figures, total, *last)))
    table = f'<table class="aw-table">{"".join(lines)}</table>'
    if n_classes > ROWS:
        table += f'<div class="aw-note">{len(rows)} of {n_classes:,} classes, lowest F1 first</div>'
    return table


def _line(
    cell: str, name: str, cells: tuple[str, ...], *, is_chosen: bool = False, rule: bool = False
) -> str:
    kinds = [kind for kind, on in (("aw-chosen", is_chosen), ("aw-rule", rule)) if on]
    classes = f' class="{" ".join(kinds)}"' if kinds else ""
    body = "".join(f"<{cell}>{each}</{cell}>" for each in cells)
    return f"<tr{classes}><th>{html.escape(name)}</th>{body}</tr>"


def _share(value: float, count: int) -> str:
    return "–" if not count or np.isnan(value) else f"{value:.3f}"
