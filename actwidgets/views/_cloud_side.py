"""One of the two clouds of an embedding view: its name, its points, what is to be said of them."""

import html
from collections.abc import Callable, Sequence

import ipywidgets as w
import numpy as np

from actwidgets.core.embeddings.alignment import STAYING, motion_onto
from actwidgets.core.embeddings.embedding import Embedding
from actwidgets.core.embeddings.point_colours import PointColours
from actwidgets.views._controls import note
from actwidgets.views._point_cloud import CHOSEN, IN_FOCUS, PLAIN, PointCloud


class CloudSide(w.VBox):
    """A cloud with a caption above it and a note below.

    Args:
        size_px: Height and width of the cloud.
        on_choose: Called with the rows that were chosen, and whether they are added.
        on_clear: Called when the choice is taken back.
        on_hover: Called with this side and the row under the mouse, None for none.
    """

    def __init__(
        self,
        size_px: int,
        *,
        on_choose: Callable[[tuple[int, ...], bool], None],
        on_clear: Callable[[], None],
        on_hover: Callable[["CloudSide", int | None], None],
    ) -> None:
        self.shown: Embedding | None = None
        self._given: Embedding | None = None
        self._motion = STAYING
        self._caption, self._note = w.HTML(), w.HTML(layout={"min_height": "54px"})
        self.cloud = PointCloud(
            on_choose=lambda points, adds: on_choose(self._rows(points), adds),
            on_clear=on_clear,
            on_hover=lambda point: on_hover(self, self._row(point)),
            width_px=size_px,
            height_px=size_px,
        )
        super().__init__(
            children=(self._caption, self.cloud, self._note),
            layout={"width": f"{size_px}px", "overflow": "visible"},
        )

    def show(self, embedding: Embedding, name: str, to: Embedding | None) -> None:
        """Show points, laid upon those before, or upon another picture where there are none.

        Points of the same plane as those before are moved as those were.

        Args:
            embedding: The points.
            name: What stands above them.
            to: Another picture of the same samples.
        """
        if embedding is not self._given:
            before = self.shown if self.shown is not None else to
            given, self._given = self._given, embedding
            if given is None or not embedding.plane or embedding.plane != given.plane:
                self._motion = STAYING if before is None else motion_onto(embedding, before)
            self.shown = self._motion.moved(embedding)
            self.cloud.show(self.shown.points)
            self.cloud.fill = embedding.method == "features"
        self._caption.value = f'<div class="aw-title">{html.escape(name)}</div>'
        self._note.value = note(embedding.note)
        self.cloud.label = f"{len(embedding.rows):,} samples as points: {name}. {embedding.note}"

    def show_waiting(self, name: str) -> None:
        """Say whose points will stand here, where there are none yet."""
        if self.shown is None:
            self._caption.value = f'<div class="aw-title">{html.escape(name)}</div>'
            self._note.value = note("not laid out yet")

    def show_missing(self, name: str, why: str) -> None:
        """Say why there are no points."""
        self.shown = self._given = None
        self.cloud.show(np.zeros((0, 2), np.float32))
        self._caption.value = f'<div class="aw-title">{html.escape(name)}</div>'
        self._note.value = note(f"nothing to show for {name}: {why}")
        self.cloud.label = f"nothing to show for {name}"

    def colour(self, colours: PointColours, rows: np.ndarray) -> None:
        """Colour the points, by colours of all of `rows`; nothing where they are not among them."""
        if self.shown is not None and np.isin(self.shown.rows, rows).all():
            places = np.searchsorted(rows, self.shown.rows)
            self.cloud.colour(colours.codes[places], colours.palette, rising=colours.rising)

    def emphasise(self, samples: Sequence[int], sample: int) -> None:
        """Have the chosen samples stand out, and the one in focus most."""
        if self.shown is not None:
            rows = self.shown.rows
            mask = np.where(np.isin(rows, samples), CHOSEN, PLAIN)
            self.cloud.emphasise(np.where(rows == sample, IN_FOCUS, mask))

    def mark(self, row: int | None) -> None:
        """Draw a ring around a sample, where it is among the points."""
        point = -1
        if row is not None and self.shown is not None:
            found = np.flatnonzero(self.shown.rows == row)
            point = int(found[0]) if len(found) else -1
        self.cloud.mark(point)

    def _rows(self, points: np.ndarray) -> tuple[int, ...]:
        return () if self.shown is None else tuple(int(each) for each in self.shown.rows[points])

    def _row(self, point: int) -> int | None:
        return None if point < 0 or self.shown is None else int(self.shown.rows[point])
