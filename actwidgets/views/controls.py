"""Controls, captions, pagination and progress lines shared by views.

JupyterLab's own variables make both themes work.
"""

import html
import math
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ipywidgets as w

from actwidgets.session.tasks import Progress
from actwidgets.views.comms import opened_together


@dataclass(frozen=True)
class PageRange:
    """One page of `count` things; a page beyond the last one is the last one."""

    requested: int
    size: int
    count: int

    @property
    def n_pages(self) -> int:
        """How many pages there are, at least one."""
        return max(1, -(-self.count // self.size))

    @property
    def number(self) -> int:
        """The current page, from 0."""
        return min(max(self.requested, 0), self.n_pages - 1)

    @property
    def rows(self) -> slice:
        """The things of this page."""
        return slice(self.number * self.size, min((self.number + 1) * self.size, self.count))

    def turned(self, step: int) -> int:
        """The number of the page `step` further on; it stops at both ends."""
        return min(max(self.number + step, 0), self.n_pages - 1)

    def span_text(self) -> str:
        """The range of this page: `13–24 of 985`."""
        if not self.count:
            return "none"
        return f"{self.rows.start + 1:,}–{self.rows.stop:,} of {self.count:,}"

    def text(self, noun: str) -> str:
        """How many of all things are visible: `64 of 512 units`."""
        shown = self.rows.stop - self.rows.start
        where = f", {self.rows.start + 1}–{self.rows.stop}" if self.n_pages > 1 else ""
        return f"{shown:,} of {self.count:,} {noun}{where}"


RIGHT = "#2e9e5b"
WRONG = "#d9534f"
NEUTRAL = "#888888"
HINT = "aw-hint"  # class of what concerns the page alone: left out of figures

SHEET = """<style>
.aw-view { padding: 4px 10px 4px 2px; overflow: hidden; }
.aw-view .widget-html-content, .aw-view .jupyter-widgets { font-size: 12px; }
.aw-title { font: 600 13px/20px var(--jp-ui-font-family, sans-serif);
  color: var(--jp-ui-font-color1, #212121); }
.aw-title span { margin-left: 4px; font-weight: 400; color: var(--jp-ui-font-color2, #616161); }
.aw-note { font: 12px/18px var(--jp-ui-font-family, sans-serif);
  color: var(--jp-ui-font-color2, #616161); }
.aw-error { font: 12px/18px var(--jp-ui-font-family, sans-serif); padding: 4px 8px;
  border-left: 3px solid #d9534f; color: var(--jp-ui-font-color1, #212121);
  background: rgba(217, 83, 79, .12); }
.aw-view select { color: var(--jp-ui-font-color1, #212121); }
.aw-view .aw-old { opacity: .35; }
.aw-unrecorded > :not(.aw-banner) { height: 0 !important; min-height: 0 !important;
  margin: 0 !important; padding: 0 !important; overflow: hidden !important; visibility: hidden; }
.aw-list select { font: 11px/16px var(--jp-code-font-family, monospace); padding: 2px 4px; }
.aw-table { font: 12px/17px var(--jp-ui-font-family, sans-serif); border-collapse: collapse;
  color: var(--jp-ui-font-color1, #212121); margin: 2px 0 4px 8px; }
.aw-table th { font-weight: 400; text-align: right; padding: 0 10px 0 4px;
  color: var(--jp-ui-font-color2, #616161); }
.aw-table td { text-align: right; padding: 0 10px; font-variant-numeric: tabular-nums; }
.aw-table tr.aw-rule > * { border-top: 1px solid rgba(128, 128, 128, .4); padding-top: 2px; }
.aw-table tr.aw-chosen { background: rgba(63, 167, 160, .22); }
.aw-model { font-size: 14px; margin: 4px 0 0 2px; }
.jupyter-widgets.aw-pages > .widget-tab-contents { padding: 6px 0 0 6px; border: 0;
  overflow: visible; }
.jupyter-widgets.aw-pages > .lm-TabBar .lm-TabBar-tab { flex: 1 1 auto; max-width: 144px; }
.aw-view button.aw-chip { border-radius: 12px; padding: 0 10px; font-size: 12px;
  background: rgba(63, 167, 160, .18); color: var(--jp-ui-font-color1, #212121); }
.aw-view .bqplot { background: transparent; }
.aw-picture, .aw-picture > .bqplot { position: relative; }
.aw-picture > img { position: absolute; left: 0; top: 0; max-width: none;
  image-rendering: pixelated; pointer-events: none; }
.aw-pixels { image-rendering: pixelated; max-width: none; flex: none; }
.aw-view .bqplot text { fill: var(--jp-ui-font-color1, #212121); pointer-events: none; }
.aw-view .bqplot .axislabel { fill: var(--jp-ui-font-color2, #616161) !important; font-size: 12px;
  font-weight: 400; } /* bqplot has it orange in the dark */
.aw-view .bqplot .plotarea_background { fill: transparent; }
.aw-labels .bqplot .label { font-family: var(--jp-ui-font-family, sans-serif); }
.aw-outlined .bqplot .curve path { pointer-events: none; } /* or it takes what cells are told */
.aw-view .bqplot .heatmapcell { cursor: pointer; fill: #c8c8c8; } /* where it has no value */
</style>"""

# JupyterLab takes the arrow keys of whatever has the focus in a notebook to walk through the
# cells. This attribute, which its key bindings respect, leaves them to lists and sliders. Of a
# page that is loaded in the background the image may be out of its view by the time it fails.
KEYS = """<img hidden src="data:," onerror="this.closest('.aw-view')?.addEventListener('focusin',
  (event) => { if (event.target.matches('select, .noUi-handle'))
    event.target.dataset.lmSuppressShortcuts = ''; })">"""

# Tells the kernel, by way of a hidden button, that the mouse has left the cells of a figure.
LEAVING = """<img hidden src="data:,"
  onerror="this.closest('.aw-view')?.addEventListener('mouseout', (event) => {
    const figure = event.target.matches('.heatmapcell')
      && event.target.closest('.bqplot'), to = event.relatedTarget;
    if (figure && !(to?.matches('.heatmapcell') && figure.contains(to)))
      event.currentTarget.querySelector('.aw-left')?.click(); })">"""


_EM = {
    0.32: "iljI|.,:;'! ",
    0.37: "-/\\",
    0.42: "tfr()[]",
    0.6: "sckvxyz_",
    0.64: "EFLPSTY",
    0.7: "ABCKRVXZ",
    0.84: "✓✗+=<>~^#",
    1.0: "mwMW",
}


@contextmanager
def setting(widget: Any) -> Iterator[None]:
    """Set traits of a widget from the code: what `on_user` registered for it is not called.

    On this thread: a message of the browser may come on another one meanwhile.
    """
    outer = getattr(widget, "_set_by_thread", None)
    widget._set_by_thread = threading.get_ident()
    try:
        yield
    finally:
        widget._set_by_thread = outer


def on_user(widget: Any, handler: Callable[[Any], None], names: Any = "value") -> None:
    """Call `handler(change)` when traits of a widget change, unless inside `setting(widget)`."""

    def changed(change: Any) -> None:
        if getattr(widget, "_set_by_thread", None) != threading.get_ident():
            handler(change)

    widget.observe(changed, names=names)


def update(widget: w.Widget, **traits: Any) -> None:
    """Set traits of a widget in one message, so that none is drawn with half of them."""
    with widget.hold_sync(), widget.hold_trait_notifications():
        for name, value in traits.items():
            setattr(widget, name, value)


def labeled(kind: Callable[..., Any], label: str, width: str = "150px", **options: Any) -> Any:
    """A control with its label.

    Like every widget with a label it has a tooltip: without one the browser shows "null".
    """
    return kind(**_labeled(label, width) | options)


def _labeled(label: str, width: str) -> dict[str, Any]:
    style = {"description_width": "initial"}
    return {"description": label, "tooltip": label, "layout": {"width": width}, "style": style}


def choice(label: str, options: Sequence[Any], width: str = "150px") -> w.Dropdown:
    """A list to choose from, with its label."""
    return labeled(w.Dropdown, label, width, options=options)


def button(
    label: str,
    act: Callable[[], None],
    width: str = "auto",
    height: str | None = None,
    **options: Any,
) -> w.Button:
    """A button that calls `act()`."""
    made = w.Button(description=label, layout={"width": width, "height": height}, **options)
    made.on_click(lambda _button: act())
    return made


def toggle(label: str, width: str = "auto", **options: Any) -> w.ToggleButton:
    """A button that stays down; as the control of an option it has the option's tooltip."""
    return w.ToggleButton(description=label, layout={"width": width}, **options)


def line_list(on_index: Callable[[Any], None], width: str = "auto", **options: Any) -> w.Select:
    """A list of lines in columns; `on_index(change)` is called for choices of the user only."""
    made = w.Select(layout={"width": width}, **options)
    made.add_class("aw-list")
    on_user(made, on_index, "index")
    return made


def class_search(names: Sequence[str], choose: Callable[[int], None]) -> w.Combobox:
    """A field that completes the names of classes, and calls `choose(class_index)`."""
    found = {"options": list(names), "placeholder": "find a class", "ensure_option": False}
    made = w.Combobox(layout={"width": "210px"}, **found)

    def changed(change: Any) -> None:
        if change.new in names:
            choose(names.index(change.new))

    made.observe(changed, names="value")
    return made


def option_labels(names: Sequence[str]) -> list[tuple[str, str]]:
    """Names of options as a reader sees them, each with itself."""
    return [
        (name.replace("_", " ").replace("mean abs diff", "mean |difference|"), name)
        for name in names
    ]


class Readout(w.HTML):
    """The readout below a picture: what the mouse is over; empty once it has left.

    `text_of` is given where the mouse is; "" for no words.
    """

    def __init__(self, text_of: Callable[..., str]) -> None:
        super().__init__("&nbsp;")
        self._text_of = text_of
        self._place: tuple[Any, ...] = ()

    def over(self, *place: Any) -> None:
        """Tell of another place, or of none."""
        self._place = place
        self.refresh()

    def refresh(self) -> None:
        """Tell of the same place again: what is there may have changed."""
        self.value = note(self._text_of(*self._place) if self._place else "")


def note(text: str) -> str:
    """A line of ordinary words, as HTML; the text is escaped."""
    return f'<div class="aw-note">{html.escape(text, quote=True)}</div>' if text else "&nbsp;"


def title(text: str, detail: str = "") -> str:
    """The title of a view, with a detail beside it, as HTML; both are escaped."""
    beside = f" <span>{html.escape(detail, quote=True)}</span>" if detail else ""
    return f'<div class="aw-title">{html.escape(text, quote=True)}{beside}</div>'


def control_row(*controls: w.Widget) -> w.HBox:
    """Controls side by side, which wrap where the page is narrow."""
    return w.HBox(controls, layout={"flex_flow": "row wrap", "align_items": "center"})


def hint(text: str) -> str:
    """What a mouse can do here, as HTML; left out where the view is painted as a picture."""
    return f'<div class="aw-note {HINT}">{html.escape(text, quote=True)}</div>'


def show(widget: w.Box, shown: bool) -> None:
    """Show a box or fold it away, its figures at full size: bqplot fails on one without any."""
    widget.layout.height, widget.layout.overflow = (None, "auto") if shown else ("0px", "hidden")


def fade(widget: w.Widget, is_old: bool) -> None:
    """Make faint what shows something else than what was asked for."""
    (widget.add_class if is_old else widget.remove_class)("aw-old")


def shorten(name: str, letters: int) -> str:
    """A name that fits, with … for what had to go."""
    return name if len(name) <= letters else name[: letters - 1] + "…"


def _em(letter: str) -> float:
    """How wide a letter is at most, over the size of the font: as in DejaVu Sans."""
    for width, letters in _EM.items():
        if letter in letters:
            return width
    if unicodedata.combining(letter):
        return 0.0
    is_wide = unicodedata.east_asian_width(letter) in "WF" or not letter.isalnum()
    return 1.0 if is_wide else 0.79 if letter.isupper() or not letter.isascii() else 0.64


def fitted(text: str, width_px: float, size_px: float = 10) -> str:
    """A text that is no wider, with … for what had to go; its first letters stay."""
    for letters in range(len(text), 3, -1):
        short = shorten(text, letters)
        if size_px * sum(map(_em, short)) <= width_px:
            return short
    return shorten(text, 3)


def shorten_path(name: str, letters: int) -> str:
    """The name of a nested layer that fits: the end tells layers apart, so the front goes."""
    if len(name) <= letters or "/" not in name:
        return shorten(name, letters)
    kept = name[len(name) - letters + 1 :]
    whole = kept.find("/")  # where whole parts of the name fit, no half of one stands before
    return "…" + (kept[whole:] if whole >= 0 else kept)


def unique_short(
    names: Sequence[str], letters: int, short: Callable[[str, int], str] = shorten
) -> list[str]:
    """Names that fit and still differ: one that would repeat another gets its index, as `[1]`."""
    cut = [short(name, letters) for name in names]
    return [
        name if cut.count(name) == 1 else f"{short(name, letters - 4)}[{place}]"
        for place, name in enumerate(cut)
    ]


def set_slider(slider: w.FloatSlider, low: float, high: float, value: float) -> None:
    """Give a slider its ends and its value, in an order in which nothing is clamped."""
    low, high = min(low, value), max(high, value)
    if high <= low:
        high = low + 1.0
    if (slider.min, slider.max, slider.value) == (low, high, value):
        return
    with slider.hold_sync():
        slider.min, slider.max = min(slider.min, low), max(slider.max, high)
        slider.value = value
        slider.min, slider.max = low, high


def share_text(share: float) -> str:
    """A probability in two decimals, or in two figures where it is small: 0.98, 0.0012."""
    return f"{share:.2g}" if 0 < abs(share) < 0.095 else f"{share:.2f}"


def decimals(highest: float) -> int:
    """How many decimals tell figures up to `highest` apart in three or four digits."""
    if highest <= 0:
        return 2
    return min(max(1 - math.floor(math.log10(highest)), 0), 4)


class Pager(w.HBox):
    """Buttons to the page before and the next one, where there is more than one page."""

    def __init__(self, on_page: Callable[[int], None]) -> None:
        self._page, self._on_page = PageRange(0, 1, 0), on_page
        self._buttons: tuple[w.Button, ...] = ()  # made when there is another page to turn to
        self.words = w.HTML(layout={"min_width": "max-content"})
        super().__init__(children=(self.words,), layout={"align_items": "center"})

    def show(self, page: PageRange, text: str) -> None:
        """Show the text, and which way there is more."""
        self._page = page
        self.words.value = note(text)
        if page.n_pages > 1 and not self._buttons:
            with opened_together():
                back, forth = self._button("previous", -1), self._button("next", 1)
                self._buttons = back, forth
                self.children = (back, self.words, forth)
        for button, end in zip(self._buttons, (0, page.n_pages - 1), strict=False):
            button.disabled = page.number == end
            button.layout.display = None if page.n_pages > 1 else "none"

    def _button(self, which: str, step: int) -> w.Button:
        icon, size = "chevron-left" if step < 0 else "chevron-right", {"width": "32px"}
        made = w.Button(icon=icon, tooltip=f"{which} page", layout=size)
        made.on_click(lambda _button: self._on_page(self._page.turned(step)))
        return made


class ProgressLine(w.HBox):
    """A bar, how far it is, how fast, how long still, and a button to cancel or resume."""

    def __init__(self, cancel: Callable[[], None], resume: Callable[[], None]) -> None:
        self._cancel, self._resume = cancel, resume
        self._under_way = False
        super().__init__(
            layout={"align_items": "center", "display": "none", "min_height": "28px"},
        )

    def show(self, reading: Progress | None, text: str | None = None) -> None:
        """Tell how far a reading is; None, or one that is done, hides the line.

        The text tells the same where it does not count samples.
        """
        if reading is None or reading.complete or reading.failure:
            self.layout.display = "none"
            return
        if not self.children:  # most are never seen
            with opened_together():
                self._fill()
        self._under_way = reading.under_way
        self.bar.value = reading.n_read / reading.n_samples
        self.words.value = note(_progress_text(reading) if text is None else text)
        self.button.description = "Cancel" if reading.under_way else "Resume"
        self.layout.display = None

    def _fill(self) -> None:
        self.bar = w.FloatProgress(
            max=1.0, layout={"width": "110px", "height": "14px"}, style={"bar_color": "#3fa7a0"}
        )
        self.words = w.HTML()
        self.button = button("Cancel", self._on_user_button, "72px", "24px")
        self.children = (self.bar, self.words, self.button)

    def _on_user_button(self) -> None:
        (self._cancel if self._under_way else self._resume)()


def _progress_text(reading: Progress) -> str:
    text = f"{reading.n_read:,} of {reading.n_samples:,} samples"
    if reading.cancelled:
        return f"{text}, cancelled"
    if not reading.per_second:
        return text
    return f"{text}, {reading.per_second:,.0f} a second, {duration(reading.seconds_left)} left"


def duration(seconds: float) -> str:
    """A length of time in words, as exactly as anybody wants to know it."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"


class OfferedChoice(w.Dropdown):
    """A dropdown with changing entries, which calls back for choices of the user only."""

    options: Any

    def __init__(self, label: str, on_choice: Callable[[Any], None], width: str = "180px") -> None:
        super().__init__(**_labeled(label, width))

        def chosen(change: Any) -> None:
            if change.new is not None:
                on_choice(change.new)

        on_user(self, chosen)

    def offer(self, options: Sequence[Any], value: Any) -> None:
        """Offer other entries, of which that of a value is chosen; None for none of them."""
        with setting(self), self.hold_sync():
            if self.options != tuple(options):
                self.options = tuple(options)
            if value is None:
                self.index = None
            else:
                self.value = value


class DepthSlider(w.IntSlider):
    """The slice of a volume, which the user moves by `on_slice(slice)`; hidden without depth."""

    max: int

    def __init__(self, label: str, on_slice: Callable[[int], None]) -> None:
        super().__init__(
            description=label,
            tooltip="which slice of a volume is shown",
            max=0,
            layout={"display": "none"},
            style={"description_width": "initial"},
        )
        on_user(self, lambda change: on_slice(change.new))

    def show(self, n_slices: int | None, depth: int | None) -> int | None:
        """Stand at a slice, the middle one where None, the last one where it is beyond; return it.

        Without slices, None, there is no depth.
        """
        self.layout.display = "none" if n_slices is None else None
        if n_slices is None:
            return None
        last = max(n_slices - 1, 0)
        place = min(max(n_slices // 2 if depth is None else depth, 0), last)
        with setting(self):
            self.max = max(self.max, last)  # so that the value is never clamped on its way
            self.value = place
            self.max = last
        return place
