"""What services ask of the outside world, as small protocols; adapters satisfy them unseen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from workbench.core.hours import SessionHours
from workbench.core.jobs import RunRequest, RunResult
from workbench.core.orders import Fill, OrderIntent, OrderState
from workbench.core.types import Bars, Quotes, Side

# --- time ------------------------------------------------------------------------------------------


class Clock(Protocol):
    """Trading time. In replay it is simulated; it never runs backwards."""

    def now_ns(self) -> int:
        """Present trading time, UTC nanoseconds."""
        ...

    def sleep_until(self, at_ns: int) -> None:
        """Return when trading time is `at_ns` or later."""
        ...

    def wall_ns(self) -> int:
        """Wall-clock time, UTC nanoseconds; for records and leases only, never for decisions."""
        ...


class Calendar(Protocol):
    """Exchange sessions; dates are ISO strings, times are UTC nanoseconds."""

    def is_session(self, session: str) -> bool: ...
    def session_open_ns(self, session: str) -> int: ...
    def session_close_ns(self, session: str) -> int: ...
    def previous_session(self, session: str) -> str:
        """The last session strictly before that date (which need not be a session)."""
        ...

    def next_session(self, session: str) -> str:
        """The first session strictly after that date."""
        ...

    def session_after_ns(self, at_ns: int) -> str:
        """The first session that opens after that time."""
        ...

    def sessions_between(self, first: str, last: str) -> tuple[str, ...]:
        """All sessions from `first` to `last`, both included."""
        ...


# --- market data -----------------------------------------------------------------------------------


class BarStore(Protocol):
    """Daily bars with the time at which each row became known."""

    def read(
        self,
        symbols: Sequence[str],
        *,
        as_of_ns: int,
        rows: int | None = None,
        view: str = "adjusted",
    ) -> Bars:
        """The panel that was known at `as_of_ns`.

        Parameters
        ----------
        rows : int or None
            Only the last `rows` bars; None = all.
        view : str
            "adjusted": prices and volumes in the share terms of `as_of_ns` (splits known by then
            are applied to earlier bars); "raw": as printed.

        Raises
        ------
        DataError
            A file does not match the manifest, or a symbol is not in the store.
        """
        ...

    def fingerprint(self) -> str:
        """Hash of the canonical row content, independent of file layout."""
        ...


# --- journal ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """One fact to be appended. `payload` holds None, bool, int, str, lists and dicts of these only."""

    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class RecordedEvent:
    """A fact as the journal holds it."""

    seq: int
    at_ns: int
    kind: str
    payload: Mapping[str, Any]
    config_hash: str
    hash: str


@dataclass(frozen=True)
class Lease:
    """The right to send for one account. `token` only ever grows."""

    account: str
    holder: str
    token: int
    until_wall_ns: int


class Journal(Protocol):
    """Append-only, hash-chained record of everything; the sole restart path."""

    def commit(self, events: Sequence[Event], *, lease: Lease | None = None) -> tuple[RecordedEvent, ...]:
        """Append all events and update all projections in one durable transaction.

        Parameters
        ----------
        lease : Lease or None
            When given, the database refuses the whole transaction unless that token is still the
            account's current one.

        Raises
        ------
        LeaseLost
            The token is no longer current; nothing was written.
        JournalConflict
            A uniqueness rule of a projection was violated; nothing was written.
        StorageFailed
            The database could not keep the rows (disk full, gone away); nothing was written.
        """
        ...

    def events(self, *, kinds: Iterable[str] = (), after_seq: int = 0) -> tuple[RecordedEvent, ...]:
        """Recorded events in order, all kinds when `kinds` is empty."""
        ...

    def rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
        """Rows of a projection whose columns equal the given values, in a stable order."""
        ...

    def acquire_lease(self, account: str, holder: str, *, ttl_ns: int, proof_of_death: str = "") -> Lease:
        """Take the lease with a larger token than any before.

        `proof_of_death` names a holder that the caller has proved dead (it owns that holder's lock);
        only then is an unexpired lease of that holder taken over.

        Raises
        ------
        LeaseLost
            Somebody else holds it and it has not expired.
        """
        ...

    def renew_lease(self, lease: Lease, *, ttl_ns: int) -> Lease: ...
    def release_lease(self, lease: Lease) -> None: ...


# --- venue -----------------------------------------------------------------------------------------


class SubmitOutcome(StrEnum):
    """What is known after a submit. Anything not proven is UNKNOWN."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_ACCEPTED = "not_accepted"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class VenueOrder:
    """An order as the venue reports it.

    Attributes
    ----------
    state : OrderState
        The venue's status, mapped; an unmapped status is QUARANTINED.
    quantity_nano, filled_nano : int
        Ordered and cumulative filled quantity, 1e-9 shares.
    """

    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    quantity_nano: int
    filled_nano: int
    state: OrderState
    reason: str = ""


@dataclass(frozen=True)
class SubmitResult:
    """Outcome of a submit as a value; `order` is present exactly when ACCEPTED."""

    outcome: SubmitOutcome
    order: VenueOrder | None = None
    reason: str = ""


@dataclass(frozen=True)
class LookupResult:
    """Answer to "do you have this id": found, not found (no proof of absence), or no answer."""

    found: bool
    answered: bool
    order: VenueOrder | None = None
    reason: str = ""


@dataclass(frozen=True)
class VenueAccount:
    """The venue's view of the account.

    Attributes
    ----------
    blocked : bool
        True unless the venue says in so many words that trading is open to us.
    """

    account: str
    cash_micro: int
    buying_power_micro: int
    equity_micro: int
    blocked: bool
    positions_nano: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Activity:
    """Something that the venue did to the account without an order of ours.

    Attributes
    ----------
    activity_id : str
        The venue's id; the same event has the same id in every answer.
    kind : str
        One of `corporate.ACTIVITY_KINDS`; any other word is the venue's own and a break.
    quantity_nano, amount_micro : int
        Change of the position in 1e-9 shares and of cash in micros; both signed.
    new_shares, old_shares : int
        Ratio of a split; 1 for 1 otherwise.
    """

    activity_id: str
    kind: str
    symbol: str
    at_ns: int
    quantity_nano: int
    amount_micro: int
    new_shares: int = 1
    old_shares: int = 1


class Broker(Protocol):
    """One account at one venue. Never retries by itself; never raises for an ambiguous submit."""

    def submit(self, intent: OrderIntent) -> SubmitResult: ...
    def lookup(self, client_order_id: str) -> LookupResult: ...
    def cancel(self, client_order_id: str) -> SubmitResult:
        """Ask for a cancel; only a later look-up proves it."""
        ...

    def orders(self, *, since_ns: int) -> tuple[VenueOrder, ...]:
        """Orders submitted at or after `since_ns`, any state, oldest first."""
        ...

    def fills(self, *, since_ns: int) -> tuple[Fill, ...]:
        """Executions at or after `since_ns`, oldest first: the record of what traded."""
        ...

    def activities(self, *, since_ns: int) -> tuple[Activity, ...]:
        """Splits, dividends and whatever else changed the account at or after `since_ns`, oldest first."""
        ...

    def account(self) -> VenueAccount:
        """Cash and positions; raises OutcomeUnknown when there is no trustworthy answer."""
        ...

    def quotes(self, symbols: Sequence[str]) -> Quotes: ...

    def now_ns(self) -> int:
        """The venue's clock, UTC nanoseconds."""
        ...

    def hours(self, session: str) -> SessionHours: ...


@dataclass(frozen=True)
class Hint:
    """Something that the venue's stream mentioned: a reason to ask, never a fact to book."""

    event: str  #: the venue's word, or "unreadable"
    client_order_id: str  #: "" when nobody knows


class Hints(Protocol):
    """A stream of hints that knows whether it may have missed some."""

    @property
    def generation(self) -> int:
        """Number of connections so far; what happened between two of them was not heard."""
        ...

    def trouble(self) -> str:
        """Why the stream cannot be relied on; "" while it is connected and reconciled."""
        ...

    def silent_s(self) -> float: ...
    def reconciled(self, generation: int) -> None:
        """A full reconciliation has been done that began in that generation."""
        ...

    def expect(self, client_order_id: str) -> None:
        """An order whose request leaves now: the stream must mention it soon."""
        ...

    def forget(self, client_order_id: str) -> None:
        """An order that was expected and that the venue has not accepted."""
        ...

    def take(self) -> tuple[Hint, ...]: ...
    def wait(self, seconds: float) -> bool: ...


# --- registry --------------------------------------------------------------------------------------


class Registry(Protocol):
    """Content-addressed store of artifacts (models, cost models) with a manifest each."""

    def put(self, kind: str, content: bytes, manifest: Mapping[str, Any]) -> str:
        """Store and return the artifact id: sha256 of content and manifest."""
        ...

    def get(self, kind: str, artifact_id: str) -> tuple[bytes, dict[str, Any]]:
        """Content and manifest, with every hash recomputed.

        Raises
        ------
        ManifestMismatch
            A byte of either was changed, or there is no such artifact.
        """
        ...

    def list(self, kind: str) -> tuple[str, ...]: ...


# --- permission ------------------------------------------------------------------------------------


class ArmedFile(Protocol):
    """The file whose presence is the positive half of the permission to trade."""

    def read(self) -> tuple[str, int] | None:
        """Account and epoch it was written for; None when absent, unreadable or malformed."""
        ...

    def write(self, account: str, epoch: int) -> None: ...
    def remove(self) -> None:
        """Remove it; absent already is fine."""
        ...


# --- jobs ------------------------------------------------------------------------------------------


class JobRunner(Protocol):
    """Executes one notebook in a process that dies with its parent."""

    def exclusive(self, job: str) -> AbstractContextManager[None]:
        """Be the only runner of that job until the context ends; raises Refused when another one is."""
        ...

    def is_over(self, run_id: str) -> bool:
        """True only when it is proven that neither runner nor kernel of that run is alive."""
        ...

    def run(self, request: RunRequest) -> RunResult:
        """Execute and judge; a stop signal ends the kernel first and then raises SystemExit."""
        ...
