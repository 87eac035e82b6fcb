"""Processes without any change, to count false alarms on; shared by tests, proofs and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numba import njit
from scipy.signal import lfilter

import workbench as wb

PROCESSES = ("iid", "ar5", "ar9", "student", "ties", "garch", "filtered")
_BURN_IN = 600


def unchanged(process: str, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Rows of a stationary process of variance about one; columns correlated by a quarter."""
    size = (rows + _BURN_IN, columns)
    common = rng.standard_normal((size[0], 1)) if columns > 1 else 0.0
    shocks = rng.standard_normal(size)
    if columns > 1:
        shocks = (shocks + common / np.sqrt(3.0)) / np.sqrt(4.0 / 3.0)
    if process in ("ar5", "ar9"):
        rho = 0.5 if process == "ar5" else 0.9
        shocks = lfilter([np.sqrt(1.0 - rho * rho)], [1.0, -rho], shocks, axis=0)
    elif process == "student":
        shocks = shocks / np.sqrt(rng.chisquare(3, (size[0], 1)))
    elif process in ("garch", "filtered"):
        _garch(shocks)
    return np.ascontiguousarray(shocks[_BURN_IN:])


@njit(cache=True)
def _garch(shocks):
    """GARCH(1, 1) with reaction .08 and persistence .98, in place."""
    variance = np.ones(shocks.shape[1])
    for row in range(shocks.shape[0]):
        for column in range(shocks.shape[1]):
            shocks[row, column] *= np.sqrt(variance[column])
            square = shocks[row, column] ** 2
            variance[column] = 0.02 + 0.08 * square + 0.9 * variance[column]


@dataclass(frozen=True)
class Cell:
    """Counts of one process, window and shift; rates are shares of runs (family) or of run-columns."""

    process: str
    rows: int
    columns: int
    shift_sd: float
    runs: int
    feature_rate: float
    family_rate: float
    insufficient: float
    effective_n: float
    scipy_rate: float
    scipy_runs: int


def measure(process: str, rows: int, *, columns: int, runs: int, shift_sd: float, seed: int) -> Cell:
    """Alarms of `compare` at alpha 5 % and of scipy's KS test, the reference as long as the window."""
    from scipy.stats import ks_2samp

    rng = np.random.default_rng([seed, rows, columns, PROCESSES.index(process)])
    features = family = insufficient = scipy_alarms = 0.0
    effective: list[float] = []
    scipy_runs = runs if rows <= 10_000 else min(runs, 50)
    for run in range(runs):
        before, after = pair(process, rows, columns, shift_sd, rng)
        report = wb.drift.compare(before, after, alpha=0.05)
        frame: Any = report.frame
        features += float((frame["p_value"] <= 0.05).mean())
        insufficient += float((frame["verdict"] == "INSUFFICIENT").mean())
        family += report.drifted
        effective.append(float(frame["effective_n"].mean()))
        if run < scipy_runs:
            scipy_alarms += ks_2samp(before["x0"], after["x0"], method="asymp").pvalue <= 0.05
    return Cell(
        process, rows, columns, shift_sd, runs, features / runs, family / runs, insufficient / runs,
        float(np.mean(effective)), scipy_alarms / scipy_runs, scipy_runs,
    )  # fmt: skip


def pair(
    process: str, rows: int, columns: int, shift_sd: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reference and window, the window moved by so many standard deviations, as tables.

    A "filtered" process goes through the volatility filter, which needs 150 rows to start from.
    """
    reference = rows if process != "filtered" else max(rows, 150) + 50
    whole = unchanged("iid" if process == "ties" else process, reference + rows, columns, rng)
    whole[reference:] += shift_sd * (whole[:reference].std(axis=0) if shift_sd else 0.0)
    if process == "ties":
        whole = np.round(whole)
    names = [f"x{at}" for at in range(columns)]
    before = pd.DataFrame(whole[:reference], columns=names)
    after = pd.DataFrame(whole[reference:], columns=names)
    if process == "filtered":
        fitted = wb.drift.VolatilityFilter.fit(before)
        return fitted.filtered_reference(before), fitted.filtered(after)
    return before, after
