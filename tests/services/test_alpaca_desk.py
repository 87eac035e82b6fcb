"""The demonstration's desk at a loopback venue, one setting away: the same decisions for twenty sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import drive
import pytest

from tests.support.loopback_venue import UNIVERSE, VenueHands, pointed_at, venue_in_thread
from tests.support.wire import wait_for
from workbench.adapters.clock import SystemClock
from workbench.bootstrap.desk import Desk
from workbench.bootstrap.venues import open_venue
from workbench.config import DEFAULT_TOML, Settings, load_settings
from workbench.core.orders import OrderState
from workbench.errors import ConfigError
from workbench.services.supervision import HALTED


@pytest.fixture
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VenueHands]:
    with venue_in_thread(
        symbols=UNIVERSE, matching="daily", start="2013-01-31T21:00:00Z", cash_usd=1_000_000,
        state=tmp_path_factory.mktemp("venue") / "venue.jsonl",
    ) as hands:  # fmt: skip
        yield hands


def decided(settings: Settings) -> list[tuple[Any, ...]]:
    """Everything that was decided and traded, without the ids and clocks of a venue."""
    journal, account = Desk(settings).journal, settings.account
    decisions = [
        (row["session"], row["scheduled_ns"], row["rows"])
        for row in journal.rows("decisions", account=account)
    ]
    names = ("client_order_id", "side", "quantity_nano", "limit_micro", "state", "filled_nano")
    orders = [tuple(row[name] for name in names) for row in journal.rows("orders", account=account)]
    fills = sorted(
        (
            row["client_order_id"],
            row["quantity_nano"],
            row["price_micro"],
            row["fee_micro"],
            row["filled_at_ns"],
        )
        for row in journal.rows("fills", account=account)
    )
    return [*decisions, *orders, *fills]


@pytest.mark.parametrize(
    "sessions", [pytest.param(4, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.prove)]
)
def test_sessions_at_the_loopback_venue_are_those_of_the_embedded_one(
    tmp_path: Path, venue: VenueHands, monkeypatch: pytest.MonkeyPatch, sessions: int
) -> None:
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", venue.key)
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", venue.secret)
    there = drive.make_desk(tmp_path / "there", pointed_at(venue))
    here = drive.make_desk(tmp_path / "here", DEFAULT_TOML)
    for session in drive.sessions_of(here)[:sessions]:
        assert drive.trade(here, session)["equal_to_venue"]
        assert drive.trade(there, session)["equal_to_venue"]
    assert decided(there) == decided(here)
    assert len(Desk(there).journal.rows("fills")) >= sessions // 4
    assert all(row["clean"] for row in Desk(there).journal.rows("reconciliations"))
    journal = (tmp_path / "there/data/desk/journal.sqlite").read_bytes()
    assert venue.secret.encode() not in journal


@pytest.mark.slow
def test_another_account_id_is_refused_before_anything_is_traded(
    tmp_path: Path, venue: VenueHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", venue.key)
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", venue.secret)
    with pytest.raises(ConfigError, match="the keys open account"):
        drive.make_desk(tmp_path / "other", pointed_at(venue, account_id="another"))


def test_paper_takes_the_machines_clock_and_listens(
    tmp_path: Path, venue: VenueHands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_KEY", venue.key)
    monkeypatch.setenv("WORKBENCH_SECRETS__VENUE_SECRET", venue.secret)
    config = tmp_path / "workbench.toml"
    config.write_text(pointed_at(venue).replace('mode = "replay"', 'mode = "paper"'))
    settings = load_settings(str(config))
    link = open_venue(settings, Desk(settings), start_ns=0)
    try:
        assert isinstance(link.clock, SystemClock)
        assert link.stream is not None
        link.stream.start()
        assert wait_for(lambda: link.stream is not None and link.stream.generation == 1)
    finally:
        link.close()


class GapOnce:
    """A stream that has just connected again and has not been reconciled."""

    generation = 2

    def __init__(self) -> None:
        self.done, self.expected, self.silence_s = 0, [], 0.0

    def trouble(self) -> str:
        return "" if self.done == 2 else "connection 2 is not reconciled yet"

    def silent_s(self) -> float:
        return self.silence_s

    def reconciled(self, generation: int) -> None:
        self.done = generation

    def expect(self, client_order_id: str) -> None:
        self.expected.append(client_order_id)

    def forget(self, client_order_id: str) -> None:
        self.expected.remove(client_order_id)


def test_a_session_reconciles_after_a_gap_before_its_next_order(new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("gap")
    job = drive.start(settings, drive.FIRST)
    try:
        job.trading.start()
        gap = GapOnce()
        job.trading._listening._hints = gap
        seen = job.account.journal.events()[-1].seq
        orders = job.trading.decide(job.trading.times.decision_ns[0])
        accepted = [o.intent.client_order_id for o in orders if o.state is OrderState.ACCEPTED]
        assert gap.expected == accepted != []
        kinds = [event.kind for event in job.account.journal.events(after_seq=seen)]
        assert kinds.index("reconciliation.done") < kinds.index("order.changed")
        assert kinds.count("reconciliation.done") == 1
        gap.done, gap.silence_s = 0, 3_600.0
        assert job.trading._send_due() == 0  # the watching goes on
        assert job.account.supervision.permission().state == HALTED
    finally:
        job.account.close()
