"""What changes the account without an order of ours: splits, dividends, fees, interest, transfers.

Shares, cash, entries and, for splits, the terms of working orders.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from workbench.core.fills import tick_micro
from workbench.core.kernel import kernel
from workbench.core.ledger import (
    CAPITAL,
    CASH,
    DIVIDENDS,
    FEES,
    INTEREST,
    PNL,
    SECURITIES,
    Ledger,
    Posting,
)
from workbench.core.orders import Fill, Order, OrderIntent
from workbench.core.ports import Activity
from workbench.core.types import NANO

SPLIT, DIVIDEND, CASH_IN_LIEU = "split", "dividend", "cash_in_lieu"
FEE, INTEREST_PAID, TRANSFER = "fee", "interest", "transfer"
#: Kinds of activity that the books know how to take; any other is a break.
ACTIVITY_KINDS: Mapping[str, str] = MappingProxyType(
    {
        SPLIT: "shares multiplied, a fraction paid in cash",
        DIVIDEND: "cash for each share held or owed for each sold short, or tax withheld from it",
        CASH_IN_LIEU: "cash for a fraction of a share, paid apart from its split",
        FEE: "a charge of the venue or a regulator, or its return",
        INTEREST_PAID: "interest on cash or margin",
        TRANSFER: "money that its owner paid in or took out",
    }
)
#: Kinds that move cash against one account of the ledger.
CASH_ONLY: Mapping[str, str] = MappingProxyType({FEE: FEES, INTEREST_PAID: INTEREST, TRANSFER: CAPITAL})
#: Entries of activities are found by these beginnings of their id, so each is booked once: those that the
#: books know how to take, and those that a person accepted.
ENTRY_PREFIX, ADJUSTED_PREFIX = "activity:", "adjusted:"


def activity_of(entry_id: str) -> str:
    """Id of the activity that an entry books; "" for every other entry."""
    for prefix in (ENTRY_PREFIX, ADJUSTED_PREFIX):
        if entry_id.startswith(prefix):
            return entry_id.removeprefix(prefix)
    return ""


@kernel
def split_shares(shares: int, new_shares: int, old_shares: int, price_micro: int) -> tuple[int, int]:
    """Whole shares after a split, and the cash in micros for the fraction that is not a share.

    Parameters
    ----------
    shares : int
        Held before, >= 0.
    price_micro : int
        Last price *before* the split; the cash is rounded down to a micro.
    """
    exact = shares * new_shares
    return (exact // old_shares, exact % old_shares * price_micro // new_shares)


@kernel
def split_price(price_micro: int, new_shares: int, old_shares: int, up: bool) -> int:
    """A price in the terms after the split, on the tick grid, rounded down or `up`; 0 stays 0."""
    if price_micro == 0:
        return 0
    exact = price_micro * old_shares
    tick = tick_micro(exact // new_shares)
    ticks = -(-exact // (new_shares * tick)) if up else exact // (new_shares * tick)
    return max(ticks, 1) * tick


@kernel
def split_bar(
    price_micro: int, high: float, low: float, volume: float, new_shares: int, old_shares: int
) -> tuple[int, float, float, float]:
    """Last price, high, low and volume of the bar before a split, in the terms after it; 0 stays 0."""
    price = max(price_micro * old_shares // new_shares, 1) if price_micro > 0 else 0
    return (price, high * old_shares / new_shares, low * old_shares / new_shares,
            volume * new_shares / old_shares)  # fmt: skip


@kernel
def split_terms(
    side: int, leaves: int, limit_micro: int, stop_micro: int, new_shares: int, old_shares: int
) -> tuple[int, int, int]:
    """Leaves, limit and stop of an open order after a forward split.

    Limits of buys and stops of sells, which lie below the market, are rounded down, the others up; so a
    limit is never worse for its owner.
    """
    buys = side == 1
    return (
        leaves * new_shares // old_shares,
        split_price(limit_micro, new_shares, old_shares, not buys),
        split_price(stop_micro, new_shares, old_shares, buys),
    )


def adjusted_intent(order: Order, activity: Activity) -> OrderIntent | None:
    """The terms that the venue gave our working order by a split; None when it did not change the order.

    A reverse split cancels instead, and an order that was sent at or after the event is in new terms.
    """
    new, old = activity.new_shares, activity.old_shares
    ours = order.intent
    if activity.kind != SPLIT or ours.symbol != activity.symbol or new <= old or not order.leaves_nano:
        return None
    if not 0 < order.sent_at_ns < activity.at_ns:
        return None
    leaves, limit, stop = split_terms(
        int(ours.side), order.leaves_nano // NANO, ours.limit_micro, ours.stop_micro, new, old
    )
    quantity_nano = order.filled_nano + leaves * NANO
    return replace(ours, quantity_nano=quantity_nano, limit_micro=limit, stop_micro=stop)


def adjusted_quantities(order: Order, news: Iterable[Fill | Activity]) -> tuple[int, ...]:
    """Quantities in 1e-9 shares that a working order has after each split among the news.

    Parameters
    ----------
    order : Order
        As it was before the news.
    news : iterable of Fill and of Activity
        What happened since, oldest first; executions of the order leave less for a split to multiply.
    """
    found: list[int] = []
    for told in news:
        if isinstance(told, Fill):
            if told.client_order_id == order.intent.client_order_id:
                order = replace(order, filled_nano=order.filled_nano + told.quantity_nano)
        elif (intent := adjusted_intent(order, told)) is not None:
            order = replace(order, intent=intent)
            found.append(intent.quantity_nano)
    return tuple(found)


def postings_of_activity(ledger: Ledger, activity: Activity) -> tuple[Posting, ...]:
    """The entry of one corporate event, whose amounts sum to zero.

    A split moves shares at unchanged cost; cash for a fraction realises against its part of that cost.
    A dividend is income of the symbol, a charge where shares were sold short. Cash in lieu that comes
    apart from its split is realised whole: the split has left all the cost with the whole shares.
    Fees, interest and transfers move cash and nothing else.

    Parameters
    ----------
    ledger : Ledger
        Books before the event.

    Raises
    ------
    ValueError
        A kind that the books do not know, or one that moves only cash and comes with shares.
    """
    if activity.kind not in ACTIVITY_KINDS:
        raise ValueError(f"activity {activity.activity_id} is of the unknown kind {activity.kind!r}")
    symbol, amount = activity.symbol, activity.amount_micro
    other = {DIVIDEND: DIVIDENDS + symbol, CASH_IN_LIEU: PNL + symbol, **CASH_ONLY}.get(activity.kind)
    if other is not None:
        if activity.quantity_nano:
            raise ValueError(f"activity {activity.activity_id} ({activity.kind}) moves shares")
        words = "cash in lieu of a fraction" if activity.kind == CASH_IN_LIEU else activity.kind
        memo = f"{words} of {symbol}" if symbol else words
        return (Posting(CASH, amount, 0, memo), Posting(other, -amount, 0, memo))
    memo = f"split of {symbol} {activity.new_shares} for {activity.old_shares}"
    if not amount:
        return (Posting(SECURITIES + symbol, 0, activity.quantity_nano, memo),)
    # The fraction's part of the cost leaves with it: cost x fraction / shares after the split.
    held, cost = ledger.positions_nano.get(symbol, 0) // NANO, ledger.cost_micro.get(symbol, 0)
    exact = held * activity.new_shares
    released = cost * (exact % activity.old_shares) // exact if exact else 0
    if held * NANO + activity.quantity_nano == 0:
        released = cost  # nothing is left to carry it
    return (
        Posting(SECURITIES + symbol, -released, activity.quantity_nano, memo),
        Posting(CASH, amount, 0, memo),
        Posting(PNL + symbol, released - amount, 0, memo),
    )
