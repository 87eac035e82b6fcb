"""Alerts: told once, counted up, claimed by one of two deliverers, retried, escalated, judged; never lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from alert_sinks import MailSink, Webhook, serving
from journals import SECOND, Desk
from places import Place

from workbench.adapters import notify
from workbench.adapters.alert_spool import AlertSpool
from workbench.adapters.notify import Channels
from workbench.core.alerts import RULES, Message, Severity, alert, rule_of
from workbench.core.ports import Event
from workbench.errors import ConfigError, JournalConflict, Refused
from workbench.services.alerting import Alerting, DeliveryRules, DirectAlerts, outbox_summary

ACCOUNT = "demo"
RULES_OF_DELIVERY = DeliveryRules(max_attempts=3, retry_first_s=5.0, claim_s=30.0)


class Ears:
    """Channels of a test: keeps what it is told, fails where it is asked to."""

    levels = 2

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, str, str]] = []
        self.broken: set[str] = set()
        self.during: Any = None

    def channels(self, level: int, *, severity: Severity, local: bool) -> tuple[str, ...]:
        return ("console",) if local or severity is Severity.INFO else ("console", f"json-{level + 1}")

    def send(self, messages: Sequence[Message]) -> list[dict[str, str]]:
        if self.during is not None:
            self.during()
        for said in messages:
            good = [name for name in said.channels if name not in self.broken]
            self.heard += [(name, said.level, said.title, said.number) for name in good]
        return [
            {name: "http 500" if name in self.broken else "" for name in said.channels} for said in messages
        ]

    def titles(self, channel: str) -> list[str]:
        return [title for name, _, title, _ in self.heard if name == channel]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    desk.journal = desk.open()
    desk.journal.commit([Event("person.added", {"person": "ann", "role": "operator", "passphrase_hash": ""})])
    yield desk
    desk.close()


def alerting(desk: Desk, ears: Any, holder: str = "one", journal: Any = None) -> Alerting:
    return Alerting(
        journal or desk.journal, ears, account=ACCOUNT, holder=holder, wall_ns=desk.wall,
        rules=RULES_OF_DELIVERY,
    )  # fmt: skip


def raise_alert(desk: Desk, code: str = "CLOCK_SKEW", text: str = "3.1 s", subject: str = "") -> int:
    return desk.journal.commit([alert(ACCOUNT, code, text, at_ns=1, subject=subject)])[0].seq


def rows(desk: Desk, **equals: Any) -> list[dict[str, Any]]:
    return desk.journal.rows("outbox", account=ACCOUNT, **equals)


# --- the outbox ------------------------------------------------------------------------------------------


def test_a_raised_alert_stands_in_the_outbox_from_its_own_transaction_on(desk: Desk) -> None:
    bad = Event("person.added", {"person": "ann", "role": "operator", "passphrase_hash": "other"})
    with pytest.raises(JournalConflict):
        desk.journal.commit([alert(ACCOUNT, "CLOCK_SKEW", "x", at_ns=1), bad])
    assert rows(desk) == []
    number = raise_alert(desk)
    assert [(row["alert_id"], row["status"]) for row in rows(desk)] == [(number, "pending")]
    assert len(desk.journal.rows("alerts")) == 1


def test_an_alert_is_told_to_every_channel_once_and_says_what_to_do(desk: Desk) -> None:
    ears, number = Ears(), raise_alert(desk)
    assert alerting(desk, ears).deliver().delivered == 1
    assert alerting(desk, ears).deliver() == alerting(desk, ears).deliver()  # nothing is left to do
    assert [(name, said) for name, _, _, said in ears.heard] == [
        ("console", f"{number}.0"), ("json-1", f"{number}.0"),
    ]  # fmt: skip
    assert ears.titles("json-1") == [f"[critical] demo: CLOCK_SKEW (alert {number}.0)"]
    row = rows(desk)[0]
    assert (row["status"], row["delivered"], row["attempts"]) == ("delivered", ["console", "json-1"], 1)
    assert desk.journal.verify().ok
    before = rows(desk)
    desk.journal.rebuild_projections()
    assert rows(desk) == before


def test_every_kind_of_database_keeps_the_outbox_and_rebuilds_it(tmp_path: Path, place: Place) -> None:
    desk = Desk(tmp_path, place)
    desk.journal = desk.open()
    try:
        raise_alert(desk, subject="a")
        raise_alert(desk, subject="a")
        ears = Ears()
        ears.broken = {"json-1"}
        alerting(desk, ears).deliver()
        kept = desk.journal.rows("outbox")
        assert [(row["status"], row["count"], row["delivered"]) for row in kept] == [
            ("pending", 2, ["console"]), ("merged", 1, []),
        ]  # fmt: skip
        assert desk.journal.verify().ok
        desk.journal.rebuild_projections()
        assert desk.journal.rows("outbox") == kept
    finally:
        desk.close()


def test_the_same_alert_within_its_window_counts_up_and_another_subject_does_not(desk: Desk) -> None:
    ears = Ears()
    for subject in ("a", "a", "b", "a"):
        raise_alert(desk, subject=subject)
        desk.wall.at_ns += SECOND
    assert alerting(desk, ears).deliver().merged == 2
    raise_alert(desk, subject="a")
    alerting(desk, ears).deliver()
    assert len(ears.titles("json-1")) == 2
    heads = {row["subject"]: row["count"] for row in rows(desk) if row["status"] == "delivered"}
    assert heads == {"a": 4, "b": 1}
    desk.wall.at_ns += (RULES["CLOCK_SKEW"].window_s + 10) * SECOND
    raise_alert(desk, subject="a")
    alerting(desk, ears).deliver()
    assert len(ears.titles("json-1")) == 3  # the window is over: told again


def test_what_happens_again_after_it_was_acknowledged_is_a_new_alert(desk: Desk) -> None:
    ears, number = Ears(), raise_alert(desk)
    service = alerting(desk, ears)
    service.deliver()
    service.acknowledge(number, person="ann", reason="the clock is being set")
    raise_alert(desk)
    assert service.deliver().delivered == 1
    assert len(ears.titles("json-1")) == 2


# --- failures --------------------------------------------------------------------------------------------


def test_only_the_channel_that_failed_is_tried_again_and_later_each_time(desk: Desk) -> None:
    ears, number = Ears(), raise_alert(desk)
    ears.broken = {"json-1"}
    service = alerting(desk, ears)
    assert service.deliver().failed == 1
    assert service.deliver().failed == 0  # not yet
    desk.wall.at_ns += 5 * SECOND
    assert service.deliver().failed == 1
    desk.wall.at_ns += 5 * SECOND
    assert service.deliver().failed == 0  # ten seconds now
    ears.broken = set()
    desk.wall.at_ns += 5 * SECOND
    assert service.deliver().delivered == 1
    assert [name for name, *_ in ears.heard] == ["console", "json-1"]
    row = rows(desk)[0]
    assert (row["status"], row["attempts"], row["error"]) == ("delivered", 3, "")
    failed = desk.journal.events(kinds=("alert.failed",))
    assert [(e.payload["alert_id"], e.payload["attempt"], e.payload["error"]) for e in failed] == [
        (number, 1, "http 500"), (number, 2, "http 500"),
    ]  # fmt: skip


def test_a_delivery_that_is_given_up_is_an_alert_of_its_own_on_the_plain_channels(desk: Desk) -> None:
    ears, number = Ears(), raise_alert(desk)
    ears.broken = {"json-1"}
    service = alerting(desk, ears)
    for _ in range(10):
        service.deliver()
        desk.wall.at_ns += 30 * SECOND
    by_code = {row["code"]: row for row in rows(desk)}
    assert by_code["CLOCK_SKEW"]["status"] == "undeliverable"
    assert by_code["CLOCK_SKEW"]["attempts"] == RULES_OF_DELIVERY.max_attempts
    assert by_code["ALERT_NOT_DELIVERED"]["delivered"] == ["console"]
    assert by_code["ALERT_NOT_DELIVERED"]["subject"] == str(number)
    assert outbox_summary(desk.journal, ACCOUNT, wall_ns=desk.wall())["undelivered"] == 1


# --- two deliverers --------------------------------------------------------------------------------------


def test_two_deliverers_tell_an_alert_once_whoever_comes_second(desk: Desk) -> None:
    ears = Ears()
    raise_alert(desk)
    other = alerting(desk, ears, "two", desk.open())
    reports: list[Any] = []
    ears.during = lambda: None if reports else reports.append(other.deliver())
    alerting(desk, ears).deliver()
    assert reports[0].delivered == reports[0].failed == 0
    assert len(ears.titles("json-1")) == 1


def test_an_alert_whose_deliverer_died_is_told_by_the_next_after_the_claim(desk: Desk) -> None:
    ears, number = Ears(), raise_alert(desk)

    class Died(Exception):
        pass

    def die() -> None:
        raise Died

    ears.during = die
    with pytest.raises(Died):
        alerting(desk, ears, "dead").deliver()
    ears.during = None
    other = alerting(desk, ears, "two", desk.open())
    assert other.deliver().delivered == 0
    desk.wall.at_ns += 31 * SECOND
    assert other.deliver().delivered == 1
    assert [said for *_, said in ears.heard] == [f"{number}.0"] * 2  # the same number: it can be recognised


def test_the_journal_gives_an_alert_to_one_deliverer_at_a_time(desk: Desk) -> None:
    number = raise_alert(desk)

    def claim(holder: str) -> None:
        until_ns = desk.wall() + 30 * SECOND
        words = {"account": ACCOUNT, "alert_id": number, "holder": holder, "until_wall_ns": until_ns}
        desk.journal.commit([Event("alert.claimed", words)])

    claim("one")
    with pytest.raises(JournalConflict, match="is being delivered by one"):
        claim("two")
    claim("one")
    desk.wall.at_ns += 31 * SECOND
    claim("two")
    desk.wall.at_ns += 31 * SECOND
    alerting(desk, Ears()).deliver()
    with pytest.raises(JournalConflict, match="is delivered already"):
        claim("one")


def test_a_claimed_alert_is_not_merged_away(desk: Desk) -> None:
    first, second = raise_alert(desk), raise_alert(desk)
    claim = {"account": ACCOUNT, "alert_id": second, "holder": "x", "until_wall_ns": desk.wall() + SECOND}
    desk.journal.commit([Event("alert.claimed", claim)])
    with pytest.raises(JournalConflict, match="is being delivered"):
        desk.journal.commit(
            [Event("alert.merged", {"account": ACCOUNT, "alert_id": first, "merged": [second]})]
        )


# --- people ----------------------------------------------------------------------------------------------


def test_a_critical_alert_that_nobody_acknowledges_goes_to_the_next_group_once(desk: Desk) -> None:
    ears, number = Ears(), raise_alert(desk)
    mild = raise_alert(desk, "ORDERS_UNWATCHED")
    service = alerting(desk, ears)
    service.deliver()
    desk.wall.at_ns += (RULES["CLOCK_SKEW"].escalate_after_s - 1) * SECOND
    assert service.deliver().escalated == 0
    desk.wall.at_ns += 2 * SECOND
    assert service.deliver().escalated == 1
    assert ears.titles("json-2") == [f"[critical] demo: CLOCK_SKEW (alert {number}.1)"]
    desk.wall.at_ns += 100 * RULES["CLOCK_SKEW"].escalate_after_s * SECOND
    assert service.deliver().escalated == 0
    assert {row["alert_id"]: row["level"] for row in rows(desk)} == {number: 1, mild: 0}


def test_an_acknowledged_alert_is_not_escalated(desk: Desk) -> None:
    ears, number = Ears(), raise_alert(desk)
    service = alerting(desk, ears)
    service.deliver()
    service.acknowledge(number, person="ann", reason="looking at it")
    desk.wall.at_ns += 10_000 * SECOND
    assert service.deliver().escalated == 0
    with pytest.raises(JournalConflict, match="was acknowledged by ann"):
        service.acknowledge(number, person="ann", reason="again")


@pytest.mark.parametrize(("person", "reason"), [("nobody", "x"), ("ann", "")])
def test_only_a_registered_person_with_a_reason_acknowledges_or_judges(
    desk: Desk, person: str, reason: str
) -> None:
    service, number = alerting(desk, Ears()), raise_alert(desk)
    with pytest.raises(Refused if reason else Exception, match=r"registered|reason"):
        service.acknowledge(number, person=person, reason=reason)
    word = {"account": ACCOUNT, "alert_id": number, "person": person, "reason": reason}
    for event in (Event("alert.acknowledged", word), Event("alert.judged", {**word, "real": True})):
        with pytest.raises(JournalConflict, match="registered person and a reason"):
            desk.journal.commit([event])


def test_false_alarms_are_counted_by_code_and_the_last_word_stands(desk: Desk) -> None:
    service = alerting(desk, Ears())
    numbers = [raise_alert(desk, subject=str(n)) for n in range(4)]
    for number in numbers[:3]:
        service.judge(number, real=False, person="ann", reason="a test of the clock")
    service.judge(numbers[0], real=True, person="ann", reason="it was off after all")
    table = outbox_summary(desk.journal, ACCOUNT, wall_ns=desk.wall())["false_alarms"]
    assert table == [
        {"code": "CLOCK_SKEW", "severity": "critical", "raised": 4, "alerts": 4, "real": 1, "false": 2,
         "unjudged": 1, "false_rate": 2 / 3},
    ]  # fmt: skip


def test_an_unknown_code_is_critical() -> None:
    rule = rule_of("NOBODY_KNOWS")
    assert (rule.severity, rule.escalate_after_s > 0) == (Severity.CRITICAL, True)
    assert rule.runbook.endswith("unknown-alert.md")


# --- without the journal ---------------------------------------------------------------------------------


def direct(desk: Desk, ears: Any, folder: Path) -> tuple[DirectAlerts, AlertSpool]:
    spool = AlertSpool(folder / "alerts.spool")
    ids = itertools.count()
    return DirectAlerts(
        ears, spool, account=ACCOUNT, wall_ns=desk.wall, new_id=lambda: f"s{next(ids)}"
    ), spool


def test_without_the_journal_it_is_told_at_once_and_journalled_later_exactly_once(
    desk: Desk, tmp_path: Path
) -> None:
    ears = Ears()
    alerts, spool = direct(desk, ears, tmp_path)
    assert alerts.raise_alert("JOURNAL_UNREACHABLE", "no such file", subject="journal")
    assert not alerts.raise_alert("JOURNAL_UNREACHABLE", "no such file", subject="journal")
    assert [name for name, *_ in ears.heard] == ["console", "json-1"]
    service, kept = alerting(desk, ears), spool.path.read_bytes()
    assert service.settle(spool) == 1
    spool.path.write_bytes(kept)  # it died before it cleared the spool
    assert service.settle(spool) == 0
    assert not spool.path.exists()
    service.deliver()
    assert len(ears.titles("json-1")) == 1  # told already: not told again
    assert [(row["code"], row["status"]) for row in rows(desk)] == [("JOURNAL_UNREACHABLE", "delivered")]


def test_what_was_spooled_and_never_told_is_told_after_a_crash(desk: Desk, tmp_path: Path) -> None:
    ears = Ears()
    alerts, spool = direct(desk, ears, tmp_path)
    ears.broken = {"json-1"}
    alerts.raise_alert("JOURNAL_UNREACHABLE", "x")
    spool.path.write_bytes(spool.path.read_bytes() + b'{"code": "cut off')
    ears.broken = set()
    service = alerting(desk, ears)
    service.settle(spool)
    service.deliver()
    assert [name for name, *_ in ears.heard] == ["console", "json-1"]


# --- channels --------------------------------------------------------------------------------------------


def channels(folder: Path, *groups: str) -> Channels:
    return Channels(
        plain=("file",), file=folder / "alerts.jsonl", groups=groups, external_from=Severity.WARNING
    )


def test_webhook_mail_and_file_get_it_and_a_dead_address_is_named_without_its_secret(tmp_path: Path) -> None:
    with serving(Webhook()) as webhook, serving(MailSink()) as mail:
        dead = "json://user:" + "hunter2canary@127.0.0.1:9/x"  # in two parts, for the scanner of secrets
        found = channels(tmp_path, f"{webhook.url} {mail.url}\n{dead}")
        names = found.channels(0, severity=Severity.CRITICAL, local=False)
        assert names == ("file", "json-1", "mailto-2", "json-3")
        (answers,) = found.send([Message("7.0", 0, "T1", "B1", names)])
        found.close()
    assert answers == {"file": "", "json-1": "", "mailto-2": "", "json-3": "no connection, or refused"}
    assert webhook.titles() == ["T1"]
    assert "number: 7.0" in webhook.posts[0]["message"]
    assert "T1" in mail.mails[0]
    assert "hunter2canary" not in repr(answers) + repr(vars(found))
    assert '"number": "7.0"' in (tmp_path / "alerts.jsonl").read_text()


def test_the_answer_of_a_webhook_is_judged_by_its_status(tmp_path: Path) -> None:
    with serving(Webhook()) as webhook:
        webhook.status = 500
        found = channels(tmp_path, webhook.url)
        (answers,) = found.send([Message("1.0", 0, "T", "B", ("json-1", "nobody-9"))])
        found.close()
    assert answers == {"json-1": "http 500", "nobody-9": "no such channel any more"}


def test_the_loudest_is_told_first_and_each_channel_in_that_order(tmp_path: Path, desk: Desk) -> None:
    for code in ("STAGE_BUDGET", "ORDERS_UNWATCHED", "CLOCK_SKEW", "DISK_LOW"):
        raise_alert(desk, code)
    with serving(Webhook()) as webhook:
        found = channels(tmp_path, webhook.url)
        assert alerting(desk, found).deliver().delivered == 4
        found.close()
    assert [title.split()[2] for title in webhook.titles()] == ["CLOCK_SKEW", "DISK_LOW", "ORDERS_UNWATCHED"]


def test_a_channel_that_hangs_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    with serving(Webhook()) as webhook, serving(Webhook()) as hanging:
        hanging.delay_s = 1.0
        found = channels(tmp_path, f"{hanging.url}?rto=0.3 {webhook.url}")
        names = ("file", "json-1", "json-2")
        answers = found.send([Message(f"{n}.0", 0, f"T{n}", "B", names) for n in range(3)])
        found.close()
        assert [answer["json-2"] for answer in answers] == ["", "", ""]
        assert all(answer["json-1"] for answer in answers)
        assert webhook.titles() == ["T0", "T1", "T2"]


def test_what_a_slow_channel_does_not_reach_in_time_is_left_to_the_next_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "_WHOLE_S", 2.0)
    with serving(Webhook()) as slow:
        slow.delay_s = 2.5
        found = channels(tmp_path, slow.url)
        answers = found.send([Message(f"{n}.0", 0, f"T{n}", "B", ("json-1", "file")) for n in range(5)])
        found._threads.shutdown(wait=True)
        assert len(slow.posts) == 1  # the first had begun in time; no later one was begun
    assert [answer["json-1"] for answer in answers] == ["no answer in time"] * 5
    assert [answer["file"] for answer in answers] == [""] * 5


def test_a_channel_that_breaks_is_an_answer_not_an_error(tmp_path: Path) -> None:
    found = channels(tmp_path / "no" / "such" / "folder")
    answers = found.send([Message("1.0", 0, "T", "B", ("file",))])
    found.close()
    assert answers == [{"file": "FileNotFoundError"}]


def test_mild_and_local_alerts_stay_here_and_the_second_group_is_told_at_level_one(tmp_path: Path) -> None:
    found = channels(tmp_path, "json://127.0.0.1:9/a", "json://127.0.0.1:9/b json://127.0.0.1:9/c")
    assert found.channels(0, severity=Severity.INFO, local=False) == ("file",)
    assert found.channels(0, severity=Severity.CRITICAL, local=True) == ("file",)
    assert found.channels(0, severity=Severity.CRITICAL, local=False) == ("file", "json-1")
    assert found.channels(1, severity=Severity.CRITICAL, local=False) == ("file", "json-1", "json-2")
    found.close()


def test_an_address_that_is_none_is_refused_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="address 2 of group 1") as caught:
        channels(tmp_path, "json://127.0.0.1:9/a nonsense://canary-secret")
    assert "canary" not in str(caught.value)
