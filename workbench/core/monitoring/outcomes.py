"""What became of forecasts when their labels arrive, judged in blocks no shorter than the labels' horizon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.core.types import Floats

#: Fewer blocks than this say nothing.
LEAST_BLOCKS = 8


@dataclass(frozen=True)
class Outcome:
    """A forecast and its label.

    Attributes
    ----------
    session : str
        Of the decision.
    symbol : str
    decided_at_ns, label_end_ns, known_at_ns : int
        When it was decided, when the label's last bar ends, and at which look it was known; 0 = not yet.
        UTC nanoseconds.
    forecast, realised : float
        Returns over the horizon as fractions; realised is NaN while the label is not known.
    chance : float
        Stated chance of a gain; NaN = not stated.
    """

    session: str
    symbol: str
    decided_at_ns: int
    label_end_ns: int
    known_at_ns: int
    forecast: float
    realised: float
    chance: float = math.nan

    def __post_init__(self) -> None:
        if self.label_end_ns <= self.decided_at_ns or (
            self.known_at_ns and self.known_at_ns < self.label_end_ns
        ):
            raise ValueError(
                f"label of {self.symbol} {self.session}: decided at {self.decided_at_ns}, ends at "
                f"{self.label_end_ns}, known at {self.known_at_ns}: time runs backwards"
            )


def overdue_sessions(outcomes: Sequence[Outcome], closes_ns: Sequence[int]) -> tuple[int, str]:
    """For how many sessions the oldest label that should be known is overdue, and whose it is.

    Parameters
    ----------
    closes_ns : sequence of int
        Closes of the exchange's sessions up to the one that is judged, upwards. A label is due at the close
        that ends it; it is overdue by the closes that have passed since, the judged one included.

    Examples
    --------
    >>> one = Outcome("2024-01-02", "A", 5, 10, 0, 0.01, float("nan"))
    >>> overdue_sessions([one], [10, 20, 30])
    (2, 'A of 2024-01-02')
    """
    closes = np.asarray(closes_ns, dtype=np.int64)
    most, whose = 0, ""
    for one in outcomes:
        if one.known_at_ns:
            continue
        late = int((closes > one.label_end_ns).sum())
        if late > most:
            most, whose = late, f"{one.symbol} of {one.session}"
    return most, whose


def block_score(sessions: Sequence[str], values: Floats | Sequence[float], *, block_length: int) -> float:
    """How many standard errors the mean of values lies from zero when sessions come in dependent blocks.

    Values of one session are averaged first, since symbols share a day; sessions then form consecutive
    blocks, and blocks are taken as independent.

    Parameters
    ----------
    sessions : sequence of str
        Session of each value, ISO dates.
    block_length : int
        Sessions a block, at least the labels' horizon: labels that overlap share most of their returns.
        Twice the horizon halves what neighbouring blocks still share.

    Returns
    -------
    float
        NaN with fewer than 8 whole blocks; infinite when all blocks say the same.

    Examples
    --------
    >>> days = [f"2024-01-{day:02d}" for day in range(1, 19)]
    >>> round(block_score(days, [0.1, -0.1, 0.2] * 6, block_length=2), 3)
    2.0
    """
    if block_length < 1:
        raise ValueError(f"block_length is {block_length}, not a number of sessions")
    found: dict[str, list[float]] = {}
    for session, value in zip(sessions, values, strict=True):
        if math.isfinite(value):
            found.setdefault(session, []).append(float(value))
    daily = np.array([math.fsum(found[session]) / len(found[session]) for session in sorted(found)])
    count = len(daily) // block_length
    if count < LEAST_BLOCKS:
        return math.nan
    blocks = daily[len(daily) - count * block_length :].reshape(count, block_length).mean(axis=1)
    spread = float(blocks.std(ddof=1))
    middle = float(blocks.mean())
    if not spread > 0.0:  # the same in every block: certain, or nothing at all
        return math.copysign(math.inf, middle) if middle else 0.0
    return middle / (spread / math.sqrt(count))


def hit_score(outcomes: Sequence[Outcome], *, block_length: int) -> tuple[float, float]:
    """Share of right signs and its score against one half; NaN where it cannot be judged."""
    settled = [one for one in outcomes if math.isfinite(one.realised) and one.forecast != 0.0]
    hits = [float((one.realised > 0.0) == (one.forecast > 0.0)) for one in settled]
    if not hits:
        return math.nan, math.nan
    values = [hit - 0.5 for hit in hits]
    score = block_score([one.session for one in settled], values, block_length=block_length)
    return math.fsum(hits) / len(hits), score


def residual_score(outcomes: Sequence[Outcome], *, block_length: int) -> float:
    """Score of realised less forecast return."""
    settled = [one for one in outcomes if math.isfinite(one.realised)]
    values = [one.realised - one.forecast for one in settled]
    return block_score([one.session for one in settled], values, block_length=block_length)


def calibration_score(outcomes: Sequence[Outcome], *, block_length: int) -> float:
    """Score of stated chances against what happened: Spiegelhalter's statistic, in blocks.

    Negative: too timid; positive: too sure. Source: D. J. Spiegelhalter, "Probabilistic prediction in
    patient management and clinical trials", Statistics in Medicine 5 (1986).
    """
    settled = [one for one in outcomes if math.isfinite(one.realised) and math.isfinite(one.chance)]
    values = [(float(one.realised > 0.0) - one.chance) * (1.0 - 2.0 * one.chance) for one in settled]
    return block_score([one.session for one in settled], values, block_length=block_length)
