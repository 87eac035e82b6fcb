"""What every broker promises to the services; a new adapter joins by adding its maker to `BROKERS`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.alpaca_world import HandledBroker
from workbench.adapters.simulated_broker import SimulatedBroker
from workbench.core.costs import FeeSchedule
from workbench.core.fills import FillParams
from workbench.core.ledger import Ledger, postings_of_fill
from workbench.core.orders import OrderIntent, OrderState, client_order_id
from workbench.core.ports import Broker, SubmitOutcome
from workbench.core.types import DAY_NS, NANO, Bars, OrderType, Side
from workbench.errors import ConfigError, DataError, Refused, StorageFailed

HOUR = 3_600 * NANO
CASH = 100_000_000_000
SYMBOLS = ("AAA", "BBB")
SESSIONS = tuple(f"2013-01-{day:02d}" for day in (2, 3, 4, 7, 8, 9, 10))
START = 15_707 * DAY_NS  # 2013-01-02T00:00Z


class TenSessions:
    """A calendar of a few sessions, 14:30 to 21:00 UTC."""

    def is_session(self, session: str) -> bool:
        return session in SESSIONS

    def session_open_ns(self, session: str) -> int:
        return START + (int(session[-2:]) - 2) * DAY_NS + 14 * HOUR + HOUR // 2

    def session_close_ns(self, session: str) -> int:
        return START + (int(session[-2:]) - 2) * DAY_NS + 21 * HOUR

    def previous_session(self, session: str) -> str:
        return max(other for other in SESSIONS if other < session)

    def next_session(self, session: str) -> str:
        return min(other for other in SESSIONS if other > session)

    def session_after_ns(self, at_ns: int) -> str:
        return min(other for other in SESSIONS if self.session_open_ns(other) > at_ns)

    def sessions_between(self, first: str, last: str) -> tuple[str, ...]:
        return tuple(other for other in SESSIONS if first <= other <= last)


class HandClock:
    """Trading time that the test sets."""

    def __init__(self, now_ns: int) -> None:
        self.at_ns = now_ns

    def now_ns(self) -> int:
        return self.at_ns

    def wall_ns(self) -> int:
        return self.at_ns

    def sleep_until(self, at_ns: int) -> None:
        self.at_ns = max(self.at_ns, at_ns)


CALENDAR = TenSessions()


class Market:
    """Bars that rise by one a session; hides what trading time has not reached, and notes who asks."""

    def __init__(self, clock: HandClock, volume: float = 1e6) -> None:
        self.clock, self.volume, self.asked = clock, volume, []

    def __call__(self, symbols: Sequence[str], session: str) -> Bars:
        opened, closed = CALENDAR.session_open_ns(session), CALENDAR.session_close_ns(session)
        assert opened <= self.clock.at_ns, f"{session} asked for before its open"
        self.asked.append(session)
        base = 20.0 + SESSIONS.index(session)
        known = self.clock.at_ns >= closed
        rows = {"open": base, "high": base + 1, "low": base - 1, "close": base + 0.5, "volume": self.volume}
        panel = {
            name: np.full((1, len(symbols)), value if known or name == "open" else np.nan)
            for name, value in rows.items()
        }
        tradable = np.ones((1, len(symbols)), dtype=bool)
        return Bars(np.array([closed]), tuple(sorted(symbols)), tradable=tradable, **panel)


@dataclass
class World:
    """A broker with a hand on its clock."""

    broker: Broker
    clock: HandClock
    reopen: Callable[..., Broker]

    def go(self, session: str, moment: str) -> None:
        """Set trading time to before_open, in_session or after_close of that session."""
        opened, closed = CALENDAR.session_open_ns(session), CALENDAR.session_close_ns(session)
        moments = {"before_open": opened - HOUR, "in_session": opened + HOUR, "after_close": closed + HOUR}
        self.clock.at_ns = moments[moment]


def simulated(folder: Path, clock: HandClock, **changes: Any) -> SimulatedBroker:
    arguments: dict[str, Any] = {
        "account": "demo", "cash_micro": CASH, "clock": clock, "calendar": CALENDAR, "market": Market(clock),
        "symbols": SYMBOLS, "fills": FillParams(), "fees": FeeSchedule(),
    }  # fmt: skip
    return SimulatedBroker(folder / "venue.sqlite", **(arguments | changes))


def alpaca(folder: Path, clock: HandClock, **changes: Any) -> Any:
    """Alpaca's adapter over sockets, at a loopback venue with the same market and calendar."""
    return HandledBroker(folder, clock, calendar=CALENDAR, market=Market(clock), **changes)


#: Where a broker says the same in other words: Alpaca's asset gate sees a short sale before the venue does.
OTHER_WORDS = {
    ("HandledBroker", "insufficient qty available for order (requested: 100, available: 0)"):
        'asset "AAA" cannot be sold short',
}  # fmt: skip
BROKERS: dict[str, Callable[..., Any]] = {"alpaca": alpaca, "simulated": simulated}


@pytest.fixture(params=sorted(BROKERS))
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    clock = HandClock(CALENDAR.session_open_ns("2013-01-03") - HOUR)
    made = []

    def reopen(**changes: Any) -> Any:
        for broker in made:
            broker.close()
        made.append(BROKERS[request.param](tmp_path, clock, **changes))
        return made[-1]

    yield World(reopen(), clock, reopen)
    for broker in made:
        broker.close()


def intent(name: str = "one", **changes: Any) -> OrderIntent:
    base = OrderIntent(
        client_order_id("demo", "trend", 1, "AAA", name), "demo", "trend", "2013-01-03", 1, "AAA", name,
        Side.BUY, 100 * NANO, OrderType.MARKET, 0, 20_500_000,
    )  # fmt: skip
    return replace(base, **changes)


# --- the contract ----------------------------------------------------------------------------------


def test_an_accepted_order_is_found_again_by_its_id_and_in_the_list(world: World) -> None:
    result = world.broker.submit(intent())
    assert result.outcome is SubmitOutcome.ACCEPTED
    assert result.order is not None
    assert (result.order.state, result.order.filled_nano) == (OrderState.ACCEPTED, 0)
    found = world.broker.lookup(intent().client_order_id)
    assert (found.found, found.answered, found.order) == (True, True, result.order)
    assert world.broker.orders(since_ns=0) == (result.order,)
    assert world.broker.orders(since_ns=world.clock.at_ns + 1) == ()


def test_an_unknown_id_is_answered_with_not_found(world: World) -> None:
    answer = world.broker.lookup("wb1-nobody")
    assert (answer.found, answer.answered, answer.order) == (False, True, None)
    assert answer.reason


def test_the_same_id_is_refused_while_open_and_after_the_end(world: World) -> None:
    world.broker.submit(intent())
    for moment in ("before_open", "after_close"):
        world.go("2013-01-03", moment)
        again = world.broker.submit(intent())
        assert (again.outcome, again.order) == (SubmitOutcome.REFUSED, None)
        assert again.reason == "client_order_id must be unique"
    assert len(world.broker.orders(since_ns=0)) == 1


def test_a_fill_appears_once_with_cash_and_position(world: World) -> None:
    world.broker.submit(intent())
    assert world.broker.fills(since_ns=0) == ()
    world.go("2013-01-03", "in_session")
    (fill,) = world.broker.fills(since_ns=0)
    assert (fill.symbol, fill.side, fill.quantity_nano) == ("AAA", Side.BUY, 100 * NANO)
    assert fill.price_micro > 21_000_000
    assert world.broker.fills(since_ns=0) == (fill,)
    assert world.broker.fills(since_ns=fill.filled_at_ns) == (fill,)
    assert world.broker.fills(since_ns=fill.filled_at_ns + 1) == ()
    account = world.broker.account()
    assert account.positions_nano == {"AAA": 100 * NANO}
    assert account.cash_micro == CASH - 100 * fill.price_micro - fill.fee_micro
    order = world.broker.lookup(intent().client_order_id).order
    assert order is not None
    assert (order.state, order.filled_nano) == (OrderState.FILLED, 100 * NANO)


def test_the_ledger_equals_the_account_to_the_micro(world: World) -> None:
    book = Ledger.opening(CASH)
    sell = intent("two", side=Side.SELL, quantity_nano=40 * NANO, order_type=OrderType.MARKET_ON_CLOSE)
    world.broker.submit(intent())
    world.go("2013-01-04", "before_open")
    assert world.broker.submit(sell).outcome is SubmitOutcome.ACCEPTED
    world.go("2013-01-04", "after_close")
    for fill in world.broker.fills(since_ns=0):
        book = book.apply(postings_of_fill(book, fill))
    account = world.broker.account()
    assert (book.cash_micro, book.positions_nano) == (account.cash_micro, account.positions_nano)
    assert book.positions_nano == {"AAA": 60 * NANO}
    assert book.fees_micro > 0


def test_a_cancel_frees_the_cash_and_a_second_one_is_refused(world: World) -> None:
    world.broker.submit(intent())
    assert world.broker.account().buying_power_micro < CASH
    assert world.broker.cancel(intent().client_order_id).outcome is SubmitOutcome.ACCEPTED
    order = world.broker.lookup(intent().client_order_id).order
    assert order is not None
    assert order.state is OrderState.CANCELED
    assert world.broker.account().buying_power_micro == CASH
    assert world.broker.cancel(intent().client_order_id).outcome is SubmitOutcome.REFUSED
    assert world.broker.cancel("wb1-nobody").outcome is SubmitOutcome.REFUSED


def test_a_day_order_that_nobody_wanted_expires_at_the_close(world: World) -> None:
    world.broker.submit(intent(order_type=OrderType.LIMIT, limit_micro=5_000_000))
    world.go("2013-01-03", "after_close")
    (order,) = world.broker.orders(since_ns=0)
    assert (order.state, order.filled_nano) == (OrderState.EXPIRED, 0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"quantity_nano": 10_000 * NANO}, "insufficient buying power"),
        ({"side": Side.SELL}, "insufficient qty available for order (requested: 100, available: 0)"),
        ({"symbol": "ZZZ"}, 'could not find asset "ZZZ"'),
    ],
)
def test_a_known_refusal_is_a_value_with_the_venues_words(
    world: World, change: dict[str, Any], reason: str
) -> None:
    result = world.broker.submit(intent(**change))
    words = OTHER_WORDS.get((type(world.broker).__name__, reason), reason)
    assert (result.outcome, result.order, result.reason) == (SubmitOutcome.REFUSED, None, words)
    assert world.broker.orders(since_ns=0) == ()


def test_the_hours_are_the_calendars_and_the_word_for_now_is_the_clocks(world: World) -> None:
    opened, closed = (f("2013-01-04") for f in (CALENDAR.session_open_ns, CALENDAR.session_close_ns))
    for moment, is_open in (("before_open", False), ("in_session", True), ("after_close", False)):
        world.go("2013-01-04", moment)
        hours = world.broker.hours("2013-01-04")
        assert (hours.open_ns, hours.close_ns, hours.is_open) == (opened, closed, is_open)
    assert world.broker.hours("2013-01-05").open_ns == -1  # a Saturday


def test_quotes_bracket_the_last_price_and_say_when_and_when_not(world: World) -> None:
    quotes = world.broker.quotes(["AAA", "ZZZ"])
    assert quotes.bid_micro[0] < 20_500_000 < quotes.ask_micro[0]
    assert quotes.bid_micro[0] % 10_000 == quotes.ask_micro[0] % 10_000 == 0
    assert quotes.at_ns[0] == world.clock.at_ns
    assert (quotes.bid_micro[1], quotes.ask_micro[1], quotes.at_ns[1]) == (0, 0, -1)


def test_time_at_the_venue_never_runs_backwards(world: World) -> None:
    world.go("2013-01-04", "after_close")
    world.broker.account()
    before = world.broker.now_ns()
    world.go("2013-01-03", "before_open")
    assert world.broker.now_ns() >= before - HOUR  # what it already did stays done
    assert world.broker.submit(intent()).outcome is SubmitOutcome.ACCEPTED
    world.go("2013-01-07", "in_session")
    (fill,) = world.broker.fills(since_ns=0)
    assert fill.filled_at_ns == CALENDAR.session_open_ns("2013-01-07")


def test_all_is_still_there_after_a_restart(world: World) -> None:
    world.broker.submit(intent())
    world.go("2013-01-04", "in_session")
    before = (world.broker.orders(since_ns=0), world.broker.fills(since_ns=0), world.broker.account())
    broker = world.reopen()
    assert (broker.orders(since_ns=0), broker.fills(since_ns=0), broker.account()) == before


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
