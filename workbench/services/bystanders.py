"""What people and other processes did while a session ran, done again at the same moments of its replay.

An approval, an override, a symbol that was enabled: none of it is the session's own work, so none of it would
happen in a replay by itself. Each such act is committed again once the replay has come as far as the record
had: as many own events, and the trading time at which the session next recorded anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench.core.ports import Clock, Event, Journal, Lease, RecordedEvent

#: Events by which a session's own progress is counted.
OWN: Final = frozenset({
    "decision.made", "order.intended", "order.denied", "order.changed", "order.adjusted", "fill.booked",
    "approval.requested",
})  # fmt: skip
#: Acts of others that a replay does again. Halts of the whole account are not: a session only closes once
#: a person has resumed, and its replay is the undisturbed one.
OTHERS: Final = frozenset({
    "act.recorded", "agreement.asked", "agreement.confirmed", "approval.decided", "limits.changed",
    "override.granted", "person.added", "person.key_set", "person.revoked", "symbol.enabled",
})  # fmt: skip
#: Levels of halts that stop single orders, so that the session goes on under them.
_NARROW: Final = frozenset({"order", "symbol", "strategy"})
_CLOCK_FIELDS: Final = ("asked_wall_ns", "expires_wall_ns")


@dataclass(frozen=True)
class _Act:
    """What somebody did in one transaction, and when it is due in a replay."""

    events: tuple[Event, ...]
    after: int
    due_ns: int


@dataclass(frozen=True)
class _Mark:
    """An own event of the record: trading time and wall-clock time."""

    trading_ns: int
    wall_ns: int


class Bystanders:
    """The acts of others within the record of a session.

    Parameters
    ----------
    events : sequence of RecordedEvent
        From the session's first run to its close.
    attempts : int
        Runs that it took. With more than one the counts of own events differ from those of an undisturbed
        replay, so that acts are due by trading time alone.
    """

    def __init__(self, events: Sequence[RecordedEvent], *, attempts: int = 1) -> None:
        self.marks: list[_Mark] = []
        self.acts: deque[_Act] = deque()
        self.requested = {
            str(event.payload["approval_id"]): {name: event.payload[name] for name in _CLOCK_FIELDS}
            for event in events
            if event.kind == "approval.requested"
        }
        pending: list[list[RecordedEvent]] = []
        counts: list[int] = []
        trading_ns = 0
        for event in events:
            if event.kind in OWN:
                trading_ns = max(trading_ns, _trading_ns(event))
                self.marks.append(_Mark(trading_ns, event.at_ns))
            elif _is_an_act(event):
                if pending and _together(pending[-1][-1], event):
                    pending[-1].append(event)
                else:
                    pending.append([event])
                    counts.append(len(self.marks))
        for group, after in zip(pending, counts, strict=True):
            due_ns = self.marks[after].trading_ns if after < len(self.marks) else trading_ns
            done = tuple(Event(event.kind, event.payload) for event in group)
            self.acts.append(_Act(done, after if attempts == 1 else 0, due_ns))


def _is_an_act(event: RecordedEvent) -> bool:
    if event.kind in ("halt.placed", "halt.lifted"):
        return event.payload["level"] in _NARROW
    return event.kind in OTHERS


def _together(earlier: RecordedEvent, later: RecordedEvent) -> bool:
    return later.seq == earlier.seq + 1 and later.at_ns == earlier.at_ns


def _trading_ns(event: RecordedEvent) -> int:
    payload = event.payload
    if event.kind == "approval.requested":
        return int(payload["detail"]["asked_ns"])
    return int(payload.get("at_ns") or payload.get("filled_at_ns") or payload.get("scheduled_ns") or 0)


class RepeatedClock:
    """A replay's clock whose wall-clock time is that of the record; satisfies `Clock`.

    Parameters
    ----------
    clock : Clock
        Trading time of the replay.
    bystanders : Bystanders
    start_wall_ns : int
        Wall-clock time at which the recorded session began, UTC nanoseconds.
    """

    def __init__(self, clock: Clock, bystanders: Bystanders, *, start_wall_ns: int) -> None:
        self._clock, self._marks = clock, bystanders.marks
        self._wall_ns = start_wall_ns
        self.own = 0

    def now_ns(self) -> int:
        """Trading time."""
        return self._clock.now_ns()

    def sleep_until(self, at_ns: int) -> None:
        """Return when trading time is `at_ns` or later."""
        self._clock.sleep_until(at_ns)

    def wall_ns(self) -> int:
        """The wall-clock time of the record's next own event, once trading time has come to it."""
        reached = self._marks[: self.own]
        if reached:
            self._wall_ns = max(self._wall_ns, reached[-1].wall_ns)
        if self.own < len(self._marks) and self._marks[self.own].trading_ns <= self._clock.now_ns():
            self._wall_ns = max(self._wall_ns, self._marks[self.own].wall_ns)
        return self._wall_ns


class RepeatedJournal:
    """A replay's journal in which others act when they did then; satisfies `Journal`.

    Parameters
    ----------
    journal : Journal
        Of the replay; never the desk's.
    bystanders : Bystanders
    now_ns : callable () -> int
        Trading time, asked for without moving it.
    clock : RepeatedClock or None
        Told how many own events there are; None where the clock itself is a record.
    """

    def __init__(
        self,
        journal: Journal,
        bystanders: Bystanders,
        *,
        now_ns: Callable[[], int],
        clock: RepeatedClock | None,
    ) -> None:
        self._journal, self._now_ns, self._clock = journal, now_ns, clock
        self._acts, self._requested = bystanders.acts, bystanders.requested
        self._own = 0

    def commit(self, events: Sequence[Event], *, lease: Lease | None = None) -> tuple[RecordedEvent, ...]:
        """Commit what the session records; requests of people bear the times that the record has."""
        done = self._journal.commit([self._as_asked(event) for event in events], lease=lease)
        self._own += sum(1 for event in events if event.kind in OWN)
        if self._clock is not None:
            self._clock.own = self._own
        return done

    def rows(self, projection: str, **equals: Any) -> list[dict[str, Any]]:
        """Rows of a projection, after everything that others have done by now."""
        while self._acts and self._acts[0].after <= self._own and self._acts[0].due_ns <= self._now_ns():
            self._journal.commit([self._as_placed(event) for event in self._acts.popleft().events])
        return self._journal.rows(projection, **equals)

    def events(self, *, kinds: Iterable[str] = (), after_seq: int = 0) -> tuple[RecordedEvent, ...]:
        """Recorded events."""
        return self._journal.events(kinds=kinds, after_seq=after_seq)

    def acquire_lease(self, account: str, holder: str, *, ttl_ns: int, proof_of_death: str = "") -> Lease:
        """As the journal's."""
        return self._journal.acquire_lease(account, holder, ttl_ns=ttl_ns, proof_of_death=proof_of_death)

    def renew_lease(self, lease: Lease, *, ttl_ns: int) -> Lease:
        """As the journal's."""
        return self._journal.renew_lease(lease, ttl_ns=ttl_ns)

    def release_lease(self, lease: Lease) -> None:
        """As the journal's."""
        self._journal.release_lease(lease)

    def _as_placed(self, event: Event) -> Event:
        """Who lifts a halt names it by its number, which is another one in a copy."""
        if event.kind != "halt.lifted":
            return event
        halts = self._journal.rows("halts", level=event.payload["level"], target=event.payload["target"])
        return Event(event.kind, {**event.payload, "placed_seq": halts[0]["seq"] if halts else 0})

    def _as_asked(self, event: Event) -> Event:
        if event.kind != "approval.requested":
            return event
        known = self._requested.get(str(event.payload["approval_id"]), {})
        return Event(event.kind, {**event.payload, **known})
