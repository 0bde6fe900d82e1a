"""What every view shares: subscription, options, error banner, orderly closing."""

import html
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as w
import traitlets as t

from actwidgets.background_work import BackgroundWork
from actwidgets.core.atomic_file import replacing, require_suffix
from actwidgets.errors import ActwidgetsError, NotRecordedError
from actwidgets.finishing import WITHIN_S, finish
from actwidgets.session import Selection, Session
from actwidgets.views._answering import answer_at_any_time
from actwidgets.views._closing import close_all
from actwidgets.views._controls import Readout
from actwidgets.views._style import KEYS, LEAVING, SHEET

if TYPE_CHECKING:
    from actwidgets.export.figure import ViewFigure

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
        self._finish(within_s)
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
        figure = self.figure(theme, within_s=within_s)
        with replacing(path, "pictures") as file:
            _matplotlib_figures().save(figure, file, file_format, scale)

    def _figure_now(self, theme: str) -> "ViewFigure":
        """The figure of this moment."""
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
    error = t.Unicode("", read_only=True, help="last failure; empty when all is well")
    watching = t.Bool(True, help="whether changes are painted; those missed are, once it is again")

    def __init__(self, session: Session, **options: Any) -> None:
        unknown = sorted(set(options) - set(self.trait_names()))
        if unknown:
            raise TypeError(f"{type(self).__name__}() has no option {', '.join(unknown)}")
        if not isinstance(session, Session):
            raise TypeError(
                f"{type(self).__name__}() needs a Session; got {type(session).__name__}"
            )
        self._session = session
        self._painted: Any = None
        self._subscribed = False
        self._n_failures, self._failed, self._unrecorded = 0, "", ""
        self._readout: Readout | None = None
        self._banner = w.HTML(layout={"display": "none"})
        self._banner.add_class("aw-banner")
        super().__init__(**options)
        self.add_class("aw-view")
        built = self._build()
        scripts = KEYS if self._readout is None else KEYS + LEAVING
        self.children = (
            w.HTML(SHEET + scripts, layout={"display": "none"}),
            *built,
            self._banner,
            *([] if self._readout is None else [self._button_for_leaving()]),
        )
        answer_at_any_time(self)
        session.observe(self._on_session, names=WATCHED)
        self._subscribed = True
        self.observe(self._on_session, names="watching")
        settings = list(self.traits(option=True))
        if settings:
            self.observe(self._on_option, names=settings)
        self._repaint()

    @property
    def session(self) -> Session:
        """The session this is a picture of."""
        return self._session

    def _figure_now(self, theme: str) -> "ViewFigure":
        with self._session.lock:  # what is computed in the background changes nothing in between
            return super()._figure_now(theme)

    def _finish(self, within_s: float) -> None:
        finish(self._session, self._works(), type(self).__name__, within_s)

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

    def _on_session(self, _change: Any = None) -> None:
        if not (self.watching and self._subscribed):
            return
        if [*self._seen_in(self._session.selection), self._session.revision] != self._painted:
            self._repaint()

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
        """A button that the page presses as the mouse leaves what is told of."""
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
        told = self.error or (self._unrecorded and f"nothing to show: {self._unrecorded}")
        kind = "aw-error" if self.error else "aw-note"
        message = f"<b>{type(self).__name__}</b> {html.escape(told)}"
        self._banner.value = f'<div class="{kind}">{message}</div>' if told else ""
        self._banner.layout.display = None if told else "none"

    def close(self) -> None:
        """Stop watching the session and give back all widgets. Safe to call twice."""
        if not getattr(self, "_subscribed", False):
            return
        self._subscribed = False
        self._session.unobserve(self._on_session, names=WATCHED)
        close_all(self.children)
        self.children = ()
        super().close()
        self.layout.close()
