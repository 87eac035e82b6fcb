"""Messages between a session and its venue as plain JSON values, and back without loss.

Only the closed list of types below can be written or read: a record never names code to be run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, Final

import numpy as np

from workbench.core.hours import SessionHours
from workbench.core.orders import Fill, OrderIntent, OrderState
from workbench.core.ports import (
    Activity,
    Hint,
    LookupResult,
    SubmitOutcome,
    SubmitResult,
    VenueAccount,
    VenueOrder,
)
from workbench.core.types import OrderType, Quotes, Side, TimeInForce

_RECORDS: Final = {
    kind.__name__: kind
    for kind in (
        Activity, Fill, Hint, LookupResult, OrderIntent, Quotes, SessionHours, SubmitResult, VenueAccount,
        VenueOrder,
    )
}  # fmt: skip
_WORDS: Final = {kind.__name__: kind for kind in (OrderState, OrderType, Side, SubmitOutcome, TimeInForce)}


def written(value: Any) -> Any:
    """The value as None, bool, int, float, str, lists and dicts with text keys alone.

    Parameters
    ----------
    value : plain value, port record, enum of the order path, int64 array, or containers of these

    Raises
    ------
    TypeError
        Anything else: it does not belong into a message.

    Examples
    --------
    >>> from workbench.core.messages import read, written
    >>> from workbench.core.ports import SubmitOutcome, SubmitResult
    >>> message = written(SubmitResult(SubmitOutcome.REFUSED, reason="no"))
    >>> read(message).reason
    'no'
    """
    name = type(value).__name__
    if name in _WORDS and isinstance(value, Enum):
        return {"word": name, "value": value.value}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if name in _RECORDS and isinstance(value, _RECORDS[name]):
        return {"record": name, "fields": {f.name: written(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, np.ndarray) and value.dtype == np.int64:
        return {"integers": value.tolist()}
    if isinstance(value, Mapping):
        return {"mapping": {str(key): written(part) for key, part in value.items()}}
    if isinstance(value, Sequence):
        return [written(part) for part in value]
    raise TypeError(f"a {name} is no part of a message")


def read(value: Any) -> Any:
    """What `written` was given; lists come back as tuples.

    Raises
    ------
    ValueError
        Not written by `written`.
    """
    if isinstance(value, list):
        return tuple(read(part) for part in value)
    if not isinstance(value, dict):
        return value
    try:
        if "word" in value:
            return _WORDS[value["word"]](value["value"])
        if "record" in value:
            return _RECORDS[value["record"]](**{k: read(part) for k, part in value["fields"].items()})
        if "integers" in value:
            return np.array(value["integers"], dtype=np.int64)
        return {key: read(part) for key, part in value["mapping"].items()}
    except (KeyError, TypeError) as error:
        raise ValueError(f"{value!r} is no message: {error}") from error
