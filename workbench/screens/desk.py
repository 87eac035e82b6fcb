"""The desk page: may it trade, who holds it, what is at risk, what went wrong, how to stop it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import pandas as pd
import param

from workbench.core.ledger import PNL, SECURITIES
from workbench.core.orders import TERMINAL
from workbench.core.types import MICRO, NANO
from workbench.errors import DataError
from workbench.screens.commands import DeskCommands
from workbench.screens.desk_sources import desk_sources
from workbench.screens.desk_tables import (
    NOTHING_ADDED,
    UNRESOLVED,
    alert_table,
    break_table,
    cycle_words,
    equity_of,
    halt_table,
    lease_words,
    limit_bars,
    pending_table,
    reconciled_words,
    run_table,
    run_words,
    when,
)
from workbench.screens.screen import Screen
from workbench.screens.timings import KINDS, first_seq, stage_timings
from workbench.screens.work import SOON_S, Work

#: Words for a person, one for each state.
MEANING: Mapping[str, str] = {
    "ACTIVE": "orders may be sent",
    "REDUCING": "only orders that reduce risk may be sent",
    "HALTED": "nothing may be sent until a person resumes",
}
_ENDED = frozenset(state.value for state in TERMINAL)


class DeskScreen(Screen):
    """State, money, orders, limits, breaks, alerts and runs of one account.

    What needs the whole history (positions from all postings, the use of every limit) is added up in the
    background, so that the page is there at once also over years of records.

    Parameters
    ----------
    permission : callable () -> object
        What may be sent now, with `state`, `epoch`, `reason`; the state row and the ARMED file together.
    pending : callable () -> mapping
        What waits for people: rows by "orders", "agreements".
    alerts : callable () -> mapping
        The outbox: its rows by "alerts", and its counts.
    limits : callable () -> sequence
        Use of every limit, with `code`, `limit`, `value`, `used`, `unit`, `about`.
    surroundings : callable () -> mapping
        What is not in the journal: "watchdog" in words, "runs" a mapping of run id to the address of its
        executed notebook.
    next_run : callable (last_session) -> str
        What runs next and when, in words; asked in the background, because it needs the exchange's calendar:
        when a session was closed, when a run began or ended, and once a minute.
    commands : DeskCommands
        What people may order from the page.
    """

    frames = param.Dict({}, doc="Tables by name: positions, orders, limits, alerts, pending, halts, runs.")
    facts = param.Dict({}, doc="Single values by name, in words or numbers with units in the name.")

    def __init__(
        self,
        desk: Any,
        *,
        mark: Callable[[], Hashable],
        permission: Callable[[], Any],
        pending: Callable[[], Mapping[str, Any]],
        alerts: Callable[[], Mapping[str, Any]],
        limits: Callable[[], Sequence[Any]],
        surroundings: Callable[[], Mapping[str, Any]],
        next_run: Callable[[str], str],
        commands: DeskCommands,
        **params: Any,
    ) -> None:
        self.work, self.ahead = Work(), Work()
        super().__init__(desk, mark=lambda: (mark(), *self._beside_the_journal()), **params)
        self._added_at = -1
        self._looked_up: Hashable = None
        self._permission = permission
        self._pending = pending
        self._alerts = alerts
        self._use = limits
        self._surroundings = surroundings
        self._next_run = next_run
        self.commands = commands

    def _beside_the_journal(self) -> tuple[Hashable, ...]:
        """What changes the page although nothing is recorded: sums, what runs next, and the time."""
        summed = (id(self.work.latest), self.work.problem, self.work.resting)
        return (*summed, self.ahead.version, self._minute(), self.held)

    def _minute(self) -> int:
        return int(self._clock_s() // 60.0)

    @property
    def urgent(self) -> Hashable:
        """Whether the desk may trade, and what waits for a person."""
        return tuple(self.facts.get(name) for name in ("state", "epoch", "pending"))

    def money(self) -> dict[str, object]:
        """Money of the last closed session, labelled for reading."""
        facts = self.facts
        return {
            "Session": facts["last_session"],
            "Equity, USD": facts["equity_usd"],
            "P&L of the session, USD": facts["pnl_usd"],
            "Cash, USD": facts["cash_usd"],
        }

    def drive(self) -> dict[str, object]:
        """Who drives the desk, and what comes next, labelled for reading."""
        facts = self.facts
        return {
            "Lease": facts["lease"],
            "Last cycle": facts["last_cycle"],
            "Last run": facts["last_run"],
            "Next run": facts["next_run"],
            "Reconciliation": facts["reconciled"],
            "Watchdog": facts["watchdog"],
        }

    def renew(self) -> None:
        """Forget the books of the former account, and what is still being added up of them."""
        self.work, self.ahead = Work(), Work()
        self._added_at, self._looked_up = -1, None

    def read(self) -> None:
        """Everything of the page, from the journal and the ARMED file."""
        views, journal, account = self.desk.views, self.desk.journal, self.desk.settings.account
        permission = self._permission()
        equity = equity_of(journal, account)
        last = equity.iloc[-1].to_dict() if len(equity) else {}
        session = str(last.get("session", ""))
        orders = views.orders(session) if last else views.orders()
        breaks = (journal.newest("reconciliations", 1, account=account) or [{}])[-1]
        runs = journal.newest("runs", 200)
        pending = self._pending()
        around = self._surroundings()
        added = self._added_up(journal.head()[0], session)
        self.facts = {
            **self._state_facts(journal, account, permission),
            "last_session": session or "none yet",
            "equity_usd": last.get("equity_usd"),
            "pnl_usd": last.get("pnl_usd"),
            "cash_usd": last.get("cash_usd"),
            "config_hash": self.desk.settings.config_hash,
            "reconciled": reconciled_words(breaks),
            "clean": bool(breaks and breaks["clean"]),
            "journal": journal.name,
            "journal_seq": journal.head()[0],
            "pending": len(pending["orders"]),
            "last_cycle": cycle_words(journal.newest("decisions", 1, account=account)),
            "last_run": run_words(runs),
            "next_run": self._runs_next(session, runs),
            "watchdog": around["watchdog"],
            "added_up": added is not NOTHING_ADDED,
        }
        self.frames = {
            "equity": equity,
            "positions": added["positions"],
            "open_orders": orders[~orders["state"].isin(_ENDED)],
            "unknown_orders": orders[orders["state"].isin(UNRESOLVED)],
            "last_orders": orders,
            "denials": views.denials(session) if last else views.denials(),
            "limits": added["limits"],
            "breaks": break_table(breaks.get("breaks", [])),
            "alerts": alert_table(self._alerts()["alerts"][:200]),
            "pending": pending_table(pending["orders"]),
            "agreements": pd.DataFrame(pending["agreements"], columns=["subject", "first", "reason"]),
            "halts": halt_table(views.halts()),
            "runs": run_table(runs, around["runs"]),
            "timings": stage_timings(
                journal.events(kinds=KINDS, after_seq=after) if (after := first_seq(runs, _LOOP)) else (),
                _LOOP,
            ),
            "people": views.people(),
        }
        self.sources = desk_sources(account, session)

    def _state_facts(self, journal: Any, account: str, permission: Any) -> dict[str, Any]:
        row = (journal.rows("state", account=account) or [{}])[-1]
        lease = (journal.rows("leases", account=account) or [{}])[-1]
        return {
            "account": account,
            "mode": self.desk.settings.mode.value,
            "state": permission.state,
            "meaning": MEANING[permission.state],
            "reason": permission.reason,
            "person": row.get("person") or "nobody",
            "epoch": permission.epoch,
            "since": when(row.get("at_ns")),
            "lease": lease_words(lease),
        }

    def _runs_next(self, session: str, runs: Sequence[Mapping[str, Any]]) -> str:
        """What runs next, as looked up last; looked up anew after a session, a run, and every minute."""
        asked = (session, tuple((row["run_id"], row["status"]) for row in runs), self._minute())
        if asked != self._looked_up and not self.held:
            if self.ahead.start(asked, lambda tell: self._next_run(session)):
                self._looked_up = asked
            if self.ahead.latest is None:
                self.ahead.wait(SOON_S)
        if self.ahead.problem:
            return f"not known: {self.ahead.problem}"
        return str(self.ahead.latest or "being looked up")

    def _added_up(self, head: int, session: str) -> Mapping[str, Any]:
        """Positions and limits as of the journal's end, or the latest that are known."""
        if self._moved(head) and not self.held and not self.work.resting:
            if self.work.start(head, lambda tell: self._sums(session, tell)):
                self._added_at = head
            if self.work.latest is None:  # most journals are added up before a reader could see the gap
                self.work.wait(SOON_S)
        return self.work.latest or NOTHING_ADDED

    def _moved(self, head: int) -> bool:
        """Whether something has happened since the last sums that can change them: alerts do not."""
        if self._added_at >= 0 and not self.work.problem:
            since = self.desk.journal.events(after_seq=self._added_at)
            if all(event.kind.startswith(QUIET) for event in since):
                self._added_at = head
                return False
        return True

    def _sums(self, session: str, tell: Callable[[str], None]) -> Mapping[str, Any]:
        tell("adding up all postings")
        positions = self._positions()
        tell("measuring the use of every limit")
        return {"positions": positions, "limits": limit_bars(self._use())}

    def _positions(self) -> pd.DataFrame:
        """Shares and cost from the ledger's own postings, valued at the last close that the desk knows."""
        balances = self.desk.journal.balances(self.desk.settings.account)
        if sum(micro for micro, _ in balances.values()):
            raise DataError(
                "the postings of this account do not sum to zero",
                next_step="workbench journal verify; nobody may trade on these books",
            )
        held = sorted(name.removeprefix(SECURITIES) for name, (_, nano) in balances.items() if nano)
        closes = self._closes(held)
        shares = [balances[SECURITIES + symbol][1] / NANO for symbol in held]
        frame = pd.DataFrame(
            {
                "symbol": pd.Series(held, dtype="str"),
                "shares": pd.Series(shares, dtype="float64"),
                "cost_usd": [balances[SECURITIES + symbol][0] / MICRO for symbol in held],
                "last_close_usd": [closes.get(symbol, float("nan")) for symbol in held],
            }
        )
        frame["value_usd"] = frame["shares"] * frame["last_close_usd"]
        frame["unrealised_usd"] = frame["value_usd"] - frame["cost_usd"]
        frame["realised_usd"] = [-balances.get(PNL + symbol, (0, 0))[0] / MICRO for symbol in held]
        return frame

    def _closes(self, symbols: list[str]) -> dict[str, float]:
        """The last close of each symbol that was known on the evening of the last closed session."""
        sessions = self.desk.journal.newest("sessions", 1, account=self.desk.settings.account)
        if not symbols or not sessions:
            return {}
        as_of_ns = self.desk.calendar.session_close_ns(sessions[-1]["session"])
        panel = self.desk.bars.read(symbols, as_of_ns=as_of_ns, rows=1)
        return dict(zip(panel.symbols, panel.close[-1].tolist(), strict=True)) if len(panel.ts_ns) else {}


#: The job whose stages are timed.
_LOOP = "trading_loop"
#: Beginnings of the kinds of events that change neither positions nor the use of a limit.
QUIET = ("alert.", "lease.", "ticket.", "run.", "session.timed", "detector.", "schedule.")
