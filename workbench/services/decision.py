"""From what was known at a scheduled time to intents and verdicts: one cycle of thought, no sending."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from workbench.core.costs import CostModel
from workbench.core.features import Feature, compute, market_statistics
from workbench.core.ledger import Ledger
from workbench.core.legs import next_leg
from workbench.core.orders import TERMINAL, WORKING, Order, OrderIntent, client_order_id
from workbench.core.policy import PolicyParams, Reason, decide
from workbench.core.ports import BarStore, Broker, Calendar, Event
from workbench.core.pretrade import Limits, RiskState, Verdict, check_orders, content_fingerprint
from workbench.core.types import (
    MISSING,
    NANO,
    Bars,
    Decision,
    Floats,
    OrderType,
    Side,
    Snapshot,
    from_micro,
    to_micro,
)
from workbench.errors import DataError
from workbench.services.cost_gate import cost_alerts, cost_floors
from workbench.services.records import intent_payload

MINUTE_NS = 60 * NANO


class Forecaster(Protocol):
    """A model that turns a row of features a symbol into an expected return over the horizon."""

    def forecast(self, matrix: Floats) -> Floats:
        """Expected return of each row as a fraction, shape (symbols,); NaN where it cannot say."""
        ...


@dataclass(frozen=True)
class Strategy:
    """Everything a decision depends on besides the market and the account; fixed for a run."""

    account: str
    name: str
    universe: tuple[str, ...]
    features: tuple[Feature, ...]
    policy: PolicyParams
    limits: Limits
    cost_model: CostModel
    cost_model_id: str
    model: Forecaster
    model_id: str

    @property
    def lookback(self) -> int:
        """Bars that a decision needs: the longest declared lookback, at least the statistics' 21."""
        return max(21, *(feature.lookback for feature in self.features))


@dataclass(frozen=True)
class Cycle:
    """One decision with all that led to it and all that follows from it."""

    snapshot: Snapshot
    decision: Decision
    intents: tuple[OrderIntent, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def denied(self) -> dict[str, tuple[str, ...]]:
        """Denial codes by `client_order_id` of the intents that the controls refused."""
        return {verdict.client_order_id: verdict.codes for verdict in self.verdicts if not verdict.allowed}


class DecisionMaker:
    """Builds the snapshot, asks the model and the policy, and has the controls judge the result.

    Parameters
    ----------
    bars, broker, calendar
        Ports.
    strategy : Strategy
    orders : callable () -> sequence of Order
        Every order of the account (for exposure, rate and duplicates).
    ledger : callable () -> Ledger
    session_start_equity_micro : callable () -> int
        Equity at the end of the previous session; the daily loss is counted from here.
    """

    def __init__(
        self,
        *,
        bars: BarStore,
        broker: Broker,
        calendar: Calendar,
        strategy: Strategy,
        orders: Callable[[], Sequence[Order]],
        ledger: Callable[[], Ledger],
        session_start_equity_micro: Callable[[], int],
    ) -> None:
        self._bars = bars
        self._broker = broker
        self._calendar = calendar
        self.strategy = strategy
        self._orders = orders
        self._ledger = ledger
        self._session_start_equity = session_start_equity_micro
        self._last_panel: tuple[int, Bars] | None = None

    # --- what is known ---------------------------------------------------------------------------

    def panel(self, as_of_ns: int) -> Bars:
        """The bars a decision at `as_of_ns` may see: exactly the declared lookback, known by then.

        The orders of one cycle are judged again at the same trading time: they share one read.
        """
        if self._last_panel is None or self._last_panel[0] != as_of_ns:
            panel = self._bars.read(self.strategy.universe, as_of_ns=as_of_ns, rows=self.strategy.lookback)
            self._last_panel = (as_of_ns, panel)
        return self._last_panel[1]

    def snapshot(self, session: str, scheduled_ns: int, panel: Bars) -> Snapshot:
        """Everything the decision may know, one element a symbol."""
        symbols = panel.symbols
        ledger = self._ledger()
        buys, sells, frozen = self._open_quantities(symbols)
        quotes = self._broker.quotes(symbols)
        adv, volatility, half_spread = market_statistics(panel)
        quoted = (quotes.bid_micro > 0) & (quotes.ask_micro > 0)
        middle = (quotes.bid_micro + quotes.ask_micro) / 2.0
        spread = np.where(
            quoted, (quotes.ask_micro - quotes.bid_micro) / 2.0 / np.where(quoted, middle, 1.0), np.nan
        )
        half_spread = np.fmax(half_spread, np.round(spread * 1e6) / 100.0)
        prices = _last_prices(panel)
        equity = ledger.equity_micro(dict(zip(symbols, prices.tolist(), strict=True)))
        return Snapshot(
            account=self.strategy.account,
            strategy=self.strategy.name,
            session=session,
            scheduled_ns=scheduled_ns,
            symbols=symbols,
            price_micro=prices,
            bar_age_sessions=self._bar_ages(session, panel),
            bid_micro=quotes.bid_micro,
            ask_micro=quotes.ask_micro,
            quote_age_ns=np.where(quotes.at_ns < 0, -1, scheduled_ns - quotes.at_ns),
            tradable=panel.tradable[-1],
            frozen=frozen,
            position_shares=_whole_shares(ledger, symbols),
            open_buy_shares=buys,
            open_sell_shares=sells,
            adv_shares=adv,
            volatility_bps=volatility,
            half_spread_bps=half_spread,
            cash_micro=ledger.cash_micro,
            equity_micro=equity,
            session_start_equity_micro=self._session_start_equity(),
        )

    def _open_quantities(self, symbols: tuple[str, ...]) -> tuple[Any, Any, Any]:
        """Worst-case unfilled quantity of working orders and the frozen flag, by symbol."""
        position = {symbol: at for at, symbol in enumerate(symbols)}
        buys = np.zeros(len(symbols), dtype=np.int64)
        sells = np.zeros(len(symbols), dtype=np.int64)
        frozen = np.zeros(len(symbols), dtype=np.bool_)
        for order in self._orders():
            at = position.get(order.intent.symbol)
            if at is None or order.state in TERMINAL:
                continue
            frozen[at] = True  # one order that is not finished per symbol, a resting one included
            if order.state not in WORKING:
                continue
            side = buys if order.intent.side is Side.BUY else sells
            side[at] += order.leaves_nano // NANO
        return buys, sells, frozen

    def _bar_ages(self, session: str, panel: Bars) -> Any:
        """Completed sessions since each symbol's last bar; 0 = it has the latest completed one."""
        ages = np.full(len(panel.symbols), -1, dtype=np.int64)
        expected, age = self._calendar.previous_session(session), 0
        times = panel.ts_ns.tolist()
        while age < len(times):
            close_ns = self._calendar.session_close_ns(expected)
            if close_ns in times:
                present = panel.tradable[times.index(close_ns)]
                ages = np.where((ages < 0) & present, age, ages)
            if bool(np.all(ages >= 0)):
                break
            expected, age = self._calendar.previous_session(expected), age + 1
        return ages

    # --- what follows ----------------------------------------------------------------------------

    def think(self, session: str, scheduled_ns: int, *, buying_power_micro: int) -> Cycle:
        """The whole cycle: snapshot, forecast, decision, intents, verdicts.

        Raises
        ------
        DataError
            No bar is known, or every symbol lacks the latest completed session.
        """
        panel = self.panel(scheduled_ns)
        if not len(panel.ts_ns):
            raise DataError(
                f"no bars of {', '.join(self.strategy.universe)} were known at the decision time",
                next_step="workbench data status, then workbench data ingest",
            )
        snapshot = self.snapshot(session, scheduled_ns, panel)
        if not bool(np.any(snapshot.bar_age_sessions == 0)):
            raise DataError(
                f"data are stale: no bar of session {self._calendar.previous_session(session)}",
                next_step="ingest the missing sessions with workbench data ingest",
                session=session,
            )
        matrix = compute(self.strategy.features, panel)
        forecast = np.round(self.strategy.model.forecast(matrix) * 1e6) / 1e6
        decision = decide(
            snapshot, forecast, self.strategy.policy, cost_floors(self.strategy, snapshot, forecast)
        )
        intents = self._intents(snapshot, decision)
        state = self.risk_state(snapshot, now_ns=scheduled_ns, buying_power_micro=buying_power_micro)
        verdicts = tuple(check_orders(intents, self.strategy.limits, state))
        return Cycle(snapshot, decision, intents, verdicts)

    def judge_again(self, order: Order, *, buying_power_micro: int, now_ns: int) -> tuple[str, ...]:
        """Denial codes of one order at the moment of sending; it can only deny, never allow more."""
        intent = order.intent
        panel = self.panel(now_ns)
        snapshot = self.snapshot(intent.session, now_ns, panel)
        state = self.risk_state(
            snapshot, now_ns=now_ns, buying_power_micro=buying_power_micro, without=intent
        )
        verdict = check_orders([intent], self.strategy.limits, state)[0]
        return () if verdict.allowed else verdict.codes

    def risk_state(
        self, snapshot: Snapshot, *, now_ns: int, buying_power_micro: int, without: OrderIntent | None = None
    ) -> RiskState:
        """What the pre-trade controls look at, computed from the journal's orders, never from counters."""
        skipped = without.client_order_id if without else ""
        sent = [
            order for order in self._orders() if order.sent_at_ns and order.intent.client_order_id != skipped
        ]
        window_ns = self.strategy.limits.duplicate_window_s * NANO
        recent = {content_fingerprint(o.intent) for o in sent if now_ns - o.sent_at_ns < window_ns}
        known = {o.intent.client_order_id for o in self._orders() if o.intent.client_order_id != skipped}
        if without is not None:  # an order that waits to be sent does not stand in its own way
            at = snapshot.symbols.index(without.symbol)
            others = any(
                o.state in WORKING
                and o.intent.symbol == without.symbol
                and o.intent.client_order_id != skipped
                for o in self._orders()
            )
            frozen = snapshot.frozen.copy()
            frozen[at] = others
            buys, sells = snapshot.open_buy_shares.copy(), snapshot.open_sell_shares.copy()
            if not others:
                buys[at], sells[at] = 0, 0
            snapshot = replace(snapshot, frozen=frozen, open_buy_shares=buys, open_sell_shares=sells)
        return RiskState.from_snapshot(
            snapshot,
            now_ns=now_ns,
            session_open_ns=self._calendar.session_open_ns(snapshot.session),
            session_close_ns=self._calendar.session_close_ns(snapshot.session),
            buying_power_micro=buying_power_micro,
            orders_last_minute=sum(1 for order in sent if now_ns - order.sent_at_ns < MINUTE_NS),
            recent_fingerprints=frozenset(recent | known),
        )

    def _intents(self, snapshot: Snapshot, decision: Decision) -> tuple[OrderIntent, ...]:
        """Order legs of the decision in sending order: sells first (they free cash), then by symbol."""
        found = [
            self._intent(snapshot, decision, at, symbol, int(decision.delta_shares[at]))
            for at, symbol in enumerate(decision.symbols)
            if decision.delta_shares[at]
        ]
        return tuple(sorted(found, key=lambda intent: (intent.side, intent.symbol)))

    def _intent(
        self, snapshot: Snapshot, decision: Decision, at: int, symbol: str, delta: int
    ) -> OrderIntent:
        expected = self.strategy.cost_model.expected_bps(
            symbol,
            "buy" if delta > 0 else "sell",
            abs(delta),
            adv=float(snapshot.adv_shares[at]),
            volatility_bps=float(snapshot.volatility_bps[at]),
            half_spread_bps=float(snapshot.half_spread_bps[at]),
            price=from_micro(int(snapshot.price_micro[at])),
        ).mean
        target = int(decision.target_shares[at])
        leg = next_leg(
            target - delta,
            target,
            (),
            max_slice_shares=self.strategy.policy.max_slice_shares,
            allow_short=self.strategy.limits.allow_short,
        )
        if leg is None:
            raise ValueError(f"a change of {delta} shares of {symbol} has a first leg")
        return OrderIntent(
            client_order_id=client_order_id(
                snapshot.account, snapshot.strategy, snapshot.scheduled_ns, symbol, leg.name
            ),
            account=snapshot.account,
            strategy=snapshot.strategy,
            session=snapshot.session,
            scheduled_ns=snapshot.scheduled_ns,
            symbol=symbol,
            leg=leg.name,
            side=leg.side,
            quantity_nano=leg.shares * NANO,
            order_type=OrderType(int(decision.order_type[at])),
            limit_micro=int(decision.limit_micro[at]),
            reference_micro=int(snapshot.price_micro[at]),
            expected_cost_micro=to_micro(expected / 1e4) if expected == expected else int(MISSING),
        )


def decision_events(cycle: Cycle, strategy: Strategy, *, bars_fingerprint: str) -> list[Event]:
    """The events of one decision, for one transaction: the decision, its intents and its denials."""
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
                "rows": decision_rows(decision),
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


def decision_rows(decision: Decision) -> list[dict[str, Any]]:
    """One plain mapping a symbol, integers and words only, None where a number is not known."""

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
        }
        for at, symbol in enumerate(decision.symbols)
    ]


def _last_prices(panel: Bars) -> Any:
    """Each symbol's last known close in micros; 0 where there is none in the panel."""
    prices = np.zeros(len(panel.symbols), dtype=np.int64)
    for at in range(len(panel.symbols)):
        known = panel.close[:, at][panel.tradable[:, at]]
        if len(known):
            prices[at] = to_micro(float(known[-1]))
    return prices


def _whole_shares(ledger: Ledger, symbols: tuple[str, ...]) -> Any:
    held = ledger.positions_nano
    return np.array([held.get(symbol, 0) // NANO for symbol in symbols], dtype=np.int64)
