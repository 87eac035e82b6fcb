"""Spreads, markouts, benchmarks and cleaning: signs, times, identities, and every bad row by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tape import OPEN_NS, SECOND, market

from workbench.core.tca.conditions import CONDITIONS, eligibility
from workbench.tca import (
    benchmarks,
    clean_quotes,
    clean_trades,
    implementation_shortfall,
    markouts,
    report,
    spreads,
)

AT = OPEN_NS
OPTIONS: dict[str, Any] = {"horizon": "5s", "max_age": "1min"}
MEASURES = ("effective", "realized", "impact", "price_improvement")


def quotes(*rows: tuple[float, float, float], symbol: str = "KO") -> pd.DataFrame:
    """(seconds, bid, ask)."""
    frame = pd.DataFrame(rows, columns=["seconds", "bid", "ask"])
    return frame.assign(symbol=symbol, ts=AT + (frame["seconds"] * SECOND).astype("int64"))


def trade(price: float, side: str = "buy", *, seconds: float = 1.0, **more: Any) -> pd.DataFrame:
    row = {"symbol": "KO", "side": side, "price": price, "quantity": 100, "ts": AT + int(seconds * SECOND)}
    return pd.DataFrame([row | more])


BOOK = quotes((0, 9.99, 10.01), (2, 10.01, 10.03))


def test_measures_by_hand() -> None:
    row = spreads(trade(10.02), BOOK, **OPTIONS).iloc[0]
    assert [row[name] for name in MEASURES] == pytest.approx([4.0, 0.0, 4.0, -1.0])
    assert [row[f"{name}_bps"] for name in MEASURES] == pytest.approx([40.0, 0.0, 40.0, -10.0])
    sold = spreads(trade(10.02, "sell"), BOOK, **OPTIONS).iloc[0]
    assert [sold[name] for name in MEASURES] == pytest.approx([-4.0, 0.0, -4.0, 3.0])
    found = markouts(trade(10.02), BOOK, horizons=["0s", "5s"])
    assert found["markout_0s_bps"].iloc[0] == pytest.approx(-0.02 / 10.02 * 1e4)
    assert found["markout_5s_bps"].iloc[0] == 0.0


def test_the_quote_of_the_same_instant_is_after_the_trade_and_before_the_markout() -> None:
    row = spreads(trade(10.02, seconds=2), BOOK, **OPTIONS).iloc[0]
    assert row["mid"] == 10.0
    assert markouts(trade(10.02, seconds=0), BOOK, horizons=["2s"]).iloc[0, 0] == pytest.approx(0.0)


def test_own_orders_are_measured_from_their_receipt() -> None:
    late = trade(10.02, seconds=3, sent_at=AT + SECOND)
    assert spreads(late, BOOK, **OPTIONS)["mid"].iloc[0] == 10.0
    assert spreads(late.drop(columns="sent_at"), BOOK, **OPTIONS)["mid"].iloc[0] == 10.02
    early = trade(10.02, seconds=1, sent_at=AT + 2 * SECOND)
    assert spreads(early, BOOK, **OPTIONS)["reason"].iloc[0] == "received_after_trade"


@settings(max_examples=15)
@given(st.integers(0, 200))
def test_rows_sum_to_the_last_bit(seed: int) -> None:
    tables = market(seed, days=1, parents=6, symbols=2, per_day=60)
    rows = tables["fills"].merge(tables["orders"][["order_id", "symbol", "side"]], on="order_id")
    found = spreads(rows, tables["quotes"], horizon="60s", max_age="10min")
    known = found["realized"].notna()
    for suffix in ("", "_bps"):
        whole = found["effective" + suffix][known]
        assert (whole == found["realized" + suffix][known] + found["impact" + suffix][known]).all()


@settings(max_examples=15)
@given(st.integers(0, 200), st.sampled_from(["cfa", "wagner"]))
def test_side_symmetry(seed: int, split: str) -> None:
    """Mirror prices and sides: the same shortfall, spreads and markouts."""
    tables = market(seed, days=1, parents=6, symbols=2, per_day=60)
    mirrored = {name: frame.copy() for name, frame in tables.items()}
    prices = ["decision_price", "arrival_price", "final_price"]
    mirrored["orders"][prices] = (100.0 - tables["orders"][prices]).round(2)
    mirrored["orders"]["side"] = tables["orders"]["side"].map({"buy": "sell", "sell": "buy"})
    mirrored["fills"]["price"] = (100.0 - tables["fills"]["price"]).round(2)
    mirrored["quotes"]["bid"] = (100.0 - tables["quotes"]["ask"]).round(2)
    mirrored["quotes"]["ask"] = (100.0 - tables["quotes"]["bid"]).round(2)
    exact, other = (
        implementation_shortfall(side["orders"], side["fills"], split=split) for side in (tables, mirrored)
    )
    assert np.allclose(exact["total"], other["total"], atol=1e-9)
    one, two = (
        report(side["orders"], side["fills"], side["quotes"], by="symbol", split=split, max_age="10min")
        for side in (tables, mirrored)
    )
    pd.testing.assert_frame_equal(one.micros, two.micros)


def test_rows_without_a_measure_say_why() -> None:
    rows = pd.concat(
        [
            trade(10.0),
            trade(10.0, symbol="NEVER"),
            trade(10.0, seconds=0),
            trade(-1.0),
            trade(10.0, quantity=0),
            trade(10.0, "long"),
            trade(10.0, seconds=100),
            trade(10.0, seconds=86_400),
            trade(10.0, seconds=33_990),
        ],
        ignore_index=True,
    )
    book = pd.concat([BOOK, quotes((33_989, 10.0, 10.02)), quotes((3, 10.5, 10.4), (4, 0.0, 10.0))])
    found = spreads(rows, book, horizon="60s", max_age="1min")
    assert found["reason"].tolist() == [
        "", "no_quote_yet", "no_quote_yet", "price_not_positive", "quantity_not_positive", "side_unknown",
        "quote_stale", "quote_of_another_day", "",
    ]  # fmt: skip
    assert found["effective"].isna().tolist() == [False, *[True] * 7, False]
    assert found["reason_after"].tolist() == [*[""] * 8, "quote_stale"]
    assert found.attrs["excluded"]["quote_crossed"] == 1
    assert found.attrs["excluded"]["quote_missing"] == 1
    closing = [AT + 33_995 * SECOND]
    closed = spreads(
        rows.tail(1), book, horizon="10s", max_age="1min", closes=pd.to_datetime(closing, utc=True)
    )
    assert closed["reason_after"].tolist() == ["after_the_session"]
    assert closed[["realized", "impact"]].isna().all(axis=None)


def test_sides_of_prints_are_inferred_by_quote_then_by_tick() -> None:
    tape = pd.concat([trade(10.01, seconds=1), trade(9.99, seconds=1.1), trade(10.0, seconds=1.2)])
    found = spreads(tape.drop(columns="side"), BOOK, **OPTIONS)
    assert found["side"].tolist() == [1, -1, 1]


def test_only_the_consolidated_tape_is_the_national_best() -> None:
    source = BOOK.assign(quote_source=["iex", "sip"])
    found = spreads(pd.concat([trade(10.0), trade(10.0, seconds=3)]), source, **OPTIONS)
    assert found["consolidated"].tolist() == [False, True]


@pytest.mark.parametrize(
    ("horizon", "word"), [(60, "write the unit"), ("soon", "not a duration"), ("-1s", "negative")]
)
def test_durations_name_their_unit(horizon: object, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        spreads(trade(10.0), BOOK, horizon=horizon, max_age="1min")


def test_mixed_zones_are_refused() -> None:
    zoned = BOOK.assign(ts=pd.to_datetime(BOOK["ts"], utc=True))
    naive = trade(10.0).assign(ts=lambda frame: pd.to_datetime(frame["ts"]))
    with pytest.raises(ValueError, match="mixed time zones"):
        spreads(naive, zoned, **OPTIONS)
    both = pd.concat(
        [naive.assign(ts=naive["ts"].astype(object)), trade(10.0).assign(ts=pd.Timestamp(AT, tz="UTC"))]
    )
    with pytest.raises(ValueError, match="mixes times"):
        spreads(both, BOOK, **OPTIONS)


# --- benchmarks ------------------------------------------------------------------------------------


def prints(*rows: tuple[float, float, float, str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["seconds", "price", "quantity", "conditions"])
    return frame.assign(ts=AT + (frame["seconds"] * SECOND).astype("int64"))


TAPE = prints(
    (-86_400, 8.0, 100, "6"), (-10, 9.0, 100, ""), (10, 10.0, 100, ""), (30, 12.0, 300, "F"),
    (35, 20.0, 50, "I"), (60, 11.0, 100, ""), (3_000, 13.0, 1_000, "6"), (3_001, 13.0, 1_000, "M"),
    (3_002, 13.0, 1_000, "6"), (3_003, 50.0, 10, "?"),
)  # fmt: skip


def test_benchmarks_by_hand() -> None:
    own = pd.DataFrame({"quantity": [100], "price": [12.0], "filled_at": [AT + 30 * SECOND]})
    found = benchmarks(TAPE, start=AT, end=AT + 120 * SECOND, own_fills=own, bar="60s")
    assert found.volume == 550
    assert found.vwap == pytest.approx((1_000 + 3_600 + 1_000 + 1_100) / 550)
    assert found.vwap_without_own == pytest.approx((1_000 + 2_400 + 1_000 + 1_100) / 450)
    assert found.participation == pytest.approx(100 / 550)
    assert found.ohlc == (10.0, 12.0, 10.0, 11.0)  # an odd lot moves volume, not the range
    assert found.twaps["mean_of_prints"] == 11.0
    # 9.0 stood for 10 s, then 10 for 20, 12 for 30, 11 for 60
    assert found.twaps["time_weighted"] == pytest.approx((90 + 200 + 360 + 660) / 120)
    assert found.twaps["bars"] == pytest.approx((12.0 + 11.0) / 2)
    assert (found.close, found.close_source, found.previous_close) == (13.0, "closing print", 8.0)


def test_the_close_counts_once() -> None:
    found = benchmarks(TAPE, start=AT, end=AT + 4_000 * SECOND)
    assert found.volume == 1_550
    assert found.excluded == {"close_repeated": 1, "no_volume": 2}


def test_an_empty_interval_has_no_price_and_wrong_ones_are_refused() -> None:
    found = benchmarks(TAPE, start=AT + 4_000 * SECOND, end=AT + 5_000 * SECOND)
    assert np.isnan([found.vwap, found.open, found.twap_mean_of_prints, found.participation]).all()
    assert found.twap_time_weighted == 13.0  # what stood
    with pytest.raises(ValueError, match="is empty"):
        benchmarks(TAPE, start=AT, end=AT)
    with pytest.raises(ValueError, match="2 symbols"):
        benchmarks(TAPE.assign(symbol=["A"] * 5 + ["B"] * 5), start=AT, end=AT + SECOND)
    own = pd.DataFrame({"quantity": [900], "price": [12.0], "filled_at": [AT + 30 * SECOND]})
    with pytest.raises(ValueError, match="exceed the volume"):
        benchmarks(TAPE, start=AT, end=AT + 120 * SECOND, own_fills=own)


def test_the_table_of_conditions() -> None:
    found = eligibility(["", None, "@", "F I", "M", "Q", "9", "6", "7 V", "x"])
    assert found.volume.tolist() == [True, True, True, True, False, False, False, True, True, False]
    assert found.price.tolist() == [True, True, True, False, False, False, False, True, False, False]
    assert found.unknown == {"x": 1}
    assert {code for code, (_, volume, _) in CONDITIONS.items() if not volume} == {"M", "Q", "9"}


# --- cleaning --------------------------------------------------------------------------------------


def test_every_dropped_quote_is_counted_by_reason() -> None:
    raw = quotes(
        (0, 10.0, 10.1), (1, 0.0, 10.1), (2, 10.2, 10.1), (4, 10.1, 10.1), (3, 10.0, 10.1), (3, 10.0, 10.1)
    )
    raw.loc[len(raw)] = [5, np.nan, 10.1, "KO", AT + 5 * SECOND]
    found = clean_quotes(raw.assign(bid_size=1, ask_size=[1, 1, 1, 1, 1, 1, 1]))
    assert found.dropped == {"missing": 1, "zero_quote": 1, "crossed": 1, "duplicate": 1}
    assert found.noted == {"locked": 1, "unsorted": 1}
    assert found.frame["seconds"].tolist() == [0, 3, 4]
    assert found.offered == len(found.frame) + sum(found.dropped.values())
    assert clean_quotes(raw.assign(bid_size=0, ask_size=1)).frame.empty


def test_every_dropped_trade_is_counted_by_reason() -> None:
    raw = pd.concat([TAPE, TAPE.tail(4).head(1)]).assign(symbol="KO", correction=0).reset_index(drop=True)
    raw.loc[2, "correction"] = 8
    raw.loc[3, "price"] = 0.0
    raw.loc[4, "quantity"] = 0
    raw.loc[5, "price"] = np.nan
    found = clean_trades(raw, duplicates="drop")
    assert found.dropped == {
        "missing": 1, "price_not_positive": 1, "size_not_positive": 1, "corrected": 1, "duplicate": 1,
        "close_repeated": 1,
    }  # fmt: skip
    assert found.noted == {"no_volume": 2, "no_price": 2, "unknown_condition": 1}
    kept = clean_trades(raw, duplicates="keep")
    assert kept.dropped["close_repeated"] == 2
    assert "duplicate" not in kept.dropped
    with pytest.raises(ValueError, match="duplicates"):
        clean_trades(raw, duplicates="maybe")  # type: ignore[arg-type]
