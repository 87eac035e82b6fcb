"""Compose a flatten: the order path of a session under a person's word, without a model."""

from __future__ import annotations

import os
import time

from workbench.bootstrap.holding import holding
from workbench.bootstrap.resources import present_code_hash
from workbench.bootstrap.signing import Credentials, people_of
from workbench.bootstrap.trading import HOUR_NS, POLL_EVERY_NS, Account
from workbench.config import Settings
from workbench.core import costs
from workbench.core.features import select_features
from workbench.core.types import NANO, Floats, Mode
from workbench.errors import Refused
from workbench.services.authority import Authority
from workbench.services.decision import DecisionMaker, Strategy
from workbench.services.flattening import Flatten, FlattenReport, Hours
from workbench.services.last_look import LastLook
from workbench.services.oms import Oms
from workbench.services.reconciler import Reconciler
from workbench.services.records import date_of
from workbench.services.tickets import TICKET_VARIABLE, issue_ticket, redeem_ticket

#: How long a flatten waits for its orders at a real venue, and how often it asks, seconds.
PATIENCE_S, NAP_S = 120, 1


class _NoForecast:
    """What a flatten has in the place of a model."""

    def forecast(self, matrix: Floats) -> Floats:
        raise Refused("a flatten asks no model", next_step="this is a defect: report it")


def flatten(
    settings: Settings, *, person: str, reason: str, credentials: Credentials | None = None
) -> FlattenReport:
    """Close every position of a halted account, on a registered person's word, and prove that it is flat.

    Raises
    ------
    Refused
        The person may not act, a running loop holds the account, or positions are not reconciled.
    """
    code_hash = present_code_hash(settings)

    def ticket(account: Account) -> bool:
        """One for this flatten, issued on the person's word and used up at once."""
        people_of(settings, account.journal, credentials).check(person, reason)
        journal, run_id = account.journal, f"flatten/{time.time_ns()}-{os.getpid()}"
        issued = issue_ticket(journal, run_id=run_id, code_hash=code_hash, wall_ns=account.clock.wall_ns())
        environ = {TICKET_VARIABLE: issued}
        redeem_ticket(journal, environ, run_id=run_id, code_hash=code_hash, wall_ns=account.clock.wall_ns())
        return True

    holder = holding(settings, credentials=credentials, code_hash=code_hash, ticket=ticket)
    with holder as (account, authority):
        hours = _hours(account)
        oms, reconciler, maker = _order_path(account, authority, hours)
        flattening = Flatten(
            clock=account.clock,
            oms=oms,
            reconciler=reconciler,
            supervision=account.supervision,
            account=settings.account,
            strategy=settings.strategy,
            hours=hours,
            limits=settings.limits,
            cost_model=maker.strategy.cost_model,
            snapshot=maker.known.snapshot,
            judge=lambda order: maker.judge_again(
                order, buying_power_micro=_buying_power(account), now_ns=account.clock.now_ns()
            ),
        )
        return flattening.run(person=person, reason=reason, code_hash=authority.code_hash)


def _buying_power(account: Account) -> int:
    theirs = account.broker.account()
    return -1 if theirs.blocked else theirs.buying_power_micro


def _hours(account: Account) -> Hours:
    """The session that is on, or the next one; a replay goes there, the wall clock is not moved."""
    calendar, clock = account.calendar, account.clock
    today, replay = date_of(clock.now_ns()), account.desk.settings.mode is Mode.REPLAY
    over = not calendar.is_session(today) or clock.now_ns() >= calendar.session_close_ns(today)
    session = calendar.session_after_ns(clock.now_ns()) if over else today
    open_ns, close_ns = calendar.session_open_ns(session), calendar.session_close_ns(session)
    if replay:
        clock.sleep_until(open_ns - HOUR_NS)
        return Hours(session, open_ns, close_ns, close_ns + 300 * NANO, POLL_EVERY_NS)
    until_ns = min(clock.now_ns() + PATIENCE_S * NANO, close_ns)
    return Hours(session, open_ns, close_ns, until_ns, NAP_S * NANO)


def _order_path(
    account: Account, authority: Authority, hours: Hours
) -> tuple[Oms, Reconciler, DecisionMaker]:
    """OMS with the real last look, reconciler, and the controls of a session."""
    settings, supervision = account.desk.settings, account.supervision
    prior = costs.prior(settings.prior_cost, settings.fees, as_of_ns=account.clock.now_ns())
    strategy = Strategy(
        account=settings.account, name=settings.strategy, universe=settings.universe,
        features=select_features(settings.model.features), policy=settings.policy, limits=settings.limits,
        cost_model=prior, cost_model_id="", model=_NoForecast(), model_id="",
    )  # fmt: skip

    def halt(reason: str) -> None:
        supervision.halt(reason, cause="recovery")

    def last_equity_micro() -> int:
        rows = account.journal.rows("sessions", account=settings.account)
        return int(rows[-1]["equity_micro"]) if rows else oms.ledger.capital_micro

    look = LastLook(
        supervision=supervision, authority=authority, session=hours.session, ledger=lambda: oms.ledger,
        controls=lambda order: maker.judge_again(
            order, buying_power_micro=_buying_power(account), now_ns=account.clock.now_ns()
        ),
    )  # fmt: skip
    ports = {
        "journal": account.journal, "broker": account.broker, "clock": account.clock,
        "account": settings.account, "lease": authority.lease, "halt": halt,
    }  # fmt: skip
    oms = Oms(gate=look, **ports)  # type: ignore[arg-type]
    maker = DecisionMaker(
        journal=account.journal, bars=account.desk.bars, broker=account.broker, calendar=account.calendar,
        strategy=strategy, orders=lambda: oms.orders, ledger=lambda: oms.ledger,
        session_start_equity_micro=last_equity_micro,
    )  # fmt: skip
    return oms, Reconciler(oms=oms, **ports), maker  # type: ignore[arg-type]
