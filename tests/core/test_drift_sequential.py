"""Sequential drift: river's own alarms, a calibrated horizon, and a state that survives a restart."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from river import drift as river_drift

import workbench as wb
from workbench.core.canonical import canonical_json
from workbench.core.drift import paths
from workbench.core.drift.calibration import largest_statistics, threshold_of
from workbench.core.drift.standardise import NormalScores
from workbench.errors import DataError, UsageError

METHODS = paths.METHODS


def detector(method: str, **changes: object) -> wb.drift.SequentialDetector:
    settings = {"alpha": 0.05, "horizon": 200, "min_reference": 100, "block_length": 1, "seed": 3, **changes}
    return wb.drift.SequentialDetector(method, **settings)  # type: ignore[arg-type]


def first_alarm(made, stream: np.ndarray) -> int | None:
    for row, value in enumerate(stream.tolist()):
        made.update(value)
        if made.drift_detected:
            return row
    return None


@pytest.mark.parametrize("seed", range(6))
def test_the_paths_foretell_rivers_first_alarm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stream = rng.standard_normal(700)
    stream[400:] += (0.0, 0.4, 1.0)[seed % 3]
    out = np.empty(700)
    for delta in (0.5, 0.1, 0.01, 0.0005):
        paths.adwin_path(stream, out)
        rows = np.flatnonzero(out > -math.log(delta))
        expected = int(rows[0]) if len(rows) else None
        assert first_alarm(river_drift.ADWIN(delta=delta), stream) == expected
    for threshold in (4.0, 8.0, 20.0):
        paths.page_hinkley_path(stream, out)
        rows = np.flatnonzero(out > threshold)
        made = river_drift.PageHinkley(delta=paths.PAGE_HINKLEY_DELTA, threshold=threshold)
        assert first_alarm(made, stream) == (int(rows[0]) if len(rows) else None)


def test_the_drawn_distance_has_the_law_of_rivers() -> None:
    """KSWIN draws rows at random: its distances are compared in distribution."""
    rng = np.random.default_rng(2)
    stream = rng.standard_normal(400)
    out = np.empty(400)
    paths.kswin_path(stream, np.array([5], dtype=np.uint64), out)
    made, levels = river_drift.KSWIN(alpha=1e-12, seed=5), []
    for value in stream.tolist():
        made.update(value)
        levels.append(made.p_value)
    from scipy.stats import ks_2samp

    ours = [ks_2samp(np.arange(30.0), np.arange(30.0) + round(one * 30) - 0.5).pvalue for one in out[99:]]
    assert np.mean(ours) == pytest.approx(np.mean(levels[99:]), abs=0.06)


def test_cusum_by_hand() -> None:
    stream = np.array([0.5, 1.0, -3.0])
    out = np.empty(3)
    paths.cusum_path(stream, out)
    spread = [(abs(z) - math.sqrt(2 / math.pi)) / math.sqrt(1 - 2 / math.pi) for z in stream]
    down = max(0.0, max(0.0, -spread[0] - 0.2) - spread[1] - 0.2)
    assert out[0] == pytest.approx(max(0.3, -spread[0] - 0.2))
    assert out[1] == pytest.approx(max(0.3 + 0.8, down, spread[1] - 0.2))
    assert out[2] == pytest.approx(max(2.8, max(0.0, max(0.0, spread[1] - 0.2)) + spread[2] - 0.2))


def test_the_threshold_leaves_alpha_above() -> None:
    largest = np.arange(999.0)
    assert threshold_of(largest, 0.05) == 949.0
    assert (largest > threshold_of(largest, 0.05)).mean() <= 0.05
    scores = np.random.default_rng(1).standard_normal(300)

    def threshold(reference: np.ndarray, horizon: int) -> float:
        drawn = largest_statistics("cusum", reference, horizon=horizon, block_length=1, seed=1)
        return threshold_of(drawn, 0.05)

    assert threshold(scores, 50) < threshold(scores, 200) < threshold(scores, 800)
    assert threshold(scores[:60], 200) > threshold(scores, 200), "a short reference must cost threshold"


@pytest.mark.parametrize("method", METHODS)
def test_a_restart_at_any_update_changes_no_alarm(method: str) -> None:
    rng = np.random.default_rng(7)
    reference = rng.standard_normal(150)
    stream = np.concatenate([rng.standard_normal(60), rng.standard_normal(220) + 1.5, [math.nan]])
    whole = detector(method, horizon=140).fit(reference)
    expected = [whole.update(value) for value in stream]
    assert any(expected)
    for cut in (0, 1, 60, 125, 139, 140, 141, 200):
        before = detector(method, horizon=140).fit(reference)
        found = [before.update(value) for value in stream[:cut]]
        text = canonical_json(before.state())
        after = wb.drift.SequentialDetector.from_state(json.loads(text))
        found += [after.update(value) for value in stream[cut:]]
        assert found == expected, cut
        assert (after.updates, after.missing, after.alarms) == (whole.updates, whole.missing, whole.alarms)


def test_the_state_holds_integers_and_strings_only() -> None:
    made = detector("cusum").fit(np.random.default_rng(1).standard_normal(120))
    made.update(0.3)
    flat = [
        item for value in made.state().values() for item in (value if isinstance(value, list) else [value])
    ]
    assert {type(item) for item in flat} <= {int, str}
    with pytest.raises(DataError, match="state of kind 'other'"):
        wb.drift.SequentialDetector.from_state({"kind": "other"})
    broken = {**made.state()}
    del broken["threshold"]
    with pytest.raises(DataError, match="no 'threshold'"):
        wb.drift.SequentialDetector.from_state(broken)


def test_scores_are_bounded_and_free_of_units() -> None:
    reference = np.random.default_rng(1).standard_normal(400)
    scores = NormalScores.of(reference)
    rescaled = NormalScores.of(reference * 1e-4 + 7.0)
    assert scores.micro.tolist() == rescaled.micro.tolist()
    assert abs(scores.micro_of(1e12)) <= 3_300_000
    assert scores.of_many(reference).std() == pytest.approx(1.0, abs=0.05)
    made = detector("cusum").fit(reference)
    made.update(1e12)
    assert made.status == "none"


def test_missing_values_never_alarm_and_never_pass_as_fine() -> None:
    made = detector("cusum").fit(np.random.default_rng(1).standard_normal(400))
    assert [made.update(value) for value in (math.nan, math.inf, 0.1)] == [False, False, False]
    assert (made.missing, made.status) == (2, "insufficient")


def test_a_change_of_level_or_spread_is_found() -> None:
    rng = np.random.default_rng(5)
    made = detector("cusum").fit(rng.standard_normal(500))
    assert any([made.update(value) for value in rng.standard_normal(100) * 2.5])
    assert made.status == "drift"
    for method in METHODS:
        made = detector(method).fit(rng.standard_normal(500))
        stream = np.concatenate([rng.standard_normal(80), rng.standard_normal(120) + 2.0])
        assert any([made.update(value) for value in stream]), method


def test_the_timeline_tells_what_updates_would_say() -> None:
    rng = np.random.default_rng(6)
    made = detector("cusum", horizon=90).fit(rng.standard_normal(300))
    for value in rng.standard_normal(20):
        made.update(value)
    stream = pd.Series(np.r_[rng.standard_normal(100), rng.standard_normal(60) + 1.5, np.nan], name="x")
    frame = made.timeline(stream)
    assert made.updates == 20
    assert frame["alarm"].tolist() == [made.update(value) for value in stream]
    assert ((frame["statistic"] > frame["threshold"]) == frame["alarm"]).all()


@pytest.mark.parametrize(
    "changes", [{"alpha": 0.0}, {"alpha": 0.7}, {"horizon": 5}, {"min_reference": 3}, {"block_length": 0}]
)
def test_arguments_without_sense_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        detector("cusum", **changes)


def test_a_reference_without_use_is_refused() -> None:
    with pytest.raises(UsageError, match="no detector 'ewma'"):
        detector("ewma")
    with pytest.raises(DataError, match="holds 99 values, 100 are needed"):
        detector("cusum").fit(np.r_[np.arange(99.0), np.nan])
    with pytest.raises(DataError, match="throughout"):
        detector("cusum").fit(np.ones(200))
    with pytest.raises(UsageError, match="no reference"):
        detector("cusum").update(1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "rows"), [("cusum", 300), ("page_hinkley", 300), ("adwin", 300)])
def test_false_alarms_within_the_horizon(method: str, rows: int) -> None:
    """150 streams at 5 %: 99.9 % of the time between 0 and 18 alarms."""
    rng = np.random.default_rng(12)
    alarms = 0
    for seed in range(150):
        made = detector(method, horizon=100, seed=seed).fit(rng.standard_normal(rows))
        alarms += any([made.update(value) for value in rng.standard_normal(100)])
    assert alarms <= 18
