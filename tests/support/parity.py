"""The journalled session on a market in memory, and the same market simulated: records to compare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from order_desk import CALENDAR

from workbench.adapters.clock import SimulatedClock
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.core.approvals import ApprovalRules
from workbench.core.costs import CostModel, FeeSchedule, PriorCost, prior
from workbench.core.features import select_features
from workbench.core.fills import FillParams
from workbench.core.ledger import opening_postings
from workbench.core.policy import PolicyParams, Reason
from workbench.core.pretrade import DenialCode, Limits
from workbench.core.simulate import (
    DividendEvent,
    SessionHours,
    SimulationResult,
    SplitEvent,
    prepare,
    simulate,
)
from workbench.core.simulate.arrays import FillColumn, OrderColumn, SimulatedState
from workbench.core.types import MICRO, MISSING, NANO, Bars, OrderType
from workbench.services.decision import Strategy
from workbench.services.session import SessionTimes, TradingSession
from workbench.services.supervision import ACTIVE, Permission

ACCOUNT, CODE = "parity", "c" * 64
SESSIONS = CALENDAR.sessions_between("2012-11-05", "2013-03-20")
FIRST = 22  #: the first session that trades; those before it are history
DECIDE_BEFORE_OPEN_NS = 1_800 * NANO
O, F = OrderColumn, FillColumn  # noqa: E741


@dataclass
class World:
    """A market as printed, what happens to it, forecasts, and the rules of the desk."""

    bars: Bars
    forecast: np.ndarray
    policy: PolicyParams
    limits: Limits
    fills: FillParams
    prior_cost: PriorCost  # valid through all sessions
    cash_usd: int
    splits: dict[int, dict[str, tuple[int, int]]] = field(default_factory=dict)
    dividends: dict[int, dict[str, int]] = field(default_factory=dict)

    @property
    def cost_model(self) -> CostModel:
        return prior(self.prior_cost, FeeSchedule(), as_of_ns=CALENDAR.session_close_ns(SESSIONS[0]))

    @property
    def sessions(self) -> tuple[str, ...]:
        return SESSIONS[: len(self.bars.ts_ns)]

    def market(self, symbols: Sequence[str], session: str) -> Bars:
        row = self.sessions.index(session)
        return self.bars.rows(row, row + 1)


class MemoryBars:
    """The world's bars as a store: what had ended by then, in the share terms of that time."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._places = {symbol: at for at, symbol in enumerate(world.bars.symbols)}

    def fingerprint(self) -> str:
        return "f" * 64

    def read(
        self, symbols: Sequence[str], *, as_of_ns: int, rows: int | None = None, view: str = "adjusted"
    ) -> Bars:
        bars = self.world.bars
        columns = [self._places[symbol] for symbol in symbols]
        stop = int(np.searchsorted(bars.ts_ns, as_of_ns, side="right"))
        start = 0 if rows is None else max(0, stop - rows)
        cut = (slice(start, stop), columns)
        new, old = np.ones((stop - start, len(columns))), np.ones((stop - start, len(columns)))
        for row, ratios in self.world.splits.items():
            if view != "raw" and bars.ts_ns[row - 1] <= as_of_ns:  # from the close before the ex session on
                for symbol, (a, b) in ratios.items():
                    if symbol in symbols:
                        new[: max(0, row - start), symbols.index(symbol)] *= a
                        old[: max(0, row - start), symbols.index(symbol)] *= b
        there = bars.tradable[cut]
        parts = [
            np.where(there, np.rint(p[cut] * MICRO) * old / (new * MICRO), np.nan)
            for p in (bars.open, bars.high, bars.low, bars.close)
        ]
        volume = np.where(there, bars.volume[cut] * new / old, np.nan)
        return Bars(bars.ts_ns[start:stop], tuple(symbols), *parts, volume, there)


class Oracle:
    """A model that knows its forecasts by heart."""

    row: np.ndarray

    def forecast(self, matrix: np.ndarray) -> np.ndarray:
        return self.row


#: A simulation asks nobody: no order of these worlds is large enough to wait for a person.
NOBODY_ASKED = ApprovalRules(above_notional_usd=1_000_000_000)


class Keeper:
    """Permission and lease of a desk that nobody stops; a halt is remembered."""

    code_hash = CODE

    def __init__(self, lease: Any, clock: Any) -> None:
        self._lease, self._clock, self.halts = lease, clock, []

    def lease(self) -> Any:
        return self._lease

    def keep_alive(self) -> None: ...

    def wait_until(self, at_ns: int, *, step_ns: int) -> None:
        self._clock.sleep_until(at_ns)

    def require(self, permission: Any = None, *, risk_reducing: bool = True) -> Permission:
        assert not self.halts
        return self.permission()

    def permission(self) -> Permission:
        return Permission(ACTIVE, 1, "test", CODE)

    def halt(self, reason: str, **about: Any) -> None:
        self.halts.append(reason)

    def release(self) -> None: ...


def journalled(world: World, folder: Path, *, cycles: int = 1) -> JournalDatabase:
    """Trade every session through the real session, order path, venue and journal.

    With more than one cycle the others are spread over the hours of the session.
    """
    start_ns = CALENDAR.session_close_ns(world.sessions[FIRST - 1])
    clock = SimulatedClock(start_ns)
    journal = JournalDatabase(
        f"sqlite:///{folder}/journal.sqlite", anchor_path=folder / "anchor", anchor_key=b"k" * 32,
        config_hash=CODE, wall_ns=clock.wall_ns,
    )  # fmt: skip
    venue = SimulatedBroker(
        folder / "venue.sqlite", account=ACCOUNT, cash_micro=world.cash_usd * MICRO, clock=clock,
        calendar=CALENDAR, market=world.market, symbols=world.bars.symbols, fills=world.fills,
        fees=world.cost_model.fees,
        splits=lambda session: world.splits.get(world.sessions.index(session), {}),
        dividends=lambda session: world.dividends.get(world.sessions.index(session), {}),
    )  # fmt: skip
    keeper = Keeper(journal.acquire_lease(ACCOUNT, "host:boot:1:1", ttl_ns=36_000 * NANO), clock)
    oracle = Oracle()
    strategy = Strategy(
        ACCOUNT, "parity", world.bars.symbols, select_features(["momentum_20"]), world.policy, world.limits,
        world.cost_model, "c", oracle, "m",
    )  # fmt: skip
    for row in range(FIRST, len(world.sessions)):
        session = world.sessions[row]
        open_ns, close_ns = CALENDAR.session_open_ns(session), CALENDAR.session_close_ns(session)
        times = SessionTimes(
            session,
            open_ns,
            close_ns,
            tuple(
                open_ns - DECIDE_BEFORE_OPEN_NS + n * (close_ns - open_ns) // cycles for n in range(cycles)
            ),
            close_ns + 300 * NANO,
            7_200 * NANO,
        )
        clock.sleep_until(open_ns - 3_600 * NANO)
        trading = TradingSession(
            times=times, strategy=strategy, journal=journal, broker=venue, clock=clock, calendar=CALENDAR,
            bars=MemoryBars(world), supervision=keeper, authority=keeper, stage_budget_ms=60_000,
            rules=NOBODY_ASKED,
        )  # fmt: skip
        if row == FIRST:
            trading.oms.record_opening("opening", "", opening_postings(world.cash_usd * MICRO), "test")
        oracle.row = world.forecast[row - 1]
        trading.start()
        for scheduled_ns in times.decision_ns:
            clock.sleep_until(scheduled_ns)
            trading.decide(scheduled_ns)
        trading.watch()
        trading.close()
    assert keeper.halts == []
    venue.close()
    return journal


def simulated(world: World) -> SimulationResult:
    """The same world through the compiled loop."""
    opens = np.array([CALENDAR.session_open_ns(session) for session in world.sessions])
    hours = SessionHours(opens - DECIDE_BEFORE_OPEN_NS, opens, world.bars.ts_ns)
    splits = [
        SplitEvent(int(world.bars.ts_ns[row]), symbol, *ratio)
        for row, ratios in world.splits.items()
        for symbol, ratio in ratios.items()
    ]
    dividends = [
        DividendEvent(int(world.bars.ts_ns[row]), symbol, amount)
        for row, paid in world.dividends.items()
        for symbol, amount in paid.items()
    ]
    history = prepare(world.bars, splits=splits, dividends=dividends, hours=hours)
    forecast = world.forecast.copy()
    forecast[: FIRST - 1] = np.nan
    return simulate(
        history, forecast, policy=world.policy, limits=world.limits, costs=world.cost_model,
        fills=world.fills, seed=1, cash_usd=world.cash_usd, keep_decisions=True,
    )  # fmt: skip


# --- records in one form ------------------------------------------------------------------------------


def records_of_journal(journal: JournalDatabase, account: str = ACCOUNT) -> dict[str, Any]:
    legs = {row["client_order_id"]: row for row in journal.rows("orders", account=account)}
    decisions = {
        row["scheduled_ns"]: sorted(row["rows"], key=lambda one: one["symbol"])
        for row in journal.rows("decisions", account=account)
    }
    orders = sorted(
        (
            row["scheduled_ns"], row["symbol"], bool(row["parent_id"]), row["side"],
            row["quantity_nano"] // NANO, row["order_type"], row["limit_micro"], row["reference_micro"],
            row["expected_cost_micro"], row["state"], row["filled_nano"] // NANO,
            row["reason"] if row["state"] == "DENIED" else "",
        )
        for row in legs.values()
    )  # fmt: skip
    fills = sorted(
        (
            row["filled_at_ns"], row["symbol"], bool(legs[row["client_order_id"]]["parent_id"]), row["side"],
            row["quantity_nano"] // NANO, row["price_micro"], row["fee_micro"],
        )
        for row in journal.rows("fills", account=account)
    )  # fmt: skip
    closed = [
        (row["equity_micro"], row["cash_micro"], {s: q // NANO for s, q in row["positions"].items()})
        for row in journal.rows("sessions", account=account)
    ]
    return {"decisions": decisions, "orders": orders, "fills": fills, "closed": closed}


def decision_times(world: World) -> np.ndarray:
    opens = np.array([CALENDAR.session_open_ns(session) for session in world.sessions])
    return opens - DECIDE_BEFORE_OPEN_NS


def records_of_simulation(result: SimulationResult, decision_ns: np.ndarray, first: int) -> dict[str, Any]:
    words = {1: "buy", -1: "sell"}

    def grid(value: Any) -> int | None:
        return None if int(value) == MISSING else int(value)

    decisions = {}
    for row in range(first - 1, len(result.ts_ns) - 1):
        found = []
        for i, symbol in enumerate(result.symbols):
            target, delta, _, _, reason, edge, floor, weight, forecast = result.decisions[row, :, i]
            fields = {
                "symbol": symbol, "forecast_micro": grid(forecast), "weight_micro": grid(weight),
                "edge_micro": grid(edge), "cost_floor_micro": grid(floor), "target_shares": int(target),
                "delta_shares": int(delta), "reason": Reason(int(reason)).word,
            }  # fmt: skip
            found.append(fields)
        decisions[int(decision_ns[row + 1])] = found
    orders = sorted(
        (
            int(o[O.DECIDED_NS]), result.symbols[o[O.SYMBOL]], bool(o[O.LEG] > 1), words[int(o[O.SIDE])],
            int(o[O.SHARES]), OrderType(int(o[O.TYPE])).word, int(o[O.LIMIT]), int(o[O.REFERENCE]),
            int(o[O.EXPECTED_COST]), SimulatedState(int(o[O.STATE])).name, int(o[O.FILLED]),
            ",".join(code.name for code in DenialCode if int(o[O.BITS]) & code),
        )
        for o in result.order_record
    )  # fmt: skip
    fills = []
    for fill, at_ns in zip(result.fill_record, result.fill_ns, strict=True):
        o = result.order_record[fill[F.ORDER]]
        fills.append(
            (
                int(at_ns), result.symbols[o[O.SYMBOL]], bool(o[O.LEG] > 1), words[int(o[O.SIDE])],
                int(fill[F.SHARES]), int(fill[F.PRICE]), int(fill[F.FEE]),
            )
        )  # fmt: skip
    return {"decisions": decisions, "orders": orders, "fills": sorted(fills)}
