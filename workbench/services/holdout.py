"""The holdout: the last sessions before a candidate's as-of time, which its training never saw.

It answers once. Whoever may ask again after a change is choosing by it, and then it is training data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.core.canonical import sha256_of
from workbench.core.costs import CostModel
from workbench.core.evaluation import cost_per_side_bps
from workbench.core.features import compute_history, select_features
from workbench.core.manifest import ModelManifest
from workbench.core.ports import Event, Journal, Registry
from workbench.core.printing import html_table
from workbench.core.types import BPS, Bars
from workbench.errors import Refused
from workbench.services.model_files import read_forecast_model
from workbench.services.promotion import read_model
from workbench.services.research import mean_bps
from workbench.services.return_series import SERIES, ReturnSeries
from workbench.services.walk_forward import Book


@dataclass(frozen=True)
class HoldoutResult:
    """What a candidate did on its holdout: the one answer that there is.

    Attributes
    ----------
    model_id, first_session, last_session : str
    sessions : int
    net_bps, hold_bps : float
        Means a session: of the book net of cost, and of holding all symbols in equal parts.
    reads : int
        Reads of any part of these sessions so far, by all candidates: each makes the answer worth less.
    """

    model_id: str
    first_session: str
    last_session: str
    sessions: int
    net_bps: float
    hold_bps: float
    reads: int

    def _repr_html_(self) -> str:
        facts = {"net bps a session": self.net_bps, "held bps a session": self.hold_bps, "reads": self.reads}
        span = f"{self.sessions} sessions, {self.first_session} to {self.last_session}"
        return html_table(f"Holdout of {self.model_id[:12]}", facts, {"holdout": span})


def read_holdout(
    journal: Journal,
    registry: Registry,
    model_id: str,
    *,
    bars: Bars,
    sessions: Sequence[str],
    holdout_sessions: int,
    cost_model: CostModel,
    notional_usd: float,
    allow_short: bool,
) -> HoldoutResult:
    """The candidate's result on its holdout, journalled; the same read again gives the stored result.

    Parameters
    ----------
    bars : Bars
        Adjusted panel as known at the candidate's as-of time; its last rows are the holdout.
    sessions : sequence of str
        Session of every bar.
    holdout_sessions : int
        As the settings declare it.
    cost_model, notional_usd, allow_short
        What the book trades with, as in training.

    Raises
    ------
    Refused
        No holdout is declared, the candidate has seen a part of it, or it was read before with other
        inputs.
    """
    content, manifest = read_model(registry, model_id)
    held = holdout_of(manifest, sessions, holdout_sessions=holdout_sessions)
    inputs_hash = _inputs_hash(model_id, bars, held, cost_model, notional_usd, allow_short)
    before = journal.rows("holdout_reads", model_id=model_id)
    if before and before[0]["inputs_hash"] != inputs_hash:
        raise Refused(
            f"the holdout of model {model_id[:12]} was read before, with other bars or settings",
            next_step="`workbench trials` shows the stored result; a second look needs a new candidate",
            model_id=model_id,
        )
    if before:
        return _result(journal, before[0])
    features = select_features(manifest.features)
    matrix = compute_history(features, bars)
    usable = np.isfinite(matrix).all(axis=2)
    forecast = np.full(bars.close.shape, np.nan)
    forecast[usable] = read_forecast_model(content, manifest.features).forecast(matrix[usable])
    cost_bps = cost_per_side_bps(bars, cost_model, notional_usd=notional_usd)
    book = Book(bars, cost_bps, manifest.horizon_sessions, allow_short)
    rows = np.arange(len(sessions) - len(held), len(sessions), dtype=np.int64)
    found = book.result(forecast, rows)
    series = ReturnSeries.of(
        [sessions[row] for row in found.rows], (found.net_bps / BPS).tolist(), (found.hold_bps / BPS).tolist()
    )
    row = {
        "model_id": model_id,
        "inputs_hash": inputs_hash,
        "series_id": registry.put(SERIES, series.to_bytes(), {"rows": len(series.sessions)}),
        "first_session": held[0],
        "last_session": held[-1],
        "sessions": len(series.sessions),
        "net_sum_nano": sum(series.net_nano),
        "hold_sum_nano": sum(series.hold_nano),
    }
    journal.commit([Event("holdout.read", row)])
    return _result(journal, row)


def holdout_of(manifest: ModelManifest, sessions: Sequence[str], *, holdout_sessions: int) -> tuple[str, ...]:
    """Sessions of a candidate's holdout: the last of the panel as known at its as-of time.

    Raises
    ------
    Refused
        None are declared, there are too few, or the candidate was trained on one of them.
    """
    if holdout_sessions < 1:
        raise Refused(
            "no holdout is declared",
            next_step="set model.holdout_sessions and train again: what was seen cannot be held out later",
        )
    held = tuple(sessions[-holdout_sessions:])
    if len(held) < holdout_sessions or manifest.train_last_session >= held[0]:
        raise Refused(
            f"the candidate was trained up to {manifest.train_last_session}, its holdout of "
            f"{holdout_sessions} sessions begins on {held[0] if held else 'no session'}",
            next_step="train again: `workbench train` keeps the holdout out",
            train_last_session=manifest.train_last_session,
        )
    return held


def _inputs_hash(
    model_id: str, bars: Bars, held: Sequence[str], cost_model: CostModel, notional: float, short: bool
) -> str:
    parts = [bars.ts_ns, bars.open, bars.high, bars.low, bars.close, bars.volume, bars.tradable]
    arrays = [sha256_of(np.ascontiguousarray(part).tobytes().hex()) for part in parts]
    return sha256_of([model_id, list(bars.symbols), arrays, list(held), cost_model.model_id, notional, short])


def _result(journal: Journal, row: Mapping[str, Any]) -> HoldoutResult:
    first, last = row["first_session"], row["last_session"]
    reads = sum(
        one["first_session"] <= last and first <= one["last_session"] for one in journal.rows("holdout_reads")
    )
    count = row["sessions"]
    net_bps, hold_bps = (mean_bps(row[name], count) for name in ("net_sum_nano", "hold_sum_nano"))
    return HoldoutResult(row["model_id"], first, last, count, net_bps, hold_bps, reads)
