"""What the indexes of an account's orders say equals a walk over all of them, whatever changed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.orders import TERMINAL, WORKING, Order, OrderIntent, OrderState, client_order_id
from workbench.core.pretrade import content_fingerprint
from workbench.core.types import NANO, OrderType, Side
from workbench.services.own_orders import OwnOrders

SYMBOLS = ("AAA", "BBB")


def order(number: int, state: OrderState, filled: int, sent_at_ns: int) -> Order:
    symbol, side = SYMBOLS[number % 2], (Side.BUY, Side.SELL)[number // 2 % 2]
    key = client_order_id("demo", "trend", number // 3, symbol, f"leg {number}")
    intent = OrderIntent(
        key, "demo", "trend", "2013-01-02", number // 3, symbol, f"leg {number}", side, 10 * NANO,
        OrderType.MARKET, 0, 1,
    )  # fmt: skip
    return Order(intent, state, filled_nano=filled * NANO, sent_at_ns=sent_at_ns)


changes = st.lists(
    st.tuples(st.integers(0, 7), st.sampled_from(sorted(OrderState)), st.integers(0, 10), st.integers(0, 5)),
    max_size=25,
)


@settings(deadline=None)  # the first call compiles or loads kernels
@given(changes=changes, at_ns=st.integers(-1, 6))
def test_the_indexes_equal_a_walk_over_all_orders(
    changes: list[tuple[int, OrderState, int, int]], at_ns: int
) -> None:
    """F07: exposure and rate come from the orders; an order taken back to what it was counts as that."""
    own = OwnOrders()
    for change in changes:
        made = order(*change)
        own[made.intent.client_order_id] = made
    orders = list(own.values())
    open_ = [o for o in orders if o.state not in TERMINAL]
    assert own.unfinished_symbols() == {o.intent.symbol for o in open_}
    assert {o.intent.client_order_id for o in own.unfinished()} == {o.intent.client_order_id for o in open_}
    for symbol in SYMBOLS:
        working = [o for o in orders if o.intent.symbol == symbol and o.state in WORKING]
        sums = [
            sum(o.leaves_nano // NANO for o in working if o.intent.side is side)
            for side in (Side.BUY, Side.SELL)
        ]
        assert own.working_shares().get(symbol, (0, 0)) == tuple(sums)
        for without in ("", *own):
            sent = [o for o in orders if o.sent_at_ns and o.sent_at_ns > at_ns]
            sent = [o for o in sent if o.intent.client_order_id != without]
            assert own.sent_after(at_ns, without=without) == len(sent)
            contents = {content_fingerprint(o.intent) for o in sent if o.intent.symbol == symbol}
            assert own.contents_after(at_ns, symbol=symbol, without=without) == contents
        for scheduled_ns in range(3):
            decided = [o for o in orders if o.intent.scheduled_ns == scheduled_ns]
            assert list(own.of_decision(scheduled_ns)) == decided
            of_symbol = [o for o in decided if o.intent.symbol == symbol]
            assert list(own.of_decision(scheduled_ns, symbol)) == of_symbol


def test_an_order_is_never_removed_and_keeps_its_symbol() -> None:
    first = order(0, OrderState.INTENDED, 0, 0)
    own = OwnOrders({first.intent.client_order_id: first})
    with pytest.raises(TypeError, match="what was ordered stays"):
        del own[first.intent.client_order_id]
    with pytest.raises(ValueError, match="cannot become one of BBB"):
        own[first.intent.client_order_id] = replace(first, intent=replace(first.intent, symbol="BBB"))
    assert list(own.values()) == [first]
