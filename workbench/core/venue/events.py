"""Splits, dividends and halts at the venue."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from workbench.core.corporate import DIVIDEND, SPLIT, split_bar, split_shares, split_terms
from workbench.core.orders import OrderState
from workbench.core.ports import Activity
from workbench.core.types import NANO, Side
from workbench.core.venue.book import Book


def split(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """Multiply shares, prices and open orders; pay fractions; a reverse split cancels the orders."""
    symbol, new, old = command["symbol"], int(command["new_shares"]), int(command["old_shares"])
    key = _require_between(book, command, SPLIT)
    if new <= 0 or old <= 0 or new == old:
        raise ValueError(f"split of {symbol}: {new} for {old}")
    orders = book.open_orders(symbol)
    price = book.price_micro(symbol)
    for order in orders:
        if new < old:
            book.finish(order, OrderState.CANCELED, f"canceled by the reverse split {new} for {old}")
            continue
        leaves, order.limit_micro, order.stop_micro = split_terms(
            order.side, order.leaves, order.limit_micro, order.stop_micro, new, old
        )
        order.shares = order.filled + leaves
        order.hold_price_micro = order.limit_micro or -(-order.hold_price_micro * old // new)
        if order.side == Side.BUY:  # a split costs nobody more: rounding and fees are not held for
            book.hold(order, min(order.held_micro, book.cost_micro(leaves, order.hold_price_micro)))
    held = book._shares.get(symbol, 0)
    whole, cash_micro = split_shares(held, new, old, price)
    book._shares[symbol] = whole
    book.cash_micro += cash_micro
    bar = book._bar.get(symbol, (math.nan, math.nan, math.nan))
    restated = split_bar(price, bar[0], bar[1], bar[2], new, old)
    if price:
        book._price_micro[symbol] = restated[0]
    if symbol in book._bar:
        book._bar[symbol] = restated[1:]
    if held or orders:
        quantity_nano = (whole - held) * NANO
        book._activities.append(Activity(key, SPLIT, symbol, at_ns, quantity_nano, cash_micro, new, old))
    return ""


def dividend(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """Pay cash for every share held when the ex date begins."""
    symbol, per_share = command["symbol"], int(command["amount_micro"])
    key = _require_between(book, command, DIVIDEND)
    if per_share <= 0:
        raise ValueError(f"dividend of {symbol}: {per_share} micros a share")
    amount_micro = book._shares.get(symbol, 0) * per_share
    if amount_micro:
        book.cash_micro += amount_micro
        book._activities.append(Activity(key, DIVIDEND, symbol, at_ns, 0, amount_micro))
    return ""


def halt(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """Stop or resume trading in a symbol; its orders stay."""
    symbol = command["symbol"]
    if symbol not in book.symbols:
        raise ValueError(f"halt of {symbol!r}, which the venue does not know")
    (book.halted.add if command["halted"] else book.halted.discard)(symbol)
    return ""


def post(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """Move cash for a reason of the venue's own: a deposit, interest, a fee."""
    kind, amount_micro = str(command["activity"]), int(command["amount_micro"])
    if not amount_micro or not kind:
        raise ValueError(f"posting {kind!r} of {amount_micro} micros")
    if amount_micro < 0 and book.buying_power_micro + amount_micro < 0:
        return "insufficient buying power"
    book.cash_micro += amount_micro
    identity = f"{book.account}\x1f{kind}\x1f{at_ns}\x1f{len(book._activities)}"
    key = "a-" + hashlib.sha256(identity.encode()).hexdigest()[:24]
    book._activities.append(Activity(key, kind, str(command["symbol"]), at_ns, 0, amount_micro))
    return ""


def _require_between(book: Book, command: Mapping[str, Any], kind: str) -> str:
    """The id of the event, if it may happen now and has not happened yet."""
    if book.phase != "closed" or command["session"] <= book.session:
        raise ValueError(f"{kind} of {command['session']} after {book.session} {book.phase}")
    if command["symbol"] not in book.symbols:
        raise ValueError(f"{kind} of {command['symbol']!r}, which the venue does not know")
    identity = f"{book.account}\x1f{kind}\x1f{command['symbol']}\x1f{command['session']}"
    key = "a-" + hashlib.sha256(identity.encode()).hexdigest()[:24]
    if any(known.activity_id == key for known in book._activities):
        raise ValueError(f"{kind} of {command['symbol']} in {command['session']} happened already")
    return key
