"""Samples of a session as points in the plane, and the numbers that colour them."""

from collections import OrderedDict
from typing import Any

import numpy as np

from actwidgets.core import probes
from actwidgets.core.arrays import Array, Floats, Integers
from actwidgets.core.embeddings.embedding import METHODS, Embedding, even_rows
from actwidgets.core.embeddings.embedding_pass import EmbeddingPass, GatheringPass
from actwidgets.core.embeddings.embedding_process import has_umap
from actwidgets.core.embeddings.embedding_sources import missing_of_input, of_input, of_layer
from actwidgets.core.embeddings.layout import Layout, Reference
from actwidgets.core.layer_info import LayerInfo
from actwidgets.core.predictions.outcomes import predicted_classes
from actwidgets.errors import DataError, LayerError
from actwidgets.session_jobs import KEPT, SessionJobs
from actwidgets.session_passes import SessionPasses

INPUT = "input"


class Embeddings(SessionJobs):
    """Pictures of a session's samples as points; `session.embeddings` is one.

    What was made is kept until weights or data change. Background work runs on a thread of
    its own, t-SNE and UMAP in a process of their own; `reading` tells how far it is.

    Args:
        session: Whose samples and layers are laid out.
    """

    def __init__(self, session: SessionPasses) -> None:
        self._arranged: OrderedDict[tuple[object, ...], tuple[Floats, str]] = OrderedDict()
        super().__init__(session)

    # --- what can be had -----------------------------------------------------------------

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that can be used here: UMAP only where it is installed."""
        return tuple(name for name in METHODS if name != "umap" or has_umap())

    def missing(self, of: str = INPUT) -> str:
        """Why there are no points of the input or of a layer; "" where there are."""
        if of != INPUT:
            return "its output is empty" if 0 in self._info(of).output_shape else ""
        return missing_of_input(self._session._samples.images([0]))

    def rows(self, n_points: int = 2000) -> Integers:
        """The samples that are drawn: at most `n_points`, evenly spread."""
        return even_rows(self._session.n_samples, n_points)

    def get(
        self,
        of: str = INPUT,
        *,
        method: str = "pca",
        n_points: int = 2000,
        seed: int = 0,
        perplexity: float = 30.0,
        features: tuple[int, int] | None = None,
        partial: bool = False,
        place: str = "",
    ) -> Embedding | None:
        """Samples as points.

        Args:
            of: "input", or the name of a layer.
            method: "pca", "tsne", "umap" where it is installed, or "features": two raw ones.
            n_points: How many samples at most, evenly spread; up to 10,000.
            seed: Of what is random; the same gives the same picture.
            perplexity: How many neighbours count in t-SNE; in UMAP, their number.
            features: The two raw ones: numbers of the flattened input, or units of the layer,
                for a map the mean over its positions. None for two that vary most.
            partial: Return at once, None where it is not made yet, and make it in the
                background; `reading` tells how far it is.
            place: Who asks: what was asked for before at the same place is then left.

        Returns:
            The picture; None only with `partial`. A map is flattened where all samples then
            fit a quarter of the memory budget; else the mean of each unit is taken, and of a
            large input the mean of blocks of pixels. The note says which.

        Raises:
            DataError: Nothing to lay out, no such method, or what t-SNE or UMAP failed with.
            LayerError: No such layer.

        Cost: a forward pass over the points; PCA 0.1 s, t-SNE 10 s for 2,000.
        """
        with self._session.lock:
            self._check(of, method)
            layout = Layout(method, seed, float(perplexity), features and _pair(features))
            key = ("points", of, n_points, layout, self._moment(of))
            wanted = self._pass(key, lambda: self._embedding_pass(of, n_points, layout))
        self._advance(wanted, key, partial, place)
        return wanted.embedding() if wanted.complete else None

    def predicted(
        self, n_points: int = 2000, *, partial: bool = False, place: str = ""
    ) -> Integers | None:
        """`(point,)` int64: the predicted class of each sample of `rows(n_points)`.

        Args:
            n_points: As in `get`.
            partial: As in `get`.
            place: As in `get`.

        Raises:
            DataError: The model's output is not one value per class.
        """
        session = self._session
        if missing := session.missing_for_predictions():
            raise DataError(f"no predictions: {missing}")
        output = session.output
        with session.lock:
            key = ("predicted", n_points, self._moment())
            wanted = self._pass(
                key,
                lambda: GatheringPass(
                    "predicting classes",
                    INPUT,
                    self.rows(n_points),
                    lambda rows: predicted_classes(
                        session._probe.predictions(session._samples.rows(rows)), output=output
                    ),
                ),
            )
        self._advance(wanted, key, partial, place)
        return wanted.values() if wanted.complete else None

    def unit_values(
        self,
        layer: str,
        unit: int,
        n_points: int = 2000,
        *,
        partial: bool = False,
        place: str = "",
    ) -> Floats | None:
        """`(point,)` float32: the value of a unit on each sample of `rows(n_points)`.

        Of a map the largest at any position, NaN where all are.

        Args:
            layer: Name of the layer.
            unit: Its index.
            n_points: As in `get`.
            partial: As in `get`.
            place: As in `get`.

        Cost: a forward pass over the points, for all units at once where their values fit an
        eighth of the memory budget.
        """
        session = self._session
        info, rows = self._info(layer), self.rows(n_points)
        if info.n_units and not 0 <= unit < info.n_units:
            raise DataError(f"unit {unit} is outside 0..{info.n_units - 1} of layer {layer!r}")
        fits = len(rows) * (info.n_units or 1) * 4 <= session.memory_budget_bytes // 8
        column = slice(None) if fits else slice(unit, unit + 1)

        def read(some: Integers) -> Array:
            x = session._samples.rows(some)
            found = probes.summaries(session._probe, (layer,), x, low=False)[layer]
            return found.high[:, column].astype(np.float32)

        key = ("units", layer, n_points, None if fits else unit, self._moment())
        with session.lock:
            wanted = self._pass(key, lambda: GatheringPass(f"reading {layer}", layer, rows, read))
        self._advance(wanted, key, partial, place)
        if not wanted.complete:
            return None
        return wanted.values()[:, unit if fits else 0]

    # --- how it is kept ------------------------------------------------------------------

    def _check(self, of: str, method: str) -> None:
        if method == "umap" and not has_umap():
            raise DataError("UMAP needs a package of its own: pip install umap-learn")
        if method not in METHODS:
            raise DataError(f"no method {method!r}; there are {', '.join(self.methods)}")
        missing = self.missing(of)
        if missing:
            raise DataError(f"no points of {of}: {missing}")

    def _info(self, layer: str) -> LayerInfo:
        infos = self._session._infos
        if layer not in infos:
            raise LayerError(f"no layer {layer!r}; this model has {', '.join(infos)}")
        return infos[layer]

    def _moment(self, of: str | None = None) -> int | None:
        """Which moment of a training it is of, where there are several; None for any."""
        return None

    def _reference(self, of: str, n_points: int, layout: Layout) -> Reference | None:
        """Where to lay points out, so that they can be compared with those of other moments."""
        return None

    def _embedding_pass(self, of: str, n_points: int, layout: Layout) -> EmbeddingPass:
        while len(self._arranged) > KEPT:
            self._arranged.popitem(last=False)
        session, rows = self._session, self.rows(n_points)
        budget = session.memory_budget_bytes // 4
        if of == INPUT:
            names = session.feature_names
            source = of_input(session._samples.input_numbers, rows, layout, budget, names)
        else:
            budget = budget if probes.has_all_maps(session._probe) else 0
            source = of_layer(self._info(of), session._features, rows, layout, budget)
        return EmbeddingPass(
            of,
            rows,
            source.read,
            source.layout,
            note=source.note,
            arranged=self._arranged,
            onto=self._reference(of, n_points, layout),
        )


def _pair(features: Any) -> tuple[int, int]:
    first, second = features
    return int(first), int(second)
