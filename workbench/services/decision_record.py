"""What the journal keeps of a decision: its rows, its intents, its denials, its alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from workbench.core.policy import Reason
from workbench.core.ports import Event
from workbench.core.slicing import Slice
from workbench.core.types import MISSING, Decision, Integers
from workbench.services.cost_gate import cost_alerts
from workbench.services.decision import Cycle, Strategy
from workbench.services.records import intent_payload


def decision_events(cycle: Cycle, strategy: Strategy, *, bars_fingerprint: str) -> list[Event]:
    """The events of one decision, for one transaction: the decision, its intents, denials, alerts."""
    snapshot, decision = cycle.snapshot, cycle.decision
    decision_id = f"{snapshot.account}/{snapshot.strategy}/{snapshot.scheduled_ns}"
    events = [
        Event(
            "decision.made",
            {
                "decision_id": decision_id,
                "account": snapshot.account,
                "strategy": snapshot.strategy,
                "session": snapshot.session,
                "scheduled_ns": snapshot.scheduled_ns,
                "snapshot_hash": snapshot.digest(),
                "model_id": strategy.model_id,
                "cost_model_id": strategy.cost_model_id,
                "bars_fingerprint": bars_fingerprint,
                "rows": decision_rows(decision, cycle.slices),
            },
        )
    ]
    denied = cycle.denied
    for intent in cycle.intents:
        payload = intent_payload(intent, decision_id)
        codes = denied.get(intent.client_order_id)
        if codes:
            events.append(Event("order.denied", {**payload, "codes": list(codes)}))
        else:
            events.append(Event("order.intended", {**payload, "verdict": "allowed"}))
    return [*events, *cost_alerts(strategy, snapshot)]


def decision_rows(
    decision: Decision, slices: Mapping[str, Sequence[Slice]] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """One plain mapping a symbol, integers and words only, None where a number is not known.

    A change on a schedule carries its `slices`, each with shares and the time from which it may be sent.
    """

    def grid(values: Integers) -> list[int | None]:
        return [None if value == MISSING else value for value in values.tolist()]

    columns = zip(
        decision.symbols,
        grid(decision.forecast_micro),
        grid(decision.weight_micro),
        grid(decision.edge_micro),
        grid(decision.cost_floor_micro),
        decision.target_shares.tolist(),
        decision.delta_shares.tolist(),
        [_WORDS[reason] for reason in decision.reason.tolist()],
        strict=True,
    )
    rows: list[dict[str, Any]] = [dict(zip(_FIELDS, values, strict=True)) for values in columns]
    for row in rows:
        if row["symbol"] in slices:
            row["slices"] = [[one.shares, one.due_ns] for one in slices[row["symbol"]]]
    return rows


_FIELDS = (
    "symbol", "forecast_micro", "weight_micro", "edge_micro", "cost_floor_micro", "target_shares",
    "delta_shares", "reason",
)  # fmt: skip
_WORDS = {int(reason): reason.word for reason in Reason}
