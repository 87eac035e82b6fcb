"""The statistics that the sequential detectors compare with their thresholds, as paths over a stream.

`wb.drift.SequentialDetector` runs River's own detectors; these kernels follow the same definitions up to the
first alarm, thousands of times faster, so that a threshold can be calibrated by simulation. Tests compare
both. Every statistic grows with the evidence, so that one path serves all thresholds.

Sources: A. Bifet and R. Gavalda, "Learning from Time-Changing Data with Adaptive Windowing", SIAM SDM 2007
(ADWIN); E. Page, "Continuous Inspection Schemes", Biometrika 41, 1954 (CUSUM, Page-Hinkley); C. Raab,
M. Heusinger and F.-M. Schleif, "Reactive Soft Prototype Computing for Concept Drift Streams",
Neurocomputing 416, 2020 (KSWIN).
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from workbench.core.kernel import allocating_kernel
from workbench.core.types import Floats, Integers

CUSUM_SLACK = 0.2  #: half the shift of the mean, in standard deviations, that the chart is tuned to
PAGE_HINKLEY_DELTA = 0.1
PAGE_HINKLEY_LEAST_ROWS = 30
PAGE_HINKLEY_FORGETTING = 1.0 - 0.0001
ADWIN_CLOCK = 32
ADWIN_BUCKETS = 5
ADWIN_LEAST_WINDOW = 5
ADWIN_GRACE = 10
METHODS = ("adwin", "page_hinkley", "kswin", "cusum")
KSWIN_WINDOW = 100
KSWIN_RECENT = 30
Unsigned: TypeAlias = NDArray[np.uint64]
_ROWS = 40  # bucket sizes up to 2 ** 39 rows
# mean and standard deviation of |z| for a standard normal z
_ABSOLUTE_MEAN = math.sqrt(2.0 / math.pi)
_ABSOLUTE_SD = math.sqrt(1.0 - 2.0 / math.pi)


@allocating_kernel
def cusum_step(value: float, sums: Floats) -> float:
    """One update of the four one-sided sums (level up, down, spread up, down); their largest.

    The spread is watched as |z|, standardised: less skewed than z squared.
    """
    spread = (abs(value) - _ABSOLUTE_MEAN) / _ABSOLUTE_SD
    sums[0] = max(0.0, sums[0] + value - CUSUM_SLACK)
    sums[1] = max(0.0, sums[1] - value - CUSUM_SLACK)
    sums[2] = max(0.0, sums[2] + spread - CUSUM_SLACK)
    sums[3] = max(0.0, sums[3] - spread - CUSUM_SLACK)
    return float(max(max(sums[0], sums[1]), max(sums[2], sums[3])))


@allocating_kernel
def cusum_path(stream: Floats, out: Floats) -> None:
    """The largest of the four sums after each update."""
    sums = np.zeros(4)
    for row in range(len(stream)):
        out[row] = cusum_step(stream[row], sums)


@allocating_kernel
def page_hinkley_path(stream: Floats, out: Floats) -> None:
    """How far the sum of deviations from the running mean has come back from its extreme, either side."""
    mean = increase = decrease = 0.0
    lowest, highest = math.inf, -1.0
    for row in range(len(stream)):
        mean += (stream[row] - mean) / (row + 1)
        deviation = stream[row] - mean
        increase = PAGE_HINKLEY_FORGETTING * increase + deviation - PAGE_HINKLEY_DELTA
        decrease = PAGE_HINKLEY_FORGETTING * decrease + deviation + PAGE_HINKLEY_DELTA
        lowest, highest = min(lowest, increase), max(highest, decrease)
        enough = row + 1 >= PAGE_HINKLEY_LEAST_ROWS
        out[row] = max(increase - lowest, highest - decrease) if enough else 0.0


@allocating_kernel
def _draw(state: Unsigned) -> float:
    """A uniform number in [0, 1) by SplitMix64, whose state moves on (S. Steele, D. Lea, C. Flood, 2014)."""
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    mixed = state[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return float(mixed >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@allocating_kernel
def kswin_path(stream: Floats, state: Unsigned, out: Floats) -> None:
    """Kolmogorov-Smirnov distance of the latest 30 values from 30 drawn among the 70 before them."""
    older = KSWIN_WINDOW - KSWIN_RECENT
    place = np.arange(older)
    drawn, recent = np.empty(KSWIN_RECENT), np.empty(KSWIN_RECENT)
    for row in range(len(stream)):
        if row + 1 < KSWIN_WINDOW:
            out[row] = 0.0
            continue
        start = row + 1 - KSWIN_WINDOW
        for k in range(KSWIN_RECENT):
            other = k + int(_draw(state) * (older - k))
            place[k], place[other] = place[other], place[k]
            drawn[k] = stream[start + place[k]]
            recent[k] = stream[start + older + k]
        drawn.sort()
        recent.sort()
        out[row] = _ks_of_sorted(drawn, recent)


@allocating_kernel
def _ks_of_sorted(first: Floats, second: Floats) -> float:
    n = len(first)
    i = j = 0
    largest = 0
    while i < n and j < n:
        value = min(first[i], second[j])
        while i < n and first[i] == value:
            i += 1
        while j < n and second[j] == value:
            j += 1
        largest = max(largest, abs(i - j))
    return largest / n


@allocating_kernel
def adwin_path(stream: Floats, out: Floats) -> None:
    """-ln of the confidence at which ADWIN would cut its window, 0 where it does not look.

    Buckets of 1, 2, 4, ... rows, at most five of a size; every 32 updates each boundary between buckets is a
    candidate cut. The bound on the difference of means is solved for its confidence.
    """
    totals = np.zeros((_ROWS, ADWIN_BUCKETS + 2))
    variances = np.zeros((_ROWS, ADWIN_BUCKETS + 2))
    counts = np.zeros(_ROWS, dtype=np.int64)
    width, total, variance = 0, 0.0, 0.0
    for row in range(len(stream)):
        value = stream[row]
        if width > 0:
            variance += width * (value - total / width) ** 2 / (width + 1)
        width += 1
        total += value
        totals[0, counts[0]], variances[0, counts[0]] = value, 0.0
        counts[0] += 1
        _compress(totals, variances, counts)
        out[row] = 0.0
        if (row + 1) % ADWIN_CLOCK == 0 and width > ADWIN_GRACE:
            out[row] = _largest_cut(totals, counts, width, total, variance / width)


@allocating_kernel
def _compress(totals: Floats, variances: Floats, counts: Integers) -> None:
    """The two oldest buckets of a size become one of the next, where there are too many."""
    for size in range(len(counts) - 1):
        if counts[size] <= ADWIN_BUCKETS:
            return
        rows = 2.0**size
        first, second = totals[size, 0], totals[size, 1]
        apart = (first - second) / rows
        at = counts[size + 1]
        totals[size + 1, at] = first + second
        variances[size + 1, at] = variances[size, 0] + variances[size, 1] + rows * apart * apart / 2.0
        counts[size + 1] += 1
        counts[size] -= 2
        for k in range(counts[size]):
            totals[size, k], variances[size, k] = totals[size, k + 2], variances[size, k + 2]


@allocating_kernel
def _largest_cut(totals: Floats, counts: Integers, width: int, total: float, variance: float) -> float:
    largest = 0.0
    older, older_sum = 0.0, 0.0
    for size in range(len(counts) - 1, -1, -1):
        rows = 2.0**size
        for k in range(counts[size]):
            older += rows
            older_sum += totals[size, k]
            newer = width - older
            if older < ADWIN_LEAST_WINDOW or newer < ADWIN_LEAST_WINDOW:
                continue
            gap = abs(older_sum / older - (total - older_sum) / newer)
            shared = 1.0 / (older - ADWIN_LEAST_WINDOW + 1.0) + 1.0 / (newer - ADWIN_LEAST_WINDOW + 1.0)
            # gap = sqrt(2 shared variance L) + 2/3 shared L, solved for L = ln(2 ln(width) / delta)
            a, b = 2.0 / 3.0 * shared, math.sqrt(2.0 * shared * variance)
            root = (-b + math.sqrt(b * b + 4.0 * a * gap)) / (2.0 * a)
            largest = max(largest, root * root - math.log(2.0 * math.log(width)))
    return largest


@allocating_kernel
def statistic_path(method: int, stream: Floats, state: Unsigned, out: Floats) -> None:
    """The statistic of the method at that place of `METHODS`, as if it had never alarmed."""
    if method == 0:
        adwin_path(stream, out)
    elif method == 1:
        page_hinkley_path(stream, out)
    elif method == 2:
        kswin_path(stream, state, out)
    else:
        cusum_path(stream, out)
