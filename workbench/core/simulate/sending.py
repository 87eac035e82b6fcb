"""Kernels from decisions to accepted orders: intents, controls twice, and the venue's own refusals."""

from __future__ import annotations

import math

import numpy as np

from workbench.core.costs import expected_cost_bps
from workbench.core.fees import fee_micro
from workbench.core.fills import bar_half_spread_bps
from workbench.core.kernel import kernel
from workbench.core.pretrade.controls import AccountValues, MarketValues, OrderValues, judge_order
from workbench.core.pretrade.row import account_with, reserved_micro, symbol_exposure
from workbench.core.simulate.arrays import (
    AccountRow,
    Book,
    History,
    MoneyColumn,
    OrderColumn,
    Rules,
    SimulatedState,
)
from workbench.core.simulate.deciding import (
    ADV,
    CANDIDATE,
    CHOICE,
    CLOSE,
    HIGH,
    LOW,
    POSITION,
    VOLATILITY,
)
from workbench.core.types import MISSING, NANO, OrderType
from workbench.core.venue.kernels import hold_price_micro, quote_micro

HOUR_NS = 3_600 * NANO
MINUTE_NS = 60 * NANO

# kernels see plain integers
CASH, HELD, ORDERS, QUEUED = (
    int(MoneyColumn.CASH), int(MoneyColumn.HELD), int(MoneyColumn.ORDERS), int(MoneyColumn.QUEUED),
)  # fmt: skip
ROW, SYMBOL, SIDE, SHARES, TYPE, LIMIT, REFERENCE, EXPECTED = (
    int(OrderColumn.ROW), int(OrderColumn.SYMBOL), int(OrderColumn.SIDE), int(OrderColumn.SHARES),
    int(OrderColumn.TYPE), int(OrderColumn.LIMIT), int(OrderColumn.REFERENCE),
    int(OrderColumn.EXPECTED_COST),
)  # fmt: skip
TARGET, START, REASON, LEG, PARENT, DECIDED_NS, BITS, STATE = (
    int(OrderColumn.TARGET), int(OrderColumn.START), int(OrderColumn.REASON), int(OrderColumn.LEG),
    int(OrderColumn.PARENT), int(OrderColumn.DECIDED_NS), int(OrderColumn.BITS), int(OrderColumn.STATE),
)  # fmt: skip
FILLED, SENT_NS, BEFORE_OPEN, HOLD_PRICE, HOLD = (
    int(OrderColumn.FILLED), int(OrderColumn.SENT_NS), int(OrderColumn.BEFORE_OPEN),
    int(OrderColumn.HOLD_PRICE), int(OrderColumn.HELD),
)  # fmt: skip
DENIED, REJECTED, ACCEPTED = (
    int(SimulatedState.DENIED), int(SimulatedState.REJECTED), int(SimulatedState.ACCEPTED),
)  # fmt: skip
BUYING, SELLING, RESTRICTED = (
    int(AccountRow.WORKING_BUY), int(AccountRow.WORKING_SELL), int(AccountRow.RESTRICTED),
)  # fmt: skip
_MARKET = int(OrderType.MARKET)


@kernel
def session_hours(t: int, order_type: int, history: History) -> tuple[int, int, int]:
    """Time of judging, open and close for an order decided after row t, UTC nanoseconds.

    Where the hours are not said, every type is judged at a time at which it is accepted: market orders
    at the open, the others an hour before.
    """
    if history.hours.shape[0] > 0:
        return (history.hours[t + 1, 0], history.hours[t + 1, 1], history.hours[t + 1, 2])
    opens = history.ts_ns[t] + HOUR_NS
    return (opens if order_type == _MARKET else history.ts_ns[t], opens, opens + 13 * HOUR_NS // 2)


@kernel
def decided_ns(t: int, history: History) -> int:
    """The scheduled time of the decision after row t."""
    return int(history.hours[t + 1, 0]) if history.hours.shape[0] > 0 else int(history.ts_ns[t])


@kernel
def write_intents(t: int, count: int, history: History, rules: Rules, book: Book) -> int:
    """Record the orders of a decision in sending order, sells first; returns the first one's row."""
    first = book.money[ORDERS]
    for side in (-1, 1):
        for k in range(count):
            i = book.account[CANDIDATE, k]
            delta = book.account[CHOICE + 1, i]
            if delta * side <= 0:
                continue
            order = book.orders[book.money[ORDERS]]
            price = history.price_micro[t, i]
            mean = expected_cost_bps(
                side, abs(delta), price, history.panel[ADV, t, i], history.panel[VOLATILITY, t, i],
                book.floats[0, i], rules.prior, rules.rates,
            )[0]  # fmt: skip
            order[ROW], order[SYMBOL], order[SIDE] = t, i, side
            order[SHARES] = min(abs(delta), rules.max_slice_shares)
            order[TYPE], order[LIMIT], order[REFERENCE] = (
                book.account[CHOICE + 2, i],
                book.account[CHOICE + 3, i],
                price,
            )
            order[EXPECTED] = MISSING if math.isnan(mean) else int(np.rint(mean / 1e4 * 1e6))
            order[TARGET], order[START] = book.account[CHOICE, i], book.account[POSITION, i]
            order[REASON], order[LEG], order[PARENT] = book.account[CHOICE + 4, i], 1, -1
            order[DECIDED_NS], order[BEFORE_OPEN] = decided_ns(t, history), 1  # the rest of a new row is 0
            book.money[ORDERS] += 1
    return int(first)


@kernel
def judge_and_send(t: int, first: int, equity_micro: int, history: History, rules: Rules, book: Book) -> None:
    """Judge the intents together, then each again when it is sent, and let the venue take or refuse it."""
    gross = 0.0
    for i in range(book.account.shape[1]):
        if book.account[POSITION, i] != 0:
            gross += symbol_exposure(held_values(i, history.price_micro[t, i], book))[0]
    sent = sent_within(first, MINUTE_NS, book)
    cash = book.money[CASH]
    account = AccountValues(cash, equity_micro, equity_micro, cash, 0.0, 0.0, gross, sent, 0, 0, 0)
    for k in range(first, book.money[ORDERS]):
        order, market = book.orders[k], market_of(t, k, history, rules, book)
        values = order_values(k, rules, book)
        order[BITS] = judge_order(values, market, at_hours(t, values, account, history), rules.limits)
        if order[BITS] == 0:
            account = account_with(values, market, account)
    working = 0.0
    for k in range(first, book.money[ORDERS]):
        order, market = book.orders[k], market_of(t, k, history, rules, book)
        if order[BITS] != 0:
            order[STATE] = DENIED
            continue
        account = AccountValues(
            cash, equity_micro, equity_micro, cash - book.money[HELD], reserved_micro(working), 0.0, gross,
            sent, 0, 0, 0,
        )  # fmt: skip
        values = order_values(k, rules, book)
        order[BITS] = judge_order(values, market, at_hours(t, values, account, history), rules.limits)
        if order[BITS] != 0:
            order[STATE] = DENIED
            continue
        sent += 1
        order[SENT_NS] = order[DECIDED_NS]
        before = symbol_exposure(market)
        submit(k, history.price_micro[t, order[SYMBOL]], rules, book)
        after = symbol_exposure(market_of(t, k, history, rules, book))
        gross += after[0] - before[0]
        working += after[1] - before[1]


@kernel
def at_hours(t: int, order: OrderValues, account: AccountValues, history: History) -> AccountValues:
    """The account at the time at which an order is judged."""
    now, opens, closes = session_hours(t, order.order_type, history)
    return AccountValues(
        account.cash_micro, account.equity_micro, account.session_start_equity_micro,
        account.buying_power_micro, account.reserved_micro, account.used_micro, account.gross_micro,
        account.orders_last_minute, now, opens, closes,
    )  # fmt: skip


@kernel
def order_values(k: int, rules: Rules, book: Book) -> OrderValues:
    """An order of the record as the controls see it."""
    order = book.orders[k]
    return OrderValues(
        order[SIDE], order[SHARES], order[TYPE], order[LIMIT], order[REFERENCE], order[EXPECTED],
        1 if repeats(k, rules.duplicate_window_ns, book) else 0,
        book.account[RESTRICTED, order[SYMBOL]], 0, 0,
    )  # fmt: skip


@kernel
def market_of(t: int, k: int, history: History, rules: Rules, book: Book) -> MarketValues:
    """What is known of an order's symbol after row t, with the quantities that already work."""
    i = book.orders[k, SYMBOL]
    tradable = 0 if math.isnan(history.panel[CLOSE, t, i]) else 1
    half_spread = bar_half_spread_bps(history.panel[HIGH, t, i], history.panel[LOW, t, i], rules.fills)
    bid, ask = quote_micro(history.price_micro[t, i], half_spread)
    return MarketValues(
        history.price_micro[t, i], 0 if tradable == 1 else -1, bid, ask, 0 if bid > 0 else -1, tradable, 0,
        book.account[POSITION, i], book.account[BUYING, i], book.account[SELLING, i],
        history.panel[ADV, t, i],
    )  # fmt: skip


@kernel
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
        book.account[BUYING, i],
        book.account[SELLING, i],
        0.0,
    )


@kernel
def sent_within(first: int, window_ns: int, book: Book) -> int:
    """Orders before row `first` of the record that were sent within a window before its decision."""
    count = 0
    now = book.orders[first, DECIDED_NS]
    for k in range(first - 1, -1, -1):
        if now - book.orders[k, DECIDED_NS] >= window_ns:
            break
        count += 1 if book.orders[k, SENT_NS] > 0 else 0
    return count


@kernel
def repeats(k: int, window_ns: int, book: Book) -> bool:
    """Whether an order has the content of one that was sent within a window before it; legs never have."""
    order = book.orders[k]
    if order[LEG] != 1:
        return False
    for earlier in range(k - 1, -1, -1):
        other = book.orders[earlier]
        if order[DECIDED_NS] - other[DECIDED_NS] >= window_ns:
            return False
        same = other[SYMBOL] == order[SYMBOL] and other[SIDE] == order[SIDE] and other[LEG] == 1
        same = same and other[SHARES] == order[SHARES] and other[TYPE] == order[TYPE]
        if same and other[LIMIT] == order[LIMIT] and other[SENT_NS] > 0:
            return True
    return False


@kernel
def submit(k: int, last_micro: int, rules: Rules, book: Book) -> None:
    """The venue takes the order, or refuses what the account cannot hold; a cash account, no short sale."""
    order, money = book.orders[k], book.money
    i = order[SYMBOL]
    order[STATE] = REJECTED
    if order[SIDE] == -1:
        if order[SHARES] > book.account[POSITION, i] - book.account[SELLING, i]:
            return
        book.account[SELLING, i] += order[SHARES]
    else:
        free = money[CASH] - money[HELD]
        price = hold_price_micro(order[TYPE], order[LIMIT], 0, last_micro)
        if float(order[SHARES]) * price > free:
            return
        hold = order[SHARES] * price + fee_micro(1, order[SHARES], price, rules.rates)
        if hold > free:
            return
        order[HOLD_PRICE], order[HOLD] = price, hold
        money[HELD] += hold
        book.account[BUYING, i] += order[SHARES]
    order[STATE] = ACCEPTED
    book.queue[money[QUEUED]] = k
    money[QUEUED] += 1
