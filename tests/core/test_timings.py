"""Durations in buckets: percentiles beside sorting them all, sessions added up, what goes over budget."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.timings import CYCLE_STAGES, StageTimes, bucket_of, longest_in, timings_table
from workbench.services.stages import StageTimer

MICROSECONDS = st.integers(0, 10**10)


@given(MICROSECONDS)
def test_a_bucket_holds_its_durations_and_is_narrow(microseconds: int) -> None:
    bucket = bucket_of(microseconds)
    longest = longest_in(bucket)
    assert microseconds <= longest <= microseconds * (1 + 1 / 32)
    assert bucket_of(longest) == bucket
    assert bucket_of(longest + 1) == bucket + 1


@given(st.lists(MICROSECONDS, min_size=1, max_size=60), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_that_of_the_sorted_durations(durations: list[int], fraction: float) -> None:
    times = StageTimes()
    for microseconds in durations:
        times.add(microseconds * 1_000)
    exact = sorted(durations)[math.ceil(fraction * len(durations)) - 1]
    assert exact <= times.percentile_us(fraction) <= exact * (1 + 1 / 32)
    assert times.percentile_us(1.0) == max(durations)
    assert (times.count, times.total_us) == (len(durations), sum(durations))


@given(st.lists(st.lists(MICROSECONDS, min_size=1, max_size=20), min_size=1, max_size=4))
def test_sessions_add_up_to_one_long_session(sessions: list[list[int]]) -> None:
    whole, records = StageTimes(budget_ms=5), []
    for durations in sessions:
        part = StageTimes(budget_ms=5)
        for microseconds in durations:
            part.add(microseconds * 1_000)
            whole.add(microseconds * 1_000)
        records.append({"data": part.as_record()})
    merged = StageTimes()
    for record in records:
        merged.merge(record["data"])
    assert merged == whole
    (row,) = timings_table(records).to_dict("records")
    assert (row["cycles"], row["over"], row["max_ms"]) == (whole.count, whole.over, whole.max_us / 1e3)


def test_the_room_does_not_grow_with_the_cycles() -> None:
    times = StageTimes()
    for microseconds in range(100_000):
        times.add(microseconds * 1_000)
    assert len(times.buckets) < 32 * 14


class Wall:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns

    def move(self, milliseconds: float) -> None:
        self.now_ns += int(milliseconds * 1e6)


def cycle(timer: StageTimer, wall: Wall, spent: dict[str, float]) -> None:
    """One decision cycle as the session times it."""
    with timer.stage("decide"):
        for name in CYCLE_STAGES[:-2]:
            wall.move(spent[name])
            timer.lap(name)
        wall.move(spent["record"])
    with timer.stage("send"):
        wall.move(spent["submit"])


def test_each_stage_of_a_cycle_gets_its_own_time_and_a_breach_is_told_once() -> None:
    wall = Wall()
    timer = StageTimer(wall, budget_ms=1_000)
    timer.budgets_ms = dict.fromkeys(CYCLE_STAGES, 100)
    for _ in range(9):
        cycle(timer, wall, {name: 10.0 * place for place, name in enumerate(CYCLE_STAGES, start=1)})
    cycle(timer, wall, {**dict.fromkeys(CYCLE_STAGES, 1.0), "forecast": 250.0})
    timed, *alerts = timer.events("demo", "2013-02-01", 7)
    stages = timed.payload["stages"]
    assert [stages[name]["max_us"] for name in CYCLE_STAGES] == [
        10_000, 20_000, 30_000, 250_000, 50_000, 60_000, 70_000, 80_000,
    ]  # fmt: skip
    assert {stages[name]["count"] for name in CYCLE_STAGES} == {10}
    (told,) = [one.payload for one in alerts if "forecast" in one.payload["text"]]
    assert (told["code"], told["at_ns"]) == ("STAGE_BUDGET", 7)
    assert told["text"] == "stage forecast took 250 ms at most, over its budget of 100 ms in 1 of 10 cycle(s)"
    assert any("session: decide" in one.payload["text"] for one in alerts)
    assert len(alerts) == 2


def test_a_clock_that_was_set_back_counts_as_no_time() -> None:
    wall = Wall()
    timer = StageTimer(wall, budget_ms=1_000)
    cycle(timer, wall, {**dict.fromkeys(CYCLE_STAGES, 1.0), "data": -50.0})
    (timed,) = timer.events("demo", "2013-02-01", 7)
    assert timed.payload["stages"]["data"]["max_us"] == 0


def test_nothing_timed_gives_the_same_columns() -> None:
    assert timings_table([]).columns.tolist() == timings_table([{"data": _one(3)}]).columns.tolist()


def _one(milliseconds: int) -> dict[str, object]:
    times = StageTimes()
    times.add(milliseconds * 1_000_000)
    return times.as_record()


@pytest.mark.parametrize("order", [CYCLE_STAGES, CYCLE_STAGES[::-1]])
def test_the_table_is_in_the_order_of_a_cycle(order: tuple[str, ...]) -> None:
    table = timings_table([{"session: watch": _one(1), **{name: _one(1) for name in order}}])
    assert table["stage"].tolist() == [*CYCLE_STAGES, "session: watch"]
