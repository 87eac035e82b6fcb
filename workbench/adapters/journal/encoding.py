"""An event's payload checked and as canonical text, in one pass when it is as declared.

Callers spell the fields of a kind in a few ways. For each the types to expect are made once; a payload that
has exactly those is copied and written by orjson. Every other payload goes the general way, which alone
has the words of a refusal. Both give the same bytes. The texts of all events of a commit are searched for
secrets together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson

from workbench.adapters.journal.kinds import FIELDS, INT64, check_event
from workbench.core.canonical import canonical_json
from workbench.core.ports import Event
from workbench.redaction import any_holds_a_secret, redact_values

#: Kind, payload as plain values, and the payload's canonical text.
Encoded = tuple[str, dict[str, Any], str]
_TYPES: dict[str, type] = {"text": str, "int": int, "bool": bool, "list": list, "dict": dict}
_NESTED = frozenset({"list", "dict"})
#: Callers spell a kind's fields in one order; more shapes than this are made on purpose.
_MOST_SHAPES = 256
#: So many events are worth a look at all of them together.
_MANY = 4
_dumps, _SORTED = orjson.dumps, orjson.OPT_SORT_KEYS


@dataclass(frozen=True, slots=True)
class _Shape:
    """Declared fields of one kind in one order, with nothing missing.

    Attributes
    ----------
    types : tuple of type
        Of the values, in the payload's order.
    integers : callable
        The values that are integers; one zero when none are.
    texts : callable
        The values that are texts.
    nested : tuple of str
        Names of the values that are lists and dicts.
    """

    types: tuple[type, ...]
    integers: Callable[[Mapping[str, Any]], tuple[int, ...]]
    texts: Callable[[Mapping[str, Any]], tuple[str, ...]]
    nested: tuple[str, ...]


_SHAPES: dict[tuple[str, ...], _Shape] = {}


def encode_all(events: Sequence[Event]) -> list[Encoded]:
    """The events as they are stored, once each kind is known and every field is as declared.

    A secret in any of their texts is masked here: before it is hashed, so before it is kept.

    Raises
    ------
    UsageError, TypeError, OverflowError
        As `check_event`, of the first event that is not right.
    """
    texts: set[str] = set()
    encoded = _alike(events, texts) if len(events) >= _MANY else None
    if encoded is None:
        encoded = [_encoded(event.kind, event.payload, texts) for event in events]
    if any_holds_a_secret(texts):
        return [_encoded(kind, redact_values(values), texts) for kind, values, _ in encoded]
    return encoded


def encode(kind: str, payload: Mapping[str, Any]) -> Encoded:
    """One event as it is stored; as `encode_all`."""
    return encode_all((Event(kind, payload),))[0]


def _alike(events: Sequence[Event], texts: set[str]) -> list[Encoded] | None:
    """As `_encoded` of each, when all are of one shape without nesting and right; None = they are not."""
    first, payloads = events[0], [event.payload for event in events]
    names = tuple(first.payload)
    shape = _SHAPES.get((first.kind, *names)) or _shape_of(first.kind, names)
    if shape is None or shape.nested or any(event.kind != first.kind for event in events):
        return None
    if any(type(payload) is not dict or tuple(payload) != names for payload in payloads):
        return None
    columns = zip(*[payload.values() for payload in payloads], strict=True)
    for kind, column in zip(shape.types, columns, strict=True):
        if set(map(type, column)) != {kind} or (kind is int and max(column) >= INT64):
            return None
        if kind is str:
            texts.update(column)
    values = list(map(dict, payloads))
    try:
        lines = [_dumps(one, option=_SORTED).decode() for one in values]
    except TypeError:
        return None
    if any(_NUL in line for line in lines):
        return None
    return [(first.kind, one, line) for one, line in zip(values, lines, strict=True)]


def _encoded(kind: str, payload: Mapping[str, Any], texts: set[str]) -> Encoded:
    """The event as it is stored, with its secrets; what it says in words is added to `texts`."""
    shape = _SHAPES.get((kind, *payload)) or _shape_of(kind, tuple(payload))
    if shape is not None and tuple(map(type, payload.values())) == shape.types:
        values = dict(payload)
        try:
            for name in shape.nested:
                values[name] = _copied(values[name], texts)
            # orjson refuses what is below 64 bits, keys that are not text, and halves of a character
            text = orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError:
            pass
        else:
            if max(shape.integers(values)) < INT64 and _NUL not in text:
                texts.update(shape.texts(values))
                return kind, values, text
    values = check_event(kind, payload)
    texts.update(_texts_of(values))
    return kind, values, canonical_json(values)


def _texts_of(value: Any) -> Iterator[str]:
    """Every text inside a plain value that `redact_values` would look at."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts_of(part)


def nested_text(value: Any) -> str:
    """Canonical text of a nested value of a payload that was checked."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return canonical_json(value)


#: How canonical text writes a NUL character; text with a backslash before "u0000" has it too.
_NUL = "\\u0000"


def _copied(value: Any, texts: set[str]) -> Any:
    """A copy of plain nested values; TypeError when one is anything that `kinds.plain` would change."""
    kind = type(value)
    if kind is str:
        texts.add(value)
        return value
    if value is None or kind is bool:
        return value
    if kind is int and -INT64 <= value < INT64:
        return value
    if kind is dict:
        return {key: _copied(part, texts) for key, part in value.items()}
    if kind is list or kind is tuple:
        return _flat_rows(value, texts) or [_copied(part, texts) for part in value]
    raise TypeError(f"{kind.__name__} is left to the general way")


_PLAIN = frozenset({int, str, bool, type(None)})


def _flat_rows(rows: Sequence[Any], texts: set[str]) -> list[dict[str, Any]] | None:
    """Copies of dicts that hold plain values only, looked at all together; None = it is anything else."""
    if set(map(type, rows)) != {dict}:
        return None
    values = list(chain.from_iterable(row.values() for row in rows))
    if not _PLAIN.issuperset(map(type, values)):
        return None
    numbers = [value for value in values if type(value) is int]
    if numbers and not (-INT64 <= min(numbers) and max(numbers) < INT64):
        return None
    texts.update([value for value in values if type(value) is str])
    return [row.copy() for row in rows]


def _shape_of(kind: str, names: tuple[str, ...]) -> _Shape | None:
    """The shape of these fields; None when one is not declared or a needed one is missing."""
    fields = FIELDS.get(kind, {})
    needed = {name for name, (_, optional) in fields.items() if not optional}
    if not names or not needed <= set(names) <= fields.keys():
        return None
    declared = {name: fields[name][0] for name in names}
    integers, words = ([name for name in names if declared[name] == word] for word in ("int", "text"))
    shape = _Shape(
        types=tuple(_TYPES[word] for word in declared.values()),
        # of one name too a tuple
        integers=itemgetter(*integers, integers[0]) if integers else lambda values: (0,),
        texts=itemgetter(*words, words[0]) if words else lambda values: (),
        nested=tuple(name for name in names if declared[name] in _NESTED),
    )
    if len(_SHAPES) < _MOST_SHAPES:
        _SHAPES[(kind, *names)] = shape
    return shape
