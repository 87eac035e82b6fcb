"""A change beyond the participation limit goes out on a schedule: planned once, sent when due, once each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import drive
import pytest

from workbench.bootstrap.desk import Desk
from workbench.config import Settings
from workbench.config.template import DEFAULT_TOML
from workbench.core.policy import PolicyParams

SESSION = "2013-02-04"
#: What the venue offers in a replay is the open and the close: one slice at each.
SCHEDULED = DEFAULT_TOML.replace('slicing = "largest"', 'slicing = "almgren_chriss"')
SCHEDULED = re.sub(r"(?m)^max_participation = .*$", "max_participation = 0.00001", SCHEDULED)


@pytest.fixture(scope="module")
def scheduled(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    assert SCHEDULED.count("almgren_chriss") == DEFAULT_TOML.count("almgren_chriss") + 1
    settings = drive.make_desk(tmp_path_factory.mktemp("scheduled") / "desk", SCHEDULED)
    drive.trade(settings, drive.FIRST)
    drive.trade(settings, SESSION)
    return settings


def changes(settings: Settings) -> list[dict[str, Any]]:
    rows = Desk(settings).journal.rows("decisions", session=SESSION)
    return [row for decision in rows for row in decision["rows"] if "slices" in row]


def test_the_schedule_is_in_the_decision_and_sums_to_its_change(scheduled: Settings) -> None:
    desk, found = Desk(scheduled), changes(scheduled)
    assert found
    opens, closes = desk.calendar.session_open_ns(SESSION), desk.calendar.session_close_ns(SESSION)
    for row in found:
        assert sum(shares for shares, _ in row["slices"]) == abs(row["delta_shares"])
        assert row["slices"][0][1] == opens
        assert all(opens <= due < closes for _, due in row["slices"])


def test_children_are_of_the_planned_size_and_none_is_sent_before_it_is_due(scheduled: Settings) -> None:
    desk = Desk(scheduled)
    sent = [row for row in desk.journal.rows("orders", session=SESSION) if row["sent_at_ns"]]
    legs = {row["leg"] for row in sent}
    assert {"slice 1", "slice 2"} <= legs
    for row in changes(scheduled):
        children = sorted(
            (order for order in sent if order["symbol"] == row["symbol"]), key=lambda one: one["leg"]
        )
        for number, order in enumerate(children):
            shares, due_ns = row["slices"][number]
            assert order["quantity_nano"] == shares * 10**9
            assert number == 0 or order["sent_at_ns"] >= due_ns


def test_the_same_session_again_gives_the_same_digest(scheduled: Settings, tmp_path: Path) -> None:
    again = drive.make_desk(tmp_path / "again", SCHEDULED)
    drive.trade(again, drive.FIRST)
    drive.trade(again, SESSION)
    digests = [
        Desk(settings).journal.rows("sessions", session=SESSION)[0]["digest"]
        for settings in (scheduled, again)
    ]
    assert digests[0] == digests[1]


def test_without_the_schedule_such_a_change_is_denied(tmp_path: Path) -> None:
    settings = drive.make_desk(tmp_path / "whole", SCHEDULED.replace('"almgren_chriss"', '"largest"'))
    drive.trade(settings, drive.FIRST)
    orders = Desk(settings).journal.rows("orders", session=drive.FIRST)
    assert orders
    assert all("PARTICIPATION" in str(row["reason"]) for row in orders)


def test_a_policy_names_its_slicing() -> None:
    with pytest.raises(ValueError, match=r"policy.slicing must be one of largest, almgren_chriss"):
        PolicyParams(slicing="vwap")
    with pytest.raises(ValueError, match="slice_risk_aversion"):
        PolicyParams(slice_risk_aversion=-1.0)
