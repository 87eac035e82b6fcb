"""What every broker promises to the services, as tests; a broker joins with a maker of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from workbench.core.ledger import Ledger, postings_of_fill
from workbench.core.orders import OrderState
from workbench.core.ports import SubmitOutcome
from workbench.core.types import NANO, OrderType, Side
from workbench.testing.broker_world import CALENDAR, CASH, HOUR, World, intent


class BrokerContract:
    """The tests; a class that inherits them is collected by pytest and brings the fixture `world`."""

    #: Where a broker says the same in other words, by type and the words expected here.
    OTHER_WORDS: ClassVar[Mapping[tuple[str, str], str]] = {}

    def test_an_accepted_order_is_found_again_by_its_id_and_in_the_list(self, world: World) -> None:
        result = world.broker.submit(intent())
        assert result.outcome is SubmitOutcome.ACCEPTED
        assert result.order is not None
        assert (result.order.state, result.order.filled_nano) == (OrderState.ACCEPTED, 0)
        found = world.broker.lookup(intent().client_order_id)
        assert (found.found, found.answered, found.order) == (True, True, result.order)
        assert world.broker.orders(since_ns=0) == (result.order,)
        assert world.broker.orders(since_ns=world.clock.at_ns + 1) == ()

    def test_an_unknown_id_is_answered_with_not_found(self, world: World) -> None:
        answer = world.broker.lookup("wb1-nobody")
        assert (answer.found, answer.answered, answer.order) == (False, True, None)
        assert answer.reason

    def test_the_same_id_is_refused_while_open_and_after_the_end(self, world: World) -> None:
        world.broker.submit(intent())
        for moment in ("before_open", "after_close"):
            world.go("2013-01-03", moment)
            again = world.broker.submit(intent())
            assert (again.outcome, again.order) == (SubmitOutcome.REFUSED, None)
            assert again.reason == "client_order_id must be unique"
        assert len(world.broker.orders(since_ns=0)) == 1

    def test_a_fill_appears_once_with_cash_and_position(self, world: World) -> None:
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

    def test_the_ledger_equals_the_account_to_the_micro(self, world: World) -> None:
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

    def test_a_cancel_frees_the_cash_and_a_second_one_is_refused(self, world: World) -> None:
        world.broker.submit(intent())
        assert world.broker.account().buying_power_micro < CASH
        assert world.broker.cancel(intent().client_order_id).outcome is SubmitOutcome.ACCEPTED
        order = world.broker.lookup(intent().client_order_id).order
        assert order is not None
        assert order.state is OrderState.CANCELED
        assert world.broker.account().buying_power_micro == CASH
        assert world.broker.cancel(intent().client_order_id).outcome is SubmitOutcome.REFUSED
        assert world.broker.cancel("wb1-nobody").outcome is SubmitOutcome.REFUSED

    def test_a_day_order_that_nobody_wanted_expires_at_the_close(self, world: World) -> None:
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
        self, world: World, change: dict[str, Any], reason: str
    ) -> None:
        result = world.broker.submit(intent(**change))
        words = self.OTHER_WORDS.get((type(world.broker).__name__, reason), reason)
        assert (result.outcome, result.order, result.reason) == (SubmitOutcome.REFUSED, None, words)
        assert world.broker.orders(since_ns=0) == ()

    def test_the_hours_are_the_calendars_and_the_word_for_now_is_the_clocks(self, world: World) -> None:
        opened, closed = (f("2013-01-04") for f in (CALENDAR.session_open_ns, CALENDAR.session_close_ns))
        for moment, is_open in (("before_open", False), ("in_session", True), ("after_close", False)):
            world.go("2013-01-04", moment)
            hours = world.broker.hours("2013-01-04")
            assert (hours.open_ns, hours.close_ns, hours.is_open) == (opened, closed, is_open)
        assert world.broker.hours("2013-01-05").open_ns == -1  # a Saturday

    def test_quotes_bracket_the_last_price_and_say_when_and_when_not(self, world: World) -> None:
        quotes = world.broker.quotes(["AAA", "ZZZ"])
        assert quotes.bid_micro[0] < 20_500_000 < quotes.ask_micro[0]
        assert quotes.bid_micro[0] % 10_000 == quotes.ask_micro[0] % 10_000 == 0
        assert quotes.at_ns[0] == world.clock.at_ns
        assert (quotes.bid_micro[1], quotes.ask_micro[1], quotes.at_ns[1]) == (0, 0, -1)

    def test_time_at_the_venue_never_runs_backwards(self, world: World) -> None:
        world.go("2013-01-04", "after_close")
        world.broker.account()
        before = world.broker.now_ns()
        world.go("2013-01-03", "before_open")
        assert world.broker.now_ns() >= before - HOUR  # what it already did stays done
        assert world.broker.submit(intent()).outcome is SubmitOutcome.ACCEPTED
        world.go("2013-01-07", "in_session")
        (fill,) = world.broker.fills(since_ns=0)
        assert fill.filled_at_ns == CALENDAR.session_open_ns("2013-01-07")

    def test_all_is_still_there_after_a_restart(self, world: World) -> None:
        world.broker.submit(intent())
        world.go("2013-01-04", "in_session")
        before = (world.broker.orders(since_ns=0), world.broker.fills(since_ns=0), world.broker.account())
        broker = world.reopen()
        assert (broker.orders(since_ns=0), broker.fills(since_ns=0), broker.account()) == before
