"""Distances by bits against the sorted oracle; files, sketches and tables agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from workbench.core.drift import histogram
from workbench.core.drift.distances import distances
from workbench.errors import DataError, UsageError

numbers = st.lists(
    st.one_of(st.floats(), st.sampled_from([0.0, -0.0, 1.5, -1e-300, 1e-300, 1e300])),
    min_size=1, max_size=80,
)  # fmt: skip


@given(numbers, numbers, st.sampled_from([1e-4, "merge", "drop", "half"]))
def test_any_numbers_equal_the_sorted_oracle(
    first: list[float], second: list[float], empty: float | str
) -> None:
    a, b = np.array(first), np.array(second)
    sides = [np.sort(side[np.isfinite(side)]) for side in (a, b)]
    # sums of quantiles near the largest float overflow in the oracle as well
    if not all(len(side) and np.abs(side).max() < 1e307 for side in sides):
        return
    found = histogram.measure_exactly(lambda: np.array_split(a, 3), lambda: [b], bins=10, empty=empty)
    assert found.ks == distances(*sides).ks
    assert found.psi == float(wb.drift.population_stability_index(a, b, empty=empty))
    tally = histogram.Tally.empty()
    kept = histogram.sketch_column(lambda: [a], bins=10)
    sketched = histogram.measure_sketched(kept, lambda: np.array_split(b, 2), empty=empty, tally=tally)
    assert not any(part.any() for part in tally)  # as the next column has to find it
    again = histogram.measure_sketched(kept, lambda: [b], empty=empty, tally=tally)
    assert again == sketched
    assert sketched.psi == found.psi
    assert sketched.ks <= found.ks + 1e-12
    assert found.ks <= sketched.ks + sketched.ks_error + 1e-12


@pytest.fixture
def tables(tmp_path: Path) -> tuple[pd.DataFrame, pd.DataFrame, Path, Path]:
    rng = np.random.default_rng(3)
    before = pd.DataFrame({
        "normal": rng.standard_normal(30_000), "wild": rng.standard_cauchy(30_000) * 1e6,
        "ties": rng.integers(0, 5, 30_000), "text": "a", "void": np.nan,
    })  # fmt: skip
    after = pd.DataFrame({
        "normal": rng.standard_normal(20_000) + 0.05, "wild": rng.standard_cauchy(20_000) * 1.1e6,
        "ties": rng.integers(0, 6, 20_000), "text": "a", "void": np.nan,
    })  # fmt: skip
    after.loc[5, "normal"] = np.nan
    paths = tmp_path / "before.parquet", tmp_path / "after.parquet"
    for table, path in zip((before, after), paths, strict=True):
        table.to_parquet(path, row_group_size=7_000)
    return before, after, *paths


def test_files_tables_and_long_files_agree(tables, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, first, second = tables
    expected = wb.drift.distances(before, after, empty=1e-4)
    assert expected.index.tolist() == ["normal", "wild", "ties", "void"]
    assert expected.loc["void", ["psi", "ks"]].isna().all()
    assert expected.loc["normal", "n_current"] == 19_999
    pd.testing.assert_frame_equal(wb.drift.distances(first, second, empty=1e-4), expected, check_exact=True)
    monkeypatch.setattr("workbench.drift._KEPT_ROWS", 0)
    pd.testing.assert_frame_equal(wb.drift.distances(first, second, empty=1e-4), expected, check_exact=True)


def test_a_sketch_survives_its_file_and_states_its_error(tables, tmp_path: Path) -> None:
    before, after, first, second = tables
    exact = wb.drift.distances(before, after, empty="half").drop(index="void")
    kept = tmp_path / "reference.parquet"
    wb.drift.sketch(first).save(kept)
    found = wb.drift.distances(wb.drift.ReferenceSketch.load(kept), second, empty="half")
    assert found["psi"].tolist() == exact["psi"].tolist()
    assert (exact["ks"] - found["ks"]).between(-1e-12, found["ks_error"] + 1e-12).all()
    assert abs(found.loc["normal", "ks"] - exact.loc["normal", "ks"]) <= 1e-4
    assert kept.stat().st_size < first.stat().st_size
    with pytest.raises(DataError, match="is no drift sketch"):
        wb.drift.ReferenceSketch.load(first)


def test_tables_without_a_common_number_are_refused(tables) -> None:
    before, after, *_ = tables
    with pytest.raises(DataError, match="no numeric column"):
        wb.drift.distances(before[["normal"]], after[["text", "ties"]], empty=1e-4)
    with pytest.raises(UsageError, match="no policy"):
        wb.drift.distances(before, after, empty="zero")
