"""Kernels for what happened lately: windows, the session's own fills, and the exposure of all symbols.

What a session has and a simulation has not is said here and nowhere else: nobody cancels and nothing is
disabled, because a throttle waits for a person; no own order meets another, because one works in a symbol;
the account is past its first sessions; denied orders are no attempts, so RATE_STOP counts what was sent and
denies, with nobody to halt.
"""

from __future__ import annotations

import numpy as np

from workbench.core.kernel import inlined_kernel
from workbench.core.pretrade.recent import ESTABLISHED
from workbench.core.pretrade.row import symbol_exposure, symbol_net
from workbench.core.pretrade.values import FlowValues, MarketValues, OrderValues, RecentValues, ordered_micro
from workbench.core.simulate.arrays import (
    AccountRow,
    Book,
    EventColumn,
    Exposure,
    FillColumn,
    Held,
    History,
    MoneyColumn,
    OrderColumn,
    Rules,
)
from workbench.core.simulate.deciding import POSITION, VOLATILITY

# kernels see plain integers
_ORDERS, _FILLS, _EVENT = int(MoneyColumn.ORDERS), int(MoneyColumn.FILLS), int(MoneyColumn.EVENT)
_BUYING, _SELLING, _SECTOR = (
    int(AccountRow.WORKING_BUY), int(AccountRow.WORKING_SELL), int(AccountRow.SECTOR),
)  # fmt: skip
_SYMBOL, _SIDE, _SHARES, _TYPE, _LIMIT, _REFERENCE, _DECIDED_NS, _SENT_NS = (
    int(OrderColumn.SYMBOL), int(OrderColumn.SIDE), int(OrderColumn.SHARES), int(OrderColumn.TYPE),
    int(OrderColumn.LIMIT), int(OrderColumn.REFERENCE), int(OrderColumn.DECIDED_NS),
    int(OrderColumn.SENT_NS),
)  # fmt: skip
_F_ORDER, _F_ROW, _, _F_SHARES, _F_PRICE, _F_FEE = (int(column) for column in FillColumn)
_E_ROW, _E_IS_SPLIT, _E_SYMBOL, _E_NEW, _E_OLD = (int(column) for column in EventColumn)
_ROOM = 4  # row of `Book.floats`: what allowed orders of a decision add to each sector
_ESTABLISHED = ESTABLISHED


@inlined_kernel
def held_values(i: int, price_micro: int, book: Book) -> MarketValues:
    """A symbol as far as exposure needs it: price, position, working quantities."""
    return MarketValues(
        price_micro,
        0,
        0,
        0,
        0,
        1,
        0,
        book.account[POSITION, i],
        book.account[_BUYING, i],
        book.account[_SELLING, i],
        0.0,
    )


@inlined_kernel
def held_of(t: int, i: int, history: History, book: Book) -> Held:
    """What one symbol adds to the account's exposure, at the prices of the decision after row t."""
    one = held_values(i, history.decision_micro[t, i], book)
    gross, working = symbol_exposure(one)
    net_long, net_short = symbol_net(one)
    works = one.open_buy_shares != 0 or one.open_sell_shares != 0
    orders = 1 if works else 0
    return Held(gross, working, net_long, net_short, orders, 1 if works or one.position_shares != 0 else 0)


@inlined_kernel
def held_in_all(t: int, history: History, book: Book) -> Held:
    """What all symbols add up to."""
    held = Held(0.0, 0.0, 0.0, 0.0, 0, 0)
    for i in range(book.account.shape[1]):
        if book.account[POSITION, i] != 0 or book.account[_BUYING, i] != 0 or book.account[_SELLING, i] != 0:
            held = changed(held, Held(0.0, 0.0, 0.0, 0.0, 0, 0), held_of(t, i, history, book))
    return held


@inlined_kernel
def changed(held: Held, before: Held, after: Held) -> Held:
    """The account's exposure once one symbol's has changed."""
    return Held(
        held.gross + after.gross - before.gross,
        held.working + after.working - before.working,
        held.net_long + after.net_long - before.net_long,
        held.net_short + after.net_short - before.net_short,
        held.orders + after.orders - before.orders,
        held.symbols + after.symbols - before.symbols,
    )


@inlined_kernel
def flow_of(now: Exposure, shortfall_micro: int) -> FlowValues:
    """What the account's own orders add up to; of the first sessions nothing is counted."""
    return FlowValues(
        now.held.net_long,
        now.held.net_short,
        now.held.orders,
        now.held.symbols,
        now.sent,
        now.ordered,
        0,
        0,
        0,
        _ESTABLISHED,
        shortfall_micro,
    )


@inlined_kernel
def recent_of(
    t: int, k: int, previous_mid_micro: int, own: tuple[int, int], now_ns: int,
    history: History, rules: Rules, book: Book,
) -> RecentValues:  # fmt: skip
    """What the symbol of an order went through lately.

    `own` is what the session has bought of it, less what it sold, and the cash that this went out for.
    """
    i = book.orders[k, _SYMBOL]
    return RecentValues(
        history.panel[t, i, VOLATILITY],
        window_price_micro(t, i, history, rules, book),
        previous_mid_micro,
        0,
        0,
        0,
        own[0],
        own[1],
        0,
        ordered_within(k, i, now_ns, rules.window_ns, book)[0],
        sector_micro(t, i, history, book),
    )


@inlined_kernel
def window_price_micro(t: int, i: int, history: History, rules: Rules, book: Book) -> int:
    """The last close before the movement window, in the terms of the session after row t; 0 = none."""
    row = t - rules.price_move_sessions
    if row < 0:
        return 0
    price = history.price_micro[row, i]
    new, old = 1, 1
    for at in range(book.money[_EVENT] - 1, -1, -1):
        event = history.events[at]
        if event[_E_ROW] <= row:
            break
        if event[_E_IS_SPLIT] == 1 and event[_E_SYMBOL] == i:
            new, old = new * event[_E_NEW], old * event[_E_OLD]
    return int(price) if new == old else int(np.rint(price * old / (new * 1_000_000) * 1_000_000))


@inlined_kernel
def sector_micro(t: int, i: int, history: History, book: Book) -> float:
    """Gross exposure of a symbol's sector, with what earlier orders of the decision add to it."""
    number = book.account[_SECTOR, i]
    if number < 0:
        return held_of(t, i, history, book).gross
    value = float(book.floats[_ROOM, number])
    for j in range(book.account.shape[1]):
        if book.account[_SECTOR, j] == number:
            value += held_of(t, j, history, book).gross
    return value


@inlined_kernel
def add_to_sector(i: int, value: float, book: Book) -> None:
    """Count what an allowed order of the decision adds to its sector."""
    if book.account[_SECTOR, i] >= 0:
        book.floats[_ROOM, book.account[_SECTOR, i]] += value


@inlined_kernel
def clear_sectors(book: Book) -> None:
    """Forget what orders of a decision add to their sectors."""
    for i in range(book.account.shape[1]):
        book.floats[_ROOM, i] = 0.0


@inlined_kernel
def order_value_micro(k: int, book: Book) -> int:
    """What an order of the record counts for in windows of value."""
    order = book.orders[k]
    return ordered_micro(
        OrderValues(
            order[_SIDE], order[_SHARES], order[_TYPE], order[_LIMIT], order[_REFERENCE], 0, 0, 0, 0, 0
        )
    )


@inlined_kernel
def ordered_within(k: int, i: int, now_ns: int, window_ns: int, book: Book) -> tuple[int, int]:
    """Shares of a symbol, and value of all symbols, of the orders before row k sent within a window."""
    shares = 0
    value = 0
    for earlier in range(k - 1, -1, -1):
        order = book.orders[earlier]
        if book.orders[k, _DECIDED_NS] - order[_DECIDED_NS] >= window_ns:
            break
        if order[_SENT_NS] > 0 and now_ns - order[_SENT_NS] < window_ns:
            shares += order[_SHARES] if order[_SYMBOL] == i else 0
            value += order_value_micro(earlier, book)
    return (shares, value)


@inlined_kernel
def session_fills(row: int, i: int, book: Book) -> tuple[int, int]:
    """What the session of bar `row` has bought of a symbol, less what it sold, and the cash it went for."""
    shares = 0
    paid = 0
    for at in range(book.money[_FILLS] - 1, -1, -1):
        fill = book.fills[at]
        if fill[_F_ROW] != row:
            break
        order = book.orders[fill[_F_ORDER]]
        if order[_SYMBOL] == i:
            shares += order[_SIDE] * fill[_F_SHARES]
            paid += order[_SIDE] * fill[_F_SHARES] * fill[_F_PRICE] + fill[_F_FEE]
    return (shares, paid)


@inlined_kernel
def session_shortfall_micro(row: int, book: Book) -> int:
    """What the fills of the session of bar `row` have cost against their decision prices, with fees."""
    cost = 0
    for at in range(book.money[_FILLS] - 1, -1, -1):
        fill = book.fills[at]
        if fill[_F_ROW] != row:
            break
        order = book.orders[fill[_F_ORDER]]
        cost += order[_SIDE] * fill[_F_SHARES] * (fill[_F_PRICE] - order[_REFERENCE]) + fill[_F_FEE]
    return cost
