"""Replay of a recorded run: traded again from what was known then and compared, or under other terms."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.bootstrap.recorded_run import RecordedRun, find_run
from workbench.bootstrap.replaying import changed_strategy, trade_again
from workbench.bootstrap.venue_kind import uses_alpaca
from workbench.config import Settings
from workbench.core.rewind import Timeline
from workbench.errors import Refused, UsageError
from workbench.services.replay import ReplayReport, SessionRecord, compare
from workbench.services.what_if import WhatIf, contrast

_SHARED_MEMORY = Path("/dev") / "shm"
_EVENT_BYTES, _SPARE_BYTES = 65_536, 256 * 2**20

#: Changes that name an artifact instead of a setting.
_ARTIFACTS = ("model", "cost_model")


def replay(
    run: str | Path, *, config: str | Path | Settings = "workbench.toml", accept_versions: bool = False
) -> ReplayReport:
    """Trade a recorded session again from its recorded inputs, and compare decision by decision.

    Nothing of the desk is changed: the journal up to the session and the venue up to its start are
    copied, bars are read as they were known at each decision, and model, cost model and settings are
    those of the record, re-hashed. A venue outside the process is not asked: its recorded messages answer.
    What people approved, declined and enabled then happens again at the same moments. The session runs
    through the same services.

    Parameters
    ----------
    run : str or Path
        "JOB/DATE.N", or the folder of a run.
    config : path or Settings, default "workbench.toml"
        Settings of the desk, for a run given by name.
    accept_versions : bool, default False
        Compare although interpreter, libraries, time zones or journal schema are not those of the run;
        `differences` then names each.

    Returns
    -------
    ReplayReport
        `.identical`, `.first_divergence`, `.decisions`, `.differences`.

    Raises
    ------
    UsageError
        There is no such run.
    ManifestMismatch
        Parameters, settings, messages, bars, model, cost model or versions are not those of the record.
    DataError
        The record is not whole: the session was not closed, an input is missing, events are archived.
    Refused
        The run was at a venue outside its process and kept no messages.

    Examples
    --------
    >>> import workbench as wb
    >>> wb.replay("trading_loop/2013-02-01.1").identical  # doctest: +SKIP
    True
    """
    found = find_run(run, config)
    with _proved(found, accept_versions=accept_versions) as (folder, versions):
        settings, told = found.settings()
        again = trade_again(found, folder, settings)
    account = found.present.account
    return compare(
        found.run_id, SessionRecord.of(found.desk.journal, account, found.session), again.record,
        differences=(*versions, *told, *found.changes_since(), *_strayed(again.strayed)),
        versions_differ=bool(versions), seconds=again.seconds,
    )  # fmt: skip


def what_if(
    run: str | Path,
    changes: Mapping[str, Any],
    *,
    config: str | Path | Settings = "workbench.toml",
    accept_versions: bool = False,
) -> WhatIf:
    """A recorded session under other limits, costs or another model, beside its record: hypothetical.

    Parameters
    ----------
    run : str or Path
        "JOB/DATE.N", or the folder of a run.
    changes : mapping of str to object
        Settings by dotted key, such as ``{"limits.max_order_shares": 50}``; "model" and "cost_model" take
        the id of an artifact. Other `prior_cost` or `fees` make a prior cost model of these terms.
    config, accept_versions
        As in `replay`.

    Returns
    -------
    WhatIf
        `.decisions`, `.orders`, `.fills`, `.totals`: both sides and the reason for each difference.
        Nothing of it is written to the desk.

    Raises
    ------
    UsageError
        Nothing is changed.
    ConfigError
        There is no such setting, or it cannot have that value.
    Refused
        The run was at a venue outside this process: its record does not say what that venue would have
        answered to other orders.
    """
    if not changes:
        raise UsageError(
            "nothing is changed", next_step="name a setting: --what-if limits.max_order_shares=50"
        )
    found = find_run(run, config)
    with _proved(found, accept_versions=accept_versions) as (folder, versions):
        terms = {key: value for key, value in changes.items() if key not in _ARTIFACTS}
        settings, told = found.settings(terms)
        if uses_alpaca(settings):
            raise Refused(
                f"run {found.run_id} was at a venue outside this process, whose record holds no answer to "
                "orders that were never sent",
                next_step="ask this of a run at the embedded venue, or of workbench.simulate",
            )
        again = trade_again(found, folder, settings, strategy=changed_strategy(settings, changes))
    journal, account = found.desk.journal, found.present.account
    row = journal.rows("sessions", account=account, session=found.session)[0]
    return contrast(
        found.run_id, dict(changes), SessionRecord.of(journal, account, found.session), again.record,
        recorded_ledger=row, other_ledger=again.ledger,
        differences=(*versions, *told, *found.changes_since()),
    )  # fmt: skip


def timeline(run: str | Path, *, config: str | Path | Settings = "workbench.toml") -> Timeline:
    """The states that a recorded run went through: as of any event, forwards and backwards.

    Parameters
    ----------
    run, config
        As in `replay`. The session need not be closed; nothing is run.

    Returns
    -------
    Timeline
        `.at(seq)`, `.steps()`, `.after(seq)`, `.before(seq)`.

    Examples
    --------
    >>> import workbench as wb
    >>> desk = wb.open_workbench(wb.load_settings("workbench.toml"))  # doctest: +SKIP
    >>> line = desk.timeline("trading_loop/2013-02-01.1")  # doctest: +SKIP
    >>> line.at(line.last_seq).positions  # doctest: +SKIP
    """
    found = find_run(run, config)
    last = next(
        (e.seq for e in found.events if e.kind == "session.closed" and e.payload["session"] == found.session
         and e.payload["account"] == found.present.account),
        found.events[-1].seq,
    )  # fmt: skip
    return Timeline(
        found.events, account=found.present.account, session=found.session, first_seq=found.first_seq,
        last_seq=last,
    )  # fmt: skip


@contextmanager
def _proved(found: RecordedRun, *, accept_versions: bool) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A folder to trade in, once everything that the run was made of is known to be there."""
    versions = found.versions(accept=accept_versions)
    found.require_whole()
    with tempfile.TemporaryDirectory(prefix="workbench-replay-", dir=folder_in_memory(found)) as folder:
        yield Path(folder), versions


def folder_in_memory(found: RecordedRun) -> Path | None:
    """A folder of the machine's memory with room for the copy, which is thrown away; None = any folder.

    Nobody needs the copy after a power cut, so a flush for each of its commits would only cost time.
    """
    recorded = found.desk.paths.journal
    size = recorded.stat().st_size if recorded.is_file() else len(found.events) * _EVENT_BYTES
    has_room = _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > 4 * size + _SPARE_BYTES
    return _SHARED_MEMORY if has_room else None


def _strayed(questions: tuple[str, ...]) -> tuple[str, ...]:
    if not questions:
        return ()
    return (f"{len(questions)} question(s) to the venue left the record, first {questions[0]}",)
