"""Sessions that do not go to plan: refusals, halts, unknown outcomes, gaps, and what the next one may do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import drive
import pytest

from workbench.bootstrap import admin, killing, releasing
from workbench.bootstrap.adoption import adopt
from workbench.bootstrap.demo import prepare
from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.core.ports import LookupResult, SubmitOutcome, SubmitResult
from workbench.errors import DataError, OutcomeUnknown, Refused, TradingHalted, UsageError
from workbench.services.succession import next_session

NewDesk = Callable[[str], Settings]
FIRST, SECOND, THIRD = "2013-02-01", "2013-02-04", "2013-02-05"
OPERATOR = {"person": "operator", "reason": "looked at it"}


def rows(settings: Settings, projection: str, **equals: Any) -> list[dict[str, Any]]:
    return Desk(settings).journal.rows(projection, **equals)


def states(settings: Settings, session: str) -> dict[str, str]:
    return {row["symbol"]: row["state"] for row in rows(settings, "orders", session=session)}


def lease_is_released(settings: Settings) -> bool:
    return bool(rows(settings, "leases")[0]["released"])


def run(settings: Settings, session: str, disturb: Callable[[Any], None] = lambda job: None) -> None:
    """One session, with something put in its way."""
    job = drive.start(settings, session, attempt=len(rows(settings, "tickets")) + 1)
    disturb(job)
    try:
        job.trading.start()
        for scheduled_ns in job.trading.times.decision_ns:
            job.trading.decide(scheduled_ns)
        job.trading.watch()
        job.trading.close()
        job.finish()
    finally:
        job.account.close()


def test_a_session_that_ends_with_an_unknown_outcome_says_so_and_the_symbol_stays_frozen(
    new_desk: NewDesk,
) -> None:
    settings = new_desk("unknown")

    def lose_every_request(job: Any) -> None:
        job.account.broker.submit = lambda intent: SubmitResult(SubmitOutcome.UNKNOWN, reason="504")

    with pytest.raises(OutcomeUnknown) as caught:
        run(settings, FIRST, lose_every_request)
    assert caught.value.exit_code == 4
    assert states(settings, FIRST)["GOOG"] == "UNKNOWN"
    assert lease_is_released(settings)

    run(settings, SECOND)
    decided = {row["symbol"]: row["reason"] for row in rows(settings, "decisions", session=SECOND)[0]["rows"]}
    assert decided["GOOG"] == "frozen"
    assert states(settings, SECOND)["FB"] == "FILLED"
    assert states(settings, FIRST)["GOOG"] == "EXPIRED_UNSENT", "swept after the next open"


def test_no_answer_at_all_is_not_swept(new_desk: NewDesk) -> None:
    settings = new_desk("silent")

    def silence(job: Any) -> None:
        job.account.broker.submit = lambda intent: SubmitResult(SubmitOutcome.UNKNOWN, reason="504")
        job.account.broker.lookup = lambda identity: LookupResult(False, False, reason="timeout")

    with pytest.raises(OutcomeUnknown):
        run(settings, FIRST, silence)
    with pytest.raises(OutcomeUnknown):
        run(settings, SECOND, silence)
    assert states(settings, FIRST)["GOOG"] == "UNKNOWN"


def test_a_halt_between_two_orders_then_a_resume_gives_the_same_bytes(new_desk: NewDesk) -> None:
    undisturbed, settings = new_desk("undisturbed"), new_desk("halted")
    for desk in (undisturbed, settings):
        run(desk, FIRST)

    def halt_after_the_first_order(job: Any) -> None:
        submit = job.account.broker.submit

        def submit_then_halt(intent: Any) -> Any:
            result = submit(intent)
            job.account.supervision.halt("seen on the news", cause="person", person="operator")
            return result

        job.account.broker.submit = submit_then_halt

    run(undisturbed, SECOND)
    with pytest.raises(TradingHalted):
        run(settings, SECOND, halt_after_the_first_order)
    assert sorted(states(settings, SECOND).values()) == ["ACCEPTED", "DENIED", "DENIED", "NOT_ACCEPTED"]
    with pytest.raises(TradingHalted):
        run(settings, SECOND)
    with pytest.raises(Refused, match=f"{SECOND} was begun and never closed"):
        run(settings, THIRD)
    admin.resume(settings, **OPERATOR)
    run(settings, SECOND)
    assert rows(settings, "sessions")[-1]["digest"] == rows(undisturbed, "sessions")[-1]["digest"]


def test_a_refusal_with_orders_under_way_is_no_clean_end(new_desk: NewDesk) -> None:
    settings = new_desk("nonsense")

    def answer_nonsense_after_the_open(job: Any) -> None:
        fills = job.account.broker.fills

        def asked(*, since_ns: int) -> Any:
            if job.account.clock.now_ns() >= job.trading.times.open_ns:
                raise DataError("the venue answers nonsense")
            return fills(since_ns=since_ns)

        job.account.broker.fills = asked

    with pytest.raises(DataError):
        run(settings, FIRST, answer_nonsense_after_the_open)
    assert not lease_is_released(settings)
    with pytest.raises((TradingHalted, Refused)):
        run(settings, FIRST)


def test_reducing_denies_what_adds_risk_and_the_session_goes_on(new_desk: NewDesk) -> None:
    settings = new_desk("reducing")
    run(settings, FIRST)
    admin.reduce(settings, **OPERATOR)
    run(settings, SECOND)
    denied = {row["symbol"]: row["reason"] for row in rows(settings, "orders", session=SECOND)}
    assert set(states(settings, SECOND).values()) == {"DENIED"}
    assert denied["FB"] == "REDUCING"
    assert rows(settings, "sessions")[-1]["session"] == SECOND


def test_with_two_decision_times_a_restart_before_the_second_decides_the_same(new_desk: NewDesk) -> None:
    digests = []
    for name in ("straight", "restarted"):
        settings = two_decisions(new_desk(name))
        run(settings, FIRST)
        if name == "restarted":

            def stop_before_the_second(job: Any) -> None:
                decide = job.trading.decide

                def decide_once(scheduled_ns: int) -> Any:
                    if scheduled_ns != job.trading.times.decision_ns[0]:
                        job.account.clock.sleep_until(scheduled_ns)
                        raise KeyboardInterrupt  # stands for SIGKILL: nothing of ours handles it
                    return decide(scheduled_ns)

                job.trading.decide = decide_once

            with pytest.raises(KeyboardInterrupt):
                run(settings, SECOND, stop_before_the_second)
            admin.resume(settings, **OPERATOR)
        run(settings, SECOND)
        digests.append(rows(settings, "sessions")[-1]["digest"])
        assert len(rows(settings, "decisions", session=SECOND)) == 2
    assert digests[0] == digests[1]


def two_decisions(settings: Settings) -> Settings:
    """The desk with a second decision after the open, and a model that was made for these settings."""
    from workbench.config import load_settings

    path = settings.folder / "workbench.toml"
    text = path.read_text()
    assert '["open-15m"]' in text
    path.write_text(text.replace('["open-15m"]', '["open-15m", "open+60m"]'))
    changed = load_settings(str(path))
    report = admin.train(changed, last_session="2013-01-31")
    releasing.accept_model(changed, report.model_id, stage="replay", **OPERATOR)
    return changed


def test_no_session_is_left_out_unless_a_person_says_so_by_name(new_desk: NewDesk) -> None:
    settings = new_desk("gap")
    with pytest.raises(Refused, match=f"{FIRST} is, and would never be traded"):
        run(settings, "2013-02-20")
    with pytest.raises(Refused):
        admin.skip_sessions(settings, session="2013-02-20", person="nobody", reason="x")
    assert lease_is_released(settings)
    with pytest.raises(UsageError, match=f"{FIRST} leaves nothing out"):
        admin.skip_sessions(settings, session=FIRST, **OPERATOR)
    assert admin.skip_sessions(settings, session=SECOND, **OPERATOR) == FIRST
    with pytest.raises(Refused, match=SECOND):
        run(settings, THIRD)
    run(settings, SECOND)
    run(settings, THIRD)
    assert [row["session"] for row in rows(settings, "sessions")] == [SECOND, THIRD]


def test_the_first_session_counts_its_loss_from_the_capital_that_was_paid_in(new_desk: NewDesk) -> None:
    settings = new_desk("capital")
    job = drive.start(settings, FIRST)
    try:
        snapshot = job.trading._maker.known.snapshot(FIRST, job.trading.times.decision_ns[0])
    finally:
        job.finish()
    assert snapshot.session_start_equity_micro == settings.venue.starting_cash_usd * 1_000_000


@pytest.mark.parametrize("act", [admin.resume, lambda s, **who: adopt(s, as_of_session=FIRST, **who)])
def test_a_refused_command_leaves_no_trace_of_a_crash(new_desk: NewDesk, act: Callable[..., Any]) -> None:
    settings = new_desk("typo")
    with pytest.raises(Refused):
        act(settings, person="operater", reason="typing")
    assert lease_is_released(settings)
    run(settings, FIRST)


def test_preparing_the_demo_again_never_overrules_a_person_who_halted(new_desk: NewDesk) -> None:
    settings = new_desk("halted")
    killing.halt(settings, killing.HaltOrder("operator", "something is wrong"))
    with pytest.raises(TradingHalted, match="something is wrong"):
        list(prepare(settings.folder / "workbench.toml"))
    assert admin.permission(settings).state == "HALTED"


def test_a_position_outside_the_universe_refuses_the_session_by_name(new_desk: NewDesk) -> None:
    """What is held and cannot be priced would be left out of equity and of every limit."""
    settings = new_desk("stranger")
    for session in (FIRST, SECOND):
        run(settings, session)
    held = sorted(rows(settings, "sessions")[-1]["positions"])
    assert held

    def forget(job: Any) -> None:
        known = tuple(symbol for symbol in job.trading.strategy.universe if symbol != held[0])
        job.trading.strategy = replace(job.trading.strategy, universe=known)

    with pytest.raises(Refused, match=f"positions within the universe: {held[0]}"):
        run(settings, THIRD, forget)
    assert lease_is_released(settings)
    assert rows(settings, "orders", session=THIRD) == []


def test_a_refusal_within_the_preflight_table_is_a_clean_end(new_desk: NewDesk) -> None:
    """The notebook may call `preflight` by itself: a guard's no gives the lease back there too."""
    settings = new_desk("refused")
    job = drive.start(settings, FIRST)

    def refuse() -> Any:
        raise DataError("the venue answers nonsense")

    job.account.broker.account = refuse
    try:
        with pytest.raises(DataError):
            job.trading.preflight()
    finally:
        job.account.close()
    assert lease_is_released(settings)
    run(settings, FIRST)


def test_a_venue_that_tells_nothing_of_corporate_events_halts_the_start_by_name(new_desk: NewDesk) -> None:
    """The start neither dies nor trades: the account is HALTED with the reason until a person resumes."""
    settings = new_desk("deaf")

    def silence(*, since_ns: int) -> Any:
        raise ConnectionError("reset")

    def deafen(job: Any) -> None:
        job.account.broker.activities = silence

    with pytest.raises(TradingHalted, match="account_unreadable"):
        run(settings, FIRST, deafen)
    assert admin.permission(settings).state == "HALTED"
    assert "account_unreadable" in admin.permission(settings).reason
    assert rows(settings, "orders") == []
    admin.resume(settings, **OPERATOR)
    run(settings, FIRST)


def after_start(job: Any, act: Callable[[], None]) -> None:
    """Let something happen between the start and the first decision."""
    start = job.trading.start

    def started() -> Any:
        found = start()
        act()
        return found

    job.trading.start = started


def test_a_halt_between_start_and_decision_leaves_no_decision(new_desk: NewDesk) -> None:
    settings = new_desk("stopped")

    def stop(job: Any) -> None:
        after_start(job, lambda: job.account.supervision.halt("stop", cause="person", person="operator"))

    with pytest.raises(TradingHalted):
        run(settings, FIRST, stop)
    assert rows(settings, "decisions") == []
    assert lease_is_released(settings)


def test_an_account_that_is_blocked_after_the_start_has_no_buying_power(new_desk: NewDesk) -> None:
    """F19: what the venue does not say in so many words is not there; every order is denied."""
    settings = new_desk("blocked")

    def block(job: Any) -> None:
        account = job.account.broker.account

        def blocked() -> Any:
            return replace(account(), blocked=True)

        after_start(job, lambda: setattr(job.account.broker, "account", blocked))

    with pytest.raises(TradingHalted, match="account_blocked"):
        run(settings, FIRST, block)
    reasons = [row["reason"] for row in rows(settings, "orders")]
    assert reasons
    assert all("BUYING_POWER" in reason for reason in reasons)
    assert rows(settings, "sessions") == [], "a session with a break is not closed"
    assert lease_is_released(settings), "every order is final: a refusal to close is a clean end"
    (halted,) = (row for row in rows(settings, "state") if row["state"] == "HALTED")
    assert halted["reason"].startswith("recovery: ")
    changes = Desk(settings).journal.events(kinds=("state.changed",))
    assert changes[-1].payload["cause"] == "recovery"


def test_the_gate_knows_its_session_and_the_window_reaches_back_to_what_still_works(
    new_desk: NewDesk,
) -> None:
    settings = new_desk("old")
    run(settings, FIRST)
    run(settings, SECOND)
    job = drive.start(settings, THIRD)
    try:
        order = next(iter(job.trading.oms.orders.values()))
        assert order.intent.session != THIRD
        with pytest.raises(TradingHalted, match=f"belongs to {order.intent.session}"):
            job.trading.oms._gate(order)
        usual = job.trading._since_ns()
        old = replace(order.intent, scheduled_ns=5, client_order_id="old")
        job.trading.oms.orders["old"] = replace(order, intent=old, state="ACCEPTED")
        assert job.trading._since_ns() == 5 < usual
    finally:
        job.account.close()


def test_the_next_session_follows_the_last_closed_one_wherever_the_venue_stands(new_desk: NewDesk) -> None:
    """A run that died after the open and before its decision has not used its session up."""
    settings = new_desk("standing")
    run(settings, FIRST)
    desk = Desk(settings)
    venue_ns = desk.calendar.session_open_ns(SECOND)
    expected = next_session(desk.journal, desk.calendar, account=settings.account, venue_ns=venue_ns)
    assert expected == SECOND


def test_a_refusal_while_nothing_is_under_way_ends_the_watch_cleanly(new_desk: NewDesk) -> None:
    settings = new_desk("watching")
    job = drive.start(settings, FIRST)

    def nonsense(*, since_ns: int) -> Any:
        raise DataError("the venue answers nonsense")

    try:
        job.trading.start()
        job.account.broker.fills = nonsense
        with pytest.raises(DataError):
            job.trading.watch()
    finally:
        job.account.close()
    assert lease_is_released(settings)
