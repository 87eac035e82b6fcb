"""What a watchdog sees of a desk, and what follows from it: pure judgement, no clock and no disk.

Less information never finds less: what cannot be seen is a finding of its own, or leaves those that other
sights give untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from workbench.core.types import NANO


@dataclass(frozen=True)
class LeaseSeen:
    """The lease as the journal has it, and whether its holder is proved dead."""

    holder: str
    token: int
    until_wall_ns: int
    released: bool
    holder_dead: bool


@dataclass(frozen=True)
class RunSeen:
    """A run of a job that sends orders, recorded as running.

    Attributes
    ----------
    heartbeat_age_s : float or None
        Seconds since its runner last touched its heartbeat; None when there is none.
    over : bool
        Whether it is proved that neither runner nor kernel of it is alive.
    """

    run_id: str
    heartbeat_age_s: float | None
    over: bool


@dataclass(frozen=True)
class Sight:
    """One look at a desk; an empty `journal_trouble` says that the fields from the journal are known.

    Attributes
    ----------
    wall_ns : int
        Our wall clock at the look, UTC nanoseconds.
    state : str
        State in force: ACTIVE, REDUCING or HALTED; "" = not known.
    journal_trouble, venue_trouble : str
        Why it could not be asked; "" = it answered.
    head : int
        Number of the journal's last event.
    journal_bytes, free_bytes : int or None
        Size of the journal's file and space left on its disk; None = not known, or not a file.
    open_orders : tuple of str
        Ids of our orders that may be working at the venue.
    positions_nano : mapping
        What is held at the last record.
    skew_ns : int or None
        The venue's clock minus ours; None where they need not agree (replay) or it did not answer.
    """

    wall_ns: int
    state: str = ""
    journal_trouble: str = ""
    venue_trouble: str = ""
    head: int = 0
    journal_bytes: int | None = None
    free_bytes: int | None = None
    lease: LeaseSeen | None = None
    runs: tuple[RunSeen, ...] = ()
    open_orders: tuple[str, ...] = ()
    positions_nano: Mapping[str, int] = field(default_factory=dict)
    skew_ns: int | None = None


@dataclass(frozen=True)
class Bounds:
    """What is borne; see the settings section `watchdog`."""

    stuck_after_s: float
    no_progress_s: float
    max_clock_skew_s: float
    venue_silent_s: float
    journal_silent_s: float
    max_growth_mb_per_hour: float
    min_free_disk_mb: float


@dataclass(frozen=True)
class Memory:
    """What one look leaves for the next.

    Attributes
    ----------
    head, head_since_ns : int
        The last event that was seen, and when it was first seen.
    journal_since_ns, venue_since_ns : int
        Since when each has not answered; 0 = it answers.
    skewed_since_ns : int
        Since when the clocks differ too much; 0 = they agree.
    sizes : tuple of (wall_ns, bytes)
        Sizes of the journal during the last hour, at most one a minute.
    loop : bool
        Whether a loop held the lease when the journal was last read; True before it ever was.
    exposed_since_ns : int
        Since when orders are open without a loop; 0 = they are not.
    """

    head: int = -1
    head_since_ns: int = 0
    journal_since_ns: int = 0
    venue_since_ns: int = 0
    skewed_since_ns: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    loop: bool = True
    exposed_since_ns: int = 0


@dataclass(frozen=True)
class Finding:
    """Something that a person must know.

    Attributes
    ----------
    code, text, subject : str
        Of the alert.
    halts : bool
        Whether the account is halted for it and our orders are cancelled.
    """

    code: str
    text: str
    subject: str = ""
    halts: bool = False


def has_loop(sight: Sight) -> bool:
    """Whether some process holds the lease, alive or not: it was never given back."""
    return sight.lease is not None and not sight.lease.released


def remember(memory: Memory, sight: Sight, bounds: Bounds) -> Memory:
    """The memory after a look."""
    now = sight.wall_ns
    skewed = sight.skew_ns is not None and abs(sight.skew_ns) > bounds.max_clock_skew_s * NANO
    after = replace(
        memory,
        journal_since_ns=_since(memory.journal_since_ns, bool(sight.journal_trouble), now),
        venue_since_ns=_since(memory.venue_since_ns, bool(sight.venue_trouble), now),
        # A venue that does not answer says nothing about the clocks: what was known stands.
        skewed_since_ns=memory.skewed_since_ns
        if sight.venue_trouble
        else _since(memory.skewed_since_ns, skewed, now),
    )
    if sight.journal_trouble:
        return after
    exposed = bool(sight.open_orders) and not has_loop(sight)
    moved = sight.head != memory.head
    return replace(
        after,
        head=sight.head,
        head_since_ns=now if moved else memory.head_since_ns,
        sizes=_sizes(memory.sizes, now, sight.journal_bytes),
        loop=has_loop(sight),
        exposed_since_ns=_since(memory.exposed_since_ns, exposed, now),
    )


def judge(sight: Sight, memory: Memory, bounds: Bounds) -> tuple[Finding, ...]:
    """Everything that is wrong, the loop first.

    Parameters
    ----------
    sight : Sight
    memory : Memory
        After `remember` of this very look.
    bounds : Bounds
    """
    return (
        *_loop(sight, memory, bounds),
        *_outside(sight, memory, bounds),
        *_room(sight, memory, bounds),
    )


def _loop(sight: Sight, memory: Memory, bounds: Bounds) -> Iterator[Finding]:
    if sight.journal_trouble:
        return
    lease = sight.lease
    crashed = [run for run in sight.runs if run.over]
    if lease is None or lease.released:
        for run in crashed:
            yield Finding("RUN_CRASHED", f"run {run.run_id} ended without a record", run.run_id)
        if memory.exposed_since_ns and _lasted(memory.exposed_since_ns, sight, bounds.stuck_after_s):
            yield Finding("ORDERS_UNWATCHED", _exposure(sight), "orders")
        return
    subject = f"lease {lease.token}"
    if lease.holder_dead or crashed:
        who = ", ".join(run.run_id for run in crashed) or lease.holder
        yield Finding(
            "LOOP_DEAD", f"{who} is dead and never gave the account back; {_exposure(sight)}", subject, True
        )
        return
    signs = list(_signs(sight, memory, bounds, lease))
    if signs:
        yield Finding("LOOP_STUCK", f"{'; '.join(signs)}; {_exposure(sight)}", subject, True)


def _signs(sight: Sight, memory: Memory, bounds: Bounds, lease: LeaseSeen) -> Iterator[str]:
    """Why the holder of the lease counts as stuck."""
    for run in sight.runs:
        if run.heartbeat_age_s is None:
            yield f"the runner of {run.run_id} has no heartbeat"
        elif not abs(run.heartbeat_age_s) <= bounds.stuck_after_s:  # from the future: the clock was set
            yield f"the runner of {run.run_id} was last heard {run.heartbeat_age_s:.1f} s ago"
    expired_s = (sight.wall_ns - lease.until_wall_ns) / NANO
    if expired_s > bounds.stuck_after_s:
        yield f"the lease ran out {expired_s:.1f} s ago and was not renewed"
    quiet_s = (sight.wall_ns - memory.head_since_ns) / NANO
    if quiet_s > bounds.no_progress_s:
        yield f"nothing was recorded for {quiet_s:.0f} s"


def _outside(sight: Sight, memory: Memory, bounds: Bounds) -> Iterator[Finding]:
    if memory.journal_since_ns and _lasted(memory.journal_since_ns, sight, bounds.journal_silent_s):
        yield Finding("JOURNAL_UNREACHABLE", sight.journal_trouble or "no answer", "journal", memory.loop)
    if memory.venue_since_ns and _lasted(memory.venue_since_ns, sight, bounds.venue_silent_s):
        exposed = memory.loop or bool(sight.open_orders)
        text = f"{sight.venue_trouble or 'no answer'}; {_exposure(sight)}"
        yield Finding("VENUE_UNREACHABLE", text, "venue", exposed)
    if memory.skewed_since_ns:
        seen = "not known any more" if sight.skew_ns is None else f"{sight.skew_ns / NANO:+.3f} s"
        text = f"the venue's clock minus ours is {seen}, the bound is {bounds.max_clock_skew_s:g} s"
        yield Finding("CLOCK_SKEW", text, "clock", True)


def _room(sight: Sight, memory: Memory, bounds: Bounds) -> Iterator[Finding]:
    if len(memory.sizes) > 1:
        grown_mb = (memory.sizes[-1][1] - memory.sizes[0][1]) / 1e6
        if grown_mb > bounds.max_growth_mb_per_hour:
            yield Finding(
                "JOURNAL_GROWTH", f"the journal grew by {grown_mb:,.0f} MB within an hour", "journal"
            )
    if sight.free_bytes is not None and sight.free_bytes < bounds.min_free_disk_mb * 1e6:
        text = f"{sight.free_bytes / 1e6:,.0f} MB are left, the bound is {bounds.min_free_disk_mb:,.0f} MB"
        yield Finding("DISK_LOW", text, "disk")


def _exposure(sight: Sight) -> str:
    held = sum(quantity != 0 for quantity in sight.positions_nano.values())
    return f"{len(sight.open_orders)} order(s) may be open, {held} position(s) held"


def _since(since_ns: int, now_true: bool, now_ns: int) -> int:
    return (since_ns or now_ns) if now_true else 0


def _lasted(since_ns: int, sight: Sight, bound_s: float) -> bool:
    return sight.wall_ns - since_ns >= bound_s * NANO


def _sizes(sizes: Sequence[tuple[int, int]], now_ns: int, size: int | None) -> tuple[tuple[int, int], ...]:
    if size is None:
        return tuple(sizes)
    kept = [entry for entry in sizes if now_ns - entry[0] <= 3_600 * NANO]
    if len(kept) > 1 and now_ns - kept[-2][0] < 60 * NANO:
        kept.pop()
    return (*kept, (now_ns, size))
