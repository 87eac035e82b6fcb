"""What the journal keeps of a shadow model: its books, both sides of a decision, and where they part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.canonical import sha256_of
from workbench.core.divergence import Cell
from workbench.core.ledger import SECURITIES, Ledger, Posting
from workbench.core.orders import OrderIntent
from workbench.core.ports import Journal
from workbench.core.types import NANO, Snapshot
from workbench.services.decision import Cycle
from workbench.services.decision_record import decision_rows

#: Snapshot fields that come from the market alone.
_MARKET = (
    "symbols", "price_micro", "bar_age_sessions", "bid_micro", "ask_micro", "quote_age_ns", "tradable",
)  # fmt: skip


@dataclass(frozen=True)
class Books:
    """Cash and whole shares of the shadow, with the prices they were last marked at."""

    cash_micro: int
    positions: Mapping[str, int]
    marks: Mapping[str, int]

    def equity_micro(self, marks: Mapping[str, int]) -> int:
        """Cash plus positions at these prices."""
        return self.cash_micro + sum(shares * marks[symbol] for symbol, shares in self.positions.items())

    def ledger(self) -> Ledger:
        """The books as the decision's code reads them; positions count as paid in at their mark."""
        held = sorted(self.positions.items())
        lines = [Posting(SECURITIES + s, n * self.marks[s], n * NANO, "shadow") for s, n in held]
        paid_in = self.cash_micro + sum(line.amount_micro for line in lines)
        cash = Posting("cash", self.cash_micro, 0, "shadow")
        return Ledger.from_postings((cash, *lines, Posting("capital", -paid_in, 0, "shadow")))


def shadow_events(journal: Journal, kind: str, account: str, model_id: str) -> list[Mapping[str, Any]]:
    """Payloads of one kind of shadow event of a model, oldest first."""
    return [
        event.payload for event in journal.events(kinds=(kind,))
        if event.payload["account"] == account and event.payload["model_id"] == model_id
    ]  # fmt: skip


def order_mark(decided: Mapping[str, Any], symbol: str) -> int:
    """The price that a decision knew of a symbol, which marks a position without a bar of its own."""
    return next(int(row["price_micro"]) for row in decided["rows"] if row["symbol"] == symbol)


def quotes_of(seen: Snapshot) -> dict[str, tuple[int, int, int]]:
    """Bid, ask and time of each symbol as a snapshot holds them."""
    return {
        symbol: (int(bid), int(ask), -1 if age == -1 else seen.scheduled_ns - int(age))
        for symbol, bid, ask, age in zip(
            seen.symbols, seen.bid_micro, seen.ask_micro, seen.quote_age_ns, strict=True
        )
    }  # fmt: skip


def inputs_hash(seen: Snapshot) -> str:
    """Hex sha256 of what a snapshot holds of the market: no positions, no cash."""
    parts = {name: getattr(seen, name) for name in _MARKET}
    floats = {
        name: [None if x != x else round(x, 2) for x in getattr(seen, name).tolist()]
        for name in ("adv_shares", "volatility_bps", "half_spread_bps")
    }  # fmt: skip
    return sha256_of({**parts, **floats})


def diff_rows(live: Cycle, own: Cycle) -> list[dict[str, Any]]:
    """Both sides of a decision, one row a symbol, with the shadow's order and verdict."""
    theirs = {row["symbol"]: row for row in decision_rows(live.decision)}
    orders = {intent.symbol: _order(intent, own) for intent in own.intents}
    prices = dict(zip(own.snapshot.symbols, own.snapshot.price_micro.tolist(), strict=True))
    return [
        {
            **row, "price_micro": prices[row["symbol"]], "order": orders.get(row["symbol"]),
            "live": {
                name: theirs[row["symbol"]][name]
                for name in ("forecast_micro", "weight_micro", "target_shares", "delta_shares", "reason")
            },
        }
        for row in sorted(
            decision_rows(own.decision), key=lambda row: _sending(orders.get(row["symbol"]), row)
        )
    ]  # fmt: skip


def _sending(order: Mapping[str, Any] | None, row: Mapping[str, Any]) -> tuple[int, str]:
    return (int(order["side"]) if order else 2, str(row["symbol"]))


def _order(intent: OrderIntent, cycle: Cycle) -> dict[str, Any]:
    return {
        "side": int(intent.side), "shares": intent.quantity_nano // NANO,
        "order_type": int(intent.order_type), "limit_micro": intent.limit_micro,
        "reference_micro": intent.reference_micro, "expected_cost_micro": intent.expected_cost_micro,
        "denied": list(cycle.denied.get(intent.client_order_id, ())),
    }  # fmt: skip


def first_difference(live: Snapshot, own: Snapshot, rows: Sequence[Mapping[str, Any]]) -> str:
    """The first decision at which the shadow is not the live model, and at which stage; "" = none."""
    if inputs_hash(live) != inputs_hash(own):
        return "data: the two sides saw different markets"
    for row in sorted(rows, key=lambda row: str(row["symbol"])):
        for name, stage in (
            ("forecast_micro", "forecast"), ("target_shares", "policy"), ("delta_shares", "policy")
        ):  # fmt: skip
            if row[name] != row["live"][name]:
                return f"{stage}: {name} of {row['symbol']} is {row[name]}, live {row['live'][name]}"
    return ""


def cells_of_shadow(
    decided: Sequence[Mapping[str, Any]], settled: Mapping[int, Mapping[str, Any]]
) -> list[Cell]:
    """What the shadow did, one cell a session and symbol; sessions without fills on record are left out."""
    found = []
    for row in decided:
        after = settled.get(row["scheduled_ns"])
        if after is None:
            continue
        for one in row["rows"]:
            order = one["order"]
            denied = order["side"] * order["shares"] if order and order["denied"] else 0
            fills = [fill for fill in after["fills"] if fill["symbol"] == one["symbol"]]
            found.append(Cell(
                session=row["session"], symbol=one["symbol"], inputs=row["inputs_hash"],
                features=row["features_hash"], forecast_micro=one["forecast_micro"] or 0,
                target_shares=one["target_shares"] or 0, denied_shares=denied,
                filled_shares=sum(f["side"] * f["shares"] for f in fills),
                spent_micro=sum(f["side"] * f["shares"] * f["price_micro"] for f in fills),
                fee_micro=sum(f["fee_micro"] for f in fills),
                filled_ns=max((f["at_ns"] for f in fills), default=0),
                position_shares=after["positions"].get(one["symbol"], 0),
                mark_micro=after["marks"].get(one["symbol"], one["price_micro"]),
            ))  # fmt: skip
    return found
