"""What the next epoch of a desk begins with: every kind of event is handed down or left behind, by name."""

from __future__ import annotations

from typing import Final

#: Kinds that the next epoch begins with, in their order, so that each is judged by the same rules again.
CARRIED: Final = frozenset(
    {
        "config.recorded",
        # who may act, and what they have said
        "person.added", "person.key_set", "person.revoked", "act.recorded", "agreement.asked",
        "agreement.confirmed",
        # what is forbidden
        "state.changed", "halt.placed", "halt.lifted", "halt.carried_out", "limits.changed",
        "symbol.disabled", "symbol.enabled", "schedule.paused", "schedule.resumed", "desk.registered",
        # what was tried, judged and promoted
        "trial.recorded", "holdout.read", "model.registered", "promotion.judged", "model.staged",
        "model.rolled_back", "cost_model.registered", "cost_model.approved", "calibration.done",
        "fill_model.calibrated", "session.monitored", "detector.kept",
        # runs: their names are used once, and their folders are kept
        "run.started", "run.finished", "run.pruned",
    }
)  # fmt: skip
#: Kinds that belong to the account of then, to a process of then, or to the chain of then.
LEFT_BEHIND: Final = frozenset(
    {
        # orders, executions, books, and what was measured of them
        "decision.made", "order.intended", "order.denied", "order.changed", "order.adjusted", "fill.booked",
        "ledger.posted", "reconciliation.done", "session.closed", "session.skipped", "session.timed",
        "exposure.judged", "account.adopted", "books.adjusted", "approval.requested", "approval.decided",
        "override.granted", "shadow.decided", "shadow.settled", "shadow.failed", "run.inputs", "run.sealed",
        # processes: a lease, a ticket or a slot of then is worth nothing now
        "lease.acquired", "lease.renewed", "lease.released", "ticket.issued", "ticket.used",
        "schedule.counted", "schedule.missed", "act.refused",
        # alerts that nobody has dealt with are raised again
        "alert.raised", "alert.merged", "alert.claimed", "alert.delivered", "alert.failed",
        "alert.acknowledged", "alert.escalated", "alert.judged",
        # the chain itself
        "journal.archived", "epoch.closed", "epoch.begun",
    }
)  # fmt: skip
