"""Which orders wait for a person, and what exactly that person agrees to: pure rules.

An approval is bound to the hash of the order, the verdict of the controls, the quote that was shown and the
settings. Whatever of these changes afterwards is something that nobody approved.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from workbench.core.canonical import sha256_of
from workbench.core.orders import OrderIntent
from workbench.core.types import MICRO, NANO

WAITING: Final = "waiting"
APPROVED: Final = "approved"
DECLINED: Final = "declined"
#: Used for the one request that it permitted.
USED: Final = "used"
#: Ended without a request: expired, denied at the last look, or its session is over.
OVER: Final = "over"

#: Why an approved order is not sent after all; they stand where denial codes stand.
MISSING: Final = "APPROVAL_MISSING"
ANOTHER: Final = "APPROVAL_OF_ANOTHER_ORDER"
EXPIRED: Final = "APPROVAL_EXPIRED"
UNPROVED: Final = "APPROVAL_UNPROVED"
QUOTE_MOVED: Final = "QUOTE_MOVED"


@dataclass(frozen=True)
class ApprovalRules:
    """Which orders wait for a person.

    Attributes
    ----------
    required : bool
        Every order waits for a registered approver; live refuses to run without it.
    above_notional_usd : int
        An order of more value than this waits whatever else is set.
    first_order_of_symbol : bool
        The first order that the account ever sends of a symbol waits.
    life_s : int
        How long a request can be approved, and an approval used, seconds.
    max_quote_move_bps : float
        An approved order is not sent when the quote's mid has moved further since it was asked for.
    """

    required: bool = False
    above_notional_usd: int = 200_000
    first_order_of_symbol: bool = False
    life_s: int = 3_600
    max_quote_move_bps: float = 50.0

    def __post_init__(self) -> None:
        ceilings = {"above_notional_usd": 1_000_000_000, "life_s": 86_400, "max_quote_move_bps": 5_000.0}
        for name, ceiling in ceilings.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not (0 < value <= ceiling and math.isfinite(value)):
                raise ValueError(f"approvals.{name} = {value!r} must be above 0 and at most {ceiling:g}")


@dataclass(frozen=True)
class QuoteSeen:
    """The quote that stood when an order was asked for; 0 and -1 where there was none.

    Attributes
    ----------
    bid_micro, ask_micro : int
    at_ns : int
        Its time stamp, UTC nanoseconds.
    """

    bid_micro: int
    ask_micro: int
    at_ns: int

    @property
    def mid_micro(self) -> float:
        """Between bid and ask; NaN unless both are there and not crossed."""
        if not 0 < self.bid_micro <= self.ask_micro:
            return math.nan
        return (self.bid_micro + self.ask_micro) / 2.0


def why_it_waits(intent: OrderIntent, rules: ApprovalRules, *, traded_before: bool) -> tuple[str, ...]:
    """Reasons for which a person has to see the order first; () = it may go without.

    Parameters
    ----------
    traded_before : bool
        Whether the account has ever sent an order of the symbol.

    Examples
    --------
    >>> from workbench.core.types import OrderType, Side
    >>> order = OrderIntent("wb1-a", "demo", "trend", "2013-02-01", 1, "AAPL", "entry", Side.BUY,
    ...     100 * 10**9, OrderType.LIMIT, 450_000_000, 449_000_000, 8)
    >>> why_it_waits(order, ApprovalRules(above_notional_usd=40_000), traded_before=True)
    ('its value of 45,000 USD is above 40,000',)
    """
    reasons = []
    if rules.required:
        reasons.append("every order waits")
    worst_micro = max(intent.limit_micro, intent.stop_micro, intent.reference_micro)
    notional_usd = intent.quantity_nano * worst_micro / (NANO * MICRO)
    if not 0 < notional_usd <= rules.above_notional_usd:
        reasons.append(f"its value of {notional_usd:,.0f} USD is above {rules.above_notional_usd:,}")
    if rules.first_order_of_symbol and not traded_before:
        reasons.append(f"it is the first order of {intent.symbol}")
    return tuple(reasons)


def bound_hash(intent: OrderIntent, *, quote: QuoteSeen, verdict: str, config_hash: str) -> str:
    """Hex sha256 of all that a person agrees to: the order, the controls' verdict, quote and settings."""
    return sha256_of({"order": intent, "quote": quote, "verdict": verdict, "config_hash": config_hash})


def quote_moved(seen: QuoteSeen, now: QuoteSeen, max_move_bps: float) -> bool:
    """Whether the mid is further from the one seen than allowed; True when either is not known.

    Examples
    --------
    >>> quote_moved(QuoteSeen(99, 101, 1), QuoteSeen(99, 101, 2), 5.0)
    False
    >>> quote_moved(QuoteSeen(99, 101, 1), QuoteSeen(0, 0, -1), 5.0)
    True
    """
    move_bps = abs(now.mid_micro / seen.mid_micro - 1.0) * 1e4
    return not move_bps <= max_move_bps
