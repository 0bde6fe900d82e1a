"""Embeddings of a session's samples."""

import functools
import hashlib
import math
import operator
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, MutableMapping
from dataclasses import replace
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.embedding import (
    METHODS,
    Embedding,
    Layout,
    Plane,
    Reference,
    coarsening,
    even_rows,
    finite_rows,
    input_features,
    namer,
    pca,
    two_features,
)
from actwidgets.core.predictions import predicted_classes
from actwidgets.errors import DataError
from actwidgets.session.context import KEPT, Context, KeptTasks
from actwidgets.session.embedding_process import EmbeddingProcess, has_umap
from actwidgets.session.profiles import layer_features
from actwidgets.session.tasks import Steps, Task

Read = Callable[[Integers], Array]
Source = tuple[Read, Layout, str]  # `(sample, feature)` of rows, how they become points, a note
Arranged = MutableMapping[tuple[object, ...], tuple[Floats, str]]
KEPT_COMPONENTS = 50  # before t-SNE and UMAP: what is beyond is noise, and costs
FEWEST = 4  # points that have neighbors to speak of
_ARRANGING = 5  # how many times as long as reading, about
_LOOK_EVERY_S = 0.1


class GatheringPass(Task):
    """One array per sample, gathered a batch at a time.

    Args:
        what: What is gathered, in words.
        of: "input" or the layer that is read.
        rows: `(point,)` the samples.
        read: From rows to their `(sample, …)` array.
    """

    def __init__(
        self, what: str, of: str, rows: Integers, read: Read, *, batch_size: int = 128
    ) -> None:
        super().__init__(what, (of,), self._steps, self._count)
        self.rows = rows
        self._read, self._batch_size = read, batch_size
        self._n_gathered = 0
        self._values: Array | None = None

    def _count(self) -> tuple[int, int]:
        return self._n_gathered, len(self.rows)

    def values(self) -> Array:
        """`(point, …)`, once complete."""
        assert self._values is not None
        return self._values

    def _steps(self) -> Steps:
        while self._n_gathered < len(self.rows):
            rows = self.rows[self._n_gathered : self._n_gathered + self._batch_size]
            batch = np.asarray(self._read(rows))
            if self._values is None:
                self._values = np.empty((len(self.rows), *batch.shape[1:]), batch.dtype)
            if batch.shape[1:] != self._values.shape[1:]:
                raise DataError(
                    "outputs whose shape differs from sample to sample cannot be compared; "
                    f"got {self._values.shape[1:]} and {batch.shape[1:]}"
                )
            self._values[self._n_gathered : self._n_gathered + len(rows)] = batch
            self._n_gathered += len(rows)
            yield self.n_read, self.n_samples

    def _fail(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}"  # which says it all


class EmbeddingPass(GatheringPass):
    """Features of samples, read batch by batch and laid out as points.

    Samples with NaN or infinity among their features are left out, and the note says so.

    Args:
        of: "input" or the layer.
        rows: `(point,)` the samples.
        read: From rows to their `(sample, feature)` array.
        layout: How they become points.
        note: What is to be said of the features themselves.
        arranged: Points by what they were made of: the same features are laid out once.
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
        self._begin_at: Floats | None = None

    def _count(self) -> tuple[int, int]:
        """Samples, and what laying them out is worth; the last one only when all is done."""
        n_arranging = _ARRANGING * len(self.rows) if self.is_slow else 1
        total = len(self.rows) + n_arranging
        done = self._n_gathered + int(self._share * n_arranging)
        return total if self._embedding is not None else min(done, total - 1), total

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

    def _steps(self) -> Steps:
        yield from super()._steps()
        if self._scores is None:
            self._reduce()
            yield self.n_read, self.n_samples
        while not self.complete:
            self._arrange()
            yield self.n_read, self.n_samples

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
            components = f"{scores.shape[1]} principal components"
            share = f"{shares.sum():.0%} of the variance"
            self._facts.append(f"{METHODS[layout.method]} of {components} ({share})")
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
        self._facts += [plane.note, f"it shows {share:.0%} of the variance here"]
        self._finish(points, plane=plane.name)

    def _begin_as_before(self) -> None:
        """Have t-SNE begin at another picture, where that shows all of these samples."""
        known = self._onto.begin() if self._onto and self._layout.method == "tsne" else None
        rows = self.rows[self._kept]
        if known is None or not np.isin(rows, known[0].rows).all():
            return
        self._begin_at = known[0].points[np.searchsorted(known[0].rows, rows)]
        self._key = (*self._key, self._begin_at.tobytes())
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
                    begin=self._begin_at,
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


_LOOKED_AT = 200  # samples that tell which two pixels vary most
INPUT = "input"


class Embeddings(KeptTasks):
    """Pictures of a session's samples as points; `session.embeddings` is one.

    What was made is kept until weights or data change. t-SNE and UMAP run in a process of
    their own; `reading` tells how far it is.

    Args:
        context: Whose samples and layers are laid out.
    """

    def __init__(self, context: Context) -> None:
        self._arranged: OrderedDict[tuple[object, ...], tuple[Floats, str]] = OrderedDict()
        super().__init__(context)

    # --- what can be had -----------------------------------------------------------------

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that can be used here: UMAP only where it is installed."""
        return tuple(name for name in METHODS if name != "umap" or has_umap())

    def missing(self, of: str = INPUT) -> str:
        """Why there are no points of the input or of a layer; "" where there are."""
        if of != INPUT:
            return "its output is empty" if 0 in self.context.layer_info(of).output_shape else ""
        one = self.context.samples.images([0])
        if one.dtype.kind not in "fiub":
            return "its samples are not numbers"
        return "" if one.size else "its samples are empty"

    def rows(self, n_points: int = 2000) -> Integers:
        """The samples that are drawn: at most `n_points`, evenly spread."""
        return even_rows(self.context.n_samples, n_points)

    def __call__(
        self,
        of: str = INPUT,
        *,
        method: str = "pca",
        n_points: int = 2000,
        seed: int = 0,
        perplexity: float = 30.0,
        features: tuple[int, int] | None = None,
    ) -> Embedding:
        """Samples as points.

        Args:
            of: "input", or the name of a layer.
            method: "pca", "tsne", "umap" where it is installed, or "features": two raw ones.
            n_points: How many samples at most, evenly spread; up to 10,000.
            seed: Of what is random; the same gives the same picture.
            perplexity: How many neighbors count in t-SNE; in UMAP, their number.
            features: The two raw ones: numbers of the flattened input, or units of the layer,
                for a map the mean over its positions. None for two that vary most.

        Returns:
            The picture. A map is flattened where all samples then fit a quarter of the memory
            budget; else the mean of each unit is taken, and of a large input the mean of blocks
            of pixels. The note says which.

        Raises:
            DataError: Nothing to lay out, no such method, or what t-SNE or UMAP failed with.
            LayerError: No such layer.

        Cost: a forward pass over the points; PCA 0.1 s, t-SNE 10 s for 2,000.
        """
        layout = Layout(method, seed, float(perplexity), features and _pair(features))
        embedding = self._embedding(of, n_points, layout, None)
        assert embedding is not None
        return embedding

    def request(
        self, of: str = INPUT, *, client: str = "", n_points: int = 2000, **options: Any
    ) -> Embedding | None:
        """The same for a view: None where it is not made yet, and made in the background.

        `reading` tells how far it is.

        Args:
            of: As when called.
            client: Who asks: what was asked for before by the same client is then left.
            n_points: As when called.
            **options: As when called: `method`, `seed`, `perplexity`, `features`.
        """
        if options.get("features"):
            options["features"] = _pair(options["features"])
        return self._embedding(of, n_points, Layout(**{"method": "pca"} | options), client)

    def _embedding(
        self, of: str, n_points: int, layout: Layout, client: str | None
    ) -> Embedding | None:
        with self.context.lock:
            self._check(of, layout.method)
            key = ("points", of, n_points, layout, self._moment(of))
            task = self._task(key, lambda: self._embedding_task(of, n_points, layout))
        self._advance(task, key, client is not None, client or "")
        return task.embedding() if task.complete else None

    def _gathered(self, new: GatheringPass, key: Hashable, client: str | None) -> Array | None:
        with self.context.lock:
            task = self._task(key, lambda: new)
        self._advance(task, key, client is not None, client or "")
        return task.values() if task.complete else None

    def predicted(self, n_points: int = 2000, *, client: str | None = None) -> Integers | None:
        """`(point,)` int64: the predicted class of each sample of `rows(n_points)`.

        Args:
            n_points: As when called.
            client: As in `request`; None waits for it.

        Raises:
            DataError: The model's output is not one value per class.
        """
        context = self.context
        if missing := context.missing_for_predictions():
            raise DataError(f"no predictions: {missing}")
        output = context.output

        def read(rows: Integers) -> Array:
            outputs = context.probe.predictions(context.samples.rows(rows))
            return predicted_classes(outputs, output=output)

        task = GatheringPass("predicting classes", INPUT, self.rows(n_points), read)
        return self._gathered(task, ("predicted", n_points, self._moment()), client)

    def unit_values(
        self, layer: str, unit: int, n_points: int = 2000, *, client: str | None = None
    ) -> Floats | None:
        """`(point,)` float32: the value of a unit on each sample of `rows(n_points)`.

        Of a map the largest at any position, NaN where all are.

        Args:
            layer: Name of the layer.
            unit: Its index.
            n_points: As when called.
            client: As in `request`; None waits for it.

        Cost: a forward pass over the points, for all units at once where their values fit an
        eighth of the memory budget.
        """
        context = self.context
        info, rows = context.layer_info(layer), self.rows(n_points)
        if info.n_units and not 0 <= unit < info.n_units:
            raise DataError(f"unit {unit} is outside 0..{info.n_units - 1} of layer {layer!r}")
        fits = len(rows) * (info.n_units or 1) * 4 <= context.budget_bytes // 8
        column = slice(None) if fits else slice(unit, unit + 1)

        def read(some: Integers) -> Array:
            x = context.samples.rows(some)
            summary = context.probe.summaries((layer,), x, low=False)[layer]
            return summary.max[:, column].astype(np.float32)

        key = ("units", layer, n_points, None if fits else unit, self._moment())
        values = self._gathered(GatheringPass(f"reading {layer}", layer, rows, read), key, client)
        return None if values is None else values[:, unit if fits else 0]

    # --- how it is kept ------------------------------------------------------------------

    def _check(self, of: str, method: str) -> None:
        if method == "umap" and not has_umap():
            raise DataError("UMAP needs a package of its own: pip install umap-learn")
        if method not in METHODS:
            raise DataError(f"no method {method!r}; there are {', '.join(self.methods)}")
        missing = self.missing(of)
        if missing:
            raise DataError(f"no points of {of}: {missing}")

    def _moment(self, of: str | None = None) -> int | None:
        """Which moment of a training it is of, where there are several; None for any."""
        return None

    def _reference(self, of: str, n_points: int, layout: Layout) -> Reference | None:
        """Where to lay points out, so that they can be compared with those of other moments."""
        return None

    def _embedding_task(self, of: str, n_points: int, layout: Layout) -> EmbeddingPass:
        while len(self._arranged) > KEPT:
            self._arranged.popitem(last=False)
        rows = self.rows(n_points)
        source = self._of_input if of == INPUT else functools.partial(self._of_layer, of)
        read, layout_, note = source(rows, layout)
        onto = self._reference(of, n_points, layout)
        return EmbeddingPass(of, rows, read, layout_, note=note, arranged=self._arranged, onto=onto)

    def _of_input(self, rows: Integers, layout: Layout) -> Source:
        """The input of samples, flattened; coarser where it would go beyond the budget."""
        samples, budget_bytes = self.context.samples, self.context.budget_bytes // 4
        images = samples.input_numbers
        one = images([0])
        shape = one.shape[1:]
        if layout.method == "features":
            pair = layout.features
            if not pair:  # two numbers that vary, told by some of the samples
                count = max(2, min(_LOOKED_AT, budget_bytes // max(1, one.size * 8)))
                pair = two_features(input_features(images(rows[even_rows(len(rows), count)])))
            _check(pair, math.prod(shape), "the numbers of the input")
            names = namer(shape, samples.feature_names)
            layout = replace(layout, features=pair, names=names, picked=True)
            return lambda some: input_features(images(some))[:, pair], layout, ""
        step = coarsening(shape, len(rows), budget_bytes)
        note = ""
        if step > 1:
            note = f"means of {step}×{step} pixels" if len(shape) > 1 else f"1 of {step} numbers"
        return lambda some: input_features(images(some), step), layout, note

    def _of_layer(self, of: str, rows: Integers, layout: Layout) -> Source:
        """What a layer makes of samples: its map at all positions, or the mean over them."""
        context = self.context
        info, shape = context.layer_info(of), context.layer_info(of).output_shape[1:]
        has_maps = len(shape) > 1
        if layout.method == "features":
            flat = not has_maps
            if layout.features and info.n_units:
                _check(layout.features, info.n_units, f"the units of {of}")
            layout = replace(layout, names="unit {}".format)
        else:
            budget_bytes = context.budget_bytes // 4 if context.probe.has_all_maps else 0
            sizes = [size for size in shape if size is not None]
            n_bytes = 4 * len(rows) * math.prod(sizes)
            flat = len(sizes) == len(shape) and n_bytes <= budget_bytes

        def read(some: Integers) -> Array:
            features = layer_features(context, (of,), some, "flat" if flat else "mean")[of]
            return features.reshape(len(some), -1).astype(np.float32)

        how = "every position of its maps" if flat else "means of its maps"
        return read, layout, how if has_maps else ""


def _check(pair: tuple[int, int], count: int, what: str) -> None:
    if not all(0 <= each < count for each in pair):
        raise DataError(f"features {pair} are not both in 0..{count - 1}, {what}")


def _pair(features: Any) -> tuple[int, int]:
    try:
        first, second = features
        return operator.index(first), operator.index(second)
    except (TypeError, ValueError):
        raise DataError(
            f"features must be two whole numbers, of units or of inputs; got {features!r}"
        ) from None
