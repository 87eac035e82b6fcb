"""Denial codes: one bit each, so that a verdict carries all its reasons in one integer."""

from __future__ import annotations

from enum import IntFlag


class DenialCode(IntFlag):
    """Why an order is denied; several at once. Every control denies what it cannot judge."""

    QUANTITY = 1 << 0
    NOTIONAL = 1 << 1
    POSITION = 1 << 2
    POSITION_NOTIONAL = 1 << 3
    GROSS = 1 << 4
    PRICE_COLLAR = 1 << 5
    PRICE_MISSING = 1 << 6
    PRICE_STALE = 1 << 7
    QUOTE_MISSING = 1 << 8
    QUOTE_STALE = 1 << 9
    SESSION_HOURS = 1 << 10
    DUPLICATE = 1 << 11
    RATE = 1 << 12
    SESSION_LOSS = 1 << 13
    RESTRICTED = 1 << 14
    QUOTED_SPREAD = 1 << 15
    EXPECTED_COST = 1 << 16
    PARTICIPATION = 1 << 17
    SHORT = 1 << 18
    FROZEN = 1 << 19
    NOT_TRADABLE = 1 << 20
    COST_MISSING = 1 << 21
    BUYING_POWER = 1 << 22
    ACCOUNT_MISSING = 1 << 23
    ORDER_TYPE = 1 << 24
    NET_EXPOSURE = 1 << 25
    SECTOR_EXPOSURE = 1 << 26
    SYMBOL_LOSS = 1 << 27
    PRICE_MOVE = 1 << 28
    VOLATILITY = 1 << 29
    QUOTE_JUMP = 1 << 30
    QUOTE_CROSSED = 1 << 31
    RATE_STOP = 1 << 32
    WINDOW_SHARES = 1 << 33
    WINDOW_NOTIONAL = 1 << 34
    SYMBOL_DISABLED = 1 << 35
    WORKING_ORDERS = 1 << 36
    OPEN_SYMBOLS = 1 << 37
    SELF_MATCH = 1 << 38
    SHORTFALL = 1 << 39
    FIRST_SYMBOLS = 1 << 40
    FIRST_ORDERS = 1 << 41
    FIRST_NOTIONAL = 1 << 42

    @property
    def explain(self) -> str:
        """The code as a sentence for the person who supervises."""
        return _EXPLAIN[self]


#: Each code as a number and a word: flags themselves are slow to compare.
_BITS = tuple((int(code), str(code.name)) for code in DenialCode)


def codes_of(bits: int) -> tuple[str, ...]:
    """Names of the codes in a verdict; () = allowed."""
    return tuple(name for bit, name in _BITS if bits & bit) if bits else ()


_EXPLAIN: dict[DenialCode, str] = {
    DenialCode.QUANTITY: "More shares than one order may have.",
    DenialCode.NOTIONAL: "More value than one order may have, at its worst price.",
    DenialCode.POSITION: "The position, with working orders, would exceed its ceiling in shares.",
    DenialCode.POSITION_NOTIONAL: "The position, with working orders, would exceed its ceiling in value.",
    DenialCode.GROSS: "All positions and working orders together would exceed their ceiling in value.",
    DenialCode.PRICE_COLLAR: "Limit, decision price, last close and quote are too far apart.",
    DenialCode.PRICE_MISSING: "There is no last close or no decision price.",
    DenialCode.PRICE_STALE: "The last close is older than allowed.",
    DenialCode.QUOTE_MISSING: "There is no quote, or bid and ask are crossed.",
    DenialCode.QUOTE_STALE: "The quote is older than allowed, or dated in the future.",
    DenialCode.SESSION_HOURS: "The order type is not accepted at this time of the session.",
    DenialCode.DUPLICATE: "The same id or the same content was sent a moment ago.",
    DenialCode.RATE: "Too many orders within a minute.",
    DenialCode.SESSION_LOSS: "The account has lost more in this session than orders that add risk allow.",
    DenialCode.RESTRICTED: "The symbol is on the restricted list.",
    DenialCode.QUOTED_SPREAD: "The quoted spread is too wide.",
    DenialCode.EXPECTED_COST: "The expected cost is too high.",
    DenialCode.PARTICIPATION: "The order is too large a part of the daily volume.",
    DenialCode.SHORT: "The order would sell more than is held, and short positions are not allowed.",
    DenialCode.FROZEN: "The symbol is frozen by an order whose outcome is not resolved.",
    DenialCode.NOT_TRADABLE: "The symbol is not known or has no plausible bar.",
    DenialCode.COST_MISSING: "The expected cost is not known.",
    DenialCode.BUYING_POWER: "Buying power or cash does not cover the order, or is not known.",
    DenialCode.ACCOUNT_MISSING: "Cash or equity of the account is not known.",
    DenialCode.ORDER_TYPE: "Side, type, time in force and prices make no order, or a price is off the grid.",
    DenialCode.NET_EXPOSURE: "Longs less shorts, with working orders, would exceed their ceiling in value.",
    DenialCode.SECTOR_EXPOSURE: "The sector, with working orders, would exceed its ceiling in value.",
    DenialCode.SYMBOL_LOSS: "The symbol has lost more in this session than orders that add risk allow.",
    DenialCode.PRICE_MOVE: "The price has moved too far within the last sessions, or that is not known.",
    DenialCode.VOLATILITY: "The quote has moved by too many usual days: new risk in the symbol pauses.",
    DenialCode.QUOTE_JUMP: "The quote has jumped since it was looked at before, or that is not known.",
    DenialCode.QUOTE_CROSSED: "The bid is above the ask, or one of them is missing.",
    DenialCode.RATE_STOP: "So many attempts within a minute that the account is halted.",
    DenialCode.WINDOW_SHARES: "Too many shares of the symbol ordered within the short window.",
    DenialCode.WINDOW_NOTIONAL: "Too much value ordered within the short window.",
    DenialCode.SYMBOL_DISABLED: "Repeated executions disabled the symbol; a named person has to enable it.",
    DenialCode.WORKING_ORDERS: "Too many orders are working.",
    DenialCode.OPEN_SYMBOLS: "Too many symbols have a position or a working order.",
    DenialCode.SELF_MATCH: "The order could trade with an own working order of the other side.",
    DenialCode.SHORTFALL: "The session's fills have cost more against their decision prices than allowed.",
    DenialCode.FIRST_SYMBOLS: "More symbols than a new desk may trade in one session.",
    DenialCode.FIRST_ORDERS: "More orders than a new desk may send in one session.",
    DenialCode.FIRST_NOTIONAL: "More value than a new desk may order in one session.",
}
