"""MessagePack as far as Alpaca's market data stream speaks it (msgpack specification, 2013).

A hundred lines instead of a dependency that the project needs nowhere else; the tests compare them with the
library that alpaca-py brings.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from workbench.core.types import NANO


@dataclass(frozen=True)
class Instant:
    """A time on the wire: the extension type -1 in its form of 12 bytes."""

    at_ns: int


def pack(value: Any) -> bytes:
    """The bytes of None, bool, int, float, str, `Instant`, a list or a mapping."""
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        if 0 <= value < 128:
            return bytes([value])
        return struct.pack(">Bq", 0xD3, value) if value < 2**63 else struct.pack(">BQ", 0xCF, value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, str):
        data = value.encode()
        head = bytes([0xA0 | len(data)]) if len(data) < 32 else struct.pack(">BI", 0xDB, len(data))
        return head + data
    if isinstance(value, Instant):
        seconds, rest = divmod(value.at_ns, NANO)
        return struct.pack(">BBbIq", 0xC7, 12, -1, rest, seconds)
    if isinstance(value, list):
        head = bytes([0x90 | len(value)]) if len(value) < 16 else struct.pack(">BI", 0xDD, len(value))
        return head + b"".join(pack(item) for item in value)
    if isinstance(value, dict):
        head = bytes([0x80 | len(value)]) if len(value) < 16 else struct.pack(">BI", 0xDF, len(value))
        return head + b"".join(pack(key) + pack(item) for key, item in value.items())
    raise TypeError(f"{type(value).__name__} has no form here")


def unpack(data: bytes) -> Any:
    """The value of one message; ValueError when it is none."""
    try:
        value, at = _read(data, 0)
    except (IndexError, struct.error, UnicodeDecodeError, RecursionError) as problem:
        raise ValueError(f"not a message: {problem}") from None
    if at != len(data):
        raise ValueError("bytes after the message")
    return value


#: First byte -> how the number, or the length of what follows, is written.
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h",
            0xD2: ">i", 0xD3: ">q"}  # fmt: skip
_TEXTS = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
_LISTS, _MAPS = {0xDC: ">H", 0xDD: ">I"}, {0xDE: ">H", 0xDF: ">I"}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


def _read(data: bytes, at: int) -> tuple[Any, int]:
    first = data[at]
    at += 1
    if first < 0x80 or first >= 0xE0:
        return (first if first < 0x80 else first - 256), at
    if first in _CONSTANTS:
        return _CONSTANTS[first], at
    if first in _NUMBERS:
        return struct.unpack_from(_NUMBERS[first], data, at)[0], at + struct.calcsize(_NUMBERS[first])
    for fixed, mask, table, make in (
        (0xA0, 0x1F, _TEXTS, _text), (0x90, 0x0F, _LISTS, _list), (0x80, 0x0F, _MAPS, _map)
    ):  # fmt: skip
        if first & ~mask == fixed:
            return make(data, at, first & mask)
        if first in table:
            (length,) = struct.unpack_from(table[first], data, at)
            return make(data, at + struct.calcsize(table[first]), length)
    raise ValueError(f"byte {first:#x} is not understood")


def _text(data: bytes, at: int, length: int) -> tuple[Any, int]:
    if at + length > len(data):
        raise IndexError("the text is cut off")
    return data[at : at + length].decode(), at + length


def _list(data: bytes, at: int, length: int) -> tuple[Any, int]:
    found = []
    for _ in range(length):
        item, at = _read(data, at)
        found.append(item)
    return found, at


def _map(data: bytes, at: int, length: int) -> tuple[Any, int]:
    found = {}
    for _ in range(length):
        key, at = _read(data, at)
        found[key], at = _read(data, at)
    return found, at
