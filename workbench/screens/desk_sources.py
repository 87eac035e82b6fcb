"""What the numbers and tables of the desk page are made of."""

from __future__ import annotations

from workbench.core.ledger import SECURITIES
from workbench.screens.questions import Source


def desk_sources(account: str, session: str) -> dict[str, Source]:
    """What each number and table of the desk page is made of."""
    mine, of_session = {"account": account}, {"account": account, "session": session}
    ordered = Source("One row an order of the session; its events tell how it went.", "orders", of_session,
                     key="client_order_id")  # fmt: skip
    return {
        "state": Source(
            "The state row of the account. The page says ACTIVE only while the file ARMED holds the same "
            "epoch and no halt stands beside it.", "state", mine,
        ),
        "money": Source("Cash and positions at the session's closing prices.", "sessions", of_session),
        "money/P&L of the session, USD": Source(
            "Equity of the last closed session minus that of the one before; of the first, minus the "
            "capital paid in.", "sessions", mine,
        ),
        "drive": Source("The newest run of each job.", "runs"),
        "drive/Lease": Source("Who may send, with the token that fences everybody else.", "leases", mine),
        "drive/Last cycle": Source("The decision that was made last.", "decisions", of_session),
        "drive/Reconciliation": Source("The last comparison with the venue.", "reconciliations", of_session),
        "limits": Source("What is used is measured from these orders and their fills, what is held from all "
                         "postings, as `workbench limits` does.", "orders", of_session),
        "positions": Source("The sum of these postings: amounts at cost, quantities in 1e-9 shares.",
                            "postings", mine, key="ledger_account", prefix=SECURITIES),
        "orders": ordered,
        "denials": ordered,
        "breaks": Source("The reconciliation that found them; nothing is mended.", "reconciliations",
                         of_session),
        "alerts": Source("The outbox: one row an alert, repetitions counted on the first.", "outbox", mine,
                         key="alert_id", number=True),
        "pending": Source("Approvals that were asked for, and their answers.", "approvals", mine,
                          key="approval_id"),
        "agreements": Source("Rules that ask for two people.", "agreements", mine),
        "halts": Source("Halts of the system, the broker, a strategy or a symbol.", "halts"),
        "timings": Source("Seconds between the recorded events of each run, the newest first.", "runs",
                          {"job": "trading_loop"}),
        "runs": Source("The run's record; its notebook is kept beside it.", "runs", key="run_id"),
    }  # fmt: skip
