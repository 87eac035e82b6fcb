"""Kernels from decisions to accepted orders: intents, controls twice, and the venue's own refusals."""

from __future__ import annotations

import math

import numpy as np

from workbench.core.costs import expected_cost_bps
from workbench.core.fees import fee_micro
from workbench.core.fills import bar_half_spread_bps
from workbench.core.kernel import inlined_kernel
from workbench.core.orders import MOST_AT_ONCE
from workbench.core.pretrade.controls import judge_order
from workbench.core.pretrade.row import account_with, flow_with, reserved_micro
from workbench.core.pretrade.values import (
    AccountValues,
    MarketValues,
    OrderValues,
    added_shares,
    is_reduction,
    worst_price_micro,
)
from workbench.core.simulate.arrays import (
    AccountRow,
    Book,
    Exposure,
    Held,
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
    POSITION,
    VOLATILITY,
    last_bar,
)
from workbench.core.simulate.lately import (
    add_to_sector,
    changed,
    clear_sectors,
    flow_of,
    held_in_all,
    held_of,
    order_value_micro,
    ordered_within,
    recent_of,
)
from workbench.core.types import MISSING, NANO, Integers, OrderType
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
DENIED, REJECTED, ACCEPTED, INTENDED, SENT = (
    int(SimulatedState.DENIED), int(SimulatedState.REJECTED), int(SimulatedState.ACCEPTED),
    int(SimulatedState.INTENDED), int(SimulatedState.SENT),
)  # fmt: skip
BUYING, SELLING, RESTRICTED = (
    int(AccountRow.WORKING_BUY), int(AccountRow.WORKING_SELL), int(AccountRow.RESTRICTED),
)  # fmt: skip
_MARKET = int(OrderType.MARKET)


@inlined_kernel
def session_hours(t: int, order_type: int, history: History) -> tuple[int, int, int]:
    """Time of judging, open and close for an order decided after row t, UTC nanoseconds.

    Where the hours are not said, every type is judged at a time at which it is accepted: market orders
    at the open, the others an hour before.
    """
    if history.hours.shape[0] > 0:
        return (history.hours[t + 1, 0], history.hours[t + 1, 1], history.hours[t + 1, 2])
    opens = history.ts_ns[t] + HOUR_NS
    return (opens if order_type == _MARKET else history.ts_ns[t], opens, opens + 13 * HOUR_NS // 2)


@inlined_kernel
def decided_ns(t: int, history: History) -> int:
    """The scheduled time of the decision after row t."""
    return int(history.hours[t + 1, 0]) if history.hours.shape[0] > 0 else int(history.ts_ns[t])


@inlined_kernel
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
            price = history.decision_micro[t, i]
            mean = expected_cost_bps(
                side, abs(delta), price, history.panel[t, i, ADV], history.panel[t, i, VOLATILITY],
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


@inlined_kernel
def judge_and_send(t: int, first: int, equity_micro: int, history: History, rules: Rules, book: Book) -> None:
    """Judge the intents together, then send those allowed, batch by batch, as the session does."""
    decided = book.orders[first, DECIDED_NS]
    now = Exposure(
        equity_micro, sent_within(first, MINUTE_NS, book),
        ordered_within(first, -1, decided, rules.window_ns, book)[1], held_in_all(t, history, book),
    )  # fmt: skip
    cash = book.money[CASH]
    account = AccountValues(
        cash, equity_micro, book.series[0, t], cash, 0.0, 0.0, now.held.gross, now.sent, 0, 0, 0
    )
    flow = flow_of(now, 0)
    clear_sectors(book)
    for k in range(first, book.money[ORDERS]):
        order, market = book.orders[k], market_of(t, k, history, rules, book)
        values = order_values(k, rules, book)
        lately = recent_of(t, k, market.price_micro, (0, 0), decided, history, rules, book)
        hours = at_hours(t, values, account, history)
        order[BITS] = judge_order(values, market, lately, hours, flow, rules.limits)
        order[STATE] = DENIED if order[BITS] != 0 else INTENDED
        if order[BITS] == 0:
            account = account_with(values, market, account)
            flow = flow_with(values, market, lately, flow)
            if not is_reduction(values, market):
                added = added_shares(values, market) * worst_price_micro(values, market)
                add_to_sector(order[SYMBOL], added, book)
    clear_sectors(book)
    start = first
    batch = 0
    for k in range(first, book.money[ORDERS]):
        batch += 1 if book.orders[k, STATE] == INTENDED else 0
        if batch == MOST_AT_ONCE or k + 1 == book.money[ORDERS]:
            now = send_batch(t, start, k + 1, batch, now, history, rules, book)
            start, batch = k + 1, 0


@inlined_kernel
def send_batch(
    t: int, start: int, stop: int, batch: int, now: Exposure, history: History, rules: Rules, book: Book
) -> Exposure:
    """Look at every intended order, count it as sent, then look once more before each request.

    A batch of one leaves straight after its only look.
    """
    for k in range(start, stop):
        order = book.orders[k]
        if order[STATE] != INTENDED:
            continue
        order[BITS] = look(t, k, now, history, rules, book)
        order[STATE] = DENIED
        if order[BITS] == 0:
            order[STATE], order[SENT_NS] = SENT, order[DECIDED_NS]
            before = exposed(t, k, history, book)
            set_working(order, order[SHARES], book)
            now = moved(now, before, exposed(t, k, history, book), 1, order_value_micro(k, book))
    for k in range(start, stop):
        order = book.orders[k]
        if order[STATE] != SENT:
            continue
        before = exposed(t, k, history, book)
        set_working(order, -order[SHARES], book)  # it does not stand in its own way
        free = exposed(t, k, history, book)
        value = order_value_micro(k, book)
        now = moved(now, before, free, -1, -value)
        if batch > 1:
            order[BITS] = look(t, k, now, history, rules, book)
        order[STATE] = DENIED
        if order[BITS] == 0:
            submit(k, last_bar(t, order[SYMBOL], history, book)[0], rules, book)
        now = moved(now, free, exposed(t, k, history, book), 1, value)
    return now


@inlined_kernel
def look(t: int, k: int, now: Exposure, history: History, rules: Rules, book: Book) -> int:
    """Denial codes of one order against the account and all that works or has been sent."""
    cash = book.money[CASH]
    account = AccountValues(
        cash, now.equity_micro, book.series[0, t], cash - book.money[HELD], reserved_micro(now.held.working),
        0.0, now.held.gross, now.sent, 0, 0, 0,
    )  # fmt: skip
    values, market = order_values(k, rules, book), market_of(t, k, history, rules, book)
    at = at_hours(t, values, account, history)
    decided = book.orders[k, DECIDED_NS]
    lately = recent_of(t, k, market.price_micro, (0, 0), decided, history, rules, book)
    return int(judge_order(values, market, lately, at, flow_of(now, 0), rules.limits))


@inlined_kernel
def exposed(t: int, k: int, history: History, book: Book) -> Held:
    """What an order's symbol adds to the account's exposure."""
    return held_of(t, book.orders[k, SYMBOL], history, book)


@inlined_kernel
def moved(now: Exposure, before: Held, after: Held, sent: int, ordered_micro: int) -> Exposure:
    """The account's exposure once one symbol's has changed."""
    return Exposure(
        now.equity_micro, now.sent + sent, now.ordered + ordered_micro, changed(now.held, before, after)
    )


@inlined_kernel
def set_working(order: Integers, change: int, book: Book) -> None:
    """Change what the books hold of an order's working quantity."""
    if order[SIDE] == 1:
        book.account[BUYING, order[SYMBOL]] += change
    else:
        book.account[SELLING, order[SYMBOL]] += change


@inlined_kernel
def at_hours(t: int, order: OrderValues, account: AccountValues, history: History) -> AccountValues:
    """The account at the time at which an order is judged."""
    now, opens, closes = session_hours(t, order.order_type, history)
    return AccountValues(
        account.cash_micro, account.equity_micro, account.session_start_equity_micro,
        account.buying_power_micro, account.reserved_micro, account.used_micro, account.gross_micro,
        account.messages_last_minute, now, opens, closes,
    )  # fmt: skip


@inlined_kernel
def order_values(k: int, rules: Rules, book: Book) -> OrderValues:
    """An order of the record as the controls see it."""
    order = book.orders[k]
    return OrderValues(
        order[SIDE], order[SHARES], order[TYPE], order[LIMIT], order[REFERENCE], order[EXPECTED],
        1 if repeats(k, rules.duplicate_window_ns, book) else 0,
        book.account[RESTRICTED, order[SYMBOL]], 0, 0,
    )  # fmt: skip


@inlined_kernel
def market_of(t: int, k: int, history: History, rules: Rules, book: Book) -> MarketValues:
    """What is known of an order's symbol after row t, with the quantities that already work."""
    i = book.orders[k, SYMBOL]
    tradable = 0 if math.isnan(history.panel[t, i, CLOSE]) else 1
    price, high, low, _ = last_bar(t, i, history, book)
    bid, ask = quote_micro(price, bar_half_spread_bps(high, low, rules.fills))
    return MarketValues(
        history.decision_micro[t, i], 0 if tradable == 1 else -1, bid, ask, 0 if bid > 0 else -1, tradable, 0,
        book.account[POSITION, i], book.account[BUYING, i], book.account[SELLING, i],
        history.panel[t, i, ADV],
    )  # fmt: skip


@inlined_kernel
def sent_within(first: int, window_ns: int, book: Book) -> int:
    """Orders before row `first` of the record that were sent within a window before its decision."""
    count = 0
    now = book.orders[first, DECIDED_NS]
    for k in range(first - 1, -1, -1):
        if now - book.orders[k, DECIDED_NS] >= window_ns:
            break
        count += 1 if book.orders[k, SENT_NS] > 0 else 0
    return count


@inlined_kernel
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


@inlined_kernel
def submit(k: int, last_micro: int, rules: Rules, book: Book) -> None:
    """The venue takes the order, or refuses what the account cannot hold; a cash account, no short sale."""
    order, money = book.orders[k], book.money
    i = order[SYMBOL]
    order[STATE] = REJECTED
    if order[SIDE] == -1:
        if order[SHARES] > book.account[POSITION, i] - book.account[SELLING, i]:
            return
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
    set_working(order, order[SHARES], book)
    order[STATE] = ACCEPTED
    book.queue[money[QUEUED]] = k
    money[QUEUED] += 1
