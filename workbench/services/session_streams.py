"""Detectors that look at one value a session: features and forecasts, averaged over symbols.

Their state is in the journal, so that a restart forgets nothing. They are fitted once, on the training
window of the model that decides; another model has detectors of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from workbench.core.canonical import canonical_json
from workbench.core.drift import SequentialDetector
from workbench.core.features import Feature, compute, compute_history
from workbench.core.manifest import ModelManifest
from workbench.core.monitoring import Level, Measure, measure
from workbench.core.monitoring.rules import STREAM
from workbench.core.ports import BarStore, Calendar, Event, Journal
from workbench.core.types import Floats
from workbench.errors import DataError
from workbench.services.decision import Forecaster

#: Updates within which a detector may alarm with its probability, and sessions of its reference.
HORIZON, REFERENCE, LEAST_REFERENCE = 250, 750, 250
FORECAST: Final = "forecast"
#: Sessions over which an input has to be off before the model is stopped; half of them have to be known.
RECENT: Final = 20
_SEED: Final = 8


@dataclass(frozen=True)
class Watched:
    """What is watched: the desk's account and the model that decides for it.

    Attributes
    ----------
    gross_limit_usd, net_limit_usd : float
        Ceilings of exposure.
    alpha : float
        Chance that any detector of single sessions alarms within 250 unchanged sessions, all together.
    input_bounds : mapping of str to float
        Used where the model's manifest has none of its own.
    """

    account: str
    strategy: str
    model_id: str
    manifest: ModelManifest
    features: tuple[Feature, ...]
    forecaster: Forecaster
    gross_limit_usd: float
    net_limit_usd: float
    alpha: float
    input_bounds: Mapping[str, float]


@dataclass
class Streams:
    """Detectors of single sessions after their look at one more.

    Attributes
    ----------
    measures : list of Measure
    events : list of Event
        Their states, for the journal.
    """

    measures: list[Measure] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


def follow(
    journal: Journal, bars: BarStore, calendar: Calendar, *, watched: Watched, session: str, at_ns: int,
    streams: Streams,
) -> None:  # fmt: skip
    """One more value for each detector; features are those that the decision at `at_ns` saw."""
    features, names = watched.features, [feature.name for feature in watched.features]
    longest = max(feature.lookback for feature in features)
    panel = bars.read(watched.manifest.universe, as_of_ns=at_ns, rows=longest)
    if not len(panel.ts_ns):
        streams.measures.append(measure("features.missing", None, "no bar was known at the decision"))
        return
    matrix = compute(features, panel)
    values = dict(zip(names, _across(matrix).tolist(), strict=True))
    values[FORECAST] = _mean(watched.forecaster.forecast(matrix))
    holes = [name for at, name in enumerate(names) if np.isnan(matrix[:, at]).any()]
    share = float(np.isnan(matrix).mean())
    streams.measures.append(measure("features.missing", share, ", ".join(holes)))
    detectors = _detectors(journal, bars, calendar, watched, tuple(values))
    alarms = []
    for name, value in values.items():
        detector = detectors.get(name)
        if detector is None:
            streams.measures.append(measure(f"{STREAM}{name}", None, "no reference of its own"))
            continue
        alarmed = detector.update(value)
        score = detector.scores_.micro_of(value) / 1e6 if math.isfinite(value) else math.nan
        words = f"alarm; at most {detector.alpha:.2g} in {HORIZON} sessions are false" if alarmed else ""
        streams.measures.append(measure(f"{STREAM}{name}", score, words, alarmed=alarmed))
        alarms += [name] if alarmed else []
        streams.events.append(_kept(watched, session, name, detector, alarmed))
    streams.measures.append(measure("features.alarms", len(alarms), ", ".join(alarms)))


def recent_measure(history: Sequence[Sequence[Measure]], *, bound: float) -> Measure:
    """How far an input has been off for some time, among those whose detector alarmed.

    The batch comparison asks for 50 independent rows, which slow features do not have for months; a
    detector's false alarms are calibrated for whatever dependence its reference had.

    Parameters
    ----------
    history : sequence of sequence of Measure
        Of the last sessions under the same model, oldest first, the judged one last.
    bound : float
        What the model bears, in normal scores.
    """
    values: dict[str, list[float]] = {}
    alarmed = set()
    for measures in history[-RECENT:]:
        for one in measures:
            if one.name.startswith(STREAM):
                values.setdefault(one.name, []).append(one.value)
                if one.level is Level.WARN:
                    alarmed.add(one.name)
    off, whose = 0.0, ""
    for name in sorted(alarmed):
        known = [value for value in values[name] if math.isfinite(value)]
        if len(known) >= RECENT // 2 and abs(mean := math.fsum(known) / len(known)) > off:
            off, whose = abs(mean), f"{name.removeprefix(STREAM)} {mean:+.2f} over {len(known)} sessions"
    return measure("inputs.recent", off, f"{whose}; the model bears {bound:g}" if whose else "", block=bound)


def _kept(watched: Watched, session: str, name: str, detector: SequentialDetector, alarmed: bool) -> Event:
    return Event(
        "detector.kept",
        {
            "account": watched.account, "detector": name, "model_id": watched.model_id,
            "session": session, "alarmed": alarmed, "state": canonical_json(detector.state()),
        },
    )  # fmt: skip


def _detectors(
    journal: Journal, bars: BarStore, calendar: Calendar, watched: Watched, names: tuple[str, ...]
) -> dict[str, SequentialDetector]:
    """Where the detectors of this model stand; fitted on its training window when it is new."""
    rows = {
        row["detector"]: row
        for row in journal.rows("detectors", account=watched.account)
        if row["model_id"] == watched.model_id
    }
    if rows:
        return {name: read_detector(rows[name]) for name in names if name in rows}
    reference = _reference(bars, calendar, watched)
    found = {}
    for name in names:
        detector = SequentialDetector(
            "cusum", alpha=watched.alpha / len(names), horizon=HORIZON,
            min_reference=LEAST_REFERENCE, block_length=None, seed=_SEED,
        )  # fmt: skip
        try:
            found[name] = detector.fit(reference[name])
        except DataError:  # constant or too short: said as "no reference of its own", never an all-clear
            continue
    return found


def _reference(bars: BarStore, calendar: Calendar, watched: Watched) -> dict[str, Floats]:
    """Each stream in the model's training window: means over symbols, one value a session."""
    features, manifest = watched.features, watched.manifest
    trained_ns = calendar.session_close_ns(manifest.train_last_session)
    longest = max(feature.lookback for feature in features)
    panel = bars.read(manifest.universe, as_of_ns=trained_ns, rows=REFERENCE + longest)
    rows = np.arange(min(longest, len(panel.ts_ns)), len(panel.ts_ns))
    values = compute_history(features, panel, rows)
    found = {feature.name: _across(values[:, :, at].T) for at, feature in enumerate(features)}
    forecasts = [_mean(watched.forecaster.forecast(values[row])) for row in range(len(rows))]
    return found | {FORECAST: np.array(forecasts)}


def read_detector(row: Mapping[str, Any]) -> SequentialDetector:
    """The detector that a row of the journal's `detectors` projection keeps."""
    return SequentialDetector.from_state(json.loads(row["state"]))


def _across(matrix: Floats) -> Floats:
    """Mean over symbols of each feature, NaN where no symbol has a value."""
    known = np.isfinite(matrix)
    count = known.sum(axis=0)
    total = np.where(known, matrix, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan
