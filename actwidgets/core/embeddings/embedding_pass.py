"""Samples read batch by batch, and laid out as points, in steps that can be watched and left."""

import hashlib
import threading
from collections.abc import Callable, MutableMapping

import numpy as np

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.embeddings.alignment import Plane
from actwidgets.core.embeddings.embedding import METHODS, Embedding, finite_rows, pca, two_features
from actwidgets.core.embeddings.embedding_process import EmbeddingProcess
from actwidgets.core.embeddings.layout import Layout, Reference
from actwidgets.errors import DataError

Read = Callable[[Integers], Array]
Arranged = MutableMapping[tuple[object, ...], tuple[Floats, str]]
KEPT_COMPONENTS = 50  # before t-SNE and UMAP: what is beyond is noise, and costs
FEWEST = 4  # points that have neighbours to speak of
_ARRANGING = 5  # how many times as long as reading, about
_LOOK_EVERY_S = 0.1


class GatheringPass:
    """One array per sample, gathered a batch at a time.

    Args:
        what: What is gathered, in words.
        of: "input" or the layer that is read.
        rows: `(point,)` the samples.
        read: From rows to their `(sample, …)` array.
        batch_size: Samples per step.
    """

    def __init__(
        self, what: str, of: str, rows: Integers, read: Read, *, batch_size: int = 128
    ) -> None:
        self.what = what
        self.layers: tuple[str, ...] = (of,)
        self.rows = rows
        self.cancelled = False
        self.failure = ""
        self.error: Exception | None = None  # `failure` says it all
        self._read, self._batch_size = read, batch_size
        self._n_gathered = 0
        self._values: Array | None = None
        self._stepping = threading.Lock()

    @property
    def n_read(self) -> int:
        """How many samples have been read."""
        return self._n_gathered

    @property
    def n_samples(self) -> int:
        """How many samples are read in all."""
        return len(self.rows)

    @property
    def complete(self) -> bool:
        """Whether everything is there."""
        return self.n_read >= self.n_samples

    def step(self) -> None:
        """Do a little more; nothing where all is done. Any thread may call it."""
        with self._stepping:
            if self.complete:
                return
            try:
                self._step()
            except Exception as error:
                self.failure = f"{type(error).__name__}: {error}"
                raise

    def stop(self) -> None:
        """Do no more until `resume`, and end at once what is under way."""
        self.cancelled = True

    def resume(self) -> None:
        """Go on, after `stop` or a failure."""
        self.cancelled, self.failure = False, ""

    def values(self) -> Array:
        """`(point, …)`, once complete."""
        assert self._values is not None
        return self._values

    def _step(self) -> None:
        rows = self.rows[self._n_gathered : self._n_gathered + self._batch_size]
        found = np.asarray(self._read(rows))
        if self._values is None:
            self._values = np.empty((len(self.rows), *found.shape[1:]), found.dtype)
        if found.shape[1:] != self._values.shape[1:]:
            raise DataError(
                "outputs whose shape differs from sample to sample cannot be compared; "
                f"got {self._values.shape[1:]} and {found.shape[1:]}"
            )
        self._values[self._n_gathered : self._n_gathered + len(rows)] = found
        self._n_gathered += len(rows)


class EmbeddingPass(GatheringPass):
    """Features of samples, read batch by batch and laid out as points.

    Samples with NaN or infinity among their features are left out, and the note says so.

    Args:
        of: "input" or the layer.
        rows: `(point,)` the samples.
        read: From rows to their `(sample, feature)` array.
        layout: How they become points.
        note: What is to be said of the features themselves.
        arranged: Where points are kept by what they were made of: the same features are laid
            out once.
        onto: Where to lay the points out, so that they can be compared with others'.
    """

    def __init__(
        self,
        of: str,
        rows: Integers,
        read: Read,
        layout: Layout,
        *,
        note: str,
        arranged: Arranged,
        onto: Reference | None = None,
    ) -> None:
        super().__init__(f"reading {of}", of, rows, read)
        self._onto = onto
        self._of, self._layout, self._note, self._arranged = of, layout, note, arranged
        self.is_slow = layout.method in ("tsne", "umap")  # others need not wait for it
        self._embedding: Embedding | None = None
        self._share = 0.0  # of arranging
        self._process: EmbeddingProcess | None = None
        self._starting = threading.Lock()
        self._kept: Array = np.zeros(0, bool)
        self._facts: list[str] = []
        self._key: tuple[object, ...] = ()
        self._scores: Floats | None = None
        self._begin: Floats | None = None

    @property
    def n_read(self) -> int:
        """Samples read, and what of laying them out is worth as many."""
        if self._embedding is not None:
            return self.n_samples
        done = self._n_gathered + int(self._share * self._n_arranging)
        return min(done, self.n_samples - 1)

    @property
    def n_samples(self) -> int:
        """Samples in all, and what laying them out is worth."""
        return len(self.rows) + self._n_arranging

    @property
    def _n_arranging(self) -> int:
        return _ARRANGING * len(self.rows) if self.is_slow else 1

    def stop(self) -> None:
        """Do no more until `resume`, and end at once what is under way."""
        super().stop()
        with self._starting:
            if self._process is not None:
                self._process.stop()

    def embedding(self) -> Embedding:
        """The points, once complete."""
        assert self._embedding is not None
        return self._embedding

    def _step(self) -> None:
        if self._n_gathered < len(self.rows):
            super()._step()
        elif self._scores is None:
            self._reduce()
        else:
            self._arrange()

    def _reduce(self) -> None:
        """Make points of the features, or what t-SNE and UMAP make them of."""
        features, layout = self.values(), self._layout
        self._kept = finite_rows(features)
        if not self._kept.all():
            features = features[self._kept]
            n_lost = int((~self._kept).sum())
            self._facts.append(f"{n_lost:,} left out for NaN or infinity")
        if layout.method == "features":
            self._draw_features(features)
            return
        if layout.method == "pca" and self._onto is not None:
            self._draw_in_plane(features, self._onto.plane())
            return
        n_points = len(features)
        in_child = layout.method in ("tsne", "umap")
        if in_child and n_points:
            digest = hashlib.blake2b(np.ascontiguousarray(features).data).digest()
            self._key = (digest, layout.method, layout.seed, layout.perplexity)
        scores, shares = pca(features, min(KEPT_COMPONENTS, features.shape[1]) if in_child else 2)
        self._values = None
        if not n_points or not shares.any():
            self._facts.append("all samples are alike" if n_points else "no sample is left")
            self._finish(np.zeros((n_points, 2), np.float32))
        elif in_child and n_points >= FEWEST:
            told = (
                f" of {scores.shape[1]} principal components ({shares.sum():.0%} of the variance)"
            )
            self._facts.append(METHODS[layout.method] + told)
            self._scores = scores
            self._begin_as_before()
        else:
            if in_child:
                self._facts.append(f"{n_points} points are too few for {METHODS[layout.method]}")
            self._facts.append(
                f"the first two components hold {shares[:2].sum():.0%} of the variance"
            )
            pad = np.zeros((n_points, 2), np.float32)
            pad[:, : scores.shape[1]] = scores[:, :2]
            self._finish(pad)

    def _draw_in_plane(self, features: Array, plane: Plane) -> None:
        points, share = plane.points_of(features)
        self._facts += [plane.told, f"it shows {share:.0%} of the variance here"]
        self._finish(points, plane=plane.name)

    def _begin_as_before(self) -> None:
        """Have t-SNE begin at another picture, where that shows all of these samples."""
        known = self._onto.begin() if self._onto and self._layout.method == "tsne" else None
        rows = self.rows[self._kept]
        if known is None or not np.isin(rows, known[0].rows).all():
            return
        self._begin = known[0].points[np.searchsorted(known[0].rows, rows)]
        self._key = (*self._key, self._begin.tobytes())
        self._facts.append(f"begun at the points of {known[1]}")

    def _draw_features(self, features: Array) -> None:
        layout = self._layout
        pair = layout.features or two_features(features)
        across, up = map(layout.names, pair)
        self._facts.append(f"across: {across}, up: {up}")
        points = features if layout.picked else features[:, pair]
        self._finish(points.astype(np.float32), pair)

    def _arrange(self) -> None:
        """Start the process that lays the points out, or see how far it is."""
        assert self._scores is not None
        known = self._arranged.get(self._key)
        if known is not None:
            self._facts.append(known[1])
            self._finish(known[0])
            return
        layout, name = self._layout, METHODS[self._layout.method]
        with self._starting:
            if self.cancelled:
                return
            if self._process is None or self._process.stopped:
                self._share = 0.0
                self._process = EmbeddingProcess(
                    layout.method,
                    self._scores,
                    seed=layout.seed,
                    perplexity=layout.perplexity,
                    begin=self._begin,
                )
            process = self._process
        has_ended = process.ended(_LOOK_EVERY_S)
        if process.stopped:
            return
        if not has_ended:
            done, total = process.progress()
            self._share = max(self._share, done / total if total else 0.0)
            at = f"step {done:,} of {total:,}" if total else "running"
            self.what = f"{name} of {self._of}, {at}"
            return
        try:
            points, fact = process.result()
        finally:
            process.stop()
        self._arranged[self._key] = points, fact
        self._facts.append(fact)
        self._finish(points)

    def _finish(
        self, points: Floats, features: tuple[int, int] | None = None, *, plane: str = ""
    ) -> None:
        self._values, self._scores = None, None
        note = "; ".join(part for part in (self._note, *self._facts) if part)
        self._embedding = Embedding(
            points, self.rows[self._kept], self._layout.method, self._of, note, features, plane
        )
