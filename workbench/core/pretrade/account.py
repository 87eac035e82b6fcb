"""Account controls: money, losses, and the caps of a desk that is new."""

from __future__ import annotations

import math

from workbench.core.kernel import kernel
from workbench.core.pretrade.codes import DenialCode
from workbench.core.pretrade.limits import LimitValues
from workbench.core.pretrade.values import (
    MAX_MONEY_MICRO,
    MAX_PRICE_MICRO,
    MAX_SHARES,
    AccountValues,
    FlowValues,
    MarketValues,
    OrderValues,
    RecentValues,
    adds_risk,
    is_quoted,
    is_reduction,
    mid_micro,
    sane_position,
)

# kernels see plain integers
_ACCOUNT_MISSING = int(DenialCode.ACCOUNT_MISSING)
_BUYING_POWER = int(DenialCode.BUYING_POWER)
_FIRST_NOTIONAL = int(DenialCode.FIRST_NOTIONAL)
_FIRST_ORDERS = int(DenialCode.FIRST_ORDERS)
_FIRST_SYMBOLS = int(DenialCode.FIRST_SYMBOLS)
_SESSION_LOSS = int(DenialCode.SESSION_LOSS)
_SHORTFALL = int(DenialCode.SHORTFALL)
_SYMBOL_LOSS = int(DenialCode.SYMBOL_LOSS)


@kernel
def check_account(
    order: OrderValues, market: MarketValues, account: AccountValues, worst_price: float, limits: LimitValues
) -> int:
    """ACCOUNT_MISSING, BUYING_POWER, SESSION_LOSS: the account is known and can bear the order."""
    bits = 0
    equity, start, cash = account.equity_micro, account.session_start_equity_micro, account.cash_micro
    if not (
        0 < equity <= MAX_MONEY_MICRO
        and 0 < start <= MAX_MONEY_MICRO
        and -MAX_MONEY_MICRO <= cash <= MAX_MONEY_MICRO
    ):
        bits |= _ACCOUNT_MISSING
    reduction = is_reduction(order, market)
    if not reduction and (bits != 0 or not float(start) - float(equity) < limits.max_session_loss):
        bits |= _SESSION_LOSS
    if not 0 <= account.buying_power_micro <= MAX_MONEY_MICRO:
        return bits | _BUYING_POWER
    if not reduction:
        cash_left = float(cash) - account.reserved_micro
        available = min(float(account.buying_power_micro), cash_left)
        need = order.shares * worst_price + account.used_micro
        if not (worst_price > 0.0 and cash_left > 0.0 and need <= available):
            bits |= _BUYING_POWER
    return bits


@kernel
def session_loss_micro(market: MarketValues, recent: RecentValues) -> float:
    """What the symbol lost since the session began, at the middle of its quote; NaN = not known.

    It began with what is held now less what the session bought, at the last close; since then the session
    paid for what it bought.
    """
    known = is_quoted(market) and 0 < market.price_micro <= MAX_PRICE_MICRO and sane_position(market)
    known = known and -MAX_SHARES <= recent.session_shares <= MAX_SHARES
    if not (known and -MAX_MONEY_MICRO <= recent.session_paid_micro <= MAX_MONEY_MICRO):
        return math.nan
    began = float(market.position_shares - recent.session_shares) * market.price_micro
    return began + recent.session_paid_micro - market.position_shares * mid_micro(market)


@kernel
def check_symbol_loss(
    order: OrderValues, market: MarketValues, recent: RecentValues, limits: LimitValues
) -> int:
    """SYMBOL_LOSS: no new risk in a symbol that has lost too much in this session."""
    if not adds_risk(order, market):
        return 0
    return 0 if session_loss_micro(market, recent) < limits.max_symbol_loss else _SYMBOL_LOSS


@kernel
def check_shortfall(order: OrderValues, market: MarketValues, flow: FlowValues, limits: LimitValues) -> int:
    """SHORTFALL: no new risk once the session's fills have cost too much against their decision prices."""
    if not adds_risk(order, market):
        return 0
    cost = flow.shortfall_micro
    known = -MAX_MONEY_MICRO <= cost <= MAX_MONEY_MICRO
    return 0 if known and cost < limits.max_session_shortfall else _SHORTFALL


@kernel
def is_new_desk(flow: FlowValues, limits: LimitValues) -> bool:
    """Whether the caps of the first sessions are in force, or nobody can tell."""
    return not (knows_sessions(flow, limits) and flow.closed_sessions >= limits.first_sessions)


@kernel
def knows_sessions(flow: FlowValues, limits: LimitValues) -> bool:
    """Whether it is known how many sessions are behind the account, and after how many it is not new."""
    return 0 <= flow.closed_sessions <= MAX_SHARES and limits.first_sessions > 0.0


@kernel
def check_first_symbols(
    order: OrderValues, market: MarketValues, recent: RecentValues, flow: FlowValues, limits: LimitValues
) -> int:
    """FIRST_SYMBOLS: symbols that a new desk trades in one session."""
    if not (adds_risk(order, market) and is_new_desk(flow, limits)):
        return 0
    traded, orders = flow.session_symbols, recent.symbol_orders
    if not (knows_sessions(flow, limits) and 0 <= traded <= MAX_SHARES and 0 <= orders <= MAX_SHARES):
        return _FIRST_SYMBOLS
    symbols = traded + (1 if orders == 0 else 0)
    return 0 if symbols <= limits.first_max_symbols else _FIRST_SYMBOLS


@kernel
def check_first_orders(
    order: OrderValues, market: MarketValues, flow: FlowValues, limits: LimitValues
) -> int:
    """FIRST_ORDERS: orders that a new desk sends in one session."""
    if not (adds_risk(order, market) and is_new_desk(flow, limits)):
        return 0
    sent = flow.session_orders
    known = knows_sessions(flow, limits) and 0 <= sent <= MAX_SHARES
    return 0 if known and sent + 1 <= limits.first_max_orders else _FIRST_ORDERS


@kernel
def check_first_notional(
    order: OrderValues, market: MarketValues, flow: FlowValues, worst_price: float, limits: LimitValues
) -> int:
    """FIRST_NOTIONAL: value that a new desk orders in one session."""
    if not (adds_risk(order, market) and is_new_desk(flow, limits)):
        return 0
    known = knows_sessions(flow, limits) and worst_price > 0.0 and 0 < order.shares
    if not (known and 0 <= flow.session_notional_micro <= MAX_MONEY_MICRO):
        return _FIRST_NOTIONAL
    notional = flow.session_notional_micro + order.shares * worst_price
    return 0 if notional <= limits.first_max_notional else _FIRST_NOTIONAL
