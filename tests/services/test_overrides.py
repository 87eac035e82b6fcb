"""A denial lifted once: by two people, for one order, for minutes, never beyond a hard limit."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path
from typing import Any

import drive
import pytest
from command_line import typed

from workbench.bootstrap import approving, killing, signing
from workbench.bootstrap.desk import Desk
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.approvals import OVERRIDABLE
from workbench.core.ports import Event
from workbench.core.pretrade import DenialCode
from workbench.core.types import NANO
from workbench.errors import ApprovalRequired, JournalConflict, Refused
from workbench.services.overrides import OVERRIDE, OVERRIDE_LIFE_S

SESSION = "2013-02-01"
FIRST = {"person": "operator", "reason": "the cost is known and small"}
SECOND = {"person": "grace", "reason": "agreed, this one"}


@pytest.fixture(scope="module")
def costly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a desk whose ceiling of the expected cost denies what it would buy."""
    folder = tmp_path_factory.mktemp("costly")
    settings = drive.make_desk(
        folder, DEFAULT_TOML.replace("max_expected_cost_bps = 40.0", "max_expected_cost_bps = 3.0")
    )
    signing.add_person(settings, "grace", role="approver")
    return drive.put_aside(folder)


@pytest.fixture
def settings(costly: Path, tmp_path: Path) -> Settings:
    shutil.copytree(costly, tmp_path / "desk")
    return load_settings(str(tmp_path / "desk" / "workbench.toml"))


def decided(settings: Settings) -> Any:
    """The loop's job after its decision."""
    job = drive.start(settings, SESSION)
    job.trading.start()
    for scheduled_ns in job.trading.times.decision_ns:
        job.trading.decide(scheduled_ns)
    return job


def orders(settings: Settings) -> dict[str, dict[str, Any]]:
    """Rows by reason of the denial, and of the override leg by its name."""
    found = {}
    for row in Desk(settings).journal.rows("orders"):
        denied = row["state"] == "DENIED" and row["leg"] != OVERRIDE
        found[row["reason"] if denied else row["leg"]] = row
    return found


def at_venue(job: Any) -> list[str]:
    return [order.client_order_id for order in job.account.broker.orders(since_ns=0)]


def test_two_people_let_one_order_go_once(settings: Settings) -> None:
    job = decided(settings)
    denied = orders(settings)["EXPECTED_COST"]
    assert at_venue(job) == []
    calls: list[int] = []

    def agree(at_ns: int) -> None:
        if not calls:
            calls.append(at_ns)
            codes, agreement = approving.override(settings, denied["client_order_id"], **FIRST)
            assert (codes, agreement) == (("EXPECTED_COST",), None)
            with pytest.raises(ApprovalRequired, match="a second person"):
                approving.override(settings, denied["client_order_id"], **FIRST)
            assert job.trading.overrides.proceed() == 0
            _, agreement = approving.override(settings, denied["client_order_id"], **SECOND)
            assert agreement is not None
            with pytest.raises(Refused, match="let go once already"):
                approving.override(settings, denied["client_order_id"], **FIRST)

    job.trading.watch(agree)
    job.trading.close()
    leg = orders(settings)[OVERRIDE]
    assert at_venue(job) == [leg["client_order_id"]]
    job.finish()
    assert leg["parent_id"] == denied["client_order_id"]
    same = ("symbol", "side", "quantity_nano", "limit_micro", "order_type", "decision_id", "session")
    assert [leg[name] for name in same] == [denied[name] for name in same]
    assert leg["state"] in ("FILLED", "PARTIALLY_FILLED", "CANCELED", "EXPIRED")
    assert orders(settings)["EXPECTED_COST"]["state"] == "DENIED"
    journal = Desk(settings).journal
    assert [(row["first"], row["second"]) for row in journal.rows("overrides")] == [("operator", "grace")]
    assert journal.verify().ok
    with pytest.raises(Refused, match="is closed"):
        approving.override(settings, denied["client_order_id"], **FIRST)


def granted(settings: Settings) -> str:
    identity = str(orders(settings)["EXPECTED_COST"]["client_order_id"])
    approving.override(settings, identity, **FIRST)
    approving.override(settings, identity, **SECOND)
    return identity


def test_a_hard_limit_is_never_lifted_by_anybody(settings: Settings) -> None:
    job = decided(settings)
    (hard,) = [row for reason, row in orders(settings).items() if "NOTIONAL" in reason][:1]
    with pytest.raises(Refused, match=r"NOTIONAL.*nobody may lift"):
        approving.override(settings, hard["client_order_id"], **FIRST)
    for words, identity in (("no order of demo", "wb1-none"), ("no order of demo", "")):
        with pytest.raises(Refused, match=words):
            approving.override(settings, identity, **FIRST)
    answer = typed(settings.folder, "override", hard["client_order_id"], "-p", "operator", "-r", "now")
    assert answer.code == 3
    payload = {
        "client_order_id": hard["client_order_id"], "account": "demo", "codes": hard["reason"].split(","),
        "request_id": "r", "first": "operator", "second": "grace", "weaker": False, "reason": "x",
        "under": settings.config_hash, "granted_wall_ns": 1, "expires_wall_ns": 2,
    }  # fmt: skip
    for codes in (payload["codes"], ["EXPECTED_COST"]):
        with pytest.raises(JournalConflict, match="denied for"):
            job.account.journal.commit([Event("override.granted", {**payload, "codes": codes})])
    soft = {**payload, "client_order_id": orders(settings)["EXPECTED_COST"]["client_order_id"]}
    with pytest.raises(JournalConflict, match="no two people agreed"):
        job.account.journal.commit([Event("override.granted", {**soft, "codes": ["EXPECTED_COST"]})])
    assert job.trading.overrides.proceed() == 0
    job.account.close()


def test_what_may_be_lifted_is_about_quality_alone() -> None:
    names = {code.name for code in DenialCode}
    assert names > OVERRIDABLE
    hard = {
        "QUANTITY",
        "NOTIONAL",
        "POSITION",
        "GROSS",
        "SESSION_LOSS",
        "RESTRICTED",
        "SHORT",
        "BUYING_POWER",
    }
    assert not OVERRIDABLE & (hard | {"PRICE_COLLAR", "FROZEN", "RATE", "DUPLICATE", "COST_MISSING"})


def late(job: Any, patch: pytest.MonkeyPatch) -> None:
    end_ns = time.time_ns() + OVERRIDE_LIFE_S * NANO
    patch.setattr(time, "time_ns", lambda: end_ns)


def other_settings(job: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(job.trading.overrides, "_config_hash", "0" * 64)


def another_session(job: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(job.trading.overrides, "_session", "2013-02-04")


def test_an_override_is_of_minutes_of_these_settings_and_of_its_session(settings: Settings) -> None:
    job = decided(settings)
    granted(settings)
    for change in (late, other_settings, another_session):
        with pytest.MonkeyPatch.context() as patch:
            change(job, patch)
            assert job.trading.overrides.proceed() == 0, change
        assert OVERRIDE not in orders(settings)
    assert job.trading.overrides.proceed() == 1
    job.account.close()


def test_every_other_control_still_denies_what_two_people_let_go(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = decided(settings)
    granted(settings)
    overrides = job.trading.overrides
    judge = overrides._controls
    monkeypatch.setattr(overrides, "_controls", lambda order: (*judge(order), "POSITION"))
    assert overrides.proceed() == 1
    assert (orders(settings)[OVERRIDE]["state"], orders(settings)[OVERRIDE]["reason"]) == (
        "DENIED",
        "POSITION",
    )
    leg = job.trading.oms.orders[orders(settings)[OVERRIDE]["client_order_id"]]
    monkeypatch.setattr(overrides, "_controls", judge)
    assert overrides.judge(leg) == ()
    for name, value in (
        ("quantity_nano", 2 * leg.intent.quantity_nano),
        ("limit_micro", 1),
        ("leg", "entry"),
    ):
        other = dataclasses.replace(leg.intent, **{name: value})
        assert "EXPECTED_COST" in overrides.judge(dataclasses.replace(leg, intent=other))
    assert at_venue(job) == []
    job.account.close()


def test_a_halt_holds_an_order_that_two_people_let_go(settings: Settings) -> None:
    job = decided(settings)
    granted(settings)
    killing.halt(settings, killing.HaltOrder("operator", "something is wrong"))
    with pytest.raises(Refused, match="HALTED"):
        job.trading.overrides.proceed()
    assert at_venue(job) == []
    job.account.close()
