"""How long the stages of a cycle take: counted in buckets, so that a day of any length takes the same room.

A duration below 32 microseconds has a bucket of its own, above that each power of two has 32: a percentile is
right to about 3 %, count, mean and maximum are exact. Buckets of several sessions are added up.
Source: the log-linear histogram of G. Tene, HdrHistogram.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

#: Stages of a decision cycle in their order.
CYCLE_STAGES: Final = ("reconcile", "data", "features", "forecast", "decide", "controls", "record", "submit")
_BITS: Final = 5
COLUMNS: Final = ("stage", "cycles", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms", "budget_ms", "over")


def bucket_of(microseconds: int) -> int:
    """Number of the bucket that holds a duration."""
    octave = max(microseconds.bit_length() - _BITS - 1, 0)
    return (octave << _BITS) + (microseconds >> octave)


def longest_in(bucket: int) -> int:
    """The longest duration in a bucket, microseconds."""
    octave = max((bucket >> _BITS) - 1, 0)
    return ((bucket - (octave << _BITS) + 1) << octave) - 1


@dataclass
class StageTimes:
    """Durations of one stage.

    Attributes
    ----------
    budget_ms : int
        Budget of one cycle, milliseconds; 0 = there is none.
    count, over : int
        Cycles, and how many of them went over the budget.
    total_us, max_us : int
        Microseconds.
    buckets : dict of int to int
        Cycles by bucket.
    """

    budget_ms: int = 0
    count: int = 0
    over: int = 0
    total_us: int = 0
    max_us: int = 0
    buckets: dict[int, int] = field(default_factory=dict)

    def add(self, nanoseconds: int) -> None:
        """Count one duration; a wall clock that was set back in between counts as none."""
        microseconds = max(nanoseconds, 0) // 1_000
        bucket = bucket_of(microseconds)
        self.count += 1
        self.total_us += microseconds
        self.max_us = max(self.max_us, microseconds)
        self.over += bool(self.budget_ms and microseconds > self.budget_ms * 1_000)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def percentile_us(self, fraction: float) -> int:
        """The duration that this fraction of the cycles does not exceed, microseconds; 0 of none.

        Examples
        --------
        >>> times = StageTimes()
        >>> for microseconds in range(1, 101):
        ...     times.add(microseconds * 1_000)
        >>> times.percentile_us(0.5), times.percentile_us(1.0)
        (50, 100)
        """
        due = fraction * self.count
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= due:
                return min(longest_in(bucket), self.max_us)
        return self.max_us

    def as_record(self) -> dict[str, Any]:
        """Integers for the journal."""
        return {**vars(self), "buckets": [[bucket, self.buckets[bucket]] for bucket in sorted(self.buckets)]}

    def merge(self, record: Mapping[str, Any]) -> None:
        """Add what another session recorded; the latest budget stands."""
        self.budget_ms = int(record["budget_ms"])
        for name in ("count", "over", "total_us"):
            setattr(self, name, getattr(self, name) + int(record[name]))
        self.max_us = max(self.max_us, int(record["max_us"]))
        for bucket, cycles in record["buckets"]:
            self.buckets[bucket] = self.buckets.get(bucket, 0) + cycles


def timings_table(records: Iterable[Mapping[str, Mapping[str, Any]]]) -> pd.DataFrame:
    """Percentiles of each stage over the given sessions.

    Parameters
    ----------
    records : iterable of mapping
        For each session, stage to `StageTimes.as_record`.

    Returns
    -------
    DataFrame
        stage, cycles, mean_ms, p50_ms, p95_ms, p99_ms, max_ms, budget_ms, over (cycles beyond the budget);
        stages of a cycle first, then those of a session. No rows where nothing was timed.
    """
    import pandas as pd

    merged: dict[str, StageTimes] = {}
    for stages in records:
        for name, record in stages.items():
            merged.setdefault(name, StageTimes()).merge(record)
    order = {name: place for place, name in enumerate(CYCLE_STAGES)}
    rows = [
        {
            "stage": name, "cycles": times.count, "mean_ms": times.total_us / times.count / 1e3,
            "p50_ms": times.percentile_us(0.50) / 1e3, "p95_ms": times.percentile_us(0.95) / 1e3,
            "p99_ms": times.percentile_us(0.99) / 1e3, "max_ms": times.max_us / 1e3,
            "budget_ms": times.budget_ms, "over": times.over,
        }
        for name, times in sorted(merged.items(), key=lambda item: (order.get(item[0], 99), item[0]))
        if times.count
    ]  # fmt: skip
    kinds = {name: "int64" if name in ("cycles", "budget_ms", "over") else "float64" for name in COLUMNS[1:]}
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({**kinds, "stage": "str"})
