"""What is due now, judged slot by slot in the slow and obvious way, and what must hold of any history."""

from __future__ import annotations

from fortnight import MINUTE, Fortnight, at, job
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.agenda import agenda
from workbench.core.jobs import Job
from workbench.core.schedule import Attempt, Miss, Recorded, Start

CALENDAR = Fortnight()
SESSIONS = CALENDAR.sessions_between(CALENDAR.FIRST, CALENDAR.LAST)[:4]
JOBS: dict[str, Job] = {
    one.name: one
    for one in (
        job("feed", "open-90m", misfire="catch_up", attempts=2),
        job(
            "trade", "open-30m", needs=("feed",), start_within_s=840.0, attempts=2, resume_until="close",
            sends_orders=True, holds_account=True,
        ),
        job("reconcile", "close+20m", start_within_s=3600.0, attempts=2, holds_account=True, repeats=True),
        job("cost", "close+30m", needs=("trade",), misfire="catch_up", attempts=2),
    )
}  # fmt: skip
OFFSET = {"feed": ("open", -90), "trade": ("open", -30), "reconcile": ("close", 20), "cost": ("close", 30)}
FROM = {name: at("2026-03-01 00:00") for name in JOBS}


def due_of(name: str, session: str) -> int:
    edge, minutes = OFFSET[name]
    base = CALENDAR.session_open_ns(session) if edge == "open" else CALENDAR.session_close_ns(session)
    return base + minutes * MINUTE


RUN = st.tuples(
    st.sampled_from(sorted(JOBS)), st.sampled_from(SESSIONS),
    st.sampled_from(["done", "failed", "failed", "running"]), st.booleans(),
)  # fmt: skip
FED = [("feed", session, "done", True) for session in SESSIONS]
TRADE = st.sampled_from([
    [], [("trade", SESSIONS[0], "failed", True)],
    [("trade", SESSIONS[0], "failed", True), ("reconcile", SESSIONS[0], "done", False)],
    [("reconcile", SESSIONS[0], "done", False), ("trade", SESSIONS[0], "failed", True)],
])  # fmt: skip
#: Anything at all, or days on which the feed came and a trading run ended badly.
HISTORIES = st.one_of(
    st.lists(RUN, max_size=14),
    st.builds(lambda trade, more: [*FED, *trade, *more], TRADE, st.lists(RUN, max_size=4)),
)
#: Any minute of four days, or one of the first session.
NOW = st.one_of(
    st.integers(at("2026-03-02 00:00") // MINUTE, at("2026-03-06 12:00") // MINUTE),
    st.integers(at("2026-03-02 09:00") // MINUTE, at("2026-03-02 16:00") // MINUTE),
).map(lambda minute: minute * MINUTE)
MISSED = st.sets(st.tuples(st.sampled_from(sorted(JOBS)), st.sampled_from(SESSIONS)), max_size=5)
HALTED, PAUSED = st.sampled_from(["", "", "a break"]), st.sampled_from(["", "", "feed", "trade"])


def attempts_of(history: list[tuple[str, str, str, bool]]) -> tuple[Attempt, ...]:
    """The runs in order; one job never has two at a time, because the journal would not have taken them."""
    found: list[Attempt] = []
    running: set[str] = set()
    for number, (name, session, status, by_schedule) in enumerate(history):
        if name in running:
            continue
        due_ns = due_of(name, session) if by_schedule else 0
        began = 10 * number + 1
        found.append(
            Attempt(
                f"{name}/{session}.{number}",
                name,
                session,
                status,
                due_ns,
                began,
                0 if status == "running" else began + 5,
            )
        )
        if status == "running":
            running.add(name)
    return tuple(found)


def naive(known: Recorded, now_ns: int) -> dict[tuple[str, str], str]:
    """What becomes of every due slot, "start", "miss" or "wait", with room for all and no overlap rules."""
    answers: dict[tuple[str, str], str] = {}
    for name in JOBS:
        earlier_open = False
        for session in SESSIONS:
            due_ns = due_of(name, session)
            if due_ns > now_ns or (name, session, due_ns) in known.missed:
                continue
            mine = [one for one in known.attempts if (one.job, one.session) == (name, session)]
            counted = [one for one in mine if one.due_ns == due_ns] if name == "reconcile" else mine
            if any(one.status == "done" for one in counted):
                continue
            answers[name, session] = (
                "wait" if earlier_open else one_slot(known, now_ns, name, session, counted)
            )
            earlier_open = earlier_open or answers[name, session] != "miss"
    return answers


def one_slot(known: Recorded, now_ns: int, name: str, session: str, mine: list[Attempt]) -> str:
    if any(one.status == "running" for one in mine):
        return "wait"
    if len(mine) >= 2:
        return "miss"
    ready = needed(known, name, session)
    if ready == "never":
        return "miss"
    if name == "trade":
        limit = CALENDAR.session_close_ns(session) if mine else due_of(name, session) + 14 * MINUTE
    elif name == "reconcile" and not mine:
        limit = due_of(name, session) + 60 * MINUTE
    else:
        limit = now_ns
    if now_ns > limit:
        return "miss"
    if name == "trade" and mine:
        looks = [one for one in known.attempts if one.job == "reconcile" and one.began > mine[-1].ended]
        if not any(one.status == "done" for one in looks):
            blocked = any(one.status == "running" for one in looks) or len(looks) >= 3
            return "wait" if blocked else "look"
    barred = name in known.paused or (name == "trade" and bool(known.halted))
    return "wait" if barred or ready == "not yet" else "start"


def needed(known: Recorded, name: str, session: str) -> str:
    """Whether what a job needs is done: "yes", "not yet" or "never"."""
    need = {"trade": "feed", "cost": "trade"}.get(name)
    statuses = {one.status for one in known.attempts if (one.job, one.session) == (need, session)}
    if need is None or "done" in statuses:
        return "yes"
    gone = any(key[:2] == (need, session) for key in known.missed)
    return "never" if gone and "running" not in statuses else "not yet"


@settings(max_examples=300)
@given(HISTORIES, NOW, MISSED, HALTED, PAUSED)
def test_the_agenda_is_the_naive_one(
    history: list[tuple[str, str, str, bool]],
    now_ns: int,
    gone: set[tuple[str, str]],
    halted: str,
    paused: str,
) -> None:
    known = Recorded(
        attempts_of(history), {(*key, due_of(*key)): "late" for key in gone}, FROM,
        {paused: "ann: why"} if paused else {}, halted,
    )  # fmt: skip
    found = agenda(JOBS, CALENDAR, known, now_ns=now_ns, room=99)
    wanted = naive(known, now_ns)
    assert {(one.job, one.session) for one in found.misses} == {k for k, v in wanted.items() if v == "miss"}
    may = {key for key, verdict in wanted.items() if verdict == "start"}
    looks = {("reconcile", key[1]) for key, verdict in wanted.items() if verdict == "look"}
    started = {(one.job, one.session) for one in found.starts}
    assert started <= may | looks
    # what is not started although it may be is held up by a run, of its job or of the account
    busy = {one.job for one in known.attempts if one.status == "running"} | {one.job for one in found.starts}
    for name, _ in (may | looks) - started:
        assert name in busy or (JOBS[name].holds_account and busy & {"trade", "reconcile"})
    assert found.wake_ns > now_ns


@settings(max_examples=300)
@given(HISTORIES, NOW, MISSED, HALTED)
def test_what_must_hold_of_any_history(
    history: list[tuple[str, str, str, bool]], now_ns: int, gone: set[tuple[str, str]], halted: str
) -> None:
    known = Recorded(attempts_of(history), {(*key, due_of(*key)): "late" for key in gone}, FROM, {}, halted)
    found = agenda(JOBS, CALENDAR, known, now_ns=now_ns, room=2)
    done = {(one.job, one.session) for one in known.attempts if one.status == "done"}
    running = {one.job for one in known.attempts if one.status == "running"}
    names = [one.job for one in found.starts]
    assert len(names) == len(set(names)) <= 2
    assert not set(names) & running
    holding = [name for name in (*names, *running) if JOBS[name].holds_account]
    assert len(holding) <= max(1, len([name for name in running if JOBS[name].holds_account]))
    for start in found.starts:
        assert start.due_ns <= now_ns
        if start.job == "trade":
            assert (start.job, start.session) not in done
            assert not halted
            assert now_ns <= CALENDAR.session_close_ns(start.session)
            assert ("feed", start.session) in done
    for miss in found.misses:
        assert (miss.job, miss.session) not in {("trade", session) for _, session in done if _ == "trade"}


def test_less_room_starts_less_and_orders_come_first() -> None:
    known = Recorded(from_ns=FROM)
    now_ns = at("2026-03-02 09:01")
    attempt = Attempt("feed/2026-03-02.1", "feed", "2026-03-02", "done", 1, 1, 2)
    fed = Recorded(attempts=(attempt,), from_ns=FROM)
    assert agenda(JOBS, CALENDAR, known, now_ns=now_ns, room=0).starts == ()
    assert agenda(JOBS, CALENDAR, known, now_ns=now_ns, room=1).starts == (
        Start("feed", "2026-03-02", at("2026-03-02 08:00"), "schedule"),
    )
    assert agenda(JOBS, CALENDAR, fed, now_ns=now_ns, room=1).starts == (
        Start("trade", "2026-03-02", at("2026-03-02 09:00"), "schedule"),
    )


def test_a_clock_that_jumps_ahead_names_what_it_jumped_over_and_back_does_nothing_twice() -> None:
    known = Recorded(from_ns=FROM)
    late = agenda(JOBS, CALENDAR, known, now_ns=at("2026-03-04 12:00"), room=99)
    assert {(one.job, one.session) for one in late.misses} == {
        ("trade", "2026-03-02"), ("trade", "2026-03-03"), ("trade", "2026-03-04"),
        ("reconcile", "2026-03-02"), ("reconcile", "2026-03-03"),
    }  # fmt: skip
    assert [one.session for one in late.starts if one.job == "feed"] == ["2026-03-02"]
    done = Attempt("feed/2026-03-03.1", "feed", "2026-03-03", "done", due_of("feed", "2026-03-03"), 1, 2)
    back = agenda(
        JOBS, CALENDAR, Recorded((done,), from_ns=FROM), now_ns=due_of("feed", "2026-03-03"), room=99
    )
    assert all(one.session != "2026-03-03" for one in back.starts)


def test_a_miss_says_what_stood_in_the_way() -> None:
    known = Recorded(from_ns=FROM, halted="a break")
    (miss,) = [
        one
        for one in agenda(JOBS, CALENDAR, known, now_ns=at("2026-03-02 09:15"), room=9).misses
        if one.job == "trade"
    ]
    assert miss == Miss(
        "trade", "2026-03-02", at("2026-03-02 09:00"), "its time to start has passed: feed is not done yet"
    )


def test_jobs_that_were_never_counted_are_not_due() -> None:
    found = agenda(JOBS, CALENDAR, Recorded(), now_ns=at("2026-03-04 12:00"), room=9)
    assert (found.starts, found.misses, found.waiting) == ((), (), ())
