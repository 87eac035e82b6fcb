"""What a venue takes back or calls otherwise: busted and corrected executions, symbols that change.

* bust: execution_id. The trade is undone: cash, shares and its fee go back, the order stays as it was.
* correct: execution_id, price_micro. The trade is as it was, at another price.
* rename: symbol, to, and the session before whose open it happens. Shares, price and quote move to the new
  symbol, open orders of the old one are cancelled.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from workbench.core.orders import Fill, OrderState
from workbench.core.ports import Activity
from workbench.core.types import NANO
from workbench.core.venue.book import Book

BUST, CORRECT, RENAME = "trade_bust", "trade_correct", "rename"


def bust(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """Undo an execution, unless its shares or its cash are gone."""
    fill = _standing(book, command["execution_id"])
    if fill is None:
        return "there is no such execution"
    shares = int(fill.side) * (fill.quantity_nano // NANO)
    amount = shares * fill.price_micro + fill.fee_micro
    if book.available(fill.symbol) - shares < 0 or book.buying_power_micro + amount < 0:
        return "the execution cannot be undone: its shares or its cash are gone"
    book._shares[fill.symbol] -= shares
    book.cash_micro += amount
    book.busted.add(fill.execution_id)
    _record(book, BUST, fill, at_ns, -shares * NANO, amount)
    return ""


def correct(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """Book an execution at another price."""
    fill, price_micro = _standing(book, command["execution_id"]), int(command["price_micro"])
    if fill is None:
        return "there is no such execution"
    if price_micro <= 0:
        raise ValueError(f"correction of {fill.execution_id} to {price_micro} micros")
    amount = -int(fill.side) * (fill.quantity_nano // NANO) * (price_micro - fill.price_micro)
    if book.buying_power_micro + amount < 0:
        return "insufficient buying power"
    book.cash_micro += amount
    _record(book, CORRECT, fill, at_ns, 0, amount)
    return ""


def rename(book: Book, command: Mapping[str, Any], at_ns: int) -> str:
    """Call a symbol otherwise before the open of a session."""
    old, new = str(command["symbol"]), str(command["to"])
    if book.phase != "closed" or command["session"] <= book.session:
        raise ValueError(f"a change of {old} in {command['session']} after {book.session} {book.phase}")
    if old not in book.symbols or not new or new in book.symbols:
        raise ValueError(f"symbol {old!r} cannot become {new!r}")
    for order in book.open_orders(old):
        book.finish(order, OrderState.CANCELED, f"canceled: {old} became {new}")
    book.symbols = tuple(sorted({*book.symbols, new} - {old}))
    tables: tuple[dict[str, Any], ...] = (book._shares, book._price_micro, book._bar, book.quotes)
    for table in tables:
        if old in table:
            table[new] = table.pop(old)
    held = book.held(new)
    if held:
        key = _key(book, RENAME, old, new, str(command["session"]))
        book._activities.append(Activity(key, RENAME, new, at_ns, 0, 0))
    return ""


def _standing(book: Book, execution_id: str) -> Fill | None:
    found = [fill for fill in book._fills if fill.execution_id == execution_id]
    return found[0] if found and execution_id not in book.busted else None


def _record(book: Book, kind: str, fill: Fill, at_ns: int, quantity_nano: int, amount_micro: int) -> None:
    key = _key(book, kind, fill.execution_id, str(at_ns))
    book._activities.append(Activity(key, kind, fill.symbol, at_ns, quantity_nano, amount_micro))


def _key(book: Book, *parts: str) -> str:
    return "a-" + hashlib.sha256("\x1f".join([book.account, *parts]).encode()).hexdigest()[:24]
