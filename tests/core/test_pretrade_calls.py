"""Whole calls of the pre-trade check: what earlier orders use up, and what no input can talk it into."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.orders import OrderIntent
from workbench.core.pretrade import (
    ESTABLISHED,
    Limits,
    Recent,
    RiskState,
    Verdict,
    check_orders,
    content_fingerprint,
)
from workbench.core.pretrade.recent import per_symbol, sector_numbers
from workbench.core.pretrade.values import ANY_BUY_MICRO, ANY_SELL_MICRO
from workbench.core.types import MISSING, NANO, OrderType, Side, Snapshot

HOUR = 3_600 * NANO
OPEN_NS = 1_357_137_000 * NANO
CLOSE_NS = OPEN_NS + 6 * HOUR + HOUR // 2
LIMITS = Limits()


def recent(n=4, *, buys=None, sells=None, **changes):
    """Nothing happened lately; what works does so at any price."""

    def ints(value):
        return np.full(n, value, dtype=np.int64)

    buys = ints(0) if buys is None else buys
    sells = ints(0) if sells is None else sells
    columns = {
        "volatility_bps": np.full(n, 100.0), "window_price_micro": ints(100_000_000),
        "previous_mid_micro": ints(100_000_000), "disabled": np.zeros(n, dtype=np.bool_),
        "own_buy_micro": np.where(buys != 0, ANY_BUY_MICRO, 0),
        "own_sell_micro": np.where(sells != 0, ANY_SELL_MICRO, 0), "session_shares": ints(0),
        "session_paid_micro": ints(0), "symbol_orders": ints(0), "window_shares": ints(0),
    }  # fmt: skip
    scalars = {
        "cancels_last_minute": 0, "denials_last_minute": 0, "window_notional_micro": 0,
        "session_notional_micro": 0, "closed_sessions": ESTABLISHED, "shortfall_micro": 0,
    }  # fmt: skip
    return Recent(**{**columns, **scalars, **changes})


def lately(risk, **changes):
    """The same state with other things that happened lately."""
    return replace(risk, recent=replace(risk.recent, **changes))


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
    known = {"buys": changes.get("open_buy_shares"), "sells": changes.get("open_sell_shares")}
    scalars["recent"] = recent(n, **{k: v for k, v in known.items() if isinstance(v, np.ndarray)})
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


SCALARS = [f.name for f in fields(Recent) if f.name not in per_symbol()]


@pytest.mark.parametrize("value", [None, math.nan, "many", 2**70, -(2**70), 1.5])
@pytest.mark.parametrize("name", SCALARS)
def test_odd_numbers_of_lately_deny_and_never_raise(name, value):
    risk = lately(state(), closed_sessions=0)
    assert allowed([intent(0)], risk=risk) == [True]
    assert allowed([intent(0)], risk=lately(risk, **{name: value})) == [False]


def test_messages_are_orders_and_cancels_and_attempts_are_denials_too():
    risk = state(orders_last_minute=30)
    assert allowed([intent(0)], risk=lately(risk, cancels_last_minute=29)) == [True]
    (verdict,) = check_orders([intent(0)], LIMITS, lately(risk, cancels_last_minute=30))
    assert verdict.codes == ("RATE",)
    assert allowed([intent(0)], risk=lately(risk, denials_last_minute=269)) == [True]
    (verdict,) = check_orders([intent(0)], LIMITS, lately(risk, denials_last_minute=270))
    assert verdict.codes == ("RATE_STOP",)
    # a denied order of the same call is an attempt as well
    two = [intent(0, shares=30_000), intent(1)]
    assert check_orders(two, LIMITS, lately(risk, denials_last_minute=269))[1].codes == ("RATE_STOP",)


def test_the_symbols_of_a_sector_share_its_ceiling():
    held = state(position_shares=np.array([0, 2_000, 3_000, 500]))  # 200,000 and 300,000 dollars, and 50,000
    one = replace(LIMITS, max_sector_fraction=0.5, sectors={"S0": "bank", "S1": "bank", "S2": "bank"})
    assert check_orders([intent(0)], one, held)[0].codes == ("SECTOR_EXPOSURE",)
    assert allowed([intent(0)], one, state(position_shares=np.array([0, 2_000, 2_899, 2_000]))) == [True]
    assert allowed([intent(0)], replace(one, sectors={}), held) == [True], "each its own"
    assert allowed([intent(0, "S3")], one, held) == [True], "without a sector, not in that one"
    both = replace(one, max_sector_fraction=0.3)  # 300,000 dollars; two orders of 190,475 do not fit
    orders = [intent(0, shares=1_900), intent(1, "S1", shares=1_900)]
    rich = state(cash_micro=10**12, equity_micro=10**12, buying_power_micro=10**12)
    assert allowed(orders, both, rich) == [True, False]
    assert sector_numbers(("A", "B", "C", "D"), {"B": "x", "D": "x"}).tolist() == [0, 1, 2, 1]


def test_a_held_symbol_without_a_price_makes_its_sector_unknown():
    risk = state(
        position_shares=np.array([0, 10, 0, 0]), price_micro=np.array([100, 0, 100, 100]) * 1_000_000
    )
    shared = replace(LIMITS, sectors={"S0": "bank", "S1": "bank"})
    assert "SECTOR_EXPOSURE" in check_orders([intent(0)], shared, risk)[0].codes
    assert "SECTOR_EXPOSURE" not in check_orders([intent(0)], LIMITS, risk)[0].codes
    assert "NET_EXPOSURE" in check_orders([intent(0)], LIMITS, risk)[0].codes


def test_longs_and_shorts_are_netted_and_working_orders_are_not():
    tight = replace(LIMITS, allow_short=True, max_gross_notional_usd=200_000, max_net_fraction=0.3)
    hedged = np.array([0, 600, -600, 0])
    assert allowed([intent(0)], tight, state(position_shares=hedged)) == [True]
    (verdict,) = check_orders([intent(0)], tight, state(position_shares=np.array([0, 600, 0, 0])))
    assert verdict.codes == ("NET_EXPOSURE",)
    # a working sale may never be filled, so it frees nothing
    risk = state(position_shares=np.array([0, 600, 0, 0]), open_sell_shares=np.array([0, 0, 600, 0]))
    assert "NET_EXPOSURE" in check_orders([intent(0)], tight, risk)[0].codes


def test_an_own_order_is_never_met_within_one_call():
    orders = [intent(0, side=Side.SELL), intent(1, limit_micro=99_740_000), intent(2)]
    verdicts = check_orders(orders, LIMITS, state(position_shares=np.array([100, 0, 0, 0])))
    assert [v.codes for v in verdicts] == [(), (), ("SELF_MATCH",)]
    # the other way round: a sale above an own purchase does not meet it
    orders = [intent(0, limit_micro=99_740_000), intent(1, side=Side.SELL)]
    assert allowed(orders, risk=state(position_shares=np.array([100, 0, 0, 0]))) == [True, True]


def test_earlier_orders_count_in_windows_and_for_a_new_desk():
    two = [intent(0), intent(1, "S1")]
    new = lately(state(), closed_sessions=0)
    assert allowed(two, replace(LIMITS, first_max_orders=1), new) == [True, False]
    assert allowed(two, replace(LIMITS, first_max_symbols=1), new) == [True, False]
    assert allowed(two, replace(LIMITS, first_max_notional_usd=20_049), new) == [True, False]
    assert allowed(two, replace(LIMITS, first_max_notional_usd=20_050), new) == [True, True]
    assert allowed(two, replace(LIMITS, first_max_notional_usd=20_049)) == [True, True]
    narrow = replace(LIMITS, max_gross_notional_usd=1_000_000, max_window_turnover=0.020049)
    assert allowed(two, narrow) == [True, False]
    same = [intent(0), intent(1, shares=101)]
    assert allowed(same, replace(LIMITS, max_order_shares=150, max_window_orders=1.34)) == [True, True]
    assert allowed(same, replace(LIMITS, max_order_shares=150, max_window_orders=1.33)) == [True, False]
    assert allowed(two, replace(LIMITS, max_working_orders=1)) == [True, False]
    assert allowed(two, replace(LIMITS, max_open_symbols=1)) == [True, False]


def test_a_disabled_symbol_is_denied_and_no_other():
    risk = lately(state(), disabled=np.array([True, False, False, False]))
    assert check_orders([intent(0)], LIMITS, risk)[0].codes == ("SYMBOL_DISABLED",)
    assert allowed([intent(0, "S1")], risk=risk) == [True]


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
            recent=recent(n),
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
    "max_net_fraction": [1.0, 0.005, 0.001, 1e-9], "max_sector_fraction": [1.0, 0.005, 0.001, 1e-9],
    "sectors": [{}, {"S0": "x", "S1": "x"}, {"S0": "x", "S1": "x", "S2": "x"}],
    "max_symbol_loss_fraction": [1.0, 0.02, 0.01, 1e-9],
    "max_session_shortfall_fraction": [10.0, 0.01, 0.001], "max_price_move_bps": [5_000.0, 300.0, 100.0, 1.0],
    "max_volatility_multiple": [6.0, 0.5, 0.1, 1e-6], "max_quote_jump_bps": [1_000.0, 100.0, 9.0, 0.01],
    "stop_rate_multiple": [5.0, 0.08, 0.07, 0.001], "max_window_orders": [2.0, 0.003, 0.001, 1e-9],
    "max_window_turnover": [2.0, 0.004, 0.001, 1e-9], "max_working_orders": [100, 4, 2, 1],
    "max_open_symbols": [100, 4, 2, 1], "first_sessions": [1, 2, 3, 50], "first_max_symbols": [9, 3, 2, 1],
    "first_max_orders": [100, 5, 3, 1], "first_max_notional_usd": [10**9, 400_000, 200_000, 1],
}  # fmt: skip
#: Limits that whoever counts applies, because they say for how long and from when something is counted.
OF_THE_COUNT = {
    "duplicate_window_s", "price_move_sessions", "window_s", "max_repeated_executions", "repeat_window_s",
}  # fmt: skip


def test_every_limit_has_tighter_values():
    assert set(TIGHTER) | OF_THE_COUNT == {field.name for field in fields(Limits)}


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
    # a price of its own for what works, so that no other control decides instead
    prices = {"own_buy_micro": np.where(buys > 0, 1, 0), "own_sell_micro": np.where(sells > 0, 10**9, 0)}
    risk = lately(
        risk, **prices, closed_sessions=1 if name.startswith("first_") else ESTABLISHED,
        session_paid_micro=np.array([0, 5, 12, 500]) * 10**6, shortfall_micro=10**8,
        window_price_micro=np.array([100, 101, 103, 150]) * 10**6, symbol_orders=np.array([0, 1, 0, 0]),
        previous_mid_micro=np.array([100_000_000, 99_900_000, 100_500_000, 95_000_000]),
        session_notional_micro=10**9,
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


LESS_LATELY = {
    "volatility_bps": math.nan, "window_price_micro": 0, "previous_mid_micro": 0, "disabled": True,
    "own_buy_micro": -1, "own_sell_micro": -1, "session_shares": MISSING, "session_paid_micro": MISSING,
    "symbol_orders": -1, "window_shares": -1, "cancels_last_minute": None, "denials_last_minute": None,
    "window_notional_micro": None, "session_notional_micro": None, "closed_sessions": None,
    "shortfall_micro": None,
}  # fmt: skip


def test_every_input_can_be_taken_away():
    assert set(LESS) == {field.name for field in fields(RiskState)} - {"account", "symbols", "recent"}
    assert set(LESS_LATELY) == {field.name for field in fields(Recent)}


@pytest.mark.parametrize("name", LESS_LATELY)
@settings(max_examples=40)
@given(
    intents=random_intents, held=positions, buys=working, sells=working, at=st.integers(0, 3),
    closed=st.sampled_from([0, 4, 5]),
)  # fmt: skip
def test_less_information_of_lately_never_permits_more(name, intents, held, buys, sells, at, closed):
    risk = state(position_shares=held, open_buy_shares=buys, open_sell_shares=sells)
    prices = {"own_buy_micro": np.where(buys > 0, 1, 0), "own_sell_micro": np.where(sells > 0, 10**9, 0)}
    risk = lately(risk, **prices, closed_sessions=closed, session_notional_micro=1_700_000 * 10**6)
    value = LESS_LATELY[name]
    if name in per_symbol():
        column = getattr(risk.recent, name).copy()
        column[at] = value
        value = column
    less = lately(risk, **{name: value})
    never_more(check_orders(intents, LIMITS, risk), check_orders(intents, LIMITS, less))
    single = [check_orders([i], LIMITS, less)[0].allowed for i in intents]
    whole = [check_orders([i], LIMITS, risk)[0].allowed for i in intents]
    assert all(before or not after for before, after in zip(whole, single, strict=True))


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
    shuffled = lately(shuffled, **{name: getattr(risk.recent, name)[at] for name in per_symbol()})
    limits = replace(LIMITS, sectors={"S1": "bank", "S3": "bank"}, max_sector_fraction=0.2)
    assert check_orders(intents, limits, risk) == check_orders(intents, limits, shuffled)


@given(intents=random_intents, held=positions, others=st.permutations(range(4, 9)))
def test_unrelated_symbols_may_come_in_any_order(intents, held, others):
    at = [*range(4), *others]
    wide = state(9, position_shares=np.array([*held, 1, 2, 3, 4, 5]))
    names = tuple(wide.symbols[i] for i in at)
    columns = {
        f.name: getattr(wide, f.name)[at]
        for f in fields(wide)
        if isinstance(getattr(wide, f.name), np.ndarray)
    }
    moved = lately(
        replace(wide, symbols=names, **columns),
        **{name: getattr(wide.recent, name)[at] for name in per_symbol()},
    )
    assert check_orders(intents, LIMITS, wide) == check_orders(intents, LIMITS, moved)


def test_the_call_changes_nothing_of_what_it_was_given():
    risk = state()
    parts = {f.name: getattr(risk, f.name) for f in fields(risk) if f.name != "recent"}
    parts |= {f.name: getattr(risk.recent, f.name) for f in fields(risk.recent)}
    before = {name: np.copy(value) for name, value in parts.items()}
    check_orders([intent(0), intent(1, "S1")], LIMITS, risk)
    assert all(np.array_equal(before[name], value) for name, value in parts.items())
