"""The experiment table: what every registered model was made of and how it did out of sample."""

from __future__ import annotations

import difflib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from workbench.errors import UsageError
from workbench.services.promotion import CANDIDATE

#: Columns of the table, in order; those that sort downwards come best first.
COLUMNS = (
    "model_id", "stage", "estimator", "label", "features", "alpha", "folds", "ic", "hit_rate", "gross_bps",
    "net_bps", "excess_bps", "turnover", "horizon_sessions", "train_first_session", "train_last_session",
    "train_rows", "seed", "provenance", "bars_fingerprint", "trials",
)  # fmt: skip
_DOWNWARDS = frozenset(
    {"ic", "hit_rate", "gross_bps", "net_bps", "excess_bps", "train_rows", "train_last_session"}
)

_SCORES = ("ic", "hit_rate", "gross_bps", "net_bps", "turnover")


def candidate_table(
    rows: Iterable[Mapping[str, Any]], *, trials: Sequence[Mapping[str, Any]], sort: str
) -> list[dict[str, Any]]:
    """One row a registered model, read from the manifests that the journal keeps.

    Parameters
    ----------
    rows : iterable of mapping
        Rows of the journal's projection `models`, in order of registration.
    trials : sequence of mapping
        Rows of the projection `trials`: a model is shown with the raw count of its family, and without
        one when it is in no family.
    sort : str
        A column, or "" for the order of registration. Scores come best first; a model that lacks the
        value, because its manifest is older than the score, comes last.

    Raises
    ------
    UsageError
        There is no such column.
    """
    if sort and sort not in COLUMNS:
        nearest = difflib.get_close_matches(sort, COLUMNS, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise UsageError(f"there is no column {sort!r}", next_step=f"{hint}use one of: {', '.join(COLUMNS)}")
    counts = Counter(trial["family"] for trial in trials)
    count_of = {trial["model_id"]: counts[trial["family"]] for trial in trials if trial["model_id"]}
    table = [{**_row(row), "trials": count_of.get(row["model_id"])} for row in rows]
    if not sort:
        return table
    known = [row for row in table if row[sort] is not None]
    known.sort(key=lambda row: row[sort], reverse=sort in _DOWNWARDS)
    return known + [row for row in table if row[sort] is None]


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = row["manifest"]
    manifest: Mapping[str, Any] = json.loads(kept) if isinstance(kept, str) else kept
    metrics: Mapping[str, Any] = manifest["metrics"]
    parameters: Mapping[str, Any] = manifest.get("parameters", {})
    folds = sum(name.startswith("fold_") and name.endswith("_ic") for name in metrics)
    found = {
        "model_id": row["model_id"],
        "stage": row["stage"] or CANDIDATE,
        "estimator": manifest["kind"].rpartition("+")[2],
        "features": list(manifest["features"]),
        "alpha": parameters.get("alpha", metrics.get("alpha")),  # older manifests kept it with the scores
        "folds": folds,
        "excess_bps": _difference(metrics.get("mean_net_bps"), metrics.get("mean_hold_bps")),
        **{name: metrics.get(f"mean_{name}") for name in _SCORES},
    }
    return {name: found.get(name, manifest.get(name)) for name in COLUMNS}


def _difference(net: float | None, hold: float | None) -> float | None:
    # net of cost, a book that merely holds a rising market earns too: this is what the forecasts added
    return None if net is None or hold is None else round(net - hold, 6)
