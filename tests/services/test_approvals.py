"""Orders that wait for a person: approved they leave once, in every other case they never leave."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drive
import pytest
from command_line import program

from workbench.adapters.signing import Credentials, Ed25519Signing, passphrase_key
from workbench.bootstrap import admin, approving, killing, signing
from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.canonical import canonical_json
from workbench.core.ports import Event
from workbench.core.types import NANO
from workbench.errors import ApprovalRequired, JournalConflict, Refused, UsageError
from workbench.services.people import People

SESSION = "2013-02-01"
PHRASE = "words that grace alone knows"
GRACE = Credentials(lambda: PHRASE)
GOOD = {"verdict": "approved", "person": "grace", "reason": "looked at it", "credentials": GRACE}


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a desk where every order waits; resumed, never traded in itself."""
    folder = tmp_path_factory.mktemp("waiting")
    toml = DEFAULT_TOML.replace("edge_multiple = 1.0", "edge_multiple = 0.2")  # more than one order a session
    settings = drive.make_desk(folder, toml.replace("\nrequired = false", "\nrequired = true", 1))
    assert settings.approvals.required
    signing.add_person(settings, "grace", role="approver", key=passphrase_key(PHRASE))
    signing.add_person(settings, "bob", role="approver")
    signing.add_person(settings, "eve", role="viewer")
    return drive.put_aside(folder)


@pytest.fixture
def settings(waiting: Path, tmp_path: Path) -> Settings:
    shutil.copytree(waiting, tmp_path / "desk")
    return load_settings(str(tmp_path / "desk" / "workbench.toml"))


class Loop:
    """The trading loop of the first session in this process; `during` runs once, while it watches."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.job = drive.start(settings, SESSION)
        self.trading = self.job.trading
        self.trading.start()
        for scheduled_ns in self.trading.times.decision_ns:
            self.trading.decide(scheduled_ns)

    def at_venue(self) -> list[str]:
        """Client ids of the orders that the venue holds."""
        return [order.client_order_id for order in self.job.account.broker.orders(since_ns=0)]

    def watch(self, during: Callable[[], object] = lambda: None) -> dict[str, str]:
        """State of each order by symbol at the end of the session."""
        calls = []

        def once(at_ns: int) -> None:
            if not calls:
                calls.append(at_ns)
                during()

        self.trading.watch(once)
        self.trading.close()
        self.job.finish()
        return states(self.settings)


def states(settings: Settings) -> dict[str, str]:
    """State by symbol of the orders that the controls let pass."""
    return {row["symbol"]: row["state"] for row in passed(settings)}


def passed(settings: Settings) -> list[dict[str, Any]]:
    rows = Desk(settings).journal.rows("orders")
    held = {row["approval_id"] for row in Desk(settings).journal.rows("approvals")}
    return [row for row in rows if row["client_order_id"] in held or row["state"] != "DENIED"]


def accepted(settings: Settings) -> list[str]:
    """Client ids of the orders that the embedded venue took, from its own record."""
    with closing(sqlite3.connect(Desk(settings).paths.venue)) as database:
        rows = database.execute(
            "SELECT json_extract(command, '$.client_order_id') FROM commands"
            " WHERE json_extract(command, '$.kind') = 'submit' AND json_extract(reply, '$.ok')"
        )
        return [row[0] for row in rows]


def asked(settings: Settings) -> list[dict[str, Any]]:
    return approving.pending(settings)["orders"]


def refused(settings: Settings) -> list[str]:
    events = Desk(settings).journal.events(kinds=("act.refused",))
    return [str(event.payload["why"]) for event in events]


# --- the life of a request -------------------------------------------------------------------------------


def test_approved_leaves_declined_and_unanswered_never_do(settings: Settings) -> None:
    loop = Loop(settings)
    assert set(states(settings).values()) == {"AWAITING_APPROVAL"}
    assert loop.at_venue() == []
    rows = asked(settings)
    assert len(rows) >= 2
    first, second, *rest = rows
    assert first["position_after"] - first["position_before"] == first["shares"]
    assert first["waits_because"] == ["every order waits"]
    assert first["bid"] <= first["ask"]
    assert 0 < first["expires_in_s"] <= settings.approvals.life_s
    assert [row["code"] for row in Desk(settings).journal.rows("alerts")].count("APPROVAL_WAITING") == 1

    def decide() -> None:
        approving.answer(settings, first["id"], seen_hash=first["hash"][:8], **GOOD)
        approving.answer(settings, second["id"][:12], **{**GOOD, "verdict": "declined"})

    ended = loop.watch(decide)
    assert ended[first["symbol"]] in ("FILLED", "PARTIALLY_FILLED", "EXPIRED", "CANCELED")
    assert ended[second["symbol"]] == "DECLINED"
    assert {ended[row["symbol"]] for row in rest} <= {"EXPIRED_UNSENT"}
    assert accepted(settings) == [first["id"]]
    journal = Desk(settings).journal
    told = {row["approval_id"]: row["state"] for row in journal.rows("approvals")}
    assert (told[first["id"]], told[second["id"]]) == ("used", "declined")
    assert {told[row["id"]] for row in rest} <= {"over"}
    assert People(journal, signing=Ed25519Signing()).verify()[2] == ()
    assert journal.verify().ok
    assert asked(settings) == []


def test_a_process_of_its_own_approves_while_the_loop_waits(settings: Settings, tmp_path: Path) -> None:
    phrase = tmp_path / "phrase"
    phrase.write_text(PHRASE)
    loop = Loop(settings)
    row = asked(settings)[0]
    answers = []

    def decide() -> None:
        answers.append(program(
            settings.folder, "approve", row["id"], "--person", "grace", "--reason", "seen",
            "--passphrase-file", str(phrase), "--json",
        ))  # fmt: skip

    loop.watch(decide)
    assert answers[0].code == 0, answers[0]
    assert answers[0].payload == {"id": row["id"], "verdict": "approved", "person": "grace"}
    assert accepted(settings) == [row["id"]]


def test_by_default_no_order_waits_and_a_lower_threshold_makes_the_large_ones_wait(
    new_desk: Callable[[str], Settings],
) -> None:
    settings = new_desk("plain")
    loop = Loop(settings)
    assert asked(settings) == []
    assert "AWAITING_APPROVAL" not in states(settings).values()
    loop.watch()
    assert accepted(settings)


# --- refused with what to do, journalled, nothing sent ----------------------------------------------------

REFUSALS: list[tuple[dict[str, Any], type[Exception], str, str]] = [
    ({"person": "eve"}, ApprovalRequired, "eve is a viewer", "operator or an approver"),
    ({"person": "operator"}, ApprovalRequired, "takes an approver", "people list"),
    ({"person": "mallory"}, ApprovalRequired, "not registered", "people add"),
    ({"reason": " "}, UsageError, "a reason is required", "--reason"),
    ({"named": "wb1-none"}, ApprovalRequired, "no request", "workbench pending"),
    ({"named": ""}, UsageError, "no request is named", "workbench pending"),
    ({"named": "wb1-"}, UsageError, "names", "more of the id"),
    ({"seen_hash": "0123"}, Refused, "you looked at 0123", "workbench pending"),
    (
        {"credentials": Credentials(lambda: "somebody else's words")},
        Refused,
        "does not belong",
        "own passphrase",
    ),
    ({"file": ("seed = 20130102", "seed = 1")}, Refused, "under settings", "--config"),
    (
        {"file": ('account = "demo"', 'account = "b"')},
        ApprovalRequired,
        "belongs to account demo",
        "--config",
    ),
]


def test_every_wrong_answer_is_refused_recorded_and_nothing_is_sent(settings: Settings) -> None:
    loop = Loop(settings)
    identity = asked(settings)[0]["id"]

    def all_wrong() -> None:
        for number, (changes, error, words, step) in enumerate(REFUSALS, 1):
            answer = {"named": identity, **GOOD, **changes}
            under = settings
            if "file" in answer:
                other = settings.folder / "other.toml"
                text = (settings.folder / "workbench.toml").read_text()
                other.write_text(text.replace(*answer.pop("file")))
                under = load_settings(str(other))
            with pytest.raises(error, match=words) as caught:
                approving.answer(under, answer.pop("named"), **answer)
            assert step in caught.value.next_step
            assert len(refused(settings)) == number

    ended = loop.watch(all_wrong)
    assert set(ended.values()) == {"EXPIRED_UNSENT"}
    assert accepted(settings) == []


def test_an_expired_request_cannot_be_approved_and_its_order_ends_unsent(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = Loop(settings)
    identity, now_ns = asked(settings)[0]["id"], time.time_ns()

    def late() -> None:
        monkeypatch.setattr(time, "time_ns", lambda: now_ns + settings.approvals.life_s * NANO)
        with pytest.raises(ApprovalRequired, match="expired"):
            approving.answer(settings, identity, **GOOD)

    ended = loop.watch(late)
    assert set(ended.values()) == {"EXPIRED_UNSENT"}
    assert accepted(settings) == []
    reasons = {row["reason"] for row in passed(settings)}
    assert all("APPROVAL_EXPIRED" in reason for reason in reasons)


def test_an_answer_is_given_once_and_cannot_be_played_again(settings: Settings) -> None:
    loop = Loop(settings)
    identity = asked(settings)[0]["id"]

    def twice() -> None:
        approving.answer(settings, identity, **GOOD)
        for verdict in ("approved", "declined"):
            with pytest.raises(JournalConflict, match="approved already by grace"):
                approving.answer(settings, identity, **{**GOOD, "person": "bob", "verdict": verdict})

    loop.watch(twice)
    assert accepted(settings) == [identity]
    journal = open_journal(settings, read_only=False)
    try:
        with pytest.raises(JournalConflict, match="used already"):
            approving.answer(settings, identity, **GOOD)
        for event in journal.events(kinds=("approval.decided", "act.recorded")):
            if event.payload.get("nonce"):
                with pytest.raises(JournalConflict):
                    journal.commit([Event(event.kind, event.payload)])
    finally:
        journal.close()


# --- what changes between the approval and the request ----------------------------------------------------


def moved(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    quotes = loop.trading.approvals._broker.quotes

    def other(symbols: Any) -> Any:
        found = quotes(symbols)
        up = {name: getattr(found, name) * 102 // 100 for name in ("bid_micro", "ask_micro")}
        return dataclasses.replace(found, **up)

    patch.setattr(loop.trading.approvals, "_broker", SimpleNamespace(quotes=other))


def gone(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    quotes = loop.trading.approvals._broker.quotes
    patch.setattr(loop.trading.approvals, "_broker", SimpleNamespace(quotes=lambda symbols: quotes(())))


def other_settings(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loop.trading.approvals, "_config_hash", "0" * 64)


def other_account(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(loop.trading.approvals, "_account", "another")


def late(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    end_ns = time.time_ns() + loop.settings.approvals.life_s * NANO
    patch.setattr(time, "time_ns", lambda: end_ns)


def unsigned(loop: Loop, patch: pytest.MonkeyPatch) -> None:
    """Signatures are required, and the row points to an act that nobody signed."""
    people = People(loop.job.account.journal, signing=Ed25519Signing(), signatures_required=True)
    patch.setattr(loop.trading.approvals, "_people", people)
    edit(loop, "nonce = 'n'")


def edit(loop: Loop, change: str) -> None:
    """What somebody with the file and no manners does to the answer's row."""
    with closing(sqlite3.connect(Desk(loop.settings).paths.journal, isolation_level=None)) as database:
        database.execute(f"UPDATE approvals SET {change}")  # noqa: S608


#: How what was agreed to can be another thing when the order is about to leave, and what is said then.
CHANGED: list[tuple[str | Callable[[Loop, pytest.MonkeyPatch], None], str]] = [
    (moved, "QUOTE_MOVED"),
    (gone, "QUOTE_MOVED"),
    (other_settings, "APPROVAL_OF_ANOTHER_ORDER"),
    (other_account, "APPROVAL_OF_ANOTHER_ORDER"),
    (late, "APPROVAL_EXPIRED"),
    (unsigned, "APPROVAL_UNPROVED"),
    ("detail = replace(detail, '\"bid_micro\":', '\"bid_micro\":1')", "APPROVAL_OF_ANOTHER_ORDER"),
    ("bound_hash = '0'", "APPROVAL_OF_ANOTHER_ORDER"),
    ("person = 'bob'", "APPROVAL_UNPROVED"),
    ("person = 'operator'", "APPROVAL_UNPROVED"),
    ("expires_wall_ns = expires_wall_ns + 1", "APPROVAL_UNPROVED"),
    ("state = 'waiting'", "APPROVAL_MISSING"),
    ("state = 'over'", "APPROVAL_MISSING"),
]


def test_what_nobody_approved_does_not_pass_the_last_look(settings: Settings) -> None:
    loop = Loop(settings)
    row = asked(settings)[0]
    approving.answer(settings, row["id"], **GOOD)
    look, order = loop.trading.approvals.codes, loop.trading.oms.orders[row["id"]]
    assert look(order) == ()
    (kept,) = [r for r in Desk(settings).journal.rows("approvals") if r["approval_id"] == row["id"]]
    for change, code in CHANGED:
        with pytest.MonkeyPatch.context() as patch:
            if isinstance(change, str):
                edit(loop, change)
            else:
                change(loop, patch)
            assert look(order) == (code,), change
        for name in ("person", "bound_hash", "nonce", "state"):
            edit(loop, f"{name} = '{kept[name]}'")
        edit(
            loop, f"expires_wall_ns = {kept['expires_wall_ns']}, detail = '{canonical_json(kept['detail'])}'"
        )
        assert look(order) == (), change
    for name, value in (("quantity_nano", 2 * order.intent.quantity_nano), ("limit_micro", 1)):
        other = dataclasses.replace(order.intent, **{name: value})
        assert look(dataclasses.replace(order, intent=other)) == ("APPROVAL_OF_ANOTHER_ORDER",)
    stranger = dataclasses.replace(order.intent, client_order_id="wb1-" + "a" * 32)
    assert look(dataclasses.replace(order, intent=stranger)) == ("APPROVAL_MISSING",)
    signing.revoke(settings, "grace", by="bob", reason="left the desk")
    loop.trading.approvals.send_approved()
    (ended,) = Desk(settings).journal.rows("orders", client_order_id=row["id"])
    assert (ended["state"], ended["reason"]) == ("DENIED", "APPROVAL_UNPROVED")
    assert loop.at_venue() == []
    loop.job.account.close()


def test_the_journal_itself_refuses_sent_without_an_approval(settings: Settings) -> None:
    loop = Loop(settings)
    journal = loop.job.account.journal
    identity = asked(settings)[0]["id"]
    change = {"client_order_id": identity, "state": "SENT", "at_ns": 1}
    with pytest.raises(JournalConflict, match="nobody approved it"):
        journal.commit([Event("order.changed", change)], lease=loop.trading._authority.lease())
    loop.job.account.close()


# --- two operators, and a process that dies ----------------------------------------------------------------


def test_of_two_people_who_answer_at_once_exactly_one_is_heard(settings: Settings) -> None:
    loop = Loop(settings)
    identity = asked(settings)[0]["id"]
    ready, go = os.pipe(), os.pipe()
    children = []
    for person, verdict in (("grace", "approved"), ("bob", "declined")):
        child = os.fork()
        if not child:
            os.write(ready[1], b"r")
            os.read(go[0], 1)
            code = 1
            try:
                approving.answer(settings, identity, verdict=verdict, person=person, reason="mine")
                code = 0
            except JournalConflict:
                code = 3
            finally:
                os._exit(code)
        children.append(child)
    assert len(os.read(ready[0], 1) + os.read(ready[0], 1)) == 2
    os.write(go[1], b"gg")
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(codes) == [0, 3]
    decided = Desk(settings).journal.events(kinds=("approval.decided",))
    assert len(decided) == 1
    assert len(refused(settings)) == 1
    assert "already by" in refused(settings)[0]
    loop.job.account.close()


@pytest.mark.parametrize("approved_before_the_crash", [False, True])
def test_after_a_crash_the_orders_still_wait_and_the_approval_given_meanwhile_holds(
    settings: Settings, *, approved_before_the_crash: bool
) -> None:
    child = os.fork()
    if not child:
        try:
            loop = Loop(settings)
            if approved_before_the_crash:
                approving.answer(settings, asked(settings)[0]["id"], **GOOD)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    journal = Desk(settings).journal
    assert set(states(settings).values()) == {"AWAITING_APPROVAL"}
    assert accepted(settings) == []
    (first, *_rest) = journal.rows("approvals")
    if not approved_before_the_crash:
        approving.answer(settings, first["approval_id"], **GOOD)
    admin.resume(settings, person="operator", reason="the process died; look-ups done")
    loop = Loop(settings)
    ended = loop.watch()
    assert accepted(settings) == [first["approval_id"]]
    assert sorted(set(ended.values()) - {"EXPIRED_UNSENT"}) != []
    assert len(Desk(settings).journal.rows("decisions")) == 1


def test_a_halt_while_orders_wait_sends_nothing_that_was_approved(settings: Settings) -> None:
    loop = Loop(settings)
    identity = asked(settings)[0]["id"]

    def halted() -> None:
        approving.answer(settings, identity, **GOOD)
        killing.halt(settings, killing.HaltOrder("operator", "something is wrong"))

    with pytest.raises(Refused, match="HALTED"):
        loop.watch(halted)
    loop.job.account.close()
    assert accepted(settings) == []
    assert set(states(settings).values()) == {"EXPIRED_UNSENT"}
