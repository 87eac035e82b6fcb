"""Batch drift: published numbers, oracles, bad input by name, and error rates on a small scale."""

from __future__ import annotations

import copy
import math

import numpy as np
import pandas as pd
import pytest
from drift_cells import measure, pair
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import workbench as wb
from workbench.core.drift.blocks import corrected_p_values, cut_blocks, named_by_yekutieli
from workbench.core.drift.dependence import dependence_of
from workbench.core.drift.distances import distances
from workbench.errors import DataError, UsageError

psi = wb.drift.population_stability_index


def normal(seed: int, rows: int, columns: int = 3) -> pd.DataFrame:
    draw = np.random.default_rng(seed).standard_normal((rows, columns))
    return pd.DataFrame(draw, columns=[f"x{at}" for at in range(columns)])


# --- published numbers ------------------------------------------------------------------------------


def test_the_index_of_fifty_fifty_against_sixty_forty() -> None:
    reference, current = np.repeat([1.0, 2.0], [50, 50]), np.repeat([1.0, 2.0], [60, 40])
    for bins in (2, 10):
        for empty in (1e-4, "merge", "drop", "half"):
            assert float(psi(reference, current, bins=bins, empty=empty)) == pytest.approx(
                0.0405465, abs=5e-8
            )
    assert float(psi(["a", "b"] * 50, ["a"] * 60 + ["b"] * 40, empty=1e-4)) == pytest.approx(
        0.0405465, abs=5e-8
    )


def test_the_jensen_shannon_distance_in_both_bases() -> None:
    distance = wb.drift.jensen_shannon_distance
    assert distance([1, 0], [0.5, 0.5], base=math.e) == pytest.approx(0.464501404, abs=1e-9)
    assert distance([1, 0], [0.5, 0.5], base=2) == pytest.approx(0.557923045, abs=1e-9)
    assert distance([1, 0], [0, 1], base=2) == 1.0


def test_samples_apart_have_distance_one() -> None:
    assert distances(np.arange(5.0), np.arange(10.0, 13.0)) == (1.0, 9.0)


def test_a_hundred_rows_exceed_the_customary_limit_83_times_in_100() -> None:
    rng = np.random.default_rng(1)
    found = [float(psi(rng.normal(size=100), rng.normal(size=100), empty="half")) for _ in range(600)]
    assert np.mean(np.array(found) > 0.10) == pytest.approx(0.83, abs=0.06)
    limit = wb.drift.psi_critical_value(100, 100, bins=10, alpha=0.05)
    assert limit == pytest.approx(stats.chi2.isf(0.05, 9) / 50)
    assert 0.03 < np.mean(np.array(found) > limit) < 0.12


# --- the index --------------------------------------------------------------------------------------


def test_the_policy_for_empty_bins_decides_and_is_printed() -> None:
    reference = np.arange(100.0)
    current = np.concatenate([np.arange(0.0, 80.0), np.arange(60.0, 80.0)])
    found = {empty: psi(reference, current, empty=empty) for empty in (1e-4, 1e-12, "merge", "drop", "half")}
    assert 0 < found["merge"] < found["drop"] < found["half"] < found[1e-4] < found[1e-12]
    assert found[1e-12] > 3 * found["half"]
    for empty, value in found.items():
        assert repr(empty) in repr(value)
        assert value.n_empty == 2
    assert float(copy.copy(found["merge"])) == float(found["merge"])
    with pytest.raises(TypeError):
        psi(reference, current)  # type: ignore[call-arg]


@pytest.mark.parametrize("empty", ["zero", 0.0, -1.0, 0.7, math.nan])
def test_an_unknown_policy_is_refused(empty: object) -> None:
    with pytest.raises(UsageError, match="no policy"):
        psi([1.0], [1.0], empty=empty)  # type: ignore[arg-type]


def test_a_side_without_values_has_no_index() -> None:
    with pytest.raises(DataError, match="current sample holds no value"):
        psi([1.0, 2.0], [math.nan], empty="half")
    with pytest.raises(UsageError, match="bins is 1"):
        psi([1.0], [1.0], bins=1, empty="half")


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=60),
    st.lists(st.integers(-5, 5), min_size=1, max_size=60),
)
def test_the_index_by_hand(reference: list[int], current: list[int]) -> None:
    """Bins by the quantiles of the sorted reference, the sum written out."""
    edges = sorted(set(np.quantile(np.array(reference, dtype=float), np.arange(1, 10) / 10).tolist()))

    def shares(side: list[int]) -> list[float]:
        counts = [0] * (len(edges) + 1)
        for value in side:
            counts[sum(edge < value for edge in edges)] += 1
        return [count / len(side) for count in counts]

    total = 0.0
    for p, q in zip(shares(reference), shares(current), strict=True):
        if p or q:
            p, q = max(p, 1e-4), max(q, 1e-4)
            total += (q - p) * math.log(q / p)
    assert float(psi(reference, current, empty=1e-4)) == pytest.approx(total, abs=1e-12)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=50), st.lists(st.integers(0, 9), min_size=1, max_size=50)
)
def test_distances_by_hand(first: list[int], second: list[int]) -> None:
    a, b = np.sort(np.array(first, dtype=float)), np.sort(np.array(second, dtype=float))
    found = distances(a, b)
    gaps = [abs((a <= value).mean() - (b <= value).mean()) for value in [*first, *second]]
    assert found.ks == pytest.approx(max(gaps), abs=1e-12)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(a, b), abs=1e-12)


# --- dependence -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("process", "expected"), [("iid", 1.0), ("ar5", 3.0), ("ar9", 19.0)])
def test_the_autocorrelation_time_of_known_processes(process: str, expected: float) -> None:
    rng = np.random.default_rng(4)
    found = [
        dependence_of(*(side["x0"].to_numpy() for side in pair(process, 2_000, 1, 0.0, rng))).time()
        for _ in range(20)
    ]
    assert np.median(found) == pytest.approx(expected, rel=0.12)


def test_blocks_cover_both_samples_once() -> None:
    blocks = cut_blocks(1_003, 251, 10)
    for cut, rows in ((blocks.reference, 1_003), (blocks.current, 251)):
        assert cut[0, 0] == 0
        assert cut[-1, 1] == rows
        assert (cut[1:, 0] == cut[:-1, 1]).all()
    assert len(cut_blocks(10_000_000, 1_000, 1).reference) == 320


def test_step_down_p_values_by_hand() -> None:
    observed = np.array([3.0, 1.0])
    dealt = np.array([[0.5, 2.0], [2.0, 0.5], [4.0, 0.1]])
    assert corrected_p_values(observed, dealt).tolist() == [2 / 4, 2 / 4]
    assert named_by_yekutieli(np.array([0.001, 0.4, 0.03]), 0.05).tolist() == [True, False, False]


# --- the comparison ---------------------------------------------------------------------------------


def test_an_unchanged_table_is_quiet_and_a_moved_feature_is_named() -> None:
    quiet = wb.drift.compare(normal(1, 800), normal(2, 400), alpha=0.05)
    assert (quiet.status, quiet.drifted) == ("none", False)
    assert quiet.frame["verdict"].eq("NONE").all()
    after = normal(2, 400).assign(x1=lambda table: table["x1"] + 0.5)
    report = wb.drift.compare(normal(1, 800), after, alpha=0.05)
    assert (report.status, report.drifted) == ("drift", True)
    assert report.frame["verdict"].to_dict() == {"x0": "NONE", "x1": "DRIFT", "x2": "NONE"}
    row = report.frame.loc["x1"]
    assert row["named"]
    assert row["p_value"] <= row["corrected_p_value"] == report.family_p_value <= 0.01
    assert row["shift_lower"] < 0.5 < row["shift_upper"]
    assert row["effective_n"] == pytest.approx(400, rel=0.15)
    assert "DRIFT" in report._repr_html_()


@pytest.mark.parametrize(
    ("change", "moved"),
    [
        (lambda x: x * 1.6, "spread"),
        (lambda x: x + 0.4, "location"),
        (lambda x: np.where(x > 1.8, 9.0, x), ""),
    ],
)
def test_what_moved_is_told(change, moved) -> None:
    before, after = normal(3, 2_000, 1), normal(4, 1_000, 1)
    report = wb.drift.compare(before, after.apply(change), alpha=0.05)
    if moved:
        assert report.frame.loc["x0", "moved"] == moved
        assert report.drifted


def test_features_that_move_together_in_another_way_are_a_drift() -> None:
    rng = np.random.default_rng(8)
    before = pd.DataFrame(rng.standard_normal((800, 2)), columns=["a", "b"])
    common = rng.standard_normal((500, 1))
    after = pd.DataFrame(
        np.hstack([common, common * 0.6 + rng.standard_normal((500, 1)) * 0.8]), columns=["a", "b"]
    )
    report = wb.drift.compare(before, after, alpha=0.05)
    assert report.drifted
    assert report.correlations_p_value == report.family_p_value
    assert any("move together" in note for note in report.notes)
    joint = wb.drift.joint_drift(before, after, seed=3)
    assert joint.mmd_p_value < 0.05 > joint.auc_p_value
    assert joint.auc > 0.55
    calm = wb.drift.joint_drift(before.iloc[:400], before.iloc[400:], seed=3)
    assert calm.mmd_p_value > 0.05 < calm.auc_p_value


def test_categories_and_those_never_seen() -> None:
    rng = np.random.default_rng(9)
    before = pd.DataFrame({"venue": rng.choice(["N", "Q", "P"], 900), "live": rng.random(900) < 0.5})
    after = pd.DataFrame({"venue": rng.choice(["N", "Q", "P"], 300), "live": rng.random(300) < 0.5})
    quiet = wb.drift.compare(before, after, alpha=0.05)
    assert quiet.status == "none"
    assert quiet.frame["test"].eq("chi_squared").all()
    after.loc[::4, "venue"] = "Z"
    report = wb.drift.compare(before, after, alpha=0.05)
    assert report.frame.loc["venue", ["verdict", "moved"]].tolist() == ["DRIFT", "Z"]
    table = np.array([[(side == c).sum() for c in "NPQZ"] for side in (before["venue"], after["venue"])])
    assert report.frame.loc["venue", "chi_squared"] == pytest.approx(stats.chi2_contingency(table).statistic)


def test_the_same_tables_give_the_same_report() -> None:
    first, second = (wb.drift.compare(normal(5, 600), normal(6, 300), alpha=0.05) for _ in range(2))
    pd.testing.assert_frame_equal(first.frame, second.frame, check_exact=True)


# --- bad input --------------------------------------------------------------------------------------


def test_columns_that_cannot_be_judged_are_named_and_never_pass() -> None:
    before = normal(1, 500).assign(typed=1.5, gone=1.0, empty=np.nan, kept="a", flat=2.0)
    before["typed"] = np.random.default_rng(1).normal(size=500)
    after = normal(2, 300).assign(typed="1.5", fresh=2.0, empty=np.nan, kept="a", flat=2.0)
    report = wb.drift.compare(before, after, alpha=0.05)
    frame = report.frame
    assert frame.loc["gone", "reason"] == "absent from the current table"
    assert frame.loc["fresh", "reason"] == "new: absent from the reference table"
    assert frame.loc["typed", "reason"].startswith("retyped: float64 became")
    assert frame.loc["empty", "reason"] == "the reference holds no value"
    assert frame.loc[["gone", "fresh", "typed", "empty"], "verdict"].eq("INSUFFICIENT").all()
    assert frame.loc[["x0", "kept", "flat"], "verdict"].eq("NONE").all()
    assert report.status == "insufficient"


def test_values_that_vanish_are_a_drift() -> None:
    after = normal(2, 300)
    after.loc[:, "x0"] = np.nan
    after.loc[::5, "x1"] = np.nan
    report = wb.drift.compare(normal(1, 500), after, alpha=0.05)
    assert report.frame.loc[["x0", "x1"], "verdict"].eq("DRIFT").all()
    assert report.frame.loc[["x0", "x1"], "moved"].eq("missing").all()
    assert report.frame.loc["x1", "missing_current"] == pytest.approx(0.2)


def test_a_column_of_infinities_holds_no_value() -> None:
    endless = normal(1, 300, 1) * 0.0 + np.inf
    assert (
        wb.drift.compare(endless, normal(2, 200, 1), alpha=0.05).frame.loc["x0", "verdict"] == "INSUFFICIENT"
    )
    assert wb.drift.compare(endless, endless, alpha=0.05).status == "insufficient"
    assert wb.drift.compare(normal(2, 200, 1), endless, alpha=0.05).status == "drift"


def test_a_constant_that_begins_to_move_and_one_that_stops() -> None:
    moving, still = normal(1, 400, 1), normal(1, 400, 1) * 0.0
    assert wb.drift.compare(still, moving.iloc[:200], alpha=0.05).drifted
    assert wb.drift.compare(moving, still.iloc[:200], alpha=0.05).drifted
    assert wb.drift.compare(still, still.iloc[:200], alpha=0.05).status == "none"


def test_one_absurd_value_moves_nothing_much() -> None:
    before, after = normal(1, 500), normal(2, 300)
    plain = wb.drift.compare(before, after, alpha=0.05).frame
    after.iloc[7, 0] = 1e12
    odd = wb.drift.compare(before, after, alpha=0.05).frame
    assert odd["verdict"].eq("NONE").all()
    assert abs(odd.loc["x0", "statistic"] - plain.loc["x0", "statistic"]) < 0.4
    assert abs(odd.loc["x0", "psi"] - plain.loc["x0", "psi"]) < 0.02
    after.iloc[7, 0] = np.inf
    assert wb.drift.compare(before, after, alpha=0.05).frame.loc["x0", "verdict"] == "NONE"


def test_few_rows_and_no_rows_are_insufficient() -> None:
    before = normal(1, 500)
    for rows in (0, 1, 3, 40):
        report = wb.drift.compare(before, normal(2, rows) + 5.0, alpha=0.05)
        assert (report.status, report.drifted) == ("insufficient", False), rows
        assert report.frame["reason"].ne("").all()
    assert wb.drift.compare(before.iloc[:0], before, alpha=0.05).status == "insufficient"
    assert wb.drift.compare(before.iloc[:30], before, alpha=0.05).status == "insufficient"


def test_dependent_rows_count_for_less() -> None:
    before, after = pair("ar9", 400, 1, 0.0, np.random.default_rng(5))
    report = wb.drift.compare(before, after, alpha=0.05)
    assert report.status == "insufficient"
    assert "effective rows" in report.frame.loc["x0", "reason"]
    assert report.frame.loc["x0", "effective_n"] < 50


def test_blocks_longer_than_an_eighth_of_the_window_are_insufficient() -> None:
    report = wb.drift.compare(normal(1, 500), normal(2, 300), alpha=0.05, block_length=50)
    assert report.status == "insufficient"
    assert "fewer than 8 blocks of 50 rows" in report.frame.loc["x0", "reason"]
    judged = wb.drift.compare(normal(1, 500), normal(2, 300), alpha=0.05, block_length=30)
    assert judged.status == "none"
    assert 30 <= judged.block_length <= 32


def test_time_running_backwards_is_named() -> None:
    before, after = normal(1, 300), normal(2, 200)
    after.index = pd.date_range("2020-01-01", periods=200).to_numpy()[np.r_[0:150, 100:150]]
    report = wb.drift.compare(before, after, alpha=0.05)
    assert report.status == "insufficient"
    assert "time runs backwards in the current sample at row 150" in report.notes[0]


@pytest.mark.parametrize(("alpha", "length"), [(0.0, None), (0.5, None), (math.nan, None), (0.05, 0)])
def test_arguments_without_sense_are_refused(alpha: float, length: int | None) -> None:
    with pytest.raises(UsageError):
        wb.drift.compare(normal(1, 100), normal(2, 100), alpha=alpha, block_length=length)


def test_tables_without_sense_are_refused() -> None:
    with pytest.raises(UsageError, match="neither table has a column"):
        wb.drift.compare(pd.DataFrame(), pd.DataFrame(), alpha=0.05)
    with pytest.raises(UsageError, match="occurs twice"):
        wb.drift.compare(pd.DataFrame([[1, 2]], columns=["a", "a"]), normal(1, 5), alpha=0.05)
    with pytest.raises(UsageError, match="3 dimensions"):
        wb.drift.compare(np.zeros((2, 2, 2)), np.zeros((2, 2)), alpha=0.05)


# --- error rates ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("process", "rows"), [
        ("ar5", 250), ("ties", 150),
        pytest.param("iid", 100, marks=pytest.mark.prove),
        pytest.param("filtered", 300, marks=pytest.mark.prove),
    ],
)  # fmt: skip
def test_false_alarms_on_a_small_scale(process: str, rows: int) -> None:
    """240 families: the bounds are those of the 99.9 % binomial interval around the bars."""
    cell = measure(process, rows, columns=3, runs=240, shift_sd=0.0, seed=11)
    assert 0.01 <= cell.feature_rate <= 0.10
    assert cell.family_rate <= 0.12


def test_a_volatility_filter_is_causal_and_continues() -> None:
    whole = pair("garch", 600, 2, 0.0, np.random.default_rng(3))[0]
    before, after = whole.iloc[:400], whole.iloc[400:]
    fitted = wb.drift.VolatilityFilter.fit(before)
    filtered = fitted.filtered(after)
    changed = after.copy()
    changed.iloc[100:] = 1e9
    pd.testing.assert_frame_equal(fitted.filtered(changed).iloc[:100], filtered.iloc[:100])
    assert len(fitted.filtered_reference(before)) == 350
    assert filtered.abs().max().max() < 8
    variance, value = fitted.next_variance[0], after["x0"].iloc[0] - fitted.mean[0]
    assert filtered["x0"].iloc[0] == pytest.approx(value / math.sqrt(variance))
    with pytest.raises(DataError, match="needs 150"):
        wb.drift.VolatilityFilter.fit(before.iloc[:100])
    with pytest.raises(DataError, match="'x1' is absent"):
        fitted.filtered(after[["x0"]])


def slow_filter(values: np.ndarray, decay: float) -> tuple[list[float], float]:
    """Deviations over the volatility known before them, after the first 50, and the next row's variance."""
    mean = values.mean()
    first = (values[:50] - mean) ** 2
    variance = np.minimum(first, 20.0 * np.median(first)).mean()
    out = []
    for value in values:
        out.append((value - mean) / math.sqrt(variance))
        variance = decay * variance + (1.0 - decay) * min((value - mean) ** 2, 100.0 * variance)
    return out[50:], variance


def test_the_volatility_runs_through_the_first_rows_as_through_all_others() -> None:
    before = pair("garch", 400, 1, 0.0, np.random.default_rng(9))[0]
    fitted = wb.drift.VolatilityFilter.fit(before)
    wanted, following = slow_filter(before["x0"].to_numpy(), fitted.decay[0])
    assert fitted.filtered_reference(before)["x0"].tolist() == pytest.approx(wanted)
    assert fitted.next_variance[0] == pytest.approx(following)


def test_the_decay_is_the_customary_one_until_the_rows_speak_for_another() -> None:
    """On 150 rows the likeliest decay is noise, and its choice lets unchanged windows look wilder."""
    draw = np.random.default_rng(5)
    short = wb.drift.VolatilityFilter.fit(pair("garch", 150, 40, 0.0, draw)[0])
    assert sum(decay == 0.94 for decay in short.decay) >= 36
    for true in (0.85, 0.98):
        variance, rows = 1.0, np.empty(6_000)
        for at in range(len(rows)):
            rows[at] = draw.standard_normal() * math.sqrt(variance)
            variance = max(true * variance + (1.0 - true) * rows[at] ** 2, 0.05)
        (found,) = wb.drift.VolatilityFilter.fit(pd.DataFrame({"x": rows})).decay
        assert (found - 0.94) * (true - 0.94) > 0.0
