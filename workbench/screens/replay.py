"""The replay page: what a past session knew, decided, sent and held, at any moment of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import pandas as pd
import param

from workbench.core.ledger import CASH, SECURITIES
from workbench.core.types import MICRO, NANO
from workbench.errors import Refused, WorkbenchError
from workbench.screens.prices import fills_until, known_prices
from workbench.screens.questions import Source
from workbench.screens.screen import Screen
from workbench.screens.work import SOON_S, Work

if TYPE_CHECKING:
    from workbench.core.rewind import Timeline
    from workbench.services.what_if import WhatIf


_ORDERS = ["symbol", "leg", "state", "hypothetical_state", "why"]


class ReplayScreen(Screen):
    """The sessions of a desk, and one of them step by step.

    Parameters
    ----------
    again : callable (run) -> ReplayReport
        Trades a recorded run again and compares; see `workbench.replay`.

    Notes
    -----
    Nothing here is chosen for everybody: `at` is a question with an answer, so that each reader of the
    page looks at a session and a moment of their own.
    """

    #: Settings that the page offers to change in a hypothesis; the command takes every one.
    SETTINGS = (
        "limits.max_order_shares", "limits.max_order_notional_usd", "limits.max_position_notional_usd",
        "policy.max_weight", "policy.edge_multiple", "prior_cost.half_spread_floor_bps",
    )  # fmt: skip

    sessions = param.List([], doc="Closed sessions, latest first.")

    def __init__(
        self, desk: Any, *, mark: Callable[[], Hashable], again: Callable[[str], Any], **params: Any
    ) -> None:
        self.work, self.sums = Work(), Work()
        super().__init__(
            desk, mark=lambda: (mark(), self.work.version, self.sums.version, self.held), **params
        )
        self._again = again
        self._renewed = False

    def renew(self) -> None:
        """Forget what was added up and traded again of the former journal."""
        self.work, self.sums, self._renewed = Work(), Work(), True

    def read(self) -> None:
        """The list of closed sessions.

        Raises
        ------
        Refused
            The desk has gone into another epoch, and there is no session yet to show instead of the former
            ones.
        """
        closed = self.desk.journal.rows("sessions", account=self.desk.settings.account)
        self.sessions = sorted((row["session"] for row in closed), reverse=True)
        if self._renewed and not self.sessions:
            raise Refused(
                "the desk is in another epoch, and none of its sessions is closed yet",
                next_step="workbench replay RUN finds a run of the former epoch",
            )

    def source_of(self, question: str) -> Source | None:
        """What a question asks for: "TABLE/SESSION/ROW", where an event is "KIND-NUMBER".

        Each reader looks at a session of their own, so the session is part of the question.
        """
        name, session, row, *_ = [*question.split("/"), "", ""]
        return replay_source(name, self.desk.settings.account, session, row)

    def timeline(self, session: str) -> pd.DataFrame:
        """Everything that happened in a session, in the order in which the journal has it.

        Returns
        -------
        DataFrame
            seq (place in the journal), at (UTC), what, symbol, text.
        """
        journal, account = self.desk.journal, self.desk.settings.account
        rows: list[dict[str, Any]] = []
        for row in journal.rows("decisions", account=account, session=session):
            changes = sum(1 for one in row["rows"] if one["delta_shares"])
            text = f"{len(row['rows'])} symbols judged, {changes} changes wanted"
            rows.append(_event(row["seq"], row["scheduled_ns"], "decision", "", text))
        for row in journal.rows("orders", account=account, session=session):
            text = f"{row['side']} {row['quantity_nano'] / NANO:,.0f} {row['order_type']} {row['leg']}"
            if row["state"] == "DENIED":
                rows.append(_event(row["seq"], row["scheduled_ns"], "denied", row["symbol"], row["reason"]))
            else:
                at_ns = row["sent_at_ns"] or row["scheduled_ns"]
                rows.append(_event(row["added_seq"], at_ns, "order", row["symbol"], text))
        for row in journal.rows("fills", account=account, session=session):
            text = (
                f"{row['side']} {row['quantity_nano'] / NANO:,.0f} at {row['price_micro'] / MICRO:,.4f} USD"
            )
            rows.append(_event(row["added_seq"], row["filled_at_ns"], "fill", row["symbol"], text))
        for row in journal.rows("reconciliations", account=account, session=session):
            text = "clean" if row["clean"] else f"{len(row['breaks'])} break(s)"
            rows.append(_event(row["added_seq"], row["at_ns"], "reconciliation", "", text))
        frame = pd.DataFrame(rows, columns=["seq", "at", "what", "symbol", "text"])
        frame["at"] = pd.to_datetime(frame["at"], unit="ns", utc=True)
        return frame.sort_values("seq", kind="stable").reset_index(drop=True)

    def holdings(self, seq: int) -> pd.DataFrame:
        """Cash and shares after the event `seq`, the sums of the ledger's postings until then."""
        sums = self.desk.journal.balances(self.desk.settings.account, until_seq=seq)
        rows = [{"holding": "cash", "shares": float("nan"), "cost_usd": sums.get(CASH, (0, 0))[0] / MICRO}]
        rows += [
            {"holding": name.removeprefix(SECURITIES), "shares": nano / NANO, "cost_usd": micro / MICRO}
            for name, (micro, nano) in sorted(sums.items())
            if name.startswith(SECURITIES) and nano
        ]
        return pd.DataFrame(rows)

    def holdings_soon(self, seq: int) -> pd.DataFrame | None:
        """As `holdings`, None while they are being added up: years of postings take a while."""
        found: pd.DataFrame | None = self.sums.answer(seq)
        if found is None and not self.held:
            self.sums.start(seq, lambda tell: self.holdings(seq))
            if self.sums.latest is None:  # most journals are added up before a reader could see the gap
                self.sums.wait(SOON_S)
            found = self.sums.answer(seq)
        return found

    def run_of(self, session: str) -> str:
        """The latest run of the trading loop that traded the session; "" where the journal names none."""
        runs = self.desk.journal.events(kinds=("run.inputs",))
        found = [str(event.payload["run_id"]) for event in runs if event.payload["session"] == session]
        return found[-1] if found else ""

    def states(self, session: str) -> Timeline | None:
        """The states that the session went through; None where its run cannot be found as it was."""
        run = self.run_of(session)
        try:
            found: Timeline | None = self.desk.timeline(run) if run else None
        except WorkbenchError:
            return None
        return found

    def suppose(self, session: str, key: str, value: str) -> WhatIf | str:
        """The session under another value of one setting, or why that cannot be answered.

        Parameters
        ----------
        key : str
            Dotted name of a setting, such as "limits.max_order_shares".
        value : str
            A number as in a settings file.
        """
        run = self.run_of(session)
        if not run:
            return "this session recorded no inputs, so it cannot be traded again"
        try:
            found: WhatIf = self.desk.what_if(run, {key: _number(value)})
        except WorkbenchError as error:
            return f"{error.message} {error.next_step}".strip()
        return found

    def facts(self, states: Timeline | None, seq: int) -> dict[str, str]:
        """The account just after an event, as lines for a card."""
        if states is None:
            return {"State": "not recorded with this session"}
        found = states.at(int(seq))
        return {
            "Permission": f"{found.permission}: {found.reason}",
            "Cash, USD": f"{found.cash_micro / MICRO:,.2f}",
            "Open orders": str(len(found.open_orders)),
            "Halts": "; ".join(found.halts) or "none",
            "Disabled symbols": ", ".join(found.disabled) or "none",
            "Largest order": f"{found.limits.get('max_order_shares', 0):,} shares",
        }

    def ask(self, *question: str) -> None:
        """Begin to trade a session again: alone as it was, with a key and a value under that setting."""
        if self.work.answer(question) is None:
            compute = self._traded_again if len(question) == 1 else self._supposed
            self.work.start(question, lambda tell: compute(*question, tell=tell))

    def _supposed(
        self, session: str, key: str, value: str, *, tell: Callable[[str], None]
    ) -> tuple[dict[str, str], pd.DataFrame]:
        tell(f"trading {session} again under {key} = {value}")
        return self.answer(session, key, value)

    def _traded_again(
        self, session: str, *, tell: Callable[[str], None]
    ) -> tuple[dict[str, str], pd.DataFrame]:
        """Whether the session, traded again from its record, is the same; with every field that is not."""
        run = self.run_of(session)
        tell(f"trading {session} again from its record")
        nothing = pd.DataFrame(columns=["divergence"])
        if not run:
            return {"Not answered": "this session recorded no inputs, so it cannot be traded again"}, nothing
        try:
            report = self._again(run)
        except WorkbenchError as error:
            return {"Not answered": f"{error.message} {error.next_step}".strip()}, nothing
        first = report.first_divergence
        facts = {
            "Run": run,
            "Decisions on symbols": f"{len(report.decisions):,}",
            "Verdict": "identical" if report.identical else "not identical",
            "First divergence": "none" if first is None else str(first),
            "Changed since then": "; ".join(str(one) for one in report.differences) or "nothing",
        }
        return facts, pd.DataFrame({"divergence": [str(one) for one in report.divergences]}, dtype="str")

    def beside(self, session: str, other: str) -> tuple[dict[str, object], pd.DataFrame]:
        """The decisions of two sessions side by side, symbol by symbol; facts name the first difference."""
        ours, theirs = (self._decided(one) for one in (session, other))
        both = ours.merge(theirs, on=["cycle", "symbol"], how="outer", suffixes=("", "_other"))
        both = both.sort_values(["cycle", "symbol"], kind="stable").reset_index(drop=True)
        fields = ("reason", "target_shares", "change_shares")
        rows = []
        for row in both.to_dict("records"):
            pairs = {name: (row[name], row[f"{name}_other"]) for name in fields}
            rows.append([name for name, (a, b) in pairs.items() if not _same(a, b)])
        both.insert(2, "differs_in", pd.Series([", ".join(names) for names in rows], dtype="str"))
        first = next((at for at, names in enumerate(rows) if names), None)
        said = "none"
        if first is not None:
            name, line = rows[first][0], both.iloc[first]
            sides = f"{_shown(line[name])} / {_shown(line[f'{name}_other'])}"
            said = f"{line['symbol']}, {name.replace('_', ' ')}: {sides}"
        facts: dict[str, object] = {
            "Sessions": f"{session} / {other}",
            "Decisions on symbols": len(both),
            "That differ": sum(1 for names in rows if names),
            "First divergence": said,
        }
        return facts, both

    def _decided(self, session: str) -> pd.DataFrame:
        frame: pd.DataFrame = self.desk.views.decisions(session)
        cycles = {at: n for n, at in enumerate(sorted(frame["scheduled_at"].unique()), start=1)}
        shown = frame[["symbol", "reason", "target_shares", "change_shares", "forecast_bps"]]
        return shown.assign(cycle=[cycles[at] for at in frame["scheduled_at"]])

    def answer(self, session: str, key: str, value: str) -> tuple[dict[str, str], pd.DataFrame]:
        """What another value would have changed: lines for a card, and the orders that differ."""
        found = self.suppose(session, key, value)
        if isinstance(found, str):
            return {"Not answered": found}, _renamed(pd.DataFrame(columns=_ORDERS))
        facts = {f"{key} = {value}": found.run}
        for name, (ours, theirs) in found.totals.items():
            micro = name.endswith("_micro")
            words = [f"{n / MICRO:,.2f} USD" if micro else f"{n:,}" for n in (ours, theirs)]
            facts[name.removesuffix("_micro").replace("_", " ").capitalize()] = " -> ".join(words)
        return facts, _renamed(found.orders[_ORDERS])

    def prices(self, session: str, symbol: str) -> pd.DataFrame:
        """Daily bars of a symbol as they were known on the evening of the session."""
        return known_prices(self.desk, session, symbol)

    def fills(self, session: str, symbol: str) -> pd.DataFrame:
        """Executions in a symbol within the price path of the session."""
        return fills_until(self.desk, session, symbol)


def _same(ours: object, theirs: object) -> bool:
    """Whether two fields agree; a missing one agrees with a missing one alone."""
    missing = pd.isna(ours), pd.isna(theirs)  # type: ignore[call-overload]
    return bool(all(missing) or (not any(missing) and ours == theirs))


def _shown(value: object) -> str:
    return "not decided" if pd.isna(value) else str(value)  # type: ignore[call-overload]


def _renamed(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns={"hypothetical_state": "hypothetical"})


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text.replace("_", ""))
        except ValueError:
            continue
    return text.strip()


def _event(seq: int, at_ns: int, what: str, symbol: str, text: str) -> dict[str, Any]:
    return {"seq": seq, "at": at_ns, "what": what, "symbol": symbol, "text": text}


def replay_source(name: str, account: str, session: str, row: str) -> Source | None:
    """What a table of the page is made of, in a session and for one of its rows; "" = for all."""
    mine = {"account": account, **({"session": session} if session else {})}
    kind, _, number = row.rpartition("-")
    if name == "events" and kind in _EVENT_ROWS and number.isdecimal():
        projection, column = _EVENT_ROWS[kind]
        return Source(f"The row that this {kind} made.", projection, {**mine, column: int(number)})
    if name == "events" and row:
        return None
    if name == "held":
        held = {"ledger_account": CASH if row == "cash" else SECURITIES + row} if row else {}
        return Source(
            "The sum of these postings up to the moment's event: amounts at cost, quantities in 1e-9 shares.",
            "postings", {"account": account, **held},
        )  # fmt: skip
    known = {
        "decisions": Source("What the session decided; each symbol has its line in `rows`.", "decisions",
                            mine),
        "events": Source("Orders of the session; decisions, fills and reconciliations stand beside them.",
                         "orders", mine),
        "account": Source("The states that the recorded run went through, folded from the messages it got.",
                          "runs", {"session": session} if session else {},
                          line="desk.timeline(run_id).at(seq)"),
        "again": Source("The session traded again from the messages that the recorded run got; the first "
                        "difference is where they part.", "runs", {"session": session} if session else {},
                        line="wb.replay(run_id, config=settings)"),
        "supposed": Source("The session traded again from its record under the other value, beside the desk: "
                           "nothing of it is in the journal.", "",
                           line="desk.what_if(run_id, {setting: value})"),
    }  # fmt: skip
    return known.get(name)


#: What happened -> the projection whose row it made, and the column that holds the event's number.
_EVENT_ROWS = {
    "decision": ("decisions", "seq"),
    "denied": ("orders", "seq"),
    "order": ("orders", "added_seq"),
    "fill": ("fills", "added_seq"),
    "reconciliation": ("reconciliations", "added_seq"),
}
