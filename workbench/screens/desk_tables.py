"""Tables and words of the desk page, made of rows of the journal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from workbench.core.ledger import CAPITAL
from workbench.core.orders import OrderState
from workbench.core.types import BPS, MICRO, NANO

#: What a person needs to decide on a waiting order, beyond the columns of the table.
PENDING_DETAIL = (
    "order_type", "decision_price", "bid", "ask", "quote_age_s", "expected_cost_usd", "verdict",
    "position_before", "position_after", "session", "leg", "expires_in_s", "hash", "same_settings",
)  # fmt: skip
UNRESOLVED = frozenset(s.value for s in (OrderState.SENT, OrderState.UNKNOWN, OrderState.QUARANTINED))


def limit_bars(found: Sequence[Any]) -> pd.DataFrame:
    """Ceilings with what is used of them, the fullest first; without what each order is judged by alone."""
    rows = [
        {
            "limit": use.limit.removeprefix("limits.") or use.code, "used": use.used, "ceiling": use.value,
            "utilisation": use.used / use.value if use.value else float("nan"), "unit": use.unit,
            "of": use.about, "code": use.code,
        }
        for use in found
        if use.used is not None and isinstance(use.value, float)
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["limit", "used", "ceiling", "utilisation", "unit", "of", "code"])
    return frame.sort_values("utilisation", ascending=False, kind="stable", na_position="first")


NOTHING_ADDED: Mapping[str, Any] = {
    "positions": pd.DataFrame(columns=["symbol", "shares", "cost_usd", "last_close_usd", "value_usd"]),
    "limits": limit_bars(()),
}


def equity_of(journal: Any, account: str) -> pd.DataFrame:
    """One row a closed session: `Views.equity` and the session's profit, without reading its decisions."""
    rows = sorted(journal.rows("sessions", account=account), key=lambda row: row["session"])
    frame = pd.DataFrame(
        {
            "session": pd.Series([row["session"] for row in rows], dtype="str"),
            "equity_usd": pd.Series([row["equity_micro"] / MICRO for row in rows], dtype="float64"),
            "cash_usd": pd.Series([row["cash_micro"] / MICRO for row in rows], dtype="float64"),
        }
    )
    paid_in = -sum(row["amount_micro"] for row in journal.rows("postings", account=account, session="")
                   if row["ledger_account"] == CAPITAL) / MICRO  # fmt: skip
    frame["invested_usd"] = frame["equity_usd"] - frame["cash_usd"]
    frame["pnl_usd"] = frame["equity_usd"].diff().fillna(frame["equity_usd"] - paid_in)
    peak = frame["equity_usd"].cummax().clip(lower=paid_in or None)
    frame["drawdown_bps"] = (1.0 - frame["equity_usd"] / peak) * BPS
    return frame


def cycle_words(rows: list[dict[str, Any]]) -> str:
    """When the last decision was due, and what came of it."""
    if not rows:
        return "none yet"
    wanted = sum(1 for one in rows[-1]["rows"] if one["delta_shares"])
    judged = f"{len(rows[-1]['rows'])} symbols judged, {wanted} changes wanted"
    return f"{when(rows[-1]['scheduled_ns'])}, {judged}"


def run_words(rows: list[dict[str, Any]]) -> str:
    """The newest run and how it ended, or since when it runs."""
    if not rows:
        return "none yet"
    run = rows[-1]
    return f"{run['run_id']}, {run['status']}" + (
        f" since {when(run['started_at_ns'])}" if run["finished_at_ns"] is None else ""
    )


def run_table(rows: list[dict[str, Any]], notebooks: Mapping[str, str]) -> pd.DataFrame:
    """Runs, the latest first, with their durations and the addresses of their executed notebooks."""
    ends = [row["finished_at_ns"] for row in rows]
    frame = pd.DataFrame(
        {
            "run_id": pd.Series([row["run_id"] for row in rows], dtype="str"),
            "status": pd.Series([row["status"] for row in rows], dtype="str"),
            "notebook": pd.Series([notebooks.get(row["run_id"], "") for row in rows], dtype="str"),
            "exit_code": pd.Series([row["exit_code"] for row in rows], dtype="Int64"),
            "started_at": pd.to_datetime([row["started_at_ns"] for row in rows], unit="ns", utc=True),
            "took_s": [
                float("nan") if end is None else (end - row["started_at_ns"]) / NANO
                for end, row in zip(ends, rows, strict=True)
            ],
            "reason": pd.Series([row["reason"] for row in rows], dtype="str"),
        }
    )
    return frame.iloc[::-1].reset_index(drop=True)


def when(at_ns: int | None) -> str:
    """A moment in exchange time."""
    if not at_ns:
        return "never"
    stamp = pd.Timestamp(at_ns, unit="ns", tz="UTC")
    return f"{stamp.tz_convert('America/New_York'):%Y-%m-%d %H:%M:%S %Z}"


def lease_words(lease: Mapping[str, Any]) -> str:
    """Who may send, and under which token."""
    if not lease:
        return "never held"
    if lease["released"]:
        return f"free (last token {lease['token']})"
    return f"held by {lease['holder']}, token {lease['token']}"


def reconciled_words(last: Mapping[str, Any]) -> str:
    """What the last comparison with the venue found."""
    if not last:
        return "never reconciled"
    what = "clean" if last["clean"] else f"{len(last['breaks'])} break(s)"
    return f"{what}, {when(last['at_ns'])}"


def break_table(found: list[dict[str, Any]]) -> pd.DataFrame:
    """Differences from the venue, with the evidence for each."""
    return pd.DataFrame(found, columns=["kind", "symbol", "ours", "theirs", "evidence"])


def pending_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
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


def alert_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Open alerts with what to do about each."""
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


def halt_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Halts in force above and below the account."""
    return frame[frame["state"] != "ACTIVE"][["level", "target", "state", "reason", "person", "at"]]
