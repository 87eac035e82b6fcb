"""What the machine itself says: room on the disk, and whether its clock is kept in step."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Final

#: What adjtimex(2) returns when the kernel's clock is disciplined by nothing.
_TIME_ERROR: Final = 5
_TIMEX_BYTES: Final = 256  # struct timex is 208 bytes on 64-bit Linux; a mode of 0 only reads


def free_bytes(path: Path) -> int:
    """Bytes that may still be written where `path` is, or will be."""
    place = path
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def clock_is_synchronised() -> bool | None:
    """Whether the kernel says that its clock is kept in step; None when it cannot be asked."""
    if sys.platform != "linux":
        return None
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR


def readable_by_others(path: Path) -> bool:
    """Whether anybody but the owner may read or write the file."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def writable(path: Path) -> bool:
    """Whether this process may write in the folder."""
    return os.access(path, os.W_OK | os.X_OK)
