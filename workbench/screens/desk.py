"""The desk page: may it trade, who holds it, what is at risk, what went wrong, how to stop it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
import param

from workbench.core.ledger import Ledger, Posting
from workbench.core.orders import TERMINAL, OrderState
from workbench.core.types import MICRO, NANO
from workbench.screens.commands import DeskCommands
from workbench.screens.screen import Screen

#: Words for a person, one for each state.
MEANING: Mapping[str, str] = {
    "ACTIVE": "orders may be sent",
    "REDUCING": "only orders that reduce risk may be sent",
    "HALTED": "nothing may be sent until a person resumes",
}
#: What a person needs to decide on a waiting order, beyond the columns of the table.
PENDING_DETAIL = (
    "order_type", "decision_price", "bid", "ask", "quote_age_s", "expected_cost_usd", "verdict",
    "position_before", "position_after", "session", "leg", "expires_in_s", "hash", "same_settings",
)  # fmt: skip
_ENDED = frozenset(state.value for state in TERMINAL)


class DeskScreen(Screen):
    """State, money, orders, limits, breaks, alerts and runs of one account.

    Parameters
    ----------
    permission : callable () -> object
        What may be sent now, with `state`, `epoch`, `reason`; the state row and the ARMED file together.
    pending : callable () -> mapping
        What waits for people: rows by "orders", "agreements", "cost_models".
    alerts : callable () -> mapping
        The outbox: its rows by "alerts", and its counts.
    commands : DeskCommands
        What people may order from the page.
    """

    frames = param.Dict({}, doc="Tables by name: positions, orders, limits, alerts, pending, halts, runs.")
    facts = param.Dict({}, doc="Single values by name, in words or numbers with units in the name.")

    def __init__(
        self,
        desk: Any,
        *,
        permission: Callable[[], Any],
        pending: Callable[[], Mapping[str, Any]],
        alerts: Callable[[], Mapping[str, Any]],
        commands: DeskCommands,
        **params: Any,
    ) -> None:
        super().__init__(desk, **params)
        self._permission = permission
        self._pending = pending
        self._alerts = alerts
        self.commands = commands

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
        pending = self._pending()
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
            "pending": len(pending["orders"]),
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
            "alerts": _alerts(self._alerts()["alerts"][:200]),
            "pending": _pending(pending["orders"]),
            "agreements": pd.DataFrame(pending["agreements"], columns=["subject", "first", "reason"]),
            "halts": _halts(views.halts()),
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


def _pending(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Waiting orders with the columns that fit a table; the rest is shown of the chosen one."""
    columns = [
        "symbol",
        "side",
        "shares",
        "limit",
        "notional_usd",
        "expected_cost_bps",
        "waits_because",
        "id",
    ]
    frame = pd.DataFrame(rows, columns=[*columns, *PENDING_DETAIL])
    words = [", ".join(reasons) for reasons in frame["waits_because"]]
    frame["waits_because"] = pd.Series(words, dtype="str", index=frame.index)
    return frame


def _alerts(rows: list[dict[str, Any]]) -> pd.DataFrame:
    columns = [
        "alert",
        "severity",
        "code",
        "text",
        "count",
        "status",
        "acknowledged_by",
        "raised_at_ns",
        "runbook",
    ]
    frame = pd.DataFrame(rows, columns=columns)
    frame["raised_at"] = pd.to_datetime(frame.pop("raised_at_ns"), unit="ns", utc=True)
    return frame


def _halts(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["state"] != "ACTIVE"][["level", "target", "state", "reason", "person", "at"]]
