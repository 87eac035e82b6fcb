"""The trial ledger and the gate on it: each trick to make a mined model look good is counted or refused."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from places import Place

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.registry import FileRegistry
from workbench.bootstrap.research import Recorder, Research
from workbench.core.features import features_hash, select_features
from workbench.core.manifest import ModelManifest
from workbench.core.overfitting import judge_family
from workbench.core.ports import Event
from workbench.errors import DataError, JournalConflict, Refused, UsageError
from workbench.services import evidence
from workbench.services.promotion import register_model
from workbench.services.release import stage_model
from workbench.services.research import TrialLedger, lay_beside, record_trial
from workbench.services.return_series import SERIES, ReturnSeries, series_from

DAYS = tuple(str(day) for day in np.arange("2000-01-03", "2012-12-31", dtype="datetime64[D]"))[:2_600]
NAMES = ("momentum_20",)
HASH = features_hash(select_features(NAMES))
CONTENT = b"a model file"
MANIFEST = ModelManifest(
    kind="standard_scaler+ridge", features=NAMES, features_hash=HASH, universe=("AAPL", "MSFT"),
    horizon_sessions=5, bars_fingerprint=HASH, provenance="real", train_first_session="1999-01-04",
    train_last_session=DAYS[-1], train_rows=1_400, label="forward_return", seed=7, as_of_ns=10,
    config_hash=HASH, code_hash=HASH, library_versions={"scikit-learn": "1.9.1"},
    content_sha256=hashlib.sha256(CONTENT).hexdigest(), metrics={"mean_ic": 0.02},
)  # fmt: skip
DESK = {
    "person": "ada", "reason": "sound", "features_hash": HASH, "config_hash": HASH,
    "universe": ("AAPL", "MSFT"), "horizon_sessions": 5, "holdout_sessions": 20,
}  # fmt: skip
NO_BARS = "its returns cannot be computed again: no bars here"
HELD_DAYS = [f"2020-01-{day:02d}" for day in range(1, 21)]


@pytest.fixture
def journal(tmp_path: Path):
    journal = opened(f"sqlite:///{tmp_path / 'journal.sqlite'}", tmp_path)
    journal.commit([Event("person.added", {"person": "ada", "role": "operator", "passphrase_hash": ""})])
    yield journal
    journal.close()


def opened(url: str, folder: Path) -> JournalDatabase:
    return JournalDatabase(
        url, anchor_path=folder / "anchor", anchor_key=b"k" * 32, config_hash=HASH, wall_ns=lambda: 5
    )


@pytest.fixture
def registry(tmp_path: Path) -> FileRegistry:
    return FileRegistry(tmp_path / "registry")


def drawn(seed: int, sharpe: float = 0.0, rows: int = len(DAYS)) -> ReturnSeries:
    """Returns of a trial with that annual Sharpe ratio, exactly, against a benchmark of its own world."""
    noise = np.random.default_rng(seed).normal(0.0, 0.01, rows)
    noise = (noise - noise.mean()) / noise.std(ddof=1) * 0.01
    hold = np.random.default_rng(0).normal(0.0003, 0.01, len(DAYS))[:rows]
    return ReturnSeries.of(DAYS[:rows], hold + noise + 0.01 * sharpe / 252**0.5, hold)


def tried(journal, registry, seed: int, *, family: str = "trend", **changes):
    return record_trial(
        journal, registry, drawn(seed, **changes), family=family, parameters={"seed": seed}, source="notebook"
    )


def candidate(
    journal, registry, *, sharpe: float = 2.5, held: float = 0.001, rows: int = len(DAYS), **changes
) -> str:
    """A registered model with its trial, its holdout read, and the stage that shadow follows."""
    manifest = dataclasses.replace(MANIFEST, **changes)
    model_id = register_model(journal, registry, CONTENT, manifest)
    record_trial(
        journal, registry, drawn(999, sharpe, rows), family="trend", parameters={"seed": 999},
        source="training", model_id=model_id,
    )  # fmt: skip
    series = ReturnSeries.of(HELD_DAYS, [held] * 20, [0.0] * 20)
    read = {
        "model_id": model_id, "inputs_hash": HASH, "first_session": HELD_DAYS[0],
        "last_session": HELD_DAYS[-1], "sessions": 20, "net_sum_nano": sum(series.net_nano),
        "hold_sum_nano": 0, "series_id": registry.put(SERIES, series.to_bytes(), {"rows": 20}),
    }  # fmt: skip
    journal.commit([Event("holdout.read", read)])
    stage_model(journal, registry, model_id, stage="replay", **DESK)
    return model_id


def reasons(journal, registry, model_id, *, stage: str = "shadow", **changes) -> str:
    """Why the model is refused, in words; a refusal stages nothing."""
    before = journal.rows("models")
    with pytest.raises(Refused) as refusal:
        stage_model(journal, registry, model_id, stage=stage, **{**DESK, **changes})
    assert refusal.value.exit_code == 3
    assert journal.rows("models") == before
    return "; ".join(refusal.value.reasons)


# --- the ledger -----------------------------------------------------------------------------------------


def test_a_trial_is_recorded_with_its_returns_on_both_databases(place: Place, tmp_path, registry):
    with opened(place.url, tmp_path) as journal:
        one = tried(journal, registry, 1)
        assert tried(journal, registry, 1) == one
        tried(journal, registry, 2)
        ledger = TrialLedger(journal, registry)
        assert [trial.parameters for trial in ledger.trials()] == [{"seed": 1}, {"seed": 2}]
        assert ledger.series(one) == drawn(1)
        assert (one.rows, one.first_session, one.model_id) == (len(DAYS), DAYS[0], "")
        assert len(journal.events(kinds=("trial.recorded",))) == 2
        assert journal.verify().ok
        live = journal.rows("trials")
        journal.rebuild_projections()
        assert journal.rows("trials") == live


def test_the_raw_count_and_the_effective_number_stand_side_by_side_with_the_basis(journal, registry):
    base = drawn(1)
    for copy in range(5):
        near = base.net + np.random.default_rng(100 + copy).normal(0.0, 1e-4, len(DAYS))
        record_trial(
            journal, registry, ReturnSeries.of(DAYS, near, base.hold), family="trend",
            parameters={"copy": copy}, source="sweep",
        )  # fmt: skip
    tried(journal, registry, 2)
    (family,) = TrialLedger(journal, registry).families()
    assert (family.trials, family.effective) == (6, 2)
    assert "cut at a correlation of 0.5" in family.basis
    assert "2600 shared sessions" in family.basis
    assert "average linkage" in family._repr_html_()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.1, np.nan, 0.1], "return of 2000-01-04 is nan"),
        ([0.1, 25.0, 0.1], "not a fraction"),
        ([0.1, -1.0, 0.1], "not a fraction"),
        ([0.1, 0.1], "three at least"),
    ],
)
def test_returns_that_cannot_be_are_refused(values, words):
    with pytest.raises(DataError, match=words):
        series_from(pd.Series(values, index=DAYS[: len(values)]), None)


def test_sessions_out_of_order_and_a_short_benchmark_are_refused():
    returns = pd.Series([0.1, 0.1, 0.1], index=[DAYS[0], DAYS[2], DAYS[1]])
    with pytest.raises(DataError, match="do not rise"):
        series_from(returns, None)
    with pytest.raises(DataError, match="benchmark lacks a session"):
        series_from(returns.sort_index(), returns.iloc[:2])
    shuffled = series_from(returns.sort_index(), pd.Series([0.2, 0.4, 0.3], index=returns.index))
    assert shuffled.hold.tolist() == [0.2, 0.3, 0.4]


def test_a_trial_needs_a_family_a_known_source_and_plain_parameters(journal, registry):
    asked = {"family": "trend", "parameters": {}, "source": "notebook"}
    for wrong in ({"family": " "}, {"source": "hearsay"}, {"parameters": {"alpha": float("nan")}}):
        with pytest.raises(UsageError):
            record_trial(journal, registry, drawn(1), **{**asked, **wrong})
    with pytest.raises(JournalConflict, match="not registered"):
        record_trial(journal, registry, drawn(1), **asked, model_id="f" * 64)
    assert journal.rows("trials") == []


# --- beyond replay --------------------------------------------------------------------------------------


def test_a_real_skill_among_few_trials_has_nothing_against_it_but_that_no_bars_were_shown(journal, registry):
    model_id = candidate(journal, registry)
    for seed in range(8):
        tried(journal, registry, seed)
    assert reasons(journal, registry, model_id) == NO_BARS
    (judged,) = journal.rows("judgements")
    assert (judged["passed"], judged["trials"], judged["attempt"]) == (False, 9, 1)
    (release,) = journal.rows("releases")
    gates = {gate["name"]: gate for gate in release["gates"]}
    assert [name for name, gate in gates.items() if not gate["passed"]] == ["determinism"]
    assert gates["deflated Sharpe ratio"]["numbers"]["trials"] == "9"
    assert "it is at replay, and paper follows shadow" in reasons(journal, registry, model_id, stage="paper")


def test_nothing_is_missing_without_a_reason(journal, registry):
    model_id = register_model(journal, registry, CONTENT, MANIFEST)
    said = reasons(journal, registry, model_id, holdout_sessions=0)
    assert "no holdout is declared" in said
    assert "no trial of it is in the ledger" in said
    assert NO_BARS in said
    assert "it is at candidate, and paper follows shadow" in reasons(
        journal, registry, model_id, stage="paper"
    )
    assert "its holdout was not read" in reasons(journal, registry, model_id)
    assert "it is at candidate, and live follows paper" in reasons(journal, registry, model_id, stage="live")
    assert journal.rows("judgements") == []


def test_noise_chosen_as_the_best_of_many_is_refused(journal, registry):
    model_id = candidate(journal, registry, sharpe=0.4)
    for seed in range(30):
        tried(journal, registry, seed)
    said = reasons(journal, registry, model_id)
    assert "deflated Sharpe ratio" in said
    assert "SPA p-value" in said
    (judged,) = journal.rows("judgements")
    assert (judged["passed"], judged["trials"]) == (False, 31)


def test_a_short_record_is_refused(journal, registry):
    model_id = candidate(journal, registry, rows=2_000)
    assert "2000 rows out of sample are fewer" in reasons(journal, registry, model_id)


def test_nobody_hands_the_gate_its_evidence():
    for judge in (stage_model, evidence.judge_candidate):
        words = set(inspect.signature(judge).parameters)
        assert not words & {"returns", "trials", "n_trials", "rule", "force", "benchmark", "seed"}
    for record in (Research.record, Recorder.record):
        assert "model_id" not in inspect.signature(record).parameters


# --- tricks ---------------------------------------------------------------------------------------------


def test_trick_split_the_ledger_into_families(journal, registry):
    model_id = candidate(journal, registry)
    for seed in range(12):
        tried(journal, registry, seed, family=f"family {seed}")
    ledger = TrialLedger(journal, registry)
    found = lay_beside(ledger, ledger.trial_of(model_id))
    assert (found.trials, found.matrix.shape[1], found.unplaced) == (13, 13, 0)


def test_trick_pad_with_near_copies_of_a_dull_trial(journal, registry):
    model_id = candidate(journal, registry, sharpe=0.9)
    for seed in range(12):
        tried(journal, registry, seed)
    before = reasons(journal, registry, model_id)
    dull = drawn(1)
    for copy in range(60):
        near = dull.net + np.random.default_rng(500 + copy).normal(0.0, 1e-5, len(DAYS))
        series = ReturnSeries.of(DAYS, near, dull.hold)
        record_trial(journal, registry, series, family="pad", parameters={"copy": copy}, source="notebook")
    after = reasons(journal, registry, model_id)
    assert "deflated Sharpe ratio" in before
    assert "deflated Sharpe ratio" in after
    first, second = journal.rows("judgements")
    assert (first["clusters"], second["clusters"]) == (13, 13)
    assert (first["trials"], second["trials"]) == (13, 73)


def test_trick_exact_copies_and_flat_trials_neither_block_nor_hide(journal, registry):
    model_id = candidate(journal, registry)
    for copy in range(3):
        record_trial(journal, registry, drawn(3), family="f", parameters={"copy": copy}, source="notebook")
    flat = ReturnSeries.of(DAYS, drawn(3).hold, drawn(3).hold)
    record_trial(journal, registry, flat, family="f", parameters={"flat": 1}, source="notebook")
    ledger = TrialLedger(journal, registry)
    found = lay_beside(ledger, ledger.trial_of(model_id))
    assert (found.trials, found.matrix.shape[1], found.unplaced) == (5, 2, 1)


def test_trick_try_on_other_sessions_so_that_trials_cannot_be_compared(journal, registry):
    model_id = candidate(journal, registry)
    ledger = TrialLedger(journal, registry)
    own = ledger.trial_of(model_id)
    tried(journal, registry, 1, rows=len(DAYS) - 1)  # a session less: still beside the others
    tried(journal, registry, 2, rows=300)
    found = lay_beside(ledger, own)
    assert (found.trials, found.matrix.shape[1], found.unplaced) == (3, 2, 1)
    assert found.matrix[-1, 1] == found.benchmark[-1]
    few = judge_family(found.matrix, found.benchmark, candidate="0", mean_block=10, seed=1)
    more = judge_family(found.matrix, found.benchmark, candidate="0", mean_block=10, seed=1, unplaced=500)
    assert more.deflated < few.deflated
    assert (few.n_trials, more.n_trials) == (2, 502)
    with pytest.raises(ValueError, match="unplaced"):
        judge_family(found.matrix, found.benchmark, candidate="0", mean_block=10, seed=1, unplaced=-1)


def test_trick_resubmit_daily(journal, registry):
    model_id = candidate(journal, registry, sharpe=0.4)
    tried(journal, registry, 1)
    first = reasons(journal, registry, model_id)
    assert reasons(journal, registry, model_id) == first  # the same question: the same answer
    assert [row["attempt"] for row in journal.rows("judgements")] == [1]
    for day in range(2, 5):
        tried(journal, registry, day)
        assert f"(attempt {day} of a year)" in reasons(journal, registry, model_id)
    assert [row["attempt"] for row in journal.rows("judgements")] == [1, 2, 3, 4]
    assert "SPA p-value" in reasons(journal, registry, model_id)
    assert "is above 0.0125 (attempt 4" in reasons(journal, registry, model_id)


def test_attempts_of_another_year_do_not_count():
    day = 86_400_000_000_000
    rows = [{"model_id": "a", "evidence_hash": str(n), "at_ns": n * day} for n in (0, 1, 400, 401)]
    assert evidence._attempt(rows, "b", "x") == 3
    assert evidence._attempt(rows, "a", "401") == 2
    assert evidence._attempt([], "a", "x") == 1


def test_trick_edit_or_remove_a_stored_series(journal, registry):
    model_id = candidate(journal, registry)
    trial = tried(journal, registry, 1)
    folder = registry.root / SERIES / trial.series_id
    kept = (folder / "content.bin").read_bytes()
    plain = json.loads(kept)
    plain["net_nano"][0] += 1
    (folder / "content.bin").write_text(json.dumps(plain))
    assert "a stored series cannot be trusted" in reasons(journal, registry, model_id)
    shutil.rmtree(folder)
    assert "a stored series cannot be trusted" in reasons(journal, registry, model_id)


def test_trick_delete_a_trial_from_the_journal(journal, registry, tmp_path):
    import sqlite3

    candidate(journal, registry)
    tried(journal, registry, 1)
    raw = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    raw.execute("DELETE FROM trials WHERE model_id = ''")
    assert not journal.verify().ok
    journal.rebuild_projections()
    assert len(journal.rows("trials")) == 2
    raw.close()


def test_trick_read_the_holdout_twice_and_a_holdout_that_was_lost(journal, registry):
    model_id = candidate(journal, registry, held=-0.001)
    assert "on its holdout it earned less than holding did: -10.00 bps" in reasons(
        journal, registry, model_id
    )
    (row,) = journal.rows("holdout_reads")
    again = {name: row[name] for name in row if name not in ("at_ns", "seq", "added_seq")}
    with pytest.raises(JournalConflict, match="read for model"):
        journal.commit([Event("holdout.read", {**again, "net_sum_nano": 10**9})])


def test_trick_fit_on_the_holdout(journal, registry):
    model_id = candidate(journal, registry, train_last_session=HELD_DAYS[3])
    assert "it was trained on its holdout" in reasons(journal, registry, model_id)
