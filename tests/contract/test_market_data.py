"""Every kind of market data through one path: what is declared, what is refused, what is shown when."""

from __future__ import annotations

import json
import multiprocessing
import os
import zoneinfo
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.adapters.bars import ALPACA, KINDS, BarSchema, ParquetBarStore, read_schema
from workbench.adapters.bars import intake as intake_module
from workbench.adapters.calendar import ExchangeCalendar
from workbench.errors import ConfigError, DataError, StorageFailed, UsageError

CALENDAR = ExchangeCalendar(first="2000-01-01", last="2014-12-31")
NEW_YORK = zoneinfo.ZoneInfo("America/New_York")
NOW = CALENDAR.session_close_ns("2014-06-30")
MINUTE = 60 * 10**9
DAYS = CALENDAR.sessions_between("2013-02-01", "2013-03-28")


def opened(folder: Path, kind: str = "daily") -> ParquetBarStore:
    return ParquetBarStore(folder / kind, calendar=CALENDAR, kind=kind)


def put(store: ParquetBarStore, delivery: Any, **changes: Any) -> Any:
    schema = changes.pop("schema", BarSchema(kind=store.kind.name))
    return store.ingest(delivery, **{"source": "a test", "now_ns": NOW, "schema": schema, **changes})


def ns(text: str) -> int:
    """UTC nanoseconds of a New York time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=NEW_YORK).timestamp()) * 10**9


def daily(*closes: float, symbol: str = "AAA", days: tuple[str, ...] = DAYS) -> pd.DataFrame:
    rows = [
        {"symbol": symbol, "session": day, "open": c, "high": c + 1, "low": c / 2, "close": c, "volume": 100}
        for day, c in zip(days, closes, strict=False)
    ]
    return pd.DataFrame(rows)


def minutes(*times: str, symbol: str = "AAA", close: float = 10.0) -> pd.DataFrame:
    rows = {"symbol": symbol, "time": times, "open": 10.0, "high": 11.0, "low": 9.0, "close": close}
    return pd.DataFrame({**rows, "volume": 100})


def quotes(*rows: tuple[str, float, float], size: float = 1.0) -> pd.DataFrame:
    cells = [
        {
            "symbol": "AAA",
            "time": f"2013-02-04 {time}",
            "bid": bid,
            "bid_size": size,
            "ask": ask,
            "ask_size": 2,
        }
        for time, bid, ask in rows
    ]
    return pd.DataFrame(cells)


def trades(*rows: tuple[str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"symbol": "AAA", "time": f"2013-02-04 {time}", "price": p, "size": s} for time, p, s in rows]
    )


# --- one path ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # alpaca-py's own
def test_the_same_rows_by_any_way_are_the_same_store(tmp_path: Path) -> None:
    table = pd.concat([daily(*range(10, 40)), daily(*range(20, 50), symbol="BBB")], ignore_index=True)
    (tmp_path / "in").mkdir()
    table.to_parquet(tmp_path / "in/a.parquet")
    table.to_csv(tmp_path / "in/a.csv", index=False)
    table.rename(columns={"session": "Date", "close": "Last"}).to_csv(
        tmp_path / "in/b.csv", index=False, sep=";"
    )
    body: dict[str, list[dict[str, Any]]] = {"AAA": [], "BBB": []}
    for row in table.to_dict("records"):
        midnight = datetime.fromisoformat(row["session"]).replace(tzinfo=NEW_YORK).astimezone(UTC)
        keys = {"o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}
        body[row["symbol"]].append(
            {
                "t": midnight.strftime("%Y-%m-%dT%H:%M:%SZ"),
                **{k: row[v] for k, v in keys.items()},
                "n": 3,
                "vw": 1.0,
            }
        )
    answer = {"bars": body, "next_page_token": None}
    (tmp_path / "in/c.json").write_text(json.dumps(answer))
    renamed = BarSchema(columns={"session": "Date", "close": "Last"}, delimiter=";")
    ways: list[tuple[Any, BarSchema]] = [
        (table, BarSchema()),
        (tmp_path / "in/a.parquet", BarSchema()),
        (tmp_path / "in/a.csv", BarSchema()),
        (tmp_path / "in/b.csv", renamed),
        (answer, ALPACA["daily"]),
        (tmp_path / "in/c.json", ALPACA["daily"]),
        (alpaca_frame(body), ALPACA["daily"]),
    ]
    marks = set()
    for number, (delivery, schema) in enumerate(ways):
        store = opened(tmp_path / str(number))
        report = put(store, delivery, schema=schema)
        assert (report.offered, report.accepted, report.quarantined) == (60, 60, {}), number
        marks.add(store.fingerprint())
    assert len(marks) == 1


def alpaca_frame(body: dict[str, Any]) -> pd.DataFrame:
    """The frame that alpaca-py makes of an answer."""
    from alpaca.data.models import BarSet

    frame: pd.DataFrame = BarSet(body).df
    assert frame.index.names == ["symbol", "timestamp"]
    return frame


@pytest.mark.filterwarnings("ignore:The inplace keyword")
def test_alpaca_quotes_and_trades_come_in_as_they_are(tmp_path: Path) -> None:
    from alpaca.data.models import QuoteSet, TradeSet

    time = "2013-02-04T15:00:00.123456Z"
    trade = {"t": time, "p": 10.01, "s": 5, "x": "V", "i": 7, "c": ["@", "I"], "z": "A"}
    quote = {"t": time, "bp": 10.0, "bs": 1, "bx": "V", "ap": 10.02, "as": 2, "ax": "P", "c": ["R"], "z": "A"}
    for kind, row, model in (("trades", trade, TradeSet), ("quotes", quote, QuoteSet)):
        marks = set()
        for number, delivery in enumerate(({kind: {"AAA": [row]}}, model({"AAA": [row]}).df)):
            store = opened(tmp_path / str(number), kind)
            assert put(store, delivery, schema=ALPACA[kind]).accepted == 1, (kind, number)
            marks.add(store.fingerprint())
        assert len(marks) == 1, kind
        (shown,) = store.read_ticks(["AAA"], start_ns=0, end_ns=NOW, as_of_ns=NOW).to_dict("records")
        assert shown["venue"] == "V"
        assert shown["ts_ns"] == ns("2013-02-04T10:00:00") + 123_456_000
        assert shown["known_at_ns"] == shown["ts_ns"]


@settings(max_examples=8, deadline=None)
@given(chunk=st.integers(1, 40), budget=st.integers(1, 100))
def test_a_delivery_in_small_pieces_is_the_same(chunk: int, budget: int) -> None:
    import tempfile

    frames = [daily(*range(10, 40), symbol=name) for name in ("AAA", "BBB", "CCC")]
    table = pd.concat(
        [*frames, frames[0].iloc[:2], daily(1e6, symbol="BBB", days=DAYS[3:])], ignore_index=True
    )
    table.loc[4, "low"] = 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table.to_csv(folder / "in.csv", index=False)
        whole, pieces = opened(folder / "1"), opened(folder / "2")
        one = put(whole, folder / "in.csv")
        other = put(pieces, folder / "in.csv", chunk_rows=chunk, budget_rows=budget)
        assert one.quarantined == {"impossible": 1, "duplicate_exact": 2, "duplicate_conflicting": 2}
        assert other.quarantined == one.quarantined
        assert other.accepted == one.accepted == 88
        assert pieces.fingerprint() == whole.fingerprint()
        assert not (pieces.root / "staging").exists()


def test_a_spilled_delivery_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(tmp_path)
    put(store, daily(10.0))
    before = store.fingerprint()
    daily(*range(10, 40)).to_csv(tmp_path / "in.csv", index=False)
    real = intake_module.pq.write_table
    count = 0

    def full(*arguments: Any, **options: Any) -> None:
        nonlocal count
        count += "staging" in str(arguments[1])
        if count == 2:
            raise OSError(28, os.strerror(28))
        real(*arguments, **options)

    monkeypatch.setattr(intake_module.pq, "write_table", full)
    with pytest.raises(StorageFailed, match="No space left"):
        put(store, tmp_path / "in.csv", chunk_rows=1, budget_rows=4)
    monkeypatch.undo()
    assert store.fingerprint() == before
    assert not (store.root / "staging").exists()
    assert put(store, tmp_path / "in.csv").accepted == 29


# --- refusals ---------------------------------------------------------------------------------------


def test_a_refusal_names_file_row_column_value_rule_and_what_to_do(tmp_path: Path) -> None:
    text = "symbol,session,open,high,low,close,volume\nAAA,2013-02-04,10,11,9,10,5\n"
    text += "AAA,2013-02-05,10,11,-,10,5\nAAA,2013-02-06,10,11\nAAA,2013-02-07,10,9.5,9,10,5\n"
    (tmp_path / "in.csv").write_text(text)
    store = opened(tmp_path)
    report = put(store, tmp_path / "in.csv")
    found = {(one.file, one.row, one.column, one.value, one.reason) for one in report.refusals}
    assert found == {
        ("in.csv", 1, "low", "-", "null"),
        ("in.csv", 2, "line", "AAA,2013-02-06,10,11", "malformed"),
        ("in.csv", 3, "high", "9.5", "impossible"),
    }
    assert all(one.rule and one.next_step for one in report.refusals)
    assert report.accepted == 1
    assert "in.csv row 3, AAA 2013-02-07: high = '9.5'" in str(report)
    kept = pd.concat([pd.read_parquet(file) for file in (store.root / "quarantine").iterdir()])
    assert sorted(zip(kept["row"], kept["column"], kept["value"], strict=True)) == [
        (1, "low", "-"), (2, "line", "AAA,2013-02-06,10,11"), (3, "high", "9.5"),
    ]  # fmt: skip


def test_row_numbers_survive_broken_lines_in_every_chunk(tmp_path: Path) -> None:
    lines = ["symbol,session,open,high,low,close,volume"]
    lines += [f"AAA,{day},10,11,9,10,{'' if n % 7 == 3 else 5}" for n, day in enumerate(DAYS)]
    for place in (2, 3, 12, 30, len(lines) + 2):
        lines.insert(place + 1, "AAA,broken")
    (tmp_path / "in.csv").write_text("\n".join(lines))
    report = put(opened(tmp_path), tmp_path / "in.csv", chunk_rows=1)
    kept = pd.concat(pd.read_parquet(file) for file in (tmp_path / "daily/quarantine").iterdir())
    for row, reason in zip(kept["row"], kept["reason"], strict=True):
        assert lines[row + 1].endswith("broken") == (reason == "malformed")
        assert lines[row + 1].endswith(",") == (reason == "null")
    assert report.quarantined["malformed"] == 5
    assert report.offered == len(lines) - 1


@pytest.mark.parametrize(
    ("text", "named", "step"),
    [
        ("symbol;session;open;high;low;close;volume\nAAA;2013-02-04;1;1;1;1;1\n", "';'", "delimiter"),
        ("symbol,day,open,high,low,close,volume\n", "session", "[columns]"),
        ("symbol,session,open,open,high,low,close,volume\n", "twice", "once"),
    ],
)
def test_a_file_of_another_shape_is_refused_whole(tmp_path: Path, text: str, named: str, step: str) -> None:
    (tmp_path / "in.csv").write_text(text + "AAA,2013-02-04,1,1,1,1,1\n")
    store = opened(tmp_path)
    with pytest.raises(DataError) as caught:
        put(store, tmp_path / "in.csv")
    assert named in caught.value.message
    assert step in caught.value.next_step
    assert "in.csv" in caught.value.message
    assert store.status()["rows"] == 0


def test_mixed_time_zones_are_told_apart_row_by_row(tmp_path: Path) -> None:
    table = minutes("2013-02-04 10:00:00", "2013-02-04 10:01:00-05:00", "2013-02-04T15:02:00Z")
    store = opened(tmp_path, "minute")
    report = put(store, table)
    assert (report.accepted, report.quarantined) == (1, {"time_zone": 2})
    other = opened(tmp_path / "other", "minute")
    report = put(other, table, schema=BarSchema(kind="minute", offsets="require"))
    assert (report.accepted, report.quarantined) == (2, {"time_zone": 1})
    shown = other.read(["AAA"], as_of_ns=NOW)
    assert shown.ts_ns.tolist() == [ns("2013-02-04T10:01:00"), ns("2013-02-04T10:02:00")]


def test_the_hour_that_a_zone_repeats_or_skips_is_refused(tmp_path: Path) -> None:
    schema = BarSchema(kind="trades", calendar="XNYS", order="any")
    store = opened(tmp_path, "trades")
    table = pd.DataFrame(
        {"symbol": "AAA", "time": ["2013-11-03 01:30:00", "2013-03-10 02:30:00"], "price": 1.0}
    )
    assert put(store, table.assign(size=1), schema=schema).quarantined == {"time_zone": 2}


def test_hours_are_the_calendars_on_daylight_saving_and_half_days(tmp_path: Path) -> None:
    inside = ["2013-03-08 09:31", "2013-03-11 09:31", "2013-03-11 16:00", "2013-07-03 13:00"]
    outside = ["2013-03-08 09:30", "2013-03-11 16:01", "2013-07-03 13:01"]
    closed = ["2013-03-10 12:00", "2013-07-04 10:00"]
    report = put(opened(tmp_path, "minute"), minutes(*inside, *outside, *closed))
    assert report.accepted == len(inside)
    assert report.quarantined == {"outside_hours": 3, "not_a_session": 2}
    extended = BarSchema(kind="minute", before_open_minutes=330, after_close_minutes=240)
    edges = [
        "2013-03-11 04:01",
        "2013-03-11 20:00",
        "2013-07-03 17:00",
        "2013-03-11 04:00",
        "2013-07-03 17:01",
    ]
    store = opened(tmp_path / "wide", "minute")
    report = put(store, minutes(*edges), schema=extended)
    assert (report.accepted, report.quarantined) == (3, {"outside_hours": 2})
    assert len(store.read(["AAA"], as_of_ns=NOW).ts_ns) == 0  # regular hours only, unless asked
    assert len(store.read(["AAA"], as_of_ns=NOW, hours="all").ts_ns) > 0


def test_a_label_says_which_edge_of_the_minute_it_names(tmp_path: Path) -> None:
    end = opened(tmp_path / "end", "minute")
    start = opened(tmp_path / "start", "minute")
    put(end, minutes("2013-02-04 09:31:00"))
    put(start, minutes("2013-02-04 09:30:00"), schema=BarSchema(kind="minute", label="start"))
    assert end.fingerprint() == start.fingerprint()
    assert put(end, minutes("2013-02-04 09:31:30")).quarantined == {"malformed": 1}


def test_an_unexplained_jump_is_refused_until_explained(tmp_path: Path) -> None:
    schema = BarSchema(max_ratio=1.5)
    store = opened(tmp_path / "1")
    report = put(store, daily(10, 11, 1100, 10.5, 10), schema=schema)
    assert report.quarantined == {"unexplained_jump": 1}
    assert report.refusals[0].value == "1100"
    assert (put(store, daily(4.0, days=DAYS[5:]), schema=schema)).quarantined == {"unexplained_jump": 1}
    confirmed = BarSchema(max_ratio=1.5, confirmed=(f"AAA {DAYS[5]}",))
    assert put(store, daily(4.0, days=DAYS[5:]), schema=confirmed).accepted == 1
    split = pd.DataFrame([{"symbol": "BBB", "ex_session": DAYS[2], "new_shares": 2, "old_shares": 1}])
    table = daily(10, 11, 5.6, 5.5, symbol="BBB")
    assert put(store, table, schema=schema).quarantined == {"unexplained_jump": 2}
    assert put(opened(tmp_path / "2"), table, schema=schema, splits=split).quarantined == {}


def test_a_jump_across_files_of_a_spilled_delivery_is_seen(tmp_path: Path) -> None:
    days = CALENDAR.sessions_between("2011-12-28", "2012-01-05")
    daily(10, 10, 10, 100, 10, 10, days=days).to_csv(tmp_path / "in.csv", index=False)
    report = put(opened(tmp_path), tmp_path / "in.csv", chunk_rows=1, budget_rows=1)
    assert [(one.reason, one.time) for one in report.refusals] == [("unexplained_jump", "2012-01-03")]


def test_a_jump_is_seen_where_nothing_follows_it(tmp_path: Path) -> None:
    """Up or down, last of its delivery, or alone in its file of a spilled one."""
    for number, closes in enumerate(((10, 11, 1100), (1100, 11))):
        report = put(opened(tmp_path / str(number)), daily(*closes), schema=BarSchema(max_ratio=1.5))
        assert report.quarantined == {"unexplained_jump": 1}
    days = CALENDAR.sessions_between("2011-12-29", "2012-01-03")
    daily(10, 10, 100, days=days).to_csv(tmp_path / "in.csv", index=False)
    report = put(opened(tmp_path / "3"), tmp_path / "in.csv", chunk_rows=1, budget_rows=1)
    assert [(one.reason, one.time) for one in report.refusals] == [("unexplained_jump", "2012-01-03")]


def test_a_time_of_knowledge_that_is_none_is_refused(tmp_path: Path) -> None:
    end = datetime.fromisoformat("2013-02-04 10:01:00").replace(tzinfo=NEW_YORK)
    table = minutes("2013-02-04 10:00:00", "2013-02-04 10:01:00").assign(
        known_at=["never", end.replace(tzinfo=None).isoformat(" ")]
    )
    report = put(opened(tmp_path, "minute"), table)
    assert (report.accepted, report.quarantined) == (1, {"null": 1})


def test_a_minute_beyond_the_calendar_is_told_from_a_holiday(tmp_path: Path) -> None:
    report = put(opened(tmp_path, "minute"), minutes("1999-02-04 10:00:00", "2013-02-03 10:00:00"))
    assert report.quarantined == {"outside_calendar": 1, "not_a_session": 1}


# --- ticks ------------------------------------------------------------------------------------------


def test_quotes_nobody_can_trade_on_are_refused(tmp_path: Path) -> None:
    table = quotes(
        ("10:00:00", 10.0, 10.1), ("10:00:01", 0.0, 10.1), ("10:00:02", 10.2, 10.1), ("10:00:03", 10.1, 10.1),
        ("10:00:02.5", 10.0, 10.1), ("10:00:04", -1.0, 10.1), ("08:00:00", 10.0, 10.1),
        ("10:00:05", 10, 10.1),
        ("10:00:05", 10, 10.1),
    )  # fmt: skip
    report = put(opened(tmp_path, "quotes"), table)
    assert report.quarantined == {
        "outside_hours": 1, "impossible": 1, "zero_quote": 1, "crossed_quote": 1, "locked_quote": 1,
        "duplicate_exact": 1,
    }  # fmt: skip
    assert report.accepted == 3


def test_ticks_beyond_every_market_and_texts_beyond_their_width_are_refused(tmp_path: Path) -> None:
    huge = quotes(("10:00:00", 10.0, 2e9), ("10:00:01", 10.0, 10.1))
    assert put(opened(tmp_path / "1", "quotes"), huge).quarantined == {"impossible": 1}
    many = quotes(("10:00:00", 10.0, 10.1), size=1e10)
    assert put(opened(tmp_path / "2", "quotes"), many).quarantined == {"impossible": 1}
    table = trades(("10:00:00", 2e9, 1), ("10:00:01", 10, 1e10), ("10:00:02", 10, 1), ("10:00:03", 10, 1))
    table = table.assign(sequence=[1, 2, 3.5, 4], venue=["V", "V", "V", "a name, too long for a code"])
    report = put(opened(tmp_path / "3", "trades"), table)
    assert (report.accepted, report.quarantined) == (0, {"impossible": 2, "malformed": 2})


def test_trades_out_of_order_or_cancelled_are_refused(tmp_path: Path) -> None:
    table = trades(("10:00:00", 10, 1), ("10:00:02", 10, 1), ("10:00:01", 10, 1), ("10:00:03", 0, 1)).assign(
        CORR=[0, 0, 0, 0]
    )
    table.loc[len(table)] = ["AAA", "2013-02-04 10:00:04", 10, 1, 7]
    schema = BarSchema(kind="trades", require={"CORR": ("0",)})
    report = put(opened(tmp_path / "1", "trades"), table, schema=schema)
    assert report.quarantined == {"not_wanted": 1, "impossible": 1, "out_of_order": 1}
    free = BarSchema(kind="trades", require={"CORR": ("0",)}, order="any")
    assert put(opened(tmp_path / "2", "trades"), table, schema=free).accepted == 3
    table.to_parquet(tmp_path / "in.parquet")
    split = put(opened(tmp_path / "3", "trades"), tmp_path / "in.parquet", schema=schema, chunk_rows=1)
    assert split.quarantined == report.quarantined
    assert [one.row for one in split.refusals if one.reason == "out_of_order"] == [2]


def test_a_tick_is_shown_from_when_it_was_known(tmp_path: Path) -> None:
    store = opened(tmp_path, "trades")
    table = trades(("10:00:00", 10, 1), ("10:00:01", 11, 1)).assign(sequence=[1, 2])
    at = [ns("2013-02-04T10:00:00"), ns("2013-02-04T10:00:01")]
    put(store, table, known_at=[at[0] + 5, at[1] + 5])
    put(store, table.assign(price=[10, 12]), known_at=[at[0] + 9, at[1] + MINUTE])

    def known(as_of: int) -> list[int]:
        shown = store.read_ticks(["AAA"], start_ns=0, end_ns=NOW, as_of_ns=as_of)
        return [price // 1_000_000 for price in shown["price_micro"]]

    assert known(at[0] + 4) == []
    assert known(at[0] + 5) == [10]
    assert known(at[1] + 5) == [10, 11]
    assert known(at[1] + MINUTE) == [10, 12]
    with pytest.raises(UsageError):
        store.read(["AAA"], as_of_ns=NOW)


def test_a_corrected_minute_does_not_rewrite_the_past(tmp_path: Path) -> None:
    store = opened(tmp_path, "minute")
    end = ns("2013-02-04T10:00:00")
    put(store, minutes("2013-02-04 10:00:00"))
    assert put(store, minutes("2013-02-04 10:00:00", close=10.5)).quarantined == {"changed_history": 1}
    assert put(store, minutes("2013-02-04 10:00:00", close=10.5), known_at=[end + 7]).corrections == 1
    assert store.read(["AAA"], as_of_ns=end + 6).close[0, 0] == 10.0
    assert store.read(["AAA"], as_of_ns=end + 7).close[0, 0] == 10.5
    assert len(store.read(["AAA"], as_of_ns=end - 1).ts_ns) == 0


def test_missing_minutes_stay_missing(tmp_path: Path) -> None:
    store = opened(tmp_path, "minute")
    put(store, minutes("2013-02-04 15:58:00", "2013-02-05 09:32:00"))
    shown = store.read(["AAA"], as_of_ns=NOW)
    expected = [ns(f"2013-02-04T{t}:00") for t in ("15:58", "15:59", "16:00")]
    assert shown.ts_ns.tolist() == [*expected, ns("2013-02-05T09:31:00"), ns("2013-02-05T09:32:00")]
    assert shown.tradable[:, 0].tolist() == [True, False, False, False, True]
    tail = store.read(["AAA"], as_of_ns=NOW, rows=2)
    assert tail.ts_ns.tolist() == shown.ts_ns[-2:].tolist()


# --- events -----------------------------------------------------------------------------------------


def test_a_split_that_was_known_late_does_not_reach_back(tmp_path: Path) -> None:
    late = CALENDAR.session_close_ns(DAYS[3])
    event = {"symbol": "AAA", "ex_session": DAYS[2], "new_shares": 2, "old_shares": 1, "known_at_ns": late}
    store = opened(tmp_path)
    put(store, daily(10, 10, 5, 5, 5), splits=pd.DataFrame([event]))
    assert store.read(["AAA"], as_of_ns=late - 1).close[0, 0] == 10.0
    assert store.read(["AAA"], as_of_ns=late).close[:, 0].tolist() == [5.0, 5.0, 5.0, 5.0]
    assert store.read(["AAA"], as_of_ns=late, view="raw").close[0, 0] == 10.0


def test_total_return_puts_the_dividend_back(tmp_path: Path) -> None:
    store = opened(tmp_path)
    paid = pd.DataFrame([{"symbol": "AAA", "ex_session": DAYS[2], "amount": 1.0}])
    report = put(store, daily(9, 10, 9.5, 9.9), dividends=paid)
    assert report.dividends_added == 1
    before = CALENDAR.session_close_ns(DAYS[1])
    assert store.read(["AAA"], as_of_ns=before - 1, view="total_return").close[-1, 0] == 9.0
    closes = store.read(["AAA"], as_of_ns=NOW, view="total_return").close[:, 0]
    assert closes == pytest.approx([8.1, 9.0, 9.5, 9.9])
    assert closes[2] / closes[1] - 1 == pytest.approx((9.5 + 1.0) / (10 / 1) - 1, abs=0.006)
    assert store.read(["AAA"], as_of_ns=NOW).close[:, 0].tolist() == [9, 10, 9.5, 9.9]
    for wrong in ({"amount": 0.0}, {"amount": float("nan")}, {"amount": 2.0}, {"ex_session": "2013-02-03"}):
        with pytest.raises(DataError, match="dividend"):
            put(store, daily(9, days=DAYS[9:]), dividends=paid.assign(**wrong))


def test_a_symbol_that_changes_its_name_keeps_its_past(tmp_path: Path) -> None:
    store = opened(tmp_path)
    event = pd.DataFrame([{"symbol": "OLD", "ex_session": DAYS[2], "new_symbol": "NEW"}])
    put(store, daily(10, 11, symbol="OLD"))
    put(store, daily(12, 13, symbol="NEW", days=DAYS[2:]), renames=event)
    put(
        store, daily(99, symbol="OLD", days=DAYS[3:]), schema=BarSchema(max_ratio=50.0)
    )  # somebody else's now
    put(store, daily(77, symbol="NEW", days=DAYS[:1]))  # somebody else's then
    before, after = CALENDAR.session_close_ns(DAYS[1]) - 1, CALENDAR.session_close_ns(DAYS[3])
    assert store.read(["NEW"], as_of_ns=after).close[:, 0].tolist() == [10, 11, 12, 13]
    assert store.read(["OLD"], as_of_ns=before).close[:, 0].tolist() == [10]
    assert store.read(["NEW"], as_of_ns=before).close[:, 0].tolist() == [77]
    assert store.status()["renames"] == 1


# --- files ------------------------------------------------------------------------------------------


def test_compaction_changes_files_and_nothing_else(tmp_path: Path) -> None:
    for kind in ("daily", "minute"):
        store = opened(tmp_path, kind)
        for number, day in enumerate(DAYS[:6]):
            for name in ("AAA", "BBB"):
                table = minutes(f"{day} 10:00:00", symbol=name)
                put(store, table if kind == "minute" else daily(10 + number, symbol=name, days=(day,)))
        reader = opened(tmp_path, kind)
        before = reader.read(["AAA", "BBB"], as_of_ns=NOW)
        mark, rows = store.fingerprint(), store.status()["rows"]
        files, fewer = store.compact(now_ns=NOW)
        assert files == 12
        assert fewer <= 4
        assert (store.fingerprint(), store.status()["rows"]) == (mark, rows)
        for one in (store, reader, opened(tmp_path, kind)):
            assert np.array_equal(one.read(["AAA", "BBB"], as_of_ns=NOW).close, before.close, equal_nan=True)
        later = put(store, daily(16, days=DAYS[6:7]) if kind == "daily" else minutes(f"{DAYS[6]} 10:00:00"))
        assert later.accepted == 1
        assert len(list((store.root / "parts").iterdir())) == fewer + 1  # what was merged is gone by now
        assert reader.read(["AAA"], as_of_ns=NOW).close[-1, 0] == (16 if kind == "daily" else 10)


def test_a_read_that_a_compaction_overtakes_begins_anew(tmp_path: Path, monkeypatch: Any) -> None:
    store, writer = opened(tmp_path), opened(tmp_path)
    for number in range(3):
        put(writer, daily(10 + number, days=DAYS[number:]))
    library: Any = store._library
    rows, overtaken = library.rows, []

    def late(*arguments: Any, **named: Any) -> Any:
        if not overtaken:  # the files that this read has listed go away before it opens them
            overtaken.append(writer.compact(now_ns=NOW))
            writer.compact(now_ns=NOW)
            library._decoded.clear()
            library._verified.clear()
        return rows(*arguments, **named)

    monkeypatch.setattr(library, "rows", late)
    assert store.read(["AAA"], as_of_ns=NOW).close[:, 0].tolist() == [10, 11, 12]
    assert overtaken == [(3, 1)]


def _read_until(root: str, stop: Any, seen: Any) -> None:
    store = ParquetBarStore(Path(root), calendar=CALENDAR)
    states: set[tuple[int, int]] = set()
    while True:
        last = stop.is_set()
        bars = store.read(["AAA", "BBB"], as_of_ns=NOW)
        rows = (int(bars.tradable[:, 0].sum()), int(bars.tradable[:, 1].sum()))
        assert rows[0] == rows[1], rows  # each commit adds one row of both
        states.add(rows)
        if last:
            break
    seen.put(sorted(states))


def test_readers_in_other_processes_see_whole_commits_while_a_writer_writes(tmp_path: Path) -> None:
    store = opened(tmp_path)

    def both(number: int) -> pd.DataFrame:
        day = DAYS[number : number + 1]
        return pd.concat([daily(10, symbol=name, days=day) for name in ("AAA", "BBB")], ignore_index=True)

    put(store, both(0))
    context = multiprocessing.get_context("spawn")
    stop, seen = context.Event(), context.Queue()
    readers = [context.Process(target=_read_until, args=(str(store.root), stop, seen)) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(1, 20):
        put(store, both(number))
        if number % 4 == 0:
            store.compact(now_ns=NOW)
    stop.set()
    found = [seen.get(timeout=60) for _ in readers]
    for reader in readers:
        reader.join(60)
        assert reader.exitcode == 0
    assert all(states[-1] == (20, 20) for states in found)


# --- the schema itself ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('kind = "weekly"', "weekly"),
        ('timezone = "Nowhere/Land"', "Nowhere"),
        ('delimiter = ";;"', "delimiter"),
        ("max_ratio = 1", "max_ratio"),
        ("header = 1", "header"),
        ('colums = {close = "c"}', "colums"),
        ('[columns]\nclosing = "c"', "closing"),
        ("kind = ", "cannot be read"),
    ],
)
def test_a_wrong_schema_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "schema.toml").write_text(text)
    with pytest.raises(ConfigError, match=named) as caught:
        read_schema(tmp_path / "schema.toml")
    assert caught.value.next_step


def test_a_schema_file_says_what_the_object_says(tmp_path: Path) -> None:
    text = 'kind = "minute"\nmax_ratio = 2\nignore = ["x"]\nheader = false\n'
    text += "[columns]\ntime = 0\n[require]\nC = [0]\n"
    (tmp_path / "schema.toml").write_text(text)
    assert read_schema(tmp_path / "schema.toml", kind="trades") == BarSchema(
        kind="trades", max_ratio=2.0, ignore=("x",), header=False, columns={"time": 0}, require={"C": ("0",)}
    )


def test_a_store_keeps_one_kind_calendar_and_currency(tmp_path: Path) -> None:
    store = opened(tmp_path)
    put(store, daily(10.0))
    for change in ({"currency": "EUR"}, {"calendar": "XLON"}, {"kind": "minute"}):
        with pytest.raises(ConfigError, match=next(iter(change.values()))):
            put(store, daily(10.0), schema=BarSchema(**change))
    assert set(KINDS) == {"daily", "minute", "quotes", "trades"}


def test_files_without_a_header_go_by_position(tmp_path: Path) -> None:
    start = datetime(2013, 2, 4, 14, 30, tzinfo=UTC)
    lines = [f"{start + timedelta(minutes=n):%Y%m%d %H%M%S};10;11;9;10;{n}" for n in range(1, 5)]
    (tmp_path / "SPY_min.txt").write_text("\n".join(lines))
    columns: dict[str, str | int] = {"time": 0, "open": 1, "high": 2, "low": 3, "close": 4, "volume": 5}
    schema = BarSchema(
        kind="minute", columns=columns, header=False, delimiter=";", timezone="UTC", symbol="file",
        time_format="%Y%m%d %H%M%S",
    )  # fmt: skip
    store = opened(tmp_path, "minute")
    assert put(store, tmp_path / "SPY_min.txt", schema=schema).accepted == 4
    assert store.symbols() == ("SPY",)
    assert store.read(["SPY"], as_of_ns=NOW).ts_ns[0] == CALENDAR.session_open_ns("2013-02-04") + MINUTE
