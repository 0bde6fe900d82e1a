"""Blocks of text: the HTML of views laid out for a matplotlib figure, in CSS pixels."""

import html
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation
from matplotlib.textpath import text_to_path

from actwidgets.export.animation import THEME_COLORS
from actwidgets.images.colormap import css_color

CSS_DPI = 96
PT = 72 / CSS_DPI  # points in a CSS pixel
ANY_WIDTH_PX = 4000
WIDE_CELL_PX = 160  # of a table: only wider ones are wrapped
SELECTED = (63 / 255, 167 / 255, 160 / 255, 0.22)
BLOCK_TAGS = {"div", "p", "table", "ul", "li"}
# DejaVu Sans, which matplotlib brings, has no Chinese, Japanese or Korean.
FALLBACK_FONTS = (
    *("Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "PingFang SC", "Hiragino Sans"),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "WenQuanYi Micro Hei", "Arial Unicode MS"),
)


@dataclass(frozen=True)
class Theme:
    """Colors of the page."""

    background: str
    foreground: str
    faint: str
    rule: str


THEMES = {
    name: Theme(css_color(background), foreground, css_color(faint), rule)
    for name, foreground, rule in (("light", "#212121", "#bdbdbd"), ("dark", "#f2f2f2", "#5f5f5f"))
    for background, faint in [THEME_COLORS[name]]
}


# --- Blocks -------------------------------------------------------------------------------


class ViewFigure(Figure):
    """A figure that a notebook shows whether pyplot was imported or not."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", facecolor=self.get_facecolor())
        return file.getvalue()


class Canvas:
    """A figure under construction, with lengths in CSS pixels from its upper left corner."""

    def __init__(self, width: float, height: float, theme: Theme) -> None:
        self.width, self.height, self.theme = float(np.ceil(width)), float(np.ceil(height)), theme
        size = self.width / CSS_DPI, self.height / CSS_DPI
        self.figure = ViewFigure(size, CSS_DPI, facecolor=theme.background)
        self.figure.set_layout_engine("none")
        FigureCanvasAgg(self.figure)

    def axes(self, x: float, y: float, width: float, height: float, label: str) -> Axes:
        """Axes on whole pixels, without spines and ticks."""
        left, top = round(x), round(y)
        width, height = max(1, round(x + width) - left), max(1, round(y + height) - top)
        corner = left / self.width, 1 - (top + height) / self.height
        axes = self.figure.add_axes(
            (*corner, width / self.width, height / self.height), label=label, autoscale_on=False
        )
        axes.patch.set_visible(False)
        axes.grid(False)
        for part in (*axes.spines.values(), axes.xaxis, axes.yaxis):
            part.set_visible(False)
        return axes

    def text(self, x: float, baseline: float, text: str, style: "Style", after: Any = None) -> Any:
        """Text that begins at x and stands on a line, or as far as x from the end of another."""
        down = 1 - baseline / self.height
        if after is None:
            return self.figure.text(x / self.width, down, text, va="baseline", **style.options())
        where, units = (1, down), (after, "figure fraction")  # as wide as the other is drawn
        return self.figure.add_artist(
            Annotation(text, where, (x * PT, 0), units, "offset points", annotation_clip=False,
                       va="baseline", **style.options())
        )  # fmt: skip

    def fill(
        self, x: float, y: float, width: float, height: float, color: Any, **more: Any
    ) -> None:
        """A rectangle."""
        corner = x / self.width, 1 - (y + height) / self.height
        more |= {"transform": self.figure.transFigure, "linewidth": 0, "facecolor": color}
        self.figure.add_artist(Rectangle(corner, width / self.width, height / self.height, **more))


@dataclass(frozen=True)
class Block:
    """Something of a known size that can be drawn anywhere: `draw(canvas, left, top)`."""

    width: float
    height: float
    draw: Callable[[Canvas, float, float], None]


def together(parts: Sequence[tuple[float, float, Block]], height: float = 0) -> Block:
    """Blocks at their places as one."""

    def draw(canvas: Canvas, x: float, y: float) -> None:
        for left, top, block in parts:
            block.draw(canvas, x + left, y + top)

    width = max((left + block.width for left, _, block in parts), default=0)
    return Block(width, max([top + block.height for _, top, block in parts] + [height]), draw)


def stacked(blocks: Sequence[Block], gap: float = 0) -> Block:
    """Blocks below one another."""
    tops = np.cumsum([0, *(block.height + gap for block in blocks)])
    return together([(0, float(top), block) for top, block in zip(tops, blocks, strict=False)])


def filled(block: Block, color: Any, *, zorder: float = 0.5) -> Block:
    """A block on a color, or under one."""

    def draw(canvas: Canvas, x: float, y: float) -> None:
        block.draw(canvas, x, y)
        canvas.fill(x, y, block.width, block.height, color, zorder=zorder)

    return Block(block.width, block.height, draw)


def area(width: float, height: float, color: Any) -> Block:
    """Nothing but a color."""
    return filled(Block(width, height, lambda *_: None), color)


def px(length: Any, whole: float | None = None) -> float | None:
    """A CSS length in pixels; None where it says none."""
    match = re.fullmatch(r"\s*([\d.]+)(px|%|)\s*", str(length or ""))
    if not match or (match[2] == "%" and whole is None):
        return None
    return float(match[1]) * ((whole or 0) / 100 if match[2] == "%" else 1)


def color_of(text: Any, theme: Theme) -> Any:
    """A CSS color; JupyterLab's own names are those of the theme, what is unknown is clear."""
    if variable := re.match(r"var\(--jp-([a-z-]+)(\d?)", str(text or "")):
        if "font" not in variable[1]:
            return theme.rule if "border" in variable[1] else theme.background
        return theme.faint if variable[2] > "1" else theme.foreground
    if numbers := re.match(r"rgba?\(([^)]*)\)", str(text or "")):
        red, green, blue, *alpha = (float(each) for each in numbers[1].split(","))
        return red / 255, green / 255, blue / 255, *(alpha or [1.0])
    try:
        return to_rgba(text or "none")
    except ValueError:
        return to_rgba("none")


# --- Text ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Style:
    """How text is written; `size` in CSS pixels."""

    size: float = 12
    bold: bool = False
    color: Any = "black"
    alpha: float = 1
    mono: bool = False

    @property
    def weight(self) -> str:
        """As matplotlib calls it."""
        return "bold" if self.bold else "normal"

    def options(self) -> dict[str, Any]:
        """Keywords of matplotlib's `Text`: `$` and `_` in names are no mathematics."""
        return {
            "parse_math": False, "usetex": False, "color": self.color, "alpha": self.alpha,
            "fontsize": self.size * PT, "weight": self.weight, "family": _families(self.mono),
        }  # fmt: skip


@lru_cache
def _families(mono: bool) -> list[str]:
    known = set(fontManager.get_font_names())
    first = "DejaVu Sans Mono" if mono else "DejaVu Sans"
    return [first, *(name for name in FALLBACK_FONTS if name in known)]


@lru_cache(maxsize=8192)
def text_width(text: str, style: Style) -> float:
    """Width of a text in pixels."""
    if not text.strip(" "):
        return 0.33 * style.size * len(text)  # of spaces no ink can be measured
    font = FontProperties(family=_families(style.mono), size=style.size, weight=style.weight)
    return float(text_to_path.get_text_width_height_descent(text, font, False)[0])


def cut(text: str, style: Style, width: float) -> str:
    """A text that is no wider, with … for what had to go."""
    while len(text) > 1 and text_width(text, style) > width + 0.5:
        text = text.rstrip("… ")[:-1] + "…"
    return text


def note(text: str) -> str:
    """Ordinary text as HTML."""
    return f'<div class="aw-note">{html.escape(text)}</div>'


# --- HTML ---------------------------------------------------------------------------------


class Element:
    """An element of HTML."""

    def __init__(self, tag: str = "div", attributes: Sequence[tuple[str, str | None]] = ()) -> None:
        given = {name: value or "" for name, value in attributes}
        declared = (each.partition(":") for each in given.get("style", "").split(";"))
        self.style = {name.strip(): value.strip() for name, _, value in declared}
        self.tag, self.classes = tag, set(given.get("class", "").split())
        self.children: list[Element | str] = []

    def find(self, *tags: str) -> Iterator["Element"]:
        """The elements of these kinds, at any depth."""
        for child in self.children:
            if isinstance(child, Element):
                yield from [child] if child.tag in tags else child.find(*tags)

    @property
    def is_bar(self) -> bool:
        """Whether it is a bar that is as long as a share of its room."""
        return self.style.get("width", "").endswith("%")


class _Parser(HTMLParser):
    """Reads elements; one that is not closed ends with its parent."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element()
        self._open = [self.root]
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, attrs)
        self._open[-1].children.append(element)
        if tag not in ("br", "img", "hr"):
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if any(element.tag == tag for element in self._open[1:]):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._open[-1].tag != "style":
            self._open[-1].children.append(re.sub(r"[ \n\t]+", " ", data))


@dataclass(frozen=True)
class _Swatch:
    """Colors of a legend: a square of one, a ramp of several."""

    colors: Sequence[Any]
    width: float

    def draw(self, canvas: Canvas, x: float, middle: float) -> None:
        """Draw it around a line."""
        if len(self.colors) == 1:
            canvas.fill(x, middle - 4.5, self.width, 9, self.colors[0])
            return
        axes = canvas.axes(x, middle - 5, self.width, 10, "colorbar")
        ramp = LinearSegmentedColormap.from_list("legend", self.colors)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        axes.imshow(np.linspace(0, 1, 256)[None], cmap=ramp, extent=(0, 1, 0, 1), aspect="auto")


class HtmlLayout:
    """Lays out HTML as the views write it: titles, notes, legends, tables and bars."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme

    def block(self, text: str, room: float) -> Block | None:
        """The text in lines; None where there is nothing to read."""
        block = self._flow(_Parser(text).root, Style(color=self._theme.foreground), room)
        return block if block.width and block.height else None

    def _styled(self, element: Element, style: Style, parent: Element) -> Style:
        """The style of what is in an element: the few rules of the views' style sheet."""
        classes = element.classes
        if classes & {"aw-title", "aw-model", "aw-says"}:
            style = replace(style, size=13 if classes == {"aw-title"} else 14, bold=True)
        if "aw-note" in classes or element.tag == "th":
            style = replace(style, color=self._theme.faint)
        if element.tag == "span" and "aw-title" in parent.classes:
            style = replace(style, bold=False, color=self._theme.faint)
        if element.tag in ("b", "strong") or "aw-true" in classes:
            style = replace(style, bold=True)
        if element.tag == "code":
            style = replace(style, mono=True, size=11)
        if "color" in element.style:
            style = replace(style, color=color_of(element.style["color"], self._theme))
        return replace(style, alpha=float(element.style.get("opacity", style.alpha)))

    def _flow(self, element: Element, style: Style, room: float) -> Block:
        """Lines of text and blocks below one another."""
        blocks, placed = list[Block](), list[tuple[float, float, Block]]()
        line: list[tuple[str | _Swatch, Style]] = []

        def end_line() -> None:
            if any(not isinstance(part, str) or part.strip(" \xa0") for part, _ in line):
                blocks.append(_lines(line, room))
            line.clear()

        def add(child: Element | str, style: Style, parent: Element) -> None:
            if isinstance(child, str):
                line.append((child, style))
                return
            inner, background = self._styled(child, style, parent), child.style.get("background")
            if child.tag == "br":
                end_line()
            elif child.is_bar:
                end_line()
                blocks.append(self._bar(child, room))
            elif child.tag in BLOCK_TAGS:
                end_line()
                blocks.extend(self._block_of(child, inner, room, placed))
            elif background:
                texts = re.findall(r"rgba?\([^)]*\)|#[0-9a-fA-F]{3,8}", background)
                colors = [color_of(each, self._theme) for each in texts]
                width = px(child.style.get("width")) or (110 if len(colors) > 1 else 9)
                line.append((_Swatch(colors, width), inner))
            else:
                start = len(line)
                for each in child.children:
                    add(each, inner, child)
                if "aw-legend" in parent.classes or "margin-right" in child.style:  # do not break
                    line[start:] = [
                        (part.replace(" ", "\xa0") if isinstance(part, str) else part, how)
                        for part, how in line[start:]
                    ]
                    line.append(("   ", inner))

        for child in element.children:
            add(child, style, element)
        end_line()
        return together([(0, 0, stacked(blocks)), *placed], px(element.style.get("height")) or 0)

    def _block_of(
        self, element: Element, style: Style, room: float, placed: list[tuple[float, float, Block]]
    ) -> Iterator[Block]:
        """An element that stands on lines of its own, or at a place of its own."""
        if "aw-hint" in element.classes:  # tells how a mouse is used
            return
        if element.tag == "table":
            yield self._table(element, style, room)
            return
        inner = self._flow(element, style, px(element.style.get("width")) or room)
        if element.style.get("position") == "absolute":
            placed.append((px(element.style.get("left")) or 0, 0, inner))
        elif "aw-error" in element.classes:
            red = to_rgba("#d9534f")
            edge = area(3, inner.height + 8, red)
            yield filled(together([(0, 0, edge), (11, 4, inner)]), (*red[:3], 0.12))
        else:
            yield inner

    def _bar(self, element: Element, room: float) -> Block:
        """A share of the width: `<b>` of a value, `<i>` thin of what it was before."""
        width, is_value = max(1.0, px(element.style["width"], room) or 0), element.tag == "b"
        color = color_of(element.style.get("background"), self._theme)
        faint = to_rgba(self._theme.faint, 0.6)
        return area(width, 10, color) if is_value else area(width, 3, faint)

    def _table(self, table: Element, style: Style, room: float) -> Block:
        """Rows of cells in columns."""
        rows = list(table.find("tr"))
        is_bars = "aw-bars" in table.classes
        pad = 4 if is_bars else 10
        cells = [
            [(cell, self._styled(cell, self._styled(row, style, table), row))
             for cell in row.find("td", "th")]
            for row in rows
        ]  # fmt: skip
        widths = [0.0] * max(map(len, cells), default=0)
        for line in cells:
            for column, (cell, how) in enumerate(line):
                natural = self._flow(cell, how, ANY_WIDTH_PX).width
                widths[column] = max(widths[column], px(cell.style.get("width")) or natural)
        if is_bars:
            widths = [92, max(60, room - 92 - 54 - 3 * pad), 54]
        if max(widths, default=0) > WIDE_CELL_PX:
            excess = max(0, sum(widths) + len(widths) * pad - room)
            widest = widths.index(max(widths))
            widths[widest] = max(WIDE_CELL_PX, widths[widest] - excess)
        lefts = np.cumsum([0.0, *(width + pad for width in widths)]).tolist()
        placed, top = list[tuple[float, float, Block]](), 0.0
        for row, line in zip(rows, cells, strict=True):
            blocks = [self._flow(cell, how, widths[at]) for at, (cell, how) in enumerate(line)]
            high = max([block.height for block in blocks] + [17]) + (2 if is_bars else 0)
            if "aw-chosen" in row.classes:
                placed.append((0, top, area(lefts[-1], high, SELECTED)))
            if "aw-rule" in row.classes:
                placed.append((0, top, area(lefts[-1], 1, (0.5, 0.5, 0.5, 0.4))))
            for at, ((cell, _), block) in enumerate(zip(line, blocks, strict=True)):
                is_left = "left" in cell.style.get("text-align", "") or (is_bars and at == 1)
                spare = 0 if is_left else widths[at] - block.width
                down = 0 if is_left and not is_bars else (high - block.height) / 2
                placed.append((lefts[at] + spare, top + down, block))
            top += high
        return together(placed, top + 4)


def _lines(parts: Sequence[tuple[str | _Swatch, Style]], room: float) -> Block:
    """Words and swatches in as many lines as they need."""
    rows: list[list[tuple[float, float, Any, Style]]] = [[]]  # left, space before, what, how
    x, spaces = 0.0, ""
    for part, style in parts:
        for piece in re.findall(r" +|[^ ]+", part) if isinstance(part, str) else [part]:
            if isinstance(piece, str) and not piece.strip(" "):
                spaces = max(spaces, piece, key=len)
                continue
            what = cut(piece, style, room) if isinstance(piece, str) else piece
            width = text_width(what, style) if isinstance(what, str) else what.width + 6
            if rows[-1] and x + text_width(spaces, style) + width > room + 1:
                rows, x = [*rows, []], 0.0
            spaces = spaces if rows[-1] else ""
            space = text_width(spaces, style)
            at, gap, before, how = rows[-1][-1] if rows[-1] else (0, 0, None, style)
            if isinstance(before, str) and isinstance(what, str) and how == style:
                rows[-1][-1] = at, gap, before + spaces + what, style
            else:
                is_ramp = isinstance(what, _Swatch) and len(what.colors) > 1
                x += 6 * (is_ramp and x > 0)  # from the number before it
                rows[-1].append((x + space, space, what, style))
            x, spaces = x + space + width, ""
    size = max((style.size for part, style in parts if isinstance(part, str)), default=12.0)
    high = round(1.5 * size)
    ends = [at + (text_width(what, style) if isinstance(what, str) else what.width)
            for at, _, what, style in (row[-1] for row in rows if row)]  # fmt: skip

    def draw(canvas: Canvas, left: float, top: float) -> None:
        for index, row in enumerate(rows):
            middle, before = top + (index + 0.5) * high, None
            for at, space, what, style in row:
                if isinstance(what, str):
                    begin = left + at if before is None else space
                    before = canvas.text(begin, middle + 0.36 * size, what, style, before)
                else:
                    what.draw(canvas, left + at, middle)
                    before = None

    return Block(max(ends, default=0), len(rows) * high, draw)
