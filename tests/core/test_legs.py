"""Which leg follows which: slices, the two legs of a flip, and what ends a change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.legs import in_sequence, next_leg, remainder_name
from workbench.core.orders import TERMINAL, Order, OrderIntent, OrderState, client_order_id
from workbench.core.types import NANO, OrderType, Side

S = OrderState


def order(leg: str, side: Side, shares: int, parent: Order | None, **changes: Any) -> Order:
    key = client_order_id("demo", "trend", 1, "AAA", leg)
    intent = OrderIntent(
        key, "demo", "trend", "2013-01-02", 1, "AAA", leg, side, shares * NANO, OrderType.MARKET, 0, 1,
        parent_id=parent.intent.client_order_id if parent else "",
    )  # fmt: skip
    return Order(intent, **({"state": S.FILLED, "filled_nano": shares * NANO} | changes))


def walk(start: int, target: int, most: int, allow_short: bool) -> list[tuple[str, int]]:
    """All legs of a change when each is filled: name and signed shares."""
    legs: list[Order] = []
    rules = {"max_slice_shares": most, "allow_short": allow_short}
    while (leg := next_leg(start, target, legs, **rules)) is not None:  # type: ignore[arg-type]
        legs.append(order(leg.name, leg.side, leg.shares, legs[-1] if legs else None))
        assert len(legs) < 300
    return [(o.intent.leg, int(o.intent.side) * o.intent.shares) for o in in_sequence(legs)]


def test_a_change_that_fits_is_one_entry() -> None:
    assert walk(0, 100, 100, False) == [("entry", 100)]
    assert walk(100, 0, 100, False) == [("entry", -100)]


def test_a_change_too_large_for_one_order_goes_out_in_slices() -> None:
    assert walk(0, 250, 100, False) == [("slice 1", 100), ("slice 2", 100), ("slice 3", 50)]


def test_a_flip_closes_first_and_opens_the_other_side_only_where_short_is_allowed() -> None:
    """F14: a closing sell never becomes a short by its size alone."""
    assert walk(100, -50, 1_000, True) == [("entry", -100), ("flip", -50)]
    assert walk(100, -50, 1_000, False) == [("entry", -100)]
    assert walk(-100, 50, 1_000, False) == [("entry", 100), ("flip", 50)]
    assert walk(100, -150, 60, True) == [
        ("slice 1", -60), ("slice 2", -40), ("flip", -60), ("slice 4", -60), ("slice 5", -30),
    ]  # fmt: skip


@given(
    start=st.integers(-500, 500), target=st.integers(-500, 500), most=st.integers(7, 600), short=st.booleans()
)
def test_legs_add_up_cross_zero_at_a_stop_and_have_names_of_their_own(
    start: int, target: int, most: int, short: bool
) -> None:
    legs = walk(start, target, most, short)
    blocked = start > 0 > target and not short
    assert start + sum(shares for _, shares in legs) == (0 if blocked else target)
    assert len({name for name, _ in legs}) == len(legs)
    now = start
    for _, shares in legs:
        assert 0 < abs(shares) <= most
        assert now * (now + shares) >= 0, "one order crosses zero"
        now += shares


@pytest.mark.parametrize("state", sorted(set(S) - {S.FILLED}))
def test_only_a_filled_leg_has_a_successor(state: OrderState) -> None:
    """F10: what a cancelled leg left is no slice; a leg that may still be filled has no successor."""
    legs = [order("slice 1", Side.BUY, 100, None, state=state, filled_nano=40 * NANO)]
    assert next_leg(0, 250, legs, max_slice_shares=100, allow_short=False) is None
    assert (state in TERMINAL) or legs[0].leaves_nano == 60 * NANO


def test_no_leg_follows_while_any_former_one_may_still_be_filled() -> None:
    first = order("slice 1", Side.BUY, 100, None, state=S.PENDING_CANCEL, filled_nano=0)
    second = order("slice 2", Side.BUY, 100, first)
    assert next_leg(0, 250, [first, second], max_slice_shares=100, allow_short=False) is None


def test_a_chain_is_followed_by_its_parents_and_a_broken_one_is_an_error() -> None:
    first = order("slice 1", Side.BUY, 1, None)
    second = order("remainder 1", Side.BUY, 1, first)
    third = order("slice 3", Side.BUY, 1, second)
    assert in_sequence([third, first, second]) == (first, second, third)
    assert remainder_name([first, second]) == "remainder 2"
    with pytest.raises(ValueError, match="not one chain"):
        in_sequence([third, first])
    with pytest.raises(ValueError, match="a slice of 0 shares"):
        next_leg(0, 1, [], max_slice_shares=0, allow_short=False)
