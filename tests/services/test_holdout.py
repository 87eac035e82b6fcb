"""Training never sees the holdout, and the holdout answers once: on a desk with real history."""

from __future__ import annotations

import pandas as pd
import pytest

from workbench import load_settings, open_workbench
from workbench.adapters.bars import ParquetBarStore
from workbench.bootstrap import admin, releasing
from workbench.errors import ConfigError, DataError, JournalCorrupt, Refused, UsageError

UNTIL = "2010-12-31"


@pytest.fixture
def desk(new_desk):
    """A copy of the prepared desk that declares forty sessions as holdout."""
    folder = new_desk().folder
    config = folder / "workbench.toml"
    text = config.read_text()
    assert "holdout_sessions = 0" in text
    config.write_text(text.replace("holdout_sessions = 0", "holdout_sessions = 40"))
    return open_workbench(load_settings(str(config)))


def test_a_candidate_meets_its_holdout_once(desk, monkeypatch):
    settings = desk.settings
    report = admin.train(settings, last_session=UNTIL)
    held = desk.calendar.sessions_between(report.manifest.train_last_session, UNTIL)[1:]
    assert len(held) == 40
    assert all(fold.last_session < held[0] for fold in report.folds)

    (row,) = [one for one in admin.candidates(settings) if one["model_id"] == report.model_id]
    assert row["trials"] == 2  # the prepared desk has trained once
    (family,) = desk.research.families()
    assert (family.trials, family.family) == (2, "forward_return 5")
    trial = desk.research.trials().iloc[-1]
    series = desk.research.series(trial["trial_id"])
    assert trial["model_id"] == report.model_id
    scored = [value for fold in report.folds for value in fold.net_of_session_bps]
    assert series.net * 1e4 == pytest.approx(scored, abs=1e-4)

    found = admin.look_at_holdout(settings, report.model_id)
    assert (found.first_session, found.last_session, found.sessions) == (held[0], held[-1], 38)
    assert admin.look_at_holdout(settings, report.model_id) == found
    assert len(desk.research.holdout_reads()) == found.reads == 1

    read = ParquetBarStore.read

    def restated(self, *given, **asked):
        bars = read(self, *given, **asked)
        bars.close[-1] *= 1.01
        return bars

    with monkeypatch.context() as patched:
        patched.setattr(ParquetBarStore, "read", restated)
        with pytest.raises(Refused, match="was read before") as refusal:
            admin.look_at_holdout(settings, report.model_id)
    assert refusal.value.exit_code == 3
    assert len(desk.research.holdout_reads()) == 1

    with pytest.raises(Refused, match="rows out of sample are fewer than 2520") as no:
        releasing.accept_model(settings, report.model_id, stage="shadow", person="operator", reason="try")
    assert "survivor universe: sample/daily" in str(no.value)


def test_what_was_trained_without_a_holdout_has_none_later(desk):
    trained = desk.journal.rows("models")[0]["model_id"]
    with pytest.raises(Refused, match="other settings"):
        admin.look_at_holdout(desk.settings, trained)


def test_a_desk_without_a_holdout_reads_none_and_goes_nowhere(new_desk):
    settings = new_desk()
    (model,) = open_workbench(settings).journal.rows("models")
    with pytest.raises(Refused, match="no holdout is declared"):
        admin.look_at_holdout(settings, model["model_id"])
    with pytest.raises(Refused, match="no holdout is declared"):
        releasing.accept_model(settings, model["model_id"], stage="shadow", person="operator", reason="try")


def test_evidence_in_a_journal_that_was_altered_is_no_evidence(new_desk):
    import sqlite3

    settings = new_desk()
    desk = open_workbench(settings)
    (model,) = desk.journal.rows("models")
    raw = sqlite3.connect(desk.paths.journal, isolation_level=None)
    raw.execute("DELETE FROM trials")
    raw.close()
    with pytest.raises(JournalCorrupt, match="evidence cannot be trusted"):
        releasing.accept_model(settings, model["model_id"], stage="shadow", person="operator", reason="try")


def test_a_notebook_records_and_reads_through_the_desk(new_desk):
    desk = open_workbench(new_desk())
    days = ["2010-01-04", "2010-01-05", "2010-01-06", "2010-01-07"]
    returns = pd.Series([0.01, -0.02, 0.0, 0.03], index=pd.to_datetime(days))
    asked = {"family": "by hand", "parameters": {"window": 20}, "returns": returns}
    trial = desk.research.record(**asked)
    assert desk.research.record(**asked) == trial
    assert desk.research.trials(family="by hand")["trial_id"].tolist() == [trial.trial_id]
    assert desk.research.series(trial.trial_id).sessions == tuple(days)
    families, reads = admin.trial_counts(desk.settings)
    assert [one["trials"] for one in families] == [1, 1]
    assert reads == []
    with pytest.raises(DataError):
        desk.research.record(**{**asked, "returns": returns.iloc[::-1]})
    with pytest.raises(UsageError):
        desk.research.record(**{**asked, "family": ""})


def test_a_negative_holdout_is_no_setting(new_desk):
    config = new_desk().folder / "workbench.toml"
    config.write_text(config.read_text().replace("holdout_sessions = 0", "holdout_sessions = -1"))
    with pytest.raises(ConfigError, match="holdout_sessions"):
        load_settings(str(config))
