"""What the jobs beside the trading loop do for one session: ingest, reconcile, train, watch for drift."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.bootstrap import admin, market_data
from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import Settings
from workbench.core.features import select_features
from workbench.core.ports import Event
from workbench.core.reconcile import Break
from workbench.core.types import Mode
from workbench.errors import DataError, Refused
from workbench.services.authorship import UNATTENDED
from workbench.services.drift_watch import watch_costs, watch_features
from workbench.services.promotion import accepted_model, read_model
from workbench.services.training import CandidateReport

if TYPE_CHECKING:
    import pandas as pd

_EVENTS = ("splits", "dividends", "renames")


@dataclass(frozen=True)
class Taken:
    """What one ingest brought.

    Attributes
    ----------
    source : str
        "folder" or "alpaca".
    files, accepted, quarantined : int
        Deliveries found, rows added to the store, rows set aside.
    behind : dict of str to int
        By symbol, completed sessions since its last bar at the open of the session; -1 = no bar.
    """

    source: str
    files: int
    accepted: int
    quarantined: int
    behind: dict[str, int]

    def _repr_html_(self) -> str:
        late = ", ".join(f"{symbol} {count}" for symbol, count in self.behind.items() if count) or "none"
        return (
            f"<p>{self.source}: {self.files} file(s), {self.accepted} row(s) added, "
            f"{self.quarantined} set aside; sessions behind: {late}</p>"
        )


def ingest_session(settings: Settings, session: str, parameters: Mapping[str, Any]) -> Taken:
    """Take in what is there before the session opens.

    Raises
    ------
    DataError
        Not one symbol has the bar of the session before: there is nothing to decide with.
    """
    desk = Desk(settings)
    source = str(parameters["source"])
    if source == "auto":
        source = "folder" if settings.mode is Mode.REPLAY else "alpaca"
    if source == "alpaca":
        files, accepted, quarantined = _from_alpaca(settings, desk, session, int(parameters["sessions"]))
    else:
        folder = desk.paths.root / str(parameters["folder"])
        files, accepted, quarantined = _from_folder(settings, folder)
    stored = set(desk.bars.symbols())
    known = [symbol for symbol in settings.universe if symbol in stored]
    behind = dict.fromkeys(settings.universe, -1)
    if known:
        behind |= desk.bars.freshness(as_of_ns=desk.calendar.session_open_ns(session), symbols=known)
    if all(behind.values()):
        raise DataError(
            f"no symbol has the bar of {desk.calendar.previous_session(session)}, just before {session}",
            next_step="workbench data status; put the delivery into the folder, then run ingest again",
        )
    return Taken(source, files, accepted, quarantined, behind)


def _from_alpaca(settings: Settings, desk: Desk, session: str, count: int) -> tuple[int, int, int]:
    last = first = desk.calendar.previous_session(session)
    for _ in range(count - 1):
        first = desk.calendar.previous_session(first)
    end = (datetime.date.fromisoformat(last) + datetime.timedelta(days=1)).isoformat()
    feed = "" if settings.venue.feed == "iex" else settings.venue.feed
    fetched = market_data.ingest_alpaca(
        settings, settings.universe, kind="daily", first=first, last=end, feed=feed
    )
    return 1, fetched.report.accepted, sum(fetched.report.quarantined.values())


def _from_folder(settings: Settings, folder: Path) -> tuple[int, int, int]:
    """A folder that is not there or empty brings nothing, which freshness then judges."""
    files = [one for one in folder.glob("*") if one.suffix in (".parquet", ".csv", ".txt", ".json")]
    if not files:
        return 0, 0, 0
    known = {name: folder / "events" / f"{name}.parquet" for name in _EVENTS}
    splits, dividends, renames = (path if path.exists() else None for path in known.values())
    report = market_data.ingest(
        settings, folder, source=f"folder/{folder.name}", splits=splits, dividends=dividends, renames=renames
    )
    return len(files), report.accepted, sum(report.quarantined.values())


def reconcile_session(settings: Settings) -> tuple[Break, ...]:
    """Everything compared with the venue under the account's lock and lease; sends nothing.

    Raises
    ------
    Refused
        Something differs; the account is halted and each break is in the journal.
    """
    breaks = admin.reconcile(settings)
    if breaks:
        raise Refused(
            f"{len(breaks)} break(s), first {breaks[0].kind} {breaks[0].symbol}: ours {breaks[0].ours}, "
            f"theirs {breaks[0].theirs}",
            next_step="workbench status lists them; docs/runbooks/a-break-was-found.md",
        )
    return breaks


def train_session(settings: Settings, session: str, parameters: Mapping[str, Any]) -> CandidateReport:
    """A candidate of everything that was known at the session's close; nobody has accepted it."""
    return admin.train(
        settings, last_session=session, estimator=str(parameters["estimator"]), author=UNATTENDED
    )


def drift_of_session(
    settings: Settings, session: str, parameters: Mapping[str, Any], *, run_id: str
) -> pd.DataFrame:
    """Features of every symbol against the model's training window, and costs against what was expected.

    A finding of drift raises the alert `drift_found`; whether the model may go on opening risk follows from
    `workbench.bootstrap.monitoring.monitor`, which is given this table.
    """
    import pandas as pd

    desk = Desk(settings)
    _, manifest = read_model(desk.registry, accepted_model(desk.journal, settings.mode.value))
    latest, alpha = int(parameters["latest_sessions"]), float(parameters["alpha"])
    close_ns = desk.calendar.session_close_ns(session)
    bars = desk.bars.read(manifest.universe, as_of_ns=close_ns)
    records = desk.execution.records()
    found = pd.concat([
        watch_features(
            bars, select_features(manifest.features), latest_sessions=latest, alpha=alpha,
            trained_to_ns=desk.calendar.session_close_ns(manifest.train_last_session),
        ),
        watch_costs(records[records["session"] <= session], latest_sessions=latest, alpha=alpha),
    ], ignore_index=True)  # fmt: skip
    tell_of_drift(settings, found, run_id=run_id, at_ns=close_ns)
    return found


def tell_of_drift(settings: Settings, found: pd.DataFrame, *, run_id: str, at_ns: int) -> None:
    """Raise the alert `drift_found` for what drifted in a table of `drift_of_session`, if anything did."""
    moved = found[found["status"] == "drift"]
    if len(moved):
        pairs = zip(moved["symbol"], moved["changed"], strict=True)
        words = "; ".join(f"{symbol}: {changed or 'together'}" for symbol, changed in pairs)
        _alert(settings, "drift_found", f"{run_id}: {words}", at_ns)


def _alert(settings: Settings, code: str, text: str, at_ns: int) -> None:
    journal = open_journal(settings, read_only=False)
    try:
        alert = {"account": settings.account, "code": code, "text": text, "at_ns": at_ns}
        journal.commit([Event("alert.raised", alert)])
    finally:
        journal.close()
