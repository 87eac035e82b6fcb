"""A bars ingest that dies, or runs out of disk, at any step leaves the old data readable."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from workbench.adapters.bars import ParquetBarStore
from workbench.adapters.calendar import ExchangeCalendar
from workbench.errors import DataError, StorageFailed

ROOT = Path(__file__).resolve().parents[2]
CALENDAR = ExchangeCalendar(first="2012-12-01", last="2013-12-31")
NOW = CALENDAR.session_close_ns("2013-03-01")
STEPS = 12  # four files (bars, splits, quarantine, manifest): flush, rename, flush of the folder

# Imports once, then forks a child for each death: the child is a whole process that ends with
# os._exit before step n, with the file it was about to flush cut in half.
DRIVER = """
import json, os, resource, sys
from pathlib import Path
import pandas as pd
from workbench.adapters.bars import ParquetBarStore
from workbench.adapters.calendar import ExchangeCalendar
from workbench.errors import StorageFailed

calendar = ExchangeCalendar(first="2012-12-01", last="2013-12-31")

def ingest(root):
    store = ParquetBarStore(Path(root), calendar=calendar)
    store.ingest(
        pd.read_json(sys.argv[2], orient="records", convert_dates=False),
        source="crash", known_at="session_close", now_ns=calendar.session_close_ns("2013-03-01"),
        splits=pd.read_json(sys.argv[3], orient="records", convert_dates=False),
    )

def die_at(step):
    count = 0
    fsync, replace = os.fsync, os.replace
    def reached(handle=None):
        nonlocal count
        if count == step:
            if handle is not None and os.fstat(handle).st_size and step % 3 == 0:
                os.truncate(handle, os.fstat(handle).st_size // 2)
            os._exit(17)
        count += 1
    os.fsync = lambda handle: (reached(handle), fsync(handle))
    os.replace = lambda old, new: (reached(), replace(old, new))

def child(root, step):
    if step == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))
        try:
            ingest(root)
        except StorageFailed as problem:
            assert ".parquet" in str(problem) and problem.next_step and problem.exit_code == 5
            os._exit(5)
    else:
        die_at(step)
        ingest(root)
    os._exit(0)

results = {}
for root, step in json.loads(sys.argv[1]):
    pid = os.fork()
    if not pid:
        try:
            child(root, step)
        finally:
            os._exit(99)
    results[root] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps(results))
"""


def rows(*sessions: str, **changes: Any) -> pd.DataFrame:
    values = {
        "symbol": "AAA",
        "open": 10.0,
        "high": 11.0,
        "low": 9.0,
        "close": 10.5,
        "volume": 100,
        **changes,
    }
    return pd.DataFrame([{**values, "session": session} for session in sessions])


OLD = rows("2013-02-04", "2013-02-05")
NEW = pd.concat([rows("2013-02-06", "2013-02-07"), rows("2013-02-08", low=0.0)], ignore_index=True)
SPLITS = pd.DataFrame([{"symbol": "AAA", "ex_session": "2013-02-06", "new_shares": 2, "old_shares": 1}])


def opened(root: Path) -> ParquetBarStore:
    return ParquetBarStore(root, calendar=CALENDAR)


def put(root: Path, table: pd.DataFrame, splits: pd.DataFrame | None = None) -> str:
    report = opened(root).ingest(table, source="crash", known_at="session_close", now_ns=NOW, splits=splits)
    return report.fingerprint


def files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@pytest.fixture
def before(tmp_path: Path) -> Path:
    put(tmp_path / "before", OLD)
    return tmp_path / "before"


@pytest.fixture
def after(before: Path) -> Path:
    root = before.with_name("after")
    shutil.copytree(before, root)
    put(root, NEW, SPLITS)
    return root


def test_killed_at_every_step_the_store_is_the_old_or_the_new_one(
    before: Path, after: Path, tmp_path: Path
) -> None:
    old, new = opened(before).fingerprint(), opened(after).fingerprint()
    assert old != new
    delivery, events = tmp_path / "new.json", tmp_path / "splits.json"
    NEW.to_json(delivery, orient="records")
    SPLITS.to_json(events, orient="records")
    plan: list[tuple[str, int | str]] = []
    for step in (*range(STEPS + 1), "full"):
        root = tmp_path / f"step-{step}"
        shutil.copytree(before, root)
        plan.append((str(root), step))
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(plan), str(delivery), str(events)],
        cwd=ROOT, check=True, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    results = {Path(root).name: code for root, code in json.loads(done.stdout).items()}
    assert results == {**{f"step-{n}": 17 for n in range(STEPS)}, f"step-{STEPS}": 0, "step-full": 5}
    for root, step in plan:
        found = opened(Path(root)).fingerprint()
        committed = isinstance(step, int) and step >= STEPS - 1  # the manifest's rename is the commit
        assert found == (new if committed else old), step
        assert opened(Path(root)).read(["AAA"], as_of_ns=NOW).tradable.all()
        assert put(Path(root), NEW, SPLITS) == new, step  # run again: the same end from everywhere
        put(Path(root), OLD)
        assert files(Path(root)) == files(after), step  # and no leftovers


@pytest.mark.parametrize("step", range(STEPS - 1))
def test_a_full_disk_at_any_step_names_the_file_and_keeps_the_old_data(
    before: Path, after: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, listed = opened(before).fingerprint(), files(before)
    count = 0

    def full(real: Any) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal count
            count += 1
            if count > step:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full(os.fsync))
        patch.setattr(os, "replace", full(os.replace))
        with pytest.raises(StorageFailed) as caught:
            put(before, NEW, SPLITS)
    assert str(before) in caught.value.message
    assert "No space left" in caught.value.message
    assert caught.value.exit_code == 5
    assert opened(before).fingerprint() == old
    assert not [name for name in files(before) - listed if name.endswith(".tmp")]
    assert put(before, NEW, SPLITS) == opened(after).fingerprint()
    assert files(before) == files(after)


def test_the_first_ingest_of_all_may_die_too(tmp_path: Path) -> None:
    root = tmp_path / "bars"

    def dead(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        from workbench.adapters.bars import store

        patch.setattr(store, "write_manifest", dead)
        with pytest.raises(KeyboardInterrupt):
            put(root, OLD)
    assert len(list((root / "parts").iterdir())) == 1  # an orphan
    assert opened(root).status()["rows"] == 0
    with pytest.raises(DataError, match="known symbols: none"):
        opened(root).read(["AAA"], as_of_ns=NOW)
    put(root, rows("2013-02-04"))
    assert opened(root).status()["rows"] == 1
    assert len(list((root / "parts").iterdir())) == 1
