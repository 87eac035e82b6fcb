"""The trading loop of one exchange session: preflight, recover, decide, send, watch, reconcile, close.

This is the only order of steps there is: the production notebook calls these methods one after another,
and so do the tests. Nothing here knows whether the clock is simulated or the venue is real.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.core.approvals import ApprovalRules
from workbench.core.digest import session_digest
from workbench.core.orders import Order, OrderState
from workbench.core.ports import BarStore, Broker, Calendar, Clock, Event, Hints, Journal
from workbench.core.reconcile import Break
from workbench.core.types import DAY_NS
from workbench.errors import OutcomeUnknown, Refused, TradingHalted
from workbench.services.approvals import Approvals
from workbench.services.authority import Authority
from workbench.services.decision import DecisionMaker, Strategy
from workbench.services.decision_record import decision_events
from workbench.services.exposure_watch import ExposureWatch
from workbench.services.last_look import LastLook
from workbench.services.late import late_changes
from workbench.services.legs import Legs
from workbench.services.listening import Listening
from workbench.services.oms import Oms
from workbench.services.orderly import orderly
from workbench.services.overrides import Overrides
from workbench.services.people import People
from workbench.services.preflight import Check, failed, preflight_checks
from workbench.services.reconciler import Reconciler
from workbench.services.reporting import session_report
from workbench.services.resending import Resender
from workbench.services.shadow import NOBODY, Beside
from workbench.services.stages import StageTimer
from workbench.services.stops import Stops
from workbench.services.supervision import Supervision

_NOBODY_ASKED = ApprovalRules()
#: States in which an order of a stored decision is (still) to be sent.
SENDABLE = frozenset({OrderState.INTENDED, OrderState.NOT_ACCEPTED, OrderState.UNKNOWN})


@dataclass(frozen=True)
class SessionTimes:
    """The declared times of a session, UTC nanoseconds of trading time."""

    session: str
    open_ns: int
    close_ns: int
    decision_ns: tuple[int, ...]
    end_ns: int
    poll_every_ns: int


class TradingSession:
    """One session of one account, from preflight to its closing record.

    Parameters
    ----------
    stage_budget_ms : int
    hints : Hints or None
        The venue's stream of trade updates, where there is one.
    silence_s : float
        How long venue or stream may be silent before the account is halted, seconds.
    rules, people, config_hash
        Which orders wait for a person, who proves the answer, and the settings it has to be of.
    beside : Beside
        A shadow model that decides on the same inputs and sends nothing.
    more_checks : callable () -> tuple of Check
        Lines of the preflight table about what this session does not see itself.
    """

    def __init__(
        self,
        *,
        times: SessionTimes,
        strategy: Strategy,
        journal: Journal,
        broker: Broker,
        clock: Clock,
        calendar: Calendar,
        bars: BarStore,
        supervision: Supervision,
        authority: Authority,
        stage_budget_ms: int,
        hints: Hints | None = None,
        silence_s: float = 30.0,
        rules: ApprovalRules = _NOBODY_ASKED,
        people: People | None = None,
        config_hash: str = "",
        more_checks: Callable[[], tuple[Check, ...]] = tuple,
        beside: Beside = NOBODY,
    ) -> None:
        self.times = times
        self.strategy, self._config_hash = strategy, config_hash
        self._journal = journal
        self._broker = broker
        self._clock = clock
        self._calendar = calendar
        self._bars = bars
        self._supervision = supervision
        self._authority = authority
        self._more_checks, self._beside = more_checks, beside
        self.timer = StageTimer(clock.wall_ns, budget_ms=stage_budget_ms)
        account = strategy.account
        self._last_closing: Sequence[dict[str, Any]] | None = None
        self._listening = Listening(
            clock=clock, hints=hints, halt=self._halt, silence_s=silence_s,
            poll=lambda: self.exposure.after(self.oms.poll(since_ns=self._since_ns())),
            reconcile=lambda: self.reconciler.reconcile(session=times.session, since_ns=self._since_ns()),
        )  # fmt: skip
        self.oms = Oms(
            journal=journal, broker=broker, clock=clock, account=account, lease=authority.lease,
            gate=LastLook(
                supervision=supervision, authority=authority, session=times.session,
                ledger=lambda: self.oms.ledger,
                controls=lambda order: self.approvals.codes(order) or self.overrides.judge(order),
                model_id=strategy.model_id,
            ),
            halt=self._halt, listening=self._listening,
        )  # fmt: skip
        self.reconciler = Reconciler(
            journal=journal, broker=broker, clock=clock, account=account, oms=self.oms, lease=authority.lease,
            halt=self._halt,
        )  # fmt: skip
        self.approvals = Approvals(
            journal=journal, broker=broker, clock=clock, people=people or People(journal), rules=rules,
            account=account, config_hash=config_hash, oms=lambda: self.oms, lease=authority.lease,
        )  # fmt: skip
        self._resender = Resender(oms=self.oms, clock=clock, session=times.session, until_ns=times.close_ns)
        self._maker = DecisionMaker(
            journal=journal, bars=bars, broker=broker, calendar=calendar, strategy=strategy,
            orders=lambda: self.oms.orders, ledger=lambda: self.oms.ledger,
            session_start_equity_micro=self._last_equity, lap=self.timer.lap,
        )  # fmt: skip
        self._stops = Stops(
            journal=journal, clock=clock, lease=authority.lease, halt=self._halt, flow=self._maker.flow
        )
        self.exposure = ExposureWatch(
            journal=journal, broker=broker, clock=clock, strategy=strategy, times=times,
            lease=authority.lease, books=lambda: (self.oms.ledger, self.oms.orders),
            closes=lambda: self._maker.known.closes(clock.now_ns()), start_equity_micro=self._last_equity,
        )  # fmt: skip
        self.legs = Legs(
            journal=journal, oms=self.oms, account=account, strategy=strategy.name, session=times.session,
            judge=self._judge, intend=self.approvals.intend, allow_short=strategy.limits.allow_short,
            max_slice_shares=strategy.policy.max_slice_shares, now_ns=clock.now_ns,
        )  # fmt: skip

    @functools.cached_property
    def overrides(self) -> Overrides:
        """What two people let go although it was denied."""
        return Overrides(
            journal=self._journal, clock=self._clock, oms=self.oms, account=self.strategy.account,
            session=self.times.session, config_hash=self._config_hash, intend=self.approvals.intend,
            controls=self._judge,
        )  # fmt: skip

    # --- before ----------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether this session already has its closing record; then nothing is decided or sent."""
        return bool(self._journal.rows("sessions", account=self.strategy.account, session=self.times.session))

    @orderly
    def preflight(self) -> tuple[Check, ...]:
        """Everything that must hold before trading, each with what was found and what to do."""
        with self.timer.stage("preflight"):
            checks = preflight_checks(
                times=self.times, strategy=self.strategy, bars=self._bars, broker=self._broker,
                calendar=self._calendar, clock=self._clock,
                permission=self._supervision.permission(),
                code_hash=self._authority.code_hash,
                ledger=self.oms.ledger,
                begun=bool(
                    self._journal.rows("decisions", account=self.strategy.account, session=self.times.session)
                ),
            )  # fmt: skip
            return (*checks, *self._more_checks())

    @orderly
    def start(self) -> tuple[Break, ...]:
        """Recover what a former run left, reconcile, and refuse unless trading is permitted.

        Raises
        ------
            TradingHalted
                A break was found, or nobody has resumed the account.
        Refused
            Another line of the preflight table fails.
        """
        with self.timer.stage("recover"):
            self.oms.recover()
            self._sweep()
            breaks = self.reconciler.reconcile(session=self.times.session, since_ns=self._since_ns())
        self._supervision.require(risk_reducing=True)
        if bad := failed(self.preflight()):
            raise Refused(
                f"preflight of {self.times.session} failed: {'; '.join(f'{c.name}: {c.found}' for c in bad)}",
                next_step="; ".join(dict.fromkeys(check.next_step for check in bad)),
                session=self.times.session,
            )
        return breaks

    # --- decide and send -------------------------------------------------------------------------

    @orderly
    def decide(self, scheduled_ns: int) -> tuple[Order, ...]:
        """Decide at a scheduled time (or resume what was decided) and send; returns the orders.

        A decision time that is in the journal is never decided again: its stored intents are sent.
        """
        if self.closed:
            return self.oms.of_decision(scheduled_ns)
        self._supervision.require(risk_reducing=True)
        self._authority.wait_until(scheduled_ns, step_ns=self.times.poll_every_ns)
        account, strategy = self.strategy.account, self.strategy.name
        known = self._journal.rows("decisions", account=account, strategy=strategy, scheduled_ns=scheduled_ns)
        if not known:
            with self.timer.stage("decide"):
                self.exposure.after(self.oms.poll(since_ns=self._since_ns()))  # as a restart would, first
                self.timer.lap("reconcile")
                cycle = self._maker.think(
                    self.times.session, scheduled_ns, buying_power_micro=self._buying_power_micro()
                )
                events = decision_events(cycle, self.strategy, bars_fingerprint=self._bars.fingerprint())
                held, asked = self.approvals.hold(cycle.allowed)
                self._journal.commit([*events, *asked], lease=self._authority.lease())
                self.oms.adopt_intents(cycle.intents, cycle.denied)
                self.oms.orders.update(held)
                self._stops.heed(code for codes in cycle.denied.values() for code in codes)
                self._beside.saw(cycle)
        with self.timer.stage("send"):
            due = [order for order in self.oms.of_decision(scheduled_ns) if order.state in SENDABLE]
            try:
                self._listening.catch_up()
                self.oms.send_many([order.intent.client_order_id for order in due])
                self._resender.proceed(self._listening.catch_up)
            except OutcomeUnknown:  # a last look had no answer, so nothing of it left: `watch` sends it again
                pass
        self.exposure.judge()
        self._beside.decide()
        return self.oms.of_decision(scheduled_ns)

    @orderly
    def watch(self, progress: Callable[[int], None] | None = None) -> int:
        """Poll the venue until the session's end and send legs that fall due; returns the changes seen.

        Orders that wait for a person are looked after before the open too; at the close they expire unsent.
        """
        changes = 0
        with self.timer.stage("watch"):
            at_ns = self._clock.now_ns()
            while at_ns < self.times.end_ns:
                at_ns = at_ns if self.approvals.waiting() else max(at_ns, self.times.open_ns)
                changes += self._listening.wait_until(at_ns)
                changes += self._listening.poll()
                closed = self._clock.now_ns() >= self.times.close_ns
                changes += self.approvals.settle(at_end=closed)
                self._authority.keep_alive()
                if not closed:
                    changes += self._send_due()
                if progress is not None:
                    progress(at_ns)
                at_ns += self.approvals.pace(self.times.poll_every_ns)
            changes += self._listening.wait_until(self.times.end_ns)
            changes += self.approvals.settle(at_end=True)
        return changes

    @orderly
    def close(self) -> dict[str, Any]:
        """Reconcile a last time and write the closing record; returns the session's report."""
        account, session = self.strategy.account, self.times.session
        done = self._journal.rows("sessions", account=account, session=session)
        if done:
            return dict(done[0]["report"])
        with self.timer.stage("close"):
            self.reconciler.reconcile(session=self.times.session, since_ns=self._since_ns())
            self._sweep()
            self._stops.settle()
            self._supervision.require(risk_reducing=True)
            report = session_report(
                journal=self._journal, bars=self._bars, strategy=self.strategy, times=self.times,
                ledger=self.oms.ledger,
            )  # fmt: skip
            equity_micro = report["equity_micro"]
            payload = {
                "account": account,
                "strategy": self.strategy.name,
                "session": session,
                "digest": session_digest(
                    decisions=self._journal.rows("decisions", account=account, session=session),
                    orders=self._journal.rows("orders", account=account, session=session),
                    fills=self._journal.rows("fills", account=account, session=session),
                    postings=self._journal.rows("postings", account=account, session=session),
                    late=late_changes(self._journal, self.oms.orders, self._closings(), account, session),
                ),
                "equity_micro": equity_micro,
                "cash_micro": self.oms.ledger.cash_micro,
                "positions": {s: q for s, q in sorted(self.oms.ledger.positions_nano.items()) if q},
                "report": report,
            }
        events = [
            Event("session.closed", payload),
            *self.timer.events(account, session, self._clock.now_ns()),
            *self.exposure.closing(),
        ]
        self._journal.commit(events, lease=self._authority.lease())
        self._last_closing = None
        self._beside.settle(self._clock.now_ns())
        return report

    def release(self) -> None:
        """Give the account back; nothing can be sent afterwards."""
        self._authority.release()

    def left_open(self) -> bool:
        """Whether an order is under way, or waits to be sent."""
        return bool(self.oms.orders.unfinished())

    def under_way(self) -> bool:
        """Whether the venue may hold an order, or may yet receive it."""
        return bool(self.oms.working())

    def unresolved(self) -> tuple[str, ...]:
        """Ids of orders whose fate only the venue knows; their symbols stay frozen."""
        return tuple(order.intent.client_order_id for order in self.oms.unresolved())

    # --- shared ----------------------------------------------------------------------------------

    def _since_ns(self) -> int:
        """Start of the window in which the venue's lists are read: nothing open may lie before it."""
        if not (closings := self._closings()):
            return 0
        since_ns = self._calendar.session_open_ns(str(closings[-1]["session"])) - DAY_NS
        return min([since_ns, *(order.intent.scheduled_ns for order in self.oms.working())])

    def _send_due(self) -> int:
        """Send what never arrived, then legs that fall due; halt or silence stop this, not the watching."""
        try:
            self._listening.catch_up()
            sent = self._resender.proceed(self._listening.catch_up) + self.legs.proceed()
            return sent + self.approvals.send_approved() + self.overrides.proceed()
        except (TradingHalted, OutcomeUnknown):
            return 0

    def _buying_power_micro(self) -> int:
        account = self._broker.account()
        return -1 if account.blocked else account.buying_power_micro

    def _last_equity(self) -> int:
        """Equity at the end of the last session, before the first one the capital that was paid in."""
        closings = self._closings()
        return int(closings[-1]["equity_micro"]) if closings else self.oms.ledger.capital_micro

    def _closings(self) -> Sequence[dict[str, Any]]:
        """The latest closing record of the account, () when there is none; read once.

        Only who holds the lease writes another one, which here is `close`.
        """
        if self._last_closing is None:
            self._last_closing = self._journal.rows("sessions", account=self.strategy.account)[-1:]
        return self._last_closing

    def _judge(self, order: Order) -> tuple[str, ...]:
        codes = self._maker.judge_again(
            order, buying_power_micro=self._buying_power_micro(), now_ns=self._clock.now_ns()
        )
        self._stops.heed(codes)
        return codes

    def _sweep(self) -> None:
        self.oms.sweep(
            close_ns=self._calendar.session_close_ns,
            next_open_ns=lambda session: self._calendar.session_open_ns(self._calendar.next_session(session)),
        )

    def _halt(self, reason: str) -> None:
        cause = "recovery" if reason.startswith("recovery") else "machine"
        self._supervision.halt(reason, cause=cause)
