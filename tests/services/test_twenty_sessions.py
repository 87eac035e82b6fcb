"""The main job without papermill: twenty real sessions, the same bytes whatever the process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import drive
import pytest

from workbench import costs, tca
from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import Settings
from workbench.core.features import market_statistics
from workbench.services.execution import ExecutionRecords

SCRIPT = Path(drive.__file__)


@pytest.fixture(scope="module")
def traded(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list[dict[str, Any]]]:
    """A desk that traded all sessions in this process, and its closing rows."""
    import shutil

    from workbench.config import load_settings

    folder = tmp_path_factory.mktemp("traded") / "desk"
    shutil.copytree(prepared, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    return settings, [drive.trade(settings, session) for session in drive.sessions_of(settings)]


def elsewhere(settings: Settings, hash_seed: str) -> list[dict[str, Any]]:
    """The closing rows when another process, with another hash seed, trades the same sessions."""
    result = subprocess.run(
        [sys.executable, str(SCRIPT), str(settings.folder / "workbench.toml"), drive.FIRST, drive.LAST],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_twenty_sessions_trade_and_the_books_equal_the_venue_after_each(
    traded: tuple[Settings, list[dict[str, Any]]],
) -> None:
    _, rows = traded
    assert len(rows) == 20
    assert all(row["equal_to_venue"] for row in rows)
    totals = {key: sum(row["report"][key] for row in rows) for key in ("orders", "denied", "fills")}
    assert totals["orders"] > 10
    assert totals["fills"] > 10
    assert totals["denied"] > 0


def test_every_reconciliation_was_clean_and_every_order_has_a_decision(
    traded: tuple[Settings, list[dict[str, Any]]],
) -> None:
    journal = Desk(traded[0]).journal
    assert all(row["clean"] for row in journal.rows("reconciliations"))
    decisions = {row["decision_id"] for row in journal.rows("decisions")}
    assert len(decisions) == 20
    assert {row["decision_id"] for row in journal.rows("orders")} <= decisions
    report = open_journal(traded[0], read_only=False).verify()
    assert report.ok, report


@pytest.mark.parametrize("split", ["cfa", "wagner"])
def test_the_ledger_of_every_session_is_paper_minus_shortfall_to_the_micro(
    traded: tuple[Settings, list[dict[str, Any]]], split: str
) -> None:
    settings, rows = traded
    books = Desk(settings).execution.books(split=split)
    assert books["residual_micro"].tolist() == [0] * 20
    parts = books[["delay", "trading", "opportunity", "fees"]].sum(axis=1)
    total = books["paper"] - parts - books["unfilled_after"] + books["other"]
    assert (books["ledger"] - total).abs().max() < 1e-9
    reported = [row["report"]["shortfall_micro"] / 1e6 for row in rows]
    assert parts.tolist() == pytest.approx(reported, abs=1e-6)
    assert parts.abs().sum() > 100.0


def test_own_fills_are_records_of_cost_with_what_was_known_at_the_decision(
    traded: tuple[Settings, list[dict[str, Any]]],
) -> None:
    desk = Desk(traded[0])
    records, fills, orders = desk.execution.records(), desk.execution.fills(), desk.execution.orders()
    assert len(records) == len(fills) > 10
    assert set(records["source"]) == {"simulated"}
    assert (records[["adv", "volatility_bps", "half_spread_bps"]] > 0).all(axis=None)
    model = costs.fit_cost_model(records, as_of="2013-03-02", min_fills=10)
    assert model.source == "simulated"
    assert model.status("2013-03-02") in ("ok", "missing")
    found = tca.implementation_shortfall(orders, fills, split="cfa")
    paid = (records["cost_bps"] / 1e4 * records["quantity"] * orders_price(orders, fills)).sum()
    assert paid == pytest.approx(found["trading"].sum() + found["fees"].sum())


def test_orders_that_are_over_tell_how_they_ended(
    traded: tuple[Settings, list[dict[str, Any]]],
) -> None:
    desk = Desk(traded[0])
    ended, fills = desk.execution.outcomes(), desk.execution.fills()
    assert len(ended) == len(desk.execution.orders())
    assert ended["filled"].sum() == fills["quantity"].sum()
    dealt = ended[ended["filled"] > 0]
    assert (dealt["delay_s"] > 0).all()
    assert dealt["cost_bps"].notna().all()
    assert ended.loc[ended["filled"] == 0, "cost_bps"].isna().all()
    records = desk.execution.records()
    assert (dealt["cost_bps"] * dealt["filled"]).sum() == pytest.approx(
        (records["cost_bps"] * records["quantity"]).sum()
    )
    model = costs.fit_fill_model(ended, as_of="2013-03-02", min_orders=10)
    assert model.source == "simulated"
    assert model.orders == len(ended)


def test_every_order_that_was_sent_tells_the_market_that_its_decision_saw(
    traded: tuple[Settings, list[dict[str, Any]]],
) -> None:
    desk = Desk(traded[0])
    orders, records = desk.execution.orders(), desk.execution.records()
    names = ["adv", "volatility_bps", "half_spread_bps"]
    later = 0
    for at, mine in orders.groupby("decision_at"):
        for symbol, row in mine.set_index("symbol").iterrows():
            seen = desk.bars.read(sorted(set(mine["symbol"])), as_of_ns=at.value, rows=21)
            assert seen.ts_ns[-1] < at.value
            known = market_statistics(seen)
            place = seen.symbols.index(symbol)
            assert [row[name] for name in names] == [float(part[place]) for part in known]
            evening = desk.bars.read([symbol], as_of_ns=at.value + 12 * 3_600 * 10**9, rows=21)
            later += float(market_statistics(evening)[1][0]) != row["volatility_bps"]
    assert later > len(orders) // 2, "the evening of most sessions knows another volatility"
    filled = orders.set_index("order_id").loc[desk.execution.fills()["order_id"], names]
    assert (filled.to_numpy() == records[names].to_numpy()).all()


def test_regimes_of_own_orders_hold_every_order_once_filled_or_not(
    traded: tuple[Settings, list[dict[str, Any]]],
) -> None:
    desk = Desk(traded[0])
    execution = desk.execution
    orders, fills = execution.orders(), execution.fills()
    assert not set(orders["order_id"]) <= set(fills["order_id"]), "some order was never filled"
    whole = tca.report(orders, fills, None, by=(), split="cfa")
    for regime in ("volatility_regime", "liquidity_regime"):
        found = tca.report(orders, fills, None, by=regime, split="cfa")
        assert set(found.frame[regime]) == {"low", "middle", "high"}
        assert found.frame["orders"].sum() == len(orders)
        assert found.micros["total"].sum() == whole.micros["total"].sum()


def test_orders_of_a_market_that_nobody_knew_are_a_group_of_their_own(
    traded: tuple[Settings, list[dict[str, Any]]],
) -> None:
    desk = Desk(traded[0])
    first = desk.execution.orders()["decision_at"].min().value

    class FewBars:
        """The desk's bars, of which the first decision sees too few; counts who asks."""

        asked: ClassVar[list[int]] = []

        def read(self, symbols: Any, *, as_of_ns: int, rows: int, **view: Any) -> Any:
            self.asked.append(as_of_ns)
            return desk.bars.read(symbols, as_of_ns=as_of_ns, rows=5 if as_of_ns == first else rows, **view)

    execution = ExecutionRecords(
        desk.journal, desk.settings.account, source="simulated", bars=FewBars(), calendar=desk.calendar
    )
    orders = execution.orders()
    early = int((orders["decision_at"].astype("int64") == first).sum())
    assert early > 0
    for regime in ("volatility_regime", "liquidity_regime"):
        found = tca.report(orders, execution.fills(), None, by=regime, split="cfa").frame
        assert found.set_index(regime).loc["unknown", "orders"] == early
    FewBars.asked.clear()
    execution.records()
    assert FewBars.asked == [first], "what was known is not read again, what was missing is looked for"


def orders_price(orders: Any, fills: Any) -> Any:
    return orders.set_index("order_id")["arrival_price"].loc[fills["order_id"]].to_numpy()


def test_another_process_hash_seed_and_symbol_order_give_the_same_digests(
    traded: tuple[Settings, list[dict[str, Any]]], tmp_path: Path
) -> None:
    settings, rows = traded
    toml = (settings.folder / "workbench.toml").read_text()
    line = next(line for line in toml.splitlines() if line.startswith("universe"))
    turned = line.replace(str(list(settings.universe)).replace("'", '"'), json.dumps(settings.universe[::-1]))
    assert turned != line
    other = drive.make_desk(tmp_path / "turned", toml.replace(line, turned))
    assert other.config_hash == settings.config_hash
    assert [row["digest"] for row in elsewhere(other, "12345")] == [row["digest"] for row in rows]


def test_a_session_that_is_traded_twice_sends_nothing_twice(new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("twice")
    drive.trade(settings, drive.FIRST)
    first = drive.trade(settings, "2013-02-04")
    events = len(Desk(settings).journal.events(kinds=("order.changed", "order.intended", "fill.booked")))
    second = drive.trade(settings, "2013-02-04")
    assert second["digest"] == first["digest"]
    again = len(Desk(settings).journal.events(kinds=("order.changed", "order.intended", "fill.booked")))
    assert again == events > 0
