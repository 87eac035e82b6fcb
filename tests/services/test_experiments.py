"""Experiments: every label and estimator finds what was planted, is purged, priced, listed and guarded."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from planted import COSTS, DAYS, HASH, HORIZON, SYMBOLS, TRIED, Memory, planted_bars, train

from workbench.adapters.registry import FileRegistry
from workbench.core.canonical import canonical_json
from workbench.core.evaluation import cost_per_side_bps
from workbench.core.features import FEATURES, Feature, features_hash, select_features
from workbench.core.forecast import ForecastModel
from workbench.core.labels import LABELS, TripleBarrier
from workbench.core.types import MISSING
from workbench.errors import Refused, UsageError
from workbench.services import walk_forward
from workbench.services.candidates import COLUMNS, candidate_table
from workbench.services.estimators import ESTIMATORS
from workbench.services.promotion import read_model
from workbench.services.release import stage_model

TRIALS = {
    f"{label}-{name}": replace(
        TRIED, label=LABELS[label], estimator=estimator, alpha=estimator.alpha(None, 1.0)
    )
    for label in LABELS
    for name, estimator in ESTIMATORS.items()
}
each_trial = pytest.mark.parametrize("name", TRIALS)


@pytest.fixture(scope="module")
def bars():
    return planted_bars()


@pytest.fixture(scope="module")
def tried(bars, tmp_path_factory):
    """Every trial on the same planted bars, in one registry and one journal."""
    root, journal = tmp_path_factory.mktemp("trials"), Memory()
    reports = {name: train(root, bars, journal, trial) for name, trial in TRIALS.items()}
    return SimpleNamespace(root=root, journal=journal, reports=reports)


def rows_of(journal: Memory, **stages: str):
    return [
        {**row, "stage": stages.get(row["model_id"])} for row in journal.rows("models")
    ]  # as the projection keeps them


@each_trial
def test_what_was_planted_is_found_by_every_estimator_for_every_label_f31(name, tried) -> None:
    report = tried.reports[name]
    assert len(report.folds) == 4
    assert all(fold.ic > 0.05 and fold.hit_rate > 0.5 for fold in report.folds)
    assert all(fold.gross_bps > 0 for fold in report.folds)
    assert report.manifest.label == TRIALS[name].label.name
    assert report.manifest.kind == TRIALS[name].estimator.kind
    content, manifest = read_model(FileRegistry(tried.root), report.model_id)
    assert manifest == report.manifest
    assert content


def test_every_trial_is_a_model_of_its_own(tried) -> None:
    assert len({report.model_id for report in tried.reports.values()}) == len(TRIALS)


@each_trial
def test_scores_add_up_and_are_kept_with_what_they_depend_on(name, tried) -> None:
    report = tried.reports[name]
    metrics, parameters = report.manifest.metrics, report.manifest.parameters
    for fold in report.folds:
        assert fold.net_bps == pytest.approx(fold.gross_bps - fold.cost_bps, abs=2e-6)
        assert fold.cost_bps > 0
        assert 0 < fold.turnover < 2
    for score in ("ic", "hit_rate", "gross_bps", "cost_bps", "net_bps", "turnover", "hold_bps"):
        mean = np.mean([getattr(fold, score) for fold in report.folds])
        assert metrics[f"mean_{score}"] == pytest.approx(mean, abs=1e-6)
    assert parameters["alpha"] == TRIALS[name].alpha
    assert parameters["evaluation_notional_usd"] == 50_000.0
    assert ("gain_multiple" in parameters) == (report.manifest.label == "triple_barrier")
    assert ("l1_ratio" in parameters) == (TRIALS[name].estimator.name == "elastic_net")


def test_a_dearer_or_larger_book_earns_less_and_forecasts_the_same(bars, tried, tmp_path) -> None:
    larger = train(tmp_path, bars, tried=replace(TRIED, notional_usd=190_000.0))
    assert larger.manifest.content_sha256 == tried.reports["forward_return-ridge"].manifest.content_sha256
    for fold, before in zip(larger.folds, tried.reports["forward_return-ridge"].folds, strict=True):
        assert (fold.ic, fold.gross_bps, fold.turnover) == (before.ic, before.gross_bps, before.turnover)
        assert fold.cost_bps > before.cost_bps
        assert fold.net_bps < before.net_bps


@pytest.mark.parametrize("label", sorted(LABELS))
def test_no_training_label_ends_after_the_first_tested_row_is_known_f37(bars, label) -> None:
    rows = walk_forward.training_rows(bars, FEATURES, label=LABELS[label], horizon_sessions=HORIZON)
    values, ends = LABELS[label].labelled(bars, HORIZON)
    book = walk_forward.Book(bars, cost_per_side_bps(bars, COSTS, notional_usd=1e4), HORIZON, True)
    assert np.all(ends[rows.bar, rows.column] == rows.label_end_ns)
    assert np.all(values[rows.bar, rows.column] == rows.target)
    purged = []
    for block in walk_forward.forecast_blocks(rows):
        fitted = []

        def fit(matrix, target, fitted=fitted):
            fitted.append(target)
            return ForecastModel(tuple("abcde"), np.zeros(5), np.ones(5), np.ones(5), 0.0)

        fold = walk_forward.evaluate_block(rows, block, sessions=DAYS, fit=fit, book=book)
        first_known = bars.ts_ns[block[0]]
        settled = ends < first_known
        allowed = [
            values[row, column]
            for row in range(block[0])
            for column in range(len(SYMBOLS))
            if ends[row, column] != MISSING and settled[row, column] and row >= rows.bar[0]
        ]
        assert np.array_equal(fitted[0], allowed)
        purged.append(fold.purged_rows)
    full = HORIZON * len(SYMBOLS)
    if label == "triple_barrier":  # what was touched early is settled early and may train
        assert all(0 < count < full for count in purged)
    else:
        assert purged == [full] * 4


def accept(root, journal, report, trial, **changes):
    desk = {
        "features_hash": features_hash(trial.features), "config_hash": HASH, "universe": SYMBOLS,
        "horizon_sessions": HORIZON, "stage": "replay", "holdout_sessions": 0,
        "person": "ada", "reason": "looks good",
    }  # fmt: skip
    return stage_model(journal, FileRegistry(root), report.model_id, **{**desk, **changes})


@each_trial
def test_only_a_forecast_of_the_traded_return_is_accepted(name, tried) -> None:
    report, trial = tried.reports[name], TRIALS[name]
    if trial.label.name == "forward_return":
        assert accept(tried.root, tried.journal, report, trial) == report.manifest
        return
    with pytest.raises(Refused, match=f"forecasts {trial.label.name}"):
        accept(tried.root, tried.journal, report, trial)


@pytest.mark.parametrize("name", ["forward_return-ridge", "forward_return-elastic_net"])
def test_a_candidate_of_synthetic_bars_is_listed_and_never_accepted_f30(name, bars, tmp_path) -> None:
    journal = Memory()
    report = train(tmp_path, bars, journal, TRIALS[name], provenance="synthetic")
    (row,) = candidate_table(rows_of(journal), trials=(), sort="")
    assert (row["provenance"], row["stage"]) == ("synthetic", "candidate")
    with pytest.raises(Refused, match="synthetic"):
        accept(tmp_path, journal, report, TRIALS[name])


def test_other_features_train_and_are_refused_by_a_desk_that_uses_the_default(bars, tmp_path) -> None:
    journal = Memory()
    columns = select_features(["reversal_5", "rank_reversal_5", "relative_return_5"])
    trial = replace(TRIED, features=columns)
    report = train(tmp_path, bars, journal, trial)
    assert report.manifest.features == ("reversal_5", "rank_reversal_5", "relative_return_5")
    assert all(fold.ic > 0.05 for fold in report.folds)
    with pytest.raises(Refused, match="features_hash"):
        accept(tmp_path, journal, report, trial, features_hash=features_hash(FEATURES))
    assert accept(tmp_path, journal, report, trial) == report.manifest


def test_a_feature_that_uses_the_future_is_refused_end_to_end_f37(bars, tmp_path) -> None:
    class Peek(Feature):
        uses_future = True

    peek = Peek("peek", 1, lambda window: window.close[-1])
    with pytest.raises(ValueError, match="peek uses the future"):
        train(tmp_path, bars, tried=replace(TRIED, features=(*FEATURES, peek)))
    assert FileRegistry(tmp_path).list("model") == ()


# --- the table -------------------------------------------------------------------------------------------


def test_the_table_says_of_each_model_what_it_is_and_how_it_did(tried) -> None:
    table = candidate_table(rows_of(tried.journal), trials=tried.journal.rows("trials"), sort="")
    assert [row["model_id"] for row in table] == [report.model_id for report in tried.reports.values()]
    for row, (name, report) in zip(table, tried.reports.items(), strict=True):
        assert tuple(row) == COLUMNS
        assert f"{row['label']}-{row['estimator']}" == name
        assert row["alpha"] == TRIALS[name].alpha
        metrics = report.manifest.metrics
        assert row["net_bps"] == metrics["mean_net_bps"]
        assert row["excess_bps"] == pytest.approx(metrics["mean_net_bps"] - metrics["mean_hold_bps"])
        assert (row["folds"], row["stage"], row["bars_fingerprint"]) == (4, "candidate", HASH)


@pytest.mark.parametrize("column", COLUMNS)
def test_the_table_sorts_by_any_column_with_the_best_first(column, tried) -> None:
    rows = rows_of(tried.journal)
    values = [row[column] for row in candidate_table(rows, trials=tried.journal.rows("trials"), sort=column)]
    best_first = column in {
        "ic",
        "hit_rate",
        "gross_bps",
        "net_bps",
        "excess_bps",
        "train_rows",
        "train_last_session",
    }
    assert values == sorted(values, reverse=best_first)


def test_a_manifest_from_before_these_scores_stays_readable_and_comes_last(tried) -> None:
    rows = rows_of(tried.journal)
    manifest = json.loads(rows[0]["manifest"])
    del manifest["parameters"]
    manifest["metrics"] = {"alpha": 3.0, "fold_1_ic": 0.1, "mean_ic": 0.1, "mean_hit_rate": 0.6}
    old = {"model_id": "f" * 64, "stage": "replay", "manifest": canonical_json(manifest)}
    last = candidate_table([old, *rows], trials=(), sort="net_bps")[-1]
    assert (last["model_id"], last["alpha"], last["ic"], last["net_bps"]) == ("f" * 64, 3.0, 0.1, None)
    assert (last["folds"], last["stage"]) == (1, "replay")


def test_an_unknown_column_is_refused_with_the_nearest(tried) -> None:
    with pytest.raises(UsageError, match="'netbps'") as refusal:
        candidate_table(rows_of(tried.journal), trials=tried.journal.rows("trials"), sort="netbps")
    assert "did you mean net_bps?" in refusal.value.next_step


def test_barriers_of_another_width_are_another_model(bars, tried, tmp_path) -> None:
    wide = train(tmp_path, bars, tried=replace(TRIED, label=TripleBarrier(2.0, 2.0)))
    assert wide.model_id != tried.reports["triple_barrier-ridge"].model_id
    assert wide.manifest.parameters["gain_multiple"] == 2.0
