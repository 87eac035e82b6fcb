"""The quote that stands at an instant, for millions of instants in time order: one pass for each question.

Each kind of question (arrivals, a markout horizon) passes over the quotes by itself and keeps what stands in
a small table of its own: the inner loop is then one comparison and two stores, which costs less than one
merge of all questions.
"""

from __future__ import annotations

import numpy as np

from workbench.core.kernel import kernel
from workbench.core.types import DAY_NS, Floats, Integers

FAR_NS = int(np.iinfo(np.int64).max) // 2


@kernel
def admit_quotes(
    quote_ns: Integers, symbol: Integers, bid: Floats, ask: Floats, scale: float, last_ns: int, nowhere: int,
    row: Integers, prices: Integers, mid: Integers, counters: Integers,
) -> bool:  # fmt: skip
    """Write where each quote stands, its bid and ask in micros and twice its mid; False = not in order.

    A quote that is refused is counted and stands in the row `nowhere`, of which nobody asks.
    """
    for at in range(quote_ns.shape[0]):
        if quote_ns[at] < last_ns:
            return False
        last_ns = quote_ns[at]
        b, s = np.rint(bid[at] * scale), np.rint(ask[at] * scale)
        row[at] = nowhere
        if not (b >= 1.0 and s >= 1.0 and b < 1e15 and s < 1e15):
            counters[0] += 1
        elif b > s:
            counters[1] += 1
        elif symbol[at] < 0:
            counters[2] += 1
        else:
            row[at] = symbol[at]
            prices[at, 0], prices[at, 1] = int(b), int(s)
            mid[at] = prices[at, 0] + prices[at, 1]
    return True


@kernel
def answer_mids(
    quote_ns: Integers, row: Integers, mid: Integers, quotes_end: bool, fill_ns: Integers,
    fill_symbol: Integers, fills_end: bool, horizon: int, max_age_ns: int, standing: Integers, out: Integers,
    cursor: Integers,
) -> None:  # fmt: skip
    """Write twice the mid at or before each fill + horizon, -1 where none stands on that day.

    `cursor` holds the next quote and the next fill; `standing` twice the mid and the time of each row.
    """
    at, j = cursor[0], cursor[1]
    size, fills = quote_ns.shape[0], fill_ns.shape[0]
    while j < fills or fills_end:
        due = fill_ns[j] + horizon if j < fills else FAR_NS
        while at < size and quote_ns[at] <= due:
            standing[row[at], 0] = mid[at]
            standing[row[at], 1] = quote_ns[at]
            at += 1
        if j >= fills or (at >= size and not quotes_end):
            break
        symbol, day = fill_symbol[j], fill_ns[j] - fill_ns[j] % DAY_NS
        stamp = standing[symbol, 1]
        fresh = stamp >= day and due - stamp <= max_age_ns and due < day + DAY_NS
        out[j] = standing[symbol, 0] if fresh else -1
        j += 1
    cursor[0], cursor[1] = at, j


@kernel
def answer_quotes(
    quote_ns: Integers, row: Integers, prices: Integers, quotes_end: bool, key: Integers,
    key_symbol: Integers, keys_end: bool, standing: Integers, out: Integers, cursor: Integers,
) -> None:  # fmt: skip
    """Write bid, ask and time of the quote strictly before each key, time -1 where none stands."""
    at, j = cursor[0], cursor[1]
    size, keys = quote_ns.shape[0], key.shape[0]
    while j < keys or keys_end:
        due = key[j] if j < keys else FAR_NS
        while at < size and quote_ns[at] < due:
            number = row[at]
            standing[number, 0], standing[number, 1] = prices[at, 0], prices[at, 1]
            standing[number, 2] = quote_ns[at]
            at += 1
        if j >= keys or (at >= size and not quotes_end):
            break
        for part in range(3):
            out[j, part] = standing[key_symbol[j], part]
        j += 1
    cursor[0], cursor[1] = at, j
