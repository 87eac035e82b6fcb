"""The demonstration's twenty real sessions, traded by the whole desk and simulated from its record."""

from __future__ import annotations

from collections.abc import Callable

import drive
import numpy as np
import parity
import pytest

from workbench.bootstrap.desk import Desk
from workbench.bootstrap.trading import load_strategy, open_account
from workbench.config import Settings
from workbench.core.simulate import SessionHours, prepare, simulate
from workbench.core.types import NANO


@pytest.mark.slow
def test_the_sample_desk_is_simulated_as_it_was_traded(new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("simulated")
    sessions = drive.sessions_of(settings)
    for session in sessions:
        drive.trade(settings, session)
    desk = Desk(settings)
    calendar, journal = desk.calendar, desk.journal
    account = open_account(settings)
    strategy = load_strategy(account, session=sessions[0], now_ns=calendar.session_open_ns(sessions[0]))
    account.close()

    bars = desk.bars.read(settings.universe, as_of_ns=calendar.session_close_ns(sessions[-1]), rows=60)
    closes = {calendar.session_close_ns(session): session for session in sessions}
    first = next(row for row, ts in enumerate(bars.ts_ns.tolist()) if ts in closes)
    assert [closes.get(ts) for ts in bars.ts_ns[first:].tolist()] == list(sessions)
    decided = {row["session"]: row for row in journal.rows("decisions", account=settings.account)}
    opens, decision_ns = np.zeros_like(bars.ts_ns), np.zeros_like(bars.ts_ns)
    forecast = np.full(bars.close.shape, np.nan)
    for row, ts_ns in enumerate(bars.ts_ns.tolist()):
        if row < first:
            opens[row] = ts_ns - 6 * 3_600 * NANO
            decision_ns[row] = opens[row] - NANO
            continue
        opens[row] = calendar.session_open_ns(closes[ts_ns])
        decision_ns[row] = decided[closes[ts_ns]]["scheduled_ns"]
        for cell in decided[closes[ts_ns]]["rows"]:
            if cell["forecast_micro"] is not None:
                forecast[row - 1, bars.symbols.index(cell["symbol"])] = cell["forecast_micro"] / 1e6
    result = simulate(
        prepare(bars, hours=SessionHours(decision_ns, opens, bars.ts_ns)), forecast, policy=strategy.policy,
        limits=strategy.limits, costs=strategy.cost_model, fills=settings.fills, seed=settings.seed,
        cash_usd=settings.venue.starting_cash_usd, keep_decisions=True,
    )  # fmt: skip

    theirs = parity.records_of_journal(journal, settings.account)
    ours = parity.records_of_simulation(result, decision_ns, first)
    assert len(theirs["orders"]) > 10
    assert ours["decisions"] == theirs["decisions"]
    assert ours["orders"] == theirs["orders"]
    assert ours["fills"] == theirs["fills"]
    money = zip(result.equity_micro[first:].tolist(), result.cash_micro[first:].tolist(), strict=True)
    assert list(money) == [row[:2] for row in theirs["closed"]]
    assert dict(result.positions) == theirs["closed"][-1][2]
