"""The desk page: may it trade, who holds it, what is at risk, what went wrong, how to stop it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import param

from workbench.core.ledger import Ledger, Posting
from workbench.core.orders import TERMINAL, OrderState
from workbench.core.types import MICRO, NANO
from workbench.screens.screen import Screen

#: Words for a person, one for each state.
MEANING: Mapping[str, str] = {
    "ACTIVE": "orders may be sent",
    "REDUCING": "only orders that reduce risk may be sent",
    "HALTED": "nothing may be sent until a person resumes",
}
#: Roles that may give commands from a page.
COMMANDING = frozenset({"operator", "approver"})
_ENDED = frozenset(state.value for state in TERMINAL)


class DeskScreen(Screen):
    """State, money, orders, limits, breaks, alerts and runs of one account.

    Parameters
    ----------
    permission : callable () -> object
        What may be sent now, with `state`, `epoch`, `reason`; the state row and the ARMED file together.
    halt : callable (person, reason) -> None
        The kill switch: the same as `workbench halt`.
    role_of : callable (person) -> str
        The person's role now, "" when nobody of that name may look; asked at every command.
    """

    frames = param.Dict({}, doc="Tables by name: positions, orders, limits, breaks, alerts, runs, equity.")
    facts = param.Dict({}, doc="Single values by name, in words or numbers with units in the name.")

    def __init__(
        self,
        desk: Any,
        *,
        permission: Callable[[], Any],
        halt: Callable[[str, str], None],
        role_of: Callable[[str], str],
        **params: Any,
    ) -> None:
        super().__init__(desk, **params)
        self._permission = permission
        self._halt = halt
        self._role_of = role_of
        self.login = bool(desk.settings.dashboards.login)

    def may_command(self, person: str) -> bool:
        """Whether the page may carry out what that person asks; without a log-in names are only recorded."""
        return not self.login or self._role_of(person) in COMMANDING

    def halt(self, person: str, reason: str) -> str:
        """Stop sending at once; returns what to tell the person. Nobody is asked for permission to stop."""
        if not self.may_command(person):
            return f"Not halted: {person or 'nobody'} may look, not command. `workbench halt` asks nobody."
        if not person.strip() or not reason.strip():
            return "Not halted yet: give a name and a reason, so that the record can be read in a year."
        self._halt(person.strip(), reason.strip())
        return f"HALTED by {person.strip()}. Nothing is sent until somebody gives `workbench resume`."

    def money(self) -> dict[str, object]:
        """Money of the last closed session, labelled for reading."""
        facts = self.facts
        return {
            "Session": facts["last_session"],
            "Equity, USD": facts["equity_usd"],
            "P&L of the session, USD": facts["pnl_usd"],
            "Cash, USD": facts["cash_usd"],
            "Reconciliation": facts["reconciled"],
            "Lease": facts["lease"],
        }

    def read(self) -> None:
        """Everything of the page, from the journal and the ARMED file."""
        views, journal, account = self.desk.views, self.desk.journal, self.desk.settings.account
        permission = self._permission()
        sessions = views.sessions()
        last = sessions.iloc[-1].to_dict() if len(sessions) else {}
        orders = views.orders(last.get("session")) if last else views.orders()
        lease = (journal.rows("leases", account=account) or [{}])[-1]
        row = (journal.rows("state", account=account) or [{}])[-1]
        breaks = journal.rows("reconciliations", account=account)
        positions = self._positions(journal, account, last.get("session"))
        self.facts = {
            "account": account,
            "mode": self.desk.settings.mode.value,
            "state": permission.state,
            "meaning": MEANING[permission.state],
            "reason": permission.reason,
            "person": row.get("person") or "nobody",
            "epoch": permission.epoch,
            "since": _when(row.get("at_ns")),
            "lease": _lease_words(lease),
            "last_session": last.get("session", "none yet"),
            "equity_usd": last.get("equity_usd"),
            "pnl_usd": last.get("pnl_usd"),
            "cash_usd": last.get("cash_usd"),
            "config_hash": self.desk.settings.config_hash,
            "reconciled": _reconciled_words(breaks),
            "clean": bool(breaks and breaks[-1]["clean"]),
            "journal_seq": journal.head()[0],
        }
        self.frames = {
            "equity": views.equity(),
            "positions": positions,
            "open_orders": orders[~orders["state"].isin(_ENDED)],
            "unknown_orders": orders[orders["state"].isin(_UNRESOLVED)],
            "last_orders": orders,
            "denials": views.denials(last.get("session")),
            "limits": self._limits(positions, last),
            "breaks": _breaks(breaks[-1]["breaks"] if breaks else []),
            "alerts": views.alerts().iloc[::-1].head(200),
            "runs": views.runs().iloc[::-1].head(200),
            "people": views.people(),
        }

    def _positions(self, journal: Any, account: str, session: str | None) -> pd.DataFrame:
        """Shares and cost from the ledger's own postings, valued at the last close that the desk knows."""
        ledger = Ledger.from_postings(
            Posting(row["ledger_account"], row["amount_micro"], row["quantity_nano"], row["memo"])
            for row in journal.rows("postings", account=account)
        )
        held = sorted(symbol for symbol, quantity in ledger.positions_nano.items() if quantity)
        closes = self._closes(held, session)
        frame = pd.DataFrame(
            {
                "symbol": pd.Series(held, dtype="str"),
                "shares": [ledger.positions_nano[symbol] / NANO for symbol in held],
                "cost_usd": [ledger.cost_micro[symbol] / MICRO for symbol in held],
                "last_close_usd": [closes.get(symbol, float("nan")) for symbol in held],
            }
        )
        frame["value_usd"] = frame["shares"] * frame["last_close_usd"]
        frame["unrealised_usd"] = frame["value_usd"] - frame["cost_usd"]
        return frame

    def _closes(self, symbols: list[str], session: str | None) -> dict[str, float]:
        if not symbols or session is None:
            return {}
        as_of_ns = self.desk.calendar.session_close_ns(session)
        panel = self.desk.bars.read(symbols, as_of_ns=as_of_ns, rows=1)
        return dict(zip(panel.symbols, panel.close[-1].tolist(), strict=True)) if len(panel.ts_ns) else {}

    def _limits(self, positions: pd.DataFrame, last: Mapping[str, Any]) -> pd.DataFrame:
        """Ceilings with what is used of them now; what cannot be measured between sessions is left out."""
        limits = self.desk.settings.limits
        largest = float(positions["value_usd"].abs().max()) if len(positions) else 0.0
        used = {
            "max_position_notional_usd": largest,
            "max_position_shares": float(positions["shares"].abs().max()) if len(positions) else 0.0,
            "max_gross_notional_usd": float(positions["value_usd"].abs().sum()),
            "max_session_loss_usd": max(0.0, -float(last.get("pnl_usd") or 0.0)),
        }
        rows = [
            {"limit": name, "used": value, "ceiling": float(getattr(limits, name))}
            for name, value in used.items()
        ]
        frame = pd.DataFrame(rows)
        frame["utilisation"] = frame["used"] / frame["ceiling"]
        return frame


_UNRESOLVED = frozenset(s.value for s in (OrderState.SENT, OrderState.UNKNOWN, OrderState.QUARANTINED))


def _when(at_ns: int | None) -> str:
    if not at_ns:
        return "never"
    stamp = pd.Timestamp(at_ns, unit="ns", tz="UTC")
    return f"{stamp.tz_convert('America/New_York'):%Y-%m-%d %H:%M:%S %Z}"


def _lease_words(lease: Mapping[str, Any]) -> str:
    if not lease:
        return "never held"
    if lease["released"]:
        return f"free (last token {lease['token']})"
    return f"held by {lease['holder']}, token {lease['token']}"


def _reconciled_words(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "never reconciled"
    last = rows[-1]
    what = "clean" if last["clean"] else f"{len(last['breaks'])} break(s)"
    return f"{what}, {_when(last['at_ns'])}"


def _breaks(found: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(found, columns=["kind", "symbol", "ours", "theirs", "evidence"])
