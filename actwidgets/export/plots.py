"""bqplot's figures as matplotlib's: marks, axes, ticks and labels at the same places."""

import logging
from dataclasses import replace
from typing import Any

import bqplot as bq
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import LinearSegmentedColormap, Normalize, TwoSlopeNorm, to_rgba
from matplotlib.patches import Rectangle
from matplotlib.spines import Spine
from matplotlib.ticker import MaxNLocator

from actwidgets.export.html_text import PT, Block, Canvas, Style, color_of, cut, px
from actwidgets.images.colormap import FRAME_COLOR, css_color

log = logging.getLogger(__name__)
MISSING = "#c8c8c8"  # cells without a value
RDYLGN = ("#d73027", "#fee08b", "#1a9850")  # bqplot's colors where none are given
LABEL_SHARE = 0.9  # of its size a label is written: DejaVu Sans is wider than fonts of pages
DASHES = {"solid": "-", "dashed": (0, (6, 4)), "dotted": ":", "dash_dotted": "-."}
ALIGN = {"start": "left", "middle": "center", "end": "right"}
_warned: set[type] = set()


def plot_block(figure: Any, room: float) -> Block:
    """A figure of bqplot, of the size that it has on the page."""
    layout = figure.layout
    width = px(layout.width, room) or px(layout.min_width, room) or min(room, 640)
    height = px(layout.height) or px(layout.min_height) or 480

    def draw(canvas: Canvas, x: float, y: float) -> None:
        _Plot(figure, canvas, x, y, width, height).draw()

    return Block(width, height, draw)


class _Plot:
    """bqplot's marks and axes as matplotlib's: one `Axes` for every pair of scales."""

    def __init__(
        self, figure: Any, canvas: Canvas, x: float, y: float, width: float, height: float
    ) -> None:
        self._figure, self._canvas, self._theme = figure, canvas, canvas.theme
        self._margin = margin = figure.fig_margin
        inner = width - margin["left"] - margin["right"], height - margin["top"] - margin["bottom"]
        self._inner = x + margin["left"], y + margin["top"], *inner
        self._axes: dict[tuple[int, int], Axes] = {}
        self._marks = [mark for mark in figure.marks if mark.visible]
        self._data: dict[int, list[Any]] = {}  # what the marks show along each scale
        for mark in self._marks:
            for name, scale in mark.scales.items():
                self._data.setdefault(id(scale), []).append(np.ravel(getattr(mark, name, ())))

    def draw(self) -> None:
        """Draw all marks, then the axes."""
        drawn = {
            bq.GridHeatMap: self._cells, bq.Bars: self._bars, bq.Boxplot: self._boxes,
            bq.Lines: self._lines, bq.Label: self._labels, bq.Scatter: self._points,
        }  # fmt: skip
        for index, mark in enumerate(self._marks):
            before = self._artists()
            draw = next((each for kind, each in drawn.items() if isinstance(mark, kind)), None)
            if draw is None:
                warn_of(mark)
            elif np.size(getattr(mark, "x", 1)):
                draw(mark)
            for artist in self._artists() - before:  # matplotlib has points below boxes
                artist.set_zorder(2 + 0.01 * index)
        for axis in self._figure.axes:
            if axis.visible:
                self._axis(axis)
        brush = self._figure.interaction
        if isinstance(brush, bq.interacts.BrushSelector) and brush.selected_x is not None:
            (left, right), (low, high) = sorted(brush.selected_x), sorted(brush.selected_y)
            corner = Rectangle(
                (left, low), right - left, high - low, fill=False, zorder=3,
                edgecolor=css_color(FRAME_COLOR), linewidth=2 * PT,
            )  # fmt: skip
            self._axes_of(brush.x_scale, brush.y_scale).add_patch(corner)

    def _artists(self) -> set[Any]:
        every = (each for axes in self._axes.values() for each in axes.get_children())
        return {each for each in every if not isinstance(each, Axis | Spine)}

    # --- Scales

    def _axes_of(self, across: Any, up: Any) -> Axes:
        key = id(across), id(up)
        if key not in self._axes:
            self._axes[key] = self._canvas.axes(*self._inner, f"plot {len(self._axes)}")
            self._axes[key].set(xlim=self._limits(across), ylim=self._limits(up))
        return self._axes[key]

    def _domain(self, scale: Any) -> list[Any]:
        """The values of an ordinal scale, from the left or from below."""
        if len(scale.domain):
            return list(scale.domain)
        data = self._data.get(id(scale), ())
        names = dict.fromkeys(name for values in data for name in values.tolist())
        return list(names)[::-1] if scale.reverse else list(names)

    def _limits(self, scale: Any) -> tuple[float, float]:
        if isinstance(scale, bq.OrdinalScale):
            return -0.5, max(len(self._domain(scale)), 1) - 0.5
        known = np.concatenate([np.zeros(0), *self._data.get(id(scale), ())]).astype(float)
        known = known[np.isfinite(known)]
        low = scale.min if scale.min is not None else known.min(initial=np.inf)
        high = scale.max if scale.max is not None else known.max(initial=-np.inf)
        low, high = (low, high) if np.isfinite([low, high]).all() else (0.0, 1.0)
        low, high = (low, high) if low < high else (low - 0.5, low + 0.5)
        return (high, low) if getattr(scale, "reverse", False) else (low, high)

    def _places(self, scale: Any, values: Any) -> Any:
        """Values as numbers on an axis; NaN of what is not on an ordinal scale."""
        if not isinstance(scale, bq.OrdinalScale):
            numbers = np.asarray(values, float)
            return np.where(np.isfinite(numbers), numbers, np.nan)
        order = {name: index for index, name in enumerate(self._domain(scale))}
        return np.array([order.get(each, np.nan) for each in np.asarray(values).tolist()], float)

    def _located(self, mark: Any) -> tuple[Axes, Any, Any]:
        """The axes of a mark, its x and its y."""
        x, y = mark.scales["x"], mark.scales["y"]
        return self._axes_of(x, y), self._places(x, mark.x), self._places(y, mark.y)

    def _color(self, colors: Any, index: int, opacities: Any = ()) -> Any:
        """The color of one of several, as bqplot repeats them."""
        color = color_of(colors[index % len(colors)] if len(colors) else "steelblue", self._theme)
        return to_rgba(color, opacities[index % len(opacities)]) if len(opacities) else color

    # --- Marks

    def _cells(self, mark: Any) -> None:
        scale, values = mark.scales["color"], np.asarray(mark.color, float)
        colors = [color_of(each, self._theme) for each in scale.colors or RDYLGN]
        if not any(color[3] for color in colors):
            return  # there for the mouse alone
        axes = self._axes_of(mark.scales["column"], mark.scales["row"])
        across = self._places(mark.scales["column"], mark.column)[: values.shape[1]]
        up = self._places(mark.scales["row"], mark.row)[: values.shape[0]]
        low, high = self._limits(scale)
        norm = Normalize(low, high)
        if scale.mid is not None and low < scale.mid < high:
            norm = TwoSlopeNorm(scale.mid, low, high)
        cmap = LinearSegmentedColormap.from_list("cells", colors).with_extremes(bad=MISSING)
        axes.imshow(
            np.ma.masked_invalid(values[np.argsort(up)][:, np.argsort(across)]),
            extent=(across.min() - 0.5, across.max() + 0.5, up.min() - 0.5, up.max() + 0.5),
            origin="lower", aspect="auto", interpolation="nearest", cmap=cmap, norm=norm,
        )  # fmt: skip
        if mark.display_format:
            style = Style(px((mark.font_style or {}).get("font-size")) or 12)
            for (row, column), value in np.ndenumerate(values):
                text = number_text(value, mark.display_format)
                _annotate(axes, text, across[column], up[row], style)

    def _bars(self, mark: Any) -> None:
        is_flat, is_grouped = mark.orientation == "horizontal", mark.type == "grouped"
        across, up = mark.scales["x"], mark.scales["y"]
        axes = self._axes_of(up, across) if is_flat else self._axes_of(across, up)
        lengths = np.atleast_2d(self._places(up, mark.y)) - mark.base
        middles = self._places(across, mark.x)
        step = float(np.diff(np.sort(middles)).min()) if len(middles) > 1 else 1.0
        width = step * (1 - mark.padding) / (len(lengths) if is_grouped else 1)
        by_bar = mark.color_mode == "element" or (mark.color_mode == "auto" and len(lengths) == 1)
        for series, values in enumerate(lengths):
            aside = width * (series - (len(lengths) - 1) / 2) if is_grouped else 0.0
            same_side = np.sign(lengths[:series]) == np.sign(values)
            below = 0.0 if is_grouped else np.where(same_side, lengths[:series], 0).sum(axis=0)
            order = range(len(values)) if by_bar else [series] * len(values)
            options: dict[str, Any] = {
                "height" if is_flat else "width": width,
                "left" if is_flat else "bottom": mark.base + below,
                "color": [self._color(mark.colors, index, mark.opacities) for index in order],
            }
            draw = axes.barh if is_flat else axes.bar
            draw(middles + aside, values, linewidth=0, **options)

    def _boxes(self, mark: Any) -> None:
        axes, across, values = self._located(mark)
        names = ("whislo", "q1", "med", "q3", "whishi")
        boxes = [dict(zip(names, np.sort(five).tolist(), strict=True)) for five in values]
        line = {"color": color_of(mark.stroke, self._theme), "linewidth": 1.2 * PT}
        fill = {"facecolor": color_of(mark.box_fill_color, self._theme), "edgecolor": line["color"]}
        axes.bxp(
            boxes, positions=across, widths=0.55, manage_ticks=False, showfliers=False,
            patch_artist=True, boxprops=fill | {"linewidth": 1.2 * PT}, capprops=line,
            medianprops=line | {"linewidth": 2 * PT},
            whiskerprops=line | {"linestyle": (0, (4, 4))},
        )  # fmt: skip

    def _lines(self, mark: Any) -> None:
        axes, xs, ys = self._located(mark)
        xs, ys = np.broadcast_arrays(np.atleast_2d(xs), np.atleast_2d(ys))
        for index, (x, y) in enumerate(zip(xs, ys, strict=True)):
            if mark.fill != "none":
                colors = mark.fill_colors or mark.colors
                shade = self._color(colors, index, mark.fill_opacities)
                axes.fill(x, y, facecolor=shade, linewidth=0)
            axes.plot(
                x, y, color=self._color(mark.colors, index, mark.opacities),
                linewidth=mark.stroke_width * PT, linestyle=DASHES.get(mark.line_style, "-"),
                marker="o" if mark.marker else "none", markeredgewidth=0,
                markersize=2 * (mark.marker_size / np.pi) ** 0.5 * PT,
            )  # fmt: skip

    def _labels(self, mark: Any) -> None:
        axes, xs, ys = self._located(mark)
        style = Style(LABEL_SHARE * mark.default_size, "bold" in mark.font_weight)
        for index, (x, y, text) in enumerate(zip(xs, ys, mark.text, strict=False)):
            if np.isfinite([x, y]).all() and str(text):
                color = self._color(mark.colors or [self._theme.foreground], index)
                _annotate(axes, str(text), x, y, replace(style, color=color), mark.align)

    def _points(self, mark: Any) -> None:
        axes, xs, ys = self._located(mark)
        colors = [self._color(mark.colors, index, mark.opacities) for index in range(len(xs))]
        axes.scatter(xs, ys, s=mark.default_size * PT**2, c=colors, linewidths=0)

    # --- Axes

    def _axis(self, axis: Any) -> None:
        """One of bqplot's axes as that of the first `Axes` of its scale."""
        is_upright = axis.orientation == "vertical" or axis.side in ("left", "right")
        side, theme = axis.side or ("left" if is_upright else "bottom"), self._theme
        shared = (each for key, each in self._axes.items() if key[is_upright] == id(axis.scale))
        if (axes := next(shared, None)) is None:
            return
        own: Any = axes.yaxis if is_upright else axes.xaxis
        own.set_visible(True)
        own.set_ticks_position(side)
        own.set_label_position(side)
        axes.spines[side].set(visible=True, color=theme.rule, linewidth=PT)
        style = Style(px((axis.tick_style or {}).get("font-size")) or 10, color=theme.faint)
        places, texts = self._ticks(axis)
        if side == "left":
            texts = [cut(text, style, self._margin["left"] - 9) for text in texts]
        turned: dict[str, Any] = {}
        if axis.tick_rotate and not is_upright:
            turned = {"rotation": -axis.tick_rotate, "rotation_mode": "anchor", "ha": "right"}
            turned["va"] = "center" if axis.tick_rotate == -90 else "top"
        own.set_ticks(places, labels=texts, **style.options(), **turned)
        own.set_tick_params(length=4 * PT, pad=3 * PT, width=PT, color=theme.rule)
        own.set_label_text(axis.label or "", replace(style, size=12).options())
        if axis.grid_lines != "none" and axis.grid_color:
            own.grid(True, color=color_of(axis.grid_color, theme), linewidth=PT, linestyle="-")
            axes.set_axisbelow(True)

    def _ticks(self, axis: Any) -> tuple[Any, list[str]]:
        """Where ticks stand, and what is written at them."""
        if isinstance(axis.scale, bq.OrdinalScale):
            names, step = self._domain(axis.scale), 1
            if axis.num_ticks is not None and axis.num_ticks < len(names):
                step = max(1, len(names) // max(axis.num_ticks - 1, 1))
            return np.arange(len(names))[::step], [str(name) for name in names[::step]]
        low, high = sorted(self._limits(axis.scale))
        if axis.tick_values is not None and len(axis.tick_values):
            values = np.asarray(axis.tick_values, float)
        elif axis.num_ticks is not None:
            values = np.linspace(low, high, axis.num_ticks)
        else:
            values = np.asarray(MaxNLocator(8, steps=[1, 2, 5, 10]).tick_values(low, high))
        beyond = 1e-6 * (high - low)
        values = values[(values >= low - beyond) & (values <= high + beyond)]
        named = axis.tick_labels or {}  # by number as the browser writes it: 3, not 3.0
        keys = (str(float(value)).removesuffix(".0") for value in values)
        texts = (number_text(value, axis.tick_format) for value in values)
        return values, [named.get(key, text) for key, text in zip(keys, texts, strict=True)]


def show_pixels(axes: Axes, pixels: Any, ends: tuple[float, float, float, float]) -> None:
    """A picture pixel by pixel; where it is made smaller, as the mean of pixels."""
    size = axes.bbox.size
    enlarged = pixels.shape[1] <= size[0] + 0.5 and pixels.shape[0] <= size[1] + 0.5
    axes.imshow(
        pixels, extent=ends, origin="upper", aspect="auto", interpolation_stage="rgba",
        interpolation="nearest" if enlarged else "antialiased",
    )  # fmt: skip


def number_text(value: float, form: str | None) -> str:
    """A number in d3's format, which is nearly Python's."""
    if not np.isfinite(value):
        return "–"
    try:
        return format(value, (form or "~.6g").replace("~", "")).replace("-", "\u2212")
    except ValueError:
        return f"{value:.3g}"


def _annotate(
    axes: Axes, text: str, x: float, y: float, style: Style, align: str = "middle"
) -> None:
    """Text whose capitals are centered on a point."""
    axes.annotate(
        text, (x, y), (0, -0.36 * style.size * PT), textcoords="offset points", va="baseline",
        ha=ALIGN[align], annotation_clip=False, **style.options(),
    )  # fmt: skip


def warn_of(thing: Any) -> None:
    """Say once in the log that something is left out of figures."""
    if type(thing) not in _warned:
        _warned.add(type(thing))
        log.warning("%s cannot be drawn without a browser: left out", type(thing).__name__)
