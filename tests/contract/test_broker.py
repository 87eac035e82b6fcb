"""Every broker under the contract of `workbench.testing`, and the embedded venue's own rules."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.alpaca_world import HandledBroker
from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.core.costs import FeeSchedule
from workbench.core.ports import SubmitOutcome
from workbench.core.types import DAY_NS, NANO, Bars
from workbench.errors import ConfigError, DataError, Refused, StorageFailed
from workbench.testing.broker_contract import BrokerContract
from workbench.testing.broker_world import CALENDAR, CASH, HOUR, HandClock, Market, World, intent
from workbench.testing.offered import simulated


def alpaca(folder: Path, clock: HandClock, **changes: Any) -> Any:
    """Alpaca's adapter over sockets, at a loopback venue with the same market and calendar."""
    return HandledBroker(folder, clock, calendar=CALENDAR, market=Market(clock), **changes)


BROKERS: dict[str, Callable[..., Any]] = {"alpaca": alpaca, "simulated": simulated}


@pytest.fixture(params=sorted(BROKERS))
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    yield from World.of(lambda clock: BROKERS[request.param](tmp_path, clock))


class TestBrokers(BrokerContract):
    #: Alpaca's asset gate sees a short sale before the venue does.
    OTHER_WORDS = {  # noqa: RUF012
        ("HandledBroker", "insufficient qty available for order (requested: 100, available: 0)"):
            'asset "AAA" cannot be sold short',
    }  # fmt: skip


# --- the simulated venue ---------------------------------------------------------------------------


@pytest.fixture
def clock() -> HandClock:
    return HandClock(CALENDAR.session_open_ns("2013-01-03") - HOUR)


def test_a_session_is_asked_for_only_when_trading_time_has_passed_it(
    tmp_path: Path, clock: HandClock
) -> None:
    market = Market(clock)
    broker = simulated(tmp_path, clock, market=market)
    broker.account()
    assert market.asked == ["2013-01-02"]
    clock.at_ns = CALENDAR.session_open_ns("2013-01-03")
    broker.account()
    assert market.asked == ["2013-01-02", "2013-01-03"]
    clock.at_ns = CALENDAR.session_close_ns("2013-01-04") - 1
    broker.account()
    assert market.asked == ["2013-01-02", "2013-01-03", "2013-01-03", "2013-01-04"]
    broker.close()


def test_the_clock_may_be_set_from_the_file_before_it_is_asked(tmp_path: Path, clock: HandClock) -> None:
    first = simulated(tmp_path, clock)
    assert first.last_ns == 0
    first.submit(intent())
    first.close()
    again = simulated(tmp_path, HandClock(0))
    assert again.last_ns == clock.at_ns
    assert again.now_ns() == clock.at_ns
    again.close()


def test_polls_in_between_do_not_change_the_venue(tmp_path: Path, clock: HandClock) -> None:
    digests = set()
    for name, steps in (("often", 500), ("once", 1)):
        at = HandClock(clock.at_ns)
        broker = simulated(tmp_path / name, at)
        broker.submit(intent())
        for n in range(1, steps + 1):
            at.at_ns = clock.at_ns + 5 * DAY_NS * n // steps
            broker.account()
        digests.add(broker.digest())
        broker.close()
    assert len(digests) == 1


def test_one_process_at_a_time(tmp_path: Path, clock: HandClock) -> None:
    first = simulated(tmp_path, clock)
    with pytest.raises(Refused, match="in use by another process"):
        simulated(tmp_path, clock)
    first.close()
    simulated(tmp_path, clock).close()


@pytest.mark.parametrize("change", [{"account": "other"}, {"cash_micro": CASH + 1}])
def test_a_file_of_another_account_is_refused(
    tmp_path: Path, clock: HandClock, change: dict[str, Any]
) -> None:
    first = simulated(tmp_path, clock)
    first.account()
    first.close()
    with pytest.raises(ConfigError, match="was opened with"):
        simulated(tmp_path, clock, **change)
    simulated(tmp_path, clock).close()  # the refusal let go of the file


def test_new_symbols_and_rules_are_recorded_and_history_stays(tmp_path: Path, clock: HandClock) -> None:
    first = simulated(tmp_path, clock)
    first.submit(intent())
    clock.at_ns = CALENDAR.session_close_ns("2013-01-03")
    before = first.fills(since_ns=0)
    first.close()
    changed = simulated(
        tmp_path, clock, symbols=("AAA", "CCC"), fees=FeeSchedule(commission_usd_per_share=1.0)
    )
    assert changed.fills(since_ns=0) == before
    clock.at_ns = CALENDAR.session_close_ns("2013-01-04")
    assert changed.quotes(["BBB", "CCC"]).bid_micro.min() > 0
    changed.close()
    simulated(tmp_path, clock).close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE commands SET command = replace(command, '100000000000', '900000000000') WHERE seq > 2",
        "DELETE FROM commands WHERE seq = 2",
        "UPDATE commands SET reply = replace(reply, 'true', 'false') WHERE seq = 3",
        "UPDATE commands SET command = '{' WHERE seq = 3",
    ],
)
def test_an_altered_file_is_named(tmp_path: Path, clock: HandClock, statement: str) -> None:
    broker = simulated(tmp_path, clock)
    broker.submit(intent())
    clock.at_ns += 2 * DAY_NS
    broker.account()
    broker.close()
    with closing(sqlite3.connect(tmp_path / "venue.sqlite", isolation_level=None)) as database:
        assert database.execute(statement).rowcount
    with pytest.raises(DataError, match=r"command \d no longer gives"):
        simulated(tmp_path, clock)


def test_a_file_that_is_no_database_is_named(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "venue.sqlite").write_bytes(b"not a database" * 100)
    with pytest.raises(StorageFailed, match=r"venue\.sqlite"):
        simulated(tmp_path, clock)


class NoMoreRoom:
    """A connection whose disk is full from now on: SQLite's own page limit."""

    def __init__(self, broker: SimulatedBroker) -> None:
        database = broker._database
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")


def test_what_cannot_be_stored_is_unknown_and_nothing_follows_it(tmp_path: Path, clock: HandClock) -> None:
    broker = simulated(tmp_path, clock)
    broker.submit(intent())
    NoMoreRoom(broker)
    results = [broker.submit(intent(f"n{n}", quantity_nano=NANO)) for n in range(40)]
    outcomes = [result.outcome for result in results]
    full = outcomes.index(SubmitOutcome.UNKNOWN)
    assert set(outcomes[:full]) <= {SubmitOutcome.ACCEPTED}
    assert set(outcomes[full + 1 :]) == {SubmitOutcome.NOT_ACCEPTED}
    assert broker.lookup(intent().client_order_id).answered is False
    broker.close()
    again = simulated(tmp_path, clock)
    acknowledged = [intent().client_order_id] + [intent(f"n{n}").client_order_id for n in range(full)]
    assert [order.client_order_id for order in again.orders(since_ns=0)] == acknowledged
    again.close()


def test_without_market_data_nothing_is_sent_and_the_session_is_named(
    tmp_path: Path, clock: HandClock
) -> None:
    market = Market(clock)

    def gone(symbols: Sequence[str], session: str) -> Bars:
        return market(symbols, session).rows(0, 0 if session == "2013-01-03" else 1)

    broker = simulated(tmp_path, clock, market=gone)
    broker.account()
    clock.at_ns += DAY_NS
    result = broker.submit(intent())
    assert result.outcome is SubmitOutcome.NOT_ACCEPTED
    assert "2013-01-03" in result.reason
    with pytest.raises(DataError, match="no market data of session 2013-01-03"):
        broker.account()
    broker.close()
