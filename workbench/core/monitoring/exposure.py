"""Exposure at one moment of a session: what is held at current marks, what works at its worst."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from workbench.core.ledger import Ledger, money_micro
from workbench.core.monitoring.measures import Measure, measure
from workbench.core.monitoring.rules import Level
from workbench.core.pretrade.limits import Limits
from workbench.core.types import MICRO, NANO

GROSS: Final = "exposure.gross"
NET: Final = "exposure.net"
LOSS: Final = "exposure.loss"


@dataclass(frozen=True)
class Exposure:
    """Value at risk of an account once the worse side of everything that works has filled.

    Attributes
    ----------
    gross_micro : int
        Sum over symbols of the larger of both outcomes, un-netted, micros.
    net_micro : int
        The larger of all longs if every working buy fills, and all shorts if every working sale does.
    unpriced : tuple of str
        Symbols that are held or work without any price; their value is in neither sum.
    """

    gross_micro: int
    net_micro: int
    unpriced: tuple[str, ...]


def exposure_at(
    positions_nano: Mapping[str, int],
    working_shares: Mapping[str, tuple[int, int]],
    marks_micro: Mapping[str, int],
) -> Exposure:
    """Exposure of positions and working orders at the given marks.

    Parameters
    ----------
    positions_nano : mapping of str to int
        Signed positions, 1e-9 shares.
    working_shares : mapping of str to (int, int)
        Whole shares that may still be bought and sold; an order of unknown fate counts in full.
    marks_micro : mapping of str to int
        Price per share in micros; absent or not positive = not known.

    Examples
    --------
    >>> from workbench.core.monitoring.exposure import exposure_at
    >>> found = exposure_at({"IBM": 10 * 10**9}, {"IBM": (5, 0)}, {"IBM": 200_000_000})
    >>> found.gross_micro, found.net_micro
    (3000000000, 3000000000)
    """
    gross = longest = shortest = 0
    unpriced = []
    for symbol in sorted({*positions_nano, *working_shares}):
        held = positions_nano.get(symbol, 0)
        buys, sells = working_shares.get(symbol, (0, 0))
        price = marks_micro.get(symbol, 0)
        if not (held or buys or sells):
            continue
        if price <= 0:
            unpriced.append(symbol)
            continue
        up, down = money_micro(held + buys * NANO, price), money_micro(held - sells * NANO, price)
        gross += max(abs(up), abs(down))
        longest += up
        shortest += down
    return Exposure(gross, max(longest, -shortest, 0), tuple(unpriced))


def exposure_now(
    ledger: Ledger,
    working_shares: Mapping[str, tuple[int, int]],
    marks_micro: Mapping[str, int],
    *,
    doubtful: tuple[str, ...],
    start_equity_micro: int,
    limits: Limits,
) -> tuple[Measure, ...]:
    """Gross and net exposure and the session's loss, each as a part of its limit, judged.

    What is not known is a warning and hides no breach: the sums hold what is known.

    Parameters
    ----------
    doubtful : tuple of str
        Symbols whose mark is older than a quote may be, or only a former close.
    start_equity_micro : int
        Equity when the session began.
    """
    found = exposure_at(ledger.positions_nano, working_shares, marks_micro)
    unknown = tuple(sorted({*found.unpriced, *doubtful}))
    words = f"; no fresh quote of {', '.join(unknown)}" if unknown else ""
    gross_limit = limits.max_gross_notional_usd
    net_limit = gross_limit * limits.max_net_fraction
    known = {symbol: price for symbol, price in marks_micro.items() if price > 0}
    try:
        lost = max(0, start_equity_micro - ledger.equity_micro(known)) / MICRO
    except ValueError:  # a holding without any price
        lost = float("nan")
    parts = (
        (GROSS, found.gross_micro / MICRO, float(gross_limit)),
        (NET, found.net_micro / MICRO, net_limit),
        (LOSS, lost, float(limits.max_session_loss_usd)),
    )
    return tuple(
        measure(
            name, usd / limit, f"{usd:,.0f} of {limit:,.0f} USD{words}",
            alarmed=bool(unknown) and name == GROSS,
        )
        for name, usd, limit in parts
    )  # fmt: skip


def latched(held: Measure | None, now: Measure) -> Measure:
    """The measure that stands: a worse one replaces it at once, a better one only from a note downwards.

    A value that swings around a bound is one breach, not one for each swing.
    """
    if held is None or now.level.rank >= held.level.rank or now.level.rank <= Level.NOTE.rank:
        return now
    return held
