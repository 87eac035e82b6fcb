"""The report against the slow obvious way: frames and Parquet, any batch size, bad rows counted by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tape import OPEN_NS, SECOND, market, measured

import workbench.tca as tca
from workbench.core.tca.intervals import ratio_interval
from workbench.errors import DataError
from workbench.tca import implementation_shortfall, report

HORIZONS = [SECOND, 60 * SECOND, 300 * SECOND]
MAX_AGE = 60 * SECOND


def found_by(tables: dict[str, Any], by: list[str], **changes: Any) -> tca.TcaReport:
    options = {"split": "cfa", "horizons": HORIZONS, "max_age": MAX_AGE} | changes
    return report(tables["orders"], tables["fills"], tables["quotes"], by=by, **options)


def on_disk(folder: Path, tables: dict[str, Any], rows: int = 97) -> dict[str, str]:
    paths = {}
    for name, frame in tables.items():
        (folder / name).mkdir(exist_ok=True)
        half = len(frame) // 2
        frame.iloc[:half].to_parquet(folder / name / "a.parquet", row_group_size=rows)
        frame.iloc[half:].to_parquet(folder / name / "b.parquet", row_group_size=rows)
        paths[name] = str(folder / name)
    return paths


@pytest.mark.parametrize("seed", range(4))
def test_spreads_and_markouts_are_those_of_the_slow_way(seed: int) -> None:
    tables = market(seed)
    found = found_by(tables, ["symbol", "strategy"])
    wanted = measured(tables, ["symbol", "strategy"], HORIZONS, MAX_AGE)
    for row, micros in zip(found.frame.to_dict("records"), found.micros.to_dict("records"), strict=True):
        group = wanted[row["symbol"], row["strategy"]]
        for name in ("effective", "effective_matched", "realized", "price_improvement"):
            assert micros[f"{name}_half"] == group[name], (row["symbol"], name)
        assert micros["effective_matched_half"] == micros["realized_half"] + micros["impact_half"]
    assert found.excluded.get("no_mid_after", 0) == sum(group["unresolved"] for group in wanted.values())


def test_a_quote_of_yesterday_never_stands_however_old_it_may_be() -> None:
    tables = market(12)
    half_past = OPEN_NS + 86_400 * SECOND + 1_800 * SECOND
    quotes = tables["quotes"]
    tables["quotes"] = quotes[(quotes["ts"] < OPEN_NS + 40_000 * SECOND) | (quotes["ts"] > half_past)]
    days = 2 * 86_400 * SECOND
    found = found_by(tables, [], max_age=days)
    wanted = measured(tables, [], HORIZONS, days)[()]
    for name in ("effective", "effective_matched", "realized", "price_improvement"):
        assert found.micros[f"{name}_half"].iloc[0] == wanted[name]
    assert found.excluded["no_mid_after"] == wanted["unresolved"] > 10
    assert found.excluded["quote_stale"] > 5


def test_a_markout_never_reaches_into_another_day() -> None:
    day = 86_400 * SECOND
    tables = market(12)
    found = found_by(tables, [], horizons=[SECOND, day], max_age=2 * day)
    assert np.isnan(found.frame[f"markout_{day}_bps"].iloc[0])
    assert found.micros["realized_half"].iloc[0] == 0
    assert np.isfinite(found.frame[f"markout_{SECOND}_bps"].iloc[0])


@pytest.mark.parametrize("split", ["cfa", "wagner"])
def test_shortfall_is_that_of_the_exact_function(split: str) -> None:
    tables = market(7)
    found = found_by(tables, ["symbol"], split=split)
    exact = implementation_shortfall(tables["orders"], tables["fills"], split=split)
    for part in ("delay", "trading", "opportunity", "fees", "total"):
        by_hand = (exact.groupby("symbol")[part].sum() * 1e6).round().astype("int64")
        assert found.micros.set_index("symbol")[part].astype("int64").to_dict() == by_hand.to_dict()
        assert np.allclose(found.orders[part], exact[part], atol=1e-9)
    parts = found.micros[["delay", "trading", "opportunity", "fees"]].sum(axis=1)
    assert (parts == found.micros["total"]).all()


@pytest.mark.parametrize("rows", [1, 13, 1 << 17])
def test_files_give_the_report_of_the_frames_whatever_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    tables = market(3, parents=15, per_day=100)
    whole = found_by(tables, ["symbol", "hour"])
    monkeypatch.setattr(tca, "_ROWS", rows)
    files = found_by(on_disk(tmp_path, tables), ["symbol", "hour"])
    pd.testing.assert_frame_equal(files.frame, whole.frame)
    pd.testing.assert_frame_equal(files.micros, whole.micros)
    assert files.excluded == whole.excluded


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_of_two_quotes_of_one_instant_the_last_stands_whatever_the_batch(
    monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(tca, "_ROWS", rows)
    order = {"order_id": 1, "symbol": "S", "side": "buy", "quantity": 100, "arrival_at": OPEN_NS + SECOND}
    prices = dict.fromkeys(("decision_price", "arrival_price", "final_price"), 10.0)
    fill = {"order_id": 1, "quantity": 100, "price": 10.0, "fee": 0.0, "filled_at": OPEN_NS + 2 * SECOND}
    quotes = pd.DataFrame(
        {
            "symbol": "S",
            "ts": OPEN_NS + np.array([0, 0, 1, 3, 3, 9]) * SECOND,
            "bid": [9.98, 10.0, 50.0, 60.0, 12.0, 70.0],
            "ask": [9.98, 10.0, 50.0, 60.0, 12.0, 70.0],
        }
    )
    tables = {"orders": pd.DataFrame([order | prices]), "fills": pd.DataFrame([fill]), "quotes": quotes}
    found = found_by(tables, [], horizons=[SECOND]).frame.iloc[0]
    assert found["effective_bps"] == 0.0, "strictly before the arrival, the later of two"
    assert found[f"markout_{SECOND}_bps"] == pytest.approx(2_000.0), "at or before, the later of two"


@pytest.mark.parametrize("rows", [7, 1 << 18])
def test_a_row_without_a_time_is_counted_and_disturbs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(tca, "_ROWS", rows)
    tables = market(3)
    for name, column in (("orders", "arrival_at"), ("fills", "filled_at"), ("quotes", "ts")):
        tables[name][column] = pd.to_datetime(tables[name][column], utc=True)
    clean = found_by(tables, [])
    again = tables["quotes"].assign(ts=pd.NaT)
    stained = pd.concat(
        [again.iloc[:1], tables["quotes"].iloc[:48], again.iloc[:3], tables["quotes"].iloc[48:]]
    )
    lost = tables["fills"].index[[5, 7, len(tables["fills"]) - 1]]  # one is the first of its batch
    untimed = tables["fills"].copy()
    untimed.loc[lost, "filled_at"] = pd.NaT
    for place in ("frames", "files"):
        with_quotes = {**tables, "quotes": stained}
        with_fills = {**tables, "fills": untimed}
        if place == "files":
            (tmp_path / "q").mkdir()
            (tmp_path / "f").mkdir()
            with_quotes, with_fills = (
                on_disk(tmp_path / "q", with_quotes),
                on_disk(tmp_path / "f", with_fills),
            )
        found = found_by(with_quotes, [])
        pd.testing.assert_frame_equal(found.micros, clean.micros)
        assert found.excluded == {**clean.excluded, "quote_missing": 4}
        assert found.notes == ()
        found = found_by(with_fills, [])
        assert found.excluded["fill_without_time"] == 3
        left_out = set(tables["fills"].loc[lost, "order_id"])
        assert found.excluded["order_with_refused_fill"] == len(left_out)
        assert set(clean.orders.index) - set(found.orders.index) == left_out
        assert found.notes == ()


@pytest.mark.parametrize("rows", [1, 1 << 18])
def test_rows_out_of_order_are_sorted_and_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(tca, "_ROWS", rows)
    tables = market(5, parents=15, per_day=100)
    whole = found_by(tables, ["symbol"])
    shuffled = {
        "orders": tables["orders"],
        "fills": tables["fills"].sample(frac=1, random_state=1),
        "quotes": tables["quotes"].sort_values(["symbol", "ts"], kind="stable"),
    }
    for given in (shuffled, on_disk(tmp_path, shuffled)):
        found = found_by(given, ["symbol"])
        pd.testing.assert_frame_equal(found.micros, whole.micros)
        assert found.notes == (
            "fills were not in time order and were sorted",
            "quotes were not in time order and were sorted",
        )


def test_bad_rows_are_named_counted_and_change_nothing_else() -> None:
    tables = market(11)
    clean = found_by(tables, ["symbol"])
    orders, fills, quotes = tables["orders"], tables["fills"], tables["quotes"]
    base = orders.iloc[0].to_dict()
    bad_orders = [
        {**base, "order_id": 1, "side": "long"},
        {**base, "order_id": 2, "decision_price": np.nan},
        {**base, "order_id": 3, "quantity": 10.5},
        {**base, "order_id": 4, "final_price": -1.0},
        {**base, "order_id": 5, "symbol": "NEVER"},
        {**base, "order_id": 6, "quantity": 100},
        {**base, "order_id": 7},
    ]
    at = int(base["arrival_at"]) + SECOND
    bad_fills = [
        {"order_id": 99, "quantity": 100, "price": 50.0, "fee": 0.0, "filled_at": at, "execution_id": "b1"},
        {"order_id": 6, "quantity": 200, "price": 50.0, "fee": 0.0, "filled_at": at, "execution_id": "b2"},
        {"order_id": 7, "quantity": 100, "price": -50.0, "fee": 0.0, "filled_at": at, "execution_id": "b3"},
        {
            "order_id": 5,
            "quantity": base["quantity"],
            "price": 50.0,
            "fee": 0.0,
            "filled_at": at,
            "execution_id": "b4",
        },
        {**fills.iloc[5].to_dict()},
    ]
    bad_quotes = [
        {"symbol": base["symbol"], "ts": at, "bid": 60.0, "ask": 50.0},
        {"symbol": base["symbol"], "ts": at, "bid": 0.0, "ask": 50.0},
        {"symbol": base["symbol"], "ts": at, "bid": np.nan, "ask": 50.0},
        {"symbol": "OTHER", "ts": at, "bid": 49.0, "ask": 50.0},
    ]
    soiled = {
        "orders": pd.concat([orders, pd.DataFrame(bad_orders)], ignore_index=True),
        "fills": pd.concat([fills, pd.DataFrame(bad_fills)]).sort_values("filled_at", kind="stable"),
        "quotes": pd.concat([quotes, pd.DataFrame(bad_quotes)]).sort_values("ts", kind="stable"),
    }
    found = found_by(soiled, ["symbol"])
    counted = {name: count - clean.excluded.get(name, 0) for name, count in found.excluded.items()}
    assert {name: count for name, count in counted.items() if count} == {
        "order_side_unknown": 1, "order_without_decision_price": 1, "order_not_whole_shares": 1,
        "order_without_final_price": 1, "order_overfilled": 1, "order_with_refused_fill": 1,
        "fill_without_order": 1, "fill_not_positive": 1, "fill_duplicate": 1,
        "quote_crossed": 1, "quote_missing": 2, "quote_of_another_symbol": 1,
        "no_quote_yet": 1, "no_mid_after": 3,
    }  # fmt: skip
    kept = found.micros.set_index("symbol").drop(index="NEVER")
    pd.testing.assert_frame_equal(kept, clean.micros.set_index("symbol"))
    assert found.frame.set_index("symbol").loc["NEVER", "effective_bps"] != 0.0
    assert np.isnan(found.frame.set_index("symbol").loc["NEVER", "effective_bps"])


def test_an_interval_needs_ten_days_and_holds_the_mean() -> None:
    few = found_by(market(2, days=9, parents=60, per_day=50), [])
    assert few.frame[["total_lower_bps", "total_upper_bps"]].isna().all(axis=None)
    many = found_by(market(2, days=12, parents=120, per_day=50), [])
    row = many.frame.iloc[0]
    assert row["total_lower_bps"] < row["total_bps"] < row["total_upper_bps"]
    again = found_by(market(2, days=12, parents=120, per_day=50), [])
    pd.testing.assert_frame_equal(many.frame, again.frame)


def test_an_interval_is_that_of_days_drawn_one_by_one() -> None:
    rng = np.random.Generator(np.random.PCG64(2))
    cost, paper = rng.normal(1.0, 1.0, (70, 12)), rng.uniform(0.5, 1.5, (70, 12))
    cost[1, :2] = paper[1, :2] = 0.0  # a group that did not trade on two days
    cost[2, :3] = paper[2, :3] = 0.0  # on three: too few are left
    lower, upper = ratio_interval(cost, paper, confidence=0.9, seed=5)
    drawn = np.random.Generator(np.random.Philox(5)).multinomial(12, np.full(12, 1 / 12), 1_000)
    for group in (0, 1, 69):  # the last stands in a block of its own
        ratios = [sum(cost[group] * one) / sum(paper[group] * one) for one in drawn]
        assert [lower[group], upper[group]] == pytest.approx(np.quantile(ratios, [0.05, 0.95]))
    assert np.isnan([lower[2], upper[2]]).all()


def test_breakdowns_cover_every_order_once() -> None:
    tables = market(4, parents=60)
    tables["orders"]["volatility_bps"] = np.linspace(50, 300, 60)
    tables["orders"]["order_type"] = ["limit", "market_on_open", "market"] * 20
    tables["orders"]["model_id"] = ["first", "second"] * 30
    tables["orders"]["cost_model_id"] = ["c" * 64, None] * 30
    total = found_by(tables, []).micros["total"].sum()
    ways = ("symbol", "side", "hour", "day", "size", "strategy", "volatility_regime", "liquidity_regime")
    for by in (*ways, "order_type", "model_id", "cost_model_id"):
        found = found_by(tables, [by])
        assert found.frame["orders"].sum() == len(found.orders), by
        assert found.micros["total"].sum() == total, by
    with pytest.raises(ValueError, match="do not tell 'model'"):
        found_by(tables, ["model"])


def test_outliers_lead_to_their_journal_rows() -> None:
    tables = market(6, parents=80)
    far = tables["orders"].index[10]
    tables["orders"].loc[far, ["decision_price", "arrival_price", "final_price"]] = [25.0, 25.0, 50.0]
    found = found_by(tables, [])
    assert found.outliers.index[0] == tables["orders"].loc[far, "order_id"]
    assert found.outliers.iloc[0]["seq"] == far
    assert "left out" in found._repr_html_()


def test_words_as_ids_and_fills_without_arrivals_stand_for_themselves(tmp_path: Path) -> None:
    tables = market(8)
    plain = found_by(tables, ["symbol"])
    words = {name: frame.copy() for name, frame in tables.items()}
    for name in ("orders", "fills"):
        words[name]["order_id"] = "order " + words[name]["order_id"].astype(str)
    for given in (words, on_disk(tmp_path, words)):
        pd.testing.assert_frame_equal(found_by(given, ["symbol"]).frame, plain.frame)
    alone = {**tables, "orders": tables["orders"].drop(columns="arrival_at")}
    moved = tables["fills"].merge(tables["orders"][["order_id", "symbol", "side"]], on="order_id")
    rows = tca.spreads(moved, tables["quotes"], horizon=HORIZONS[-1], max_age=MAX_AGE)
    assert found_by(alone, []).frame["effective"].sum() == pytest.approx(rows["effective"].sum())


def test_zones_that_disagree_and_missing_files_are_refused(tmp_path: Path) -> None:
    tables = market(1)
    mixed = {name: frame.copy() for name, frame in tables.items()}
    mixed["fills"]["filled_at"] = pd.to_datetime(mixed["fills"]["filled_at"], utc=True)
    mixed["quotes"]["ts"] = pd.to_datetime(mixed["quotes"]["ts"])
    with pytest.raises(ValueError, match="mixed time zones"):
        found_by(mixed, [])
    with pytest.raises(DataError, match="no Parquet file"):
        report(tables["orders"], tmp_path / "none", tables["quotes"], by=[], split="cfa")
    with pytest.raises(ValueError, match="split"):
        report(**tables, by=[], split="CFA")
    assert OPEN_NS % SECOND == 0


def test_a_fill_before_its_order_arrived_has_no_spread_and_is_counted() -> None:
    tables = market(9)
    row = tables["fills"].index[tables["fills"]["order_id"] == tables["fills"]["order_id"].iloc[-1]][0]
    arrival = tables["orders"].set_index("order_id").loc[tables["fills"].loc[row, "order_id"], "arrival_at"]
    wanted = measured({**tables, "fills": tables["fills"].drop(index=row)}, [], HORIZONS, MAX_AGE)[()]
    tables["fills"].loc[row, "filled_at"] = arrival - SECOND
    tables["fills"] = tables["fills"].sort_values("filled_at", kind="stable")
    found = found_by(tables, [])
    assert found.excluded["fill_before_arrival"] == 1
    assert found.micros["effective_half"].iloc[0] == wanted["effective"]


def test_a_quote_after_the_fill_never_prices_it_and_is_counted() -> None:
    tables = market(10)
    last = int(tables["fills"]["filled_at"].max())
    late = tables["quotes"].assign(ts=np.arange(len(tables["quotes"])) + last + 1)
    found = found_by({**tables, "quotes": late}, [])
    assert found.excluded["no_quote_yet"] == len(tables["fills"])
    assert np.isnan(found.frame["effective_bps"].iloc[0])
    assert found.micros["effective_half"].iloc[0] == 0
    whole = found_by(tables, [])
    assert found.micros["total"].tolist() == whole.micros["total"].tolist(), "the shortfall needs no quotes"
