"""`workbench surveil`: the next day's report of our own flow, in the desk's folder and as alerts."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.adapters.bars import ParquetBarStore
from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import Settings
from workbench.core.surveillance import ClosingMarket
from workbench.errors import DataError, Refused
from workbench.services.surveillance import SurveillanceReport, raise_alerts, survey


@dataclass(frozen=True)
class Surveyed:
    """The report, the files it was written to, and how many alerts were new."""

    report: SurveillanceReport
    json_file: Path
    html_file: Path
    alerts: int


def surveil(settings: Settings, session: str) -> Surveyed:
    """Look at a closed session's flow of all accounts; writes reports/surveillance-DATE.json and .html.

    Raises
    ------
    UsageError
        Not a session of the exchange.
    Refused
        The session has not closed yet.
    """
    desk = Desk(settings)
    desk.calendar.require_session(session, argument="--session")
    close_ns = desk.calendar.session_close_ns(session)
    now_ns = time.time_ns()
    if close_ns > now_ns:
        raise Refused(f"session {session} has not closed", next_step="run it the next day", session=session)
    journal = open_journal(settings, read_only=False)
    try:
        report = survey(
            journal, session=session, close_ns=close_ns, limits=settings.surveillance,
            market=lambda symbols: _closing_markets(desk, symbols, close_ns),
        )  # fmt: skip
        folder = desk.paths.root / "reports"
        folder.mkdir(parents=True, exist_ok=True)
        as_json, as_html = (folder / f"surveillance-{session}.{ending}" for ending in ("json", "html"))
        as_json.write_text(json.dumps(report.to_dict(), indent=1) + "\n")
        as_html.write_text(f"<!doctype html><meta charset=utf-8>{report._repr_html_()}\n")
        return Surveyed(report, as_json, as_html, raise_alerts(journal, report, at_ns=now_ns))
    finally:
        journal.close()


def _closing_markets(desk: Desk, symbols: tuple[str, ...], close_ns: int) -> dict[str, ClosingMarket]:
    """The last part of the session from minute bars; a symbol without them is left out."""
    start_ns = close_ns - desk.settings.surveillance.close_window_s * 1_000_000_000
    store = ParquetBarStore(desk.paths.bars, calendar=desk.calendar, kind="minute")
    found = {}
    for symbol in symbols:
        try:
            bars = store.read((symbol,), as_of_ns=time.time_ns(), view="raw", start_ns=start_ns)
        except DataError:
            continue  # the store has no minutes of it: the report says that it was not judged
        inside = bars.ts_ns <= close_ns
        close, volume = bars.close[inside, 0], bars.volume[inside, 0]
        known = np.flatnonzero(np.isfinite(close))
        if len(known) > 1:
            before, last = close[known[0]], close[known[-1]]
            found[symbol] = ClosingMarket(float(before), float(last), float(np.nansum(volume[known[1:]])))
    return found
