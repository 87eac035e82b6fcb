"""Digest of a session: what was decided, ordered, denied, filled and booked, and nothing else.

Left out on purpose: sequence numbers, wall-clock times, attempts, tokens, supervision events and venue ids.
Two runs over the same inputs therefore have equal digests, undisturbed or killed and resumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.core.canonical import sha256_of

_ORDER_FIELDS = (
    "client_order_id", "symbol", "leg", "side", "quantity_nano", "order_type", "limit_micro",
    "reference_micro", "expected_cost_micro", "parent_id", "state", "filled_nano",
)  # fmt: skip
_FILL_FIELDS = (
    "client_order_id",
    "symbol",
    "side",
    "quantity_nano",
    "price_micro",
    "fee_micro",
    "filled_at_ns",
)
_POSTING_FIELDS = ("ledger_account", "amount_micro", "quantity_nano", "memo")


def session_digest(
    *,
    decisions: Sequence[Mapping[str, Any]],
    orders: Sequence[Mapping[str, Any]],
    fills: Sequence[Mapping[str, Any]],
    postings: Sequence[Mapping[str, Any]],
    late: Sequence[Mapping[str, Any]] = (),
) -> str:
    """Hex sha256 of one session's record.

    Parameters
    ----------
    decisions, orders, fills, postings : sequences of mappings
        Rows as the journal keeps them; their order does not matter.
    late : sequence of mappings
        Orders of earlier sessions that changed since those were closed: they count where they are found.
    """
    record = {
        "decisions": sorted(
            (
                {"scheduled_ns": row["scheduled_ns"], "rows": sorted(row["rows"], key=lambda r: r["symbol"])}
                for row in decisions
            ),
            key=lambda row: row["scheduled_ns"],
        ),
        "orders": [_order(row) for row in sorted(orders, key=lambda row: row["client_order_id"])],
        "fills": _sorted(_cut(row, _FILL_FIELDS) for row in fills),
        "postings": _sorted(_cut(row, _POSTING_FIELDS) for row in postings),
    }
    if late:
        record["late"] = [_order(row) for row in sorted(late, key=lambda row: row["client_order_id"])]
    return sha256_of(record)


def desk_digest(session_digests: Iterable[tuple[str, str]]) -> str:
    """Hex sha256 over (session, digest) pairs in session order: one number for a desk's whole history."""
    return sha256_of(sorted([session, digest] for session, digest in session_digests))


def _order(row: Mapping[str, Any]) -> dict[str, Any]:
    cut = _cut(row, _ORDER_FIELDS)
    cut["denial_codes"] = row["reason"] if row["state"] == "DENIED" else ""
    # Later than the first digests: present only where they say something, so older records keep theirs.
    if row.get("time_in_force", "day") != "day":
        cut["time_in_force"] = row["time_in_force"]
    if row.get("stop_micro", 0):
        cut["stop_micro"] = row["stop_micro"]
    return cut


def _cut(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _sorted(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: [str(value) for value in row.values()])
