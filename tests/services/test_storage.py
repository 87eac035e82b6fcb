"""Bars and runs on object storage: what comes back is what was sent, or it is refused by name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from object_service import BUCKET, object_service, stored_at

from workbench.bootstrap import market_data, storage
from workbench.bootstrap.desk import Desk, open_journal
from workbench.config import Settings, load_settings
from workbench.core.ports import Event
from workbench.errors import ConfigError, DataError, Refused, StorageFailed, UsageError

RUN = "tca_daily/2013-02-01.1"
NOW_NS = 1_400_000_000_000_000_000


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with object_service() as address:
        yield address


@pytest.fixture
def here(new_desk: Callable[[str], Settings], service: str, request: pytest.FixtureRequest) -> Settings:
    """A desk with bars, and a prefix of its own on the service."""
    return stored_at(new_desk("here"), service, request.node.name)


def empty_desk(settings: Settings, folder: Path) -> Settings:
    """Another desk that shares the object storage, and nothing else."""
    overrides = {"account": "other", "strategy": "s", "universe": list(settings.universe), "seed": 1}
    found = load_settings(None, overrides={**overrides, "desk.path": str(folder)})
    return replace(found, scale=settings.scale, secrets=settings.secrets)


def delivered(folder: Path, session: str, close: float) -> Path:
    """One more bar of AAPL, as a file."""
    path = folder / f"more-{session}.parquet"
    row = {"symbol": "AAPL", "session": session, "open": close, "high": close, "low": close, "close": close,
           "volume": 1_000}  # fmt: skip
    pd.DataFrame([row]).to_parquet(path)
    return path


def test_bars_come_back_as_they_were_sent_and_only_what_is_missing_travels(
    here: Settings, tmp_path: Path
) -> None:
    first = storage.push(here, bars=True, runs=False)
    sent = first.stores["bars"]
    assert (sent.parts > 0, sent.rows, sent.fingerprint) == (
        True, Desk(here).bars.status()["rows"], Desk(here).bars.fingerprint(),
    )  # fmt: skip
    assert storage.push(here, bars=True, runs=False).stores["bars"].parts == 0
    there = empty_desk(here, tmp_path / "there")
    assert storage.pull(there, bars=True).stores["bars"].parts == sent.parts
    theirs, ours = Desk(there).bars, Desk(here).bars
    assert theirs.fingerprint() == ours.fingerprint()
    symbols = list(here.universe)
    for as_of_ns in (NOW_NS, Desk(here).calendar.session_close_ns("2013-01-31")):
        one, other = (bars.read(symbols, as_of_ns=as_of_ns) for bars in (ours, theirs))
        assert one.close.tobytes() == other.close.tobytes()
    assert storage.pull(there, bars=True).stores["bars"].parts == 0
    found = storage.contents(here)
    assert found["stores"]["bars"] == {"rows": sent.rows, "fingerprint": sent.fingerprint}


def test_both_sides_may_add_in_turn_and_neither_overwrites_the_other(here: Settings, tmp_path: Path) -> None:
    there = empty_desk(here, tmp_path / "there")
    storage.push(here, bars=True, runs=False)
    storage.pull(there, bars=True)
    market_data.ingest(there, delivered(tmp_path, "2014-03-31", 90.0))
    assert storage.push(there, bars=True, runs=False).stores["bars"].parts == 1
    market_data.ingest(here, delivered(tmp_path, "2014-04-01", 91.0))
    before = storage.contents(here)
    for step in (lambda: storage.push(here, bars=True, runs=False), lambda: storage.pull(here, bars=True)):
        with pytest.raises(Refused, match="both hold rows"):
            step()
    assert storage.contents(here) == before
    # One side merges its files: other files with the same rows are no conflict.
    market_data.compact(there)
    storage.push(there, bars=True, runs=False)
    third = empty_desk(here, tmp_path / "third")
    storage.pull(third, bars=True)
    assert Desk(third).bars.fingerprint() == Desk(there).bars.fingerprint()


def test_what_was_changed_there_is_not_taken(here: Settings, tmp_path: Path) -> None:
    storage.push(here, bars=True, runs=False)
    place = storage.open_storage(here)
    victim = next(name for name in place.names("bars") if name.endswith(".parquet"))
    (tmp_path / "bad").write_bytes(b"something else")
    place.send(tmp_path / "bad", victim)
    there = empty_desk(here, tmp_path / "there")
    with pytest.raises(DataError, match="not the file that was ingested"):
        storage.pull(there, bars=True)
    assert not (Desk(there).paths.bars / "manifest.json").exists()
    assert not (Desk(there).paths.bars / victim.removeprefix("bars/")).exists()
    storage.pull(here, bars=True)  # who has the files already needs none of them


def test_a_list_from_elsewhere_does_not_choose_where_files_are_written(
    here: Settings, tmp_path: Path
) -> None:
    storage.push(here, bars=True, runs=False)
    place = storage.open_storage(here)
    listed = json.loads(place.read("bars/manifest.json") or b"")
    (content := dict(listed)).pop("seal")
    content.pop("schema")
    content["parts"][0]["path"] = "../../outside.parquet"
    seal = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    (tmp_path / "list").write_text(json.dumps({"schema": 2, "seal": seal, **content}))
    place.send(tmp_path / "list", "bars/manifest.json")
    with pytest.raises(DataError, match="no name of a part"):
        storage.pull(empty_desk(here, tmp_path / "there"), bars=True)


def run_recorded(settings: Settings, run_id: str, *, ended: bool) -> Path:
    """A run with a folder and its record, as the runner leaves them."""
    folder = Desk(settings).paths.runs / run_id
    folder.mkdir(parents=True)
    for name in ("tca_daily.ipynb", "parameters.json", "kernel.log", "runner.heartbeat", "kernel.lock"):
        (folder / name).write_text(f"{name} of {run_id}")
    job, _, rest = run_id.partition("/")
    began = {
        "run_id": run_id, "job": job, "session": rest[:10], "attempt": int(rest[11:]), "parameters_hash": "p",
        "code_hash": "c", "cause": "person", "due_ns": 0, "lease": "none", "owner_token": 0, "holder": "h",
    }  # fmt: skip
    done = {"run_id": run_id, "status": "done", "exit_code": 0, "reason": "", "notebook": "n"}
    journal = open_journal(settings, read_only=False)
    journal.commit([Event("run.started", began), *([Event("run.finished", done)] if ended else [])])
    journal.close()
    return folder


def test_ended_runs_are_published_once_and_one_can_be_taken_elsewhere(here: Settings, tmp_path: Path) -> None:
    folder = run_recorded(here, RUN, ended=True)
    run_recorded(here, "tca_daily/2013-02-04.1", ended=False)
    assert storage.push(here, bars=False, runs=True).runs == (RUN,)
    assert storage.push(here, bars=False, runs=True).runs == ()
    assert storage.contents(here)["runs"] == [RUN]
    there = empty_desk(here, tmp_path / "there")
    assert storage.pull(there, bars=False, run=RUN).runs == (RUN,)
    taken = {path.name: path.read_bytes() for path in (Desk(there).paths.runs / RUN).iterdir()}
    kept = {"tca_daily.ipynb", "parameters.json", "kernel.log"}
    assert taken == {name: (folder / name).read_bytes() for name in kept}
    with pytest.raises(Refused, match="is there already"):
        storage.pull(there, bars=False, run=RUN)
    with pytest.raises(DataError, match="no run"):
        storage.pull(there, bars=False, run="tca_daily/2013-02-04.1")
    with pytest.raises(DataError, match="no name below"):
        storage.pull(there, bars=False, run="../../elsewhere")


def test_a_run_that_was_changed_there_is_not_taken(here: Settings, tmp_path: Path) -> None:
    run_recorded(here, RUN, ended=True)
    storage.push(here, bars=False, runs=True)
    (tmp_path / "bad").write_text("other words")
    storage.open_storage(here).send(tmp_path / "bad", f"runs/{RUN}/tca_daily.ipynb")
    there = empty_desk(here, tmp_path / "there")
    with pytest.raises(DataError, match="not the file that was sent"):
        storage.pull(there, bars=False, run=RUN)
    assert not (Desk(there).paths.runs / RUN).exists()


def test_a_delivery_is_taken_in_from_a_url(here: Settings, tmp_path: Path) -> None:
    storage.open_storage(here).send(delivered(tmp_path, "2014-03-31", 90.0), "inbox/more.parquet")
    before = Desk(here).bars.status()["rows"]
    with storage.delivery(here, f"{here.scale.storage}/inbox/more.parquet") as file:
        assert market_data.ingest(here, file).accepted == 1
    with storage.delivery(here, f"{here.scale.storage}/inbox") as folder:
        assert market_data.ingest(here, folder).accepted == 0  # the same row again
    assert Desk(here).bars.status()["rows"] == before + 1
    with pytest.raises(UsageError, match="nothing at"):
        with storage.delivery(here, f"{here.scale.storage}/nowhere"):
            pass


def test_a_service_that_is_away_changes_nothing_and_keys_are_asked_for(here: Settings) -> None:
    away = replace(here, scale=replace(here.scale, storage_endpoint="http://127.0.0.1:1"))
    fingerprint = Desk(here).bars.fingerprint()
    with pytest.raises(StorageFailed, match=f"s3://{BUCKET}"):
        storage.pull(away, bars=True)
    assert Desk(here).bars.fingerprint() == fingerprint
    with pytest.raises(ConfigError, match="storage_key"):
        storage.open_storage(replace(here, secrets=replace(here.secrets, storage_key=None)))
    with pytest.raises(ConfigError, match="no object storage"):
        storage.open_storage(replace(here, scale=replace(here.scale, storage="")))
    assert "made-up-storage-secret" not in repr(storage.open_storage(here))
