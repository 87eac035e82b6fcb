"""Read side: the journal as DataFrames in human units, for notebooks, apps and the production notebook.

Money is in account currency (``_usd``), costs and forecasts in basis points (``_bps``), quantities in
shares, times are UTC timestamps with their zone. Columns and their types never depend on the content:
an empty history gives the same columns as a long one. Floats here are for reading; records and
comparisons use the journal's integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import pandas as pd

from workbench.core.alerts import rule_of
from workbench.core.ledger import CAPITAL
from workbench.core.ports import BarStore, Calendar
from workbench.core.tca import PARTS, implementation_shortfall
from workbench.core.types import BPS, MICRO, MISSING, NANO

_TIME = "datetime64[ns, UTC]"
HOUR_NS = 3_600 * NANO
_FRACTION_BPS = MICRO // BPS  # micros of a fraction in one basis point

_KINDS = {"": "str", "f": "float64", "i": "int64", "n": "Int64", "b": "bool", "t": _TIME}


def _columns(words: str) -> dict[str, str]:
    """Names and types of a table's columns from "name:kind"; no kind means text."""
    pairs = (word.partition(":") for word in words.split())
    return {name: _KINDS[kind] for name, _, kind in pairs}


SESSIONS = _columns(
    "session equity_usd:f pnl_usd:f cash_usd:f decisions:i orders:i denials:i fills:i "
    "traded_usd:f fees_usd:f shortfall_bps:f clean:b breaks:i digest"
)
DECISIONS = _columns(
    "session scheduled_at:t symbol reason forecast_bps:f edge_bps:f cost_floor_bps:f weight:f "
    "target_shares:i change_shares:i decision_id"
)
ORDERS = _columns(
    "session scheduled_at:t symbol leg side quantity_shares:f order_type limit_usd:f "
    "reference_usd:f expected_cost_bps:f state filled_shares:f sent_at:t reason client_order_id "
    "venue_order_id decision_id"
)
DENIALS = _columns(
    "session scheduled_at:t symbol side quantity_shares:f reference_usd:f codes client_order_id decision_id"
)
FILLS = _columns(
    "session filled_at:t symbol side quantity_shares:f price_usd:f notional_usd:f fee_usd:f "
    "client_order_id execution_id"
)
SHORTFALL = _columns(
    "session symbol side quantity_shares:f filled_shares:f notional_usd:f shortfall_usd:f "
    "delay_bps:f trading_bps:f opportunity_bps:f fees_bps:f shortfall_bps:f client_order_id"
)
EQUITY = _columns("session equity_usd:f cash_usd:f invested_usd:f drawdown_bps:f")
RECONCILIATIONS = _columns("session at:t clean:b breaks:i evidence")
ALERTS = _columns("at:t severity code count:i status acknowledged_by judged text runbook")
PEOPLE = _columns("person role has_passphrase:b")
RUNS = _columns("run_id job session attempt:i status exit_code:n started_at:t finished_at:t reason notebook")
STATE = _columns("account state epoch:i reason cause person at:t")
HALTS = _columns("level target state reason cause person at:t account")


class History(Protocol):
    """What the views need of a journal: rows of its projections."""

    def rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
        """Rows whose columns equal the given values."""
        ...


class Views:
    """The journal of a desk as DataFrames.

    Parameters
    ----------
    journal : History
        A journal, or anything else that gives rows; only read.
    account : str, optional
        Only this account's rows; all when not given.
    bars, calendar : BarStore and Calendar, optional
        Closing prices for the opportunity cost of what was not filled; without them such orders have
        no shortfall (NaN), never a guessed one.
    """

    def __init__(
        self,
        journal: History,
        account: str | None = None,
        *,
        bars: BarStore | None = None,
        calendar: Calendar | None = None,
    ) -> None:
        self._journal = journal
        self._account = account
        self._bars = bars
        self._calendar = calendar

    # --- what happened -----------------------------------------------------------------------------

    def sessions(self) -> pd.DataFrame:
        """One row a closed session, oldest first: money, counts, shortfall, reconciliation, digest.

        `pnl_usd` is the change since the session before; the first counts from the opening cash.
        `clean` and `breaks` are those of the session's last reconciliation; without one it is not clean.
        """
        rows = []
        before = self._opening_cash_usd()
        decided: dict[str, int] = {}
        for decision in self._rows("decisions"):
            decided[decision["session"]] = decided.get(decision["session"], 0) + 1
        last = {row["session"]: row for row in self._rows("reconciliations")}
        for row in self._sorted_sessions():
            report, equity = row["report"], row["equity_micro"] / MICRO
            reconciled = last.get(row["session"])
            rows.append(
                {
                    "session": row["session"],
                    "equity_usd": equity,
                    "pnl_usd": equity - before,
                    "cash_usd": row["cash_micro"] / MICRO,
                    "decisions": decided.get(row["session"], 0),
                    "orders": report.get("orders", 0),
                    "denials": report.get("denied", 0),
                    "fills": report.get("fills", 0),
                    "traded_usd": _usd(report.get("traded_notional_micro")),
                    "fees_usd": _usd(report.get("fees_micro")),
                    "shortfall_bps": _ratio(report.get("shortfall_cbps"), 100),
                    "clean": bool(reconciled and reconciled["clean"]),
                    "breaks": len(reconciled["breaks"]) if reconciled else 0,
                    "digest": row["digest"],
                }
            )
            before = equity
        return _frame(rows, SESSIONS)

    def decisions(self, session: str | None = None) -> pd.DataFrame:
        """One row a symbol and decision time: what was forecast, wanted, and why."""
        rows = [
            {
                "session": decision["session"],
                "scheduled_at": decision["scheduled_ns"],
                "symbol": row["symbol"],
                "reason": row["reason"],
                "forecast_bps": _ratio(row["forecast_micro"], _FRACTION_BPS),
                "edge_bps": _ratio(row["edge_micro"], _FRACTION_BPS),
                "cost_floor_bps": _ratio(row["cost_floor_micro"], _FRACTION_BPS),
                "weight": _ratio(row["weight_micro"], MICRO),
                "target_shares": row["target_shares"],
                "change_shares": row["delta_shares"],
                "decision_id": decision["decision_id"],
            }
            for decision in sorted(self._rows("decisions", session), key=lambda row: row["scheduled_ns"])
            for row in decision["rows"]
        ]
        return _frame(rows, DECISIONS)

    def orders(self, session: str | None = None) -> pd.DataFrame:
        """One row an order leg that the controls let pass, in the order of decisions."""
        return _frame([_order(row) for row in self._order_rows(session, denied=False)], ORDERS)

    def denials(self, session: str | None = None) -> pd.DataFrame:
        """One row an order leg that our own controls denied, with all codes that spoke against it."""
        rows = [{**_order(row), "codes": row["reason"]} for row in self._order_rows(session, denied=True)]
        return _frame(rows, DENIALS)

    def fills(self, session: str | None = None) -> pd.DataFrame:
        """One row an execution, oldest first."""
        rows = [
            {
                **row,
                "filled_at": row["filled_at_ns"],
                "quantity_shares": row["quantity_nano"] / NANO,
                "price_usd": row["price_micro"] / MICRO,
                "notional_usd": row["quantity_nano"] * row["price_micro"] / NANO / MICRO,
                "fee_usd": row["fee_micro"] / MICRO,
            }
            for row in sorted(
                self._rows("fills", session), key=lambda row: (row["filled_at_ns"], row["execution_id"])
            )
        ]
        return _frame(rows, FILLS)

    def shortfall(self, session: str | None = None, *, split: str = "cfa") -> pd.DataFrame:
        """Implementation shortfall of each order that was sent, in bps of its notional at decision.

        Parameters
        ----------
        session : str, optional
            One exchange session; all when not given.
        split : {"cfa", "wagner"}, default "cfa"
            As `workbench.tca.implementation_shortfall`. On daily bars the price at arrival is the
            decision price, so delay is 0 and the two splits agree.

        Returns
        -------
        DataFrame
            A cost is positive. What was not filled is valued at the session's close; where that is not
            known, the order's shortfall is NaN.
        """
        sent = [row for row in self._order_rows(session, denied=False) if row["sent_at_ns"]]
        closes = self._closes(sent)
        known = [
            row
            for row in sent
            if row["filled_nano"] == row["quantity_nano"] or (row["session"], row["symbol"]) in closes
        ]
        split_up = implementation_shortfall(
            _frame([_paper(row, closes) for row in known], _PAPER),
            _frame([_execution(row) for row in self._executions(session, known)], _EXECUTION),
            split=split,
        )
        found = split_up.to_dict("index")
        return _frame([_shortfall(row, found.get(row["client_order_id"])) for row in sent], SHORTFALL)

    def equity(self) -> pd.DataFrame:
        """One row a closed session: equity, cash, invested value and drawdown from the highest equity."""
        frame = self.sessions()[["session", "equity_usd", "cash_usd"]].copy()
        frame["invested_usd"] = frame["equity_usd"] - frame["cash_usd"]
        peak = frame["equity_usd"].cummax().clip(lower=self._opening_cash_usd() or None)
        frame["drawdown_bps"] = (1.0 - frame["equity_usd"] / peak) * BPS
        return frame.astype(EQUITY)[list(EQUITY)]

    def reconciliations(self, session: str | None = None) -> pd.DataFrame:
        """One row a comparison with the venue; `evidence` lists every break in words."""
        rows = [
            {
                "session": row["session"],
                "at": row["at_ns"],
                "clean": row["clean"],
                "breaks": len(row["breaks"]),
                "evidence": "; ".join(_break_text(item) for item in row["breaks"]),
            }
            for row in self._rows("reconciliations", session)
        ]
        return _frame(rows, RECONCILIATIONS)

    # --- who and what ------------------------------------------------------------------------------

    def alerts(self) -> pd.DataFrame:
        """One row an alert, oldest first; repetitions are counted on the first."""
        told = (row for row in self._rows("outbox") if row["status"] != "merged")
        rows = [{**row, "at": row["at_ns"], **rule_of(row["code"]).words()} for row in told]
        return _frame(rows, ALERTS)

    def people(self) -> pd.DataFrame:
        """Registered people; passphrase hashes stay in the journal."""
        rows = [
            {**row, "has_passphrase": bool(row["passphrase_hash"])} for row in self._journal.rows("people")
        ]
        return _frame(rows, PEOPLE)

    def runs(self) -> pd.DataFrame:
        """One row a run of a job, oldest first, as the run ledger (not the notebook) knows it."""
        rows = [
            {**row, "started_at": row["started_at_ns"], "finished_at": row["finished_at_ns"]}
            for row in sorted(self._journal.rows("runs"), key=lambda row: row["started_at_ns"])
        ]
        return _frame(rows, RUNS)

    def state(self) -> pd.DataFrame:
        """The account's state row: ACTIVE, REDUCING or HALTED, why, by whom. No row means HALTED."""
        return _frame([{**row, "at": row["at_ns"]} for row in self._rows("state")], STATE)

    def halts(self) -> pd.DataFrame:
        """Halts above and below the account; one that was lifted is ACTIVE."""
        rows = [row for row in self._journal.rows("halts") if row["account"] in ("", self._account)]
        return _frame([{**row, "at": row["at_ns"]} for row in rows], HALTS)

    # --- shared ------------------------------------------------------------------------------------

    def _rows(self, projection: str, session: str | None = None) -> list[dict[str, Any]]:
        wanted = {"account": self._account, "session": session}
        return self._journal.rows(
            projection, **{name: value for name, value in wanted.items() if value is not None}
        )

    def _sorted_sessions(self) -> list[dict[str, Any]]:
        return sorted(self._rows("sessions"), key=lambda row: row["session"])

    def _order_rows(self, session: str | None, *, denied: bool) -> list[dict[str, Any]]:
        rows = [row for row in self._rows("orders", session) if (row["state"] == "DENIED") is denied]
        return sorted(rows, key=lambda row: (row["scheduled_ns"], row["symbol"], row["added_seq"]))

    def _executions(self, session: str | None, orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
        ids = {row["client_order_id"] for row in orders}
        return [row for row in self._rows("fills", session) if row["client_order_id"] in ids]

    def _opening_cash_usd(self) -> float:
        """Cash that was paid in; capital is a credit, so its sum is negative."""
        paid = [row for row in self._rows("postings") if row["ledger_account"] == CAPITAL]
        return float(-sum(row["amount_micro"] for row in paid) / MICRO)

    def _closes(self, orders: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
        """Close of each session and symbol of the orders, as known on the evening of that session."""
        if self._bars is None or self._calendar is None:
            return {}
        wanted: dict[str, set[str]] = {}
        for row in orders:
            wanted.setdefault(row["session"], set()).add(row["symbol"])
        closes = {}
        for session, symbols in wanted.items():
            close_ns = self._calendar.session_close_ns(session)
            # raw: the prices of that day's orders; hours later: a bar may become known after the close
            panel = self._bars.read(sorted(symbols), as_of_ns=close_ns + 6 * HOUR_NS, rows=1, view="raw")
            for at, symbol in enumerate(panel.symbols):
                if len(panel.ts_ns) and panel.ts_ns[-1] == close_ns and panel.tradable[-1, at]:
                    closes[session, symbol] = float(panel.close[-1, at])
        return closes


_PAPER = _columns("order_id symbol side quantity:f decision_price:f arrival_price:f final_price:f")
_EXECUTION = _columns("order_id execution_id quantity:f price:f fee:f")


def _frame(rows: list[dict[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """The rows with exactly these columns and types; integer times become UTC timestamps."""
    data = {}
    for name, kind in columns.items():
        values = [row[name] for row in rows]
        if kind == _TIME:
            values = [None if value is None or value <= 0 else value for value in values]
            data[name] = pd.to_datetime(pd.Series(values, dtype="Int64"), unit="ns", utc=True)
        else:
            data[name] = pd.Series(values, dtype=kind)
    return pd.DataFrame(data, columns=list(columns))


def _usd(micro: int | None) -> float:
    return _ratio(micro, MICRO)


def _ratio(value: int | None, unit: int) -> float:
    """The integer in units of `unit`; NaN where it is not known."""
    return math.nan if value is None or value == MISSING else float(value / unit)


def _order(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "scheduled_at": row["scheduled_ns"],
        "quantity_shares": row["quantity_nano"] / NANO,
        "limit_usd": _usd(row["limit_micro"] or None),
        "reference_usd": _usd(row["reference_micro"] or None),
        "expected_cost_bps": _ratio(row["expected_cost_micro"], _FRACTION_BPS),
        "filled_shares": row["filled_nano"] / NANO,
        "sent_at": row["sent_at_ns"],
    }


def _paper(row: Mapping[str, Any], closes: Mapping[tuple[str, str], float]) -> dict[str, Any]:
    price = row["reference_micro"] / MICRO
    return {
        "order_id": row["client_order_id"],
        "symbol": row["symbol"],
        "side": row["side"],
        "quantity": row["quantity_nano"] / NANO,
        "decision_price": price,
        "arrival_price": price,
        "final_price": closes.get((row["session"], row["symbol"]), math.nan),
    }


def _execution(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "order_id": row["client_order_id"],
        "execution_id": row["execution_id"],
        "quantity": row["quantity_nano"] / NANO,
        "price": row["price_micro"] / MICRO,
        "fee": row["fee_micro"] / MICRO,
    }


def _shortfall(row: Mapping[str, Any], parts: Mapping[Any, Any] | None) -> dict[str, Any]:
    found = parts or {}
    missing = math.nan
    return {
        "session": row["session"],
        "symbol": row["symbol"],
        "side": row["side"],
        "quantity_shares": row["quantity_nano"] / NANO,
        "filled_shares": row["filled_nano"] / NANO,
        "notional_usd": row["quantity_nano"] * row["reference_micro"] / NANO / MICRO,
        "shortfall_usd": float(found.get("total", missing)),
        **{f"{part}_bps": float(found.get(f"{part}_bps", missing)) for part in PARTS},
        "shortfall_bps": float(found.get("total_bps", missing)),
        "client_order_id": row["client_order_id"],
    }


def _break_text(item: Mapping[str, Any]) -> str:
    where = f" {item['symbol']}" if item.get("symbol") else ""
    return f"{item['kind']}{where}: ours {item['ours']}, theirs {item['theirs']} ({item['evidence']})"
