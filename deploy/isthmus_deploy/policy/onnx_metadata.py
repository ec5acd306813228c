"""Metadata of an ONNX file from its raw bytes: the little of protobuf's wire format that this needs."""

from collections.abc import Iterator

_METADATA_FIELD = 14  # ModelProto.metadata_props
_METADATA_TAG = bytes([_METADATA_FIELD << 3 | 2])


class PolicyFileError(ValueError):
    """A file is not a policy that may be run; the message gives the path and the reason."""


def entry(key: str, value: str) -> bytes:
    """A metadata entry, to be appended to a serialised model."""
    pair = b"\x0a" + _sized(key.encode()) + b"\x12" + _sized(value.encode())
    return _METADATA_TAG + _sized(pair)


def _sized(data: bytes) -> bytes:
    size, prefix = len(data), bytearray()
    while size > 127:
        prefix.append(size & 127 | 128)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + data


def metadata(model: bytes) -> Iterator[tuple[str, str]]:
    """Key and value of every metadata entry, in the file's order."""
    for number, payload in _fields(model):
        if number == _METADATA_FIELD:
            parts = dict(_fields(payload))
            try:
                yield parts.get(1, b"").decode(), parts.get(2, b"").decode()
            except UnicodeDecodeError as error:
                raise PolicyFileError("not an ONNX file: a metadata entry is not text") from error


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and payload of every top-level field; the payload of fixed-size fields is their raw bytes."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        wire_type, start = tag & 7, position
        if wire_type == 0:
            _, position = _varint(message, position)
        elif wire_type == 2:
            size, start = _varint(message, position)
            position = start + size
        elif wire_type in (1, 5):
            position = start + (8 if wire_type == 1 else 4)
        else:
            raise PolicyFileError("not an ONNX file")
        if position > len(message):
            raise PolicyFileError("not an ONNX file, or a truncated one")
        yield tag >> 3, message[start:position]


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """The variable-length integer at `position`, and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise PolicyFileError("not an ONNX file, or a truncated one")
        byte = message[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise PolicyFileError("not an ONNX file")
