"""t-SNE and UMAP in a process of their own: stopped at once, and never in a slider's way."""

import atexit
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import actwidgets
from actwidgets.core.arrays import Floats
from actwidgets.core.embeddings.embedding import METHODS
from actwidgets.errors import DataError

WORKER = "actwidgets.core.embeddings.embedding_worker"
_TSNE_STEPS = 1000
_TSNE_STEP = re.compile(r"Iteration (\d+)")
_UMAP_STEP = re.compile(r"(?:completed|\|)\s*(\d+)\s*/\s*(\d+)")
_TAIL_BYTES = 4096


def has_umap() -> bool:
    """Whether UMAP is installed."""
    return importlib.util.find_spec("umap") is not None


class EmbeddingProcess:
    """Points being laid out elsewhere.

    It has one thread, so that the same seed gives the same points on any machine and other
    cores are left to the model. It ends when it is stopped, and with the interpreter.

    Args:
        method: "tsne" or "umap".
        features: `(sample, feature)` float32, finite, four samples or more.
        seed: Of what is random.
        perplexity: How many neighbours count, about.
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
        self.stopped = False
        self._method = method
        self._folder = tempfile.TemporaryDirectory(prefix="actwidgets-")
        self._path = Path(self._folder.name)
        options = {"method": method, "seed": seed, "perplexity": perplexity}
        np.save(self._path / "features.npy", features, allow_pickle=False)
        if begin is not None:
            np.save(self._path / "begin.npy", begin, allow_pickle=False)
        (self._path / "options.json").write_text(json.dumps(options), "utf-8")
        with (self._path / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-u", "-m", WORKER, self._folder.name],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
            )
        atexit.register(self.stop)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def ended(self, wait_s: float) -> bool:
        """Whether it has ended, at the latest after waiting so long."""
        try:
            self._process.wait(wait_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def progress(self) -> tuple[int, int]:
        """Steps done, and steps in all; (0, 0) where that cannot be told."""
        text = self._log_end()
        if self._method == "tsne":
            found = _TSNE_STEP.findall(text)
            return (int(found[-1]), _TSNE_STEPS) if found else (0, 0)
        pairs = _UMAP_STEP.findall(text)
        return (int(pairs[-1][0]), int(pairs[-1][1])) if pairs else (0, 0)

    def result(self) -> tuple[Floats, str]:
        """`(sample, 2)` float32 points of an ended process, and a fact about them.

        Raises:
            DataError: It failed, with what it said.
        """
        if self._process.returncode:
            raise DataError(f"{METHODS[self._method]} failed: {self._failure()}")
        points = np.load(self._path / "points.npy", allow_pickle=False)
        return points, (self._path / "fact.txt").read_text("utf-8")

    def stop(self) -> None:
        """End it, and remove its files. Safe to call twice, from any thread."""
        self.stopped = True
        atexit.unregister(self.stop)
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._folder.cleanup()

    def _failure(self) -> str:
        told = self._path / "failure.txt"
        if told.is_file():
            return told.read_text("utf-8")
        lines = self._log_end().strip().splitlines()
        return lines[-1] if lines else f"its process ended with {self._process.returncode}"

    def _log_end(self) -> str:
        try:
            with (self._path / "log").open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - _TAIL_BYTES))
                return log.read().decode("utf-8", "replace")
        except FileNotFoundError:  # stopped meanwhile
            return ""


def _environment() -> dict[str, str]:
    """This one's, with the package that runs here, and one thread for arithmetic."""
    package = str(Path(actwidgets.__file__).parents[1])
    known = os.environ.get("PYTHONPATH", "")
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    numba = {"NUMBA_NUM_THREADS": "1"}
    path = os.pathsep.join(part for part in (package, known) if part)
    return os.environ | one | numba | {"PYTHONPATH": path}
