"""The quote that stands at an instant, for millions of instants in time order: one pass for each question.

A pass keeps for each symbol the place of its last quote in the present batch, and what stood before the
batch. Each kind of question (arrivals, a markout horizon) passes over the quotes by itself: the inner loop
is then one comparison and one store, which costs less than one merge of all questions.
"""

from __future__ import annotations

import numpy as np

from workbench.core.kernel import kernel
from workbench.core.types import DAY_NS, Floats, Integers

FAR_NS = int(np.iinfo(np.int64).max) // 2


@kernel
def admit_quotes(
    quote_ns: Integers, quote_symbol: Integers, bid: Floats, ask: Floats, scale: float, last_ns: int,
    nowhere: int, row: Integers, counters: Integers,
) -> bool:  # fmt: skip
    """Write the row in which each quote stands, `nowhere` for one that is refused; False = not in order."""
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
        elif quote_symbol[at] < 0:
            counters[2] += 1
        else:
            row[at] = quote_symbol[at]
    return True


@kernel
def stood(
    number: int, at: int, quote_ns: Integers, bid: Floats, ask: Floats, scale: float, base: Integers
) -> tuple[int, int, int]:
    """Bid, ask and time of the quote that stands in a row: of this batch (`at` >= 0), or of one before."""
    if at < 0:
        return (base[number, 0], base[number, 1], base[number, 2])
    return (int(np.rint(bid[at] * scale)), int(np.rint(ask[at] * scale)), quote_ns[at])


@kernel
def answer_mids(
    quote_ns: Integers, row: Integers, bid: Floats, ask: Floats, scale: float, quotes_end: bool,
    fill_ns: Integers, fill_symbol: Integers, fills_end: bool, horizon: int, max_age_ns: int,
    standing: Integers, base: Integers, out: Integers, cursor: Integers,
) -> None:  # fmt: skip
    """Write twice the mid at or before each fill + horizon, -1 where none stands; one stream of queries.

    `cursor` holds the next quote and the next fill; `standing` the last quote of each row in this batch.
    """
    at, j = cursor[0], cursor[1]
    size, fills = quote_ns.shape[0], fill_ns.shape[0]
    while j < fills or fills_end:
        due = fill_ns[j] + horizon if j < fills else FAR_NS
        while at < size and quote_ns[at] <= due:
            standing[row[at]] = at
            at += 1
        if j >= fills or (at >= size and not quotes_end):
            break
        symbol, day = fill_symbol[j], fill_ns[j] - fill_ns[j] % DAY_NS
        b, s, stamp = stood(symbol, standing[symbol], quote_ns, bid, ask, scale, base)
        out[j] = b + s if stamp >= day and due - stamp <= max_age_ns and due < day + DAY_NS else -1
        j += 1
    cursor[0], cursor[1] = at, j


@kernel
def answer_quotes(
    quote_ns: Integers, row: Integers, bid: Floats, ask: Floats, scale: float, quotes_end: bool,
    key: Integers, key_symbol: Integers, keys_end: bool, standing: Integers, base: Integers, out: Integers,
    cursor: Integers,
) -> None:  # fmt: skip
    """Write bid, ask and time of the quote strictly before each key, time -1 where none stands."""
    at, j = cursor[0], cursor[1]
    size, keys = quote_ns.shape[0], key.shape[0]
    while j < keys or keys_end:
        due = key[j] if j < keys else FAR_NS
        while at < size and quote_ns[at] < due:
            standing[row[at]] = at
            at += 1
        if j >= keys or (at >= size and not quotes_end):
            break
        symbol = key_symbol[j]
        out[j, 0], out[j, 1], out[j, 2] = stood(symbol, standing[symbol], quote_ns, bid, ask, scale, base)
        j += 1
    cursor[0], cursor[1] = at, j


@kernel
def carry_over(
    quote_ns: Integers, bid: Floats, ask: Floats, scale: float, standing: Integers, base: Integers
) -> None:
    """Keep the quotes that stand at the end of a batch, which is then forgotten."""
    for number in range(base.shape[0]):
        b, s, stamp = stood(number, standing[number], quote_ns, bid, ask, scale, base)
        base[number, 0], base[number, 1], base[number, 2] = b, s, stamp
        standing[number] = -1
