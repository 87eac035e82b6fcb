"""One way to call whatever is judged: a feature, a transformer, a function, with or without records."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.features import Feature, compute, compute_history
from workbench.core.types import Bars, Floats
from workbench.core.validation.panels import Panel, as_matrix, known_records

#: What an honest function may raise when it is given too few rows.
TOO_SHORT = (ValueError, IndexError, KeyError, TypeError, ArithmeticError, RuntimeWarning)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Values of something on parts of a panel.

    Attributes
    ----------
    subject : Feature, transformer or callable
    panel : Panel
    records : DataFrame or None
        What is joined to the bars.
    """

    subject: Any
    panel: Panel
    records: Any = None

    def output(self, data: Any, records: Any = None) -> Any:
        """What the subject returns for the data, as it is."""
        if isinstance(self.subject, Feature):
            return compute_history([self.subject], data)[:, :, 0]
        if hasattr(self.subject, "fit") and hasattr(self.subject, "transform"):
            return copy.deepcopy(self.subject).fit(data).transform(data)
        return self.subject(data) if records is None else self.subject(data, records)

    def history(self, data: Any = None) -> Floats:
        """Values of every row of the panel, or of other data of the same shape, float64 (rows, columns)."""
        data = self.panel.data if data is None else data
        return as_matrix(self.output(data, self.records), data, self.panel.rows, self.panel.names)

    def is_universe(self) -> bool:
        """Whether the subject returns a collection of symbols."""
        if isinstance(self.subject, Feature):
            return False
        output = self.output(self.panel.data, self.records)
        return isinstance(output, (set, frozenset, list, tuple))

    def last(self, start: int, stop: int, columns: int, *, records: Any = None) -> Floats:
        """Values of the last of some rows, computed on those rows alone; missing where they are too few."""
        data = self.panel.cut(start, stop)
        if isinstance(self.subject, Feature) and isinstance(data, Bars):
            return compute([self.subject], data)[:, 0]
        try:
            values = as_matrix(self.output(data, records), data, stop - start, self.panel.names)[-1]
        except TOO_SHORT:
            return np.full(columns, np.nan)
        return values if len(values) == columns else np.full(columns, np.nan)

    def known(self, bar: int) -> Any:
        """The records that were known when the bar ended."""
        if self.records is None:
            return None
        if self.panel.times is None:
            raise ValueError("records can only be joined to bars that have times")
        return known_records(self.records, self.panel.times[bar])


def evaluation_of(subject: Any, panel: Panel, records: Any = None) -> Evaluation:
    """The evaluation of a subject on a panel.

    Raises
    ------
    ValueError
        The subject is nothing that gives values, or a feature is to be judged on something else than Bars.
    """
    if isinstance(subject, Feature):
        if not isinstance(panel.data, Bars):
            raise ValueError(f"feature {subject.name} can only be judged on Bars")
    elif not (callable(subject) or (hasattr(subject, "fit") and hasattr(subject, "transform"))):
        raise ValueError(f"{name_of(subject)} is neither a feature, a label, a transformer nor a function")
    return Evaluation(subject, panel, records)


def name_of(subject: Any) -> str:
    """How a report names what it judged."""
    name = getattr(subject, "name", None) or getattr(subject, "__name__", None)
    return name if isinstance(name, str) else type(subject).__name__


def spread_of(values: Floats) -> Floats:
    """Standard deviation of each column over its finite values; 0 where there are fewer than two."""
    finite = np.isfinite(values)
    count = finite.sum(axis=0)
    kept = np.where(finite, values, 0.0)
    mean = kept.sum(axis=0) / np.maximum(count, 1)
    away = np.where(finite, values - mean, 0.0)
    spread: Floats = np.sqrt((away * away).sum(axis=0) / np.maximum(count - 1, 1))
    return spread


def differing(one: Floats, other: Floats, spread: Floats, tolerance: float) -> list[tuple[int, float]]:
    """Columns in which two rows of values differ, with the difference in deviations of the column."""
    with np.errstate(invalid="ignore"):
        # a column that hardly varies is measured by its size: rounding grows with it
        scale = np.maximum(np.maximum(np.abs(one), np.abs(other)) * 1e-3, spread)
        size = np.abs(one - other) / np.where(scale > 0.0, scale, 1.0)
    size = np.where(np.isfinite(one) & np.isfinite(other), size, np.inf)
    size = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, size)
    return [(int(at), float(size[at])) for at in np.nonzero(size > tolerance)[0]]
