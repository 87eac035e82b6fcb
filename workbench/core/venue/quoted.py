"""A session told in quotes: orders trade against the standing bid and ask, at the price they see.

For a venue that is driven through the day, where `open` and `close` tell a day in daily bars. Commands:

* session_open: session, quotes (symbol -> [bid, ask] in micros), optionally caps. Orders for the session that
  were accepted before see the opening auction at these quotes.
* quote: symbol, bid_micro, ask_micro, optionally caps. Open orders of the symbol see the new quote;
  outside a session it is only remembered.
* match: symbol, optionally caps, only (client order ids) and price_micro. The standing quote goes on to
  stand and orders see it again; or a trade at `price_micro` is what they see.
* session_close: session, optionally caps. Orders for the closing auction see the standing quote, orders of
  the day expire, accrued fees are posted.

A buy takes the ask, a sell the bid, never the size shown: a quote has no depth here, as on Alpaca's paper
venue. `caps` (client order id -> shares) bounds one event's fill and so makes partial fills; whoever draws
them at random writes the draw into the command, so the venue stays a fold of its commands.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from workbench.core.orders import OrderState
from workbench.core.ports import Activity
from workbench.core.types import NANO, OrderType, Side, TimeInForce
from workbench.core.venue.book import Book, BookOrder
from workbench.core.venue.kernels import quote_micro
from workbench.core.venue.matching import affordable, end_immediate

#: Kind of the activities that post accrued fees, and their parts: the SEC's, FINRA's, the broker's own.
FEE = "fee"
AUCTIONS = (OrderType.MARKET_ON_OPEN, OrderType.MARKET_ON_CLOSE)


def standing_quote(book: Book, symbol: str) -> tuple[int, int]:
    """Bid and ask in micros: those that were set, else the last price and the half spread of its bar.

    (0, 0) where neither is known.
    """
    if symbol in book.quotes:
        return book.quotes[symbol]
    if symbol not in book.standing:  # nothing between two commands moves it
        bid, ask = quote_micro(book.price_micro(symbol), book.half_spread_bps(symbol))
        book.standing[symbol] = (int(bid), int(ask))
    return book.standing[symbol]


def session_open(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """Begin a session; what waited for it sees the opening quotes."""
    if book.phase == "open" or command["session"] <= book.session:
        raise ValueError(f"open of {command['session']} after {book.session} {book.phase}")
    for symbol, (bid, ask) in command["quotes"].items():
        _set(book, symbol, bid, ask)
    book.session, book.phase, book.session_open_ns = command["session"], "open", at_ns
    for order in book.open_orders():
        if order.session > book.session or order.accepted_ns >= at_ns:
            continue
        order.filled_today = 0
        if order.order_type != OrderType.MARKET_ON_CLOSE:
            _see(book, order, command, at_ns)
        if order.working and order.order_type == OrderType.MARKET_ON_OPEN:
            book.finish(order, OrderState.EXPIRED, "not filled in the opening auction")
    return ""


def quote(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """Set the bid and ask of a symbol and, in a session, let its open orders see them."""
    _set(book, command["symbol"], command["bid_micro"], command["ask_micro"])
    return match(book, command, at_ns) if book.phase == "open" else ""


def match(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """Let the open orders of a symbol see the quote that stands."""
    if book.phase != "open":
        raise ValueError(f"a match of {command['symbol']} outside a session")
    only = command.get("only")
    if only is not None:  # by id, so that matching one order does not cost a walk over all
        orders = [
            order for key in only if (order := book.open_order(key)) and order.symbol == command["symbol"]
        ]
    else:
        orders = list(book.open_orders(command["symbol"]))
    for order in orders:
        if order.order_type not in AUCTIONS and order.session <= book.session:
            _see(book, order, command, at_ns)
    return ""


def session_close(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """End a session: the closing auction at the standing quotes, expiries, fees."""
    if book.phase != "open" or command["session"] != book.session:
        raise ValueError(f"close of {command['session']} after {book.session} {book.phase}")
    for order in book.open_orders():
        if order.session > book.session:
            continue
        if order.order_type == OrderType.MARKET_ON_CLOSE:
            _see(book, order, command, at_ns)
        if order.working and order.time_in_force != TimeInForce.GTC:
            book.finish(order, OrderState.EXPIRED, "expired at the close")
    book.phase = "closed"
    _post_fees(book, at_ns)
    return ""


def _set(book: Book, symbol: str, bid_micro: int, ask_micro: int) -> None:
    if symbol not in book.symbols:
        raise ValueError(f"a quote of {symbol!r}, which the venue does not know")
    if not 0 < bid_micro <= ask_micro:
        raise ValueError(f"an impossible quote of {symbol}: {bid_micro} to {ask_micro} micros")
    book.quotes[symbol] = (int(bid_micro), int(ask_micro))
    book._price_micro[symbol] = (int(bid_micro) + int(ask_micro)) // 2


def _see(book: Book, order: BookOrder, command: Mapping[str, Any], at_ns: int) -> None:
    """One market event for one order; an immediate order ends with it."""
    if order.accepted_ns < at_ns and order.symbol not in book.halted:
        bid_micro, ask_micro = book.quotes.get(order.symbol, (0, 0))
        price_micro = int(command.get("price_micro") or (ask_micro if order.side == Side.BUY else bid_micro))
        if order.waits_for_stop and price_micro and order.side * (price_micro - order.stop_micro) >= 0:
            order.triggered_ns = at_ns
        marketable = not order.limit_micro or order.side * (price_micro - order.limit_micro) <= 0
        if price_micro and marketable and not order.waits_for_stop:
            caps = command.get("caps", {})
            wanted = min(order.leaves, int(caps.get(order.client_order_id, order.leaves)))
            shares = affordable(book, order, wanted, price_micro)
            whole = order.time_in_force != TimeInForce.FOK or shares == order.shares
            if shares > 0 and whole:
                book.execute(order, shares, price_micro, at_ns)
    if order.accepted_ns < at_ns:
        end_immediate(book, order)


def _post_fees(book: Book, at_ns: int) -> None:
    """Turn what has accrued into one activity for each charge of the session."""
    if not book.accrued_micro:
        return
    schedule = book.fee_schedule
    nothing = {"sec_usd_per_million": 0.0, "taf_usd_per_share": 0.0, "commission_usd_per_share": 0.0}
    parts = {
        "SEC": replace(schedule, **(nothing | {"sec_usd_per_million": schedule.sec_usd_per_million})),
        "TAF": replace(schedule, **(nothing | {"taf_usd_per_share": schedule.taf_usd_per_share})),
        "COM": replace(
            schedule, **(nothing | {"commission_usd_per_share": schedule.commission_usd_per_share})
        ),
    }
    fills = [fill for fill in book._fills if fill.filled_at_ns >= book.session_open_ns]
    left = book.accrued_micro
    for name, only in parts.items():
        charge = sum(only.fee_micro(f.side, f.quantity_nano // NANO, f.price_micro) for f in fills)
        if charge:
            identity = f"{book.account}\x1f{FEE}\x1f{name}\x1f{book.session}"
            key = "a-" + hashlib.sha256(identity.encode()).hexdigest()[:24]
            book._activities.append(Activity(key, FEE, name, at_ns, 0, -charge))
            left -= charge
    assert left == 0, "the parts of the fees are their whole"  # each charge is rounded up by itself
    book.cash_micro -= book.accrued_micro
    book.accrued_micro = 0
