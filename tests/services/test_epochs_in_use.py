"""What goes on beside a desk epoch that ends, and what an epoch that cannot be read holds up."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from notebooks import ROOT
from tests.services.test_epochs import begin, former, lived, venues
from workbench.adapters.journal.schema import SCHEMA_VERSION
from workbench.bootstrap import journal_care, scheduling
from workbench.bootstrap.desk import DeskPaths, open_journal
from workbench.bootstrap.epochs import desk_epochs
from workbench.bootstrap.recorded_run import find_run
from workbench.config import Settings, load_settings
from workbench.core.ports import Event
from workbench.errors import JournalCorrupt, LeaseLost, Refused
from workbench.services import scheduler
from workbench.services.scheduler import Tick

__all__ = ["former", "lived", "venues"]
FIRST, LATER = "trading_loop/2013-02-01.1", "trading_loop/2013-02-04.1"


# --- a scheduler that runs on -----------------------------------------------------------------------------


@pytest.fixture
def served(former: Settings) -> Settings:
    """The desk with a present, whose one job nobody starts: whatever the time is, nothing falls due."""
    assert former.file is not None
    text = former.file.read_text()
    former.file.write_text(
        text.replace('mode = "replay"', 'mode = "paper"').replace("warm_kernels = 1", "warm_kernels = 0")
    )
    jobs = (ROOT / "papermill-jobs" / "jobs.toml").read_text()
    only = jobs[jobs.index("[ingest]") : jobs.index("[trading_loop]")]
    (former.folder / "jobs.toml").write_text(only.replace('schedule = "open-90m"', 'schedule = ""'))
    return load_settings(str(former.file))


def test_a_scheduler_left_running_over_a_new_epoch_ends_and_says_to_start_it_again(
    served: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "OWNER_TTL_S", 0.2)  # prolonged at the next look
    begun = []

    def tell(tick: Tick) -> None:
        assert tick.owner
        if not begun:
            begun.append(begin(served))

    with pytest.raises(LeaseLost, match="later desk epoch") as caught:
        scheduling.serve(served, seconds=60, tell=tell)
    assert len(begun) == 1
    assert "workbench jobs serve" in caught.value.next_step
    assert "no longer" in caught.value.message
    ticks: list[Tick] = []
    scheduling.serve(served, seconds=0.2, tell=ticks.append)  # started again it owns the new epoch
    assert [tick.owner for tick in ticks] == [True]
    with open_journal(served, read_only=True) as journal:
        assert [row["token"] for row in journal.rows("leases")] == [1]


def test_a_scheduler_that_is_stopped_after_its_epoch_has_ended_ends_in_order(served: Settings) -> None:
    begun = []
    scheduling.serve(served, seconds=0.2, tell=lambda tick: begun.append(begin(served)))
    assert begun[0].number == 2


# --- an epoch that cannot be read -------------------------------------------------------------------------


@pytest.fixture
def followed(former: Settings) -> Settings:
    """A desk in its second epoch, each with a decision of one run."""
    decide(former, "2013-02-01")
    begin(former)
    run = {"run_id": LATER, "job": "trading_loop", "session": "2013-02-04", "attempt": 1,
           "parameters_hash": "p", "code_hash": "h"}  # fmt: skip
    with open_journal(former, read_only=False) as journal:
        journal.commit([Event("run.started", run)])
    decide(former, "2013-02-04")
    return former


def decide(settings: Settings, session: str) -> None:
    decided = {
        "decision_id": session, "account": settings.account, "strategy": "trend", "session": session,
        "scheduled_ns": 7, "snapshot_hash": "s", "model_id": "m", "cost_model_id": "c",
        "bars_fingerprint": "b", "rows": [],
    }  # fmt: skip
    with open_journal(settings, read_only=False) as journal:
        journal.commit([Event("decision.made", decided)])


def an_older_schema(settings: Settings) -> None:
    with contextlib.closing(sqlite3.connect(DeskPaths(settings.desk_path, 1).journal)) as raw:
        raw.execute("UPDATE meta SET value = ? WHERE name = 'schema_version'", (str(SCHEMA_VERSION - 1),))
        raw.commit()


def damage(settings: Settings) -> None:
    DeskPaths(settings.desk_path, 1).journal.write_bytes(b"not a database, not any more" * 400)


def lose(settings: Settings) -> None:
    DeskPaths(settings.desk_path, 1).journal.unlink()


def test_each_run_is_found_in_the_epoch_that_decided_it(followed: Settings) -> None:
    assert [find_run(run, followed).epoch for run in (FIRST, LATER)] == [1, 2]


@pytest.mark.parametrize("spoil", [an_older_schema, damage, lose])
def test_an_older_epoch_that_cannot_be_read_holds_no_run_of_the_present_one_up(
    followed: Settings, spoil: object
) -> None:
    spoil(followed)  # type: ignore[operator]
    found = find_run(LATER, followed)
    assert (found.epoch, found.session, len(found.decided)) == (2, "2013-02-04", 1)


@pytest.mark.parametrize(
    ("spoil", "step"),
    [
        (an_older_schema, "workbench journal migrate --epoch 1"),
        (damage, "workbench journal verify --epoch 1"),
        (lose, "workbench journal verify --epoch 1"),
    ],
)
def test_an_older_epoch_that_must_be_read_and_cannot_be_is_named(
    followed: Settings, spoil: object, step: str
) -> None:
    spoil(followed)  # type: ignore[operator]
    for look in (lambda: find_run(FIRST, followed), lambda: desk_epochs(followed)):
        with pytest.raises(Refused, match="desk epoch 1 cannot be read") as caught:
            look()
        assert step in caught.value.next_step
        assert isinstance(caught.value, JournalCorrupt) is (spoil is damage)


def test_what_the_refusal_names_is_what_helps(followed: Settings) -> None:
    an_older_schema(followed)
    assert journal_care.migrate_journal(followed, epoch=1).backup
    assert find_run(FIRST, followed).epoch == 1
    assert [one.closed for one in desk_epochs(followed)] == [True, False]
