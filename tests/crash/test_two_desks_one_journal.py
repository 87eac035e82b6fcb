"""Two processes fight for one lease at random moments: no order leaves without the current token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.alpaca_world import ServedVenue
from tests.support.kill_world import ROOT, desk_at, venue_of_many
from workbench.adapters.venue_server.door import LONGEST_LOG
from workbench.bootstrap.desk import open_journal
from workbench.config import Settings

#: Ten minutes in all. An order whose last look was refused stays UNKNOWN until the next session, and every
#: thief asks for all of these: on one journal two desks would soon do nothing else.
TURNS, TURN_S = 10, 60.0
THIEF = ROOT / "tests/support/lease_thief.py"


def start(settings: Settings, name: str, seconds: float, seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(THIEF), str(settings.file), name, str(seconds), str(seed)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def fight(settings: Settings, seconds: float, seed: int) -> dict[str, int]:
    """Let both desks fight; what they did together."""
    both = [start(settings, name, seconds, seed) for name in ("a", "b")]
    done: Counter[str] = Counter()
    for process in both:
        out, words = process.communicate(timeout=seconds + 120)
        assert process.returncode == 0, words[-3000:] + out
        done.update(json.loads(out.splitlines()[-1]))
    return dict(done)


def judge(settings: Settings, venue: ServedVenue) -> dict[str, int]:
    """Walk over the journal: whose every order was, and who held the account when it was sent.

    An order is recorded as SENT only while its desk holds the lease; nothing else gets to the venue. After
    the lease was taken, at most one order of the loser may still arrive: the one whose last look was over. It
    shows as an order that the venue has and whose answer the loser could not record.
    """
    log = venue.hands.requests()
    assert len(log) < LONGEST_LOG, "the venue's log no longer has every request"
    posts = Counter(row["client_order_id"] for row in log if row["endpoint"] == "POST /v2/orders")
    with open_journal(settings, read_only=True) as journal:
        events = journal.events()
        assert journal.verify().ok
    owner, holder, token, stray = {}, "", 0, Counter()
    period: dict[str, int] = {}
    answered: set[tuple[str, int]] = set()
    for event in events:
        payload = event.payload
        if event.kind == "lease.acquired":
            assert payload["token"] > token
            holder, token = str(payload["holder"]), int(payload["token"])
        elif event.kind == "order.intended":
            owner[payload["client_order_id"]] = f"desk-{payload['leg'][0]}"
        elif event.kind == "order.changed":
            identity = str(payload["client_order_id"])
            if payload["state"] == "SENT":
                assert owner[identity] == holder, f"{identity} of {owner[identity]} was sent under {holder}"
                period[identity] = token
            else:
                answered.add((identity, token))
    for identity, count in posts.items():
        assert identity in period, f"{identity} reached the venue and was never SENT in the journal"
        assert count == 1, f"{identity} was posted {count} times"
        if (identity, period[identity]) not in answered:
            stray[period[identity]] += 1
    assert max(stray.values(), default=0) <= 1, f"more than one order after a steal: {stray}"
    return {"orders at the venue": len(posts), "in flight at a steal": sum(stray.values())}


def battle(
    folder: Path, seconds: float, seed: int, journal_url: str = ""
) -> tuple[dict[str, int], dict[str, int]]:
    folder.mkdir()
    venue = venue_of_many(folder)
    try:
        # it is the lease that is tried: at 150 requests a minute the desks would soon stand and wait
        settings = desk_at(folder / "desk", venue, journal_url=journal_url, per_minute=60_000)
        return fight(settings, seconds, seed), judge(settings, venue)
    finally:
        venue.close()


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEY", "SECRET"):
        monkeypatch.setenv(f"WORKBENCH_SECRETS__VENUE_{name}", "")


def test_no_order_leaves_without_the_current_token(tmp_path: Path, keys: None, place: Any) -> None:
    url = place.url if place.kind == "postgresql" else ""
    done, seen = battle(tmp_path / "world", 5.0, 7, url)
    assert done["steals"] > 10
    assert seen["orders at the venue"] > 20


@pytest.mark.prove
def test_no_order_leaves_without_the_current_token_in_ten_minutes(
    tmp_path: Path, keys: None, place: Any, record_property: Any
) -> None:
    seed = int(os.environ.get("PROOF_SEED", "20130102"))
    total: Counter[str] = Counter()
    for turn in range(TURNS):
        url = place.server.new_place().url if place.kind == "postgresql" else ""
        done, seen = battle(tmp_path / f"world-{turn}", TURN_S, seed + turn, url)
        total.update(done)
        total.update(seen)
    for name, value in {**total, "desks": TURNS, "seconds each": TURN_S, "seed": seed}.items():
        record_property(name, value)
    assert total["steals"] > 1_000
    assert total["orders at the venue"] > 1_000
