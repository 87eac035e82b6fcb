"""A recorded session beside what it would have been under other terms; hypothetical, and marked as that."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from workbench.services.replay import SessionRecord

if TYPE_CHECKING:
    import pandas as pd

_DECISION = ("forecast_micro", "cost_floor_micro", "edge_micro", "target_shares", "delta_shares", "reason")
_ORDER = ("side", "quantity_nano", "limit_micro", "state", "filled_nano", "reason")
_FILL = ("quantity_nano", "price_micro", "fee_micro")


@dataclass(frozen=True, eq=False)
class WhatIf:
    """How a session would have differed. Nothing of it happened, and nothing of it is in the journal.

    Attributes
    ----------
    run, session : str
    changes : mapping of str to object
        Settings, model or cost model that are not those of the record.
    hypothetical : bool
        Always True.
    totals : mapping of str to tuple of int
        (recorded, hypothetical) of orders, denied, fills, fees_micro, cash_micro and equity_micro.
    positions : mapping of str to tuple of int
        Symbols whose position at the close differs: (recorded, hypothetical), 1e-9 shares.
    differences : tuple of str
        Of code, versions and data between then and now.
    """

    run: str
    session: str
    changes: Mapping[str, Any]
    totals: Mapping[str, tuple[int, int]]
    positions: Mapping[str, tuple[int, int]]
    differences: tuple[str, ...]
    recorded: SessionRecord = field(repr=False)
    other: SessionRecord = field(repr=False)
    hypothetical: bool = True

    @property
    def decisions(self) -> pd.DataFrame:
        """One row a decided symbol that differs: both sides, and why."""
        keyed = (_decision_rows(self.recorded), _decision_rows(self.other))
        return _differing(keyed, ("scheduled_ns", "symbol"), _DECISION, _why_decided)

    @property
    def orders(self) -> pd.DataFrame:
        """One row an order that differs or is on one side only: both sides, and why."""
        keyed = tuple(
            {(row["scheduled_ns"], row["symbol"], row["leg"]): row for row in side.orders}
            for side in (self.recorded, self.other)
        )
        return _differing(keyed, ("scheduled_ns", "symbol", "leg"), _ORDER, _why_ordered)

    @property
    def fills(self) -> pd.DataFrame:
        """One row an order whose executions differ: shares, mean price and fees of both sides."""
        keyed = (_filled(self.recorded), _filled(self.other))
        return _differing(keyed, ("symbol", "client_order_id"), _FILL, lambda ours, theirs: "")

    def __repr__(self) -> str:
        changed = ", ".join(f"{key} = {value}" for key, value in self.changes.items())
        parts = [
            f"{name} {ours} -> {theirs}" for name, (ours, theirs) in self.totals.items() if ours != theirs
        ]
        return f"<HYPOTHETICAL {self.run} with {changed}: {'; '.join(parts) or 'nothing differs'}>"

    def _repr_html_(self) -> str:
        return html.escape(repr(self))


def contrast(
    run: str,
    changes: Mapping[str, Any],
    recorded: SessionRecord,
    other: SessionRecord,
    *,
    recorded_ledger: Mapping[str, Any],
    other_ledger: Mapping[str, Any],
    differences: Sequence[str] = (),
) -> WhatIf:
    """A record and a hypothetical session side by side.

    Parameters
    ----------
    recorded_ledger, other_ledger : mapping
        cash_micro, equity_micro and positions at the close.
    """
    held = (recorded_ledger["positions"], other_ledger["positions"])
    totals: dict[str, tuple[int, int]] = {
        "orders": _both(recorded, other, lambda side: sum(r["state"] != "DENIED" for r in side.orders)),
        "denied": _both(recorded, other, lambda side: sum(r["state"] == "DENIED" for r in side.orders)),
        "fills": _both(recorded, other, lambda side: len(side.fills)),
        "fees_micro": _both(recorded, other, lambda side: sum(r["fee_micro"] for r in side.fills)),
    }
    for name in ("cash_micro", "equity_micro"):
        totals[name] = (int(recorded_ledger[name]), int(other_ledger[name]))
    positions = {
        symbol: (int(held[0].get(symbol, 0)), int(held[1].get(symbol, 0)))
        for symbol in sorted({*held[0], *held[1]})
        if held[0].get(symbol, 0) != held[1].get(symbol, 0)
    }
    return WhatIf(
        run, recorded.session, dict(changes), totals, positions, tuple(differences), recorded, other
    )


def _both(recorded: SessionRecord, other: SessionRecord, count: Any) -> tuple[int, int]:
    return int(count(recorded)), int(count(other))


def _decision_rows(record: SessionRecord) -> dict[Any, Mapping[str, Any]]:
    return {(row["scheduled_ns"], one["symbol"]): one for row in record.decisions for one in row["rows"]}


def _filled(record: SessionRecord) -> dict[Any, Mapping[str, Any]]:
    found: dict[Any, dict[str, int]] = {}
    for row in record.fills:
        sums = found.setdefault((row["symbol"], row["client_order_id"]), dict.fromkeys(_FILL, 0))
        sums["quantity_nano"] += row["quantity_nano"]
        sums["fee_micro"] += row["fee_micro"]
        sums["price_micro"] += row["quantity_nano"] * row["price_micro"]
    for sums in found.values():
        sums["price_micro"] //= sums["quantity_nano"]
    return dict(found)


def _differing(keyed: Any, names: Sequence[str], fields: Sequence[str], why: Any) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for key in sorted({*keyed[0], *keyed[1]}):
        ours, theirs = (side.get(key, {}) for side in keyed)
        cells = [(name, ours.get(name), theirs.get(name)) for name in fields]
        if all(mine == other for _, mine, other in cells):
            continue
        row = dict(zip(names, key, strict=True))
        for name, mine, other in cells:
            row[name], row[f"hypothetical_{name}"] = mine, other
        rows.append({**row, "why": why(ours, theirs)})
    both = [part for name in fields for part in (name, f"hypothetical_{name}")]
    return pd.DataFrame(rows, columns=[*names, *both, "why"])


def _why_decided(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """The first number that moved, in the order in which a cycle computes them."""
    for name, cause in zip(
        _DECISION, ("forecast", "cost model", "cost model", "policy", "policy", "policy"), strict=True
    ):
        if ours.get(name) != theirs.get(name):
            return f"{cause}: {theirs.get('reason', 'not decided')}"
    return ""


def _why_ordered(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    if not ours or not theirs:
        return "only in the record" if ours else "only in the hypothetical session"
    if "DENIED" in (ours["state"], theirs["state"]) and ours["state"] != theirs["state"]:
        denied = theirs if theirs["state"] == "DENIED" else ours
        side = "denied" if denied is theirs else "no longer denied"
        return f"controls: {side}, {denied['reason']}"
    if ours["state"] == "DENIED":
        return f"controls: denied, {theirs['reason']}"
    if ours["quantity_nano"] != theirs["quantity_nano"]:
        return "policy: another quantity"
    return "order path and fills"
