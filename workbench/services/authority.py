"""The right to send, held by one process: the lease, its renewal, and the signs that it must stop."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from workbench.core.ports import Clock, Journal, Lease
from workbench.core.types import NANO
from workbench.errors import LeaseLost, Refused, StorageFailed, TradingHalted
from workbench.services.supervision import Permission


class Authority:
    """Lease of one account together with everything else that must hold at the moment of sending.

    Parameters
    ----------
    journal, clock
        Ports; the lease lives in the journal and is measured in wall-clock time.
    account, holder : str
        `holder` names this process so that its death can be proved.
    ttl_s : float
        Life of the lease in seconds; renewed when half of it is gone.
    code_hash : str
        Hash of the package and notebook that run here.
    stop_reason : callable () -> str
        Why this process must not send now ("" = nothing stops it), such as a silent runner.
    ticket_redeemed : bool
        Whether this process redeemed the runner's one-use ticket; without it nothing is sent.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        clock: Clock,
        account: str,
        holder: str,
        ttl_s: float,
        code_hash: str,
        stop_reason: Callable[[], str],
        ticket_redeemed: bool,
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._account = account
        self._holder = holder
        self._ttl_ns = int(ttl_s * NANO)
        self._stop_reason = stop_reason
        self._ticket_redeemed = ticket_redeemed
        self._lease: Lease | None = None
        self.code_hash = code_hash

    def acquire(self, *, is_dead: Callable[[str], bool]) -> bool:
        """Take the lease; returns whether the previous holder ended uncleanly.

        Parameters
        ----------
        is_dead : callable (holder) -> bool
            Proof that another holder's process has ended; without proof its lease must run out.
        """
        rows = self._journal.rows("leases", account=self._account)
        unclean = bool(rows) and not rows[0]["released"]
        previous = str(rows[0]["holder"]) if unclean else ""
        proof = previous if previous and is_dead(previous) else ""
        self._lease = self._journal.acquire_lease(
            self._account, self._holder, ttl_ns=self._ttl_ns, proof_of_death=proof
        )
        return unclean

    def lease(self) -> Lease:
        """The lease in force, renewed when half of its life is gone."""
        if self._lease is None:
            raise LeaseLost(
                f"this process holds no lease for {self._account}",
                next_step="run the job through `workbench jobs run`",
            )
        if self._lease.until_wall_ns - self._clock.wall_ns() < self._ttl_ns // 2:
            self._lease = self._journal.renew_lease(self._lease, ttl_ns=self._ttl_ns)
        return self._lease

    def keep_alive(self) -> None:
        """Renew the lease while nothing is recorded: a loop that waits shows that it lives.

        A journal that does not answer now is met by whoever writes next.
        """
        with contextlib.suppress(StorageFailed):
            self.lease()

    def wait_until(self, at_ns: int, *, step_ns: int) -> None:
        """Return at that trading time or later, showing signs of life on the way."""
        while (now_ns := self._clock.now_ns()) < at_ns:
            self.keep_alive()
            self._clock.sleep_until(min(at_ns, now_ns + step_ns))

    def require(self, permission: Permission) -> None:
        """Refuse unless ticket, lease, runner and code are all as they must be to send."""
        if not self._ticket_redeemed:
            raise Refused(
                "this process has no ticket from the runner and may only read",
                next_step="run the job through `workbench jobs run`",
            )
        if reason := self._stop_reason():
            raise TradingHalted(reason, next_step="look at the runner; then run the job again")
        if permission.code_hash != self.code_hash:
            raise Refused(
                "the package or the production notebook is not the one that was accepted",
                next_step="review the change, then `workbench resume` accepts the present code",
                accepted=permission.code_hash,
                present=self.code_hash,
            )
        self.lease()

    def release(self) -> None:
        """Give the lease back: the mark of a clean end."""
        if self._lease is not None:
            self._journal.release_lease(self._lease)
            self._lease = None
