"""A tree of widgets as a matplotlib figure: text, tables, pictures and bqplot's marks.

The layout is that of the page, in CSS pixels of 1/96 inch. Buttons and hints are left out; what
is chosen in lists and sliders is a line of text. Nothing global is changed: figures are made
without pyplot, and of `matplotlib.rcParams` only what concerns the format of a file counts, such
as `svg.fonttype`.
"""

import html
import io
import re
from collections.abc import Sequence
from typing import Any

import bqplot as bq
import ipywidgets as w
import numpy as np
from ipywidgets.widgets.widget_description import DescriptionWidget
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from actwidgets.errors import require_choice
from actwidgets.export.animation import require_scale
from actwidgets.export.html_text import (
    CSS_DPI,
    PT,
    SELECTED,
    THEMES,
    Block,
    Canvas,
    HtmlLayout,
    Style,
    Theme,
    ViewFigure,
    cut,
    filled,
    note,
    px,
    stacked,
    text_width,
    together,
)
from actwidgets.export.plots import plot_block, show_pixels, warn_of

PAGE_PX = 1600  # width that boxes side by side may take before they wrap
TEXT_PX = 480  # width of text that stands above nothing wider
EDGE_PX = 10
MAX_LIST_LINES = 60
GAP_PX, ROW_GAP_PX, VIEW_GAP_PX = 4, 12, 8  # between widgets, beside and below one another


def figure_of(widget: Any, theme: str = "light", page_px: float = PAGE_PX) -> ViewFigure:
    """Draw a widget and all in it.

    Args:
        widget: A view, or any widget; what is hidden is left out.
        theme: "light" or "dark".
        page_px: Width that boxes side by side may take before they wrap.

    Returns:
        A figure with arrays of its own, for which no display is needed: `Axes` for each plot
        and picture, whose pixels lie on whole pixels of the figure. Its `dpi` is 96; saved at a
        multiple of that, each pixel of a picture is a square of so many more.

    Raises:
        DataError: No such theme.
    """
    require_choice("theme", theme, THEMES)
    block = _Layout(THEMES[theme]).arrange(widget, page_px) or together([])
    canvas = Canvas(block.width + 2 * EDGE_PX, block.height + 2 * EDGE_PX, THEMES[theme])
    block.draw(canvas, EDGE_PX, EDGE_PX)
    return canvas.figure


def save(figure: Figure, file: Any, file_format: str, scale: float = 1) -> None:
    """Write a figure to an open file, without the date.

    Args:
        figure: Of `figure_of`.
        file: Open for bytes.
        file_format: "png", "svg" or "pdf".
        scale: Pixels of the file to a pixel of the page; of vector graphics those of pictures.

    Raises:
        DataError: A scale that is not above 0.
    """
    require_scale(scale)
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(file_format)
    figure.savefig(
        file, format=file_format, dpi=CSS_DPI * scale, metadata=undated,
        facecolor=figure.get_facecolor(), bbox_inches=figure.bbox_inches,
    )  # fmt: skip


def png_of(figure: Figure, scale: float = 1) -> bytes:
    """A figure as a PNG; see `save`."""
    file = io.BytesIO()
    save(figure, file, "png", scale)
    return file.getvalue()


# --- Widgets ------------------------------------------------------------------------------


class _Layout:
    """Turns a tree of widgets into one block."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme
        self._html = HtmlLayout(theme)

    def arrange(self, widget: Any, room: float) -> Block | None:
        """A widget as a block; None where nothing of it is shown."""
        block = None if _is_hidden(widget) else self._shown(widget, room)
        if block is None or not (block.width and block.height):
            return None
        if "aw-old" in widget._dom_classes:
            block = filled(block, (*to_rgba(self._theme.background)[:3], 0.65), zorder=10)
        is_view = "aw-view" in widget._dom_classes
        return together([(0, 0, block)], block.height + VIEW_GAP_PX) if is_view else block

    def _shown(self, widget: Any, room: float) -> Block | None:
        if isinstance(widget, bq.Figure):
            return plot_block(widget, room)
        if hasattr(widget, "draw_on"):
            return _drawn_block(widget)
        if isinstance(widget, w.HTML | w.HTMLMath | w.Label):
            text = html.escape(widget.value) if isinstance(widget, w.Label) else widget.value
            return self._html.block(text, min(room, px(widget.layout.width, room) or room))
        if isinstance(widget, w.Image):
            return _image_block(widget) if widget.value else None
        if "aw-picture" in widget._dom_classes:
            image, figure = widget.children
            layers = [_image_block(image)] if image.value else []
            return together([(0, 0, layer) for layer in (*layers, plot_block(figure, room))])
        if isinstance(widget, w.Select):
            return self._list(widget, room)
        if isinstance(widget, w.Box):
            return self._box(widget, room)
        if chosen := _chosen(widget):
            return self._html.block(note(chosen), room)
        is_control = isinstance(widget, DescriptionWidget | w.Button)
        if not is_control and not type(widget).__module__.startswith("ipywidgets."):
            warn_of(widget)
        return None

    def _box(self, box: Any, room: float) -> Block | None:
        room = min(px(box.layout.width, room) or room, px(box.layout.max_width, room) or room)
        if isinstance(box, w.Tab | w.Accordion | w.Stack):
            page = box.selected_index
            return None if page is None else self.arrange(box.children[page], room)
        children = [child for child in box.children if not _is_hidden(child)]
        if "aw-unrecorded" in box._dom_classes:  # has nothing to show but why
            children = [child for child in children if "aw-banner" in child._dom_classes]
        flow = box.layout.flex_flow or ""
        if isinstance(box, w.GridBox):
            match = re.search(r"repeat\(\s*(\d+)", box.layout.grid_template_columns or "")
            return self._row(children, room, int(match[1]) if match else 1)
        if "row" in flow or not ("column" in flow or isinstance(box, w.VBox)):
            return self._row(children, room)
        # Text is as wide as the pictures above and below it.
        blocks = {at: self.arrange(child, room)
                  for at, child in enumerate(children) if not _is_text(child)}  # fmt: skip
        widest = max((block.width for block in blocks.values() if block), default=0)
        room = min(room, px(box.layout.width) or max(widest, TEXT_PX))
        blocks |= {at: self.arrange(child, room)
                   for at, child in enumerate(children) if _is_text(child)}  # fmt: skip
        return stacked([block for _, block in sorted(blocks.items()) if block], GAP_PX)

    def _row(self, children: Sequence[Any], room: float, columns: int = 0) -> Block:
        """Children beside one another; in more rows where there is no room, or in columns."""
        rows: list[list[tuple[Block, float]]] = [[]]  # with the width that each takes
        left = room
        settings = [child for child in children if _chosen(child)]
        line = note(" · ".join(map(_chosen, settings)))
        for child in children:
            if child in settings[1:]:
                continue  # all are one line, where the first is
            is_line = child in settings
            basis = 0.0 if is_line else room / columns if columns else _basis(child, room)
            if rows[-1] and (basis > left or len(rows[-1]) == columns):
                rows, left = [*rows, []], room
            width = left if _grows(child) or not basis else min(basis, left)
            width = room if not basis and _is_text(child) else width  # wraps as a whole
            block = self._html.block(line, room) if is_line else self.arrange(child, width)
            if block and rows[-1] and block.width > left:
                rows, left = [*rows, []], room
                block = block if is_line else self.arrange(child, room)
            if block:
                taken = max(block.width, 0 if _grows(child) or is_line else basis)
                rows[-1].append((block, taken))
                left -= taken + ROW_GAP_PX
        placed, top = list[tuple[float, float, Block]](), 0.0
        for row in filter(None, rows):
            x = 0.0
            for block, taken in row:
                placed.append((x, top, block))
                x += taken + ROW_GAP_PX
            top += max(block.height for block, _ in row) + GAP_PX
        return together(placed)

    def _list(self, widget: Any, room: float) -> Block | None:
        """The lines of a list: all of them, as paper does not scroll; of very many a part."""
        texts = [str(each).rstrip("\xa0") for each in widget._options_labels]
        count = min(MAX_LIST_LINES, len(texts))
        index = widget.index if isinstance(widget.index, int) else -1
        first = max(0, min(index - count + 1, len(texts) - count))
        style = Style(11, color=self._theme.foreground, mono=True)
        shown = [cut(text, style, room) for text in texts[first : first + count]]
        if count < len(texts):
            shown.append(f"{count} of {len(texts)} lines")
        width = max((text_width(text, style) for text in shown), default=0) + 12

        def draw(canvas: Canvas, x: float, y: float) -> None:
            for line, text in enumerate(shown):
                if first + line == index:
                    canvas.fill(x, y + line * 17, width, 17, SELECTED)
                canvas.text(x + 6, y + line * 17 + 12.5, text, style)

        return Block(width, 17 * len(shown), draw) if shown else None


def _is_hidden(widget: Any) -> bool:
    """Whether a widget is taken away, folded to nothing, or a hint."""
    layout = getattr(widget, "layout", None)
    if layout is None or layout.display == "none" or layout.visibility == "hidden":
        return True
    folded = "0px" in (layout.width, layout.height, layout.max_height)
    return folded or "aw-hint" in widget._dom_classes


def _is_text(widget: Any) -> bool:
    """Whether a widget takes the width that it is given, as text does."""
    if isinstance(widget, w.Box):
        return all(map(_is_text, widget.children))
    return isinstance(widget, DescriptionWidget | w.Button) and not isinstance(widget, w.Select)


def _basis(child: Any, room: float) -> float:
    """The width that a child of a row asks for; 0 where it asks for none."""
    layout = child.layout
    flex = (layout.flex or "").split()
    return px(flex[2] if len(flex) == 3 else layout.width or layout.min_width, room) or 0.0


def _grows(child: Any) -> bool:
    """Whether a child of a row takes what the others leave."""
    return (px((child.layout.flex or "0").split()[0]) or 0) > 1


def _chosen(widget: Any) -> str:
    """What a control says of the picture: "metric: cosine"; "" where it says nothing."""
    description = getattr(widget, "description", "")
    if _is_hidden(widget) or not description or getattr(widget, "disabled", False):
        return ""
    if isinstance(widget, w.Button):  # one that takes a choice back says what is chosen
        return description.removesuffix("×").strip() if description.endswith("×") else ""
    if isinstance(widget, w.Dropdown | w.ToggleButtons | w.SelectionSlider):
        return "" if widget.label in ("all", "nothing", None) else f"{description}: {widget.label}"
    if isinstance(widget, w.IntSlider | w.FloatSlider):
        return f"{description}: {widget.value:.4g}"
    is_on = isinstance(widget, w.Checkbox | w.ToggleButton) and widget.value
    return str(description) if is_on else ""


def _drawn_block(widget: Any) -> Block:
    """A widget that knows how it is drawn: `draw_on(axes, foreground)`."""

    def draw(canvas: Canvas, x: float, y: float) -> None:
        axes = canvas.axes(x, y, widget.width_px, widget.height_px, type(widget).__name__)
        for spine in axes.spines.values():
            spine.set(visible=True, color=canvas.theme.rule, linewidth=PT)
        widget.draw_on(axes, canvas.theme.foreground)

    return Block(widget.width_px, widget.height_px, draw)


def _image_block(widget: Any) -> Block:
    """A picture file of the size that it has on the page."""
    with Image.open(io.BytesIO(widget.value)) as image:
        pixels = np.asarray(image.convert("RGBA"))
    width = px(widget.width) or px(widget.layout.width) or pixels.shape[1]
    height = px(widget.height) or px(widget.layout.height) or width * np.divide(*pixels.shape[:2])

    def draw(canvas: Canvas, x: float, y: float) -> None:
        axes = canvas.axes(x, y, width, height, "Image")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        show_pixels(axes, pixels, (0, 1, 0, 1))

    return Block(width, height, draw)
