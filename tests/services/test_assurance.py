"""What a desk reports about itself is what its journal holds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drive
import pytest
from command_line import typed
from hypothesis import given, settings
from hypothesis import strategies as st
from order_desk import FIRST, Market, make_desk

from workbench.bootstrap import admin, killing
from workbench.bootstrap.report import KINDS, make_report
from workbench.config import Settings
from workbench.core.orders import OrderState
from workbench.core.ports import RecordedEvent
from workbench.core.types import NANO
from workbench.errors import UsageError
from workbench.services.assurance import Period, assessment, limit_changes, rates

SESSIONS = ("2013-02-01", "2013-02-04", "2013-02-05", "2013-02-06")


@pytest.fixture(scope="module")
def halted(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A desk that has traded a session, was halted by a person and resumed by the same."""
    import shutil

    from workbench.config import load_settings

    folder = tmp_path_factory.mktemp("reported") / "desk"
    shutil.copytree(prepared, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    for session in SESSIONS:
        drive.trade(settings, session)
    killing.halt(settings, killing.HaltOrder("operator", "looked odd"))
    admin.resume(settings, person="operator", reason="a look at the tape explained it")
    return settings


def tables(report: Any) -> dict[str, tuple[tuple[Any, ...], ...]]:
    return {section.heading: section.rows for section in report.sections}


def test_the_inventory_can_be_read_without_the_code(halted: Settings) -> None:
    report = make_report(halted, "inventory")
    words = report.sections[0].text
    for each in (
        *halted.universe,
        "open-15m",
        "never sells what it does not hold",
        "leave without waiting for a person",
    ):
        assert each in words
    limits = dict(tables(report)["Its limits"])
    assert limits["max_order_shares"] == "20000"
    ((_, stage, person, reason, features, trained),) = tables(report)["Models"]
    assert (stage, bool(reason), bool(trained)) == ("replay", True, True)
    assert person in ("operator", "demo")
    assert features == ", ".join(halted.model.features)
    page = report.to_markdown()
    assert page.startswith("# Inventory of algorithms: account ")
    assert all(f"## {section.heading}" in page for section in report.sections)


def test_the_assessment_counts_what_the_controls_did(halted: Settings) -> None:
    found = tables(make_report(halted, "self-assessment"))
    with_journal = JournalOf(halted)
    activity = dict(found["Orders and decisions"])
    assert activity["decisions"] == len(with_journal.rows("decisions")) > 0
    assert activity["fills"] == len(with_journal.rows("fills")) > 0
    assert activity["sessions closed"] == len(SESSIONS)
    denied: dict[str, int] = {}
    for event in with_journal.events("order.denied"):
        for code in event.payload["codes"]:
            denied[code] = denied.get(code, 0) + 1
    assert dict(found["Denials by code"]) == denied
    assert dict(found["Halts by cause"])["person"] == 1
    assert make_report(halted, "self-assessment").sections[0].text.startswith("The journal is whole")
    early = tables(make_report(halted, "self-assessment", first="2001-01-01", last="2001-12-31"))
    assert dict(early["Orders and decisions"])["decisions"] == 0


class JournalOf:
    """Rows and events of a desk, read once."""

    def __init__(self, settings: Settings) -> None:
        from workbench.bootstrap import open_workbench

        self._journal = open_workbench(settings).journal

    def rows(self, name: str) -> list[dict[str, Any]]:
        return self._journal.rows(name)

    def events(self, kind: str) -> tuple[RecordedEvent, ...]:
        return self._journal.events(kinds=(kind,))


def test_the_assessment_says_when_the_journal_is_not_whole(new_desk: Callable[[str], Settings]) -> None:
    import sqlite3

    desk = new_desk("altered")
    connection = sqlite3.connect(desk.desk_path / "journal.sqlite")
    connection.execute("UPDATE events SET payload = replace(payload, 'operator', 'somebody') WHERE seq = 3")
    connection.execute("UPDATE events SET payload = payload || ' ' WHERE seq = 3")
    connection.commit()
    connection.close()
    (record, *_) = make_report(desk, "self-assessment").sections
    assert "is NOT whole" in record.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"kind": "weather"}, "there is no report 'weather'"),
        ({"kind": "access", "first": "soon"}, "is not a date"),
        ({"kind": "access", "first": "2026-02-01", "last": "2026-01-01"}, "is after"),
    ],
)
def test_a_report_that_cannot_be_made_is_refused(
    halted: Settings, arguments: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        make_report(halted, **arguments)
    assert caught.value.next_step


def test_a_halt_and_a_resume_are_in_the_incident_log(halted: Settings) -> None:
    rows = tables(make_report(halted, "incidents"))["Log"]
    said = [(what, why, who) for _, _, what, why, who in rows]
    assert ("state HALTED", "looked odd", "operator") in said
    assert said.index(("state ACTIVE", "a look at the tape explained it", "operator")) > said.index(
        ("state HALTED", "looked odd", "operator")
    )
    assert "the test that shows it" in make_report(halted, "incidents").sections[1].text


def test_the_access_list_names_people_their_acts_and_sources(
    halted: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tables(make_report(halted, "access"))
    assert {(person, role) for person, role, _ in found["People"]} >= {("operator", "operator")}
    acts = {(person, act): times for person, act, times, _, _ in found["What they did"]}
    assert acts["operator", "changed the state to HALTED"] == 1
    assert dict(found["Secrets of this process"])["venue_key"] == "not set"


def test_the_records_are_counted_by_kind(halted: Settings) -> None:
    found = tables(make_report(halted, "records"))
    counted = {kind: number for kind, number, _, _ in found["Records of the journal"]}
    journal = JournalOf(halted)
    assert counted["fill.booked"] == len(journal.events("fill.booked"))
    assert counted["session.closed"] == len(SESSIONS)
    files = {name: size for name, _, size in found["Files of the desk"]}
    assert files["journal.sqlite"] == (halted.desk_path / "journal.sqlite").stat().st_size


def event(seq: int, at_ns: int, kind: str, **payload: Any) -> RecordedEvent:
    return RecordedEvent(seq, at_ns, kind, payload, "c" * 64, "h" * 64)


def test_a_changed_limit_is_in_the_assessment() -> None:
    configs = [
        {"limits": {"a": 1, "b": 2}},
        {"limits": {"a": 1, "b": 3}, "seed": 9},
        {"limits": {"a": 1, "b": 3, "c": 4}},
    ]
    events = [
        event(at, at * 10**9, "config.recorded", config_hash="x", config=json.dumps(config))
        for at, config in enumerate(configs, start=1)
    ]
    assert [row[1:] for row in limit_changes(events)] == [("limits.b", "2", "3"), ("limits.c", "None", "4")]
    assert dict(assessment(events))["Changes of limits"][1] == limit_changes(events)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.integers(0, 300 * NANO), max_size=40))
def test_the_highest_rate_is_found_in_any_window(times: list[int]) -> None:
    events = [event(n, at, "order.changed", state="SENT") for n, at in enumerate(times)]
    measured = {name: highest for name, highest, _ in rates(events)[1]}
    slow = max((sum(at <= other < at + 60 * NANO for other in times) for at in times), default=0)
    assert measured["messages to the venue in a minute"] == slow
    assert rates(events)[1][0][2] == 2 * rates(events)[1][0][1]


def test_a_period_holds_its_first_and_last_day() -> None:
    now = 1_600_000_000 * NANO  # 13 September 2020
    period = Period.of("", "", now_ns=now)
    assert (period.first, period.last) == ("2019-09-14", "2020-09-13")
    assert period.holds(now)
    assert not period.holds(now + 86_400 * NANO)


def test_twice_the_highest_rate_goes_through_the_order_path_and_reconciles(
    halted: Settings, tmp_path: Path
) -> None:
    """Row 59: the session's highest rates, doubled, at the embedded venue; every order ends and is booked."""
    found = {name: twice for name, _, twice in make_report(halted, "stress").sections[0].rows}
    number = max(found["orders in a session"], found["messages to the venue in a minute"])
    assert number >= 2
    assert found["USD traded in a session"] > 0
    desk = make_desk(tmp_path, Market())
    for at in range(number):  # one order of a symbol works at a time: the next replaces a cancelled one
        key = desk.send(FIRST, leg=f"stress{at}")
        if at < number - 1:
            desk.oms.cancel(key, reason="the next one")
            desk.oms.poll(since_ns=0)
            assert desk.state(key) is OrderState.CANCELED
    desk.end(FIRST)
    states = Counter(row["state"] for row in desk.journal.rows("orders"))
    assert states == {"CANCELED": number - 1, "FILLED": 1}
    assert desk.journal.verify().ok


def test_the_command_writes_a_page(halted: Settings, tmp_path: Path) -> None:
    assert halted.file is not None
    page = tmp_path / "page.md"
    for kind in KINDS:
        answer = typed(halted.file.parent, "report", "--kind", kind, "--to", str(page))
        assert answer.code == 0, answer
        assert page.read_text().startswith(f"# {answer.out.splitlines()[0].split(':')[0]}")
    assert typed(halted.file.parent, "report", "--kind", "weather").code == 2
