"""Reads event files back, record by record, as the format's description has it."""

import struct
from pathlib import Path

import numpy as np
from tensorboard.compat.proto import event_pb2, types_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c


def events(path):
    """All events of a file; fails where a checksum is wrong or a record is cut off."""
    data, place = Path(path).read_bytes(), 0
    while place < len(data):
        header = data[place : place + 8]
        (length,) = struct.unpack("<Q", header)
        body = data[place + 12 : place + 12 + length]
        header_sum, body_sum = (
            struct.unpack("<I", data[at : at + 4])[0] for at in (place + 8, place + 12 + length)
        )
        assert len(body) == length
        assert header_sum == masked_crc32c(header)
        assert body_sum == masked_crc32c(body)
        yield event_pb2.Event.FromString(body)
        place += length + 16


def written(path):
    """`{tag: {step: value}}`: numbers as floats, histograms as tables, pictures as PNG files."""
    found = {}
    for event in events(path):
        for value in event.summary.value:
            found.setdefault(value.tag, {})[event.step] = _value(value.tensor)
    return found


def in_folder(folder):
    """The same of all event files of a folder."""
    found = {}
    for path in sorted(Path(folder).glob("**/*tfevents*")):
        for tag, values in written(path).items():
            found.setdefault(tag, {}).update(values)
    return found


def _value(tensor):
    if tensor.dtype == types_pb2.DT_STRING:
        return tensor.string_val[2]
    kind = np.float64 if tensor.dtype == types_pb2.DT_DOUBLE else np.float32
    shape = [axis.size for axis in tensor.tensor_shape.dim]
    return np.frombuffer(tensor.tensor_content, kind).reshape(shape)
