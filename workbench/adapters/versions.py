"""Which interpreter, libraries and time zone database a process computes with."""

from __future__ import annotations

import hashlib
import platform
import zoneinfo
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from typing import Final

#: Libraries whose arithmetic or calendar reaches a decision.
LIBRARIES: Final = ("exchange-calendars", "numba", "numpy", "pandas", "scikit-learn", "scipy")
#: Name under which the time zone database's hash stands beside them.
TIME_ZONES: Final = "time zone database"
_EXCHANGE_ZONE: Final = "America/New_York"


@cache
def present_versions() -> dict[str, str]:
    """Version by name: python, each of `LIBRARIES`, and a hash of the exchange's time zone."""
    found = {"python": platform.python_version(), TIME_ZONES: _zone_hash()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def _zone_hash() -> str:
    """First characters of the sha256 of the zone's compiled rules, wherever zoneinfo finds them."""
    for folder in zoneinfo.TZPATH:
        path = Path(folder) / _EXCHANGE_ZONE
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    try:
        area, city = _EXCHANGE_ZONE.split("/")
        content = (resources.files("tzdata.zoneinfo") / area / city).read_bytes()
    except (ModuleNotFoundError, OSError):
        return "absent"
    return hashlib.sha256(content).hexdigest()[:16]
