"""Which open orders a market event fills, and at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.core.fills import stop_price_micro
from workbench.core.orders import OrderState
from workbench.core.types import MICRO, OrderType, TimeInForce
from workbench.core.venue.book import Book, BookOrder
from workbench.core.venue.kernels import affordable_shares, meets_open, rests_in_range, take


def match_open(book: Book, prices: Mapping[str, int], at_ns: int) -> None:
    """Let every order of this session that was accepted before see the opening auction."""
    for order in book.open_orders():
        if order.session > book.session or order.accepted_ns >= at_ns:
            continue
        order.filled_today = 0  # a new day's volume
        price = prices.get(order.symbol, 0)
        known = price and order.symbol in book._bar and order.symbol not in book.halted
        if known and meets_open(order.order_type):
            if order.waits_for_stop and order.side * (price - order.stop_micro) >= 0:
                order.triggered_ns = at_ns
            if not order.waits_for_stop:
                _take(book, order, price, at_ns)
        if order.working and order.order_type == OrderType.MARKET_ON_OPEN:
            book.finish(order, OrderState.EXPIRED, "not filled in the opening auction")
        end_immediate(book, order)


def match_close(book: Book, bars: Mapping[str, Sequence[int]], at_ns: int, session: str) -> None:
    """Let every order of this session see the bar and the closing auction, then roll the day."""
    for order in book.open_orders():
        if order.session > session:
            continue
        if order.symbol in bars and order.symbol not in book.halted:
            _match_bar(book, order, bars[order.symbol], at_ns)
        end_immediate(book, order)
        if order.working and order.time_in_force == TimeInForce.DAY:
            book.finish(order, OrderState.EXPIRED, "expired at the close")


def _match_bar(book: Book, order: BookOrder, bar: Sequence[int], at_ns: int) -> None:
    opened, high, low, close = bar[:4]
    before_open = order.accepted_ns < book.session_open_ns
    if not order.waits_for_stop:
        limited = rests_in_range(order.order_type) and not order.immediate
        rests = limited and before_open and order.triggered_ns <= book.session_open_ns
        _take(book, order, 0 if rests else close, at_ns)
        return
    if not before_open:  # the range may lie before the acceptance; only the close is certain
        opened = high = low = close
    prices = (opened / MICRO, high / MICRO, low / MICRO)
    trigger = int(stop_price_micro(order.side, order.stop_micro, *prices))
    if not trigger:
        return
    order.triggered_ns = at_ns
    executions = order.executions
    _take(book, order, trigger, at_ns)
    if order.limit_micro and order.executions == executions:  # the limit lies this side of the stop
        _take(book, order, close, at_ns)


def end_immediate(book: Book, order: BookOrder) -> None:
    """Cancel what one market event left of an immediate order."""
    if order.working and order.immediate:
        word = TimeInForce(order.time_in_force).word
        book.finish(order, OrderState.CANCELED, f"not filled by the first market event ({word})")


def _take(book: Book, order: BookOrder, price_micro: int, at_ns: int) -> None:
    """Fill what the latest bar of the symbol allows: at `price_micro`, or (0) at the resting limit."""
    high, low, volume = book._bar[order.symbol]
    shares, filled_at = take(
        order.side, order.leaves, order.limit_micro, price_micro, high, low, volume, order.filled_today,
        book.fill_params.values(),
    )  # fmt: skip
    shares = affordable(book, order, shares, filled_at)
    if order.time_in_force == TimeInForce.FOK and shares != order.shares:
        return
    if shares > 0:
        book.execute(order, shares, int(filled_at), at_ns)


def affordable(book: Book, order: BookOrder, shares: int, price_micro: int) -> int:
    """The part of a fill that leaves neither cash nor buying power negative."""
    budget = book.buying_power_micro + order.held_micro
    return int(affordable_shares(order.side, shares, price_micro, budget, book.fee_schedule.rates()))
