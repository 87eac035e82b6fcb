"""Monitoring of one closed session: measured once, recorded with its consequences in one transaction.

Detectors that look at one value a session keep their state in the journal, so that a restart forgets
nothing. A block places a halt that lets reductions pass; only a person lifts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.core.manifest import INPUT_BOUNDS, ModelManifest
from workbench.core.monitoring import Level, Measure, consequences, measure, worst
from workbench.core.ports import BarStore, Calendar, Event, Journal
from workbench.core.types import NANO, Bars
from workbench.errors import Refused
from workbench.services.session_measures import (
    LABEL_SESSIONS,
    LOOK_BACK,
    HostFacts,
    data_measures,
    exposure_measures,
    feed_measure,
    forecast_measure,
    label_measures,
    machine_measures,
    order_measures,
    outcomes_of,
)
from workbench.services.session_streams import RECENT, Streams, Watched, follow, recent_measure

if TYPE_CHECKING:
    import pandas as pd

#: How long after its close a session's bars are known.
KNOWN_NS: Final = 6 * 3_600 * NANO


@dataclass(frozen=True)
class Monitored:
    """What was measured of a session.

    Attributes
    ----------
    level : Level
        The worst of the measures.
    recorded : bool
        Whether it was recorded now; False = the record of an earlier look, which stands.
    """

    session: str
    model_id: str
    level: Level
    measures: tuple[Measure, ...]
    recorded: bool = True

    def at(self, level: Level) -> tuple[Measure, ...]:
        """The measures of one level."""
        return tuple(one for one in self.measures if one.level is level)

    def frame(self) -> pd.DataFrame:
        """One row a measure: name, value, level, evidence."""
        import pandas as pd

        rows = [(one.name, one.value, one.level.value, one.detail) for one in self.measures]
        return pd.DataFrame(rows, columns=["measure", "value", "level", "evidence"])

    def _repr_html_(self) -> str:
        table = self.frame().to_html(index=False, float_format="{:.4g}".format)
        return f"<p>session {self.session}: <b>{self.level}</b></p>{table}"


class SessionMonitor:
    """Measures closed sessions of one account.

    Parameters
    ----------
    journal, bars, calendar
        Ports.
    watched : Watched
    host : HostFacts
    """

    def __init__(
        self, journal: Journal, bars: BarStore, calendar: Calendar, *, watched: Watched, host: HostFacts
    ) -> None:
        self._journal, self._bars, self._calendar = journal, bars, calendar
        self._watched, self._host = watched, host

    def monitor(self, session: str, *, inputs: Sequence[Measure] = ()) -> Monitored:
        """Measure a closed session and record it with what follows; one that was recorded stands as it is.

        Parameters
        ----------
        inputs : sequence of Measure
            What the batch comparison of the inputs found, from `input_measures`.

        Raises
        ------
        Refused
            The session is not closed, or a later one was monitored: detectors do not go back in time.
        DataError
            A symbol of the universe has no bars at all.
        """
        known = self.recorded(session)
        if known is not None:
            return known
        account, model_id = self._watched.account, self._watched.model_id
        earlier = self._earlier(session)
        before = earlier[-1] if earlier else ()
        streams = Streams()
        bound = bounds_of(self._watched.manifest, self._watched.input_bounds)["shift_sd"]
        measures = (
            *self.measures(session, before, streams),
            recent_measure([*earlier, streams.measures], bound=bound),
            *inputs,
        )
        close_ns = self._calendar.session_close_ns(session)
        record = Event(
            "session.monitored",
            {
                "account": account, "session": session, "model_id": model_id, "at_ns": close_ns,
                "level": worst(measures).value, "measures": [one.payload() for one in measures],
            },
        )  # fmt: skip
        follow = consequences(
            measures, before, account=account, strategy=self._watched.strategy, model_id=model_id,
            session=session, at_ns=close_ns,
        )  # fmt: skip
        self._journal.commit([record, *streams.events, *follow])
        return Monitored(session, model_id, worst(measures), measures)

    def recorded(self, session: str) -> Monitored | None:
        """The record of a session, None when it was never monitored."""
        rows = self._journal.rows("monitored", account=self._watched.account, session=session)
        return monitored_of_row(rows[0]) if rows else None

    def _earlier(self, session: str) -> list[tuple[Measure, ...]]:
        """Measures of the sessions monitored last, under this model; Refused when one of them is later."""
        rows = sorted(
            self._journal.rows("monitored", account=self._watched.account), key=lambda row: row["session"]
        )
        if rows and (last := rows[-1])["session"] > session:
            raise Refused(
                f"session {last['session']} was monitored already, and {session} is earlier: time would run "
                "backwards",
                next_step="nothing is to be done: a gap in the record stays a gap",
                session=session,
            )
        model_id = self._watched.model_id
        if rows and rows[-1]["model_id"] != model_id:
            return []
        return [monitored_of_row(row).measures for row in rows[-RECENT:] if row["model_id"] == model_id]

    def measures(
        self, session: str, before: Sequence[Measure] = (), streams: Streams | None = None
    ) -> tuple[Measure, ...]:
        """Everything that is measured of a session, judged; records nothing.

        Parameters
        ----------
        before : sequence of Measure
            Of the session before; () = there is none.
        streams : Streams, optional
            Takes what the detectors leave for the journal.
        """
        account, calendar = self._watched.account, self._calendar
        closing = self._journal.rows("sessions", account=account, session=session)
        if not closing:
            raise Refused(
                f"session {session} is not closed: its records may still change",
                next_step=f"workbench jobs run trading_loop --session {session}",
                session=session,
            )
        decisions = self._journal.rows("decisions", account=account, session=session)
        close_ns = calendar.session_close_ns(session)
        decided_ns = max(
            (row["scheduled_ns"] for row in decisions), default=calendar.session_open_ns(session)
        )
        panel, closes = self._panel(session, decided_ns), self._closes(session)
        universe = self._watched.manifest.universe
        then = self._bars.read(universe, as_of_ns=decided_ns, rows=LOOK_BACK, view="raw")
        now = self._bars.read(universe, as_of_ns=close_ns + KNOWN_NS, rows=LOOK_BACK + 2, view="raw")
        streams = Streams() if streams is None else streams
        follow(
            self._journal,
            self._bars,
            self._calendar,
            watched=self._watched,
            session=session,
            at_ns=decided_ns,
            streams=streams,
        )
        horizon = self._watched.manifest.horizon_sessions
        until = calendar.session_close_ns(session)
        outcomes = outcomes_of(
            self._late_decisions(session, closes, close_ns), panel, closes_ns=closes, horizon=horizon,
            as_of_ns=close_ns + KNOWN_NS,
        )  # fmt: skip
        expected = max((at for at in closes if at < decided_ns), default=0)
        orders = self._journal.rows("orders", account=account, session=session)
        fills = self._journal.rows("fills", account=account, session=session)
        last = dict(zip(now.symbols, now.close[-1].tolist(), strict=True)) if len(now.ts_ns) else {}
        open_ns = calendar.session_open_ns(session)
        alerts = [
            row for row in self._journal.rows("alerts", account=account)
            if open_ns - KNOWN_NS <= row["at_ns"] <= close_ns + KNOWN_NS
        ]  # fmt: skip
        return (
            *data_measures(then, now, expected_close_ns=expected, closes_ns=closes),
            feed_measure(self._host.feed, before),
            *streams.measures,
            forecast_measure(decisions),
            *label_measures(outcomes, [at for at in closes if at <= until], horizon=horizon),
            *order_measures(orders, fills, equity_micro=closing[0]["equity_micro"]),
            *exposure_measures(
                {symbol: held for symbol, held in closing[0]["positions"].items() if held}, last,
                gross_limit_usd=self._watched.gross_limit_usd, net_limit_usd=self._watched.net_limit_usd,
            ),
            *machine_measures(alerts, self._host, before),
        )  # fmt: skip

    def _panel(self, session: str, decided_ns: int) -> Bars:
        """Adjusted bars up to the session's close, as far back as labels and features need."""
        longest = max(feature.lookback for feature in self._watched.features)
        rows = LABEL_SESSIONS + self._watched.manifest.horizon_sessions + longest + 22
        as_of_ns = self._calendar.session_close_ns(session) + KNOWN_NS
        return self._bars.read(self._watched.manifest.universe, as_of_ns=as_of_ns, rows=rows)

    def _closes(self, session: str) -> list[int]:
        """Closes of the exchange's sessions around this one: labels look both ways."""
        horizon = self._watched.manifest.horizon_sessions
        first, last = session, session
        back = np.datetime64(session) - np.timedelta64(2 * (LABEL_SESSIONS + horizon), "D")
        for _ in range(horizon + 1):
            last = self._calendar.next_session(last)
        first = str(back)
        return [self._calendar.session_close_ns(one) for one in self._calendar.sessions_between(first, last)]

    def _late_decisions(self, session: str, closes: Sequence[int], close_ns: int) -> list[dict[str, Any]]:
        """Decisions whose labels are still judged, of this model alone."""
        inside = [at for at in closes if at <= close_ns][-LABEL_SESSIONS:]
        rows = self._journal.rows("decisions", account=self._watched.account)
        return [
            row for row in rows
            if row["model_id"] == self._watched.model_id and inside and row["session"] <= session
            and row["scheduled_ns"] >= inside[0] - 24 * 3_600 * NANO
        ]  # fmt: skip


def input_measures(
    found: pd.DataFrame, manifest: ModelManifest, bounds: Mapping[str, float]
) -> list[Measure]:
    """How far the inputs have drifted against what the model bears, from the table of `watch_features`.

    Parameters
    ----------
    found : DataFrame
        One row a symbol with status, shift_sd, spread and missing; NaN where nothing has drifted.
    bounds : mapping of str to float
        Used where the manifest carries none.
    """
    allowed = bounds_of(manifest, bounds)
    measures = []
    for name in INPUT_BOUNDS:
        drifted = found[(found["status"] == "drift") & found[name].notna()]
        if not len(drifted):
            unknown = bool((found["status"] == "insufficient").all()) if len(found) else True
            value, words = (None, "too few independent rows") if unknown else (0.0, "")
            measures.append(measure(f"inputs.{name}", value, words, block=allowed[name]))
            continue
        row = drifted.sort_values(name, kind="stable").iloc[-1]
        words = f"{row['symbol']}: {row['changed'] or 'together'}; the model bears {allowed[name]:g}"
        measures.append(measure(f"inputs.{name}", float(row[name]), words, block=allowed[name]))
    return measures


def bounds_of(manifest: ModelManifest, bounds: Mapping[str, float]) -> Mapping[str, float]:
    """What the model bears: its manifest's bounds, or those given where it has none."""
    return manifest.input_bounds or bounds


def measures_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row a session and measure, oldest first, of rows of the journal's `monitored` projection.

    Returns
    -------
    DataFrame
        session, measure, value (NaN = not known), level, evidence, model_id.
    """
    import pandas as pd

    found = [
        (row["session"], one.name, one.value, one.level.value, one.detail, row["model_id"])
        for row in sorted(rows, key=lambda row: row["session"])
        for one in monitored_of_row(row).measures
    ]
    columns = ["session", "measure", "value", "level", "evidence", "model_id"]
    return pd.DataFrame(found, columns=columns).astype({"value": "float64"})


def monitored_of_row(row: Mapping[str, Any]) -> Monitored:
    """The record that a row of the journal's `monitored` projection describes."""
    measures = tuple(Measure.of_payload(one) for one in row["measures"])
    return Monitored(row["session"], row["model_id"], Level(row["level"]), measures, recorded=False)
