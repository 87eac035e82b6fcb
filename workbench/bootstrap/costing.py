"""What trading costs, learnt and approved: the day's calibration, a person's word, the configured prior."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from workbench.adapters.journal import JournalDatabase
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.signing import Credentials, people_of
from workbench.config import Settings
from workbench.core import costs
from workbench.core.costs import CostModel
from workbench.services.calibration import Calibration, CalibrationService
from workbench.services.fill_calibration import FillCalibration, FillCalibrationService
from workbench.services.promotion import approve_cost_model


def approve_prior(
    settings: Settings, *, as_of_session: str, person: str, reason: str,
    credentials: Credentials | None = None,
) -> str:  # fmt: skip
    """Approve the configured prior cost model from the close of `as_of_session` until it expires."""
    desk = Desk(settings)
    desk.calendar.require_session(as_of_session, argument="--as-of")
    as_of_ns = desk.calendar.session_close_ns(as_of_session)
    model = costs.prior(settings.prior_cost, settings.fees, as_of_ns=as_of_ns)
    journal = open_journal(settings, read_only=False)
    try:
        people = people_of(settings, journal, credentials)
        return approve_cost_model(journal, desk.registry, model, person=person, reason=reason, people=people)
    finally:
        journal.close()


@contextmanager
def _calibration(settings: Settings) -> Iterator[tuple[JournalDatabase, CalibrationService]]:
    desk = Desk(settings)
    journal = open_journal(settings, read_only=False)
    try:
        yield journal, CalibrationService(
            journal, desk.registry, desk.calendar, account=settings.account, mode=settings.mode.value,
            rule=costs.CalibrationRule(), fees=settings.fees,
        )  # fmt: skip
    finally:
        journal.close()


def calibrate(settings: Settings, *, session: str) -> Calibration:
    """Learn from the fills up to a closed session; the same session again gives the recorded answer."""
    desk = Desk(settings)
    desk.calendar.require_session(session, argument="--session")
    records = desk.execution.records()
    with _calibration(settings) as (_, service):
        return service.run(records, session, source=desk.execution.source)


def calibrate_fills(settings: Settings, *, session: str) -> FillCalibration:
    """The fill simulator learnt from the orders up to a closed session; recorded once a session."""
    desk = Desk(settings)
    desk.calendar.require_session(session, argument="--session")
    outcomes = desk.execution.outcomes()
    journal = open_journal(settings, read_only=False)
    try:
        service = FillCalibrationService(
            journal, desk.registry, desk.calendar, account=settings.account, mode=settings.mode.value,
            rule=costs.CalibrationRule(), fees=settings.fees,
        )  # fmt: skip
        return service.run(outcomes, session, source=desk.execution.source)
    finally:
        journal.close()


def approve_calibration(
    settings: Settings, cost_model_id: str, *, person: str, reason: str,
    credentials: Credentials | None = None,
) -> CostModel:  # fmt: skip
    """Put a registered cost model into use on a person's word."""
    with _calibration(settings) as (journal, service):
        people = people_of(settings, journal, credentials)
        return service.approve(cost_model_id, person=person, reason=reason, people=people)
