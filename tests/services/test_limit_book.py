"""Limits in force: a start tightens them, two people loosen them, and a running loop keeps its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drive
import pytest
from command_line import program, typed
from journals import SECOND, Desk

from workbench.adapters.journal import JournalDatabase
from workbench.bootstrap import approving, releasing, signing
from workbench.bootstrap.desk import Desk as OpenDesk
from workbench.bootstrap.desk import open_journal
from workbench.config import Settings, load_settings
from workbench.errors import ApprovalRequired, ConfigError, Refused
from workbench.services.limit_book import LimitBook
from workbench.services.people import People
from workbench.services.two_people import ALONE_WAIT_S, TwoPeople

LIMITS = {"limits.max_order_shares": 100, "limits.restricted": ["IBM"], "limits.allow_short": False}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.close()


@pytest.fixture
def journal(desk: Desk) -> JournalDatabase:
    return desk.open()


def book(desk: Desk, journal: JournalDatabase, **changes: Any) -> LimitBook:
    limits = {**LIMITS, **{f"limits.{name}": value for name, value in changes.items()}}
    return LimitBook(journal, account="demo", config_hash="c" * 64, limits=limits, wall_ns=desk.wall)


def two(desk: Desk, journal: JournalDatabase, **roles: str) -> TwoPeople:
    people = People(journal)
    for person, role in roles.items():
        people.add(person, role=role)
    return TwoPeople(journal, people, account="demo", wall_ns=desk.wall)


def test_the_first_start_records_and_a_tightening_takes_effect_at_once(
    desk: Desk, journal: JournalDatabase
) -> None:
    book(desk, journal).require()
    book(desk, journal).require()
    assert len(journal.rows("limits_in_force")) == 1
    desk.wall.at_ns += SECOND
    tighter = {"max_order_shares": 90, "restricted": ["IBM", "MSFT"]}
    book(desk, journal, **tighter).require()
    (first, second) = journal.rows("limits_in_force")
    assert second["effective_wall_ns"] - first["effective_wall_ns"] == SECOND
    assert second["changes"] == [
        "limits.max_order_shares 100 -> 90", "limits.restricted [IBM] -> [IBM, MSFT]",
    ]  # fmt: skip
    with pytest.raises(Refused, match="max_order_shares 90 -> 100"):  # what was tightened stays so
        book(desk, journal).require()


@pytest.mark.parametrize(
    "changes", [{"max_order_shares": 101}, {"restricted": []}, {"allow_short": True}, {"unheard_of": 3}]
)
def test_what_permits_more_is_refused_until_two_people_agree(
    desk: Desk, journal: JournalDatabase, changes: dict[str, Any]
) -> None:
    book(desk, journal, unheard_of=4).require()
    looser = book(desk, journal, **{"unheard_of": 4, **changes})
    with pytest.raises(Refused, match=f"looser.*limits.{next(iter(changes))} .* -> ") as refusal:
        looser.require()
    assert refusal.value.exit_code == 3
    assert "accept-limits" in refusal.value.next_step
    pair = two(desk, journal, ada="operator", bob="approver")
    _, agreement = looser.agree(pair, person="ada", reason="larger account")
    assert agreement is None
    with pytest.raises(Refused, match="looser"):
        looser.require()
    with pytest.raises(ApprovalRequired, match="a second person"):
        looser.agree(pair, person="ada", reason="me again")
    _, agreement = looser.agree(pair, person="bob", reason="checked")
    assert agreement is not None
    assert not agreement.weaker
    looser.require()
    row = journal.rows("limits_in_force")[-1]
    assert (row["first"], row["second"], row["weaker"]) == ("ada", "bob", False)


def test_an_agreement_on_some_limits_is_none_on_others(desk: Desk, journal: JournalDatabase) -> None:
    book(desk, journal).require()
    pair = two(desk, journal, ada="operator", bob="approver")
    book(desk, journal, max_order_shares=110).agree(pair, person="ada", reason="a little")
    much = book(desk, journal, max_order_shares=10_000)
    changes, agreement = much.agree(pair, person="bob", reason="much")  # his own request, not a confirmation
    assert agreement is None
    assert [str(change) for change in changes] == ["limits.max_order_shares 100 -> 10000"]
    with pytest.raises(Refused, match="looser"):
        much.require()


def test_alone_on_a_desk_it_takes_time_and_typing(desk: Desk, journal: JournalDatabase) -> None:
    book(desk, journal).require()
    alone = two(desk, journal, ada="operator")
    looser = book(desk, journal, max_order_shares=110)
    looser.agree(alone, person="ada", reason="larger account")
    desk.wall.at_ns += ALONE_WAIT_S * SECOND
    _, agreement = looser.agree(alone, person="ada", reason="still", typed=looser.subject)
    assert agreement is not None
    assert agreement.weaker
    assert journal.rows("limits_in_force")[-1]["weaker"] is True


def test_there_is_nothing_to_agree_to_where_nothing_is_looser(desk: Desk, journal: JournalDatabase) -> None:
    book(desk, journal).require()
    pair = two(desk, journal, ada="operator", bob="approver")
    with pytest.raises(Refused, match="nothing to agree"):
        book(desk, journal, max_order_shares=50).agree(pair, person="ada", reason="tighter")


# --- through the desk --------------------------------------------------------------------------------------


def edited(settings: Settings, before: str, after: str) -> Settings:
    file = settings.folder / "workbench.toml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))
    return load_settings(str(file))


def test_a_limit_file_that_is_edited_while_the_loop_runs_waits_for_the_next_start(
    new_desk: Callable[[str], Settings],
) -> None:
    settings = new_desk("edited")
    job = drive.start(settings, drive.FIRST)
    looser = edited(settings, "max_order_shares = 20_000", "max_order_shares = 30_000")
    job.trading.start()
    assert job.trading.strategy.limits.max_order_shares == 20_000
    for scheduled_ns in job.trading.times.decision_ns:
        job.trading.decide(scheduled_ns)
    job.trading.watch()
    job.trading.close()
    assert job.trading.strategy.limits.max_order_shares == 20_000
    job.finish()
    assert {row["config_hash"] for row in OpenDesk(settings).journal.rows("limits_in_force")} == {
        settings.config_hash
    }
    with pytest.raises(Refused, match=r"limits\.max_order_shares 20000 -> 30000"):
        drive.start(looser, "2013-02-04")
    signing.add_person(settings, "bob", role="approver")
    who = ("--reason", "a larger account", "--json")
    asked = typed(settings.folder, "accept-limits", "--person", "operator", *who)
    assert (asked.code, asked.payload["in_force"]) == (0, False)
    assert [row["subject"] for row in approving.pending(looser)["agreements"]] == [asked.payload["subject"]]
    again = typed(settings.folder, "accept-limits", "--person", "operator", *who)
    assert again.code == 3
    agreed = program(settings.folder, "accept-limits", "--person", "bob", *who)
    assert agreed.payload["in_force"] is True
    assert agreed.payload["changes"] == ["limits.max_order_shares 20000 -> 30000"]
    with pytest.raises(Refused, match="model"):  # limits are no obstacle now; the model was made for others
        drive.start(looser, "2013-02-04")


def test_approvals_and_signatures_are_guarded_as_limits_are(new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("guarded")
    guarded = approving.guarded_limits(settings)
    assert {f"limits.{field.name}" for field in dataclasses.fields(settings.limits)} <= guarded.keys()
    assert {f"approvals.{field.name}" for field in dataclasses.fields(settings.approvals)} <= guarded.keys()
    assert {f"people.{field.name}" for field in dataclasses.fields(settings.people)} <= guarded.keys()


@pytest.mark.parametrize(
    ("key", "strict", "loose"),
    [
        ("signatures_required", True, False),
        ("promotion_second_person", "shadow", "live"),
    ],
)
def test_words_of_people_are_asked_for_as_long_as_the_limits_in_force_say(
    new_desk: Callable[[str], Settings], key: str, strict: Any, loose: Any
) -> None:
    """One person who edits the file takes neither signature nor second person away; two people do."""
    settings = new_desk("in force")
    file = settings.folder / "workbench.toml"
    file.write_text(file.read_text().replace(f'{key} = "shadow"', f'{key} = "{loose}"'))
    edited = load_settings(str(file))
    limits = approving.guarded_limits(edited)
    assert limits[f"people.{key}"] == loose
    with open_journal(edited, read_only=False) as journal:

        def record(**people: Any) -> None:
            held = {**limits, **{f"people.{name}": value for name, value in people.items()}}
            made = LimitBook(journal, account="demo", config_hash="c", limits=held, wall_ns=lambda: 1)
            journal.commit([made._record((), "ada", "bob", weaker=False, reason="a test")])

        def asked() -> bool:
            if key == "signatures_required":
                return signing.people_of(edited, journal).signatures_required
            return releasing.examiner_of(edited, journal, "paper").two is not None

        assert not asked()
        record(**{key: strict})
        assert asked()
        with pytest.raises(Refused, match=f"looser.*{key}"):
            approving.limit_book(edited, journal).require()
        record()
        assert not asked()


@pytest.mark.parametrize("value", ["-1", "0", "nan", "inf"])
def test_a_limit_that_is_no_limit_is_refused_when_it_is_read(tmp_path: Path, value: str) -> None:
    from workbench.config import DEFAULT_TOML

    file = tmp_path / "workbench.toml"
    file.write_text(DEFAULT_TOML.replace("price_collar_bps = 300.0", f"price_collar_bps = {value}"))
    with pytest.raises(ConfigError, match=r"limits\.price_collar_bps"):
        load_settings(str(file))
