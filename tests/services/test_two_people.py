"""What takes two people takes two: in the service, and again in the journal's own rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from journals import SECOND, Desk

from workbench.adapters.journal import JournalDatabase
from workbench.core.ports import Event
from workbench.errors import ApprovalRequired, JournalConflict, UsageError
from workbench.services.people import People
from workbench.services.two_people import ALONE_WAIT_S, REQUEST_LIFE_S, Agreement, TwoPeople

SUBJECT = "resume the system at epoch 12"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


@pytest.fixture
def journal(desk: Desk) -> JournalDatabase:
    return desk.open()


@pytest.fixture
def two(desk: Desk, journal: JournalDatabase) -> Callable[..., TwoPeople]:
    def make(**roles: str) -> TwoPeople:
        people = People(journal)
        for person, role in roles.items():
            people.add(person, role=role)
        return TwoPeople(journal, people, account="demo", wall_ns=desk.wall)

    return make


def test_a_second_person_confirms_and_the_journal_keeps_both_words(
    journal: JournalDatabase, two: Callable[..., TwoPeople]
) -> None:
    made = two(ada="operator", bob="approver")
    request = made.ask(SUBJECT, person="ada", reason="the cause is mended")
    assert made.ask(SUBJECT, person="ada", reason="again") == request
    agreed = made.confirm(SUBJECT, person="bob", reason="checked it")
    assert agreed == Agreement(SUBJECT, "ada", "bob", weaker=False)
    (row,) = journal.rows("agreements")
    assert (row["first"], row["second"], row["weaker"]) == ("ada", "bob", False)
    assert (row["first_reason"], row["reason"]) == ("the cause is mended", "checked it")
    with pytest.raises(ApprovalRequired, match="nobody has asked"):
        made.confirm(SUBJECT, person="bob", reason="twice")


def test_one_person_is_not_two_where_another_may_act(two: Callable[..., TwoPeople], desk: Desk) -> None:
    made = two(ada="approver", bob="operator", eve="viewer")
    made.ask(SUBJECT, person="ada", reason="mended")
    desk.wall.at_ns += ALONE_WAIT_S * SECOND
    with pytest.raises(ApprovalRequired, match="a second person") as refusal:
        made.confirm(SUBJECT, person="ada", reason="me again", typed=SUBJECT)
    assert "bob" in refusal.value.next_step
    assert "eve" not in refusal.value.next_step
    with pytest.raises(ApprovalRequired, match="viewer"):
        made.confirm(SUBJECT, person="eve", reason="I looked")
    with pytest.raises(ApprovalRequired, match="has asked for resume"):
        made.ask(SUBJECT, person="bob", reason="me too")


def test_one_of_the_two_is_an_approver(two: Callable[..., TwoPeople]) -> None:
    made = two(ada="operator", bob="operator")
    made.ask(SUBJECT, person="ada", reason="mended")
    with pytest.raises(ApprovalRequired, match="neither"):
        made.confirm(SUBJECT, person="bob", reason="checked")


def test_alone_on_the_desk_the_same_person_waits_types_and_is_recorded_as_weaker(
    desk: Desk, journal: JournalDatabase, two: Callable[..., TwoPeople]
) -> None:
    made = two(ada="operator", eve="viewer")
    made.ask(SUBJECT, person="ada", reason="mended")
    desk.wall.at_ns += ALONE_WAIT_S * SECOND - 1
    with pytest.raises(ApprovalRequired, match="after 15 minutes") as early:
        made.confirm(SUBJECT, person="ada", reason="sure", typed=SUBJECT)
    assert "1 minute" in early.value.next_step
    desk.wall.at_ns += 1
    for typed in ("", SUBJECT.upper(), SUBJECT + " "):
        with pytest.raises(ApprovalRequired, match="typing"):
            made.confirm(SUBJECT, person="ada", reason="sure", typed=typed)
    agreed = made.confirm(SUBJECT, person="ada", reason="sure", typed=SUBJECT)
    assert agreed.weaker
    assert journal.rows("agreements")[0]["weaker"] is True


def test_asking_again_does_not_restart_the_wait_nor_shorten_it(
    desk: Desk, two: Callable[..., TwoPeople]
) -> None:
    made = two(ada="operator")
    made.ask(SUBJECT, person="ada", reason="mended")
    desk.wall.at_ns += ALONE_WAIT_S * SECOND
    made.ask(SUBJECT, person="ada", reason="mended")
    assert made.confirm(SUBJECT, person="ada", reason="sure", typed=SUBJECT).weaker


@pytest.mark.parametrize("step_s", [REQUEST_LIFE_S, -1])
def test_a_request_expires_and_a_clock_that_went_back_confirms_nothing(
    desk: Desk, two: Callable[..., TwoPeople], step_s: int
) -> None:
    made = two(ada="operator", bob="approver")
    made.ask(SUBJECT, person="ada", reason="mended")
    desk.wall.at_ns += step_s * SECOND
    with pytest.raises(ApprovalRequired, match="nobody has asked"):
        made.confirm(SUBJECT, person="bob", reason="checked")
    assert made.waiting() == ()


def test_an_agreement_is_of_one_subject_and_one_account(
    desk: Desk, journal: JournalDatabase, two: Callable[..., TwoPeople]
) -> None:
    made = two(ada="operator", bob="approver")
    made.ask(SUBJECT, person="ada", reason="mended")
    other = TwoPeople(journal, People(journal), account="other", wall_ns=desk.wall)
    for where, subject in ((made, "resume the system at epoch 13"), (other, SUBJECT)):
        with pytest.raises(ApprovalRequired, match="nobody has asked"):
            where.confirm(subject, person="bob", reason="checked")


def test_a_person_who_was_revoked_after_asking_is_no_first_word(
    journal: JournalDatabase, two: Callable[..., TwoPeople]
) -> None:
    made = two(ada="operator", bob="approver", cat="approver")
    made.ask(SUBJECT, person="ada", reason="mended")
    People(journal).revoke("ada", by="bob", reason="left")
    with pytest.raises(ApprovalRequired, match="may not act any more"):
        made.confirm(SUBJECT, person="bob", reason="checked")


def test_no_reason_is_no_word(two: Callable[..., TwoPeople]) -> None:
    made = two(ada="operator", bob="approver")
    with pytest.raises(UsageError, match="reason"):
        made.ask(SUBJECT, person="ada", reason=" ")
    made.ask(SUBJECT, person="ada", reason="mended")
    with pytest.raises(UsageError, match="reason"):
        made.confirm(SUBJECT, person="bob", reason="")


def test_of_two_confirmations_at_once_one_stands(
    desk: Desk, journal: JournalDatabase, two: Callable[..., TwoPeople]
) -> None:
    made = two(ada="operator", bob="approver", cat="approver")
    made.ask(SUBJECT, person="ada", reason="mended")
    before = journal.rows("agreements")
    made.confirm(SUBJECT, person="bob", reason="checked")
    late = TwoPeople(_Behind(journal, before), People(journal), account="demo", wall_ns=desk.wall)  # type: ignore[arg-type]
    with pytest.raises(JournalConflict, match="confirmed by bob already"):
        late.confirm(SUBJECT, person="cat", reason="checked too")
    assert journal.rows("agreements")[0]["second"] == "bob"


class _Behind:
    """A journal as somebody saw it who read before the other one wrote."""

    def __init__(self, journal: JournalDatabase, agreements: list[dict[str, object]]) -> None:
        self._agreements = agreements
        self.commit = journal.commit

    def rows(self, projection: str, **equals: object) -> list[dict[str, object]]:
        assert projection == "agreements"
        return self._agreements


def test_what_the_agreement_permits_is_in_its_transaction(
    journal: JournalDatabase, two: Callable[..., TwoPeople]
) -> None:
    made = two(ada="operator", bob="approver")
    made.ask(SUBJECT, person="ada", reason="mended")
    alert = {"account": "demo", "code": "TEST", "text": "x", "at_ns": 1}
    with pytest.raises(TypeError):
        made.confirm(
            SUBJECT, person="bob", reason="checked", also=[Event("alert.raised", {**alert, "text": 0.5})]
        )
    assert made.waiting()  # neither half was kept
    made.confirm(SUBJECT, person="bob", reason="checked", also=[Event("alert.raised", alert)])
    assert journal.rows("alerts")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weaker": True}, "not so"),
        ({"second": "ada"}, "not so"),
        ({"subject": "another"}, "something else"),
        ({"request_id": "none"}, "never asked"),
        ({"confirmed_ns": 2**62}, "expired"),
    ],
)
def test_the_journal_itself_refuses_what_no_two_people_said(
    desk: Desk,
    journal: JournalDatabase,
    two: Callable[..., TwoPeople],
    changes: dict[str, object],
    words: str,
) -> None:
    made = two(ada="operator", bob="approver")
    request = made.ask(SUBJECT, person="ada", reason="mended")
    payload = {
        "request_id": request, "account": "demo", "subject": SUBJECT, "first": "ada", "second": "bob",
        "weaker": False, "reason": "checked", "confirmed_ns": desk.wall(), **changes,
    }  # fmt: skip
    with pytest.raises(JournalConflict, match=words):
        journal.commit([Event("agreement.confirmed", payload)])
