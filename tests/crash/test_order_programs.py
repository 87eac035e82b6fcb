"""Random programs on the order path over sockets: whatever they do, the books are the venue's in the end.

Seed and number replay a program: `play(SEED, [number])`.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.crash.test_guards_have_teeth import fills_by_arrival, new_id_on_retry, no_write_ahead
from tests.support.order_line import Line
from tests.support.order_programs import play

SEED = 7
#: Another one in the environment makes new programs; docs/reference/random-programs.md adds them up.
PROOF_SEED = int(os.environ.get("PROOF_SEED", SEED))
#: Programs of `make test`, and of each half of the proof; their numbers do not overlap.
SAMPLE, PROOF = 300, 2_500


@pytest.mark.slow
def test_random_programs_end_with_the_venues_books() -> None:
    counts, broken = play(SEED, range(SAMPLE))
    print(f"seed {SEED}, programs 0 to {SAMPLE - 1}: {dict(counts)}")
    assert broken == []
    for what in ("deaths", "faults", "restarts", "restarts of the venue", "jumps of the clock"):
        assert counts[what] > 10, f"too few {what} to mean anything"
    assert counts["ended FILLED"] > 50
    assert counts["orders"] > SAMPLE


@pytest.mark.prove
@pytest.mark.parametrize("half", [1, 2])
def test_many_random_programs_end_with_the_venues_books(
    half: int, record_property: Callable[[str, object], None]
) -> None:
    counts, broken = play(PROOF_SEED, range(half * PROOF, (half + 1) * PROOF))
    for name in ("programs", "orders", "faults", "deaths", "restarts"):
        record_property(name, counts[name])
    record_property("seed", PROOF_SEED)
    assert broken == []


@pytest.mark.slow
@pytest.mark.parametrize("guard", [new_id_on_retry, no_write_ahead, fills_by_arrival])
def test_the_programs_miss_a_guard_that_is_taken_away(
    guard: Callable[[Line, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in range(0, 60, 5):
        with monkeypatch.context() as patch:
            _, broken = play(SEED, range(first, first + 5), lambda line: guard(line, patch))
        if broken:
            return
    raise AssertionError(f"sixty programs without {guard.__name__} ended well")
