"""Base classes of views: subscriptions, options, errors, progress, tabs, figures, closing."""

import html
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as w
import traitlets as t

from actwidgets.core.files import replacing, require_suffix
from actwidgets.core.selection import Selection
from actwidgets.errors import ActwidgetsError, DataError, NotRecordedError, require_number
from actwidgets.images.colormap import ValueRange, value_range
from actwidgets.session.context import WITHIN_S, BackgroundWork, finish
from actwidgets.session.session import Session
from actwidgets.session.tasks import Progress
from actwidgets.views.comms import opened_together
from actwidgets.views.controls import (
    KEYS,
    LEAVING,
    SHEET,
    Pager,
    ProgressLine,
    Readout,
    note,
    on_user,
    show,
    title,
)

if TYPE_CHECKING:
    from actwidgets.export.html_text import ViewFigure


def close_all(widgets: Iterable[w.Widget]) -> None:
    """Close these widgets and everything they refer to: layouts, styles, scales, marks."""
    for widget in with_all_they_hold(widgets):
        widget.unobserve_all()
        widget.close()


def with_all_they_hold(widgets: Iterable[w.Widget]) -> list[w.Widget]:
    """These widgets and everything they refer to, each once."""
    widgets_by_id: dict[int, w.Widget] = {}
    waiting: list[Any] = list(widgets)
    while waiting:
        value = waiting.pop()
        if isinstance(value, w.Widget):
            if id(value) not in widgets_by_id:
                widgets_by_id[id(value)] = value
                waiting += map(value._trait_values.get, value.keys)
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
    return list(widgets_by_id.values())


log = logging.getLogger(__name__)
WATCHED = ("selection", "revision")
DRAWING = "could not draw"


class Exportable:
    """A widget that can be a matplotlib figure, and a file, without a browser; for inheriting.

    Needs matplotlib: `pip install "actwidgets[export]"`.
    """

    def figure(self, theme: str = "light", *, within_s: float = WITHIN_S) -> "ViewFigure":
        """What the widget shows, as a matplotlib `Figure` of its own that can be changed at will.

        While the model is being trained, and in an observer of a session, it is what there is so
        far; else what is still computed in the background is waited for.

        Args:
            theme: "light" or "dark".
            within_s: How many seconds may be waited.

        Raises:
            DataError: No such theme, or not finished in that time.
            ActwidgetsError: matplotlib is not installed.
        """
        _matplotlib_figures()
        self._finish(require_number("within_s", within_s, 0, finite=False))
        return self._figure_now(theme)

    def png(self, scale: float = 1, theme: str = "light") -> bytes:
        """The figure as it is now, as a PNG; nothing is waited for.

        Args:
            scale: Pixels of the file to a pixel of the screen.
            theme: "light" or "dark".

        Raises:
            DataError: No such theme, or a scale that is not above 0.
        """
        return _matplotlib_figures().png_of(self._figure_now(theme), scale)

    def save_png(
        self,
        path: str | Path,
        scale: float = 2,
        theme: str = "light",
        *,
        within_s: float = WITHIN_S,
    ) -> None:
        """Write `figure()` to a file.

        Args:
            path: Of the file, `.png`; one that is there is replaced at once, or not at all.
            scale: As of `png`. Every pixel of a picture becomes a square of whole pixels.
            theme: As of `figure`.
            within_s: As of `figure`.

        Raises:
            DataError: As of `png` and `figure`; a name that ends in another format; or the file
                cannot be written.
            ActwidgetsError: matplotlib is not installed.
        """
        self._save(path, "png", scale, theme, within_s)

    def save_svg(
        self, path: str | Path, theme: str = "light", *, within_s: float = WITHIN_S
    ) -> None:
        """Write `figure()` to a file of vector graphics, `.svg`; as `save_png` else.

        Letters are outlines, which look the same everywhere; with
        `matplotlib.rcParams["svg.fonttype"] = "none"` they are text.
        """
        self._save(path, "svg", 2, theme, within_s)

    def save_pdf(
        self, path: str | Path, theme: str = "light", *, within_s: float = WITHIN_S
    ) -> None:
        """Write `figure()` to a file of vector graphics, `.pdf`; as `save_png` else."""
        self._save(path, "pdf", 2, theme, within_s)

    def _save(
        self, path: str | Path, file_format: str, scale: float, theme: str, within_s: float
    ) -> None:
        require_suffix(path, f".{file_format}", "pictures")
        _matplotlib_figures().require_scale(scale)
        figure = self.figure(theme, within_s=within_s)
        with replacing(path, "pictures") as file:
            _matplotlib_figures().save(figure, file, file_format, scale)

    def _figure_now(self, theme: str) -> "ViewFigure":
        """The figure of this moment.

        Raises:
            DataError: The widget is closed.
        """
        if isinstance(self, w.Widget) and self.comm is None:
            raise DataError(f"this {type(self).__name__} is closed and shows nothing any more")
        return _matplotlib_figures().figure_of(self, theme)

    def _finish(self, within_s: float) -> None:
        """Wait for what is still computed for this picture."""


def _matplotlib_figures() -> Any:
    """`export.figure`, imported when the first figure is made: it takes matplotlib along."""
    try:
        from actwidgets.export import figure
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "matplotlib":
            raise
        raise ActwidgetsError(
            "figures are drawn with the package matplotlib, which is not installed here: "
            'pip install "actwidgets[export]"'
        ) from missing
    return figure


class View(Exportable, w.VBox):
    """A picture of a session.

    Subclasses write `_build` and `_render`, and name in `watched` what of the selection they
    show: other changes do not repaint them. Traits tagged `option=True` are the view's own
    settings; they may be given as keywords, and setting one repaints.
    """

    watched: tuple[str, ...] = ()
    _subscribed = False
    error = t.Unicode("", read_only=True, help="last failure; empty when all is well")
    watching = t.Bool(True, help="whether changes are painted; those missed are, once it is again")

    @opened_together()
    def __init__(self, session: Session, **options: Any) -> None:
        unknown = sorted(set(options) - set(self.trait_names()))
        if unknown:
            raise TypeError(
                f"{type(self).__name__}() has no option {', '.join(unknown)}; its options are "
                + (", ".join(sorted(self.trait_names(option=True))) or "none")
            )
        if not isinstance(session, Session):
            raise TypeError(
                f"{type(self).__name__}() needs a Session; got {type(session).__name__}"
            )
        self._session = session
        super().__init__(**options)  # before the banner: a refused option leaves no widget behind
        self._painted: Any = None
        self._cleanup = ExitStack()  # what closing does first
        self._n_failures, self._failed, self._unrecorded = 0, "", ""
        self._readout: Readout | None = None
        self._banner: w.HTML | None = None  # made with the first text that it holds
        self.add_class("aw-view")
        built = self._build()
        scripts = KEYS if self._readout is None else KEYS + LEAVING
        self.children = (
            w.HTML(SHEET + scripts, layout={"display": "none"}),
            *built,
            *([] if self._readout is None else [self._button_for_leaving()]),
            *([] if self._banner is None else [self._banner]),
        )
        self._subscribe(session, self._on_session, WATCHED)
        self._subscribed = True
        self.observe(self._on_session, names="watching")
        settings = list(self.traits(option=True))
        if settings:
            on_user(self, self._on_option, settings)
        self._repaint()

    @property
    def session(self) -> Session:
        """The session this is a picture of."""
        return self._session

    def _figure_now(self, theme: str) -> "ViewFigure":
        with self._session.lock:  # what is computed in the background changes nothing in between
            self._catch_up()
            return super()._figure_now(theme)

    def _catch_up(self) -> None:
        """Paint what was missed while nobody watched, as behind a tab."""
        seen = [*self._seen_in(self._session.selection), self._session.revision]
        if self._subscribed and not self.watching and seen != self._painted:
            self._repaint()

    def _finish(self, within_s: float) -> None:
        self._catch_up()
        finish(self._session.context, self._works(), type(self).__name__, within_s)

    def _works(self) -> tuple[BackgroundWork, ...]:
        """What makes in the background what this view shows."""
        return ()

    def _build(self) -> tuple[w.Widget, ...]:
        """Return the child widgets, made once."""
        raise NotImplementedError

    def _render(self, selection: Selection) -> None:
        """Make the children show `selection` and the options. May be called at any time."""
        raise NotImplementedError

    def _seen_in(self, selection: Selection) -> list[Any]:
        """What of a selection the picture depends on."""
        return [getattr(selection, name) for name in self.watched]

    def _subscribe(self, source: t.HasTraits, handler: Callable[[Any], None], names: Any) -> None:
        """Call `handler(change)` when traits of `source` change, until the view is closed."""
        source.observe(handler, names=names)
        self._cleanup.callback(source.unobserve, handler, names=names)

    def _control(self, option: str, widget: w.Widget) -> w.Widget:
        """Let a child widget set an option of this view, and follow it."""

        def set_option(change: Any) -> None:
            with self._guard(f"could not set {option}"):
                setattr(self, option, change.new)

        if not widget.tooltip or widget.tooltip == getattr(widget, "description", ""):
            widget.tooltip = self.traits()[option].help
        widget.value = getattr(self, option)
        widget.observe(set_option, names="value")
        self.observe(lambda change: setattr(widget, "value", change.new), names=option)
        return widget

    def _make_pager(self, option: str = "page") -> Pager:
        """A pager that sets an option of this view."""

        def show_page(number: int) -> None:
            with self._guard("could not turn the page"):
                setattr(self, option, number)

        return Pager(show_page)

    def _on_session(self, _change: Any = None) -> None:
        if not (self.watching and self._subscribed):
            return
        if [*self._seen_in(self._session.selection), self._session.revision] != self._painted:
            self._repaint()

    def _on_news(self, _change: Any = None) -> None:
        """Repaint, as the background has made something; if unwatched, once it is watched."""
        if self.watching:
            self._repaint()
        else:
            self._painted = None

    def _on_option(self, _change: Any) -> None:
        if self._subscribed:
            self._repaint()

    def _repaint(self) -> None:
        with self._session.lock, self._guard(DRAWING):
            selection = self._session.selection
            self._painted = None  # a failure leaves nothing painted
            try:
                self._render(selection)
                if self._readout is not None:
                    self._readout.refresh()
                self._show_unrecorded("")
            except NotRecordedError as missing:
                self._show_unrecorded(str(missing))
            self._painted = [*self._seen_in(selection), self._session.revision]

    def _button_for_leaving(self) -> w.Button:
        """A hidden button that the page presses as the mouse leaves the cells."""
        button = w.Button(layout={"display": "none"})
        button.add_class("aw-left")
        button.on_click(lambda _button: self._on_user_hover())
        return button

    def _on_user_hover(self, *place: Any) -> None:
        """Tell what the mouse is over; nothing once it has left."""
        with self._session.lock, self._guard("could not read what is under the mouse"):
            assert self._readout is not None
            self._readout.over(*place)

    @contextmanager
    def _guard(self, doing: str) -> Iterator[None]:
        """Report a failure in the banner, so that the other views go on.

        It goes when the same succeeds, or when a new picture is drawn.
        """
        n_failures = self._n_failures
        try:
            yield
        except Exception as failure:
            log.exception("%s %s", type(self).__name__, doing)
            self._n_failures, self._failed = self._n_failures + 1, doing
            self._show_error(f"{doing}: {failure}")
        else:
            if self._n_failures == n_failures and doing in (DRAWING, self._failed):
                self._show_error("")

    def _show_error(self, text: str) -> None:
        if text == self.error:
            return
        self.set_trait("error", text)
        self._show_banner()

    def _show_unrecorded(self, why: str) -> None:
        """Say why there is nothing to show where a recording does not hold it; fold the rest."""
        if why == self._unrecorded:
            return
        self._unrecorded = why
        (self.add_class if why else self.remove_class)("aw-unrecorded")
        self._show_banner()

    def _show_banner(self) -> None:
        text = self.error or (self._unrecorded and f"nothing to show: {self._unrecorded}")
        kind = "aw-error" if self.error else "aw-note"
        message = html.escape(text)
        if self.error:
            message = f"<b>{type(self).__name__}</b> {message}"
        if self._banner is None:
            with opened_together():
                self._banner = w.HTML()
                self._banner.add_class("aw-banner")
                self.children = (*self.children, self._banner)
        self._banner.value = f'<div class="{kind}">{message}</div>' if text else ""
        self._banner.layout.display = None if text else "none"

    def close(self) -> None:
        """Stop watching the session and give back all widgets. Safe to call twice."""
        if not self._subscribed:
            return
        self._subscribed = False
        self._cleanup.close()
        close_all(self.children)
        self.children = ()
        super().close()
        self.layout.close()


class MapView(View):
    """A view of maps in colors, whose range of values may be set from outside, as animations do."""

    common_range = t.Instance(
        ValueRange,
        None,
        allow_none=True,
        help="values that colors cover, in place of own_range",
    ).tag(option=True)

    _own_range: ValueRange | None = None

    @property
    def own_range(self) -> ValueRange | None:
        """The range of the values that are shown, as `normalize` has it; None before there are."""
        self._catch_up()
        return self._own_range

    def _range_of(self, maps: Any, normalize: str) -> ValueRange:
        """What colors cover: the common range, unless each map has its own."""
        self._own_range = value_range(maps, normalize)
        common = self.common_range
        return self._own_range if common is None or self._own_range.low is None else common


class PassView(View):
    """A view of what a pass over all samples gathers: partial until it is through.

    It is repainted as the pass goes on, and carries a line that tells how far it is and
    stops it. Subclasses make `_title`, `_note` and `_picture` in `_build_picture`, and write
    `_heading` and `_draw`; where it is not class profiles that they show, also `_begin`,
    `_gathered`, `_follows` and `_missing`.
    """

    every_layer = False  # whether it tells of all of the model, or of the selected layer
    of_each_label = True  # whether what it reads counts a sample once for each of its labels
    folds_controls = True  # whether controls do nothing where there is nothing to show
    _has_begun = False  # whether there was something to draw
    _title: w.HTML
    _note: w.HTML
    _picture: w.Box

    def _build(self) -> tuple[w.Widget, ...]:
        self._progress = ProgressLine(self._session.cancel, self._session.resume)
        children = self._build_picture()
        self._rows_of_controls = [
            child
            for child in children
            if self.folds_controls and type(child) is w.HBox and child is not self._picture
        ]
        self._subscribe(self._session, self._on_reading, "reading")
        return *children[:1], self._progress, *children[1:]

    def _build_picture(self) -> tuple[w.Widget, ...]:
        """Return the child widgets, the title first; as `_build` of a plain view."""
        raise NotImplementedError

    def _heading(self, selection: Selection) -> tuple[str, str]:
        """The title and the detail beside it."""
        raise NotImplementedError

    def _missing(self) -> str:
        """Why there is nothing to show, or ""."""
        return self._session.profiles.missing_for_units()

    def _gathered(self) -> Any:
        """What has been read so far; asking for it has the rest read in the background."""
        return self._session.profiles.read(partial=True, every_layer=self.every_layer)

    def _draw(self, selection: Selection, gathered: Any) -> bool:
        """Make the children show what has been read; say whether there is a picture of it."""
        raise NotImplementedError

    def _render(self, selection: Selection) -> None:
        self._title.value = title(*self._heading(selection))
        missing = self._missing()
        for row in self._rows_of_controls:
            row.layout.display = "none" if missing else None  # they would change nothing
        if missing:
            where = "" if self.every_layer else f" for {selection.layer}"
            self._note.value = note(f"nothing to show{where}: {missing}")
            show(self._picture, False)
            if self._readout is not None:
                self._readout.over()  # nothing is under the mouse
            return
        # A view that shows a picture goes on to show one, even if that takes a moment.
        self._has_begun = self._has_begun or self._begin()
        if not self._has_begun:
            self._note.value = note(f"0 of {self._session.n_samples:,} samples so far")
        show(self._picture, self._has_begun and self._draw(selection, self._gathered()))

    def _begin(self) -> bool:
        """Whether there is something to draw yet; it is read in the background if not."""
        return self._session.profiles.begin(every_layer=self.every_layer)

    def _works(self) -> tuple[BackgroundWork, ...]:
        return (self._session,)

    def _follows(self, reading: Progress) -> bool:
        """Whether this is a pass that the view shows."""
        return reading.what == "profiles" and reading.layers == self._layers_read()

    def _layers_read(self) -> tuple[str, ...]:
        return self._session.profiles.layers_read(every_layer=self.every_layer)

    def _on_reading(self, _change: Any) -> None:
        reading = self._session.reading
        if reading is None:
            return
        if not self._follows(reading):
            is_wider = reading.what == "profiles" and self._session.layer in reading.layers
            if reading.failure and is_wider and not self.every_layer:
                self._on_news()  # which begins a pass of its own
            return
        if self.watching and reading.failure:
            self._progress.show(None)
            self._show_error(f"could not read all samples: {reading.failure}")
        else:
            self._on_news()

    def _repaint(self) -> None:
        with self._session.lock:  # the reader may tell more meanwhile, and that comes last
            super()._repaint()
            reading = self._session.reading
            mine = reading is not None and self._follows(reading)
            self._progress.show(reading if mine else None)

    def _read_text(self, n_read: int, *, complete: bool) -> str:
        """How many samples a picture is of, in words.

        Of several labels a sample class profiles count it in each of its classes.
        """
        n_samples, reading = self._session.n_samples, self._session.reading
        read = f"{n_read:,} samples"
        if self.of_each_label and self._session.label_sets is not None:
            read = f"{n_samples:,} samples, {n_read:,} labels"
            if not complete:
                return f"{n_read:,} labels so far, of {n_samples:,} samples"
        if not complete:
            return f"{n_read:,} of {n_samples:,} samples so far"
        if reading is not None and reading.cancelled and self._follows(reading):
            return f"{read}, read before; the new pass was cancelled"
        return read


# Beside each other the second takes all that is left; on a narrow page each has the whole
# width, and its views lie side by side.
WRAPPING = {"flex_flow": "row wrap", "align_items": "flex-start", "align_content": "flex-start"}
CHOOSING_FLEX, SHOWING_FLEX = "1 1 362px", "9999 1 600px"


class ViewBox(Exportable, w.VBox):
    """A line above, what chooses to the left, and what shows to the right.

    Attributes:
        views: The views made so far, by name.
    """

    views: dict[str, View]
    children: tuple[w.Widget, ...]

    def __init__(self, above: w.Widget, choosing: list[w.Widget], showing: w.Widget) -> None:
        left = w.Box(choosing, layout=WRAPPING | {"flex": CHOOSING_FLEX})
        showing.layout.flex, showing.layout.min_width = SHOWING_FLEX, "0"
        below = w.Box([left, showing], layout=WRAPPING | {"width": "100%"})
        super().__init__(children=(above, below), layout={"width": "100%"})

    def _figure_now(self, theme: str) -> "ViewFigure":
        # One session's pictures are those of one moment.
        locks = {id(view.session.lock): view.session.lock for view in self.views.values()}
        with locks.popitem()[1] if len(locks) == 1 else nullcontext():
            return super()._figure_now(theme)

    def _finish(self, within_s: float) -> None:
        until_s = time.monotonic() + within_s
        for view in list(self.views.values()):
            view._finish(max(0.0, until_s - time.monotonic()))

    @property
    def error(self) -> str:
        """The last failure of each view that has one; empty when all is well."""
        return "; ".join(f"{name}: {view.error}" for name, view in self.views.items() if view.error)

    def _sessions(self) -> list[Session]:
        """The sessions that are closed with the views."""
        raise NotImplementedError

    def close(self) -> None:
        """Close all views and give back every widget. Safe to call twice."""
        views, self.views = getattr(self, "views", {}), {}
        for view in views.values():
            view.close()
        close_all(self.children)
        self.children = ()
        if views:
            for session in self._sessions():
                session.close()
        super().close()
        self.layout.close()


Page = Callable[[], tuple[w.Widget, Sequence[View]]]


class Pages(w.Tab):
    """Tabs whose views are made when first opened, and watch only while they are visible.

    What is behind another tab costs a tick nothing; it is painted when its tab is opened.

    Args:
        pages: By title: makes a widget, and tells the views in it.
        opened: Called with the views of a page when it has been made.
    """

    def __init__(self, pages: Mapping[str, Page], opened: Callable[[Sequence[View]], None]) -> None:
        self._pages, self._opened = list(pages.values()), opened
        self._views: dict[int, Sequence[View]] = {}
        places = [w.VBox() for _ in pages]
        super().__init__(children=places, titles=tuple(pages), selected_index=0)
        self.add_class("aw-pages")
        self._show(0)
        self.observe(self._on_user_tab, names="selected_index")

    def turn_to(self, title: str) -> None:
        """Turn to a page.

        Raises:
            DataError: No page of that title.
        """
        if title not in self.titles:
            raise DataError(f"no page {title!r}; there are {', '.join(self.titles)}")
        self.selected_index = self.titles.index(title)

    def _on_user_tab(self, change: Any) -> None:
        if change.new is not None:
            self._show(change.new)

    def _show(self, index: int) -> None:
        for other, views in self._views.items():
            for view in views:
                view.watching = other == index
        if index not in self._views:
            with opened_together():
                content, views = self._pages[index]()
            self._views[index] = views
            self.children[index].children = (content,)
            self._opened(views)
