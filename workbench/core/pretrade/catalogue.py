"""Every control in one table: its code, the limits that set it, the kernel that judges, what is measured.

A new control is a kernel in the file of its section, a line in `judge_order`, a denial code and a row here;
`docs/how-to/add-a-control.md` walks through it, and a test walks through this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workbench.core.pretrade import account, exposure, market, price, rate, size
from workbench.core.pretrade.codes import DenialCode

D = DenialCode


@dataclass(frozen=True)
class Control:
    """One control.

    Attributes
    ----------
    code : DenialCode
        What it denies with.
    kernel : callable
        The kernel that judges, from the file of its section.
    limits : tuple of str
        Fields of `Limits` that set it, the ceiling first; () where nothing can be set, because the control
        denies on a fact.
    rows : tuple of int
        Rows of the catalogue of controls for automated trading that it fulfils.
    """

    code: DenialCode
    kernel: Callable[..., Any]
    limits: tuple[str, ...]
    rows: tuple[int, ...]


CONTROLS: tuple[Control, ...] = (
    Control(D.ORDER_TYPE, price.check_order, (), (2,)),
    Control(D.QUANTITY, size.check_size, ("max_order_shares",), (1, 2)),
    Control(D.NOTIONAL, size.check_size, ("max_order_notional_usd",), (3,)),
    Control(D.PARTICIPATION, size.check_size, ("max_participation",), (20,)),
    Control(
        D.WINDOW_SHARES, size.check_window_shares,
        ("max_window_orders", "max_order_shares", "window_s"), (14,),
    ),
    Control(
        D.WINDOW_NOTIONAL, size.check_window_notional,
        ("max_window_turnover", "max_gross_notional_usd", "window_s"), (14,),
    ),
    Control(D.PRICE_COLLAR, price.check_price, ("price_collar_bps",), (8,)),
    Control(D.PRICE_MISSING, price.check_price, (), (9,)),
    Control(D.PRICE_STALE, price.check_price, ("max_bar_age_sessions",), (9,)),
    Control(D.PRICE_MOVE, price.check_price_move, ("max_price_move_bps", "price_move_sessions"), (8,)),
    Control(D.QUOTE_MISSING, market.check_quote, (), (9,)),
    Control(D.QUOTE_STALE, market.check_quote, ("max_quote_age_s",), (10,)),
    Control(D.QUOTED_SPREAD, market.check_quote, ("max_quoted_spread_bps",), (10,)),
    Control(D.QUOTE_CROSSED, market.check_crossed, (), (10,)),
    Control(D.QUOTE_JUMP, market.check_jump, ("max_quote_jump_bps",), (10,)),
    Control(D.VOLATILITY, market.check_volatility, ("max_volatility_multiple",), (23,)),
    Control(D.EXPECTED_COST, market.check_cost, ("max_expected_cost_bps",), (40,)),
    Control(D.COST_MISSING, market.check_cost, (), (40,)),
    Control(D.SESSION_HOURS, market.check_hours, (), (18,)),
    Control(D.NOT_TRADABLE, market.check_symbol, (), (17, 18)),
    Control(D.FROZEN, market.check_symbol, (), (32,)),
    Control(D.RESTRICTED, market.check_symbol, ("restricted",), (17,)),
    Control(D.DUPLICATE, market.check_symbol, ("duplicate_window_s",), (15,)),
    Control(D.RATE, rate.check_rate, ("max_orders_per_minute",), (12, 13)),
    Control(D.RATE_STOP, rate.check_rate_stop, ("stop_rate_multiple", "max_orders_per_minute"), (13,)),
    Control(D.SYMBOL_DISABLED, rate.check_disabled, ("max_repeated_executions", "repeat_window_s"), (11,)),
    Control(D.WORKING_ORDERS, rate.check_working_orders, ("max_working_orders",), (20,)),
    Control(D.SELF_MATCH, rate.check_self_match, (), (16,)),
    Control(D.POSITION, exposure.check_position, ("max_position_shares",), (5,)),
    Control(D.POSITION_NOTIONAL, exposure.check_position, ("max_position_notional_usd",), (5,)),
    Control(D.GROSS, exposure.check_position, ("max_gross_notional_usd",), (4, 6)),
    Control(D.SHORT, exposure.check_position, ("allow_short",), (18,)),
    Control(D.NET_EXPOSURE, exposure.check_net, ("max_net_fraction", "max_gross_notional_usd"), (6,)),
    Control(
        D.SECTOR_EXPOSURE, exposure.check_sector,
        ("max_sector_fraction", "max_gross_notional_usd", "max_position_notional_usd", "sectors"), (6,),
    ),
    Control(D.OPEN_SYMBOLS, exposure.check_open_symbols, ("max_open_symbols",), (20,)),
    Control(D.ACCOUNT_MISSING, account.check_account, (), (4,)),
    Control(D.BUYING_POWER, account.check_account, (), (4,)),
    Control(D.SESSION_LOSS, account.check_account, ("max_session_loss_usd",), (7,)),
    Control(
        D.SYMBOL_LOSS, account.check_symbol_loss, ("max_symbol_loss_fraction", "max_session_loss_usd"), (7,)
    ),
    Control(
        D.SHORTFALL, account.check_shortfall,
        ("max_session_shortfall_fraction", "max_session_loss_usd"), (7, 40),
    ),
    Control(D.FIRST_SYMBOLS, account.check_first_symbols, ("first_max_symbols", "first_sessions"), (51,)),
    Control(D.FIRST_ORDERS, account.check_first_orders, ("first_max_orders", "first_sessions"), (51,)),
    Control(
        D.FIRST_NOTIONAL, account.check_first_notional, ("first_max_notional_usd", "first_sessions"), (51,)
    ),
)  # fmt: skip
