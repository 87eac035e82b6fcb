"""The bars store: what it believes, what it shows as of an instant, and what it refuses to read."""

from __future__ import annotations

import io
import json
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.adapters.bars import REASONS, ParquetBarStore
from workbench.adapters.calendar import ExchangeCalendar
from workbench.core.types import Bars
from workbench.errors import DataError, Refused, UsageError

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
CALENDAR = ExchangeCalendar(first="2000-01-01", last="2014-12-31")
LAST = CALENDAR.session_close_ns("2013-03-01")
HOUR = 3_600 * 10**9
WEEK = CALENDAR.sessions_between("2013-02-04", "2013-02-08")
GOOD = {"open": 10.0, "high": 11.0, "low": 9.5, "close": 10.25, "volume": 1000}


def frame(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{"symbol": "AAA", "session": WEEK[0], **GOOD, **row} for row in rows])


def store_in(folder: Path) -> ParquetBarStore:
    return ParquetBarStore(folder / "bars", calendar=CALENDAR)


def put(store: ParquetBarStore, table: pd.DataFrame | Path, **changes: Any) -> Any:
    arguments = {"source": "a test", "known_at": "session_close", "now_ns": LAST, **changes}
    return store.ingest(table, **arguments)


@pytest.fixture
def store(tmp_path: Path) -> ParquetBarStore:
    return store_in(tmp_path)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> ParquetBarStore:
    store = store_in(tmp_path_factory.mktemp("sample"))
    report = put(store, SAMPLE / "daily", splits=SAMPLE / "splits.parquet")
    assert (report.offered, report.accepted, report.quarantined) == (12_154, 12_154, {})
    return store


# --- the sample ------------------------------------------------------------------------------------


def test_reads_return_exactly_what_was_printed(sample: ParquetBarStore) -> None:
    bars = sample.read(["MSFT", "AAPL", "IBM", "GOOG", "FB"], as_of_ns=LAST, view="raw")
    assert bars.symbols == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    for column, symbol in enumerate(bars.symbols):
        printed = pd.read_parquet(SAMPLE / f"daily/{symbol}.parquet")
        shown = bars.tradable[:, column]
        ends = [CALENDAR.session_close_ns(day.isoformat()) for day in printed["session"]]
        assert bars.ts_ns[shown].tolist() == ends
        for name in ("open", "high", "low", "close", "volume"):
            values = getattr(bars, name)
            assert np.array_equal(values[shown, column], printed[name].to_numpy(dtype=float)), (symbol, name)
            assert np.isnan(values[~shown, column]).all()


@pytest.mark.parametrize(
    ("symbol", "before", "ex", "ratio"),
    [
        ("AAPL", "2000-06-20", "2000-06-21", 2),
        ("AAPL", "2005-02-25", "2005-02-28", 2),
        ("MSFT", "2003-02-14", "2003-02-18", 2),
    ],
)
def test_splits_apply_from_the_close_before_their_ex_session(
    sample: ParquetBarStore, symbol: str, before: str, ex: str, ratio: int
) -> None:
    printed = sample.raw_session([symbol], before)
    close = CALENDAR.session_close_ns(before)
    earlier = CALENDAR.previous_session(before)
    unsplit = sample.read([symbol], as_of_ns=close - 1, rows=1)
    assert unsplit.close[0, 0] == sample.raw_session([symbol], earlier).close[0, 0]
    # whoever decides after that close trades at the next open, in the new shares
    split = sample.read([symbol], as_of_ns=close, rows=1)
    assert split.ts_ns[0] == close
    assert split.close[0, 0] == printed.close[0, 0] / ratio
    assert split.volume[0, 0] == printed.volume[0, 0] * ratio
    across = sample.read([symbol], as_of_ns=CALENDAR.session_close_ns(ex), rows=2)
    assert abs(across.close[1, 0] / across.close[0, 0] - 1) < 0.15
    raw = sample.read([symbol], as_of_ns=CALENDAR.session_close_ns(ex), rows=2, view="raw")
    assert raw.close[0, 0] == printed.close[0, 0]


def test_two_splits_multiply(sample: ParquetBarStore) -> None:
    first = CALENDAR.session_close_ns("2000-03-01")
    assert sample.read(["AAPL"], as_of_ns=LAST).close[0, 0] == 130.31 / 4
    assert sample.read(["AAPL"], as_of_ns=first).close[0, 0] == 130.31


def test_a_bar_is_not_shown_before_its_close(sample: ParquetBarStore) -> None:
    close = CALENDAR.session_close_ns("2012-07-03")  # a half day
    assert sample.read(["IBM"], as_of_ns=close).ts_ns[-1] == close
    assert sample.read(["IBM"], as_of_ns=close - 1).ts_ns[-1] == CALENDAR.session_close_ns("2012-07-02")
    assert len(sample.read(["IBM"], as_of_ns=0).ts_ns) == 0


def test_rows_limits_to_the_last_bars(sample: ParquetBarStore) -> None:
    whole = sample.read(["FB", "IBM"], as_of_ns=LAST)
    part = sample.read(["IBM", "FB"], as_of_ns=LAST, rows=250)
    for name in ("ts_ns", "open", "high", "low", "close", "volume", "tradable"):
        assert np.array_equal(getattr(part, name), getattr(whole, name)[-250:], equal_nan=name != "tradable")


def test_freshness_counts_completed_sessions(sample: ParquetBarStore) -> None:
    after = CALENDAR.session_close_ns("2013-03-05")
    assert sample.freshness(as_of_ns=LAST, symbols=["IBM"]) == {"IBM": 0}
    assert sample.freshness(as_of_ns=after - 1, symbols=["IBM"]) == {"IBM": 1}
    assert set(sample.freshness(as_of_ns=after).values()) == {2}
    early = sample.freshness(as_of_ns=CALENDAR.session_close_ns("2001-09-17"))
    assert early == {"AAPL": 0, "FB": -1, "GOOG": -1, "IBM": 0, "MSFT": 0}


def test_raw_session_is_one_printed_row(sample: ParquetBarStore) -> None:
    day = sample.raw_session(["FB", "AAPL"], "2005-02-28")
    assert (day.symbols, day.close[0, 0], day.tradable.tolist()) == (("AAPL", "FB"), 44.86, [[True, False]])
    beyond = sample.raw_session(["AAPL"], "2013-03-04")
    assert np.isnan(beyond.close).all()
    assert not beyond.tradable.any()
    with pytest.raises(UsageError, match="2013-03-02"):
        sample.raw_session(["AAPL"], "2013-03-02")


def test_status_says_what_is_there(sample: ParquetBarStore) -> None:
    status = sample.status()
    assert (status["rows"], status["splits"], status["parts"]) == (12_154, 3, 2)
    assert (status["first_session"], status["last_session"]) == ("2000-03-01", "2013-03-01")
    assert status["symbols"]["FB"] == {
        "rows": 196,
        "first_session": "2012-05-18",
        "last_session": "2013-03-01",
    }
    assert status["sources"] == ["a test"]
    assert json.loads(json.dumps(status)) == status


def test_the_same_delivery_again_changes_nothing(sample: ParquetBarStore) -> None:
    before = (sample.root / "manifest.json").read_bytes()
    report = put(sample, SAMPLE / "daily", splits=SAMPLE / "splits.parquet")
    assert (report.accepted, report.unchanged, report.splits_added) == (0, 12_154, 0)
    assert (sample.root / "manifest.json").read_bytes() == before


# --- what is not believed --------------------------------------------------------------------------

FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("malformed", {"symbol": ""}),
    ("malformed", {"symbol": None}),
    ("malformed", {"symbol": " AAA"}),
    ("malformed", {"session": "2013-02-31"}),
    ("malformed", {"session": None}),
    ("malformed", {"session": pd.Timestamp("2013-02-04 16:00")}),
    ("time_zone", {"session": pd.Timestamp("2013-02-04", tz="UTC")}),
    ("time_zone", {"session": "2013-02-04T00:00:00-05:00"}),
    ("null", {"close": None}),
    ("null", {"open": float("inf")}),
    ("null", {"volume": float("nan")}),
    ("null", {"high": "n/a"}),
    ("outside_calendar", {"session": "1998-02-04"}),
    ("not_a_session", {"session": "2013-02-03"}),
    ("impossible", {"low": 10.01}),
    ("impossible", {"low": 10.26, "open": 10.5}),
    ("impossible", {"high": 10.2}),
    ("impossible", {"high": 9.9, "close": 9.8}),
    ("impossible", {"low": 0.0}),
    ("impossible", {"low": -1.0}),
    ("impossible", {"low": 1e-9}),
    ("impossible", {"high": 2e9}),
    ("impossible", {"volume": -1}),
    ("impossible", {"volume": 10.5}),
    ("impossible", {"volume": 2e12}),
    ("future", {"session": "2013-03-04"}),
]


@pytest.mark.parametrize(("reason", "fault"), FAULTS)
def test_a_bad_row_is_set_aside_and_the_good_ones_go_on(
    store: ParquetBarStore, reason: str, fault: dict[str, Any]
) -> None:
    table = pd.concat(
        [frame({"session": WEEK[1]}), frame(fault), frame({"symbol": "BBB"})], ignore_index=True
    )
    report = put(store, table)
    assert report.quarantined == {reason: 1}
    assert report.accepted == 2
    assert "(row 1)" in report.examples[reason][0]
    assert store.status()["quarantined"] == {reason: 1}
    (file,) = (store.root / "quarantine").glob("*.parquet")
    kept = pd.read_parquet(file)
    assert kept["reason"].tolist() == [reason]
    assert kept["row"].tolist() == [1]
    for column in ("open", "low", "volume"):
        if isinstance(fault.get(column), float | int):
            assert np.array_equal(kept[column], [fault[column]], equal_nan=True)
    assert store.symbols() == ("AAA", "BBB")


def test_every_reason_is_tried_here_or_below() -> None:
    below = {"known_before_end", "duplicate_exact", "duplicate_conflicting", "changed_history"}
    other_kinds = {  # in test_market_data.py
        "outside_hours", "not_wanted", "zero_quote", "crossed_quote", "locked_quote", "out_of_order",
        "unexplained_jump",
    }  # fmt: skip
    assert {reason for reason, _ in FAULTS} | below | other_kinds == set(REASONS)


def test_a_bar_that_ends_now_is_believed_and_a_nanosecond_earlier_not(store: ParquetBarStore) -> None:
    close = CALENDAR.session_close_ns(WEEK[0])
    assert put(store, frame({}), now_ns=close - 1).quarantined == {"future": 1}
    early = put(store, frame({}), now_ns=close - 1, known_at=[close - 2])
    assert early.quarantined == {"future": 1}
    assert put(store, frame({}), now_ns=close).accepted == 1


def test_repeats_keep_one_and_contradictions_none(store: ParquetBarStore) -> None:
    rows = [{}, {}, {"session": WEEK[1]}, {"session": WEEK[1], "close": 10.5}, {"session": WEEK[2]}]
    report = put(store, frame(*rows))
    assert report.quarantined == {"duplicate_exact": 1, "duplicate_conflicting": 2}
    bars = store.read(["AAA"], as_of_ns=LAST)
    assert bars.tradable[:, 0].tolist() == [True, False, True]


def test_the_same_bad_delivery_is_recorded_once(store: ParquetBarStore) -> None:
    for _ in range(2):
        assert put(store, frame({"low": 0.0})).quarantined == {"impossible": 1}
    assert store.status()["quarantined"] == {"impossible": 1}
    assert put(store, frame({"low": -1.0})).quarantined == {"impossible": 1}
    assert store.status()["quarantined"] == {"impossible": 2}


def test_gaps_stay_gaps(store: ParquetBarStore) -> None:
    put(store, frame({}, {"session": WEEK[4]}))
    bars = store.read(["AAA"], as_of_ns=LAST)
    assert bars.ts_ns.tolist() == [CALENDAR.session_close_ns(day) for day in WEEK]
    assert bars.tradable[:, 0].tolist() == [True, False, False, False, True]
    assert np.isnan(bars.close[1:4]).all()
    assert np.isnan(bars.volume[1:4]).all()


def test_a_session_without_trades_is_shown_but_not_tradable(store: ParquetBarStore) -> None:
    put(store, frame({"volume": 0}))
    bars = store.read(["AAA"], as_of_ns=LAST)
    assert bars.close[0, 0] == 10.25
    assert not bars.tradable[0, 0]


def test_recorded_history_does_not_change_silently(store: ParquetBarStore) -> None:
    put(store, frame({}))
    before = store.fingerprint()
    report = put(store, frame({"close": 10.5}, {"session": WEEK[1]}))
    assert report.quarantined == {"changed_history": 1}
    assert report.examples == {"changed_history": (f"AAA {WEEK[0]} (row 0)",)}
    assert report.accepted == 1
    assert store.read(["AAA"], as_of_ns=LAST).close[0, 0] == 10.25
    assert store.fingerprint() != before


def test_a_correction_counts_from_when_it_was_known(store: ParquetBarStore) -> None:
    close = CALENDAR.session_close_ns(WEEK[0])
    put(store, frame({}))
    report = put(store, frame({"close": 10.5}), known_at=[close + HOUR])
    assert (report.accepted, report.corrections, report.quarantined) == (1, 1, {})
    assert store.read(["AAA"], as_of_ns=close + HOUR - 1).close[0, 0] == 10.25
    assert store.read(["AAA"], as_of_ns=close + HOUR).close[0, 0] == 10.5
    assert store.raw_session(["AAA"], WEEK[0]).close[0, 0] == 10.5
    earlier = put(store, frame({"close": 10.75}), known_at=[close + HOUR // 2])
    assert earlier.quarantined == {"changed_history": 1}


def test_knowledge_needs_a_time_that_can_be(store: ParquetBarStore) -> None:
    close = CALENDAR.session_close_ns(WEEK[0])
    assert put(store, frame({}), known_at=[close - 1]).quarantined == {"known_before_end": 1}
    assert put(store, frame({}), known_at=[LAST + 1]).quarantined == {"future": 1}
    assert put(store, frame({}), known_at=[0]).quarantined == {"null": 1}
    for wrong in ([close, close], [float(close)], "yesterday"):
        with pytest.raises(UsageError, match="known_at"):
            put(store, frame({}), known_at=wrong)
    with pytest.raises(UsageError, match="1 times for 2 rows"):
        put(store, frame({}, {"session": WEEK[1]}), known_at=[close])


@pytest.mark.parametrize("change", [{"volume": None}, {"closing": 1.0}])
def test_wrong_columns_are_named(store: ParquetBarStore, change: dict[str, Any]) -> None:
    (name,) = change
    table = frame({}).assign(**change) if change[name] else frame({}).drop(columns=name)
    with pytest.raises(DataError, match=name):
        put(store, table)


@pytest.mark.parametrize(
    "event",
    [
        {"new_shares": 0},
        {"new_shares": 1},
        {"new_shares": -2},
        {"old_shares": 1.5},
        {"ex_session": "2013-02-03"},
        {"symbol": None},
        {"new_shares": 3, "ex_session": WEEK[1]},  # contradicts the recorded one
    ],
)
def test_a_doubtful_split_refuses_the_delivery(store: ParquetBarStore, event: dict[str, Any]) -> None:
    good = {"symbol": "AAA", "ex_session": WEEK[1], "new_shares": 2, "old_shares": 1}
    assert put(store, frame({}), splits=pd.DataFrame([good])).splits_added == 1
    before = store.fingerprint()
    with pytest.raises(DataError, match="split"):
        put(
            store,
            frame({"session": WEEK[2]}),
            splits=pd.DataFrame([{**good, "ex_session": WEEK[2], **event}]),
        )
    assert store.fingerprint() == before


def test_the_splits_of_an_ex_session_are_told_for_the_venue(store: ParquetBarStore) -> None:
    event = {"symbol": "AAA", "ex_session": WEEK[1], "new_shares": 2, "old_shares": 1}
    put(store, frame({}), splits=pd.DataFrame([event]))
    assert store.splits_of(WEEK[1]) == {"AAA": (2, 1)}
    assert store.splits_of(WEEK[0]) == {}


# --- damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["half", "bit", "gone", "empty", "rewritten"])
@pytest.mark.parametrize("kind", ["bars", "splits"])
def test_a_damaged_part_is_named(store: ParquetBarStore, damage: str, kind: str) -> None:
    event = {"symbol": "AAA", "ex_session": WEEK[1], "new_shares": 2, "old_shares": 1}
    put(store, frame({}), splits=pd.DataFrame([event]))
    (file,) = (store.root / "parts").glob(f"{kind}-*.parquet")
    content = file.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    sink = io.BytesIO()
    pq.write_table(pq.ParquetFile(file).read(), sink, compression="gzip")  # the same rows, a valid file
    damaged = {"half": content[:middle], "bit": flipped, "empty": b"", "rewritten": sink.getvalue()}
    wrong = damaged.get(damage)
    file.unlink()
    if wrong is not None:
        file.write_bytes(wrong)
    fresh = ParquetBarStore(store.root, calendar=CALENDAR)
    for act in (
        lambda: fresh.read(["AAA"], as_of_ns=LAST),
        fresh.fingerprint,
        fresh.status,
        lambda: put(fresh, frame({})),
    ):
        with pytest.raises(DataError) as caught:
            act()
        assert file.name in caught.value.message
        assert "ingest" in caught.value.next_step
        assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"schema": 9}', '{"schema": 1, "parts": [{"path": "x"}]}', None]
)
def test_a_damaged_manifest_is_named_and_never_means_empty(
    store: ParquetBarStore, damage: str | None
) -> None:
    put(store, frame({}))
    manifest = store.root / "manifest.json"
    manifest.unlink()
    if damage is not None:
        manifest.write_text(damage, encoding="utf-8")
    for act in (store.fingerprint, lambda: put(store, frame({"session": WEEK[1]}))):
        with pytest.raises(DataError, match=r"manifest\.json"):
            act()
    assert len(list((store.root / "parts").glob("*.parquet"))) == 1


def test_a_part_dropped_from_the_manifest_is_noticed(store: ParquetBarStore) -> None:
    put(store, frame({}))
    put(store, frame({"session": WEEK[1]}))
    manifest = store.root / "manifest.json"
    found = json.loads(manifest.read_text(encoding="utf-8"))
    found["parts"].pop()
    found["rows"] = 1
    manifest.write_text(json.dumps(found), encoding="utf-8")
    with pytest.raises(DataError, match="fingerprint"):
        store.fingerprint()


def test_a_manifest_that_miscounts_its_rows_is_noticed_without_its_seal(store: ParquetBarStore) -> None:
    put(store, frame({}))
    manifest = store.root / "manifest.json"
    found = json.loads(manifest.read_text(encoding="utf-8"))
    del found["seal"]
    manifest.write_text(json.dumps(found), encoding="utf-8")
    assert store.symbols() == ("AAA",)  # as the first version wrote it
    manifest.write_text(json.dumps({**found, "rows": 2}), encoding="utf-8")
    with pytest.raises(DataError, match="does not describe its parts"):
        store.symbols()


def test_a_half_written_delivery_is_named_and_nothing_is_stored(
    store: ParquetBarStore, tmp_path: Path
) -> None:
    whole = (SAMPLE / "daily/FB.parquet").read_bytes()
    file = tmp_path / "half.parquet"
    file.write_bytes(whole[: len(whole) // 2])
    for path in (file, tmp_path / "nothing.parquet"):
        with pytest.raises(DataError) as caught:
            put(store, path)
        assert path.name in caught.value.message
        assert caught.value.next_step
    assert store.status()["rows"] == 0


def test_unknown_symbols_and_an_empty_universe_are_refused(
    sample: ParquetBarStore, store: ParquetBarStore
) -> None:
    with pytest.raises(DataError, match=r"ZZZ.*AAPL, FB, GOOG, IBM, MSFT"):
        sample.read(["AAPL", "ZZZ"], as_of_ns=LAST)
    with pytest.raises(UsageError):
        sample.read([], as_of_ns=LAST)
    with pytest.raises(DataError, match="none"):
        store.read(["AAPL"], as_of_ns=LAST)
    with pytest.raises(UsageError, match="view"):
        sample.read(["AAPL"], as_of_ns=LAST, view="total")
    with pytest.raises(UsageError, match="rows"):
        sample.read(["AAPL"], as_of_ns=LAST, rows=0)


def test_two_ingests_at_once_are_refused(store: ParquetBarStore) -> None:
    from workbench.adapters.bars.files import ingest_lock

    with ingest_lock(store.root), pytest.raises(Refused, match="another process"):
        put(store, frame({}))
    assert put(store, frame({})).accepted == 1


def test_another_reader_sees_a_commit_at_its_next_read(store: ParquetBarStore) -> None:
    reader = ParquetBarStore(store.root, calendar=CALENDAR)
    put(store, frame({}))
    assert reader.symbols() == ("AAA",)
    put(store, frame({"symbol": "BBB"}))
    assert reader.symbols() == ("AAA", "BBB")


# --- properties ------------------------------------------------------------------------------------

KEYS = [(symbol, day) for symbol in ("AAA", "BBB", "B.C") for day in WEEK]


@settings(max_examples=12, deadline=None)
@given(order=st.permutations(range(len(KEYS))), cuts=st.sets(st.integers(1, len(KEYS) - 1), max_size=3))
def test_the_fingerprint_ignores_order_and_batches(order: list[int], cuts: set[int]) -> None:
    rows = [{"symbol": symbol, "session": day, "volume": n} for n, (symbol, day) in enumerate(KEYS)]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        whole, pieces = store_in(Path(one)), store_in(Path(other))
        put(whole, frame(*rows))
        edges = [0, *sorted(cuts), len(KEYS)]
        for start, stop in pairwise(edges):
            put(pieces, frame(*(rows[place] for place in order[start:stop])), source=f"batch {start}")
        assert pieces.fingerprint() == whole.fingerprint()
        assert ParquetBarStore(pieces.root, calendar=CALENDAR).fingerprint() == whole.fingerprint()


@pytest.mark.parametrize(
    "column", ["symbol", "session", "open", "high", "low", "close", "volume", "known_at"]
)
def test_the_fingerprint_sees_every_column_of_every_row(tmp_path: Path, column: str) -> None:
    change = {
        "symbol": "AAB", "session": WEEK[2], "open": 10.000001, "high": 11.000001,
        "low": 9.500001, "close": 10.250001, "volume": 1001,
    }  # fmt: skip
    found = set()
    for name in ("one", "other"):
        second = {"session": WEEK[1]}
        if name == "other" and column != "known_at":
            second[column] = change[column]
        store = store_in(tmp_path / name)
        late = LAST - (name == "other" and column == "known_at")
        assert put(store, frame({}, second), known_at=[LAST, late]).accepted == 2
        found.add(store.fingerprint())
    assert len(found) == 2


Version = tuple[int, int, int]  # key, hours after the close, price in cents


def oracle(versions: list[Version], as_of_ns: int) -> dict[tuple[str, str], float]:
    """Latest price known at `as_of_ns`, by the definition."""
    best: dict[tuple[str, str], tuple[int, float]] = {}
    for key, hours, cents in versions:
        known = CALENDAR.session_close_ns(KEYS[key][1]) + hours * HOUR
        if known <= as_of_ns and known >= best.get(KEYS[key], (0, 0.0))[0]:
            best[KEYS[key]] = (known, cents / 100)
    return {key: price for key, (_, price) in best.items()}


def shown(bars: Bars) -> dict[tuple[str, str], float]:
    closes = {CALENDAR.session_close_ns(day): day for day in WEEK}
    return {
        (symbol, closes[int(ts)]): float(bars.close[row, column])
        for row, ts in enumerate(bars.ts_ns)
        for column, symbol in enumerate(bars.symbols)
        if bars.tradable[row, column]
    }


@settings(max_examples=20, deadline=None)
@given(
    versions=st.lists(
        st.tuples(st.integers(0, len(KEYS) - 1), st.integers(0, 90), st.integers(960, 1090)),
        min_size=1, max_size=25, unique_by=lambda version: version[:2],
    ),
    moments=st.lists(st.integers(-5, 200), min_size=1, max_size=8),
)  # fmt: skip
def test_nothing_is_shown_before_it_was_known(versions: list[Version], moments: list[int]) -> None:
    rows = [
        {"symbol": KEYS[key][0], "session": KEYS[key][1], "close": cents / 100} for key, _, cents in versions
    ]
    known = [CALENDAR.session_close_ns(KEYS[key][1]) + hours * HOUR for key, hours, _ in versions]
    with tempfile.TemporaryDirectory() as folder:
        store = store_in(Path(folder))
        report = put(store, frame(*rows), known_at=known)
        assert report.quarantined == {}
        for moment in moments:
            as_of = CALENDAR.session_close_ns(WEEK[0]) + moment * HOUR
            assert shown(store.read(store.symbols(), as_of_ns=as_of)) == oracle(versions, as_of)
