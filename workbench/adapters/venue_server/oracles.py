"""What must be true of any client at the end of any test, whatever went wrong (its view is posted in)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.adapters.venue_server.records import TERMINAL
from workbench.adapters.venue_server.state import AccountState


def violations(
    state: AccountState,
    requests: Sequence[Mapping[str, Any]],
    unknown: Sequence[str],
    view: Mapping[str, Any],
) -> list[str]:
    """Each broken invariant in words; an empty list is a pass.

    Parameters
    ----------
    state : AccountState
        The venue's truth.
    requests : sequence of mapping
        The request log.
    unknown : sequence of str
        Calls of endpoints that do not exist.
    view : mapping
        What the client believes; a key that is absent is not judged:

        * intents: client order id -> {"status": Alpaca's word or "UNKNOWN", "symbol", "frozen": bool}
        * foreign: ids that the client knows to be somebody else's
        * fills: [{"client_order_id", "qty", "price"}], one row an execution
        * halted: [[from, to]] in trading time, UTC nanoseconds, in which it must not have submitted
        * requests_per_minute: its own budget
        * texts: logs and artefacts, and secrets: what must not be in them
    """
    found = [f"unknown endpoint {call}" for call in unknown]
    if "intents" in view:
        found += _of_orders(state, view["intents"], set(view.get("foreign", ())))
    if "fills" in view:
        found += _of_fills(state, view["fills"])
    for start, end in view.get("halted", ()):
        late = [
            row for row in requests if row["endpoint"] == "POST /v2/orders" and start <= row["at_ns"] < end
        ]
        found += [f"order {row['client_order_id']} was sent while halted" for row in late]
    if "requests_per_minute" in view:
        found += _of_pace(requests, int(view["requests_per_minute"]))
    for secret in view.get("secrets", ()):
        found += ["a secret is in a text" for text in view.get("texts", ()) if secret and secret in text]
    return found


def _of_orders(state: AccountState, intents: Mapping[str, Any], foreign: set[str]) -> list[str]:
    found = []
    for key, record in state.orders.items():
        if key not in intents and key not in foreign and record.present["source"] != "human":
            found.append(f"order {key} is at the venue and in no journal")
    for key, intent in intents.items():
        landed, believed = state.orders.get(key), str(intent["status"])
        if believed == "UNKNOWN":
            if not intent.get("frozen"):
                found.append(f"order {key} is UNKNOWN and {intent.get('symbol', 'its symbol')} is not frozen")
        elif landed is None:
            if believed in TERMINAL - {"rejected"} or believed in ("new", "accepted", "partially_filled"):
                found.append(f"order {key} is believed {believed} and never reached the venue")
        elif believed in TERMINAL and believed != landed.status:
            found.append(f"order {key} is believed {believed} and is {landed.status}")
    return found


def _of_fills(state: AccountState, fills: Sequence[Mapping[str, Any]]) -> list[str]:
    """Executions as a multiset of order, size and price: none lost, none twice, to the last digit."""
    rows: dict[tuple[str, str, str], int] = {}
    for row in state.activities:
        if row["activity_type"] == "FILL":
            key = (state.by_id[row["order_id"]], row["qty"], row["price"])
            rows[key] = rows.get(key, 0) + 1
    for fill in fills:
        key = (str(fill["client_order_id"]), str(fill["qty"]), str(fill["price"]))
        rows[key] = rows.get(key, 0) - 1
    found = [f"{n} x fill {key} is not in the client's books" for key, n in rows.items() if n > 0]
    return found + [f"{-n} x fill {key} never happened" for key, n in rows.items() if n < 0]


def _of_pace(requests: Sequence[Mapping[str, Any]], limit: int) -> list[str]:
    """Requests by minute of trading time."""
    minutes: dict[int, int] = {}
    for row in requests:
        minute = row["at_ns"] // 60_000_000_000
        minutes[minute] = minutes.get(minute, 0) + 1
    return [f"{count} requests in one minute, {limit} allowed" for count in minutes.values() if count > limit]
