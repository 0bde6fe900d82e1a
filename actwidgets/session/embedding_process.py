"""t-SNE and UMAP in a process of their own: stopped at once, and never in a slider's way."""

import importlib
import importlib.util
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from actwidgets.core.arrays import Array, Floats
from actwidgets.core.embedding import METHODS
from actwidgets.errors import DataError

TSNE_STEPS = 1000
TSNE_BEGIN_STD = 1e-4  # of the points that t-SNE begins at, as scikit-learn has it
STEPS_PER_MESSAGE = 10
# One thread, so that the same seed gives the same points on any machine and other cores are
# left to the model. Read when the libraries are loaded, so it has to be in the environment.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
Points = tuple[Floats, str]


def has_umap() -> bool:
    """Whether UMAP is installed."""
    return importlib.util.find_spec("umap") is not None


class EmbeddingProcess:
    """A process that lays points out; it ends when it is stopped, and with the interpreter.

    Args:
        method: "tsne" or "umap".
        features: `(sample, feature)` float32, finite, four samples or more.
        seed: Of what is random.
        perplexity: How many neighbors count, about.
        begin: `(sample, 2)` float32 points that t-SNE begins at; its own where None.
    """

    def __init__(
        self,
        method: str,
        features: Floats,
        *,
        seed: int,
        perplexity: float,
        begin: Floats | None = None,
    ) -> None:
        # The processes of `multiprocessing` run the main script again, which in one without
        # `if __name__ == "__main__"` would train the model once more; loky's do not.
        from loky.backend.context import get_context

        self.stopped = False
        self._method, self._steps = method, 0
        self._result: Points | str | None = None  # points with a fact, or why there are none
        context = get_context("loky")
        self._connection, connection = context.Pipe()
        options: dict[str, Any] = {"seed": seed, "perplexity": perplexity}
        if begin is not None:
            options["begin"] = begin
        self._process = context.Process(
            target=_lay_out,
            args=(connection, method, features, options),
            daemon=True,  # ended with this interpreter
            env=ONE_THREAD,
        )
        self._process.start()
        connection.close()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return int(self._process.pid)

    def ended(self, wait_s: float) -> bool:
        """Whether it has ended, at the latest after waiting so long."""
        until_s = time.monotonic() + wait_s
        try:
            while self._result is None:
                if not self._connection.poll(max(0.0, until_s - time.monotonic())):
                    return False
                message = self._connection.recv()
                if isinstance(message, int):
                    self._steps = message
                else:
                    self._result = message
        except (EOFError, OSError):  # it was stopped, or killed
            self._process.join()
        return True

    def progress(self) -> tuple[int, int]:
        """Steps done, and steps in all; (0, 0) where that cannot be told, as of UMAP."""
        return (self._steps, TSNE_STEPS) if self._steps else (0, 0)

    def result(self) -> Points:
        """`(sample, 2)` float32 points of an ended process, and a fact about them.

        Raises:
            DataError: It failed, with what it said.
        """
        if isinstance(self._result, tuple):
            return self._result
        failure = self._result or f"its process ended with {self._process.exitcode}"
        raise DataError(f"{METHODS[self._method]} failed: {failure}")

    def stop(self) -> None:
        """End it. Safe to call twice, from any thread."""
        self.stopped = True
        self._process.terminate()
        self._process.join()


# --- in the process -----------------------------------------------------------------------


def _lay_out(connection: Any, method: str, features: Floats, options: Mapping[str, Any]) -> None:
    """Send how many steps are done, at last `(points, fact)` or why there are none."""
    threading.Thread(target=_end_with_the_parent, args=(connection,), daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(10)  # whoever moves a slider goes first
    result: Points | str
    try:
        if method == "tsne":
            _count_steps(connection.send)
        points, fact = {"tsne": tsne, "umap": umap}[method](features, **options)
        result = points.astype(np.float32), fact
    except Exception as error:  # noqa: BLE001 - told on the other side
        result = f"{type(error).__name__}: {error}"
    connection.send(result)


def _end_with_the_parent(connection: Any) -> None:
    with suppress(EOFError, OSError):
        connection.recv()  # nothing is ever sent: it returns when the other end is closed
    os._exit(1)


def _count_steps(send: Callable[[int], None]) -> None:
    """Have scikit-learn's t-SNE tell its steps, for which it has no callback.

    Its objective is called once a step. That is private: where it goes by another name one day,
    no steps are told. Nothing else runs in this process that could mind.
    """
    from sklearn.manifold import _t_sne

    objective, n_steps = getattr(_t_sne, "_kl_divergence_bh", None), 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal n_steps
        n_steps += 1
        if n_steps % STEPS_PER_MESSAGE == 0:
            send(n_steps)
        return objective(*arguments, **options)  # type: ignore[misc]

    if objective is not None:
        _t_sne._kl_divergence_bh = counted


def tsne(
    features: Array, *, seed: int, perplexity: float, begin: Array | None = None
) -> tuple[Array, str]:
    """Barnes-Hut t-SNE from the first two principal components on, or from other points.

    Args:
        features: `(sample, feature)` float32, four samples or more.
        seed: Of what is random.
        perplexity: How many neighbors count, about; fewer than a third of the samples do.
        begin: `(sample, 2)` points to begin at, as small as the components would be: who lies
            where is kept, and how the samples gather is found anew.

    References: van der Maaten 2014.
    """
    from sklearn.manifold import TSNE

    allowed = min(perplexity, (len(features) - 1) / 3)
    init: Any = "pca"
    if begin is not None:
        size = float(begin.std(axis=0).max())
        init = (begin * (TSNE_BEGIN_STD / size if size else 1.0)).astype(np.float32)
    model = TSNE(init=init, perplexity=allowed, random_state=seed)
    points = model.fit_transform(features)
    lowered = f", lowered for {len(features):,} points" if allowed < perplexity else ""
    fact = f"KL divergence {model.kl_divergence_:.2f}, perplexity {allowed:.3g}{lowered}"
    return points, fact


def umap(features: Array, *, seed: int, perplexity: float) -> tuple[Array, str]:
    """UMAP; `perplexity` is its number of neighbors.

    References: McInnes 2018.
    """
    library = importlib.import_module("umap")  # optional: a package of its own
    neighbors = min(max(2, round(perplexity)), len(features) - 1)
    model = library.UMAP(n_neighbors=neighbors, random_state=seed)
    return model.fit_transform(features), f"{neighbors} neighbors"
