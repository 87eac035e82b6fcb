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

    @property
    def explain(self) -> str:
        """The code as a sentence for the person who supervises."""
        return _EXPLAIN[self]


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
}
