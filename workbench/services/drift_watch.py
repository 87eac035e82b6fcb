"""Whether features have left what the accepted model was trained on, and costs what was expected.

The reference is the model's own training window, recomputed from the bars as they were known then; nothing
is stored beside the manifest. Symbols are judged one by one, because rows of several symbols are no series.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd

from workbench.core.drift import DriftReport, compare
from workbench.core.features import Feature, compute_history
from workbench.core.types import Bars
from workbench.errors import DataError

FEATURE_COLUMNS: Final = (
    "symbol", "status", "family_p_value", "alpha", "changed", "reference", "latest", "shift_sd", "spread",
    "missing",
)  # fmt: skip
_NO_EFFECTS: Final = (float("nan"),) * 3
#: Reference sessions are at most so many times the judged ones: older ones add time, hardly power.
_MOST_REFERENCES: Final = 8


def watch_features(
    bars: Bars, features: Sequence[Feature], *, trained_to_ns: int, latest_sessions: int, alpha: float
) -> pd.DataFrame:
    """Whether each symbol's features still have the distribution that the model was trained on.

    Parameters
    ----------
    bars : Bars
        History up to the session that is judged, the training window included.
    trained_to_ns : int
        End of the training window, UTC nanoseconds; later rows are never reference.
    latest_sessions : int
        The last rows, which are judged.
    alpha : float
        Chance of a false alarm over all symbols together; each symbol gets an equal share (Bonferroni).

    Returns
    -------
    DataFrame
        One row a symbol: status drift | none | insufficient, family_p_value, alpha, changed (features,
        in words), reference and latest (rows that were compared); of the features that changed the largest
        shift_sd and spread either way and the largest rise of the share of missing values, NaN without any.

    Raises
    ------
    DataError
        No session lies between training and the judged window's end, or none before.
    """
    longest = max(feature.lookback for feature in features)
    trained = int(np.searchsorted(bars.ts_ns, trained_to_ns, side="right"))
    first = max(len(bars.ts_ns) - latest_sessions, trained)
    start = max(longest, trained - _MOST_REFERENCES * latest_sessions)
    if first >= len(bars.ts_ns) or start >= trained:
        raise DataError(
            f"{trained} sessions of training and {len(bars.ts_ns) - trained} since: nothing to compare",
            next_step="workbench data status; a model that saw the last session cannot be judged by it",
        )
    rows = np.r_[start:trained, first : len(bars.ts_ns)]
    values = compute_history(features, bars, rows)
    names = [feature.name for feature in features]
    found = []
    for at, symbol in enumerate(bars.symbols):
        table = pd.DataFrame(values[:, at, :], columns=names)
        table["daily_return"] = _returns(bars.close[:, at])[rows]
        reference, latest = table.iloc[: trained - start], table.iloc[trained - start :]
        report = compare(reference, latest, alpha=alpha / len(bars.symbols))
        found.append((symbol, *_verdict(report), len(reference), len(latest), *_effects(report)))
    return pd.DataFrame(found, columns=list(FEATURE_COLUMNS))


def watch_costs(records: pd.DataFrame, *, latest_sessions: int, alpha: float) -> pd.DataFrame:
    """Whether what was paid beyond what was expected has changed in the latest sessions.

    Parameters
    ----------
    records : DataFrame
        Cost records in order of time: session, cost_bps and expected_bps of each fill.

    Returns
    -------
    DataFrame
        One row, as of `watch_features`, for the difference in bps; too few fills are insufficient.
    """
    sessions = sorted(set(records["session"]))
    latest = records["session"].isin(sessions[-latest_sessions:])
    beyond = pd.DataFrame({"cost_beyond_expected_bps": records["cost_bps"] - records["expected_bps"]})
    if latest.all():
        row = (
            "costs",
            "insufficient",
            float("nan"),
            alpha,
            "no fills before the window",
            0,
            int(latest.sum()),
            *_NO_EFFECTS,
        )
    else:
        report = compare(beyond[~latest], beyond[latest], alpha=alpha)
        counts = int((~latest).sum()), int(latest.sum())
        row = ("costs", *_verdict(report), *counts, *_effects(report))
    return pd.DataFrame([row], columns=list(FEATURE_COLUMNS))


def _verdict(report: DriftReport) -> tuple[str, float, float, str]:
    frame = report.frame
    changed = frame.index[frame["verdict"] == "DRIFT"]
    return report.status, float(report.family_p_value), float(report.alpha), ", ".join(map(str, changed))


def _effects(report: DriftReport) -> tuple[float, float, float]:
    """How far the inputs that changed have moved: mean, variance, share of missing values."""
    changed = report.frame[report.frame["verdict"] == "DRIFT"].drop(index="daily_return", errors="ignore")
    if not len(changed):
        return _NO_EFFECTS
    rise = changed["missing_current"] - changed["missing_reference"]
    moved = (changed["shift_sd"].abs().max(), changed["spread"].abs().max(), rise.max())
    return float(moved[0]), float(moved[1]), float(moved[2])


def _returns(
    close: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Close to close, NaN where one of the two is missing."""
    return np.concatenate([[np.nan], close[1:] / close[:-1] - 1.0])
