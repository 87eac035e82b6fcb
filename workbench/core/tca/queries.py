"""The quote that stands at an instant, for millions of instants: quotes and questions merged by time.

Whoever asks in the order of time keeps one row a symbol, the quote that stands there now, and lets the quotes
of a batch pass by. Those rows fit a processor's nearest cache; quotes and questions are only read forwards.
How many quotes pass before the next question cannot be guessed, so mids look at `WIDTH` quotes at once and
take no branch: a quote that is not due yet is written to the row of nobody.
"""

from __future__ import annotations

import numpy as np

from workbench.core.kernel import kernel
from workbench.core.types import DAY_NS, Floats, Integers, Numbers

#: Later than every time.
FAR_NS = int(np.iinfo(np.int64).max)
#: Quotes that are looked at together; as many times in the far future stand behind the last one.
WIDTH = 5


@kernel
def admit_quotes(
    quote_ns: Integers, symbol: Numbers, bid: Floats, ask: Floats, scale: float, last_ns: int,
    when: Integers, row: Numbers, best: Integers, middle: Integers, counters: Integers,
) -> np.int64:  # fmt: skip
    """Write time, row (symbol + 1), bid and bid + ask in micros of each quote that is not refused.

    Returns
    -------
    int
        How many; -1 = they are not in order of time.
    """
    admitted = np.uint64(0)  # an unsigned place is never counted from the end
    for at in range(quote_ns.shape[0]):
        if quote_ns[at] < last_ns:
            return np.int64(-1)
        last_ns = quote_ns[at]
        b, s = np.rint(bid[at] * scale), np.rint(ask[at] * scale)
        if not (b >= 1.0 and s >= 1.0 and b < 1e15 and s < 1e15):
            counters[0] += 1
        elif b > s:
            counters[1] += 1
        elif symbol[at] < 0:
            counters[2] += 1
        else:
            when[admitted], row[admitted] = last_ns, symbol[at] + 1
            best[admitted], middle[admitted] = int(b), int(b) + int(s)
            admitted += np.uint64(1)
    return np.int64(admitted)


@kernel
def answer_mids(
    fill_ns: Integers, symbol: Numbers, first: int, horizon: int, max_age_ns: int, known_ns: int,
    when: Integers, row: Numbers, middle: Integers, passed: Integers, standing: Integers, out: Integers,
) -> np.int64:  # fmt: skip
    """Write twice the mid at or before each fill + horizon, -1 where none stands on that day.

    Parameters
    ----------
    first : int
        The first fill that is not answered.
    known_ns : int
        Every quote before this instant is here; who asks later waits.
    when, row, middle : int64, int32, int64
        Quotes of the present batch, as `admit_quotes` writes them, and `WIDTH` in the far future.
    passed : int64 (1,)
        How many of them have passed by; renewed. When one waits, all have.
    standing : int64 (1 + symbols, 2)
        Time of the quote that stands, -1 = none yet, and twice its mid; renewed. Row 0 is nobody's.

    Returns
    -------
    int
        The first fill that is still not answered.
    """
    at, midnight, end = np.uint64(passed[0]), 0, 0
    j, fills = np.uint64(first), np.uint64(fill_ns.shape[0])
    while j < fills:
        now = fill_ns[j]
        due = now + horizon
        more = np.uint64(WIDTH)
        while more == np.uint64(WIDTH):
            more = np.uint64(0)
            for ahead in range(WIDTH):
                place = at + np.uint64(ahead)
                stamp = when[place]
                passes = np.uint64(stamp <= due)
                mine = passes * np.uint64(row[place])
                standing[mine, 0], standing[mine, 1] = stamp, middle[place]
                more += passes
            at += more
        if due >= known_ns:
            break
        if now >= end:
            midnight = now - now % DAY_NS
            end = midnight + DAY_NS
        mine = np.uint64(symbol[j]) + np.uint64(1)
        stamp = standing[mine, 0]
        fresh = (stamp >= midnight) & (due - stamp <= max_age_ns) & (due < end)
        out[j] = (standing[mine, 1] + 1) * np.int64(fresh) - 1
        j += np.uint64(1)
    passed[0] = np.int64(at)
    return np.int64(j)


@kernel
def answer_quotes(
    key: Integers, symbol: Numbers, first: int, known_ns: int, when: Integers, row: Numbers,
    best: Integers, middle: Integers, passed: Integers, standing: Integers, out: Integers,
) -> np.int64:  # fmt: skip
    """Write bid, ask and time of the quote strictly before each key, time -1 where none stands.

    Parameters and result as those of `answer_mids`; `standing` is (1 + symbols, 3): bid, bid + ask, time.
    """
    at = np.uint64(passed[0])
    j = np.uint64(first)
    while j < np.uint64(key.shape[0]):
        while when[at] < key[j]:
            mine = np.uint64(row[at])
            standing[mine, 0], standing[mine, 1], standing[mine, 2] = best[at], middle[at], when[at]
            at += np.uint64(1)
        if key[j] > known_ns:
            break
        mine = np.uint64(symbol[j]) + np.uint64(1)
        out[j, 0], out[j, 2] = standing[mine, 0], standing[mine, 2]
        out[j, 1] = standing[mine, 1] - standing[mine, 0]
        j += np.uint64(1)
    passed[0] = np.int64(at)
    return np.int64(j)
