"""An event's payload checked and as canonical text, in one pass for payloads of plain fields alone.

Most events by far hold text and integers only and come in few shapes. For those the text is a template
of the shape with the values put in; every other payload goes the general way. Both give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from workbench.adapters.journal.kinds import FIELDS, INT64, check_event
from workbench.core.canonical import canonical_json
from workbench.redaction import may_hold_a_secret, redact_values

#: Kind, payload as plain values, and the payload's canonical text.
Encoded = tuple[str, dict[str, Any], str]
_PLAIN: dict[str, type] = {"text": str, "int": int}
#: Callers spell a kind's fields in one order; more shapes than this are made on purpose.
_MOST_SHAPES = 256


@dataclass(frozen=True)
class _Shape:
    """Fields of one kind in one order, all of them text or integers.

    Attributes
    ----------
    types : tuple of type
        Of the values, in the payload's order.
    integers : callable
        The values that are integers; at least one.
    ordered : callable
        All values in the order of the canonical text.
    template : str
        That text with a place for each value.
    quotes : int
        Quotation marks in the template.
    """

    types: tuple[type, ...]
    integers: Callable[[Mapping[str, Any]], tuple[int, ...]]
    ordered: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    template: str
    quotes: int


_SHAPES: dict[tuple[str, ...], _Shape] = {}


def encode(kind: str, payload: Mapping[str, Any]) -> Encoded:
    """The event as it is stored, once the kind is known and every field is as declared.

    A secret in any of its texts is masked here: before it is hashed, so before it is kept.

    Raises
    ------
    UsageError, TypeError, OverflowError
        As `check_event`.
    """
    encoded = _encoded(kind, payload)
    return _encoded(kind, redact_values(encoded[1])) if may_hold_a_secret(encoded[2]) else encoded


def _encoded(kind: str, payload: Mapping[str, Any]) -> Encoded:
    shape = _SHAPES.get((kind, *payload)) or _shape_of(kind, tuple(payload))
    if shape is not None and tuple(map(type, payload.values())) == shape.types:
        integers = shape.integers(payload)
        if -INT64 <= min(integers) and max(integers) < INT64:
            text = shape.template % shape.ordered(payload)
            # text that needs no escape adds no quotation mark, no backslash and no control character
            if text.isprintable() and "\\" not in text and text.count('"') == shape.quotes:
                return kind, dict(payload), text
    values = check_event(kind, payload)
    return kind, values, canonical_json(values)


def _shape_of(kind: str, names: tuple[str, ...]) -> _Shape | None:
    """The shape of these fields; None when one is not plain, not declared, or a needed one is missing."""
    fields = FIELDS.get(kind, {})
    needed = {name for name, (_, optional) in fields.items() if not optional}
    if not needed <= set(names) <= fields.keys() or any(fields[name][0] not in _PLAIN for name in names):
        return None
    types = {name: _PLAIN[fields[name][0]] for name in names}
    integers = [name for name in names if types[name] is int]
    if not integers or len(names) < 2:
        return None
    places = ",".join(f'"{name}":%s' if types[name] is int else f'"{name}":"%s"' for name in sorted(names))
    template = f"{{{places}}}"
    shape = _Shape(
        types=tuple(types.values()),
        integers=itemgetter(*integers, integers[0]),  # of one name too a tuple
        ordered=itemgetter(*sorted(names)),
        template=template,
        quotes=template.count('"'),
    )
    if len(_SHAPES) < _MOST_SHAPES:
        _SHAPES[(kind, *names)] = shape
    return shape
