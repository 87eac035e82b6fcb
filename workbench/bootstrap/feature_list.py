"""The features that a desk could use, and what the leak detectors say of them."""

from __future__ import annotations

import time
from typing import Any

from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.core.features import registered_features
from workbench.core.validation.guard import leak_reports, reference_bars


def list_features(settings: Settings) -> list[dict[str, str | int | bool]]:
    """Every feature there is: name, lookback in sessions, family, unit, meaning, and whether it is used."""
    return [
        {
            "feature": one.name,
            "lookback": one.lookback,
            "family": one.family,
            "unit": one.unit,
            "meaning": one.meaning,
            "used": one.name in settings.model.features,
        }
        for one in registered_features()
    ]


def check_features(settings: Settings) -> list[dict[str, Any]]:
    """What the leak detectors find in every registered feature, on the desk's bars where it has enough.

    Returns
    -------
    list of dict
        Feature, kind, bar, symbol and size of each finding; empty when all are clean.
    """
    features = registered_features()
    bars = reference_bars(features)
    desk = Desk(settings)
    if set(settings.universe) <= set(desk.bars.symbols()):
        stored = desk.bars.read(settings.universe, as_of_ns=time.time_ns(), rows=len(bars.ts_ns))
        bars = stored if len(stored.ts_ns) == len(bars.ts_ns) else bars
    return [
        {"feature": report.subject, **finding._asdict()}
        for report in leak_reports(features, bars)
        for finding in report.findings
    ]
