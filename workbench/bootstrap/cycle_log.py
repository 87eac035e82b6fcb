"""The cycles of a run as lines of a log that belong together: run, cycle and order stand on each."""

from __future__ import annotations

from typing import Any

from workbench.bootstrap.desk import Desk
from workbench.config import Settings


def log_cycles(log: Any, settings: Settings, *, run_id: str, session: str) -> int:
    """Write a line for each decision of a session and for each of its orders; how many lines.

    Parameters
    ----------
    log : structlog logger
    run_id : str
        Of the run that decided; the id of the cycle is its decision's, that of an order its
        `client_order_id`, so that a line leads to the journal and back.
    """
    journal, who = Desk(settings).journal, {"account": settings.account, "session": session}
    decisions = journal.rows("decisions", **who)
    orders = journal.rows("orders", **who)
    for decision in decisions:
        cycle = log.bind(run=run_id, cycle=decision["decision_id"])
        cycle.info("decided", model=decision["model_id"], symbols=len(decision["rows"]))
        for order in orders:
            if order["decision_id"] == decision["decision_id"]:
                cycle.info(
                    "order", order=order["client_order_id"], symbol=order["symbol"], side=order["side"],
                    state=order["state"], reason=order["reason"],
                )  # fmt: skip
    return len(decisions) + len(orders)
