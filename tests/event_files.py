"""Event files read back by TensorBoard's own reader, without TensorFlow."""

from contextlib import suppress
from pathlib import Path

from tensorboard.compat.proto import event_pb2
from tensorboard.compat.tensorflow_stub.errors import OutOfRangeError
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
from tensorboard.util.tensor_util import make_ndarray


def events(path):
    """All events of a file; fails where a checksum is wrong or a record is cut off."""
    reader = PyRecordReader_New(str(path))
    with suppress(OutOfRangeError):
        while True:
            reader.GetNext()
            yield event_pb2.Event.FromString(reader.record())


def in_folder(folder):
    """`{tag: {step: value}}` of all event files: numbers, histograms as tables, pictures as PNG."""
    found = {}
    for path in sorted(Path(folder).glob("**/*tfevents*")):
        for event in events(path):
            for value in event.summary.value:
                array = make_ndarray(value.tensor)
                shown = array[2] if array.dtype == object else array
                found.setdefault(value.tag, {})[event.step] = shown
    return found
