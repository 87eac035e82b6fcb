"""A session over sockets, struck at every journal write and every call: in the end the books are the venue's.

The trader is one process, the venue another; `crash_matrix` strikes the one or the other at a boundary of its
choice, and here the results are judged. Whatever was struck, the session ends with the same orders, the same
fills and the same cash as the one that was left alone: no order twice, none forgotten, no fill lost.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drive
import pytest
from crash_matrix import SENDING

from workbench.adapters.journal import JournalDatabase
from workbench.bootstrap import admin
from workbench.bootstrap.desk import Desk
from workbench.config import DEFAULT_TOML, Settings
from workbench.errors import StorageFailed

SCRIPT = Path(drive.__file__).with_name("crash_matrix.py")
SEED = 20130204
Record = Callable[[str, object], None]
#: Fields in which every run ends like the undisturbed one.
SAME = ("orders", "fills", "orders_hash", "fills_hash", "cash_micro", "digest")


def play(work: Path, *words: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The undisturbed run, then the others; each was judged by the oracles."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, str(SCRIPT), str(work), *words, "--seed", str(SEED)]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    undisturbed, *others = (json.loads(line) for line in result.stdout.splitlines())
    assert undisturbed["broken"] == []
    assert undisturbed["orders"] >= 3
    assert undisturbed["fills"] >= 2
    for found in others:
        assert found["broken"] == [], found
        assert {name: found[name] for name in SAME} == {name: undisturbed[name] for name in SAME}, found
    return undisturbed, others


def summary(undisturbed: dict[str, Any], others: list[dict[str, Any]], record: Record) -> None:
    names = undisturbed["names"]
    record("boundaries", 2 * len(names))
    record("journal writes", names.count("journal"))
    record("network calls", sum(name not in ("journal", "clock") for name in names))
    record("runs", len(others))
    record("kills", sum(found.get("kills", 0) for found in others))
    record("seed", SEED)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    words = ("die=10", "no_answer=3", "fill_the_disk=1", "kill_the_venue=1", "--again")
    return play(tmp_path_factory.mktemp("crash-matrix"), *words)[1]


def of(runs: list[dict[str, Any]], blow: str) -> list[dict[str, Any]]:
    return [found for found in runs if found["blow"] == blow]


@pytest.mark.slow
def test_ten_deaths_and_a_second_one_in_the_recovery_change_nothing(sample: list[dict[str, Any]]) -> None:
    deaths = of(sample, "die")
    assert len(deaths) == 10
    assert all(found["kills"] >= 1 for found in deaths)
    assert sum(found["kills"] == 2 for found in deaths) >= 5


@pytest.mark.slow
def test_an_answer_that_is_lost_does_not_end_the_run(sample: list[dict[str, Any]]) -> None:
    """One read without an answer is asked again; one request without an answer is looked up."""
    assert [found["lives"] for found in of(sample, "no_answer")] == [1, 1, 1]


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_loses_nothing(sample: list[dict[str, Any]]) -> None:
    assert [found["lives"] for found in of(sample, "fill_the_disk")] == [2]


@pytest.mark.slow
def test_a_venue_that_dies_comes_back_and_the_session_goes_on(sample: list[dict[str, Any]]) -> None:
    """In the same run when it is back within the bound of a read, else in the next one."""
    (found,) = of(sample, "kill_the_venue")
    assert found["lives"] in (1, 2)


@pytest.mark.prove
def test_sigkill_at_every_boundary_and_again_in_the_recovery_changes_nothing(
    tmp_path: Path, record_property: Record
) -> None:
    undisturbed, deaths = play(tmp_path, "die=all", "--again")
    summary(undisturbed, deaths, record_property)
    assert len(deaths) == 2 * len(undisturbed["names"]) >= 200
    assert {found["at"] for found in deaths} == set(range(len(deaths)))
    assert all(found["kills"] >= 1 for found in deaths)
    assert {"POST /orders", "GET /orders", "journal"} <= {found["name"] for found in deaths}


@pytest.mark.prove
def test_no_answer_at_every_call_of_a_session_ends_no_run(tmp_path: Path, record_property: Record) -> None:
    undisturbed, runs = play(tmp_path, "no_answer=all")
    summary(undisturbed, runs, record_property)
    assert len(runs) >= 150
    assert {found["lives"] for found in runs} == {1}


@pytest.mark.prove
def test_a_disk_that_fills_before_every_journal_write_loses_nothing(
    tmp_path: Path, record_property: Record
) -> None:
    undisturbed, runs = play(tmp_path, "fill_the_disk=all")
    summary(undisturbed, runs, record_property)
    assert len(runs) == undisturbed["names"].count("journal")


@pytest.mark.prove
def test_a_venue_that_is_killed_around_its_calls_comes_back_from_its_own_journal(
    tmp_path: Path, record_property: Record
) -> None:
    undisturbed, runs = play(tmp_path, "kill_the_venue=60")
    summary(undisturbed, runs, record_property)
    assert len(runs) == 60


@pytest.mark.prove
def test_a_holder_that_stands_still_past_its_lease_sends_at_most_one_known_id(
    tmp_path: Path, record_property: Record
) -> None:
    """SIGSTOP, the lease runs out, a rival trades the session, SIGCONT: refused, or one id that is known."""
    undisturbed, runs = play(tmp_path, "pause=all", "--ttl", "2.5")
    summary(undisturbed, runs, record_property)
    calls = [name for name in undisturbed["names"] if name in SENDING]
    assert len(runs) == 2 * len(calls)
    assert {found["said"] for found in runs} == {"LeaseLost"}
    assert {found["new"] for found in runs} == {0}
    posts = [at for at, name in enumerate(calls) if name == "POST /orders"]
    assert len(posts) == 2
    before_the_last_look, after_the_last_request = 2 * (posts[0] - 1), 2 * (posts[-1] + 1)
    assert before_the_last_look >= 6  # the quotes of the decision and of the looks before the write-ahead
    sending = runs[before_the_last_look:after_the_last_request]
    assert {found["late"] for found in sending} == {0, 1}
    assert {found["late"] for found in runs if found not in sending} == {0}


# --- the database goes away ------------------------------------------------------------------------


@pytest.fixture
def journals_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every journal that is opened meanwhile is closed: a handle to a server must not be left to chance."""
    opened: list[JournalDatabase] = []
    begin = JournalDatabase.__init__

    def remembered(journal: JournalDatabase, *args: Any, **kwargs: Any) -> None:
        begin(journal, *args, **kwargs)
        opened.append(journal)

    monkeypatch.setattr(JournalDatabase, "__init__", remembered)
    yield
    for journal in opened:
        journal.close()


@pytest.fixture
def on_postgres(postgres: Any, tmp_path: Path, journals_are_closed: None) -> Settings:
    head, tail = DEFAULT_TOML.split("[journal]")
    url = postgres.new_place().url
    text = f"{head}[journal]" + tail.replace('\nurl = ""', f'\nurl = "{url}"', 1)
    return drive.make_desk(tmp_path / "on-postgres", text)


@pytest.mark.slow
def test_a_database_that_goes_away_in_a_session_is_recovered_from(
    on_postgres: Settings, postgres: Any, new_desk: Callable[[str], Settings]
) -> None:
    """It is killed while a request is at the venue, so the answer cannot be stored: the next start asks."""
    settings, undisturbed = on_postgres, new_desk("undisturbed")
    job = drive.start(settings, drive.FIRST)
    try:
        job.trading.start()
        submit = job.account.broker.submit

        def submit_and_lose_the_database(intent: Any) -> Any:
            result = submit(intent)
            postgres.stop()
            return result

        job.account.broker.submit = submit_and_lose_the_database
        with pytest.raises(StorageFailed):
            job.trading.decide(job.trading.times.decision_ns[0])
    finally:
        job.account.close()
        postgres.start()
    assert [row["state"] for row in Desk(settings).journal.rows("orders") if row["sent_at_ns"]] == ["SENT"]
    admin.resume(settings, person="operator", reason="the database is back")
    traded = drive.trade(settings, drive.FIRST)
    assert traded["equal_to_venue"]
    assert traded["digest"] == drive.trade(undisturbed, drive.FIRST)["digest"]
