"""Whole calls of the pre-trade check: what earlier orders use up, and what no input can talk it into."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.orders import OrderIntent
from workbench.core.pretrade import Limits, RiskState, Verdict, check_orders, content_fingerprint
from workbench.core.types import MISSING, NANO, OrderType, Side, Snapshot

HOUR = 3_600 * NANO
OPEN_NS = 1_357_137_000 * NANO
CLOSE_NS = OPEN_NS + 6 * HOUR + HOUR // 2
LIMITS = Limits()


def state(n=4, **changes):
    def ints(value):
        return np.full(n, value, dtype=np.int64)

    columns = {
        "price_micro": ints(100_000_000), "bar_age_sessions": ints(0), "bid_micro": ints(99_990_000),
        "ask_micro": ints(100_010_000), "quote_age_ns": ints(0), "tradable": np.ones(n, dtype=np.bool_),
        "frozen": np.zeros(n, dtype=np.bool_), "position_shares": ints(0), "open_buy_shares": ints(0),
        "open_sell_shares": ints(0), "adv_shares": np.full(n, 1e6),
    }  # fmt: skip
    scalars = {
        "account": "a", "cash_micro": 10**11, "equity_micro": 10**11, "session_start_equity_micro": 10**11,
        "buying_power_micro": 10**11, "now_ns": OPEN_NS + HOUR, "session_open_ns": OPEN_NS,
        "session_close_ns": CLOSE_NS, "orders_last_minute": 0, "recent_fingerprints": frozenset(),
    }  # fmt: skip
    symbols = tuple(f"S{i}" for i in range(n))
    return RiskState(**{"symbols": symbols, **columns, **scalars, **changes})


def intent(number, symbol="S0", side=Side.BUY, shares=100, **changes):
    limit = 100_250_000 if side is Side.BUY else 99_750_000
    values = {
        "client_order_id": f"id{number}", "account": "a", "strategy": "s", "session": "2013-01-02",
        "scheduled_ns": OPEN_NS + HOUR, "symbol": symbol, "leg": "entry", "side": side,
        "quantity_nano": shares * NANO, "order_type": OrderType.LIMIT, "limit_micro": limit,
        "reference_micro": 100_000_000, "expected_cost_micro": 300,
    }  # fmt: skip
    return OrderIntent(**{**values, **changes})


def allowed(intents, limits=LIMITS, risk=None):
    verdicts = check_orders(intents, limits, state() if risk is None else risk)
    assert [v.client_order_id for v in verdicts] == [i.client_order_id for i in intents]
    return [v.allowed for v in verdicts]


def test_earlier_orders_use_up_what_later_ones_may_have():
    two = [intent(0), intent(1, "S1")]
    assert allowed(two) == [True, True]
    assert allowed(two, replace(LIMITS, max_orders_per_minute=1)) == [True, False]
    assert allowed(two, risk=state(cash_micro=2 * 10_025_000_000)) == [True, True]
    assert allowed(two, risk=state(cash_micro=2 * 10_025_000_000 - 1)) == [True, False]
    assert allowed(two, replace(LIMITS, max_gross_notional_usd=20_049)) == [True, False]
    more = [intent(0), intent(1, shares=101)]
    assert allowed(more, replace(LIMITS, max_position_shares=200, max_order_shares=150)) == [True, False]
    sales = [intent(0, side=Side.SELL), intent(1, side=Side.SELL, shares=101)]
    held = np.array([200, 0, 0, 0])
    assert allowed(sales, risk=state(position_shares=held)) == [True, False]
    # a denied order uses nothing
    assert allowed([intent(0, shares=30_000), intent(1)]) == [False, True]


def test_working_buys_reserve_cash_and_exposure():
    working = np.array([0, 500, 0, 0])
    need = 10_025_000_000 + 500 * 105_000_000
    assert allowed([intent(0)], risk=state(open_buy_shares=working, cash_micro=need)) == [True]
    assert allowed([intent(0)], risk=state(open_buy_shares=working, cash_micro=need - 1)) == [False]
    tight = replace(LIMITS, max_gross_notional_usd=60_025)
    assert allowed([intent(0)], tight, state(open_buy_shares=working)) == [True]
    assert allowed(
        [intent(0)], replace(tight, max_gross_notional_usd=60_024), state(open_buy_shares=working)
    ) == [False]


def test_a_held_symbol_without_a_price_denies_new_risk_and_lets_reductions_pass():
    risk = state(
        position_shares=np.array([0, 10, 100, 0]), price_micro=np.array([100, 0, 100, 100]) * 1_000_000
    )
    buy, sale = check_orders([intent(0), intent(1, "S2", Side.SELL)], LIMITS, risk)
    assert "GROSS" in buy.codes
    assert sale.allowed


def test_duplicates_by_id_and_by_content_are_denied():
    first = intent(0)
    assert allowed([first, intent(1)]) == [True, False], "same content"
    assert allowed([first, intent(0, "S1")]) == [True, False], "same id"
    assert allowed([first], risk=state(recent_fingerprints=frozenset({"id0"}))) == [False]
    assert allowed([first], risk=state(recent_fingerprints=frozenset({content_fingerprint(intent(9))}))) == [
        False
    ]
    assert allowed([first], risk=state(recent_fingerprints=frozenset({"id9"}))) == [True]
    assert allowed([first], risk=state(recent_fingerprints=None)) == [False], "unknown is not empty"


def test_another_account_or_an_unknown_symbol_is_denied():
    foreign, unknown = check_orders([intent(0, account="b"), intent(1, "XX")], LIMITS, state())
    assert "ACCOUNT_MISSING" in foreign.codes
    assert "NOT_TRADABLE" in unknown.codes
    assert "NOT_TRADABLE" in check_orders([intent(0)], LIMITS, state(0))[0].codes


def test_the_restricted_list_denies():
    assert check_orders([intent(0)], replace(LIMITS, restricted=("S0",)), state())[0].codes == ("RESTRICTED",)


@pytest.mark.parametrize("value", [None, math.nan, "many", 2**70, -(2**70), 1.5])
@pytest.mark.parametrize(
    "name",
    ["cash_micro", "equity_micro", "buying_power_micro", "orders_last_minute", "now_ns", "session_open_ns"],
)
def test_odd_numbers_deny_and_never_raise(name, value):
    assert allowed([intent(0)], risk=state(**{name: value})) == [False]


def test_a_verdict_cannot_contradict_itself():
    with pytest.raises(ValueError, match="exactly when"):
        Verdict("id", True, ("RATE",))
    with pytest.raises(ValueError, match="exactly when"):
        Verdict("id", False, ())


def test_quotes_age_between_decision_and_check():
    n = 1
    ints = {name: np.array([value]) for name, value in {
        "price_micro": 100_000_000, "bar_age_sessions": 0, "bid_micro": 99_990_000, "ask_micro": 100_010_000,
        "quote_age_ns": 1, "position_shares": 0, "open_buy_shares": 0, "open_sell_shares": 0,
    }.items()}  # fmt: skip
    floats = {name: np.array([1.0]) for name in ("volatility_bps", "half_spread_bps")}
    shot = Snapshot(
        "a", "s", "2013-01-02", OPEN_NS, ("S0",), **ints, **floats, adv_shares=np.array([1e6]),
        tradable=np.ones(n, dtype=np.bool_), frozen=np.zeros(n, dtype=np.bool_), cash_micro=10**11,
        equity_micro=10**11, session_start_equity_micro=10**11,
    )  # fmt: skip

    def verdict(now_ns):
        risk = RiskState.from_snapshot(
            shot, now_ns=now_ns, session_open_ns=OPEN_NS, session_close_ns=CLOSE_NS,
            buying_power_micro=10**11, orders_last_minute=0, recent_fingerprints=frozenset(),
        )  # fmt: skip
        return check_orders([intent(0)], LIMITS, risk)[0].codes

    assert verdict(OPEN_NS + 900 * NANO - 1) == ()
    assert verdict(OPEN_NS + 901 * NANO) == ("QUOTE_STALE",)
    assert verdict(OPEN_NS - 2) == ("QUOTE_STALE",), "a quote from the future"


# --- properties ------------------------------------------------------------------------------------

random_intents = st.lists(
    st.builds(
        dict,
        symbol=st.sampled_from(["S0", "S1", "S2", "S3"]),
        side=st.sampled_from([Side.BUY, Side.SELL]),
        shares=st.sampled_from([1, 50, 100, 500, 1_000, 1_900, 2_500]),
    ),
    min_size=1,
    max_size=6,
).map(lambda rows: [intent(i, **row) for i, row in enumerate(rows)])
positions = st.lists(st.sampled_from([-300, 0, 0, 60, 500, 2_500]), min_size=4, max_size=4).map(np.array)
working = st.lists(st.sampled_from([0, 0, 10, 400]), min_size=4, max_size=4).map(np.array)


def never_more(loose, strict):
    """The first verdict that differs went from allowed to denied."""
    for before, after in zip(loose, strict, strict=True):
        if before.allowed != after.allowed:
            assert before.allowed, f"{after.client_order_id} was denied: {before.codes}"
            return


TIGHTER = {
    "max_order_shares": [10**6, 20_000, 900, 60, 1],
    "max_order_notional_usd": [10**8, 200_000, 60_000, 1_000],
    "max_position_shares": [10**6, 2_600, 600, 1], "max_position_notional_usd": [10**8, 300_000, 60_000, 100],
    "max_gross_notional_usd": [10**8, 500_000, 100_000, 100],
    "price_collar_bps": [5_000.0, 300.0, 25.0, 24.0, 0.5],
    "max_bar_age_sessions": [2, 1, 0], "max_quote_age_s": [900.0, 10.0, 5.0, 1.0],
    "max_orders_per_minute": [100, 4, 2, 1], "max_session_loss_usd": [10**6, 25_000, 1_000, 1],
    "max_quoted_spread_bps": [50.0, 2.0, 1.9, 0.1], "max_expected_cost_bps": [40.0, 3.0, 2.9],
    "max_participation": [1.0, 0.02, 0.0005, 0.00001], "restricted": [(), ("S0",), ("S0", "S1")],
    "allow_short": [True, False],
}  # fmt: skip


def test_every_limit_has_tighter_values():
    # the duplicate window is applied by the caller, who knows when orders were seen
    assert set(TIGHTER) | {"duplicate_window_s"} == {field.name for field in fields(Limits)}


@pytest.mark.parametrize("name", TIGHTER)
@settings(max_examples=40)
@given(intents=random_intents, held=positions, buys=working, sells=working, data=st.data())
def test_a_tighter_limit_never_permits_more(name, intents, held, buys, sells, data):
    base = replace(
        LIMITS, max_order_shares=10**6, max_order_notional_usd=10**8, max_position_shares=10**6,
        max_position_notional_usd=10**8, max_gross_notional_usd=10**8, max_bar_age_sessions=2,
        allow_short=True,
    )  # fmt: skip
    start = data.draw(st.integers(0, len(TIGHTER[name]) - 2))
    end = data.draw(st.integers(start + 1, len(TIGHTER[name]) - 1))
    orders = [
        replace(i, order_type=OrderType.MARKET, limit_micro=0) if n % 2 else i for n, i in enumerate(intents)
    ]
    risk = state(
        position_shares=held, open_buy_shares=buys, open_sell_shares=sells, cash_micro=3 * 10**11,
        buying_power_micro=3 * 10**11, session_start_equity_micro=10**11 + 900 * 10**6,
        bar_age_sessions=np.array([0, 1, 2, 0]), quote_age_ns=np.array([0, 5, 7, 20]) * NANO,
    )  # fmt: skip
    loose = check_orders(orders, replace(base, **{name: TIGHTER[name][start]}), risk)
    strict = check_orders(orders, replace(base, **{name: TIGHTER[name][end]}), risk)
    never_more(loose, strict)


LESS = {
    "price_micro": 0, "bar_age_sessions": -1, "bid_micro": 0, "ask_micro": 0, "quote_age_ns": -1,
    "tradable": False, "frozen": True, "position_shares": MISSING, "open_buy_shares": MISSING,
    "open_sell_shares": MISSING, "adv_shares": math.nan, "cash_micro": None, "equity_micro": 0,
    "session_start_equity_micro": 0, "buying_power_micro": -1, "now_ns": None, "session_open_ns": 0,
    "session_close_ns": 0, "orders_last_minute": -1, "recent_fingerprints": None,
}  # fmt: skip


def test_every_input_can_be_taken_away():
    assert set(LESS) == {field.name for field in fields(RiskState)} - {"account", "symbols"}


@pytest.mark.parametrize("name", LESS)
@settings(max_examples=40)
@given(intents=random_intents, held=positions, buys=working, sells=working, at=st.integers(0, 3))
def test_less_information_never_permits_more(name, intents, held, buys, sells, at):
    risk = state(position_shares=held, open_buy_shares=buys, open_sell_shares=sells)
    value = LESS[name]
    if isinstance(getattr(risk, name), np.ndarray):
        column = getattr(risk, name).copy()
        column[at] = value
        value = column
    less = replace(risk, **{name: value})
    never_more(check_orders(intents, LIMITS, risk), check_orders(intents, LIMITS, less))
    single = [check_orders([i], LIMITS, less)[0].allowed for i in intents]
    whole = [check_orders([i], LIMITS, risk)[0].allowed for i in intents]
    assert all(before or not after for before, after in zip(whole, single, strict=True))


@given(intents=random_intents, held=positions, buys=working, sells=working, order=st.permutations(range(4)))
def test_the_order_of_symbols_does_not_matter(intents, held, buys, sells, order):
    risk = state(position_shares=held, open_buy_shares=buys, open_sell_shares=sells)
    at = list(order)
    columns = {
        f.name: getattr(risk, f.name)[at]
        for f in fields(risk)
        if isinstance(getattr(risk, f.name), np.ndarray)
    }
    shuffled = replace(risk, symbols=tuple(risk.symbols[i] for i in at), **columns)
    assert check_orders(intents, LIMITS, risk) == check_orders(intents, LIMITS, shuffled)


def test_the_call_changes_nothing_of_what_it_was_given():
    risk = state()
    before = {f.name: np.copy(getattr(risk, f.name)) for f in fields(risk)}
    check_orders([intent(0), intent(1, "S1")], LIMITS, risk)
    assert all(np.array_equal(before[f.name], getattr(risk, f.name)) for f in fields(risk))
