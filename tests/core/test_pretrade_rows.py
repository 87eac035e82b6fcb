"""The arrays of a call by hand: what a row says, what orders add up to, what an allowed one leaves behind."""

from __future__ import annotations

import inspect
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from workbench.core.orders import OrderIntent
from workbench.core.pretrade import (
    ESTABLISHED,
    AccountValues,
    FlowValues,
    Limits,
    MarketArrays,
    MarketValues,
    OrderArrays,
    OrderValues,
    Recent,
    RecentArrays,
    RecentValues,
    RiskState,
    check_orders,
    content_fingerprint,
    row,
)
from workbench.core.pretrade.check import account_flow, account_now, flow_values, recent_arrays
from workbench.core.pretrade.recent import known, per_symbol, sector_numbers
from workbench.core.pretrade.standing import Standing, SymbolNow
from workbench.core.types import MISSING, NANO, OrderType, Side, TimeInForce

#: The kernels as plain Python, which gives the same bytes: test_pretrade.py.
plain = SimpleNamespace(
    **{name: inspect.unwrap(kernel) for name, kernel in vars(row).items() if callable(kernel)}
)
NAN = math.nan
SHARES, PRICE, MONEY = 10**9, 10**12, 10**18
HOUR = 3_600 * NANO
OPEN_NS = 1_357_137_000 * NANO


def same(found: Any, expected: Any) -> bool:
    """Equal field by field, where what is not known equals itself."""
    return type(found) is type(expected) and all(
        one == two or (one != one and two != two) for one, two in zip(found, expected, strict=True)
    )


def markets(*rows: MarketValues) -> MarketArrays:
    columns = list(zip(*rows, strict=True))
    return MarketArrays(*(np.array(column, dtype=np.int64) for column in columns[:-1]), np.array(columns[-1]))


def recents(n: int, sector: list[int] | None = None) -> RecentArrays:
    columns = [np.arange(n) * 100 + at + 1 for at in range(10)]
    numbers = np.array(sector if sector is not None else range(n))
    return RecentArrays(columns[0].astype(float), *columns[1:], numbers, np.arange(n) + 0.5)


HELD = MarketValues(100, 1, 2, 3, 4, 1, 0, 10, 3, 0, 5.0)  # worth 1,300 on its worse side
SHORT = MarketValues(7, 1, 2, 3, 4, 1, 0, -10, 0, 5, 6.0)
FLAT = MarketValues(0, 1, 2, 3, 4, 1, 0, 0, 0, 0, 7.0)


def test_a_row_is_the_columns_at_its_place_and_nothing_is_known_beyond_the_last() -> None:
    one, two = (MarketValues(*range(at, at + 10), at + 0.5) for at in (20, 40))
    market, recent = markets(one, two), recents(2, [1, 0])
    assert (plain.market_at(market, 0), plain.market_at(market, 1)) == (one, two)
    assert plain.recent_at(recent, 0) == RecentValues(1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1.5)
    assert plain.recent_at(recent, 1) == RecentValues(101.0, 102, 103, 104, 105, 106, 107, 108, 109, 110, 0.5)
    for beyond in (-1, 2, 3):
        nothing = MarketValues(0, -1, 0, 0, -1, 0, 1, 0, -1, -1, NAN)
        assert same(plain.market_at(market, beyond), nothing)
        assert same(plain.recent_at(recent, beyond), RecentValues(NAN, 0, 0, 1, -1, -1, 0, 0, -1, -1, NAN))


def test_exposure_by_hand() -> None:
    assert plain.symbol_exposure(HELD) == (1_300.0, 300.0)
    assert plain.symbol_exposure(SHORT) == (105.0, 0.0)
    assert plain.symbol_exposure(FLAT) == (0.0, 0.0)
    assert plain.symbol_net(HELD) == (1_300.0, 1_000.0)
    assert plain.symbol_net(SHORT) == (-70.0, -105.0)
    assert plain.symbol_net(FLAT) == (0.0, 0.0)
    assert plain.exposure(markets(HELD, SHORT, HELD)) == (2_705.0, 600.0 * 1.05)
    assert plain.reserved_micro(200.0) == 210.0
    for price, is_known in ((1, True), (PRICE, True), (0, False), (-1, False), (PRICE + 1, False)):
        for worth in (plain.symbol_exposure, plain.symbol_net):
            assert math.isnan(worth(HELD._replace(price_micro=price))[0]) is not is_known
            assert math.isnan(worth(HELD._replace(price_micro=price))[1]) is not is_known
    for bad in ({"position_shares": SHARES + 1}, {"open_buy_shares": -1}):
        for worth in (plain.symbol_exposure, plain.symbol_net):
            assert all(math.isnan(value) for value in worth(HELD._replace(**bad)))
    unpriced = markets(HELD, HELD._replace(price_micro=0))
    assert all(math.isnan(value) for value in plain.exposure(unpriced))


def test_the_sum_of_a_sector_is_computed_anew() -> None:
    recent = recents(3, [0, 0, 2])
    for _ in range(2):
        plain.sum_sectors(markets(HELD, SHORT, HELD), recent)
        assert recent.sector_micro.tolist() == [1_405.0, 0.0, 1_300.0]


FLOW = FlowValues(0.25, 0.5, 91, 92, 93, 94, 95, 96, 97, 98, 99)


@pytest.mark.parametrize(
    ("orders", "traded", "sent"),
    [
        ([0, 0, 0], 0, 0), ([0, 1, 2], 2, 3), ([0, -1, 2], -1, -1), ([1, 0, SHARES], 2, SHARES + 1),
        ([SHARES + 1, 0, 0], -1, -1),
    ],
)  # fmt: skip
def test_what_an_account_has_under_way(orders: list[int], traded: int, sent: int) -> None:
    recent = recents(3)._replace(symbol_orders=np.array(orders))
    found = plain.total_flow(markets(HELD, SHORT, FLAT), recent, FLOW)
    assert found == FlowValues(1_230.0, 895.0, 2, 2, 93, 94, traded, sent, 97, 98, 99)


def test_a_position_alone_is_open_and_does_not_work() -> None:
    held = FLAT._replace(price_micro=1, position_shares=5)
    found = plain.total_flow(markets(held), recents(1), FLOW)
    assert (found.working_orders, found.open_symbols) == (0, 1)
    for side in ("open_buy_shares", "open_sell_shares"):
        found = plain.total_flow(markets(held._replace(**{side: 1})), recents(1), FLOW)
        assert (found.working_orders, found.open_symbols) == (1, 1)


ORDER = OrderValues(1, 10, 1, 50, 60, 300, 0, 0)
ACCOUNT = AccountValues(1, 2, 3, 4, 5.5, 6.5, 7.5, 8, 9, 10, 11)


def test_what_an_allowed_order_leaves_to_later_ones() -> None:
    assert plain.account_with(ORDER, HELD, ACCOUNT) == ACCOUNT._replace(
        used_micro=506.5, gross_micro=507.5, messages_last_minute=9
    )
    reduction = ORDER._replace(side=-1, shares=10)
    assert plain.account_with(reduction, HELD, ACCOUNT) == ACCOUNT._replace(messages_last_minute=9)
    flip = plain.account_with(reduction._replace(shares=30), HELD, ACCOUNT)  # 20 short against 13 long
    assert (flip.used_micro, flip.gross_micro) == (3_006.5, 707.5)
    idle = RecentValues(1.0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0.0)
    for order, market, recent, longs, shorts, works, opens, symbols in (
        (ORDER, FLAT._replace(price_micro=100), idle, 500.0, 0.0, 1, 1, 1),
        (ORDER, HELD, idle._replace(symbol_orders=1), 500.0, 0.0, 0, 0, 0),
        (ORDER._replace(side=-1), SHORT._replace(price_micro=100), idle, 0.0, -1_000.0, 0, 0, 1),
        (ORDER, HELD._replace(open_buy_shares=0), idle._replace(symbol_orders=5), 500.0, 0.0, 1, 0, 0),
    ):
        assert plain.flow_with(order, market, recent, FLOW) == FlowValues(
            0.25 + longs,
            0.5 + shorts,
            91 + works,
            92 + opens,
            94,
            94 + 500,
            95 + symbols,
            97,
            97 + 500,
            98,
            99,
        )
    assert plain.flow_tried(FLOW) == FLOW._replace(attempts_last_minute=94)


@pytest.mark.parametrize(
    ("order", "market", "expected"),
    [
        (ORDER, HELD, {"open_buy_shares": 13, "own_buy_micro": 50, "sector": 500.0}),
        (ORDER._replace(limit_micro=4), HELD, {"open_buy_shares": 13, "own_buy_micro": 5, "sector": 40.0}),
        (ORDER._replace(order_type=5), HELD, {"open_buy_shares": 13, "own_buy_micro": 50, "sector": 500.0}),
        (ORDER._replace(order_type=0), HELD, {"open_buy_shares": 13, "own_buy_micro": PRICE,
         "sector": 1_050.0}),
        (ORDER._replace(side=-1), HELD, {"open_sell_shares": 10, "own_sell_micro": 6, "sector": 0.0}),
        (ORDER._replace(side=-1, limit_micro=4), HELD, {"open_sell_shares": 10, "own_sell_micro": 4,
         "sector": 0.0}),
        (ORDER._replace(side=-1, order_type=5), HELD, {"open_sell_shares": 10, "own_sell_micro": 6,
         "sector": 0.0}),
        (ORDER._replace(side=-1, order_type=0), HELD, {"open_sell_shares": 10, "own_sell_micro": 1,
         "sector": 0.0}),
    ],
)  # fmt: skip
def test_an_allowed_order_works_in_its_symbol(
    order: OrderValues, market: MarketValues, expected: dict[str, float]
) -> None:
    every, recent = markets(FLAT, market), recents(2, [0, 0])
    recent.own_buy_micro[1], recent.own_sell_micro[1] = 5, 6
    plain.put_to_work(1, order, market, every, recent)
    usual = {
        "open_buy_shares": 3, "open_sell_shares": 0, "own_buy_micro": 5, "own_sell_micro": 6,
        "symbol_orders": 110, "window_shares": 120, "sector": 0.0,
    }  # fmt: skip
    now = {
        **{name: int(getattr(every, name)[1]) for name in ("open_buy_shares", "open_sell_shares")},
        **{
            name: int(getattr(recent, name)[1])
            for name in ("own_buy_micro", "own_sell_micro", "symbol_orders", "window_shares")
        },
        "sector": recent.sector_micro[0] - 0.5,
    }
    assert now == usual | expected
    assert every.open_buy_shares[0] == 0
    assert recent.symbol_orders[0] == 9


def test_the_first_own_sale_sets_the_cheapest_price() -> None:
    every, recent = markets(HELD), recents(1)
    recent.own_sell_micro[0] = 0
    plain.put_to_work(0, ORDER._replace(side=-1), HELD, every, recent)
    assert recent.own_sell_micro[0] == 50


# --- the Python face ---------------------------------------------------------------------------------------


def test_numbers_in_kernel_form_by_hand() -> None:
    recent = some_recent(2)
    flow = FlowValues(0.0, 0.0, 0, 0, 3 + 11 + 12, 13, 0, 0, 14, 15, 16)
    assert flow_values(3, recent) == flow
    assert account_flow(
        attempts=7,
        window_notional_micro=None,
        session_notional_micro=4,
        closed_sessions=NAN,
        shortfall_micro=6,
    ) == FlowValues(0.0, 0.0, 0, 0, 7, MISSING, 0, 0, 4, MISSING, 6)
    assert account_now(
        cash_micro=1, equity_micro=2, session_start_equity_micro=3, buying_power_micro=4,
        messages_last_minute=5, now_ns=6, session_open_ns=7, session_close_ns=8,
    ) == AccountValues(1, 2, 3, 4, 0.0, 0.0, 0.0, 5, 6, 7, 8)  # fmt: skip
    for count, attempts in (
        (0, 23),
        (2**60 - 1, 2**60 + 22),
        (2**60, MISSING),
        (-1, MISSING),
        (None, MISSING),
    ):
        assert flow_values(count, recent).attempts_last_minute == attempts
    assert [known(value) for value in (MISSING + 1, -MISSING - 1)] == [MISSING + 1, -MISSING - 1]
    assert [known(value) for value in (MISSING, -MISSING, 1.0, "1", None, NAN)] == [MISSING] * 6
    assert type(known(np.int32(3))) is int


def some_recent(n: int) -> Recent:
    columns: list[Any] = [np.arange(n, dtype=np.float64) + 0.25]
    columns += [np.arange(n) + 10 * at for at in range(1, 10)]
    return Recent(*columns, *range(11, 17))


def test_columns_in_kernel_form_are_copies_in_their_places() -> None:
    recent = some_recent(3)
    found = recent_arrays(("A", "B", "C"), recent, Limits(sectors={"A": "x", "C": "x"}))
    for name in per_symbol():
        assert getattr(found, name).tolist() == getattr(recent, name).tolist()
        assert not np.shares_memory(getattr(found, name), getattr(recent, name))
    assert found.sector.tolist() == [0, 1, 0]
    assert found.sector_micro.tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="several lengths"):
        replace(recent, disabled=np.zeros(2))
    assert recent.symbols == 3
    assert len(per_symbol()) == 10


def test_the_number_of_a_sector_is_the_place_of_its_first_symbol() -> None:
    symbols = ("A", "B", "C", "D", "E")
    assert sector_numbers(symbols, {}).tolist() == [0, 1, 2, 3, 4]
    assert sector_numbers(symbols, {"B": "x", "D": "x", "E": "y", "Z": "x"}).tolist() == [0, 1, 2, 1, 4]
    mine = sector_numbers(symbols, {"B": "x", "D": "x"})
    mine[:] = 9
    assert sector_numbers(symbols, {"B": "x", "D": "x"}).tolist() == [0, 1, 2, 1, 4]


def intent(number: int = 1, **changes: Any) -> OrderIntent:
    usual = OrderIntent(
        f"id{number}", "a", "s", "2013-01-02", OPEN_NS, "A", "entry", Side.BUY, 10 * NANO, OrderType.LIMIT,
        100_000_000, 100_000_000, 300,
    )  # fmt: skip
    return replace(usual, **changes)


def test_what_makes_two_orders_the_same() -> None:
    leg = intent(parent_id="p", order_type=OrderType.STOP_LIMIT, stop_micro=7, time_in_force=TimeInForce.GTC)
    assert content_fingerprint(leg).split("\x1f") == [
        "content", "a", "A", "1", "10000000000", "5", "100000000", "7", "gtc", "p",
    ]  # fmt: skip


def good_state(n: int = 3, **changes: Any) -> RiskState:
    def ints(value: int) -> Any:
        return np.full(n, value, dtype=np.int64)

    columns: dict[str, Any] = {
        "price_micro": ints(100_000_000), "bar_age_sessions": ints(0), "bid_micro": ints(99_990_000),
        "ask_micro": ints(100_010_000), "quote_age_ns": ints(0), "tradable": np.ones(n, dtype=np.bool_),
        "frozen": np.zeros(n, dtype=np.bool_), "position_shares": ints(0), "open_buy_shares": ints(0),
        "open_sell_shares": ints(0), "adv_shares": np.full(n, 1e6), "cash_micro": 10**11,
        "equity_micro": 10**11, "session_start_equity_micro": 10**11, "buying_power_micro": 10**11,
        "now_ns": OPEN_NS + HOUR, "session_open_ns": OPEN_NS, "session_close_ns": OPEN_NS + 6 * HOUR,
        "orders_last_minute": 0, "recent_fingerprints": frozenset(),
    }  # fmt: skip
    recent = Recent(
        np.full(n, 100.0), ints(100_000_000), ints(100_000_000), np.zeros(n, dtype=np.bool_), ints(0),
        ints(0),
        ints(0), ints(0), ints(0), ints(0), 0, 0, 0, 0, ESTABLISHED, 0,
    )  # fmt: skip
    given = {"account": "a", "symbols": ("A", "B", "C")[:n], "recent": recent}
    return RiskState(**{**columns, **given, **changes})


def test_the_words_of_a_state_that_does_not_fit_itself() -> None:
    with pytest.raises(ValueError, match="recent describes 2 of 3 symbols"):
        good_state(recent=good_state(2).recent)
    with pytest.raises(ValueError, match="adv_shares must have one element for each of 3"):
        good_state(adv_shares=np.ones(2))


def test_every_field_of_an_order_reaches_its_control() -> None:
    limits = Limits(restricted=("B",))
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({}, set()), ({"symbol": "B"}, {"RESTRICTED"}), ({"account": "b"}, {"ACCOUNT_MISSING",
         "NOT_TRADABLE"}),
        ({"symbol": "Z"}, {"NOT_TRADABLE"}), ({"expected_cost_micro": 0}, {"COST_MISSING", "EXPECTED_COST"}),
        ({"reference_micro": 50_000_000}, {"PRICE_COLLAR"}), ({"limit_micro": 100_000_001}, {"ORDER_TYPE"}),
        ({"side": Side.SELL}, {"SHORT"}), ({"quantity_nano": 20_001 * NANO}, {"QUANTITY", "NOTIONAL"}),
        ({"order_type": OrderType.STOP_LIMIT, "stop_micro": 110_000_000}, {"PRICE_COLLAR"}),
    ]  # fmt: skip
    for changes, codes in cases:
        (verdict,) = check_orders([intent(**changes)], limits, good_state())
        assert verdict.allowed is not bool(codes), changes
        assert codes <= set(verdict.codes), changes
        assert (verdict.client_order_id, bool(verdict.codes)) == ("id1", bool(codes))
    early = good_state(now_ns=OPEN_NS - 1)
    for tif, codes in ((TimeInForce.IOC, ("SESSION_HOURS",)), (TimeInForce.GTC, ())):
        (verdict,) = check_orders([intent(time_in_force=tif)], limits, early)
        assert verdict.codes == codes
    assert check_orders([], limits, good_state()) == []


def test_a_denied_order_is_an_attempt_and_uses_nothing_else() -> None:
    limits = Limits(max_orders_per_minute=1, stop_rate_multiple=3.0)
    orders = [intent(1, symbol="Z"), intent(2, quantity_nano=NANO), intent(3, symbol="B")]
    one, two, three = check_orders(orders, limits, good_state())
    assert (two.codes, three.codes) == ((), ("RATE",))
    assert "RATE_STOP" not in one.codes
    four = check_orders([*orders, intent(4, symbol="C")], limits, good_state())[3]
    assert set(four.codes) == {"RATE", "RATE_STOP"}


# --- one look after another --------------------------------------------------------------------------------


def test_a_standing_look_says_what_a_whole_check_says() -> None:
    """Random orders of three symbols, one after the other; what was told of an earlier look is forgotten."""
    rng = np.random.default_rng(11)
    limits = Limits(
        max_order_shares=100, max_order_notional_usd=9_000, max_position_shares=150, max_net_fraction=0.1,
        max_gross_notional_usd=200_000, max_position_notional_usd=14_000, max_sector_fraction=0.09,
        sectors={"A": "x", "B": "x"}, restricted=("C",), allow_short=True, max_open_symbols=2,
        max_working_orders=2, first_sessions=5, first_max_symbols=2, first_max_orders=4,
        max_price_move_bps=300.0,
    )  # fmt: skip
    said: dict[tuple[str, ...], int] = {}
    for _ in range(160):
        held, buys, sells = rng.integers(-60, 90, 3), rng.integers(0, 2, 3) * 30, rng.integers(0, 2, 3) * 20
        orders_sent, at = rng.integers(0, 3, 3), int(rng.integers(0, 3))
        windows = rng.choice([100_000_000, 101_000_000, 90_000_000], 3)
        base = good_state(
            position_shares=held, open_buy_shares=buys, open_sell_shares=sells,
            adv_shares=rng.choice([1e6, 1e3], 3), bar_age_sessions=rng.integers(0, 2,
            3) * (rng.random() < 0.2),
            price_micro=rng.choice([100_000_000, 101_000_000], 3), tradable=rng.random(3) < 0.95,
            frozen=rng.random(3) < 0.05, quote_age_ns=rng.choice([0, 901 * NANO], 3, p=[0.9, 0.1]),
        )  # fmt: skip
        lately = replace(
            base.recent, symbol_orders=orders_sent, window_price_micro=windows, disabled=rng.random(3) < 0.05,
            volatility_bps=rng.choice([100.0, 1.0], 3), window_shares=rng.choice([0, 150], 3),
            own_buy_micro=np.where(buys > 0, rng.choice([99_000_000, 102_000_000], 3), 0),
            own_sell_micro=np.where(sells > 0, rng.choice([99_000_000, 102_000_000], 3), 0),
            session_shares=rng.integers(-5, 6, 3), session_paid_micro=rng.choice([0, 10**11], 3, p=[0.9,
            0.1]),
            previous_mid_micro=rng.choice([100_000_000, 80_000_000], 3, p=[0.9, 0.1]),
            closed_sessions=int(rng.choice([0, 9])),
        )  # fmt: skip
        repeated = bool(rng.random() < 0.1)
        order = intent(
            symbol="ABC"[at] if rng.random() < 0.9 else "A", side=Side(int(rng.choice([-1, 1]))),
            quantity_nano=int(rng.choice([1, 40, 101])) * NANO,
            limit_micro=int(rng.choice([100_000_000, 100_500_000])),
        )  # fmt: skip
        at = "ABC".index(order.symbol)
        marks = frozenset({content_fingerprint(order)}) if repeated else frozenset()
        whole = replace(base, recent=lately, recent_fingerprints=marks)
        standing = Standing(
            base.symbols, price_micro=base.price_micro, bar_age_sessions=base.bar_age_sessions,
            window_price_micro=windows, adv_shares=base.adv_shares, volatility_bps=lately.volatility_bps,
            tradable=base.tradable, limits=limits,
        )  # fmt: skip
        standing.hold(held)
        for n in range(3):
            standing.work(n, int(buys[n]), int(sells[n]), int(orders_sent[n]))
        now = SymbolNow(
            int(base.bid_micro[at]), int(base.ask_micro[at]), int(base.quote_age_ns[at]),
            int(base.frozen[at]),
            int(buys[at]), int(sells[at]), int(lately.previous_mid_micro[at]), int(lately.disabled[at]),
            int(lately.own_buy_micro[at]), int(lately.own_sell_micro[at]), int(lately.session_shares[at]),
            int(lately.session_paid_micro[at]), int(orders_sent[at]), int(lately.window_shares[at]),
        )  # fmt: skip
        account = account_now(
            cash_micro=base.cash_micro, equity_micro=base.equity_micro,
            session_start_equity_micro=base.session_start_equity_micro,
            buying_power_micro=base.buying_power_micro, messages_last_minute=0, now_ns=base.now_ns,
            session_open_ns=base.session_open_ns, session_close_ns=base.session_close_ns,
        )  # fmt: skip
        expected = check_orders([order], limits, whole)[0].codes
        assert standing.judge(order, now, account, flow_values(0, lately), repeated=repeated) == expected
        said[expected] = said.get(expected, 0) + 1
    assert said[()] > 3
    assert len({code for codes in said for code in codes}) > 20


def test_a_symbol_that_was_not_looked_at_is_frozen() -> None:
    standing = Standing(
        ("A",), price_micro=np.array([1]), bar_age_sessions=np.array([0]), window_price_micro=np.array([1]),
        adv_shares=np.array([1.0]), volatility_bps=np.array([1.0]), tradable=np.array([True]),
        limits=Limits(),
    )  # fmt: skip
    assert standing.where == {"A": 0}
    assert plain.market_at(standing._market, 0) == MarketValues(1, 0, 0, 0, -1, 1, 1, 0, 0, 0, 1.0)
    assert plain.recent_at(standing._recent, 0) == RecentValues(1.0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0.0)
    assert OrderArrays._fields[0] == "symbol"
