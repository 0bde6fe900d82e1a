"""Close widgets with all that hangs on them: ipywidgets keeps every open one for ever."""

from collections.abc import Iterable, Iterator
from typing import Any

import ipywidgets as w


def close_all(widgets: Iterable[w.Widget]) -> None:
    """Close these widgets and everything they refer to: layouts, styles, scales, marks."""
    for widget in with_all_they_hold(widgets):
        widget.unobserve_all()
        widget.close()


def with_all_they_hold(widgets: Iterable[w.Widget]) -> list[w.Widget]:
    """These widgets and everything they refer to, each once."""
    found: dict[int, w.Widget] = {}
    waiting = list(widgets)
    while waiting:
        widget = waiting.pop()
        if id(widget) in found:
            continue
        found[id(widget)] = widget
        waiting += _held_by(widget)
    return list(found.values())


def _held_by(widget: w.Widget) -> Iterator[w.Widget]:
    for name in widget.keys:
        yield from _widgets_in(widget._trait_values.get(name))


def _widgets_in(value: Any) -> Iterator[w.Widget]:
    if isinstance(value, w.Widget):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _widgets_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _widgets_in(each)
