"""The quote that stands at an instant, for millions of instants: shelves of quotes, searched eight at a time.

A batch of quotes is sorted by symbol onto shelves. Each shelf begins with the quote that stood before the
batch and ends with eight places in the far future, so that a search counts eight times at once, never looks
whether the shelf ends, and takes no branch that a processor would have to guess. Whoever asks in the order
of time searches on from the place of the last answer.
"""

from __future__ import annotations

import numpy as np

from workbench.core.kernel import inlined_kernel, kernel
from workbench.core.types import DAY_NS, Floats, Integers

#: Later than every time, and the number of places of that time behind each shelf.
FAR_NS = int(np.iinfo(np.int64).max)
STRIDE = 8


@kernel
def admit_quotes(
    quote_ns: Integers, symbol: Integers, bid: Floats, ask: Floats, scale: float, last_ns: int,
    prices: Integers, fresh: Integers, counters: Integers,
) -> bool:  # fmt: skip
    """Write bid and ask in micros, bid -1 for a quote that is refused; False = not in order of time.

    `fresh` counts the quotes of each symbol.
    """
    fresh[:] = 0
    for at in range(quote_ns.shape[0]):
        if quote_ns[at] < last_ns:
            return False
        last_ns = quote_ns[at]
        b, s = np.rint(bid[at] * scale), np.rint(ask[at] * scale)
        prices[at, 0] = -1
        if not (b >= 1.0 and s >= 1.0 and b < 1e15 and s < 1e15):
            counters[0] += 1
        elif b > s:
            counters[1] += 1
        elif symbol[at] < 0:
            counters[2] += 1
        else:
            prices[at, 0], prices[at, 1] = int(b), int(s)
            fresh[symbol[at]] += 1
    return True


@kernel
def shelve(
    quote_ns: Integers, symbol: Integers, prices: Integers, fresh: Integers, carried: Integers,
    first: Integers, last: Integers, when: Integers, quote: Integers,
) -> None:  # fmt: skip
    """Sort admitted quotes by symbol, in their order, each shelf behind the quote that stood before.

    Parameters
    ----------
    fresh : int64 (symbols,)
        How many each symbol has.
    carried : int64 (symbols, 3)
        Time, bid and ask of each symbol's last quote, time -1 = none yet; renewed.
    first, last : int64 (symbols,)
        First and last place of each shelf; written.
    when, quote : int64 (places,), (places, 2)
        Time, and bid and ask, of each place; written.
    """
    place = 0
    for number in range(first.shape[0]):
        first[number] = last[number] = place
        when[place] = carried[number, 0]
        quote[place, 0], quote[place, 1] = carried[number, 1], carried[number, 2]
        place += 1 + fresh[number]
        for behind in range(STRIDE):
            when[place + behind] = FAR_NS
        place += STRIDE
    for at in range(quote_ns.shape[0]):
        if prices[at, 0] >= 0:
            number = symbol[at]
            place = last[number] + 1
            last[number] = place
            when[place] = quote_ns[at]
            quote[place, 0], quote[place, 1] = prices[at, 0], prices[at, 1]
    for number in range(first.shape[0]):
        place = last[number]
        carried[number, 0] = when[place]
        carried[number, 1], carried[number, 2] = quote[place, 0], quote[place, 1]


@inlined_kernel
def standing(when: Integers, place: int, due: int) -> np.int64:
    """The last place of a shelf whose time is at or before `due`, searched on from `place`."""
    at = np.uint64(place)  # an unsigned place is never counted from the end, so eight are compared at once
    more = STRIDE
    while more == STRIDE:
        more = 0
        for ahead in range(1, STRIDE + 1):
            more += when[at + np.uint64(ahead)] <= due
        at += np.uint64(more)
    return np.int64(at)


@kernel
def answer_mids(
    fill_ns: Integers, symbol: Integers, first: int, horizon: int, max_age_ns: int, known_ns: int,
    when: Integers, quote: Integers, place: Integers, out: Integers,
) -> int:  # fmt: skip
    """Write twice the mid at or before each fill + horizon, -1 where none stands on that day.

    Parameters
    ----------
    first : int
        The first fill that is not answered.
    known_ns : int
        Every quote before this instant is on a shelf; who asks later waits.
    place : int64 (symbols,)
        Where each symbol's last answer stood; renewed.

    Returns
    -------
    int
        The first fill that is still not answered.
    """
    j, midnight, end = first, 0, 0
    while j < fill_ns.shape[0] and fill_ns[j] + horizon < known_ns:
        at, due, number = fill_ns[j], fill_ns[j] + horizon, symbol[j]
        if at >= end:
            midnight = at - at % DAY_NS
            end = midnight + DAY_NS
        stands = standing(when, place[number], due)
        place[number] = stands
        stamp = when[stands]
        fresh = stamp >= midnight and due - stamp <= max_age_ns and due < end
        out[j] = quote[stands, 0] + quote[stands, 1] if fresh else -1
        j += 1
    return j


@kernel
def answer_quotes(
    key: Integers, symbol: Integers, first: int, known_ns: int,
    when: Integers, quote: Integers, place: Integers, out: Integers,
) -> int:  # fmt: skip
    """Write bid, ask and time of the quote strictly before each key, time -1 where none stands.

    Parameters and result as those of `answer_mids`.
    """
    j = first
    while j < key.shape[0] and key[j] <= known_ns:
        number = symbol[j]
        stands = standing(when, place[number], key[j] - 1)
        place[number] = stands
        out[j, 0], out[j, 1], out[j, 2] = quote[stands, 0], quote[stands, 1], when[stands]
        j += 1
    return j
