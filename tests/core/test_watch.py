"""What a watchdog concludes from what it sees: each sign by itself, and never less from less."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.types import NANO
from workbench.core.watch import Bounds, LeaseSeen, Memory, RunSeen, Sight, judge, remember

NOW = 1_700_000_000 * NANO
BOUNDS = Bounds(
    stuck_after_s=15.0, no_progress_s=120.0, max_clock_skew_s=2.0, venue_silent_s=30.0, journal_silent_s=10.0,
    max_growth_mb_per_hour=100.0, min_free_disk_mb=1_000.0,
)  # fmt: skip
RUN = RunSeen("trading_loop/2013-02-01.1", 0.4, over=False)
LEASE = LeaseSeen("host:boot:7:9", 3, NOW + 20 * NANO, released=False, holder_dead=False)
WELL = Sight(
    wall_ns=NOW, state="ACTIVE", head=40, journal_bytes=10**6, free_bytes=10**11, lease=LEASE, runs=(RUN,),
    open_orders=("wb1-a",), positions_nano={"AAPL": NANO, "IBM": 0}, skew_ns=NANO,
)  # fmt: skip


def seen(*sights: Sight, memory: Memory | None = None) -> tuple[Any, ...]:
    """Findings of the last of these looks."""
    memory = memory or Memory()
    for sight in sights:
        memory = remember(memory, sight, BOUNDS)
    return judge(sights[-1], memory, BOUNDS)


def codes(*sights: Sight) -> list[tuple[str, bool]]:
    return [(finding.code, finding.halts) for finding in seen(*sights)]


def later(sight: Sight, seconds: float, **changes: Any) -> Sight:
    return replace(sight, wall_ns=sight.wall_ns + int(seconds * NANO), **changes)


def test_a_healthy_loop_is_nothing_to_speak_of() -> None:
    assert codes(WELL) == []
    assert codes(WELL, later(WELL, 60, head=41, lease=replace(LEASE, until_wall_ns=NOW + 80 * NANO))) == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"lease": replace(LEASE, holder_dead=True)}, "LOOP_DEAD"),
        ({"runs": (replace(RUN, over=True, heartbeat_age_s=20.0),)}, "LOOP_DEAD"),
        ({"runs": (replace(RUN, heartbeat_age_s=15.1),)}, "LOOP_STUCK"),
        ({"runs": (replace(RUN, heartbeat_age_s=-15.1),)}, "LOOP_STUCK"),
        ({"runs": (replace(RUN, heartbeat_age_s=float("nan")),)}, "LOOP_STUCK"),
        ({"runs": (replace(RUN, heartbeat_age_s=None),)}, "LOOP_STUCK"),
        ({"lease": replace(LEASE, until_wall_ns=NOW - 16 * NANO)}, "LOOP_STUCK"),
    ],
)
def test_each_sign_of_a_dead_or_stuck_loop_halts(changes: dict[str, Any], code: str) -> None:
    (finding,) = seen(replace(WELL, **changes))
    assert (finding.code, finding.halts, finding.subject) == (code, True, "lease 3")
    assert "1 order(s) may be open, 1 position(s) held" in finding.text


@pytest.mark.parametrize(
    "changes",
    [
        {"runs": (replace(RUN, heartbeat_age_s=14.9),)},
        {"lease": replace(LEASE, until_wall_ns=NOW - 14 * NANO)},
        {"runs": ()},
    ],
)
def test_what_is_within_the_bounds_is_borne(changes: dict[str, Any]) -> None:
    assert codes(replace(WELL, **changes)) == []


def test_a_loop_that_records_nothing_is_stuck_whatever_its_heart_does() -> None:
    fresh = replace(LEASE, until_wall_ns=NOW + 200 * NANO)
    assert codes(WELL, later(WELL, 119, lease=fresh)) == []
    assert codes(WELL, later(WELL, 121, lease=fresh)) == [("LOOP_STUCK", True)]


@pytest.mark.parametrize("lease", [None, replace(LEASE, released=True, holder_dead=True)])
def test_after_a_clean_end_nothing_is_dead_but_open_orders_are_told_after_a_while(
    lease: LeaseSeen | None,
) -> None:
    ended = replace(WELL, lease=lease, runs=())
    assert codes(ended) == []
    assert codes(ended, later(ended, 16)) == [("ORDERS_UNWATCHED", False)]
    assert codes(ended, later(ended, 16, open_orders=())) == []
    crashed = replace(ended, runs=(replace(RUN, over=True),), open_orders=())
    assert codes(crashed) == [("RUN_CRASHED", False)]


def test_a_journal_that_does_not_answer_halts_only_where_a_loop_may_be_at_work() -> None:
    gone = Sight(wall_ns=NOW + NANO, journal_trouble="no such file", free_bytes=10**11)
    assert codes(WELL, gone) == []
    assert codes(WELL, gone, later(gone, 11)) == [("JOURNAL_UNREACHABLE", True)]
    assert codes(gone, later(gone, 11)) == [("JOURNAL_UNREACHABLE", True)]  # never read: a loop may be there
    idle = replace(WELL, lease=None, runs=(), open_orders=())
    assert codes(idle, gone, later(gone, 11)) == [("JOURNAL_UNREACHABLE", False)]
    assert codes(WELL, gone, later(gone, 5, journal_trouble="", lease=LEASE, head=41)) == []


def test_a_silent_venue_halts_while_anything_is_exposed_and_does_not_heal_the_clocks() -> None:
    silent = replace(WELL, venue_trouble="no route", skew_ns=None)
    assert codes(silent, later(silent, 29, head=41)) == []
    assert ("VENUE_UNREACHABLE", True) in codes(silent, later(silent, 31, head=41))
    idle = replace(silent, lease=None, runs=(), open_orders=())
    assert codes(idle, later(idle, 31)) == [("VENUE_UNREACHABLE", False)]
    skewed = replace(WELL, skew_ns=-3 * NANO)
    assert codes(skewed) == [("CLOCK_SKEW", True)]
    assert ("CLOCK_SKEW", True) in codes(skewed, later(silent, 1))
    assert codes(skewed, later(WELL, 2)) == []
    assert codes(replace(WELL, skew_ns=2 * NANO)) == []


def test_room_on_the_disk_and_growth_within_an_hour() -> None:
    assert codes(replace(WELL, free_bytes=999 * 10**6)) == [("DISK_LOW", False)]
    assert codes(replace(WELL, free_bytes=None)) == []
    base = replace(WELL, lease=None, runs=(), open_orders=())
    slow = [later(base, 600 * n, journal_bytes=10**6 + n * 20 * 10**6) for n in range(20)]
    assert codes(*slow[:6]) == []  # 100 MB in 50 minutes
    assert codes(*slow) == [("JOURNAL_GROWTH", False)]  # 120 MB in the last hour
    often = [later(base, n, journal_bytes=10**6) for n in range(4_000)]
    memory = Memory()
    for sight in often:
        memory = remember(memory, sight, BOUNDS)
    assert len(memory.sizes) < 70


LEASES = st.sampled_from(
    [None, LEASE, replace(LEASE, released=True), replace(LEASE, holder_dead=True),
     replace(LEASE, until_wall_ns=NOW - 60 * NANO)]
)  # fmt: skip
RUNS = st.builds(RunSeen, st.just("r"), st.none() | st.floats(), st.booleans())
SIGHTS = st.builds(
    Sight,
    wall_ns=st.integers(0, 200).map(lambda s: NOW + s * NANO),
    state=st.sampled_from(["ACTIVE", "REDUCING", "HALTED"]),
    venue_trouble=st.sampled_from(["", "no route"]),
    head=st.integers(0, 3),
    journal_bytes=st.none() | st.integers(0, 10**9),
    free_bytes=st.none() | st.integers(0, 10**10),
    lease=LEASES,
    runs=st.lists(RUNS, max_size=2).map(tuple),
    open_orders=st.lists(st.just("a"), max_size=2).map(tuple),
    skew_ns=st.none() | st.integers(-(10**12), 10**12),
)  # fmt: skip
HISTORIES = st.lists(SIGHTS, min_size=1, max_size=6).map(lambda found: sorted(found, key=lambda s: s.wall_ns))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(HISTORIES)
def test_losing_the_venue_or_a_heartbeat_never_takes_a_halt_away(history: list[Sight]) -> None:
    known = {finding.code for finding in seen(*history) if finding.halts}
    last = history[-1]
    silent = replace(last, venue_trouble="gone", skew_ns=None)
    loop_codes = {"LOOP_DEAD", "LOOP_STUCK", "JOURNAL_UNREACHABLE", "VENUE_UNREACHABLE"}
    now = {finding.code for finding in seen(*history[:-1], silent) if finding.halts}
    assert known & loop_codes <= now
    deaf = replace(last, runs=tuple(replace(run, heartbeat_age_s=None) for run in last.runs))
    assert known <= {finding.code for finding in seen(*history[:-1], deaf) if finding.halts}


@settings(max_examples=200, deadline=None, derandomize=True)
@given(HISTORIES, st.floats(0.1, 1.0))
def test_a_tighter_bound_never_halts_less(history: list[Sight], factor: float) -> None:
    names = ("stuck_after_s", "no_progress_s", "max_clock_skew_s", "venue_silent_s", "journal_silent_s")
    tighter = replace(BOUNDS, **{name: getattr(BOUNDS, name) * factor for name in names})
    halts = []
    for bounds in (BOUNDS, tighter):
        memory = Memory()
        for sight in history:
            memory = remember(memory, sight, bounds)
        halts.append({finding.code for finding in judge(history[-1], memory, bounds) if finding.halts})
    assert halts[0] <= halts[1]
