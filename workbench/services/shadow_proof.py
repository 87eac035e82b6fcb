"""What shadow sessions prove: that the model is implemented as it was tested. They prove no skill.

Every recorded decision is made again from the bars as they were known, the quotes that were seen and the
books of then; it has to be the same or carry a cause. The difference to the live model is split into
additive causes, and the smallest loss that so many sessions could have shown is printed beside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from workbench.core.divergence import Cell, Explanation, explain, smallest_detectable_loss
from workbench.core.gates import Gate, refused
from workbench.core.ports import BarStore, Calendar, Journal
from workbench.core.types import BPS, NANO
from workbench.errors import WorkbenchError
from workbench.services.decision import Cycle, Strategy
from workbench.services.decision_record import decision_rows
from workbench.services.shadow import SHADOW_ACCOUNT, think
from workbench.services.shadow_backtest import explain_backtest
from workbench.services.shadow_fills import Filling
from workbench.services.shadow_records import Books, cells_of_shadow, inputs_hash, shadow_events

#: Shadow sessions that the gate wants: they show implementation, and hardly anything else.
LEAST_SESSIONS = 20
_SAME = (
    "forecast_micro", "weight_micro", "edge_micro", "cost_floor_micro", "target_shares", "delta_shares",
    "reason",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ShadowReport:
    """What is on record of a shadow model.

    Attributes
    ----------
    model_id : str
    sessions, decisions : int
        With fills on record.
    unlike : tuple of str
        Decisions that, made again, came out differently, each with its cause.
    failures : tuple of str
        Steps of the shadow that failed.
    missed : int
        Sessions that the live model closed without the shadow, since its first.
    explanation : Explanation or None
        What the shadow earned less what the live model did; None without common sessions.
    detectable_bps : float
        Smallest mean paired loss, bps a session, that these sessions could have shown (5 % error, 80 %
        power).
    cost_bps, expected_bps : float
        Mean cost of the shadow's fills against their decision prices, fees included, and what was expected.
    first_difference : str
        The first decision that was not the live model's.
    backtest : Explanation or None
        What the shadow earned less what the same sessions earn as one backtest now.
    """

    model_id: str
    sessions: int
    decisions: int
    unlike: tuple[str, ...]
    failures: tuple[str, ...]
    missed: int
    explanation: Explanation | None
    detectable_bps: float
    cost_bps: float
    expected_bps: float
    first_difference: str
    backtest: Explanation | None = None

    def gate(self, *, cost_band: float = 2.0) -> Gate:
        """Whether the shadow proves the implementation; costs may reach that multiple of the expected."""
        reasons = list(self.unlike[:3])
        if self.sessions < LEAST_SESSIONS:
            reasons.append(f"{self.sessions} shadow sessions are on record, {LEAST_SESSIONS} are asked for")
        if len(self.unlike) > 3:
            reasons.append(f"{len(self.unlike)} shadow decisions came out differently when made again")
        if self.failures:
            reasons.append(f"the shadow failed {len(self.failures)} time(s), first: {self.failures[0]}")
        if self.missed:
            reasons.append(f"{self.missed} session(s) passed without the shadow")
        if self.cost_bps > cost_band * max(self.expected_bps, 0.0):
            reasons.append(
                f"its fills cost {self.cost_bps:.2f} bps, {self.expected_bps:.2f} were expected: outside "
                f"the band of {cost_band:g}"
            )
        numbers: dict[str, float | int | str] = {
            "sessions": self.sessions, "least": LEAST_SESSIONS, "decisions made again": self.decisions,
            "different": len(self.unlike), "cost bps": self.cost_bps, "expected bps": self.expected_bps,
            "smallest detectable paired loss, bps a session": self.detectable_bps,
            "first difference to the live model": self.first_difference or "none",
        }  # fmt: skip
        if self.explanation is not None:
            causes = self.explanation.by_cause_micro.items()
            numbers |= {f"difference by {cause}, USD": micro / 1e6 for cause, micro in causes if micro}
        if self.backtest is not None:
            numbers["first difference to its backtest"] = self.backtest.first or "none"
            causes = self.backtest.by_cause_micro.items()
            numbers |= {f"off its backtest by {cause}, USD": micro / 1e6 for cause, micro in causes if micro}
        evidence = "shadow sessions in the journal, each decision made again"
        return Gate(name="shadow", evidence=evidence, numbers=numbers, reasons=tuple(reasons))


def no_shadow() -> Gate:
    """The gate of a model without shadow sessions."""
    return refused("shadow", "shadow sessions in the journal", "no proof from shadow sessions is on record")


def shadow_report(
    journal: Journal, *, strategy: Strategy, filling: Filling, bars: BarStore, calendar: Calendar
) -> ShadowReport | None:
    """What is on record of a shadow model; None when nothing is.

    Parameters
    ----------
    strategy : Strategy
        With the shadow's model, under the live account's name.
    filling : Filling
        As the settings have it now, for the backtest.
    """
    account, model_id = strategy.account, strategy.model_id
    decided = shadow_events(journal, "shadow.decided", account, model_id)
    settled = {
        row["scheduled_ns"]: row for row in shadow_events(journal, "shadow.settled", account, model_id)
    }
    if not decided:
        return None
    again = _Again(journal, strategy, bars, calendar)
    unlike = [why for row in decided if (why := again.difference(row))]
    failures = [
        f"{row['step']} in {row['session']}: {row['why']}"
        for row in shadow_events(journal, "shadow.failed", account, model_id)
    ]
    closed = [row["session"] for row in journal.rows("sessions", account=account)]
    seen = {row["session"] for row in decided}
    first = min(seen)
    ours, theirs = cells_of_live(journal, account, decided, settled), cells_of_shadow(decided, settled)
    common = {(cell.session, cell.symbol) for cell in ours} & {(cell.session, cell.symbol) for cell in theirs}
    pair = [[cell for cell in side if (cell.session, cell.symbol) in common] for side in (ours, theirs)]
    explanation = explain(*pair) if common else None
    fills = [fill for row in settled.values() for fill in row["fills"]]
    backtest = None
    try:
        backtest = explain_backtest(
            decided, settled, strategy=strategy, filling=filling, journal=journal, bars=bars,
            calendar=calendar,
        )  # fmt: skip
    except WorkbenchError as error:
        unlike.append(f"its sessions cannot be traded again as a backtest: {error.message}")
    return ShadowReport(
        model_id=model_id,
        sessions=len({row["session"] for row in settled.values()}),
        decisions=len(decided),
        unlike=tuple(unlike),
        failures=tuple(failures),
        missed=sum(session >= first and session not in seen for session in closed),
        explanation=explanation,
        detectable_bps=smallest_detectable_loss(_paired_returns(journal, account, settled)) * BPS,
        cost_bps=_mean_cost(fills),
        expected_bps=_mean_expected(fills),
        first_difference=next(
            (f"{r['session']}: {r['first_difference']}" for r in decided if r["first_difference"]), ""
        ),
        backtest=backtest,
    )


class _Again:
    """Recorded shadow decisions, made again."""

    def __init__(self, journal: Journal, strategy: Strategy, bars: BarStore, calendar: Calendar) -> None:
        self._strategy = replace(strategy, account=strategy.account + SHADOW_ACCOUNT)
        self._ports: dict[str, Any] = {"journal": journal, "bars": bars, "calendar": calendar}

    def difference(self, row: Mapping[str, Any]) -> str:
        """Why the decision, made again, is not the recorded one; "" when it is."""
        where = f"the decision of {row['session']}, made again, differs"
        marks = {one["symbol"]: one["price_micro"] for one in row["rows"]}
        books = Books(row["cash_micro"], row["positions"], marks)
        try:
            cycle = think(
                self._strategy, books, row["quotes"], row["session"], row["scheduled_ns"], **self._ports
            )
        except WorkbenchError as error:
            return f"{where}: data: {error.message}"
        return next((f"{where}: {why}" for why in _differences(cycle, row)), "")


def _differences(cycle: Cycle, row: Mapping[str, Any]) -> Sequence[str]:
    if inputs_hash(cycle.snapshot) != row["inputs_hash"]:
        return ["data: the market as it was known then is another now"]
    recorded = {one["symbol"]: one for one in row["rows"]}
    found = []
    for one in decision_rows(cycle.decision):
        for name in _SAME:
            if one[name] != recorded[one["symbol"]][name]:
                stage = "forecast" if name == "forecast_micro" else "policy"
                sides = f"recorded as {recorded[one['symbol']][name]}, now {one[name]}"
                found.append(f"{stage}: {name} of {one['symbol']} is {sides}")
    ordered = {one["symbol"]: one["order"] for one in row["rows"] if one["order"]}
    for intent in cycle.intents:
        order = ordered.get(intent.symbol)
        now = list(cycle.denied.get(intent.client_order_id, ()))
        if order is None or order["shares"] != intent.quantity_nano // NANO or order["denied"] != now:
            found.append(f"controls: the order of {intent.symbol} is another, or judged otherwise")
    return found


# --- both sides as cells ---------------------------------------------------------------------------------


def cells_of_live(
    journal: Journal,
    account: str,
    decided: Sequence[Mapping[str, Any]],
    settled: Mapping[int, Mapping[str, Any]],
) -> list[Cell]:
    """What the live model did in the same sessions, from its own records; open sessions are left out."""
    closings = {row["session"]: row for row in journal.rows("sessions", account=account)}
    found = []
    for row in decided:
        after, closing = settled.get(row["scheduled_ns"]), closings.get(row["session"])
        if after is None or closing is None:
            continue
        orders = journal.rows("orders", account=account, session=row["session"])
        fills = journal.rows("fills", account=account, session=row["session"])
        for one in row["rows"]:
            symbol = one["symbol"]
            mine = [fill for fill in fills if fill["symbol"] == symbol]
            signed = [_sign(fill["side"]) * (fill["quantity_nano"] // NANO) for fill in mine]
            denied = sum(
                _sign(order["side"]) * (order["quantity_nano"] // NANO) for order in orders
                if order["symbol"] == symbol and order["state"] == "DENIED"
            )  # fmt: skip
            found.append(Cell(
                session=row["session"], symbol=symbol, inputs=row["inputs_hash"],
                features=row["live_features_hash"], forecast_micro=one["live"]["forecast_micro"] or 0,
                target_shares=one["live"]["target_shares"] or 0, denied_shares=denied,
                filled_shares=sum(signed),
                spent_micro=sum(n * f["price_micro"] for n, f in zip(signed, mine, strict=True)),
                fee_micro=sum(f["fee_micro"] for f in mine),
                filled_ns=max((f["filled_at_ns"] for f in mine), default=0),
                position_shares=closing["positions"].get(symbol, 0) // NANO,
                mark_micro=after["marks"].get(symbol, one["price_micro"]),
            ))  # fmt: skip
    return found


def _sign(side: str) -> int:
    return 1 if side == "buy" else -1


def _paired_returns(journal: Journal, account: str, settled: Mapping[int, Mapping[str, Any]]) -> Any:
    """Daily return of the shadow less that of the live model, over sessions that follow one another."""
    live = {row["session"]: row["equity_micro"] for row in journal.rows("sessions", account=account)}
    rows = sorted((r["session"], r["equity_micro"], live[r["session"]]) for r in settled.values()
                  if r["session"] in live)  # fmt: skip
    moves = [(b[1] / a[1] - 1.0) - (b[2] / a[2] - 1.0) for a, b in pairwise(rows)]
    return np.array(moves, dtype=np.float64)


def _mean_cost(fills: Sequence[Mapping[str, Any]]) -> float:
    """Cost against the decision price, fees included, weighted by value, bps."""
    value = sum(f["shares"] * f["reference_micro"] for f in fills)
    cost = sum(
        f["side"] * f["shares"] * (f["price_micro"] - f["reference_micro"]) + f["fee_micro"] for f in fills
    )
    return cost / value * BPS if value else 0.0


def _mean_expected(fills: Sequence[Mapping[str, Any]]) -> float:
    known = [f for f in fills if f["expected_cost_micro"] >= 0]
    value = sum(f["shares"] * f["reference_micro"] for f in known)
    cost = sum(f["shares"] * f["reference_micro"] * f["expected_cost_micro"] for f in known)
    return cost / value / 100 if value else 0.0
