"""Sessions that do not go to plan: refusals, halts, unknown outcomes, gaps, and what the next one may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import drive
import pytest

from workbench.bootstrap import admin
from workbench.bootstrap.demo import prepare
from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.core.ports import LookupResult, SubmitOutcome, SubmitResult
from workbench.errors import DataError, OutcomeUnknown, Refused, TradingHalted

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
    admin.accept_model(changed, report.model_id, stage="replay", **OPERATOR)
    return changed


def test_no_session_is_left_out_unless_a_person_says_so_by_name(new_desk: NewDesk) -> None:
    settings = new_desk("gap")
    with pytest.raises(Refused, match=f"{FIRST} is, and would never be traded"):
        run(settings, "2013-02-20")
    with pytest.raises(Refused):
        admin.skip_sessions(settings, session="2013-02-20", person="nobody", reason="x")
    assert lease_is_released(settings)
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
        snapshot = job.trading._maker.snapshot(
            FIRST,
            job.trading.times.decision_ns[0],
            job.trading._maker.panel(job.trading.times.decision_ns[0]),
        )
    finally:
        job.finish()
    assert snapshot.session_start_equity_micro == settings.venue.starting_cash_usd * 1_000_000


@pytest.mark.parametrize("act", [admin.resume, lambda s, **who: admin.adopt(s, as_of_session=FIRST, **who)])
def test_a_refused_command_leaves_no_trace_of_a_crash(new_desk: NewDesk, act: Callable[..., Any]) -> None:
    settings = new_desk("typo")
    with pytest.raises(Refused):
        act(settings, person="operater", reason="typing")
    assert lease_is_released(settings)
    run(settings, FIRST)


def test_preparing_the_demo_again_never_overrules_a_person_who_halted(new_desk: NewDesk) -> None:
    settings = new_desk("halted")
    admin.halt(settings, person="operator", reason="something is wrong")
    with pytest.raises(TradingHalted, match="something is wrong"):
        list(prepare(settings.folder / "workbench.toml"))
    assert admin.permission(settings).state == "HALTED"
