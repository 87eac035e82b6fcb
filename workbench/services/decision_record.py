"""What the journal keeps of a decision: its rows, its intents, its denials, its alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from workbench.core.policy import Reason
from workbench.core.ports import Event
from workbench.core.slicing import Slice
from workbench.core.types import MISSING, Decision
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
    for intent in cycle.intents:
        payload = intent_payload(intent, decision_id)
        codes = cycle.denied.get(intent.client_order_id)
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

    def grid(values: Any, at: int) -> int | None:
        return None if int(values[at]) == MISSING else int(values[at])

    return [
        {
            "symbol": symbol,
            "forecast_micro": grid(decision.forecast_micro, at),
            "weight_micro": grid(decision.weight_micro, at),
            "edge_micro": grid(decision.edge_micro, at),
            "cost_floor_micro": grid(decision.cost_floor_micro, at),
            "target_shares": int(decision.target_shares[at]),
            "delta_shares": int(decision.delta_shares[at]),
            "reason": Reason(int(decision.reason[at])).word,
            **({"slices": [[one.shares, one.due_ns] for one in slices[symbol]]} if symbol in slices else {}),
        }
        for at, symbol in enumerate(decision.symbols)
    ]
