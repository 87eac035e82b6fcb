"""Detectors of values that know the future, or that depend on where history happened to begin.

The prefix test asks at every bar whether a value computed on the whole history equals the one computed on
the bars up to that one. It needs no idea of how the value is made, and it finds whatever changes a value on
these bars; it cannot find what a function carries in itself without looking at the bars, which the
foresight test catches only where it pays.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from workbench.core.types import MISSING, Bars, Floats
from workbench.core.validation.evaluation import differing, evaluation_of, name_of, spread_of
from workbench.core.validation.findings import Finding, LeakReport
from workbench.core.validation.panels import Panel, as_matrix, column_names, panel_of
from workbench.core.validation.suspicion import foreseeing, ordered, unstable

TOLERANCE = 1e-7  #: in deviations of the column: what rounding may differ by
FORESIGHT = 0.9  #: rank correlation with the next return that nothing honest reaches

Decide = Callable[[Floats], Any]


def detect_lookahead(
    feature: Any,
    bars: Any,
    *,
    records: Any = None,
    horizon: int = 1,
    fitted_rows: int | None = None,
    tolerance: float = TOLERANCE,
    foresight: float = FORESIGHT,
) -> LeakReport:
    """Every bar at which a value knew something that was not known when the bar ended.

    Parameters
    ----------
    feature : Feature, Label, transformer or callable
        A feature of the registry; a label; an object with `fit` and `transform`, judged as if it were
        fitted on everything that it is given; or a function of the bars that returns one value (or one value
        a symbol) for each row, or a collection of symbols for a universe.
    bars : Bars, DataFrame, Series or array
        Rows in order of time.
    records : DataFrame or None, default None
        Something that is joined to the bars, with a column `known_at` (UTC, or UTC nanoseconds): the
        function is called with bars and records, and at each bar only with what was known by then.
    horizon : int, default 1
        Sessions that a label looks ahead.
    fitted_rows : int or None, default None
        For a transformer that is fitted already: the rows, counted from the first, that it claims to have
        seen. It is fitted again on those, and must transform everything alike.
    tolerance : float, default 1e-7
        Largest difference that counts as rounding, in deviations of the column.
    foresight : float, default 0.9
        Absolute rank correlation with the next change of the close from which a value is suspect although
        the prefix test passed; .25 for a value that does not react to the prices.

    Returns
    -------
    LeakReport
        `.findings` is empty when nothing was found: clean on these bars, not proven clean.

    Raises
    ------
    ValueError
        No bars, bars out of order, records that do not say when they were known, or a function that does not
        return one value a row.

    Examples
    --------
    >>> import pandas as pd
    >>> import workbench as wb
    >>> closes = pd.DataFrame({"A": [1.0, 2.0, 4.0, 3.0]})
    >>> wb.validation.detect_lookahead(lambda bars: bars.shift(1), closes).findings
    ()
    >>> wb.validation.detect_lookahead(lambda bars: bars.shift(-1), closes).findings[0][:3]
    (0, 'A', 'lookahead')
    """
    panel, subject = panel_of(bars), name_of(feature)
    if fitted_rows is not None:
        return _judge_fit(feature, panel, fitted_rows, tolerance)
    if hasattr(feature, "labelled"):
        return _judge_label(feature, panel, horizon, tolerance)
    if getattr(feature, "uses_future", False):
        return LeakReport(subject, (Finding(0, "", "uses future", float("inf")),), panel.rows)
    judged = evaluation_of(feature, panel, records)
    judged.known(0)  # refuses records that cannot be placed in time
    full = judged.history()
    names, spread = column_names(full.shape[1], panel.names), spread_of(full)
    kind = "universe" if judged.is_universe() else "lookahead"
    found: list[Finding] = []
    for bar in range(panel.rows):
        known = judged.last(0, bar + 1, full.shape[1], records=judged.known(bar))
        wrong = differing(full[bar], known, spread, tolerance)
        if wrong and records is not None:
            later = judged.last(0, bar + 1, full.shape[1], records=records)
            kind = "lookahead" if differing(full[bar], later, spread, tolerance) else "restated"
        found += [Finding(bar, names[at], kind, size) for at, size in wrong]
    found += unstable(judged, full, names, tolerance)
    if not found:  # on values that already leak these would only repeat it
        found += [*ordered(judged, full, names, tolerance), *foreseeing(judged, full, names, foresight)]
    conventions = {
        "test": "every bar, on the bars up to it",
        "tolerance": f"{tolerance:g} deviations",
        "foresight": f"rank correlation of {foresight:g} with the next return",
    }
    return LeakReport(subject, tuple(found), panel.rows, conventions)


def detect_warmup(
    feature: Any,
    bars: Any,
    *,
    lookback: int | None = None,
    decide: Decide | None = None,
    tolerance: float = TOLERANCE,
) -> LeakReport:
    """Every bar at which a value, and a decision made from it, depends on how much history was loaded.

    A live session loads `lookback` rows, a backtest all of them. Both must decide alike.

    Parameters
    ----------
    feature : Feature or callable
        As in `detect_lookahead`.
    bars : Bars, DataFrame, Series or array
    lookback : int or None, default None
        Rows that a live session loads; None = `feature.lookback`, else the first row at which the function
        gives a value: from there on it claims to be warm.
    decide : callable or None, default None
        From the values of one bar, float64 (columns,), to a decision that compares with ==. None = the sign
        of each value and the order among them.
    tolerance : float, default 1e-7
        Largest difference that counts as rounding, in deviations of the column.

    Returns
    -------
    LeakReport
        Findings of kind "decision" where the decision differs, "value" where only the value does.

    Raises
    ------
    ValueError
        No bars, or a lookback that is not positive.

    Examples
    --------
    >>> import pandas as pd
    >>> import workbench as wb
    >>> closes = pd.DataFrame({"A": [1.0, 2.0, 4.0, 3.0, 5.0]})
    >>> wb.validation.detect_warmup(lambda bars: bars.rolling(2).mean(), closes).findings
    ()
    >>> len(wb.validation.detect_warmup(lambda bars: bars.ewm(span=3, adjust=False).mean(), closes).findings)
    4
    """
    panel = panel_of(bars)
    judged = evaluation_of(feature, panel)
    full = judged.history()
    names, spread = column_names(full.shape[1], panel.names), spread_of(full)
    rows = _lookback(feature, lookback, full)
    choose = decide or _sign_and_order
    found: list[Finding] = []
    for bar in range(rows - 1, panel.rows):
        loaded = judged.last(bar - rows + 1, bar + 1, full.shape[1])
        wrong = differing(full[bar], loaded, spread, tolerance)
        if wrong:
            same = bool(np.all(np.asarray(choose(full[bar]) == choose(loaded))))
            found += [Finding(bar, names[at], "value" if same else "decision", size) for at, size in wrong]
    conventions = {
        "history": f"the last {rows} rows against all",
        "decision": "sign of each value and order among them" if decide is None else name_of(decide),
        "tolerance": f"{tolerance:g} deviations",
    }
    return LeakReport(name_of(feature), tuple(found), max(panel.rows - rows + 1, 0), conventions)


def detect_label_overlap(splits: Any, label_ends: Sequence[int] | Any) -> LeakReport:
    """Training rows whose labels share time with those of the rows that test them.

    Parameters
    ----------
    splits : iterable of (train, test) row arrays
        Such as `KFold(5).split(X)`.
    label_ends : int sequence (rows,)
        Row at which the label of each row is settled.

    Returns
    -------
    LeakReport
        `bar` is the training row, `size` the number of test rows whose labels it touches, over all splits.

    Raises
    ------
    ValueError
        A label that ends before its own row.

    Examples
    --------
    >>> import numpy as np
    >>> import workbench as wb
    >>> splits = [(np.arange(0, 8), np.arange(8, 10))]
    >>> len(wb.validation.detect_label_overlap(splits, np.arange(10) + 1).findings) > 0
    True
    """
    ends = np.asarray(label_ends, dtype=np.int64)
    rows = np.arange(len(ends))
    if np.any(ends < rows):
        raise ValueError(f"the label of row {int(np.nonzero(ends < rows)[0][0])} ends before the row itself")
    touched = np.zeros(len(ends), dtype=np.int64)
    count = 0
    for train, test in splits:
        count += 1
        train, starts = np.asarray(train), np.sort(np.asarray(test))
        stops = np.sort(ends[starts])
        # tested labels that begin by the end of the training label, less those that ended before it began
        begun = np.searchsorted(starts, ends[train], side="right")
        over = np.searchsorted(stops, train, side="left")
        np.add.at(touched, train, begun - over)
    found = tuple(
        Finding(int(row), "", "label overlap", float(touched[row])) for row in np.nonzero(touched)[0]
    )
    return LeakReport("splits", found, len(ends) if count else 0, {"splits": count})


def _judge_label(label: Any, panel: Panel, horizon: int, tolerance: float) -> LeakReport:
    """Whether each label is settled when it says so: known from the bars up to its end, and the same."""
    bars = panel.data
    if not isinstance(bars, Bars):
        raise ValueError("a label can only be judged on Bars")
    values, ends = label.labelled(bars, horizon)
    spread = spread_of(values)
    found: list[Finding] = []
    for bar in np.nonzero(np.isfinite(values) & (ends == MISSING))[0]:
        found.append(Finding(int(bar), "", "label end", float("inf")))
    for last, end_ns in enumerate(bars.ts_ns):
        settled = (ends <= end_ns) & (ends > (bars.ts_ns[last - 1] if last else MISSING))
        if not settled.any():
            continue
        known, _ = label.labelled(bars.rows(0, last + 1), horizon)
        for bar in np.unique(np.nonzero(settled)[0]):
            seen = known[bar] if bar <= last else np.full(values.shape[1], np.nan)
            for at, size in differing(values[bar], seen, spread, tolerance):
                if settled[bar, at]:
                    found.append(Finding(int(bar), bars.symbols[at], "label end", size))
    conventions = {"test": "every label, on the bars up to its end", "horizon": f"{horizon} sessions"}
    return LeakReport(name_of(label), tuple(sorted(found)), panel.rows, conventions)


def _judge_fit(transformer: Any, panel: Panel, fitted_rows: int, tolerance: float) -> LeakReport:
    """Whether a fitted transformer is the one that the rows which it claims to have seen give."""
    if not (hasattr(transformer, "fit") and hasattr(transformer, "transform")):
        raise ValueError(f"{name_of(transformer)} has no fit and transform")
    if not 1 <= fitted_rows <= panel.rows:
        raise ValueError(f"fitted_rows = {fitted_rows} of {panel.rows} rows")
    ours = as_matrix(transformer.transform(panel.data), panel.data, panel.rows, panel.names)
    again = copy.deepcopy(transformer).fit(panel.cut(0, fitted_rows))
    theirs = as_matrix(again.transform(panel.data), panel.data, panel.rows, panel.names)
    names, spread = column_names(ours.shape[1], panel.names), spread_of(theirs)
    found = tuple(
        Finding(bar, names[at], "fitted", size)
        for bar in range(panel.rows)
        for at, size in differing(ours[bar], theirs[bar], spread, tolerance)
    )
    conventions = {"test": f"fitted again on the first {fitted_rows} rows"}
    return LeakReport(name_of(transformer), found, panel.rows, conventions)


def _lookback(feature: Any, given: int | None, full: Floats) -> int:
    rows = getattr(feature, "lookback", None) if given is None else given
    if rows is None:
        warm = np.isfinite(full).any(axis=1)
        rows = int(np.argmax(warm)) + 1 if warm.any() else len(full)
    if isinstance(rows, bool) or not isinstance(rows, (int, np.integer)) or rows < 1:
        raise ValueError(f"lookback = {rows!r} must be a whole number of at least 1")
    return int(rows)


def _sign_and_order(values: Floats) -> Any:
    """Sign of each value, and the order among them; a missing one decides nothing."""
    known = np.where(np.isfinite(values), values, -np.inf)
    return np.concatenate([np.sign(np.nan_to_num(values)), np.argsort(known, kind="stable")])
