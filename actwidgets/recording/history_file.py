"""Metrics by epoch and by step: a text file to which lines are added, and nothing else."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.core.arrays import Doubles

NAME = "history.jsonl"
LINES_BEFORE_THINNING = 512  # so many steps are told one by one; of the next every second, …
Curves = Mapping[str, tuple[Doubles, Doubles]]


@dataclass(frozen=True, eq=False)
class History:
    """Curves of a training.

    Attributes:
        by_epoch: By metric `(epochs, values)`, float64: epochs that are complete.
        by_step: By metric `(steps, values)`, float64: steps counted over all calls of `fit`;
            values are means over the epoch so far, as Keras has them.
    """

    by_epoch: Curves
    by_step: Curves


class HistoryFile:
    """Adds lines to the history of a recording.

    Args:
        folder: Of the recording.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._n_lines = 0
        self._due_at = 0

    def add_epoch(self, epoch: float, step: int, metrics: Mapping[str, float]) -> None:
        """Add what an epoch has come to.

        Raises:
            OSError: A full disk; what was there is still there.
        """
        self._add({"epoch": epoch, "step": step, "metrics": dict(metrics)})

    def add_step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add what a step has come to, or leave it out: the longer the run, the more.

        Raises:
            OSError: A full disk; what was there is still there.
        """
        if step < self._due_at or not metrics:
            return
        self._n_lines += 1
        self._due_at = step + 2 ** (self._n_lines // LINES_BEFORE_THINNING)
        self._add({"step": step, "metrics": dict(metrics)})

    def _add(self, entry: Mapping[str, Any]) -> None:
        with self._path.open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end:
                file.seek(end - 1)
            gap = b"" if not end or file.read(1) == b"\n" else b"\n"  # a line was cut off
            file.write(gap + json.dumps(entry).encode() + b"\n")


def read(folder: Path) -> History:
    """The history of a recording; lines that were cut off are left out."""
    try:
        lines = (folder / NAME).read_bytes().splitlines()
    except FileNotFoundError:
        lines = []
    epochs: dict[str, list[tuple[float, float]]] = {}
    steps: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            curves, at = (epochs, "epoch") if "epoch" in entry else (steps, "step")
            found = {
                str(name): (float(entry[at]), float(value))
                for name, value in entry["metrics"].items()
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
        for name, point in found.items():
            curves.setdefault(name, []).append(point)
    return History(_curves(epochs), _curves(steps))


def _curves(points: Mapping[str, list[tuple[float, float]]]) -> Curves:
    return {
        name: (np.array([x for x, _ in each]), np.array([y for _, y in each]))
        for name, each in points.items()
    }
