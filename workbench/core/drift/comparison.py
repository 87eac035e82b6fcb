"""Batch drift: has a window of rows the distribution of a reference? One test a feature, one decision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from workbench.core.drift.blocks import (
    Blocks,
    Exchange,
    block_counts,
    corrected_p_values,
    cut_blocks,
    exchange,
    named_by_yekutieli,
    p_value,
)
from workbench.core.drift.contrasts import Encoded, encode_categories, encode_numbers, missing_rows
from workbench.core.drift.correlations import CORRELATIONS, correlation_sums
from workbench.core.drift.dependence import INDEPENDENT, Dependence, dependence_of
from workbench.core.drift.description import DESCRIPTION, describe
from workbench.core.drift.intake import Feature, as_table, features_of, order_notes
from workbench.core.types import Floats
from workbench.errors import UsageError

DRIFT, NONE, INSUFFICIENT = "DRIFT", "NONE", "INSUFFICIENT"
LEAST_EFFECTIVE_ROWS = 50
LEAST_BLOCKS = 8
_BLOCKS_PER_TIME = 2.0  # block length in integrated autocorrelation times
_COLUMNS = (
    "test", "statistic", "p_value", "corrected_p_value", "named", "effective_n", "verdict", "moved", "reason",
    "shift_sd", "shift_lower", "shift_upper", "spread", "spread_lower", "spread_upper", *DESCRIPTION,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What `compare` found.

    Attributes
    ----------
    frame : DataFrame
        One row a feature; see `compare`.
    drifted : bool
        The family decision at `alpha`: some feature, or how features move together, has changed.
    status : {"drift", "none", "insufficient"}
        "insufficient" when nothing drifted and at least one feature could not be judged.
    family_p_value : float
        Least corrected p-value; NaN when nothing could be judged.
    correlations_p_value : float
        Corrected p-value of "features move together as before"; NaN with fewer than two numeric features.
    alpha : float
    block_length : int
        Rows a block.
    notes : tuple of str
        What is odd about the tables themselves, in words.
    """

    frame: pd.DataFrame
    drifted: bool
    status: str
    family_p_value: float
    correlations_p_value: float
    alpha: float
    block_length: int
    notes: tuple[str, ...]

    def _repr_html_(self) -> str:
        head = (
            f"<p><b>{self.status}</b>: family p = {self.family_p_value:.4g} at alpha {self.alpha:g}, "
            f"blocks of {self.block_length} rows</p>"
        )
        notes = "".join(f"<p>{note}</p>" for note in self.notes)
        return head + notes + str(self.frame.to_html(float_format="{:.4g}".format))


class _Judged(NamedTuple):
    """A feature on its way through the test, or why it cannot go there."""

    encoded: Encoded
    times: tuple[Dependence, Dependence]
    effective_n: float
    reason: str


def compare(reference: Any, current: Any, *, alpha: float, block_length: int | None = None) -> DriftReport:
    """Whether the current rows have the reference's distribution, feature by feature and as a family.

    Each feature gets one deciding test: the largest standardised change among its location, its spread, 15
    quantiles and its share of missing values ("contrasts"), or chi-squared for categories. Its law comes
    from dealing blocks of rows anew to both sides, the same blocks for all features; the family decision is
    Westfall and Young's largest statistic, and includes whether numeric features move together as before.
    Rows have to be in order of time and evenly spaced; the process is assumed stationary up to the change.
    Volatility clustering breaks this: put such columns through `VolatilityFilter` first.

    Parameters
    ----------
    reference, current : DataFrame, Series or array (rows,) or (rows, features)
        Features are matched by name. Numbers and truth values, or text as categories.
    alpha : float
        Probability of a family decision "drifted" when nothing changed.
    block_length : int or None, default None
        Rows a block; None = from the data. With labels over a horizon, at least the horizon.

    Returns
    -------
    DriftReport
        `.frame` has one row a feature: test, statistic (standard errors), p_value, corrected_p_value
        (Westfall-Young), named (Benjamini-Yekutieli at alpha), effective_n (current rows divided by their
        integrated autocorrelation time), verdict DRIFT, NONE or INSUFFICIENT with its reason, moved (the
        contrast that moved most), shift_sd and spread (changes of the mean score and of its variance, in
        scores that are standard normal over both samples) with bounds at 1 - alpha, then description: psi
        with its critical value at the effective sizes, ks, wasserstein (units of the reference's standard
        deviation), jensen_shannon (base 2), chi_squared, and the shares of missing values.

    Raises
    ------
    UsageError
        alpha outside (0, 0.5), a block length below 1, no columns.

    Notes
    -----
    A feature with fewer than 50 effective rows on either side, with fewer than 8 blocks, or that is new,
    absent or of another type is INSUFFICIENT with the reason, never NONE. A report never raises because of
    what the rows hold.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> draw = np.random.default_rng(1)
    >>> before = pd.DataFrame({"a": draw.normal(size=500), "b": draw.normal(size=500)})
    >>> after = pd.DataFrame({"a": draw.normal(size=300), "b": draw.normal(0.5, 1.0, 300)})
    >>> report = compare(before, after, alpha=0.05)
    >>> report.status, report.frame["verdict"].tolist()
    ('drift', ['NONE', 'DRIFT'])
    """
    _check(alpha, block_length)
    before, after = as_table(reference), as_table(current)
    notes = order_notes(before, after)
    features = features_of(before, after)
    reasons = {feature.name: feature.reason or "; ".join(notes) for feature in features}
    prepared = {one.name: _prepared(one, block_length) for one in features if not reasons[one.name]}
    reasons |= {name: one.reason for name, one in prepared.items()}
    judged = {name: one for name, one in prepared.items() if not one.reason}
    rows = (len(before), len(after))
    length = block_length or _block_length(judged, rows)
    outcome = _decided(judged, rows, length, alpha) if judged else _Outcome({}, math.nan, math.nan, length)
    effective = {name: one.effective_n for name, one in prepared.items()}
    frame = _frame(features, outcome.rows, reasons, effective, alpha)
    drifted = bool(outcome.family_p_value <= alpha)
    if outcome.correlations_p_value <= alpha:
        notes = (*notes, "numeric features do not move together as before")
    unjudged = bool((frame["verdict"] == INSUFFICIENT).any()) or not len(frame)
    return DriftReport(
        frame, drifted, "drift" if drifted else "insufficient" if unjudged else "none",
        outcome.family_p_value, outcome.correlations_p_value, alpha, outcome.length, notes,
    )  # fmt: skip


def _check(alpha: float, block_length: int | None) -> None:
    if not 0.0 < alpha < 0.5:
        raise UsageError(f"alpha is {alpha}", next_step="name a probability between 0 and 0.5, such as 0.05")
    if block_length is not None and block_length < 1:
        raise UsageError(f"block_length is {block_length}", next_step="name 1 or more rows, or None")


def _prepared(feature: Feature, block_length: int | None) -> _Judged:
    """The feature ready for its test, or why it cannot have one."""
    if feature.numeric:
        encoded = encode_numbers(feature.reference, feature.current)
        absent = missing_rows(encoded)
        sides = [codes[~gone] for codes, gone in zip(encoded[:2], absent, strict=True)]
        score = encoded.scores[:, 0]
        location = dependence_of(score[sides[0]], score[sides[1]])
        squares = dependence_of(score[sides[0]] ** 2, score[sides[1]] ** 2)
        times = (location, squares)
    else:
        encoded = encode_categories(list(feature.reference), list(feature.current))
        sides = [encoded.reference, encoded.current]
        common = np.argsort(-np.bincount(encoded.reference, minlength=len(encoded.names)), kind="stable")[:3]
        found = [dependence_of(*((side == code).astype(float) for side in sides)) for code in common]
        times = (max(found, key=lambda one: one.time()), INDEPENDENT)
    # a side without any value is judged by its share of missing values: rows count, not values
    effective = [
        rows / max(1.0, *(one.time(max(rows, 1)) for one in times))
        for rows in (len(side) or len(whole) for side, whole in zip(sides, encoded[:2], strict=True))
    ]
    reason = ""
    if min(effective) < LEAST_EFFECTIVE_ROWS:
        side = "reference" if effective[0] < LEAST_EFFECTIVE_ROWS else "current"
        reason = f"{min(effective):.1f} effective rows in the {side} sample, {LEAST_EFFECTIVE_ROWS} needed"
    elif block_length and len(encoded.current) // block_length < LEAST_BLOCKS:
        reason = f"fewer than {LEAST_BLOCKS} blocks of {block_length} rows in the current sample"
    return _Judged(encoded, times, effective[1], reason)


def _block_length(judged: dict[str, _Judged], rows: tuple[int, int]) -> int:
    """Two integrated autocorrelation times of the most persistent feature that can be judged."""
    longest = max((each.time(rows[1]) for one in judged.values() for each in one.times), default=1.0)
    return 1 if longest < 1.02 else math.ceil(_BLOCKS_PER_TIME * longest)


class _Outcome(NamedTuple):
    rows: dict[str, dict[str, Any]]
    family_p_value: float
    correlations_p_value: float
    length: int


def _decided(judged: dict[str, _Judged], rows: tuple[int, int], length: int, alpha: float) -> _Outcome:
    """Raw and corrected p-values of all features that can be judged, and the family's."""
    blocks = cut_blocks(*rows, length)
    exchanges = {name: _exchanged(one, blocks, rows) for name, one in judged.items()}
    tests = {name: _reduced(found, judged[name].encoded.quadratic) for name, found in exchanges.items()}
    numeric = [one for one in judged.values() if not one.encoded.quadratic]
    if len(numeric) > 1:
        sums, difference = correlation_sums([one.encoded for one in numeric], blocks)
        second = max((one.times[1] for one in numeric), key=lambda each: each.time())
        factor = np.full(
            sums.shape[1], _inflation((INDEPENDENT, second), np.array([[0.0, 1.0]]), blocks, rows)[0]
        )
        tests[CORRELATIONS] = _reduced(exchange(sums, blocks, difference, rows, factor), quadratic=False)
    limits = {name: max(1e-12, float(np.quantile(dealt, 1.0 - alpha))) for name, (_, dealt) in tests.items()}
    corrected = corrected_p_values(
        np.array([value / limits[name] for name, (value, _) in tests.items()]),
        np.column_stack([dealt / limits[name] for name, (_, dealt) in tests.items()]),
    )
    corrections = dict(zip(tests, corrected.tolist(), strict=True))
    degrees = len(blocks.reference) + len(blocks.current) - 2
    raw = {name: p_value(value, dealt, degrees) for name, (value, dealt) in tests.items() if name in judged}
    named = dict(zip(raw, named_by_yekutieli(np.array(list(raw.values())), alpha).tolist(), strict=True))
    family = min(corrections.values())
    found = {
        name: {
            "statistic": tests[name][0], "p_value": raw[name], "corrected_p_value": corrections[name],
            "named": named[name], "drifted": corrections[name] <= alpha or (family <= alpha and named[name]),
            **_effects(exchanges[name], judged[name].encoded, alpha, degrees),
        }
        for name in judged
    }  # fmt: skip
    return _Outcome(found, family, corrections.get(CORRELATIONS, math.nan), round(blocks.length))


def _exchanged(one: _Judged, blocks: Blocks, rows: tuple[int, int]) -> Exchange:
    encoded, bins = one.encoded, len(one.encoded.scores)
    counts = np.vstack([
        block_counts(encoded.reference, blocks.reference, bins),
        block_counts(encoded.current, blocks.current, bins),
    ])  # fmt: skip
    shares = (
        np.bincount(encoded.current, minlength=bins) / rows[1]
        - np.bincount(encoded.reference, minlength=bins) / rows[0]
    )
    inflation = _inflation(one.times, encoded.shares, blocks, rows)
    return exchange(counts @ encoded.scores, blocks, shares @ encoded.scores, rows, inflation)


def _inflation(
    times: tuple[Dependence, Dependence], shares: Floats, blocks: Blocks, rows: tuple[int, int]
) -> Floats:
    """Variance of a difference of means over what independent blocks give, for each contrast."""
    n, m = rows
    whole = np.array([(one.time(n) / n + one.time(m) / m) / (1.0 / n + 1.0 / m) for one in times])
    within = np.array([one.time(blocks.length) for one in times])
    rest = 1.0 - shares.sum(axis=1)
    return np.asarray((shares @ whole + rest) / (shares @ within + rest))


def _reduced(found: Exchange, quadratic: bool) -> tuple[float, Floats]:
    """One number for the feature and for every deal: the largest contrast, or the root of chi-squared."""
    if quadratic:
        return float(np.sqrt((found.observed**2).sum())), np.sqrt((found.dealt**2).sum(axis=1))
    return float(np.abs(found.observed).max()), np.abs(found.dealt).max(axis=1)


def _effects(found: Exchange, encoded: Encoded, alpha: float, degrees: int) -> dict[str, Any]:
    """The contrast that moved most, and the changes of location and spread with their bounds."""
    largest = int(np.abs(found.observed).argmax())
    effects: dict[str, Any] = {"moved": encoded.names[largest] if found.observed[largest] else ""}
    if encoded.quadratic:
        return effects
    reach = -float(special.stdtrit(degrees, alpha / 2.0))
    for at, name in enumerate(("shift", "spread")):
        error = float(found.error[at])
        value = float(found.observed[at]) * error
        effects |= {
            "shift_sd" if name == "shift" else name: value,
            f"{name}_lower": value - reach * error, f"{name}_upper": value + reach * error,
        }  # fmt: skip
    return effects


def _frame(
    features: list[Feature], found: dict[str, dict[str, Any]], reasons: dict[str, str],
    effective: dict[str, float], alpha: float,
) -> pd.DataFrame:  # fmt: skip
    rows = []
    for feature in features:
        effective_n = effective.get(feature.name, math.nan)
        row: dict[str, Any] = {"test": "contrasts" if feature.numeric else "chi_squared", "named": False}
        row |= describe(feature, alpha, effective_n) | found.get(feature.name, {})
        row |= {"effective_n": effective_n, "reason": reasons[feature.name]}
        drifted = row.pop("drifted", None)
        row["verdict"] = INSUFFICIENT if drifted is None else DRIFT if drifted else NONE
        filled = {name: row.get(name, "" if name == "moved" else math.nan) for name in _COLUMNS}
        rows.append(
            {name: round(value, 9) if isinstance(value, float) else value for name, value in filled.items()}
        )
    index = pd.Index([feature.name for feature in features], name="feature")
    return pd.DataFrame(rows, index=index, columns=list(_COLUMNS))
