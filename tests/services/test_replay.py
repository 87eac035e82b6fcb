"""A recorded session is traded again to the same bytes; what was changed is found and its stage named."""

from __future__ import annotations

import doctest
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import drive
import pytest
from command_line import PROGRAM, ROOT, typed

import workbench as wb
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.versions import present_versions
from workbench.bootstrap import recorded_run, run_inputs
from workbench.bootstrap import replay as bootstrap_replay
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.limits import limit_utilisation
from workbench.bootstrap.replay import replay, timeline
from workbench.config import Settings, leaves, load_settings
from workbench.core.orders import TERMINAL
from workbench.core.ports import Event
from workbench.core.timings import CYCLE_STAGES
from workbench.errors import ConfigError, DataError, ManifestMismatch, UsageError
from workbench.screens.replay import ReplayScreen
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


# --- time travel ----------------------------------------------------------------------------------------


def test_the_state_as_of_any_event_is_what_the_projections_were(traded: Settings, tmp_path: Path) -> None:
    """The oracle is a new journal that was given only the events up to there."""
    line = Desk(traded).timeline(f"trading_loop/{SESSIONS[2]}.1")
    events = Desk(traded).journal.events()
    skipped = ("ticket.", "lease.", "run.", "alert.")
    journal = JournalDatabase(
        f"sqlite:///{tmp_path / 'journal.sqlite'}", anchor_path=tmp_path / "anchor", anchor_key=b"k" * 32,
        config_hash="c", wall_ns=lambda: 1,
    )  # fmt: skip
    asked = 0
    for event in events:
        if not event.kind.startswith(skipped):
            journal.commit([Event(event.kind, event.payload)])
        if event.seq < line.first_seq or event.seq > line.last_seq:
            continue
        asked += 1
        state = line.at(event.seq)
        postings = journal.rows("postings", account=traded.account)
        held: dict[str, int] = {}
        for row in postings:
            held[row["ledger_account"]] = held.get(row["ledger_account"], 0) + row["quantity_nano"]
        assert state.cash_micro == sum(r["amount_micro"] for r in postings if r["ledger_account"] == "cash")
        assert state.positions == {k.partition(":")[2]: q for k, q in sorted(held.items()) if q}
        open_ = {r["client_order_id"]: (r["state"], r["filled_nano"]) for r in journal.rows("orders")
                 if r["state"] not in {s.value for s in TERMINAL}}  # fmt: skip
        found = {o["client_order_id"]: (o["state"], o["filled_nano"]) for o in state.open_orders}
        assert found == open_
        (permission,) = journal.rows("state", account=traded.account)
        assert (state.permission, state.reason) == (permission["state"], permission["reason"])
        assert state.limits["max_order_shares"] == traded.limits.max_order_shares
    journal.close()
    assert asked > 10


def test_steps_go_forwards_and_back_to_the_same_states(traded: Settings) -> None:
    line = Desk(traded).timeline(f"trading_loop/{SESSIONS[1]}.1")
    seqs = [step.seq for step in line.steps()]
    assert seqs == sorted(seqs)
    assert "decision.made" in [step.kind for step in line.steps()]
    forwards = [line.at(seq) for seq in seqs]
    assert [line.at(seq) for seq in seqs[::-1]][::-1] == forwards
    assert line.move(seqs[0], 3) == forwards[3]
    assert line.move(seqs[3], -3) == forwards[0]
    assert line.move(seqs[0], -5) == forwards[0]
    assert line.move(seqs[-1], 99) == forwards[-1]
    assert len({state.cash_micro for state in forwards}) > 1
    assert line.frame()["seq"].tolist() == seqs
    with pytest.raises(UsageError, match="has no event 100000"):
        line.at(100_000)


# --- what if --------------------------------------------------------------------------------------------


def test_a_tighter_limit_denies_in_the_hypothesis_and_nothing_is_written(traded: Settings) -> None:
    before = content(traded)
    found = Desk(traded).what_if(f"trading_loop/{SESSIONS[1]}.1", {"limits.max_order_shares": 50})
    assert content(traded) == before
    assert found.hypothetical
    assert "HYPOTHETICAL" in repr(found)
    recorded, other = found.totals["orders"]
    assert recorded > other == 0
    assert found.totals["fills"][1] == 0
    assert found.totals["cash_micro"][1] > found.totals["cash_micro"][0]
    sent = found.orders[found.orders["state"] != "DENIED"]
    assert len(sent) == recorded
    assert sent["why"].str.startswith("controls: denied").all()
    assert (sent["hypothetical_reason"].str.contains("QUANTITY")).all()
    assert len(found.decisions) == 0  # the policy wanted the same
    assert found.positions


def test_other_costs_and_another_policy_are_told_at_the_stage_that_moved(traded: Settings) -> None:
    run = f"trading_loop/{SESSIONS[0]}.1"
    dear = Desk(traded).what_if(run, {"prior_cost.half_spread_floor_bps": 40.0})
    assert dear.decisions["why"].str.startswith("cost model").all()
    assert len(dear.decisions) > 0
    timid = Desk(traded).what_if(run, {"policy.edge_multiple": 10.0})
    assert set(timid.decisions["why"].str.partition(":")[0]) == {"policy"}
    same = Desk(traded).what_if(run, {"policy.max_weight": traded.policy.max_weight})
    assert (len(same.decisions), len(same.orders), len(same.fills), same.positions) == (0, 0, 0, {})


def test_the_recorded_model_named_as_another_changes_nothing(traded: Settings) -> None:
    run, journal = f"trading_loop/{SESSIONS[0]}.1", Desk(traded).journal
    model, costs = (journal.rows(name)[-1] for name in ("models", "cost_models"))
    changes = {"model": model["model_id"], "cost_model": costs["cost_model_id"]}
    found = Desk(traded).what_if(run, changes)
    assert found.totals["orders"][0] == found.totals["orders"][1]
    assert len(found.decisions) == 0
    with pytest.raises(ManifestMismatch):
        Desk(traded).what_if(run, {"model": "absent"})


def test_a_hypothesis_about_nothing_or_about_what_is_no_setting_is_refused(traded: Settings) -> None:
    run = f"trading_loop/{SESSIONS[0]}.1"
    with pytest.raises(UsageError, match="nothing is changed"):
        Desk(traded).what_if(run, {})
    with pytest.raises(ConfigError, match="max_order_share"):
        Desk(traded).what_if(run, {"limits.max_order_share": 50})


def test_a_fresh_process_with_other_hash_seed_and_threads_replays_the_same(traded: Settings) -> None:
    session = SESSIONS[1]
    done = subprocess.run(
        [str(PROGRAM), "replay", f"trading_loop/{session}.1", "--json"], cwd=traded.folder,
        env={**os.environ, "PYTHONHASHSEED": "4711", "OPENBLAS_NUM_THREADS": "3", "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2_000:]
    found = json.loads(done.stdout)
    row = Desk(traded).journal.rows("sessions", account=traded.account, session=session)[0]
    assert found["identical"]
    assert found["replayed_digest"] == row["digest"]


def test_the_command_steps_and_supposes(traded: Settings) -> None:
    run = f"trading_loop/{SESSIONS[1]}.1"
    listed = typed(traded.folder, "replay", run, "--steps", "--json").payload
    seq = listed["steps"][2]["seq"]
    state = typed(traded.folder, "replay", run, "--at", str(seq), "--json").payload["state"]
    assert (state["seq"], state["permission"]) == (seq, "ACTIVE")
    back = typed(traded.folder, "replay", run, "--at", str(seq), "--step", "-1", "--json").payload["state"]
    assert back["seq"] == listed["steps"][1]["seq"]
    assert "limits.max_order_shares" in typed(traded.folder, "replay", run, "--at", str(seq)).out
    answer = typed(traded.folder, "replay", run, "--what-if", "limits.max_order_shares=50", "--json")
    supposed = answer.payload["hypothetical"]
    assert supposed["changes"] == {"limits.max_order_shares": 50}
    assert supposed["totals"]["orders"][1] == 0
    assert set(listed) == set(answer.payload)
    assert typed(traded.folder, "replay", run, "--what-if", "nothing").code == 2
    assert typed(traded.folder, "replay", run, "--steps", "--at", "3").code == 2
    text = typed(traded.folder, "replay", run, "--what-if", "limits.max_order_shares=50").out
    assert "HYPOTHETICAL" in text


def test_the_durations_of_the_sessions_are_told_beside_their_budgets(traded: Settings) -> None:
    table = Desk(traded).timings()
    cycles = table[table["stage"].isin(CYCLE_STAGES)]
    assert cycles["stage"].tolist() == list(CYCLE_STAGES)
    assert (cycles["cycles"] == len(SESSIONS)).all()
    assert (cycles["budget_ms"] > 0).all()
    assert (table["p50_ms"] <= table["p99_ms"]).all()
    assert (table["p99_ms"] <= table["max_ms"]).all()
    one = Desk(traded).timings(SESSIONS[0])
    assert set(one["cycles"]) == {1}
    told = typed(traded.folder, "timings", "--session", SESSIONS[0], "--json").payload
    assert [row["stage"] for row in told["stages"]] == one["stage"].tolist()


# --- the documented examples that need a desk ------------------------------------------------------------


@pytest.mark.parametrize(
    "documented",
    [wb.replay, timeline, limit_utilisation, wb.open_workbench, wb.screen],
    ids=lambda one: one.__name__,
)
def test_an_example_that_needs_a_desk_runs_in_the_folder_of_one(
    traded: Settings, monkeypatch: pytest.MonkeyPatch, documented: Callable[..., object]
) -> None:
    monkeypatch.chdir(traded.file.parent)
    (found,) = doctest.DocTestFinder(recurse=False).find(documented, globs={})
    for example in found.examples:
        example.options.clear()  # skipped where there is no desk
        example.want = example.want if documented is wb.replay else ""
    said: list[str] = []
    doctest.DocTestRunner(verbose=False, optionflags=0).run(found, out=said.append, clear_globs=False)
    assert "Traceback" not in "".join(said)
    assert documented is not wb.replay or said == []


# --- the page -------------------------------------------------------------------------------------------


def test_the_page_shows_the_account_at_a_moment_and_answers_a_hypothesis(traded: Settings) -> None:
    screen = ReplayScreen(Desk(traded), mark=lambda: 1, again=lambda session: None)
    states = screen.states(SESSIONS[1])
    assert states is not None
    last = screen.timeline(SESSIONS[1])["seq"].iloc[-1]
    facts = screen.facts(states, last)
    assert facts["Permission"].startswith("ACTIVE")
    assert facts["Cash, USD"] == f"{states.at(int(last)).cash_micro / 1e6:,.2f}"
    told, orders = screen.answer(SESSIONS[1], "limits.max_order_shares", "50")
    assert told["Orders"].endswith("-> 0")
    assert (orders["hypothetical"] == "DENIED").all()
    refused, none = screen.answer(SESSIONS[1], "limits.max_order_shares", "many")
    assert "max_order_shares" in refused["Not answered"]
    assert (len(none), none.columns.tolist()) == (0, ["symbol", "leg", "state", "hypothetical", "why"])
    assert screen.facts(screen.states("1999-01-04"), 1) == {"State": "not recorded with this session"}
    assert "cannot be traded again" in str(screen.suppose("1999-01-04", "limits.max_order_shares", "50"))
    assert set(screen.SETTINGS) <= set(leaves())
    assert len(Desk(traded).price_path(SESSIONS[1], traded.universe[0])) > 0
