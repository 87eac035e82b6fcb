"""A last look that writes only what changed says what a look at everything says; books are handed on."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import parity
import pytest
from parity import ACCOUNT, FIRST, World

from workbench.core.costs import PriorCost
from workbench.core.fills import FillParams
from workbench.core.orders import WORKING, OrderIntent
from workbench.core.policy import PolicyParams
from workbench.core.pretrade import Limits, RiskState, check_orders
from workbench.core.types import NANO, Bars, OrderType, Side
from workbench.services.knowledge import MINUTE_NS, Knowledge

SYMBOLS, DAYS = 6, 4
LIMITS = Limits(
    max_order_shares=3_000, max_order_notional_usd=120_000, max_position_shares=4_000,
    max_position_notional_usd=200_000, max_gross_notional_usd=500_000, max_participation=0.5,
    max_quoted_spread_bps=500.0, max_expected_cost_bps=500.0, max_orders_per_minute=8, allow_short=True,
    restricted=("S5",), sectors={"S0": "a", "S1": "a", "S2": "b"}, window_s=600,
)  # fmt: skip


def world() -> World:
    rng = np.random.default_rng(7)
    shape = (FIRST + DAYS, SYMBOLS)
    close = np.round(100.0 * np.exp(np.cumsum(rng.normal(0, 0.01, shape), axis=0)), 2)
    opened = np.round(np.vstack([close[:1], close[:-1]]), 2)
    ends = np.array([parity.CALENDAR.session_close_ns(s) for s in parity.SESSIONS[: len(close)]])
    bars = Bars(
        ends, tuple(f"S{i}" for i in range(SYMBOLS)), opened, np.maximum(opened, close) + 0.05,
        np.minimum(opened, close) - 0.05, close, np.full(shape, 1e6), np.ones(shape, dtype=np.bool_),
    )  # fmt: skip
    turns = np.where(np.arange(len(close)) % 2, 0.05, -0.05)[:, None] * np.ones(shape)
    policy = PolicyParams(max_weight=0.09, min_trade_weight=0.001, entry_order_type="market_on_open")
    prior = PriorCost(max_notional_usd=10**6, valid_days=1_000)
    return World(bars, turns, policy, LIMITS, FillParams(), prior, 1_000_000)


def from_scratch(
    known: Knowledge, intent: OrderIntent, now_ns: int, buying_power_micro: int
) -> tuple[str, ...]:
    """Denial codes by way of a whole risk state: every array made anew for the one order."""
    facts, orders, ledger = known._facts(now_ns), known._orders(), known._ledger()
    symbols, symbol, itself = facts.panel.symbols, intent.symbol, intent.client_order_id
    at = symbols.index(symbol)
    buys, sells, frozen = known._open_quantities(symbols)
    frozen[at] = any(
        order.state in WORKING and order.intent.client_order_id != itself
        for order in orders.unfinished(symbol)
    )
    if not frozen[at]:
        buys[at], sells[at] = 0, 0
    quotes = known._broker.quotes((symbol,))
    bid, ask = np.zeros(len(symbols), dtype=np.int64), np.zeros(len(symbols), dtype=np.int64)
    age = np.full(len(symbols), -1, dtype=np.int64)
    bid[at], ask[at], age[at] = quotes.bid_micro[0], quotes.ask_micro[0], quotes.age_ns(now_ns)[0]
    held, equity_micro = known._valued(facts, ledger)
    contents = orders.contents_after(now_ns - known._window_ns, symbol=symbol, without=itself)
    state = RiskState(
        account=known._account, symbols=symbols, price_micro=facts.market.prices,
        bar_age_sessions=known._bar_ages(facts, intent.session), bid_micro=bid, ask_micro=ask,
        quote_age_ns=age, tradable=facts.panel.tradable[-1], frozen=frozen, position_shares=held,
        open_buy_shares=buys, open_sell_shares=sells, adv_shares=facts.adv, cash_micro=ledger.cash_micro,
        equity_micro=equity_micro, session_start_equity_micro=known._session_start_equity(),
        buying_power_micro=buying_power_micro, now_ns=now_ns,
        session_open_ns=known._calendar.session_open_ns(intent.session),
        session_close_ns=known._calendar.session_close_ns(intent.session),
        orders_last_minute=orders.sent_after(now_ns - MINUTE_NS, without=itself),
        recent_fingerprints=frozenset(contents),
        recent=known._lately.recent(
            facts.market, session=intent.session, now_ns=now_ns, only=symbol, without=itself
        ),
    )  # fmt: skip
    return check_orders([intent], LIMITS, state)[0].codes


def other(intent: OrderIntent, rng: np.random.Generator) -> OrderIntent:
    """The same order of another symbol, side, size, type or price, under its own id or another's."""
    kind = OrderType(int(rng.integers(0, 4)))
    limit = int(rng.integers(90, 115)) * 1_000_000 if kind is OrderType.LIMIT else 0
    return replace(
        intent,
        client_order_id=intent.client_order_id if rng.random() < 0.5 else "wb1-another",
        symbol=f"S{rng.integers(0, SYMBOLS)}",
        side=Side.BUY if rng.random() < 0.5 else Side.SELL,
        quantity_nano=int(rng.choice([1, 200, 900, 3_500])) * NANO,
        order_type=kind,
        limit_micro=limit,
        expected_cost_micro=int(rng.choice([0, 400, 90_000])),
    )


def test_a_look_from_what_changed_is_a_look_at_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every real look of four sessions also at orders of every sort, as often allowed as denied."""
    rng = np.random.default_rng(3)
    found: Counter[str] = Counter()
    look = Knowledge.before_sending

    def both(self: Knowledge, intent: OrderIntent, *, now_ns: int, buying_power_micro: int) -> Any:
        for order in [intent, *(other(intent, rng) for _ in range(12))]:
            power = buying_power_micro if rng.random() < 0.9 else -1
            expected = from_scratch(self, order, now_ns, power)
            assert look(self, order, now_ns=now_ns, buying_power_micro=power) == expected
            found.update(expected or ("allowed",))
        return look(self, intent, now_ns=now_ns, buying_power_micro=buying_power_micro)

    monkeypatch.setattr(Knowledge, "before_sending", both)
    parity.journalled(world(), tmp_path).close()
    several = {"RATE", "GROSS", "SHORT", "FROZEN", "POSITION", "PRICE_COLLAR", "RESTRICTED", "BUYING_POWER"}
    assert found["allowed"] > 20
    assert len(several & set(found)) >= 5, found


def test_an_order_of_another_account_is_denied_before_anything_is_looked_at() -> None:
    known = object.__new__(Knowledge)
    known._account = ACCOUNT
    intent = OrderIntent(
        "k", "another", "s", "2013-01-02", 1, "S0", "entry", Side.BUY, NANO, OrderType.MARKET, 0, 1
    )
    assert known.before_sending(intent, now_ns=1, buying_power_micro=10**12) == ("ACCOUNT_MISSING",)
