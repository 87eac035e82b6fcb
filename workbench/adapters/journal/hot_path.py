"""The hot path: the folds of the events of orders that come by the thousand.

Each makes the very row that the general fold in `projections` makes, as values in the order of the table and
without looking at names twice, or says that the event is none of its own: an order or a step that is rarer,
or not right. The general fold then finds out which. `tests/contract/test_journal_hot_path.py` holds both to
one another, byte for byte and row for row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.orders import TERMINAL, TIMES_IN_FORCE, TRANSITIONS, WITH_LIMIT, WITH_STOP, OrderState
from workbench.core.ports import RecordedEvent
from workbench.core.types import NANO, OrderType, Side, TimeInForce

Payload = Mapping[str, Any]
Fold = Callable[[RowWriter, RecordedEvent, Payload], None]
#: Of events of one kind, in their order.
FoldRun = Callable[[RowWriter, Iterable[RecordedEvent]], None]


def orders_intended(general: Fold) -> FoldRun:
    """The fold of intents that follow one another, with the hot path before the general way."""

    def fold(rows: RowWriter, run: Iterable[RecordedEvent]) -> None:
        plain: list[tuple[Any, ...]] = []
        for event in run:
            values = intended_values(event.payload, event.seq)
            if values is not None:
                plain.append(values)
                continue
            rows.insert_values("orders", plain)
            plain = []
            rows.seq = event.seq
            general(rows, event, event.payload)
        rows.insert_values("orders", plain)

    return fold


def orders_changed(general: Fold) -> FoldRun:
    """The fold of steps that follow one another, with the hot path before the general way."""

    def fold(rows: RowWriter, run: Iterable[RecordedEvent]) -> None:
        for event in run:
            payload = event.payload
            identity = payload["client_order_id"]
            before = rows.values("orders", identity)
            after = None if before is None else changed_values(before, payload, event.seq)
            if after is None:
                rows.seq = event.seq
                general(rows, event, payload)
            else:
                rows.update_values("orders", identity, after, _STEP)

    return fold


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


def intended_values(payload: Payload, seq: int) -> tuple[Any, ...] | None:
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
#: What a step may change in a row.
_STEP = frozenset({"state", "venue_order_id", "filled_nano", "sent_at_ns", "reason"})
_SENT = OrderState.SENT.value
#: Steps of the table that end nothing; what leads out of waiting for a person is the general way's.
_STEPS = frozenset(
    (before.value, after.value)
    for before, following in TRANSITIONS.items()
    for after in following - TERMINAL - {before}
    if before is not OrderState.AWAITING_APPROVAL
)


def changed_values(row: tuple[Any, ...], payload: Payload, seq: int) -> tuple[Any, ...] | None:
    """The row of `orders` after a step to another state that fills nothing more and ends nothing.

    None when it is another sort of step, or no legal one: the rule itself, `core.orders.changes_by`, says.
    """
    state, venue_order_id, filled_nano, sent_at_ns, reason = row[_STATE : _STATE + 5]
    after = payload["state"]
    if (state, after) not in _STEPS:
        return None
    told = payload.get("filled_nano")
    if told is not None and told != filled_nano:  # the order desk says with each step what has been filled
        return None
    if after == _SENT and not sent_at_ns:
        sent_at_ns = payload["at_ns"]
    return (
        *row[:_STATE], after, payload.get("venue_order_id") or venue_order_id, filled_nano, sent_at_ns,
        payload.get("reason") or reason, *row[_CONSTANT], seq,
    )  # fmt: skip
