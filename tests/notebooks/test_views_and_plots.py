"""Tables and pictures of a real journal: units, types that never change, and sums that add up."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from workbench import plots
from workbench.adapters.journal import JournalDatabase
from workbench.core.ports import BarStore, Calendar, Event
from workbench.core.types import MISSING, Bars
from workbench.views import Views

NANO, MICRO = 1_000_000_000, 1_000_000
OPEN_NS, CLOSE_NS = 1_359_729_000 * NANO, 1_359_752_400 * NANO
SESSION = "2013-02-01"
TABLES = (
    "sessions", "decisions", "orders", "denials", "fills", "shortfall", "equity", "reconciliations", "alerts",
    "people", "runs", "state",
)  # fmt: skip


def order(number: int, symbol: str, side: str, quantity: int, **changes: Any) -> dict[str, Any]:
    return {
        "client_order_id": f"wb1-{number}", "account": "demo", "strategy": "trend", "session": SESSION,
        "scheduled_ns": OPEN_NS, "symbol": symbol, "leg": "entry", "side": side,
        "quantity_nano": quantity * NANO, "order_type": "limit", "limit_micro": 101 * MICRO,
        "reference_micro": 100 * MICRO, "expected_cost_micro": 250, "parent_id": "", "decision_id": "d1",
        **changes,
    }  # fmt: skip


def moved(number: int, state: str, filled: int, at_ns: int = OPEN_NS) -> Event:
    payload = {
        "client_order_id": f"wb1-{number}", "state": state, "at_ns": at_ns, "venue_order_id": "v",
        "filled_nano": filled * NANO, "reason": "",
    }  # fmt: skip
    return Event("order.changed", payload)


def fill(number: int, symbol: str, quantity: int, price_micro: int, fee_micro: int) -> Event:
    postings = [
        posting("cash", -quantity * price_micro - fee_micro), posting("fees", fee_micro),
        posting(f"securities:{symbol}", quantity * price_micro, quantity),
    ]  # fmt: skip
    payload = {
        "execution_id": f"e{number}", "client_order_id": f"wb1-{number}", "account": "demo",
        "session": SESSION, "symbol": symbol, "side": "buy", "quantity_nano": quantity * NANO,
        "price_micro": price_micro, "fee_micro": fee_micro, "filled_at_ns": OPEN_NS + number,
        "postings": postings,
    }  # fmt: skip
    return Event("fill.booked", payload)


def posting(name: str, amount_micro: int, shares: int = 0) -> dict[str, Any]:
    return {
        "ledger_account": name, "amount_micro": amount_micro, "quantity_nano": shares * NANO, "memo": "",
    }  # fmt: skip


def history() -> list[Event]:
    """One session: IBM bought in full, GOOG bought in half, AAPL denied, one break."""
    rows = [
        {"symbol": "AAPL", "forecast_micro": None, "weight_micro": None, "edge_micro": None,
         "cost_floor_micro": None, "target_shares": 0, "delta_shares": 0, "reason": "forecast_missing"},
        {"symbol": "IBM", "forecast_micro": 12_300, "weight_micro": -150_000, "edge_micro": 11_000,
         "cost_floor_micro": 900, "target_shares": 10, "delta_shares": 10, "reason": "enter"},
    ]  # fmt: skip
    report = {
        "orders": 2, "denied": 1, "fills": 2, "traded_notional_micro": 1_500 * MICRO, "fees_micro": 20_000,
        "shortfall_cbps": 1_234,
    }  # fmt: skip
    found_break = {"kind": "cash", "symbol": "", "ours": 1, "theirs": 2, "evidence": "account"}
    return [
        Event("person.added", {"person": "ann", "role": "operator", "passphrase_hash": "x" * 40}),
        Event("state.changed", {"account": "demo", "state": "ACTIVE", "epoch": 1, "reason": "start",
              "cause": "person", "person": "ann", "code_hash": "c"}),
        Event("ledger.posted", {"account": "demo", "session": SESSION, "entry_id": "o", "memo": "opening",
              "postings": [posting("cash", 1_000 * MICRO), posting("capital", -1_000 * MICRO)]}),
        Event("decision.made", {"decision_id": "d1", "account": "demo", "strategy": "trend",
              "session": SESSION, "scheduled_ns": OPEN_NS, "snapshot_hash": "s", "model_id": "m",
              "cost_model_id": "c", "bars_fingerprint": "b", "rows": rows}),
        Event("order.intended", {**order(1, "IBM", "buy", 10), "verdict": "allowed"}),
        Event("order.intended", {**order(2, "GOOG", "buy", 10, expected_cost_micro=MISSING, limit_micro=0,
              order_type="market"), "verdict": "allowed"}),
        Event("order.denied", {**order(3, "AAPL", "sell", 5), "codes": ["PRICE_STALE", "SHORT"]}),
        moved(1, "SENT", 0), moved(2, "SENT", 0), moved(1, "ACCEPTED", 0), moved(2, "ACCEPTED", 0),
        moved(1, "FILLED", 10), moved(2, "PARTIALLY_FILLED", 5), moved(2, "EXPIRED", 5, CLOSE_NS),
        fill(1, "IBM", 10, 100_500_000, 10_000),
        fill(2, "GOOG", 5, 99_000_000, 10_000),
        Event("reconciliation.done", {"account": "demo", "session": SESSION, "at_ns": CLOSE_NS,
              "clean": False, "breaks": [found_break]}),
        Event("session.closed", {"account": "demo", "strategy": "trend", "session": SESSION, "digest": "dd",
              "equity_micro": 990 * MICRO, "cash_micro": 400 * MICRO, "positions": {}, "report": report}),
        Event("alert.raised", {"account": "demo", "code": "STAGE_BUDGET", "text": "slow", "at_ns": CLOSE_NS}),
        Event("run.started", {"run_id": "r1", "job": "trading_loop", "session": SESSION, "attempt": 1,
              "parameters_hash": "p", "code_hash": "c"}),
    ]  # fmt: skip


class Prices:
    """One session's closes: GOOG at 104."""

    def read(self, symbols: list[str], *, as_of_ns: int, rows: int, view: str) -> Bars:
        assert as_of_ns >= CLOSE_NS
        assert view == "raw"
        price = np.array([[104.0 if symbol == "GOOG" else 100.0 for symbol in symbols]])
        there = np.ones(price.shape, dtype=bool)
        return Bars(np.array([CLOSE_NS]), tuple(symbols), price, price, price, price, price, there)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[JournalDatabase]:
    found = JournalDatabase(
        f"sqlite:///{tmp_path / 'journal.sqlite'}", anchor_path=tmp_path / "anchor", anchor_key=b"k" * 32,
        config_hash="0" * 64, wall_ns=lambda: OPEN_NS,
    )  # fmt: skip
    yield found
    found.close()


@pytest.fixture
def full(journal: JournalDatabase) -> Views:
    journal.commit(history())
    calendar = cast(Calendar, SimpleNamespace(session_close_ns=lambda session: CLOSE_NS))
    return Views(journal, "demo", bars=cast(BarStore, Prices()), calendar=calendar)


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_history_has_the_same_columns_and_types_as_a_full_one(
    tmp_path: Path, full: Views, table: str
) -> None:
    empty = getattr(Views(SimpleNamespace(rows=lambda projection, **equals: []), "demo"), table)()
    frame = getattr(full, table)()
    assert len(empty) == 0
    assert len(frame) > 0
    assert list(empty.columns) == list(frame.columns)
    assert empty.dtypes.to_dict() == frame.dtypes.to_dict()


def test_sessions_are_in_dollars_and_basis_points(full: Views) -> None:
    row = full.sessions().iloc[0].to_dict()
    assert row["session"] == SESSION
    assert (row["equity_usd"], row["pnl_usd"], row["cash_usd"]) == (990.0, -10.0, 400.0)
    assert (row["decisions"], row["orders"], row["denials"], row["fills"]) == (1, 2, 1, 2)
    assert (row["traded_usd"], row["fees_usd"], row["shortfall_bps"]) == (1500.0, 0.02, 12.34)
    assert (row["clean"], row["breaks"]) == (False, 1)
    assert full.reconciliations()["evidence"].tolist() == ["cash: ours 1, theirs 2 (account)"]


def test_decisions_show_missing_numbers_as_missing(full: Views) -> None:
    frame = full.decisions(SESSION).set_index("symbol")
    assert frame.loc["IBM", "forecast_bps"] == 123.0
    assert frame.loc["IBM", "weight"] == -0.15
    assert math.isnan(cast(float, frame.loc["AAPL", "forecast_bps"]))
    assert frame["scheduled_at"].iloc[0] == pd.Timestamp("2013-02-01 14:30", tz="UTC")
    assert len(full.decisions("2013-02-04")) == 0


def test_orders_and_denials_are_apart(full: Views) -> None:
    orders, denials = full.orders().set_index("symbol"), full.denials()
    assert sorted(orders.index) == ["GOOG", "IBM"]
    assert orders.loc["IBM", "limit_usd"] == 101.0
    assert orders.loc["IBM", "expected_cost_bps"] == 2.5
    assert orders["sent_at"].notna().all()
    assert math.isnan(cast(float, orders.loc["GOOG", "limit_usd"]))
    assert math.isnan(cast(float, orders.loc["GOOG", "expected_cost_bps"]))
    assert denials["codes"].tolist() == ["PRICE_STALE,SHORT"]


def test_shortfall_charges_what_was_not_filled(full: Views) -> None:
    """F33, both signs. IBM: 10 x .50 + .01 on 1,000. GOOG: 5 x -1 gained, 5 x 4 missed, .01 fee."""
    frame = full.shortfall(SESSION).set_index("symbol")
    assert frame.loc["IBM", "shortfall_usd"] == pytest.approx(5.01)
    assert frame.loc["IBM", "shortfall_bps"] == pytest.approx(50.1)
    assert frame.loc["GOOG", "trading_bps"] == pytest.approx(-50.0)
    assert frame.loc["GOOG", "opportunity_bps"] == pytest.approx(200.0)
    assert frame.loc["GOOG", "shortfall_bps"] == pytest.approx(150.1)
    parts = frame[["delay_bps", "trading_bps", "opportunity_bps", "fees_bps"]].sum(axis=1)
    assert np.allclose(parts, frame["shortfall_bps"])


def test_without_closing_prices_an_unfilled_order_has_no_shortfall(
    full: Views, journal: JournalDatabase
) -> None:
    frame = Views(journal, "demo").shortfall().set_index("symbol")
    assert frame.loc["IBM", "shortfall_bps"] == pytest.approx(50.1)
    assert math.isnan(cast(float, frame.loc["GOOG", "shortfall_bps"]))


def test_equity_counts_drawdown_from_the_opening_cash(full: Views) -> None:
    row = full.equity().iloc[0]
    assert row["drawdown_bps"] == pytest.approx(100.0)
    assert row["invested_usd"] == 590.0


def test_another_account_is_not_shown(full: Views, journal: JournalDatabase) -> None:
    assert len(Views(journal, "other").orders()) == 0
    assert len(Views(journal, "other").state()) == 0


def test_people_are_listed_without_their_hashes(full: Views) -> None:
    frame = full.people()
    assert frame.to_dict("records") == [{"person": "ann", "role": "operator", "has_passphrase": True}]


def test_the_static_picture_is_small_and_always_the_same(full: Views) -> None:
    pictures = [plots.equity_picture(full.equity()) for _ in range(2)]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"\x89PNG")
    assert 1_000 < len(pictures[0]) < 60_000
    assert plots.equity_picture(full.equity().iloc[:0]) != pictures[0]


def test_interactive_pictures_show_every_row(full: Views) -> None:
    curve = plots.equity(full.equity())
    assert [len(part) for part in curve] == [1, 1, 1]
    weights = plots.decision_weights(full.decisions())
    assert len(weights) == 2
    assert len(plots.decision_weights(full.decisions().iloc[:0])) == 0


def test_notebook_is_safe_outside_a_notebook_and_loads_panel_before_hvplot() -> None:
    """Offline, hvplot before the inline extension leaves every output blank."""
    script = (
        "import sys, workbench.plots as p\n"
        "assert not {'panel', 'hvplot', 'holoviews', 'matplotlib'} & set(sys.modules)\n"
        "import panel as pn\n"
        "seen = []\n"
        "def watched(*names, **options):\n"
        "    seen.append((names, options.get('inline'), 'hvplot.pandas' in sys.modules))\n"
        "pn.extension = watched\n"
        "p.notebook()\n"
        "assert seen == [(('tabulator',), True, False)], seen\n"
        "assert 'hvplot.pandas' in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
