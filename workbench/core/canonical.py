"""Canonical bytes of values, so that equal things have equal hashes on every machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any


def canonical_json(value: Any) -> str:
    """Text that is equal exactly when the values are equal: sorted keys, no spaces, no NaN.

    Parameters
    ----------
    value : None, bool, int, float, str, Enum, dataclass, mapping, sequence or set of these
        Floats are allowed for settings and manifests; records use integers on declared grids.

    Raises
    ------
    ValueError
        NaN or infinity, which have no canonical form.
    TypeError
        A type that has no canonical form.
    """
    return _ENCODER.encode(value)


def sha256_of(value: Any) -> str:
    """Hex sha256 of the canonical text of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no canonical form")


_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
)
