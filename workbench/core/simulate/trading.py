"""Kernels of one session: corporate events, the open, the slices that follow a filled order, the close."""

from __future__ import annotations

import math

import numpy as np

from workbench.core.corporate import split_shares
from workbench.core.fees import fee_micro
from workbench.core.fills import bar_half_spread_bps
from workbench.core.kernel import inlined_kernel
from workbench.core.pretrade.controls import judge_order
from workbench.core.pretrade.row import reserved_micro
from workbench.core.pretrade.values import AccountValues, MarketValues
from workbench.core.simulate.arrays import (
    Book,
    EventColumn,
    Exposure,
    FillColumn,
    History,
    MoneyColumn,
    OrderColumn,
    PanelField,
    Rules,
    SimulatedState,
)
from workbench.core.simulate.deciding import (
    ADV,
    CLOSE,
    HIGH,
    LOW,
    POSITION,
    RATIO_NEW,
    RATIO_OLD,
    VOLUME,
    last_bar,
)  # fmt: skip
from workbench.core.simulate.lately import (
    flow_of,
    held_in_all,
    ordered_within,
    recent_of,
    session_fills,
    session_shortfall_micro,
)
from workbench.core.simulate.sending import (
    BEFORE_OPEN,
    BITS,
    BUYING,
    CASH,
    DECIDED_NS,
    DENIED,
    FILLED,
    HELD,
    HOLD,
    HOLD_PRICE,
    LEG,
    LIMIT,
    MINUTE_NS,
    ORDERS,
    PARENT,
    QUEUED,
    SELLING,
    SENT_NS,
    SHARES,
    SIDE,
    START,
    STATE,
    SYMBOL,
    TARGET,
    TYPE,
    order_values,
    session_hours,
    set_working,
    submit,
)
from workbench.core.types import Integers, OrderType
from workbench.core.venue.kernels import (
    affordable_shares,
    meets_open,
    quote_micro,
    rests_in_range,
    take,
)

OPEN = int(PanelField.OPEN)
FILLS, EVENT = int(MoneyColumn.FILLS), int(MoneyColumn.EVENT)
TODAY = int(OrderColumn.TODAY)
E_ROW, E_IS_SPLIT, E_SYMBOL, E_FIRST, E_SECOND = (int(column) for column in EventColumn)
F_ORDER, F_ROW, F_AT_CLOSE, F_SHARES, F_PRICE, F_FEE = (int(column) for column in FillColumn)
ACCEPTED, PARTIALLY, DONE, EXPIRED = (
    int(SimulatedState.ACCEPTED), int(SimulatedState.PARTIALLY_FILLED), int(SimulatedState.FILLED),
    int(SimulatedState.EXPIRED),
)  # fmt: skip
_ON_OPEN = int(OrderType.MARKET_ON_OPEN)


@inlined_kernel
def take_events(row: int, history: History, book: Book) -> int:
    """Bring the account into the terms of the session of bar `row`; returns how many events did so.

    Nothing is open then: what a session leaves expires at its close.
    """
    first = book.money[EVENT]
    at = first
    while at < history.events.shape[0] and history.events[at, E_ROW] == row:
        event = history.events[at]
        i = event[E_SYMBOL]
        if event[E_IS_SPLIT] == 0:
            book.money[CASH] += book.account[POSITION, i] * event[E_FIRST]
        else:
            new, old = event[E_FIRST], event[E_SECOND]
            whole, cash = split_shares(book.account[POSITION, i], new, old, history.price_micro[row - 1, i])
            book.account[POSITION, i] = whole
            book.money[CASH] += cash
            book.account[RATIO_NEW, i], book.account[RATIO_OLD, i] = new, old
        at += 1
    book.money[EVENT] = at
    return int(at - first)


@inlined_kernel
def forget_splits(taken: int, history: History, book: Book) -> None:
    """End the ratios of the last events taken: the bar that has passed is in the new terms itself."""
    for at in range(book.money[EVENT] - taken, book.money[EVENT]):
        book.account[RATIO_NEW, history.events[at, E_SYMBOL]] = 1
        book.account[RATIO_OLD, history.events[at, E_SYMBOL]] = 1


@inlined_kernel
def pass_bar(row: int, history: History, rules: Rules, book: Book) -> None:
    """Let the open orders live through bar `row`; afterwards nothing is open."""
    money = book.money
    queued = money[QUEUED]
    for q in range(queued):
        meet_open(row, book.queue[q], history, rules, book)
    next_slices(row, queued, history, rules, book)
    for q in range(money[QUEUED]):
        meet_close(row, book.queue[q], history, rules, book)
    money[QUEUED] = 0


@inlined_kernel
def meet_open(row: int, k: int, history: History, rules: Rules, book: Book) -> None:
    """Let an order that was accepted before see the opening auction; the bar before sizes it."""
    order = book.orders[k]
    i = order[SYMBOL]
    if order[STATE] != ACCEPTED or order[BEFORE_OPEN] == 0:
        return
    if not math.isnan(history.panel[row, i, OPEN]) and meets_open(order[TYPE]):
        price = int(np.rint(history.panel[row, i, OPEN] * 1e6))
        _, high, low, volume = last_bar(row - 1, i, history, book)
        shares, at = take(
            order[SIDE], order[SHARES] - order[FILLED], order[LIMIT], price, high, low, volume, 0, rules.fills
        )
        execute(row, k, 0, shares, at, rules, book)
    if order[TYPE] == _ON_OPEN and order[STATE] != DONE:
        finish(order, EXPIRED, book)


@inlined_kernel
def meet_close(row: int, k: int, history: History, rules: Rules, book: Book) -> None:
    """Let an open order see the range and the closing auction, then end what is left of it."""
    order = book.orders[k]
    i = order[SYMBOL]
    if order[STATE] != ACCEPTED and order[STATE] != PARTIALLY:
        return
    if not math.isnan(history.panel[row, i, CLOSE]):
        rests = rests_in_range(order[TYPE]) and order[BEFORE_OPEN] == 1
        price = 0 if rests else history.price_micro[row, i]
        shares, at = take(
            order[SIDE], order[SHARES] - order[FILLED], order[LIMIT], price, history.panel[row, i, HIGH],
            history.panel[row, i, LOW], history.panel[row, i, VOLUME], order[TODAY], rules.fills,
        )  # fmt: skip
        execute(row, k, 1, shares, at, rules, book)
    if order[STATE] != DONE:
        finish(order, EXPIRED, book)


@inlined_kernel
def execute(row: int, k: int, at_close: int, shares: int, price_micro: int, rules: Rules, book: Book) -> None:
    """Book what the account can pay of a fill."""
    order, money = book.orders[k], book.money
    side, i = order[SIDE], order[SYMBOL]
    budget = money[CASH] - money[HELD] + order[HOLD]
    shares = affordable_shares(side, shares, price_micro, budget, rules.rates)
    if shares <= 0:
        return
    fee = fee_micro(side, shares, price_micro, rules.rates)
    money[CASH] -= side * shares * price_micro + fee
    book.account[POSITION, i] += side * shares
    set_working(order, -shares, book)
    order[FILLED] += shares
    order[TODAY] += shares
    fill = book.fills[money[FILLS]]
    fill[F_ORDER], fill[F_ROW], fill[F_AT_CLOSE] = k, row, at_close
    fill[F_SHARES], fill[F_PRICE], fill[F_FEE] = shares, price_micro, fee
    money[FILLS] += 1
    if order[FILLED] == order[SHARES]:
        finish(order, DONE, book)
        return
    order[STATE] = PARTIALLY
    if side == 1:  # a fill dearer than the hold leaves less for the rest
        leaves = order[SHARES] - order[FILLED]
        wanted = leaves * order[HOLD_PRICE] + fee_micro(1, leaves, order[HOLD_PRICE], rules.rates)
        kept = min(wanted, budget - shares * price_micro - fee)
        money[HELD] += kept - order[HOLD]
        order[HOLD] = kept


@inlined_kernel
def finish(order: Integers, state: int, book: Book) -> None:
    """End an order and release what it holds."""
    book.money[HELD] -= order[HOLD]
    order[HOLD] = 0
    set_working(order, -(order[SHARES] - order[FILLED]), book)
    order[STATE] = state


# --- the slice that follows a filled order -----------------------------------------------------------


@inlined_kernel
def next_slices(row: int, queued: int, history: History, rules: Rules, book: Book) -> None:
    """Send what is left of each change whose first slice the open has filled, symbol by symbol."""
    due = False
    for q in range(queued):
        order = book.orders[book.queue[q]]
        now = order[START] + order[SIDE] * order[FILLED]
        due = due or (order[STATE] == DONE and now != order[TARGET])
    if not due:
        return
    for i in range(book.account.shape[1]):
        for q in range(queued):
            k = book.queue[q]
            order = book.orders[k]
            now = order[START] + order[SIDE] * order[FILLED]
            due = order[SYMBOL] == i and order[STATE] == DONE and now != order[TARGET]
            if due and book.account[POSITION, i] == now:
                send_slice(row, k, abs(order[TARGET] - now), history, rules, book)


@inlined_kernel
def send_slice(row: int, parent: int, wanted: int, history: History, rules: Rules, book: Book) -> None:
    """Judge and send one slice at the open of bar `row`; it can only meet the close."""
    k = book.money[ORDERS]
    order = book.orders[k]
    for column in range(book.orders.shape[1]):
        order[column] = book.orders[parent, column]
    i = order[SYMBOL]
    order[SHARES], order[FILLED], order[TODAY] = min(wanted, rules.max_slice_shares), 0, 0
    order[LEG], order[PARENT], order[BEFORE_OPEN] = order[LEG] + 1, parent, 0
    order[SENT_NS], order[HOLD], order[HOLD_PRICE] = 0, 0, 0
    book.money[ORDERS] += 1
    values = order_values(k, rules, book)
    now = exposure_at_open(row, order[DECIDED_NS], history, rules, book)
    account = account_at_open(row, now, history, book)
    opened = int(np.rint(history.panel[row, i, OPEN] * 1e6))
    last, high, low, _ = last_bar(row - 1, i, history, book)
    half_spread = bar_half_spread_bps(high, low, rules.fills)
    bid, ask = quote_micro(opened, half_spread)
    market = MarketValues(
        history.decision_micro[row - 1, i], 0, bid, ask, 0 if bid > 0 else -1, 1, 0,
        book.account[POSITION, i], book.account[BUYING, i], book.account[SELLING, i],
        history.panel[row - 1, i, ADV],
    )  # fmt: skip
    bid, ask = quote_micro(last, half_spread)  # the look before was at the decision
    own = session_fills(row, i, book)
    lately = recent_of(row - 1, k, (bid + ask) // 2, own, account.now_ns, history, rules, book)
    flow = flow_of(now, session_shortfall_micro(row, book))
    order[BITS] = judge_order(values, market, lately, account, flow, rules.limits)
    order[STATE] = DENIED
    if order[BITS] == 0:
        order[SENT_NS] = account.now_ns
        submit(k, opened, rules, book)


@inlined_kernel
def exposure_at_open(row: int, decided: int, history: History, rules: Rules, book: Book) -> Exposure:
    """What is held, works and was sent just after the open of bar `row`, at the closes before it."""
    equity = book.money[CASH]
    for i in range(book.account.shape[1]):
        equity += book.account[POSITION, i] * history.decision_micro[row - 1, i]
    opens = session_hours(row - 1, 0, history)[1]
    sent = 0
    for k in range(book.money[ORDERS] - 2, -1, -1):
        if decided - book.orders[k, DECIDED_NS] >= MINUTE_NS:
            break
        recent = book.orders[k, SENT_NS] > 0 and opens - book.orders[k, SENT_NS] < MINUTE_NS
        sent += 1 if recent else 0
    ordered = ordered_within(book.money[ORDERS] - 1, -1, opens, rules.window_ns, book)[1]
    return Exposure(equity, sent, ordered, held_in_all(row - 1, history, book))


@inlined_kernel
def account_at_open(row: int, now: Exposure, history: History, book: Book) -> AccountValues:
    """The account just after the open of bar `row`."""
    opens, closes = session_hours(row - 1, 0, history)[1:]
    cash = book.money[CASH]
    return AccountValues(
        cash, now.equity_micro, book.series[0, row - 1], cash - book.money[HELD],
        reserved_micro(now.held.working), 0.0, now.held.gross, now.sent, opens, opens, closes,
    )  # fmt: skip
