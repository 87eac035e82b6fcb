"""A session that needs a watchdog neither starts nor sends without a living one."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drive
import pytest

from workbench.adapters.kernel_guard import process_holder
from workbench.adapters.watchdog_file import WatchdogFile
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.watchdog import watch
from workbench.bootstrap.watchdog_sign import watchdog_file, watchdog_state, watchdog_trouble
from workbench.config import Settings
from workbench.core.orders import OrderState
from workbench.errors import Refused, TradingHalted


def needing(settings: Settings, **changes: Any) -> Settings:
    """The same desk, which now needs a watchdog; its model was made before and stays good for it."""
    watchdog = dataclasses.replace(settings.watchdog, required=True, **changes)
    changed = dataclasses.replace(settings, watchdog=watchdog)
    changed.__dict__["config_hash"] = settings.config_hash
    return changed


@pytest.fixture
def desk(new_desk: Callable[..., Settings]) -> Settings:
    return needing(new_desk())


def line(job: Any) -> Any:
    return next(check for check in job.trading.preflight() if check.name == "watchdog")


def test_without_a_watchdog_the_session_is_refused_with_what_to_do(desk: Settings) -> None:
    job = drive.start(desk, drive.FIRST)
    try:
        with pytest.raises(Refused, match="watchdog: no watchdog lives") as caught:
            job.trading.start()
        assert "workbench watchdog" in caught.value.next_step
        assert Desk(desk).journal.rows("decisions") == []
    finally:
        job.account.close()


def test_with_one_it_starts_and_when_it_falls_silent_nothing_more_is_sent(desk: Settings) -> None:
    sign = watchdog_file(desk)
    sign.begin(process_holder())
    job = drive.start(desk, drive.FIRST)
    try:
        assert line(job).ok
        job.trading.start()
        old = time.time() - desk.watchdog.silent_after_s - 1
        os.utime(sign.path, (old, old))
        with pytest.raises(TradingHalted, match="the watchdog was last seen"):
            job.trading.decide(job.trading.times.decision_ns[0])
        orders = [order.state for order in job.trading.oms.orders.values()]
        assert orders
        assert set(orders) <= {OrderState.INTENDED, OrderState.DENIED}
    finally:
        job.account.close()


def test_a_desk_that_needs_none_says_so(new_desk: Callable[..., Settings]) -> None:
    settings = new_desk()
    assert (watchdog_trouble(settings), watchdog_state(settings)["alive"]) == ("", False)


@pytest.mark.parametrize("age_s", [-1_000.0, 1_000.0])
def test_a_sign_from_the_past_or_the_future_is_none(desk: Settings, age_s: float) -> None:
    sign = watchdog_file(desk)
    sign.begin(process_holder())
    assert watchdog_trouble(desk) == ""
    moment = time.time() - age_s
    os.utime(sign.path, (moment, moment))
    assert watchdog_trouble(desk)


def test_a_sign_of_a_dead_process_is_none_however_fresh(desk: Settings) -> None:
    child = os.fork()
    if child == 0:
        watchdog_file(desk).begin(process_holder())
        os._exit(0)
    os.waitpid(child, 0)
    assert watchdog_state(desk)["age_s"] < desk.watchdog.silent_after_s
    assert watchdog_trouble(desk)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"holder": '])
def test_a_sign_that_cannot_be_read_is_none(tmp_path: Path, content: str) -> None:
    sign = WatchdogFile(tmp_path / "watchdog.heartbeat")
    sign.path.write_text(content)
    assert sign.read() is None
    sign.end()
    sign.end()
    assert sign.read() is None


def test_a_watchdog_that_starts_without_a_journal_watches_halts_and_tells(
    new_desk: Callable[..., Settings],
) -> None:
    settings = new_desk()
    settings = dataclasses.replace(
        settings, watchdog=dataclasses.replace(settings.watchdog, journal_silent_s=1.0, look_every_s=0.1)
    )
    paths = Desk(settings).paths
    paths.journal.unlink()
    found = watch(settings, once=False, seconds=1.5, trouble=str)  # type: ignore[arg-type]
    assert found.last is not None
    assert [finding.code for finding in found.last.findings] == ["JOURNAL_UNREACHABLE"]
    assert not paths.armed.exists()
    assert "JOURNAL_UNREACHABLE" in (paths.root / "alerts.jsonl").read_text()
