"""The snapshots in a folder: which there are, which are refused, and a few that are kept."""

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actwidgets.errors import DataError
from actwidgets.recording import snapshot_files
from actwidgets.recording.manifest import Manifest
from actwidgets.recording.snapshot import Snapshot
from actwidgets.recording.snapshot_files import SnapshotInfo

KEPT_BYTES = 128 * 2**20  # of snapshots in memory, about; one is kept in any case
File = tuple[str, int, int]  # name, bytes, time of the last change


class Shelf:
    """What is in a folder is what there is; it is looked at when it is made, and by `refresh`.

    Args:
        folder: Of the recording.
        manifest: Its manifest; snapshots of other recordings are refused.

    Attributes:
        infos: Which moments there are, from the earliest on.
        refused: By name of the file, why it cannot be read.
        lock: Held while they change.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest
        self.infos: tuple[SnapshotInfo, ...] = ()
        self.refused: Mapping[str, str] = {}
        self._looked_at: dict[File, SnapshotInfo | str] = {}
        self._kept: OrderedDict[str, Snapshot] = OrderedDict()
        self.lock = threading.RLock()
        self.refresh()

    def refresh(self) -> bool:
        """Look again; whether anything has changed. New files are read once."""
        with self.lock:
            found: dict[File, SnapshotInfo | str] = {}
            for file in self._files():
                found[file] = self._looked_at.get(file) or self._look_at(file[0])
            if found.keys() == self._looked_at.keys():
                return False
            for name, *_ in self._looked_at.keys() - found.keys():
                self._kept.pop(name, None)
            self._looked_at = found
            infos = [each for each in found.values() if isinstance(each, SnapshotInfo)]
            self.infos = tuple(sorted(infos, key=lambda info: info.index))
            self.refused = {
                name: each for (name, *_), each in sorted(found.items()) if isinstance(each, str)
            }
            return True

    def info(self, at: int) -> SnapshotInfo:
        """Which moment is at a place, counted from the end where negative.

        Raises:
            DataError: There is none.
        """
        return _at(self.infos, at, self._folder)

    def snapshot(self, at: int) -> Snapshot:
        """What is kept of that moment.

        Raises:
            DataError: There is none, or its file is gone or was damaged meanwhile.
        """
        with self.lock:
            file = self.info(at).file
            found = self._kept.pop(file, None)
            self._kept[file] = found or snapshot_files.read(self._folder, file)
            if found is None:
                self._make_room()
            return self._kept[file]

    def _make_room(self) -> None:
        while len(self._kept) > 1 and sum(map(_n_bytes, self._kept.values())) > KEPT_BYTES:
            self._kept.popitem(last=False)

    def _files(self) -> list[File]:
        files = []
        for entry in os.scandir(self._folder):
            if snapshot_files.index_of(entry.name) is not None:
                try:
                    state = entry.stat()
                except FileNotFoundError:  # thinned meanwhile
                    continue
                files.append((entry.name, state.st_size, state.st_mtime_ns))
        return files

    def _look_at(self, name: str) -> SnapshotInfo | str:
        try:
            return snapshot_files.read_info(self._folder, name, self._manifest)
        except DataError as failure:
            return str(failure)


def _n_bytes(kept: Any) -> int:
    """What the arrays in a snapshot take in memory."""
    if isinstance(kept, np.ndarray):
        return kept.nbytes
    if isinstance(kept, Mapping):
        return sum(map(_n_bytes, kept.values()))
    return sum(map(_n_bytes, vars(kept).values())) if is_dataclass(kept) else 0


def _at(infos: tuple[SnapshotInfo, ...], at: int, folder: Path) -> SnapshotInfo:
    if not infos:
        raise DataError(f"the recording in {str(folder)!r} has no snapshot that can be read")
    if not -len(infos) <= at < len(infos):
        raise DataError(
            f"there is no snapshot {at}; this recording has {len(infos)}, 0 to {len(infos) - 1}"
        )
    return infos[at]
