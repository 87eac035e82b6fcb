"""From what was known at a scheduled time to intents and verdicts: one cycle of thought, no sending."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from workbench.core.costs import CostModel, Status
from workbench.core.features import Feature, compute
from workbench.core.ledger import Ledger
from workbench.core.legs import next_leg
from workbench.core.orders import Order, OrderIntent, client_order_id
from workbench.core.policy import PolicyParams
from workbench.core.ports import BarStore, Broker, Calendar, Journal
from workbench.core.pretrade import Limits, Verdict, check_orders
from workbench.core.slicing import Slice
from workbench.core.types import (
    MISSING,
    NANO,
    Decision,
    Floats,
    OrderType,
    Snapshot,
    from_micro,
    to_micro,
)
from workbench.errors import DataError
from workbench.services.cost_gate import decide_at_cost
from workbench.services.knowledge import Knowledge
from workbench.services.lately import Lately
from workbench.services.own_flow import OwnFlow
from workbench.services.own_orders import OwnOrders
from workbench.services.slicing import planned_slices


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
    mode: str = ""  # of the desk; sessions of another one are not behind it
    cost_problem: Status = "ok"  # why `cost_model` only prices exits, whatever it says of itself

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
    slices: Mapping[str, tuple[Slice, ...]]

    @property
    def allowed(self) -> tuple[OrderIntent, ...]:
        """The intents that the controls let pass, in sending order."""
        denied = self.denied
        return tuple(intent for intent in self.intents if intent.client_order_id not in denied)

    @property
    def denied(self) -> dict[str, tuple[str, ...]]:
        """Denial codes by `client_order_id` of the intents that the controls refused."""
        return {verdict.client_order_id: verdict.codes for verdict in self.verdicts if not verdict.allowed}


class DecisionMaker:
    """Builds the snapshot, asks the model and the policy, and has the controls judge the result.

    Parameters
    ----------
    journal, bars, broker, calendar
        Ports; the journal is only read here.
    strategy : Strategy
    orders : callable () -> OwnOrders
        Every order of the account (for exposure, rate and duplicates).
    ledger : callable () -> Ledger
    session_start_equity_micro : callable () -> int
        Equity at the end of the previous session; the daily loss is counted from here.
    lap : callable (str) -> None
        Told at the end of each stage of a cycle.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        bars: BarStore,
        broker: Broker,
        calendar: Calendar,
        strategy: Strategy,
        orders: Callable[[], OwnOrders],
        ledger: Callable[[], Ledger],
        session_start_equity_micro: Callable[[], int],
        lap: Callable[[str], None] = lambda stage: None,
    ) -> None:
        self._calendar, self._lap = calendar, lap
        self.strategy = strategy
        self.flow = OwnFlow(
            journal, account=strategy.account, mode=strategy.mode, limits=strategy.limits, orders=orders
        )
        self.known = Knowledge(
            bars=bars, broker=broker, calendar=calendar, account=strategy.account, strategy=strategy.name,
            universe=strategy.universe, lookback=strategy.lookback,
            duplicate_window_s=strategy.limits.duplicate_window_s,
            lately=Lately(self.flow, orders=orders, limits=strategy.limits), orders=orders, ledger=ledger,
            session_start_equity_micro=session_start_equity_micro,
        )  # fmt: skip

    def think(self, session: str, scheduled_ns: int, *, buying_power_micro: int) -> Cycle:
        """The whole cycle: snapshot, forecast, decision, intents, verdicts.

        Raises
        ------
        DataError
            No bar is known, or every symbol lacks the latest completed session.
        """
        panel = self.known.panel(scheduled_ns)
        if not len(panel.ts_ns):
            raise DataError(
                f"no bars of {', '.join(self.strategy.universe)} were known at the decision time",
                next_step="workbench data status, then workbench data ingest",
            )
        snapshot = self.known.snapshot(session, scheduled_ns)
        if not bool(np.any(snapshot.bar_age_sessions == 0)):
            raise DataError(
                f"data are stale: no bar of session {self._calendar.previous_session(session)}",
                next_step="ingest the missing sessions with workbench data ingest",
                session=session,
            )
        self._lap("data")
        matrix = compute(self.strategy.features, panel)
        self._lap("features")
        forecast = np.round(self.strategy.model.forecast(matrix) * 1e6) / 1e6
        self._lap("forecast")
        decision = decide_at_cost(self.strategy, snapshot, forecast)
        slices = planned_slices(self.strategy, self._calendar, snapshot, decision)
        intents = self._intents(snapshot, decision, slices)
        self._lap("decide")
        state = self.known.risk_state(snapshot, now_ns=scheduled_ns, buying_power_micro=buying_power_micro)
        verdicts = tuple(check_orders(intents, self.strategy.limits, state))
        self._lap("controls")
        return Cycle(snapshot, decision, intents, verdicts, slices)

    def judge_again(self, order: Order, *, buying_power_micro: int, now_ns: int) -> tuple[str, ...]:
        """Denial codes of one order at the moment of sending; it can only deny, never allow more."""
        return self.known.before_sending(order.intent, now_ns=now_ns, buying_power_micro=buying_power_micro)

    def _intents(
        self, snapshot: Snapshot, decision: Decision, slices: Mapping[str, tuple[Slice, ...]]
    ) -> tuple[OrderIntent, ...]:
        """Order legs of the decision in sending order: sells first (they free cash), then by symbol."""
        found = [
            self._intent(snapshot, decision, at, symbol, slices.get(symbol, ()))
            for at, symbol in enumerate(decision.symbols)
            if decision.delta_shares[at]
        ]
        return tuple(sorted(found, key=lambda intent: (intent.side, intent.symbol)))

    def _intent(
        self, snapshot: Snapshot, decision: Decision, at: int, symbol: str, slices: Sequence[Slice]
    ) -> OrderIntent:
        delta = int(decision.delta_shares[at])
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
            planned=[one.shares for one in slices],
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
