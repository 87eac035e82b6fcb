"""Who may write under a lease: a fencing token that only grows, judged inside the transaction that writes."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.adapters.journal.encoding import Encoded
from workbench.adapters.journal.rowstore import RowWriter
from workbench.core.ports import Lease
from workbench.errors import JournalConflict, LeaseLost, UsageError

_NANO = 1_000_000_000


def require_ttl(ttl_ns: int) -> None:
    """Refuse a lease that ends before it begins."""
    if ttl_ns <= 0:
        raise UsageError(f"a lease of {ttl_ns} ns", next_step="give a positive ttl_ns")


def next_of(
    rows: RowWriter, account: str, holder: str, now_ns: int, ttl_ns: int, proof_of_death: str
) -> Lease:
    """The lease that `holder` may take now, with a larger token than any before.

    Raises
    ------
    LeaseLost
        Another holder has it, names the holder and the seconds that remain.
    """
    before = rows.get("leases", account)
    if before and not before["released"] and before["until_wall_ns"] > now_ns:
        if before["holder"] not in (holder, proof_of_death):
            remaining_s = (before["until_wall_ns"] - now_ns) / _NANO
            raise LeaseLost(
                f"the lease of {account} is held by {before['holder']} for another {remaining_s:.1f} s",
                next_step="wait until it expires or end that run; one process trades an account",
                account=account, holder=before["holder"], remaining_s=remaining_s,
            )  # fmt: skip
    return Lease(account, holder, (before["token"] if before else 0) + 1, now_ns + ttl_ns)


def fence(rows: RowWriter, lease: Lease, checked: Sequence[Encoded]) -> None:
    """Refuse the transaction unless the lease is the account's present one and covers the events.

    An expired lease that nobody else has taken still writes: what the venue answered must be kept.

    Raises
    ------
    LeaseLost, JournalConflict
        Nothing was written.
    """
    held = rows.get("leases", lease.account)
    if held is None or held["released"] or (held["token"], held["holder"]) != (lease.token, lease.holder):
        holder = "nobody" if held is None or held["released"] else held["holder"]
        raise LeaseLost(
            f"token {lease.token} of {lease.holder} no longer holds the lease of {lease.account}; "
            f"{holder} does; nothing was written",
            next_step="stop this process; the present holder, or the next run, goes on",
            account=lease.account, holder=holder,
        )  # fmt: skip
    for kind, payload, _text in checked:
        if payload.get("account", lease.account) != lease.account:
            raise JournalConflict(
                f"{kind} of account {payload['account']} under the lease of {lease.account}",
                next_step="commit under that account's own lease; nothing was written",
            )
