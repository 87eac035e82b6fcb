"""Controls that outlast an order, in a real session: an account halts, a symbol is disabled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import drive
import pytest

from workbench.bootstrap import admin
from workbench.bootstrap.desk import Desk, open_journal
from workbench.bootstrap.limits import enable_symbol, limit_utilisation
from workbench.config import DEFAULT_TOML, Settings
from workbench.core.ports import Event
from workbench.core.pretrade import DenialCode, Limits
from workbench.errors import TradingHalted
from workbench.services.stops import RATE_REASON

NewDesk = Callable[[str], Settings]
FIRST, SECOND, THIRD = "2013-02-01", "2013-02-04", "2013-02-05"


def rows(settings: Settings, projection: str, **equals: Any) -> list[dict[str, Any]]:
    return Desk(settings).journal.rows(projection, **equals)


def commit(settings: Settings, *events: Event) -> None:
    journal = open_journal(settings, read_only=False)
    try:
        journal.commit(events)
    finally:
        journal.close()


def denied_with(settings: Settings, session: str) -> dict[str, set[str]]:
    found = rows(settings, "orders", session=session, state="DENIED")
    return {row["symbol"]: set(row["reason"].split(",")) for row in found}


def test_a_disabled_symbol_is_denied_in_every_session_until_a_person_enables_it(new_desk: NewDesk) -> None:
    settings = new_desk("disabled")
    stop = {"account": settings.account, "symbol": "FB", "reason": "test", "at_ns": 1}
    commit(settings, Event("symbol.disabled", stop))
    drive.trade(settings, FIRST)
    drive.trade(settings, SECOND)
    assert "SYMBOL_DISABLED" in denied_with(settings, SECOND)["FB"]
    assert all("SYMBOL_DISABLED" not in c for s, c in denied_with(settings, SECOND).items() if s != "FB")
    assert [row["symbol"] for row in rows(settings, "orders", state="FILLED")] == ["GOOG"]
    (use,) = (use for use in limit_utilisation(settings) if use.code == "SYMBOL_DISABLED")
    assert use.about == "disabled: FB"
    enable_symbol(settings, "FB", person="operator", reason="looked at it")
    drive.trade(settings, THIRD)
    assert "FB" in {row["symbol"] for row in rows(settings, "orders", session=THIRD, state="FILLED")}


def test_the_table_of_limits_agrees_with_the_journal(new_desk: NewDesk) -> None:
    settings = new_desk("used")
    fresh = {use.code: use for use in limit_utilisation(settings)}
    assert set(fresh) == {code.name for code in DenialCode}
    assert fresh["GROSS"].used == 0.0
    assert fresh["FIRST_ORDERS"].used == 0.0
    drive.trade(settings, FIRST)
    drive.trade(settings, SECOND)
    found = {use.code: use for use in limit_utilisation(settings)}
    sent = [row for row in rows(settings, "orders", session=SECOND) if row["sent_at_ns"]]
    assert found["FIRST_ORDERS"].used == len(sent) > 0
    assert found["FIRST_SYMBOLS"].used == len({row["symbol"] for row in sent})
    assert found["QUANTITY"].used == max(row["quantity_nano"] for row in sent) / 1e9
    closing = rows(settings, "sessions")[-1]
    held = {symbol: nano // 10**9 for symbol, nano in closing["positions"].items()}
    assert found["POSITION"].used == max(abs(shares) for shares in held.values())
    assert found["OPEN_SYMBOLS"].used == len(held)
    gross = (closing["equity_micro"] - closing["cash_micro"]) / 1e6
    assert found["GROSS"].used == pytest.approx(gross, rel=0.05), "at the close before: nothing is short"
    assert found["NET_EXPOSURE"].used == found["GROSS"].used
    limit = found["GROSS"]
    assert limit.headroom == limit.value - limit.used  # type: ignore[operator]
    assert found["QUOTED_SPREAD"].used is None
    assert found["QUOTED_SPREAD"].headroom is None


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A new desk that may send two orders a minute, and stops at a third of an attempt more."""
    toml = DEFAULT_TOML.replace("max_orders_per_minute = 60", "max_orders_per_minute = 2")
    toml = toml.replace("stop_rate_multiple = 5.0", "stop_rate_multiple = 1.3")
    toml = toml.replace("first_max_notional_usd = 2_000_000", "first_max_notional_usd = 150_000")
    settings = drive.make_desk(tmp_path_factory.mktemp("hasty") / "desk", toml)
    assert settings.limits == Limits(
        max_orders_per_minute=2, stop_rate_multiple=1.3, first_max_notional_usd=150_000
    )
    return settings


@pytest.mark.slow
def test_too_many_attempts_halt_the_account_and_a_new_process_finds_it_halted(hasty: Settings) -> None:
    """Row 13: the first level denies, the second stops the session."""
    job = drive.start(hasty, FIRST)
    try:
        job.trading.start()
        job.trading.decide(job.trading.times.decision_ns[0])
    finally:
        job.account.close()
    denied = denied_with(hasty, FIRST)
    assert any("RATE_STOP" in codes for codes in denied.values())
    assert any("FIRST_NOTIONAL" in codes for codes in denied.values()), "no session is closed"
    assert not any(row["sent_at_ns"] for row in rows(hasty, "orders")), "nothing left after that"
    assert (admin.permission(hasty).state, admin.permission(hasty).reason) == ("HALTED", RATE_REASON)
    with pytest.raises(TradingHalted):
        drive.trade(hasty, FIRST)


def test_no_limit_has_a_value_that_means_off(tmp_path: Path) -> None:
    """Row 2: what is no ceiling fails at the start and names its key."""
    from workbench.config import load_settings
    from workbench.core.pretrade.limits import CEILINGS
    from workbench.errors import ConfigError

    least = {"account": "demo", "strategy": "trend", "universe": ["AAPL"], "seed": 1}
    assert load_settings(None, overrides=least, environ={}).limits == Limits()
    for name in CEILINGS:
        for value in (0, -1, float("nan"), float("inf")):
            with pytest.raises(ConfigError) as caught:
                load_settings(None, overrides={**least, f"limits.{name}": value}, environ={})
            assert [problem.key for problem in caught.value.problems] == [f"limits.{name}"]
    (tmp_path / "workbench.toml").write_text(
        DEFAULT_TOML.replace("sectors = {}", 'sectors = {"AAPL" = "technology", "IBM" = ""}')
    )
    with pytest.raises(ConfigError, match=r"limits.sectors"):
        load_settings(str(tmp_path / "workbench.toml"), environ={})
