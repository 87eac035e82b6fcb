"""Compose a trading session: settings, journal, venue, model and services become one `TradingSession`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from workbench.adapters.calendar import ExchangeCalendar
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.kernel_guard import KernelGuard, dead_holder, guard_kernel, process_holder
from workbench.adapters.run_parameters import read_parameters
from workbench.bootstrap.approving import limit_book
from workbench.bootstrap.desk import Desk, open_journal, recorded_hash
from workbench.bootstrap.journal_care import require_whole
from workbench.bootstrap.permission import book_waiting_halts, desk_supervision
from workbench.bootstrap.releasing import beside_of
from workbench.bootstrap.resources import present_code_hash
from workbench.bootstrap.run_inputs import heard, record_inputs
from workbench.bootstrap.signing import Credentials, people_of
from workbench.bootstrap.venues import VenueLink, open_venue, seen_from_adoption
from workbench.bootstrap.watchdog_sign import watchdog_check, watchdog_trouble
from workbench.config import SessionTime, Settings, load_settings
from workbench.core.costs import prior
from workbench.core.features import features_hash, select_features
from workbench.core.ports import Broker, Clock
from workbench.core.types import NANO, Mode
from workbench.errors import ConfigError, JournalCorrupt, OutcomeUnknown, Refused
from workbench.plots import equity_picture
from workbench.services.authority import Authority
from workbench.services.decision import Strategy
from workbench.services.oms import Oms
from workbench.services.promotion import cost_model_or_prior
from workbench.services.reconciler import Reconciler
from workbench.services.session import SessionTimes, TradingSession
from workbench.services.succession import require_next
from workbench.services.supervision import HALTED, Supervision
from workbench.services.tickets import redeem_ticket
from workbench.services.training import load_model

HOUR_NS = 3600 * NANO
#: How often the venue is polled: a replay jumps, a real session waits and has the stream besides.
POLL_EVERY_NS, POLL_REAL_NS = HOUR_NS // 2, 15 * NANO


@dataclass
class Account:
    """The parts that every process needs which may write for the account."""

    desk: Desk
    journal: JournalDatabase
    calendar: ExchangeCalendar
    link: VenueLink
    supervision: Supervision

    @property
    def clock(self) -> Clock:
        """Trading time at the venue."""
        return self.link.clock

    @property
    def broker(self) -> Broker:
        """The venue."""
        return self.link.broker

    def authority(
        self, *, code_hash: str, stop_reason: Callable[[], str] = str, ticket_redeemed: bool = False
    ) -> Authority:
        """The lease of this account for this process, not yet acquired."""
        return Authority(
            journal=self.journal,
            clock=self.clock,
            account=self.desk.settings.account,
            holder=process_holder(),
            ttl_s=self.desk.settings.lease.ttl_s,
            code_hash=code_hash,
            stop_reason=stop_reason,
            ticket_redeemed=ticket_redeemed,
        )

    def order_path(self, authority: Authority) -> tuple[Oms, Reconciler]:
        """OMS and reconciler that can look up and compare but, having no gate, never send."""
        account = self.desk.settings.account

        def halt(reason: str) -> None:
            self.supervision.halt(reason, cause="recovery")

        def closed_gate(order: object) -> tuple[str, ...]:
            raise ConfigError("this process recovers and reconciles; it does not send")

        oms = Oms(
            journal=self.journal,
            broker=self.broker,
            clock=self.clock,
            account=account,
            lease=authority.lease,
            gate=closed_gate,
            halt=halt,
        )
        reconciler = Reconciler(
            journal=self.journal,
            broker=self.broker,
            clock=self.clock,
            account=account,
            oms=oms,
            lease=authority.lease,
            halt=halt,
        )
        return oms, reconciler

    def take(self, authority: Authority) -> None:
        """Hold the lease; a former holder that never gave it back halts the account first of all.

        The halt is recorded before anything else can fail, so that no later refusal hides it.
        """
        if authority.acquire(is_dead=dead_holder) and self.supervision.permission().state != HALTED:
            self.supervision.halt("recovery: the former run ended without a clean end", cause="recovery")

    def close(self) -> None:
        """Close files and databases."""
        self.link.close()
        self.journal.close()


def open_account(settings: Settings, *, start_ns: int = 0, credentials: Credentials | None = None) -> Account:
    """Everything that may write for the account; an embedded venue's clock is at `start_ns` or later.

    Raises
    ------
    ConfigError
        The desk does not exist, or there is no venue for its mode.
    """
    if settings.mode is Mode.SHADOW:
        raise ConfigError(
            "mode 'shadow' needs a venue that this version does not have",
            next_step='set mode = "replay" or "paper"',
        )
    desk = Desk(settings)
    journal = open_journal(settings, read_only=False)
    try:
        link = open_venue(settings, desk, start_ns=start_ns)
    except BaseException:
        journal.close()
        raise
    if not link.clock.now_ns():
        link.close()
        journal.close()
        raise ConfigError(
            f"account {settings.account} was never opened",
            next_step='workbench adopt --as-of SESSION --person NAME --reason "..."',
        )
    try:
        link = seen_from_adoption(settings, journal, link)
        book_waiting_halts(settings, journal)
    except BaseException:
        link.close()
        journal.close()
        raise
    supervision = desk_supervision(settings, journal, people_of(settings, journal, credentials))
    return Account(desk, journal, desk.calendar, link, supervision)


def session_times(settings: Settings, calendar: ExchangeCalendar, session: str) -> SessionTimes:
    """The declared times of one session."""
    calendar.require_session(session)
    open_ns, close_ns = calendar.session_open_ns(session), calendar.session_close_ns(session)
    decisions = sorted(
        SessionTime.parse(text).at_ns(open_ns, close_ns) for text in settings.session.decision_times
    )
    return SessionTimes(
        session=session,
        open_ns=open_ns,
        close_ns=close_ns,
        decision_ns=tuple(decisions),
        end_ns=SessionTime.parse(settings.session.reconcile_until).at_ns(open_ns, close_ns),
        poll_every_ns=POLL_EVERY_NS if settings.mode is Mode.REPLAY else POLL_REAL_NS,
    )


def load_strategy(account: Account, *, session: str, now_ns: int) -> Strategy:
    """Model and cost model that are accepted for this mode, re-hashed and compatible, or an error."""
    settings, registry = account.desk.settings, account.desk.registry
    features = select_features(settings.model.features)
    model_id, model = load_model(
        registry,
        account.journal,
        mode=settings.mode.value,
        features_hash=features_hash(features),
        config_hash=settings.config_hash,
        universe=settings.universe,
        horizon_sessions=settings.policy.horizon_sessions,
        as_of_session=session,
    )
    own = prior(settings.prior_cost, settings.fees, as_of_ns=now_ns)
    cost_model, problem = cost_model_or_prior(account.journal, registry, mode=settings.mode.value, prior=own)
    return Strategy(
        account=settings.account,
        name=settings.strategy,
        universe=settings.universe,
        features=features,
        policy=settings.policy,
        limits=settings.limits,
        cost_model=cost_model,
        cost_model_id=cost_model.model_id,
        model=model,
        model_id=model_id,
        mode=settings.mode.value,
        cost_problem=problem,
    )


@dataclass(frozen=True)
class Picture:
    """A PNG that a notebook shows."""

    png: bytes = field(repr=False)

    def _repr_png_(self) -> bytes:
        return self.png


@dataclass(repr=False)
class Job:
    """A production run inside its kernel: what the notebook talks to.

    Attributes
    ----------
    trading : TradingSession
        The session's steps, in the order in which the notebook calls them.
    desk : Desk
        Tables of what has been recorded.
    run_id : str
    """

    run_id: str
    desk: Desk
    trading: TradingSession
    account: Account
    authority: Authority
    guard: KernelGuard | None

    @property
    def session(self) -> str:
        """The exchange session of this run, ISO date."""
        return self.trading.times.session

    def equity_picture(self) -> Picture:
        """Equity after each session as a small static picture."""
        return Picture(equity_picture(self.desk.views.equity()))

    def __repr__(self) -> str:
        return f"<run {self.run_id} of account {self.desk.settings.account} ({self.desk.settings.mode})>"

    def finish(self) -> None:
        """Give everything back and leave the proof that the run is done; the notebook's last word."""
        unresolved = self.trading.unresolved()
        self.authority.release()
        self.account.close()
        if unresolved:
            raise OutcomeUnknown(
                f"the outcome of {len(unresolved)} order(s) is unknown: {', '.join(unresolved)}",
                next_step="workbench reconcile; the symbols stay frozen until the venue says what happened",
                unresolved=unresolved,
            )
        if self.guard is not None:
            self.guard.write_outcome("done")
            self.guard.release()


def start_trading(
    settings: Settings,
    session: str,
    *,
    run_id: str,
    code_hash: str,
    environ: MutableMapping[str, str],
    guard: KernelGuard | None = None,
) -> Job:
    """Everything a session needs, with the ticket redeemed and the lease held.

    Parameters
    ----------
    run_id, code_hash : str
        Of the run whose ticket is in `environ`.
    environ : mutable mapping
        The ticket is taken out of it.
    guard : KernelGuard or None
        Ties the process to its runner; None when the caller is itself the runner.
    """
    times = session_times(settings, Desk(settings).calendar, session)
    start_ns = min(times.open_ns - HOUR_NS, times.decision_ns[0])
    account = open_account(settings, start_ns=start_ns)
    try:
        require_next(
            account.journal,
            account.calendar,
            account=settings.account,
            session=session,
            venue_ns=account.link.last_ns,
        )
        account.clock.sleep_until(start_ns)
        limit_book(settings, account.journal).require()
        account.journal.record_config(json.loads(settings.to_json()))
        redeem_ticket(
            account.journal, environ, run_id=run_id, code_hash=code_hash, wall_ns=account.clock.wall_ns()
        )

        account = heard(account, run_id)

        def stop_reason() -> str:
            alone = guard is not None and not guard.parent_alive()
            return "the runner of this kernel is silent" if alone else watchdog_trouble(settings)

        authority = account.authority(code_hash=code_hash, stop_reason=stop_reason, ticket_redeemed=True)
        account.take(authority)
        if account.link.stream is not None:
            account.link.stream.start()
        trading = _trading(account, authority, times)
        return record_inputs(Job(run_id, account.desk, trading, account, authority, guard))
    except BaseException:
        account.close()
        raise


def _trading(account: Account, authority: Authority, times: SessionTimes) -> TradingSession:
    """The session's service, once the journal and the models are proved; a refusal gives the lease back."""
    try:
        require_whole(account.journal)
        strategy = load_strategy(account, session=times.session, now_ns=times.decision_ns[0])
    except JournalCorrupt:
        raise
    except Refused:
        authority.release()
        raise
    return TradingSession(
        times=times,
        strategy=strategy,
        journal=account.journal,
        broker=account.broker,
        clock=account.clock,
        calendar=account.calendar,
        bars=account.desk.bars,
        supervision=account.supervision,
        authority=authority,
        stage_budget_ms=account.desk.settings.session.stage_budget_ms,
        hints=account.link.stream,
        silence_s=account.desk.settings.venue.stream_silence_s,
        rules=account.desk.settings.approvals,
        people=people_of(account.desk.settings, account.journal),
        config_hash=account.desk.settings.config_hash,
        more_checks=lambda: (watchdog_check(account.desk.settings),),
        beside=beside_of(account.desk, account.journal, strategy, session=times.session),
    )


def start_job(params_file: str) -> Job:
    """Begin a production run inside the kernel that the runner started; the notebook's first word.

    Validates the parameters strictly against the run's record, ties the kernel to its runner, takes the
    account's lock and lease, redeems the one-use ticket and loads the accepted models.

    Parameters
    ----------
    params_file : str
        Path of the run's `parameters.json`; set by the runner.

    Raises
    ------
    Refused
        The kernel was not started by the runner, or any guard says no.
    """
    path = Path(params_file)
    if not params_file or not path.is_file():
        raise ConfigError(
            f"no parameters at {params_file!r}: this notebook is run by the runner, not by hand",
            next_step="workbench jobs run trading_loop --session DATE",
        )
    guard = guard_kernel(path.parent)
    parameters = read_parameters(path, expected_hash=recorded_hash)
    settings = load_settings(parameters.config_path, overrides=parameters.overrides)
    paths = Desk(settings).paths
    guard.hold_lock(paths.lock)
    return start_trading(
        settings,
        parameters.session,
        run_id=parameters.run_id,
        code_hash=present_code_hash(settings),
        environ=os.environ,
        guard=guard,
    )
