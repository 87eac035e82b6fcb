"""The fill simulator, calibrated from own orders after each closed session; every day leaves its record."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from workbench.core.canonical import canonical_json
from workbench.core.costs import CalibrationRule, CostModel, FeeSchedule, rolling_window
from workbench.core.fill_fit import fit_fill_model
from workbench.core.fill_model import FillModel
from workbench.core.ports import Calendar, Event, Journal, Registry
from workbench.errors import ManifestMismatch, Refused
from workbench.services.promotion import latest_cost_model, require_source

if TYPE_CHECKING:
    import pandas as pd

FILL_MODEL: Final = "fill_model"
DONE: Final = "fill_model.calibrated"
FITTED, TOO_FEW = "fitted", "too_few_orders"


@dataclass(frozen=True)
class FillCalibration:
    """What one session's calibration of the fill simulator found.

    Attributes
    ----------
    session, source : str
    decision : str
        fitted, or too_few_orders: then the simulator of an earlier session stays the latest.
    reason : str
        In words, with what may be said of its realism.
    orders, sessions : int
        Of the window.
    fill_model_id, artifact_id : str
        Of the manifest in the registry; "" without one.
    """

    session: str
    source: str
    decision: str
    reason: str
    orders: int
    sessions: int
    fill_model_id: str
    artifact_id: str

    def _repr_html_(self) -> str:
        return f"fill simulator of {self.session}: <b>{self.decision}</b>, {self.reason}"


class FillCalibrationService:
    """Calibrates the fill simulator of one account, one closed session after the other.

    Parameters
    ----------
    mode : str
        The desk's mode; records of another provenance than the mode trades on are refused.
    rule : CalibrationRule
        Window, least number of fills and validity are those of the cost model.
    """

    def __init__(
        self, journal: Journal, registry: Registry, calendar: Calendar, *, account: str, mode: str,
        rule: CalibrationRule, fees: FeeSchedule,
    ) -> None:  # fmt: skip
        self._journal, self._registry, self._calendar = journal, registry, calendar
        self._account, self._mode, self._rule, self._fees = account, mode, rule, fees

    def run(self, outcomes: pd.DataFrame, session: str, *, source: str) -> FillCalibration:
        """Calibrate after a closed session; once: the same session again gives the recorded answer.

        Parameters
        ----------
        outcomes : DataFrame
            As `ExecutionRecords.outcomes()` gives them.

        Raises
        ------
        Refused
            The session is not closed, or the provenance does not fit the mode.
        """
        require_source(source, self._mode)
        for event in self._journal.events(kinds=(DONE,)):
            if (event.payload["account"], event.payload["session"]) == (self._account, session):
                return FillCalibration(
                    **{one.name: event.payload[one.name] for one in fields(FillCalibration)}
                )
        if not self._journal.rows("sessions", account=self._account, session=session):
            raise Refused(
                f"session {session} is not closed: its fills may still change",
                next_step=f"workbench jobs run trading_loop --session {session}",
                session=session,
            )
        window = rolling_window(outcomes, until=session, rule=self._rule)
        model = fit_fill_model(
            window, as_of=self._calendar.session_close_ns(session), min_orders=self._rule.min_fills,
            costs=self._own_costs(source), fees=self._fees, source=source, valid_days=self._rule.valid_days,
        )  # fmt: skip
        artifact = ""
        if model.enough:
            content = canonical_json(model.to_manifest()).encode()
            artifact = self._registry.put(FILL_MODEL, content, {"fill_model_id": model.model_id})
        found = FillCalibration(
            session=session, source=source, decision=FITTED if model.enough else TOO_FEW,
            reason=model.realism if model.enough else
            f"fewer than {self._rule.min_fills} orders or 10 sessions with fills: nothing is learnt",
            orders=model.orders, sessions=model.sessions,
            fill_model_id=model.model_id if model.enough else "", artifact_id=artifact,
        )  # fmt: skip
        payload = {one.name: getattr(found, one.name) for one in fields(found)}
        self._journal.commit([Event(DONE, {"account": self._account, **payload})])
        return found

    def _own_costs(self, source: str) -> CostModel | None:
        """The cost model in use, where it was learnt from the same kind of fills."""
        current = latest_cost_model(self._journal, self._registry)
        return current if current is not None and current.source == source else None


def latest_fill_model(journal: Any, registry: Registry, account: str) -> FillModel | None:
    """The fill simulator that was calibrated last, read back from its file; None when none ever was.

    Raises
    ------
    ManifestMismatch
        Its file was altered.
    """
    done = [
        event.payload
        for event in journal.events(kinds=(DONE,))
        if event.payload["account"] == account and event.payload["fill_model_id"]
    ]
    if not done:
        return None
    content, _ = registry.get(FILL_MODEL, done[-1]["artifact_id"])
    model = FillModel.from_manifest(json.loads(content))
    if model.model_id != done[-1]["fill_model_id"]:
        raise ManifestMismatch(
            f"fill model {done[-1]['fill_model_id'][:12]} is not the one that was calibrated",
            next_step="calibrate the next session: `workbench calibrate --session DATE`",
        )
    return model
