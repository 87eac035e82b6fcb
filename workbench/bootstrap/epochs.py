"""End a desk epoch and begin the next, on a person's word: the account at the venue is another one now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.adapters.armed_file import ArmedFileOnDisk
from workbench.adapters.journal import JournalDatabase
from workbench.adapters.kernel_guard import dead_holder, process_holder
from workbench.adapters.process_lock import process_lock
from workbench.bootstrap.desk import Desk, epochs_of, open_journal
from workbench.bootstrap.epoch_folders import require_proved
from workbench.bootstrap.epoch_journals import reading_epoch
from workbench.bootstrap.signing import Credentials, people_of
from workbench.bootstrap.venue_kind import uses_alpaca
from workbench.bootstrap.venues import open_venue
from workbench.config import Settings
from workbench.core.ports import Lease
from workbench.core.types import NANO
from workbench.errors import ConfigError, Refused, UsageError
from workbench.services.epochs import DeskEpoch, closing_events, epoch_of, require_closable


@dataclass(frozen=True)
class EpochRecord:
    """A desk epoch as its journal tells it.

    Attributes
    ----------
    number : int
    venue_account : str
        "" before an account was adopted.
    events : int
    head_hash : str
        Of the last event.
    closed : bool
        Whether the journal takes no further event.
    follows : bool
        Whether its first event names the last one of the epoch before; True for the first epoch.
    journal : str
        Where it is.
    """

    number: int
    venue_account: str
    events: int
    head_hash: str
    closed: bool
    follows: bool
    journal: str


def begin_epoch(
    settings: Settings, venue_account: str, *, person: str, reason: str, archives: Sequence[Path] = (),
    credentials: Credentials | None = None,
) -> DeskEpoch:  # fmt: skip
    """Close the journal of the former account for good and begin the next epoch, for another account.

    The account, its keys and its address stand in the settings already. Done twice, or again after a crash
    at any step, it ends in the same epoch. Nothing is sent and no account is adopted by it.

    Parameters
    ----------
    venue_account : str
        The venue's id of the new account, which this person approves.
    archives : sequence of Path
        All files that `journal archive` wrote, oldest first: what is handed down may stand in them.

    Raises
    ------
    Refused
        The keys open another account, an order is not final, somebody holds the account, the journal is
        damaged or kept by a server, or there was no account before.
    ApprovalRequired
        The person may not act, or did not sign.
    """
    _require_possible(settings, venue_account)
    with process_lock(Desk(settings).paths.lock), open_journal(settings, read_only=False) as journal:
        people = people_of(settings, journal, credentials)
        people.check(person, reason, act="begin epoch")
        epoch = epoch_of(journal, settings.account)
        _require_at_venue(settings, venue_account)
        if epoch.venue_account == venue_account:
            return epoch
        if not epoch.venue_account:
            raise Refused(
                "this desk has adopted no account yet", next_step="workbench adopt, without --new-account"
            )
        _require_another(settings, epoch.venue_account)
        require_closable(journal, settings.account)
        require_proved(journal)
        files = [path.resolve() for path in archives]
        journal.whole_chain(files)
        lease = _lease(settings, journal)
        try:
            require_closable(journal, settings.account)  # nobody but the lease's holder writes orders
            ending = closing_events(
                journal, account=settings.account, epoch=epoch, successor=venue_account,
                archives=[str(path) for path in files], person=person, reason=reason,
            )  # fmt: skip
            subject = {
                "account": settings.account, "epoch": epoch.number + 1, "from": epoch.venue_account,
                "to": venue_account,
            }  # fmt: skip
            acts = people.require(person, reason, act="begin epoch", subject=subject)
            ArmedFileOnDisk(Desk(settings).paths.armed).remove()
        except BaseException:
            journal.release_lease(lease)
            raise
        journal.close_for_good([*acts, *ending], lease=lease)
    with open_journal(settings, read_only=False) as journal:  # whoever opens it first begins the next epoch
        return epoch_of(journal, settings.account)


def desk_epochs(settings: Settings) -> tuple[EpochRecord, ...]:
    """Every epoch of the desk, the one in force last.

    Raises
    ------
    Refused, JournalCorrupt, StorageFailed
        One cannot be read; an older one is named with the command that helps.
    """
    found: list[EpochRecord] = []
    for number in epochs_of(settings):
        with reading_epoch(settings, number) as journal:
            seq, head_hash = journal.head()
            begun = journal.events(kinds=("epoch.begun",))
            named = [(e.payload["predecessor_seq"], e.payload["predecessor_hash"]) for e in begun]
            before = [(one.events, one.head_hash) for one in found[-1:]]
            account = epoch_of(journal, settings.account).venue_account
            found.append(
                EpochRecord(number, account, seq, head_hash, journal.closed, named == before, journal.name)
            )
    return tuple(found)


def _require_possible(settings: Settings, venue_account: str) -> None:
    if not venue_account:
        raise UsageError("the new account is not named", next_step="workbench adopt --new-account ID")
    if not uses_alpaca(settings):
        raise Refused(
            "the venue in this process has one account, which is the desk's own",
            next_step="an epoch begins where venue.broker is alpaca; else choose another desk.path",
        )
    if settings.journal.url:
        raise Refused(
            "the journal is kept by a server; a desk epoch cannot be closed there",
            next_step="keep this desk as the record of its account; for the new one choose another desk.path "
            "and a database of its own, then workbench init and workbench adopt",
        )


def _require_at_venue(settings: Settings, venue_account: str) -> None:
    link = open_venue(settings, Desk(settings), start_ns=0)
    try:
        if link.venue_account != venue_account:
            raise Refused(
                f"the keys open account {link.venue_account} at the venue, not {venue_account}",
                next_step="approve the account that is there, or set address, account_id and keys of one",
                approved=venue_account,
                found=link.venue_account,
            )
    finally:
        link.close()


def _require_another(settings: Settings, former: str) -> None:
    """Refuse the former account under its other name: the venue knows each by an id and by a number."""
    asked = replace(settings, venue=replace(settings.venue, account_id=former))
    try:
        link = open_venue(asked, Desk(settings), start_ns=0)
    except ConfigError:
        return
    link.close()
    raise Refused(
        f"the keys still open the former account {former}, under another name",
        next_step=f'set venue.account_id = "{former}" again; this is no new account',
    )


def _lease(settings: Settings, journal: JournalDatabase) -> Lease:
    """The account's lease for this process; refused while somebody alive has it."""
    rows = journal.rows("leases", account=settings.account)
    previous = str(rows[0]["holder"]) if rows and not rows[0]["released"] else ""
    proof = previous if previous and dead_holder(previous) else ""
    ttl_ns = int(settings.lease.ttl_s * NANO)
    return journal.acquire_lease(settings.account, process_holder(), ttl_ns=ttl_ns, proof_of_death=proof)
