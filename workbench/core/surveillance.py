"""Surveillance of our own flow: patterns that a regulator would ask about, found in what the journal holds.

Rules for the next day, not controls: an order is never stopped here. Each rule answers with findings (the
orders and executions that make the pattern) or says that it could not judge, which is not the same as clean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import ClassVar, TypeVar

from workbench.core.types import BPS, NANO, Side

SELF_MATCH = "SELF_MATCH"
LAYERING = "LAYERING"
CLOSE_MARKED = "CLOSE_MARKED"


@dataclass(frozen=True)
class SurveillanceLimits:
    """From when on our own flow looks like a pattern that must be explained.

    Attributes
    ----------
    self_match_window_s : int, default 60
        Executions of both sides of a symbol at one price this close together are a self-match.
    layering_orders : int, default 3
        Orders of one side cancelled unfilled, around an execution of the other side, that make layering.
    layering_window_s : int, default 600
        The time from the first of them to the last cancel and the execution.
    close_window_s : int, default 600
        The last part of a session in which trades can mark the close.
    close_share : float, default 0.1
        Own part of the market's volume there.
    close_impact_bps : float, default 10.0
        Move of the price there, in the direction of our own net trades.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    self_match_window_s: int = 60
    layering_orders: int = 3
    layering_window_s: int = 600
    close_window_s: int = 600
    close_share: float = 0.1
    close_impact_bps: float = 10.0

    def __post_init__(self) -> None:
        seconds = (1, 23_400)
        bounds = {
            "self_match_window_s": seconds, "layering_window_s": seconds, "close_window_s": (60, 23_400),
            "layering_orders": (2, 1_000), "close_share": (1e-6, 1.0), "close_impact_bps": (1e-6, 10_000.0),
        }  # fmt: skip
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not low <= value <= high:
                raise ValueError(f"surveillance.{name} = {value!r} must lie between {low:g} and {high:g}")


@dataclass(frozen=True)
class OwnOrder:
    """What became of an order that was sent; `ended_ns` None = it never ended."""

    client_order_id: str
    account: str
    symbol: str
    side: Side
    limit_micro: int
    filled_nano: int
    sent_ns: int
    ended_ns: int | None
    cancelled: bool


@dataclass(frozen=True)
class OwnFill:
    """One execution of ours."""

    execution_id: str
    client_order_id: str
    account: str
    symbol: str
    side: Side
    quantity_nano: int
    price_micro: int
    filled_ns: int


@dataclass(frozen=True)
class ClosingMarket:
    """The market in the last part of a session: price before it, price at the close, shares traded in it."""

    before: float
    close: float
    volume: float


@dataclass(frozen=True)
class Finding:
    """A pattern, and the ids of the orders and executions that make it."""

    rule: str
    symbol: str
    accounts: tuple[str, ...]
    at_ns: int
    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Unjudged:
    """A rule that could not say yes or no, and what it lacked."""

    rule: str
    symbol: str
    text: str


def self_matches(
    orders: Sequence[OwnOrder], fills: Sequence[OwnFill], limits: SurveillanceLimits
) -> list[Finding]:
    """Own orders of both sides that could have met, and own executions that look as if they had.

    Orders could meet when both were open at once, at prices that cross; a market order (limit 0) crosses
    all. Executions look like it at one price within the window. Accounts are not told apart: whoever
    trades for two owns both sides.

    Examples
    --------
    >>> self_matches([], [], SurveillanceLimits())
    []
    """
    found = []
    for one, other in _opposite(orders):
        if _open_at_once(one, other) and _cross(one, other):
            found.append(
                Finding(
                    SELF_MATCH, one.symbol, _accounts(one, other), max(one.sent_ns, other.sent_ns),
                    "a buy and a sell of our own were open at once at prices that cross",
                    (one.client_order_id, other.client_order_id),
                )
            )  # fmt: skip
    window_ns = limits.self_match_window_s * NANO
    for first, second in _opposite(fills):
        if first.price_micro == second.price_micro and abs(first.filled_ns - second.filled_ns) <= window_ns:
            found.append(
                Finding(
                    SELF_MATCH, first.symbol, _accounts(first, second),
                    max(first.filled_ns, second.filled_ns),
                    f"we bought and sold at {first.price_micro / 1e6:.4f} within "
                    f"{limits.self_match_window_s} s",
                    (first.execution_id, second.execution_id),
                )
            )  # fmt: skip
    return found


def layering(
    orders: Sequence[OwnOrder], fills: Sequence[OwnFill], limits: SurveillanceLimits
) -> list[Finding]:
    """Orders of one side cancelled without a fill around an execution of the other side.

    Assumption: what was cancelled unfilled, several times, while the other side traded, may have been
    there to move the price. One finding a symbol, side and run of such orders; the first execution counts.
    """
    window_ns = limits.layering_window_s * NANO
    found = []
    pulled = [o for o in orders if o.cancelled and not o.filled_nano and o.ended_ns is not None]
    for (symbol, account, side), group in groupby(sorted(pulled, key=_side_of), key=_side_of):
        against = [f for f in fills if (f.symbol, f.account) == (symbol, account) and int(f.side) != side]
        for run in _runs(list(group), window_ns):
            first_ns, last_ns = run[0].sent_ns, max(o.ended_ns or 0 for o in run)
            struck = [f for f in against if first_ns <= f.filled_ns <= min(last_ns, first_ns + window_ns)]
            if len(run) >= limits.layering_orders and struck:
                found.append(
                    Finding(
                        LAYERING, symbol, (account,), struck[0].filled_ns,
                        f"{len(run)} orders to {Side(side).word} were cancelled unfilled around an execution "
                        "of the other side",
                        (*(o.client_order_id for o in run), struck[0].execution_id),
                    )
                )  # fmt: skip
    return found


def marking_the_close(
    fills: Sequence[OwnFill],
    market: Mapping[str, ClosingMarket],
    limits: SurveillanceLimits,
    *,
    close_ns: int,
) -> tuple[list[Finding], list[Unjudged]]:
    """Symbols in which we were much of the last minutes' volume while the price moved our way.

    Parameters
    ----------
    market : mapping of str to ClosingMarket
        By symbol. A symbol that we traded there and that is missing, or has no usable volume or price, is
        not judged.
    close_ns : int
        The session's close, UTC nanoseconds; executions at the close itself belong to the window.
    """
    start_ns = close_ns - limits.close_window_s * NANO
    late = sorted((f for f in fills if start_ns <= f.filled_ns <= close_ns), key=lambda f: f.symbol)
    found, unjudged = [], []
    for symbol, group in groupby(late, key=lambda f: f.symbol):
        own = sorted(group, key=lambda f: f.filled_ns)
        there = market.get(symbol)
        if there is None or not (there.volume > 0 and there.before > 0 and there.close > 0):
            text = f"we traded in the last {limits.close_window_s} s and the market there is not known"
            unjudged.append(Unjudged(CLOSE_MARKED, symbol, text))
            continue
        net_nano = sum(int(f.side) * f.quantity_nano for f in own)
        share = sum(f.quantity_nano for f in own) / NANO / there.volume
        direction = (net_nano > 0) - (net_nano < 0)
        moved_bps = direction * (there.close / there.before - 1.0) * BPS
        if share >= limits.close_share and moved_bps >= limits.close_impact_bps:
            found.append(
                Finding(
                    CLOSE_MARKED, symbol, _accounts(*own), own[-1].filled_ns,
                    f"we were {share:.1%} of the last {limits.close_window_s} s while the price moved "
                    f"{moved_bps:.1f} bps our way",
                    tuple(f.execution_id for f in own),
                )
            )  # fmt: skip
    return found, unjudged


Own = TypeVar("Own", OwnOrder, OwnFill)


def _opposite(own: Sequence[Own]) -> Iterator[tuple[Own, Own]]:
    """All pairs of one symbol and both sides."""
    for _, group in groupby(sorted(own, key=lambda one: one.symbol), key=lambda one: one.symbol):
        for one, other in combinations(group, 2):
            if one.side != other.side:
                yield one, other


def _open_at_once(one: OwnOrder, other: OwnOrder) -> bool:
    """Whether both were open at some moment; an order that never ended is open still."""
    later = max(one.sent_ns, other.sent_ns)
    return all(order.ended_ns is None or order.ended_ns > later for order in (one, other))


def _cross(one: OwnOrder, other: OwnOrder) -> bool:
    bid, offer = (one, other) if one.side is Side.BUY else (other, one)
    return not bid.limit_micro or not offer.limit_micro or bid.limit_micro >= offer.limit_micro


def _accounts(*own: OwnOrder | OwnFill) -> tuple[str, ...]:
    return tuple(sorted({one.account for one in own}))


def _side_of(order: OwnOrder) -> tuple[str, str, int]:
    return order.symbol, order.account, int(order.side)


def _runs(orders: Sequence[OwnOrder], window_ns: int) -> Iterator[list[OwnOrder]]:
    """Orders in the time that they were sent, cut where the window after a run's first one ends."""
    run: list[OwnOrder] = []
    for order in sorted(orders, key=lambda one: (one.sent_ns, one.client_order_id)):
        if run and order.sent_ns - run[0].sent_ns > window_ns:
            yield run
            run = []
        run.append(order)
    if run:
        yield run
