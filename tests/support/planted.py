"""A calendar, a journal in memory and bars with a planted rule: what training needs, and no more."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from workbench.adapters.registry import FileRegistry
from workbench.core.costs import FeeSchedule, PriorCost, prior
from workbench.core.features import FEATURES
from workbench.core.labels import LABELS
from workbench.core.ports import Event
from workbench.core.types import Bars
from workbench.services import training
from workbench.services.estimators import ESTIMATORS

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
HASH = hashlib.sha256(b"any").hexdigest()
HORIZON = 5


class Weekdays:
    """A calendar whose sessions are Monday to Friday and close at 21:00 UTC; one holiday each June."""

    def is_session(self, session: str) -> bool:
        return bool(np.is_busday(session)) and not session.endswith("-06-15")

    def sessions_between(self, first: str, last: str) -> tuple[str, ...]:
        days = np.arange(np.datetime64(first), np.datetime64(last) + 1)
        return tuple(str(day) for day in days if self.is_session(str(day)))

    def session_close_ns(self, session: str) -> int:
        return int(np.datetime64(f"{session}T21:00", "ns").astype(np.int64))


DAYS = Weekdays().sessions_between("2010-01-04", "2013-12-31")
LAST_SEEN, NEXT = DAYS[499], DAYS[500]


class Memory:
    """A journal in memory, with just the rows and events that training needs."""

    def __init__(self) -> None:
        self.recorded: list[Event] = []

    def commit(self, events, *, lease=None):
        self.recorded.extend(events)
        return ()

    def events(self, *, kinds=(), after_seq=0):
        return tuple(event for event in self.recorded if event.kind in kinds)

    def rows(self, projection, **equals):
        if projection == "people":
            return [{"person": "ada", "role": "operator"}]
        if projection in ("person_keys", "halts"):
            return []
        kind = {"models": "model.registered", "trials": "trial.recorded"}[projection]
        rows = [
            {**event.payload, "seq": seq} for seq, event in enumerate(self.recorded) if event.kind == kind
        ]
        for row in rows if projection == "models" else ():
            for seq, event in enumerate(self.recorded):
                if event.kind == "model.staged" and event.payload["model_id"] == row["model_id"]:
                    row |= {"stage": event.payload["stage"], "seq": seq}
        return [row for row in rows if equals.items() <= row.items()]


def planted_bars(sessions: int = 500, strength: float = 0.5) -> Bars:
    """Prices whose daily return is pulled towards minus half the return of the last five sessions."""
    draw = np.random.default_rng(11)
    noise = draw.normal(0.0, 0.01, (sessions, len(SYMBOLS)))
    returns = np.zeros_like(noise)
    for row in range(sessions):
        pull = returns[max(0, row - 5) : row].sum(axis=0) if row else 0.0
        returns[row] = noise[row] - strength * pull / 5.0
    close = 50.0 * np.cumprod(1.0 + returns, axis=0)
    span = close * draw.uniform(0.004, 0.02, close.shape)
    return Bars(
        ts_ns=np.array([Weekdays().session_close_ns(day) for day in DAYS[:sessions]], dtype=np.int64),
        symbols=SYMBOLS,
        open=close.copy(),
        high=close + span,
        low=close - span,
        close=close,
        volume=np.round(draw.uniform(1e6, 2e6, close.shape)),
        tradable=np.ones(close.shape, dtype=np.bool_),
    )


COSTS = prior(PriorCost(), FeeSchedule(), as_of_ns=1)
TRIED = training.Experiment(
    features=FEATURES, label=LABELS["forward_return"], horizon_sessions=HORIZON,
    estimator=ESTIMATORS["ridge"], alpha=1.0, seed=7, cost_model=COSTS, notional_usd=50_000.0,
    allow_short=True,
)  # fmt: skip


def train(root: Path, bars: Bars, journal: Memory | None = None, tried=TRIED, **changes):
    inputs = {
        "calendar": Weekdays(), "as_of_ns": int(bars.ts_ns.max(initial=1)), "bars_fingerprint": HASH,
        "provenance": "real", "config_hash": HASH, "code_hash": HASH, "registry": FileRegistry(root),
        "journal": journal or Memory(),
    }  # fmt: skip
    return training.train_candidate(tried, bars=bars, **{**inputs, **changes})
