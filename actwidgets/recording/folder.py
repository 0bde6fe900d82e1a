"""The folder of a recording: begun, gone on with, or refused before anything changes."""

from contextlib import suppress
from pathlib import Path

from actwidgets.core import atomic_file
from actwidgets.errors import DataError
from actwidgets.recording import history_file, manifest, samples_file, snapshot_files
from actwidgets.recording.course import Course
from actwidgets.recording.recording import Recording
from actwidgets.recording.subject import Subject


def begin(folder: Path, subject: Subject, resume: bool) -> None:
    """Make a folder a recording, or see that it holds this one; else change nothing.

    What a recorder that was killed has left behind is removed.

    Raises:
        DataError: It holds another recording, or this one and `resume` is False; it cannot be
            written to.
    """
    told = repr(str(folder))
    if (folder / manifest.NAME).exists():
        other = manifest.read(folder)
        different = subject.manifest.difference(other)
        if different:
            raise DataError(
                f"{told} holds another recording, with {different}: give another folder"
            )
        if not resume:
            raise DataError(
                f"{told} holds this recording already: go on with it by resume=True, or give "
                "another folder"
            )
    elif any(snapshot_files.index_of(each.name) is not None for each in _files(folder)):
        raise DataError(
            f"{told} holds snapshots without their {manifest.NAME}: give another folder"
        )
    else:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as failure:
            raise DataError(f"no folder can be made at {told}: {failure}") from failure
        with suppress(FileNotFoundError):
            (folder / history_file.NAME).unlink()
        samples_file.write(folder, subject.wish.x, subject.wish.labels, subject.targets)
        manifest.write(folder, subject.manifest)  # last: from now on it is a recording
    for name in (f"{snapshot_files.PREFIX}*", samples_file.NAME, manifest.NAME):
        for leftover in atomic_file.leftovers(folder, name):
            leftover.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def next_index(folder: Path) -> int:
    """Above those of all files there, readable or not: none is ever written over."""
    found = (snapshot_files.index_of(each.name) for each in _files(folder))
    return max((index for index in found if index is not None), default=-1) + 1


def course_so_far(recording: Recording) -> Course:
    """Where a recording has come to that is gone on with."""
    history, snapshots = recording.history, recording.snapshots
    epochs = [float(x[-1]) for x, _ in history.by_epoch.values()]
    steps = [int(x[-1]) for x, _ in history.by_step.values()]
    return Course(
        epoch=max([0.0, *epochs, *(each.epoch for each in snapshots)]),
        step=max([0, *steps, *(each.step for each in snapshots)]),
        seconds=max([0.0, *(each.seconds for each in snapshots)]),
    )
