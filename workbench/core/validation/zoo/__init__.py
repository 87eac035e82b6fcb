"""A zoo of leaks and of innocents, on which the detectors are scored.

A detector that nobody has counted the misses of is a comfort, not a guard. Every specimen is a few lines
that somebody could have written; the score says how many of the planted ones are found, and how many of the
innocent ones are accused.
"""

from __future__ import annotations

import pandas as pd

from workbench.core.types import Bars
from workbench.core.validation.zoo.innocent import INNOCENT
from workbench.core.validation.zoo.planted import PLANTED
from workbench.core.validation.zoo.specimen import Specimen

__all__ = ["INNOCENT", "PLANTED", "Specimen", "score_zoo"]


def score_zoo(bars: Bars) -> pd.DataFrame:
    """What the detectors say of every specimen on these bars, one row each.

    Parameters
    ----------
    bars : Bars
        At least 150 sessions, among them a symbol that has no bars at first: without one no universe can
        show what it knew.

    Returns
    -------
    DataFrame
        Columns group, specimen, planted, found, findings (their number), kind (of the first), right.

    Examples
    --------
    >>> import workbench as wb
    >>> from workbench.core.validation.guard import reference_bars
    >>> from workbench.extending import registered_features
    >>> len(wb.validation.score_zoo(reference_bars(registered_features()))) > 10  # doctest: +SKIP
    True
    """
    rows = []
    for one in (*PLANTED, *INNOCENT):
        report = one.judge(bars)
        kind = report.findings[0].kind if report.findings else ""
        found = not report.clean
        rows.append(
            (one.group, one.name, one.planted, found, len(report.findings), kind, found == one.planted)
        )
    columns = ["group", "specimen", "planted", "found", "findings", "kind", "right"]
    return pd.DataFrame(rows, columns=columns)
