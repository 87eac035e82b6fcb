"""The committed sample is what its manifest and README say, and what the exchange could have printed."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.adapters.calendar import ExchangeCalendar

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
MANIFEST = json.loads((SAMPLE / "manifest.json").read_text(encoding="utf-8"))
DAILY = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


@pytest.fixture(scope="module")
def calendar() -> ExchangeCalendar:
    return ExchangeCalendar(first="1990-01-01", last="2026-12-31")


def test_every_file_is_listed_with_its_hash() -> None:
    found = {
        path.relative_to(SAMPLE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in SAMPLE.rglob("*.parquet")
    }
    assert found == {path: entry["sha256"] for path, entry in MANIFEST["outputs"].items()}
    assert sum(entry["bytes"] for entry in MANIFEST["outputs"].values()) < 3_000_000
    for path, entry in MANIFEST["outputs"].items():
        assert entry["rows"] == len(pd.read_parquet(SAMPLE / path)), path
        assert entry["source"] in MANIFEST["sources"], path


def test_the_readme_states_the_same_provenance() -> None:
    readme = (SAMPLE / "README.md").read_text(encoding="utf-8")
    for path, entry in MANIFEST["outputs"].items():
        assert f"| `{path}` | {entry['rows']:,} | `{entry['sha256']}` |" in readme
    for name, source in MANIFEST["sources"].items():
        for fact in (name, source["version"], source["licence"], source["member"], source["sha256"]):
            assert fact in readme, (name, fact)
        assert f"{name} {source['version']}" in (SAMPLE / "NOTICE.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("symbol", DAILY)
def test_daily_bars_are_complete_and_possible(symbol: str, calendar: ExchangeCalendar) -> None:
    bars = pd.read_parquet(SAMPLE / f"daily/{symbol}.parquet")
    sessions = tuple(day.isoformat() for day in bars["session"])
    assert sessions == calendar.sessions_between(sessions[0], "2013-03-01")
    assert set(bars["symbol"]) == {symbol}
    prices = bars[["open", "high", "low", "close"]].to_numpy()
    assert np.isfinite(prices).all()
    assert (bars["low"] == prices.min(axis=1)).all()
    assert (bars["high"] == prices.max(axis=1)).all()
    assert (bars["low"] > 0).all()
    assert (bars["volume"] > 0).all()


def test_splits_and_large_moves_explain_each_other() -> None:
    splits = {
        (row.symbol, row.ex_session.isoformat()): row.new_shares / row.old_shares
        for row in pd.read_parquet(SAMPLE / "splits.parquet").itertuples()
    }
    assert set(splits) == {("AAPL", "2000-06-21"), ("AAPL", "2005-02-28"), ("MSFT", "2003-02-18")}
    unexplained = []
    for symbol in DAILY:
        rows = list(pd.read_parquet(SAMPLE / f"daily/{symbol}.parquet").itertuples())
        for before, after in pairwise(rows):
            factor = (after.adj_close / after.close) / (before.adj_close / before.close)
            ratio = splits.get((symbol, after.session.isoformat()), 1.0)
            assert factor == pytest.approx(ratio, rel=0.13 if ratio == 1.0 else 1e-6), after
            if not 1 / 1.5 < after.close * ratio / before.close < 1.5:
                unexplained.append((symbol, after.session.isoformat()))
    assert unexplained == [("AAPL", "2000-09-29")]
    assert "AAPL 2000-09-29" in (SAMPLE / "README.md").read_text(encoding="utf-8")


def test_minutes_are_complete_sessions_labelled_by_their_start(calendar: ExchangeCalendar) -> None:
    minutes = pd.read_parquet(SAMPLE / "minutes/AAPL.parquet")
    start = minutes["start"].dt.as_unit("ns").astype("int64").to_numpy()
    sessions = calendar.sessions_between("2026-07-29", "2026-08-05")
    expected = [
        np.arange(calendar.session_open_ns(day), calendar.session_close_ns(day), 60_000_000_000)
        for day in sessions
    ]
    assert len(sessions) == 6
    assert np.array_equal(start, np.concatenate(expected))


def test_large_caps_cover_every_session(calendar: ExchangeCalendar) -> None:
    closes = pd.read_parquet(SAMPLE / "closes/large_caps.parquet")
    sessions = tuple(day.isoformat() for day in closes["session"])
    assert sessions == calendar.sessions_between("1990-01-02", "2022-12-28")
    assert closes.shape == (8313, 21)
    assert (closes.drop(columns="session") > 0).all(axis=None)
