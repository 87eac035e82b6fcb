"""A recorded session is traded again to the same bytes; what was changed is found and its stage named."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import drive
import pytest
from command_line import typed

from workbench.adapters.journal import JournalDatabase
from workbench.adapters.versions import present_versions
from workbench.bootstrap import recorded_run, run_inputs
from workbench.bootstrap import replay as bootstrap_replay
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.replay import replay
from workbench.config import Settings, load_settings
from workbench.core.ports import Event
from workbench.errors import DataError, ManifestMismatch, UsageError
from workbench.services.replay import SessionRecord, compare

pytestmark = pytest.mark.slow
SESSIONS = ("2013-02-01", "2013-02-04", "2013-02-05", "2013-02-06")


@pytest.fixture(scope="module")
def traded(prepared, tmp_path_factory) -> Settings:
    import shutil

    from workbench.bootstrap.desk import open_journal
    from workbench.config import load_settings

    folder = tmp_path_factory.mktemp("replayed") / "desk"
    shutil.copytree(prepared, folder)
    settings = load_settings(str(folder / "workbench.toml"))
    for session in SESSIONS:
        journal = open_journal(settings, read_only=False)
        journal.commit(
            [
                Event(
                    "run.started",
                    {"run_id": f"trading_loop/{session}.1", "job": "trading_loop", "session": session,
                     "attempt": 1, "parameters_hash": "p" * 64, "code_hash": "c" * 64},
                )
            ]
        )  # fmt: skip
        journal.close()
        drive.trade(settings, session)
    return settings


@pytest.mark.parametrize("session", SESSIONS)
def test_every_recorded_session_replays_to_the_same_bytes(traded: Settings, session: str) -> None:
    report = replay(f"trading_loop/{session}.1", config=traded.file)
    row = Desk(traded).journal.rows("sessions", account=traded.account, session=session)[0]
    assert report.identical, report.first_divergence
    assert report.first_divergence is None
    assert report.recorded_digest == report.replayed_digest == row["digest"]
    assert len(report.decisions) == len(traded.universe)
    assert report.decisions["same"].all()
    assert any("software" in told for told in report.differences)
    assert "identical" in report._repr_html_()


def content(settings: Settings) -> dict[str, bytes]:
    files = (path for path in Desk(settings).paths.root.rglob("*") if path.is_file())
    return {path.name: path.read_bytes() for path in files if path.suffix != ".sqlite-shm"}


def test_a_replay_changes_nothing_of_the_desk(traded: Settings) -> None:
    desk = Desk(traded)
    before = {
        p: p.read_bytes() for p in desk.paths.root.rglob("*") if p.is_file() and p.suffix != ".sqlite-shm"
    }
    replay(f"trading_loop/{SESSIONS[1]}.1", config=traded.file)
    after = {
        p: p.read_bytes() for p in desk.paths.root.rglob("*") if p.is_file() and p.suffix != ".sqlite-shm"
    }
    assert after == before


def record_of(settings: Settings, session: str) -> SessionRecord:
    return SessionRecord.of(Desk(settings).journal, settings.account, session)


@pytest.mark.parametrize(
    ("field", "stage"),
    [("forecast_micro", "forecast"), ("cost_floor_micro", "cost model"), ("delta_shares", "policy")],
)
def test_an_altered_decision_is_the_first_divergence(traded: Settings, field: str, stage: str) -> None:
    record = record_of(traded, SESSIONS[0])
    decision = dict(record.decisions[0])
    rows = [dict(row) for row in decision["rows"]]
    rows[2][field] = 12_345
    altered = replace(record, decisions=({**decision, "rows": rows},))
    report = compare("r", record, altered)
    assert not report.identical
    assert (report.first_divergence.stage, report.first_divergence.field) == (stage, field)
    assert report.first_divergence.replayed == 12_345
    assert rows[2]["symbol"] in report.first_divergence.at
    assert report.decisions["same"].tolist().count(False) == 1
    assert field in str(report.first_divergence)


@pytest.mark.parametrize(
    ("part", "field", "stage"),
    [
        ("orders", "limit_micro", "intents"),
        ("orders", "filled_nano", "fills"),
        ("fills", "price_micro", "fills"),
        ("postings", "amount_micro", "ledger"),
    ],
)
def test_an_altered_record_is_named_with_its_stage(
    traded: Settings, part: str, field: str, stage: str
) -> None:
    record = next(r for r in (record_of(traded, s) for s in SESSIONS) if r.fills)
    first, *rest = getattr(record, part)
    altered = replace(record, **{part: ({**first, field: first[field] + 1}, *rest)})
    report = compare("r", record, altered)
    assert not report.identical
    assert report.first_divergence.stage == stage


def test_a_missing_order_is_a_divergence_whatever_the_rest_says(traded: Settings) -> None:
    record = next(r for r in (record_of(traded, s) for s in SESSIONS) if r.orders)
    report = compare("r", record, replace(record, orders=record.orders[1:]))
    assert (report.first_divergence.field, report.first_divergence.replayed) == ("existence", None)


def test_an_unknown_run_and_an_altered_venue_are_named(traded: Settings) -> None:
    with pytest.raises(UsageError, match=r"no run 'trading_loop/2013-02-28\.1'"):
        replay("trading_loop/2013-02-28.1", config=traded.file)
    venue = sqlite3.connect(Desk(traded).paths.venue)
    first = venue.execute("SELECT reply FROM commands WHERE seq = 1").fetchone()[0]
    try:
        venue.execute("UPDATE commands SET reply = ? WHERE seq = 1", (first.replace("true", "false"),))
        venue.commit()
        with pytest.raises(DataError, match="command 1 no longer gives the stored reply"):
            replay("trading_loop/2013-02-04.1", config=traded.file)
    finally:
        venue.execute("UPDATE commands SET reply = ? WHERE seq = 1", (first,))
        venue.commit()
        venue.close()


def test_settings_that_were_changed_since_are_told_and_those_of_then_are_used(traded: Settings) -> None:
    toml = traded.file.read_text()
    try:
        lines = ["max_weight = 0.11" if line.startswith("max_weight") else line for line in toml.splitlines()]
        traded.file.write_text("\n".join(lines))
        assert load_settings(str(traded.file)).config_hash != traded.config_hash
        report = replay("trading_loop/2013-02-04.1", config=traded.file)
    finally:
        traded.file.write_text(toml)
    assert report.identical
    assert any("those of then are used" in told for told in report.differences)


def by_run(settings: Settings, session: str) -> Path:
    """The folder of the run that traded the session."""
    inputs = Desk(settings).journal.events(kinds=("run.inputs",))
    (run_id,) = [e.payload["run_id"] for e in inputs if e.payload["session"] == session]
    return Desk(settings).paths.runs / run_id


def test_a_missing_and_an_altered_input_are_named_before_anything_runs(
    traded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap_replay, "trade_again", None)  # whatever runs would fail
    config = by_run(traded, SESSIONS[0]) / "config.json"
    kept = config.read_bytes()
    try:
        config.write_bytes(kept.replace(b"0.15", b"0.16") + b" ")
        with pytest.raises(ManifestMismatch, match=r"config\.json was altered since"):
            replay(f"trading_loop/{SESSIONS[0]}.1", config=traded.file)
        config.unlink()
        with pytest.raises(DataError, match=r"config\.json is missing"):
            replay(f"trading_loop/{SESSIONS[0]}.1", config=traded.file)
    finally:
        config.write_bytes(kept)
    model = next(Desk(traded).paths.registry.rglob("*model*/*/*"), None)
    assert model is not None
    bytes_then = model.read_bytes()
    try:
        model.chmod(0o644)
        model.write_bytes(bytes_then[:-1] + b"?")
        with pytest.raises(ManifestMismatch):
            replay(f"trading_loop/{SESSIONS[0]}.1", config=traded.file)
    finally:
        model.write_bytes(bytes_then)


def test_other_bars_than_then_are_named_before_anything_runs(
    traded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap_replay, "trade_again", None)
    monkeypatch.setattr(run_inputs, "bars_hash", lambda *args, **kwargs: "another")
    with pytest.raises(ManifestMismatch, match="the bars known at the first decision are not those of then"):
        replay(f"trading_loop/{SESSIONS[0]}.1", config=traded.file)


@pytest.mark.parametrize("name", ["numpy", "numba", "time zone database", "journal schema"])
def test_another_version_is_refused_and_never_identical_by_accident(
    traded: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name == "journal schema":
        monkeypatch.setattr(JournalDatabase, "schema_version", property(lambda journal: 99))
    else:
        monkeypatch.setattr(run_inputs, "present_versions", lambda: {**present_versions(), name: "99.9"})
    run = f"trading_loop/{SESSIONS[0]}.1"
    with monkeypatch.context() as inside:
        inside.setattr(bootstrap_replay, "trade_again", None)
        with pytest.raises(ManifestMismatch, match=f"{name} was .*, it is 99") as refused:
            replay(run, config=traded.file)
    assert refused.value.exit_code == 3
    assert "--accept-versions" in refused.value.next_step
    report = replay(run, config=traded.file, accept_versions=True)
    assert report.identical
    assert report.versions_differ
    assert any(told.startswith(f"{name} was") for told in report.differences)
    assert "under other versions" in repr(report)


def test_a_run_that_recorded_no_versions_is_not_compared_unless_that_is_accepted(
    traded: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_run, "inputs_of", lambda *args: None)
    run = f"trading_loop/{SESSIONS[0]}.1"
    with pytest.raises(ManifestMismatch, match="did not record the versions"):
        replay(run, config=traded.file)
    report = replay(run, config=traded.file, accept_versions=True)
    assert (report.identical, report.versions_differ) == (True, True)


def test_the_command_says_identical_and_how_it_knows(traded: Settings) -> None:
    answer = typed(traded.folder, "replay", f"trading_loop/{SESSIONS[0]}.1", "--json")
    assert answer.code == 0, answer.err
    assert answer.payload["identical"] is True
    assert answer.payload["decisions"] == len(traded.universe)
    assert answer.payload["recorded_digest"] == answer.payload["replayed_digest"]
    told = typed(traded.folder, "replay", "trading_loop/2013-02-28.1")
    assert told.code == 2
    assert "no run" in told.err
