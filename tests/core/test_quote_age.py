"""How old a quote is when its stamp may lie a moment ahead of us."""

from __future__ import annotations

import numpy as np

from workbench.core.types import NANO, QUOTE_AHEAD_NS, Quotes


def test_a_stamp_a_moment_ahead_is_of_now_and_a_wrong_clock_stays_wrong() -> None:
    now = 1_000 * NANO
    stamps = np.array([now - 7, now, now + 1, now + QUOTE_AHEAD_NS, now + QUOTE_AHEAD_NS + 1, -1])
    prices = np.full(6, 1_000_000)
    quotes = Quotes(tuple("ABCDEF"), prices, prices, stamps)
    assert quotes.age_ns(now).tolist() == [7, 0, 0, 0, -QUOTE_AHEAD_NS - 1, -1]
