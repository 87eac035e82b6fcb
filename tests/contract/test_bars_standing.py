"""A panel that stands is the one that a store which remembers nothing would paint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.adapters.bars import ParquetBarStore, reading
from workbench.adapters.bars.standing import StandingPanels
from workbench.adapters.calendar import ExchangeCalendar
from workbench.core.types import Bars

CALENDAR = ExchangeCalendar(first="2000-01-01", last="2014-12-31")
DAYS = CALENDAR.sessions_between("2013-01-02", "2013-02-08")
HOUR = 3_600 * 10**9
NOW = CALENDAR.session_close_ns("2013-03-01")
#: Everything that can change an answer happens between these two: bars, a correction, a split, a new name.
FIRST, LAST = (CALENDAR.session_close_ns(day) for day in (DAYS[-6], DAYS[-1]))


def rows(symbol: str, days: Any, close: float) -> pd.DataFrame:
    day = {"open": close, "high": close + 1, "low": close - 1, "close": close, "volume": 1_000}
    return pd.DataFrame([{"symbol": symbol, "session": one, **day} for one in days])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = ParquetBarStore(tmp_path / "bars", calendar=CALENDAR)
    table = pd.concat([rows("AAA", DAYS, 10.0), rows("BBB", DAYS[:-2], 20.0), rows("CCC", DAYS[-2:], 21.0)])
    store.ingest(
        table, source="a test", now_ns=NOW,
        splits=pd.DataFrame([{"symbol": "AAA", "ex_session": DAYS[-3], "new_shares": 2, "old_shares": 1}]),
        renames=pd.DataFrame([{"symbol": "BBB", "ex_session": DAYS[-2], "new_symbol": "CCC"}]),
    )  # fmt: skip
    corrected = CALENDAR.session_close_ns(DAYS[-5]) + 3 * HOUR
    store.ingest(rows("AAA", [DAYS[-6]], 11.0), source="a test", known_at=[corrected], now_ns=NOW)
    return tmp_path / "bars"


def same(one: Bars, other: Bars) -> bool:
    columns = ("ts_ns", "open", "high", "low", "close", "volume", "tradable")
    return one.symbols == other.symbols and all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name != "tradable")
        for name in columns
    )


@pytest.mark.parametrize("view", ["adjusted", "raw"])
@pytest.mark.parametrize("count", [1, 5, 100])
def test_what_stands_is_what_would_be_painted_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, count: int, view: str
) -> None:
    painted = 0
    paint = reading._painted

    def counted(*args: Any) -> Any:
        nonlocal painted
        painted += 1
        return paint(*args)

    store, forgetful = (ParquetBarStore(folder, calendar=CALENDAR) for _ in range(2))
    # every few hours, and just before and at each moment of a close
    closes = [CALENDAR.session_close_ns(day) for day in DAYS[-6:]]
    moments = sorted({*range(FIRST - 2, LAST + 30 * HOUR, 3 * HOUR), *closes, *(at - 1 for at in closes)})
    answers = []
    for at_ns in moments:
        monkeypatch.setattr(reading, "_painted", counted)
        ours = store.read(["AAA", "CCC"], as_of_ns=at_ns, rows=count, view=view)
        monkeypatch.setattr(reading, "_painted", paint)
        forgetful._library.standing = StandingPanels()
        assert same(ours, forgetful.read(["AAA", "CCC"], as_of_ns=at_ns, rows=count, view=view)), at_ns
        answers.append(ours)
    assert painted < len(moments) / 4
    assert len({id(one) for one in answers}) == painted
    assert len({one.close.tobytes() for one in answers}) > 2


def test_a_moment_before_the_last_one_and_a_commit_are_asked_anew(folder: Path) -> None:
    store, writer = (ParquetBarStore(folder, calendar=CALENDAR) for _ in range(2))
    late = store.read(["AAA"], as_of_ns=LAST, rows=3)
    early = store.read(["AAA"], as_of_ns=FIRST, rows=3)
    assert early.ts_ns[-1] == FIRST
    assert late.ts_ns[-1] == LAST
    before = store.read(["AAA"], as_of_ns=LAST + 2 * HOUR, rows=3)
    writer.ingest(rows("AAA", [DAYS[-1]], 12.0), source="a test", known_at=[LAST + HOUR], now_ns=NOW)
    after = store.read(["AAA"], as_of_ns=LAST + 2 * HOUR, rows=3)
    assert (before.close[-1, 0], after.close[-1, 0]) == (10.0, 12.0)
    whole = [store.read(["AAA"], as_of_ns=LAST) for _ in range(2)]
    assert whole[0] is not whole[1], "only a decision's lookback is kept"
