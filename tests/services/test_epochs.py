"""A desk whose account at the venue changes: one journal ends and the next begins, at any crash."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import socketserver
import sqlite3
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import drive
import pytest

from tests.support.loopback_venue import VenueHands, venue_in_thread
from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.journal.kinds import FIELDS
from workbench.adapters.process_lock import process_lock
from workbench.adapters.venue_server.wire import identity
from workbench.bootstrap import admin, epochs, signing
from workbench.bootstrap.adoption import adopt
from workbench.bootstrap.alerts import DeliveryThread, alert_channels
from workbench.bootstrap.demo import prepare
from workbench.bootstrap.desk import Desk, DeskPaths, open_journal
from workbench.bootstrap.epochs import begin_epoch, desk_epochs
from workbench.bootstrap.replay import replay
from workbench.bootstrap.signing import Credentials
from workbench.bootstrap.status import desk_status
from workbench.bootstrap.watchdog_eyes import Door
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.inheritance import CARRIED, LEFT_BEHIND
from workbench.core.orders import TERMINAL, OrderState
from workbench.core.ports import Event
from workbench.errors import (
    ApprovalRequired,
    JournalConflict,
    JournalCorrupt,
    LeaseLost,
    Refused,
    StorageFailed,
    UsageError,
)
from workbench.services.epochs import beginning, epoch_of, require_closable, require_later
from workbench.services.people import People
from workbench.services.promotion import accepted_models

UNIVERSE = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
WHO = {"person": "operator", "reason": "the paper account was reset"}
AS_OF = "2013-01-31"
PHRASE = "correct horse battery staple of the desk"
FORMER, NEXT, THIRD = (identity("account", name) for name in ("former", "next", "third"))


@pytest.fixture(scope="module")
def venues() -> Iterator[dict[str, VenueHands]]:
    """The former account and the one that took its place, each with its own keys."""
    with contextlib.ExitStack() as stack:
        yield {
            name: stack.enter_context(
                venue_in_thread(
                    account=name, symbols=UNIVERSE, matching="daily", start="2013-01-31T21:00:00Z",
                    cash_usd=cash,
                )
            )
            for name, cash in (("former", 1_000_000), ("next", 250_000))
        }  # fmt: skip


def pointed_at(folder: Path, venue: VenueHands, **changes: str) -> Settings:
    """The desk's settings with this venue's address, and its keys in the environment."""
    os.environ["WORKBENCH_SECRETS__VENUE_KEY"] = venue.key
    os.environ["WORKBENCH_SECRETS__VENUE_SECRET"] = venue.secret
    named = {
        "venue.broker": '"alpaca"', "venue.url": f'"{venue.rest}"',
        "venue.admin_url": f'"{venue.addresses["admin"]}"', **changes,
    }  # fmt: skip
    text = DEFAULT_TOML
    for name, value in named.items():
        section, key = name.split(".")
        text, count = re.subn(rf"(?ms)^(\[{section}\]$.*?^{key} = )[^\n]*", rf"\g<1>{value}", text, count=1)
        assert count == 1, name
    folder.mkdir(exist_ok=True)
    (folder / "workbench.toml").write_text(text)
    return load_settings(str(folder / "workbench.toml"))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, venues: dict[str, VenueHands]) -> Path:
    """A desk that has adopted the former account, with people, halts, a trial and an order."""
    settings = pointed_at(tmp_path_factory.mktemp("lived") / "desk", venues["former"])
    admin.init(settings.file)
    with open_journal(settings, read_only=False) as journal:
        People(journal).add("operator", role="operator")
        People(journal).add("visitor", role="viewer")
    adopt(settings, as_of_session=AS_OF, person="operator", reason="opened")
    with open_journal(settings, read_only=False) as journal:
        done = journal.commit(history(settings.account))
        placed = next(event.seq for event in done if event.kind == "halt.placed")
        lifted = {"account": settings.account, "level": "symbol", "target": "FB", "reason": "over",
                  "person": "operator", "second": "", "weaker": False, "placed_seq": placed}  # fmt: skip
        journal.commit([Event("halt.lifted", lifted)])
    return settings.folder


@pytest.fixture
def former(lived: Path, tmp_path: Path, venues: dict[str, VenueHands]) -> Settings:
    """A copy of that desk, whose settings name the next account already."""
    shutil.copytree(lived, tmp_path / "desk")
    return pointed_at(tmp_path / "desk", venues["next"])


def history(account: str) -> list[Event]:
    """What a desk records in its life, as far as an epoch cares."""
    order = {
        "client_order_id": "wb1-1", "account": account, "strategy": "trend", "session": "2013-02-01",
        "scheduled_ns": 7, "symbol": "AAPL", "leg": "entry", "side": "buy", "quantity_nano": 10**9,
        "order_type": "market", "limit_micro": 0, "reference_micro": 10**6, "expected_cost_micro": 1,
        "parent_id": "", "decision_id": "d",
    }  # fmt: skip
    placed = {
        "account": account,
        "level": "symbol",
        "state": "HALTED",
        "cause": "person",
        "person": "operator",
    }
    return [
        Event("state.changed", {
            "account": account, "state": "ACTIVE", "epoch": 1, "reason": "go", "cause": "person",
            "person": "operator", "code_hash": "h"}),
        Event("halt.placed", {**placed, "target": "FB", "reason": "news"}),
        Event("halt.placed", {**placed, "target": "IBM", "reason": "strange prints"}),
        Event("halt.placed", {
            "account": "", "level": "system", "target": "all", "state": "HALTED", "reason": "inspection",
            "cause": "person", "person": "operator"}),
        Event("symbol.disabled", {"account": account, "symbol": "GOOG", "reason": "repeats", "at_ns": 1}),
        Event("limits.changed", {
            "account": account, "limits": "{}", "config_hash": "c", "changes": [], "first": "", "second": "",
            "weaker": False, "reason": "the first", "effective_wall_ns": 1}),
        Event("trial.recorded", {
            "trial_id": "t", "family": "f", "parameters": "{}", "source": "s", "series_id": "x",
            "first_session": "2013-01-02", "last_session": "2013-01-31", "rows": 20, "model_id": ""}),
        Event("model.registered", {"model_id": "first", "manifest": "{}"}),
        Event("model.staged", {"model_id": "first", "stage": "replay", "person": "operator", "reason": "go"}),
        Event("schedule.paused", {"job": "trading_loop", "person": "operator", "reason": "holiday"}),
        Event("run.started", {
            "run_id": "trading_loop/2013-02-01.1", "job": "trading_loop", "session": "2013-02-01",
            "attempt": 1, "parameters_hash": "p", "code_hash": "h"}),
        Event("run.finished", {
            "run_id": "trading_loop/2013-02-01.1", "status": "done", "exit_code": 0, "reason": "",
            "notebook": ""}),
        Event("alert.raised", {"account": account, "code": "DESK_HALTED", "text": "look", "at_ns": 3}),
        Event("order.intended", {**order, "verdict": "allowed"}),
        Event("order.changed", {"client_order_id": "wb1-1", "state": "SENT", "at_ns": 8}),
        Event("order.changed", {
            "client_order_id": "wb1-1", "state": "REJECTED", "at_ns": 9, "venue_order_id": "v"}),
    ]  # fmt: skip


def begin(settings: Settings, account: str = NEXT, **changes: Any) -> Any:
    return begin_epoch(settings, account, **{**WHO, **changes})


def held(settings: Settings, epoch: int, *projections: str) -> dict[str, list[dict[str, Any]]]:
    """Rows without their place in a chain."""
    places = ("seq", "added_seq", "alert_id")
    with open_journal(settings, read_only=True, epoch=epoch) as journal:
        return {
            name: [{k: v for k, v in row.items() if k not in places} for row in journal.rows(name)]
            for name in projections
        }


DECIDED = (
    "people", "person_keys", "key_history", "limits_in_force", "halts", "disabled_symbols", "trials",
    "pauses", "runs", "state", "configs", "acts",
)  # fmt: skip


def test_another_account_is_another_epoch_with_the_people_and_halts_and_nothing_of_the_books(
    former: Settings, venues: dict[str, VenueHands]
) -> None:
    ArmedFileOnDisk(Desk(former).paths.armed).write(former.account, 1)
    with pytest.raises(Refused, match="belongs to account") as caught:
        admin.reconcile(former)
    assert f"workbench adopt --new-account {NEXT}" in str(caught.value.next_step)

    begun = begin(former)
    assert (begun.number, begun.venue_account, begun.predecessor) == (2, NEXT, FORMER)
    assert begin(former) == begun  # done twice, it is done once
    one, two = desk_epochs(former)
    assert (one.closed, two.closed, two.follows) == (True, False, True)
    assert (one.venue_account, two.venue_account) == (FORMER, NEXT)

    assert held(former, 1, *DECIDED) == held(former, 2, *DECIDED)
    halts = {row["target"]: row["state"] for row in held(former, 2, "halts")["halts"]}
    assert halts == {"FB": "ACTIVE", "IBM": "HALTED", "all": "HALTED"}
    books = held(former, 2, "orders", "fills", "postings", "sessions", "decisions", "leases", "tickets")
    assert not any(books.values())
    assert [row["text"] for row in held(former, 2, "outbox")["outbox"]] == ["look"]
    assert admin.permission(former).state == "HALTED"
    assert not Desk(former).paths.armed.exists()

    with open_journal(former, read_only=True) as journal:
        first = journal.events()[0]
        assert first.kind == "epoch.begun"
        assert (first.payload["predecessor_seq"], first.payload["predecessor_hash"]) == (
            one.events,
            one.head_hash,
        )
    for number in (1, 2):
        with open_journal(former, read_only=True, epoch=number, with_key=True) as journal:
            assert journal.verify().ok
            assert journal.export(former.folder / f"copy-{number}")["events"] == journal.head()[0]

    pointed_at(former.folder, venues["former"])  # the approved account, and no other, opens these books
    with pytest.raises(Refused, match=f"belongs to account {NEXT}"):
        adopt(load_settings(str(former.file)), as_of_session=AS_OF, person="operator", reason="cash")
    pointed_at(former.folder, venues["next"])
    adopted = adopt(former, as_of_session=AS_OF, person="operator", reason="the new cash")
    assert adopted.cash_micro == 250_000 * 10**6
    assert admin.reconcile(former) == ()
    with open_journal(former, read_only=True) as journal:
        own = epoch_of(journal, former.account)
        with pytest.raises(Refused, match="earlier desk epoch"):
            require_later(journal, account=former.account, session="2013-02-01")
        require_later(journal, account=former.account, session="2013-02-04")
    assert own.last_session == "2013-02-01"


def test_every_kind_of_event_is_carried_or_left_behind_by_name() -> None:
    assert set(FIELDS) == CARRIED | LEFT_BEHIND
    assert not CARRIED & LEFT_BEHIND


def test_a_closed_journal_takes_no_event_from_anybody(former: Settings) -> None:
    with open_journal(former, read_only=False) as old:
        begin(former)
        before = old.head()
        with pytest.raises(JournalConflict, match="is closed: a later desk epoch"):
            People(old).add("late", role="operator")
        with pytest.raises(JournalConflict, match="is closed"):
            old.acquire_lease(former.account, "elsewhere", ttl_ns=10**9)
        assert old.head() == before
    with contextlib.closing(sqlite3.connect(DeskPaths(former.desk_path, 1).journal)) as raw:
        with pytest.raises(sqlite3.IntegrityError, match="closed for good"):
            raw.execute("INSERT INTO events SELECT seq + 1, at_ns, kind, payload, '', '', '' FROM events")


@pytest.mark.parametrize("last", ["INTENDED", "SENT", "UNKNOWN", "ACCEPTED", "NOT_ACCEPTED"])
def test_an_order_that_is_not_final_keeps_the_epoch_open(former: Settings, last: str) -> None:
    (order,) = [event for event in history(former.account) if event.kind == "order.intended"]
    steps = {"INTENDED": (), "SENT": ("SENT",)}.get(last, ("SENT", last))
    with open_journal(former, read_only=False) as journal:
        journal.commit([Event(order.kind, {**order.payload, "client_order_id": "wb1-2"})])
        for state in steps:
            venue = {"venue_order_id": "v2"} if state == "ACCEPTED" else {}
            journal.commit(
                [Event("order.changed", {"client_order_id": "wb1-2", "state": state, "at_ns": 9, **venue})]
            )
    with pytest.raises(Refused, match=f"wb1-2 .AAPL, {last}."):
        begin(former)
    still_open(former)


def still_open(settings: Settings) -> None:
    """One epoch, not closed, held by nobody."""
    (only,) = desk_epochs(settings)
    assert not only.closed
    with open_journal(settings, read_only=True) as journal:
        assert all(row["released"] for row in journal.rows("leases"))
        assert journal.events(kinds=("epoch.closed",)) == ()


def test_every_state_but_the_terminal_ones_is_asked_for(former: Settings) -> None:
    asked = []

    class Asking:
        def rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
            asked.append(equals.get("state"))
            return []

    require_closable(Asking(), former.account)  # type: ignore[arg-type]
    assert set(asked) - {None} == {str(state) for state in OrderState if state not in TERMINAL}


def test_what_keeps_an_epoch_from_ending(former: Settings, venues: dict[str, VenueHands]) -> None:
    with pytest.raises(Refused, match=f"the keys open account {NEXT} at the venue, not {THIRD}"):
        begin(former, THIRD)
    with pytest.raises(UsageError, match="not named"):
        begin(former, "")
    number = f"PA{identity('number', 'former')[:8].upper()}"  # the venue's other name of the same account
    with pytest.raises(Refused, match="still open the former account"):
        begin(pointed_at(former.folder, venues["former"], **{"venue.account_id": f'"{number}"'}), number)
    pointed_at(former.folder, venues["next"])
    with pytest.raises(ApprovalRequired, match="not registered"):
        begin(former, person="stranger")
    with pytest.raises(ApprovalRequired, match="viewer"):
        begin(former, person="visitor")
    with pytest.raises(UsageError, match="reason"):
        begin(former, reason=" ")
    with process_lock(Desk(former).paths.lock), pytest.raises(Refused, match="is held"):
        begin(former)
    with open_journal(former, read_only=False) as journal:
        lease = journal.acquire_lease(former.account, "elsewhere:1:x", ttl_ns=10**12)
        with pytest.raises(LeaseLost, match="held by elsewhere"):
            begin(former)
        journal.release_lease(lease)
    folder, venue = former.folder, venues["next"]
    with pytest.raises(Refused, match="venue in this process"):
        begin(pointed_at(folder, venue, **{"venue.broker": '"embedded"'}))
    with pytest.raises(Refused, match="kept by a server"):
        begin(pointed_at(folder, venue, **{"journal.url": '"postgresql+psycopg://user@localhost/desk"'}))
    still_open(pointed_at(folder, venue))


def test_a_journal_of_two_accounts_does_not_end_with_one_of_them(former: Settings) -> None:
    with open_journal(former, read_only=False) as journal:
        (change,) = [event for event in history("other") if event.kind == "state.changed"]
        journal.commit([change])
    with pytest.raises(Refused, match="belongs to account other too"):
        begin(former)
    still_open(former)


def test_a_damaged_journal_does_not_end(former: Settings) -> None:
    with contextlib.closing(sqlite3.connect(Desk(former).paths.journal)) as raw:
        raw.execute("UPDATE people SET role = 'approver'")
        raw.commit()
    with pytest.raises(JournalCorrupt, match="is damaged"):
        begin(former)
    still_open(former)


def test_a_desk_that_signs_takes_no_unsigned_word_and_no_wrong_signature(
    former: Settings, venues: dict[str, VenueHands]
) -> None:
    signing.set_key(
        former,
        "operator",
        key=signing.new_key(ssh_key=None, passphrase=PHRASE),
        by="operator",
        reason="signs",
    )
    strict = pointed_at(former.folder, venues["next"], **{"people.signatures_required": "true"})
    with pytest.raises(ApprovalRequired, match="did not sign"):
        begin(strict)
    with pytest.raises(Refused, match="passphrase"):
        begin(strict, credentials=Credentials(lambda: "another passphrase of nobody", None))
    still_open(former)
    assert begin(strict, credentials=Credentials(lambda: PHRASE, None)).number == 2
    assert signing.verify(strict).problems == ()
    (act,) = [row for row in held(strict, 2, "acts")["acts"] if row["act"] == "begin epoch"]
    assert act["signature"]
    with open_journal(strict, read_only=False) as journal, pytest.raises(JournalConflict):
        journal.commit([Event("act.recorded", {**act, "nonce": act["nonce"]})])  # a word is good once


# --- killed at any step -----------------------------------------------------------------------------------


def killed_at(settings: Settings, step: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the process that begins the epoch was killed before its `step`-th look at the disk."""
    child = os.fork()
    if child == 0:  # the venue is not asked: nothing of it is on disk
        monkeypatch.setattr(epochs, "_require_at_venue", lambda *given: None)
        count = 0

        def look(name: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if name not in STEPS or (name == "open" and not arguments[2] & WRITES):
                return
            count += 1
            if count > step:
                os.kill(os.getpid(), signal.SIGKILL)

        def statement(text: str) -> None:
            if not text.lstrip("( ").startswith(("SELECT", "PRAGMA")):
                look("statement", ())

        def connect(*given: Any, **more: Any) -> sqlite3.Connection:
            connection = real(*given, **more)
            if given[0] != ":memory:":
                connection.set_trace_callback(statement)
            return connection

        real = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", connect)
        sys.addaudithook(look)
        try:
            begin(settings)
            (settings.folder / "steps").write_text(str(count))
        except BaseException:
            traceback.print_exc()
            os._exit(9)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


#: What Python tells of a process that changes a disk; each statement that changes a database is one besides.
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
STEPS = ("statement", "open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "fcntl.flock", "os.truncate")


def one_epoch_in_force(settings: Settings) -> bool:
    """Whether the new one is; whoever starts next finds one that takes events, and all before closed."""
    with open_journal(settings, read_only=False) as journal:
        journal.commit([Event("alert.raised", {"account": "x", "code": "TEST", "text": "t", "at_ns": 1})])
    *former, last = desk_epochs(settings)
    assert not last.closed
    assert all(one.closed for one in former)
    assert all(one.follows for one in (*former, last))
    for number in range(1, last.number + 1):
        with open_journal(settings, read_only=True, epoch=number, with_key=True) as journal:
            assert journal.verify().ok
    return last.number == 2


def every_step(
    lived: Path, tmp_path: Path, venue: VenueHands, steps: Sequence[int], patch: Any
) -> list[bool]:
    """For each step: killed there, whether the new epoch was in force at the next start."""
    found = []
    for step in steps:
        folder = tmp_path / f"killed-{step}"
        shutil.copytree(lived, folder)
        settings = pointed_at(folder, venue)
        if not killed_at(settings, step, patch):
            break
        with open_journal(settings, read_only=False) as journal:  # the next start of anything
            found.append(epoch_of(journal, settings.account).number == 2)
        assert not found[-1] or not Desk(settings).paths.armed.exists()
        assert begin(settings).number == 2
        assert one_epoch_in_force(settings)
        shutil.rmtree(folder)
    return found


def steps_in_all(lived: Path, tmp_path: Path, venue: VenueHands, patch: Any) -> int:
    """Steps of an epoch that nobody kills."""
    shutil.copytree(lived, tmp_path / "count")
    assert not killed_at(pointed_at(tmp_path / "count", venue), sys.maxsize, patch)
    return int((tmp_path / "count" / "steps").read_text())


def test_a_kill_at_some_steps_leaves_one_epoch_in_force(
    lived: Path, tmp_path: Path, venues: dict[str, VenueHands], monkeypatch: pytest.MonkeyPatch
) -> None:
    last = steps_in_all(lived, tmp_path, venues["next"], monkeypatch)
    assert last > 50
    some = [last // 4, last // 2, last * 3 // 4, last - 1]
    found = every_step(lived, tmp_path, venues["next"], some, monkeypatch)
    assert len(found) == len(some)
    assert found == sorted(found)  # once it is closed it never comes back
    assert {False, True} == set(found)


@pytest.mark.prove
def test_a_kill_at_every_step_leaves_one_epoch_in_force(
    lived: Path, tmp_path: Path, venues: dict[str, VenueHands], monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    last = steps_in_all(lived, tmp_path, venues["next"], monkeypatch)
    record_property("steps", last)
    found = every_step(lived, tmp_path, venues["next"], range(last), monkeypatch)
    assert len(found) == last
    assert found == sorted(found)
    assert {False, True} == set(found)


def test_the_next_epoch_is_a_function_of_the_closed_journal(former: Settings) -> None:
    begin(former)
    made = desk_epochs(former)[-1]
    shutil.rmtree(former.desk_path / "epochs")
    (former.desk_path / "journal.reached").unlink()
    with open_journal(former, read_only=False):  # the start of anything
        pass
    assert desk_epochs(former)[-1] == made


def test_a_disk_that_takes_no_folder_leaves_the_rest_to_the_next_start(
    former: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (former.desk_path / "epochs").write_text("in the way")
    with pytest.raises(StorageFailed, match="cannot be written"):
        begin(former)
    (former.desk_path / "epochs").unlink()
    assert one_epoch_in_force(former)


def test_an_epoch_whose_folder_is_gone_is_no_epoch_that_never_was(former: Settings) -> None:
    begin(former)
    shutil.rmtree(former.desk_path / "epochs" / "2")
    for read_only in (True, False):
        with pytest.raises(JournalCorrupt, match="is missing"):
            open_journal(former, read_only=read_only)


def test_the_state_that_an_epoch_begins_with_names_its_own_page(former: Settings) -> None:
    begin(former)
    found = desk_status(former)
    assert (found["state"], found["runbook"]) == ("HALTED", "docs/runbooks/a-new-epoch-begins.md")


@pytest.mark.parametrize("lost", ["epochs/2", "epochs"])
def test_a_crash_before_the_note_is_mended_before_anything_is_written(former: Settings, lost: str) -> None:
    begin(former)
    for note in ("epochs/reached", "journal.reached"):  # the rename was the last thing that happened
        (former.desk_path / note).unlink()
    with open_journal(former, read_only=False):
        pass
    shutil.rmtree(former.desk_path / lost)
    for read_only in (True, False):
        with pytest.raises(JournalCorrupt, match="is missing"):
            open_journal(former, read_only=read_only)


def test_a_model_is_handed_down_with_its_record_or_not_at_all(former: Settings, tmp_path: Path) -> None:
    staged = {"model_id": "m", "stage": "paper", "person": "operator", "reason": "fit"}
    with open_journal(former, read_only=False) as journal:
        journal.commit([
            Event("model.registered", {"model_id": "m", "manifest": "{}"}),
            Event("promotion.judged", {
                "model_id": "m", "stage": "paper", "passed": True, "evidence_hash": "e", "trials": 1,
                "clusters": 1, "attempt": 1, "reasons": []}),
            Event("model.staged", staged),
        ])  # fmt: skip
    begin(former)
    assert held(former, 2, "models", "judgements") == held(former, 1, "models", "judgements")
    with open_journal(former, read_only=True, epoch=1) as closed:
        first, carried = beginning(closed.events(), [])
    bare = [event for event in carried if event.kind != "promotion.judged"]
    with JournalDatabase(
        f"sqlite:///{tmp_path / 'bare.sqlite'}", anchor_path=tmp_path / "bare.anchor", anchor_key=b"k" * 32,
        config_hash="c", wall_ns=lambda: 1,
    ) as journal, pytest.raises(JournalConflict, match="was not judged fit for paper"):  # fmt: skip
        journal.begin_from(first, bare)


def test_an_archive_hides_neither_the_account_nor_the_people(former: Settings, tmp_path: Path) -> None:
    file = tmp_path / "old.parquet"
    with open_journal(former, read_only=False) as journal:
        before = epoch_of(journal, former.account)
        journal.archive("9999", file, person="operator", reason="long ago")
        assert epoch_of(journal, former.account) == before
        assert before.venue_account == FORMER
        assert accepted_models(journal, "replay") == ("first",)
        assert journal.verify([file]).ok
    with pytest.raises(Refused, match="belongs to account"):  # the keys open another one, archived or not
        admin.reconcile(former)
    with pytest.raises(JournalCorrupt, match="archive files hold"):
        begin(former)
    still_open(former)
    assert begin(former, archives=[file]).number == 2
    assert held(former, 1, *DECIDED) == held(former, 2, *DECIDED)
    with open_journal(former, read_only=False) as journal:
        journal.archive("9999", tmp_path / "second.parquet", person="operator", reason="again")
        found = epoch_of(journal, former.account)
        assert accepted_models(journal, "replay") == ("first",)
    assert (found.number, found.predecessor, found.last_session) == (2, FORMER, "2013-02-01")


def test_a_third_account_follows_the_second(former: Settings, venues: dict[str, VenueHands]) -> None:
    begin(former)
    back = pointed_at(former.folder, venues["former"])
    adopted = pointed_at(former.folder, venues["next"])
    adopt(adopted, as_of_session=AS_OF, person="operator", reason="the new cash")
    third = begin(pointed_at(former.folder, venues["former"]), FORMER)  # back to the account of the first
    assert (third.number, third.predecessor, third.last_session) == (3, NEXT, "2013-02-01")
    assert [one.closed for one in desk_epochs(back)] == [True, True, False]
    assert all(one.follows for one in desk_epochs(back))
    assert held(back, 1, "halts", "trials") == held(back, 3, "halts", "trials")


def test_a_watchdog_follows_to_the_journal_in_force(former: Settings) -> None:
    door, told = Door(former), []
    delivery = DeliveryThread(former, alert_channels(former), trouble=told.append)
    try:
        assert door.open().events(kinds=("epoch.begun",)) == ()
        delivery._look()
        begin(former)
        assert len(door.open().events(kinds=("epoch.begun",))) == 1
        delivery._look()  # what nobody has dealt with is told by the journal in force
        with open_journal(former, read_only=True) as journal:
            assert [row["status"] for row in journal.rows("outbox")] != ["pending"]
    finally:
        door.drop()
        delivery._close()


class _Pipe(socketserver.BaseRequestHandler):
    """One connection, carried on to where the address leads now."""

    def handle(self) -> None:
        with socket.create_connection(self.server.leads_to) as behind:  # type: ignore[attr-defined]
            ends = {self.request: behind, behind: self.request}
            while True:
                for end in select.select([*ends], [], [])[0]:
                    try:
                        data = end.recv(65_536)
                    except ConnectionError:
                        data = b""
                    if not data:
                        return
                    ends[end].sendall(data)


@contextlib.contextmanager
def address() -> Iterator[tuple[str, Callable[[str], None]]]:
    """An address of this machine, and what decides where it leads: settings outlive an account."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Pipe) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()

        def lead_to(url: str) -> None:
            server.leads_to = urlsplit(url).hostname, urlsplit(url).port  # type: ignore[attr-defined]

        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", lead_to
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.prove
def test_a_desk_trades_on_with_its_model_and_the_former_epoch_is_replayed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "desk"
    options = {"symbols": UNIVERSE, "matching": "daily", "cash_usd": 1_000_000}
    with contextlib.ExitStack() as stack:
        rest, admin_url = stack.enter_context(address()), stack.enter_context(address())

        def serve(account: str, start: str) -> Settings:
            venue = stack.enter_context(venue_in_thread(account=account, start=start, **options))
            rest[1](venue.rest)
            admin_url[1](venue.addresses["admin"])
            places = {"venue.url": f'"{rest[0]}"', "venue.admin_url": f'"{admin_url[0]}"'}
            places["venue.answer_timeout_s"] = "60.0"  # a busy machine is no silent venue
            return pointed_at(folder, venue, **places)

        settings = serve("former", "2013-01-31T21:00:00Z")
        for _ in prepare(settings.file):
            pass
        first = drive.trade(settings, drive.FIRST)
        assert first["equal_to_venue"]
        run = recorded(settings, drive.FIRST)
        settings = serve("next", "2013-02-01T21:00:00Z")
        with pytest.raises(Refused, match="belongs to account"):
            drive.trade(settings, "2013-02-04")
        begin(settings)
        adopt(settings, as_of_session=drive.FIRST, person="operator", reason="the new cash")
        assert admin.permission(settings).state == "HALTED"
        admin.resume(settings, person="operator", reason="looked at the new books")
        with pytest.raises(Refused, match="earlier desk epoch"):
            drive.trade(settings, drive.FIRST)
        second = drive.trade(settings, "2013-02-04")
        assert second["equal_to_venue"]
        assert ids(settings, 1)
        assert ids(settings, 2)
        assert not ids(settings, 1) & ids(settings, 2)  # an id names one order of the desk's whole life
        assert admin.reconcile(settings) == ()
        for name, session in ((run, first), (recorded(settings, "2013-02-04"), second)):
            report = replay(name, config=settings)
            assert report.identical
            assert report.recorded_digest == session["digest"]


def ids(settings: Settings, epoch: int) -> set[str]:
    return {row["client_order_id"] for row in held(settings, epoch, "orders")["orders"]}


def recorded(settings: Settings, session: str) -> str:
    with open_journal(settings, read_only=True) as journal:
        inputs = [event.payload for event in journal.events(kinds=("run.inputs",))]
    return next(str(one["run_id"]) for one in inputs if one["session"] == session)
