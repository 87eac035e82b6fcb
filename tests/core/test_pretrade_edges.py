"""Each control alone, at the last value that it takes and the first that it does not; nothing else is asked.

The limits are so wide here that only what makes a value one, or the one limit that a row names, can deny.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest

from workbench.core.orders import TIMES_IN_FORCE, WITH_LIMIT, WITH_STOP
from workbench.core.pretrade import (
    AccountValues,
    DenialCode,
    FlowValues,
    LimitValues,
    MarketValues,
    OrderValues,
    RecentValues,
)
from workbench.core.pretrade.account import (
    check_account,
    check_first_notional,
    check_first_orders,
    check_first_symbols,
    check_shortfall,
    check_symbol_loss,
    is_new_desk,
    session_loss_micro,
)
from workbench.core.pretrade.exposure import check_net, check_open_symbols, check_position, check_sector
from workbench.core.pretrade.market import (
    check_cost,
    check_crossed,
    check_hours,
    check_jump,
    check_quote,
    check_symbol,
    check_volatility,
)
from workbench.core.pretrade.price import check_order, check_price, check_price_move
from workbench.core.pretrade.rate import (
    check_disabled,
    check_rate,
    check_rate_stop,
    check_self_match,
    check_working_orders,
)
from workbench.core.pretrade.size import check_size, check_window_notional, check_window_shares
from workbench.core.pretrade.values import (
    added_shares,
    adds_risk,
    is_open,
    is_quoted,
    is_reduction,
    mid_micro,
    ordered_micro,
    sane_position,
    worst_position,
    worst_price_micro,
)
from workbench.core.types import NANO, OrderType, TimeInForce

HOUR = 3_600 * NANO
PRICE, SHARES, MONEY = 10**12, 10**9, 10**18  # the largest price, quantity and amount that a record can hold
USUAL = 100_000_000
WIDE = LimitValues(*[1e30] * len(LimitValues._fields))._replace(allow_short=1.0)
PARTS: dict[str, Any] = {
    "order": OrderValues(1, 100, 1, USUAL, USUAL, 300, 0, 0),
    "market": MarketValues(USUAL, 0, USUAL, USUAL, 0, 1, 0, 0, 0, 0, 1e6),
    "recent": RecentValues(100.0, USUAL, USUAL, 0, 0, 0, 0, 0, 0, 0, 0.0),
    "account": AccountValues(
        MONEY, MONEY, MONEY, MONEY, 0.0, 0.0, 0.0, 0, 10 * HOUR, 9 * HOUR, 16 * HOUR
    ),
    "flow": FlowValues(0.0, 0.0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    "limits": WIDE,
    "worst_price": float(USUAL),
    "adv_shares": 1e6,
    "order_type": 1,
    "time_in_force": 0,
}  # fmt: skip
SALE = {"side": -1}
COVER = {"side": 1, "position_shares": -100}
EXIT = {"side": -1, "position_shares": 100}
LOST = {"position_shares": 10, "session_shares": 0}


def ask(kernel: Callable[..., Any], changes: dict[str, Any]) -> Any:
    """What the kernel says of the usual order with these values changed, wherever they stand."""
    rest = dict(changes)
    arguments = {}
    for name in inspect.signature(inspect.unwrap(kernel)).parameters:
        part = PARTS[name]
        if isinstance(part, tuple):
            part = part._replace(**{key: rest.pop(key) for key in list(rest) if key in part._fields})  # type: ignore[attr-defined]
        arguments[name] = rest.pop(name, part)
    assert not rest, f"{inspect.unwrap(kernel).__name__} does not look at {rest}"
    return inspect.unwrap(kernel)(*arguments.values())  # both forms give the same: test_pretrade.py


def codes(bits: int) -> str:
    return " ".join(sorted(code.name or "" for code in DenialCode if bits & code))


def up(value: float) -> float:
    return math.nextafter(value, math.inf)


def down(value: float) -> float:
    return math.nextafter(value, -math.inf)


# kernel, what it says, values that it takes, values that it denies for exactly these reasons
EDGES: list[tuple[Any, str, list[dict[str, Any]], list[dict[str, Any]]]] = [
    (check_symbol, "NOT_TRADABLE", [{"tradable": 1}], [{"tradable": 0}, {"tradable": 2}]),
    (check_symbol, "FROZEN", [{}], [{"frozen": 1}, {"frozen": -1}]),
    (check_symbol, "RESTRICTED", [{}], [{"restricted": 1}, {"restricted": -1}]),
    (check_symbol, "DUPLICATE", [{}], [{"duplicate": 1}, {"duplicate": -1}]),
    (check_symbol, "DUPLICATE FROZEN NOT_TRADABLE RESTRICTED", [],
     [{"tradable": 0, "frozen": 1, "restricted": 1, "duplicate": 1}]),
    # --- quotes
    (check_quote, "QUOTE_STALE", [{"quote_age_ns": 0}, {"quote_age_ns": 5, "max_quote_age_ns": 5.0}],
     [{"quote_age_ns": -1}, {"quote_age_ns": 5, "max_quote_age_ns": down(5.0)}]),
    (check_quote, "QUOTED_SPREAD QUOTE_MISSING",
     [{"bid_micro": 1, "ask_micro": 1}, {"bid_micro": PRICE, "ask_micro": PRICE}],
     [{"bid_micro": 0}, {"bid_micro": -1}, {"bid_micro": USUAL + 1},
      {"bid_micro": PRICE, "ask_micro": PRICE + 1}]),
    (check_quote, "QUOTED_SPREAD QUOTE_MISSING QUOTE_STALE", [], [{"bid_micro": 0, "quote_age_ns": -1}]),
    (check_quote, "QUOTED_SPREAD", [{"bid_micro": 99, "ask_micro": 101, "max_spread_bps": 200.0}],
     [{"bid_micro": 99, "ask_micro": 101, "max_spread_bps": down(200.0)}]),
    (check_crossed, "QUOTE_CROSSED",
     [{}, {"bid_micro": 1}, {"bid_micro": PRICE, "ask_micro": PRICE}],
     [{"bid_micro": 0}, {"bid_micro": USUAL + 1}, {"ask_micro": PRICE + 1}]),
    *(
        (check, code, [
            {key: 1, "bid_micro": 1, "ask_micro": 1}, {key: PRICE, "bid_micro": PRICE, "ask_micro": PRICE},
            {key: 100, "bid_micro": 101, "ask_micro": 101, limit: 100.0},
            {key: 100, "bid_micro": 98, "ask_micro": 100, limit: 100.0},
        ], [
            {key: 0}, {key: -1}, {key: PRICE + 1, "bid_micro": PRICE, "ask_micro": PRICE}, {"bid_micro": 0},
            {key: 100, "bid_micro": 101, "ask_micro": 101, limit: down(100.0)},
            {key: 100, "bid_micro": 98, "ask_micro": 100, limit: down(100.0)},
        ])
        for check, code, key, limit in (
            (check_jump, "QUOTE_JUMP", "previous_mid_micro", "max_quote_jump_bps"),
            (check_price_move, "PRICE_MOVE", "window_price_micro", "max_price_move_bps"),
        )
    ),
    (check_volatility, "VOLATILITY", [
        {"volatility_bps": 0.5}, {"volatility_bps": down(1e5)}, EXIT | {"volatility_bps": 0.0},
        {"price_micro": PRICE}, {"price_micro": 1, "bid_micro": 1, "ask_micro": 1},
        {"price_micro": 100, "bid_micro": 101, "ask_micro": 101, "volatility_bps": 50.0,
        "max_volatility_multiple": 2.0},
        {"price_micro": 100, "bid_micro": 99, "ask_micro": 99, "volatility_bps": 50.0,
        "max_volatility_multiple": 2.0},
    ], [
        {"volatility_bps": 0.0}, {"volatility_bps": -0.5}, {"volatility_bps": 1e5}, {"bid_micro": 0},
        {"price_micro": PRICE + 1}, {"price_micro": 0}, {"price_micro": -1},
        {"price_micro": 100, "bid_micro": 101, "ask_micro": 101, "volatility_bps": 50.0,
         "max_volatility_multiple": down(2.0)},
        {"price_micro": 100, "bid_micro": 99, "ask_micro": 99, "volatility_bps": 50.0,
         "max_volatility_multiple": down(2.0)},
    ]),
    # --- cost
    (check_cost, "COST_MISSING EXPECTED_COST", [{"expected_cost_micro": 1},
     EXIT | {"expected_cost_micro": 0}],
     [{"expected_cost_micro": 0}, {"expected_cost_micro": -1}]),
    (check_cost, "EXPECTED_COST", [{"expected_cost_micro": 700, "max_cost_bps": 7.0}],
     [{"expected_cost_micro": 700, "max_cost_bps": down(7.0)}]),
    # --- price
    (check_price, "PRICE_COLLAR PRICE_MISSING", [
        {"price_micro": PRICE, "reference_micro": PRICE},
        {"price_micro": 1, "reference_micro": 1},
    ], [
        {"price_micro": 0}, {"price_micro": -1}, {"price_micro": PRICE + 1}, {"reference_micro": 0},
        {"reference_micro": -1}, {"reference_micro": PRICE + 1}, {"price_micro": 0, "bid_micro": 0},
    ]),
    (check_price, "PRICE_STALE", [{"bar_age_sessions": 3, "max_bar_age_sessions": 3.0}],
     [{"bar_age_sessions": 3, "max_bar_age_sessions": down(3.0)}, {"bar_age_sessions": -1}]),
    (check_price, "PRICE_COLLAR", [
        *({"price_micro": 100, "limit_micro": 0, "reference_micro": 100, "bid_micro": 100, "ask_micro": 100,
           key: 100 + away, "max_collar_bps": 100.0}
          for key in ("reference_micro", "limit_micro", "stop_micro") for away in (-1, 1)),
        {"price_micro": 101, "reference_micro": 101, "limit_micro": 0, "bid_micro": 99, "ask_micro": 101,
         "max_collar_bps": 100.0},
        {"price_micro": 99, "reference_micro": 99, "limit_micro": 0, "bid_micro": 98, "ask_micro": 102,
         "max_collar_bps": 100.0},
        {"bid_micro": PRICE, "ask_micro": PRICE}, {"bid_micro": 1, "ask_micro": 1},
    ], [
        *({"price_micro": 100, "limit_micro": 0, "reference_micro": 100, "bid_micro": 100, "ask_micro": 100,
           key: 100 + away, "max_collar_bps": down(100.0)}
          for key in ("reference_micro", "limit_micro", "stop_micro") for away in (-1, 1)),
        {"price_micro": 101, "reference_micro": 101, "limit_micro": 0, "bid_micro": 99, "ask_micro": 101,
         "max_collar_bps": down(100.0)},
        {"price_micro": 99, "reference_micro": 99, "limit_micro": 0, "bid_micro": 98, "ask_micro": 102,
         "max_collar_bps": down(100.0)},
        {"limit_micro": 1, "max_collar_bps": 9_000.0}, {"stop_micro": 1, "max_collar_bps": 9_000.0},
        {"bid_micro": 0}, {"bid_micro": -1}, {"bid_micro": USUAL + 1}, {"ask_micro": PRICE + 1},
    ]),
    # --- hours
    (check_hours, "SESSION_HOURS", [
        {"session_open_ns": 1, "session_close_ns": 2, "now_ns": 1},
        {"session_open_ns": 1, "session_close_ns": 24 * HOUR + 1, "now_ns": 24 * HOUR},
        {"now_ns": 3 * HOUR}, {"now_ns": 16 * HOUR - 1},
        *({"order_type": kind, "now_ns": 3 * HOUR} for kind in (1, 2, 3, 4, 5)),
        {"order_type": 2, "now_ns": 9 * HOUR - 120 * NANO - 1},
        {"order_type": 3, "now_ns": 16 * HOUR - 600 * NANO - 1},
        {"order_type": 0, "now_ns": 9 * HOUR}, {"time_in_force": 2, "now_ns": 9 * HOUR},
        {"time_in_force": 3, "now_ns": 9 * HOUR}, {"time_in_force": 1, "now_ns": 3 * HOUR},
    ], [
        {"session_open_ns": 0}, {"session_open_ns": -1},
        {"session_open_ns": 5, "session_close_ns": 5, "now_ns": 4},
        {"session_open_ns": 5, "session_close_ns": 4, "now_ns": 3},
        {"session_open_ns": 1, "session_close_ns": 24 * HOUR + 2, "now_ns": 24 * HOUR},
        {"now_ns": 3 * HOUR - 1}, {"now_ns": 16 * HOUR},
        {"order_type": 2, "now_ns": 9 * HOUR - 120 * NANO},
        {"order_type": 3, "now_ns": 16 * HOUR - 600 * NANO},
        {"order_type": 0, "now_ns": 9 * HOUR - 1}, {"time_in_force": 2, "now_ns": 9 * HOUR - 1},
        {"time_in_force": 3, "now_ns": 9 * HOUR - 1}, {"order_type": -1}, {"order_type": 6},
    ]),
    # --- size
    (check_size, "QUANTITY", [{"shares": 7, "max_order_shares": 7.0}], [{"shares": 7,
     "max_order_shares": down(7.0)}]),
    (check_size, "NOTIONAL PARTICIPATION QUANTITY", [{"shares": 1}], [{"shares": 0}, {"shares": -1}]),
    (check_size, "NOTIONAL", [{"shares": 7, "worst_price": 0.5, "max_order_notional": 3.5}],
     [{"worst_price": 0.0}, {"worst_price": -1.0},
      {"shares": 7, "worst_price": 0.5, "max_order_notional": down(3.5)}]),
    (check_size, "PARTICIPATION",
     [{"adv_shares": 0.5}, {"adv_shares": down(1e15)},
      {"shares": 1, "adv_shares": 4.0, "max_participation": 0.25}],
     [{"adv_shares": 0.0}, {"adv_shares": -0.5}, {"adv_shares": 1e15},
      {"shares": 1, "adv_shares": 4.0, "max_participation": down(0.25)}]),
    (check_window_shares, "WINDOW_SHARES",
     [{"shares": SHARES, "window_shares": SHARES}, {"shares": 1},
      {"shares": 2, "window_shares": 3, "max_window_shares": 5.0}],
     [{"shares": SHARES + 1}, {"window_shares": SHARES + 1}, {"window_shares": -1}, {"shares": 0},
      {"shares": -1},
      {"shares": 2, "window_shares": 3, "max_window_shares": down(5.0)}]),
    (check_window_notional, "WINDOW_NOTIONAL",
     [{"window_notional_micro": MONEY}, {"worst_price": 0.5}, {"shares": 1},
      {"shares": 2, "worst_price": 3.0, "window_notional_micro": 4, "max_window_notional": 10.0}],
     [{"window_notional_micro": MONEY + 1}, {"window_notional_micro": -1}, {"worst_price": 0.0},
      {"worst_price": -0.5},
      {"shares": 0}, {"shares": -1},
      {"shares": 2, "worst_price": 3.0, "window_notional_micro": 4, "max_window_notional": down(10.0)}]),
    # --- rate
    (check_rate, "RATE", [{"messages_last_minute": 0, "max_orders_per_minute": 1.0}],
     [{"messages_last_minute": 0, "max_orders_per_minute": down(1.0)}, {"messages_last_minute": -1}]),
    (check_rate_stop, "RATE_STOP", [{"attempts_last_minute": 0, "stop_messages_per_minute": 1.0}],
     [{"attempts_last_minute": 0, "stop_messages_per_minute": down(1.0)}, {"attempts_last_minute": -1}]),
    (check_disabled, "SYMBOL_DISABLED", [{}], [{"disabled": 1}, {"disabled": -1}]),
    (check_working_orders, "WORKING_ORDERS", [{"working_orders": 0, "max_working_orders": 1.0}],
     [{"working_orders": 0, "max_working_orders": down(1.0)}, {"working_orders": -1}]),
    (check_self_match, "SELF_MATCH", [
        {}, SALE, {"own_buy_micro": PRICE}, SALE | {"own_sell_micro": PRICE},
        {"own_sell_micro": USUAL + 1, "open_sell_shares": 1}, SALE | {"own_buy_micro": USUAL - 1,
        "open_buy_shares": 1},
        {"order_type": 5, "own_sell_micro": USUAL + 1}, {"own_sell_micro": PRICE},
        {"open_buy_shares": 1}, SALE | {"open_sell_shares": 1},
        {"order_type": 0, "limit_micro": 0}, SALE | {"order_type": 4, "limit_micro": 0},
        {"limit_micro": 1, "own_sell_micro": 2},
    ], [
        {"side": 0}, {"side": 2}, {"side": -2}, {"own_buy_micro": -1}, {"own_sell_micro": -1},
        {"own_buy_micro": PRICE + 1}, {"own_sell_micro": PRICE + 1},
        {"own_sell_micro": USUAL},
        {"own_sell_micro": 1}, SALE | {"own_buy_micro": USUAL}, SALE | {"own_buy_micro": PRICE},
        {"order_type": 5, "own_sell_micro": USUAL}, {"open_sell_shares": 1}, {"open_sell_shares": -1},
        SALE | {"open_buy_shares": 1}, {"order_type": 0, "limit_micro": 0, "own_sell_micro": PRICE},
        SALE | {"order_type": 4, "limit_micro": 0, "own_buy_micro": 1},
        SALE | {"limit_micro": 1, "own_buy_micro": 1}, SALE | {"order_type": 5, "own_buy_micro": USUAL},
    ]),
    # --- exposure
    (check_position, "GROSS POSITION POSITION_NOTIONAL SHORT", [
        {"shares": SHARES}, {"position_shares": SHARES}, {"position_shares": -SHARES},
        {"open_buy_shares": SHARES},
        {"open_sell_shares": SHARES}, {"shares": 1}, {"gross_micro": 0.0},
    ], [
        {"shares": SHARES + 1}, {"shares": 0}, {"shares": -1}, {"position_shares": SHARES + 1},
        {"position_shares": -SHARES - 1}, {"open_buy_shares": SHARES + 1}, {"open_buy_shares": -1},
        {"open_sell_shares": SHARES + 1}, {"open_sell_shares": -1},
    ]),
    (check_position, "SHORT", [
        EXIT | {"allow_short": 0.0}, {"allow_short": 0.0}, SALE,
        EXIT | {"allow_short": 0.0, "position_shares": 150, "open_sell_shares": 50},
    ], [
        SALE | {"allow_short": 0.0}, EXIT | {"allow_short": 0.0, "position_shares": 99},
        EXIT | {"allow_short": 0.0, "position_shares": 150, "open_sell_shares": 51},
        SALE | {"allow_short": 2.0},
    ]),
    (check_position, "POSITION", [
        {"position_shares": 5, "open_buy_shares": 3, "shares": 7, "max_position_shares": 15.0},
        SALE | {"position_shares": -5, "open_sell_shares": 3, "shares": 7, "max_position_shares": 15.0},
        EXIT | {"max_position_shares": 1.0}, COVER | {"max_position_shares": 1.0},
    ], [
        {"position_shares": 5, "open_buy_shares": 3, "shares": 7, "max_position_shares": down(15.0)},
        SALE | {"position_shares": -5, "open_sell_shares": 3, "shares": 7, "max_position_shares": down(15.0)},
        EXIT | {"position_shares": 99, "max_position_shares": 98.0},
    ]),
    (check_position, "POSITION_NOTIONAL", [
        {"shares": 7, "worst_price": 0.5, "max_position_notional": 3.5},
        SALE | {"shares": 7, "worst_price": 0.5, "max_position_notional": 3.5},
    ], [
        {"shares": 7, "worst_price": 0.5, "max_position_notional": down(3.5)},
        SALE | {"shares": 7, "worst_price": 0.5, "max_position_notional": down(3.5)},
    ]),
    (check_position, "GROSS POSITION_NOTIONAL", [{"worst_price": 0.5}], [{"worst_price": 0.0},
     {"worst_price": -0.5}]),
    (check_position, "GROSS", [
        {"shares": 7, "worst_price": 0.5, "gross_micro": 4.0, "max_gross_notional": 7.5},
        # the worse side is the short one: of what is bought only what exceeds it counts
        {"position_shares": -4, "shares": 7, "worst_price": 0.5, "gross_micro": 4.0,
        "max_gross_notional": 4.0},
        {"position_shares": -4, "shares": 9, "worst_price": 0.5, "gross_micro": 4.0,
        "max_gross_notional": 4.5},
    ], [
        {"shares": 7, "worst_price": 0.5, "gross_micro": 4.0, "max_gross_notional": down(7.5)},
        {"position_shares": -4, "shares": 9, "worst_price": 0.5, "gross_micro": 4.0,
        "max_gross_notional": down(4.5)},
        {"gross_micro": -0.5}, {"gross_micro": -1.0},
    ]),
    (check_net, "NET_EXPOSURE", [
        {"net_long_micro": float(MONEY)},
        {"net_long_micro": -float(MONEY)}, SALE | {"net_short_micro": float(MONEY)},
        SALE | {"net_short_micro": -float(MONEY)}, {"shares": SHARES}, {"shares": 1}, {"worst_price": 0.5},
        {"shares": 7, "worst_price": 0.5, "net_long_micro": 4.0, "max_net_notional": 7.5},
        SALE | {"shares": 7, "worst_price": 0.5, "net_short_micro": -4.0, "max_net_notional": 7.5},
        EXIT | {"max_net_notional": 0.5}, {"net_short_micro": math.nan}, SALE | {"net_long_micro": math.nan},
    ], [
        {"net_long_micro": up(float(MONEY))}, {"net_long_micro": -up(float(MONEY))},
        SALE | {"net_short_micro": -up(float(MONEY))}, {"shares": SHARES + 1}, {"shares": 0}, {"shares": -1},
        {"worst_price": 0.0}, {"worst_price": -0.5},
        {"net_long_micro": math.nan}, SALE | {"net_short_micro": math.nan},
        {"shares": 7, "worst_price": 0.5, "net_long_micro": 4.0, "max_net_notional": down(7.5)},
        SALE | {"shares": 7, "worst_price": 0.5, "net_short_micro": -4.0, "max_net_notional": down(7.5)},
    ]),
    (check_sector, "SECTOR_EXPOSURE", [
        {"sector_micro": 0.0}, {"worst_price": 0.5}, EXIT | {"sector_micro": math.nan},
        {"open_buy_shares": SHARES},
        {"shares": 7, "worst_price": 0.5, "sector_micro": 4.0, "max_sector_notional": 7.5},
    ], [
        {"sector_micro": -0.5}, {"sector_micro": math.nan}, {"worst_price": 0.0}, {"worst_price": -0.5},
        {"open_buy_shares": SHARES + 1}, {"open_sell_shares": -1},
        {"shares": 7, "worst_price": 0.5, "sector_micro": 4.0, "max_sector_notional": down(7.5)},
    ]),
    (check_open_symbols, "OPEN_SYMBOLS", [
        {"open_symbols": 0, "max_open_symbols": 1.0}, {"open_symbols": SHARES},
        {"open_symbols": 5, "max_open_symbols": 1.0, "position_shares": -1},
        {"open_symbols": 5, "max_open_symbols": 1.0, "open_buy_shares": 1},
        {"open_symbols": 5, "max_open_symbols": 1.0, "open_sell_shares": 1},
    ], [
        {"open_symbols": 0, "max_open_symbols": down(1.0)}, {"open_symbols": -1},
        {"open_symbols": SHARES + 1},
        {"open_symbols": -1, "position_shares": 1}, {"position_shares": SHARES + 1},
    ]),
    # --- account
    (check_account, "ACCOUNT_MISSING SESSION_LOSS", [
        {"equity_micro": 1}, {"session_start_equity_micro": 1},
    ], [
        {"equity_micro": 0}, {"equity_micro": -1}, {"equity_micro": MONEY + 1},
        {"session_start_equity_micro": 0},
        {"session_start_equity_micro": -1}, {"session_start_equity_micro": MONEY + 1},
        {"cash_micro": MONEY + 1},
    ]),
    (check_account, "ACCOUNT_MISSING BUYING_POWER SESSION_LOSS", [], [{"cash_micro": -MONEY - 1}]),
    (check_account, "ACCOUNT_MISSING", [EXIT | {"cash_micro": -MONEY}, EXIT | {"cash_micro": MONEY}],
     [EXIT | {"cash_micro": -MONEY - 1}, EXIT | {"cash_micro": MONEY + 1}, EXIT | {"equity_micro": 0}]),
    (check_account, "ACCOUNT_MISSING BUYING_POWER", [], [EXIT | {"equity_micro": 0,
     "buying_power_micro": -1}]),
    (check_account, "SESSION_LOSS", [
        {"session_start_equity_micro": 10, "equity_micro": 7, "max_session_loss": up(3.0)},
        EXIT | {"session_start_equity_micro": 10, "equity_micro": 7, "max_session_loss": 3.0},
    ], [{"session_start_equity_micro": 10, "equity_micro": 7, "max_session_loss": 3.0}]),
    (check_account, "BUYING_POWER", [
        EXIT | {"buying_power_micro": 0},
        {"shares": 2, "worst_price": 3.0, "used_micro": 4.0, "buying_power_micro": 10},
        {"shares": 2, "worst_price": 3.0, "used_micro": 4.0, "cash_micro": 15, "reserved_micro": 5.0},
        {"shares": 1, "worst_price": 0.5, "cash_micro": 1, "reserved_micro": 0.5},
        {"shares": 1, "worst_price": 0.5, "buying_power_micro": MONEY}, EXIT | {"cash_micro": 0,
        "worst_price": -1.0},
    ], [
        {"buying_power_micro": -1}, {"buying_power_micro": MONEY + 1}, EXIT | {"buying_power_micro": -1},
        {"buying_power_micro": 0},
        {"shares": 2, "worst_price": 3.0, "used_micro": 4.0, "buying_power_micro": 9},
        {"shares": 2, "worst_price": 3.0, "used_micro": 4.0, "cash_micro": 14, "reserved_micro": 5.0},
        {"worst_price": 0.0}, {"worst_price": -0.5}, {"shares": 0, "cash_micro": 0},
        {"shares": 0, "cash_micro": -1, "used_micro": -5.0},
        {"shares": 0, "worst_price": 1.0, "cash_micro": 0},
    ]),
    (check_symbol_loss, "SYMBOL_LOSS", [
        LOST | {"price_micro": 100, "bid_micro": 97, "ask_micro": 97, "max_symbol_loss": up(30.0)},
        EXIT | {"bid_micro": 0},
    ], [
        LOST | {"price_micro": 100, "bid_micro": 97, "ask_micro": 97, "max_symbol_loss": 30.0},
        {"bid_micro": 0},
    ]),
    (check_shortfall, "SHORTFALL", [
        {"shortfall_micro": MONEY}, {"shortfall_micro": -MONEY},
        {"shortfall_micro": 5, "max_session_shortfall": up(5.0)},
        EXIT | {"shortfall_micro": MONEY + 1},
    ], [
        {"shortfall_micro": MONEY + 1}, {"shortfall_micro": -MONEY - 1},
        {"shortfall_micro": 5, "max_session_shortfall": 5.0},
    ]),
    (check_first_symbols, "FIRST_SYMBOLS", [
        {"session_symbols": 0, "first_max_symbols": 1.0},
        {"session_symbols": 1, "symbol_orders": 1, "first_max_symbols": 1.0},
        {"session_symbols": SHARES}, {"symbol_orders": SHARES}, {"session_symbols": 5, "first_sessions": 3.0,
                                                               "closed_sessions": 3,
                                                               "first_max_symbols": 1.0},
        EXIT | {"session_symbols": -1}, {"closed_sessions": SHARES},
    ], [
        {"session_symbols": 0, "first_max_symbols": down(1.0)}, {"session_symbols": SHARES + 1},
        {"session_symbols": -1},
        {"symbol_orders": SHARES + 1}, {"symbol_orders": -1}, {"closed_sessions": -1},
        {"closed_sessions": SHARES + 1},
        {"session_symbols": 5, "first_sessions": 3.0, "closed_sessions": 2, "first_max_symbols": 1.0},
        {"first_sessions": 0.0}, {"first_sessions": -0.5}, {"first_sessions": math.nan},
        {"session_symbols": 1, "symbol_orders": 1, "first_max_symbols": down(1.0)},
    ]),
    (check_first_orders, "FIRST_ORDERS", [
        {"session_orders": 0, "first_max_orders": 1.0},
        {"session_orders": SHARES}, EXIT | {"session_orders": -1},
        {"session_orders": 5, "first_sessions": 0.5, "closed_sessions": 1, "first_max_orders": 1.0},
    ], [
        {"session_orders": 0, "first_max_orders": down(1.0)}, {"session_orders": -1},
        {"session_orders": SHARES + 1},
        {"closed_sessions": -1}, {"first_sessions": 0.0},
    ]),
    (check_first_notional, "FIRST_NOTIONAL", [
        {"shares": 2, "worst_price": 3.0, "session_notional_micro": 4, "first_max_notional": 10.0},
        {"session_notional_micro": MONEY}, {"worst_price": 0.5},
        {"shares": 1}, EXIT | {"session_notional_micro": -1},
        {"session_notional_micro": 4, "first_max_notional": 1.0, "first_sessions": 3.0, "closed_sessions": 3},
    ], [
        {"shares": 2, "worst_price": 3.0, "session_notional_micro": 4, "first_max_notional": down(10.0)},
        {"session_notional_micro": MONEY + 1}, {"session_notional_micro": -1}, {"worst_price": 0.0},
        {"worst_price": -0.5}, {"shares": 0}, {"shares": -1}, {"closed_sessions": -1},
    ]),
]  # fmt: skip


def named(row: tuple[Any, str, Any, Any]) -> str:
    return f"{inspect.unwrap(row[0]).__name__}: {row[1]}"


@pytest.mark.parametrize("row", EDGES, ids=named)
def test_a_control_takes_the_last_value_and_denies_the_next(row: tuple[Any, str, Any, Any]) -> None:
    kernel, reasons, taken, denied = row
    assert [codes(ask(kernel, values)) for values in taken] == [""] * len(taken)
    assert [codes(ask(kernel, values)) for values in denied] == [reasons] * len(denied)


def test_an_order_has_the_prices_and_the_life_of_its_type() -> None:
    """Against the table of the orders themselves, for every side, type, time in force and pair of prices."""
    prices = (-10_000, 0, 10_000, 10_001, PRICE, PRICE + 10_000)
    for side, kind, tif, limit, stop in itertools.product(
        (-2, -1, 0, 1, 2), range(-1, 7), range(-1, 5), prices, prices
    ):
        good = side in (-1, 1) and kind in list(OrderType) and tif in list(TimeInForce)
        if good:
            good = TimeInForce(tif) in TIMES_IN_FORCE[OrderType(kind)]
            good &= (limit in (10_000, PRICE)) if OrderType(kind) in WITH_LIMIT else limit == 0
            good &= (stop in (10_000, PRICE)) if OrderType(kind) in WITH_STOP else stop == 0
        changes = {
            "side": side,
            "order_type": kind,
            "time_in_force": tif,
            "limit_micro": limit,
            "stop_micro": stop,
        }
        order = PARTS["order"]._replace(**changes)
        assert codes(check_order(order, PARTS["market"])) == ("" if good else "ORDER_TYPE"), changes


# --- what the controls compute -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 1e8), ({"limit_micro": 1}, 1.0), ({"limit_micro": PRICE}, 1e12), ({"limit_micro": 0}, -1.0),
        ({"limit_micro": PRICE + 1}, -1.0), ({"limit_micro": -1}, -1.0), ({"order_type": 5}, 1e8),
        (SALE | {"limit_micro": 90}, 1e8), (SALE | {"limit_micro": 2 * USUAL}, 2e8), ({"price_micro": 0},
         -1.0),
        ({"price_micro": -1}, -1.0), ({"price_micro": PRICE + 1}, -1.0), ({"price_micro": PRICE}, 1e8),
        ({"price_micro": 1}, 1e8), ({"reference_micro": 0}, -1.0), ({"reference_micro": -1}, -1.0),
        ({"reference_micro": 1}, 1e8), ({"reference_micro": PRICE}, 1e8), ({"reference_micro": PRICE + 1},
         -1.0),
        ({"order_type": 5, "limit_micro": 7, "stop_micro": 0}, 7.0),
        ({"order_type": 0, "limit_micro": 0}, 1.05e8), ({"order_type": 0, "reference_micro": 100,
         "price_micro": 200}, 210.0),
        ({"order_type": 0, "reference_micro": 200, "price_micro": 100}, 210.0),
        ({"order_type": 0, "stop_micro": 5 * USUAL}, 1.05e8),
        ({"order_type": 4, "stop_micro": 2 * USUAL}, 2.1e8), ({"order_type": 4, "stop_micro": 1}, 1.05e8),
        ({"order_type": 4, "stop_micro": PRICE}, 1.05e12), ({"order_type": 4, "stop_micro": PRICE + 1}, -1.0),
        ({"order_type": 4, "stop_micro": 0}, -1.0), ({"order_type": 4, "stop_micro": -1}, -1.0),
    ],
)  # fmt: skip
def test_the_worst_price_of_an_order(changes: dict[str, int], expected: float) -> None:
    assert ask(worst_price_micro, changes) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 10**10), ({"shares": 1, "limit_micro": 1}, 1), ({"shares": 0}, -1), ({"shares": -1}, -1),
        ({"shares": SHARES, "limit_micro": 10**9}, MONEY), ({"shares": SHARES, "limit_micro": 10**9 + 1}, -1),
        ({"shares": SHARES + 1, "limit_micro": 1}, -1), ({"limit_micro": 0}, -1), ({"limit_micro": -1}, -1),
        ({"shares": 1, "limit_micro": 2 * PRICE}, 2 * PRICE), ({"shares": 1, "limit_micro": 2 * PRICE + 1},
         -1),
        ({"order_type": 5, "limit_micro": 3, "stop_micro": USUAL}, 300), ({"order_type": 0,
         "reference_micro": 200}, 21_000),
        ({"order_type": 4, "reference_micro": 200, "stop_micro": 400}, 42_000),
        ({"order_type": 4, "reference_micro": 400, "stop_micro": 200}, 42_000), ({"order_type": 0,
         "reference_micro": 0}, -1),
    ],
)  # fmt: skip
def test_what_an_order_is_worth_by_itself(changes: dict[str, int], expected: int) -> None:
    value = ask(ordered_micro, changes)
    assert value == expected
    assert int(value) == value


@pytest.mark.parametrize(
    ("side", "shares", "held", "buys", "sells", "reduces"),
    [
        (-1, 5, 5, 0, 0, True), (-1, 5, 4, 0, 0, False), (-1, 5, 7, 0, 2, True), (-1, 5, 7, 0, 3, False),
        (-1, 5, 5, 9, 0, True), (1, 5, -5, 0, 0, True), (1, 5, -4, 0, 0, False), (1, 5, -7, 2, 0, True),
        (1, 5, -7, 3, 0, False), (1, 5, -5, 0, 9, True), (0, 5, -5, 0, 0, False), (0, 5, 5, 0, 0, False),
        (2, 5, -5, 0, 0, False), (-2, 5, 5, 0, 0, False), (-1, 0, 5, 0, 0, False), (-1, -1, 5, 0, 0, False),
        (-1, 1, 5, 0, 0, True), (-1, SHARES, SHARES, 0, 0, True), (-1, SHARES + 1, SHARES, 0, 0, False),
        (-1, 5, SHARES + 1, 0, 0, False), (1, 5, -SHARES - 1, 0, 0, False), (1, 5, -SHARES, 0, 0, True),
        (-1, 5, 5, -1, 0, False), (-1, 5, 9, 0, -1, False), (-1, 5, 5, SHARES, 0, True),
        (-1, 5, 5, SHARES + 1, 0, False), (1, 5, -5, 0, SHARES, True), (1, 5, -5, 0, SHARES + 1, False),
    ],
)  # fmt: skip
def test_a_reduction_only_brings_a_position_nearer_to_zero(
    side: int, shares: int, held: int, buys: int, sells: int, reduces: bool
) -> None:
    where = {"position_shares": held, "open_buy_shares": buys, "open_sell_shares": sells}
    changes = {"side": side, "shares": shares, **where}
    assert ask(is_reduction, changes) is reduces
    assert ask(adds_risk, changes) is not reduces
    inside = abs(held) <= SHARES and 0 <= buys <= SHARES and 0 <= sells <= SHARES
    assert ask(sane_position, where) is inside
    assert ask(is_open, where) is bool(held or buys or sells)


def test_the_worse_side_of_a_position() -> None:
    market = PARTS["market"]._replace(position_shares=10, open_buy_shares=3, open_sell_shares=40)
    assert worst_position(market, 0, 0) == 30
    assert worst_position(market, 18, 0) == 31
    assert worst_position(market, 0, 5) == 35
    order = PARTS["order"]
    assert added_shares(order._replace(shares=18), market) == 1
    assert added_shares(order._replace(shares=17), market) == 0
    assert added_shares(order._replace(side=-1, shares=5), market) == 5
    quote = market._replace(bid_micro=3, ask_micro=6)
    assert mid_micro(quote) == 4.5
    assert is_quoted(quote)


LOSS = {"price_micro": 100, "bid_micro": 90, "ask_micro": 92, "position_shares": 10}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 90.0),  # ten that were held lost nine each
        ({"session_shares": 4, "session_paid_micro": 380}, 70.0),  # six at 100 and four for 380, now 910
        ({"session_shares": -4, "session_paid_micro": -500}, -10.0),  # fourteen at 100, four sold for 500
        ({"position_shares": -10}, -90.0), ({"price_micro": PRICE, "bid_micro": PRICE, "ask_micro": PRICE},
         0.0),
        ({"session_shares": SHARES, "session_paid_micro": MONEY, "position_shares": 0}, 10.0**18 - 10.0**11),
        ({"session_shares": -SHARES, "session_paid_micro": -MONEY, "position_shares": 0},
         10.0**11 - 10.0**18),
        ({"price_micro": 1, "position_shares": 0}, 0.0),
    ],
)  # fmt: skip
def test_what_a_symbol_lost_in_the_session(changes: dict[str, int], expected: float) -> None:
    assert ask(session_loss_micro, LOSS | changes) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"bid_micro": 0}, {"price_micro": 0}, {"price_micro": -1}, {"price_micro": PRICE + 1},
        {"position_shares": SHARES + 1}, {"session_shares": SHARES + 1}, {"session_shares": -SHARES - 1},
        {"session_paid_micro": MONEY + 1}, {"session_paid_micro": -MONEY - 1},
    ],
)  # fmt: skip
def test_what_a_symbol_lost_is_not_known_without_all_of_it(changes: dict[str, int]) -> None:
    assert math.isnan(ask(session_loss_micro, LOSS | changes))


def test_a_desk_is_new_until_enough_sessions_are_behind_it() -> None:
    assert [ask(is_new_desk, {"closed_sessions": n, "first_sessions": 3.0}) for n in (-1, 0, 2, 3, 4)] == [
        True, True, True, False, False,
    ]  # fmt: skip
