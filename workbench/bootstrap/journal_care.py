"""What a person does to a desk's journal: prove it, bring it forward, copy it out, shorten it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from workbench.adapters.journal import Archived, JournalDatabase, VerifyReport
from workbench.bootstrap.desk import open_journal
from workbench.bootstrap.signing import Credentials, people_of
from workbench.config import Settings
from workbench.errors import JournalCorrupt, UsageError


@dataclass(frozen=True)
class Migrated:
    """The version that a journal has now, and where the backup of the older one is ("" = none was older)."""

    version: int
    backup: str


def require_whole(journal: JournalDatabase, *, archives: Sequence[Path] = ()) -> VerifyReport:
    """Walk the whole journal before it is trusted with orders: chain, anchor and projections."""
    report = journal.verify(archives)
    if not report.ok:
        raise JournalCorrupt(
            f"the journal is damaged: {report.reason}",
            next_step="restore the journal from a backup; nothing may trade on this one",
            **asdict(report),
        )
    return report


def verify_journal(settings: Settings, *, archives: Sequence[Path] = (), epoch: int = 0) -> VerifyReport:
    """Walk the whole journal: chain, anchor, projections; raises JournalCorrupt naming the first bad row."""
    with _opened(settings, read_only=True, epoch=epoch) as journal:
        return require_whole(journal, archives=archives)


def migrate_journal(settings: Settings, *, epoch: int = 0) -> Migrated:
    """Open the journal to write, which backs up and migrates an older one."""
    with _opened(settings, read_only=False, epoch=epoch) as journal:
        return Migrated(journal.schema_version, journal.backup)


def export_journal(settings: Settings, folder: Path, *, epoch: int = 0) -> dict[str, int]:
    """Write events and projections as Parquet files; rows of each."""
    with _opened(settings, read_only=True, epoch=epoch) as journal:
        return journal.export(folder)


def archive_journal(
    settings: Settings, before_session: str, path: Path, *, person: str, reason: str,
    credentials: Credentials | None = None,
) -> Archived:  # fmt: skip
    """Move the events before a session to a file.

    Raises
    ------
    UsageError
        The session is no ISO date.
    Refused
        The person may not act, nothing is old enough, or the file exists.
    """
    try:
        same = date.fromisoformat(before_session).isoformat() == before_session
    except ValueError:
        same = False
    if not same:
        raise UsageError(f"--before {before_session!r} is no date", next_step="write it as 2013-02-01")
    with _opened(settings, read_only=False) as journal:
        people = people_of(settings, journal, credentials)
        subject = {"before": before_session, "file": path.name}
        journal.commit(people.require(person, reason, act="archive journal", subject=subject))
        return journal.archive(before_session, path, person=person, reason=reason)


@contextmanager
def _opened(settings: Settings, *, read_only: bool, epoch: int = 0) -> Iterator[JournalDatabase]:
    journal = open_journal(settings, read_only=read_only, with_key=True, epoch=epoch)
    try:
        yield journal
    finally:
        journal.close()
