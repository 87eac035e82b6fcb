"""Orders that wait while the loop runs at a loopback venue, answered by processes of their own."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import drive
import pytest
from command_line import PROGRAM, ROOT, typed

from tests.support.loopback_venue import VenueHands, venue_in_thread
from workbench.bootstrap import signing
from workbench.bootstrap.desk import Desk
from workbench.config import DEFAULT_TOML

SESSION = "2013-02-01"
UNIVERSE = ("AAPL", "FB", "GOOG", "IBM", "MSFT")


def pointed_at(hands: VenueHands) -> str:
    text = DEFAULT_TOML.replace("\nrequired = false", "\nrequired = true", 1)
    text = text.replace("edge_multiple = 1.0", "edge_multiple = 0.2")  # more than one order a session
    addresses = {"broker": "alpaca", "url": hands.rest, "admin_url": hands.addresses["admin"]}
    head, tail = text[: text.index("[venue]")], text[text.index("[venue]") :]
    for key, value in addresses.items():
        tail = tail.replace(f'\n{key} = ""', f'\n{key} = "{value}"', 1)
    return head + tail


@pytest.mark.slow
def test_processes_of_their_own_answer_while_the_loop_polls_the_venue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with venue_in_thread(
        symbols=UNIVERSE, matching="daily", start="2013-01-31T21:00:00Z", cash_usd=1_000_000,
        state=tmp_path / "venue.jsonl",
    ) as hands:  # fmt: skip
        monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", hands.key)
        monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", hands.secret)
        settings = drive.make_desk(tmp_path / "desk", pointed_at(hands))
        signing.add_person(settings, "grace", role="approver")
        job = drive.start(settings, SESSION)
        job.trading.start()
        for scheduled_ns in job.trading.times.decision_ns:
            job.trading.decide(scheduled_ns)
        waiting = typed(settings.folder, "pending", "--json").payload["orders"]
        assert len(waiting) >= 2
        assert hands.ledger()["orders"] == []
        answers: list[subprocess.Popen[bytes]] = []

        def answer_beside(at_ns: int) -> None:
            """Start the two processes once; the loop goes on polling while they work."""
            if not answers:
                for command, row in zip(("approve", "decline"), waiting[:2], strict=True):
                    answers.append(subprocess.Popen(
                        [str(PROGRAM), command, row["id"], "--person", "grace", "--reason", "seen"],
                        cwd=settings.folder, env={**os.environ, "PYTHONPATH": str(ROOT)},
                    ))  # fmt: skip
            if any(one.poll() is None for one in answers):
                time.sleep(0.1)

        job.trading.watch(answer_beside)
        job.trading.close()
        job.finish()
        assert [one.wait() for one in answers] == [0, 0]
        states = {row["client_order_id"]: row["state"] for row in Desk(settings).journal.rows("orders")}
        assert states[waiting[1]["id"]] == "DECLINED"
        assert states[waiting[0]["id"]] in ("FILLED", "PARTIALLY_FILLED", "CANCELED", "EXPIRED")
        sent = [one for one in hands.requests() if one["endpoint"] == "POST /v2/orders"]
        assert len(sent) == 1
        assert [one["client_order_id"] for one in hands.ledger()["orders"]] == [waiting[0]["id"]]
