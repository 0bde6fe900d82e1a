"""What a view shows, and what a user does to it: read off the widgets as a page would have them.

Everything goes by the tree of widgets from a view downwards, and by the messages that the page
sends, so that a test says what is seen and not how the view holds it. What is folded away or not
displayed is not seen: only `control` finds it, so that a test can ask whether it `is_shown`.
"""

import html
import io
import re
from collections.abc import Iterator
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
from PIL import Image

from actwidgets.views.controls import Readout
from actwidgets.views.picture import Picture

BLOCK = "div|br|p|tr|td|th|table|caption|h[1-6]|li|ul"


# --- the tree --------------------------------------------------------------------------------


def every(root: w.Widget, *, hidden: bool = False) -> Iterator[w.Widget]:
    """A widget and all below it, in the order of the page; marks, axes and selectors count.

    Args:
        root: Where to begin.
        hidden: Whether what is folded away or not displayed counts.
    """
    if not hidden and _is_folded(root):
        return
    yield root
    below = [*getattr(root, "children", ()), *getattr(root, "marks", ())]
    below += getattr(root, "axes", ())
    if getattr(root, "interaction", None) is not None:
        below.append(root.interaction)
    if not hidden and "aw-unrecorded" in getattr(root, "_dom_classes", ()):
        below = [child for child in below if "aw-banner" in child._dom_classes]
    for child in below:
        yield from every(child, hidden=hidden)


def _is_folded(widget: w.Widget) -> bool:
    layout = getattr(widget, "layout", None)
    if not isinstance(layout, w.Layout):
        return getattr(widget, "visible", True) is False
    return layout.display == "none" or "0px" in (layout.height, layout.width)


def parts(root: w.Widget, kind: type, *, hidden: bool = False) -> list[Any]:
    """Everything of a class, such as `bq.Lines` or `w.Dropdown`, in the order of the page."""
    return [widget for widget in every(root, hidden=hidden) if isinstance(widget, kind)]


def part(root: w.Widget, kind: type, place: int = 0) -> Any:
    """One of `parts`, the first if no other is asked for."""
    alike = parts(root, kind)
    assert len(alike) > place, f"{type(root).__name__} shows {len(alike)} of {kind.__name__}"
    return alike[place]


def is_shown(root: w.Widget, what: "w.Widget | str | type") -> bool:
    """Whether a user sees a widget of this view, or the control of this label or class."""
    if isinstance(what, type):  # of which there may be none yet
        return any(isinstance(widget, what) for widget in every(root))
    if isinstance(what, str):
        what = control(root, what)
    return any(widget is what for widget in every(root))


def is_faded(root: w.Widget, kind: type = w.Widget) -> bool:
    """Whether something of this class is faint, as what is out of date is."""
    return any(
        name.endswith("-old")
        for each in parts(root, kind)
        for name in getattr(each, "_dom_classes", ())
    )


# --- words -----------------------------------------------------------------------------------


def markup(root: w.Widget) -> str:
    """The HTML of all that is written in a view, for what must be escaped or colored in it."""
    return "\n".join(each.value for each in parts(root, w.HTML))


def text(root: w.Widget) -> str:
    """What is written in a view outside its figures, as a reader reads it."""
    return "\n".join(line for each in parts(root, w.HTML) if (line := plain(each.value)))


def plain(source: str) -> str:
    """A piece of HTML as it is read."""
    source = re.sub("<(style|script)[^>]*>.*?</\\1>", "", source, flags=re.DOTALL)
    source = re.sub(f"</?({BLOCK})\\b[^>]*>", " ", source)
    return " ".join(html.unescape(re.sub("<[^>]*>", "", source)).split())


def table(root: w.Widget) -> list[list[str]]:
    """The rows of all tables of a view, each as the texts of its cells."""
    return [
        [plain(cell) for cell in re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL)]
        for row in re.findall("<tr.*?</tr>", markup(root), flags=re.DOTALL)
    ]


def words(root: w.Widget) -> list[str]:
    """What is written in the figures of a view, in their own order."""
    return [str(each) for mark in parts(root, bq.Label) for each in mark.text]


def lines(root: w.Widget) -> list[str]:
    """What is read in the lists of a view (`w.Select`), one string an entry."""
    return [
        (entry if isinstance(entry, str) else entry[0]).replace("\u00a0", " ")
        for each in parts(root, w.Select)
        for entry in each.options
    ]


# --- pictures --------------------------------------------------------------------------------


def pictures(root: w.Widget) -> list[np.ndarray]:
    """The pictures of a view, decoded, each `(row, column, RGBA)` uint8."""
    return [_decoded(each.value) for each in parts(root, w.Image)]


def picture(root: w.Widget, place: int = 0) -> np.ndarray:
    """One of `pictures`, the first if no other is asked for."""
    return _decoded(part(root, w.Image, place).value)


def _decoded(png: bytes) -> np.ndarray:
    """A PNG as `(row, column, RGBA)` uint8."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def tile(root: w.Widget, row: int, column: int, place: int = 0) -> np.ndarray:
    """The pixels of a picture below one of its cells, `(row, column, RGB)`, without a gap below."""
    rows, columns = edges(root, place)
    pixels = picture(part(root, Picture, place))
    down, across = pixels.shape[0] / rows[-1], pixels.shape[1] / columns[-1]
    height, width = np.diff(rows).min() * down, np.diff(columns)[column] * across
    top, left = round(rows[row] * down), round(columns[column] * across)
    return pixels[top : top + round(height), left : left + round(width), :3]


def edges(root: w.Widget, place: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Where the rows and columns of the cells of a picture begin, and where the last one ends."""
    cells = part(root, bq.GridHeatMap, place)
    return np.asarray(cells.row)[:-1], np.asarray(cells.column)[:-1]  # the last one is a spare


# --- what a user does ------------------------------------------------------------------------


def control(root: w.Widget, label: "str | type", place: int = 0) -> Any:
    """A slider, list, box or button by what stands on it or in its tooltip, or by its class.

    Args:
        root: The view.
        label: What to look for.
        place: Which of several that are alike. What is not displayed is found as well, after
            what is.
    """
    candidates = list(dict.fromkeys([*every(root), *every(root, hidden=True)]))
    if isinstance(label, type):
        alike = [each for each in candidates if isinstance(each, label)]
    else:
        for name in ("description", "tooltip", "placeholder"):
            alike = [each for each in candidates if getattr(each, name, None) == label]
            if alike:
                break
    labels = sorted({getattr(each, "description", None) or "" for each in candidates})
    assert len(alike) > place, f"{type(root).__name__} has no {label!r}; it has {labels}"
    return alike[place]


def choose(root: w.Widget, label: "str | type", value: Any) -> None:
    """Move a slider, tick a box, type into a field or take an entry of a list.

    Args:
        root: The view.
        label: As of `control`.
        value: The new value; of a list, what is read of the entry or what it stands for.
    """
    widget = control(root, label)
    if not isinstance(widget, w.Select | w.Dropdown | w.ToggleButtons | w.SelectionSlider):
        widget.set_state({"value": value})
        return
    entries = [each if isinstance(each, tuple) else (each, each) for each in widget.options]
    places = [place for place, entry in enumerate(entries) if value in (entry[1], entry[0])]
    assert places, f"{label} offers no {value!r}; it offers {[entry for entry, _ in entries]}"
    take(root, label, places[0])


def take(root: w.Widget, label: "str | type", place: int) -> None:
    """Take the entry at a place of a list, as the browser says it."""
    control(root, label).set_state({"index": place})


def press(root: w.Widget, label: str, place: int = 0) -> None:
    """Press a button, as the page says it; arguments as of `control`."""
    button = control(root, label, place)
    assert is_shown(root, button), f"nobody sees {label!r} to press it"
    button._handle_custom_msg({"event": "click"}, [])


def click(root: w.Widget, row: int, column: int, place: int = 0) -> None:
    """Click a cell of a picture or matrix.

    Args:
        root: The view.
        row: Of the cell.
        column: Of the cell.
        place: Which of the pictures and matrices of the view.
    """
    _over_cell(root, "element_click", row, column, place)


def hover(root: w.Widget, row: int, column: int, place: int = 0) -> None:
    """Move the mouse over a cell; arguments as of `click`."""
    _over_cell(root, "hover", row, column, place)


def leave(root: w.Widget) -> None:
    """Move the mouse away from the figures of a view."""
    buttons = parts(root, w.Button, hidden=True)
    next(each for each in buttons if "aw-left" in each._dom_classes).click()


def _over_cell(root: w.Widget, event: str, row: int, column: int, place: int) -> None:
    cell = {"rowNum": row, "columnNum": column}
    send(part(root, bq.GridHeatMap, place), event, {"data": cell, "point": cell})


def send(mark: bq.Mark, event: str, content: dict[str, Any]) -> None:
    """Send what the page sends of a mark: an event such as "hover" or "element_click"."""
    mark._handle_custom_msgs(None, {"event": event, **content})


def readout(root: w.Widget) -> str:
    """What is told of what the mouse is over; "" for nothing."""
    return plain(part(root, Readout).value)


def samples(view: w.Widget, place: int = 0) -> list[int]:
    """The samples whose tiles or rows are seen, in their order, by what the mouse is told."""
    samples: list[int] = []
    for row, column in np.ndindex(*(len(each) - 1 for each in edges(view, place))):
        hover(view, row, column, place)
        samples += map(int, re.findall(r"\bsample (\d+)", readout(view)))
    leave(view)
    return list(dict.fromkeys(samples))
