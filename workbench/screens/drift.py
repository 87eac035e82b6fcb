"""The page of drift: have the desk's own features changed, and how fresh is its data."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import param

from workbench.core.features import compute_history, select_features
from workbench.core.halts import MONITORING
from workbench.core.monitoring import rule_of
from workbench.core.types import Bars
from workbench.errors import DataError
from workbench.screens.prices import KNOWN_NS
from workbench.screens.questions import Source
from workbench.screens.screen import Screen
from workbench.screens.work import Tell, Work

#: Words for a verdict: what it means for a reader.
MEANING = {
    "DRIFT": "changed",
    "NONE": "no change was found",
    "INSUFFICIENT": "cannot be judged",
}
_SHOWN = (
    "verdict", "p_value", "corrected_p_value", "effective_n", "moved", "shift_sd", "psi", "ks", "reason"
)  # fmt: skip
_CODES, _CAUSE = ("MONITOR_WARNED", "MONITOR_BLOCKED"), MONITORING
#: Later than every bar: the whole store, for a desk that has not closed a session yet.
_LAST_NS = pd.Timestamp("2100-01-01").value


class Windows(NamedTuple):
    """What to compare: a symbol, the sessions of the reference and of the latest window, the error rate."""

    symbol: str
    reference_sessions: int
    latest_sessions: int
    alpha: float


@dataclass(frozen=True, eq=False)
class Finding:
    """One comparison.

    Attributes
    ----------
    facts : dict
        Labelled values of the comparison as a whole.
    status : {"drift", "none", "insufficient"}
    table : DataFrame
        One row a feature.
    reference, latest : DataFrame
        The rows that were compared; index session.
    notes : tuple of str
    """

    facts: dict[str, object]
    status: str
    table: pd.DataFrame
    reference: pd.DataFrame
    latest: pd.DataFrame
    notes: tuple[str, ...]


class DriftScreen(Screen):
    """The desk's features in a reference window against the latest one, and how old its data is.

    Parameters
    ----------
    compare : callable
        `workbench.drift.compare`.
    """

    symbols = param.List([], doc="Symbols of the universe that the store holds.")
    freshness = param.Parameter(None, doc="DataFrame: symbol, last bar, sessions behind, in words.")
    last_session = param.String("", doc="Last closed session; features are those known on its evening.")
    measures = param.Parameter(None, doc="DataFrame: one row a monitored session and measure.")
    alarms = param.Parameter(
        None, doc="DataFrame: warnings and blocks, newest first, with their false alarms."
    )
    taken = param.Parameter(None, doc="DataFrame: halts that monitoring placed, and what became of them.")
    quality = param.Parameter(None, doc="DataFrame: what was odd about the data, newest first.")

    def __init__(
        self, desk: Any, *, compare: Callable[..., Any], mark: Callable[[], Hashable], **params: Any
    ) -> None:
        self.work = Work()
        super().__init__(desk, mark=lambda: (mark(), self.work.version), **params)
        self._compare = compare
        self._fresh_of: object = None
        self._halts: list[Any] = []
        self._halts_seq = 0
        self.sources = drift_sources(desk.settings.account)

    def renew(self) -> None:
        """Forget the halts of the former journal, and the comparison as of its last session."""
        self.work = Work()
        self._fresh_of = None
        self._halts, self._halts_seq = [], 0

    def read(self) -> None:
        """Which data there is; the comparison itself is asked for."""
        sessions = self.desk.journal.rows("sessions", account=self.desk.settings.account)
        self.last_session = max((row["session"] for row in sessions), default="")
        measures = self.desk.measures()
        self.alarms, self.taken = self._alarms(measures), self._taken()
        self.quality, self.measures = quality_log(measures), measures
        known = (self.last_session, self.desk.bars.fingerprint())
        if known != self._fresh_of:
            stored = set(self.desk.bars.symbols())
            self.symbols = [one for one in self.desk.settings.universe if one in stored]
            self.freshness = self._freshness()
            self._fresh_of = known

    def answer(self, asked: tuple[str, int, int, float]) -> Finding | None:
        """The comparison, None while nobody has asked for it with the present data.

        `asked` is the symbol, the sessions of the reference and of the latest window, and the error rate.
        """
        found: Finding | None = self.work.answer((Windows(*asked), self._fresh_of))
        return found

    def ask(self, asked: tuple[str, int, int, float]) -> None:
        """Begin the comparison, unless its answer is known or another is running."""
        windows = Windows(*asked)
        if self.answer(asked) is None:
            self.work.start((windows, self._fresh_of), lambda tell: self._find(windows, tell))

    def monitoring(self) -> dict[str, object]:
        """How far monitoring has looked, labelled: where nothing was measured, no alarm means nothing."""
        measures = self.measures
        if measures is None or not len(measures):
            return {
                "Sessions measured": 0,
                "Therefore": "nothing was judged: no alarm is no answer",
            }
        loud = measures["level"].isin(["warn", "block"])
        return {
            "Sessions measured": int(measures["session"].nunique()),
            "Last session measured": str(measures["session"].max()),
            "Measures": len(measures),
            "Beyond a bound": int(loud.sum()),
        }

    def advice(self, found: Finding | None) -> str:
        """What to do next, for a reader who does not see a comparison."""
        if not self.symbols:
            return "The bars store holds no symbol of the universe: workbench data ingest"
        if found is None:
            return "Choose the windows and press Compare; it takes some seconds."
        return ""

    def _alarms(self, measures: pd.DataFrame) -> pd.DataFrame:
        """Warnings and blocks with the rate at which such alarms are false: stated, and as people judged."""
        account = self.desk.settings.account
        rows = [row for row in self.desk.journal.rows("outbox", account=account) if row["status"] != "merged"]
        judged = {}
        for name in {row["subject"] for row in rows if row["code"] in _CODES}:
            own = [row for row in rows if row["code"] in _CODES and row["subject"] == name]
            judged[name] = _judged_words(own)
        loud = measures[measures["level"].isin(["warn", "block"])].iloc[::-1]
        return pd.DataFrame(
            {
                "session": loud["session"],
                "measure": loud["measure"],
                "value": loud["value"],
                "level": loud["level"],
                "evidence": loud["evidence"],
                "false_alarms": [judged.get(name, "none judged yet") for name in loud["measure"]],
            }
        ).reset_index(drop=True)

    def _taken(self) -> pd.DataFrame:
        """What monitoring has stopped, and who let it go again."""
        account = self.desk.settings.account
        found = []
        seen = self.desk.journal.head()[0]
        self._halts += self.desk.journal.events(
            kinds=("halt.placed", "halt.lifted"), after_seq=self._halts_seq
        )
        self._halts_seq = max([seen, *(event.seq for event in self._halts[-1:])])
        for event in self._halts:
            told = event.payload
            if told["account"] != account or told.get("cause", _CAUSE) != _CAUSE:
                continue
            when = f"{pd.Timestamp(event.at_ns, tz='UTC'):%Y-%m-%d %H:%M}Z"
            what = "no new risk" if event.kind == "halt.placed" else f"lifted by {told['person']}"
            found.append((when, what, told["level"], told["target"], told["reason"]))
        columns = ["recorded", "what", "level", "target", "reason"]
        return pd.DataFrame(found[::-1], columns=columns)

    def _find(self, asked: Windows, tell: Tell) -> Finding:
        tell("reading bars")
        features = select_features(self.desk.settings.model.features)
        wanted = asked.reference_sessions + asked.latest_sessions
        longest = max(feature.lookback for feature in features)
        as_of_ns = self._as_of_ns()
        bars = self.desk.bars.read(self.symbols, as_of_ns=as_of_ns, rows=wanted + longest)
        tell(f"computing {len(features)} features of {len(bars.ts_ns):,} sessions")
        rows = np.arange(max(len(bars.ts_ns) - wanted, 0), len(bars.ts_ns))
        values = compute_history(features, bars, rows)[:, bars.symbols.index(asked.symbol), :]
        table = pd.DataFrame(values, index=_sessions(bars, rows), columns=[one.name for one in features])
        table["daily_return"] = _returns(bars, asked.symbol)[rows]
        if len(table) <= asked.latest_sessions:
            raise DataError(
                f"the store holds {len(table):,} sessions, no more than the latest window",
                next_step="choose a shorter window, or ingest more history with workbench data ingest",
            )
        reference, latest = table.iloc[: -asked.latest_sessions], table.iloc[-asked.latest_sessions :]
        tell("comparing the windows")
        report = self._compare(reference, latest, alpha=asked.alpha)
        return Finding(
            facts={
                "Symbol": asked.symbol,
                "Together": MEANING[report.status.upper()],
                "Family p-value": _p_words(report.family_p_value),
                "Features move together as before, p-value": _p_words(report.correlations_p_value),
                "False alarms allowed": f"{100.0 * report.alpha:g} % of comparisons",
                "Reference": _span(reference),
                "Latest window": _span(latest),
            },
            status=report.status,
            table=report.frame[list(_SHOWN)].rename_axis("feature").reset_index(),
            reference=reference,
            latest=latest,
            notes=tuple(report.notes),
        )

    def _as_of_ns(self) -> int:
        if not self.last_session:
            return int(_LAST_NS)
        return int(self.desk.calendar.session_close_ns(self.last_session)) + KNOWN_NS

    def _freshness(self) -> pd.DataFrame:
        """How far each symbol's bars reach, measured at the last closed session."""
        behind: dict[str, int] = {}
        last: dict[str, str] = {}
        for symbol in self.symbols:
            panel = self.desk.bars.read([symbol], as_of_ns=self._as_of_ns(), rows=1)
            last[symbol] = _sessions(panel, np.arange(1))[0] if len(panel.ts_ns) else ""
        if self.last_session and self.symbols:
            behind = self.desk.bars.freshness(as_of_ns=self._as_of_ns(), symbols=self.symbols)
        rows = [
            (symbol, last.get(symbol, ""), _fresh_words(behind.get(symbol), symbol in last))
            for symbol in self.desk.settings.universe
        ]
        return pd.DataFrame(rows, columns=["symbol", "last_bar", "judgement"])


def quality_log(measures: pd.DataFrame) -> pd.DataFrame:
    """What was odd about data and features, newest first; one row a session and measure."""
    odd = measures["level"].isin(["note", "warn", "block"])
    about = measures["measure"].str.startswith(("data.", "features.missing", "labels.overdue"))
    found = measures[odd & about].iloc[::-1]
    meanings = [rule_of(name).meaning for name in found["measure"]]
    shown = found[["session", "measure", "value", "level", "evidence"]]
    return shown.assign(meaning=meanings).reset_index(drop=True)


def _judged_words(rows: list[dict[str, Any]]) -> str:
    """How many of the alerts of one measure people called false."""
    words = [str(row["judged"]) for row in rows if row["judged"]]
    if not words:
        return "none judged yet"
    false = words.count("false")
    return f"{false} of {len(words)} judged false ({100.0 * false / len(words):.0f} %)"


def _fresh_words(behind: int | None, stored: bool) -> str:
    if not stored or behind == -1:
        return "no bars: workbench data ingest"
    if behind is None:
        return "not measured: no session has been closed yet"
    return "up to date with the last closed session" if behind == 0 else f"{behind} session(s) behind"


def _returns(bars: Bars, symbol: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Close to close, NaN where one of the two is missing."""
    close = bars.close[:, bars.symbols.index(symbol)]
    return np.concatenate([[np.nan], close[1:] / close[:-1] - 1.0])


def _sessions(bars: Bars, rows: Any) -> list[str]:
    stamps = pd.to_datetime(bars.ts_ns[rows], unit="ns", utc=True).tz_convert("America/New_York")
    return [f"{stamp:%Y-%m-%d}" for stamp in stamps]


def _span(table: pd.DataFrame) -> str:
    return f"{table.index[0]} to {table.index[-1]}, {len(table):,} sessions"


def _p_words(value: float) -> str:
    return "not known" if value != value else "below 0.0001" if value < 1e-4 else f"{value:.4f}"


def drift_sources(account: str) -> dict[str, Source]:
    """What the numbers and tables of the page are made of."""
    mine = {"account": account}
    measured = Source("Everything that was measured of the session stands in its row, with what each measure "
                      "was judged by.", "monitored", mine, key="session")  # fmt: skip
    bars = "desk.bars.read(desk.settings.universe, as_of_ns=..., rows=...)"
    return {
        "monitoring": Source("One row a session that was measured.", "monitored", mine),
        "alarms": measured,
        "quality": measured,
        "false alarms": Source("Alerts with what people judged of them.", "outbox", mine),
        "stopped": Source("Halts in force; the events tell who placed and who lifted each.", "halts", mine),
        "freshness": Source("The last bar of the symbol in the bars store, counted in sessions to the last "
                            "closed one.", "", line="desk.bars.freshness(as_of_ns=..., symbols=...)"),
        "compared": Source("Features computed anew from the bars that were known on the evening of the last "
                           "closed session: the rows before the latest window against those in it.", "",
                           line=bars),
    }  # fmt: skip
