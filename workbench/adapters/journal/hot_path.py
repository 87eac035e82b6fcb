"""The hot path: events that come by the thousand are checked, encoded and folded by few calls.

What is done here is done exactly as the general way does it, to the byte and to the row, or is left to the
general way: `encode` stands before `kinds.check_event` and `core.canonical.canonical_json`,
`intended_values` and `changed_values` before the folds of orders in `projections`. Whatever is not plainly
right (a field too many, a type that is not exactly the declared one, text that no database keeps) goes the
general way, which alone has the words of a refusal. Properties in
`tests/contract/test_journal_hot_path_equivalence.py` hold both to one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from workbench.adapters.journal.kinds import FIELDS, INT64, check_event
from workbench.core.canonical import canonical_json
from workbench.core.orders import TERMINAL, TIMES_IN_FORCE, TRANSITIONS, WITH_LIMIT, WITH_STOP, OrderState
from workbench.core.types import NANO, OrderType, Side, TimeInForce

#: Kind, payload as plain values, and the payload's canonical text.
Encoded = tuple[str, dict[str, Any], str]
_TYPES: dict[str, type] = {"text": str, "int": int, "bool": bool, "list": list, "dict": dict}
_NESTED = frozenset({"list", "dict"})
#: Callers spell a kind's fields in one order; more shapes than this are made on purpose.
_MOST_SHAPES = 256


@dataclass(frozen=True, slots=True)
class _Shape:
    """Declared fields of one kind in one order, with nothing missing.

    Attributes
    ----------
    types : tuple of type
        Of the values, in the payload's order.
    integers : callable
        The values that are integers; one zero when none are.
    nested : tuple of str
        Names of the values that are lists and dicts.
    """

    types: tuple[type, ...]
    integers: Callable[[Mapping[str, Any]], tuple[int, ...]]
    nested: tuple[str, ...]


_SHAPES: dict[tuple[str, ...], _Shape] = {}


def encode(kind: str, payload: Mapping[str, Any]) -> Encoded:
    """The event as it is stored, once the kind is known and every field is as declared.

    Raises
    ------
    UsageError, TypeError, OverflowError
        As `check_event`.
    """
    shape = _SHAPES.get((kind, *payload)) or _shape_of(kind, tuple(payload))
    if shape is not None and tuple(map(type, payload.values())) == shape.types:
        values = dict(payload)
        try:
            for name in shape.nested:
                values[name] = _copied(values[name])
            # orjson refuses what is below 64 bits, keys that are not text, and halves of a character
            text = orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()
        except TypeError:
            pass
        else:
            if max(shape.integers(values)) < INT64 and _NUL not in text:
                return kind, values, text
    values = check_event(kind, payload)
    return kind, values, canonical_json(values)


#: How canonical text writes a NUL character; text with a backslash before "u0000" has it too.
_NUL = "\\u0000"


def _copied(value: Any) -> Any:
    """A copy of plain nested values; TypeError when one is anything that `kinds.plain` would change."""
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return value
    if kind is int and -INT64 <= value < INT64:
        return value
    if kind is dict:
        return {key: _copied(part) for key, part in value.items()}
    if kind is list or kind is tuple:
        return [_copied(part) for part in value]
    raise TypeError(f"{kind.__name__} is left to the general way")


def _shape_of(kind: str, names: tuple[str, ...]) -> _Shape | None:
    """The shape of these fields; None when one is not declared or a needed one is missing."""
    fields = FIELDS.get(kind, {})
    needed = {name for name, (_, optional) in fields.items() if not optional}
    if not names or not needed <= set(names) <= fields.keys():
        return None
    declared = {name: fields[name][0] for name in names}
    integers = [name for name in names if declared[name] == "int"]
    shape = _Shape(
        types=tuple(_TYPES[word] for word in declared.values()),
        # of one name too a tuple
        integers=itemgetter(*integers, integers[0]) if integers else lambda values: (0,),
        nested=tuple(name for name in names if declared[name] in _NESTED),
    )
    if len(_SHAPES) < _MOST_SHAPES:
        _SHAPES[(kind, *names)] = shape
    return shape


_ASKED_FOR = (
    "client_order_id", "account", "strategy", "session", "scheduled_ns", "symbol", "leg", "side",
    "quantity_nano", "order_type", "limit_micro", "reference_micro", "expected_cost_micro", "parent_id",
    "decision_id",
)  # fmt: skip
_asked_for = itemgetter(*_ASKED_FOR)
_SIDE, _QUANTITY, _TYPE, _LIMIT = map(
    _ASKED_FOR.index, ("side", "quantity_nano", "order_type", "limit_micro")
)
#: The columns after those: state, venue_order_id, filled_nano, sent_at_ns, reason, time_in_force, stop_micro.
_NEW = ("INTENDED", "", 0, 0, "", "day", 0)
#: Side, type, and whether there is a limit, of the orders for the day without a stop.
_TERMS = frozenset(
    (side.word, order_type.word, order_type in WITH_LIMIT)
    for side in Side
    for order_type in OrderType
    if order_type not in WITH_STOP and TimeInForce.DAY in TIMES_IN_FORCE[order_type]
)


def intended_values(payload: Mapping[str, Any], seq: int) -> tuple[Any, ...] | None:
    """The row of `orders` that an order for the day without a stop makes, as the table orders it.

    None when the order is of another sort, or not right: the general fold finds out which.
    """
    if len(payload) != len(_ASKED_FOR) + 1 or payload.get("verdict") != "allowed":
        return None
    try:
        values = _asked_for(payload)
    except KeyError:
        return None
    quantity, limit = values[_QUANTITY], values[_LIMIT]
    if (
        quantity <= 0
        or quantity % NANO
        or limit < 0
        or (values[_SIDE], values[_TYPE], limit > 0) not in _TERMS
    ):
        return None
    return (*values, *_NEW, seq, seq)


_STATE = len(_ASKED_FOR)
_CONSTANT = slice(_STATE + 5, _STATE + 8)  # time_in_force, stop_micro, added_seq
#: What a step without a fill may change in a row.
STEP = frozenset({"state", "venue_order_id", "filled_nano", "sent_at_ns", "reason"})
_SENT = OrderState.SENT.value
_STEPS = frozenset(
    (before.value, after.value)
    for before, following in TRANSITIONS.items()
    for after in following - TERMINAL - {before}
)


def changed_values(row: tuple[Any, ...], payload: Mapping[str, Any], seq: int) -> tuple[Any, ...] | None:
    """The row of `orders` after a step to another state that says nothing of fills and ends nothing.

    None when it is another sort of step, or no legal one: the rule itself, `core.orders.changes_by`, says.
    """
    state, venue_order_id, filled_nano, sent_at_ns, reason = row[_STATE : _STATE + 5]
    after = payload["state"]
    if (state, after) not in _STEPS or payload.get("filled_nano") is not None:
        return None
    if after == _SENT and not sent_at_ns:
        sent_at_ns = payload["at_ns"]
    return (
        *row[:_STATE], after, payload.get("venue_order_id") or venue_order_id, filled_nano, sent_at_ns,
        payload.get("reason") or reason, *row[_CONSTANT], seq,
    )  # fmt: skip
