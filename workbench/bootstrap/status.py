"""What a supervisor asks first: may it trade, what has it done, does it agree with the venue."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

from workbench.bootstrap.alerts import summary_of
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.monitoring import monitoring_state
from workbench.bootstrap.permission import desk_supervision
from workbench.bootstrap.watchdog_sign import watchdog_state
from workbench.config import Settings
from workbench.core.digest import desk_digest
from workbench.core.halt_reasons import halt_reason
from workbench.services.epochs import epoch_of
from workbench.services.promotion import accepted_models
from workbench.services.supervision import HALTED


def desk_status(settings: Settings) -> dict[str, Any]:
    """State and totals of the desk.

    Returns
    -------
    dict
        account, mode, state, reason, runbook (of the reason; "" = not halted), epoch, desk_epoch (number,
        venue_account, predecessor, last_session), halts (above and below the account), sessions_run,
        last_session, decisions (decision times), orders (number sent or intended), orders_by_state, denials,
        fills, digest (of the whole history), digests (by session), breaks (of the last reconciliation),
        unresolved (ids of orders whose fate is unknown), equity_usd, cash_usd, positions (shares), model_id,
        cost_model_id, config_hash, watchdog (required, alive, age_s, holder), alerts (open, undelivered,
        waiting, oldest_waiting_s, false_alarms), monitoring (session, level, warnings, blocks).
    """
    desk = Desk(settings)
    journal, account = desk.journal, settings.account
    supervision = desk_supervision(settings, journal)
    permission = supervision.permission()
    sessions = journal.rows("sessions", account=account)
    orders = journal.rows("orders", account=account)
    states = Counter(str(row["state"]) for row in orders)
    reconciliations = journal.rows("reconciliations", account=account)
    last = sessions[-1] if sessions else None
    digests = {str(row["session"]): str(row["digest"]) for row in sessions}
    models = accepted_models(journal, settings.mode.value)
    cost_models = [row["cost_model_id"] for row in journal.rows("cost_models")]
    return {
        "account": account,
        "mode": settings.mode.value,
        "state": permission.state,
        "reason": permission.reason,
        "runbook": halt_reason(permission.reason).runbook if permission.state == HALTED else "",
        "epoch": permission.epoch,
        "desk_epoch": dataclasses.asdict(epoch_of(journal, account)),
        "halts": [
            {
                "level": halt.level,
                "target": halt.target,
                "state": "REDUCING" if halt.reducing else "HALTED",
                "reason": halt.reason,
                "person": halt.person,
            }
            for halt in supervision.halts.in_force()
        ],
        "sessions_run": len(sessions),
        "last_session": last["session"] if last else None,
        "decisions": len(journal.rows("decisions", account=account)),
        "orders": len(orders) - states["DENIED"],
        "orders_by_state": dict(sorted(states.items())),
        "denials": states["DENIED"],
        "fills": len(journal.rows("fills", account=account)),
        "digest": desk_digest(digests.items()),
        "digests": digests,
        "breaks": list(reconciliations[-1]["breaks"]) if reconciliations else [],
        "unresolved": [
            row["client_order_id"] for row in orders if row["state"] in ("SENT", "UNKNOWN", "QUARANTINED")
        ],
        "equity_usd": last["equity_micro"] / 1e6 if last else None,
        "cash_usd": last["cash_micro"] / 1e6 if last else None,
        "positions": {s: q / 1e9 for s, q in last["positions"].items()} if last else {},
        "model_id": models[-1] if models else None,
        "cost_model_id": cost_models[-1] if cost_models else None,
        "config_hash": settings.config_hash,
        "watchdog": watchdog_state(settings),
        "alerts": summary_of(settings),
        "monitoring": monitoring_state(settings, journal),
    }
