"""The loop that learns costs: records of the day, fit, check, bounded step, next session's cost model.

Every day leaves one `calibration.done` in the journal: window, counts, predicted, realised, decision. A
step within declared bounds is approved by the rule; anything else waits for a person, and a model that the
records contradict while nothing replaces it is marked as drifted, which stops trading on it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from workbench.core.costs import (
    CalibrationRule,
    CostModel,
    DayEvidence,
    FeeSchedule,
    FittedCost,
    FloorStep,
    cusum,
    cusum_threshold,
    day_evidence,
    fit_cost_model,
    floor_step,
    rolling_window,
)
from workbench.core.costs.model import PRIOR
from workbench.core.ports import Calendar, Event, Journal, RecordedEvent, Registry
from workbench.core.types import DAY_NS, to_micro
from workbench.errors import ApprovalRequired, Refused
from workbench.services.people import People
from workbench.services.promotion import (
    approve_cost_model,
    cost_model_events,
    find_cost_model,
    latest_cost_model,
    require_source,
)

if TYPE_CHECKING:
    import pandas as pd

#: Who approves a step within bounds: a rule, never a registered person.
RULE: Final = "rule:calibration"
DONE: Final = "calibration.done"
APPROVED, KEPT, TOO_FEW, NEEDS_PERSON, NOT_PLAUSIBLE, BLOCKED = (
    "approved", "kept", "too_few_fills", "needs_approval", "not_plausible", "blocked",
)  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """What one day's calibration found and decided.

    Attributes
    ----------
    session : str
    source : str
        Provenance of the records.
    decision : str
        approved, kept, too_few_fills (the model in use stays), needs_approval, not_plausible or blocked.
    reason : str
        In words.
    first_session, last_session : str
        Of the window; "" without records.
    sessions, fills : int
        Of the window.
    days : tuple of DayEvidence
        Predicted and realised cost of the sessions since the last calibration.
    old_cost_model_id, new_cost_model_id : str
        The model in use before, and the one that was made; "" where there is none.
    step : FloorStep or None
    cusum : float
        Of realised minus predicted, after the last of `days`.
    """

    session: str
    source: str
    decision: str
    reason: str
    first_session: str
    last_session: str
    sessions: int
    fills: int
    days: tuple[DayEvidence, ...]
    old_cost_model_id: str
    new_cost_model_id: str
    step: FloorStep | None
    cusum: float

    def _repr_html_(self) -> str:
        return f"calibration of {self.session}: <b>{self.decision}</b>, {self.reason}"

    def event(self, account: str) -> Event:
        """The day's record: integers on declared grids, bps as 1e-6 of the traded value."""
        step = self.step
        return Event(
            DONE,
            {
                "account": account, "session": self.session, "source": self.source,
                "decision": self.decision, "reason": self.reason, "first_session": self.first_session,
                "last_session": self.last_session, "sessions": self.sessions, "fills": self.fills,
                "days": [_day_row(day) for day in self.days],
                "old_cost_model_id": self.old_cost_model_id, "new_cost_model_id": self.new_cost_model_id,
                "step_low_micro": None if step is None else _grid(step.smallest),
                "step_high_micro": None if step is None else _grid(step.largest),
                "cusum_micro": to_micro(self.cusum),
            },
        )  # fmt: skip

    @classmethod
    def of_event(cls, payload: Mapping[str, Any]) -> Calibration:
        """The calibration that a record describes."""
        low, high = payload["step_low_micro"], payload["step_high_micro"]
        new = payload["new_cost_model_id"]
        step = FloorStep(_number(low, math.inf), _number(high, math.inf), 1) if new else None
        days = tuple(
            DayEvidence(
                row["session"], row["fills"], _number(row["predicted_micro"]) * 1e4,
                _number(row["realised_micro"]) * 1e4, _number(row["score_micro"]),
            )
            for row in payload["days"]
        )  # fmt: skip
        plain = (
            "session", "source", "decision", "reason", "first_session", "last_session", "sessions", "fills",
            "old_cost_model_id",
        )  # fmt: skip
        return cls(
            **{name: payload[name] for name in plain}, days=days, new_cost_model_id=new, step=step,
            cusum=_number(payload["cusum_micro"]),
        )  # fmt: skip


class CalibrationService:
    """Learns the costs of one account, one session after the other.

    Parameters
    ----------
    mode : str
        The desk's mode; records of another provenance than the mode trades on are refused.
    rule : CalibrationRule
    fees : FeeSchedule
        Added to the predictions of fitted models.
    """

    def __init__(
        self, journal: Journal, registry: Registry, calendar: Calendar, *, account: str, mode: str,
        rule: CalibrationRule, fees: FeeSchedule,
    ) -> None:  # fmt: skip
        self._journal, self._registry, self._calendar = journal, registry, calendar
        self._account, self._mode, self._rule, self._fees = account, mode, rule, fees

    def run(self, records: pd.DataFrame, session: str, *, source: str) -> Calibration:
        """Calibrate after a closed session; once: the same session again gives the recorded answer.

        Parameters
        ----------
        records : DataFrame
            As `ExecutionRecords.records()` gives them.
        session : str
            ISO date of the session that was closed last.
        source : {"simulated", "paper", "live"}
            Provenance of the records.

        Raises
        ------
        Refused
            The session is not closed, a later one is calibrated already, or the provenance does not
            fit the mode.
        ApprovalRequired
            The step is beyond its bounds: recorded, and waiting for a person.
        """
        require_source(source, self._mode)
        done = self._done()
        found = next((one for one in done if one.session == session), None)
        if found is None:
            found = self._calibrate(records, session, source, done)
        if found.decision == NEEDS_PERSON and not self._approved(found.new_cost_model_id):
            raise ApprovalRequired(
                f"cost model {found.new_cost_model_id[:12]} of {session} waits for a person: {found.reason}",
                next_step=f"workbench calibrate --approve {found.new_cost_model_id} "
                '--person NAME --reason "..."',
                cost_model_id=found.new_cost_model_id,
            )
        return found

    def approve(
        self, cost_model_id: str, *, person: str, reason: str, people: People | None = None
    ) -> CostModel:
        """The registered model, approved by a person as the one in use; `people` signs.

        Raises
        ------
        ApprovalRequired
            Not a registered operator or approver, or not signed where acts are.
        Refused
            No such model, of another provenance than the mode takes, or older than the one in use.
        ManifestMismatch
            A byte of it was changed.
        """
        model = find_cost_model(self._journal, self._registry, cost_model_id)
        require_source(model.source, self._mode)
        current = latest_cost_model(self._journal, self._registry)
        if current is not None and model.as_of_ns < current.as_of_ns:
            raise Refused(
                f"cost model {cost_model_id[:12]} is older than the one in use",
                next_step="approve the newest calibration",
                cost_model_id=cost_model_id,
            )
        approve_cost_model(self._journal, self._registry, model, person=person, reason=reason, people=people)
        return model

    # --- one day ---------------------------------------------------------------------------------

    def _calibrate(
        self, records: pd.DataFrame, session: str, source: str, done: Sequence[Calibration]
    ) -> Calibration:
        if not self._journal.rows("sessions", account=self._account, session=session):
            raise Refused(
                f"session {session} is not closed: its fills may still change",
                next_step=f"workbench jobs run trading_loop --session {session}",
                session=session,
            )
        if done and session < done[-1].session:
            raise Refused(
                f"{done[-1].session} is calibrated already; {session} lies before it",
                next_step=f"calibrate {self._calendar.next_session(done[-1].session)} next",
                session=session,
            )
        as_of_ns = self._calendar.session_close_ns(session)
        current = latest_cost_model(self._journal, self._registry)
        rule, window = self._rule, rolling_window(records, until=session, rule=self._rule)
        fitted = fit_cost_model(
            window, as_of=as_of_ns, min_fills=rule.min_fills, fees=self._fees, source=source,
            valid_days=rule.valid_days,
        )  # fmt: skip
        days = self._days(records, session, current, done)
        before, after = self._sums(days)
        step = None if current is None else floor_step(current, fitted, window)
        decision, reason = self._decide(current, fitted, step, after, as_of_ns)
        sessions = sorted(set(window["session"]))
        found = Calibration(
            session=session, source=source, decision=decision, reason=reason,
            first_session=sessions[0] if sessions else "", last_session=sessions[-1] if sessions else "",
            sessions=len(sessions), fills=len(window), days=days,
            old_cost_model_id="" if current is None else current.model_id,
            new_cost_model_id=fitted.model_id if decision in (APPROVED, NEEDS_PERSON, BLOCKED)
            and fitted.status(as_of_ns) == "ok" else "",
            step=step, cusum=after,
        )  # fmt: skip
        self._record(found, fitted, current, before, as_of_ns)
        return found

    def _decide(
        self, current: CostModel | None, fitted: CostModel, step: FloorStep | None, total: float, now_ns: int
    ) -> tuple[str, str]:
        """What happens with the new fit, and why."""
        rule, status = self._rule, fitted.status(now_ns)
        limit = cusum_threshold(alpha=rule.block_alpha, horizon=rule.horizon)
        alert = cusum_threshold(alpha=rule.alert_alpha, horizon=rule.horizon)
        used = "no model" if current is None else f"the {current.source} model"
        if status == "missing":
            decision, reason = TOO_FEW, f"too few fills or days to learn from: {used} stays"
        elif status != "ok":
            decision, reason = NOT_PLAUSIBLE, f"the fit is {status}: {used} stays"
        elif current is None or step is None:
            decision, reason = NEEDS_PERSON, "no cost model is in use: a person approves the first one"
        elif _drifted(current):
            decision, reason = NEEDS_PERSON, "the model in use has drifted: a person approves its successor"
        elif not step.within(rule.max_step):
            reason = f"floors would move by {step.smallest:.2f} to {step.largest:.2f}"
            decision = NEEDS_PERSON
            reason += f", beyond 1/{rule.max_step:g} to {rule.max_step:g} of {used}"
        elif self._same(current, step, now_ns) and total <= alert:
            decision, reason = KEPT, f"floors would move by less than {rule.dead_band:g}: {used} stays"
        else:
            reason = f"floors move by {step.smallest:.2f} to {step.largest:.2f}, within {rule.max_step:g}"
            decision = APPROVED
        held_back = decision != APPROVED and current is not None and not _drifted(current)
        if held_back and total > limit:
            # a model that follows its records is being mended; one that is held back is not
            return BLOCKED, f"realised costs left the predictions (CUSUM {total:.1f} > {limit:.1f}); {reason}"
        return decision, reason

    def _same(self, current: CostModel, step: FloorStep, now_ns: int) -> bool:
        fresh = now_ns + self._rule.valid_days * DAY_NS // 2 <= current.valid_until_ns
        return current.source != PRIOR and fresh and step.within(self._rule.dead_band)

    def _record(
        self, found: Calibration, fitted: CostModel, current: CostModel | None, before: float, now_ns: int
    ) -> None:
        """Everything that one day decides in one commit."""
        events: list[Event] = []
        if found.new_cost_model_id:
            events += cost_model_events(self._journal, self._registry, fitted)
        if found.decision == APPROVED:
            events.append(_approval(fitted.model_id, found.reason))
        alert = cusum_threshold(alpha=self._rule.alert_alpha, horizon=self._rule.horizon)
        if found.cusum > alert >= before:
            text = f"realised minus predicted cost: CUSUM {found.cusum:.1f} exceeds {alert:.1f}"
            events.append(self._alert("cost_drift", text, now_ns))
        if found.decision == BLOCKED and current is not None:
            marked = current.drifted(found.reason)
            events += cost_model_events(self._journal, self._registry, marked)
            events.append(_approval(marked.model_id, found.reason))
            events.append(self._alert("cost_model_blocked", found.reason, now_ns))
        self._journal.commit([*events, found.event(self._account)])

    def _alert(self, code: str, text: str, now_ns: int) -> Event:
        return Event("alert.raised", {"account": self._account, "code": code, "text": text, "at_ns": now_ns})

    # --- what is known ---------------------------------------------------------------------------

    def _days(
        self, records: pd.DataFrame, session: str, current: CostModel | None, done: Sequence[Calibration]
    ) -> tuple[DayEvidence, ...]:
        """Evidence of each session since the last calibration, against what was predicted for it."""
        if current is None:
            return ()
        after = done[-1].session if done else ""
        seen = sorted({day for day in records["session"] if after < day <= session})
        return tuple(day_evidence(records, day, current) for day in seen)

    def _sums(self, days: Sequence[DayEvidence]) -> tuple[float, float]:
        """The CUSUM before and after these days, since a person last approved or a model was blocked."""
        scores: list[float] = []
        for event in self._journal.events(kinds=(DONE, "cost_model.approved")):
            if event.kind == "cost_model.approved":
                scores = scores if event.payload["person"] == RULE else []
            elif event.payload["account"] == self._account:
                blocked = event.payload["decision"] == BLOCKED
                scores = [] if blocked else [*scores, *_scores(event)]
        return cusum(scores), cusum([*scores, *(day.score for day in days)])

    def _done(self) -> list[Calibration]:
        events = self._journal.events(kinds=(DONE,))
        return [Calibration.of_event(e.payload) for e in events if e.payload["account"] == self._account]

    def _approved(self, cost_model_id: str) -> bool:
        return any(
            row["approved_by"] for row in self._journal.rows("cost_models", cost_model_id=cost_model_id)
        )


def _drifted(model: CostModel) -> bool:
    # also when it is stale by now: age does not mend it
    return isinstance(model.parameters, FittedCost) and bool(model.parameters.drift)


def _scores(event: RecordedEvent) -> list[float]:
    return [_number(row["score_micro"]) for row in event.payload["days"]]


def _approval(cost_model_id: str, reason: str) -> Event:
    payload = {"cost_model_id": cost_model_id, "person": RULE, "reason": reason}
    return Event("cost_model.approved", payload)


def _day_row(day: DayEvidence) -> dict[str, Any]:
    return {
        "session": day.session, "fills": day.fills, "predicted_micro": _grid(day.predicted_bps / 1e4),
        "realised_micro": _grid(day.realised_bps / 1e4), "score_micro": _grid(day.score),
    }  # fmt: skip


def _grid(number: float) -> int | None:
    return to_micro(number) if math.isfinite(number) else None


def _number(micro: int | None, unknown: float = math.nan) -> float:
    return unknown if micro is None else micro / 1e6
