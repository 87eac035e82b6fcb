"""Training: what was planted is found, nothing leaks, same inputs give the same bytes (F30-F32, F37)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import planted
import pytest
from planted import DAYS, HASH, HORIZON, LAST_SEEN, NEXT, SYMBOLS, Memory, planted_bars, train

from workbench.adapters.registry import FileRegistry
from workbench.core.features import FEATURES, compute, compute_history, features_hash
from workbench.core.forecast import ForecastModel
from workbench.core.labels import forward_return, label_end_ns
from workbench.core.types import Bars
from workbench.errors import DataError, ManifestMismatch, Refused
from workbench.services import training, walk_forward
from workbench.services.model_files import read_forecast_model
from workbench.services.promotion import read_model
from workbench.services.release import stage_model


@pytest.fixture(scope="module")
def bars() -> Bars:
    return planted_bars()


@pytest.fixture(scope="module")
def trained(bars, tmp_path_factory):
    root, journal, steps = tmp_path_factory.mktemp("registry"), Memory(), []
    report = train(root, bars, journal, progress=lambda *step: steps.append(step))
    return SimpleNamespace(root=root, journal=journal, report=report, steps=steps)


def test_planted_signal_is_forecast_with_the_right_sign_and_rows_in_order_f31(bars, trained):
    content, manifest = read_model(FileRegistry(trained.root), trained.report.model_id)
    model = read_forecast_model(content, manifest.features)
    fresh = planted_bars(720).rows(500, 720)  # the same process, sessions never seen
    matrix, label = compute_history(FEATURES, fresh), forward_return(fresh, HORIZON)
    rows = np.isfinite(matrix).all(axis=2) & np.isfinite(label)
    forecast = model.forecast(matrix[rows])
    assert np.corrcoef(forecast, label[rows])[0, 1] > 0.2
    strong = np.abs(forecast) > np.quantile(np.abs(forecast), 0.8)
    assert np.mean(np.sign(forecast[strong]) == np.sign(label[rows][strong])) > 0.6
    # each symbol's forecast is its own row's: not the first row's, not that of another column
    last = compute(FEATURES, fresh)
    together = model.forecast(last)
    assert len(set(together.tolist())) == len(SYMBOLS)
    shuffled = [3, 0, 4, 1, 2]
    assert model.forecast(last[shuffled]).tolist() == together[shuffled].tolist()
    fall = compute(FEATURES, fresh)
    fall[:, 1] += 0.05  # reversal_5 is minus the past return: a fall must raise the forecast
    assert np.all(model.forecast(fall) > together)


def test_the_report_counts_and_scores_what_was_out_of_sample(bars, trained):
    report = trained.report
    assert len(report.folds) == 4
    assert all(fold.ic > 0.0 and 0.5 < fold.hit_rate <= 1.0 for fold in report.folds)
    assert [fold.train_rows for fold in report.folds] == sorted({fold.train_rows for fold in report.folds})
    sessions = [day for fold in report.folds for day in (fold.first_session, fold.last_session)]
    assert sessions == sorted(set(sessions))
    metrics = report.manifest.metrics
    assert metrics["mean_ic"] == pytest.approx(np.mean([fold.ic for fold in report.folds]), abs=1e-6)
    assert report.manifest.train_last_session == LAST_SEEN
    assert (report.manifest.universe, report.manifest.features_hash) == (SYMBOLS, features_hash(FEATURES))
    assert f"{report.folds[0].ic:+.4f}" in report._repr_html_()
    done = [step for _what, step, _steps in trained.steps]
    assert done == list(range(8))
    assert {steps for *_ignored, steps in trained.steps} == {7}


def test_without_a_signal_none_is_found(tmp_path):
    report = train(tmp_path, planted_bars(strength=0.0))
    assert abs(report.manifest.metrics["mean_ic"]) < 0.1


def test_rows_are_pooled_from_complete_ones_only_and_labels_end_inside(bars):
    holed = planted_bars()
    holed.tradable[100, 2] = False
    rows = walk_forward.training_rows(holed, FEATURES, label=forward_return, horizon_sessions=HORIZON)
    whole = walk_forward.training_rows(bars, FEATURES, label=forward_return, horizon_sessions=HORIZON)
    assert len(whole.target) == (500 - 20 - HORIZON) * len(SYMBOLS)
    assert len(whole.target) - len(rows.target) == 21 + 1  # windows and the label that need it
    assert whole.bar.max() == 500 - 1 - HORIZON
    assert np.array_equal(whole.label_end_ns, bars.ts_ns[whole.bar + HORIZON])
    assert np.array_equal(whole.known_ns, bars.ts_ns[whole.bar])
    label = forward_return(bars, HORIZON)
    assert np.array_equal(whole.target[:5], label[20])
    assert np.all(label_end_ns(bars, HORIZON)[-HORIZON:] < 0)


def test_no_training_label_of_a_fold_reaches_into_its_test_block_f37(bars):
    rows = walk_forward.training_rows(bars, FEATURES, label=forward_return, horizon_sessions=HORIZON)
    fitted = []

    def fit(matrix, target):
        fitted.append(target)
        return ForecastModel(tuple("abcde"), np.zeros(5), np.ones(5), np.ones(5), 0.0)

    book = walk_forward.Book(bars, np.ones((2, *bars.close.shape)), HORIZON, allow_short=True)
    for block in walk_forward.forecast_blocks(rows):
        fold = walk_forward.evaluate_block(rows, block, sessions=DAYS, fit=fit, book=book)
        # the label of bar t is known at bar t + 5, which must lie before the first bar of the block
        allowed = rows.target[rows.bar + HORIZON < block[0]]
        assert np.array_equal(fitted[-1], allowed)
        assert fold.train_rows == len(allowed)
        assert fold.purged_rows == HORIZON * len(SYMBOLS)
        assert fold.test_rows == len(block) * len(SYMBOLS)
        assert (fold.first_session, fold.last_session) == (DAYS[block[0]], DAYS[block[-1]])
    assert len(fitted) == 4


def test_a_changed_future_changes_no_earlier_fold(bars, trained, tmp_path):
    later = planted_bars()
    later.close[450:] *= np.linspace(1.0, 1.5, 50)[:, None]
    folds = train(tmp_path, later).folds
    assert folds[:3] == trained.report.folds[:3]
    assert folds[3] != trained.report.folds[3]


def test_the_same_training_gives_the_same_model_in_another_process(trained, tmp_path):
    code = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(planted.__file__).parent)!r})
from planted import planted_bars, train
print(train(Path(sys.argv[1]), planted_bars()).model_id)
"""
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "OPENBLAS_NUM_THREADS": "2"}
    output = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, env=environment
    ).stdout.decode()
    assert output.strip() == trained.report.model_id
    assert FileRegistry(tmp_path).get("model", trained.report.model_id) == FileRegistry(trained.root).get(
        "model", trained.report.model_id
    )


def desk(**changes):
    here = {"features_hash": features_hash(FEATURES), "config_hash": HASH, "universe": SYMBOLS[::-1]}
    return {**here, "horizon_sessions": HORIZON, **changes}


def load(trained, journal, **changes):
    keys = {"mode": "replay", "as_of_session": NEXT, **desk(), **changes}
    return training.load_model(FileRegistry(trained.root), journal, **keys)


@pytest.fixture
def accepted(trained):
    journal = Memory()
    journal.recorded = list(trained.journal.recorded)
    stage = {"stage": "replay", "holdout_sessions": 0, "person": "ada", "reason": "sound"}
    stage_model(journal, FileRegistry(trained.root), trained.report.model_id, **stage, **desk())
    return journal


def test_an_accepted_model_loads_and_forecasts(bars, trained, accepted):
    model_id, model = load(trained, accepted)
    assert model_id == trained.report.model_id
    forecast = model.forecast(compute(FEATURES, bars))
    assert forecast.shape == (5,)
    assert np.isfinite(forecast).all()
    assert np.isnan(model.forecast(np.full((2, 5), np.nan))).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"features_hash": HASH}, "features_hash"),
        ({"config_hash": "0" * 64}, "config_hash"),
        ({"universe": ("AAA",)}, "BBB, CCC, DDD, EEE"),
        ({"horizon_sessions": 4}, "horizon_sessions"),
        ({"as_of_session": LAST_SEEN}, "has seen session"),
        ({"mode": "shadow"}, "no model is accepted"),
    ],
)
def test_a_model_that_does_not_fit_is_not_loaded(trained, accepted, changes, words):
    with pytest.raises(ManifestMismatch, match=words) as refusal:
        load(trained, accepted, **changes)
    assert refusal.value.exit_code == 3
    assert "workbench" in refusal.value.next_step


@pytest.mark.parametrize("name", ["content.bin", "manifest.json"])
def test_a_model_with_one_byte_changed_is_refused_by_file(trained, accepted, name):
    path = trained.root / "model" / trained.report.model_id / name
    good = path.read_bytes()
    try:
        path.write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
        with pytest.raises(ManifestMismatch, match=name):
            load(trained, accepted)
    finally:
        path.write_bytes(good)


def test_a_candidate_of_synthetic_bars_can_never_be_accepted_f30(bars, tmp_path):
    journal = Memory()
    report = train(tmp_path, bars, journal, provenance="synthetic")
    stage = {"stage": "replay", "holdout_sessions": 0, "person": "ada", "reason": "looks good"}
    with pytest.raises(Refused, match="synthetic"):
        stage_model(journal, FileRegistry(tmp_path), report.model_id, **stage, **desk())
    with pytest.raises(ManifestMismatch, match="no model is accepted"):
        training.load_model(FileRegistry(tmp_path), journal, mode="replay", as_of_session=NEXT, **desk())


def without_row(bars: Bars, row: int) -> Bars:
    keep = np.arange(len(bars.ts_ns)) != row
    panel = (getattr(bars, name)[keep] for name in ("open", "high", "low", "close", "volume", "tradable"))
    return Bars(bars.ts_ns[keep], bars.symbols, *panel)


def test_a_missing_session_is_refused_by_name_f32(bars, tmp_path):
    with pytest.raises(DataError, match="2010-02-01") as refusal:
        train(tmp_path, without_row(bars, 20))
    assert refusal.value.missing == ("2010-02-01",)
    assert FileRegistry(tmp_path).list("model") == ()


def test_too_few_bars_none_at_all_and_bars_of_the_future_are_refused(bars, tmp_path):
    with pytest.raises(DataError, match="too few"):
        train(tmp_path, bars.rows(0, 100))
    with pytest.raises(DataError, match="too few"):
        train(tmp_path, bars.rows(0, 10))
    with pytest.raises(DataError, match="no bars"):
        train(tmp_path, bars.rows(0, 0))
    with pytest.raises(DataError, match="as-of"):
        train(tmp_path, bars, as_of_ns=int(bars.ts_ns[-1]) - 1)


def test_labels_that_never_vary_are_refused(bars, tmp_path):
    flat = planted_bars()
    flat.close[:] = 50.0
    with pytest.raises(DataError, match="all the same"):
        train(tmp_path, flat)


def test_loading_a_model_does_not_import_scikit_learn():
    code = "import sys, workbench.services.training; print(*sorted({'sklearn', 'skops'} & set(sys.modules)))"
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout
    assert output.split() == []
