"""The fill simulator is calibrated once a closed session, as a manifest that a byte's change betrays."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from cost_world import ACCOUNT, CALENDAR, FIRST, World
from order_outcomes import outcomes

from workbench.core.costs import CalibrationRule, FeeSchedule, fit_cost_model
from workbench.core.ports import Event
from workbench.errors import ManifestMismatch, Refused
from workbench.services.fill_calibration import DONE, FillCalibrationService, latest_fill_model

SESSIONS = 20


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, 1, lambda day: 1.0)
    yield made
    made.journal.close()


@pytest.fixture(scope="module")
def ended() -> pd.DataFrame:
    """Outcomes on the calendar of the world, of its first twenty sessions."""
    drawn = outcomes(SESSIONS, 20, 4)
    days, at = [FIRST], FIRST
    while len(days) < SESSIONS:
        at = CALENDAR.next_session(at)
        days.append(at)
    names = dict(zip(sorted(drawn["session"].unique()), days, strict=True))
    return drawn.assign(session=drawn["session"].map(names))


def service(world: World, mode: str = "replay") -> FillCalibrationService:
    return FillCalibrationService(
        world.journal, world.registry, CALENDAR, account=ACCOUNT, mode=mode, rule=CalibrationRule(),
        fees=FeeSchedule(),
    )  # fmt: skip


def test_a_closed_session_gives_a_manifest_that_is_read_back(world: World, ended: pd.DataFrame) -> None:
    last = str(ended["session"].max())
    assert latest_fill_model(world.journal, world.registry, ACCOUNT) is None
    world.close(last)
    found = service(world).run(ended, last, source="simulated")
    assert found.decision == "fitted"
    assert "unproven against the market" in found.reason
    model = latest_fill_model(world.journal, world.registry, ACCOUNT)
    assert model is not None
    assert model.model_id == found.fill_model_id
    assert model.status(CALENDAR.session_close_ns(last)) == "ok"
    assert latest_fill_model(world.journal, world.registry, "another account") is None
    again = service(world).run(ended.head(0), last, source="simulated")
    assert again == found
    assert len(world.journal.events(kinds=(DONE,))) == 1


def test_later_orders_do_not_count(world: World, ended: pd.DataFrame) -> None:
    days = sorted(ended["session"].unique())
    world.close(days[12])
    found = service(world).run(ended, days[12], source="simulated")
    assert found.orders == 13 * 20
    assert found.sessions == 13


def test_too_few_orders_teach_nothing_and_say_so(world: World, ended: pd.DataFrame) -> None:
    first, second = sorted(ended["session"].unique())[:2]
    world.close(first)
    found = service(world).run(ended, first, source="simulated")
    assert (found.decision, found.fill_model_id, found.orders) == ("too_few_orders", "", 20)
    assert latest_fill_model(world.journal, world.registry, ACCOUNT) is None
    with pytest.raises(Refused, match="is not closed"):
        service(world).run(ended, second, source="simulated")
    with pytest.raises(Refused, match="does not fit mode"):
        service(world).run(ended, first, source="live")


def test_the_cost_model_in_use_is_taken_where_it_is_of_the_same_fills(
    world: World, ended: pd.DataFrame
) -> None:
    last = str(ended["session"].max())
    world.close(last)
    dealt = ended[ended["filled"] > 0].assign(quantity=lambda frame: frame["filled"])
    costs = fit_cost_model(dealt, as_of=CALENDAR.session_close_ns(last), min_fills=100)
    world.approve(costs)
    service(world).run(ended, last, source="simulated")
    model = latest_fill_model(world.journal, world.registry, ACCOUNT)
    assert model is not None
    assert model.costs.model_id == costs.model_id


def test_a_changed_byte_of_the_manifest_is_refused(world: World, ended: pd.DataFrame) -> None:
    last = str(ended["session"].max())
    world.close(last)
    service(world).run(ended, last, source="simulated")
    (event,) = world.journal.events(kinds=(DONE,))
    file = world.folder / "registry" / "fill_model" / event.payload["artifact_id"] / "content"
    file = file if file.exists() else next(file.parent.glob("content*"))
    file.write_bytes(file.read_bytes().replace(b'"orders":400', b'"orders":401'))
    with pytest.raises(ManifestMismatch, match="is not the file that was stored"):
        latest_fill_model(world.journal, world.registry, ACCOUNT)


def test_a_model_that_was_not_the_calibrated_one_is_refused(world: World, ended: pd.DataFrame) -> None:
    last = str(ended["session"].max())
    world.close(last)
    service(world).run(ended, last, source="simulated")
    (event,) = world.journal.events(kinds=(DONE,))
    world.journal.commit([Event(DONE, {**event.payload, "fill_model_id": "f" * 64})])
    with pytest.raises(ManifestMismatch, match="is not the one that was calibrated"):
        latest_fill_model(world.journal, world.registry, ACCOUNT)
