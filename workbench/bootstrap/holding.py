"""Hold an account for a person's command: its lock, its lease, and nobody else beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from workbench.adapters.process_lock import process_lock
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.signing import Credentials
from workbench.bootstrap.trading import Account, open_account
from workbench.config import Settings
from workbench.core.types import Mode
from workbench.errors import Refused, UsageError
from workbench.services.authority import Authority
from workbench.services.oms import Oms
from workbench.services.reconciler import Reconciler


@contextmanager
def holding(
    settings: Settings,
    *,
    start_ns: int = 0,
    credentials: Credentials | None = None,
    code_hash: str = "",
    ticket: Callable[[Account], bool] = lambda account: False,
) -> Iterator[tuple[Account, Authority]]:
    """The account held by this process alone, with its lease.

    Parameters
    ----------
    code_hash : str
        Of what runs here; "" for a process that never sends.
    ticket : callable (Account) -> bool
        Whether this process has redeemed a ticket to send.
    """
    desk = Desk(settings)
    with process_lock(desk.paths.lock):
        account = open_account(settings, start_ns=start_ns, credentials=credentials)
        try:
            if settings.mode is Mode.REPLAY:  # a venue outside is taken to the start, as the embedded one is
                account.clock.sleep_until(start_ns)
            authority = account.authority(code_hash=code_hash, ticket_redeemed=ticket(account))
            account.take(authority)
            try:
                yield account, authority
            except (Refused, UsageError):
                authority.release()  # a no is a clean end
                raise
            authority.release()
        finally:
            account.close()


@contextmanager
def recovering(
    settings: Settings, *, start_ns: int = 0, credentials: Credentials | None = None
) -> Iterator[tuple[Account, Oms, Reconciler]]:
    """The account held by this process alone, for look-ups and reconciliation; nothing can be sent."""
    with holding(settings, start_ns=start_ns, credentials=credentials) as (account, authority):
        yield account, *account.order_path(authority)
