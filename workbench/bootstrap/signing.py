"""People of a desk with their keys: who is registered, who signs, and what has been signed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workbench.adapters.signing import (
    Credentials,
    Ed25519Signing,
    PublicKey,
    passphrase_key,
    read_passphrase,
    read_public_key,
)
from workbench.bootstrap.desk import open_journal
from workbench.config import Settings
from workbench.core.ports import Journal
from workbench.errors import UsageError
from workbench.services.limit_book import limits_in_force
from workbench.services.people import People
from workbench.services.two_people import TwoPeople

__all__ = [
    "Credentials",
    "Verified",
    "add_person",
    "credentials_of",
    "new_key",
    "people_of",
    "read_passphrase",
    "revoke",
    "set_key",
    "two_people_of",
    "verify",
]

SIGNATURES = "people.signatures_required"


@dataclass(frozen=True)
class Verified:
    """What the signatures of a journal prove.

    Attributes
    ----------
    signed, unsigned : int
        Acts with and without a signature.
    problems : tuple of str
        One sentence for each signature that does not hold.
    """

    signed: int
    unsigned: int
    problems: tuple[str, ...]


def people_of(settings: Settings, journal: Journal, credentials: Credentials | None = None) -> People:
    """The people of the desk; with credentials, one of them can sign.

    Signatures stay required while the limits in force say so: a file that one person edits takes them away
    only once two people have agreed.
    """
    in_force = limits_in_force(journal, settings.account) or {}
    return People(
        journal,
        signing=Ed25519Signing(credentials),
        config_hash=settings.config_hash,
        signatures_required=settings.signatures_required or bool(in_force.get(SIGNATURES)),
    )


def two_people_of(settings: Settings, journal: Journal, credentials: Credentials | None = None) -> TwoPeople:
    """What takes two people on this account, by this machine's wall clock."""
    signing = Ed25519Signing(credentials)
    people = people_of(settings, journal, credentials)
    return TwoPeople(journal, people, account=settings.account, wall_ns=lambda: signing.stamp()[0])


def credentials_of(
    settings: Settings,
    *,
    passphrase_file: str = "",
    ssh_key: Path | None = None,
    prompt: Callable[[], str] | None = None,
) -> Credentials:
    """The key at hand: a file or descriptor, the secret `person_passphrase`, or a prompt, in this order.

    A descriptor can be read once and a person is asked once, whatever number of acts the key signs.

    Parameters
    ----------
    prompt : callable () -> str, or None
        Asks the person; only where an unsigned act would be refused.
    """

    @cache
    def passphrase() -> str:
        if passphrase_file:
            return read_passphrase(passphrase_file)
        if settings.secrets.person_passphrase is not None:
            return settings.secrets.person_passphrase.reveal()
        return prompt() if prompt and settings.signatures_required and ssh_key is None else ""

    return Credentials(passphrase, ssh_key)


@contextmanager
def _people(settings: Settings, credentials: Credentials | None = None) -> Iterator[People]:
    journal = open_journal(settings, read_only=False)
    try:
        yield people_of(settings, journal, credentials)
    finally:
        journal.close()


def new_key(*, ssh_key: Path | None, passphrase: str) -> PublicKey:
    """The public half of a key from an OpenSSH public key file or from a passphrase; neither: no key."""
    if ssh_key is not None and passphrase:
        raise UsageError("a person has one key", next_step="give --ssh-key or a passphrase, not both")
    if ssh_key is not None:
        return read_public_key(ssh_key)
    return passphrase_key(passphrase) if passphrase else PublicKey("", "")


def add_person(
    settings: Settings,
    person: str,
    *,
    role: str,
    key: PublicKey | None = None,
    by: str = "",
    reason: str = "",
    credentials: Credentials | None = None,
) -> None:
    """Register a person who may look, operate or approve; `by` signs where signatures are required."""
    key = key or PublicKey("", "")
    with _people(settings, credentials) as people:
        people.add(
            person, role=role, public_key=key.public_key, key_source=key.key_source, by=by, reason=reason
        )


def set_key(
    settings: Settings,
    person: str,
    *,
    key: PublicKey,
    by: str,
    reason: str,
    credentials: Credentials | None = None,
) -> None:
    """Replace a person's key: on the word of the person, or of an approver."""
    if not key.public_key:
        raise UsageError("there is no new key", next_step="add --ssh-key FILE.pub, or --passphrase")
    with _people(settings, credentials) as people:
        people.set_key(person, public_key=key.public_key, key_source=key.key_source, by=by, reason=reason)


def revoke(
    settings: Settings, person: str, *, by: str, reason: str, credentials: Credentials | None = None
) -> None:
    """End a person's right to act."""
    with _people(settings, credentials) as people:
        people.revoke(person, by=by, reason=reason)


def verify(settings: Settings) -> Verified:
    """Check every signed act against the key that its person had then."""
    journal = open_journal(settings, read_only=True)
    try:
        return Verified(*people_of(settings, journal).verify())
    finally:
        journal.close()
