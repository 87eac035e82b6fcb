"""Exposure controls: what could be held if the worse side of all working orders filled."""

from __future__ import annotations

from workbench.core.kernel import kernel
from workbench.core.pretrade.codes import DenialCode
from workbench.core.pretrade.limits import LimitValues
from workbench.core.pretrade.values import (
    MAX_MONEY_MICRO,
    MAX_SHARES,
    AccountValues,
    FlowValues,
    MarketValues,
    OrderValues,
    RecentValues,
    added_shares,
    adds_risk,
    is_open,
    is_reduction,
    sane_position,
    worst_position,
)

# kernels see plain integers
_GROSS = int(DenialCode.GROSS)
_NET_EXPOSURE = int(DenialCode.NET_EXPOSURE)
_OPEN_SYMBOLS = int(DenialCode.OPEN_SYMBOLS)
_POSITION = int(DenialCode.POSITION)
_POSITION_NOTIONAL = int(DenialCode.POSITION_NOTIONAL)
_SECTOR_EXPOSURE = int(DenialCode.SECTOR_EXPOSURE)
_SHORT = int(DenialCode.SHORT)


@kernel
def check_position(
    order: OrderValues, market: MarketValues, account: AccountValues, worst_price: float, limits: LimitValues
) -> int:
    """POSITION, POSITION_NOTIONAL, GROSS, SHORT: exposure if the worse side of all working orders fills.

    A reduction passes the first three, whatever the exposure is.
    """
    every = _POSITION | _POSITION_NOTIONAL | _GROSS
    if not sane_position(market) or not 0 < order.shares <= MAX_SHARES:
        return every | _SHORT
    bits = 0
    if order.side != 1 and limits.allow_short != 1.0:
        bits |= 0 if order.shares + market.open_sell_shares <= market.position_shares else _SHORT
    if is_reduction(order, market):
        return bits
    buy = order.shares if order.side == 1 else 0
    sell = order.shares if order.side != 1 else 0
    before = worst_position(market, 0, 0)
    after = worst_position(market, buy, sell)
    if not after <= limits.max_position_shares:
        bits |= _POSITION
    if not (worst_price > 0.0 and after * worst_price <= limits.max_position_notional):
        bits |= _POSITION_NOTIONAL
    gross = account.gross_micro + (after - before) * worst_price
    if not (worst_price > 0.0 and 0.0 <= account.gross_micro and gross <= limits.max_gross_notional):
        bits |= _GROSS
    return bits


@kernel
def check_net(
    order: OrderValues, market: MarketValues, flow: FlowValues, worst_price: float, limits: LimitValues
) -> int:
    """NET_EXPOSURE: all positions netted, with every working order of the order's own side."""
    if not adds_risk(order, market):
        return 0
    value = order.shares * worst_price
    if not (worst_price > 0.0 and 0 < order.shares <= MAX_SHARES):
        return _NET_EXPOSURE
    held = flow.net_long_micro if order.side == 1 else -flow.net_short_micro
    known = -MAX_MONEY_MICRO <= held <= MAX_MONEY_MICRO
    return 0 if known and held + value <= limits.max_net_notional else _NET_EXPOSURE


@kernel
def check_sector(
    order: OrderValues, market: MarketValues, recent: RecentValues, worst_price: float, limits: LimitValues
) -> int:
    """SECTOR_EXPOSURE: all symbols of the order's sector, un-netted; a symbol without one is its own."""
    if not adds_risk(order, market):
        return 0
    if not (worst_price > 0.0 and 0.0 <= recent.sector_micro and sane_position(market)):
        return _SECTOR_EXPOSURE
    sector = recent.sector_micro + added_shares(order, market) * worst_price
    return 0 if sector <= limits.max_sector_notional else _SECTOR_EXPOSURE


@kernel
def check_open_symbols(market: MarketValues, flow: FlowValues, limits: LimitValues) -> int:
    """OPEN_SYMBOLS: a symbol more than those with a position or a working order."""
    if not (0 <= flow.open_symbols <= MAX_SHARES and sane_position(market)):
        return _OPEN_SYMBOLS
    if is_open(market):
        return 0
    return 0 if flow.open_symbols + 1 <= limits.max_open_symbols else _OPEN_SYMBOLS
