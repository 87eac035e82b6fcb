"""The guard that training, promotion and the command line put features through; it cannot be skipped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from workbench.core.features import Feature
from workbench.core.types import DAY_NS, Bars, Floats
from workbench.core.validation.findings import LeakReport
from workbench.core.validation.leaks import detect_lookahead, detect_warmup

TESTED_BARS = 40  #: bars that each feature is tested on, behind its first lookback
_SEED = 8  #: of the reference panel; its prices mean nothing
_SYMBOLS = tuple("ABCDE")


def leak_reports(features: Sequence[Feature], bars: Bars) -> tuple[LeakReport, ...]:
    """Reports of both detectors on every feature, over the last bars.

    Parameters
    ----------
    features : sequence of Feature
    bars : Bars
        Real bars, or `reference_bars`.
    """
    reports: list[LeakReport] = []
    for one in features:
        part = bars.tail(one.lookback + TESTED_BARS)
        reports += [detect_lookahead(one, part), detect_warmup(one, part)]
    return tuple(reports)


def leak_reasons(features: Sequence[Feature], bars: Bars) -> tuple[str, ...]:
    """Why the features may not be used; empty when nothing was found.

    Parameters
    ----------
    features : sequence of Feature
    bars : Bars
    """
    return tuple(report.summary for report in leak_reports(features, bars) if report.findings)


def reference_bars(features: Sequence[Feature]) -> Bars:
    """Made-up bars, the same everywhere, long enough for the features; to judge code where there are no bars.

    Parameters
    ----------
    features : sequence of Feature
    """
    rows = max((one.lookback for one in features), default=1) + TESTED_BARS
    draw = np.random.default_rng(_SEED)
    shape = (rows, len(_SYMBOLS))
    moves = draw.normal(0.0, 0.02, shape)
    close: Floats = np.asarray(50.0 * np.cumprod(1.0 + moves, axis=0), dtype=np.float64)
    above, below = (close * draw.uniform(0.001, 0.02, shape) for _ in range(2))
    return Bars(
        ts_ns=np.arange(1, rows + 1, dtype=np.int64) * DAY_NS,
        symbols=_SYMBOLS,
        open=close - below + (above + below) * draw.uniform(0.0, 1.0, shape),
        high=close + above,
        low=close - below,
        close=close,
        volume=np.rint(draw.uniform(1e5, 2e6, shape)),
        tradable=np.ones(shape, dtype=np.bool_),
    )
