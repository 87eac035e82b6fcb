"""Replays of runs in which people answered, at the embedded venue and from a loopback venue's messages."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import drive
import pytest

from tests.support.loopback_venue import UNIVERSE, pointed_at, venue_in_thread
from workbench.adapters.journal.kinds import FIELDS
from workbench.adapters.signing import Credentials, passphrase_key
from workbench.bootstrap import admin, approving, replaying, signing
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.permission import desk_supervision
from workbench.bootstrap.replay import replay, what_if
from workbench.bootstrap.run_inputs import messages_path
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.ports import Event
from workbench.core.types import NANO
from workbench.errors import DataError, ManifestMismatch, Refused
from workbench.services.bystanders import Bystanders

pytestmark = pytest.mark.slow
SESSION = "2013-02-01"
PHRASE = "words that grace alone knows"
GRACE = {"person": "grace", "reason": "looked at it", "credentials": Credentials(lambda: PHRASE)}


def asking(toml: str) -> str:
    """Settings under which every order waits, and more than one is wanted in the first session."""
    toml = toml.replace("edge_multiple = 1.0", "edge_multiple = 0.2")
    return toml.replace("\nrequired = false", "\nrequired = true", 1)


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("waiting-replays")
    settings = drive.make_desk(folder, asking(DEFAULT_TOML))
    signing.add_person(settings, "grace", role="approver", key=passphrase_key(PHRASE))
    return folder


@pytest.fixture
def settings(waiting: Path, tmp_path: Path) -> Settings:
    shutil.copytree(waiting, tmp_path / "desk")
    return load_settings(str(tmp_path / "desk" / "workbench.toml"))


def answered(settings: Settings, answers: dict[int, str], attempt: int = 1) -> str:
    """Trade the session while grace answers at those looks of the watch, one order each; the run."""
    job = drive.start(settings, SESSION, attempt)
    job.trading.start()
    for scheduled_ns in job.trading.times.decision_ns:
        job.trading.decide(scheduled_ns)
    orders = iter(approving.pending(settings)["orders"])
    looks: list[int] = []

    def look(at_ns: int) -> None:
        looks.append(at_ns)
        if verdict := answers.get(len(looks)):
            approving.answer(settings, next(orders)["id"], verdict=verdict, **GRACE)

    job.trading.watch(look)
    job.trading.close()
    job.finish()
    return str(job.run_id)


def states(settings: Settings) -> dict[str, str]:
    rows = Desk(settings).journal.rows("orders", account=settings.account)
    return {row["symbol"]: row["state"] for row in rows if row["state"] != "DENIED"}


@pytest.mark.parametrize(
    ("answers", "ended"),
    [
        ({3: "approved", 7: "declined"}, {"FILLED", "DECLINED"}),
        ({2: "declined"}, {"DECLINED", "EXPIRED_UNSENT"}),
        ({}, {"EXPIRED_UNSENT"}),
    ],
    ids=["approved and declined", "declined and unanswered", "nobody answered"],
)
def test_what_people_answered_is_answered_again(
    settings: Settings, answers: dict[int, str], ended: set[str]
) -> None:
    run = answered(settings, answers)
    assert set(states(settings).values()) == ended
    report = replay(run, config=settings)
    assert report.identical, report.first_divergence
    sent = {row["client_order_id"]: row["sent_at_ns"] for row in report.recorded.orders}
    assert {row["client_order_id"]: row["sent_at_ns"] for row in report.replayed.orders} == sent
    if "FILLED" in ended:
        assert report.recorded.fills


def test_a_session_that_was_refused_until_a_person_resumed_is_traded_again(settings: Settings) -> None:
    """Runs that were refused and the person's word came before the run that decided, and stay before it."""

    def begun(attempt: int) -> None:
        started = {"run_id": f"trading_loop/{SESSION}.{attempt}-{os.getpid()}", "job": "trading_loop",
                   "session": SESSION, "attempt": attempt, "parameters_hash": "p" * 64,
                   "code_hash": "c" * 64}  # fmt: skip
        with open_journal(settings, read_only=False) as journal:
            journal.commit([Event("run.started", started)])

    with open_journal(settings, read_only=False) as journal:
        desk_supervision(settings, journal).halt("a look first", cause="person", person="operator")
    begun(1)
    refused = drive.start(settings, SESSION)
    with pytest.raises(Refused, match="HALTED"):
        refused.trading.start()
    refused.account.close()
    admin.resume(settings, person="operator", reason="looked at it")
    begun(2)
    report = replay(answered(settings, {3: "approved"}, attempt=2), config=settings)
    assert report.identical, report.first_divergence
    assert report.recorded.fills


def test_without_the_answers_the_replay_is_not_its_record(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = answered(settings, {3: "approved"})
    acts: list[Any] = []

    class Forgetful(Bystanders):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            acts.extend(self.acts)
            self.acts.clear()

    monkeypatch.setattr(replaying, "Bystanders", Forgetful)
    report = replay(run, config=settings)
    assert [event.kind for act in acts for event in act.events] == ["act.recorded", "approval.decided"]
    assert not report.identical
    assert report.first_divergence is not None
    assert (report.first_divergence.stage, report.first_divergence.field) == ("order path", "state")
    assert (report.first_divergence.recorded, report.first_divergence.replayed) == (
        "FILLED", "EXPIRED_UNSENT",
    )  # fmt: skip
    assert report.tree["stage"].tolist() == ["order path", "fills", "ledger"]


def test_a_request_that_expired_expires_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    ahead, true = [0], time.time_ns
    with monkeypatch.context() as moved:
        moved.setattr(time, "time_ns", lambda: true() + ahead[0])
        job = drive.start(settings, SESSION)
        job.trading.start()
        for scheduled_ns in job.trading.times.decision_ns:
            job.trading.decide(scheduled_ns)
        assert job.trading.approvals.settle() == 0
        ahead[0] = (settings.approvals.life_s + 1) * NANO
        job.trading.watch()
        job.trading.close()
        job.finish()
    reasons = {row["reason"] for row in Desk(settings).journal.rows("orders") if row["state"] != "DENIED"}
    assert reasons == {"APPROVAL_EXPIRED: nobody approved it in time"}
    report = replay(str(job.run_id), config=settings)
    assert report.identical, report.first_divergence
    again = {row["reason"] for row in report.replayed.orders if row["state"] != "DENIED"}
    assert again == reasons


# --- at a venue outside the process ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def at_venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, str]]:
    """A desk whose first session was traded at a loopback venue that is gone now, and the run."""
    folder = tmp_path_factory.mktemp("venue-replays")
    with pytest.MonkeyPatch.context() as patch:
        with venue_in_thread(
            symbols=UNIVERSE, matching="daily", start="2013-01-31T21:00:00Z", cash_usd=1_000_000,
            state=folder / "venue.jsonl",
        ) as hands:  # fmt: skip
            patch.setenv("WORKBENCH_SECRETS__VENUE_KEY", hands.key)
            patch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", hands.secret)
            settings = drive.make_desk(folder / "desk", asking(pointed_at(hands)))
            signing.add_person(settings, "grace", role="approver", key=passphrase_key(PHRASE))
            run = answered(settings, {3: "approved", 5: "declined"})
        yield settings, run


def test_a_run_at_a_loopback_venue_is_replayed_from_its_messages(at_venue: tuple[Settings, str]) -> None:
    settings, run = at_venue
    assert "FILLED" in states(settings).values()
    report = replay(run, config=settings)  # nothing answers at the venue's address any more
    assert report.identical, report.first_divergence
    assert report.differences == ()
    text = messages_path(Desk(settings), run).read_text()
    assert settings.secrets.venue_secret is not None
    assert settings.secrets.venue_secret.reveal() not in text


def test_altered_missing_and_unsealed_messages_are_named(at_venue: tuple[Settings, str]) -> None:
    settings, run = at_venue
    path = messages_path(Desk(settings), run)
    kept = path.read_bytes()
    try:
        path.write_bytes(kept.replace(b'"FILLED"', b'"filled"', 1).replace(b"1", b"2", 1))
        with pytest.raises(ManifestMismatch, match=r"messages\.jsonl have sha256"):
            replay(run, config=settings)
        path.unlink()
        with pytest.raises(DataError, match=r"messages .* cannot be read"):
            replay(run, config=settings)
    finally:
        path.write_bytes(kept)


def test_other_orders_have_no_answer_in_a_record(at_venue: tuple[Settings, str]) -> None:
    settings, run = at_venue
    with pytest.raises(Refused, match="holds no answer to orders that were never sent"):
        what_if(run, {"limits.max_order_shares": 50}, config=settings)


def test_a_run_that_was_cut_off_has_no_sealed_messages(at_venue: tuple[Settings, str]) -> None:
    settings, run = at_venue
    found = [e for e in Desk(settings).journal.events(kinds=("run.sealed",)) if e.payload["run_id"] == run]
    assert len(found) == 1
    with pytest.raises(DataError, match="were never sealed"):
        replaying.messages_hash([], run)


def test_halts_of_one_symbol_are_placed_and_lifted_again(settings: Settings) -> None:
    """A symbol that is halted before the session and between its steps denies in the replay as well."""
    journal = open_journal(settings, read_only=False)
    halt = {"account": settings.account, "level": "symbol", "target": "FB", "state": "HALTED",
            "reason": "news", "cause": "person", "person": "grace"}  # fmt: skip
    journal.commit([Event("halt.placed", halt)])
    journal.commit([Event("symbol.disabled", {
        "account": settings.account, "symbol": "GOOG", "reason": "throttle", "at_ns": 1,
    })])  # fmt: skip
    journal.close()
    run = answered(settings, {3: "approved"})
    report = replay(run, config=settings)
    assert report.identical, report.first_divergence
    line = Desk(settings).timeline(run)
    assert line.at(line.last_seq).halts == ("symbol FB: news",)
    assert line.at(line.last_seq).disabled == ("GOOG",)


def test_a_copy_holds_nothing_that_wants_the_lease_ticket_run_or_alert_of_another_process() -> None:
    """A replay leaves those out, so whatever names one of them would be refused without it."""
    of_a_process = {"lease", "owner_token", "holder", "token", "ticket_hash", "run_id", "alert_id"}
    naming = {kind for kind, fields in FIELDS.items() if of_a_process & set(fields)}
    assert {"schedule.counted", "schedule.missed", "run.pruned", "alert.judged"} <= naming
    assert {kind for kind in naming if not kind.startswith(replaying._OF_A_PROCESS)} == set()
